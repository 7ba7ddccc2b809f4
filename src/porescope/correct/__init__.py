"""From a stack as imaged to a stack as it lay in the sample."""

from porescope.correct.interpolate import interpolate
from porescope.correct.register import Alignment, align_stack, align_voltages, common_area
from porescope.correct.reposition import grid_places, reposition

__all__ = [
    "Alignment",
    "align_stack",
    "align_voltages",
    "common_area",
    "grid_places",
    "interpolate",
    "reposition",
]
