"""Which slices to doubt: too thick or thin, taken twice, missing, swapped, or blank."""

from __future__ import annotations

from typing import Any

import numpy as np

from porescope.correct.positions.differences import SliceDistances
from porescope.correct.positions.measured import SlicePositions

# Thicknesses further than this from the mean, in standard deviations, are marked (the thesis,
# Article III, section 2.1).
OUTLIER_Z_SCORE = 1.5
# Scatter below this share of the mean thickness is no reason for doubt.
EVEN = 0.05
# A slice this much thinner than the median seems to be the same face twice.
DUPLICATE = 0.2
# One so much thicker seems to be several.
MISSING = 1.75
# Two neighbours are swapped if the way through the stack is so much shorter the other way round.
SWAPPED = 0.8


def slice_health(
    positions: SlicePositions, distances: SliceDistances | None = None
) -> list[dict[str, Any]]:
    """Return a table of the slices, a row each, with what is doubtful about them.

    Parameters
    ----------
    positions : SlicePositions
        As measured.
    distances : SliceDistances, optional
        How different the images are; without, swapped slices are not noticed.

    Returns
    -------
    list of dict
        ``slice``, ``position nm``, ``thickness nm`` (what was milled away below it; None for the
        last), ``z-score`` of that, ``uncertainty nm``, and ``doubt``: what is wrong, or nothing.
    """
    thickness = positions.thickness_nm
    count = len(positions.slice_z_nm)
    mean, deviation = thickness.mean(), thickness.std()
    z_scores = (thickness - mean) / deviation if deviation > EVEN * abs(mean) else 0 * thickness
    usual = float(np.median(thickness))
    doubts: list[list[str]] = [[] for _ in range(count)]
    for index in np.flatnonzero(positions.blank).tolist():
        doubts[index].append("blank")
    for index, (nm, z_score) in enumerate(zip(thickness.tolist(), z_scores.tolist(), strict=True)):
        if nm < 0:
            doubts[index + 1].append("above the one before")
        elif usual > 0 and nm < DUPLICATE * usual:
            doubts[index + 1].append("taken twice")
        elif usual > 0 and nm > MISSING * usual:
            doubts[index].append(f"{round(nm / usual) - 1} or more missing after it")
        elif abs(z_score) > OUTLIER_Z_SCORE:
            doubts[index].append("thick" if z_score > 0 else "thin")
    for index in _swapped(distances) if distances else ():
        doubts[index].append("swapped with the next")
    return [
        {
            "slice": index,
            "position nm": float(positions.slice_z_nm[index]),
            "thickness nm": float(thickness[index]) if index < count - 1 else None,
            "z-score": float(z_scores[index]) if index < count - 1 else None,
            "uncertainty nm": _known(positions.uncertainty_nm[index]),
            "doubt": ", ".join(doubts[index]),
        }
        for index in range(count)
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _swapped(distances: SliceDistances) -> list[int]:
    """Return the slices that seem to come after the next one."""
    seen = distances.seen.tolist()
    swapped = []
    for before, here, after, beyond in zip(seen, seen[1:], seen[2:], seen[3:], strict=False):
        straight = distances.between(before, here) + distances.between(after, beyond)
        crossed = distances.between(before, after) + distances.between(here, beyond)
        if crossed < SWAPPED * straight:
            swapped.append(here)
    return swapped
