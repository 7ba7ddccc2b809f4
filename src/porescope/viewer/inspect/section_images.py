"""Cuts through stacks along z, as the window shows their layers.

A stack on the disk holds a slice in one piece, so a cut reads all of it. One pass leaves a coarse
copy of the stack, from which any cut follows at once; voxels finer than that are read again for the
one cut that is looked at closely.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.viewer.layers import from_layer

if TYPE_CHECKING:
    from napari.layers import Layer

COPY_BYTES = 64 << 20
"""Of the coarse copy of a stack."""
READING_S = 0.15
"""After so long, what has been read is shown before more is read."""
SHADES = 256


class Cuts:
    """The cuts along a row and a column of one volume, read as far as there was time for.

    Parameters
    ----------
    data : array of shape (z, y, x)
        In memory it is looked at as it is; anything else is read slice by slice.
    """

    def __init__(self, data: Any) -> None:
        self.data = data
        count, *plane = data.shape
        self.in_memory = isinstance(data, np.ndarray)
        self.step = 1
        if not self.in_memory:
            bytes_ = data.size * data.dtype.itemsize
            self.step = max(1, math.ceil(math.sqrt(bytes_ / COPY_BYTES)))
            kept = [-(-size // self.step) for size in plane]
            self._copy = np.zeros((count, *kept), data.dtype)
            self._copied = np.zeros(count, bool)
        self._at = (-1, -1)
        self._exact: dict[int, NDArray[Any]] = {}
        self._read = np.zeros(count, bool)

    def missing(self, at: tuple[int, int], finely: bool) -> list[int]:
        """Return the slices to read for the cuts along a row and a column, most telling first."""
        if self.in_memory:
            return []
        if finely and self.step > 1:
            if at != self._at:
                self._at = at
                shape = self.data.shape
                self._exact = {
                    axis: np.zeros((shape[SLICES], shape[ROWS + COLUMNS - axis]), self.data.dtype)
                    for axis in (ROWS, COLUMNS)
                }
                self._read[:] = False
            known = self._read & self._copied
        else:
            known = self._copied
        return [index for index in _coarse_to_fine(len(known)) if not known[index]]

    def read(self, index: int) -> None:
        """Read a slice, for the cuts that :meth:`missing` was asked about and the coarse copy."""
        plane = self.data[index]
        if hasattr(plane, "compute"):
            # In this thread, and past napari's cache, which is for slices that are looked at again.
            plane = plane.compute(scheduler="sync", callbacks=())
        plane = np.asarray(plane)
        self._copy[index] = plane[:: self.step, :: self.step]
        self._copied[index] = True
        if self._exact:
            row, column = self._at
            self._exact[ROWS][index], self._exact[COLUMNS][index] = plane[row], plane[:, column]
            self._read[index] = True

    def sample(
        self,
        axis: int,
        at: tuple[int, int],
        slices: NDArray[np.intp],
        along: NDArray[np.intp],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return voxels of a cut, and which slices of them are known.

        Parameters
        ----------
        axis : int
            ROWS for the cut along a row, COLUMNS for that along a column.
        at : tuple of two ints
            The row and the column.
        slices, along : int arrays
            Which voxels, along z and along the cut. A slice that was not read yet is stood in for
            by the nearest that was.
        """
        if self.in_memory:
            across = (at[0], along) if axis == ROWS else (along, at[1])
            return self.data[(slices[:, np.newaxis], *across)], np.ones(len(slices), bool)
        known = np.flatnonzero(self._copied)
        if not len(known):
            return np.zeros((len(slices), len(along)), self.data.dtype), np.zeros(len(slices), bool)
        after = np.searchsorted(known, slices).clip(0, len(known) - 1)
        before = (after - 1).clip(0)
        nearer = np.abs(known[before] - slices) < np.abs(known[after] - slices)
        nearest = np.where(nearer, known[before], known[after])
        row, column = at[0] // self.step, at[1] // self.step
        coarsely = along // self.step
        across = (row, coarsely) if axis == ROWS else (coarsely, column)
        values = self._copy[(nearest[:, np.newaxis], *across)]
        if self._exact and at == self._at:
            exactly = self._read[nearest]
            values[exactly] = self._exact[axis][nearest[exactly][:, np.newaxis], along]
        return values, np.ones(len(slices), bool)


@dataclass(frozen=True, eq=False)
class Look:
    """A layer, and how the window shows it.

    Parameters
    ----------
    stack : Stack
    colours : callable(values), returns float array (..., 4)
        Colours of grey values or labels.
    opacity : float
    blending : str
        As napari calls it.
    outlined : bool
        Whether labels are shown by their outline.
    """

    stack: Stack
    colours: Any
    opacity: float
    blending: str
    outlined: bool

    @classmethod
    def of(cls, layer: Layer) -> Look:
        """Return how a layer looks now.

        Raises
        ------
        PorescopeError
            If it is no volume along z, y and x.
        """
        stack = from_layer(layer)
        if stack.is_labels:
            colours: Any = layer.colormap.map
        else:
            colours = _Shades(layer)
        outlined = stack.is_labels and layer.contour > 0
        return cls(stack, colours, layer.opacity, str(layer.blending), outlined)


class _Shades:
    """The colours of an image's grey values."""

    def __init__(self, layer: Layer) -> None:
        self._low, self._high = layer.contrast_limits
        self._table = layer.colormap.map(np.linspace(0, 1, SHADES) ** layer.gamma)

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        shades = (values.astype(np.float32) - self._low) / (self._high - self._low) * (SHADES - 1)
        known = np.isfinite(shades)
        indices = np.where(known, shades, 0).clip(0, SHADES - 1).astype(np.uint8)
        return np.where(known[..., np.newaxis], self._table[indices], 0)


@dataclass(frozen=True, eq=False)
class Frame:
    """What a cut shows: where its pixels lie.

    Parameters
    ----------
    axis : int
        ROWS for the cut along a row (xz), COLUMNS for that along a column (yz).
    along_nm, z_nm : float arrays
        The middles of its pixels.
    """

    axis: int
    along_nm: NDArray[np.float64]
    z_nm: NDArray[np.float64]

    @property
    def pixel_nm(self) -> float:
        """Size of a pixel."""
        return float(np.diff(self.along_nm[:2]).sum()) or 1.0


class SectionReader:
    """Makes the cuts of all visible layers; keeps what was read. For one thread."""

    def __init__(self) -> None:
        self._cuts: dict[int, Cuts] = {}

    def images(
        self,
        looks: Sequence[Look],
        cursor_yx_nm: tuple[float, float],
        frames: Sequence[Frame],
        keep: Sequence[Any],
    ) -> tuple[list[NDArray[np.uint8]], float]:
        """Return the cuts through a point, as far as they were read in a fraction of a second.

        Parameters
        ----------
        looks : sequence of Look
            Lowest first.
        cursor_yx_nm : tuple of two floats
            Where the cuts lie.
        frames : sequence of Frame
        keep : sequence of arrays
            What is let go of is all else.

        Returns
        -------
        images : list of uint8 arrays (z, along, 4)
            Colours, one for each frame; clear where there is no layer.
        done : float
            Share of the slices that were read, 1 when all were.
        """
        held = {id(data): data for data in (*keep, *(look.stack.data for look in looks))}
        self._cuts = {key: cuts for key, cuts in self._cuts.items() if key in held}
        for look in looks:
            data = look.stack.data
            if id(data) not in self._cuts:
                self._cuts[id(data)] = Cuts(data)
        pixel_nm = min((frame.pixel_nm for frame in frames), default=1.0)
        done = self._read(looks, cursor_yx_nm, pixel_nm)
        return [self._composite(looks, cursor_yx_nm, frame) for frame in frames], done

    def _read(
        self, looks: Sequence[Look], cursor_yx_nm: tuple[float, float], pixel_nm: float
    ) -> float:
        end = time.monotonic() + READING_S
        wanted = []
        for look in looks:
            at = _voxel(look.stack, cursor_yx_nm)
            cuts = self._cuts[id(look.stack.data)]
            finely = pixel_nm < cuts.step * min(look.stack.spacing_nm[ROWS:])
            if at is not None:
                wanted.append((cuts, cuts.missing(at, finely), look.stack.shape[SLICES]))
        total = sum(count for *_, count in wanted)
        left = sum(len(missing) for _, missing, _ in wanted)
        # In turns, so that all layers appear.
        for cuts, index in _in_turns([(cuts, missing) for cuts, missing, _ in wanted]):
            if time.monotonic() > end:
                break
            cuts.read(index)
            left -= 1
        return 1 - left / total if total else 1.0

    def _composite(
        self, looks: Sequence[Look], cursor_yx_nm: tuple[float, float], frame: Frame
    ) -> NDArray[np.uint8]:
        colours = np.zeros((len(frame.z_nm), len(frame.along_nm), 4), np.float32)
        for look in looks:
            at = _voxel(look.stack, cursor_yx_nm)
            if at is None:
                continue
            slices, deep = _nearest_slices(look.stack, frame.z_nm)
            along, wide = _nearest_pixels(look.stack, frame)
            cuts = self._cuts[id(look.stack.data)]
            values, known = cuts.sample(frame.axis, at, slices, along)
            shown = look.colours(values).astype(np.float32)
            if look.outlined:
                shown[~_edges(values)] = 0
            shown[..., 3] *= look.opacity * ((deep & known)[:, np.newaxis] & wide)
            _blend(colours, shown, look.blending)
        return np.rint(255 * colours.clip(0, 1)).astype(np.uint8)


def _coarse_to_fine(count: int) -> Iterator[int]:
    """Yield 0 ... count - 1, every second of those that are left out last."""
    step = 1 << max(0, count - 1).bit_length()
    yield 0
    while step > 1:
        yield from range(step // 2, count, step)
        step //= 2


def _in_turns(wanted: Sequence[tuple[Cuts, list[int]]]) -> Iterator[tuple[Cuts, int]]:
    longest = max((len(missing) for _, missing in wanted), default=0)
    for turn in range(longest):
        for cuts, missing in wanted:
            if turn < len(missing):
                yield cuts, missing[turn]


def _voxel(stack: Stack, yx_nm: tuple[float, float]) -> tuple[int, int] | None:
    """Return the row and column of a point, or None where the stack does not reach."""
    row, column = (
        round((place - origin) / stack.spacing_nm[axis])
        for place, origin, axis in zip(yx_nm, stack.origin_yx_nm, (ROWS, COLUMNS), strict=True)
    )
    inside = 0 <= row < stack.shape[ROWS] and 0 <= column < stack.shape[COLUMNS]
    return (row, column) if inside else None


def _nearest_slices(
    stack: Stack, z_nm: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the slice nearest to each depth, and where the stack reaches."""
    order = np.argsort(stack.slice_z_nm, kind="stable")
    sorted_nm = stack.slice_z_nm[order]
    middles = (sorted_nm[1:] + sorted_nm[:-1]) / 2
    half_nm = stack.spacing_nm[SLICES] / 2
    reaches = (z_nm >= sorted_nm[0] - half_nm) & (z_nm <= sorted_nm[-1] + half_nm)
    return order[np.searchsorted(middles, z_nm)], reaches


def _nearest_pixels(stack: Stack, frame: Frame) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the pixel nearest to each place along a cut, and where the stack reaches."""
    axis = COLUMNS if frame.axis == ROWS else ROWS
    places = (frame.along_nm - stack.origin_yx_nm[axis - ROWS]) / stack.spacing_nm[axis]
    nearest = np.rint(places).astype(np.intp)
    reaches = (nearest >= 0) & (nearest < stack.shape[axis])
    return nearest.clip(0, stack.shape[axis] - 1), reaches


def _edges(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a neighbour has another label."""
    edges = np.zeros(values.shape, bool)
    for axis in (0, 1):
        differs = np.diff(values.astype(np.int64), axis=axis) != 0
        first = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        last = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        edges[first] |= differs
        edges[last] |= differs
    return edges


def _blend(below: NDArray[np.float32], above: NDArray[np.float32], blending: str) -> None:
    """Put one picture on another, as napari's blending does."""
    alpha = above[..., 3:]
    if blending == "additive":
        below[..., :3] += above[..., :3] * alpha
    elif blending == "minimum":
        covered = (below[..., 3:] > 0) & (alpha > 0)
        lower = np.minimum(below[..., :3], above[..., :3] * alpha)
        below[..., :3] = np.where(covered, lower, below[..., :3] + above[..., :3] * alpha)
    elif blending == "multiplicative":
        below[..., :3] *= np.where(alpha > 0, above[..., :3] * alpha, 1)
    else:
        below[..., :3] = above[..., :3] * alpha + below[..., :3] * (1 - alpha)
    below[..., 3:] = np.maximum(below[..., 3:], alpha)


def reach(looks: Sequence[Look]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where all layers together begin and end along z, y and x, in nm.

    Raises
    ------
    PorescopeError
        If there are none.
    """
    if not looks:
        raise PorescopeError("There is nothing to cut; load a stack and show it.")
    lows, highs = [], []
    for stack in (look.stack for look in looks):
        spacing, z_nm = np.array(stack.spacing_nm), stack.slice_z_nm
        last = (np.array(stack.shape) - 1) * spacing
        lows.append(np.array([z_nm.min(), *stack.origin_yx_nm]) - spacing / 2)
        highs.append(np.array([z_nm.max(), *(last[ROWS:] + stack.origin_yx_nm)]) + spacing / 2)
    return np.min(lows, axis=0), np.max(highs, axis=0)
