"""Numbers from a finished volume."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.measure.parts import UNCERTAINTY
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress

NEED_SPACING = ("isotropy", "morphometry", "local_thickness", "tortuosity")


class MeasureParameters(Parameters):
    """What to measure."""

    phase: int | None = Field(
        None, ge=0, description="label to measure; all that is solid by default"
    )
    isotropy: bool = Field(
        True,
        description="two-point correlation, lineal path, ligament diameters and how much z differs",
    )
    morphometry: bool = Field(True, description="specific surface, mean chords and Euler number")
    percolation: bool = Field(
        True, description="what is connected from face to face, and the largest component"
    )
    local_thickness: bool = Field(
        False, description="diameter of the largest ball at each voxel; takes minutes"
    )
    tortuosity: bool = Field(
        False, description="how well diffusion gets through; needs TauFactor and takes minutes"
    )


@step("measure", uses=("labels", "truth"), tables=("measures", "correlations"))
def measure(
    workspace: Workspace, parameters: MeasureParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Measure the labels, and score them against the truth where there is one."""
    from porescope import measure as measures

    labels = workspace.need_labels()
    spacing = [name for name in NEED_SPACING if getattr(parameters, name)]
    if spacing and not labels.evenly_sliced:
        warnings.warn(
            f"The slices do not lie evenly, so {', '.join(spacing)} cannot be measured; put a "
            "slices step before.",
            PorescopeWarning,
            stacklevel=2,
        )
        spacing = []
    stages = _Stages(
        progress, 1 + len(spacing) + parameters.percolation + 2 * (workspace.truth is not None)
    )
    found: dict[str, Any] = {
        **measures.volume_fractions(labels.data, progress=stages.next(), cancel=cancel),
        "shape": list(labels.shape),
        "spacing_nm": list(labels.spacing_nm),
    }
    for name in spacing:
        function: Any = getattr(measures, "correlations" if name == "isotropy" else name)
        result = function(
            labels.data,
            labels.spacing_nm,
            phase=parameters.phase,
            progress=stages.next(),
            cancel=cancel,
        )
        if name == "isotropy":
            workspace = workspace.with_table("correlations", result.rows())
            result = result.isotropy()
        found |= result
    if parameters.percolation:
        found |= measures.percolation(
            labels.data, phase=parameters.phase, progress=stages.next(), cancel=cancel
        )
    if workspace.truth is not None:
        truth = sampled_at(workspace.truth, labels)
        found |= measures.scores(labels.data, truth, progress=stages.next(), cancel=cancel)
        of_truth = measures.volume_fractions(truth, progress=stages.next(), cancel=cancel)
        for key in ("solid_fraction", f"solid_fraction{UNCERTAINTY}"):
            found[f"true_{key}"] = of_truth[key]
    return replace(workspace, scores={**workspace.scores, **found}).with_table(
        "measures", _rows(found)
    )


class _Stages:
    """Progress of several things, one after the other, as that of one."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress = progress
        self._count = count
        self._begun = 0

    def next(self) -> Progress:
        """Return the progress of the next."""
        before = self._begun
        self._begun += 1
        return lambda done, total: self._progress(before * total + done, self._count * total)


def _rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every number as a row of a table."""
    return [
        {"measure": key, "value": float(value), "uncertainty": found[f"{key}{UNCERTAINTY}"]}
        for key, value in found.items()
        if isinstance(value, int | float) and f"{key}{UNCERTAINTY}" in found
    ]


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
