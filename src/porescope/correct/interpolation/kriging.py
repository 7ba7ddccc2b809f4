"""Planes between slices by kriging: the best linear estimate under the covariance of the slices.

The covariance along z cannot be seen in slices that lie apart, so the structure is taken to be
isotropic: what correlates over a distance within a slice does so across slices. Because a slice is
known at every pixel, the estimate separates by frequency within the plane: at each, a missing
plane is a weighted sum of the slices around it, and the weights depend on distances along z alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.correct.interpolation.borders import border_field
from porescope.correct.interpolation.gaps import Gap

Floats = NDArray[np.floating]

LONGEST_LAG = 48
"""Pixels over which a covariance is measured."""

BIN = 0.5
"""Pixels; lags of about one length make one value of the covariance."""

NUGGET = 1e-4
"""Share of the strongest frequency that is noise at every frequency: pixels cut borders roughly."""

LEAST_VARIANCE = 1e-9
"""Of a field, at one frequency: slices without any border leave nothing to solve."""

MARGIN = 24
"""Pixels by which a slice is mirrored beyond its edges, for a Fourier transform wraps around."""


@dataclass(frozen=True, eq=False)
class Covariance:
    """An isotropic covariance in space, as its power spectrum: never negative, so a covariance.

    Parameters
    ----------
    wave_numbers : array of shape (shells,)
        In radians per pixel, evenly spaced: the middle of each shell in frequency space.
    power : array of shape (shells,)
        Variance within each shell, 0 or more.
    """

    wave_numbers: Floats
    power: Floats

    @classmethod
    def of(cls, fields: Sequence[Floats], pixel: Sequence[float] = (1.0, 1.0)) -> Covariance:
        """Measure the covariance of slices, and extend it to space.

        Parameters
        ----------
        fields : sequence of arrays of shape (y, x)
            With mean zero.
        pixel : two floats
            Extent of a pixel along y and x; lengths are in the same unit.
        """
        from scipy.optimize import nnls

        lag, covariance = _radial_covariance(fields, pixel)
        longest = float(lag[-1]) + BIN
        highest = float(np.hypot(*(np.pi / np.asarray(pixel))))
        wave_numbers = (np.arange(int(highest * longest / np.pi) + 1) + 0.5) * np.pi / longest
        # Long lags are measured badly, and longer ones not at all: the covariance is faded out.
        faded = covariance * np.cos(np.pi / 2 * lag / longest) ** 3
        trust = np.sqrt(lag + BIN)
        shells = np.sinc(np.outer(lag, wave_numbers) / np.pi)
        power, _ = nnls(shells * trust[:, np.newaxis], faded * trust)
        return cls(wave_numbers, power)

    def in_planes(self, in_plane: Floats, distance: Floats) -> Floats:
        """Return the covariance, at frequencies within planes, between planes at some distance.

        Parameters
        ----------
        in_plane : array of shape (n,)
            Frequencies in radians per pixel.
        distance : array of shape (m,)
            Between planes, in pixels.

        Returns
        -------
        array of shape (n, m)
        """
        step = self.wave_numbers[0] * 2
        inner, outer = (
            np.sqrt(np.clip(edge**2 - in_plane[:, np.newaxis] ** 2, 0, None))
            for edge in (self.wave_numbers - step / 2, self.wave_numbers + step / 2)
        )
        density = self.power / (2 * np.pi * self.wave_numbers**2 * step) * (outer - inner)
        along_z = (inner + outer) / 2
        return np.stack([(density * np.cos(along_z * d)).sum(axis=1) for d in distance], axis=1)


@dataclass(frozen=True, eq=False)
class Weights:
    """What each source counts in each missing plane, by frequency within the plane.

    Parameters
    ----------
    in_plane : array of shape (n,)
        Frequencies in radians per pixel.
    weights : array of shape (missing, sources, n)
    deviation : array of shape (missing,)
        Standard deviation of what the estimate misses.
    """

    in_plane: Floats
    weights: Floats
    deviation: Floats

    @classmethod
    def between(cls, covariance: Covariance, sources_z: Floats, missing_z: Floats) -> Weights:
        """Solve the kriging equations; positions are in pixels."""
        in_plane = np.linspace(0, covariance.wave_numbers[-1], 2 * len(covariance.wave_numbers))
        distance = np.abs(np.concatenate([sources_z, missing_z])[:, np.newaxis] - sources_z)
        different, which = np.unique(distance, return_inverse=True)
        table = covariance.in_planes(in_plane, np.concatenate([[0.0], different]))
        variance, between = table[:, 0], table[:, 1:][:, which.reshape(distance.shape)]
        known, wanted = np.split(between, [len(sources_z)], axis=1)
        noise = NUGGET * max(variance.max(), LEAST_VARIANCE)
        solved = np.linalg.solve(known + noise * np.eye(len(sources_z)), wanted.mT)
        missed = variance[:, np.newaxis] - np.einsum("nms,nsm->nm", wanted, solved)
        ring = 2 * np.pi * in_plane * in_plane[1]
        deviation = np.sqrt(np.clip(ring @ missed, 0, None))
        return cls(in_plane, solved.transpose(2, 1, 0), deviation)


FINE = 4096
"""Entries of the table in which weights are looked up by frequency."""


def to_frequencies(field: Floats) -> NDArray[np.complex64]:
    """Return the Fourier transform of a slice that is mirrored beyond its edges."""
    from scipy import fft

    sizes = zip(field.shape, _padded(field.shape), strict=True)
    padding = [(MARGIN, size - MARGIN - n) for n, size in sizes]
    return fft.rfft2(np.pad(field.astype(np.float32), padding, mode="symmetric"))


def krige(
    frequencies: Sequence[NDArray[np.complex64]],
    weights: Weights,
    shape: tuple[int, int],
    pixel: Sequence[float] = (1.0, 1.0),
) -> NDArray[np.float32]:
    """Return the missing planes.

    Parameters
    ----------
    frequencies : sequence of arrays
        What :func:`to_frequencies` made of each source.
    weights : Weights
    shape : (y, x)
        Of the slices.
    pixel : two floats
        As for the covariance.

    Returns
    -------
    array of shape (missing, y, x), float32
    """
    from scipy import fft

    size = _padded(shape)
    along_y = 2 * np.pi * fft.fftfreq(size[0], pixel[0])
    along_x = 2 * np.pi * fft.rfftfreq(size[1], pixel[1])
    fine = np.linspace(0, weights.in_plane[-1], FINE)
    place = np.rint(np.hypot(along_y[:, np.newaxis], along_x) / fine[1]).astype(np.intp)
    np.minimum(place, FINE - 1, out=place)
    planes = np.empty((len(weights.weights), *shape), np.float32)
    for plane, of_sources in zip(planes, weights.weights, strict=True):
        total = np.zeros(place.shape, np.complex64)
        for weight, source in zip(of_sources, frequencies, strict=True):
            total += np.interp(fine, weights.in_plane, weight).astype(np.float32)[place] * source
        whole = fft.irfft2(total, size)
        plane[:] = whole[MARGIN : MARGIN + shape[0], MARGIN : MARGIN + shape[1]]
    return planes


REACH = 3
"""Slices on each side of a gap: more distant ones add nothing but noise."""

ENOUGH_PX = 1 << 19
"""Pixels that tell a covariance well; of large slices those nearest to the gap are enough."""


class PreparedSlice(NamedTuple):
    """A border field and its Fourier transform, see :func:`to_frequencies`."""

    field: NDArray[np.float32]
    frequencies: NDArray[np.complex64]


@dataclass(frozen=True)
class Kriging:
    """Evidence of a phase: its border field, estimated by kriging.

    Parameters
    ----------
    pixel : two floats
        Extent of a pixel along y and x, in units in which its area is 1.
    plane_distance : float
        Of neighbouring planes, in the same unit.
    """

    pixel: tuple[float, float]
    plane_distance: float
    reach: int = REACH

    def prepare(self, inside: NDArray[np.bool_]) -> PreparedSlice:
        """Return what is needed of one slice."""
        field = border_field(inside, self.pixel)
        return PreparedSlice(field, to_frequencies(field))

    def evidence(self, prepared: Sequence[PreparedSlice], gap: Gap) -> NDArray[np.float32]:
        """Return the estimated border field in every missing plane."""
        return self.estimate(prepared, gap)[0]

    def estimate(
        self, prepared: Sequence[PreparedSlice], gap: Gap
    ) -> tuple[NDArray[np.float32], Floats]:
        """Return the estimate (missing, y, x), and the standard deviation of each plane of it."""
        fields = [each.field for each in prepared]
        shape = fields[0].shape
        mean = float(np.mean([field.mean() for field in fields]))
        enough = max(2, ENOUGH_PX // fields[0].size)
        nearest = np.argsort(np.abs(gap.sources - gap.missing.mean()), kind="stable")[:enough]
        covariance = Covariance.of([fields[index] - mean for index in nearest], self.pixel)
        weights = Weights.between(
            covariance, gap.sources * self.plane_distance, gap.missing * self.plane_distance
        )
        estimate = krige([each.frequencies for each in prepared], weights, shape, self.pixel)
        # The mean is no part of what is estimated, but the Fourier transforms hold it.
        known_mean = weights.weights[:, :, 0].sum(axis=1)
        estimate += ((1 - known_mean) * mean).astype(np.float32)[:, np.newaxis, np.newaxis]
        return estimate, weights.deviation


def _padded(shape: Sequence[int]) -> tuple[int, int]:
    from scipy import fft

    height, width = (fft.next_fast_len(size + 2 * MARGIN, real=True) for size in shape)
    return height, width


def _radial_covariance(fields: Sequence[Floats], pixel: Sequence[float]) -> tuple[Floats, Floats]:
    """Return lags, and the mean product of pixels that lie so far apart."""
    from scipy import fft

    height, width = fields[0].shape
    longest = min(LONGEST_LAG, max(2, min(height, width) // 2)) * max(pixel)
    far_y, far_x = min(int(longest / pixel[0]), height - 1), min(int(longest / pixel[1]), width - 1)
    # So much room that nothing wraps around to a lag that is looked at.
    size = tuple(fft.next_fast_len(n, real=True) for n in (height + far_y, width + far_x))
    spectrum = sum(np.abs(fft.rfft2(field, size)) ** 2 for field in fields)
    down, across = np.arange(-far_y, far_y + 1), np.arange(-far_x, far_x + 1)
    products = fft.irfft2(spectrum, size)[np.ix_(down, across)]
    pairs = len(fields) * np.outer(height - np.abs(down), width - np.abs(across))
    lag = np.hypot(down[:, np.newaxis] * pixel[0], across * pixel[1])
    near = lag <= longest
    bins = (lag[near] / BIN).astype(np.intp)
    count, distance, product = (
        np.bincount(bins, weight[near]) for weight in (pairs, pairs * lag, products)
    )
    some = count > 0
    return distance[some] / count[some], product[some] / count[some]
