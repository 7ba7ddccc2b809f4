"""From a sample to an image of it."""

from porescope.imaging.heightfield import HeightField, extract_heightfield

__all__ = ["HeightField", "extract_heightfield"]
