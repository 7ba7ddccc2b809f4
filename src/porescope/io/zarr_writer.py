"""OME-Zarr 0.5 with a pyramid of smaller images and label groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.facts import OWN_KEY, own_fields
from porescope.io.slabs import SLAB_BYTES, even_slabs, load, slabs
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel, Progress, track

VERSION = "0.5"
CHUNK_BYTES = 4 << 20
CHUNK_PIXELS = 1024
SMALLEST_PLANE = 512

Triple = tuple[int, int, int]


class Copy(NamedTuple):
    """One piece of work: fill ``slab`` of ``target`` from ``source``, smaller by ``factors``."""

    source: Any
    target: Any
    slab: slice
    factors: Triple
    nearest: bool


def write_zarr(
    place: Path,
    name: str,
    stack: Stack,
    labels: Mapping[str, Stack],
    progress: Progress,
    cancel: Cancel,
) -> None:
    """Write a stack, its pyramid and its labels into the folder ``place``."""
    import zarr

    _check_labels(stack, labels)
    group = zarr.create_group(str(place), zarr_format=3, attributes=_attributes(stack))
    work = _copies(group, stack)
    if labels:
        index = {"ome": {"version": VERSION, "labels": sorted(labels)}}
        inner = group.create_group("labels", attributes=index)
        for key in sorted(labels):
            one = replace(labels[key], is_labels=True)
            attributes = _attributes(one, image="../../")
            work += _copies(inner.create_group(key, attributes=attributes), one)
    for copy in track(work, progress, cancel):
        z, step = copy.slab, copy.factors[SLICES]
        block = load(copy.source, slice(z.start * step, z.stop * step))
        _store(copy.target, z.start, _smaller(block, copy.factors, copy.nearest))


def _store(target: Any, start: int, block: np.ndarray) -> None:
    """Write a block from slice ``start`` on, chunk by chunk in parallel.

    Written as a whole, other chunks would still be under way when one failed on a full disk, and
    come after the clearing up; the pool waits for them.
    """
    origin = (start, 0, 0)
    pieces = [
        [
            slice(max(low, first), min(low + chunk, first + length))
            for low in range(first // chunk * chunk, first + length, chunk)
        ]
        for first, length, chunk in zip(origin, block.shape, target.chunks, strict=True)
    ]

    def write(region: tuple[slice, ...]) -> None:
        inside = (
            slice(part.start - first, part.stop - first)
            for part, first in zip(region, origin, strict=True)
        )
        target[region] = block[tuple(inside)]

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, itertools.product(*pieces)))


def _check_labels(stack: Stack, labels: Mapping[str, Stack]) -> None:
    for key, one in labels.items():
        if not key or key.startswith((".", "_")) or "/" in key or "\\" in key:
            raise PorescopeError(f"Labels cannot be named {key!r}; use letters and digits.")
        if one.data.dtype.kind not in "ui" or one.shape != stack.shape:
            raise PorescopeError(
                f"Labels {key} are {one.data.dtype} of shape {one.shape}; they must be whole "
                f"numbers of the image's shape {stack.shape}."
            )


def _attributes(stack: Stack, image: str | None = None) -> dict[str, Any]:
    datasets = []
    for index, factors in enumerate(pyramid(stack)):
        scale = [size * factor for size, factor in zip(stack.spacing_nm, factors, strict=True)]
        start = (float(stack.slice_z_nm[0]), *stack.origin_yx_nm)
        # A voxel of a smaller image has its centre amid those it stands for.
        shift = [
            first + (factor - 1) / 2 * size
            for first, factor, size in zip(start, factors, stack.spacing_nm, strict=True)
        ]
        placement = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": shift},
        ]
        datasets.append({"path": str(index), "coordinateTransformations": placement})
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    method = "nearest" if _is_nearest(stack) else "mean"
    ome: dict[str, Any] = {
        "version": VERSION,
        "multiscales": [{"name": "image", "axes": axes, "datasets": datasets, "type": method}],
    }
    if stack.is_labels:
        ome["image-label"] = {"source": {"image": image}} if image else {}
    return {"ome": ome, OWN_KEY: own_fields(stack)}


def _is_nearest(stack: Stack) -> bool:
    return stack.is_labels or stack.data.dtype.kind == "b"


def pyramid(stack: Stack) -> list[Triple]:
    """Return the factors (z, y, x) of all levels, the full size first.

    Each level halves y and x, and z once slices are no thicker than pixels, until a plane has at
    most 512 pixels a side.
    """
    factors: list[Triple] = [(1, 1, 1)]
    while max(math.ceil(n / f) for n, f in zip(stack.shape[1:], factors[-1][1:], strict=True)) > (
        SMALLEST_PLANE
    ):
        z, y, x = factors[-1]
        thickness, height, width = stack.spacing_nm
        halve_z = thickness * z <= min(height * y, width * x) and stack.shape[SLICES] > z
        factors.append((z * 2 if halve_z else z, y * 2, x * 2))
    return factors


def _copies(group: Any, stack: Stack) -> list[Copy]:
    """Create the arrays of all levels and return what fills them, each from the one before."""
    from zarr.codecs import ZstdCodec

    copies: list[Copy] = []
    source, before = stack.data, (1, 1, 1)
    for index, factors in enumerate(pyramid(stack)):
        shape = tuple(math.ceil(n / f) for n, f in zip(stack.shape, factors, strict=True))
        target = group.create_array(
            str(index),
            shape=shape,
            chunks=_chunks(shape, stack.data.dtype.itemsize),
            dtype=stack.data.dtype.newbyteorder("="),
            compressors=ZstdCodec(level=3),
            fill_value=0,
            dimension_names=["z", "y", "x"],
        )
        z, y, x = (now // last for now, last in zip(factors, before, strict=True))
        parts = slabs(source) if index == 0 else even_slabs(source, z)
        copies += [Copy(source, target, part, (z, y, x), _is_nearest(stack)) for part in parts]
        source, before = target, factors
    return copies


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    y, x = (min(n, CHUNK_PIXELS) for n in shape[1:])
    while y * x * itemsize > CHUNK_BYTES:
        y, x = (y + 1) // 2, (x + 1) // 2
    deep = min(CHUNK_BYTES // (y * x * itemsize), SLAB_BYTES // (shape[1] * shape[2] * itemsize))
    return max(1, min(shape[0], deep)), y, x


def _smaller(block: np.ndarray, factors: Triple, nearest: bool) -> np.ndarray:
    """Return the block with ``factors`` voxels made one: their mean, or the first of them."""
    if factors == (1, 1, 1):
        return block
    if nearest:
        return block[tuple(slice(None, None, factor) for factor in factors)]
    short = [(0, -n % factor) for n, factor in zip(block.shape, factors, strict=True)]
    block = np.pad(block, short, mode="edge") if np.any(short) else block
    count = math.prod(factors)
    whole = block.dtype.kind in "ui" and block.dtype.itemsize < 8
    wide = f"i{max(4, 2 * block.dtype.itemsize)}" if whole else "f8"
    shape = [n // factor for n, factor in zip(block.shape, factors, strict=True)]
    total = np.zeros(shape, wide)
    for first in np.ndindex(*factors):
        total += block[tuple(slice(a, None, f) for a, f in zip(first, factors, strict=True))]
    if whole:
        total += count // 2
        total //= count
    else:
        total /= count
    return total.astype(block.dtype)
