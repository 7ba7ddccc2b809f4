"""Synthetic images in a blink, and what makes them look real."""

from porescope.adapt.adaptation import adapt_stack, load_adaptation
from porescope.adapt.backscatter import learned_backscatter
from porescope.adapt.fast_imaging import fast_images, fast_planes
from porescope.adapt.guard import edges_moved

__all__ = [
    "adapt_stack",
    "edges_moved",
    "fast_images",
    "fast_planes",
    "learned_backscatter",
    "load_adaptation",
]
