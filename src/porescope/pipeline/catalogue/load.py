"""Opening stacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import Field, PositiveFloat

from porescope.errors import PorescopeError
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress

Spacing = tuple[PositiveFloat | None, PositiveFloat | None, PositiveFloat | None]


class LoadParameters(Parameters):
    """What the files do not tell."""

    spacing_nm: Spacing | None = Field(
        None, description="voxel size z, y, x in nm, where the files do not tell it"
    )
    beam_kv: float | None = Field(
        None, gt=0, description="beam energy in kV of a single stack, where its file does not tell"
    )
    keep_kv: tuple[PositiveFloat, ...] = Field(
        (), description="beam energies in kV of the stacks to keep; all by default"
    )
    truth: Path | None = Field(
        None, description="labels to score against; beside the input if relative"
    )


@step("load", saved=False, panel=False)  # the window's own panel can ask
def load(
    workspace: Workspace, parameters: LoadParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Read the stacks, one for each voltage, with voxel size and slice positions."""
    from porescope.io import is_voltage_folder, read_stack, read_voltages

    if not workspace.inputs:
        raise PorescopeError("There is no input; name a stack file or a folder.")
    images: list[Stack] = []
    for path in workspace.inputs:
        if is_voltage_folder(path):
            if parameters.beam_kv is not None:
                raise PorescopeError(
                    f"{path} has a stack for each voltage, which their names or files tell; leave "
                    "out beam_kv, or name one of the stacks."
                )
            images += read_voltages(path, spacing_nm=parameters.spacing_nm)
        else:
            images.append(read_stack(path, parameters.spacing_nm, parameters.beam_kv))
    images.sort(key=lambda stack: stack.beam_kv or 0.0)
    if parameters.keep_kv:
        known = [stack.beam_kv for stack in images]
        told = ", ".join("unknown" if kv is None else f"{kv:g}" for kv in known)
        for beam_kv in parameters.keep_kv:
            if beam_kv not in known:
                raise PorescopeError(f"No stack has {beam_kv:g} kV; there are {told}.")
        images = [stack for stack in images if stack.beam_kv in parameters.keep_kv]
    truth = None
    if parameters.truth is not None:
        first = workspace.inputs[0]
        folder = first if first.is_dir() else first.parent
        spacing_nm = None if parameters.truth.suffix else images[0].spacing_nm
        truth = replace(read_stack(folder / parameters.truth, spacing_nm), is_labels=True)
    return replace(workspace, images=tuple(images), truth=truth)
