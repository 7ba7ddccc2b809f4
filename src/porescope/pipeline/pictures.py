"""Pictures of images and labels, for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from porescope.pipeline.workspace import Workspace, image_name
from porescope.stack import COLUMNS, ROWS, SLICES, Stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

OUTLINE = "#ffb000"
GAINED, LOST = OUTLINE, "#4aa3ff"
"""Solid that there was not before, and solid that is no more."""


def middle(workspace: Workspace) -> Figure:
    """Draw the middle slice of each image, with the border of the solid."""
    images = workspace.images
    labels = workspace.labels
    figure, axes = new_figure(len(images), height=3.6)
    for index, (image, ax) in enumerate(zip(images, axes, strict=True)):
        z = image.shape[SLICES] // 2
        _draw_slice(ax, image, z)
        if labels is not None and labels.shape[1:] == image.shape[1:]:
            nearest = int(labels.nearest_slices(image.slice_z_nm[z]))
            _draw_border(ax, image, np.asarray(labels.data[nearest]) > 0)
        ax.set_title(f"{image_name(image, index)}, slice {z}")
    return figure


def changes(image: Stack, before: Stack, after: Stack, z: int) -> Figure:
    """Draw a slice with the border of the solid before and after, and what came and went."""
    from matplotlib.colors import ListedColormap

    was, is_now = (np.asarray(labels.data[z]) > 0 for labels in (before, after))
    figure, axes = new_figure(3, height=3.6)
    for ax, solid, when in zip(axes, (was, is_now), ("before", "after"), strict=False):
        _draw_slice(ax, image, z)
        _draw_border(ax, image, solid)
        ax.set_title(f"{when}, slice {z}")
    _draw_slice(axes[2], image, z)
    extent = _extent(image, ROWS, COLUMNS)
    for differs, colour in ((is_now & ~was, GAINED), (was & ~is_now, LOST)):
        shown = np.ma.masked_equal(differs, False)
        axes[2].imshow(shown, cmap=ListedColormap([colour]), extent=extent, interpolation="nearest")
    axes[2].set_title("solid now (amber), no more (blue)")
    return figure


def cuts(labels: Stack) -> Figure:
    """Draw cuts through the middle of labels along each axis."""
    figure, axes = new_figure(3, height=3.6)
    z, y, x = (size // 2 for size in labels.shape)
    planes = [
        (labels.data[z], (ROWS, COLUMNS), "y", "x"),
        (labels.data[:, y], (SLICES, COLUMNS), "z", "x"),
        (labels.data[:, :, x], (SLICES, ROWS), "z", "y"),
    ]
    for ax, (plane, (down, across), down_name, across_name) in zip(axes, planes, strict=True):
        solid = np.asarray(plane) > 0
        ax.imshow(solid, cmap="gray", vmin=0, vmax=1, extent=_extent(labels, down, across))
        ax.set_title(f"{across_name}{down_name}")
        _label(ax, across_name, down_name)
    return figure


def new_figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure as wide as the report, in so many columns."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _draw_slice(ax: Axes, image: Stack, z: int) -> None:
    plane = np.asarray(image.data[z])
    low, high = np.percentile(plane, (0.5, 99.5))
    ax.imshow(plane, cmap="gray", vmin=low, vmax=high, extent=_extent(image, ROWS, COLUMNS))
    _label(ax, "x", "y")


def _draw_border(ax: Axes, image: Stack, solid: NDArray[np.bool_]) -> None:
    # Matplotlib draws no contour through a single row or column.
    if min(solid.shape) > 1 and solid.any() and not solid.all():
        extent = _extent(image, ROWS, COLUMNS)
        ax.contour(
            solid, levels=[0.5], colors=OUTLINE, linewidths=0.8, extent=extent, origin="upper"
        )


def _extent(stack: Stack, down: int, across: int) -> tuple[float, float, float, float]:
    def length(axis: int) -> float:
        return stack.shape[axis] * stack.spacing_nm[axis]

    return 0.0, length(across), length(down), 0.0


def _label(ax: Axes, across: str, down: str) -> None:
    ax.set(xlabel=f"{across}, nm", ylabel=f"{down}, nm")
