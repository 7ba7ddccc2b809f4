"""The pictures in docs/tutorial.md and docs/layers.md, made by doing what they say in the window.

    xvfb-run -a -s "-screen 0 1280x800x24" python tools/make_screenshots.py docs/images

Prints how long each step took and the numbers that the tutorial tells. It ends with an error where
a step does, and where the recipe of the session gives other voxels than the session.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = ""  # whatever the user of this machine prefers

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QWidget

from porescope.measure.differences import FALSE_SOLID
from porescope.pipeline.provenance import hash_path
from porescope.viewer.dock import NAME, open_dock
from porescope.viewer.inspect.inspect_panel import SECTIONS
from porescope.viewer.panels import Panel
from porescope.viewer.work import Runner

WINDOW_PX = (1280, 800)
SETTLING_S = 0.7
PATIENCE_S = 900
LARGEST_BYTES = 150_000
LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
NO_KEY = Qt.KeyboardModifier.NoModifier
PORE, SOLID = 0, 1
"""In labels that are corrected."""


class Tour:
    """A window, a hand on its mouse, and a camera.

    Parameters
    ----------
    out : Path
        Folder for the pictures.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*WINDOW_PX)
        open_dock(self.viewer, "load")
        self.dock = self.viewer.window.dock_widgets[NAME]
        self.settle()

    def section(self, name: str) -> Any:
        """Open a section by its header."""
        panel: Panel = self.dock.open_section(name)
        self.settle()
        return panel

    def settle(self, seconds: float = SETTLING_S) -> None:
        """Let the window draw itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait, or give up."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                sys.exit(f"{what}: not done after {PATIENCE_S} s")
            self.settle(0.05)

    def click(self, button: QAbstractButton) -> None:
        """Click on a button or in a box."""
        self.dock.ensureWidgetVisible(button)
        if button.isCheckable():
            button.click()  # its words, not its middle, take the mouse
        else:
            QTest.mouseClick(button, LEFT)
        self.settle(0.1)

    def run(self, what: str, runner: Runner, button: QAbstractButton | None = None) -> str:
        """Press the button of some work, wait for it, and return what it says."""
        start = time.monotonic()
        self.click(button or runner.run_button)
        self.wait_for(lambda: not runner.running, what)
        self.settle(0.2)
        said = runner.message.text()
        if runner.message.styleSheet():
            sys.exit(f"{what}: {said}")
        print(f"{what}: {time.monotonic() - start:.1f} s. {said}")
        return said

    def take(self, name: str, show: QWidget | None = None) -> None:
        """Take a picture of the window, with a part of the dock in view."""
        self.settle()
        if show is not None:
            self.dock.ensureWidgetVisible(show, 0, 12)
            self.settle()
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)
        picture = Image.fromarray(pixels[..., :3])
        path = self.out / f"{name}.png"
        for colours in (256, 128, 64, 32):
            few = picture.quantize(colours, dither=Image.Dither.NONE)
            few.save(path, optimize=True)
            if path.stat().st_size <= LARGEST_BYTES:
                return
        sys.exit(f"{path} has {path.stat().st_size} bytes")

    def stroke(self, layer: Any, *voxels: Any) -> None:
        """Drag the mouse over voxels of the slice that is shown."""
        (canvas,) = (
            widget
            for widget in QApplication.allWidgets()
            if type(widget).__name__.startswith("CanvasBackend")
        )
        camera = self.viewer.scene.camera
        places = []
        for voxel in voxels:
            _, y, x = np.asarray(layer.data_to_world(voxel)) - (0, *camera.center[-2:])
            middle = canvas.width() / 2, canvas.height() / 2
            places.append(
                QPoint(round(middle[0] + x * camera.zoom), round(middle[1] + y * camera.zoom))
            )
        QTest.mousePress(canvas, LEFT, NO_KEY, places[0])
        for place in places[1:]:
            time.sleep(0.02)  # what comes faster is dropped
            local, there = QPointF(place), QPointF(canvas.mapToGlobal(place))
            QApplication.sendEvent(
                canvas,
                QMouseEvent(QEvent.Type.MouseMove, local, there, NO_BUTTON, LEFT, NO_KEY),
            )
        QTest.mouseRelease(canvas, LEFT, NO_KEY, places[-1])
        self.settle()


def follow(tour: Tour, work: Path) -> None:
    """Do what the tutorial says."""
    viewer = tour.viewer

    load = tour.section("load")
    tour.run("open the sample", load.runner, load.sample)
    viewer.dims.set_point(0, float(np.mean(viewer.layers["1kV"].extent.world[:, 0])))
    tour.take("tutorial-open")

    align = tour.section("align")
    align.form["region"].value = "0, 28, , "
    tour.run("align", align.runner)
    tour.take("tutorial-align", align.curves)

    crop = tour.section("crop")
    crop.form["region"].value = "32, , , "
    tour.run("crop", crop.runner)
    viewer.reset_view()

    positions = tour.section("positions")
    positions.form["source"].value = "files"
    tour.run("positions", positions.runner)
    tour.take("tutorial-positions", positions.curves)

    segment = tour.section("segment")
    start = time.monotonic()
    tour.click(segment.live.box)
    tour.wait_for(lambda: "preview labels" in viewer.layers, "preview")
    print(f"preview: {time.monotonic() - start:.1f} s. {segment.live.told.text()}")
    tour.take("tutorial-preview")
    tour.run("segment", segment.runner)

    labels = viewer.layers["labels late-fusion"]
    for name in ("2kV placed", "4kV placed"):
        viewer.layers[name].visible = False

    inspect = tour.section("inspect")
    tour.run("differences", inspect.differences.runner)
    tour.wait_for(lambda: not inspect.differences.runner.running, "differences")
    print(inspect.differences.shares.text())
    inspect.worst.map.setCurrentText("differences")
    tour.run("worst places", inspect.worst.runner)
    tour.click(inspect.cross_sections)
    sections = viewer.window.dock_widgets[SECTIONS]
    tour.wait_for(lambda: sections.xz.picture is not None, "cross-sections")
    tour.settle(3)
    labels.contour = 1
    viewer.reset_view()
    tour.take("tutorial-inspect", inspect.worst)
    tour.click(inspect.cross_sections)

    annotate = tour.section("annotate")
    annotate.segmented.setCurrentText(labels.name)
    annotate.image.setCurrentText("1kV placed")
    labels.visible = False
    tour.run("correct a copy", annotate.runner, annotate.correct)
    corrected = viewer.layers[annotate.annotation.currentText()]
    worst = viewer.layers["worst place"]
    z, y, x = (
        round(place) for place in corrected.world_to_data(worst.data_to_world(worst.data[0]))
    )
    wrong = viewer.layers["differences"].data[z, y, x]
    print(f"slice {z}, y {y}, x {x}: {'false solid' if wrong == FALSE_SOLID else 'false pore'}")
    corrected.selected_label = PORE if wrong == FALSE_SOLID else SOLID
    corrected.contour = 1
    annotate.brush.setValue(5)
    tour.stroke(corrected, (z, y - 3, x), (z, y, x), (z, y + 3, x))
    tour.click(annotate.done)
    viewer.reset_view()
    tour.take("tutorial-annotate", annotate.done)
    corrected.visible = viewer.layers["differences"].visible = worst.visible = False

    slices = tour.section("slices")
    slices.labels.setCurrentText(labels.name)
    tour.run("slices", slices.runner)
    labels = viewer.layers["labels on grid"]
    tour.take("tutorial-slices", slices.curves)

    measure = tour.section("measure")
    measure.labels.setCurrentText(labels.name)
    tour.run("measure", measure.runner)
    for row in range(measure.scores.rowCount()):
        print("   ", *(measure.scores.item(row, column).text() for column in range(2)))
    tour.take("tutorial-measure", measure.scores)

    project = tour.section("project")
    start = time.monotonic()
    folder = work / "gold.porescope"
    project.save_as(folder)
    tour.wait_for(lambda: not project.runner.running, "save the project")
    print(f"save: {time.monotonic() - start:.1f} s. {project.runner.message.text()}")
    project.result.setCurrentText(labels.name)
    recipe = work / "gold.yaml"
    project.save_recipe(recipe)
    tour.settle(2)  # the header follows every second
    tour.take("tutorial-project")

    start = time.monotonic()
    again = work / "again"
    porescope = Path(sys.executable).with_name("porescope")
    command = (porescope, "run", recipe, "--out", again)
    subprocess.run(command, check=True)
    print(f"run again: {time.monotonic() - start:.1f} s")
    made = next(each for each in project.session.taken if labels.name in each.made.values())
    if hash_path(folder / made.folder / "labels.ome.zarr") != hash_path(again / "labels.ome.zarr"):
        sys.exit("The recipe gives other voxels than the window did.")


def find_layers(tour: Tour) -> None:
    """Find the layers of a simulated series."""
    tour.viewer.layers.clear()
    panel = tour.section("layers")
    tour.run("simulate a series", panel.runner, panel.simulate)
    tour.run("find the layers", panel.runner)
    for name in ("gold thickness (nm)", "aluminium thickness (nm)", "series"):
        tour.viewer.layers[name].visible = False
    tour.viewer.layers["layers"].visible = True
    tour.viewer.dims.ndisplay = 3
    tour.viewer.scene.camera.angles = (0, 35, 60)
    tour.viewer.fit_to_view()
    tour.take("layers", panel.runner)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="porescope-") as work:
        tour = Tour(options.out)
        follow(tour, Path(work))
        find_layers(tour)
        tour.viewer.close()


if __name__ == "__main__":
    main()
