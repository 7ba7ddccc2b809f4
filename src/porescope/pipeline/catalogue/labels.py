"""Taking labels from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.tracking import Cancel, Progress


class LabelsParameters(Parameters):
    """Which files."""

    path: Path | None = Field(
        None, description="labels to go on with, such as corrected by hand; voxel size in the file"
    )
    truth: Path | None = Field(None, description="labels to score against, such as marked by hand")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.path is None and self.truth is None:
            raise ValueError("name a file of labels as path, or as truth")
        return self


@step("labels", saved=False, uses=(), panel=False)
def labels(
    workspace: Workspace, parameters: LabelsParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Take labels from a file in place of those that were found, such as corrected by hand."""
    from porescope.io import read_stack

    if parameters.path is not None:
        workspace = replace(workspace, labels=replace(read_stack(parameters.path), is_labels=True))
    if parameters.truth is not None:
        workspace = replace(workspace, truth=replace(read_stack(parameters.truth), is_labels=True))
    return workspace
