"""How close a simulated or predicted image is to the one it should be.

References
----------
T. Dahmen et al., A Neural Model for High-Performance Scanning Electron Microscopy Image Simulation
of Porous Materials, sections on results: mean pixel error, total and systematic, in % of the data
range; Z. Wang et al., IEEE Trans. Image Process. 13 (2004) 600, doi:10.1109/TIP.2003.819861 (SSIM).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.measure.parts import halves, measured
from porescope.stack import SLICES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

SSIM_WINDOW = 7
Image = NDArray[np.float64]


def image_quality(
    prediction: Any,
    truth: Any,
    *,
    data_range: float | None = None,
    noise: float = math.nan,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Compare images with what they should be.

    Parameters
    ----------
    prediction, truth : arrays of real numbers, shape (z, y, x)
        Numpy or dask arrays; compared slice by slice.
    data_range : float, optional
        Difference between the lightest and the darkest grey value there can be; by default between
        those that the truth holds.
    noise : float, optional
        Mean pixel error that noise in the truth makes, in % of the data range; from
        :func:`noise_level`.

    Returns
    -------
    dict
        ``mean_pixel_error``: mean of ``|prediction - truth|`` in % of the data range;
        ``systematic_pixel_error``: that less ``noise``, NaN where noise is not given; ``SSIM``:
        mean structural similarity in windows of 7 x 7 pixels, NaN for smaller images; ``PSNR``:
        peak signal to noise ratio in dB, infinite for equal images; and for each the same with
        ``_uncertainty``, a standard error from eight parts of the volume (see
        :mod:`porescope.measure.parts`).

    Raises
    ------
    PorescopeError
        If shapes differ, a pixel is no number, or the truth is of one grey value and no data range
        is given.
    """
    _check_pair(prediction, truth)
    if data_range is None:
        data_range = _range(truth, cancel)
    if not (math.isfinite(data_range) and data_range > 0):
        raise PorescopeError(
            f"The data range must be finite and above 0, not {data_range}; where the truth is of "
            "one grey value, give data_range."
        )
    # Pixels, their errors and squared errors; pixels with a full window, and their similarity.
    sums = np.zeros((2, 2, 2, 5))
    middle = halves(truth.shape[SLICES])[0].stop
    for index in track(range(truth.shape[SLICES]), progress, cancel):
        pair = _slice(prediction, index, "prediction"), _slice(truth, index, "truth")
        difference = np.abs(pair[0] - pair[1])
        similarity = _similarity(*pair, data_range)
        for y, rows in enumerate(halves(difference.shape[0])):
            for x, columns in enumerate(halves(difference.shape[1])):
                off = difference[rows, columns]
                alike = similarity[rows, columns]
                known = ~np.isnan(alike)
                sums[int(index >= middle), y, x] += (
                    *(off.size, off.sum(), (off**2).sum()),
                    *(known.sum(), alike[known].sum()),
                )

    def numbers(total: NDArray[np.float64]) -> dict[str, float]:
        pixels, off, off2, known, alike = total
        error = 100 * off / pixels / data_range
        return {
            "mean_pixel_error": error,
            "systematic_pixel_error": error - noise,
            "SSIM": alike / known,
            "PSNR": 10 * np.log10(data_range**2 / (off2 / pixels)),
        }

    return measured(numbers, sums.reshape(8, -1))


def noise_level(
    truth: Any,
    homogeneous: Any,
    *,
    data_range: float | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> float:
    """Return the mean pixel error that noise makes, measured where the grey value should be one.

    Parameters
    ----------
    truth : array of real numbers, shape (z, y, x)
        Numpy or dask array.
    homogeneous : array of whole numbers, same shape
        0 where the image is not homogeneous; elsewhere each label names places of one grey value.
    data_range : float, optional
        As for :func:`image_quality`.

    Returns
    -------
    float
        Mean of ``|truth - mean over the label|``, in % of the data range; for
        :func:`image_quality`.
    """
    _check_pair(homogeneous, truth)
    if homogeneous.dtype.kind not in "bui":
        raise PorescopeError(
            f"Homogeneous places are given as whole numbers, not {homogeneous.dtype}."
        )
    if data_range is None:
        data_range = _range(truth, cancel)
    planes = range(truth.shape[SLICES])
    sums: dict[int, NDArray[np.float64]] = {}
    for index in planes:
        for label, values in _places(truth, homogeneous, index):
            known = sums.get(label, np.zeros(2))
            sums[label] = known + np.array([values.size, values.sum()])
    if not sums:
        raise PorescopeError("No place is marked as homogeneous; label some with 1 or more.")
    off = 0.0
    for index in track(planes, progress, cancel):
        for label, values in _places(truth, homogeneous, index):
            count, total = sums[label]
            off += float(np.abs(values - total / count).sum())
    pixels = sum(count for count, _ in sums.values())
    return 100 * off / float(pixels) / data_range


def _places(truth: Any, homogeneous: Any, index: int) -> Iterator[tuple[int, Image]]:
    image, labels = _slice(truth, index, "truth"), np.asarray(homogeneous[index])
    for label in np.unique(labels[labels != 0]).tolist():
        yield int(label), image[labels == label]


def _check_pair(one: Any, truth: Any) -> None:
    if np.ndim(truth) != 3 or 0 in truth.shape or tuple(one.shape) != tuple(truth.shape):
        raise PorescopeError(
            f"Both volumes need the same three axes (z, y, x), but one has shape "
            f"{tuple(one.shape)} and the truth {tuple(truth.shape)}."
        )


def _slice(volume: Any, index: int, name: str) -> Image:
    image = np.asarray(volume[index]).astype(np.float64)
    if not np.isfinite(image).all():
        raise PorescopeError(
            f"Slice {index} of the {name} holds pixels that are no finite numbers; mend or crop it."
        )
    return image


def _range(truth: Any, cancel: Cancel) -> float:
    ends = [
        (image.min(), image.max())
        for index in track(range(truth.shape[SLICES]), no_progress, cancel)
        for image in [_slice(truth, index, "truth")]
    ]
    lows, highs = zip(*ends, strict=True)
    return float(max(highs) - min(lows))


def _similarity(prediction: Image, truth: Image, data_range: float) -> Image:
    """Return the structural similarity of each pixel, NaN where the window leaves the image."""
    from skimage.metrics import structural_similarity

    similarity = np.full(truth.shape, np.nan)
    if min(truth.shape) >= SSIM_WINDOW:
        edge = SSIM_WINDOW // 2
        inner = (slice(edge, -edge),) * 2
        _, whole = structural_similarity(
            prediction, truth, win_size=SSIM_WINDOW, data_range=data_range, full=True
        )
        similarity[inner] = whole[inner]
    return similarity
