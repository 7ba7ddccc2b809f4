"""Volume fraction, specific surface, mean chords and Euler number, from neighbouring voxels alone.

All follow from how many small boxes of voxels lie in the phase, and how many pairs of neighbours
lie on either side of its border, divided by how many there are. So nothing is wrong at the faces
of the volume, which count as no border.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.measure.parts import UNCERTAINTY, check_labels, halves, measured, outer, pieces
from porescope.stack import SLICES, checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

Offset = tuple[int, int, int]

BOXES = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
"""By how much a voxel, edge, face or cube of voxels is longer than a voxel along z, y, x."""

SIGNS = np.array([(-1) ** sum(box) for box in BOXES])
"""Of boxes in the Euler number: voxels less edges, plus faces, less cubes."""

DIRECTIONS = [
    (z, y, x)
    for z in (0, 1)
    for y in (-1, 0, 1)
    for x in (-1, 0, 1)
    if (z, y, x) > (0, 0, 0)  # one of each two that are opposite
]
"""From a voxel to half of its 26 neighbours."""

NM_PER_UM = 1000.0


def morphometry(
    labels: Any,
    spacing_nm: Sequence[float],
    *,
    phase: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Return the volume fraction, specific surface, mean chords and Euler number of a phase.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x).
    phase : int, optional
        Which label; by default all that is not 0.

    Returns
    -------
    dict
        ``volume_fraction``; ``surface_per_um``: area of the phase's border by volume, in 1/um;
        ``mean_chord_z_nm``, ``mean_chord_y_nm``, ``mean_chord_x_nm``: mean length of the
        intersections of lines with the phase; ``euler_per_um3``: components minus tunnels plus
        enclosed hollows by volume, in 1/um^3, where voxels of the phase hang together by faces;
        ``euler_number``: the whole number of what lies in the volume, cut at its faces; and for
        each the same with ``_uncertainty``, a standard error from eight parts of the volume (see
        :mod:`porescope.measure.parts`). What cannot be told is NaN.

    Notes
    -----
    The surface comes from Crofton's formula: ``2 * sum(weight * crossings per length)`` over the 13
    directions to neighbouring voxels, each weighted by the part of the sphere nearer to it than to
    any other. With voxels of any shape it is unbiased for isotropic structures, in contrast to
    counting faces (1.5 times too much) or marching cubes over labels.

    The Euler number is that of the voxels, exactly. It depends on the last voxel: where bodies
    barely touch, as spheres drawn at random do, voxels make tunnels that are not there.

    References
    ----------
    J. Ohser, F. Muecklich, Statistical Analysis of Microstructures in Materials Science (2000);
    J. Ohser, W. Nagel, K. Schladitz, Image Anal. Stereol. 28 (2009) 77.
    """
    spacing_nm = checked_spacing_nm(spacing_nm)
    inside = np.zeros((2, 2, 2, len(BOXES)), dtype=np.int64)
    crossed = np.zeros((2, 2, 2, len(DIRECTIONS)), dtype=np.int64)
    check_labels(labels)
    middle = halves(labels.shape[SLICES])[0].stop
    last = np.zeros((0, *labels.shape[1:]), dtype=bool)
    for start, piece in pieces(labels, phase, progress, cancel):
        upper = int(start >= middle)
        block, new = np.concatenate([last, piece]), slice(len(last), None)
        for y, x in itertools.product((0, 1), repeat=2):
            quarter = _quarter(block, y, x)
            inside[upper, y, x] += _count_inside(*quarter, new)
            crossed[upper, y, x] += _count_crossed(*quarter, new)
        last = piece[-1:]
    all_boxes = _places(labels.shape, BOXES)
    all_pairs = _places(labels.shape, DIRECTIONS)
    found = measured(
        lambda *sums: _numbers(spacing_nm, *sums),
        *(counts.reshape(8, -1) for counts in (inside, all_boxes, crossed, all_pairs)),
    )
    volume_um3 = math.prod(labels.shape) * math.prod(spacing_nm) / NM_PER_UM**3
    return found | {
        "euler_number": int(inside.sum(axis=(0, 1, 2)) @ SIGNS),
        f"euler_number{UNCERTAINTY}": found[f"euler_per_um3{UNCERTAINTY}"] * volume_um3,
    }


def _numbers(
    spacing_nm: tuple[float, float, float],
    inside: NDArray[np.int64],
    boxes: NDArray[np.int64],
    crossed: NDArray[np.int64],
    pairs: NDArray[np.int64],
) -> dict[str, float]:
    fraction = inside[0] / boxes[0]
    lengths = np.linalg.norm(np.array(DIRECTIONS) * spacing_nm, axis=1)
    crossings = crossed / pairs
    surface = 2 * (crofton_weights(spacing_nm) * crossings / lengths).sum()
    euler = (SIGNS * inside / boxes).sum() / math.prod(spacing_nm)
    chords = {}
    for axis, name in enumerate("zyx"):
        along = DIRECTIONS.index(tuple(np.eye(3, dtype=int)[axis].tolist()))
        chord = 2 * fraction * spacing_nm[axis] / crossings[along]
        chords[f"mean_chord_{name}_nm"] = chord if math.isfinite(chord) else math.nan
    return {
        "volume_fraction": fraction,
        "surface_per_um": surface * NM_PER_UM,
        **chords,
        "euler_per_um3": euler * NM_PER_UM**3,
    }


@lru_cache(maxsize=8)
def crofton_weights(spacing_nm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return for each of the directions the share of the sphere that is nearest to it.

    Parameters
    ----------
    spacing_nm : tuple of three floats
        Voxel size (z, y, x).

    Returns
    -------
    array of shape (13,)
        Summing to 1; in the order of ``DIRECTIONS``.
    """
    from scipy.spatial import SphericalVoronoi

    ways = np.array(DIRECTIONS) * spacing_nm
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    areas = SphericalVoronoi(np.concatenate([ways, -ways])).calculate_areas()
    return np.asarray(areas[: len(ways)] / areas[: len(ways)].sum())


def _quarter(block: NDArray[np.bool_], y: int, x: int) -> tuple[NDArray[np.bool_], int, int]:
    """Return a quarter of some slices with a row and column more where there are, and its size."""
    own = [halves(size)[index] for size, index in zip(block.shape[1:], (y, x), strict=True)]
    rows, columns = (slice(half.start, half.stop + 1) for half in own)
    height, width = (half.stop - half.start for half in own)
    return block[:, rows, columns], height, width


def _count_inside(block: NDArray[np.bool_], height: int, width: int, new: slice) -> list[int]:
    """Count the boxes of each kind that lie in the phase.

    Boxes begin in the first ``height`` rows and ``width`` columns, and end in the ``new`` slices.
    """
    counts: list[int] = []
    for z in (block[new], block[:-1] & block[1:]):
        for y in (z[:, :height], z[:, :-1] & z[:, 1:]):
            counts += [
                int(np.count_nonzero(y[:, :, :width])),
                int(np.count_nonzero(y[:, :, :-1] & y[:, :, 1:])),
            ]
    return counts


def _count_crossed(block: NDArray[np.bool_], height: int, width: int, new: slice) -> list[int]:
    """Count the pairs of neighbours in each direction of which only one is in the phase."""

    def ends(offset: int, own: int) -> tuple[slice, slice]:
        lower, upper = slice(None, -1), slice(1, None)
        return ((upper, lower), (slice(own), slice(own)), (lower, upper))[offset + 1]

    counts = []
    for dz, dy, dx in DIRECTIONS:
        z = (slice(None, -1), slice(1, None)) if dz else (new, new)
        first, second = zip(z, ends(dy, height), ends(dx, width), strict=True)
        counts.append(int(np.count_nonzero(block[first] != block[second])))
    return counts


def _places(shape: Sequence[int], offsets: Sequence[Offset]) -> NDArray[np.int64]:
    """Return how many boxes or pairs there are, by part and kind.

    They belong to the slice where they end, and to the row and column where they begin.
    """
    (low, high), *in_plane = (halves(size) for size in shape)
    kinds = []
    for dz, dy, dx in offsets:
        deep = [low.stop - dz, high.stop - high.start]
        wide = [
            [min(half.stop, size - abs(reach)) - min(half.start, size - abs(reach)) for half in own]
            for own, size, reach in zip(in_plane, shape[1:], (dy, dx), strict=True)
        ]
        kinds.append(outer(deep, *wide))
    return np.stack(kinds, axis=-1)
