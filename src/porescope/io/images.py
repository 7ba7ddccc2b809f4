"""One picture of a slice in PNG, JPEG or BMP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.guard import check_holds_something, check_plausible, naming

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class Picture:
    """A reader of one picture, grey in the end."""

    path: Path
    index: int = 0

    def __call__(self) -> np.ndarray:
        """Return the grey values (y, x)."""
        import imageio.v3

        with naming(self.path):
            image = imageio.v3.imread(self.path, plugin="pillow", index=self.index)
            return to_grey(self.path, image)


def picture_header(path: Path) -> tuple[tuple[int, int], np.dtype]:
    """Return size and type of a picture without decoding it.

    Raises
    ------
    PorescopeError
        If it is empty, no picture, an animation, or larger than its bytes can hold.
    """
    import imageio.v3

    check_holds_something(path)
    with naming(path):
        try:
            properties = imageio.v3.improps(path, plugin="pillow", index=...)
        except OSError as error:  # whose words are for who calls the library
            raise PorescopeError(f"{path} cannot be read: it is damaged or no picture.") from error
    count, *shape = properties.shape
    if count != 1:
        raise PorescopeError(f"{path} holds {count} pictures; give one a slice.")
    dtype = np.dtype(properties.dtype)
    declared = math.prod(shape) * dtype.itemsize
    check_plausible(path, declared, path.stat().st_size, compressed=True)
    return (shape[0], shape[1]), dtype


def to_grey(path: Path, image: np.ndarray) -> np.ndarray:
    """Return the one channel of a picture whose colours are all grey.

    Raises
    ------
    PorescopeError
        If the colours differ, or the picture is partly transparent.
    """
    if image.ndim == 2:
        return image
    colours = image.shape[2] - (image.shape[2] in (2, 4))
    grey, alpha = image[..., :1], image[..., colours:]
    if (image[..., :colours] != grey).any():
        raise PorescopeError(f"{path} is a colour picture; convert it to grey values first.")
    if (alpha != alpha[:1, :1]).any():
        raise PorescopeError(f"{path} is partly transparent; flatten it to grey values first.")
    return np.ascontiguousarray(image[..., 0])
