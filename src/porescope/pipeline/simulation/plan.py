"""Where the images of a stack lie in the sample: how deep, and how far they have drifted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.materials import Material
from porescope.imaging.montecarlo import MOST_PIXELS
from porescope.imaging.noise import drift_offsets_px
from porescope.imaging.slices import gamma_slice_z_nm
from porescope.imaging.transport import residual_range_nm
from porescope.pipeline.samples import box_of
from porescope.pipeline.simulation.parameters import MOST_SLICES, SimulationParameters
from porescope.stack import COLUMNS, SLICES, Stack

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the images of a stack lie in the sample.

    Attributes
    ----------
    slice_z_nm : array of shape (slices,), float64
        Depths of the planes.
    mean_nm : float
        Thickness of the slices.
    first_nm : array of shape (slices, voltages, 2), float64
        Where each image's first pixel begins, along y and x; beyond the sides of a sample whose
        walls are periodic.
    start : (int, int)
        The voxel (y, x) where the truth's does, in the frame of slice 0 of the voltage nearest to
        2 kV.
    shape : (int, int)
        Pixels (y, x) of an image.
    pixel_nm : float
    voxel_nm : (float, float, float)
        Of the sample.
    size_nm : array of shape (2,), float64
        Of the sample, along y and x.
    """

    slice_z_nm: NDArray[np.float64]
    mean_nm: float
    first_nm: NDArray[np.float64]
    start: Pair
    shape: Pair
    pixel_nm: float
    voxel_nm: tuple[float, float, float]
    size_nm: NDArray[np.float64]

    @property
    def offsets_px(self) -> NDArray[np.float64]:
        """What to add to y, x of each image's content to bring it into the truth's frame."""
        start_nm = np.array(self.start) * self.voxel_nm[1:]
        moved: NDArray[np.float64] = (self.first_nm - start_nm) / self.pixel_nm
        return moved

    def scan_start_nm(self, index: int, beam: int) -> tuple[float, float]:
        """Return where an image's first pixel begins, within the sample."""
        y, x = (self.first_nm[index, beam] % self.size_nm).tolist()
        return y, x

    def planes(self) -> NDArray[np.int64]:
        """Return the voxels that lie just below the slices."""
        return np.floor(self.slice_z_nm / self.voxel_nm[SLICES] + 1e-6).astype(np.int64)

    def places(self, axis: int, count: int) -> NDArray[np.int64]:
        """Return the voxels of a sample ``count`` wide that the truth's pixels show.

        Returns
        -------
        int array of shape (parts, pixels)
            A pixel has as many parts as voxels fit into it.
        """
        voxels = self.pixel_nm / self.voxel_nm[axis]
        parts = max(1, round(voxels))
        within = (np.arange(parts)[:, np.newaxis] + 0.5) / parts
        centres = (np.arange(self.shape[axis - 1]) + within) * voxels
        places: NDArray[np.int64] = self.start[axis - 1] + np.floor(centres + 1e-6).astype(np.int64)
        return places % count


def reach_nm(materials: Iterable[Material], beam_kv: float) -> float:
    """Return the depth that no electron comes back from: half the longest range there is."""
    if any(made.is_vacuum for made in materials):
        return math.inf
    energy_ev = np.array([1000.0 * beam_kv])
    return max(float(residual_range_nm(made, energy_ev)[0]) for made in materials) / 2


def planned(
    sample: Stack | Primitives, parameters: SimulationParameters, reaches_nm: Sequence[float]
) -> Plan:
    """Return where the images lie, from the reach at each voltage and the parameters."""
    voxel_nm, shape = grid_of(sample, parameters)
    pixel_nm = parameters.pixel_nm or voxel_nm[COLUMNS]
    depth_nm = shape[SLICES] * voxel_nm[SLICES]
    mean_nm = parameters.mean_nm
    step_nm = voxel_nm[SLICES] if parameters.whole_voxels else None
    slice_z_nm = _slice_z_nm(parameters, depth_nm, step_nm, reaches_nm)
    if step_nm is not None and len(slice_z_nm) > 1:
        mean_nm = float(np.diff(slice_z_nm).mean())
    beams = len(parameters.beam_kv)
    walk_px = drift_offsets_px(
        len(slice_z_nm) * beams, walk_px=parameters.drift_px, seed=parameters.seed
    ).reshape(-1, beams, 2)
    reference = min(range(beams), key=lambda beam: abs(parameters.beam_kv[beam] - 2.0))
    walk_px -= walk_px[0, reference]
    # What the content moves by, the scan starts before.
    first_nm = -walk_px * pixel_nm
    sizes_nm = np.array(voxel_nm[1:])
    size_nm = room_nm = np.array(shape[1:]) * sizes_nm
    start = np.zeros(2, np.int64)
    if parameters.walls == "mirror":
        start = np.ceil(-first_nm.min(axis=(0, 1)) / sizes_nm).astype(np.int64)
        first_nm = (first_nm + start * sizes_nm).clip(min=0)
        room_nm = size_nm - first_nm.max(axis=(0, 1))
    with np.errstate(over="ignore"):
        across = room_nm / pixel_nm + 1e-3
    if across.min() < 1:
        drifts, helps = (
            (" that drifts so far", "less drift")
            if parameters.drift_px > 0
            else ("", "smaller pixels")
        )
        raise PorescopeError(
            f"The sample of {shape[1]} x {shape[2]} voxels (y, x) has no room for an image of "
            f"pixels of {pixel_nm:g} nm{drifts}; take a larger sample or {helps}."
        )
    if across.prod() > MOST_PIXELS:
        y, x = across.tolist()
        raise PorescopeError(
            f"An image of {y:.3g} x {x:.3g} pixels (y, x) of {pixel_nm:g} nm is too large; take "
            "larger pixels."
        )
    rows, columns = (int(count) for count in across.tolist())
    y, x = start.tolist()
    return Plan(slice_z_nm, mean_nm, first_nm, (y, x), (rows, columns), pixel_nm, voxel_nm, size_nm)


def grid_of(
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
            "Primitives do not tell how large they are; give the pixel size, the nm of one unit."
        )
    z, y, x = (math.ceil(size) for size in box_of(sample))
    return (parameters.pixel_nm,) * 3, (z, y, x)


def _slice_z_nm(
    parameters: SimulationParameters,
    depth_nm: float,
    step_nm: float | None,
    reaches_nm: Sequence[float],
) -> NDArray[np.float64]:
    mean_nm, first_nm = parameters.mean_nm, parameters.first_nm
    if step_nm is not None:
        first_nm = step_nm * round(first_nm / step_nm)
    if first_nm >= depth_nm:
        raise PorescopeError(
            f"The first slice at {first_nm:g} nm lies outside the sample, which is {depth_nm:g} nm "
            "deep; begin higher up."
        )
    count = parameters.slices
    # In vacuum no depth is enough: Prill et al. leave the lower three quarters.
    needed_nm = max(reaches_nm) if math.isfinite(max(reaches_nm)) else 0.75 * depth_nm
    if count is None:
        count = int(min(2 * (depth_nm - first_nm) / mean_nm, MOST_SLICES)) + 10
    found = first_nm + gamma_slice_z_nm(
        count, mean_nm, parameters.deviation_nm, step_nm=step_nm, seed=parameters.seed
    )
    if parameters.slices is None:
        found = found[found <= depth_nm - needed_nm]
        if not found.size:
            raise _too_shallow(parameters, depth_nm, reaches_nm)
    if found[-1] >= depth_nm:
        raise PorescopeError(
            f"Slice {int(np.argmax(found >= depth_nm))} would lie at "
            f"{found[found >= depth_nm][0]:.1f} nm, outside the sample, which is {depth_nm:g} nm "
            "deep; take fewer slices or thinner ones."
        )
    return found


def _too_shallow(
    parameters: SimulationParameters, depth_nm: float, reaches_nm: Sequence[float]
) -> PorescopeError:
    """Return what to say where not even the first slice has enough of the sample below it."""
    first_nm = parameters.first_nm
    begins = f"The sample is {depth_nm:g} nm deep, and "
    ends = "take a deeper sample, or give the number of slices, which is then kept to."
    if math.isinf(max(reaches_nm)):
        return PorescopeError(
            f"{begins}with vacuum in it the lower three quarters are left below the slices, but "
            f"the first is at {first_nm:g} nm; begin higher up, {ends}"
        )
    beams = list(zip(reaches_nm, parameters.beam_kv, strict=True))
    longest_nm, worst_kv = max(beams)
    too_far = [f"{kv:g}" for reach_nm, kv in beams if first_nm + reach_nm > depth_nm]
    helps = "use a lower voltage"
    if len(too_far) < len(beams):
        helps = f"leave out {' and '.join(too_far)} kV"
    return PorescopeError(
        f"{begins}at {worst_kv:g} kV electrons come back from {longest_nm:.0f} nm below the first "
        f"slice at {first_nm:g} nm; {helps}, {ends}"
    )
