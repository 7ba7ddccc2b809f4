"""Numbers from a finished volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress


class MeasureParameters(Parameters):
    """Nothing to choose yet."""


@step("measure", uses=("labels", "truth"))
def measure(
    workspace: Workspace, parameters: MeasureParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Measure the solid fraction, and score against the truth where there is one."""
    from porescope.measure import phase_fractions, scores

    labels = workspace.need_labels()
    total = 2 * labels.shape[SLICES]

    def first_half(done: int, _: int) -> None:
        progress(done, total)

    def second_half(done: int, _: int) -> None:
        progress(labels.shape[SLICES] + done, total)

    fractions = phase_fractions(labels.data, progress=first_half, cancel=cancel)
    found: dict[str, Any] = {
        "solid_fraction": 1.0 - fractions.get(0, 0.0),
        "phase_fractions": {str(label): share for label, share in fractions.items()},
        "shape": list(labels.shape),
        "spacing_nm": list(labels.spacing_nm),
    }
    if workspace.truth is not None:
        truth = sampled_at(workspace.truth, labels)
        found |= scores(labels.data, truth, progress=second_half, cancel=cancel)
        found["true_solid_fraction"] = 1.0 - phase_fractions(truth).get(0, 0.0)
    return replace(workspace, scores=found)


def sampled_at(volume: Stack, grid: Stack) -> Any:
    """Return the voxels of ``volume`` that lie at the voxel centres of ``grid``.

    Raises
    ------
    PorescopeError
        If the grid reaches out of the volume by more than a voxel.
    """
    indices = []
    for axis, name in ((SLICES, "z"), (ROWS, "y"), (COLUMNS, "x")):
        if axis == SLICES:
            positions = grid.slice_z_nm - volume.slice_z_nm[0]
        else:
            start = grid.origin_yx_nm[axis - 1] - volume.origin_yx_nm[axis - 1]
            positions = start + (np.arange(grid.shape[axis]) + 0.5) * grid.spacing_nm[axis]
        index = np.floor(positions / volume.spacing_nm[axis] + 1e-6).astype(int)
        if index.min() < -1 or index.max() > volume.shape[axis]:
            raise PorescopeError(
                f"The truth does not cover the segmented volume along {name}; "
                "check its voxel size and that both show the same place."
            )
        indices.append(index.clip(0, volume.shape[axis] - 1))
    z, y, x = indices
    return volume.data[z][:, y][:, :, x]
