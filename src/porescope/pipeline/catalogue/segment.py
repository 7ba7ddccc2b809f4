"""Telling phases apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from porescope.learn.parameters import WeightsOf
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.segment.segment import BY_NETWORKS, DEFAULT_WEIGHTS
from porescope.segment.segment import Method as SegmentationMethod
from porescope.tracking import Cancel, Progress

MATTERS = {
    "weights": BY_NETWORKS,
    "scribbles": ("forest",),
    "clusters": ("kmeans",),
    "seed": ("kmeans", "forest"),
}
"""Which methods a parameter is for."""
PROBABILITY, SCRIBBLES = "probability", "scribbles"


class SegmentParameters(Parameters):
    """How to tell solid from pore."""

    method: SegmentationMethod = Field(
        "late-fusion", description="how grey values become phases; networks need weights"
    )
    weights: Annotated[str, WeightsOf("segmentation")] = Field(
        DEFAULT_WEIGHTS,
        description="of networks: gold-epoxy, or a .safetensors file that a training wrote",
    )
    scribbles: Path | None = Field(
        None,
        description="of the forest: volume with 1 where pore is marked, 2 where solid; by default "
        "the map scribbles, which a window makes",
    )
    clusters: int = Field(3, ge=2, le=8, description="clusters of k-means, the brightest is solid")
    seed: int = Field(0, ge=0, description="where k-means starts, and what the forest draws")


@step("segment", uses=("images",))
def segment(
    workspace: Workspace, parameters: SegmentParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Tell solid from pore, voxel by voxel."""
    import dask.array as da

    from porescope import segment as segmentation
    from porescope.segment.probability import HALF

    images = workspace.need_images()
    told = parameters.model_dump(mode="json")
    follow: dict[str, Any] = {"progress": progress, "cancel": cancel}

    def found(data: Any, is_labels: bool) -> Any:
        stack = images[0].with_data(data, is_labels=is_labels, beam_kv=None, detector=None)
        return stack.with_history("segment", **told)

    if parameters.method in BY_NETWORKS:
        likely = segmentation.probability(
            images, parameters.method, weights=parameters.weights, **follow
        )
        lazy = da.from_array(likely, chunks=(1, -1, -1), name=False)
        workspace = workspace.with_map(PROBABILITY, found(lazy, False))
        return replace(workspace, labels=found((lazy >= HALF).astype("uint8"), True))
    scribbles = _scribbles(workspace, parameters.scribbles)
    labels = segmentation.segment(
        images,
        parameters.method,
        scribbles=scribbles,
        clusters=parameters.clusters,
        seed=parameters.seed,
        **follow,
    )
    return replace(workspace, labels=found(labels, True))


def _scribbles(workspace: Workspace, path: Path | None) -> Any:
    from porescope.io import read_stack

    drawn = workspace.maps.get(SCRIBBLES) if path is None else read_stack(path)
    return drawn and drawn.data
