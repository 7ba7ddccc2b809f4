"""Boxes drawn on the image for parameters that are regions."""

import os
import sys

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("widgets need a display", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Image

from porescope.pipeline import find_step
from porescope.viewer.panels import StepPanel
from porescope.viewer.work import Session


@pytest.fixture
def panel_of(qtbot):
    session = Session()
    viewer = ViewerModel()
    viewer.add_layer(
        Image(
            np.zeros((3, 100, 200), np.float32),
            name="2kV",
            scale=(10, 5, 5),
            translate=(0, 50, 0),
            units=("nm",) * 3,
            metadata={"porescope": {"beam_kv": 2.0}},
        )
    )

    def panel(step):
        made = StepPanel(viewer, session, find_step(step))
        qtbot.addWidget(made)
        return made

    yield panel
    session.close()


def press(panel, field):
    panel.form.regions()[field][1].native.click()


def shapes(panel):
    return [layer for layer in panel.viewer.layers if layer.name != "2kV"]


def test_draw_shows_a_box_on_the_image_and_fills_the_field(panel_of):
    panel = panel_of("align")
    press(panel, "region")
    (layer,) = shapes(panel)
    assert panel.form["region"].value == "40, 60, 80, 120"
    assert panel.form.values()["region"] == ["40", "60", "80", "120"]
    low, high = (
        layer.data_to_world(layer.data[0].min(axis=0)),
        layer.data_to_world(layer.data[0].max(axis=0)),
    )
    # A pixel's centre has whole numbers, so its edge lies half a pixel before.
    np.testing.assert_allclose([low, high], [(50 + 5 * 39.5, 5 * 79.5), (50 + 5 * 59.5, 5 * 119.5)])


def test_a_moved_box_changes_the_field(panel_of):
    panel = panel_of("crop")
    press(panel, "region")
    (layer,) = shapes(panel)
    layer.data = [layer.data[0] + (-10, 200)]
    assert panel.form["region"].value == "30, 50, 200, 200"
    layer.data = [np.array([(9.5, 19.5), (9.5, 99.5), (49.5, 99.5), (49.5, 19.5)])]
    assert panel.form["region"].value == "10, 50, 20, 100"


def test_draw_shows_the_box_that_was_typed(panel_of):
    panel = panel_of("align")
    panel.form["region"].value = "10, 30, , 50"
    press(panel, "region")
    assert panel.form["region"].value == "10, 30, 0, 50"
    np.testing.assert_allclose(shapes(panel)[0].data[0].min(axis=0), (9.5, -0.5))


def test_each_press_adds_a_mark_where_there_may_be_several(panel_of):
    panel = panel_of("positions")
    press(panel, "parallel")
    press(panel, "parallel")
    assert panel.form["parallel"].value == "40, 60, 80, 120; 40, 60, 80, 120"
    assert panel.form.values()["parallel"] == [["40", "60", "80", "120"]] * 2
    press(panel, "inclined")
    assert len(shapes(panel)) == 2
    parsed = panel.step.parse(panel.form.values() | {"source": "ruler", "angle_deg": 45})
    assert parsed.parallel == ((40, 60, 80, 120),) * 2


def test_a_removed_box_leaves_the_field_empty_and_can_be_drawn_again(panel_of):
    panel = panel_of("align")
    press(panel, "region")
    shapes(panel)[0].data = []
    assert panel.form["region"].value == ""
    panel.viewer.layers.remove(shapes(panel)[0])
    press(panel, "region")
    assert panel.form["region"].value == "40, 60, 80, 120"


def test_drawing_without_an_image_says_so(panel_of):
    panel = panel_of("align")
    panel.viewer.layers.clear()
    panel.reset_choices()
    press(panel, "region")
    assert "no image to draw on" in panel.runner.message.text()
