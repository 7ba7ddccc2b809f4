"""The preview of one slice: in Clean, and what it shares with that of Segment."""

import os
import sys
import threading
import time

import numpy as np
import pytest

from porescope import Stack
from porescope.errors import Cancelled

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt

from porescope.pipeline.catalogue.clean import CleanParameters
from porescope.pipeline.step import find_step
from porescope.viewer.clean_panel import CleanPanel, Preview, Question
from porescope.viewer.dock import NAME, open_dock
from porescope.viewer.layers import is_stack, to_layer_data
from porescope.viewer.project.window_state import is_shown_only

PATIENCE_MS = 60_000
SPACING = (10, 3, 3)


def striped(beam_kv, slices=5, seed=0):
    """A stack whose columns and slices are unevenly bright."""
    random = np.random.default_rng([seed, round(beam_kv)])
    curtains = 15 * random.normal(size=(slices, 1, 36))
    bright = np.linspace(-20, 20, slices)[:, np.newaxis, np.newaxis]
    noise = 3 * random.normal(size=(slices, 30, 36))
    data = (120 + curtains + bright + noise).clip(0, 255).astype(np.uint8)
    return Stack(data, SPACING, beam_kv)


def add(viewer, stack, name):
    return viewer.add_layer(Layer.create(*to_layer_data(stack, name)))


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    for beam_kv in (1.0, 2.0):
        add(viewer, striped(beam_kv), f"{beam_kv:g}kV")
    viewer.dims.set_point(0, 20)
    return viewer


@pytest.fixture
def panel(qtbot, session, viewer):
    panel = CleanPanel(viewer, session, find_step("clean"))
    qtbot.addWidget(panel)
    viewer.layers.events.inserted.connect(panel.reset_choices)
    viewer.layers.events.removed.connect(panel.reset_choices)
    return panel


def say(qtbot, panel, text):
    qtbot.wait_until(lambda: text in panel.live.told.text(), timeout=PATIENCE_MS)


def run(qtbot, panel):
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    return panel.runner.message.text()


def test_a_preview_is_what_the_whole_stack_becomes(qtbot, viewer, panel):
    panel.live.box.setChecked(True)
    assert "choose what to take out" in panel.live.told.text()
    panel.form["curtains"].value = True
    panel.form["brightness"].value = True
    say(qtbot, panel, "Slice 2:")
    seen = {2: viewer.layers["preview cleaned"].data[0].copy()}
    for index in (4, 2, 0):
        viewer.dims.set_point(0, 10 * index)
        say(qtbot, panel, f"Slice {index}:")
        seen.setdefault(index, viewer.layers["preview cleaned"].data[0].copy())
        assert np.array_equal(viewer.layers["preview cleaned"].data[0], seen[index])
    assert "Made 1kV cleaned, 2kV cleaned" in run(qtbot, panel)
    assert not panel.live.box.isChecked()
    assert "preview cleaned" not in viewer.layers
    for index, pixels in seen.items():
        assert np.array_equal(viewer.layers["2kV cleaned"].data[index], pixels)
    assert np.std(seen[0]) < 0.5 * np.std(viewer.layers["2kV"].data[0])


def test_it_lies_over_the_image_that_is_looked_at_and_looks_like_it(qtbot, viewer, panel):
    below, above = viewer.layers
    above.visible = False
    below.contrast_limits, below.colormap = (40, 200), "viridis"
    panel.form["curtains"].value = True
    panel.live.box.setChecked(True)
    say(qtbot, panel, "Slice 2:")
    preview = viewer.layers["preview cleaned"]
    assert viewer.layers.index(preview) == viewer.layers.index(below) + 1
    assert isinstance(preview, Image)
    assert tuple(preview.translate) == (20, 0, 0)
    assert tuple(preview.scale) == SPACING
    assert preview.colormap.name == "viridis"
    below.contrast_limits = (60, 180)
    assert tuple(preview.contrast_limits) == (60, 180)
    preview.contrast_limits = (50, 190)
    assert tuple(below.contrast_limits) == (50, 190)
    assert not is_stack(preview)
    assert is_shown_only(preview)
    assert panel.images.count() == 2

    above.visible = True
    viewer.dims.set_point(0, 30)
    say(qtbot, panel, "Slice 3:")
    other = viewer.layers["preview cleaned"]
    assert preview not in viewer.layers
    assert viewer.layers.index(other) == viewer.layers.index(above) + 1
    assert np.abs(other.data[0].astype(float) - above.data[3]).mean() < 20


def test_the_image_and_its_preview_can_be_seen_in_turns(qtbot, viewer, panel):
    panel.setVisible(True)
    panel.form["curtains"].value = True
    panel.live.box.setChecked(True)
    say(qtbot, panel, "Slice 2:")
    image, preview = viewer.layers["2kV"], viewer.layers["preview cleaned"]
    assert not panel.flicker.isHidden()
    panel.flicker.setChecked(True)
    qtbot.wait_until(lambda: not preview.visible, timeout=PATIENCE_MS)
    assert image.visible
    panel.live.box.setChecked(False)
    assert panel.flicker.isHidden()
    assert image.visible


def test_it_follows_the_parameters_and_ends_with_its_layers(qtbot, viewer, panel):
    panel.form["curtains"].value = True
    panel.live.box.setChecked(True)
    say(qtbot, panel, "Slice 2:")
    preview = viewer.layers["preview cleaned"]
    before = preview.data.copy()
    panel.form["charging_px"].value = "4"
    qtbot.wait_until(lambda: not np.array_equal(preview.data, before), timeout=PATIENCE_MS)
    panel.form["charging_px"].value = "-4"
    say(qtbot, panel, "above 0")
    assert preview not in viewer.layers, "it is of other parameters"
    assert panel.live.box.isChecked()
    panel.form["charging_px"].value = ""
    say(qtbot, panel, "Slice 2:")

    viewer.layers.remove("preview cleaned")
    assert not panel.live.box.isChecked()
    assert panel.live.told.text() == ""
    panel.live.box.setChecked(True)
    say(qtbot, panel, "Slice 2:")
    viewer.layers.remove("2kV")
    assert not panel.live.box.isChecked()
    assert [layer.name for layer in viewer.layers] == ["1kV"]


def test_without_images_it_says_so(qtbot, viewer, panel):
    viewer.layers.clear()
    panel.live.box.setChecked(True)
    assert "Load a stack" in panel.live.told.text()


def test_a_slider_that_moves_on_has_no_answer_shown_for_where_it_was(
    qtbot, viewer, panel, monkeypatch
):
    slow, arrived = [], threading.Event()
    answer = panel.live._answer

    def answer_slowly(question, cancel):
        slow.append(question.index)
        arrived.wait()
        return answer(question, cancel)

    panel.live._answer = answer_slowly
    panel.form["curtains"].value = True
    panel.live.box.setChecked(True)
    said = []
    show = panel.live.told.say
    monkeypatch.setattr(panel.live.told, "say", lambda told: (said.append(told), show(told)))
    for index in (0, 1, 3, 4):
        viewer.dims.set_point(0, 10 * index)
    arrived.set()
    say(qtbot, panel, "Slice 4:")
    assert [text[:8] for text in said if "Slice" in str(text)] == ["Slice 4:"]
    assert slow[-1] == 4
    assert len(slow) == 2, "those in between are skipped"


def test_what_is_learned_of_the_stack_is_kept_and_dropped_when_in_vain():
    class Counted:
        reads = 0

        def __init__(self, data):
            self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, 3

        def __getitem__(self, selection):
            Counted.reads += 1
            return self.data[selection]

    stack = striped(1.0)
    stack = stack.with_data(Counted(stack.data))
    preview = Preview()
    bright = CleanParameters(brightness=True)
    preview.answer(Question(stack, bright, 2), lambda: False)
    once = Counted.reads
    assert once == 5 + 1
    preview.answer(Question(stack, bright, 3), lambda: False)
    both = CleanParameters(brightness=True, curtains=True)
    preview.answer(Question(stack, both, 3), lambda: False)
    assert Counted.reads == once + 2
    fewer = CleanParameters(brightness=True, brightness_region=(0, 20, 0, 20))
    with pytest.raises(Cancelled):
        preview.answer(Question(stack, fewer, 3), lambda: True)


def test_the_dock_has_it_and_a_window_that_closes_ends_it(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    add(viewer, striped(2.0), "2kV")
    panel = open_dock(viewer, "clean")
    session = viewer.window.dock_widgets[NAME].session
    asked = []

    def never(question, cancel):
        asked.append(cancel)
        while not cancel():
            time.sleep(0.01)
        raise Cancelled

    panel.live._answer = never
    panel.form["curtains"].value = True
    panel.live.box.setChecked(True)
    qtbot.wait_until(lambda: bool(asked), timeout=PATIENCE_MS)
    assert not asked[0]()
    viewer.dims.set_point(0, 10)
    assert not asked[0](), "what is learned of the stack serves all its slices"
    panel.form["charging_px"].value = "5"
    qtbot.wait_until(lambda: len(asked) == 2, timeout=PATIENCE_MS)
    assert asked[0]()
    del panel
    viewer.close()
    qtbot.wait_until(lambda: asked[-1](), timeout=PATIENCE_MS)
    assert session.closing
