"""Heightfields of primitives and Monte-Carlo images on a GPU.

PyTorch holds the memory, PyCUDA starts the kernels in PyTorch's own context: results are tensors at
once, without a copy. The kernels come compiled in the package; where they do not, nvcc compiles the
source that does, once, into PyCUDA's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

import porescope
from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.electron_sample import ElectronSample
from porescope.imaging.montecarlo import Scan

# As in cuda/heightfield.cu: two warps a block, eight warps a tile of 16 x 16 pixels.
_TILE = 16
_THREADS_A_BLOCK = 64
_BLOCKS_A_TILE = 4
# As in cuda/montecarlo.cu; so many blocks fill a multiprocessor, and each goes on until all
# electrons are taken.
_ELECTRONS_A_BLOCK = 128
_BLOCKS_A_PROCESSOR = 16
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
    try:
        with torch.cuda.stream(torch.cuda.default_stream(index)):
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
    pointers = [tensor.data_ptr() for tensor in (entry, exit_, normal)]
    blocks = tiles * _BLOCKS_A_TILE
    kernel = f"heightfield_{layers}"
    _launch("heightfield", kernel, blocks, _THREADS_A_BLOCK, "dPPP", view, plane_z, *pointers)
    return entry, exit_, normal


# Tensors that the view points into are kept with it.
_VIEWS: WeakKeyDictionary[Primitives, tuple[tuple[int, int, int], bytes, list[Any]]] = (
    WeakKeyDictionary()
)


def _view_on_gpu(sample: Primitives, rows: int, columns: int, index: int) -> bytes:
    """Return the kernels' first argument; what it points to stays as long as the sample itself."""
    from porescope.imaging.heightfield import sorted_bins

    known = _VIEWS.get(sample)
    if known is None or known[0] != (rows, columns, index):
        _VIEWS.pop(sample, None)
        bins = sorted_bins(sample, rows, columns)
        there = _on_gpu(bins, f"cuda:{index}")
        view = _core.device_view(bins, [tensor.data_ptr() for tensor in there])
        known = (rows, columns, index), view, there
        _VIEWS[sample] = known
    return known[1]


def image_rows(
    sample: ElectronSample, scan: Scan, first_row: int, rows: int
) -> NDArray[np.float32]:
    """Scan rows of pixels on PyTorch's current GPU.

    Parameters
    ----------
    sample : ElectronSample
        Taken to the GPU once.
    scan : Scan
    first_row, rows : int

    Returns
    -------
    array of shape (signals, rows, x), float32
        As of ``_core.image_plane``, to the bit.

    Raises
    ------
    PorescopeError
        If the memory of the GPU does not suffice, or there is no kernel for it.
    """
    import torch

    index = torch.cuda.current_device()
    place = f"cuda:{index}"
    columns = scan.pixels[1]
    with torch.cuda.stream(torch.cuda.default_stream(index)):
        try:
            materials, geometry = _sample_on_gpu(sample, place)
            windows = torch.tensor(scan.windows, device=place)
            sums = torch.zeros((3 + len(windows), rows, columns), dtype=torch.int64, device=place)
            next_electron = torch.zeros(1, dtype=torch.int64, device=place)
        except torch.cuda.OutOfMemoryError as error:
            size = " x ".join(f"{count:g}" for count in sample.shape)
            raise PorescopeError(
                f"The memory of the GPU does not suffice for a sample of {size} and a plane "
                f"of {rows} x {columns} pixels; take the device cpu."
            ) from error
        kernel, task = _core.device_plane(
            sample.core_materials,
            sample.geometry,
            *scan,
            first_row,
            rows,
            [tensor.data_ptr() for tensor in materials],
            [tensor.data_ptr() for tensor in geometry],
            windows.data_ptr(),
            sums.data_ptr(),
            next_electron.data_ptr(),
        )
        most = _BLOCKS_A_PROCESSOR * torch.cuda.get_device_properties(index).multi_processor_count
        blocks = min(most, -(-rows * columns * scan.electrons // _ELECTRONS_A_BLOCK))
        _launch("montecarlo", kernel, blocks, _ELECTRONS_A_BLOCK, "", task)
        parts = sums.cpu().numpy()
    return (parts / _core.parts_of_electron).astype(np.float32)


_SAMPLES: WeakKeyDictionary[ElectronSample, tuple[str, list[Any], list[Any]]] = WeakKeyDictionary()


def _sample_on_gpu(sample: ElectronSample, place: str) -> tuple[list[Any], list[Any]]:
    """Return the arrays of its materials and of its geometry, which stay as long as it does."""
    known = _SAMPLES.get(sample)
    if known is None or known[0] != place:
        _SAMPLES.pop(sample, None)
        known = place, _on_gpu(sample.core_materials, place), _on_gpu(sample.geometry, place)
        _SAMPLES[sample] = known
    return known[1], known[2]


def first_collisions(
    materials: _core.Materials,
    material: int,
    energy_ev: float,
    direction: Sequence[float],
    count: int,
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Do what ``_core.first_collisions`` does, to check one by the other."""
    import torch

    index = torch.cuda.current_device()
    place = f"cuda:{index}"
    with torch.cuda.stream(torch.cuda.default_stream(index)):
        tables = _on_gpu(materials, place)
        path = torch.empty(count, dtype=torch.float32, device=place)
        turned_to = torch.empty((count, 3), dtype=torch.float32, device=place)
        task = _core.device_collisions(
            materials,
            material,
            energy_ev,
            direction,
            count,
            seed,
            [tensor.data_ptr() for tensor in tables],
            path.data_ptr(),
            turned_to.data_ptr(),
        )
        blocks = -(-count // _ELECTRONS_A_BLOCK)
        _launch("montecarlo", "first_collisions", blocks, _ELECTRONS_A_BLOCK, "", task)
        return path.cpu().numpy(), turned_to.cpu().numpy()


def _on_gpu(core: Any, place: str) -> list[Any]:
    """Return copies of the arrays that kernels need of an object of the core."""
    import torch

    return [torch.tensor(array, device=place) for array in _core.device_arrays(core)]


def _launch(
    source: str, name: str, blocks: int, threads: int, others: str, argument: bytes, *values: Any
) -> None:
    """Start a kernel on PyTorch's current GPU, after what its current stream has to do.

    Its first argument is a struct, by value; ``others`` are the types of more values, as
    :mod:`struct` has them.
    """
    import torch

    index = torch.cuda.current_device()
    here, default = torch.cuda.current_stream(index), torch.cuda.default_stream(index)
    with _context(index):
        kernel = _kernel(source, name, index)
        # PyCUDA cannot enter a stream of PyTorch's but the default one.
        if here != default:
            default.wait_stream(here)
        kernel.prepare(f"{len(argument)}s{others}").prepared_async_call(
            (blocks, 1), (threads, 1, 1), None, argument, *values
        )
        if here != default:
            here.wait_stream(default)


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
def _kernel(source: str, name: str, index: int) -> Any:
    return _module(source, index).get_function(name)


@cache
def _module(name: str, index: int) -> Any:
    """Return the kernels of one source, loaded into the current context, that of this GPU."""
    from pycuda import compiler, driver

    fatbin, source = _shipped(f"{name}.fatbin"), _shipped(f"{name}.cu")
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
