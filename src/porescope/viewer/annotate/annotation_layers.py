"""Layers that are painted by hand, and what they tell of themselves.

``metadata["porescope"]["annotation"]`` holds ``of`` (the layer that is annotated), ``kind`` and
``corrected`` (slices along z that are right as a whole). Whatever changes is announced by the
layer's own event ``paint``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from porescope.pipeline.catalogue.segment import SCRIBBLES
from porescope.viewer.layers import (
    KEY,
    SOLID_COLOUR,
    TRUTH_COLOUR,
    LayerData,
    from_layer,
    phase_colours,
    to_layer_data,
)

ANNOTATION = "annotation"
CORRECTIONS = "corrections"
CORRECTED_LABELS = "corrected labels"
PORE, SOLID = 1, 2
"""Scribbles; 0 is not told."""
BRUSH_PX = 6


def new_scribbles(image: Layer) -> LayerData:
    """Return labels on an image's voxels in which nothing is told.

    Raises
    ------
    PorescopeError
        If the image is no volume with a voxel size.
    """
    stack = from_layer(image)
    empty = stack.with_data(
        np.zeros(stack.shape, np.uint8), is_labels=True, beam_kv=None, detector=None, history=()
    )
    colours = phase_colours(TRUTH_COLOUR) | {SOLID: SOLID_COLOUR}
    return _marked(to_layer_data(empty, SCRIBBLES, colormap=colours), image.name, SCRIBBLES)


def new_corrections(labels: Layer, data: Any) -> LayerData:
    """Return a copy of a segmentation to be corrected.

    Parameters
    ----------
    labels : Layer
        The segmentation.
    data : uint8 array of shape (z, y, x)
        A copy of its labels.

    Raises
    ------
    PorescopeError
        If it is no volume with a voxel size.
    """
    stack = from_layer(labels).with_data(data).with_history("correct by hand", of=labels.name)
    layer = to_layer_data(stack, CORRECTED_LABELS, colormap=phase_colours(SOLID_COLOUR))
    return _marked(layer, labels.name, CORRECTIONS)


def annotation_of(layer: Layer) -> Mapping[str, Any] | None:
    """Return what a layer tells of itself as an annotation, or None if it is none."""
    told: Mapping[str, Any] | None = layer.metadata.get(KEY, {}).get(ANNOTATION)
    return told if isinstance(layer, Labels) and layer.ndim == len(layer.data.shape) == 3 else None


def corrected_slices(layer: Layer) -> list[int]:
    """Return the slices that are marked as right, ascending."""
    told = annotation_of(layer) or {}
    return sorted(int(index) for index in told.get("corrected", ()))


def mark_corrected(layer: Layer, index: int, corrected: bool) -> None:
    """Say whether a slice is right as a whole."""
    own = layer.metadata.get(KEY, {})
    told = {*corrected_slices(layer)} - {index} | ({index} if corrected else set())
    annotation = {**own.get(ANNOTATION, {}), "corrected": sorted(told)}
    layer.metadata = {**layer.metadata, KEY: {**own, ANNOTATION: annotation}}
    layer.events.paint(value=[])


def _marked(layer: LayerData, of: str, kind: str) -> LayerData:
    data, attributes, what = layer
    own = {**attributes["metadata"][KEY], ANNOTATION: {"of": of, "kind": kind, "corrected": []}}
    return data, {**attributes, "metadata": {**attributes["metadata"], KEY: own}}, what
