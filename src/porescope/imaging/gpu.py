"""Heightfields of primitives on a GPU.

PyTorch holds the memory, PyCUDA starts the kernels in PyTorch's own context: results are tensors at
once, without a copy. The kernels come compiled in the package; where they do not, nvcc compiles the
source that does, once, into PyCUDA's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import porescope
from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives

# As in cuda/kernels.cu: two warps a block, eight warps a tile of 16 x 16 pixels.
_TILE = 16
_THREADS_A_BLOCK = 64
_BLOCKS_A_TILE = 4
# Without contraction the results have the same bits as on the CPU.
_NVCC_OPTIONS = ["-std=c++17", "-O3", "-fmad=false"]


def heightfield(
    sample: Primitives, plane_z: float, layers: int, rows: int, columns: int
) -> tuple[Any, Any, Any]:
    """Return the extended heightfield of one plane as tensors on PyTorch's current GPU.

    Parameters
    ----------
    sample : Primitives
        Sorted and taken to the GPU once; further planes of the same object are fast.
    plane_z : float
        Depth of the plane, in the unit of the primitives.
    layers : int
        How many stretches of solid, from 1 to 8.
    rows, columns : int
        Pixels of the plane.

    Returns
    -------
    entry, exit : tensors of shape (layers, y, x), float32
    normal : tensor of shape (3, y, x), float32
        As in :class:`porescope.imaging.HeightField`. The kernel is in PyTorch's current stream and
        may still run.

    Raises
    ------
    PorescopeError
        If the memory of the GPU does not suffice, or there is no kernel for it.
    """
    import torch

    index = torch.cuda.current_device()
    here, default = torch.cuda.current_stream(index), torch.cuda.default_stream(index)
    try:
        with torch.cuda.stream(default):
            view = _view_on_gpu(sample, rows, columns, index)
        entry, exit_, normal = (
            torch.empty((count, rows, columns), dtype=torch.float32, device=f"cuda:{index}")
            for count in (layers, layers, 3)
        )
    except torch.cuda.OutOfMemoryError as error:
        raise PorescopeError(
            f"The memory of the GPU does not suffice for {len(sample):,} primitives and a plane of "
            f"{rows} x {columns} pixels; take the device cpu."
        ) from error
    tiles = -(-rows // _TILE) * -(-columns // _TILE)
    pointers = (tensor.data_ptr() for tensor in (entry, exit_, normal))
    with _context(index):
        kernel = _kernel(layers, index)
        # PyCUDA cannot enter a stream of PyTorch's but the default one.
        if here != default:
            default.wait_stream(here)
        kernel.prepare(f"{len(view)}sdPPP").prepared_async_call(
            (tiles * _BLOCKS_A_TILE, 1), (_THREADS_A_BLOCK, 1, 1), None, view, plane_z, *pointers
        )
        if here != default:
            here.wait_stream(default)
    return entry, exit_, normal


# Tensors that the view points into are kept with it.
_VIEWS: WeakKeyDictionary[Primitives, tuple[tuple[int, int, int], bytes, list[Any]]] = (
    WeakKeyDictionary()
)


def _view_on_gpu(sample: Primitives, rows: int, columns: int, index: int) -> bytes:
    """Return the kernels' first argument; what it points to stays as long as the sample itself."""
    import torch

    from porescope.imaging.heightfield import sorted_bins

    known = _VIEWS.get(sample)
    if known is None or known[0] != (rows, columns, index):
        _VIEWS.pop(sample, None)
        bins = sorted_bins(sample, rows, columns)
        there = [torch.tensor(a, device=f"cuda:{index}") for a in _core.device_arrays(bins)]
        view = _core.device_view(bins, [tensor.data_ptr() for tensor in there])
        known = (rows, columns, index), view, there
        _VIEWS[sample] = known
    return known[1]


@contextmanager
def _context(index: int) -> Iterator[None]:
    """Work in the context that PyTorch has of this GPU."""
    context = _primary_context(index)
    context.push()
    try:
        yield
    finally:
        context.pop()


@cache
def _primary_context(index: int) -> Any:
    from pycuda import driver

    return driver.Device(index).retain_primary_context()


@cache
def _kernel(layers: int, index: int) -> Any:
    return _module(index).get_function(f"heightfield_{layers}")


@cache
def _module(index: int) -> Any:
    """Return the kernels, loaded into the current context, that of this GPU."""
    from pycuda import compiler, driver

    fatbin, source = _shipped("kernels.fatbin"), _shipped("kernels.cu")
    if fatbin is not None:
        try:
            return driver.module_from_file(str(fatbin))
        except driver.Error as error:
            raise PorescopeError(
                f"The kernels do not run on this GPU ({error}); take the device cpu."
            ) from error
    if source is None:
        raise PorescopeError(
            "The source of the GPU kernels is missing; install napari-porescope again."
        )
    try:
        cubin = compiler.compile(
            source.read_text(encoding="utf-8"),
            options=_NVCC_OPTIONS,
            no_extern_c=True,
            include_dirs=[str(source.parent)],
        )
    except (OSError, driver.CompileError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PorescopeError(
            f"The kernels of this installation are not compiled and nvcc cannot do it ({reason}); "
            "install the CUDA toolkit or take the device cpu."
        ) from error
    return driver.module_from_buffer(cubin)


def _shipped(name: str) -> Path | None:
    # An editable install has two places: the sources, and what CMake installed.
    places = (Path(place) / "cuda" / name for place in porescope.__path__)
    return next((place for place in places if place.is_file()), None)
