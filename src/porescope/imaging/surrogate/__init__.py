"""The neural simulator: images from heightfields by networks that learned from Monte Carlo."""

from porescope.imaging.surrogate.rendering import Surrogate, load_surrogate, surrogate_names
from porescope.imaging.surrogate.settings import Settings

__all__ = ["Settings", "Surrogate", "load_surrogate", "surrogate_names"]
