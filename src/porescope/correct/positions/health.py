"""Which slices to doubt: too thick or thin, taken twice, swapped, blank, or before a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
# Below one so much thicker, slices may be missing.
MISSING = 1.75
# Two neighbours are swapped if the way through the stack is so much shorter the other way round.
SWAPPED = 0.8
TAKEN_TWICE, SWAPPED_WITH_NEXT = "taken twice", "swapped with the next"
ABOVE, BLANK, GAP = "above the one before", "blank", "possible gap after it"
REMEDIES = {
    GAP: "where slices are missing, only a table or a ruler tells how many",
    TAKEN_TWICE: "the step crop leaves slices out",
    SWAPPED_WITH_NEXT: "rename the files of swapped slices, or leave these out by the step crop",
    ABOVE: "positions grow with depth, so look whether slices are out of order",
    BLANK: "blank slices lie halfway between their neighbours",
}
"""What to do about doubts that are told; those that are mere outliers stay in the table."""
MOST_TOLD = 8


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
        doubts[index].append(BLANK)
    swapped = _swapped(distances) if distances else []
    # The way into two swapped slices, between them and out of them says nothing else.
    explained = {index + step for index in swapped for step in (-1, 0, 1)}
    for index, (nm, z_score) in enumerate(zip(thickness.tolist(), z_scores.tolist(), strict=True)):
        if nm < 0:
            doubts[index + 1].append(ABOVE)
        elif index in explained:
            continue
        elif usual > 0 and nm < DUPLICATE * usual:
            doubts[index + 1].append(TAKEN_TWICE)
        elif usual > 0 and nm > MISSING * usual:
            doubts[index].append(f"{GAP}: {nm / usual:.1f} times as thick as usual")
        elif abs(z_score) > OUTLIER_Z_SCORE:
            doubts[index].append("thick" if z_score > 0 else "thin")
    for index in swapped:
        doubts[index].append(SWAPPED_WITH_NEXT)
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


def doubts_told(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return in a sentence what is wrong with which slices of the table, and what to do.

    None if nothing is, but for slices that are thicker or thinner than others.
    """
    told = [
        (row["slice"], doubt)
        for row in rows
        for doubt in row["doubt"].split(", ")
        if doubt.startswith(tuple(REMEDIES))
    ]
    if not told:
        return None
    named = [f"{index} ({doubt})" for index, doubt in told[:MOST_TOLD]]
    if len(told) > MOST_TOLD:
        named.append(f"and {len(told) - MOST_TOLD} more")
    remedies = [
        remedy
        for kind, remedy in REMEDIES.items()
        if any(doubt.startswith(kind) for _, doubt in told)
    ]
    return f"Slices to doubt: {', '.join(named)}. What to do: {'; '.join(remedies)}."


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
