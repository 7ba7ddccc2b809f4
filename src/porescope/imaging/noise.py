"""From mean brightness to an image as a microscope records it: noise, drift and curtains.

Monte Carlo gives what a pixel shows on average, and a real stack shows more. In the order in which
a microscope adds it: :func:`curtains`, :func:`apply_drift`, :func:`shot_noise`,
:func:`detector_noise`. What is drawn for a slice hangs on the seed, the slice's index and what it
is drawn for alone, so that slices can be made in any order. Images of one slice at several voltages
need seeds of their own, lest they share their noise.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError
from porescope.geometry.blocks import check_above_zero, check_count, check_seed
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

_ELEMENTARY_CHARGE = 1.602176634e-19
_MOST_COUNTS = 2.0**53  # whole numbers beyond are not exact
_EDGE_PX = 2.0  # fine enough for thin structures, coarse enough not to take grain for edges
_WIDEST = 3.0  # deviations, beyond which a Gaussian is taken for 0


def slice_random(purpose: str, seed: int, slice_index: int = 0) -> np.random.Generator:
    """Return random numbers of a slice's own, and of one purpose's own.

    Raises
    ------
    PorescopeError
        If the seed or the index is none.
    """
    check_seed(seed)
    if slice_index < 0:
        raise PorescopeError(f"Slices count from 0; there is none with index {slice_index}.")
    key = (zlib.crc32(purpose.encode()), int(slice_index))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(int(seed), spawn_key=key)))


def electrons_per_pixel(current_pa: float, dwell_us: float) -> float:
    """Return how many electrons a beam puts into a pixel on average.

    Parameters
    ----------
    current_pa, dwell_us : float
        Of the beam, in pA, and on the pixel, in microseconds.

    Raises
    ------
    PorescopeError
        If one is not above 0.
    """
    check_above_zero("The beam current in pA", current_pa)
    check_above_zero("The dwell time in microseconds", dwell_us)
    return current_pa * 1e-12 * dwell_us * 1e-6 / _ELEMENTARY_CHARGE


def shot_noise(
    image: ArrayLike, electrons: float, *, seed: int = 0, slice_index: int = 0
) -> NDArray[np.float32]:
    """Return an image that a finite number of electrons makes.

    Parameters
    ----------
    image : array of shape (y, x)
        Mean signal for each electron that goes in. Where it comes from few simulated electrons, it
        has their noise already, and more is added.
    electrons : float
        For each pixel, see :func:`electrons_per_pixel`.
    seed, slice_index : int, optional
        Together they name the noise.

    Returns
    -------
    array of shape (y, x), float32
        ``Poisson(electrons * image) / electrons``: mean ``image``, variance ``image / electrons``.

    Raises
    ------
    PorescopeError
        If the image is not a plane of numbers from 0 on, or a parameter is out of its range.
    """
    check_above_zero("The number of electrons for each pixel", electrons)
    mean = electrons * _brightness(image)
    if mean.max() > _MOST_COUNTS:
        raise PorescopeError(
            f"{mean.max():.3g} counts in a pixel are more than can be drawn; take fewer electrons."
        )
    counts = slice_random("shot", seed, slice_index).poisson(mean)
    return (counts / electrons).astype(np.float32)


def noise_for_snr(
    image: ArrayLike,
    snr: float = 8.33,
    *,
    brightness: float | None = None,
    seed: int = 0,
    slice_index: int = 0,
) -> NDArray[np.float32]:
    """Return an image with the shot noise that gives homogeneous areas a signal-to-noise ratio.

    Parameters
    ----------
    image : array of shape (y, x)
        Noise-free, from 0 on.
    snr : float, optional
        Mean over standard deviation of the pixels in a homogeneous area; by default as measured on
        Monte Carlo images of carbon, whose 69 counts are those of 1,000 electrons a pixel.
    brightness : float, optional
        Of the area, since shot noise makes the ratio grow as the square root of the brightness; by
        default the mean of the image. Give it for a stack, so that all slices get the same dose.
    seed, slice_index : int, optional
        Together they name the noise.

    Returns
    -------
    array of shape (y, x), float32
        Mean ``image``, variance ``image * brightness / snr^2``.

    Raises
    ------
    PorescopeError
        As for :func:`shot_noise`, or if nothing in the image is bright.

    References
    ----------
    T. Dahmen et al., A Neural Model for High-Performance Scanning Electron Microscopy Image
    Simulation of Porous Materials, section 2.8.
    """
    check_above_zero("The signal-to-noise ratio", snr)
    if brightness is None:
        brightness = float(_brightness(image).mean())
        if brightness == 0:
            raise PorescopeError(
                "The image is black, so that no noise follows from its brightness."
            )
    check_above_zero("The brightness of the homogeneous area", brightness)
    return shot_noise(image, snr**2 / brightness, seed=seed, slice_index=slice_index)


def detector_noise(
    image: ArrayLike, deviation: float, *, seed: int = 0, slice_index: int = 0
) -> NDArray[np.float32]:
    """Return an image with Gaussian noise, which amplifiers add whatever the brightness.

    Parameters
    ----------
    image : array of shape (y, x)
    deviation : float
        Standard deviation, in the image's unit.
    seed, slice_index : int, optional
        Together they name the noise.

    Returns
    -------
    array of shape (y, x), float32

    Raises
    ------
    PorescopeError
        If the image is not a plane of numbers or a parameter is out of its range.
    """
    grey = _plane(image)
    _check_from_zero("The deviation of the detector's noise", deviation)
    random = slice_random("detector", seed, slice_index)
    return (grey + random.normal(0.0, deviation, grey.shape)).astype(np.float32)


def poisson_gaussian_noise(
    image: ArrayLike,
    levels: float = 256,
    variance: float = 0.001,
    *,
    seed: int = 0,
    slice_index: int = 0,
) -> NDArray[np.float32]:
    """Return an image with Poisson noise, then Gaussian noise, each cut to 0 to 1.

    This is how training data were made to look real without a dose. The reference takes the Poisson
    noise from scikit-image, which counts the grey values that occur in an image: 256 in one of 8
    bits, but as many as it has pixels in one of floats, which then stays nearly free of noise. Here
    the number is given.

    Parameters
    ----------
    image : array of shape (y, x)
        From 0 to 1.
    levels : float, optional
        Counts that make a pixel white.
    variance : float, optional
        Of the Gaussian noise.
    seed, slice_index : int, optional
        Together they name the noise.

    Returns
    -------
    array of shape (y, x), float32
        From 0 to 1; before it is cut the mean is ``image``, the variance
        ``image / levels + variance``.

    Raises
    ------
    PorescopeError
        If the image is not a plane of numbers from 0 to 1, or a parameter is out of its range.

    References
    ----------
    T. Sardhara et al., Front. Mater. 9 (2022) 837006, doi:10.3389/fmats.2022.837006, section 2.2.1.
    """
    brightest = _brightness(image).max()
    if brightest > 1:
        raise PorescopeError(
            f"This noise is for images scaled to 0 to 1, but one pixel is {brightest:g}; divide "
            "the stack by its largest value."
        )
    _check_from_zero("The variance of the Gaussian noise", variance)
    counted = np.clip(shot_noise(image, levels, seed=seed, slice_index=slice_index), 0, 1)
    noisy = detector_noise(counted, math.sqrt(variance), seed=seed, slice_index=slice_index)
    return np.clip(noisy, 0, 1)


def blur_edges(
    image: ArrayLike, sigma_px: float = 1.0, *, contrast: float | None = None
) -> NDArray[np.float32]:
    """Return an image whose edges are blurred and whose even areas keep their grain.

    The four steps of the reference: find the edges, by the gradient; weigh pixels by them, with 1
    on the edge of a step as high as the contrast and less on lower ones; blur the whole image; take
    the blurred one by its weight and the original by the rest. Weights fall off beside an edge as
    the blur's Gaussian does, so structures that are thinner than the blur are blurred as a whole.

    Parameters
    ----------
    image : array of shape (y, x)
    sigma_px : float, optional
        Standard deviation of the Gaussian that blurs; the reference names none. Up to 2 px it also
        finds the edges.
    contrast : float, optional
        Between solid and pore, in the image's unit; by default what the smoothed image spans. Give
        it for a stack, so that a slice without edges stays as it is.

    Returns
    -------
    array of shape (y, x), float32

    Raises
    ------
    PorescopeError
        If the image is not a plane of numbers or a parameter is not above 0.

    References
    ----------
    T. Sardhara et al., Front. Mater. 9 (2022) 837006, doi:10.3389/fmats.2022.837006, section 2.2.2.
    """
    from scipy import ndimage

    grey = _plane(image)
    check_above_zero("The blur of edges in pixels", sigma_px)
    # On a wider scale than this the two edges of a thin structure would cancel.
    found_px = min(sigma_px, _EDGE_PX)
    if contrast is None:
        contrast = float(np.ptp(ndimage.gaussian_filter(grey, found_px)))
        if contrast == 0:
            return grey.astype(np.float32)
    check_above_zero("The contrast between solid and pore", contrast)
    steepest = contrast / (math.sqrt(2 * math.pi) * found_px)
    edges = ndimage.gaussian_gradient_magnitude(grey, found_px)
    mask = _widened(np.minimum(edges / steepest, 1), math.sqrt(sigma_px**2 - found_px**2))
    blurred = ndimage.gaussian_filter(grey, sigma_px)
    return (grey + mask * (blurred - grey)).astype(np.float32)


def _widened(mask: NDArray[np.float64], deviation_px: float) -> NDArray[np.float64]:
    """Return the largest of all weights about a pixel, less the farther they are, as a Gaussian.

    A mask that is a Gaussian itself becomes one of the root of the sum of both squares.
    """
    from scipy import ndimage

    if deviation_px == 0:
        return mask
    logarithm = np.log(np.maximum(mask, np.exp(-(_WIDEST**2))))
    for axis in range(2):
        reach = min(math.ceil(_WIDEST * deviation_px), mask.shape[axis])
        fall = -((np.arange(-reach, reach + 1) / deviation_px) ** 2) / 2
        along = np.expand_dims(fall, 1 - axis)
        logarithm = ndimage.grey_dilation(logarithm, structure=along, mode="nearest")
    return np.exp(logarithm)


def drift_offsets_px(
    count: int,
    *,
    linear_px: Sequence[float] = (0.0, 0.0),
    walk_px: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return how far each slice has drifted: steadily, and by a random walk.

    Parameters
    ----------
    count : int
        How many slices.
    linear_px : sequence of two floats, optional
        Steady drift (y, x) from slice to slice, in pixels.
    walk_px : float, optional
        Standard deviation of the random step from slice to slice, along y and along x.
    seed : int, optional
        With the same seed a longer stack begins as a shorter one does.

    Returns
    -------
    array of shape (count, 2), float64
        Where the content of each slice has moved to (y, x), in pixels, 0 for the first. An
        alignment that undoes it has minus these offsets.

    Raises
    ------
    PorescopeError
        If a number is out of its range.
    """
    check_count("The number of slices", count)
    steady = np.asarray(linear_px, np.float64)
    if steady.shape != (2,) or not np.isfinite(steady).all():
        raise PorescopeError(f"The steady drift must be two numbers (y, x), not {linear_px!r}.")
    _check_from_zero("The random drift in pixels", walk_px)
    steps = steady + slice_random("drift", seed).normal(0.0, walk_px, (count - 1, 2))
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def apply_drift(
    images: Any,
    offsets_px: ArrayLike,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> NDArray[np.float32]:
    """Return slices with their content moved, by cubic splines between pixels.

    Borders that come into view repeat the last pixel that is known. Values stay in the range of
    their slice.

    Parameters
    ----------
    images : array of shape (z, y, x)
        Numpy or dask array, a whole stack or some of its slices.
    offsets_px : array of shape (z, 2)
        How far to move the content of each along y and x, see :func:`drift_offsets_px`.
    progress, cancel : callable, optional
        As everywhere, see :mod:`porescope.tracking`.

    Returns
    -------
    array of shape (z, y, x), float32

    Raises
    ------
    PorescopeError
        If there is not one offset for each slice, or one leaves nothing of it in view.
    """
    from scipy import ndimage

    offsets = np.asarray(offsets_px, np.float64)
    if np.ndim(images) != 3 or offsets.shape != (len(images), 2):
        raise PorescopeError(
            f"Drift takes slices (z, y, x) and as many offsets (z, 2), not shapes "
            f"{np.shape(images)} and {offsets.shape}."
        )
    away = ~(np.abs(offsets) < np.shape(images)[1:]).all(axis=1)
    if away.any():
        index = int(np.flatnonzero(away)[0])
        raise PorescopeError(
            f"Slice {index} would drift by {offsets[index].tolist()} pixels (y, x), out of its "
            f"image of {np.shape(images)[1:]}; take a weaker drift."
        )
    moved = np.empty(np.shape(images), np.float32)
    for index in track(range(len(images)), progress, cancel):
        grey = _plane(images[index])
        shifted = ndimage.shift(grey, offsets[index], order=3, mode="nearest")
        moved[index] = np.clip(shifted, grey.min(), grey.max())
    return moved


def curtains(
    image: ArrayLike,
    amplitude: float,
    *,
    width_px: float = 10.0,
    depth_slices: float = 10.0,
    seed: int = 0,
    slice_index: int = 0,
) -> NDArray[np.float32]:
    """Return an image with the stripes that milling leaves along y.

    Each column is brightened or dimmed by a factor of mean 1, log-normal and so above 0. The
    logarithm is Gaussian, correlated along x and from slice to slice by ``exp(-(lag / length)^2)``,
    nearly so for lengths below 2.

    Parameters
    ----------
    image : array of shape (y, x)
    amplitude : float
        Standard deviation of the factor.
    width_px, depth_slices : float, optional
        Lengths of the correlation along x, in pixels, and along z, in slices; 0 for none.
    seed, slice_index : int, optional
        The seed names the stripes of a stack, the index the slice through them.

    Returns
    -------
    array of shape (y, x), float32

    Raises
    ------
    PorescopeError
        If the image is not a plane of numbers or a parameter is out of its range.
    """
    grey = _plane(image)
    _check_from_zero("The amplitude of the curtains", amplitude)
    _check_from_zero("The width of the curtains in pixels", width_px)
    _check_from_zero("The depth of the curtains in slices", depth_slices)
    along_x, along_z = _moving_average(width_px), _moving_average(depth_slices)
    columns = grey.shape[1] + len(along_x) - 1
    white = sum(
        weight * slice_random("curtains", seed, slice_index + ahead).normal(size=columns)
        for ahead, weight in enumerate(along_z)
    )
    variance = math.log1p(amplitude**2)
    logarithm = math.sqrt(variance) * np.convolve(white, along_x, "valid") - variance / 2
    return (grey * np.exp(logarithm)).astype(np.float32)


def _moving_average(length: float) -> NDArray[np.float64]:
    """Return weights that give white noise variance 1 and the correlation of :func:`curtains`."""
    if length == 0:
        return np.ones(1)
    lags = np.arange(-math.ceil(2 * length), math.ceil(2 * length) + 1)
    weights = np.exp(-2 * (lags / length) ** 2)
    return weights / np.linalg.norm(weights)


def _plane(image: ArrayLike) -> NDArray[np.float64]:
    grey = np.asarray(image)
    if grey.ndim != 2 or grey.size == 0 or grey.dtype.kind not in "buif":
        raise PorescopeError(
            f"An image is a plane (y, x) of real numbers, not {grey.dtype} of shape {grey.shape}; "
            "take slices one by one."
        )
    missing = int(np.count_nonzero(~np.isfinite(grey)))
    if missing:
        raise PorescopeError(f"The image has {missing} pixels that are not finite; replace them.")
    return grey.astype(np.float64)


def _brightness(image: ArrayLike) -> NDArray[np.float64]:
    grey = _plane(image)
    if grey.min() < 0:
        raise PorescopeError(
            f"Shot noise needs brightness from 0 on, but one pixel is {grey.min():g}; add detector "
            "noise after it, not before."
        )
    return grey


def _check_from_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise PorescopeError(f"{name} must be 0 or above, not {value!r}.")
