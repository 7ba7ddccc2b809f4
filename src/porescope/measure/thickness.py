"""Local thickness: at each voxel of a phase, the largest ball within the phase that holds it.

References
----------
T. Hildebrand, P. Rueegsegger, J. Microsc. 185 (1997) 67, doi:10.1046/j.1365-2818.1997.1340694.x.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.measure.parts import check_labels, halves, measured
from porescope.stack import checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

TILE_VOXELS = 1 << 26
"""About how many voxels, with what lies around them, are worked on at once."""

MOST_SIZES = 60
"""Balls of so many sizes are told apart, or those half a voxel apart where that is fewer."""

FIRST_HALO = 32
"""Voxels of the shortest edge that are first looked at around a tile."""

Box = tuple[slice, slice, slice]


def local_thickness(
    labels: Any,
    spacing_nm: Sequence[float],
    *,
    phase: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Return mean and standard deviation of the local thickness of a phase.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array; worked on in tiles that overlap so far that none can be told.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x).
    phase : int, optional
        Which label; by default all that is not 0.

    Returns
    -------
    dict
        ``thickness_nm`` and ``thickness_std_nm``: mean and standard deviation, over the voxels of
        the phase, of the diameter of the largest ball in the phase that holds the voxel; and both
        with ``_uncertainty``, a standard error from eight parts of the volume (see
        :mod:`porescope.measure.parts`). NaN where the phase is absent or all there is.

    Notes
    -----
    Balls have their centres at voxels' centres, and as radius the distance to the centre of the
    nearest voxel outside, so their diameters are right to about a voxel: plates come out half a
    voxel too thick on average, round bodies up to a voxel too thin. Sizes are told apart in steps
    of half the shortest voxel edge. The faces of the volume are no border: a ball may reach out.
    """
    check_labels(labels)
    spacing_nm = checked_spacing_nm(spacing_nm)
    volume = _Volume(labels, spacing_nm, phase)
    stage = [_stage(progress, number) for number in range(3)]
    largest_nm, halo_nm = _largest(volume, stage[0], cancel)
    if not 0 < largest_nm < math.inf:
        names = ("thickness_nm", "thickness_std_nm")
        return {f"{name}{end}": math.nan for name in names for end in ("", "_uncertainty")}
    step_nm = max(min(spacing_nm) / 2, largest_nm / MOST_SIZES)
    sizes_nm = step_nm * np.arange(math.floor(largest_nm / step_nm) + 1, dtype=np.float64)
    radii_nm = _mean_radii(volume, sizes_nm, halo_nm, stage[1], cancel)
    counts = np.zeros((2, 2, 2, len(sizes_nm)), dtype=np.int64)
    for tile, around in track(volume.tiles(2 * largest_nm), stage[2], cancel):
        index = _index_of_ball(volume, around, sizes_nm, radii_nm)
        for part, box in _by_part(tile, labels.shape):
            voxels = index[_relative(box, around)]
            counts[part] += np.bincount(voxels[voxels >= 0], minlength=len(sizes_nm))
    diameters_nm = 2 * radii_nm

    def moments(voxels: NDArray[np.int64]) -> dict[str, float]:
        held = voxels > 0
        share = voxels[held] / voxels.sum()
        mean = float(share @ diameters_nm[held])
        variance = float(share @ (diameters_nm[held] - mean) ** 2)
        return {"thickness_nm": mean, "thickness_std_nm": math.sqrt(variance)}

    return measured(moments, counts.reshape(8, -1))


def _stage(progress: Progress, number: int) -> Progress:
    """Return the progress of one of three walks through the volume."""
    return lambda done, total: progress(number * total + done, 3 * total)


@dataclass(frozen=True)
class _Volume:
    """Labels of which one phase is looked at, in tiles."""

    labels: Any
    spacing_nm: tuple[float, float, float]
    phase: int | None

    def inside(self, box: Box) -> NDArray[np.bool_]:
        """Return which voxels of a box are in the phase."""
        data = np.asarray(self.labels[box])
        return data != 0 if self.phase is None else data == self.phase

    def distance_nm(self, box: Box) -> NDArray[np.float32]:
        """Return how far each voxel in the phase is from the next outside it, and 0 outside."""
        inside = self.inside(box)
        return np.where(inside, _to_other(inside, self.spacing_nm), np.float32(0))

    def tiles(self, halo_nm: float) -> list[tuple[Box, Box]]:
        """Return the tiles of the volume, and each with what lies around it."""
        shape = self.labels.shape
        halo = [
            size if halo_nm >= size * step else math.ceil(halo_nm / step)
            for size, step in zip(shape, self.spacing_nm, strict=True)
        ]
        edges = list(shape)
        while (
            _voxels_around(edges, halo, shape) > TILE_VOXELS
            # Smaller tiles would be mostly halo.
            and any(edge > reach for edge, reach in zip(edges, halo, strict=True))
        ):
            longest = max(range(3), key=lambda axis: edges[axis] / max(1, halo[axis]))
            edges[longest] = -(-edges[longest] // 2)
        tiles = []
        for start in itertools.product(
            *(range(0, size, edge) for size, edge in zip(shape, edges, strict=True))
        ):
            stop = [min(a + edge, size) for a, edge, size in zip(start, edges, shape, strict=True)]
            tile = _box(start, stop)
            low = [max(0, a - reach) for a, reach in zip(start, halo, strict=True)]
            high = [min(size, b + r) for b, r, size in zip(stop, halo, shape, strict=True)]
            tiles.append((tile, _box(low, high)))
        return tiles


def _voxels_around(edges: Sequence[int], halo: Sequence[int], shape: Sequence[int]) -> int:
    """Return how many voxels a tile holds with what lies around it."""
    return math.prod(
        min(size, edge + 2 * reach) for size, edge, reach in zip(shape, edges, halo, strict=True)
    )


def _largest(volume: _Volume, progress: Progress, cancel: Cancel) -> tuple[float, float]:
    """Return the largest distance to the border, and how far around a tile one must look for it."""
    halo_nm = FIRST_HALO * min(volume.spacing_nm)
    while True:
        tiles = volume.tiles(halo_nm)
        largest_nm = 0.0
        for tile, around in track(tiles, progress, cancel):
            found = volume.distance_nm(around)[_relative(tile, around)]
            largest_nm = max(largest_nm, float(found.max()))
            if largest_nm > halo_nm and tile != around:
                break
        # What is farther than the halo may have been nearer to something beyond it.
        if largest_nm <= halo_nm or all(tile == around for tile, around in tiles):
            return largest_nm, halo_nm
        halo_nm *= 2


def _mean_radii(
    volume: _Volume,
    sizes_nm: NDArray[np.float64],
    halo_nm: float,
    progress: Progress,
    cancel: Cancel,
) -> NDArray[np.float64]:
    """Return the mean distance to the border of all voxels between one size and the next."""
    sums, counts = np.zeros(len(sizes_nm)), np.zeros(len(sizes_nm))
    for tile, around in track(volume.tiles(halo_nm), progress, cancel):
        distances = volume.distance_nm(around)[_relative(tile, around)]
        distances = distances[distances > 0].astype(np.float64)
        size = np.searchsorted(sizes_nm, distances, side="right") - 1
        sums += np.bincount(size, weights=distances, minlength=len(sizes_nm))
        counts += np.bincount(size, minlength=len(sizes_nm))
    return np.where(counts > 0, sums / np.maximum(counts, 1), sizes_nm)


def _index_of_ball(
    volume: _Volume, box: Box, sizes_nm: NDArray[np.float64], radii_nm: NDArray[np.float64]
) -> NDArray[np.int16]:
    """Return for each voxel the number of the largest ball that holds it, or -1 outside."""
    distance_nm = volume.distance_nm(box)
    inside = distance_nm > 0
    index = np.where(inside, 0, -1).astype(np.int16)
    for number in range(1, len(sizes_nm)):
        centres = distance_nm >= sizes_nm[number]
        if not centres.any():
            break
        held = centres | (_to_other(centres, volume.spacing_nm) < radii_nm[number])
        index[held & inside] = number
    return index


def _to_other(mask: NDArray[np.bool_], spacing_nm: Sequence[float]) -> NDArray[np.float32]:
    from porescope._core import distance_to_other_label

    return distance_to_other_label(mask, spacing_nm)


def _box(start: Sequence[int], stop: Sequence[int]) -> Box:
    z, y, x = (slice(a, b) for a, b in zip(start, stop, strict=True))
    return z, y, x


def _relative(box: Box, around: Box) -> Box:
    """Return where a box lies in a larger one."""
    return _box(
        [part.start - whole.start for part, whole in zip(box, around, strict=True)],
        [part.stop - whole.start for part, whole in zip(box, around, strict=True)],
    )


def _by_part(tile: Box, shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Box]]:
    """Yield what of a tile lies in each part of the volume."""
    for part in itertools.product((0, 1), repeat=3):
        own = [halves(size)[index] for size, index in zip(shape, part, strict=True)]
        start = [max(half.start, side.start) for half, side in zip(own, tile, strict=True)]
        stop = [min(half.stop, side.stop) for half, side in zip(own, tile, strict=True)]
        if all(a < b for a, b in zip(start, stop, strict=True)):
            yield part, _box(start, stop)
