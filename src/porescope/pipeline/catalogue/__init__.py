"""The steps a recipe can have, in the order of the work."""

from porescope.pipeline.catalogue import load, sample, align, positions, segment, slices, measure  # isort: skip

__all__ = ["align", "load", "measure", "positions", "sample", "segment", "slices"]
