"""Planes between slices as weighted sums of the slices, pixel by pixel.

The weights depend on distances along z alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porescope.correct.interpolation.borders import signed_distance
from porescope.correct.interpolation.gaps import Gap

Weighting = Literal["hold", "nearest", "linear", "spline"]

REACH = 4
"""Slices on each side that a cubic spline listens to: the influence of a slice falls by a factor of
3.7 with each one between."""


def blend(weighting: Weighting, slices: NDArray[Any], gap: Gap) -> NDArray[np.float32]:
    """Return the missing planes of a gap, shape (missing, y, x)."""
    weights = _weights(weighting, gap).astype(np.float32)
    return np.tensordot(weights, slices.astype(np.float32), axes=1)


def _weights(weighting: Weighting, gap: Gap) -> NDArray[np.float64]:
    """Return the weight (missing, sources) of every source in every missing plane."""
    from scipy.interpolate import CubicSpline, make_interp_spline

    sources, missing = gap.sources, gap.missing
    each = np.eye(len(sources))
    if weighting in ("hold", "nearest"):
        before = gap.before - 1
        later = missing - sources[before] > sources[gap.before] - missing
        return each[before + ((weighting == "nearest") & later)]
    if weighting == "linear" or len(sources) == 2:
        return make_interp_spline(sources, each, k=1)(missing)
    return CubicSpline(sources, each)(missing)


@dataclass(frozen=True)
class GreyValues:
    """Grey values along z; no pixel gets brighter or darker than those it comes from."""

    weighting: Weighting
    reach: int = REACH

    def prepare(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return what is kept of a known plane: the plane itself."""
        return plane

    def fill(self, planes: Sequence[NDArray[Any]], gap: Gap) -> NDArray[Any]:
        """Return the missing planes of a gap between known ones."""
        slices = np.stack(planes)
        blended = blend(self.weighting, slices, gap)
        if slices.dtype.kind in "bui":
            blended = np.rint(blended)
        # A spline overshoots.
        np.clip(blended, slices.min(axis=0), slices.max(axis=0), out=blended)
        return blended.astype(slices.dtype)


@dataclass(frozen=True)
class Indicator:
    """Evidence of a phase: its indicator along z, from -1 outside to 1 inside."""

    weighting: Weighting
    reach: int = REACH

    def prepare(self, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return what is needed of one slice."""
        return np.where(inside, np.float32(1), np.float32(-1))

    def evidence(self, prepared: Sequence[NDArray[np.float32]], gap: Gap) -> NDArray[np.float32]:
        """Return the evidence in every missing plane, positive where the phase is likely."""
        return blend(self.weighting, np.stack(prepared), gap)


@dataclass(frozen=True)
class Distance:
    """Evidence of a phase: a cubic spline through the signed distance to its border."""

    spacing_yx_nm: tuple[float, float]
    reach: int = REACH

    def prepare(self, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return what is needed of one slice."""
        return signed_distance(inside, self.spacing_yx_nm)

    def evidence(self, prepared: Sequence[NDArray[np.float32]], gap: Gap) -> NDArray[np.float32]:
        """Return the evidence in every missing plane, positive where the phase is likely."""
        return blend("spline", np.stack(prepared), gap)
