"""The surface of a phase as a mesh to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.io.slabs import load
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

MOST_BOXES = 3_000_000
"""What a graphics card, or a computer without one, still turns smoothly."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """How much of each box of voxels a phase fills.

    Parameters
    ----------
    fractions : float32 array of shape (z, y, x)
        With an empty box around it all, so that a surface closes at the border.
    centres_nm : tuple of three float arrays
        Where the middles of the boxes lie along z, y and x.
    """

    fractions: NDArray[np.float32]
    centres_nm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles.

    Parameters
    ----------
    vertices_nm : float32 array of shape (vertices, 3)
        z, y, x.
    faces : int32 array of shape (triangles, 3)
        The vertices of each.
    """

    vertices_nm: NDArray[np.float32]
    faces: NDArray[np.int32]


def boxes_of_phase(
    stack: Stack,
    phase: int = 1,
    *,
    most: int = MOST_BOXES,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Boxes:
    """Return how much of each box a phase fills; a box is a voxel where there are few.

    Parameters
    ----------
    stack : Stack
        Labels, read a few slices at a time.
    phase : int
        Label of the phase.
    most : int
        Number of boxes; with more voxels than that they are as large as needed, and about as long
        in nm along each axis.
    """
    size = np.ones(3, dtype=int)
    while np.prod(-(-np.array(stack.shape) // size)) > most:
        size[np.argmin(size * stack.spacing_nm)] += 1
    starts = [np.arange(0, count, each) for count, each in zip(stack.shape, size, strict=True)]
    counts = [np.diff([*first, count]) for first, count in zip(starts, stack.shape, strict=True)]
    fractions = np.zeros([len(first) + 2 for first in starts], np.float32)
    for index in track(range(len(starts[SLICES])), progress, cancel):
        first = starts[SLICES][index]
        filled = load(stack.data, slice(first, first + counts[SLICES][index])) == phase
        sums = filled.sum(axis=SLICES, dtype=np.int32)
        for axis, at in enumerate(starts[ROWS:]):
            sums = np.add.reduceat(sums, at, axis=axis)
        voxels = counts[SLICES][index] * np.outer(*counts[ROWS:])
        fractions[index + 1, 1:-1, 1:-1] = sums / voxels
    y, x = (
        stack.origin_yx_nm[axis - ROWS]
        + (starts[axis] + (counts[axis] - 1) / 2) * stack.spacing_nm[axis]
        for axis in (ROWS, COLUMNS)
    )
    z = np.add.reduceat(stack.slice_z_nm, starts[SLICES]) / counts[SLICES]
    steps_nm = size * stack.spacing_nm
    return Boxes(
        fractions,
        (_with_ends(z, steps_nm[0]), _with_ends(y, steps_nm[1]), _with_ends(x, steps_nm[2])),
    )


def phase_surface(boxes: Boxes) -> Mesh:
    """Return where a phase ends, by marching cubes; it ends at the border of the volume too.

    Parameters
    ----------
    boxes : Boxes
        As :func:`boxes_of_phase` returns them.

    Raises
    ------
    PorescopeError
        If the phase is nowhere.

    References
    ----------
    Lewiner et al., Journal of Graphics Tools 8 (2003) 1, by scikit-image.
    """
    from skimage.measure import marching_cubes

    if not boxes.fractions.max() > 0.5:
        raise PorescopeError("This phase is nowhere in these labels; choose another phase.")
    vertices, faces, _, _ = marching_cubes(boxes.fractions, level=0.5)
    places = [
        np.interp(vertices[:, axis], np.arange(len(centres)), centres)
        for axis, centres in enumerate(boxes.centres_nm)
    ]
    return Mesh(np.stack(places, axis=1).astype(np.float32), faces.astype(np.int32))


def surface_job(boxes: Boxes, *, report: Any, cancel: Cancel) -> Mesh:
    """Return :func:`phase_surface` from a process of its own."""
    report("surface", 0, 0)
    return phase_surface(boxes)


def _with_ends(centres: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return places with one more at each end, a step away."""
    towards = step if centres[-1] >= centres[0] else -step
    return np.concatenate([centres[:1] - towards, centres, centres[-1:] + towards])
