"""Samples as lists of solids: spheres, cylinders and cuboids, which may overlap in any way.

Lengths are in voxels of the sample, or in any other unit that is the same throughout. A point on
the boundary of a primitive belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope import _core
from porescope.errors import PorescopeError

COLUMNS = {
    "spheres": ("z", "y", "x", "radius"),
    "cylinders": ("z", "y", "x", "axis z", "axis y", "axis x", "radius", "height"),
    "cuboids": (
        *("z", "y", "x"),
        *("quaternion w", "quaternion x", "quaternion y", "quaternion z"),
        *("edge z", "edge y", "edge x"),
    ),
}
SIZES = {"spheres": slice(3, 4), "cylinders": slice(6, 8), "cuboids": slice(7, 10)}
DIRECTIONS = {"cylinders": ("axis", slice(3, 6)), "cuboids": ("quaternion", slice(3, 7))}
UNIT_TOLERANCE = 1e-6

MOST_VOXELS = 1 << 40
"""Beyond this no block is tried, and no voxel counted from the origin."""


@dataclass(frozen=True, eq=False)
class Primitives:
    """Solid spheres, cylinders and cuboids; the sample is their union.

    The arrays are copied, float64, contiguous and read-only; axes and quaternions are scaled to
    length 1 in double precision.

    Parameters
    ----------
    spheres : array of shape (n, 4), optional
        Centre z, y, x and radius.
    cylinders : array of shape (n, 8), optional
        Centre z, y, x, unit vector z, y, x along the axis, radius, full height.
    cuboids : array of shape (n, 10), optional
        Centre z, y, x, unit quaternion w, x, y, z, full edges along the cuboid's own z, y, x. The
        quaternion is that of right-handed (x, y, z) axes and takes the cuboid's own axes to those
        of the sample: with (1, 0, 0, 0) the edges lie along z, y and x.
    shape : sequence of three numbers, optional
        Size (z, y, x) of the box from the origin that the sample fills, where it is known.

    Raises
    ------
    PorescopeError
        If there is no primitive, a number is not finite, a size is not above 0, or an axis or
        quaternion is longer or shorter than 1 by more than 1e-6; names the row, counted from 0.
    """

    spheres: NDArray[np.float64] = None  # type: ignore[assignment]  # filled below, never None after
    cylinders: NDArray[np.float64] = None  # type: ignore[assignment]
    cuboids: NDArray[np.float64] = None  # type: ignore[assignment]
    shape: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for kind in COLUMNS:
            rows = _table(kind, getattr(self, kind))
            found = fault(kind, rows)
            if found:
                row, reason = found
                raise PorescopeError(f"Row {row} of the {kind} makes no sense: {reason}.")
            _normalise(kind, rows)
            rows.flags.writeable = False
            object.__setattr__(self, kind, rows)
        if not len(self):
            raise PorescopeError("There is no primitive; give at least one.")
        if self.shape is not None:
            object.__setattr__(self, "shape", checked_box(self.shape))

    def __len__(self) -> int:
        return len(self.spheres) + len(self.cylinders) + len(self.cuboids)

    @cached_property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """Bounding box of all primitives: lowest and highest z, y and x."""
        tables = [(kind, getattr(self, kind)) for kind in COLUMNS]
        boxes = [bounding_boxes(kind, rows) for kind, rows in tables if len(rows)]
        lower = np.min([lowest.min(axis=0) for lowest, _ in boxes], axis=0)
        upper = np.max([highest.max(axis=0) for _, highest in boxes], axis=0)
        z, y, x = zip(lower.tolist(), upper.tolist(), strict=True)
        return z, y, x


def fault(kind: str, rows: NDArray[np.float64]) -> tuple[int, str] | None:
    """Return the first row that describes no solid and why, or None if all do.

    Parameters
    ----------
    kind : str
        ``"spheres"``, ``"cylinders"`` or ``"cuboids"``.
    rows : array of shape (n, columns)
        As for :class:`Primitives`.
    """
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        return int(row), f"{COLUMNS[kind][column]} is {rows[row, column]}, not a finite number"
    sizes = rows[:, SIZES[kind]]
    bad = np.argwhere(sizes <= 0)
    if len(bad):
        row, column = bad[0]
        name = COLUMNS[kind][SIZES[kind]][column]
        return int(row), f"the {name} is {sizes[row, column]}, but must be above 0"
    if kind in DIRECTIONS:
        name, columns = DIRECTIONS[kind]
        lengths = np.linalg.norm(rows[:, columns], axis=1)
        off = np.flatnonzero(np.abs(lengths - 1) > UNIT_TOLERANCE)
        if len(off):
            return int(off[0]), f"the {name} has length {lengths[off[0]]:.7g}, but must have 1"
    return None


def bounding_boxes(
    kind: str, rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest corner (z, y, x) of each primitive, of shape (n, 3)."""
    if kind == "spheres":
        reach = rows[:, 3:]
    elif kind == "cylinders":
        axes, radii, heights = rows[:, 3:6], rows[:, 6:7], rows[:, 7:8]
        flat = np.sqrt(np.clip(1 - axes**2, 0, None))
        reach = heights / 2 * np.abs(axes) + radii * flat
    else:
        from scipy.spatial.transform import Rotation

        turned = Rotation.from_quat(rows[:, [4, 5, 6, 3]]).as_matrix()[:, ::-1, ::-1]
        reach = np.einsum("nij,nj->ni", np.abs(turned), rows[:, 7:] / 2)
    centres = rows[:, :3]
    return centres - reach, centres + reach


def checked_box(shape: Sequence[float]) -> tuple[float, float, float]:
    """Return the size (z, y, x) of a sample, whole numbers as int, or refuse it.

    Raises
    ------
    PorescopeError
        If there are not three numbers, or one is not finite and above 0.
    """
    try:
        z, y, x = (float(size) for size in shape)
    except (TypeError, ValueError):
        z = y = x = math.nan
    if not all(math.isfinite(size) and size > 0 for size in (z, y, x)):
        raise PorescopeError(
            f"The box of a sample must be three numbers (z, y, x) above 0, not {shape!r}."
        )
    z, y, x = (int(size) if size.is_integer() else size for size in (z, y, x))
    return z, y, x


def voxelize(
    primitives: Primitives,
    shape: Sequence[int] | None = None,
    start: Sequence[int] = (0, 0, 0),
) -> NDArray[np.bool_]:
    """Return a block of voxels, each solid where its centre lies in a primitive.

    Voxel i covers [i, i + 1) in the unit of the primitives. A line of voxel centres along z that
    only touches a primitive crosses no length of it and gets no solid, as in a heightfield, though
    the point touched belongs to the primitive. Blocks fit together exactly, so that a
    sample larger than memory is voxelized block by block.

    Parameters
    ----------
    primitives : Primitives
    shape : sequence of three ints, optional
        Number of voxels (z, y, x) of the block; by default the sample's own box from ``start`` on.
    start : sequence of three ints, optional
        First voxel (z, y, x) of the block.

    Returns
    -------
    array of shape (z, y, x), bool

    Raises
    ------
    PorescopeError
        If these are no Primitives, or the shape is not known, makes no sense or does not fit into
        memory.
    """
    if not isinstance(primitives, Primitives):
        raise PorescopeError(
            f"Only Primitives can be voxelized, not {type(primitives).__name__}; put rows of "
            "numbers into Primitives(spheres=..., cylinders=..., cuboids=...)."
        )
    first = _whole_numbers("start", start)
    if shape is not None:
        block = _whole_numbers("shape", shape)
    elif primitives.shape is not None:
        extent = tuple(math.ceil(size) for size in primitives.shape)
        block = tuple(size - begin for size, begin in zip(extent, first, strict=True))
    else:
        raise PorescopeError("These primitives tell no box; give the shape (z, y, x) in voxels.")
    if min(block) < 1:
        raise PorescopeError(
            f"The block from voxel {first} on has the shape {block}; each must be 1 or more."
        )
    try:
        if math.prod(block) > MOST_VOXELS:
            raise MemoryError
        return _core.voxelize(
            primitives.spheres, primitives.cylinders, primitives.cuboids, first, block
        )
    except MemoryError as error:
        raise PorescopeError(
            f"A block of {block} voxels needs {math.prod(block) / 2**30:.3g} GiB, more than there "
            "is; voxelize smaller blocks, each from its own start."
        ) from error


def _table(kind: str, rows: ArrayLike | None) -> NDArray[np.float64]:
    names = COLUMNS[kind]
    try:
        table = np.array([] if rows is None else rows, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        table = np.empty(1)
    if table.size == 0:
        return np.empty((0, len(names)))
    if table.ndim != 2 or table.shape[1] != len(names):
        raise PorescopeError(
            f"The {kind} must be rows of {len(names)} numbers ({', '.join(names)})."
        )
    return table


def _normalise(kind: str, rows: NDArray[np.float64]) -> None:
    """Scale axes or quaternions to length 1, leaving alone what rounding makes no better."""
    if kind in DIRECTIONS:
        directions = rows[:, DIRECTIONS[kind][1]]
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        off = np.abs(lengths - 1) > 4 * np.finfo(np.float64).eps
        directions /= np.where(off, lengths, 1)


def _whole_numbers(name: str, values: Sequence[int]) -> tuple[int, ...]:
    if len(values) != 3 or not all(
        isinstance(n, int | np.integer) and abs(n) < MOST_VOXELS for n in values
    ):
        raise PorescopeError(
            f"The {name} must be three whole numbers of voxels (z, y, x), not {values!r}."
        )
    return tuple(int(n) for n in values)
