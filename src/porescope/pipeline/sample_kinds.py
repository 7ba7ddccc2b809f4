"""The kinds of samples a user can have drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from porescope.errors import PorescopeError
from porescope.geometry import (
    Primitives,
    boolean_model,
    hierarchical_leveled_wave,
    label_layers,
    leveled_wave,
    paper_sample,
    paper_sample_names,
    perlin_layers,
    random_pores,
    self_similar,
    spheroids,
)
from porescope.geometry.waves import MOST_WAVES, check_not_too_fine
from porescope.pipeline.samples import box_of, sample_kind
from porescope.pipeline.step import Parameters
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress


def _twice(value: Any) -> Any:
    """Take a number for an interval of no length."""
    if isinstance(value, list | tuple):
        return [*value, *value] if len(value) == 1 else value
    return (value, value)


Number = Annotated[float, Field(gt=0)]
Voxels = Annotated[int, Field(ge=1)]
Shape = tuple[Voxels, Voxels, Voxels]
Interval = Annotated[tuple[Number, Number], BeforeValidator(_twice)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Numbers = Annotated[tuple[Number, ...], Field(min_length=1)]
Fractions = Annotated[tuple[Fraction, ...], Field(min_length=1)]

VOXEL_NM = Field(5.0, gt=0, description="edge of a voxel in nm")
SHAPE = Field((200, 200, 200), description="number of voxels along z, y, x")
SEED = Field(0, ge=0, lt=2**64, description="another seed gives another sample")
POROSITY = "expected share of pores"
SOLID_FRACTION = "share of solid voxels"
ONE_OR_INTERVAL = "in voxels: one for all, or smallest, largest"


class BooleanParameters(Parameters):
    """What all Boolean models have."""

    shape: Shape = SHAPE
    voxel_nm: float = VOXEL_NM
    porosity: Fraction = Field(0.5, description=POROSITY)
    seed: int = SEED

    def draw(self, kind: Literal["sphere", "cylinder", "cube"]) -> Primitives:
        """Draw the model."""
        return boolean_model(kind, **self.model_dump(exclude={"voxel_nm"}))


class OrientedParameters(BooleanParameters):
    """How particles that are no spheres lie."""

    orientation: Literal["uniform", "von-mises-fisher", "aligned"] = Field(
        "uniform", description="of the particles' axes: all directions alike, about z, or along z"
    )
    kappa: float = Field(
        20.0, gt=0, description="how close to z axes are under von-mises-fisher; larger is closer"
    )


class SphereParameters(BooleanParameters):
    """Sizes of spheres."""

    radius: Interval = Field((10.0, 20.0), description=f"radius {ONE_OR_INTERVAL}")


class CylinderParameters(OrientedParameters):
    """Sizes of cylinders."""

    porosity: Fraction = Field(0.7, description=POROSITY)
    radius: Interval = Field((5.0, 10.0), description=f"radius {ONE_OR_INTERVAL}")
    height: Interval = Field((60.0, 120.0), description=f"full height {ONE_OR_INTERVAL}")


class CubeParameters(OrientedParameters):
    """Sizes of cubes."""

    edge: Interval = Field((20.0, 40.0), description=f"edge {ONE_OR_INTERVAL}")


@sample_kind("spheres")
def _spheres(parameters: SphereParameters, progress: Progress, cancel: Cancel) -> Primitives:
    """Spheres that overlap at random places (a Boolean model)."""
    return parameters.draw("sphere")


@sample_kind("cylinders")
def _cylinders(parameters: CylinderParameters, progress: Progress, cancel: Cancel) -> Primitives:
    """Cylinders that overlap at random places (a Boolean model), such as fibres."""
    return parameters.draw("cylinder")


@sample_kind("cubes")
def _cubes(parameters: CubeParameters, progress: Progress, cancel: Cancel) -> Primitives:
    """Cubes that overlap at random places (a Boolean model)."""
    return parameters.draw("cube")


if TYPE_CHECKING:
    PaperName = str
else:
    PaperName = Literal[tuple(paper_sample_names())]


def _paper_name(name: Any) -> Any:
    """Refuse a name without listing all."""
    if name not in paper_sample_names():
        first, *_, last = paper_sample_names()
        raise PorescopeError(
            f"The paper has no sample {name!r}; names look like {first} and {last}, "
            "and porescope sample paper --help lists them."
        )
    return name


class PaperParameters(Parameters):
    """Which of the paper's samples."""

    name: Annotated[PaperName, BeforeValidator(_paper_name)] = Field(
        "sphere-p0.5-r30-50-1", description="kind, porosity, sizes in voxels, realisation"
    )
    voxel_nm: float = VOXEL_NM
    seed: int = SEED


@sample_kind("paper")
def _paper(parameters: PaperParameters, progress: Progress, cancel: Cancel) -> Primitives:
    """One sample of the neural simulator's paper, of 850 x 850 x 1130 voxels."""
    return paper_sample(parameters.name, parameters.seed)


class ListParameters(Parameters):
    """Which list, and how to read it."""

    path: Path = Field(description="text file in the ITWM format")
    cylinder_axes: Literal["auto", "euler", "direction"] = Field(
        "auto", description="what columns a b c of cylinders are, where the file does not tell"
    )
    voxel_nm: float = VOXEL_NM


@sample_kind("list")
def _list(parameters: ListParameters, progress: Progress, cancel: Cancel) -> Primitives:
    """Spheres, cylinders and cubes from a file in the ITWM text format."""
    from porescope.io import read_primitives

    primitives = read_primitives(parameters.path, parameters.cylinder_axes)
    return replace(primitives, shape=box_of(primitives))


class VolumeParameters(Parameters):
    """What all samples on a voxel grid have."""

    voxel_nm: float = VOXEL_NM

    def draw(self, function: Callable[..., Any], cancel: Cancel) -> Stack:
        """Call a function of geometry, whose parameters are the fields."""
        fields = self.model_dump(exclude={"voxel_nm"})
        return self.labels(function(**fields, spacing_nm=self.voxel_nm, lazy=True, cancel=cancel))

    def labels(self, drawn: Any) -> Stack:
        """Return what was drawn as a stack."""
        return Stack(drawn.astype(np.uint8), spacing_nm=(self.voxel_nm,) * 3, is_labels=True)


class WaveParameters(VolumeParameters):
    """Of a leveled wave."""

    shape: Shape = SHAPE
    wavelength_nm: float = Field(
        150.0, gt=0, description="distance between neighbouring ligaments in nm"
    )
    solid_fraction: Fraction = Field(0.35, description=SOLID_FRACTION)
    waves: int = Field(200, ge=1, le=MOST_WAVES, description="how many plane waves are added up")
    seed: int = SEED


@sample_kind("leveled-wave")
def _leveled_wave(parameters: WaveParameters, progress: Progress, cancel: Cancel) -> Stack:
    """Ligaments of one size, as in nanoporous gold: a level of a sum of plane waves."""
    return parameters.draw(leveled_wave, cancel)


class HierarchicalWaveParameters(VolumeParameters):
    """Of a leveled wave on several levels."""

    shape: Shape = SHAPE
    wavelengths_nm: Numbers = Field(
        (400.0, 80.0), description="distance between neighbouring ligaments in nm, for each level"
    )
    solid_fractions: Fractions = Field(
        (0.5, 0.5), description="share that is solid of what the levels before left, for each level"
    )
    waves: int = Field(
        100, ge=1, le=MOST_WAVES, description="how many plane waves are added up on each level"
    )
    seed: int = SEED


@sample_kind("hierarchical-leveled-wave")
def _hierarchical_leveled_wave(
    parameters: HierarchicalWaveParameters, progress: Progress, cancel: Cancel
) -> Stack:
    """Ligaments that are porous themselves, as in hierarchical nanoporous gold."""
    return parameters.draw(hierarchical_leveled_wave, cancel)


class SelfSimilarParameters(VolumeParameters):
    """Of a leveled wave and its own smaller copy."""

    shape: Shape = SHAPE
    wavelength_nm: float = Field(
        400.0, gt=0, description="distance between neighbouring ligaments of the large structure"
    )
    structure_fraction: Fraction = Field(
        0.6, description="share of solid of the large structure alone"
    )
    ratio: float = Field(4.0, gt=1, description="how many times smaller the copy is")
    solid_fraction: Fraction | None = Field(
        None, description=f"{SOLID_FRACTION}; about the square of the structure's by default"
    )
    seed: int = SEED


@sample_kind("self-similar")
def _self_similar(parameters: SelfSimilarParameters, progress: Progress, cancel: Cancel) -> Stack:
    """Ligaments, as in nanoporous gold, that are porous as the whole is."""
    check_not_too_fine(parameters.wavelength_nm / parameters.ratio, (parameters.voxel_nm,))
    large = leveled_wave(
        parameters.shape,
        spacing_nm=parameters.voxel_nm,
        wavelength_nm=parameters.wavelength_nm,
        solid_fraction=parameters.structure_fraction,
        seed=parameters.seed,
        lazy=True,
        cancel=cancel,
    )
    return parameters.labels(
        self_similar(
            large,
            spacing_nm=parameters.voxel_nm,
            ratio=parameters.ratio,
            solid_fraction=parameters.solid_fraction,
            seed=parameters.seed,
            lazy=True,
            cancel=cancel,
        )
    )


class PoreParameters(VolumeParameters):
    """Of random pores."""

    shape: Shape = SHAPE
    radius_nm: float = Field(60.0, gt=0, description="mean radius of the pores in nm")
    radius_sd_nm: float = Field(15.0, ge=0, description="its standard deviation in nm")
    solid_fraction: Fraction = Field(0.5, description=SOLID_FRACTION)
    seed: int = SEED


@sample_kind("random-pores")
def _random_pores(parameters: PoreParameters, progress: Progress, cancel: Cancel) -> Stack:
    """Spherical pores that overlap at random places in a solid."""
    return parameters.draw(random_pores, cancel)


class SpheroidParameters(VolumeParameters):
    """Of stretched pores in rows."""

    shape: Shape = SHAPE
    pitch_nm: float = Field(150.0, gt=0, description="from pore to pore along y and x in nm")
    solid_fraction: Fraction = Field(0.7, description=SOLID_FRACTION)
    aspect_ratio: float = Field(2.0, gt=0, description="length of a pore along z over its width")
    gap_growth: float = Field(
        0.1, ge=0, description="by this share of the first gap between layers each next is longer"
    )


@sample_kind("spheroids")
def _spheroids(parameters: SpheroidParameters, progress: Progress, cancel: Cancel) -> Stack:
    """Pores stretched along z, in rows: a phantom for measures of isotropy."""
    return parameters.draw(spheroids, cancel)


class LayerParameters(VolumeParameters):
    """Of layers."""

    shape: tuple[Voxels, Voxels] = Field((256, 256), description="number of voxels along y, x")
    wavelength_nm: float = Field(500.0, gt=0, description="distance between neighbouring hills")
    thickest_nm: Numbers = Field(
        (300.0, 400.0), description="greatest thickness of each layer in nm, the lowest first"
    )
    octaves: int = Field(3, ge=1, description="how many noises, each half as long, are added up")
    seed: int = SEED


@sample_kind("perlin-layers")
def _perlin_layers(parameters: LayerParameters, progress: Progress, cancel: Cancel) -> Stack:
    """Layers of uneven thickness on a substrate, after Perlin's noise."""
    thickness_nm = perlin_layers(
        parameters.shape,
        spacing_nm=parameters.voxel_nm,
        wavelength_nm=parameters.wavelength_nm,
        thickest_nm=parameters.thickest_nm,
        octaves=parameters.octaves,
        seed=parameters.seed,
    )
    return parameters.labels(
        label_layers(thickness_nm, slice_nm=parameters.voxel_nm, lazy=True, cancel=cancel)
    )
