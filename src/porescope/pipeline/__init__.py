"""Steps, recipes and jobs: the same work with and without a screen."""

from porescope.pipeline.jobs import Job
from porescope.pipeline.recipe import Recipe, read_recipe
from porescope.pipeline.run import run_recipe, run_step
from porescope.pipeline.script import apply_step, to_script
from porescope.pipeline.step import Parameters, Step, find_step, steps
from porescope.pipeline.workspace import Workspace, load_workspace, save_workspace

__all__ = [
    "Job",
    "Parameters",
    "Recipe",
    "Step",
    "Workspace",
    "apply_step",
    "find_step",
    "load_workspace",
    "read_recipe",
    "run_recipe",
    "run_step",
    "save_workspace",
    "steps",
    "to_script",
]
