"""Synthetic images in a blink, and what makes them look real."""

from porescope.adapt.backscatter import learned_backscatter
from porescope.adapt.fast_imaging import fast_images, fast_planes

__all__ = ["fast_images", "fast_planes", "learned_backscatter"]
