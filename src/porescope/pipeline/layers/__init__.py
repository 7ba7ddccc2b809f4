"""The thickness of layers from images at many beam energies, as a folder."""

from porescope.pipeline.layers.found import Found
from porescope.pipeline.layers.parameters import Layered, LayersParameters, LayersSimulation
from porescope.pipeline.layers.results import (
    MISFIT,
    SERIES,
    write_layers,
    write_layers_simulation,
)

__all__ = [
    "MISFIT",
    "SERIES",
    "Found",
    "Layered",
    "LayersParameters",
    "LayersSimulation",
    "write_layers",
    "write_layers_simulation",
]
