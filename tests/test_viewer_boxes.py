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
    assert panel.form["parallel"].value == "40, 60, 80, 120; 45, 65, 90, 130"
    assert panel.form.values()["parallel"] == [["40", "60", "80", "120"], ["45", "65", "90", "130"]]
    press(panel, "inclined")
    assert len(shapes(panel)) == 2
    parsed = panel.step.parse(panel.form.values() | {"source": "ruler", "angle_deg": 45})
    assert parsed.parallel == ((40, 60, 80, 120), (45, 65, 90, 130))


def test_no_new_box_lies_on_an_earlier_one_or_out_of_the_image(panel_of):
    panel = panel_of("positions")
    for field in ("parallel", "inclined") * 8:
        press(panel, field)
    parallel, inclined = shapes(panel)
    corners = np.array([*parallel.data, *inclined.data])
    assert len({tuple(box.ravel()) for box in corners}) == len(corners) == 16
    assert corners.min() >= -0.5
    assert (corners.max(axis=(0, 1)) <= (99.5, 199.5)).all()
    for layer in (parallel, inclined):
        for box, text in zip(layer.data, panel.form[layer.name.split()[1]].value.split(";"),
                             strict=True):  # fmt: skip
            ends = [float(end) for end in text.split(",")]
            np.testing.assert_allclose(box[[0, 2]].T.ravel() + 0.5, ends)


def test_the_fields_of_a_step_have_boxes_of_different_colours(panel_of):
    panel = panel_of("positions")
    fields = ("region", "parallel", "inclined")
    for field in fields:
        press(panel, field)
    assert [layer.name.split()[1] for layer in shapes(panel)] == list(fields)
    assert len({tuple(layer.edge_color[0]) for layer in shapes(panel)}) == 3


@pytest.mark.parametrize(
    ("step", "field", "over"),
    [
        ("align", "region", "what stays the same, such as a fiducial"),
        ("positions", "region", "what to compare, without the fiducial"),
        ("positions", "parallel", "a mark along the milling direction"),
        ("positions", "inclined", "an inclined mark"),
    ],
)
def test_what_is_sought_from_the_first_slice_on_is_drawn_there(panel_of, step, field, over):
    panel = panel_of(step)
    image = panel.viewer.layers["2kV"]
    image.translate = (70, 50, 0)
    panel.viewer.dims.set_point(0, 90)
    press(panel, field)
    assert panel.viewer.dims.point[0] == 70
    expected = f"Drawn on the first slice: move it over {over}."
    assert panel.runner.message.text() == expected
    assert "color" not in panel.runner.message.styleSheet()


def test_what_is_cut_from_all_slices_is_drawn_on_the_slice_shown(panel_of):
    panel = panel_of("crop")
    panel.viewer.dims.set_point(0, 20)
    press(panel, "region")
    assert panel.viewer.dims.point[0] == 20
    assert panel.runner.message.isHidden()


def test_boxes_leave_the_picture_when_the_step_has_run(panel_of, qtbot):
    panel = panel_of("crop")
    press(panel, "region")
    (layer,) = shapes(panel)
    panel.runner.run_button.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60000)
    assert panel.runner.message.text() == "Made 2kV cropped from 2kV."
    assert not layer.visible
    assert panel.form["region"].value == "40, 60, 80, 120"
    press(panel, "region")
    assert layer.visible


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
