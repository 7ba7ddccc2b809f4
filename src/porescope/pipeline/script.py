"""A recipe as a Python script, a line a step, to be changed and gone on with."""

from __future__ import annotations

from typing import Any

from porescope.pipeline.recipe import Recipe
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace
from porescope.tracking import Cancel, Progress, never_cancel, no_progress


def apply_step(
    workspace: Workspace,
    name: str,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
    **parameters: Any,
) -> Workspace:
    """Return a workspace after one step; volumes may stay lazy until they are looked at or saved.

    Parameters
    ----------
    workspace : Workspace
        Images, labels and so on.
    name : str
        Of a step, as ``porescope steps`` lists them.
    **parameters
        Of the step.

    Raises
    ------
    PorescopeError
        If there is no such step or parameter, or the step cannot be done.

    Examples
    --------
    >>> workspace = Workspace(inputs=(Path("stacks"),))
    >>> workspace = apply_step(workspace, "load")  # doctest: +SKIP
    >>> workspace = apply_step(workspace, "segment", method="otsu")  # doctest: +SKIP
    >>> workspace.labels.data  # doctest: +SKIP
    """
    step = find_step(name)
    return step.function(workspace, step.parse(parameters), progress=progress, cancel=cancel)


def to_script(recipe: Recipe, result: str = "result") -> str:
    """Return a script that does what a recipe does, and leaves its volumes in a folder.

    Parameters
    ----------
    recipe : Recipe
    result : str
        Name of the folder, which must not exist yet when the script runs.
    """
    inputs = "".join(f"{str(path)!r}, " for path in recipe.inputs)
    lines = [
        '"""Made by Porescope from what was done in its window."""',
        "",
        "from pathlib import Path",
        "",
        "from porescope.pipeline import Workspace, apply_step, save_workspace",
        "",
        f"inputs = [{inputs.rstrip(', ')}]",
        "workspace = Workspace(inputs=tuple(map(Path, inputs)))",
    ]
    for step, parameters in recipe.steps:
        changed = parameters.model_dump(mode="json", exclude_defaults=True)
        told = "".join(f", {name}={value!r}" for name, value in changed.items())
        lines.append(f"workspace = apply_step(workspace, {step.name!r}{told})")
    lines += [
        "",
        "# workspace.images, .labels and .maps are stacks: .data is an array (z, y, x).",
        "for measure, value in workspace.scores.items():",
        "    print(measure, value)",
        f"save_workspace(Path({result!r}), workspace)",
    ]
    return "\n".join(lines) + "\n"
