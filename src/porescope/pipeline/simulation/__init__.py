"""Stacks of a sample that is known, as an electron microscope would record them."""

from porescope.pipeline.simulation.microscope import Microscope
from porescope.pipeline.simulation.parameters import SimulationParameters, parse_materials
from porescope.pipeline.simulation.results import WrittenStacks, write_simulation
from porescope.pipeline.simulation.stack import Simulated, simulate_stack

__all__ = [
    "Microscope",
    "Simulated",
    "SimulationParameters",
    "WrittenStacks",
    "parse_materials",
    "simulate_stack",
    "write_simulation",
]
