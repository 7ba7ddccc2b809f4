"""Volumes that are read when they are needed, by readers that another process can use.

A reader holds names and numbers, no open file: it opens the file, takes its part and closes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.guard import check_size, naming
from porescope.stack import COLUMNS, ROWS, SLICES

LAZY_ABOVE_BYTES = 512 << 20
"""Volumes above this stay on the disk as dask arrays; smaller ones are loaded."""

READ_BYTES = 1 << 20
"""Smaller slices and chunks are read together, up to about this size."""

MOST_BLOCKS = 100_000
"""Into more blocks than about this no volume is divided, however small its chunks are."""

Selection = tuple[Any, ...]


class Source(Protocol):
    """An array (z, y, x) on the disk."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels (z, y, x)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels, in native byte order."""

    def __getitem__(self, selection: Selection) -> np.ndarray:
        """Read a part."""


def volume_of(source: Source, chunks: tuple[int, ...] | None = None) -> Any:
    """Return a source as a numpy array, or as a dask array if it is large.

    Parameters
    ----------
    source : Source
        What to read.
    chunks : tuple of three ints, optional
        How the file is divided; by slices unless given.

    Raises
    ------
    PorescopeError
        If the sizes cannot be real, the voxels are no real numbers, or reading fails.
    """
    shape, dtype = source.shape, source.dtype
    if len(shape) != 3 or dtype.kind not in "buif":
        raise PorescopeError(
            f"{source.path} holds {dtype} of shape {tuple(shape)}, not real numbers (z, y, x)."
        )
    chunks = tuple(map(min, chunks or (1, *shape[1:]), shape))
    check_size(source.path, shape, dtype.itemsize, chunks)
    if math.prod(shape) * dtype.itemsize <= LAZY_ABOVE_BYTES:
        return source[:, :, :]
    import dask.array

    source[:1, :1, :1]  # what cannot be decoded is refused now rather than in the middle of a job
    blocks = _read_together(shape, chunks, dtype.itemsize)
    return dask.array.from_array(source, chunks=blocks, asarray=False, fancy=False)


def _read_together(
    shape: Sequence[int], chunks: Sequence[int], itemsize: int
) -> tuple[int, int, int]:
    block = list(chunks)
    enough = max(READ_BYTES, math.prod(shape) * itemsize // MOST_BLOCKS)
    for axis in (COLUMNS, ROWS, SLICES):
        factor = -(-enough // (math.prod(block) * itemsize))
        block[axis] = min(shape[axis], block[axis] * factor)
    return (block[SLICES], block[ROWS], block[COLUMNS])


@dataclass(frozen=True)
class Slices:
    """A volume of slices that each have their own reader.

    Parameters
    ----------
    path : Path
        The file or folder that messages name.
    readers : tuple of callables
        One a slice; each returns an array (y, x) of ``dtype``.
    plane : tuple of two ints
        Rows and columns of a slice.
    dtype : numpy.dtype
        Type of the voxels.
    """

    path: Path
    readers: tuple[Callable[[], np.ndarray], ...]
    plane: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (z, y, x)."""
        return (len(self.readers), *self.plane)

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __getitem__(self, selection: Selection) -> np.ndarray:
        """Read a part, slice by slice."""
        z, y, x = selection
        if not isinstance(z, slice):
            return self[z : z + 1, y, x][0]
        chosen = self.readers[z]
        part = np.empty((len(chosen), *np.broadcast_to(False, self.plane)[y, x].shape), self.dtype)
        for index, reader in enumerate(chosen):
            image = reader()
            if image.shape != self.plane or image.dtype != self.dtype:
                raise PorescopeError(
                    f"{self.path} holds a slice of {image.dtype} {image.shape} where "
                    f"{self.dtype} {self.plane} was announced; it is damaged or was changed."
                )
            part[index] = image[y, x]
        return part


@dataclass(frozen=True)
class Stored:
    """A volume as it stands in a file.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of three ints
        Number of voxels (z, y, x).
    stored : numpy.dtype
        Type of the numbers, with their byte order.
    """

    path: Path
    shape: tuple[int, ...]
    stored: np.dtype[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels, in native byte order."""
        return self.stored.newbyteorder("=")

    @property
    def ndim(self) -> int:
        """Three."""
        return 3


@dataclass(frozen=True)
class Mapped(Stored):
    """A volume that stands in a file as plain numbers.

    Parameters
    ----------
    path, shape, stored
        As for :class:`Stored`.
    offset : int
        First byte of the numbers.
    order : {"C", "F"}
        Which axis runs fastest: the last or the first.
    """

    offset: int
    order: str = "C"

    def __getitem__(self, selection: Selection) -> np.ndarray:
        """Read a part."""
        with naming(self.path):
            numbers = np.memmap(
                self.path,
                self.stored,
                "r",
                self.offset,
                self.shape,
                self.order,  # type: ignore[call-overload]
            )
            return np.array(numbers[selection], dtype=self.dtype, order="C")
