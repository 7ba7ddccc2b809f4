"""A volume in pieces that fit into memory, and in parts that tell how sure a number is.

Every measure is a function of counts (voxels, pairs, runs) that add up over the parts of a volume:
halves along each axis, so eight parts. The uncertainty of a number is the standard error that its
scatter from part to part implies: the number is worked out again with each part left out in turn
(the jackknife). For a mean over equal parts that is the standard error of the mean of the parts;
for ratios and norms it is the same idea, without their bias.

References
----------
B. Efron, C. Stein, Ann. Statist. 9 (1981) 586, doi:10.1214/aos/1176345462.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.io.slabs import load, slabs
from porescope.stack import SLICES
from porescope.tracking import Cancel, Progress, track

PIECE_BYTES = 4 << 20
"""About what is worked on at once: it should stay near the processor."""

UNCERTAINTY = "_uncertainty"
"""What the key of an uncertainty ends with."""


def halves(size: int) -> tuple[slice, slice]:
    """Return the two halves of an axis; the second of a single voxel is empty."""
    middle = (size + 1) // 2
    return slice(0, middle), slice(middle, size)


def part_sizes(shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the voxels in every part, in an array of shape (2, 2, 2)."""
    return outer(*([half.stop - half.start for half in halves(size)] for size in shape))


def outer(*sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return the products of one number from each sequence."""
    grid = np.meshgrid(*(np.asarray(each, dtype=np.int64) for each in sizes), indexing="ij")
    return np.asarray(math.prod(grid))


def check_labels(labels: Any) -> None:
    """Refuse what is no volume of labels.

    Raises
    ------
    PorescopeError
        If it has not three axes, is empty, or does not hold whole numbers.
    """
    if not hasattr(labels, "dtype") or labels.ndim != 3 or 0 in labels.shape:
        raise PorescopeError(
            f"Labels have three axes (z, y, x) and at least a voxel, not shape {np.shape(labels)}."
        )
    if labels.dtype.kind not in "bui":
        raise PorescopeError(
            f"Labels are whole numbers, but these are {labels.dtype}; segment the images first."
        )


def pieces(
    labels: Any, phase: int | None, progress: Progress, cancel: Cancel
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Walk along z and yield where each piece begins and what of it is in a phase.

    Parameters
    ----------
    labels : array of shape (z, y, x)
        Numpy or dask array of whole numbers.
    phase : int, optional
        Which label; by default all that is not 0.

    Yields
    ------
    start : int
        First slice.
    inside : bool array of shape (slices, y, x)
        Slices of one half of the volume.
    """
    check_labels(labels)
    middle = halves(labels.shape[SLICES])[0].stop
    together = max(1, PIECE_BYTES // math.prod(labels.shape[1:]))
    for slab in track(slabs(labels), progress, cancel):
        data = load(labels, slab)
        starts = {*range(slab.start, slab.stop, together), middle}
        borders = sorted(at for at in starts if slab.start <= at < slab.stop)
        for start, stop in zip(borders, [*borders[1:], slab.stop], strict=True):
            part = data[start - slab.start : stop - slab.start]
            yield start, part != 0 if phase is None else part == phase


def jackknife(
    statistic: Callable[..., NDArray[np.float64]], *counts: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a statistic of a volume, and its standard error.

    Parameters
    ----------
    statistic : callable
        Takes the sums of ``counts`` over parts, and returns an array.
    counts : arrays of shape (parts, ...)
        Parts with nothing but zeros do not exist.

    Returns
    -------
    value, uncertainty : arrays
        The uncertainty is NaN where there are fewer than two parts, or where the statistic is not
        known with one of them left out.
    """
    present = [
        part for part in range(len(counts[0])) if any(np.any(count[part] != 0) for count in counts)
    ]
    sums = [count.sum(axis=0) for count in counts]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = statistic(*sums)
        if len(present) < 2:
            return value, np.full_like(value, np.nan)
        without = np.stack(
            [
                statistic(*(total - count[part] for total, count in zip(sums, counts, strict=True)))
                for part in present
            ]
        )
        spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return value, np.sqrt(spread * (len(present) - 1) / len(present))


def measured(
    statistic: Callable[..., Mapping[str, float]], *counts: NDArray[Any]
) -> dict[str, float]:
    """Return named numbers, each followed by its uncertainty.

    Parameters
    ----------
    statistic : callable
        Takes the sums of ``counts`` over parts, and returns numbers by name.
    counts : arrays of shape (parts, ...)
        See :func:`jackknife`.

    Returns
    -------
    dict
        ``name`` and ``name_uncertainty`` for each.
    """
    names: list[str] = []

    def values(*sums: NDArray[Any]) -> NDArray[np.float64]:
        found = statistic(*sums)
        names[:] = found
        return np.array([float(value) for value in found.values()])

    value, uncertainty = jackknife(values, *counts)
    result: dict[str, float] = {}
    for name, one, its in zip(names, value.tolist(), uncertainty.tolist(), strict=True):
        result |= {name: one, f"{name}{UNCERTAINTY}": its}
    return result
