"""Slice positions as measured, each with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from porescope.errors import PorescopeError
from porescope.stack import SLICES, Stack


@dataclass(frozen=True, eq=False)
class SlicePositions:
    """Where the slices of one sample were cut.

    Parameters
    ----------
    slice_z_nm : array of shape (z,)
        Depth of each slice in nm along the milling direction, from the first slice.
    uncertainty_nm : array of shape (z,)
        Standard error of each slice's place among its neighbours; NaN where it is not known.
    source : str
        What was looked at.
    blank : bool array of shape (z,), optional
        Slices that told nothing and lie half way between their neighbours; none by default.
    marks_px : array of shape (z, marks, 2), optional
        Where (y, x) milled marks were seen; NaN where not.

    Raises
    ------
    PorescopeError
        If a position is not a number, or the last slice does not lie below the first.
    """

    slice_z_nm: np.ndarray
    uncertainty_nm: np.ndarray
    source: str
    blank: np.ndarray = None  # type: ignore[assignment]  # filled below, never None after
    marks_px: np.ndarray | None = None

    def __post_init__(self) -> None:
        positions = np.array(self.slice_z_nm, dtype=np.float64)
        if not np.isfinite(positions).all():
            bad = int(np.flatnonzero(~np.isfinite(positions))[0])
            raise PorescopeError(f"The position of slice {bad} is not a number; measure it again.")
        if len(positions) > 1 and np.ptp(positions) == 0:
            raise PorescopeError(
                f"By the {self.source} all slices lie at one place, {positions[0]:g} nm; each lies "
                "below the one before, so mend what tells the positions."
            )
        if len(positions) > 1 and not positions[-1] > positions[0]:
            raise PorescopeError(
                f"By the {self.source} the last slice does not lie below the first: they are at "
                f"{positions[-1]:g} and {positions[0]:g} nm. Positions grow with depth; turn them "
                "round, or sort the slices in the order in which they were cut."
            )
        blank = np.zeros(positions.shape, bool) if self.blank is None else np.array(self.blank)
        uncertainty = np.array(self.uncertainty_nm, dtype=np.float64)
        for name, values in (
            ("slice_z_nm", positions - positions[0]),
            ("uncertainty_nm", uncertainty),
            ("blank", blank),
        ):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @classmethod
    def of(cls, stack: Stack) -> SlicePositions:
        """Return the positions that a stack has."""
        return cls(stack.slice_z_nm, np.full(stack.shape[SLICES], np.nan), "files")

    @property
    def thickness_nm(self) -> np.ndarray:
        """What was milled away below each slice but the last, in nm, as an array (z - 1,)."""
        return np.diff(self.slice_z_nm)

    def apply(self, stack: Stack) -> Stack:
        """Return a stack of the same slices with these positions, and their mean as its spacing.

        Raises
        ------
        PorescopeError
            If the stack has another number of slices.
        """
        if stack.shape[SLICES] != len(self.slice_z_nm):
            raise PorescopeError(
                f"There are positions for {len(self.slice_z_nm)} slices, but the stack has "
                f"{stack.shape[SLICES]}; measure them on a stack of the same slices."
            )
        z, y, x = stack.spacing_nm
        if len(self.slice_z_nm) > 1:
            z = float(self.slice_z_nm[-1]) / (len(self.slice_z_nm) - 1)
        return replace(
            stack,
            spacing_nm=(z, y, x),
            slice_z_nm=stack.slice_z_nm[0] + self.slice_z_nm,
            metadata={**stack.metadata, "slice_z_source": self.source},
        )
