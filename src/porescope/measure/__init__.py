"""Numbers from volumes: against the truth, and by themselves."""

from porescope.measure.scores import confusion_matrix, phase_fractions, scores, solid_fraction

__all__ = ["confusion_matrix", "phase_fractions", "scores", "solid_fraction"]
