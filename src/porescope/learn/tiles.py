"""Images cut into tiles with so much around each that the cut cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

Area = tuple[slice, slice]


class Tile(NamedTuple):
    """A tile of an image.

    Attributes
    ----------
    place : two slices
        Rows and columns of the image that it is for.
    seen : two slices
        Rows and columns with what is around it.
    inside : two slices
        Where it lies in these.
    """

    place: Area
    seen: Area
    inside: Area


def tiles(shape: Sequence[int], tile_px: int, halo_px: int) -> Iterator[Tile]:
    """Yield the tiles of an image; where they are depends on the shape of the image alone.

    Parameters
    ----------
    shape : two ints
        Of the image (y, x).
    tile_px : int
        Rows and columns of a tile, but for the last.
    halo_px : int
        Rows and columns around it, but for the image's edge.
    """
    for y, y_stop in _parts(shape[0], tile_px):
        for x, x_stop in _parts(shape[1], tile_px):
            top, left = max(0, y - halo_px), max(0, x - halo_px)
            yield Tile(
                (slice(y, y_stop), slice(x, x_stop)),
                (slice(top, y_stop + halo_px), slice(left, x_stop + halo_px)),
                (slice(y - top, y_stop - top), slice(x - left, x_stop - left)),
            )


def _parts(size: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, step):
        yield start, min(size, start + step)
