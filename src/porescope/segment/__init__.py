"""From grey values to phases."""

from porescope.segment.segment import METHODS, probability, segment

__all__ = ["METHODS", "probability", "segment"]
