"""Where a map is worst: places to look at, one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.io.slabs import load
from porescope.measure.differences import FALSE_PORE, FALSE_SOLID
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Meaning = Literal["probability", "disagreement", "difference", "value"]
FINEST = 4
"""Boxes of pixels are averaged first, so that this many span the size of a place."""
MOST_PLACES = 100


@dataclass(frozen=True)
class Place:
    """A place in a volume.

    Parameters
    ----------
    slice, row, column : int
        Index of the voxel in its middle.
    severity : float
        Mean over the place of what is bad about its voxels.
    """

    slice: int
    row: int
    column: int
    severity: float


def _undecided(values: NDArray[Any]) -> NDArray[Any]:
    one = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return 1 - np.abs(2 * (values / one) - 1)


def _different(values: NDArray[Any]) -> NDArray[Any]:
    return (values == FALSE_SOLID) | (values == FALSE_PORE)


BADNESS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "probability": _undecided,
    "disagreement": np.abs,
    "difference": _different,
    "value": lambda values: values,
}
"""What is bad about a voxel, by what a map means: a probability is worst at one half, where the
largest whole number stands for one; a disagreement has a sign, and a difference map has labels."""


def worst_places(
    stack: Stack,
    meaning: Meaning = "value",
    *,
    size_nm: float,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> list[Place]:
    """Return the worst places of a map, worst first, none of which overlap.

    Every slice is smoothed by a Gaussian of a quarter of the size, read one at a time; a place
    is where that is largest, and no other is closer than the size, in depth too.

    Parameters
    ----------
    stack : Stack
        The map. What is not a number counts as nothing.
    meaning : {"probability", "disagreement", "difference", "value"}
        Of its values; "value" means that large values are bad.
    size_nm : float
        Size of a place.

    Returns
    -------
    list of Place
        At most 100; none where nothing is above zero.
    """
    if not size_nm > 0:
        raise PorescopeError(f"The size of a place must be above 0 nm, not {size_nm:g}.")
    found: list[Place] = []
    for index in track(range(stack.shape[SLICES]), progress, cancel):
        plane = load(stack.data, slice(index, index + 1))[0]
        bad = np.nan_to_num(BADNESS[meaning](plane).astype(np.float32), posinf=0, neginf=0)
        found += _in_plane(bad, index, stack, size_nm)
    found.sort(key=lambda place: -place.severity)
    kept: list[Place] = []
    for place in found:
        if len(kept) == MOST_PLACES:
            break
        if all(_distance_nm(place, other, stack) >= size_nm for other in kept):
            kept.append(place)
    return kept


def _in_plane(bad: NDArray[np.float32], index: int, stack: Stack, size_nm: float) -> list[Place]:
    """Return the peaks of a slice, once it is smoothed."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    spacing = np.array(stack.spacing_nm[ROWS:])
    box = np.maximum(1, (size_nm / FINEST / spacing).astype(int))
    starts = [np.arange(0, size, each) for size, each in zip(bad.shape, box, strict=True)]
    means = np.add.reduceat(np.add.reduceat(bad, starts[0], axis=0), starts[1], axis=1)
    counts = [np.diff([*start, size]) for start, size in zip(starts, bad.shape, strict=True)]
    means /= np.outer(*counts)
    smooth = gaussian_filter(means, size_nm / 4 / (spacing * box))
    reach = 2 * np.ceil(size_nm / 2 / (spacing * box)).astype(int) + 1
    peaks = (smooth == maximum_filter(smooth, reach)) & (smooth > 0)
    rows, columns = np.nonzero(peaks)
    strongest = np.argsort(-smooth[rows, columns], kind="stable")[:MOST_PLACES]
    return [
        Place(
            index,
            int(starts[0][row] + counts[0][row] // 2),
            int(starts[1][column] + counts[1][column] // 2),
            float(smooth[row, column]),
        )
        for row, column in zip(rows[strongest], columns[strongest], strict=True)
    ]


def _distance_nm(one: Place, other: Place, stack: Stack) -> float:
    apart = (
        stack.slice_z_nm[one.slice] - stack.slice_z_nm[other.slice],
        (one.row - other.row) * stack.spacing_nm[ROWS],
        (one.column - other.column) * stack.spacing_nm[COLUMNS],
    )
    return float(np.linalg.norm(apart))
