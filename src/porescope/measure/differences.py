"""Where two segmentations differ: solid that should be pore, and pore that should be solid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.io.slabs import load
from porescope.measure.parts import check_labels
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

ALIKE, FALSE_SOLID, FALSE_PORE = 0, 1, 2
NOT_COMPARED = 255
"""Where one of the two segmentations does not reach."""
SAME_PLACE = 1e-3
"""Of a voxel: places closer than this are the same."""


@dataclass(frozen=True, eq=False)
class Differences:
    """How much of each slice differs.

    Parameters
    ----------
    compared, false_solid, false_pore : int arrays of shape (z,)
        Number of voxels.
    """

    compared: NDArray[np.int64]
    false_solid: NDArray[np.int64]
    false_pore: NDArray[np.int64]

    @property
    def false_solid_percent(self) -> float:
        """Share of all compared voxels that are solid and should be pore."""
        return float(100 * self.false_solid.sum() / self.compared.sum())

    @property
    def false_pore_percent(self) -> float:
        """Share of all compared voxels that are pore and should be solid."""
        return float(100 * self.false_pore.sum() / self.compared.sum())

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each slice that was compared, worst first."""
        slices = np.flatnonzero(self.compared)
        shares = 100 / self.compared[slices]
        solid, pore = self.false_solid[slices] * shares, self.false_pore[slices] * shares
        order = np.argsort(-(solid + pore), kind="stable")
        return [
            {
                "slice": int(slices[i]),
                "false solid %": float(solid[i]),
                "false pore %": float(pore[i]),
            }
            for i in order
        ]


def difference_map(labels: Stack, truth: Stack) -> Stack:
    """Return where a segmentation differs from another, slice by slice as it is looked at.

    Each slice is compared with the slice of the other that lies nearest, if that is not more than
    half a slice away.

    Parameters
    ----------
    labels, truth : Stack
        Labels with 0 for pore and anything else for solid, with pixels of one size on one grid;
        they may begin and end at different places.

    Returns
    -------
    Stack
        A lazy volume of uint8 on the grid of ``labels``: ``ALIKE``, ``FALSE_SOLID``, ``FALSE_PORE``
        or, where ``truth`` does not reach, ``NOT_COMPARED``.

    Raises
    ------
    PorescopeError
        If the pixels differ in size, lie between one another, or the volumes do not overlap.
    """
    import dask.array as da

    check_labels(labels.data)
    check_labels(truth.data)
    windows = [_overlap(labels, truth, axis) for axis in (ROWS, COLUMNS)]
    nearest, reached = _nearest_slices(labels, truth)
    if not reached.any():
        raise PorescopeError(
            "The two segmentations have no slices at the same depth; choose labels of one sample."
        )
    (rows, columns), (true_rows, true_columns) = zip(*windows, strict=True)

    def differ(
        plane: NDArray[Any], true: NDArray[Any], block_info: Any = None
    ) -> NDArray[np.uint8]:
        index = block_info[0]["array-location"][SLICES][0]
        if not reached[index]:
            return np.full(plane.shape, NOT_COMPARED, np.uint8)
        solid, truly = plane != 0, true != 0
        return (FALSE_SOLID * (solid & ~truly) + FALSE_PORE * (truly & ~solid)).astype(np.uint8)

    overlap = da.map_blocks(
        differ,
        _by_slice(labels.data)[:, rows, columns],
        _by_slice(truth.data)[nearest][:, true_rows, true_columns].rechunk((1, -1, -1)),
        dtype=np.uint8,
        meta=np.empty((0, 0, 0), np.uint8),
    )
    beyond = [
        (part.start, size - part.stop)
        for part, size in zip((rows, columns), labels.shape[ROWS:], strict=True)
    ]
    if any(map(any, beyond)):
        overlap = da.pad(overlap, [(0, 0), *beyond], constant_values=NOT_COMPARED)
        overlap = overlap.rechunk((1, -1, -1))
    return labels.with_data(overlap, is_labels=True).with_history("difference")


def differences(
    compared: Stack, *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> Differences:
    """Count what differs in each slice of a :func:`difference_map`."""
    counts = np.zeros((compared.shape[SLICES], 3), dtype=np.int64)
    for index in track(range(len(counts)), progress, cancel):
        plane = load(compared.data, slice(index, index + 1))
        counts[index] = np.bincount(plane.ravel(), minlength=NOT_COMPARED + 1)[: FALSE_PORE + 1]
    return Differences(counts.sum(axis=1), counts[:, FALSE_SOLID], counts[:, FALSE_PORE])


def _by_slice(data: Any) -> Any:
    import dask.array as da

    if isinstance(data, da.Array):
        return data.rechunk((1, -1, -1))
    # Without a name, dask would first read all of it to make one.
    return da.from_array(data, chunks=(1, -1, -1), name=False)


def _overlap(labels: Stack, truth: Stack, axis: int) -> tuple[slice, slice]:
    """Return which rows or columns of each the two have in common."""
    spacing_nm = labels.spacing_nm[axis]
    if abs(truth.spacing_nm[axis] / spacing_nm - 1) * labels.shape[axis] > 0.5:
        raise PorescopeError(
            f"The pixels are {spacing_nm:g} nm in one segmentation and "
            f"{truth.spacing_nm[axis]:g} nm in the other; bring them onto one grid first."
        )
    shift_nm = truth.origin_yx_nm[axis - ROWS] - labels.origin_yx_nm[axis - ROWS]
    shift = round(shift_nm / spacing_nm)
    if abs(shift_nm / spacing_nm - shift) > SAME_PLACE:
        raise PorescopeError(
            "The pixels of one segmentation lie between those of the other; bring them onto one "
            "grid first."
        )
    start, stop = max(0, shift), min(labels.shape[axis], shift + truth.shape[axis])
    if start >= stop:
        raise PorescopeError(
            "The two segmentations show different places; choose labels of one sample."
        )
    return slice(start, stop), slice(start - shift, stop - shift)


def _nearest_slices(labels: Stack, truth: Stack) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return for each slice the nearest of the truth, and whether that is near enough."""
    nearest = truth.nearest_slices(labels.slice_z_nm)
    away_nm = np.abs(labels.slice_z_nm - truth.slice_z_nm[nearest])
    half_nm = max(labels.spacing_nm[SLICES], truth.spacing_nm[SLICES]) / 2
    return nearest, away_nm <= half_nm * (1 + SAME_PLACE)
