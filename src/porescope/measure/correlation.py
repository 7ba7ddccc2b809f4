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

STILL_WHOLE = 0.1
"""Diameters are not known if more than this share of segments is whole from end to end."""

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
    if not (isinstance(longest, int | np.integer) and 0 <= longest < size):
        raise PorescopeError(
            f"The longest lag along {AXES[axis]} must be a whole number between 0 and {size - 1}, "
            f"not {longest!r}."
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
    diameter of a round ligament drops out of equation 2.13. The area reaches as far as the shortest
    edge of the volume; where more than a tenth of the segments is whole even there, diameters are
    NaN.

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
    pairs, segments, chords = count_lines(labels, phase, longest, progress, cancel)
    places = [
        None if lags is None else count_places(labels.shape, axis)
        for axis, lags in enumerate(longest)
    ]
    return Correlations(spacing_nm, pairs, segments, places, chords)


@dataclass(frozen=True, eq=False)
class Correlations:
    """What was counted along the axes of a volume, by part of it.

    Parameters
    ----------
    spacing_nm : tuple of three floats
        Voxel size (z, y, x).
    pairs : sequence of three int arrays of shape (8, lags)
        Pairs of voxels that are in the phase, by part of the volume and lag in voxels; None along
        an axis that was left out.
    segments, places : sequences of three int arrays of shape (8, voxels of the axis)
        Those between which all is in the phase, and all pairs there are, up to the last lag.
    chords : sequence of three int arrays of shape (8, voxels of the axis + 1)
        Intersections of lines with the phase that no face of the volume cuts, by length.
    """

    spacing_nm: tuple[float, float, float]
    pairs: Sequence[Counts | None]
    segments: Sequence[Counts | None]
    places: Sequence[Counts | None]
    chords: Sequence[Counts | None]

    def two_point(self, axis: int) -> tuple[Curve, Curve]:
        """Return the two-point correlation along an axis, from lag 0, and its uncertainty."""
        pairs, places = _present(self.pairs[axis], self.places[axis])
        return jackknife(np.divide, pairs, places[:, : pairs.shape[1]])

    def lineal_path(self, axis: int) -> tuple[Curve, Curve]:
        """Return the lineal path function along an axis, from lag 0, and its uncertainty."""
        pairs, *counts = _present(self.pairs[axis], self.segments[axis], self.places[axis])
        return jackknife(np.divide, *(count[:, : pairs.shape[1]] for count in counts))

    def chord_lengths(self, axis: int) -> tuple[Curve, Curve]:
        """Return how probable it is that a chord is of so many voxels, and its uncertainty.

        Chords are the intersections of lines along the axis with the phase. Those that a face of
        the volume cuts are left out; as that happens to long ones more often, each counts for as
        many as there would be in an endless volume.

        Returns
        -------
        value, uncertainty : arrays of shape (lags,)
            From a length of 0, where it is 0; NaN if no chord has both its ends in the volume.
        """
        pairs, chords = _present(self.pairs[axis], self.chords[axis])
        size = chords.shape[1] - 1
        weights = 1 / np.maximum(size - 1 - np.arange(size + 1), 1)
        value, uncertainty = jackknife(lambda counts: counts * weights / (counts @ weights), chords)
        return value[: pairs.shape[1]], uncertainty[: pairs.shape[1]]

    def isotropy(self) -> dict[str, float]:
        """Return the three anisotropy errors and the diameters; see :func:`isotropy`."""
        counts = [
            count
            for by_axis in (self.pairs, self.segments, self.places)
            for count in _present(*by_axis)
        ]
        compared_nm = self._common_lags_nm([count.shape[1] for count in counts[:3]])
        all_nm = self._common_lags_nm([count.shape[1] for count in counts[3:6]])

        def errors(*sums: Counts) -> dict[str, float]:
            def curves(hits: Sequence[Counts], lags_nm: Curve) -> list[Curve]:
                return [
                    np.interp(lags_nm, np.arange(len(hit)) * step, hit / places[: len(hit)])
                    for hit, places, step in zip(hits, sums[6:], self.spacing_nm, strict=True)
                ]

            return {
                "tpcf": _difference(*curves(sums[:3], compared_nm)),
                "lpf": _difference(*curves(sums[3:6], compared_nm)),
                **_diameters(all_nm, *curves(sums[3:6], all_nm)),
            }

        return measured(errors, *counts)

    def _common_lags_nm(self, counts: Sequence[int]) -> Curve:
        """Return multiples of the coarsest spacing, as far as there are lags along all axes."""
        coarsest = max(self.spacing_nm)
        reach = min((count - 1) * step for count, step in zip(counts, self.spacing_nm, strict=True))
        steps = math.floor(reach / coarsest * (1 + 1e-9))
        return np.asarray(np.arange(steps + 1) * coarsest, dtype=np.float64)

    def rows(self) -> list[dict[str, Any]]:
        """Return the curves as rows of a table, axis by axis."""
        rows = []
        for axis, name in enumerate(AXES):
            curves = {
                "two-point": self.two_point(axis),
                "lineal path": self.lineal_path(axis),
                "chord length": self.chord_lengths(axis),
            }
            for lag in range(len(curves["two-point"][0])):
                row: dict[str, Any] = {"axis": name, "lag nm": lag * self.spacing_nm[axis]}
                for curve, (value, uncertainty) in curves.items():
                    row[curve] = float(value[lag])
                    row[f"{curve} uncertainty"] = float(uncertainty[lag])
                rows.append(row)
        return rows


def _present(*counts: Counts | None) -> list[Counts]:
    if any(count is None for count in counts):
        raise PorescopeError("This axis was not counted; use correlations() for all three.")
    return [count for count in counts if count is not None]


def _difference(along_z: Curve, along_y: Curve, along_x: Curve) -> float:
    """Return the mean relative L2 difference of z to x and to y (equation 2.12)."""
    if len(along_z) < 2:  # a volume of a single slice, row or column
        return math.nan

    def relative(along: Curve) -> float:
        norms = np.linalg.norm(along) + np.linalg.norm(along_z)
        return float(np.divide(2 * np.linalg.norm(along - along_z), norms))

    return (relative(along_x) + relative(along_y)) / 2


def _diameters(lags_nm: Curve, *paths: Curve) -> dict[str, float]:
    """Return the diameters in the planes and their mean relative difference (equation 2.13)."""
    shares = [path / path[0] for path in paths]
    known = len(lags_nm) > 1 and all(share[-1] <= STILL_WHOLE for share in shares)
    z, y, x = (2 * np.trapezoid(share, lags_nm) if known else math.nan for share in shares)
    xy, xz, yz = (x + y) / 2, (x + z) / 2, (y + z) / 2
    return {
        "diameter": (abs(xz - xy) + abs(yz - xy)) / 2 / xy,
        "D_xy_nm": xy,
        "D_xz_nm": xz,
        "D_yz_nm": yz,
    }
