"""Counts along the axes of a volume: pairs of voxels in a phase, and runs of such voxels.

Both are whole numbers and exact. Pairs are counted 64 at a time, in bits of machine words that lie
across the axis; slices that pairs still need are kept as bits, an eighth of a byte a voxel. Runs
become segments of every length at the end: a run of L voxels holds L - k segments that begin and
end k voxels apart. What begins in a part of the volume (see ``parts``) is counted for that part,
wherever it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.measure.parts import halves, outer, pieces
from porescope.stack import COLUMNS, ROWS, SLICES
from porescope.tracking import Cancel, Progress

Counts = NDArray[np.int64]
WORD_BITS = 64
BLOCK_BYTES = 1 << 19
"""So much of the slices kept is compared with a new one at once, which the cache can hold."""


def count_lines(
    labels: Any,
    phase: int | None,
    longest: Sequence[int | None],
    progress: Progress,
    cancel: Cancel,
) -> tuple[list[Counts | None], list[Counts | None], list[Counts | None]]:
    """Count pairs and runs along the axes, in one walk through the volume.

    Parameters
    ----------
    labels : array of shape (z, y, x)
        Numpy or dask array of whole numbers.
    phase : int, optional
        Which label; by default all that is not 0.
    longest : sequence of three ints or None
        Longest lag in voxels along each axis; None leaves the axis out.

    Returns
    -------
    pairs : list of three int arrays of shape (8, longest + 1)
        Pairs of voxels in the phase, by part and lag.
    segments : list of three int arrays of shape (8, voxels of the axis)
        Those between which all is in the phase, up to the last lag there is.
    chords : list of three int arrays of shape (8, voxels of the axis + 1)
        Runs that no face of the volume cuts, by part and number of voxels.
    """
    pairs: list[_Pairs | None] = [
        None if lags is None else (_PairsAlongZ if axis == SLICES else _Pairs)(labels.shape, lags)
        for axis, lags in enumerate(longest)
    ]
    runs: list[_Runs | None] = [
        None if lags is None else (_RunsAlongZ if axis == SLICES else _Runs)(labels.shape, axis)
        for axis, lags in enumerate(longest)
    ]
    middle = halves(labels.shape[SLICES])[0].stop
    for start, inside in pieces(labels, phase, progress, cancel):
        upper = int(start >= middle)
        turned = np.ascontiguousarray(inside.transpose(0, 2, 1))
        words, words_of_turned = _words(inside), _words(turned)
        for pair, across in zip(pairs, (words, words, words_of_turned), strict=True):
            if pair is not None:
                pair.add(start, upper, across)
        for run, lines in zip(runs, (inside, turned, inside), strict=True):
            if run is not None:
                run.add(start, upper, lines)
    return (
        [None if pair is None else pair.counts(axis) for axis, pair in enumerate(pairs)],
        [None if run is None else run.segments() for run in runs],
        [None if run is None else run.chords() for run in runs],
    )


def count_places(shape: Sequence[int], axis: int) -> Counts:
    """Return how many pairs there are at all, by part and lag along an axis.

    Returns
    -------
    int array of shape (8, voxels of the axis)
    """
    begins_in_all = shape[axis] - np.arange(shape[axis])
    begins_in_first = np.minimum(begins_in_all, halves(shape[axis])[0].stop)
    begins = np.stack([begins_in_first, begins_in_all - begins_in_first])
    others = [half.stop - half.start for other in _others(axis) for half in halves(shape[other])]
    places = outer(others[:2], others[2:])[..., np.newaxis] * begins[:, np.newaxis, np.newaxis]
    return np.moveaxis(places, 0, axis).reshape(8, -1)


def _others(axis: int) -> list[int]:
    return [other for other in (SLICES, ROWS, COLUMNS) if other != axis]


def _words(inside: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return the bits of every row of a piece, its halves apart, filled up with zeros.

    Returns
    -------
    uint64 array of shape (2, slices, rows, words)
    """
    width = -(-halves(inside.shape[2])[0].stop // WORD_BITS) * WORD_BITS // 8
    packed = np.zeros((2, *inside.shape[:2], width), dtype=np.uint8)
    for index, half in enumerate(halves(inside.shape[2])):
        some = np.packbits(inside[:, :, half], axis=2)
        packed[index, :, :, : some.shape[2]] = some
    return packed.view(np.uint64)


def _ones(words: NDArray[np.uint64]) -> Counts:
    """Return how many bits are set along the last axis."""
    return np.bitwise_count(words).sum(axis=-1, dtype=np.int64)


class _Pairs:
    """Pairs along an axis of the slices; words lie along the other."""

    def __init__(self, shape: Sequence[int], longest: int) -> None:
        self.shape = shape
        self.longest = longest
        self.found = np.zeros((2, 2, 2, longest + 1), dtype=np.int64)  # z, along, across, lag

    def add(self, start: int, upper: int, words: NDArray[np.uint64]) -> None:
        """Count the pairs of one piece."""
        count = words.shape[2]
        middle = halves(count)[0].stop
        lines = np.ascontiguousarray(words.transpose(2, 0, 1, 3)).reshape(count, 2, -1)
        for lag in range(min(self.longest, count - 1) + 1):
            hits = _ones(lines[: count - lag] & lines[lag:])
            self.found[upper, 0, :, lag] += hits[:middle].sum(axis=0)
            self.found[upper, 1, :, lag] += hits[middle:].sum(axis=0)

    def counts(self, axis: int) -> Counts:
        """Return the pairs by part, in the order of ``parts``, and lag."""
        ordered = self.found if axis == ROWS else self.found.transpose(0, 2, 1, 3)
        return ordered.reshape(8, -1)


class _PairsAlongZ(_Pairs):
    """Pairs between slices; as many of the last ones are kept as the longest lag needs."""

    def __init__(self, shape: Sequence[int], longest: int) -> None:
        super().__init__(shape, longest)  # found: z, y, x, lag
        # Slice z lies at z modulo the number of slices kept, with its quarters and their words.
        self.kept = np.zeros((longest + 1, 4, 0), dtype=np.uint64)

    def add(self, start: int, upper: int, words: NDArray[np.uint64]) -> None:
        """Count the pairs that end in one piece."""
        middle = halves(self.shape[SLICES])[0].stop
        slices = self._by_slice(words)
        if not self.kept.size:
            self.kept = np.zeros((len(self.kept), *slices.shape[1:]), dtype=np.uint64)
        together = max(1, BLOCK_BYTES // slices[0].nbytes)
        for z, new in enumerate(slices, start=start):
            self.kept[z % len(self.kept)] = new
            for first in range(0, len(self.kept), together):
                others = self.kept[first : first + together]
                lag = (z - first - np.arange(len(others))) % len(self.kept)
                later = (z - lag >= middle).astype(np.int64)
                # Places not yet filled hold no bits.
                self.found[later, :, :, lag] += _ones(others & new).reshape(-1, 2, 2)

    def _by_slice(self, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the words of each quarter of each slice, in an array (slices, 4, words)."""
        _, count, rows, width = words.shape
        middle = halves(rows)[0].stop
        quarters = np.zeros((count, 2, 2, middle, width), dtype=np.uint64)
        for index, half in enumerate(halves(rows)):
            quarters[:, index, :, : half.stop - half.start] = words[:, :, half].transpose(
                1, 0, 2, 3
            )
        return quarters.reshape(count, 4, -1)

    def counts(self, axis: int) -> Counts:
        """Return the pairs by part and lag."""
        return self.found.reshape(8, -1)


class _Runs:
    """Runs along an axis of the slices, by the part in which they begin and by length."""

    def __init__(self, shape: Sequence[int], axis: int) -> None:
        self.shape = shape
        self.axis = axis
        self.size = shape[axis]
        self.middle = halves(self.size)[0].stop
        self.across = _others(axis)
        # Half along the axis, halves along the others, length.
        self.found = np.zeros((2, 2, 2, self.size + 1), dtype=np.int64)
        self.whole = np.zeros_like(self.found)  # without those that a face cuts

    def add(self, start: int, upper: int, lines: NDArray[np.bool_]) -> None:
        """Count the runs along the rows of one piece."""
        count, rows, size = lines.shape
        padded = np.zeros((count * rows, size + 2), dtype=bool)
        padded[:, 1:-1] = lines.reshape(-1, size)
        # Along a row, what is in the phase begins and ends in turn.
        borders = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
        line, first = np.divmod(borders[::2], size + 1)
        second_half = (line % rows >= halves(rows)[0].stop).astype(np.int64)
        self._count(2 * upper + second_half, first, borders[1::2] % (size + 1))

    def _count(self, quarter: Counts, first: Counts, end: Counts) -> None:
        """Count runs from ``first`` to before ``end``, told apart by where they lie across."""
        later = first >= self.middle
        part, length = 4 * later + quarter, end - first
        self.found += self._binned(part, length)
        whole = (first > 0) & (end < self.size)
        self.whole += self._binned(part[whole], length[whole])
        # What of a run lies beyond the middle begins there, in the other half.
        over = ~later & (end > self.middle)
        beyond = end[over] - self.middle
        self.found += self._binned(4 + quarter[over], beyond) - self._binned(quarter[over], beyond)

    def _binned(self, part: Counts, length: Counts) -> Counts:
        bins = part * (self.size + 1) + length
        return np.bincount(bins, minlength=self.found.size).reshape(self.found.shape)

    def chords(self) -> Counts:
        """Return the runs that no face cuts, by part and length; once all is counted."""
        return np.moveaxis(self.whole, 0, self.axis).reshape(8, -1)

    def segments(self) -> Counts:
        """Return, by part and lag, how many segments lie within runs."""
        at_least = self.found[..., ::-1].cumsum(axis=-1)[..., ::-1]
        longer = at_least[..., 1:]
        held = longer[..., ::-1].cumsum(axis=-1)[..., ::-1]
        return np.moveaxis(held, 0, self.axis).reshape(8, -1)


class _RunsAlongZ(_Runs):
    """Runs through slices, followed from piece to piece."""

    def __init__(self, shape: Sequence[int], axis: int) -> None:
        super().__init__(shape, axis)
        self.length = np.zeros(math.prod(shape[1:]), dtype=np.int32)

    def add(self, start: int, upper: int, lines: NDArray[np.bool_]) -> None:
        """Follow the runs through one piece, and count those that end in it."""
        for z, inside in enumerate(lines.reshape(len(lines), -1), start=start):
            self._end((self.length > 0) & ~inside, z)
            self.length += 1
            self.length *= inside

    def segments(self) -> Counts:
        """Return the segments, once the last slice is reached."""
        self._end(self.length > 0, self.size)
        self.length[:] = 0
        return super().segments()

    def _end(self, ended: NDArray[np.bool_], z: int) -> None:
        at = np.flatnonzero(ended)
        y, x = np.divmod(at, self.shape[COLUMNS])
        below = y >= halves(self.shape[ROWS])[0].stop
        right = x >= halves(self.shape[COLUMNS])[0].stop
        length = self.length[at].astype(np.int64)
        self._count(2 * below + right, z - length, np.full_like(length, z))
