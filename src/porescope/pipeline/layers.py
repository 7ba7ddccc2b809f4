"""Layers on their way to a folder: simulated with their energy series, or found from one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
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
    Inversion,
    check_contrast,
    checked_thickest,
    counted,
    find_method,
    methods,
    share_far,
)
from porescope.layers.structures import THICKEST_NM
from porescope.learn.parameters import WeightsOf
from porescope.pipeline.provenance import hash_inputs, versions
from porescope.pipeline.run import Report, tell_nobody, writing_result
from porescope.pipeline.simulation.parameters import parse_material
from porescope.pipeline.step import Parameters
from porescope.pipeline.workspace import write_json
from porescope.stack import Region
from porescope.tracking import Cancel, never_cancel

if TYPE_CHECKING:
    from porescope.layers import EnergySeries

    Kind = str
    ModelName = str
else:
    Kind = Literal[tuple(kinds())]
    ModelName = Literal[MODELS]

FILE = "layers.json"
SERIES, MISFIT = "series.tif", "misfit.tif"
MOST_SIGNAL = 2.0
"""Back-scatter coefficients are below 1; this leaves room for noise."""
WRONG = 1.3
"""Misfit, beside that of chance, from which the model does not hold."""
MUCH_FAR, MUCH_AT_LIMIT = 0.01, 0.02
"""Shares of pixels that are worth a word."""
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


@dataclass(frozen=True)
class Layer:
    """What was found of one layer.

    Parameters
    ----------
    name : str
    label : int
        In the volume; the layer's page in files of maps too, counted from 1.
    thickest_nm : float
        That was allowed.
    mean_nm : float
    uncertainty_nm : float
        Median standard error of a pixel.
    share_at_limit : float
        Of pixels that are as thick as was allowed.
    """

    name: str
    label: int
    thickest_nm: float
    mean_nm: float
    uncertainty_nm: float
    share_at_limit: float

    @property
    def summary(self) -> str:
        """What was found, in a sentence or two."""
        told = (
            f"{self.name}: {self.mean_nm:.2f} nm on average, half the pixels known to "
            f"{_rounded(self.uncertainty_nm)} nm"
        )
        if self.share_at_limit > MUCH_AT_LIMIT:
            told += (
                f"; {_percent(self.share_at_limit)} of the pixels are as thick as is allowed, "
                f"{self.thickest_nm:g} nm: allow more if they may be thicker"
            )
        return told


@dataclass(frozen=True)
class Found:
    """What there is in a folder of layers.

    Parameters
    ----------
    layers : tuple of Layer
        From the bottom to the top.
    method : str
        That was taken.
    noise : float
        That was reckoned with.
    misfit : float
        Median over pixels of the mean square deviation from the series in units of the noise; about
        1 where all is well.
    share_far : float
        Of pixels whose misfit is far above what chance allows.
    saturated_share : float
        Of grey values that are the greatest that the images can hold.
    beam_kv : tuple of float
        Energies of the series.
    pixel_nm : tuple of two floats
    shape : tuple of three ints
        Of the series: energies, rows and columns.
    """

    layers: tuple[Layer, ...]
    method: str
    noise: float
    misfit: float
    share_far: float
    saturated_share: float
    beam_kv: tuple[float, ...]
    pixel_nm: tuple[float, float]
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        found: Inversion,
        series: EnergySeries,
        pixel_nm: tuple[float, float],
        parameters: LayersParameters,
    ) -> Found:
        """Return what a method found, in numbers."""
        from porescope.layers.series import SATURATED_KEY

        energies, rows, columns = series.signals.shape
        layers = zip(
            parameters.names(),
            parameters.thickest_nm,
            found.thickness_nm,
            found.uncertainty_nm,
            strict=True,
        )
        return cls(
            layers=tuple(
                Layer(
                    name,
                    label,
                    thickest,
                    float(thickness.mean()),
                    float(np.median(sure)),
                    float((thickness >= thickest).mean()),
                )
                for label, (name, thickest, thickness, sure) in enumerate(layers, start=1)
            ),
            method=found.method,
            noise=found.noise,
            misfit=float(np.median(found.misfit)),
            share_far=share_far(found.misfit, energies),
            saturated_share=series.metadata.get(SATURATED_KEY, 0.0),
            beam_kv=tuple(series.beam_kv.tolist()),
            pixel_nm=pixel_nm,
            shape=(energies, rows, columns),
        )

    @property
    def summary(self) -> str:
        """What was found, in a few lines."""
        energies, rows, columns = self.shape
        lines = [f"{counted(energies, 'energy')} of {rows} x {columns} pixels"]
        lines += [layer.summary for layer in self.layers]
        lines.append(
            f"noise {_percent(self.noise)}, misfit {self.misfit:.2f} in the median, far above "
            f"chance in {_percent(self.share_far)} of the pixels ({self._verdict()})"
        )
        if self.noise > LARGEST_NOISE:
            lines.append("the noise is more than half of the signal: nothing can be found in it")
        if self.saturated_share:
            lines.append(
                f"{_percent(self.saturated_share)} of the grey values are saturated, the greatest "
                "that the images can hold: layers are wrong there"
            )
        return "\n".join(lines)

    def _verdict(self) -> str:
        energies = len(self.beam_kv)
        if energies <= len(self.layers):
            return f"too few energies to check {counted(len(self.layers), 'layer')}"
        if self.misfit > WRONG * (1 - 2 / (9 * energies)) ** 3:  # the median of chance
            return (
                "above 1: the layers do not explain the series; check the bare region, materials, "
                "greatest thickness and model"
            )
        if self.share_far > MUCH_FAR:
            return "about 1, but not there: look at the map of the misfit"
        return "about 1: the layers explain the series"


def _rounded(value: float) -> str:
    """Return a number to two digits, never as a power of ten."""
    return f"{float(f'{value:.2g}'):.12g}"


def _percent(share: float) -> str:
    return f"{_rounded(100 * share)} %"


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
    from porescope.layers import read_series, solve, write_inversion
    from porescope.layers.series import write_maps

    with writing_result([source], out, overwrite, mark=FILE) as result:
        report("Reading the series", 0, 1)
        series = read_series(source, parameters.beam_kv)
        parameters.check_told(source, series.signals.max(), series.pixel_nm)
        pixel_nm = parameters.pixel_nm or series.pixel_nm
        assert pixel_nm is not None
        hashes = hash_inputs([source.absolute()], partial(report, "Reading the series"), cancel)
        if parameters.bare is not None:
            substrate = parse_material(parameters.substrate)
            series = series.normalised(parameters.bare, parameters.model, substrate)
        report("Finding the layers", 0, 1)
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
        names = parameters.names()
        slices = parameters.slices(found.thickness_nm.sum(axis=0).max())
        write_inversion(result, found, pixel_nm, parameters.voxel_nm, names=names, slices=slices)
        misfit = found.misfit[np.newaxis]
        write_maps(result / MISFIT, misfit, pixel_nm, ["misfit in units of the noise, squared"])
        told = Found.of(found, series, pixel_nm, parameters)
        about = {
            "series": hashes[0],
            "versions": versions(),
            "parameters": parameters.model_dump(mode="json"),
            "found": {**asdict(told), "notes": found.notes},
            "pages": "of thickness and uncertainty, from 1: the label of their layer",
            "labels": {"0": "none", **{str(layer.label): layer.name for layer in told.layers}},
        }
        write_json(result / FILE, about)
    return told


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
        layers = len(parameters.thickest_nm)
        seeds = [parameters.seed * layers + layer for layer in range(layers)]
        thickness_nm = draw(parameters.kind, seeds, parameters.shape, parameters.thickest_nm)
        slices = parameters.slices(thickness_nm.sum(axis=0).max())
        names = parameters.names()
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
        write_thickness(result, thickness_nm, pixel_nm, VOXEL_NM, names=names, slices=slices)
        about = {"versions": versions(), "parameters": parameters.model_dump(mode="json")}
        write_json(result / FILE, about)
