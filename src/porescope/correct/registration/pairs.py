"""How far the content of one slice lies from that of another.

Two images of one place differ by noise, brightness, stripes and what was milled away between them.
What they share differs by frequency. The shift that maximizes the likelihood, were all that
Gaussian, is where the cross-spectrum weighted by coherence / (1 - coherence) is in phase: what does
not come back in other slices has no say, whatever made it.

References
----------
Knapp, Carter, IEEE Trans. Acoust. Speech Signal Process. 24 (1976) 320, equation 22.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.correct.registration.windows import Windows

# No frequency is trusted beyond this coherence: windows, binning and charging spoil all a little.
MOST_COHERENT = 0.95
# Independent values that a coherence is averaged over, as far as that needs no wider smoothing, in
# frequencies; and how many times what chance alone gives does not count. Few pairs would otherwise
# find coherence in noise at the shift they were believed to have.
ENOUGH, WIDEST, BY_CHANCE = 200, 4.0, 3.0
# What lies below this share of the mean power is trusted in no image: it may be rounding, what
# resampling adds, or have leaked there through the window, with which it moves.
FLOOR = 1e-2
# Before anything is known, detail finer than this many pixels is left out as noise.
FINEST_PX = 8
# Times the standard deviation of chance, for what few pairs by accident reach in noise.
CHANCE = 4.5
NEWTON_STEPS = 6

Spectra = NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class Weights:
    """How to weigh the cross-spectra of one kind of pair.

    Parameters
    ----------
    values : array of shape (frequencies along y, along x)
        What a cross-spectrum is multiplied by.
    expected : float
        The sum that a pair in phase reaches on average.
    """

    values: NDArray[np.float32]
    expected: float


def weigh(
    windows: Windows, spectra: Spectra, first: Sequence[int], second: Sequence[int]
) -> Weights:
    """Return the weights for pairs of one kind, from what these pairs share on average.

    Parameters
    ----------
    windows : Windows
    spectra : array of shape (images, windows, frequencies along y, along x)
        Each about the place where the content is believed to be.
    first, second : sequence of int
        The images of each pair.
    """
    from scipy import ndimage

    cross = np.zeros(spectra.shape[2:], np.complex128)
    power = np.zeros((2, *spectra.shape[2:]))
    for a, b in zip(first, second, strict=True):
        cross += (spectra[a].conj() * spectra[b]).sum(axis=0)
        power[0] += (np.abs(spectra[a]) ** 2).sum(axis=0)
        power[1] += (np.abs(spectra[b]) ** 2).sum(axis=0)
    count = len(first) * spectra.shape[1]
    # Fading ties neighbouring frequencies together: one in two along each axis is news.
    sigma = float(np.clip(np.sqrt(4 * ENOUGH / count / (4 * np.pi)), 0.7, WIDEST))
    own = np.prod([(1 - FLOOR * part.mean() / (part + 1e-30)).clip(0) for part in power], axis=0)
    cross = ndimage.gaussian_filter(cross, sigma, mode="nearest")
    power = np.stack([ndimage.gaussian_filter(part, sigma, mode="nearest") for part in power])
    power += 1e-12 * power.max() + 1e-30
    chance = min(1.0, BY_CHANCE * 4 / (count * 4 * np.pi * max(sigma, 0.5) ** 2))
    shared = np.abs(cross) ** 2 / (power[0] * power[1])
    shared = ((shared - chance) / (1 - chance + 1e-12)).clip(0, MOST_COHERENT)
    shared *= own * (windows.informative > 0)
    values = windows.informative * np.sqrt(shared) / (1 - shared) / np.sqrt(power[0] * power[1])
    expected = float((values * np.abs(cross)).sum()) / count
    return Weights(values.astype(np.float32), expected)


def weigh_blindly(windows: Windows, spectra: Spectra) -> Weights:
    """Return weights for pairs whose shift is not known yet: all but the finest detail, evenly.

    Of a spectrum that is evened out only the phase is left, so neither slow shading nor the few
    large pores of a small image outweigh its many edges (the phase transform of Knapp and Carter).

    Parameters
    ----------
    windows : Windows
    spectra : array of shape (images, windows, frequencies along y, along x)
    """
    from scipy import ndimage

    power = ndimage.gaussian_filter((np.abs(spectra) ** 2).mean(axis=(0, 1)), 2, mode="nearest")
    power += FLOOR * power.mean() + 1e-30
    ky, kx = windows.frequencies
    finest = 2 * np.pi / (FINEST_PX * windows.binning)
    share = np.exp(-(ky[:, np.newaxis] ** 2 + kx**2) / (2 * finest**2)) * windows.informative
    return Weights((share / power).astype(np.float32), float(share.sum()))


def measure(
    windows: Windows, weights: Weights, first: Spectra, second: Spectra, radius_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far content lies from its place in the second of two images, and how surely.

    Parameters
    ----------
    windows : Windows
    weights : Weights
    first, second : arrays of shape (frequencies along y, along x)
        The window in both images.
    radius_px : float
        How far to look.

    Returns
    -------
    shift : array of shape (2,)
        What to add to the y, x of the second's content to match the first's.
    information : array of shape (2, 2)
        The curvature of the likelihood, less for what is not as much alike as other pairs; zero
        where there is no maximum within reach, or none beyond chance.
    """
    cross = weights.values * (first * second.conj())
    ky, kx = windows.frequencies
    nothing = np.zeros(2), np.zeros((2, 2))
    if weights.expected <= 0 or not cross.any():
        return nothing
    step = windows.binning / 2
    reach = step * np.arange(-np.ceil(radius_px / step), np.ceil(radius_px / step) + 1)
    down = np.exp(1j * np.outer(reach, ky)).astype(np.complex64)
    across = np.exp(1j * np.outer(kx, reach)).astype(np.complex64)
    height = (down @ cross @ across).real
    y, x = np.unravel_index(int(height.argmax()), height.shape)
    shift = np.array([reach[y], reach[x]])
    value, slope, curve = _climb(cross, ky, kx, shift)
    for _ in range(NEWTON_STEPS):
        if np.linalg.eigvalsh(curve)[0] <= 0:
            return nothing
        move = np.linalg.solve(curve, slope)
        move *= min(1.0, step / max(float(np.abs(move).max()), 1e-12))
        shift = shift + move
        value, slope, curve = _climb(cross, ky, kx, shift)
        if np.abs(move).max() < 1e-4 * windows.binning:
            break
    if np.abs(shift).max() > radius_px + step or np.linalg.eigvalsh(curve)[0] <= 0:
        return nothing
    # Were the two unrelated, the phases would be random, and the sum that of a random walk.
    if value < CHANCE * np.sqrt((np.abs(cross) ** 2).sum() / 2):
        return nothing
    alike = float(np.clip(value / weights.expected, 0, 1))
    return shift, curve * alike**2


def _climb(
    cross: Spectra, ky: NDArray[np.float64], kx: NDArray[np.float64], shift: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the likelihood of a shift, its gradient, and minus its second derivatives."""
    y, x = np.exp(1j * ky * shift[0]), np.exp(1j * kx * shift[1])
    by_x = np.stack([x, kx * x, kx**2 * x], axis=1).astype(np.complex64)
    by_y = np.stack([y, ky * y, ky**2 * y]).astype(np.complex64)
    sums = by_y @ (cross @ by_x)
    slope = -np.array([sums[1, 0].imag, sums[0, 1].imag], dtype=np.float64)
    mixed = sums[1, 1].real
    curve = np.array([[sums[2, 0].real, mixed], [mixed, sums[0, 2].real]], dtype=np.float64)
    return float(sums[0, 0].real), slope, curve
