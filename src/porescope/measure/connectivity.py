"""How a phase hangs together: its largest component, and what reaches from face to face."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.measure.parts import halves, measured, pieces
from porescope.stack import COLUMNS, ROWS, SLICES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

AXES = "zyx"
FACES = 6


def percolation(
    labels: Any,
    *,
    phase: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Return which share of a phase is connected from face to face of the volume.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array; pieces that are labelled one by one are joined where they meet.
    phase : int, optional
        Which label; by default all that is not 0.

    Returns
    -------
    dict
        ``percolating_z``, ``percolating_y``, ``percolating_x``: share of the phase's voxels in
        components that touch both faces across that axis, 0 where none does; ``largest_component``:
        share in the largest one; and for each the same with ``_uncertainty``, a standard error from
        eight parts of the volume (see :mod:`porescope.measure.parts`), whose voxels count for the
        components of the whole. Voxels hang together by faces. NaN where the phase is absent, and
        along an axis of a single voxel.
    """
    joins: list[NDArray[np.int64]] = []
    sizes: list[NDArray[np.int64]] = []
    touching: list[NDArray[np.bool_]] = []
    above: NDArray[np.int64] | None = None
    known = 0
    for start, inside in pieces(labels, phase, progress, cancel):
        components, count = _components(inside)
        sizes.append(_sizes(components, count, start >= halves(labels.shape[SLICES])[0].stop))
        touching.append(_touched(components, count, start, labels.shape[SLICES]))
        if above is not None:
            below = components[0]
            both = (above >= 0) & (below >= 0)
            joins.append(np.unique(np.stack([above[both], below[both] + known]), axis=1))
        above = np.where(components[-1] >= 0, components[-1] + known, -1)
        known += count
    by_part, faces = _joined(
        np.concatenate(joins, axis=1) if joins else np.empty((2, 0), dtype=np.int64),
        np.concatenate(sizes),
        np.concatenate(touching),
    )
    largest = by_part.sum(axis=1).argmax() if len(by_part) else 0
    chosen = [faces[:, 2 * axis] & faces[:, 2 * axis + 1] for axis in (SLICES, ROWS, COLUMNS)]
    chosen.append(np.arange(len(by_part)) == largest)
    names = [*(f"percolating_{name}" for name in AXES), "largest_component"]
    connected = np.stack([by_part[some].sum(axis=0) for some in chosen], axis=1)
    everything = by_part.sum(axis=0)[:, np.newaxis]
    reached = np.array([1.0 if size > 1 else np.nan for size in labels.shape] + [1.0])
    return measured(
        lambda some, all_: dict(zip(names, (some / all_ * reached).tolist(), strict=True)),
        connected,
        everything,
    )


def _components(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Return for each voxel of a piece its component, from 0, or -1; and how many there are."""
    from scipy import ndimage

    components, count = ndimage.label(inside)
    return components.astype(np.int64) - 1, int(count)


def _sizes(components: NDArray[np.int64], count: int, upper: bool) -> NDArray[np.int64]:
    """Return the voxels of each component by part, in an array of shape (components, 8)."""
    sizes = np.zeros((count, 2, 2, 2), dtype=np.int64)
    rows, columns = (halves(size) for size in components.shape[1:])
    for y, down in enumerate(rows):
        for x, across in enumerate(columns):
            some = components[:, down, across]
            sizes[:, int(upper), y, x] = np.bincount(some.ravel() + 1, minlength=count + 1)[1:]
    return sizes.reshape(count, 8)


def _touched(
    components: NDArray[np.int64], count: int, start: int, slices: int
) -> NDArray[np.bool_]:
    """Return which faces of the volume each component touches, two for each axis."""
    touched = np.zeros((count + 1, FACES), dtype=bool)
    first = components[:1] if start == 0 else components[:0]
    last = components[-1:] if start + len(components) == slices else components[:0]
    faces = (
        *(first, last),
        *(components[:, :1], components[:, -1:]),
        *(components[:, :, :1], components[:, :, -1:]),
    )
    for face, voxels in enumerate(faces):
        touched[voxels.ravel() + 1, face] = True
    return touched[1:]


def _joined(
    joins: NDArray[np.int64], sizes: NDArray[np.int64], touching: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the sizes and faces of components whose pieces are joined."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(joins.shape[1], dtype=bool), tuple(joins)), shape=(len(sizes),) * 2)
    if not len(sizes):
        return sizes, touching
    count, whole = connected_components(graph, directed=False)
    by_part = np.zeros((count, sizes.shape[1]), dtype=np.int64)
    np.add.at(by_part, whole, sizes)
    faces = np.zeros((count, FACES), dtype=bool)
    np.logical_or.at(faces, whole, touching)
    return by_part, faces
