"""Annotate, driven by the mouse in the real window."""

import os
import sys
import time

import numpy as np
import pytest

from porescope import Stack
from porescope.geometry import leveled_wave

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
import napari
from napari.layers import Layer
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from porescope.pipeline.step import find_step
from porescope.pipeline.trainings.corrections import AROUND
from porescope.pipeline.trainings.samples import read_sample
from porescope.viewer.dock import NAME, open_dock
from porescope.viewer.layers import to_layer_data
from porescope.viewer.learn.segment_panel import SegmentPanel

PATIENCE_MS = 60_000
SPACING = (10.0, 3.0, 3.0)
SHAPE = (12, 48, 64)
LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def solid(shape=SHAPE):
    drawn = leveled_wave(
        (shape[0] * 3, *shape[1:]), spacing_nm=3, wavelength_nm=60, solid_fraction=0.4, seed=1
    )
    return drawn[::3].astype(np.uint8)


def add(viewer, stack, name, **look):
    return viewer.add_layer(Layer.create(*to_layer_data(stack, name, **look)))


class Window:
    """A window with the section open, and a hand on its mouse."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.panel = open_dock(viewer, "annotate")
        (self.canvas,) = (
            each
            for each in QApplication.allWidgets()
            if type(each).__name__.startswith("CanvasBackend")
        )
        qtbot.wait(50)
        viewer.reset_view()

    @property
    def layer(self):
        return self.panel._layer

    def click(self, button):
        self.qtbot.mouseClick(button, LEFT)

    def place(self, voxel):
        """Where on the canvas a voxel of the slice that is shown lies."""
        world = np.multiply(voxel, self.layer.scale) + self.layer.translate
        camera = self.viewer.scene.camera
        y, x = (
            (world[axis] - camera.center[-2:][at]) * camera.zoom
            for at, axis in enumerate(self.viewer.dims.displayed)
        )
        return QPoint(round(self.canvas.width() / 2 + x), round(self.canvas.height() / 2 + y))

    def move(self, place, button):
        time.sleep(0.012)  # vispy drops what follows faster
        local, there = QPointF(place), QPointF(self.canvas.mapToGlobal(place))
        kind, none = QEvent.Type.MouseMove, Qt.MouseButton.NoButton
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, local, there, none, button, NO_KEY))

    def drag(self, *voxels):
        first, *others = map(self.place, voxels)
        QTest.mousePress(self.canvas, LEFT, NO_KEY, first)
        for place in others:
            self.move(place, LEFT)
        QTest.mouseRelease(self.canvas, LEFT, NO_KEY, (others or [first])[-1])
        self.qtbot.wait(5)

    def key(self, key, modifier=NO_KEY):
        QTest.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(5)

    def go_to(self, index):
        axis = self.viewer.dims.order[0]
        self.viewer.dims.set_point(axis, index * SPACING[axis])

    def tool(self, mode):
        self.click(self.panel.tools[mode])

    def wait_for(self, condition):
        self.qtbot.wait_until(condition, timeout=PATIENCE_MS)

    def finish(self, runner=None):
        runner = runner or self.panel.runner
        self.wait_for(lambda: not runner.running)
        return runner.message.text()

    def listed(self):
        entries = self.panel.slices.entries
        return [entries.item(row).text().strip() for row in range(entries.count())]


@pytest.fixture(scope="module")
def one_viewer(qapp):
    viewer = napari.Viewer(show=True)
    viewer.window.resize(700, 500)
    noise = np.random.default_rng(0).normal(size=SHAPE)
    for beam_kv in (1.0, 2.0):
        greys = (60 + 100 * solid() + 4 * noise).clip(0, 255).astype(np.uint8)
        add(viewer, Stack(greys, SPACING, beam_kv), f"{beam_kv:g}kV")
    yield viewer
    viewer.close()


@pytest.fixture
def viewer(one_viewer):
    """The window with images only, and the section as at first."""
    yield one_viewer
    panel = open_dock(one_viewer, "annotate")
    for layer in list(one_viewer.layers):
        if layer.name not in ("1kV", "2kV"):
            one_viewer.layers.remove(layer)
    one_viewer.dims.order = (0, 1, 2)
    panel.smart.setChecked(False)
    panel.through.setChecked(False)
    panel.brush.setValue(6)
    panel.runner.say(None)
    panel.tune.say(None)
    train = one_viewer.window.dock_widgets[NAME].panels["train"]
    train.inputs.clear()


@pytest.fixture
def window(viewer, qtbot):
    return Window(viewer, qtbot)


@pytest.fixture
def annotating(window):
    window.click(window.panel.begin)
    window.panel.brush.setValue(5)
    window.go_to(4)
    return window


def test_an_annotation_begins_empty_and_says_what_it_is(window):
    assert "Press New annotation" in press(window, window.panel.tools["paint"])
    window.click(window.panel.begin)
    layer = window.layer
    assert layer.name == "scribbles"
    assert layer.metadata["porescope"]["annotation"] == {
        "of": "2kV",
        "kind": "scribbles",
        "corrected": [],
    }
    assert (layer.data.shape, layer.data.dtype, layer.data.any()) == (SHAPE, np.uint8, False)
    assert np.allclose(layer.scale, SPACING)
    assert (layer.mode, layer.selected_label) == ("paint", 1)
    window.panel.image.clear()
    assert "no image" in press(window, window.panel.begin)
    assert "no segmentation" in press(window, window.panel.correct)


def press(window, button):
    window.click(button)
    return window.panel.runner.message.text()


def test_scribbles_of_segment_are_annotations_too(window, session, qtbot):
    segment = SegmentPanel(window.viewer, session, find_step("segment"))
    qtbot.addWidget(segment)
    segment.form["method"].value = "forest"
    window.click(segment.paint_pore)
    assert window.viewer.layers["scribbles"].metadata["porescope"]["annotation"]["kind"] == (
        "scribbles"
    )
    assert window.panel.annotation.currentText() == "scribbles"


@pytest.mark.parametrize(("plane", "axis"), [("xy", 0), ("xz", 1), ("yz", 2)])
def test_strokes_on_any_plane_are_listed_and_undone_by_button_and_key(annotating, plane, axis):
    window, panel = annotating, annotating.panel
    panel.plane.setCurrentText(plane)
    panel.plane.activated.emit(panel.plane.currentIndex())
    assert window.viewer.dims.order[0] == axis
    window.go_to(5)
    told = []
    window.layer.events.paint.connect(lambda event: told.append(window.layer.data.sum()))
    begin, end = [4, 20, 20], [8, 30, 40]
    begin[axis] = end[axis] = 5
    window.drag(begin, end)
    painted = window.layer.data.copy()
    assert set(np.nonzero(painted)[axis]) == {5}
    assert np.count_nonzero(painted) > 20
    window.wait_for(lambda: "Slice 5:" in " ".join(window.listed()))
    assert "1 of " in panel.slices.summary.text()
    told.clear()
    window.click(panel.undo_button)
    assert not window.layer.data.any()
    assert told
    assert not panel.undo_button.isEnabled()
    window.wait_for(lambda: not any("Slice" in text for text in window.listed()))
    window.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert np.array_equal(window.layer.data, painted)
    window.key(Qt.Key.Key_Z, CONTROL)
    assert not window.layer.data.any()


def test_erase_fill_polygon_and_pick(annotating):
    window, panel = annotating, annotating.panel
    data = window.layer.data
    window.tool("polygon")
    corners = [(4, 10, 10), (4, 10, 30), (4, 30, 30), (4, 30, 10)]
    for corner in corners:
        window.drag(corner)
    QTest.mouseDClick(window.canvas, LEFT, NO_KEY, window.place(corners[-1]))
    window.qtbot.wait(20)
    square = np.count_nonzero(data)
    assert 350 < square < 480
    assert (data[4, 12:28, 12:28] == 1).all()
    window.click(panel._phase_buttons[2])
    window.tool("fill")
    window.drag((4, 40, 50))
    assert (data[4][data[4] != 1] == 2).all()
    assert not data[3].any()
    window.tool("erase")
    window.drag((4, 20, 20))
    assert data[4, 20, 20] == 0
    window.tool("pick")
    window.drag((4, 12, 12))
    assert window.layer.selected_label == 1
    assert panel._phase_buttons[1].isChecked()
    window.click(panel.undo_button)
    assert data[4, 20, 20] == 1
    window.click(panel.undo_button)
    assert np.count_nonzero(data) == square
    window.click(panel.undo_button)
    assert not data.any()


def test_a_tool_that_is_pressed_again_stays_on(annotating):
    window, tools = annotating, annotating.panel.tools

    def on():
        return [mode for mode, button in tools.items() if button.isChecked()]

    for mode in ("paint", "polygon", "pan_zoom"):
        for _ in range(2):
            window.click(tools[mode])
            assert (window.layer.mode, on()) == (mode, [mode])


def test_another_phase_gets_a_button_and_a_colour(annotating):
    row = annotating.panel._phase_row
    annotating.click(row.itemAt(row.count() - 1).widget())
    assert annotating.layer.selected_label == 3
    assert annotating.panel._phase_buttons[3].text() == "phase 3"
    assert annotating.layer.get_color(3)[3] > 0


def test_more_strokes_are_undone_than_napari_remembers(annotating):
    window = annotating
    window.panel.brush.setValue(1)
    states = []
    for number in range(110):
        window.drag((4, 5 + number // 50, 5 + number % 50))
        states.append(int(window.layer.data.sum()))
    assert states == list(range(1, 111))
    for _ in states:
        window.panel.undo()
    assert not window.layer.data.any()


def test_strokes_are_undone_after_a_slice_was_left_and_the_layer_locked(annotating):
    window = annotating
    window.drag((4, 20, 20), (4, 20, 40))
    window.go_to(7)
    window.drag((7, 20, 20), (7, 30, 20))
    window.layer.editable = False
    window.layer.editable = True
    window.panel.undo()
    assert set(np.nonzero(window.layer.data)[0]) == {4}
    assert "slice 7" in window.panel.runner.message.text()
    window.panel.undo()
    assert not window.layer.data.any()


def test_napari_keeps_little_of_what_is_remembered_here(viewer, qtbot):
    add(viewer, Stack(np.zeros((2, 2048, 2048), np.uint8), (1, 1, 1), 1.0), "large")
    window = Window(viewer, qtbot)
    window.panel.image.setCurrentText("large")
    viewer.dims.set_point(0, 0)
    window.click(window.panel.begin)
    window.tool("fill")
    for label in (1, 2, 1, 2):
        window.layer.selected_label = label
        window.drag((0, 1000, 1000))
        assert (window.layer.data[0] == label).all()
        assert window.layer.mode == "fill"
    before = window.layer.data.copy()
    window.layer.undo()
    assert np.count_nonzero(window.layer.data != before) <= 2048**2
    window.layer.undo()
    window.layer.undo()
    assert (window.layer.data[0] > 0).all()  # napari has forgotten the first
    assert window.panel._watched[window.layer].history.can_undo


def test_the_smart_brush_stays_within_a_phase_and_is_one_stroke(annotating):
    window, panel = annotating, annotating.panel
    panel.brush.setValue(15)
    inside = np.argwhere(solid()[4])
    middle = inside[np.argmin(abs(inside - inside.mean(axis=0)).sum(axis=1))]
    panel.smart.setChecked(True)
    window.wait_for(lambda: panel._greys.of(window.viewer.layers["2kV"]) is not None)
    window.click(panel._phase_buttons[2])
    window.drag((4, *middle), (4, *(middle + 4)), (4, *(middle + 8)))
    painted = window.layer.data[4] == 2
    assert painted.sum() > 30
    assert np.mean(solid()[4][painted]) > 0.9
    assert painted[tuple(middle)]
    panel.undo()
    assert not window.layer.data.any()
    # Whatever is told already is kept where the layer says so.
    window.layer.data[4] = 1
    window.layer.preserve_labels = True
    window.drag((4, *middle), (4, *(middle + 4)))
    assert (window.layer.data[4] == 1).all()
    panel.smart.setChecked(False)
    window.layer.preserve_labels = False
    window.drag((4, *middle))
    disc = window.layer.data[4] == 2
    assert disc.sum() > 120  # napari's own brush is back


def test_the_smart_brush_works_across_slices_and_refuses_other_voxels(annotating):
    window, panel, viewer = annotating, annotating.panel, annotating.viewer
    panel.brush.setValue(12)
    panel.plane.setCurrentText("xz")
    panel.plane.activated.emit(0)
    window.go_to(20)
    panel.smart.setChecked(True)
    window.wait_for(lambda: panel._greys.of(viewer.layers["2kV"]) is not None)
    window.drag((6, 20, 30), (6, 20, 34))
    z, y, _ = np.nonzero(window.layer.data)
    assert set(y) == {20}
    assert len(set(z)) <= 5  # voxels are 10 nm high and 3 nm wide
    add(viewer, Stack(np.zeros((3, 9, 9), np.uint8), SPACING, 4.0), "other")
    panel.image.setCurrentText("other")
    viewer.layers.selection.active = window.layer
    window.drag((6, 20, 30))
    assert "other voxels" in panel.runner.message.text()


def test_filling_through_slices_is_asked_for_and_undone_at_once(annotating):
    window, panel = annotating, annotating.panel
    data = window.layer.data
    data[:, 25:] = 2
    window.layer.n_edit_dimensions = 3
    assert window.layer.n_edit_dimensions == 2
    before = data.copy()
    panel.through.setChecked(True)
    window.tool("fill")
    window.drag((4, 10, 10))
    assert "Filled 12 slices" in window.finish()
    assert (data[:, :25] == 1).all()
    assert (data[:, 25:] == 2).all()
    panel.undo()
    window.finish()
    assert np.array_equal(data, before)


def test_interpolation_fills_between_and_is_undone_at_once(annotating):
    window, panel = annotating, annotating.panel
    data = window.layer.data
    assert "nothing to fill" in press_and_wait(window)
    panel.brush.setValue(11)
    window.drag((4, 24, 20))
    window.go_to(10)
    window.drag((10, 24, 26))
    before = data.copy()
    window.wait_for(lambda: "2 of 12" in panel.slices.summary.text())
    assert "5 – 9: 5 slices, nothing" in window.listed()
    assert "Filled 5 slices" in press_and_wait(window)
    assert np.array_equal(data[[4, 10]], before[[4, 10]])
    middle = np.argwhere(data[7]).mean(axis=0)
    assert np.allclose(middle, (24, 23), atol=0.6)
    window.wait_for(lambda: "7 of 12" in panel.slices.summary.text())
    panel.undo()
    window.finish()
    assert np.array_equal(data, before)
    panel.redo()
    window.finish()
    assert data[7].any()


def press_and_wait(window):
    window.click(window.panel.runner.run_button)
    return window.finish()


def test_the_list_leads_from_slice_to_slice_and_into_gaps(annotating):
    window, panel = annotating, annotating.panel
    for index in (2, 9):
        window.go_to(index)
        window.drag((index, 20, 20))
    window.wait_for(lambda: "2 of 12 slices. Longest gap: 3 – 8." in panel.slices.summary.text())
    assert not panel.slices.after.isEnabled()
    window.click(panel.slices.before)
    assert window.viewer.dims.point[0] == 20
    window.click(panel.slices.after)
    assert window.viewer.dims.point[0] == 90
    entries = panel.slices.entries
    (gap,) = (
        entries.item(row) for row in range(entries.count()) if "3 – 8" in entries.item(row).text()
    )
    assert gap.font().italic()
    assert gap.foreground().style() == Qt.BrushStyle.NoBrush  # of the theme, dark or light
    entries.itemClicked.emit(gap)
    assert window.viewer.dims.point[0] == 50


@pytest.fixture
def correcting(window):
    labels = Stack(solid(), SPACING, is_labels=True).with_history(
        "segment", method="late-fusion", weights="gold-epoxy"
    )
    add(window.viewer, labels, "labels")
    window.click(window.panel.correct)
    window.finish()
    window.panel.brush.setValue(5)
    return window


def test_corrected_slices_are_marked_and_listed(correcting):
    window, panel = correcting, correcting.panel
    layer = window.layer
    assert layer.name == "corrected labels"
    assert layer.metadata["porescope"]["annotation"]["of"] == "labels"
    assert np.array_equal(layer.data, solid())
    assert layer.data is not window.viewer.layers["labels"].data
    assert panel._phase_buttons.keys() == {0, 1}
    window.go_to(6)
    window.drag((6, 20, 20), (6, 30, 30))
    assert np.array_equal(window.viewer.layers["labels"].data, solid())
    assert "Slice 6: edited, not marked" in window.listed()
    told = []
    layer.events.paint.connect(lambda event: told.append(event))
    window.click(panel.done)
    assert layer.metadata["porescope"]["annotation"]["corrected"] == [6]
    assert told
    assert "Slice 6: corrected" in window.listed()
    window.go_to(7)
    assert not panel.done.isChecked()
    window.go_to(6)
    assert panel.done.isChecked()
    window.click(panel.done)
    assert layer.metadata["porescope"]["annotation"]["corrected"] == []
    assert panel.runner.run_button.isHidden()
    assert panel.annotation.count() == 1


def test_corrections_become_a_sample_and_train_is_filled_in(correcting):
    window, panel = correcting, correcting.panel
    window.click(panel.tune.run_button)
    assert "No slice is marked" in window.finish(panel.tune)
    for index in (3, 8):
        window.go_to(index)
        window.drag((index, 20, 20), (index, 30, 30))
        window.click(panel.done)
    truth = window.layer.data[[3, 8]].copy()
    window.click(panel.tune.run_button)
    window.finish(panel.tune)
    train = window.viewer.window.dock_widgets[NAME].panels["train"]
    assert train.training.currentText() == "segmentation"
    assert train.form["start"].value == "gold-epoxy"
    assert train.form["validation"].value == 0
    (folder,) = train.inputs.paths()
    assert train.inputs.item(0).toolTip() == str(folder)
    assert "2 corrected slices" in train.runner.message.text()
    assert "No network" not in train.runner.message.text()
    sample = read_sample(folder)
    assert np.array_equal(sample.truth.data, truth)
    assert np.allclose(sample.truth.slice_z_nm, (30, 80))
    assert [stack.beam_kv for stack in sample.stacks] == [1.0, 2.0]
    assert sample.stacks[0].shape[0] == min(12, 8 + AROUND + 1)
    assert sample.example((0, 1)).slices.tolist() == [3, 8]


def test_corrections_of_labels_that_no_network_made_train_one_anew(window):
    labels = Stack(solid(), SPACING, is_labels=True).with_history("segment", method="otsu")
    add(window.viewer, labels, "labels")
    window.click(window.panel.correct)
    window.finish()
    window.click(window.panel.done)
    train = window.viewer.window.dock_widgets[NAME].panels["train"]
    train.form["start"].value = "gold-epoxy"  # of the last time
    window.click(window.panel.tune.run_button)
    window.finish(window.panel.tune)
    assert train.form["start"].value is None
    assert "No network made these labels" in train.runner.message.text()


def test_nothing_is_left_on_a_layer_that_is_not_painted_any_more(annotating):
    window, viewer = annotating, annotating.viewer
    first = window.layer
    window.panel.smart.setChecked(True)
    keys, drags = len(first.keymap), len(first.mouse_drag_callbacks)
    assert keys
    window.click(window.panel.begin)
    assert window.layer is not first
    assert len(first.keymap) == 0
    viewer.layers.remove(first)
    assert len(first.mouse_drag_callbacks) < drags


def test_nothing_is_left_on_a_layer_when_the_dock_is_gone(viewer, qtbot):
    viewer.window.remove_dock_widget(viewer.window.dock_widgets[NAME])
    dims = len(viewer.dims.events.point.callbacks)
    window = Window(viewer, qtbot)
    window.click(window.panel.begin)
    layer = window.layer
    drags = len(layer.mouse_drag_callbacks)
    window.panel.smart.setChecked(True)
    assert len(viewer.dims.events.point.callbacks) > dims
    dock = viewer.window.dock_widgets[NAME]
    with qtbot.wait_signal(dock.destroyed):
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    assert len(layer.keymap) == 0
    assert len(layer.mouse_drag_callbacks) == drags - 1
    layer.mode = "erase"
    viewer.dims.set_point(0, 30)
