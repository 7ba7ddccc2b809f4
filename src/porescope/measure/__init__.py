"""Numbers from volumes: against the truth, and by themselves."""

from porescope.measure.correlation import (
    Correlations,
    correlations,
    isotropy,
    lineal_path,
    two_point_correlation,
)
from porescope.measure.scores import confusion_matrix, phase_fractions, scores, solid_fraction

__all__ = [
    "Correlations",
    "confusion_matrix",
    "correlations",
    "isotropy",
    "lineal_path",
    "phase_fractions",
    "scores",
    "solid_fraction",
    "two_point_correlation",
]
