"""Two-point correlation and lineal path along the axes, and what follows from them.

References
----------
S. Torquato, Random Heterogeneous Materials (2002), chapter 2; FIB tomography thesis, sections 2.5
(equations 2.7 and 2.8) and 2.6.2 (2.12 and 2.13).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.measure.lines import Counts, count_lines, count_places
from porescope.measure.parts import check_labels, jackknife, measured
from porescope.stack import COLUMNS, ROWS, SLICES, checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

AXES = "zyx"
MOST_LAGS = 256
"""Longest lag in voxels where none is asked for; what is kept in memory grows with it."""

REACHED = 0.1
"""A diameter is known if at most this share of segments is still whole at the longest lag."""

Curve = NDArray[np.float64]


def two_point_correlation(
    labels: Any,
    axis: int,
    *,
    phase: int | None = None,
    longest: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Curve:
    """Return how probable it is that two voxels, so far apart along an axis, are in a phase.

    Counts are exact, all pairs within the volume take part, and nothing wraps around.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array.
    axis : int
        0 for z, 1 for y, 2 for x.
    phase : int, optional
        Which label; by default all that is not 0.
    longest : int, optional
        Longest lag in voxels; by default half of the axis, at most 256.

    Returns
    -------
    array of shape (longest + 1,)
        From lag 0, where it is the volume fraction. :func:`correlations` tells uncertainties too.
    """
    found = _along(labels, axis, phase, longest, progress, cancel)
    return found.two_point(axis)[0]


def lineal_path(
    labels: Any,
    axis: int,
    *,
    phase: int | None = None,
    longest: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Curve:
    """Return how probable it is that a segment of voxels along an axis lies in a phase.

    Parameters
    ----------
    labels, axis, phase, longest
        As for :func:`two_point_correlation`; a segment of lag k has k + 1 voxels.

    Returns
    -------
    array of shape (longest + 1,)
        From lag 0, where it is the volume fraction.
    """
    found = _along(labels, axis, phase, longest, progress, cancel)
    return found.lineal_path(axis)[0]


def _along(
    labels: Any,
    axis: int,
    phase: int | None,
    longest: int | None,
    progress: Progress,
    cancel: Cancel,
) -> Correlations:
    check_labels(labels)
    if axis not in (SLICES, ROWS, COLUMNS):
        raise PorescopeError(f"An axis is 0 (z), 1 (y) or 2 (x), not {axis!r}.")
    size = labels.shape[axis]
    if longest is None:
        longest = _default_lags(size)
    if not 0 <= longest < size:
        raise PorescopeError(
            f"The longest lag along {AXES[axis]} must lie between 0 and {size - 1}, "
            f"not be {longest!r}."
        )
    lags = [longest if other == axis else None for other in range(3)]
    return _count(labels, (1.0, 1.0, 1.0), phase, lags, progress, cancel)


def isotropy(
    labels: Any,
    spacing_nm: Sequence[float],
    *,
    phase: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Return how much a volume differs along z from what it is along x and y.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x).
    phase : int, optional
        Which label; by default all that is not 0.

    Returns
    -------
    dict
        ``tpcf``, ``lpf``: equation 2.12 on the two-point correlation and on the lineal path;
        ``diameter``: equation 2.13; ``D_xy_nm``, ``D_xz_nm``, ``D_yz_nm``: mean diameter of
        ligaments in the planes; and for each the same with ``_uncertainty``, a standard error from
        eight parts of the volume (see :mod:`porescope.measure.parts`). What cannot be told is NaN.

    Notes
    -----
    Functions are compared at equal lags in nm: 0, and multiples of the coarsest spacing up to half
    of the shortest edge, at most 256 voxels of any axis; between voxels of a finer axis they are
    linear. All three errors scatter about more than 0 in an isotropic volume too, by about their
    uncertainty.

    The thesis leaves open how diameters follow from the area under the lineal path function. Here,
    ``D = 2 * area / L(0)`` along an axis, the mean length of the chord on which a random voxel of
    the phase lies, and the mean of two axes in a plane. The constant factor between this and the
    diameter of a round ligament drops out of equation 2.13. Where a tenth or more of the segments
    is still whole at the longest lag along any axis, diameters are NaN.

    References
    ----------
    FIB tomography thesis, section 2.6.2; Article II, section 2.4.2.
    """
    found = correlations(labels, spacing_nm, phase=phase, progress=progress, cancel=cancel)
    return found.isotropy()


def correlations(
    labels: Any,
    spacing_nm: Sequence[float],
    *,
    phase: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Correlations:
    """Count pairs and segments along all axes, in one walk through the volume.

    Parameters
    ----------
    labels, spacing_nm, phase
        As for :func:`isotropy`.

    Returns
    -------
    Correlations
        Up to half of each axis, at most 256 voxels.
    """
    check_labels(labels)
    lags = [_default_lags(size) for size in labels.shape]
    return _count(labels, checked_spacing_nm(spacing_nm), phase, lags, progress, cancel)


def _default_lags(size: int) -> int:
    return min(size // 2, MOST_LAGS, size - 1)


def _count(
    labels: Any,
    spacing_nm: tuple[float, float, float],
    phase: int | None,
    longest: Sequence[int | None],
    progress: Progress,
    cancel: Cancel,
) -> Correlations:
    pairs, segments = count_lines(labels, phase, longest, progress, cancel)
    places = [
        None if lags is None else count_places(labels.shape, axis, lags)
        for axis, lags in enumerate(longest)
    ]
    return Correlations(spacing_nm, pairs, segments, places)


@dataclass(frozen=True, eq=False)
class Correlations:
    """What was counted along the axes of a volume, by part of it.

    Parameters
    ----------
    spacing_nm : tuple of three floats
        Voxel size (z, y, x).
    pairs, segments, places : sequences of three int arrays of shape (8, lags)
        Pairs of voxels that are in the phase, those of them between which all is, and all there
        are, by part of the volume and lag in voxels; None along an axis that was left out.
    """

    spacing_nm: tuple[float, float, float]
    pairs: Sequence[Counts | None]
    segments: Sequence[Counts | None]
    places: Sequence[Counts | None]

    def two_point(self, axis: int) -> tuple[Curve, Curve]:
        """Return the two-point correlation along an axis, from lag 0, and its uncertainty."""
        return jackknife(np.divide, *_present(self.pairs[axis], self.places[axis]))

    def lineal_path(self, axis: int) -> tuple[Curve, Curve]:
        """Return the lineal path function along an axis, from lag 0, and its uncertainty."""
        return jackknife(np.divide, *_present(self.segments[axis], self.places[axis]))

    def isotropy(self) -> dict[str, float]:
        """Return the three anisotropy errors and the diameters; see :func:`isotropy`."""
        counts = [
            count
            for by_axis in (self.pairs, self.segments, self.places)
            for count in _present(*by_axis)
        ]
        lags_nm = [
            np.arange(count.shape[1]) * step
            for count, step in zip(counts[:3], self.spacing_nm, strict=True)
        ]
        coarsest = max(self.spacing_nm)
        steps = math.floor(min(lags[-1] for lags in lags_nm) / coarsest * (1 + 1e-9))
        common_nm = np.arange(steps + 1) * coarsest

        def errors(*sums: Counts) -> dict[str, float]:
            pairs, segments, places = sums[:3], sums[3:6], sums[6:]
            correlated = [
                np.interp(common_nm, lags, hits / all_)
                for lags, hits, all_ in zip(lags_nm, pairs, places, strict=True)
            ]
            paths = [
                np.interp(common_nm, lags, hits / all_)
                for lags, hits, all_ in zip(lags_nm, segments, places, strict=True)
            ]
            known = steps >= 1
            return {
                "tpcf": _difference(*correlated) if known else math.nan,
                "lpf": _difference(*paths) if known else math.nan,
                **_diameters(common_nm, *paths),
            }

        return measured(errors, *counts)

    def rows(self) -> list[dict[str, Any]]:
        """Return the curves as rows of a table, axis by axis."""
        rows = []
        for axis, name in enumerate(AXES):
            columns = (*self.two_point(axis), *self.lineal_path(axis))
            for lag, values in enumerate(np.stack(columns, axis=1).tolist()):
                one, its, other, others = values
                rows.append(
                    {
                        "axis": name,
                        "lag nm": lag * self.spacing_nm[axis],
                        "two-point": one,
                        "two-point uncertainty": its,
                        "lineal path": other,
                        "lineal path uncertainty": others,
                    }
                )
        return rows


def _present(*counts: Counts | None) -> list[Counts]:
    if any(count is None for count in counts):
        raise PorescopeError("This axis was not counted; use correlations() for all three.")
    return [count for count in counts if count is not None]


def _difference(along_z: Curve, along_y: Curve, along_x: Curve) -> float:
    """Return the mean relative L2 difference of z to x and to y (equation 2.12)."""

    def relative(along: Curve) -> float:
        norms = np.linalg.norm(along) + np.linalg.norm(along_z)
        return float(np.divide(2 * np.linalg.norm(along - along_z), norms))

    return (relative(along_x) + relative(along_y)) / 2


def _diameters(lags_nm: Curve, *paths: Curve) -> dict[str, float]:
    """Return the diameters in the planes and their mean relative difference (equation 2.13)."""
    shares = [path / path[0] for path in paths]
    known = len(lags_nm) > 1 and all(share[-1] < REACHED for share in shares)
    z, y, x = (2 * np.trapezoid(share, lags_nm) if known else math.nan for share in shares)
    xy, xz, yz = (x + y) / 2, (x + z) / 2, (y + z) / 2
    return {
        "diameter": (abs(xz - xy) + abs(yz - xy)) / 2 / xy,
        "D_xy_nm": xy,
        "D_xz_nm": xz,
        "D_yz_nm": yz,
    }
