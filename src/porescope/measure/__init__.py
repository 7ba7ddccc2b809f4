"""Numbers from volumes: against the truth, and by themselves."""

from porescope.measure.connectivity import percolation
from porescope.measure.correlation import (
    Correlations,
    correlations,
    isotropy,
    lineal_path,
    two_point_correlation,
)
from porescope.measure.fractions import phase_fractions, solid_fraction, volume_fractions
from porescope.measure.image_quality import image_quality, noise_level
from porescope.measure.morphometry import morphometry
from porescope.measure.physics_check import PhysicsCheck, physics_check
from porescope.measure.scores import confusion_matrix, scores
from porescope.measure.thickness import local_thickness
from porescope.measure.tortuosity import tortuosity
from porescope.measure.volume_images import ByMonteCarlo, BySurrogate

__all__ = [
    "ByMonteCarlo",
    "BySurrogate",
    "Correlations",
    "PhysicsCheck",
    "confusion_matrix",
    "correlations",
    "image_quality",
    "isotropy",
    "lineal_path",
    "local_thickness",
    "morphometry",
    "noise_level",
    "percolation",
    "phase_fractions",
    "physics_check",
    "scores",
    "solid_fraction",
    "tortuosity",
    "two_point_correlation",
    "volume_fractions",
]
