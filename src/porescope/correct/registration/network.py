"""All images of a sample, and the pairs of them that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from porescope.correct.registration.pairs import Spectra, Weights, measure, weigh, weigh_blindly
from porescope.correct.registration.solve import Pairs, Solution, solve
from porescope.correct.registration.windows import Windows
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel, Progress, track

Model = Literal["translation", "rigid", "affine"]
Kind = tuple[NDArray[np.int64], NDArray[np.int64]]

# Slices apart within a stack: each the sum of the two before, so that the steps across a whole
# stack are few and none has to be taken from noise alone.
BASELINES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)
# Slices apart between voltages: the same face, and crosswise.
CROSSWISE = (0, -1, 1, -2, 2)
# At first images are looked at in so many pixels, and as many slices apart: neighbours alone would
# follow a structure that leans.
COARSE_PX, COARSE_SLICES = 256, 13
# What a pair should tell is the median over so many of its kind, along the stack, though no less
# than a share of the median of all.
NEAR_SLICES, LEAST_USUAL = 21, 0.05
# Slices apart at most, and how far to look, in pixels of the spectra.
ROUNDS = ((3, 6.0), (BASELINES[-1], 4.0), (BASELINES[-1], 2.0))


@dataclass(frozen=True, eq=False)
class Network:
    """The images of one sample: slice i of stack s is image ``s * slices + i``.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one shape.
    progress, cancel
        See :mod:`porescope.tracking`.
    """

    stacks: Sequence[Stack]
    progress: Progress
    cancel: Cancel

    @property
    def slices(self) -> int:
        """How many slices a stack has."""
        return self.stacks[0].shape[SLICES]

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.stacks) * self.slices

    @property
    def shape(self) -> NDArray[np.int64]:
        """Pixels (y, x) of an image."""
        return np.array(self.stacks[0].shape[1:])

    def kinds(self, longest: int) -> Iterator[Kind]:
        """Yield the images of all pairs up to so many slices apart, pairs of one kind together."""
        index = np.arange(self.slices)
        # A kind of few pairs cannot tell what they share from chance.
        most = max(1, (self.slices - 1) // 2)
        starts = [number * self.slices for number in range(len(self.stacks))]
        for start in starts:
            for apart in (
                apart for apart in BASELINES if apart <= min(longest, most, self.slices - 1)
            ):
                yield start + index[:-apart], start + index[apart:]
        for number, start in enumerate(starts):
            for other in starts[number + 1 :]:
                for apart in (
                    apart for apart in CROSSWISE if abs(apart) <= min(most, self.slices - 1)
                ):
                    here = index[max(-apart, 0) : self.slices - max(apart, 0)]
                    yield start + here, other + here + apart

    def look(self, windows: Windows, centres: NDArray[np.float64]) -> Spectra:
        """Return the spectra of all images around ``centres`` (images, windows, 2)."""
        size = tuple(part.size for part in windows.frequencies)
        spectra = np.empty((*centres.shape[:2], *size), np.complex64)
        for image in track(range(self.images), self.progress, self.cancel):
            stack, index = divmod(image, self.slices)
            spectra[image] = windows.spectra(self.stacks[stack], index, centres[image])
        return spectra

    def coarse(self, area: tuple[slice, slice]) -> NDArray[np.float64]:
        """Return about where all images lie: what to add to their y, x, (images, 2).

        Parameters
        ----------
        area : pair of slices
            Rows and columns to look at.
        """
        middle = np.array([(part.start + part.stop - 1) / 2 for part in area])
        size = np.array([part.stop - part.start for part in area])
        windows = Windows.of(size.tolist(), largest_px=COARSE_PX)
        spectra = self.look(windows, np.broadcast_to(middle, (self.images, 1, 2)))
        weights = weigh_blindly(windows, spectra)
        radius = float(size.min()) / 2
        pairs = Pairs(2)
        for first, second in self.kinds(COARSE_SLICES):
            for a, b in zip(first.tolist(), second.tolist(), strict=True):
                pairs.add(a, b, *measure(windows, weights, spectra[a, 0], spectra[b, 0], radius))
        return solve(self.images, pairs).places


@dataclass(frozen=True, eq=False)
class Places:
    """Where all images lie, in numbers that pairs can tell the differences of.

    Parameters
    ----------
    values : array of shape (images, parameters)
        Offset y, x in pixels; then, of a rigid model, the rotation, and of an affine one the four
        elements of the linear part less the identity, all in pixels at ``lever_px``.
    centre : array of shape (2,)
        What linear parts turn about.
    lever_px : float
        Half the larger side of an image.
    """

    values: NDArray[np.float64]
    centre: NDArray[np.float64]
    lever_px: float

    @classmethod
    def start(
        cls, offsets_px: NDArray[np.float64], model: Model, shape: NDArray[np.int64]
    ) -> Places:
        """Return places without a linear part yet."""
        more = {"translation": 0, "rigid": 1, "affine": 4}[model]
        values = np.concatenate([offsets_px, np.zeros((len(offsets_px), more))], axis=1)
        return cls(values, (shape - 1) / 2, float(shape.max()) / 2)

    def moved(self, by: NDArray[np.float64], fixed: int) -> Places:
        """Return places corrected by a solution, in the frame of one image."""
        values = self.values + by
        return Places(values - values[fixed], self.centre, self.lever_px)

    @property
    def linear(self) -> NDArray[np.float64] | None:
        """The linear part of each image, (images, 2, 2)."""
        parts = self.values[:, 2:] / self.lever_px
        if parts.shape[1] == 0:
            return None
        if parts.shape[1] == 4:
            return np.eye(2) + parts.reshape(-1, 2, 2)
        sine, cosine = np.sin(parts[:, 0]), np.cos(parts[:, 0])
        return np.stack([cosine, -sine, sine, cosine], axis=1).reshape(-1, 2, 2)

    def seen(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where each image shows points (n, 2) of the frame: (images, n, 2)."""
        about = points - self.centre - self.values[:, np.newaxis, :2]
        if self.linear is not None:
            about = np.einsum("iab,ipb->ipa", np.linalg.inv(self.linear), about)
        return self.centre + about

    def moves(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far each parameter moves points of the frame: (n, 2, parameters)."""
        y, x = (points - self.centre).T / self.lever_px
        one, zero = np.ones_like(y), np.zeros_like(y)
        down, across = {
            2: ([one, zero], [zero, one]),
            3: ([one, zero, -x], [zero, one, y]),
            6: ([one, zero, y, x, zero, zero], [zero, one, zero, zero, y, x]),
        }[self.values.shape[1]]
        return np.stack([np.stack(down, axis=1), np.stack(across, axis=1)], axis=1)


@dataclass(frozen=True, eq=False)
class Measured:
    """All pairs, and what a usual pair of the same kind tells.

    Parameters
    ----------
    pairs : Pairs
    usual : array of shape (pairs,)
        Median trace of the information among pairs of its kind not far along the stack.
    """

    pairs: Pairs
    usual: NDArray[np.float64]

    @property
    def told(self) -> NDArray[np.float64]:
        """What each pair tells beside the usual, from 0 to 1."""
        traces = np.trace(np.array(self.pairs.information), axis1=1, axis2=2)
        return (traces / np.maximum(self.usual, 1e-30)).clip(0, 1)


def measured(
    network: Network,
    windows: Windows,
    points: NDArray[np.float64],
    places: Places,
    longest: int,
    radius_px: float,
) -> Measured:
    """Look at all images where content is believed to be, and compare them pair by pair.

    Parameters
    ----------
    network : Network
    windows : Windows
    points : array of shape (windows, 2)
        Middle of each window in the frame.
    places : Places
        As far as they are known.
    longest : int
        Slices apart, at most.
    radius_px : float
        How far content may lie from where it is believed to be.
    """
    from scipy import ndimage

    spectra = network.look(windows, places.seen(points))
    moves = places.moves(points)
    pairs = Pairs(moves.shape[2])
    usual: list[float] = []
    for first, second in track(list(network.kinds(longest)), network.progress, network.cancel):
        weights = weigh(windows, spectra, first.tolist(), second.tolist())
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            pairs.add(a, b, *_compared(windows, weights, spectra[a], spectra[b], moves, radius_px))
        traces = np.trace(pairs.information[-len(first) :], axis1=1, axis2=2)
        near = ndimage.median_filter(traces, NEAR_SLICES, mode="nearest")
        usual += np.maximum(near, LEAST_USUAL * np.median(traces)).tolist()
    return Measured(pairs, np.array(usual))


def _compared(
    windows: Windows,
    weights: Weights,
    first: Spectra,
    second: Spectra,
    moves: NDArray[np.float64],
    radius_px: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what one pair tells of the parameters, from all of its windows."""
    information = np.zeros((moves.shape[2],) * 2)
    told = np.zeros(moves.shape[2])
    for here, there, move in zip(first, second, moves, strict=True):
        shift, curve = measure(windows, weights, here, there, radius_px)
        information += move.T @ curve @ move
        told += move.T @ curve @ shift
    return np.linalg.pinv(information, rcond=1e-9, hermitian=True) @ told, information


def place(
    network: Network,
    windows: Windows,
    points: NDArray[np.float64],
    places: Places,
    fixed: int,
) -> tuple[Places, Measured, Solution]:
    """Find where all images lie, from neighbours first and then across the whole stack.

    Parameters
    ----------
    network, windows, points
        As for :func:`measured`.
    places : Places
        Where to begin.
    fixed : int
        The image whose frame it is.
    """
    for longest, radius_px in ROUNDS:
        found = measured(network, windows, points, places, longest, radius_px * windows.binning)
        solution = solve(network.images, found.pairs)
        places = places.moved(solution.places, fixed)
    return places, found, solution
