"""Changes that leave the truth as it is, so that what is learned does not hang on one microscope.

All take and return arrays of shape (voltages, slices, y, x) on a scale from 0, dark, to 1, bright.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Images = NDArray[np.float32]


class Augmentation(BaseModel):
    """How far images are changed at random while a network learns from them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    changed: float = Field(
        0.4, ge=0, le=1, description="share of patches that stretch, blur, displacement happen to"
    )
    stretch: float = Field(1.2, ge=1, le=2, description="most that images are stretched or shrunk")
    blur_px: float = Field(1.3, ge=0, description="largest deviation of a blur in pixels")
    displacement_px: int = Field(
        1, ge=0, description="most that a slice or a voltage lies beside the others, in pixels"
    )
    gain: float = Field(1.25, ge=1, description="most that brightness is multiplied or divided by")
    offset: float = Field(
        0.08, ge=0, description="most that is added to brightness, from dark 0 to bright 1"
    )
    noise: float = Field(
        0.25, ge=0, description="largest deviation of noise, both even and as of counted electrons"
    )

    def happens(self, random: np.random.Generator) -> bool:
        """Draw whether something happens."""
        return bool(random.random() < self.changed)

    def change(self, images: Images, random: np.random.Generator, known: slice) -> Images:
        """Return images as another microscope, or the same one on a worse day, would take them.

        Of the slices in which the truth is ``known``, those at the first voltage stay in place.
        """
        from scipy.ndimage import gaussian_filter

        if self.happens(random):
            sigma = random.uniform(0, self.blur_px)
            images = gaussian_filter(images, (0, 0, sigma, sigma))
        if self.happens(random):
            images = self._displaced(images, random, known)
        each = (len(images), 1, 1, 1)
        gain = self.gain ** random.uniform(-1, 1, each)
        bright = images * gain + random.uniform(-self.offset, self.offset, each)
        noise, shot = (self._deviation(random, each) for _ in range(2))
        variance = noise**2 + shot**2 * np.maximum(bright, 0)
        noisy = bright + np.sqrt(variance) * random.standard_normal(images.shape)
        return noisy.astype(np.float32)

    def _deviation(self, random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw standard deviations, small ones as often as large ones."""
        return self.noise * np.exp(random.uniform(np.log(0.05), 0, shape))

    def _displaced(self, images: Images, random: np.random.Generator, known: slice) -> Images:
        """Move whole voltages and, less, single slices, but not what is to be segmented."""
        most = self.displacement_px
        moves = random.integers(-most, most + 1, (*images.shape[:2], 2))
        if random.random() < 0.5:
            moves = np.broadcast_to(moves[:, :1], moves.shape).copy()
        moves[0, known] = 0
        moved = np.empty_like(images)
        for place in np.ndindex(*images.shape[:2]):
            moved[place] = np.roll(images[place], moves[place].tolist(), (0, 1))
        return moved


def turned(
    images: Images, truth: NDArray[Any], random: np.random.Generator
) -> tuple[Images, NDArray[Any]]:
    """Return images and truth, of shape (..., y, x), turned by quarters and mirrored alike."""
    turns, mirrored = random.integers((4, 2)).tolist()
    both = []
    for each in (images, truth):
        each = np.rot90(each, turns, (-2, -1))
        both.append(np.ascontiguousarray(each[..., ::-1] if mirrored else each))
    return both[0], both[1]
