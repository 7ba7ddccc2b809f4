"""What a simulation is asked for: one model for recipes, the command line and the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from porescope.errors import PorescopeError
from porescope.imaging import compound, detector_names, material_names
from porescope.imaging.materials import Material, as_material
from porescope.imaging.montecarlo import MOST_ELECTRONS
from porescope.imaging.transport import check_beam
from porescope.learn.parameters import WeightsOf
from porescope.pipeline.step import Parameters

MOST_SLICES = 100_000


def parse_materials(text: str) -> dict[int, Material]:
    """Return the material of each label from text such as ``0=epoxy, 1=gold, 2=SiO2:2.2``.

    Raises
    ------
    PorescopeError
        If it cannot be read, a label is named twice, or there is no such material.
    """
    found: dict[int, Material] = {}
    for part in text.split(","):
        label, equals, name = (word.strip() for word in part.partition("="))
        if not (equals and label.isdecimal() and name):
            raise PorescopeError(
                f"Cannot read the materials {text!r}; write each label with its material, "
                "0=epoxy, 1=gold, or with a formula and its density in g/cm3, 1=SiO2:2.2."
            )
        if int(label) in found:
            raise PorescopeError(f"The materials {text!r} name label {int(label)} twice.")
        found[int(label)] = parse_material(name)
    return found


def parse_material(name: str) -> Material:
    """Return a material by its name, or from a formula and a density in g/cm3 such as SiO2:2.2.

    Raises
    ------
    PorescopeError
        If there is none of that name, or the formula cannot be read.
    """
    formula, colon, density = name.partition(":")
    if not colon:
        if name not in material_names():
            raise PorescopeError(
                f"There is no material {name!r}; take one of {', '.join(material_names())}, or a "
                "formula with its density in g/cm3, such as SiO2:2.2."
            )
        return as_material(name)
    try:
        return compound(name, formula.strip(), float(density))
    except ValueError as error:
        raise PorescopeError(f"The density of {name!r} must be a number in g/cm3.") from error


def checked_materials(text: str) -> str:
    """Return the text if :func:`parse_materials` can read it."""
    parse_materials(text)
    return text


def _checked_beams(beams_kv: tuple[float, ...]) -> tuple[float, ...]:
    for beam_kv in beams_kv:
        check_beam(beam_kv)
    if len(set(beams_kv)) < len(beams_kv):
        raise PorescopeError("A beam voltage is named twice; name each once.")
    return tuple(sorted(beams_kv))


if TYPE_CHECKING:
    DetectorName = str
else:
    DetectorName = Literal[tuple(detector_names())]


class SimulationParameters(Parameters):
    """The beam, the slices, and what makes a stack look real."""

    beam_kv: Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(_checked_beams)] = (
        Field((1.0, 2.0, 4.0), description="beam voltages in kV; each gives a stack")
    )
    electrons: int = Field(
        200,
        ge=1,
        le=MOST_ELECTRONS,
        description="followed for each pixel, which makes the shot noise of as many",
    )
    materials: Annotated[str, AfterValidator(checked_materials)] = Field(
        "0=epoxy, 1=gold",
        description="what each label of the sample is: LABEL=MATERIAL, or LABEL=FORMULA:DENSITY "
        "with the density in g/cm3",
    )
    surrogate: Annotated[str | None, WeightsOf("surrogate", ("auto",))] = Field(
        None,
        description="what makes the images in place of electrons, with the noise of as many: "
        "weights of the neural simulator, by name or as a file; auto for those that know the "
        "materials; or fast, for solids in epoxy at 0.5 to 10 kV, by their back-scatter "
        "coefficients",
    )
    pixel_nm: float | None = Field(
        None,
        gt=0,
        description="size of a pixel in nm, that of a voxel by default; of a list of primitives, "
        "also what one unit is",
    )
    walls: Literal["mirror", "periodic"] = Field(
        "mirror", description="what electrons meet at the sides of the sample"
    )
    slices: int | None = Field(
        None,
        ge=1,
        le=MOST_SLICES,
        description="how many; by default as many as leave enough of the sample below the last",
    )
    first_nm: float = Field(0.0, ge=0, description="depth of the first slice in nm")
    mean_nm: float = Field(10.16, gt=0, description="mean slice thickness in nm")
    deviation_nm: float = Field(
        3.12,
        ge=0,
        description="standard deviation of the slice thickness in nm, from a gamma distribution; "
        "with 0 the slices are even",
    )
    whole_voxels: bool = Field(
        False,
        description="make each slice a whole number of the sample's voxels, at least one: between "
        "them, a face cuts voxels into thin films, which count as solid and do not look it",
    )
    detector: DetectorName = Field("all-BSE", description="which electrons make the image")
    tilt_deg: float = Field(
        0.0, ge=0, lt=90, description="angle between the beam and the face's normal"
    )
    probe_nm: float = Field(
        2.0, ge=0, description="diameter of the beam in nm, full width at half maximum"
    )
    current_pa: float | None = Field(
        None, gt=0, description="beam current in pA, for a dose below that of all electrons"
    )
    dwell_us: float | None = Field(
        None, gt=0, description="dwell time on a pixel in microseconds, for the same"
    )
    snr: float | None = Field(
        None,
        ge=0.1,
        description="signal-to-noise ratio in the brightest material, in place of a dose",
    )
    poisson_levels: float | None = Field(
        None,
        ge=1,
        le=1e9,
        description="counts of a white pixel, for Poisson noise beyond that of the dose",
    )
    detector_noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="standard deviation of the detector's noise, as a share of white",
    )
    edge_blur_px: float = Field(
        0.0, ge=0, le=100, description="standard deviation in pixels of a blur of edges alone"
    )
    curtains: float = Field(
        0.0, ge=0, le=1, description="standard deviation of the brightness of stripes from milling"
    )
    drift_px: float = Field(
        0.0,
        ge=0,
        description="standard deviation in pixels of the random step from image to image",
    )
    dtype: Literal["uint8", "uint16"] = Field("uint8", description="type of the grey values")
    seed: int = Field(0, ge=0, lt=2**64, description="another seed gives other slices and noise")
