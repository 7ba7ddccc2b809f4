"""A volume on the disk as a layer holds it.

napari keeps what it computes of dask arrays in a cache of a tenth of all memory, and takes a dozen
milliseconds a slice for its threads; a slider needs neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError


class DiskVolume:
    """Reads what is indexed, at once and without keeping it.

    Parameters
    ----------
    lazy : dask array of shape (z, y, x)
    """

    def __init__(self, lazy: Any) -> None:
        self.lazy = lazy

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels (z, y, x)."""
        shape: tuple[int, ...] = self.lazy.shape
        return shape

    @property
    def ndim(self) -> int:
        """Three."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        dtype: np.dtype[Any] = self.lazy.dtype
        return dtype

    @property
    def nbytes(self) -> int:
        """Size of all voxels."""
        return int(self.lazy.nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        # No callbacks: the cache is one.
        found: NDArray[Any] = self.lazy[selection].compute(scheduler="sync", callbacks=())
        return found

    def __setitem__(self, selection: Any, value: Any) -> None:
        raise PorescopeError(
            "This volume lies on the disk and is not painted on; correct a copy of it in the "
            "section Annotate of Porescope."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def held(data: Any) -> Any:
    """Return data for a layer: numpy arrays as they are."""
    return data if isinstance(data, np.ndarray | DiskVolume) else DiskVolume(data)


def released(data: Any) -> Any:
    """Return a layer's data as all the rest of Porescope takes them."""
    return data.lazy if isinstance(data, DiskVolume) else data
