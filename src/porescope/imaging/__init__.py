"""From a sample to an image of it."""

from porescope.imaging.backscatter_formula import hunger_kuechler
from porescope.imaging.detectors import Detector, detector_names
from porescope.imaging.electron_sample import ElectronSample, electron_sample
from porescope.imaging.heightfield import HeightField, extract_heightfield
from porescope.imaging.materials import Material, compound, material_names
from porescope.imaging.montecarlo import simulate_monte_carlo
from porescope.imaging.surrogate import load_surrogate
from porescope.imaging.yields import backscatter_coefficient, secondary_yield

__all__ = [
    "Detector",
    "ElectronSample",
    "HeightField",
    "Material",
    "backscatter_coefficient",
    "compound",
    "detector_names",
    "electron_sample",
    "extract_heightfield",
    "hunger_kuechler",
    "load_surrogate",
    "material_names",
    "secondary_yield",
    "simulate_monte_carlo",
]
