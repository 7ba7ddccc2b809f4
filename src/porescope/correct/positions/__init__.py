"""Where along the milling direction each slice was cut, and which slices to doubt."""

from porescope.correct.positions.differences import SliceDistances, compare_slices
from porescope.correct.positions.health import doubts_told, slice_health
from porescope.correct.positions.images import (
    positions_from_distances,
    positions_from_images,
    thickness_from_images,
)
from porescope.correct.positions.marks import positions_from_marks, thickness_from_ruler
from porescope.correct.positions.measured import SlicePositions
from porescope.correct.positions.table import positions_from_table

__all__ = [
    "SliceDistances",
    "SlicePositions",
    "compare_slices",
    "doubts_told",
    "positions_from_distances",
    "positions_from_images",
    "positions_from_marks",
    "positions_from_table",
    "slice_health",
    "thickness_from_images",
    "thickness_from_ruler",
]
