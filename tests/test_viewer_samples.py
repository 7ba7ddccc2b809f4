"""The Sample and Heightfield sections, and lists of primitives dropped on the window."""

import os
import sys
import threading

import numpy as np
import pytest

from porescope import Stack
from porescope.errors import PorescopeError
from porescope.geometry import Primitives, voxelize
from porescope.imaging import extract_heightfield
from porescope.io import write_primitives

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Labels, Layer, Surface
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from porescope.pipeline.sample_results import Shown, show_primitives
from porescope.pipeline.samples import sample_kinds
from porescope.viewer.dock import Dock, open_dock
from porescope.viewer.layers import KEY, to_layer_data
from porescope.viewer.readers import get_list_reader
from porescope.viewer.simulate.sample_layers import sample_layer
from porescope.viewer.simulate.sample_panels import HeightfieldPanel, SamplePanel
from porescope.viewer.work import Latest

PATIENCE_MS = 60_000
CHANNELS = ["entry 1", "exit 1", "entry 2", "exit 2", "normal"]


@pytest.fixture
def viewer():
    return ViewerModel()


def run(qtbot, panel):
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    return panel.runner.message.text()


def sample():
    random = np.random.default_rng(1)
    spheres = np.column_stack([random.uniform(0, 24, (40, 3)), random.uniform(2, 4, 40)])
    return Primitives(spheres=spheres, shape=(24, 20, 16))


def add_sample(viewer, voxel_nm=5.0, most_voxels=10**9, name="spheres"):
    stack, shown = show_primitives(sample(), voxel_nm, most_voxels)
    stack = stack.with_data(np.asarray(stack.data))
    return viewer.add_layer(Layer.create(*sample_layer(stack, name, shown)))


@pytest.fixture
def make_panel(qtbot, session, viewer):
    def make(kind):
        panel = kind(viewer, session)
        qtbot.addWidget(panel)
        viewer.layers.events.inserted.connect(panel.reset_choices)
        viewer.layers.events.removed.connect(panel.reset_choices)
        return panel

    return make


@pytest.fixture
def panel(make_panel, viewer):
    add_sample(viewer)
    return make_panel(HeightfieldPanel)


def show(qtbot, panel):
    """Press Show and wait for the plane at the slider."""
    panel.runner.say(None)
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: panel.runner.message.text() != "", timeout=PATIENCE_MS)
    return panel.runner.message.text()


def slide(qtbot, panel, viewer, step):
    panel.runner.say(None)
    viewer.dims.set_current_step(0, step)
    qtbot.wait_until(lambda: panel.runner.message.text() != "", timeout=PATIENCE_MS)
    return panel.runner.message.text()


def shown_depth(viewer, name):
    (depth,) = viewer.layers[name].data
    return np.where(np.isnan(depth), np.inf, depth)


def test_each_kind_has_a_form(make_panel):
    panel = make_panel(SamplePanel)
    assert panel.kind.count() == len(sample_kinds())
    for name, kind in sample_kinds().items():
        panel.kind.setCurrentText(name)
        assert panel.about.text() == kind.summary
        visible = [n for n, form in panel._forms.items() if not form.container.native.isHidden()]
        assert visible == [name]
        if name == "list":
            with pytest.raises(PorescopeError, match="needs path"):
                kind.parse(panel.form.values())
        else:
            assert kind.parse(panel.form.values()) == kind.parameters()


def test_a_sample_is_made_and_remembers_its_primitives(qtbot, make_panel, viewer):
    panel = make_panel(SamplePanel)
    panel.kind.setCurrentText("cylinders")
    panel.form["shape"].value = "24, 28, 32"
    panel.form["radius"].value = "3"
    panel.form["height"].value = "8, 12"
    panel.form["voxel_nm"].value = 4
    said = run(qtbot, panel)
    layer = viewer.layers["cylinders"]
    assert isinstance(layer, Labels)
    primitives = layer.metadata[KEY]["sample"]
    assert said == f"Made cylinders: {len(primitives)} primitives."
    assert np.array_equal(layer.data, voxelize(primitives, (24, 28, 32)))
    assert tuple(layer.scale) == (4, 4, 4)
    assert [f"{unit:~}" for unit in layer.units] == ["nm"] * 3


def test_a_surface_is_shown_in_three_dimensions(qtbot, make_panel, viewer):
    panel = make_panel(SamplePanel)
    panel.kind.setCurrentText("spheroids")
    panel.form["shape"].value = "30, 30, 30"
    panel.show_as.setCurrentText("surface")
    assert run(qtbot, panel) == "Made spheroids."
    layer = viewer.layers["spheroids"]
    assert isinstance(layer, Surface)
    assert viewer.dims.ndisplay == 3
    vertices, *_ = layer.data
    assert vertices.min() == pytest.approx(-0.5, abs=0.3)
    assert vertices.max() == pytest.approx(29.5, abs=0.3)
    assert np.mean(np.asarray(layer.metadata[KEY]["sample"].data)) == pytest.approx(0.7, abs=0.01)


def test_what_makes_no_sense_is_said(qtbot, make_panel, viewer):
    panel = make_panel(SamplePanel)
    panel.form["radius"].value = "9, 3"
    assert "radius must be" in run(qtbot, panel)
    panel.kind.setCurrentText("list")
    assert "needs path" in run(qtbot, panel)
    assert not viewer.layers


def test_the_heightfield_is_exact_and_follows_the_slider(qtbot, panel, viewer):
    viewer.dims.set_current_step(0, 3)
    said = show(qtbot, panel)
    assert said.startswith("Plane at z = 17.5 nm: ")
    assert [layer.name for layer in viewer.layers] == ["spheres", *CHANNELS]
    for step in (3, 9):
        if step != 3:
            slide(qtbot, panel, viewer, step)
        expected = extract_heightfield(sample(), step + 0.5)
        for index in (1, 2):
            np.testing.assert_allclose(
                shown_depth(viewer, f"entry {index}"), 5 * expected.entry[index - 1], rtol=1e-6
            )
            np.testing.assert_allclose(
                shown_depth(viewer, f"exit {index}"), 5 * expected.exit[index - 1], rtol=1e-6
            )
        # Solid at the plane is what the slice shows.
        cut = shown_depth(viewer, "entry 1") == 0
        assert np.array_equal(cut, viewer.layers["spheres"].data[step] == 1)
        for name in CHANNELS:
            layer = viewer.layers[name]
            assert tuple(layer.scale) == (5, 5, 5)
            assert tuple(layer.translate) == (5 * step, 0, 0)
            assert layer.units == viewer.layers["spheres"].units


def test_the_normal_has_the_colours_of_a_normal_map(qtbot, panel, viewer):
    show(qtbot, panel)
    field = extract_heightfield(sample(), viewer.dims.current_step[0] + 0.5)
    (colour,) = viewer.layers["normal"].data
    nz, ny, nx = field.normal
    seen = field.normal.any(axis=0)
    assert seen.any()
    assert not seen.all()
    assert np.array_equal(colour[..., 3] > 0, seen)
    for channel, component in enumerate((nx, -ny, nz)):
        np.testing.assert_allclose(colour[seen, channel], 127.5 * (component[seen] + 1), atol=0.51)


@pytest.mark.parametrize("most_voxels", [10**9, 12 * 10 * 8])
def test_coarser_voxels_change_no_depth(qtbot, make_panel, viewer, most_voxels):
    layer = add_sample(viewer, most_voxels=most_voxels)
    times = layer.metadata[KEY]["units_per_voxel"]
    assert times == (1 if most_voxels > 1000 else 2)
    panel = make_panel(HeightfieldPanel)
    viewer.dims.set_current_step(0, 4)
    show(qtbot, panel)
    expected = extract_heightfield(sample(), (viewer.dims.current_step[0] + 0.5) * times)
    np.testing.assert_allclose(shown_depth(viewer, "entry 1"), 5 * expected.entry[0], rtol=1e-6)
    entry = viewer.layers["entry 1"]
    # Corners of the box, wherever napari puts the centres of voxels.
    for axis in (1, 2):
        for lies in (layer, entry):
            low = lies.translate[axis] - lies.scale[axis] / 2
            assert low == pytest.approx(-5 * times / 2)
            high = low + lies.scale[axis] * lies.data.shape[axis]
            assert high - low == pytest.approx(5 * sample().shape[axis])


@pytest.mark.parametrize("kind", ["labels", "image"])
def test_volumes_have_heightfields_in_nm(qtbot, make_panel, viewer, kind):
    data = np.random.default_rng(0).integers(0, 200, (9, 12, 14)).astype(np.uint8)
    data[data < 150] *= kind == "image"
    stack = Stack(
        data, spacing_nm=(8, 2, 3), slice_z_nm=100 + 8 * np.arange(9), is_labels=kind == "labels"
    )
    viewer.add_layer(Layer.create(*to_layer_data(stack, "volume")))
    panel = make_panel(HeightfieldPanel)
    level = None
    if kind == "image":
        assert panel.fields.isRowVisible(panel.level)
        panel.level.setText("")
        assert "level" in show(qtbot, panel)
        panel.level.setText("150")
        level = 150
    else:
        assert not panel.fields.isRowVisible(panel.level)
    viewer.dims.set_current_step(0, 2)
    show(qtbot, panel)
    (plane,) = {round((viewer.layers["entry 1"].translate[0] - 100) / 8)}
    assert plane == 2
    field = extract_heightfield(stack, plane + 0.5, level=level)
    np.testing.assert_array_equal(shown_depth(viewer, "entry 1"), field.entry[0])
    np.testing.assert_array_equal(shown_depth(viewer, "exit 2"), field.exit[1])


def test_the_contrast_reaches_the_deepest_so_far(qtbot, make_panel, viewer):
    data = np.zeros((30, 9, 9), np.uint8)
    data[28:] = 1
    data[20, :4] = 1
    viewer.add_labels(data)
    panel = make_panel(HeightfieldPanel)
    viewer.dims.set_current_step(0, 28)
    show(qtbot, panel)  # all solid, so there is no depth to go by

    def limits(name="entry 1"):
        return tuple(viewer.layers[name].contrast_limits)

    assert limits() == (0, 1)
    slide(qtbot, panel, viewer, 18)
    assert limits() == (0, 9.5)
    assert limits("exit 1") == (0, 11.5)
    slide(qtbot, panel, viewer, 26)
    assert limits() == (0, 9.5)
    slide(qtbot, panel, viewer, 8)
    assert limits() == (0, 19.5)
    viewer.layers["entry 1"].contrast_limits = (2, 7)
    slide(qtbot, panel, viewer, 0)
    assert limits() == (2, 7)
    assert limits("exit 1") == (0, 29.5)


def test_each_image_has_a_level_of_its_own(qtbot, make_panel, viewer):
    images = np.random.default_rng(0).random((2, 6, 8, 7)).astype(np.float32)
    viewer.add_image(images[0], name="dim", contrast_limits=(0, 1))
    panel = make_panel(HeightfieldPanel)
    assert panel.level.text() == "0.5"
    panel.level.setText("0.25")
    viewer.add_image(images[1] * 100, name="bright", contrast_limits=(0, 100))
    assert panel.level.text() == "0.25"
    assert "solid (from 0.25 on)" in show(qtbot, panel)
    panel.sample.setCurrentText("bright")
    assert panel.level.text() == "50"


def test_an_image_with_holes_is_refused(qtbot, make_panel, viewer):
    image = np.random.default_rng(0).random((6, 8, 7)).astype(np.float32)
    image[2, 3, :4] = np.nan
    viewer.add_image(image, contrast_limits=(0, 1))
    panel = make_panel(HeightfieldPanel)
    assert "In 4 voxels" in show(qtbot, panel)
    assert len(viewer.layers) == 1


def test_painting_changes_the_heightfield_of_labels(qtbot, make_panel, viewer):
    labels = viewer.add_labels(np.zeros((8, 6, 6), np.uint8))
    panel = make_panel(HeightfieldPanel)
    show(qtbot, panel)
    assert np.isinf(shown_depth(viewer, "entry 1")).all()
    labels.data[:, 2, 3] = 1
    slide(qtbot, panel, viewer, 5)
    assert shown_depth(viewer, "entry 1")[2, 3] == 0


def test_switching_off_and_on(qtbot, panel, viewer):
    show(qtbot, panel)
    before = viewer.layers["entry 1"].data.copy()
    panel.follow.setChecked(False)
    viewer.dims.set_current_step(0, 15)
    qtbot.wait(100)
    assert np.array_equal(viewer.layers["entry 1"].data, before, equal_nan=True)
    panel.runner.say(None)
    panel.follow.setChecked(True)
    qtbot.wait_until(lambda: panel.runner.message.text() != "", timeout=PATIENCE_MS)
    assert viewer.layers["entry 1"].translate[0] == 75


def test_more_layers_replace_those_shown(qtbot, panel, viewer):
    show(qtbot, panel)
    panel.layers.setValue(3)
    qtbot.wait_until(lambda: "exit 3" in viewer.layers, timeout=PATIENCE_MS)
    assert len(viewer.layers) == 1 + 7
    panel.layers.setValue(1)
    qtbot.wait_until(lambda: len(viewer.layers) == 1 + 3, timeout=PATIENCE_MS)


def test_layers_may_go_at_any_time(qtbot, panel, viewer):
    show(qtbot, panel)
    viewer.layers.remove("exit 2")
    slide(qtbot, panel, viewer, 5)
    assert viewer.layers["entry 2"].translate[0] == 25
    assert "exit 2" not in viewer.layers
    show(qtbot, panel)
    assert "exit 2" in viewer.layers
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    viewer.layers.selection.active = viewer.layers["normal"]
    slide(qtbot, panel, viewer, 6)
    viewer.layers.remove("spheres")
    viewer.dims.set_current_step(0, 0)
    assert "no sample" in show(qtbot, panel)
    viewer.layers.clear()
    add_sample(viewer)
    show(qtbot, panel)
    assert [layer.name for layer in viewer.layers] == ["spheres", *CHANNELS]


def test_without_its_sample_the_sentence_goes(qtbot, panel, viewer):
    show(qtbot, panel)
    viewer.layers.remove("spheres")
    assert panel.runner.message.text() == ""
    assert "entry 1" in viewer.layers


def test_without_channels_the_grid_goes(qtbot, panel, viewer):
    show(qtbot, panel)
    for name in CHANNELS:
        assert viewer.canvas.grid.enabled
        viewer.layers.remove(name)
    assert not viewer.canvas.grid.enabled
    assert panel.runner.message.text() == ""
    viewer.canvas.grid.enabled = True
    viewer.layers.remove("spheres")
    assert viewer.canvas.grid.enabled  # of the user's own


def test_a_sample_that_goes_while_its_plane_is_extracted(qtbot, panel, viewer):
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    viewer.layers.remove("spheres")
    qtbot.wait(200)
    assert not viewer.layers


def test_outside_the_sample(qtbot, panel, viewer):
    viewer.add_labels(np.zeros((100, 4, 4), np.uint8), name="deep", scale=(5, 5, 5))
    panel.sample.setCurrentText("spheres")
    show(qtbot, panel)
    assert "outside spheres" in slide(qtbot, panel, viewer, 60)
    assert "Plane at" in slide(qtbot, panel, viewer, 6)


def test_a_turned_layer_is_refused(qtbot, panel, viewer):
    viewer.layers["spheres"].rotate = (0, 0, 30)
    assert "turned or sheared" in show(qtbot, panel)


def test_side_by_side(qtbot, panel, viewer):
    show(qtbot, panel)
    assert viewer.canvas.grid.enabled
    panel.side_by_side.setChecked(False)
    assert not viewer.canvas.grid.enabled
    assert [name for name in CHANNELS if viewer.layers[name].visible] == ["entry 1"]


def test_channels_are_no_samples(qtbot, panel, viewer):
    show(qtbot, panel)
    assert [panel.sample.itemText(row) for row in range(panel.sample.count())] == ["spheres"]


def test_only_the_newest_question_waits(qtbot, session):
    answers, begun, go_on = [], threading.Event(), threading.Event()
    parent = QWidget()
    qtbot.addWidget(parent)
    latest = Latest(parent, session, answers.append, answers.append)

    def first():
        begun.set()
        go_on.wait(10)
        return 0

    latest.ask(first)
    assert begun.wait(10)
    for number in range(1, 6):
        latest.ask(lambda number=number: number)
    go_on.set()
    qtbot.wait_until(lambda: len(answers) == 2, timeout=PATIENCE_MS)
    assert answers == [0, 5]

    def fails():
        raise PorescopeError("No.")

    latest.ask(fails)
    qtbot.wait_until(lambda: len(answers) == 3, timeout=PATIENCE_MS)
    assert str(answers[-1]) == "No."


def test_a_list_is_dropped_on_the_window(qtbot, viewer, make_panel, tmp_path):
    path = write_primitives(tmp_path / "spheres.txt", sample())
    (data, attributes, kind) = get_list_reader(str(path))(str(path))[0]
    assert kind == "labels"
    assert np.array_equal(data, voxelize(sample()))
    layer = viewer.add_layer(Layer.create(data, attributes, kind))
    assert [str(unit) for unit in layer.units] == ["pixel"] * 3
    panel = make_panel(HeightfieldPanel)
    viewer.dims.set_current_step(0, 3)
    assert "Depths are in pixel" in show(qtbot, panel)
    expected = extract_heightfield(sample(), 3.5)
    np.testing.assert_allclose(shown_depth(viewer, "exit 1"), expected.exit[0], rtol=1e-6)


def test_other_texts_are_left_to_others(tmp_path):
    (tmp_path / "notes.txt").write_text("Slice 3 was blurred.\n")
    assert get_list_reader(str(tmp_path / "notes.txt")) is None
    assert get_list_reader([str(tmp_path / "notes.txt")]) is None
    assert get_list_reader(str(tmp_path)) is None


def test_a_large_real_list_is_shown_coarser(real_data):
    (path,) = (real_data / "primitives").glob("Sphere_Vv0p7*")
    (data, attributes, _) = get_list_reader(str(path))(str(path))[0]
    told = attributes["metadata"][KEY]
    assert told["units_per_voxel"] == 4
    assert data.shape == (258, 213, 213)
    assert told["sample"].shape == (1030, 850, 850)
    assert 0.6 < np.mean(data) < 0.8


def test_sections_open_from_the_menus(make_napari_viewer):
    viewer = make_napari_viewer()
    assert isinstance(open_dock(viewer, "sample"), SamplePanel)
    assert isinstance(open_dock(viewer, "heightfield"), HeightfieldPanel)


def test_closing_the_dock_while_following(qtbot, viewer, session):
    dock = Dock(viewer)
    add_sample(viewer)
    dock.reset_choices()
    panel = dock.open_section("heightfield")
    show(qtbot, panel)
    dock.deleteLater()
    qtbot.wait(100)
    viewer.dims.set_current_step(0, 7)
    qtbot.wait(100)
    assert "entry 1" in viewer.layers


def test_a_surface_has_a_heightfield_too(qtbot, make_panel, viewer):
    data = np.zeros((6, 5, 5), np.uint8)
    data[3, 2, 2] = 1
    stack = Stack(data, spacing_nm=(4, 4, 4), is_labels=True)
    vertices = np.array([[0, 0, 0], [5, 0, 0], [5, 4, 4]], np.float32)
    shown = Shown(surface=(vertices, np.array([[0, 1, 2]])))
    viewer.add_layer(Layer.create(*sample_layer(stack, "surface", shown)))
    viewer.dims.ndisplay = 3
    panel = make_panel(HeightfieldPanel)
    show(qtbot, panel)
    assert viewer.dims.ndisplay == 2
    viewer.dims.set_point(0, 4.0)
    qtbot.wait_until(lambda: shown_depth(viewer, "entry 1")[2, 2] == 6, timeout=PATIENCE_MS)
