"""The finished demo in a napari window: ``python -m porescope.viewer.show RESULT [PNG]``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QWidget

from porescope.pipeline.report import explained
from porescope.pipeline.workspace import Workspace, load_workspace
from porescope.stack import SLICES, Stack
from porescope.viewer.dock import open_dock
from porescope.viewer.layers import TRUTH_COLOUR, LayerData
from porescope.viewer.panels import CHOSEN, StepPanel
from porescope.viewer.readers import image_layers, labels_layer, read_layers

WINDOW_PX = (1280, 800)
TITLE_PX = 440
SETTLING_S = 1.5


def open_demo(result: Path, inputs: Sequence[Path] = ()) -> napari.Viewer:
    """Open a result with its inputs, ready to look at and to go on from.

    Parameters
    ----------
    result : Path
        Folder that ``run_recipe`` made.
    inputs : sequence of Path, optional
        What it was made from; by default, the inputs it names that are still there.
    """
    viewer = napari.Viewer(title="Porescope")
    fill(viewer, result, inputs)
    return viewer


def fill(viewer: napari.Viewer, result: Path, inputs: Sequence[Path] = ()) -> None:
    """Show a result in a window; see :func:`open_demo`."""
    workspace, _ = load_workspace(result)
    inputs = inputs or [path for path in workspace.inputs if path.exists()]
    raw: list[Layer] = []
    for path in inputs:
        raw += _show(viewer, [_hidden(layer) for layer in read_layers(path)])
    images = _show(viewer, _result_images(workspace))
    if len(images) > 1:
        viewer.layers.link_layers(images, ("contrast_limits",))
    if workspace.truth is not None:
        _show(viewer, [labels_layer(workspace.truth, "truth", TRUTH_COLOUR, visible=False)])
    if workspace.labels is not None:
        (labels,) = _show(viewer, [labels_layer(workspace.labels, "labels", opacity=0.9)])
        labels.contour = 1
        viewer.dims.set_point(SLICES, _middle_nm(workspace.labels))
    viewer.canvas.overlays.scale_bar.visible = True
    panel = open_dock(viewer, "measure")
    # To go on with what the result holds, not with what it was made from.
    for section in panel.window().findChildren(StepPanel):
        section.fill({CHOSEN: {layer.name: False for layer in raw}})
    panel.scores.show_rows(explained(workspace.scores))
    _widen(panel)
    _fit(viewer)


def save_screenshot(result: Path, path: Path) -> None:
    """Take a picture of the whole window with a result, on the display there is."""
    viewer = open_demo(result)
    viewer.window.resize(*WINDOW_PX)
    _settle()
    _fit(viewer)
    _settle()
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()


def _result_images(workspace: Workspace) -> list[LayerData]:
    """Return the images, lowest voltage on top, where the labels lie and in one range of grey."""
    images = workspace.images
    if workspace.labels is not None:
        images = tuple(_on_grid(image, workspace.labels) for image in images)
    layers = image_layers(images, " aligned")[::-1]
    ranges = np.array([attributes["contrast_limits"] for _, attributes, _ in layers])
    for _, attributes, _ in layers:
        attributes["contrast_limits"] = (ranges[:, 0].min(), ranges[:, 1].max())
    return layers


def _on_grid(image: Stack, grid: Stack) -> Stack:
    """Return for each plane of a grid the slice cut nearest to it.

    napari draws slices evenly spaced, which slices of uneven thickness are not; labels on an even
    grid would then lie over other slices than they came from.
    """
    nearest = image.nearest_slices(grid.slice_z_nm)
    spacing_nm = (grid.spacing_nm[SLICES], *image.spacing_nm[1:])
    shown = replace(
        image, data=image.data[nearest], spacing_nm=spacing_nm, slice_z_nm=grid.slice_z_nm
    )
    return shown.with_history("show nearest slices")


def _middle_nm(stack: Stack) -> float:
    return float(stack.slice_z_nm[stack.shape[SLICES] // 2])


def _hidden(layer: LayerData) -> LayerData:
    data, attributes, kind = layer
    return data, attributes | {"visible": False}, kind


def _show(viewer: napari.Viewer, layers: Sequence[LayerData]) -> list[Any]:
    return [viewer.add_layer(Layer.create(*layer)) for layer in layers]


def _widen(panel: QWidget) -> None:
    """Make the dock wide enough for its title."""
    window = panel.window()
    docks = [d for d in window.findChildren(QDockWidget) if d.isAncestorOf(panel)]
    window.resizeDocks(docks, [TITLE_PX], Qt.Orientation.Horizontal)


def _fit(viewer: napari.Viewer) -> None:
    """Fill the canvas with the top layer; the stacks as imaged are larger."""
    viewer.reset_view()
    low, high = viewer.layers[-1].extent.world
    whole = np.ptp(viewer.layers.extent.world, axis=0)
    viewer.scene.camera.center = (low + high) / 2
    viewer.scene.camera.zoom *= (whole / (high - low))[1:].min()


def _settle() -> None:
    """Let the window draw itself."""
    end = time.monotonic() + SETTLING_S
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


def main() -> None:
    """Open the window, or take its picture."""
    parser = argparse.ArgumentParser(prog="python -m porescope.viewer.show", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("picture", type=Path, nargs="?")
    options = parser.parse_args()
    if options.picture is not None:
        save_screenshot(options.result, options.picture)
    else:
        open_demo(options.result)
        napari.run()


if __name__ == "__main__":
    main()
