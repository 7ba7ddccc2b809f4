"""Digital samples: what there is to image where there is no real sample, or no ground truth."""

from porescope.geometry.waves import hierarchical_leveled_wave, leveled_wave

__all__ = ["hierarchical_leveled_wave", "leveled_wave"]
