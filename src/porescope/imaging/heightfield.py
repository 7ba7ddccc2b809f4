"""Extended heightfields: what each pixel of an image plane sees below it.

A column along the beam enters and leaves solid several times. The first few depths, and the surface
normal at the first, are what the neural simulator draws an image from.

References
----------
T. Dahmen et al., A neural model for high-performance scanning electron microscopy image simulation
of porous materials, sections 2.3 and 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.device import Device, use_gpu
from porescope.stack import SLICES, Stack, checked_spacing_nm

MOST_LAYERS = 8
MOST_PIXELS = 1 << 28


@dataclass(frozen=True, eq=False)
class HeightField:
    """Depths below an image plane, along the beam, and normals of the surface seen first.

    Parameters
    ----------
    entry, exit : arrays of shape (layers, y, x), float32
        Where the column below a pixel enters and leaves solid for the first, second ... time, in
        the unit of the sample; infinity where it does not. A column that is solid at the plane has
        entry 0.
    normal : array of shape (3, y, x), float32
        Outward unit normal at the first entry as (nz, ny, nx), with z counted toward the beam, so
        that nz >= 0: of the normal N of the surface along the array's axes, (-Nz, Ny, Nx). It is
        (1, 0, 0) where the plane cuts the solid and (0, 0, 0) where the column has no solid.
    """

    entry: Any
    exit: Any
    normal: Any


def extract_heightfield(
    sample: Primitives | Stack | NDArray[Any],
    plane_z: float,
    shape: Sequence[int] | None = None,
    layers: int = 2,
    device: Device = "auto",
    *,
    spacing_nm: Sequence[float] | None = None,
    level: float | None = None,
    threads: int = 0,
) -> HeightField:
    """Return the extended heightfield of one plane.

    Pixel i covers [i, i + 1) and its ray passes through i + 0.5. Stretches of solid that overlap or
    touch are one, those that end at the plane or have no length are none.

    Parameters
    ----------
    sample : Primitives, Stack or array of shape (z, y, x)
        Primitives are taken exactly as they are, in their unit, and sorted once: further planes of
        the same object are fast. Volumes hold labels, solid where not 0, or with a level the values
        of a continuous field.
    plane_z : float
        Depth of the plane, in the unit of primitives or in voxels of a volume.
    shape : sequence of ints, optional
        Pixels (y, x), or (z, y, x), of the plane of primitives; by default the sample's own box.
    layers : int, optional
        How many stretches of solid, from 1 to 8.
    device : {"auto", "cpu", "cuda"}, optional
        Where primitives are worked on; "auto" takes a GPU if there is one. On a GPU the arrays are
        torch tensors there.
    spacing_nm : sequence of three floats, optional
        Voxel size (z, y, x) of an array, 1 by default; depths of a volume come in its unit. A stack
        has its own, primitives have none.
    level : float, optional
        Value from which a continuous field is solid.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    HeightField

    Raises
    ------
    PorescopeError
        If a parameter makes no sense or the plane lies outside the sample.
    """
    if not isinstance(layers, int | np.integer) or not 1 <= layers <= MOST_LAYERS:
        raise PorescopeError(f"The number of layers must be from 1 to 8, not {layers!r}.")
    if not (isinstance(plane_z, int | float | np.number) and math.isfinite(plane_z)):
        raise PorescopeError(f"The depth of the plane must be a finite number, not {plane_z!r}.")
    if not isinstance(sample, Primitives):
        if shape is not None:
            raise PorescopeError("A volume has a shape of its own; leave out the shape.")
        return _of_volume(sample, float(plane_z), int(layers), spacing_nm, level, threads)
    if level is not None or spacing_nm is not None:
        raise PorescopeError("Primitives have no level and no voxel size; leave these out.")
    rows, columns = _plane_shape(sample, shape)
    _check_plane(sample, plane_z, shape)
    if use_gpu(device):
        from porescope.imaging import gpu

        return HeightField(*gpu.heightfield(sample, float(plane_z), int(layers), rows, columns))
    try:
        bins = sorted_bins(sample, rows, columns, threads)
        return HeightField(*bins.heightfield(float(plane_z), int(layers), threads))
    except MemoryError as error:
        raise PorescopeError(
            f"A heightfield of {rows} x {columns} pixels of this sample does not fit into memory; "
            "take a smaller part."
        ) from error


_BINS: WeakKeyDictionary[Primitives, tuple[tuple[int, int], _core.Bins]] = WeakKeyDictionary()


def sorted_bins(sample: Primitives, rows: int, columns: int, threads: int = 0) -> _core.Bins:
    """Return the primitives sorted into tiles of pixels; kept as long as the sample itself."""
    known = _BINS.get(sample)
    if known is None or known[0] != (rows, columns):
        tables = (sample.spheres, sample.cylinders, sample.cuboids)
        known = (rows, columns), _core.Bins(*tables, rows, columns, threads)
        _BINS[sample] = known
    return known[1]


def _plane_shape(sample: Primitives, shape: Sequence[int] | None) -> tuple[int, int]:
    if shape is None:
        if sample.shape is None:
            raise PorescopeError("These primitives tell no box; give the shape (y, x) in pixels.")
        shape = [math.ceil(size) for size in sample.shape]
    sizes = list(shape)
    whole = all(isinstance(size, int | np.integer) and size > 0 for size in sizes)
    if len(sizes) not in (2, 3) or not whole:
        raise PorescopeError(
            f"The shape must be whole numbers of pixels (y, x) or (z, y, x) above 0, not {shape!r}."
        )
    rows, columns = int(sizes[-2]), int(sizes[-1])
    if rows * columns > MOST_PIXELS:
        raise PorescopeError(f"A plane of {rows} x {columns} pixels is larger than any image.")
    return rows, columns


def _check_plane(sample: Primitives, plane_z: float, shape: Sequence[int] | None) -> None:
    """Refuse a plane outside a sample whose box is known; loose primitives have no outside."""
    box = shape if shape is not None and len(shape) == 3 else sample.shape
    if box is not None and not 0 <= plane_z < box[SLICES]:
        raise PorescopeError(
            f"The plane at {plane_z:g} lies outside the sample, which reaches from 0 to "
            f"{box[SLICES]:g}."
        )


def _labels(volume: NDArray[Any]) -> NDArray[Any]:
    """Return labels in a type that the core takes."""
    if volume.dtype.kind not in "iu":
        return _native(volume)
    if volume.dtype.kind == "i" and volume.min(initial=0) < 0:
        raise PorescopeError("Labels must not be negative.")
    wide = volume.dtype.itemsize > 4
    return volume != 0 if wide else volume.astype(f"u{volume.dtype.itemsize}", copy=False)


def _grey_values(volume: NDArray[Any]) -> NDArray[Any]:
    """Return grey values in a type that the core takes, negative ones too."""
    wide = volume.dtype.kind == "u" and volume.dtype.itemsize > 2
    return volume.astype(np.float64) if wide or volume.dtype.kind == "i" else _native(volume)


def _native(volume: NDArray[Any]) -> NDArray[Any]:
    return volume.astype(volume.dtype.newbyteorder("="), copy=False)


def _of_volume(
    sample: Stack | NDArray[Any],
    plane_z: float,
    layers: int,
    spacing_nm: Sequence[float] | None,
    level: float | None,
    threads: int,
) -> HeightField:
    if isinstance(sample, Stack):
        spacing_nm = sample.spacing_nm
        sample = sample.data
    volume = np.asarray(sample)
    if volume.ndim != 3:
        raise PorescopeError(
            f"A sample is a volume with three axes (z, y, x) or primitives, not {volume.ndim} axes."
        )
    volume = _grey_values(volume) if level is not None else _labels(volume)
    spacing = checked_spacing_nm(spacing_nm or (1.0, 1.0, 1.0))  # type: ignore[arg-type]
    if not 0 <= plane_z < volume.shape[SLICES]:
        raise PorescopeError(
            f"The plane at {plane_z:g} lies outside the volume, which has "
            f"{volume.shape[SLICES]} slices."
        )
    try:
        return HeightField(
            *_core.volume_heightfield(volume, spacing, plane_z, layers, level, threads)
        )
    except (TypeError, ValueError) as error:
        raise PorescopeError(str(error)) from error
