"""Where the window looks: its cursor in nm, and going to a voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from porescope.stack import COLUMNS, ROWS, SLICES, Stack

if TYPE_CHECKING:
    from napari.components import ViewerModel

AXES = (-3, -2, -1)
"""Of the window, whatever comes before z, y and x."""


def cursor_nm(viewer: ViewerModel, layer: Layer, stack: Stack) -> NDArray[np.float64]:
    """Return the cursor (z, y, x) in nm: the middle of the slices and rows the sliders stand at.

    napari draws slices evenly; here z is where the slice was cut.

    Parameters
    ----------
    viewer : napari viewer
        Its ``dims.point`` is the cursor, on displayed axes too.
    layer : Layer
        That the places are told by.
    stack : Stack
        What the layer shows.
    """
    z, y, x = np.asarray(layer.world_to_data(viewer.dims.point), dtype=float)[list(AXES)]
    count = stack.shape[SLICES]
    beyond = z - np.clip(z, 0, count - 1)
    z_nm = np.interp(z, np.arange(count), stack.slice_z_nm) + beyond * stack.spacing_nm[SLICES]
    yx_nm = np.array([y, x]) * stack.spacing_nm[ROWS:] + stack.origin_yx_nm
    return np.array([z_nm, *yx_nm])


def move_cursor(viewer: ViewerModel, layer: Layer, stack: Stack, place_nm: list[float]) -> None:
    """Put the cursor on a place (z, y, x) in nm; the slice is the nearest."""
    z = float(stack.nearest_slices(place_nm[0]))
    y, x = (
        (place_nm[axis] - stack.origin_yx_nm[axis - ROWS]) / stack.spacing_nm[axis]
        for axis in (ROWS, COLUMNS)
    )
    go_to(viewer, layer, z, y, x)


def go_to(viewer: ViewerModel, layer: Layer, z: float, y: float, x: float) -> NDArray[np.float64]:
    """Put the cursor on a voxel of a layer, and return where that is in the window."""
    world = np.asarray(layer.data_to_world((z, y, x)), dtype=float)
    axes = [viewer.dims.ndim + axis for axis in AXES]
    viewer.dims.set_point(axes, list(world))
    return world
