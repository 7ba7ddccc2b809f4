"""Stacks of a sample that is known, as an electron microscope would record them.

Every image hangs on the seed, its slice and its voltage, not on those made before it. Its noise is
that of the electrons that were followed for each pixel, and more where less dose is asked for.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from porescope.correct import Alignment
from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging import compound, detector_names
from porescope.imaging.detectors import Detector, as_detector
from porescope.imaging.electron_sample import ElectronSample, electron_sample
from porescope.imaging.materials import Material, as_material
from porescope.imaging.montecarlo import MOST_ELECTRONS, simulate_monte_carlo
from porescope.imaging.noise import (
    blur_edges,
    curtains,
    detector_noise,
    drift_offsets_px,
    electrons_per_pixel,
    shot_noise,
)
from porescope.imaging.slices import gamma_slice_z_nm
from porescope.imaging.transport import check_beam, residual_range_nm, trace_bulk
from porescope.pipeline.samples import box_of, labels_of
from porescope.pipeline.step import Parameters, parse_parameters
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

MOST_SLICES = 100_000
READY_VOXELS = 1 << 27
"""So many voxels are made ready for electrons at once, in about 2 GiB, if more are not needed."""
TOO_MANY_TRANSMITTED = 0.01
TOO_MANY_WHITE = 0.01
BLACK = 0.05
"""Share of the grey scale that lies below no signal, so that noise is not cut off there."""
CALIBRATION_ELECTRONS = 20_000

Pair = tuple[int, int]


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
        found[int(label)] = _material(name)
    return found


def _material(name: str) -> Material:
    formula, colon, density = name.partition(":")
    if not colon:
        return as_material(name)
    try:
        return compound(name, formula.strip(), float(density))
    except ValueError as error:
        raise PorescopeError(f"The density of {name!r} must be a number in g/cm3.") from error


def _checked_materials(text: str) -> str:
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
    materials: Annotated[str, AfterValidator(_checked_materials)] = Field(
        "0=epoxy, 1=gold",
        description="what each label of the sample is: LABEL=MATERIAL, or LABEL=FORMULA:DENSITY "
        "with the density in g/cm3",
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
        gt=0,
        description="signal-to-noise ratio in the brightest material, in place of a dose",
    )
    poisson_levels: float | None = Field(
        None, gt=0, description="counts of a white pixel, for Poisson noise beyond that of the dose"
    )
    detector_noise: float = Field(
        0.0, ge=0, description="standard deviation of the detector's noise, as a share of white"
    )
    edge_blur_px: float = Field(
        0.0, ge=0, description="standard deviation in pixels of a blur of edges alone"
    )
    curtains: float = Field(
        0.0, ge=0, description="standard deviation of the brightness of stripes from milling"
    )
    drift_px: float = Field(
        0.0,
        ge=0,
        description="standard deviation in pixels of the random step from image to image",
    )
    dtype: Literal["uint8", "uint16"] = Field("uint8", description="type of the grey values")
    seed: int = Field(0, ge=0, lt=2**64, description="another seed gives other slices and noise")


class Grey(NamedTuple):
    """How the signal of one voltage becomes a grey value: ``of_none + per_signal * signal``.

    Gain and offset are set once for a voltage, as at the microscope, and are the same on all
    slices, so that brightness can be compared along the stack; between voltages they differ.
    """

    of_none: float
    per_signal: float


class Contrast(NamedTuple):
    """What thick solids of the sample's materials signal at one voltage, for each electron."""

    brightest: float
    dimmest: float
    variance: float  # of a single electron's signal in the brightest


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the images of a stack lie in the sample.

    Attributes
    ----------
    slice_z_nm : array of shape (slices,), float64
        Depths of the planes.
    starts : array of shape (slices, voltages, 2), int
        First voxel (y, x) that each image shows.
    start : (int, int)
        The same in the frame of the truth: that of slice 0 of the voltage nearest to 2 kV.
    shape : (int, int)
        Pixels (y, x) of an image.
    pixel_nm : float
    voxel_nm : (float, float, float)
        Of the sample.
    """

    slice_z_nm: NDArray[np.float64]
    starts: NDArray[np.int64]
    start: Pair
    shape: Pair
    pixel_nm: float
    voxel_nm: tuple[float, float, float]

    @property
    def offsets_px(self) -> NDArray[np.float64]:
        """What to add to y, x of each image's content to bring it into the truth's frame."""
        moved: NDArray[np.float64] = (self.starts - self.start) * self.voxel_nm[1:] / self.pixel_nm
        return moved

    def planes(self) -> NDArray[np.int64]:
        """Return the voxels that lie just below the slices."""
        return np.floor(self.slice_z_nm / self.voxel_nm[SLICES] + 1e-6).astype(np.int64)

    def places(self, axis: int, count: int) -> NDArray[np.int64]:
        """Return the voxels of a sample ``count`` wide that the truth's pixels lie in."""
        centres = (np.arange(self.shape[axis - 1]) + 0.5) * self.pixel_nm / self.voxel_nm[axis]
        places: NDArray[np.int64] = self.start[axis - 1] + np.floor(centres + 1e-6).astype(np.int64)
        return places % count


@dataclass(frozen=True, eq=False)
class Simulated:
    """A multi-voltage stack and how it really is.

    Attributes
    ----------
    images : tuple of Stack
        One a voltage, from the lowest.
    truth : Stack
        Labels of every plane of voxels from the first slice to the last, on the images' pixels.
    truth_slices : Stack
        The same at the slices alone.
    alignments : tuple of Alignment
        What undoes the drift of each stack and brings it into the truth's frame.
    greys : tuple of Grey
        Of each voltage.
    transmitted, white : array of shape (slices, voltages), float64
        Shares of electrons that left below the sample and might have come back, and of pixels
        brighter than white.
    """

    images: tuple[Stack, ...]
    truth: Stack
    truth_slices: Stack
    alignments: tuple[Alignment, ...]
    greys: tuple[Grey, ...]
    transmitted: NDArray[np.float64]
    white: NDArray[np.float64]

    @property
    def notes(self) -> list[str]:
        """Sentences on what a user should know before trusting the images."""
        found = []
        for image, lost, white in zip(self.images, self.transmitted.T, self.white.T, strict=True):
            short = np.flatnonzero(lost > TOO_MANY_TRANSMITTED)
            if short.size:
                slices = f"{short[0]}-{short[-1]}" if short.size > 1 else f"{short[0]}"
                found.append(
                    f"The sample ends too close below slice{'s' * (short.size > 1)} {slices} at "
                    f"{image.beam_kv:g} kV: up to {100 * lost.max():.1f} % of the electrons left "
                    "it below, and what they could have told is missing."
                )
            if white.mean() > TOO_MANY_WHITE:
                found.append(
                    f"At {image.beam_kv:g} kV {100 * white.mean():.1f} % of the pixels are as "
                    "white as can be; follow more electrons, so that they scatter less."
                )
        return found


def simulate_stack(
    sample: Stack | Primitives,
    parameters: SimulationParameters | Mapping[str, Any] | None = None,
    *,
    keep: Path | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Simulated:
    """Image a sample slice by slice at one or more voltages.

    The beam scans from voxel to voxel, so drift comes in whole voxels, without interpolation: give
    voxels smaller than a pixel for finer drift. Images show what all of them have in common room
    for. Below a plane lies as much of the sample as electrons come back from, or where there is
    vacuum, through which they fly any way, as fits into memory.

    Parameters
    ----------
    sample : Stack or Primitives
        Labels of any size, with dask arrays taken slab by slab; of primitives label 1 is solid.
    parameters : SimulationParameters or mapping, optional
        What is not given has its default.
    keep : Path, optional
        Folder in which finished images are kept and looked for, so that a call that was killed can
        be taken up again with the same sample and parameters.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`; an item is an image.

    Returns
    -------
    Simulated

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, a label has no material, or the sample is too small.
    Cancelled
        If ``cancel()`` became true.
    """
    if not isinstance(parameters, SimulationParameters):
        parameters = parse_parameters("Simulation", SimulationParameters, parameters or {})
    microscope = _Microscope(sample, parameters)
    plan = microscope.plan
    count, beams_kv = len(plan.slice_z_nm), parameters.beam_kv
    images = np.empty((len(beams_kv), count, *plan.shape), parameters.dtype)
    transmitted, white = np.empty((2, count, len(beams_kv)))
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    work = [(index, beam) for index in range(count) for beam in range(len(beams_kv))]
    for index, beam in track(work, progress, cancel):
        place = keep / f"{index:06d}-{beams_kv[beam]:g}kV.npz" if keep else None
        recorded = _kept(place) or microscope.record(index, beam, cancel)
        images[beam, index], transmitted[index, beam], white[index, beam] = recorded
        if place is not None and not place.exists():
            _keep(place, recorded)
    truth, truth_slices = microscope.truth()
    told = parameters.model_dump(mode="json")
    stacks = tuple(
        Stack(
            image,
            (parameters.mean_nm, plan.pixel_nm, plan.pixel_nm),
            beam_kv,
            plan.slice_z_nm,
            parameters.detector,
            {"simulated_electrons": parameters.electrons, **_told_grey(grey)},
        ).with_history("simulate", **told)
        for image, beam_kv, grey in zip(images, beams_kv, microscope.greys, strict=True)
    )
    alignments = tuple(
        Alignment(offsets, beam_kv)
        for offsets, beam_kv in zip(plan.offsets_px.swapaxes(0, 1), beams_kv, strict=True)
    )
    return Simulated(stacks, truth, truth_slices, alignments, microscope.greys, transmitted, white)


def _told_grey(grey: Grey) -> dict[str, float]:
    return {"grey_of_no_signal": grey.of_none, "grey_per_signal": grey.per_signal}


class Recorded(NamedTuple):
    """An image of a slice, and the shares of electrons transmitted and of pixels too bright."""

    image: NDArray[Any]
    transmitted: float
    white: float


def _kept(place: Path | None) -> Recorded | None:
    if place is None or not place.exists():
        return None
    try:
        with np.load(place, allow_pickle=False) as file:
            return Recorded(file["image"], float(file["transmitted"]), float(file["white"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        place.unlink()  # damaged, as after a power cut
        return None


def _keep(place: Path, recorded: Recorded) -> None:
    beside = place.with_name(f".{place.name}")
    with beside.open("wb") as file:
        np.savez(file, **recorded._asdict())
    os.replace(beside, place)


class _Microscope:
    """A sample under the beam: records any image of the stack at any time."""

    def __init__(self, sample: Stack | Primitives, parameters: SimulationParameters) -> None:
        self.parameters = parameters
        self.materials = parse_materials(parameters.materials)
        self.detector = as_detector(parameters.detector)
        solids = [made for made in self.materials.values() if not made.is_vacuum]
        _check_secondaries(self.detector, solids)
        self.reach_nm = [_reach_nm(self.materials.values(), kv) for kv in parameters.beam_kv]
        self.plan = _plan(sample, parameters, max(self.reach_nm))
        contrasts = [_contrast(solids, self.detector, kv, parameters) for kv in parameters.beam_kv]
        self.contrasts = contrasts
        self.extra_electrons = [_extra_electrons(parameters, contrast) for contrast in contrasts]
        self.greys = tuple(
            _grey(parameters, contrast, extra)
            for contrast, extra in zip(contrasts, self.extra_electrons, strict=True)
        )
        self.labels = labels_of(sample, self.plan.voxel_nm[0])
        # Without drift, what was made ready for one plane serves others.
        self.below = _Below(
            self.labels if isinstance(sample, Stack) else sample,
            self.plan.voxel_nm,
            self.materials,
            self.detector.secondaries > 0,
            parameters.walls == "periodic",
            max(self.reach_nm),
            still=bool((self.plan.starts == self.plan.start).all()),
        )

    def record(self, index: int, beam: int, cancel: Cancel) -> Recorded:
        parameters, plan = self.parameters, self.plan
        beam_kv = parameters.beam_kv[beam]
        electron_seed, *noise_seeds = _seeds(parameters.seed, index, beam_kv)
        y, x = plan.starts[index, beam].tolist()
        ready, plane_z = self.below.plane(float(plan.slice_z_nm[index]), (y, x))
        seen = simulate_monte_carlo(
            ready,
            plane_z,
            beam_kv=beam_kv,
            electrons=parameters.electrons,
            pixel_nm=plan.pixel_nm,
            shape=plan.shape,
            tilt_deg=parameters.tilt_deg,
            probe_nm=parameters.probe_nm,
            detectors=(self.detector,),
            secondaries=self.detector.secondaries > 0,
            seed=electron_seed,
            cancel=cancel,
        )
        signal = seen[self.detector.name]
        if parameters.curtains > 0:  # of the face, and so the same at all voltages
            signal = curtains(signal, parameters.curtains, seed=parameters.seed, slice_index=index)
        grey = self._grey_values(signal, beam, noise_seeds)
        top = np.iinfo(parameters.dtype).max
        image = np.rint(grey).clip(0, top).astype(parameters.dtype)
        depth_nm = self.labels.shape[SLICES] * plan.voxel_nm[SLICES] - plan.slice_z_nm[index]
        deep_enough = depth_nm >= self.reach_nm[beam]
        transmitted = 0.0 if deep_enough else float(seen["transmitted"].mean())
        return Recorded(image, transmitted, float((grey > top).mean()))

    def _grey_values(
        self, signal: NDArray[np.float32], beam: int, seeds: Sequence[int]
    ) -> NDArray[np.float32]:
        """Add the noise and the blur that electrons do not bring, in units of the grey scale."""
        parameters, (of_none, per_signal) = self.parameters, self.greys[beam]
        if math.isfinite(self.extra_electrons[beam]):
            signal = shot_noise(signal, self.extra_electrons[beam], seed=seeds[0])
        white = (np.iinfo(parameters.dtype).max - of_none) / per_signal
        if parameters.poisson_levels is not None:
            signal = shot_noise(signal, parameters.poisson_levels / white, seed=seeds[1])
        if parameters.detector_noise > 0:
            signal = detector_noise(signal, parameters.detector_noise * white, seed=seeds[0])
        if parameters.edge_blur_px > 0:
            contrast = self.contrasts[beam].brightest - self.contrasts[beam].dimmest
            signal = blur_edges(signal, parameters.edge_blur_px, contrast=contrast)
        return of_none + per_signal * signal

    def truth(self) -> tuple[Stack, Stack]:
        """Return the labels at every plane of voxels, and at the slices."""
        plan, labels = self.plan, self.labels
        planes = plan.planes()
        y = plan.places(ROWS, labels.shape[ROWS])
        x = plan.places(COLUMNS, labels.shape[COLUMNS])
        spacing_nm = (plan.voxel_nm[SLICES], plan.pixel_nm, plan.pixel_nm)
        data = labels.data[planes[0] : planes[-1] + 1][:, y][:, :, x]
        if data.dtype == bool:
            data = data.astype(np.uint8)
        whole = Stack(
            data,
            spacing_nm,
            slice_z_nm=np.arange(planes[0], planes[-1] + 1) * spacing_nm[SLICES],
            is_labels=True,
        )
        at_slices = Stack(
            data[planes - planes[0]],
            (self.parameters.mean_nm, *spacing_nm[1:]),
            slice_z_nm=plan.slice_z_nm,
            is_labels=True,
        )
        return whole, at_slices


class _Below:
    """What lies below a plane, ready for electrons; the last is kept for the next plane."""

    def __init__(
        self,
        sample: Stack | Primitives,
        voxel_nm: Sequence[float],
        materials: Mapping[int, Material],
        secondaries: bool,
        periodic: bool,
        reach_nm: float,
        still: bool,
    ) -> None:
        self._sample = sample
        self._voxel_nm = voxel_nm
        self._made_of = materials
        self._how = {"secondaries": secondaries, "periodic": periodic}
        self._reach_nm = reach_nm
        self._still = still
        self._labels: NDArray[Any] = np.empty((0, 0, 0))
        self._first = 0
        self._ready: ElectronSample | None = None
        self._ready_for: tuple[int, ...] | None = None

    def plane(self, z_nm: float, start: Pair) -> tuple[ElectronSample, float]:
        """Return what lies below a depth and beyond a first voxel (y, x), and the plane in it."""
        plane_z = z_nm / self._voxel_nm[SLICES]
        if isinstance(self._sample, Primitives):
            if self._ready_for != start:
                self._make_ready(_moved(self._sample, start))
                self._ready_for = start
            assert self._ready is not None
            return self._ready, plane_z
        first, last = self._load(self._sample, plane_z)
        if self._still:
            first, last = self._first, self._first + len(self._labels)
        if self._ready_for != (first, last, *start):
            y, x = (
                (begin + np.arange(count)) % count if self._how["periodic"] else slice(begin, None)
                for begin, count in zip(start, self._labels.shape[1:], strict=True)
            )
            part = self._labels[first - self._first : last - self._first]
            self._make_ready(part[:, y][:, :, x])
            self._ready_for = (first, last, *start)
        assert self._ready is not None
        return self._ready, max(0.0, plane_z - first)

    def _load(self, stack: Stack, plane_z: float) -> Pair:
        """Have the labels in memory that a plane needs; return their first plane and the end."""
        depth = stack.shape[SLICES]
        room = max(1, READY_VOXELS // math.prod(stack.shape[1:]))
        first = min(int(plane_z + 1e-6), depth - 1)
        deepest = plane_z + self._reach_nm / self._voxel_nm[SLICES]
        last = min(depth, first + room) if math.isinf(deepest) else min(depth, math.ceil(deepest))
        last = max(last, first + 1)
        if first < self._first or last > self._first + len(self._labels):
            end = min(depth, max(last, first + room))
            self._labels = np.asarray(stack.data[first:end])
            self._first = first
        return first, last

    def _make_ready(self, sample: Any) -> None:
        self._ready = None  # makes room
        size = self._voxel_nm if isinstance(self._sample, Stack) else self._voxel_nm[0]
        self._ready = electron_sample(sample, size, self._made_of, **self._how)


def _moved(primitives: Primitives, start: Pair) -> Primitives:
    """Return primitives with the origin at another place (y, x), cut to what lies beyond it."""
    if start == (0, 0):
        return primitives
    spheres, cylinders, cuboids = (
        np.array(rows) for rows in (primitives.spheres, primitives.cylinders, primitives.cuboids)
    )
    for rows in (spheres, cylinders, cuboids):
        rows[:, 1:3] -= start
    z, y, x = box_of(primitives)
    return Primitives(spheres, cylinders, cuboids, shape=(z, y - start[0], x - start[1]))


def _check_secondaries(detector: Detector, solids: Sequence[Material]) -> None:
    silent = [made.name for made in solids if made.lambda_nm is None]
    if detector.secondaries > 0 and silent:
        raise PorescopeError(
            f"It is not known how many secondary electrons {silent[0]} gives; take a detector of "
            "back-scattered ones."
        )


def _reach_nm(materials: Any, beam_kv: float) -> float:
    """Return the depth that no electron comes back from: half the longest range there is."""
    if any(made.is_vacuum for made in materials):
        return math.inf
    energy_ev = np.array([1000.0 * beam_kv])
    return max(float(residual_range_nm(made, energy_ev)[0]) for made in materials) / 2


def _seeds(seed: int, index: int, beam_kv: float) -> list[int]:
    """Return seeds of an image's own: for electrons, for noise, and for more of the same noise."""
    sequence = np.random.SeedSequence(seed, spawn_key=(index, round(1e6 * beam_kv)))
    seeds: list[int] = sequence.generate_state(3, np.uint64).tolist()
    return seeds


def _plan(sample: Stack | Primitives, parameters: SimulationParameters, reach_nm: float) -> Plan:
    voxel_nm, shape = _grid(sample, parameters)
    pixel_nm = parameters.pixel_nm or voxel_nm[COLUMNS]
    depth_nm = shape[SLICES] * voxel_nm[SLICES]
    slice_z_nm = _slice_z_nm(parameters, depth_nm, reach_nm)
    beams = len(parameters.beam_kv)
    walk_px = drift_offsets_px(
        len(slice_z_nm) * beams, walk_px=parameters.drift_px, seed=parameters.seed
    ).reshape(-1, beams, 2)
    reference = min(range(beams), key=lambda beam: abs(parameters.beam_kv[beam] - 2.0))
    walk_px -= walk_px[0, reference]
    # What the content moves by, the scan starts before.
    starts = -np.rint(walk_px * pixel_nm / np.array(voxel_nm[1:])).astype(np.int64)
    before, after = starts.min(axis=(0, 1)), starts.max(axis=(0, 1))
    room = np.array(shape[1:])
    if parameters.walls == "mirror":
        starts -= before
        room = room - (after - before)
    rows, columns = (
        int(count * size / pixel_nm + 1e-3)
        for count, size in zip(room.tolist(), voxel_nm[1:], strict=True)
    )
    if min(rows, columns) < 1:
        raise PorescopeError(
            f"The sample of {shape[1]} x {shape[2]} voxels (y, x) has no room for an image of "
            f"pixels of {pixel_nm:g} nm that drifts so far; take a larger sample or less drift."
        )
    y, x = starts[0, reference].tolist()
    return Plan(slice_z_nm, starts, (y, x), (rows, columns), pixel_nm, voxel_nm)


def _grid(
    sample: Stack | Primitives, parameters: SimulationParameters
) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    """Return the voxel size of a sample, of primitives one unit, and how many there are."""
    if isinstance(sample, Stack):
        if not sample.evenly_sliced:
            raise PorescopeError(
                "The sample's planes lie unevenly; put them on a grid first, as the step slices "
                "does."
            )
        return sample.spacing_nm, sample.shape
    if parameters.pixel_nm is None:
        raise PorescopeError(
            "Primitives do not tell how large they are; give pixel_nm, the nm of one unit."
        )
    z, y, x = (math.ceil(size) for size in box_of(sample))
    return (parameters.pixel_nm,) * 3, (z, y, x)


def _slice_z_nm(
    parameters: SimulationParameters, depth_nm: float, reach_nm: float
) -> NDArray[np.float64]:
    mean_nm, first_nm = parameters.mean_nm, parameters.first_nm
    count = parameters.slices
    # In vacuum no depth is enough: Prill et al. leave the lower three quarters.
    needed_nm = reach_nm if math.isfinite(reach_nm) else 0.75 * depth_nm
    if count is None:
        count = int(min(2 * (depth_nm - first_nm) / mean_nm, MOST_SLICES)) + 10
    found = first_nm + gamma_slice_z_nm(
        count, mean_nm, parameters.deviation_nm, seed=parameters.seed
    )
    if parameters.slices is None:
        found = found[found <= depth_nm - needed_nm]
        if not found.size:
            raise PorescopeError(
                f"The sample is {depth_nm:g} nm deep, and electrons come back from {needed_nm:.0f} "
                f"nm below the first slice at {first_nm:g} nm; take a deeper sample, or say how "
                "many slices there are to be all the same."
            )
    if found[-1] >= depth_nm:
        raise PorescopeError(
            f"Slice {int(np.argmax(found >= depth_nm))} would lie at "
            f"{found[found >= depth_nm][0]:.1f} nm, outside the sample, which is {depth_nm:g} nm "
            "deep; take fewer slices or thinner ones."
        )
    return found


def _contrast(
    solids: Sequence[Material],
    detector: Detector,
    beam_kv: float,
    parameters: SimulationParameters,
) -> Contrast:
    tilt_deg = parameters.tilt_deg
    signals = []
    for made in dict.fromkeys(solids):
        histories = trace_bulk(
            made,
            beam_kv,
            electrons=CALIBRATION_ELECTRONS,
            tilt_deg=tilt_deg,
            secondaries=detector.secondaries > 0,
        )
        signals.append(detector.signal(histories, beam_kv, tilt_deg))
    if not signals:
        raise PorescopeError("All of the sample is vacuum; name a material for one of the labels.")
    means = [float(each.mean()) for each in signals]
    if max(means) == 0:
        raise PorescopeError(
            f"The detector {detector.name} sees nothing of this sample at {beam_kv:g} kV; take "
            "another one."
        )
    brightest = int(np.argmax(means))
    dimmest = 0.0 if len(parse_materials(parameters.materials)) > len(solids) else min(means)
    return Contrast(means[brightest], dimmest, float(signals[brightest].var()))


def _extra_electrons(parameters: SimulationParameters, contrast: Contrast) -> float:
    """Return of how many electrons shot noise must be added; infinite for none.

    Electrons followed bring the variance of one electron's signal over their number; shot noise of
    n electrons brings the signal over n.
    """
    brightest, _, variance = contrast
    has = variance / parameters.electrons
    if parameters.snr is not None:
        if parameters.current_pa is not None or parameters.dwell_us is not None:
            raise PorescopeError("Give a signal-to-noise ratio or a dose, not both.")
        wanted = (brightest / parameters.snr) ** 2
        what = f"A signal-to-noise ratio of {parameters.snr:g}"
    elif parameters.current_pa is not None and parameters.dwell_us is not None:
        dose = electrons_per_pixel(parameters.current_pa, parameters.dwell_us)
        wanted = variance / dose
        what = f"A dose of {parameters.current_pa:g} pA for {parameters.dwell_us:g} microseconds"
    elif parameters.current_pa is not None or parameters.dwell_us is not None:
        raise PorescopeError("A dose takes both current_pa and dwell_us.")
    else:
        return math.inf
    needed = math.ceil(variance / wanted - 0.5)
    if needed > parameters.electrons:
        raise PorescopeError(
            f"{what} takes {needed:,} electrons for each pixel, but {parameters.electrons:,} are "
            f"followed, whose noise stays; take electrons={needed} or less dose."
        )
    return brightest / (wanted - has) if wanted > has else math.inf


def _grey(parameters: SimulationParameters, contrast: Contrast, extra_electrons: float) -> Grey:
    """Put the brightest solid at two thirds of white, or lower where noise asks for more room."""
    brightest, _, variance = contrast
    top = float(np.iinfo(parameters.dtype).max)
    noise = math.sqrt(variance / parameters.electrons + brightest / extra_electrons)
    white = max(1.5 * brightest, brightest + 4 * noise)
    return Grey(BLACK * top, (1 - BLACK) * top / white)
