"""Curves, tables, flicker and marks in the dock."""

import csv
import os
import sys
from colorsys import rgb_to_hsv

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("widgets need a display", allow_module_level=True)
from matplotlib.backend_bases import MouseEvent
from napari.components import ViewerModel
from napari.layers import Image

from milled_marks import ANGLE_DEG, INCLINED, PARALLEL, PIXEL_NM, ruler
from porescope.errors import PorescopeError
from porescope.pipeline import find_step
from porescope.stack import Stack
from porescope.viewer.curves import Curves
from porescope.viewer.flicker import Flicker
from porescope.viewer.layers import to_layer_data
from porescope.viewer.panels import StepPanel
from porescope.viewer.tables import Tables
from porescope.viewer.work import Session

ROWS = [
    {
        "slice": index,
        "position nm": 10.0 * index,
        "thickness nm": 10.0 if index < 4 else None,
        "uncertainty nm": 0.5,
        "doubt": "thin" if index == 2 else "",
    }
    for index in range(5)
]


def an_image(name="2kV", first_nm=30.0):
    return Image(
        np.zeros((5, 20, 20)), name=name, scale=(10, 5, 5), translate=(first_nm, 0, 0),
        units=("nm",) * 3,
    )  # fmt: skip


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_layer(an_image())
    return viewer


def canvas_of(curves):
    return curves.findChild(type(curves._canvas))


def test_a_click_on_a_slice_shows_it_and_the_cursor_follows(qtbot, viewer):
    curves = Curves(viewer)
    qtbot.addWidget(curves)
    curves.show_tables({"positions": ROWS, "other": [{"a": 1}]}, viewer.layers[0])
    canvas = canvas_of(curves)
    canvas.draw()
    (ax,) = canvas.figure.axes
    x, y = ax.transData.transform((3.2, 5))
    canvas.callbacks.process(
        "button_press_event", MouseEvent("button_press_event", canvas, x, y, button=1)
    )
    assert viewer.dims.point[0] == 60
    (cursor,) = (line for line in ax.lines if line.get_color() == "#4aa3ff")
    assert list(cursor.get_xdata()) == [3, 3]
    viewer.dims.set_point(0, 40)
    assert list(cursor.get_xdata()) == [1, 1]


def test_doubtful_slices_are_listed_under_the_curve_ten_at_most(qtbot, viewer):
    curves = Curves(viewer)
    qtbot.addWidget(curves)
    doubts = {2: "thin", 4: "blank, taken twice"}
    rows = [row | {"doubt": doubts.get(row["slice"], "")} for row in ROWS]
    curves.show_tables({"positions": rows}, viewer.layers[0])
    assert curves.doubts.text() == "slice 2: thin; slice 4: blank, taken twice"
    assert curves.layout().indexOf(curves.doubts) > curves.layout().indexOf(canvas_of(curves))
    many = [ROWS[0] | {"slice": index, "doubt": "thick"} for index in range(12)]
    curves.show_tables({"positions": many}, viewer.layers[0])
    first = "; ".join(f"slice {index}: thick" for index in range(10))
    assert curves.doubts.text() == f"{first}; and 2 more"
    curves.show_tables({"positions": [row | {"doubt": ""} for row in ROWS]}, viewer.layers[0])
    assert curves.doubts.isHidden()


def test_doubtful_bars_have_the_colour_that_the_title_names(qtbot, viewer):
    curves = Curves(viewer)
    qtbot.addWidget(curves)
    curves.show_tables({"positions": ROWS}, viewer.layers[0])
    (ax,) = canvas_of(curves).figure.axes
    assert ax.get_title() == "Slice thickness, doubtful ones orange"
    hues = [rgb_to_hsv(*bar.get_facecolor()[:3])[:2] for bar in ax.patches]
    orange = [saturation > 0.5 and 20 < 360 * hue < 40 for hue, saturation in hues]
    assert orange == [False, False, True, False]


def test_tables_without_curves_take_no_room(qtbot, viewer):
    curves = Curves(viewer)
    qtbot.addWidget(curves)
    curves.show_tables({"positions": ROWS}, viewer.layers[0])
    assert not curves.isHidden()
    curves.show_tables({"measures": [{"measure": "MP", "value": 1}]}, viewer.layers[0])
    assert curves.isHidden()


def test_flicker_shows_before_and_after_in_turns_and_ends_as_it_began(qtbot, viewer):
    after = viewer.add_layer(an_image("2kV aligned"))
    before = viewer.layers["2kV"]
    before.visible = False
    flicker = Flicker(viewer)
    qtbot.addWidget(flicker)
    flicker.offer([before], [after])
    flicker.click()
    qtbot.waitUntil(lambda: before.visible and not after.visible, timeout=5000)
    qtbot.waitUntil(lambda: after.visible and not before.visible, timeout=5000)
    qtbot.waitUntil(lambda: before.visible, timeout=5000)
    flicker.click()
    assert after.visible
    assert not before.visible
    flicker.offer([], [after])
    assert flicker.isHidden()


@pytest.fixture
def flickering(qtbot, viewer):
    """A panel that flickers, while it shows the one image before, not the two after."""
    before = viewer.layers["2kV"]
    after = [viewer.add_layer(an_image(name)) for name in ("2kV aligned", "4kV aligned")]
    for layer in viewer.layers:
        layer.metadata = {"porescope": {"beam_kv": 2.0}}
    before.visible = False
    session = Session()
    panel = StepPanel(viewer, session, find_step("crop"))
    qtbot.addWidget(panel)
    viewer.layers.events.removed.connect(panel.reset_choices)
    panel.flicker.offer([before], after)
    panel.flicker.click()
    qtbot.waitUntil(lambda: before.visible and not after[0].visible, timeout=5000)
    yield panel
    session.close()


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        (["2kV", "2kV aligned"], ["4kV aligned"]),
        (["4kV aligned"], ["2kV aligned"]),
        (["2kV aligned", "4kV aligned"], ["2kV"]),
    ],
)
def test_flicker_stops_where_a_layer_is_removed_and_shows_what_is_left(flickering, removed, left):
    for name in removed:
        flickering.viewer.layers.remove(name)
        assert not flickering.flicker.isChecked()
    assert [layer.name for layer in flickering.viewer.layers if layer.visible] == left
    assert flickering.flicker.isHidden() == (removed != ["4kV aligned"])


@pytest.mark.parametrize("shown", [(True, True), (True, False), (False, False)])
def test_flicker_leaves_visible_what_was(qtbot, viewer, shown):
    layers = [viewer.layers["2kV"], viewer.add_layer(an_image("2kV aligned"))]
    for layer, visible in zip(layers, shown, strict=True):
        layer.visible = visible
    flicker = Flicker(viewer)
    qtbot.addWidget(flicker)
    flicker.offer(*([layer] for layer in layers))
    flicker.click()
    for turned in layers:
        qtbot.waitUntil(lambda turned=turned: [turned] == [x for x in layers if x.visible])
    flicker.click()
    assert tuple(layer.visible for layer in layers) == shown


def test_flicker_stops_where_its_section_is_left(flickering):
    flickering.show()
    flickering.hide()
    assert not flickering.flicker.isChecked()
    flickering.show()
    assert not flickering.flicker.isChecked()


def test_flicker_stops_where_another_step_runs(flickering):
    other = StepPanel(flickering.viewer, flickering.session, find_step("measure"))
    flickering.column.addWidget(other)  # in the same window
    other.runner.run_button.click()
    assert not flickering.flicker.isChecked()
    visible = [layer.name for layer in flickering.viewer.layers if layer.visible]
    assert visible == ["2kV aligned", "4kV aligned"]


def test_tracked_marks_are_shown_on_the_image(qtbot):
    session = Session()
    true = 10.0 * np.arange(6)
    stack = Stack(ruler(true, drift_px=0, noise=0.01), (10, PIXEL_NM, PIXEL_NM), beam_kv=2.0)
    viewer = ViewerModel()
    viewer.add_layer(Image(**_attributes(stack)))
    panel = StepPanel(viewer, session, find_step("positions"))
    qtbot.addWidget(panel)
    panel.form["source"].value = "ruler"
    panel.form["angle_deg"].value = str(ANGLE_DEG)
    for field, boxes in (("parallel", PARALLEL), ("inclined", INCLINED)):
        panel.form[field].value = "; ".join(", ".join(map(str, box)) for box in boxes)
    panel.runner.run_button.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60000)
    assert panel.runner.message.text() == "Made 2kV placed from 2kV."
    marks = viewer.layers["marks"]
    middle = (PARALLEL[0][0] + PARALLEL[0][1] - 1) / 2, (PARALLEL[0][2] + PARALLEL[0][3] - 1) / 2
    first = marks.data[marks.features["mark"] == 0]
    np.testing.assert_allclose(first[:, 0], range(6))
    np.testing.assert_allclose(first[:, 1:], [middle] * 6, atol=0.7)
    moved = marks.data[marks.features["mark"] == 2][:, 2]
    np.testing.assert_allclose(np.diff(moved), 10 / PIXEL_NM, atol=0.5)
    session.close()


def _attributes(stack):
    data, attributes, _ = to_layer_data(stack, "2kV")
    return {"data": data} | attributes


def test_tables_are_saved_once_and_become_features_of_a_layer(qtbot, viewer, tmp_path):
    said = []
    tables = Tables(viewer, said.append)
    qtbot.addWidget(tables)
    tables.offer({"positions": ROWS, "marks": []}, viewer.layers[0])
    tables.save(tmp_path)
    with (tmp_path / "positions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["thickness nm"] for row in rows] == ["10.0"] * 4 + [""]
    assert said[-1] == f"Wrote positions.csv to {tmp_path}."
    with pytest.raises(PorescopeError, match="is there already"):
        tables.save(tmp_path)
    tables.layer_button.click()
    layer = viewer.layers["positions table"]
    np.testing.assert_allclose(layer.data_to_world(layer.data[3]), (60, 0, 0))
    assert list(layer.features["doubt"]) == ["", "", "thin", "", ""]


def test_tables_that_are_not_of_slices_make_no_layer(qtbot, viewer):
    tables = Tables(viewer, print)
    qtbot.addWidget(tables)
    tables.offer({"measures": [{"measure": "MP", "value": 1}]}, viewer.layers[0])
    assert not tables.isHidden()
    assert tables.layer_button.isHidden()
    tables.offer({}, viewer.layers[0])
    assert tables.isHidden()
