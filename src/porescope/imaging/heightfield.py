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
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.device import Device, use_gpu
from porescope.stack import SLICES, Stack, checked_spacing_nm

MOST_LAYERS = 8
MOST_PIXELS = 1 << 28
MOST_LABELS = 32
"""How many values a volume may hold to pass for labels where nothing says what it holds."""
LOOKED_AT = 1 << 16
"""Voxels, spread over a volume, among which its values are counted."""


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
        of a continuous field. More than 32 values are labels only in a stack that says so.
    plane_z : float
        Depth of the plane, in the unit of primitives or in voxels of a volume.
    shape : sequence of ints, optional
        Pixels (y, x), or (z, y, x), of the plane of primitives; by default the sample's own box.
    layers : int, optional
        How many stretches of solid, from 1 to 8.
    device : {"auto", "cpu", "cuda"}, optional
        Where primitives are worked on; "auto" takes a GPU if there is one. On a GPU the arrays are
        torch tensors there. Volumes are worked on by the processor alone.
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
        If a parameter makes no sense, the plane lies outside the sample, or a volume holds grey
        values without a level, or NaN.
    """
    if not isinstance(layers, int | np.integer) or not 1 <= layers <= MOST_LAYERS:
        raise PorescopeError(f"The number of layers must be from 1 to 8, not {layers!r}.")
    if not (isinstance(plane_z, int | float | np.number) and math.isfinite(plane_z)):
        raise PorescopeError(f"The depth of the plane must be a finite number, not {plane_z!r}.")
    if not isinstance(sample, Primitives):
        if shape is not None:
            raise PorescopeError("A volume has a shape of its own; leave out the shape.")
        if device not in ("auto", "cpu"):
            raise PorescopeError(
                "Volumes are worked on by the processor alone; take the device auto or cpu, not "
                f"{device!r}."
            )
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


def _labels(volume: NDArray[Any], told: bool) -> NDArray[Any]:
    """Return labels in a type that the core takes; ``told`` says that they are labels."""
    kind = volume.dtype.kind
    if kind == "f" or (kind in "iu" and not told and _has_many_values(volume)):
        held = volume.dtype.name if kind == "f" else f"more than {MOST_LABELS} different values"
        raise PorescopeError(
            f"The volume holds {held}, as grey images do and labels do not; give the level, the "
            "value from which it is solid (--level on the command line)."
        )
    if kind == "b":
        return volume
    if kind == "i" and volume.min(initial=0) < 0:
        raise PorescopeError("Labels must not be negative.")
    wide = volume.dtype.itemsize > 4
    return volume != 0 if wide else volume.astype(f"u{volume.dtype.itemsize}", copy=False)


def _has_many_values(volume: NDArray[Any]) -> bool:
    step = math.ceil((volume.size / LOOKED_AT) ** (1 / 3)) or 1
    return len(np.unique(volume[::step, ::step, ::step])) > MOST_LABELS


_WITHOUT_NAN: WeakValueDictionary[int, NDArray[Any]] = WeakValueDictionary()
"""Volumes that were looked through, by id, so that this is done once for all their planes."""


def _check_no_nan(volume: NDArray[Any]) -> None:
    if volume.dtype.kind != "f" or _WITHOUT_NAN.get(id(volume)) is volume:
        return
    if volume.size and np.isnan(volume.min()):
        count = np.count_nonzero(np.isnan(volume))
        raise PorescopeError(
            f"In {count:,} voxels the volume holds no number (NaN), which is neither solid nor "
            "pore; fill these or cut them off first."
        )
    _WITHOUT_NAN[id(volume)] = volume


def _grey_values(volume: NDArray[Any]) -> NDArray[Any]:
    """Return grey values in a type that the core takes, negative ones too."""
    _check_no_nan(volume)
    if volume.dtype.kind == "b":
        return volume.astype(np.uint8)
    native = volume.dtype.newbyteorder("=")
    taken = native in (np.uint8, np.uint16, np.float32, np.float64)
    return volume.astype(native if taken else np.float64, copy=False)


def _of_volume(
    sample: Stack | NDArray[Any],
    plane_z: float,
    layers: int,
    spacing_nm: Sequence[float] | None,
    level: float | None,
    threads: int,
) -> HeightField:
    told = isinstance(sample, Stack) and sample.is_labels
    if isinstance(sample, Stack):
        spacing_nm = sample.spacing_nm
        sample = sample.data
    volume = np.asarray(sample)
    if volume.ndim != 3:
        raise PorescopeError(
            f"A sample is a volume with three axes (z, y, x) or primitives, not {volume.ndim} axes."
        )
    if volume.dtype.kind not in "biuf":
        raise PorescopeError(f"The voxels of a sample are real numbers, not {volume.dtype}.")
    if not (level is None or (isinstance(level, int | float | np.number) and math.isfinite(level))):
        raise PorescopeError(f"The level must be a finite number, not {level!r}.")
    volume = _grey_values(volume) if level is not None else _labels(volume, told)
    spacing = checked_spacing_nm((1.0, 1.0, 1.0) if spacing_nm is None else spacing_nm)
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
