"""Numbers from volumes: against the truth, and by themselves."""

from porescope.measure.connectivity import percolation
from porescope.measure.correlation import (
    Correlations,
    correlations,
    isotropy,
    lineal_path,
    two_point_correlation,
)
from porescope.measure.differences import Differences, difference_map, differences
from porescope.measure.fractions import phase_fractions, solid_fraction, volume_fractions
from porescope.measure.image_quality import image_quality, noise_level
from porescope.measure.morphometry import morphometry
from porescope.measure.physics_check import PhysicsCheck, physics_check
from porescope.measure.scores import confusion_matrix, scores
from porescope.measure.surfaces import boxes_of_phase, phase_surface
from porescope.measure.thickness import local_thickness
from porescope.measure.tortuosity import tortuosity
from porescope.measure.volume_images import ByMonteCarlo, BySurrogate
from porescope.measure.worst_places import Place, worst_places

__all__ = [
    "ByMonteCarlo",
    "BySurrogate",
    "Correlations",
    "Differences",
    "PhysicsCheck",
    "Place",
    "boxes_of_phase",
    "confusion_matrix",
    "correlations",
    "difference_map",
    "differences",
    "image_quality",
    "isotropy",
    "lineal_path",
    "local_thickness",
    "morphometry",
    "noise_level",
    "percolation",
    "phase_fractions",
    "phase_surface",
    "physics_check",
    "scores",
    "solid_fraction",
    "tortuosity",
    "two_point_correlation",
    "volume_fractions",
    "worst_places",
]
