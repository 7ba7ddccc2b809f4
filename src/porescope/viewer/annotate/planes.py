"""Which slice of a layer a window shows, and along which axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer

from porescope.stack import COLUMNS, ROWS, SLICES

if TYPE_CHECKING:
    from napari.components import ViewerModel

PLANES = {"xy": SLICES, "xz": ROWS, "yz": COLUMNS}
"""The axis across each plane."""


def shown_axis(viewer: ViewerModel, layer: Layer) -> int:
    """Return the axis of a layer along which the slider moves."""
    added = viewer.dims.ndim - layer.ndim
    hidden = [axis - added for axis in viewer.dims.not_displayed if axis >= added]
    return hidden[-1] if hidden else SLICES


def shown_index(viewer: ViewerModel, layer: Layer) -> int | None:
    """Return the slice of a layer at the slider, or None where it stands outside."""
    axis = shown_axis(viewer, layer)
    point = viewer.dims.point[-layer.ndim :]
    index = round(float((point[axis] - layer.translate[axis]) / layer.scale[axis]))
    return index if 0 <= index < layer.data.shape[axis] else None


def show_plane(viewer: ViewerModel, axis: int) -> None:
    """Show slices across one of the last three axes."""
    added = viewer.dims.ndim - 3
    others = [other for other in (SLICES, ROWS, COLUMNS) if other != axis]
    viewer.dims.ndisplay = 2
    viewer.dims.order = (*range(added), *(added + each for each in (axis, *others)))


def show_slice(viewer: ViewerModel, layer: Layer, index: int) -> None:
    """Move the slider to a slice of a layer."""
    axis = shown_axis(viewer, layer)
    place = float(layer.translate[axis] + index * layer.scale[axis])
    viewer.dims.set_point(viewer.dims.ndim - layer.ndim + axis, place)
