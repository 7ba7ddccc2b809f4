"""What lies below a plane, ready for electrons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from porescope.geometry import Primitives
from porescope.imaging.electron_sample import ElectronSample, electron_sample
from porescope.imaging.materials import Material
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
    reach_nm : float
        Depth that no electron comes back from.
    secondaries, periodic
        As for :func:`porescope.imaging.electron_sample`.
    """

    def __init__(
        self,
        sample: Stack | Primitives,
        voxel_nm: Sequence[float],
        materials: Mapping[int, Material],
        reach_nm: float,
        secondaries: bool,
        periodic: bool,
    ) -> None:
        self._sample = sample
        self._voxel_nm = voxel_nm
        self._made_of = materials
        self._reach_nm = reach_nm
        self._how = {"secondaries": secondaries, "periodic": periodic}
        self._first = 0  # plane that is ready
        self._ready: ElectronSample | None = None

    def plane(self, z_nm: float) -> tuple[ElectronSample, float]:
        """Return what lies below a depth, and the plane in it.

        It goes at least as far down as electrons come back from, or as the sample goes; where there
        is vacuum and that is infinite, as far as fits into memory.
        """
        plane_z = z_nm / self._voxel_nm[SLICES]
        if isinstance(self._sample, Primitives):
            if self._ready is None:
                self._ready = electron_sample(
                    self._sample, self._voxel_nm[SLICES], self._made_of, **self._how
                )
            return self._ready, plane_z
        return self._slab(self._sample, plane_z)

    def _slab(self, stack: Stack, plane_z: float) -> tuple[ElectronSample, float]:
        """Have the slab ready that a plane lies in: one of those fixed beforehand.

        So the image of a plane does not depend on what was imaged before.
        """
        depth = stack.shape[SLICES]
        room = max(2, READY_VOXELS // math.prod(stack.shape[1:]))
        reach = self._reach_nm / self._voxel_nm[SLICES]
        below = room // 2 if math.isinf(reach) else math.ceil(reach) + 1
        apart = depth if depth <= room else max(1, room - below)
        first = min(int(plane_z), depth - 1) // apart * apart
        if self._ready is None or first != self._first:
            self._ready = None  # makes room
            self._first = first
            self._ready = electron_sample(
                np.asarray(stack.data[first : first + apart + below]),
                self._voxel_nm,
                self._made_of,
                **self._how,
            )
        return self._ready, plane_z - first
