"""How far apart two looks are, where nothing is known of what the images show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porescope.adapt.guard import SMOOTHING_PX, Edges

FINE = 0.125
"""Periods a pixel from which a spectrum is of noise and blur rather than of structure."""
QUANTILES = np.linspace(0.01, 0.99, 99)

Images = Sequence[NDArray[np.float32]]
Look = dict[str, NDArray[np.float64]]


def look_of(images: Images) -> Look:
    """Return what can be told of a look without knowing the structure.

    Parameters
    ----------
    images : sequence of arrays of shape (y, x)
        On a scale from 0, dark, to 1, bright; of one shape.

    Returns
    -------
    dict of arrays
        ``"dark"`` and ``"bright"``, quantiles of the grey levels in pores and in solid, which are
        told apart by Otsu's threshold, however much there is of each; ``"edges"``, quantiles of how
        steep edges are; ``"rows"`` and ``"columns"``, the logarithm of the power of fine detail
        along x and y, which is noise, blur and stripes.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    stack = np.stack(images).astype(np.float64)
    smooth = gaussian_filter(stack, (0, SMOOTHING_PX, SMOOTHING_PX))
    bright = smooth > threshold_otsu(smooth)
    steepness = Edges(images).steepness
    return {
        "dark": np.quantile(stack[~bright], QUANTILES),
        "bright": np.quantile(stack[bright], QUANTILES),
        "edges": np.quantile(steepness, QUANTILES) if len(steepness) else np.zeros(len(QUANTILES)),
        "rows": _spectrum(stack),
        "columns": _spectrum(stack.swapaxes(1, 2)),
    }


def _spectrum(images: NDArray[np.float64]) -> NDArray[np.float64]:
    level = images - images.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(images.shape[2] + 2)[1:-1]
    power = np.abs(np.fft.rfft(level * window, axis=2)) ** 2
    fine = np.fft.rfftfreq(images.shape[2]) >= FINE
    return np.log10(power.mean(axis=(0, 1))[fine] + 1e-9)


def distances(first: Look, second: Look) -> dict[str, float]:
    """Return how far apart two looks are in each of what is told of them."""
    return {name: float(np.abs(first[name] - second[name]).mean()) for name in first}


UNITS = {"dark": 0.01, "bright": 0.01, "edges": 0.003, "rows": 0.03, "columns": 0.03}
"""About how far apart two parts of one stack are."""


def distance(made: Look, wanted: Look, before: Look) -> float:
    """Return how far a look is from the one that is wanted, 1 as far as before, 0 the same."""
    now, then = (
        sum(value / UNITS[name] for name, value in distances(look, wanted).items())
        for look in (made, before)
    )
    return now / max(then, float(len(UNITS)))
