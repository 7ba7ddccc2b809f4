"""What lies below a plane, ready for electrons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.geometry import Primitives
from porescope.imaging.electron_sample import ElectronSample, electron_sample
from porescope.imaging.materials import Material
from porescope.pipeline.samples import box_of
from porescope.pipeline.simulation.plan import Pair
from porescope.stack import SLICES, Stack

READY_VOXELS = 1 << 27
"""So many voxels are made ready for electrons at once, in about 2 GiB, if more are not needed."""


class Below:
    """A sample from any plane on down; what was made ready is kept for the next plane.

    Parameters
    ----------
    sample : Stack or Primitives
    voxel_nm : sequence of three floats
    materials : mapping of int to Material
    secondaries, periodic
        As for :func:`porescope.imaging.electron_sample`.
    still : bool
        Whether all planes begin with the same first voxel, and so can share what is made ready.
    """

    def __init__(
        self,
        sample: Stack | Primitives,
        voxel_nm: Sequence[float],
        materials: Mapping[int, Material],
        secondaries: bool,
        periodic: bool,
        still: bool,
    ) -> None:
        self._sample = sample
        self._voxel_nm = voxel_nm
        self._made_of = materials
        self._how = {"secondaries": secondaries, "periodic": periodic}
        self._still = still
        self._labels: NDArray[Any] = np.empty((0, 0, 0))
        self._first = 0
        self._ready: ElectronSample | None = None
        self._ready_for: tuple[int, ...] | None = None

    def plane(self, z_nm: float, reach_nm: float, start: Pair) -> tuple[ElectronSample, float]:
        """Return what lies below a depth and beyond a first voxel (y, x), and the plane in it.

        It goes at least as far down as electrons come back from, or as the sample goes; where there
        is vacuum and that is infinite, as far as fits into memory.
        """
        plane_z = z_nm / self._voxel_nm[SLICES]
        if isinstance(self._sample, Primitives):
            if self._ready_for != start:
                self._make_ready(_moved(self._sample, start))
                self._ready_for = start
            assert self._ready is not None
            return self._ready, plane_z
        first, last = self._load(self._sample, plane_z, reach_nm)
        if self._still:
            first, last = self._first, self._first + len(self._labels)
        if self._ready_for != (first, last, *start):
            y, x = (
                (begin + np.arange(count)) % count if self._how["periodic"] else slice(begin, None)
                for begin, count in zip(start, self._labels.shape[1:], strict=True)
            )
            part = self._labels[first - self._first : last - self._first]
            self._make_ready(part[:, y][:, :, x])
            self._ready_for = (first, last, *start)
        assert self._ready is not None
        return self._ready, max(0.0, plane_z - first)

    def _load(self, stack: Stack, plane_z: float, reach_nm: float) -> Pair:
        """Have the labels in memory that a plane needs; return their first plane and the end."""
        depth = stack.shape[SLICES]
        room = max(1, READY_VOXELS // math.prod(stack.shape[1:]))
        first = min(int(plane_z + 1e-6), depth - 1)
        deepest = plane_z + reach_nm / self._voxel_nm[SLICES]
        last = min(depth, first + room) if math.isinf(deepest) else min(depth, math.ceil(deepest))
        last = max(last, first + 1)
        if first < self._first or last > self._first + len(self._labels):
            end = min(depth, max(last, first + room))
            self._labels = np.asarray(stack.data[first:end])
            self._first = first
        return first, last

    def _make_ready(self, sample: Any) -> None:
        self._ready = None  # makes room
        size = self._voxel_nm if isinstance(self._sample, Stack) else self._voxel_nm[0]
        self._ready = electron_sample(sample, size, self._made_of, **self._how)


def _moved(primitives: Primitives, start: Pair) -> Primitives:
    """Return primitives with the origin at another place (y, x), cut to what lies beyond it."""
    if start == (0, 0):
        return primitives
    spheres, cylinders, cuboids = (
        np.array(rows) for rows in (primitives.spheres, primitives.cylinders, primitives.cuboids)
    )
    for rows in (spheres, cylinders, cuboids):
        rows[:, 1:3] -= start
    z, y, x = box_of(primitives)
    return Primitives(spheres, cylinders, cuboids, shape=(z, y - start[0], x - start[1]))
