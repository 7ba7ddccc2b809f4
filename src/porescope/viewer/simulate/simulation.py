"""A sample shown in a window under the beam: one plane, sharper and sharper, and whole stacks.

What a preview shows is averaged over electrons of independent rounds, and then becomes grey as a
slice of the stack does, so that gain, noise and blur can be judged before there is a stack.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.geometry import Primitives
from porescope.imaging.detectors import as_detector
from porescope.imaging.electron_sample import ElectronSample
from porescope.imaging.montecarlo import simulate_monte_carlo
from porescope.pipeline.run import Report, run_step, tell_nobody
from porescope.pipeline.samples import labels_of
from porescope.pipeline.simulation import SimulationParameters, parse_materials
from porescope.pipeline.simulation.below import Below
from porescope.pipeline.simulation.exposure import Exposure
from porescope.pipeline.simulation.fast import FAST, Fast
from porescope.pipeline.simulation.microscope import check_secondaries
from porescope.pipeline.simulation.neural import Neural
from porescope.pipeline.simulation.plan import reach_nm
from porescope.pipeline.simulation.stack import TOO_MANY_TRANSMITTED
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace, load_workspace
from porescope.stack import COLUMNS, SLICES, Stack
from porescope.tracking import Cancel, never_cancel, track
from porescope.viewer.layers import (
    AXES,
    CHANNEL,
    KEY,
    LayerData,
    check_straight,
    from_layer,
    nm_per_unit,
)

if TYPE_CHECKING:
    from napari.layers import Layer

LOOK_PIXELS = 1 << 13
LOOK_ELECTRONS = 4
ELECTRONS_A_ROUND = 1 << 16
"""A tenth of a second or so on two cores, since the core does not listen before it is through."""
SHOWN_EVERY_S = 0.25
SECONDARY = "SE"


@dataclass(frozen=True, eq=False)
class Subject:
    """A sample in a window.

    Attributes
    ----------
    sample : Stack or Primitives
    voxel_nm : (float, float, float)
        Size of a voxel, or of the unit of primitives.
    origin_nm : (float, float, float)
        Where the centre of the first voxel lies in the window.
    parameters : SimulationParameters
        With the pixel size that primitives need.
    """

    sample: Stack | Primitives
    voxel_nm: tuple[float, float, float]
    origin_nm: tuple[float, float, float]
    parameters: SimulationParameters

    @property
    def pixel_nm(self) -> float:
        """Size of a pixel."""
        return self.parameters.pixel_nm or self.voxel_nm[COLUMNS]


def can_be_imaged(layer: Layer) -> bool:
    """Whether a layer is labels, or shows a sample."""
    from napari.layers import Labels, Surface

    return layer.ndim == 3 and (
        isinstance(layer, Labels)
        or (isinstance(layer, Surface) and "sample" in layer.metadata.get(KEY, {}))
    )


def subject(layer: Layer, parameters: SimulationParameters) -> Subject:
    """Return the sample of a layer that :func:`can_be_imaged`.

    Raises
    ------
    PorescopeError
        If the layer is turned, has no voxel size, or the pixel size makes no sense.
    """
    from napari.layers import Surface

    told = layer.metadata.get(KEY, {})
    sample = told.get("sample")
    if not isinstance(sample, Primitives):
        stack = sample if isinstance(layer, Surface) else from_layer(layer)
        if not stack.evenly_sliced:
            raise PorescopeError(
                f"The slices of {layer.name} lie unevenly; put them on a grid first, in the "
                "section Slices."
            )
        origin_nm = (float(stack.slice_z_nm[0]), *stack.origin_yx_nm)
        return Subject(stack, stack.spacing_nm, origin_nm, parameters)
    check_straight(layer.name, layer.as_layer_data_tuple()[1])
    scale, translate = (np.asarray(each, dtype=float) for each in (layer.scale, layer.translate))
    units = told.get("units_per_voxel", 1)
    try:
        nm = nm_per_unit(layer.name, layer.units)
    except PorescopeError:
        if parameters.pixel_nm is None:
            raise PorescopeError(
                f"The primitives of {layer.name} do not tell how large they are; fill in "
                "pixel (nm), the size of one unit."
            ) from None
        nm = parameters.pixel_nm * units / scale
    unit_nm = float(scale[SLICES] * nm[SLICES] / units)
    if parameters.pixel_nm is not None and not math.isclose(unit_nm, parameters.pixel_nm):
        raise PorescopeError(
            f"A unit of the primitives of {layer.name} is {unit_nm:g} nm and becomes a pixel; "
            "leave pixel (nm) empty."
        )
    # In the unit of the sample the centre of the first voxel lies at 0.5.
    z, y, x = ((translate + scale * (0.5 / units - 0.5)) * nm).tolist()
    at_scale = parameters.model_copy(update={"pixel_nm": unit_nm})
    return Subject(sample, (unit_nm,) * 3, (z, y, x), at_scale)


@dataclass(frozen=True, eq=False)
class Shot:
    """A plane to be imaged.

    Attributes
    ----------
    subject : Subject
    plane_z : float
        Depth of the plane in voxels or units of primitives.
    beam_kv : float
    secondaries : bool
        Whether secondary electrons are to be shown beside what the detector sees.
    """

    subject: Subject
    plane_z: float
    beam_kv: float
    secondaries: bool = False

    @property
    def z_nm(self) -> float:
        """Depth of the plane."""
        return self.plane_z * self.subject.voxel_nm[SLICES]

    @property
    def asked(self) -> int:
        """How many electrons a pixel there are to be."""
        return self.subject.parameters.electrons

    def seeds(self, number: int) -> list[int]:
        """Return three seeds of a round's own."""
        sequence = np.random.SeedSequence(
            self.subject.parameters.seed, spawn_key=(round(1000 * self.plane_z), number)
        )
        seeds: list[int] = sequence.generate_state(3, np.uint64).tolist()
        return seeds


@dataclass(frozen=True, eq=False)
class Exposed:
    """What has been seen of a plane so far.

    Attributes
    ----------
    shot : Shot
    electrons : int
        A pixel; 0 for a first look at fewer and larger pixels.
    signals : mapping of str to array of shape (y, x), float64
        For each electron of the beam, by the name of the detector.
    transmitted : float
        Share of electrons that left below the sample and might have come back.
    images : mapping of str to array of shape (y, x), float32
        Whole grey values, as in the stack.
    """

    shot: Shot
    electrons: int
    signals: Mapping[str, NDArray[np.float64]]
    transmitted: float
    images: Mapping[str, NDArray[np.float32]] = field(init=False)

    def __post_init__(self) -> None:
        parameters = self.shot.subject.parameters
        top = np.iinfo(parameters.dtype).max
        # The same noise in all rounds does not flicker.
        noise = self.shot.seeds(0)[1:]
        images = {}
        for name, signal in self.signals.items():
            grey = _exposure(parameters, name, self.shot.beam_kv).grey(
                signal.astype(np.float32), noise
            )
            images[name] = np.rint(grey).clip(0, top).astype(np.float32)
        object.__setattr__(self, "images", images)

    @property
    def summary(self) -> str:
        """What it is, in one sentence, and in another what is wrong with it."""
        shot = self.shot
        seen = f"{self.electrons} of {shot.asked} electrons a pixel"
        told = (
            f"Plane at {shot.z_nm:g} nm, {shot.beam_kv:g} kV: "
            f"{seen if self.electrons else 'a first look'}."
        )
        if self.drawn:
            how = "fast imaging" if _fast(shot.subject) else "the neural simulator"
            return f"Plane at {shot.z_nm:g} nm, {shot.beam_kv:g} kV, by {how}."
        if self.transmitted > TOO_MANY_TRANSMITTED:
            told += (
                f" The sample ends too close below: {100 * self.transmitted:.1f} % of the "
                "electrons left it below, and what they could have told is missing."
            )
        return told

    @property
    def drawn(self) -> bool:
        """Whether no electron was followed."""
        return self.shot.subject.parameters.surrogate is not None

    @property
    def quick(self) -> bool:
        """Whether there may be as much to see of each plane of a moving slider."""
        return self.drawn or self.electrons == 0

    @property
    def finished(self) -> bool:
        """Whether there are as many electrons as asked for."""
        return self.electrons >= self.shot.asked


def preview_layers(
    sample: Layer, shot: Shot, images: Mapping[str, NDArray[np.float32]]
) -> Iterator[LayerData]:
    """Yield the layers that show images of a sample that another layer shows."""
    white = float(np.iinfo(shot.subject.parameters.dtype).max)
    for name, image in images.items():
        attributes = {
            "name": f"preview {name}",
            "contrast_limits": (0.0, white),
            **places(sample, shot),
        }
        look = {"colormap": "gray", "axis_labels": AXES, "metadata": {CHANNEL: dict(attributes)}}
        yield image[np.newaxis], attributes | look, "image"


def places(sample: Layer, shot: Shot) -> dict[str, Any]:
    """Return where the layers of a preview lie."""
    scale = np.array(sample.scale, dtype=float)
    units = sample.metadata.get(KEY, {}).get("units_per_voxel", 1)
    pixel = scale / units * shot.subject.pixel_nm / np.array(shot.subject.voxel_nm)
    pixel[SLICES] = scale[SLICES]
    translate = sample.translate + (pixel - scale) / 2
    translate[SLICES] += (shot.plane_z / units - 0.5) * scale[SLICES]
    return {"scale": pixel, "translate": translate, "units": sample.units}


def _fast(subject: Subject) -> bool:
    return subject.parameters.surrogate == FAST


class Preview:
    """Makes images of planes, and keeps what it made ready for the next; for one thread."""

    def __init__(self) -> None:
        self._below: Below | None = None
        self._made_for: tuple[Any, ...] = ()
        self._drawing: tuple[Subject, Fast | Neural] | None = None

    def look(self, shot: Shot) -> Exposed:
        """Return a plane in so few pixels and electrons that it takes a fraction of a second.

        Raises
        ------
        PorescopeError
            As the stack would.
        """
        if shot.subject.parameters.surrogate is not None:
            return self._drawn(shot)
        ready, _ = self._made_ready(shot)
        rows, columns = _pixels(ready, shot.subject.pixel_nm)
        wider = min(math.ceil(math.sqrt(rows * columns / LOOK_PIXELS)), rows, columns)
        seen, transmitted = self._seen(shot, LOOK_ELECTRONS, 0, wider)
        signals = {name: _widened(part, wider, rows, columns) for name, part in seen.items()}
        return Exposed(shot, 0, signals, transmitted)

    def _drawn(self, shot: Shot) -> Exposed:
        """Return a plane without electrons, at once as good as it gets."""
        parameters = shot.subject.parameters
        detector = as_detector(parameters.detector).name
        seen = self._drawn_by(shot.subject).images(shot.z_nm, shot.beam_kv)
        wanted = [detector, SECONDARY] if shot.secondaries else [detector]
        if not set(wanted) <= set(seen):
            raise PorescopeError(
                "These weights of the neural simulator tell no secondary electrons; show only "
                "back-scattered ones, take other weights, or use Monte Carlo."
            )
        signals = {name: seen[name].astype(np.float64) for name in wanted}
        return Exposed(shot, shot.asked, signals, 0.0)

    def _drawn_by(self, subject: Subject) -> Fast | Neural:
        """Return what draws planes of a sample, which is held in memory."""
        if self._drawing is not None:
            known, drawing = self._drawing
            same = _voxels(known) is _voxels(subject) and known.voxel_nm == subject.voxel_nm
            if same and known.parameters == subject.parameters:
                return drawing
        drawing = self._made(subject)
        self._drawing = (subject, drawing)
        return drawing

    def _made(self, subject: Subject) -> Fast | Neural:
        sample = subject.sample
        if _fast(subject):
            labels = labels_of(sample, subject.voxel_nm[SLICES])
            return Fast(labels, subject.parameters, subject.voxel_nm)
        if isinstance(sample, Stack):
            solid = np.asarray(sample.data) != 0
            sample = sample.with_data(solid, is_labels=True)
        return Neural(sample, subject.parameters, subject.voxel_nm)

    def sharpen(self, exposed: Exposed, cancel: Cancel = never_cancel) -> Exposed:
        """Return the plane with some rounds of electrons more, up to as many as asked for.

        Which rounds there are does not depend on how long they take, only when they are shown.

        Raises
        ------
        Cancelled
            If ``cancel()`` became true.
        """
        shot, electrons, signals = exposed.shot, exposed.electrons, exposed.signals
        transmitted = exposed.transmitted
        a_round = max(1, ELECTRONS_A_ROUND // next(iter(signals.values())).size)
        rounds = range(electrons, shot.asked, a_round)
        end = time.monotonic() + SHOWN_EVERY_S
        for begin in track(rounds, cancel=cancel):
            more = min(a_round, shot.asked - begin)
            seen, lost = self._seen(shot, more, 1 + begin, cancel=cancel)
            electrons = begin + more
            share = more / electrons
            signals = {
                name: (1 - share) * signals[name] + share * part for name, part in seen.items()
            }
            transmitted = (1 - share) * transmitted + share * lost
            if time.monotonic() > end:
                break
        return Exposed(shot, electrons, signals, transmitted)

    def _seen(
        self,
        shot: Shot,
        electrons: int,
        number: int,
        wider: int = 1,
        cancel: Cancel = never_cancel,
    ) -> tuple[dict[str, NDArray[np.float64]], float]:
        """Return images by their names, and the share of electrons missing from them."""
        ready, plane_z = self._made_ready(shot)
        parameters = shot.subject.parameters
        detector = as_detector(parameters.detector)
        seen = simulate_monte_carlo(
            ready,
            plane_z,
            beam_kv=shot.beam_kv,
            electrons=electrons,
            pixel_nm=shot.subject.pixel_nm * wider,
            tilt_deg=parameters.tilt_deg,
            probe_nm=parameters.probe_nm,
            detectors=(detector,),
            secondaries=ready.secondaries,
            seed=shot.seeds(number)[0],
            threads=max(1, (os.cpu_count() or 1) - 1),  # one is left to the window
            cancel=cancel,
        )
        signals = {detector.name: seen[detector.name]}
        if shot.secondaries:
            signals[SECONDARY] = seen["se"]
        transmitted = 0.0 if _is_deep_enough(shot, ready) else float(seen["transmitted"].mean())
        return {name: signal.astype(np.float64) for name, signal in signals.items()}, transmitted

    def _made_ready(self, shot: Shot) -> tuple[ElectronSample, float]:
        """Return the sample below a plane, and the plane in it."""
        subject, parameters = shot.subject, shot.subject.parameters
        secondaries = _tells_of_secondaries(shot)
        sample = _voxels(subject)
        how = (subject.voxel_nm, parameters.materials, parameters.walls, secondaries)
        if self._below is None or self._made_for[0] is not sample or self._made_for[1:] != how:
            self._below = None  # makes room
            self._below = Below(
                subject.sample,
                subject.voxel_nm,
                parse_materials(parameters.materials),
                math.inf,  # whatever the voltage, so that another one needs nothing new
                secondaries,
                parameters.walls == "periodic",
            )
            self._made_for = (sample, *how)
        return self._below.plane(shot.z_nm)


def run_simulation(
    subject: Subject, folder: Path, *, report: Report = tell_nobody, cancel: Cancel = never_cancel
) -> list[str]:
    """Image a whole stack at all voltages, and leave it in a new folder.

    Returns
    -------
    list of str
        Sentences on what a user should know before trusting the images.
    """
    step, before = find_step("simulate"), Workspace(sample=subject.sample)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PorescopeWarning)
        run_step(step, subject.parameters, before, folder, report=report, cancel=cancel)
    return [str(each.message) for each in caught if issubclass(each.category, PorescopeWarning)]


def simulated_workspace(folder: Path, subject: Subject) -> Workspace:
    """Return what :func:`run_simulation` made, at the place of its sample in the window."""
    made, _ = load_workspace(folder)
    images = tuple(_moved(image, subject.origin_nm) for image in made.images)
    truth = made.truth and _moved(made.truth, subject.origin_nm)
    return replace(made, images=images, truth=truth)


def _moved(stack: Stack, origin_nm: tuple[float, float, float]) -> Stack:
    z, *yx = origin_nm
    y, x = (old + new for old, new in zip(stack.origin_yx_nm, yx, strict=True))
    return replace(stack, slice_z_nm=stack.slice_z_nm + z, origin_yx_nm=(y, x))


def _voxels(subject: Subject) -> Any:
    """Return what stays the same object as long as a sample does."""
    return subject.sample.data if isinstance(subject.sample, Stack) else subject.sample


def _tells_of_secondaries(shot: Shot) -> bool:
    parameters = shot.subject.parameters
    wanted = shot.secondaries or as_detector(parameters.detector).secondaries > 0
    if wanted:
        check_secondaries(parse_materials(parameters.materials).values())
    return wanted


def _is_deep_enough(shot: Shot, ready: ElectronSample) -> bool:
    """Return whether no electron that leaves below would have come back."""
    sample = shot.subject.sample
    planes = sample.shape[SLICES] if isinstance(sample, Stack) else ready.shape[SLICES]
    materials = parse_materials(shot.subject.parameters.materials).values()
    depth_nm = planes * shot.subject.voxel_nm[SLICES]
    return shot.z_nm + reach_nm(materials, shot.beam_kv) <= depth_nm


@lru_cache(maxsize=16)
def _exposure(parameters: SimulationParameters, detector: str, beam_kv: float) -> Exposure:
    materials = list(parse_materials(parameters.materials).values())
    return Exposure.of(parameters, materials, as_detector(detector), beam_kv)


def _pixels(ready: ElectronSample, pixel_nm: float) -> tuple[int, int]:
    rows, columns = (
        max(1, int(count * size / pixel_nm + 1e-3))
        for count, size in zip(ready.shape[1:], ready.voxel_nm[1:], strict=True)
    )
    return rows, columns


def _widened(
    image: NDArray[np.float64], times: int, rows: int, columns: int
) -> NDArray[np.float64]:
    """Return an image in smaller pixels; what larger ones left out at the ends repeats the last."""
    y, x = (
        np.minimum(np.arange(count) // times, size - 1)
        for count, size in zip((rows, columns), image.shape, strict=True)
    )
    return image[y][:, x]
