"""Putting slices where they were cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from porescope.correct.interpolation.interpolate import Method as InterpolationMethod
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import ROWS
from porescope.tracking import Cancel, Progress


class SlicesParameters(Parameters):
    """Onto which grid, and how to fill it."""

    grid_nm: float | None = Field(
        None, gt=0, description="distance of planes in nm; the pixel size by default"
    )
    interpolation: InterpolationMethod = Field(
        "learned", description="how planes between slices are filled; learned takes square pixels"
    )


@step("slices", uses=("labels",), made="on grid", tables=("slices",))
def slices(
    workspace: Workspace, parameters: SlicesParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Put the labelled slices where they were cut, and fill the planes between."""
    from porescope.correct import grid_places, interpolate, reposition

    labels = workspace.need_labels()
    grid_nm = parameters.grid_nm or labels.spacing_nm[ROWS]
    spacing_nm = (grid_nm, *labels.spacing_nm[1:])
    volume, known = reposition(labels.data, labels.slice_z_nm, grid_nm)
    filled = interpolate(
        volume,
        known,
        parameters.interpolation,
        spacing_nm=spacing_nm,
        is_labels=True,
        progress=progress,
        cancel=cancel,
    )
    first_nm = float(labels.slice_z_nm.min())
    regular = replace(
        labels.with_history("slices", **parameters.model_dump(mode="json")),
        data=filled,
        spacing_nm=spacing_nm,
        slice_z_nm=first_nm + grid_nm * np.arange(len(known)),
    )
    places = grid_places(labels.slice_z_nm, grid_nm)
    rows = [
        {"slice": index, "position nm": z, "thickness nm": thickness, "plane": plane}
        for index, (z, thickness, plane) in enumerate(
            zip(
                labels.slice_z_nm.tolist(),
                [*np.diff(labels.slice_z_nm).tolist(), None],
                places.tolist(),
                strict=True,
            )
        )
    ]
    return replace(workspace, labels=regular).with_table("slices", rows)
