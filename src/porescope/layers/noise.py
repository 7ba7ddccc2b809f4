"""The noise of a series, told without a model of layers, whose errors it must not cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

APART_PX = 2
"""Neighbours side by side share noise where images were resampled to lie on one another."""
MEASURED = 1 << 15
"""About as many pixels tell the noise."""
EXCESS = 1.15
"""What a model leaves may be more than the noise between neighbours by this factor: of series that
layers explain it is at most 1.03."""
LEAST = 0.003
"""Grey values of 8 bits are not known better, whatever neighbours say that were rounded alike."""
NORMAL = 0.6744897501960817
"""Median of what is normally distributed, without its sign."""


def noise_between(signals: NDArray[np.float64]) -> float | None:
    """Return the noise between neighbours in place and energy, as a share of the signal.

    Layers vanish from differences along rows, columns and energies at once but at a few corners,
    which the median leaves out.

    Parameters
    ----------
    signals : array of shape (energies, y, x)
        Above 0.

    Returns
    -------
    float or None
        Standard deviation; None if the images are too small to tell.
    """
    _, height, width = signals.shape
    if min(height, width) <= APART_PX:
        return None
    rows = np.arange(0, height - APART_PX, max(1, height * width // MEASURED))
    change = np.log(signals[:, rows + APART_PX]) - np.log(signals[:, rows])
    change = change[..., APART_PX:] - change[..., :-APART_PX]
    variances = 4
    if len(change) > 2:
        change = change[2:] - 2 * change[1:-1] + change[:-2]
        variances *= 6
    return float(np.median(np.abs(change)) / NORMAL / variances**0.5)


def believed(left: float, signals: NDArray[np.float64]) -> float:
    """Return the noise that a model leaves, or if neighbours speak against that, what these say.

    What layers do not explain is noise only as far as neighbours differ by it.
    """
    between = noise_between(signals)
    if between is None or left <= EXCESS * max(between, LEAST):
        return left
    return max(between, LEAST)
