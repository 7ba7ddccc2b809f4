"""From a stack as imaged to a stack as it lay in the sample."""

from porescope.correct.alignment import Alignment, common_area
from porescope.correct.fiducial import find_fiducial
from porescope.correct.interpolate import interpolate
from porescope.correct.register import align_stack, align_voltages
from porescope.correct.reposition import grid_places, reposition

__all__ = [
    "Alignment",
    "align_stack",
    "align_voltages",
    "common_area",
    "find_fiducial",
    "grid_places",
    "interpolate",
    "reposition",
]
