"""What napari saves through Porescope.

A writer cannot know whether a person or a script chose the name, so none replaces what exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porescope.errors import PorescopeError
from porescope.viewer.layers import LayerData, from_layer_data


def write_image(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer as OME-Zarr, OME-TIFF or TIFF."""
    return write_layers(path, [(data, dict(attributes), "image")])


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer as OME-Zarr, OME-TIFF or TIFF."""
    return write_layers(path, [(data, dict(attributes), "labels")])


def write_layers(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write one volume, or an image with its labels as one OME-Zarr.

    Raises
    ------
    PorescopeError
        If the path exists, or a layer is no volume with a voxel size.
    """
    from porescope.io import write_stack

    stacks = [(layer[1].get("name", "labels"), from_layer_data(*layer)) for layer in layers]
    (_, first), *rest = sorted(stacks, key=lambda named: named[1].is_labels)
    labels = dict(rest)
    if len(labels) < len(rest):
        raise PorescopeError("Two labels layers have the same name; rename one.")
    for name, stack in labels.items():
        if stack.shape[1:] != first.shape[1:]:
            raise PorescopeError(
                f"Layer {name!r} and the image are not of one size in y and x; save them apart."
            )
    write_stack(Path(path), first, **({"labels": labels} if labels else {}))
    return [path]
