"""Layers on their way to a folder: simulated with their energy series, or found from one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from porescope.errors import PorescopeError
from porescope.imaging.materials import Material
from porescope.layers import kinds
from porescope.layers.forward import BEAM_KV, MODELS, checked_beam
from porescope.layers.inversion import DEFAULT, LARGEST_NOISE, methods
from porescope.layers.structures import THICKEST_NM
from porescope.layers.volumes import STEP_NM
from porescope.pipeline.provenance import hash_inputs, versions
from porescope.pipeline.run import Report, tell_nobody, writing_result
from porescope.pipeline.simulation.parameters import parse_material
from porescope.pipeline.step import Parameters
from porescope.pipeline.workspace import write_json
from porescope.stack import Region, Stack
from porescope.tracking import Cancel, never_cancel

if TYPE_CHECKING:
    Kind = str
    Method = str
    ModelName = str
else:
    Kind = Literal[tuple(kinds())]
    Method = Literal["default", *methods()]
    ModelName = Literal[MODELS]

FILE = "layers.json"
SERIES, MISFIT = "series.tif", "misfit.tif"
MOST_SIGNAL = 2.0
"""Back-scatter coefficients are below 1; this leaves room for noise."""
WRONG = 2.0
"""Misfit from which the model does not hold."""


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
    method: Method = Field(
        "default",
        description=f"how; default is {DEFAULT}, tikhonov takes each pixel by itself",
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
        description="standard deviation of a signal as a share of it; estimated by default",
    )
    voxel_nm: float = Field(
        STEP_NM, gt=0, description="height of a voxel of the volume of layers in nm"
    )
    pixel_nm: tuple[float, float] | None = Field(
        None, description="pixel size along y, x in nm, where the files do not tell it"
    )


@dataclass(frozen=True)
class Found:
    """What there is in a folder of layers.

    Parameters
    ----------
    names : tuple of str
        Of the layers, from the bottom to the top.
    mean_nm : tuple of float
        Mean thickness of each.
    uncertainty_nm : tuple of float
        Median standard error of each.
    misfit : float
        Mean square deviation from the series in units of the noise; about 1 where all is well.
    noise : float
        That was reckoned with.
    shape : tuple of three ints
        Of the series: energies, rows and columns.
    """

    names: tuple[str, ...]
    mean_nm: tuple[float, ...]
    uncertainty_nm: tuple[float, ...]
    misfit: float
    noise: float
    shape: tuple[int, int, int]

    @property
    def summary(self) -> str:
        """What was found, in a few lines."""
        energies, rows, columns = self.shape
        lines = [f"{energies} energies of {rows} x {columns} pixels"]
        for name, mean, sure in zip(self.names, self.mean_nm, self.uncertainty_nm, strict=True):
            lines.append(
                f"{name}: {mean:.2f} nm on average, half the pixels known to {sure:.2g} nm"
            )
        well = "about 1: the layers explain the series"
        wrong = "far above 1: check the bare region, materials, greatest thickness and model"
        told = wrong if self.misfit > WRONG else well
        lines.append(f"noise {100 * self.noise:.2g} %, misfit {self.misfit:.2f} ({told})")
        return "\n".join(lines)


def write_layers(
    source: Path,
    parameters: LayersParameters,
    out: Path,
    *,
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Found:
    """Find the layers of an energy series, and write maps, volume and numbers into a folder.

    The folder holds what :func:`porescope.layers.write_inversion` writes, ``misfit.tif`` and
    ``layers.json``. It is written beside and renamed when whole.

    Parameters
    ----------
    source : Path
        Energy series, see :func:`porescope.layers.read_series`.
    parameters : LayersParameters
    out : Path
        Folder to make.
    overwrite : bool, optional
        Replace an earlier result.
    report, cancel : callables, optional
        Progress and cancelling.

    Raises
    ------
    PorescopeError
        If the series or a parameter makes no sense, or the folder cannot be written.
    Cancelled
        If ``cancel()`` became true.
    """
    from porescope.io import write_stack
    from porescope.layers import read_series, solve, write_inversion

    with writing_result([source], out, overwrite, mark=FILE) as result:
        hashes = hash_inputs([source], partial(report, "Reading the series"), cancel)
        series = read_series(source, parameters.beam_kv)
        pixel_nm = parameters.pixel_nm or series.pixel_nm
        if pixel_nm is None:
            raise PorescopeError(
                f"{source} does not tell the pixel size; give it (pixel_nm) as y, x in nm."
            )
        if parameters.bare is not None:
            substrate = parse_material(parameters.substrate)
            series = series.normalised(parameters.bare, parameters.model, substrate)
        elif series.signals.max() > MOST_SIGNAL:
            raise PorescopeError(
                f"{source} holds values up to {series.signals.max():g}, which are no back-scatter "
                "coefficients; say where the substrate is bare (bare), so that grey values count."
            )
        found = solve(
            series.signals,
            series.beam_kv,
            parameters.method,
            **parameters.options(),
            thickest_nm=parameters.thickest_nm,
            noise=parameters.noise,
            progress=partial(report, "Finding the layers"),
            cancel=cancel,
        )
        report("Writing", 0, 1)
        write_inversion(result, found, pixel_nm, parameters.voxel_nm)
        misfit = found.misfit.astype(np.float32)[np.newaxis]
        write_stack(result / MISFIT, Stack(misfit, (1.0, *pixel_nm)))
        about = {
            "series": hashes[0],
            "versions": versions(),
            "parameters": parameters.model_dump(mode="json"),
            "noise": found.noise,
            "notes": found.notes,
        }
        write_json(result / FILE, about)
    return Found(
        tuple(parameters.names()),
        tuple(float(each.mean()) for each in found.thickness_nm),
        tuple(float(np.median(each)) for each in found.uncertainty_nm),
        float(found.misfit.mean()),
        found.noise,
        series.signals.shape,
    )


def write_layers_simulation(
    parameters: LayersSimulation,
    out: Path,
    *,
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> None:
    """Draw layers and image them at each energy, and write both into a folder.

    The folder holds ``series.tif``, for each energy a page of back-scatter coefficients;
    ``thickness_nm.tif``, a page a layer from the lowest up; ``labels.tif``; and ``layers.json``.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, or the folder cannot be written.
    """
    from porescope.layers import simulate_series, write_series
    from porescope.layers.series import write_thickness
    from porescope.layers.structures import draw

    with writing_result([], out, overwrite, mark=FILE) as result:
        report("Drawing", 0, 1)
        layers = len(parameters.names())
        seeds = [parameters.seed * layers + layer for layer in range(layers)]
        thickness_nm = draw(parameters.kind, seeds, parameters.shape, parameters.thickest_nm)
        pixel_nm = (parameters.pixel_nm, parameters.pixel_nm)
        series = simulate_series(
            thickness_nm,
            parameters.beam_kv,
            **parameters.options(),
            noise=parameters.noise,
            seed=parameters.seed,
            pixel_nm=pixel_nm,
        )
        result.mkdir()
        write_series(result / SERIES, series)
        write_thickness(result, thickness_nm, pixel_nm)
        about = {"versions": versions(), "parameters": parameters.model_dump(mode="json")}
        write_json(result / FILE, about)
