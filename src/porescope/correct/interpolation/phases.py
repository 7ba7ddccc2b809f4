"""Labels between slices: a method weighs the evidence of each phase, and the strongest wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porescope.correct.interpolation.gaps import Gap


class Evidence(Protocol):
    """How likely a phase is in missing planes, from where it is in the slices around them."""

    @property
    def reach(self) -> int:
        """How many slices on each side it listens to."""

    def prepare(self, inside: NDArray[np.bool_]) -> Any:
        """Return what is needed of one slice, worked out once and used for several gaps."""

    def evidence(self, prepared: Sequence[Any], gap: Gap) -> NDArray[np.float32]:
        """Return (missing, y, x), positive where the phase is likelier than all others."""


@dataclass
class LabelledSlice:
    """A slice, and what was prepared of its phases so far."""

    plane: NDArray[Any]
    method: Evidence
    prepared: dict[Any, Any] = field(default_factory=dict)

    def phase(self, phase: Any) -> Any:
        """Return what the method needs of a phase, whether it occurs in this slice or not."""
        if phase not in self.prepared:
            self.prepared[phase] = self.method.prepare(self.plane == phase)
        return self.prepared[phase]


@dataclass(frozen=True)
class Labels:
    """Labels along z by some method.

    Parameters
    ----------
    method : Evidence
    mended : bool
        Whether holes that are no larger than noise are filled, see :func:`mend`.
    """

    method: Evidence
    mended: bool = False

    @property
    def reach(self) -> int:
        """How many slices on each side of a gap are listened to."""
        return self.method.reach

    def prepare(self, plane: NDArray[Any]) -> LabelledSlice:
        """Return what is kept of a known plane."""
        return LabelledSlice(plane, self.method)

    def fill(self, slices: Sequence[LabelledSlice], gap: Gap) -> NDArray[Any]:
        """Return the missing planes of a gap between known ones."""
        phases = np.unique(np.stack([each.plane for each in slices]))
        shape = (len(gap.missing), *slices[0].plane.shape)
        filled = np.full(shape, phases[0])
        # Of two phases, what speaks for one speaks against the other.
        best = np.zeros(shape, np.float32) if len(phases) == 2 else self._of(phases[0], slices, gap)
        for phase in phases[1:]:
            evidence = self._of(phase, slices, gap)
            better = evidence > best
            best[better] = evidence[better]
            filled[better] = phase
        if self.mended:
            for plane in filled:
                mend(plane)
        return filled

    def _of(self, phase: Any, slices: Sequence[LabelledSlice], gap: Gap) -> NDArray[np.float32]:
        return self.method.evidence([each.phase(phase) for each in slices], gap)


LARGEST_HOLE_PX = 19
"""Larger holes may be pores of the second level of a hierarchy."""


def mend(plane: NDArray[Any]) -> None:
    """Fill, in place, holes of pore (label 0) that lie within one phase of a plane.

    References
    ----------
    Article II of the FIB tomography thesis, supplement, section 4: holes of fewer than 20 pixels.
    """
    from skimage.morphology import remove_small_holes

    hollow = plane == 0
    for phase in np.unique(plane[~hollow]):
        inside = plane == phase
        plane[remove_small_holes(inside, max_size=LARGEST_HOLE_PX) & hollow] = phase
