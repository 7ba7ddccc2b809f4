"""What is told of layers that are to be simulated, or found."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from porescope.errors import PorescopeError
from porescope.imaging.materials import Material
from porescope.layers import kinds
from porescope.layers.forward import BEAM_KV, MODELS, checked_beam, layer_model
from porescope.layers.inversion import (
    DEFAULT,
    LARGEST_NOISE,
    check_contrast,
    checked_thickest,
    find_method,
    methods,
)
from porescope.layers.structures import THICKEST_NM
from porescope.learn.parameters import WeightsOf
from porescope.pipeline.simulation.parameters import parse_material
from porescope.pipeline.step import Parameters
from porescope.stack import Region

if TYPE_CHECKING:
    Kind = str
    ModelName = str
else:
    Kind = Literal[tuple(kinds())]
    ModelName = Literal[MODELS]

MOST_SIGNAL = 2.0
"""Back-scatter coefficients are below 1; this leaves room for noise."""
VOXEL_NM = 5.0
MOST_SLICES = 4096
"""Of a volume of layers; it is no use to be finer."""


def parse_layers(text: str) -> tuple[Material, ...]:
    """Return the materials of layers, from ``gold, aluminium`` or formulas such as SiO2:2.2.

    Raises
    ------
    PorescopeError
        If one cannot be read.
    """
    return tuple(parse_material(part.strip()) for part in text.split(","))


def _checked_layers(text: str) -> str:
    parse_layers(text)
    return text


def _checked_material(text: str) -> str:
    parse_material(text)
    return text


def _checked_energies(beam_kv: tuple[float, ...]) -> tuple[float, ...]:
    checked_beam(beam_kv)
    if len(set(beam_kv)) < len(beam_kv):
        raise PorescopeError("A beam energy is named twice; name each once.")
    return tuple(sorted(beam_kv))


def _checked_if_given(beam_kv: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if beam_kv is not None:
        checked_beam(beam_kv)
    return beam_kv


def _checked_method(method: str) -> str:
    if method != "default":
        find_method(method)
    return method


class Layered(Parameters):
    """What lies on what, and how it sends electrons back."""

    materials: Annotated[str, AfterValidator(_checked_layers)] = Field(
        "gold, aluminium",
        description="of the layers, from the bottom to the top: names, or FORMULA:DENSITY with the "
        "density in g/cm3",
    )
    substrate: Annotated[str, AfterValidator(_checked_material)] = Field(
        "silicon", description="material below all layers"
    )
    thickest_nm: tuple[float, ...] = Field(
        THICKEST_NM,
        description="greatest thickness of each layer in nm, from the bottom to the top",
    )
    model: ModelName = Field(
        "corrected",
        description="how signals follow from layers: corrected, after Monte Carlo, or as published "
        "for aluminium on gold",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        model = layer_model(**self.options())
        checked_thickest(self.thickest_nm, model)
        check_contrast(model, np.array(BEAM_KV))
        if self.slices() > MOST_SLICES:
            raise PorescopeError(
                f"Layers of {sum(self.thickest_nm):g} nm at most would be {self.slices()} voxels "
                f"of {self.height_nm():g} nm high; give less greatest thickness (thickest_nm) or "
                f"higher voxels (voxel_nm), for at most {MOST_SLICES}."
            )
        return self

    def height_nm(self) -> float:
        """Return the height of a voxel."""
        return VOXEL_NM

    def slices(self, top_nm: float = 0.0) -> int:
        """Return how many voxels high the layers can be, so that all their volumes are alike."""
        return math.ceil(max(sum(self.thickest_nm), top_nm) / self.height_nm())

    def options(self) -> dict[str, Any]:
        """Return what the functions of :mod:`porescope.layers` take of these."""
        return {
            "materials": parse_layers(self.materials),
            "substrate": parse_material(self.substrate),
            "model": self.model,
        }

    def names(self) -> list[str]:
        """Return what files and maps of the layers are called, from the bottom to the top."""
        words = [word.split(":")[0].strip() for word in self.materials.split(",")]
        return [
            word if words.count(word) == 1 else f"{word}-{number}"
            for number, word in enumerate(words, start=1)
        ]


class LayersSimulation(Layered):
    """Layers to be drawn, and the series to be made of them."""

    kind: Kind = Field("sharp", description="what the layers look like")
    shape: tuple[int, int] = Field((128, 128), description="number of pixels along y, x")
    pixel_nm: float = Field(10.0, gt=0, description="size of a pixel in nm")
    beam_kv: Annotated[
        tuple[float, ...], Field(min_length=1), AfterValidator(_checked_energies)
    ] = Field(BEAM_KV, description="beam energies in keV; each gives an image")
    noise: float = Field(
        0.02, ge=0, le=LARGEST_NOISE, description="standard deviation of a signal as a share of it"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="another seed gives other layers and noise")


class LayersParameters(Layered):
    """How the thickness of layers is found."""

    beam_kv: Annotated[tuple[float, ...] | None, AfterValidator(_checked_if_given)] = Field(
        None,
        description="beam energies in keV, in the order of pages or names, where the files do not "
        "tell them",
    )
    method: Annotated[
        str, WeightsOf("layers", ("default", *methods())), AfterValidator(_checked_method)
    ] = Field(
        "default",
        description=f"network; neighbours; tikhonov, which takes each pixel by itself; default, "
        f"which is {DEFAULT}; or a .safetensors file that porescope train layers wrote",
    )
    bare: Region | None = Field(
        None,
        description="where the substrate is bare, which tells what a grey value means: y start, y "
        "stop, x start, x stop in pixels; without, the images hold back-scatter coefficients",
    )
    noise: float | None = Field(
        None,
        ge=0,
        le=LARGEST_NOISE,
        description="standard deviation of a signal as a share of it, less than 0.0001 counts as "
        "that; estimated by default",
    )
    voxel_nm: float = Field(
        VOXEL_NM, gt=0, description="height of a voxel of the volume of layers in nm"
    )
    pixel_nm: tuple[float, float] | None = Field(
        None, description="pixel size along y, x in nm, where the files do not tell it"
    )

    def height_nm(self) -> float:
        """Return the height of a voxel."""
        return self.voxel_nm

    def check_told(
        self, source: Path, brightest: float, pixel_nm: tuple[float, float] | None
    ) -> None:
        """Refuse what neither a series nor these parameters tell.

        Parameters
        ----------
        source : Path
            The series,
        brightest : float
            its greatest value,
        pixel_nm : tuple of two floats, optional
            and the size of its pixels.

        Raises
        ------
        PorescopeError
            With all that is missing.
        """
        wanted = []
        if self.pixel_nm is None and pixel_nm is None:
            wanted.append("the pixel size along y, x in nm (pixel_nm), which it does not tell")
        if self.bare is None and brightest > MOST_SIGNAL:
            wanted.append(
                "where the substrate is bare (bare), since its values up to "
                f"{brightest:g} are no back-scatter coefficients"
            )
        if wanted:
            raise PorescopeError(f"{source}: give {'; and '.join(wanted)}.")
