"""Stripes, brightness and charging taken out of images.

Each changes what is there to be measured, so none is done unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError
from porescope.stack import SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

# How far to each side a column is compared: what is broader is shading, no stripe.
REACH_PX = 12
# How often a stripe may change over the height of the image.
CHANGES = 2
ROUNDS = 6
# Shares of a slice's pixels that are darker than what counts as its black and its white.
BLACK, WHITE = 0.05, 0.95


def remove_curtains(image: ArrayLike) -> NDArray[np.float32]:
    """Return an image without the stripes along y that milling leaves.

    Neighbouring columns of one phase differ by their stripes, those of two phases by much more: so
    a pixel is compared with those beside it, and what differs by more than noise does counts
    little. Averages along y of what is left are the stripes.

    Parameters
    ----------
    image : array of shape (y, x)

    Returns
    -------
    array of shape (y, x), float32
    """
    from scipy.ndimage import uniform_filter1d

    grey = np.asarray(image, np.float32)
    length = max(1, grey.shape[0] // CHANGES)
    reach = min(REACH_PX, grey.shape[1] - 1)
    scatter = 1.4826 * np.median(np.abs(np.diff(grey))) if reach else 0.0
    if scatter == 0:
        return grey
    stripes = np.zeros_like(grey)
    for _ in range(ROUNDS):
        left = grey - stripes
        total, weight = np.zeros_like(grey), np.full_like(grey, 1e-6)
        for lag in range(1, reach + 1):
            difference = left[:, lag:] - left[:, :-lag]
            alike = 1 / (1 + (difference / scatter) ** 2) ** 2
            total[:, lag:] += alike * difference
            total[:, :-lag] -= alike * difference
            weight[:, lag:] += alike
            weight[:, :-lag] += alike
        for sums in (total, weight):
            uniform_filter1d(sums, length, axis=0, output=sums)
            uniform_filter1d(sums, length, axis=0, output=sums)
        stripes += total / weight
    return grey - stripes


def flatten(image: ArrayLike, size_px: float) -> NDArray[np.float32]:
    """Return an image without the broad bright and dark areas that charging leaves.

    Parameters
    ----------
    image : array of shape (y, x)
    size_px : float
        Standard deviation of the Gaussian that tells broad from fine; several times the size of
        the structure, or the structure goes too.

    Returns
    -------
    array of shape (y, x), float32
        With the mean it had.
    """
    from scipy.ndimage import gaussian_filter

    grey = np.asarray(image, np.float32)
    flat = grey - gaussian_filter(grey, size_px)
    return np.asarray(flat + (grey.mean() - flat.mean()))


def match_brightness(
    stack: Stack,
    region: Region | None = None,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> NDArray[np.float64]:
    """Return the gain and offset that give every slice the black and white of the middle one.

    That is the median over the slices of what 5 % and 95 % of the pixels are darker than.

    Parameters
    ----------
    stack : Stack
    region : (y start, y stop, x start, x stop), optional
        Pixels to look at, best of a material that fills the same part of every slice. All by
        default, where slices of more solid seem too bright.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    array of shape (z, 2)
        ``gain * grey + offset`` matches.

    Raises
    ------
    PorescopeError
        If a slice is all of one grey.
    """
    area = region_slices(region, stack.shape)
    ends = np.zeros((stack.shape[SLICES], 2))
    for index in track(range(stack.shape[SLICES]), progress, cancel):
        ends[index] = np.quantile(stack.image(index, *area), (BLACK, WHITE))
        if not ends[index, 0] < ends[index, 1]:
            raise PorescopeError(
                f"Slice {index} shows one grey value only, whose brightness matches anything; "
                "leave it out, or choose another region."
            )
    black, white = np.median(ends, axis=0)
    gain = (white - black) / (ends[:, 1] - ends[:, 0])
    return np.column_stack([gain, black - gain * ends[:, 0]])


def change_slices(stack: Stack, change: Callable[[NDArray[np.float32], int], ArrayLike]) -> Stack:
    """Return a stack with every slice changed, in its own dtype; lazy where it was.

    Parameters
    ----------
    stack : Stack
    change : callable(image, index)
        Returns the slice to be.
    """
    dtype = stack.data.dtype

    def changed(image: NDArray[Any], index: int) -> NDArray[Any]:
        grey = np.asarray(change(image.astype(np.float32), index))
        if dtype.kind in "ui":
            limits = np.iinfo(dtype)
            grey = np.clip(np.rint(grey), limits.min, limits.max)
        return grey.astype(dtype)

    return stack.map_slices(changed)
