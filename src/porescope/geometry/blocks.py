"""What samples on a voxel grid share: they are drawn slab by slab, and the inputs they refuse."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import SLICES, checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

SLAB_BYTES = 16 << 20
"""About how much of a sample is drawn at once."""

LEVEL_VOXELS = 1 << 24
"""From at most so many voxels, spread over the volume, a level is taken that meets a fraction:
256^3, in 128 MiB."""

MOST_VOXELS = 1 << 40

Triple = tuple[int, int, int]
Coordinates = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Sample(ABC):
    """A structure that is drawn where it is needed, so that it may be larger than memory."""

    shape: Triple
    dtype: ClassVar[np.dtype[Any]] = np.dtype(bool)

    @abstractmethod
    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Draw the planes from ``start`` to before ``stop``: an array of shape (n, y, x)."""

    @property
    def _slab(self) -> int:
        """How many planes are drawn at once."""
        plane_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        return min(self.shape[SLICES], max(1, SLAB_BYTES // plane_bytes))

    def to_array(
        self, progress: Progress = no_progress, cancel: Cancel = never_cancel
    ) -> NDArray[Any]:
        """Draw the whole sample.

        Raises
        ------
        PorescopeError
            If it does not fit into memory.
        Cancelled
            If ``cancel()`` became true.
        """
        try:
            volume = np.empty(self.shape, self.dtype)
        except MemoryError:
            size_gib = math.prod(self.shape) * self.dtype.itemsize / 2**30
            raise PorescopeError(
                f"A sample of {size_gib:.3g} GiB does not fit into memory; ask for it with "
                "lazy=True and write it to a file."
            ) from None
        for start in track(range(0, self.shape[SLICES], self._slab), progress, cancel):
            stop = min(start + self._slab, self.shape[SLICES])
            volume[start:stop] = self.planes(start, stop)
        return volume

    def to_dask(self) -> Any:
        """Return the sample as a dask array in slabs that are drawn when they are computed."""
        import dask.array

        def block(block_info: Any = None) -> NDArray[Any]:
            (start, stop), *_ = block_info[None]["array-location"]
            return self.planes(start, stop)

        whole, rest = divmod(self.shape[SLICES], self._slab)
        slabs = (self._slab,) * whole + (rest,) * bool(rest)
        chunks = (slabs, *((n,) for n in self.shape[1:]))
        return dask.array.map_blocks(
            block, chunks=chunks, dtype=self.dtype, meta=np.empty((0, 0, 0), self.dtype)
        )

    def draw(self, lazy: bool, progress: Progress, cancel: Cancel) -> Any:
        """Return :meth:`to_dask` or :meth:`to_array`."""
        return self.to_dask() if lazy else self.to_array(progress, cancel)


def spread(shape: Sequence[int]) -> tuple[slice, slice, slice]:
    """Return every n-th plane, row and column, so that at most ``LEVEL_VOXELS`` are chosen."""
    # An odd step puts each in the middle of those that it stands for.
    step = next(
        n
        for n in itertools.count(1, 2)
        if math.prod(-(-size // n) for size in shape) <= LEVEL_VOXELS
    )
    z, y, x = (slice(min(step, size) // 2, None, step) for size in shape)
    return z, y, x


def upper_quantile(values: NDArray[Any], fraction: float) -> float:
    """Return the level that the given fraction of the values reaches or exceeds."""
    rank = min(round((1 - fraction) * values.size), values.size - 1)
    return float(np.partition(values, rank, axis=None)[rank])


def voxel_centres_nm(shape: Triple, spacing_nm: Sequence[float]) -> Coordinates:
    """Return where the voxels' centres lie along z, y and x, from the volume's corner."""
    z_nm, y_nm, x_nm = (
        (np.arange(count, dtype=np.float64) + 0.5) * size_nm
        for count, size_nm in zip(shape, spacing_nm, strict=True)
    )
    return z_nm, y_nm, x_nm


def spread_centres_nm(shape: Triple, spacing_nm: Sequence[float]) -> Coordinates:
    """Return where the centres of the voxels that :func:`spread` chooses lie along z, y and x."""
    z_nm, y_nm, x_nm = (
        axis_nm[part]
        for axis_nm, part in zip(voxel_centres_nm(shape, spacing_nm), spread(shape), strict=True)
    )
    return z_nm, y_nm, x_nm


def checked_shape(shape: Sequence[int]) -> Triple:
    """Return the number of voxels (z, y, x), or refuse it."""
    if len(shape) != 3 or not all(_is_whole(n) and n > 0 for n in shape):
        raise PorescopeError(
            f"The shape must be three whole numbers of voxels (z, y, x) above 0, not {shape!r}."
        )
    z, y, x = (int(n) for n in shape)
    if z * y * x > MOST_VOXELS:
        raise PorescopeError(
            f"A volume of {z} x {y} x {x} voxels is larger than any stack; take at most "
            f"{MOST_VOXELS:,} voxels."
        )
    return z, y, x


def checked_voxel_nm(spacing_nm: float | Sequence[float]) -> tuple[float, float, float]:
    """Return the voxel size (z, y, x) that is given once or for each axis, or refuse it."""
    sizes_nm = (spacing_nm,) * 3 if np.ndim(spacing_nm) == 0 else spacing_nm
    return checked_spacing_nm(sizes_nm)  # type: ignore[arg-type]


def check_fraction(fraction: float) -> None:
    """Refuse a solid fraction that is not between 0 and 1."""
    if not 0 < fraction < 1:
        raise PorescopeError(
            f"A solid fraction must lie between 0 and 1, both excluded, not {fraction!r}."
        )


def check_above_zero(name: str, value: float) -> None:
    """Refuse a number that is not finite or not above 0; ``name`` begins the sentence."""
    if not (math.isfinite(value) and value > 0):
        raise PorescopeError(f"{name} must be above 0, not {value!r}.")


def check_count(name: str, value: int) -> None:
    """Refuse what is no whole number above 0; ``name`` begins the sentence."""
    if not (_is_whole(value) and value > 0):
        raise PorescopeError(f"{name} must be a whole number above 0, not {value!r}.")


def check_seed(seed: int) -> None:
    """Refuse what is no seed."""
    if not (_is_whole(seed) and 0 <= seed < 2**64):
        raise PorescopeError(f"A seed must be a whole number from 0 to 2**64 - 1, not {seed!r}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer)
