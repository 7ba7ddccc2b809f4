"""The steps a recipe can have, in the order of the work."""

# isort: off
from porescope.pipeline.catalogue import load, sample, align, clean, positions
from porescope.pipeline.catalogue import segment, labels, check, slices, measure
# isort: on

__all__ = [
    "align",
    "check",
    "clean",
    "labels",
    "load",
    "measure",
    "positions",
    "sample",
    "segment",
    "slices",
]
