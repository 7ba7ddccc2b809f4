"""A sample under the beam of an electron microscope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.detectors import as_detector
from porescope.imaging.materials import Material
from porescope.imaging.montecarlo import simulate_monte_carlo
from porescope.imaging.noise import curtains
from porescope.pipeline.samples import box_of, labels_of
from porescope.pipeline.simulation.below import Below
from porescope.pipeline.simulation.exposure import Exposure
from porescope.pipeline.simulation.fast import FAST, Fast
from porescope.pipeline.simulation.neural import Neural
from porescope.pipeline.simulation.parameters import SimulationParameters, parse_materials
from porescope.pipeline.simulation.plan import grid_of, planned, reach_nm
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, never_cancel


class Recorded(NamedTuple):
    """An image of a slice, and shares: of electrons transmitted, of pixels too bright or dark."""

    image: NDArray[Any]
    transmitted: float
    white: float
    black: float


class Microscope:
    """A sample under the beam, of which any image can be recorded at any time.

    Parameters
    ----------
    sample : Stack or Primitives
        As for :func:`porescope.pipeline.simulation.simulate_stack`.
    parameters : SimulationParameters

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, or the sample is too small.

    Attributes
    ----------
    plan : Plan
    exposures : tuple of Exposure
        One a voltage.
    labels : Stack
        The sample as voxels.
    """

    def __init__(self, sample: Stack | Primitives, parameters: SimulationParameters) -> None:
        if isinstance(sample, Primitives):
            sample = replace(sample, shape=box_of(sample))
        self.parameters = parameters
        self._detector = as_detector(parameters.detector)
        materials = parse_materials(parameters.materials)
        made_of = list(materials.values())
        if self._detector.secondaries > 0:
            check_secondaries(made_of)
        voxel_nm, _ = grid_of(sample, parameters)
        self.labels = labels_of(sample, voxel_nm[0])
        self._drawn: Fast | Neural | None = None  # in place of electrons
        if parameters.surrogate == FAST:
            self._drawn = Fast(self.labels, parameters, voxel_nm)
        elif parameters.surrogate is not None:
            self._drawn = Neural(sample, parameters, voxel_nm)
        self._reach_nm = [reach_nm(made_of, beam_kv) for beam_kv in parameters.beam_kv]
        self.plan = planned(sample, parameters, self._reach_nm)
        self.exposures = tuple(
            Exposure.of(parameters, made_of, self._detector, beam_kv)
            for beam_kv in parameters.beam_kv
        )
        self._below = Below(
            self.labels if isinstance(sample, Stack) else sample,
            voxel_nm,
            materials,
            max(self._reach_nm),
            self._detector.secondaries > 0,
            parameters.walls == "periodic",
        )

    def record(self, index: int, beam: int, cancel: Cancel = never_cancel) -> Recorded:
        """Return the image of a slice, counted from 0, at one of the voltages."""
        parameters = self.parameters
        beam_kv = parameters.beam_kv[beam]
        electron_seed, *noise_seeds = _seeds(parameters.seed, index, beam_kv)
        if self._drawn is not None:
            signal, transmitted = self._drawn.signal(self.plan, index, beam, beam_kv), 0.0
        else:
            signal, transmitted = self._followed(index, beam, electron_seed, cancel)
        if parameters.curtains > 0:  # of the face, and so the same at all voltages
            signal = curtains(signal, parameters.curtains, seed=parameters.seed, slice_index=index)
        grey = self.exposures[beam].grey(signal, noise_seeds)
        top = np.iinfo(parameters.dtype).max
        image = np.rint(grey).clip(0, top).astype(parameters.dtype)
        return Recorded(image, transmitted, float((grey > top).mean()), float((grey < 0).mean()))

    def _followed(
        self, index: int, beam: int, seed: int, cancel: Cancel
    ) -> tuple[NDArray[np.float32], float]:
        """Return the signal of electrons, and the share of them that left below the sample."""
        parameters, plan = self.parameters, self.plan
        z_nm, reach_nm = float(plan.slice_z_nm[index]), self._reach_nm[beam]
        ready, plane_z = self._below.plane(z_nm)
        seen = simulate_monte_carlo(
            ready,
            plane_z,
            beam_kv=parameters.beam_kv[beam],
            electrons=parameters.electrons,
            pixel_nm=plan.pixel_nm,
            shape=plan.shape,
            first_nm=plan.scan_start_nm(index, beam),
            tilt_deg=parameters.tilt_deg,
            probe_nm=parameters.probe_nm,
            detectors=(self._detector,),
            secondaries=self._detector.secondaries > 0,
            seed=seed,
            cancel=cancel,
        )
        deep_enough = z_nm + reach_nm <= self.labels.shape[SLICES] * plan.voxel_nm[SLICES]
        transmitted = 0.0 if deep_enough else float(seen["transmitted"].mean())
        return seen[self._detector.name], transmitted

    def truth(self) -> tuple[Stack, Stack]:
        """Return the labels at every plane of voxels, and at the slices."""
        plan, labels = self.plan, self.labels
        planes = plan.planes()
        y = plan.places(ROWS, labels.shape[ROWS])
        x = plan.places(COLUMNS, labels.shape[COLUMNS])
        spacing_nm = (plan.voxel_nm[SLICES], plan.pixel_nm, plan.pixel_nm)
        shown = labels.data[planes[0] : planes[-1] + 1]
        parts = [shown[:, rows][:, :, columns] for rows in y for columns in x]
        data = _most_of_each_pixel(parts, sorted(parse_materials(self.parameters.materials)))
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
            (plan.mean_nm, *spacing_nm[1:]),
            slice_z_nm=plan.slice_z_nm,
            is_labels=True,
        )
        return whole, at_slices


def _most_of_each_pixel(parts: list[Any], labels: list[int]) -> Any:
    """Return the label that most parts of each pixel have.

    Halves go by turns to either side: were it always the same, all borders would move that way.
    """
    if len(parts) == 1:
        return parts[0]
    z, y, x = (np.arange(size) for size in parts[0].shape)
    odd = (z[:, np.newaxis, np.newaxis] + y[:, np.newaxis] + x) % 2 == 1
    turn = np.where(odd, parts[0], parts[-1])
    most: Any = 0
    found: Any = turn
    for label in labels:
        votes = (turn == label) + 2 * sum((part == label).astype(np.int64) for part in parts)
        found = np.where(votes > most, turn.dtype.type(label), found)
        most = np.maximum(votes, most)
    return found


def check_secondaries(materials: Iterable[Material]) -> None:
    """Refuse a material of which no secondary electrons can be told."""
    for made in materials:
        if not made.secondaries_known:
            raise PorescopeError(
                f"It is not known how many secondary electrons {made.name} gives; show only "
                "back-scattered ones, with a detector of these."
            )


def _seeds(seed: int, index: int, beam_kv: float) -> list[int]:
    """Return seeds of an image's own: for electrons, for noise, and for more of the same noise."""
    sequence = np.random.SeedSequence(seed, spawn_key=(index, round(1e6 * beam_kv)))
    seeds: list[int] = sequence.generate_state(3, np.uint64).tolist()
    return seeds
