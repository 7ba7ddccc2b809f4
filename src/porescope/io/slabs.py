"""Walk a volume of any size in slabs that fit into memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from porescope.stack import SLICES

SLAB_BYTES = 64 << 20
"""About what is held in memory while a volume streams to the disk, unless a slice is larger."""


def slabs(data: Any) -> list[slice]:
    """Return the slabs of a numpy or dask volume, along the borders of its chunks if it has any."""
    count = data.shape[SLICES]
    most = max(1, SLAB_BYTES // max(1, math.prod(data.shape[1:]) * data.dtype.itemsize))
    chunks = data.chunks[SLICES] if hasattr(data, "chunks") else [1] * count
    borders, start, stop = [0], 0, 0
    for chunk in chunks:
        if stop > start and stop + chunk - start > most:
            borders.append(stop)
            start = stop
        stop += chunk
        while stop - start > most:  # a chunk larger than a slab is computed in parts
            start += most
            borders.append(start)
    return [slice(a, b) for a, b in zip(borders, [*borders[1:], count], strict=True) if b > a]


def even_slabs(data: Any, together: int) -> list[slice]:
    """Return slabs of what is made from ``together`` slices of ``data`` each."""
    plane = max(1, math.prod(data.shape[1:]) * data.dtype.itemsize)
    step = max(1, SLAB_BYTES // (plane * together))
    count = -(-data.shape[SLICES] // together)
    return [slice(a, min(a + step, count)) for a in range(0, count, step)]


def load(data: Any, slab: slice) -> np.ndarray:
    """Return a slab in memory."""
    return np.asarray(data[slab])
