"""How different slices are, measured by how different they are from themselves moved in the plane.

So that fine and coarse places of a sample count alike.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import COLUMNS, ROWS, SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

# The finest detail that is compared, in slice thicknesses; never finer than a pixel.
FINEST = 0.25
# The coarsest detail, and the longest move in the plane, in units of the finest.
COARSEST, LONGEST = 8, 12
# How many slices on a slice is compared with. Far ones say little: errors grow with distance.
REACH = 2
# Details of variance 1 that have nothing in common differ by 2; nearer to that than this share, a
# difference tells no distance.
UNRELATED = 0.95
# Patches along y and x, whose scatter gives the uncertainty.
PATCHES = 4

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SliceDistances:
    """How different slices are: as different as one moved in its plane by so much.

    Parameters
    ----------
    seen : int array of shape (s,)
        Slices that show something.
    first, second : int array of shape (pairs,)
        What is compared: numbers in ``seen``.
    distance : array of shape (pairs,)
        In a unit of length that is the same for all.
    without_patch : array of shape (pairs, patches)
        The same with one patch of the images left out.
    """

    seen: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: Values
    without_patch: Values

    def between(self, first: int, second: int) -> float:
        """Return the distance of two slices; NaN if they were not compared."""
        pair = (self.seen[self.first] == first) & (self.seen[self.second] == second)
        return float(self.distance[pair][0]) if pair.any() else np.nan


def compare_slices(
    stack: Stack,
    region: Region | None = None,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> SliceDistances:
    """Compare each slice with those after it.

    Parameters
    ----------
    stack : Stack
        Three slices or more, aligned.
    region : (y start, y stop, x start, x stop), optional
        Pixels to look at; all by default.
    progress, cancel
        See :mod:`porescope.tracking`.

    Raises
    ------
    PorescopeError
        If fewer than three slices show something, or two neighbours have nothing in common.
    """
    count = stack.shape[SLICES]
    if count < 3:
        raise PorescopeError(
            f"Comparing slices needs three or more, and this stack has {count}; leave the step "
            "positions out, or let a table tell."
        )
    area = region_slices(region, stack.shape)
    texture = _Texture(stack)
    recent: deque[tuple[NDArray[np.float32], Values]] = deque(maxlen=REACH)
    seen: list[int] = []
    found: list[tuple[int, int, Values]] = []
    for index in track(range(stack.shape[SLICES]), progress, cancel):
        detail = texture.detail(stack.image(index, *area))
        if detail is None:
            continue
        yardstick = texture.yardstick(detail)
        for back, (other, other_yardstick) in enumerate(reversed(recent), start=1):
            difference = _by_patch((detail - other) ** 2)
            distances = _distances(difference, (yardstick + other_yardstick) / 2)
            if np.isfinite(distances).all():
                found.append((len(seen) - back, len(seen), distances))
            elif back == 1:
                raise PorescopeError(
                    f"Slices {seen[-1]} and {index} have nothing in common; align the stack "
                    "first, or choose a region that both show. Where slices are missing between "
                    "them, only a table or a ruler tells how many."
                )
        recent.append((detail, yardstick))
        seen.append(index)
    if len(seen) < 3:
        raise PorescopeError(
            f"Of {count} slices only {len(seen)} show anything but one grey value; comparing them "
            "needs three."
        )
    first, second = (np.array([pair[place] for pair in found]) for place in (0, 1))
    distances = np.stack([pair[2] for pair in found])
    return SliceDistances(np.array(seen), first, second, distances[:, 0], distances[:, 1:])


class _Texture:
    """The detail of slices, and how it changes along the plane."""

    def __init__(self, stack: Stack) -> None:
        self._spacing = stack.spacing_nm[ROWS], stack.spacing_nm[COLUMNS]
        mean_nm = float(np.ptp(stack.slice_z_nm)) / (stack.shape[SLICES] - 1)
        self._finest_nm = max(FINEST * mean_nm, max(self._spacing))

    def detail(self, image: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return an image without noise and shading, of variance 1; None if it is all one grey."""
        from scipy.ndimage import gaussian_filter

        if image.min() == image.max():
            return None
        sigma = [self._finest_nm / pixel for pixel in self._spacing]
        image = image / np.abs(image).max()  # squares of large values would overflow
        detail = gaussian_filter(image, sigma)
        detail -= gaussian_filter(image, [COARSEST * length for length in sigma])
        detail -= detail.mean()
        deviation = detail.std()
        return np.asarray(detail / deviation, np.float32) if deviation > 0 else None

    def yardstick(self, detail: NDArray[np.float32]) -> Values:
        """Return the mean squared change (patches, lags) over moves of whole units in the plane."""
        along = []
        for axis, pixel_nm in enumerate(self._spacing):
            most = int(np.ceil(LONGEST * self._finest_nm / pixel_nm))
            most = min(most, detail.shape[axis] - PATCHES)
            if most < 2:
                raise PorescopeError(
                    f"{' x '.join(map(str, detail.shape))} pixels (y, x) are too few to compare "
                    "slices; choose a larger region."
                )
            moves = np.unique(np.linspace(0, most, LONGEST + 1).astype(int))
            changes = [
                _by_patch(
                    (
                        detail.take(range(move, detail.shape[axis]), axis)
                        - _begin(detail, move, axis)
                    )
                    ** 2
                )
                for move in moves
            ]
            # Small changes grow with the square of a move, so their root is nearly straight.
            roots = np.sqrt(np.maximum.accumulate(np.stack(changes, axis=1), axis=1))
            units = moves * pixel_nm / self._finest_nm
            along.append([np.interp(np.arange(LONGEST + 1), units, root) for root in roots])
        return np.asarray((np.square(along[0]) + np.square(along[1])) / 2)


def _begin(image: NDArray[np.float32], move: int, axis: int) -> NDArray[np.float32]:
    return image.take(range(image.shape[axis] - move), axis)


def _by_patch(squares: NDArray[np.float32]) -> Values:
    """Return the mean over each of the patches."""
    rows, columns = (
        np.linspace(0, size, PATCHES, endpoint=False).astype(int) for size in squares.shape
    )
    sums = np.add.reduceat(
        np.add.reduceat(squares, rows, axis=0, dtype=np.float64), columns, axis=1
    )
    sizes = np.outer(
        *(np.diff([*s, n]) for s, n in zip((rows, columns), squares.shape, strict=True))
    )
    return np.asarray(sums / sizes).ravel()


def _distances(difference: Values, yardstick: Values) -> Values:
    """Return how far a move in the plane makes as large a difference.

    Of all patches, and then without each in turn; NaN where unrelated places are as different.
    """
    count = len(difference)
    keep = np.vstack([np.ones(count), 1 - np.eye(count)])
    keep /= keep.sum(axis=1, keepdims=True)
    roots = np.sqrt(keep @ difference)
    scales = np.sqrt(np.maximum.accumulate(keep @ yardstick, axis=1))
    distances = [
        np.interp(root, scale, np.arange(len(scale))) if root**2 < 2 * UNRELATED else np.nan
        for root, scale in zip(roots, scales, strict=True)
    ]
    return np.array(distances)
