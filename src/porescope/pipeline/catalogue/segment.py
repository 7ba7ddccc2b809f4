"""Telling phases apart."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.segment.classical import Method as SegmentationMethod
from porescope.tracking import Cancel, Progress


class SegmentParameters(Parameters):
    """How to tell solid from pore."""

    method: SegmentationMethod = Field("kmeans", description="how grey values become phases")
    clusters: int = Field(3, ge=2, le=8, description="clusters of k-means, the brightest is solid")
    seed: int = Field(0, ge=0, description="where k-means starts")


@step("segment", uses=("images",))
def segment(
    workspace: Workspace, parameters: SegmentParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Tell solid from pore, voxel by voxel."""
    from porescope.segment import segment as segmented

    images = workspace.need_images()
    values = parameters.model_dump(mode="json")
    data = segmented(images, **values, progress=progress, cancel=cancel)
    labels = images[0].with_data(data, is_labels=True, beam_kv=None, detector=None)
    return replace(workspace, labels=labels.with_history("segment", **values))
