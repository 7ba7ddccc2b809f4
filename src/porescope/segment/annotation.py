"""Labels painted by hand: which slices hold some, what lies between, what belongs together.

Label 0 is not told. Slices may be taken along any axis of a volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import Cancelled, PorescopeError
from porescope.segment.edits import Labels, Part, Patch, bounding_box
from porescope.stack import SLICES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

SPECK_PX = 9
"""Pixels of a hole in what looks alike that is noise."""
SMOOTHED_PX = 1.0
"""Standard deviation of the blur under which grey values are compared."""


def told_shares(labels: Labels, axis: int = SLICES) -> NDArray[np.float64]:
    """Return how much of each slice is told, between 0 and 1.

    Parameters
    ----------
    labels : unsigned array of shape (z, y, x)
    axis : int
        Along which slices follow one another.
    """
    planes = np.moveaxis(labels, axis, 0)
    return np.array([told_share(plane) for plane in planes])


def told_share(plane: Labels) -> float:
    """Return how much of a slice is told."""
    return np.count_nonzero(plane) / plane.size


def gaps(told: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Return the first and last slice of each stretch that is not told.

    Parameters
    ----------
    told : sequence of int
        Slices that are, ascending.
    count : int
        Of all slices.
    """
    ends = pairwise([-1, *told, count])
    return [(before + 1, after - 1) for before, after in ends if after - before > 1]


def plane_part(shape: Sequence[int], axis: int, index: int) -> Part:
    """Return where a slice across an axis lies in a volume."""
    part = [slice(0, size) for size in shape]
    part[axis] = slice(index, index + 1)
    return tuple(part)


def interpolate_labels(
    labels: Labels,
    spacing_nm: Sequence[float],
    slice_z_nm: NDArray[np.floating] | None = None,
    axis: int = SLICES,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> list[Patch]:
    """Return what fills slices without labels between those that have some.

    The signed distance to the border of each label goes linearly, in nm, from one slice that holds
    the label to the next that does [1]_. Where several labels reach a voxel, that which reaches
    deepest has it. Slices in which anything is told stay as they are, and nothing is guessed before
    the first and after the last slice of a label.

    Parameters
    ----------
    labels : unsigned array of shape (z, y, x)
        Not changed; apply the patches.
    spacing_nm : three floats
        Voxel size (z, y, x).
    slice_z_nm : array of shape (z,), optional
        Where slices lie, if they are not evenly spaced. Within slices across y or x, the nominal
        spacing counts.
    axis : int
        Along which slices follow one another.
    progress, cancel
        See :mod:`porescope.tracking`.

    Raises
    ------
    PorescopeError
        If two annotated slices lie at the same place, or out of order.

    References
    ----------
    .. [1] S. P. Raya, J. K. Udupa, Shape-based interpolation of multidimensional objects, IEEE
       Transactions on Medical Imaging 9 (1990) 32-42.
    """
    planes = np.moveaxis(labels, axis, 0)
    places_nm = np.arange(len(planes), dtype=np.float64) * spacing_nm[axis]
    if axis == SLICES and slice_z_nm is not None:
        places_nm = np.asarray(slice_z_nm, dtype=float)
    in_plane = [spacing for other, spacing in enumerate(spacing_nm) if other != axis]
    told = np.flatnonzero([plane.any() for plane in planes]).astype(np.int64)
    if (np.diff(places_nm[told]) <= 0).any():
        raise PorescopeError(
            "Two annotated slices lie at the same place or out of order; put the slices where they "
            "were cut before annotating between them."
        )
    spans = _spans(planes, told)
    inner = sorted({index for held in spans.values() for index in range(held[0], held[-1])})
    missing = sorted(set(inner) - set(told.tolist()))
    shapes: dict[int, _Between] = {}
    patches = []
    for index in track(missing, progress, cancel):
        depth = np.full(planes.shape[1:], -np.inf, np.float32)
        found = np.zeros_like(planes[index])
        for label, held in spans.items():
            after = int(np.searchsorted(held, index))
            if not 0 < after < len(held):
                continue
            ends = held[after - 1], held[after]
            if label not in shapes or shapes[label].ends != ends:
                shapes[label] = _Between(planes, label, ends, in_plane)
            shape = shapes[label]
            here = shape.at(index, places_nm)
            deeper = (here >= 0) & (here > depth[shape.box])
            depth[shape.box][deeper] = here[deeper]
            found[shape.box][deeper] = label
        where = plane_part(labels.shape, axis, index)
        patch = Patch.between(where, labels[where], np.expand_dims(found, axis))
        if patch is not None:
            patches.append(patch)
    return patches


def _spans(planes: Labels, told: NDArray[np.int64]) -> dict[int, list[int]]:
    """Return for each label which slices hold it, ascending."""
    spans: dict[int, list[int]] = {}
    for index in told:
        for label in np.unique(planes[index]):
            if label:
                spans.setdefault(int(label), []).append(int(index))
    return dict(sorted(spans.items()))


class _Between:
    """A label between two slices that hold it."""

    def __init__(
        self, planes: Labels, label: int, ends: tuple[int, int], spacing_nm: Sequence[float]
    ) -> None:
        from porescope.correct.interpolation.borders import signed_distance

        self.ends = ends
        first, last = (planes[end] == label for end in ends)
        # A pixel more on each side holds the nearest pixel without the label.
        self.box = tuple(
            slice(max(part.start - 1, 0), min(part.stop + 1, size))
            for part, size in zip(bounding_box(first | last), first.shape, strict=True)
        )
        self._fields = [
            signed_distance(np.ascontiguousarray(inside[self.box]), spacing_nm)
            for inside in (first, last)
        ]

    def at(self, index: int, places_nm: NDArray[Any]) -> NDArray[np.float32]:
        """Return the signed distance in a slice, within the box."""
        first, last = places_nm[list(self.ends)]
        place = np.clip(places_nm[index], first, last)
        before, after = self._fields
        nearer_last = (place - first) / (last - first)
        nearer_first = (last - place) / (last - first)
        field: NDArray[np.float32] = np.float32(nearer_first) * before
        return field + np.float32(nearer_last) * after


def fill_through(
    labels: Labels,
    seed: tuple[int, int, int],
    label: int,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> list[Patch]:
    """Return what gives a label to the voxels alike that are connected to one, face by face.

    Goes from slice to slice along z; memory is a byte for each voxel of the slices reached.

    Parameters
    ----------
    labels : unsigned array of shape (z, y, x)
        Not changed; apply the patches.
    seed : tuple of three ints
        The voxel.
    label : int
        Its new label.
    progress, cancel
        See :mod:`porescope.tracking`; progress counts slices reached.

    Raises
    ------
    Cancelled
    """
    old = labels[seed]
    if old == label:
        return []
    reached: dict[int, NDArray[np.bool_]] = {}
    begin = np.zeros(labels.shape[1:], bool)
    begin[seed[1:]] = True
    waiting = {seed[SLICES]: begin}
    while waiting:
        if cancel():
            raise Cancelled
        index, seeds = waiting.popitem()
        region = connected(labels[index] == old, seeds)
        before = reached.get(index)
        reached[index] = region if before is None else region | before
        for near in {index - 1, index + 1} & set(range(len(labels))):
            fresh = region & (labels[near] == old)
            if near in reached:
                fresh &= ~reached[near]
            if fresh.any():
                waiting[near] = fresh | waiting.get(near, False)
        progress(len(reached), len(labels))
    patches = []
    for index, region in sorted(reached.items()):
        where = plane_part(labels.shape, SLICES, index)
        after = np.where(region, labels.dtype.type(label), labels[index])
        patch = Patch.between(where, labels[where], after[np.newaxis])
        if patch is not None:
            patches.append(patch)
    return patches


def connected(alike: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a slice that are connected to seeds, edge by edge, through alike ones.

    Parameters
    ----------
    alike : bool array of shape (y, x)
    seeds : bool array of the same shape
        Where not alike, they count for nothing.
    """
    from scipy.ndimage import label

    parts, count = label(alike)
    wanted = np.zeros(count + 1, bool)
    wanted[parts[seeds & alike]] = True
    found: NDArray[np.bool_] = wanted[parts]
    return found


def smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a slice without the finest of its noise, in which :func:`grow` compares pixels."""
    from scipy.ndimage import gaussian_filter

    greys: NDArray[np.float32] = gaussian_filter(image, SMOOTHED_PX, mode="nearest")
    return greys


def brush_disc(
    shape: Sequence[int],
    centre: NDArray[np.floating] | Sequence[float],
    diameter_px: float,
    spacing: Sequence[float],
) -> tuple[Part, NDArray[np.bool_]]:
    """Return where a round brush lies in a slice, and which pixels of that part it covers.

    Parameters
    ----------
    shape : two ints
        Of the slice.
    centre : two floats
        Of the brush in pixels; it may lie outside.
    diameter_px : float
        In pixels along the axis with the finer ones.
    spacing : two floats
        Extent of a pixel.
    """
    reach = (diameter_px / 2) * min(spacing) / np.asarray(spacing)
    part = tuple(
        slice(max(int(np.ceil(middle - far)), 0), max(min(int(middle + far) + 1, size), 0))
        for middle, far, size in zip(centre, reach, shape, strict=True)
    )
    y, x = (
        (np.arange(along.start, max(along.stop, along.start)) - middle) / max(far, 0.5)
        for along, middle, far in zip(part, centre, reach, strict=True)
    )
    return part, y[:, np.newaxis] ** 2 + x**2 <= 1


def grow(
    greys: NDArray[np.float32],
    disc: NDArray[np.bool_],
    seeds: NDArray[np.bool_],
    grey: float,
    tolerance: float,
) -> NDArray[np.bool_]:
    """Return the pixels under a brush that belong with a grey value and touch what was begun with.

    Specks of other grey that these enclose are noise and taken too.

    Parameters
    ----------
    greys : float32 array of shape (y, x)
        Part of a slice, :func:`smoothed`.
    disc, seeds : bool arrays of the same shape
        Pixels under the brush, and those to grow from.
    grey, tolerance : float
        How far a grey value may lie from another to belong with it.
    """
    from scipy.ndimage import label

    found = connected(disc & (np.abs(greys - grey) <= tolerance), seeds)
    holes, _ = label(~np.pad(found, 1))
    specks = np.bincount(holes.ravel()) <= SPECK_PX
    specks[[0, holes[0, 0]]] = False  # what was found, and what lies around it
    return found | (disc & specks[holes[1:-1, 1:-1]])
