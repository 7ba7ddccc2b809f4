"""Drawing a sample and imaging it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Self

from pydantic import Field, model_validator

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.pipeline.samples import draw_sample, find_sample_kind
from porescope.pipeline.simulation import SimulationParameters, simulate_stack
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace, image_name
from porescope.tracking import Cancel, Progress


class SampleParameters(Parameters):
    """Which sample."""

    kind: str = Field(description="kind of sample, as porescope sample --help lists them")
    parameters: dict[str, Any] = Field(
        {}, description="what the kind takes, as porescope sample KIND --help lists it"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        find_sample_kind(self.kind).parse(self.parameters)
        return self


@step("sample", saved=False, uses=(), panel=False)
def sample(
    workspace: Workspace, parameters: SampleParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Draw a sample to be imaged."""
    if parameters.kind == "list":
        raise PorescopeError("A list of primitives is an input of the recipe, not a sample step.")
    if workspace.inputs:
        raise PorescopeError(
            f"The recipe draws its own sample and has no use for the input {workspace.inputs[0]}; "
            "leave out the input or the sample step."
        )
    return replace(
        workspace, sample=draw_sample(parameters.kind, parameters.parameters, progress, cancel)
    )


@step("simulate", uses=(), made="simulated", panel=False)
def simulate(
    workspace: Workspace, parameters: SimulationParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Image the sample, or labels or primitives from the input, by Monte Carlo."""
    from porescope.pipeline.heightfields import open_sample

    imaged = workspace.sample
    if imaged is None:
        if not workspace.inputs:
            raise PorescopeError(
                "There is no sample; put a sample step before this one, or name labels or a list "
                "of primitives as the input."
            )
        imaged = open_sample(workspace.inputs[0], lazy=True)
    simulated = simulate_stack(imaged, parameters, progress=progress, cancel=cancel)
    for note in simulated.notes:
        warnings.warn(note, PorescopeWarning, stacklevel=2)
    rows = [
        {"slice": index, "position nm": z}
        for index, z in enumerate(simulated.images[0].slice_z_nm.tolist())
    ]
    for index, alignment in enumerate(simulated.alignments):
        name = image_name(alignment, index)
        for row, (y, x) in zip(rows, alignment.offsets_px.tolist(), strict=True):
            row |= {f"{name} y px": y, f"{name} x px": x}
    workspace = replace(workspace, images=simulated.images, truth=simulated.truth)
    return workspace.with_table("simulation", rows)
