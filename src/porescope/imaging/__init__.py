"""From a sample to an image of it."""

from porescope.imaging.heightfield import HeightField, extract_heightfield
from porescope.imaging.materials import Material, compound, material_names
from porescope.imaging.yields import backscatter_coefficient, secondary_yield

__all__ = [
    "HeightField",
    "Material",
    "backscatter_coefficient",
    "compound",
    "extract_heightfield",
    "material_names",
    "secondary_yield",
]
