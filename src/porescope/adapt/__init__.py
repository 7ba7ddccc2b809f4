"""Synthetic images in a blink, and what makes them look real."""

from porescope.adapt.backscatter import learned_backscatter

__all__ = ["learned_backscatter"]
