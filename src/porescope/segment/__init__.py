"""From grey values to phases."""

from porescope.segment.classical import METHODS, segment

__all__ = ["METHODS", "segment"]
