"""How bright and how noisy a stack is in solid and in pore, and images made so.

Both are measured well within the phases, as a first segmentation or the truth says. Noise is taken
to grow evenly with brightness, as that of counted electrons does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.imaging.noise import slice_random
from porescope.stack import Stack

LOOKED_AT = 24
WITHIN_PX = (2, 1, 0)
"""A pixel lies well within a phase if all so far from it are of the same; nearer where none do."""
LEAST_PX = 200

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Brightness:
    """Brightness and noise of a stack, in its grey values.

    Attributes
    ----------
    dark, bright : float
        Means in pore and in solid.
    noise_dark, noise_bright : float
        Standard deviations of the noise there.
    """

    dark: float
    bright: float
    noise_dark: float
    noise_bright: float

    def given_to(self, stack: Stack, clean: Brightness, dtype: np.dtype[Any], seed: int) -> Stack:
        """Return a stack without noise of its own as bright and as noisy as this.

        Parameters
        ----------
        stack : Stack
        clean : Brightness
            Of such stacks.
        dtype : numpy.dtype
            Of the result, whose grey values are cut off where it ends.
        seed : int
            Of the noise.
        """
        gain = (self.bright - self.dark) / (clean.bright - clean.dark)
        slope = (self.noise_bright**2 - self.noise_dark**2) / (self.bright - self.dark)

        def noisy(image: NDArray[Any], index: int) -> NDArray[Any]:
            above = gain * (image.astype(np.float32) - np.float32(clean.dark))
            variance = np.maximum(self.noise_dark**2 + slope * above, 0)
            random = slice_random(f"own stack {stack.beam_kv}", seed, index)
            grey = self.dark + above + np.sqrt(variance) * random.standard_normal(image.shape)
            if dtype.kind in "ui":
                limits = np.iinfo(dtype)
                grey = np.clip(np.rint(grey), limits.min, limits.max)
            return grey.astype(dtype)

        data = np.stack([noisy(np.asarray(image), index) for index, image in enumerate(stack.data)])
        return stack.with_data(data)


def brightness_of(stack: Stack, labels: Stack) -> Brightness:
    """Measure how bright and how noisy the phases of a stack are.

    Parameters
    ----------
    stack : Stack
    labels : Stack
        Of the same slices, 0 for pore.

    Raises
    ------
    PorescopeError
        If there is one phase only, or solid is not brighter than pore.
    """
    chosen = stack.spread_slices(LOOKED_AT)
    images = [stack.image(index) for index in chosen]
    phases = [np.asarray(labels.data[index]) > 0 for index in chosen]
    rough = [_bends(image) for image in images]
    pore, solid = (
        _within(images, rough, [each == value for each in phases]) for value in (False, True)
    )
    if not solid[0] > pore[0]:
        raise PorescopeError(
            f"Where the first segmentation of the stack{_at(stack)} says solid, its images are not "
            "brighter than where it says pore; look at labels-before, or name weights that know "
            "these images."
        )
    return Brightness(pore[0], solid[0], pore[1], solid[1])


def _at(stack: Stack) -> str:
    return "" if stack.beam_kv is None else f" at {stack.beam_kv:g} kV"


def _bends(image: Image) -> Image:
    """Return what no straight edge leaves over: noise of the image's own deviation.

    J. Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300.
    """
    from scipy.ndimage import correlate

    kernel = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
    left: Image = correlate(image, kernel / 6, mode="nearest")
    return left


def _within(
    images: list[Image], rough: list[Image], phases: list[NDArray[np.bool_]]
) -> tuple[float, float]:
    """Return the mean and the noise of images well within a phase."""
    from scipy.ndimage import minimum_filter

    for within in WITHIN_PX:
        inner = [minimum_filter(phase, 2 * within + 1) for phase in phases]
        if sum(int(each.sum()) for each in inner) >= LEAST_PX:
            break
    grey, left = (
        np.concatenate([image[each] for image, each in zip(group, inner, strict=True)])
        for group in (images, rough)
    )
    if not grey.size:
        raise PorescopeError(
            "The first segmentation holds one phase only in these slices; look at labels-before, "
            "or name weights that know these images."
        )
    return float(grey.mean()), float(np.median(np.abs(left)) / 0.6745)
