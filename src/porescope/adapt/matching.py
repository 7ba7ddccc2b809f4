"""Blur and noise that bring one look as near to another as these alone can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.adapt.likeness import distance, look_of

CURTAIN_WIDTH_PX = 4.0
"""Deviation of the bell over which noise of columns is spread."""
TRIES = 60
BEGIN, FURTHER = (0.5, 0.05, 0.02), (1.0, 0.1, 0.06)
"""Blur and noise that are tried first, and how far from these the next."""

Images = Sequence[NDArray[np.float32]]


class Match(NamedTuple):
    """How images are blurred, and how strong noise is that they then get.

    Attributes
    ----------
    blur_px : float
        Deviation of the blur.
    grain, curtain : float
        Deviations of noise of pixels and of columns, with dark at 0 and bright at 1.
    """

    blur_px: float
    grain: float
    curtain: float

    def apply(self, images: Images, noise: NDArray[np.float32]) -> Images:
        """Return images with blur and noise.

        Parameters
        ----------
        images : sequence of arrays of shape (y, x)
        noise : array of shape (images, 2, y, x)
            White noise of pixels, and of columns.
        """
        from scipy.ndimage import convolve1d, gaussian_filter

        reach = round(4 * CURTAIN_WIDTH_PX)
        spread = np.exp(-0.5 * (np.arange(-reach, reach + 1) / CURTAIN_WIDTH_PX) ** 2)
        spread /= np.linalg.norm(spread)
        return [
            gaussian_filter(image, self.blur_px)
            + self.grain * grain
            + self.curtain * convolve1d(columns, spread, axis=1, mode="wrap")
            for image, (grain, columns) in zip(images, noise, strict=True)
        ]


NO_MATCH = Match(0.0, 0.0, 0.0)


def apart(images: Images, wanted: Images, noise: NDArray[np.float32]) -> Callable[[Match], float]:
    """Return what tells how far from a look images are with blur and noise, 1 as far as without."""
    before, aim = look_of(images), look_of(wanted)
    return lambda found: distance(look_of(found.apply(images, noise)), aim, before)


def match(images: Images, wanted: Images, noise: NDArray[np.float32]) -> Match:
    """Find the blur and noise that bring images nearest to a look.

    Parameters
    ----------
    images, wanted : sequences of arrays of shape (y, x)
        On a scale from 0, dark, to 1, bright; of one shape. They need not show the same.
    noise : array of shape (images, 2, y, x)
        White noise of pixels, and of columns.
    """
    from scipy.optimize import minimize

    far = apart(images, wanted, noise)
    corners = np.vstack([BEGIN, BEGIN + np.diag(FURTHER)])
    options = {"maxfev": TRIES, "xatol": 0.01, "initial_simplex": corners}
    found = minimize(
        lambda values: far(_match(values)), BEGIN, method="Nelder-Mead", options=options
    )
    return _match(found.x)


def _match(values: NDArray[np.float64]) -> Match:
    return Match(*np.abs(values).tolist())
