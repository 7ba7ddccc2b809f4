"""Grey values on a scale on which all stacks are alike, whatever their gain and offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

LOOKED_AT = 32
"""Slices, spread over a stack, that its levels are taken from."""
SMOOTHING_PX = 2.0
"""So that noise has little say."""
DARK, BRIGHT = 2.0, 99.0
"""Percentiles that become 0 and 1."""


@dataclass(frozen=True)
class Levels:
    """What is dark and what is bright in a stack.

    Attributes
    ----------
    dark, bright : float
        Grey values that become 0 and 1.
    """

    dark: float
    bright: float

    def apply(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return grey values as shares of the way from dark to bright."""
        return (grey - np.float32(self.dark)) / np.float32(self.bright - self.dark)


def levels_of(
    stack: Stack, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> Levels:
    """Find what is dark and what is bright in a stack, as a whole and not slice by slice.

    Raises
    ------
    PorescopeError
        If all is of one brightness, or a value is not a number.
    """
    from scipy.ndimage import gaussian_filter

    smooth = [
        gaussian_filter(stack.image(index), SMOOTHING_PX)
        for index in track(stack.spread_slices(LOOKED_AT), progress, cancel)
    ]
    dark, bright = np.percentile(smooth, (DARK, BRIGHT)).tolist()
    if bright <= dark:
        raise PorescopeError("All voxels have the same brightness; there is nothing to tell apart.")
    return Levels(dark, bright)
