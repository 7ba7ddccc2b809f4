"""A multi-voltage stack, image by image.

Every image hangs on the seed, its slice and its voltage, not on those made before it. Its noise is
that of the electrons that were followed for each pixel, and more where less dose is asked for.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.correct import Alignment
from porescope.errors import PorescopeError
from porescope.files import replacing
from porescope.geometry import Primitives
from porescope.imaging.detectors import as_detector
from porescope.pipeline.simulation.exposure import Exposure
from porescope.pipeline.simulation.microscope import Microscope, Recorded
from porescope.pipeline.simulation.parameters import SimulationParameters, parse_materials
from porescope.pipeline.simulation.plan import reach_nm
from porescope.pipeline.step import parse_parameters
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

TOO_MANY_TRANSMITTED = 0.01
TOO_MANY_WHITE = 0.01
TOO_MANY_BLACK = 0.1
"""Pores may well be cut off now and then, as detectors set so that they are black cut them."""


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
    exposures : tuple of Exposure
        How signals became grey values, for each voltage.
    transmitted, white, black : array of shape (slices, voltages), float64
        Shares of electrons that left below the sample and might have come back, of pixels brighter
        than white, and of those darker than black.
    """

    images: tuple[Stack, ...]
    truth: Stack
    truth_slices: Stack
    alignments: tuple[Alignment, ...]
    exposures: tuple[Exposure, ...]
    transmitted: NDArray[np.float64]
    white: NDArray[np.float64]
    black: NDArray[np.float64]

    @property
    def notes(self) -> list[str]:
        """Sentences on what a user should know before trusting the images."""
        found = []
        if self.exposures[0].parameters.slices is None and len(self.transmitted) == 1:
            found.append(self._one_alone())
        shares = (self.transmitted.T, self.white.T, self.black.T)
        for image, lost, white, black in zip(self.images, *shares, strict=True):
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
                    f"white as can be; {self._darker()}."
                )
            if black.mean() > TOO_MANY_BLACK:
                found.append(
                    f"At {image.beam_kv:g} kV {100 * black.mean():.1f} % of the pixels are as "
                    "black as can be; take less detector noise."  # nothing else goes below none
                )
        return found

    def _one_alone(self) -> str:
        """Return why there is but one slice."""
        asked = self.exposures[0].parameters
        worst_kv = asked.beam_kv[-1]
        reach = reach_nm(parse_materials(asked.materials).values(), worst_kv)
        if math.isinf(reach):
            why = "with vacuum in the sample its lower three quarters are left below the slices"
            helps = "take a deeper sample"
        else:
            why = f"at {worst_kv:g} kV electrons come back from {reach:.0f} nm below the last"
            lower = "leave out that voltage" if len(asked.beam_kv) > 1 else "use a lower voltage"
            helps = f"take a deeper sample, {lower}"
        return f"There is only one slice: {why}; {helps}, or say how many slices there are to be."

    def _darker(self) -> str:
        """Return what makes fewer pixels white."""
        asked = self.exposures[0].parameters
        secondaries = as_detector(asked.detector).secondaries > 0
        # The exposure leaves room for the noise of electrons, not for what comes on top, nor for
        # edges and slopes much brighter than the flat material it is made for.
        beyond = {
            "less curtains": asked.curtains > 0,
            "less detector noise": asked.detector_noise > 0,
            "more Poisson levels": asked.poisson_levels is not None,
            "a detector of back-scattered electrons": secondaries,
            "less tilt": asked.tilt_deg > 0 and not secondaries,
        }
        helps = [words for words, present in beyond.items() if present]
        if helps:
            return f"take {' or '.join(helps)}"
        return "follow more electrons, so that they scatter less"


def simulate_stack(
    sample: Stack | Primitives,
    parameters: SimulationParameters | Mapping[str, Any] | None = None,
    *,
    keep: Path | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Simulated:
    """Image a sample slice by slice at one or more voltages.

    The scan of each image begins where the drift has taken it. Images show what all of them have in
    common room for. Below a plane lies as much of the sample as electrons come back from, or where
    there is vacuum, through which they fly any way, as fits into memory.

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
    microscope = Microscope(sample, parameters)
    plan = microscope.plan
    count, beams_kv = len(plan.slice_z_nm), parameters.beam_kv
    images = _room((len(beams_kv), count, *plan.shape), parameters.dtype)
    transmitted, white, black = np.empty((3, count, len(beams_kv)))
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    work = [(index, beam) for index in range(count) for beam in range(len(beams_kv))]
    for index, beam in track(work, progress, cancel):
        place = keep / f"{index:06d}-{beams_kv[beam]:g}kV.npz" if keep else None
        recorded = _kept(place) or microscope.record(index, beam, cancel)
        images[beam, index] = recorded.image
        transmitted[index, beam] = recorded.transmitted
        white[index, beam], black[index, beam] = recorded.white, recorded.black
        if place is not None and not place.exists():
            _keep(place, recorded)
    truth, truth_slices = microscope.truth()
    told = parameters.model_dump(mode="json")
    stacks = tuple(
        Stack(
            image,
            (plan.mean_nm, plan.pixel_nm, plan.pixel_nm),
            beam_kv,
            plan.slice_z_nm,
            parameters.detector,
            {
                "simulated_electrons": parameters.electrons,
                "grey_of_no_signal": exposure.grey_of_no_signal,
                "grey_per_signal": exposure.grey_per_signal,
            },
        ).with_history("simulate", **told)
        for image, beam_kv, exposure in zip(images, beams_kv, microscope.exposures, strict=True)
    )
    alignments = tuple(
        Alignment(offsets, beam_kv)
        for offsets, beam_kv in zip(plan.offsets_px.swapaxes(0, 1), beams_kv, strict=True)
    )
    return Simulated(
        stacks, truth, truth_slices, alignments, microscope.exposures, transmitted, white, black
    )


def _room(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        size_gib = math.prod(shape) * np.dtype(dtype).itemsize / 2**30
        raise PorescopeError(
            f"Stacks of {size_gib:,.0f} GiB do not fit into memory; take larger pixels or fewer "
            "slices."
        ) from None


def _kept(place: Path | None) -> Recorded | None:
    if place is None or not place.exists():
        return None
    try:
        with np.load(place, allow_pickle=False) as file:
            image, *shares = (file[name] for name in Recorded._fields)
            return Recorded(image, *map(float, shares))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        place.unlink()  # damaged, as after a power cut
        return None


def _keep(place: Path, recorded: Recorded) -> None:
    with replacing(place) as beside, beside.open("wb") as file:
        np.savez(file, **recorded._asdict())
