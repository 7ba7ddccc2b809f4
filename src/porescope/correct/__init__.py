"""From a stack as imaged to a stack as it lay in the sample."""

from porescope.correct.interpolation.interpolate import interpolate
from porescope.correct.positions import thickness_from_images, thickness_from_ruler
from porescope.correct.registration.alignment import Alignment, common_area
from porescope.correct.registration.fiducial import find_fiducial
from porescope.correct.registration.register import align_stack, align_voltages
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
    "thickness_from_images",
    "thickness_from_ruler",
]
