"""The dock and its panels, driven by clicks."""

import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dummy_steps import DUMMY
from porescope import Stack
from porescope import measure as measures
from porescope.errors import MissingMetadata
from porescope.io import write_stack
from porescope.pipeline.report import EXPLAINED, explained

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt

from porescope.viewer.dock import NAME, Dock, open_dock
from porescope.viewer.layers import from_layer, to_layer_data
from porescope.viewer.panels import LoadPanel, RecipePanel, StepPanel
from porescope.viewer.work import Session

PATIENCE_MS = 60_000
RECIPE = """
porescope: 1
name: small
steps: [load, {segment: {method: otsu}}, measure]
"""


@pytest.fixture
def voltages(tmp_path, texture):
    """A folder of three voltages whose slices drift and are unevenly thick."""
    slice_z_nm = np.cumsum([0, 9, 13, 8, 10, 11, 12, 7.0])
    drift = np.array([[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1]])
    folder = tmp_path / "voltages"
    for kv, gain in ((1, 40), (2, 45), (4, 50)):
        planes = [
            128 + gain / 6 * texture.slice(z / 10, (48, 52), shift)
            for z, shift in zip(slice_z_nm, drift, strict=True)
        ]
        data = np.clip(planes, 0, 255).astype(np.uint8)
        stack = Stack(data=data, spacing_nm=(10, 2.5, 2.5), beam_kv=kv, slice_z_nm=slice_z_nm)
        write_stack(folder / f"{kv}kV.ome.tif", stack)
    return folder


def an_image(kv=2.0):
    data = np.random.default_rng(0).integers(0, 255, (4, 12, 14)).astype(np.uint8)
    return Stack(data=data, spacing_nm=(10, 2.5, 3), beam_kv=kv, slice_z_nm=[0, 11, 19, 30])


def viewer_with(*stacks, names=("1kV", "2kV", "4kV")):
    viewer = ViewerModel()
    for stack, name in zip(stacks, names, strict=False):
        viewer.add_layer(Layer.create(*to_layer_data(stack, name)))
    return viewer


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run(qtbot, panel):
    click(qtbot, panel.runner.run_button)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    return panel.runner.message.text()


@pytest.fixture
def dummy_panel(qtbot, session):
    panel = StepPanel(viewer_with(an_image(), names=["2kV"]), session, DUMMY)
    qtbot.addWidget(panel)
    return panel


def test_from_load_to_measure(make_napari_viewer, qtbot, voltages):
    viewer = make_napari_viewer()
    load = open_dock(viewer, "load")
    dock = viewer.window.dock_widgets[NAME]

    load.path.setText(str(voltages))
    load.path.editingFinished.emit()
    qtbot.wait_until(lambda: not load.runner.running, timeout=PATIENCE_MS)
    assert [line.text() for line in load.spacing.values()] == ["10", "2.5", "2.5"]
    assert load.beam_kv.text() == "1, 2, 4"
    assert "Loaded 1kV, 2kV, 4kV" in run(qtbot, load)
    raw = [from_layer(viewer.layers[name]) for name in ("1kV", "2kV", "4kV")]

    assert "Made 1kV aligned, 2kV aligned, 4kV aligned" in run(qtbot, dock.open_section("align"))
    aligned = viewer.layers["2kV aligned"]
    assert tuple(aligned.scale) == (10, 2.5, 2.5)
    assert np.allclose(from_layer(aligned).slice_z_nm, raw[1].slice_z_nm)
    assert from_layer(aligned).beam_kv == 2
    assert len(aligned.metadata["porescope"]["tables"]["alignment"]) == 8
    assert [layer.visible for layer in viewer.layers] == [False] * 3 + [True] * 3

    segment = dock.open_section("segment")
    segment.form["method"].value = "otsu"
    said = run(qtbot, segment)
    assert said == "Made labels otsu from 1kV aligned, 2kV aligned, 4kV aligned."
    labels = viewer.layers["labels otsu"]
    assert isinstance(labels, Labels)
    assert labels.data.shape == aligned.data.shape
    assert np.allclose(labels.translate, aligned.translate)

    assert "Made labels on grid" in run(qtbot, dock.open_section("slices"))
    on_grid = viewer.layers["labels on grid"]
    assert tuple(on_grid.scale) == (2.5, 2.5, 2.5)
    assert [f"{unit:~}" for unit in on_grid.units] == ["nm"] * 3
    assert on_grid.data.shape[0] == pytest.approx(raw[0].slice_z_nm[-1] / 2.5, abs=1.5)
    assert not labels.visible

    measure = dock.open_section("measure")
    assert measure.labels.currentText() == "labels on grid"
    run(qtbot, measure)
    scores = on_grid.metadata["porescope"]["scores"]
    assert scores["solid_fraction"] == pytest.approx(np.mean(on_grid.data > 0))
    assert measure.scores.item(0, 0).text() == "solid fraction"
    value = measure.scores.item(0, 1).text()
    assert value.startswith(f"{scores['solid_fraction']:.4g} ± ")
    shown = {
        measure.scores.item(row, 0).text(): measure.scores.item(row, 1).text()
        for row in range(measure.scores.rowCount())
    }
    assert shown["Euler number"].startswith(f"{scores['euler_number']} ± ")
    surface = shown["specific surface, 1/µm"]
    assert surface.startswith(f"{scores['surface_per_um']:.4g} ± ")
    assert float(shown["share in the largest component"].split(" ± ")[0]) <= 1


def test_a_step_shows_progress_and_greys_out_run(qtbot, dummy_panel):
    dummy_panel.form["outcome"].value = "dawdles"
    runner = dummy_panel.runner
    click(qtbot, runner.run_button)
    qtbot.wait_until(lambda: runner.bar.value() > 0, timeout=PATIENCE_MS)
    assert "dummy" in runner.bar.format()
    assert not runner.run_button.isEnabled()
    assert runner.cancel_button.isEnabled()

    click(qtbot, runner.cancel_button)
    assert runner.message.text() == "Cancelling…"
    qtbot.wait_until(lambda: not runner.running, timeout=PATIENCE_MS)
    assert "Cancelled" in runner.message.text()
    assert runner.run_button.isEnabled()
    assert [layer.name for layer in dummy_panel.viewer.layers] == ["2kV"]


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [("refuses", "The cheese is missing; buy some."), ("crashes", "ZeroDivisionError: by zero")],
)
def test_what_goes_wrong_in_a_step_is_a_sentence_in_its_panel(
    qtbot, dummy_panel, outcome, sentence
):
    dummy_panel.form["outcome"].value = outcome
    assert sentence in run(qtbot, dummy_panel)
    assert "color" in dummy_panel.runner.message.styleSheet()
    dummy_panel.form["outcome"].value = "inverts"
    assert run(qtbot, dummy_panel) == "Made 2kV inverted from 2kV."
    assert "color" not in dummy_panel.runner.message.styleSheet()


def test_what_a_step_warns_of_is_said_in_its_panel(qtbot, dummy_panel):
    dummy_panel.form["outcome"].value = "warns"
    said = run(qtbot, dummy_panel)
    assert said == "Made 2kV inverted from 2kV.\nThe cheese is old; smell it."


def test_a_result_inherits_where_it_lies_and_shows_its_numbers(qtbot, dummy_panel):
    run(qtbot, dummy_panel)
    before, after = dummy_panel.viewer.layers
    assert np.array_equal(after.data, 255 - before.data)
    assert np.allclose(after.scale, before.scale)
    assert after.metadata["porescope"]["slice_z_nm"] == [0, 11, 19, 30]
    assert after.metadata["porescope"]["scores"] == {"MP": 12.5}
    assert dummy_panel.scores.item(0, 1).text() == "12.5"


def test_a_parameter_out_of_bounds_is_refused_before_anything_runs(qtbot, dummy_panel):
    dummy_panel.form["depth_nm"].value = "-3"
    assert "depth (nm) is '-3'" in run(qtbot, dummy_panel)


def test_images_are_chosen_by_rising_voltage_hidden_or_not_and_a_choice_is_kept(qtbot, session):
    viewer = viewer_with(an_image(4), an_image(1), names=("high", "low"))
    viewer.layers["low"].visible = False
    viewer.add_image(np.zeros((4, 5, 6)), name="no size")
    panel = StepPanel(viewer, session, DUMMY)
    qtbot.addWidget(panel)
    assert panel.chosen_images() == ["low", "high"]
    panel.images.item(1).setCheckState(Qt.CheckState.Checked)
    panel.reset_choices()
    listed = [panel.images.item(row).text() for row in range(panel.images.count())]
    assert listed == ["no size", "low", "high"]
    panel.images.item(1).setCheckState(Qt.CheckState.Unchecked)
    panel.reset_choices()
    assert panel.chosen_images() == ["high"]


def test_new_images_are_ticked_in_place_of_those_they_were_made_from(qtbot, session):
    viewer = viewer_with(an_image(1), an_image(2), an_image(4))
    panel, other = (StepPanel(viewer, session, DUMMY) for _ in range(2))
    for each in (panel, other):
        qtbot.addWidget(each)
        viewer.layers.events.inserted.connect(each.reset_choices)
        viewer.layers.events.removed.connect(each.reset_choices)
    panel.images.item(2).setCheckState(Qt.CheckState.Unchecked)
    viewer.layers["1kV"].visible = False
    said = run(qtbot, panel)
    assert said == "Made 1kV inverted, 2kV inverted from 1kV, 2kV."
    assert panel.chosen_images() == ["1kV inverted", "2kV inverted"]
    assert other.chosen_images() == ["1kV inverted", "2kV inverted", "4kV"]

    row = [other.images.item(row).text() for row in range(5)].index("1kV")
    other.images.item(row).setCheckState(Qt.CheckState.Checked)
    run(qtbot, panel)
    assert panel.chosen_images() == ["1kV inverted [1]", "2kV inverted [1]"]
    assert other.chosen_images() == ["1kV", "1kV inverted [1]", "2kV inverted [1]", "4kV"]
    for name in ("1kV inverted", "2kV inverted", "1kV inverted [1]", "2kV inverted [1]"):
        viewer.layers.remove(name)
    assert panel.chosen_images() == ["1kV", "2kV"]


def test_an_image_without_a_voxel_size_leads_to_the_load_panel(qtbot, session):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 5, 6)), name="raw")
    panel = StepPanel(viewer, session, DUMMY)
    qtbot.addWidget(panel)
    panel.images.item(0).setCheckState(Qt.CheckState.Checked)
    assert "voxel size of layer 'raw'" in run(qtbot, panel)


NO_LABELS = "There are no labels yet; segment first, or choose some above."


@pytest.mark.parametrize(
    ("loaded", "sentence"),
    [
        (False, "Load a stack first; to try it out, Load opens a sample."),
        (True, "Tick at least one image above."),
    ],
)
def test_a_step_without_layers_says_what_is_missing(qtbot, loaded, sentence):
    viewer = viewer_with(an_image()) if loaded else ViewerModel()
    dock = Dock(viewer)
    qtbot.addWidget(dock)
    said = dict.fromkeys(("align", "crop", "clean", "positions", "segment"), sentence)
    said |= dict.fromkeys(("slices", "measure"), NO_LABELS)
    for section, sentence in said.items():
        panel = dock.open_section(section)
        if loaded:
            panel.images.item(0).setCheckState(Qt.CheckState.Unchecked)
        click(qtbot, panel.runner.run_button)
        assert not panel.runner.running
        assert panel.runner.message.text() == sentence
    dock.session.close()


@pytest.mark.parametrize(
    ("shape", "look", "sentence"),
    [
        ((12, 14), {}, "has 2 axes; choose a volume with three"),
        ((2, 4, 12, 14), {}, "has 4 axes; choose a volume with three"),
        ((4, 12, 14, 3), {"rgb": True}, "is in colour"),
        ((4, 12, 14), {}, "What is the voxel size of layer 'odd'?"),
    ],
)
def test_an_image_that_no_step_can_use_is_refused_for_the_right_reason(
    qtbot, session, shape, look, sentence
):
    viewer = ViewerModel()
    viewer.add_image(np.zeros(shape, np.uint8), name="odd", **look)
    panel = StepPanel(viewer, session, DUMMY)
    qtbot.addWidget(panel)
    assert sentence in run(qtbot, panel)
    viewer.add_layer(Layer.create(*to_layer_data(an_image(), "2kV")))
    panel.reset_choices()
    panel.images.item(panel.images.count() - 1).setCheckState(Qt.CheckState.Unchecked)
    assert "Tick at least one image" in run(qtbot, panel)


def test_a_refusal_is_gone_once_what_it_was_about_has_changed(qtbot, session):
    panel = StepPanel(viewer_with(an_image()), session, DUMMY)
    qtbot.addWidget(panel)
    for change in (
        lambda: panel.images.item(0).setCheckState(Qt.CheckState.Checked),
        panel.reset_choices,
    ):
        panel.images.item(0).setCheckState(Qt.CheckState.Unchecked)
        click(qtbot, panel.runner.run_button)
        assert "Tick at least one" in panel.runner.message.text()
        change()
        assert panel.runner.message.isHidden()
    panel.images.item(0).setCheckState(Qt.CheckState.Checked)
    panel.form["outcome"].value = "refuses"
    run(qtbot, panel)
    panel.reset_choices()
    assert "cheese" in panel.runner.message.text(), "not about the layers"


@pytest.mark.parametrize("refused", [True, False])
def test_the_dock_scrolls_to_what_was_said_and_found(make_napari_viewer, qtbot, refused):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    labels = Stack(np.ones((4, 12, 14), np.uint8), spacing_nm=(10, 2.5, 3), is_labels=True)
    viewer.add_layer(Layer.create(*to_layer_data(labels, "labels")))
    panel = open_dock(viewer, "measure")
    dock = viewer.window.dock_widgets[NAME]
    dock.resize(dock.width(), 300)
    if refused:
        viewer.layers.clear()
    qtbot.wait(50)
    dock.verticalScrollBar().setValue(0)
    run(qtbot, panel)
    said = panel.runner.message
    qtbot.wait_until(lambda: said.visibleRegion().boundingRect().height() == said.height())
    if not refused:
        qtbot.wait_until(lambda: panel.scores.visibleRegion().boundingRect().height() > 80)
    viewer.close()


def test_load_asks_for_what_the_file_does_not_tell(qtbot, session, tmp_path):
    path = tmp_path / "bare.npy"
    np.save(path, np.zeros((3, 4, 5), np.uint8))
    panel = LoadPanel(ViewerModel(), session)
    qtbot.addWidget(panel)
    panel.path.setText(str(path))
    panel.path.editingFinished.emit()
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert "bare.npy" in panel.runner.message.text()

    panel.spacing["z"].setText("ten")
    assert run(qtbot, panel) == "The voxel size z is 'ten'; write a number."
    for axis, value in zip("zyx", ("10", "2.5", "2.5"), strict=True):
        panel.spacing[axis].setText(value)
    panel.beam_kv.setText("2")
    assert "Loaded bare" in run(qtbot, panel)
    (layer,) = panel.viewer.layers
    assert tuple(layer.scale) == (10, 2.5, 2.5)
    assert from_layer(layer).beam_kv == 2


def test_load_prefills_what_the_file_does_tell(qtbot, session, tmp_path):
    path = tmp_path / "no_z.tif"
    planes = np.zeros((3, 4, 5), np.uint8)
    told = {"unit": "nm", "axes": "ZYX"}
    tifffile.imwrite(path, planes, imagej=True, resolution=(0.25, 0.25), metadata=told)
    panel = LoadPanel(ViewerModel(), session)
    qtbot.addWidget(panel)
    panel.ask_for(path)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert [line.text() for line in panel.spacing.values()] == ["", "4", "4"]
    assert "slice thickness" in panel.runner.message.text()
    panel.spacing["z"].setText("10")
    assert "Loaded no_z" in run(qtbot, panel)
    assert tuple(panel.viewer.layers[0].scale) == (10, 4, 4)


@pytest.mark.parametrize(
    ("values", "hinted"),
    [((0, 255), True), ((0, 1), True), ((0, 254), False), ((1, 255), False), ((0, 1, 255), False)],
)
def test_load_says_what_to_do_with_a_mask(qtbot, session, tmp_path, values, hinted):
    path = tmp_path / "mask.npy"
    np.save(path, np.random.default_rng(0).choice(np.array(values, np.uint8), (3, 40, 50)))
    panel = LoadPanel(ViewerModel(), session)
    qtbot.addWidget(panel)
    panel.path.setText(str(path))
    for line in panel.spacing.values():
        line.setText("5")
    said = run(qtbot, panel)
    assert "Loaded mask" in said
    assert ("Convert to Labels" in said) == hinted


def test_load_says_when_there_is_no_file(qtbot, session, tmp_path):
    panel = LoadPanel(ViewerModel(), session)
    qtbot.addWidget(panel)
    assert run(qtbot, panel) == "Choose a file or a folder first."
    panel.path.setText(str(tmp_path / "gone.tif"))
    assert "gone.tif" in run(qtbot, panel)


def test_a_reader_that_lacks_the_voxel_size_opens_the_load_panel(
    make_napari_viewer, qtbot, tmp_path
):
    np.save(tmp_path / "bare.npy", np.zeros((3, 4, 5), np.uint8))
    viewer = make_napari_viewer()
    with pytest.raises(MissingMetadata, match="Load panel"):
        viewer.open(tmp_path / "bare.npy", plugin="napari-porescope")
    load = open_dock(viewer, "load")
    assert load.path.text() == str(tmp_path / "bare.npy")
    qtbot.wait_until(lambda: not load.runner.running, timeout=PATIENCE_MS)


def test_a_recipe_runs_and_its_result_opens(qtbot, session, tmp_path, voltages):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    panel = RecipePanel(ViewerModel(), session)
    qtbot.addWidget(panel)
    assert run(qtbot, panel) == "Choose a recipe first."
    panel.recipe.setText(str(tmp_path / "recipe.yaml"))
    assert run(qtbot, panel) == "Name the folder to make for the result."
    panel.out.setText(str(tmp_path / "result"))
    assert "input" in run(qtbot, panel)
    assert not (tmp_path / "result").exists()
    panel.inputs.addItem(str(voltages))
    assert str(tmp_path / "result") in run(qtbot, panel)
    names = [layer.name for layer in panel.viewer.layers]
    assert names == ["1kV", "2kV", "4kV", "labels"]
    assert (tmp_path / "result" / "report.html").is_file()
    assert not panel.report_button.isHidden()
    assert "exists already" in run(qtbot, panel)
    panel.overwrite.setChecked(True)
    assert str(tmp_path / "result") in run(qtbot, panel)


def test_closing_the_window_cancels_its_work_and_removes_its_results(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    viewer.add_layer(Layer.create(*to_layer_data(an_image(), "2kV")))
    open_dock(viewer, "align")
    dock = viewer.window.dock_widgets[NAME]
    folder = dock.session.new_folder().parent
    ended = []

    def work(cancel):
        while not cancel():
            time.sleep(0.01)
        ended.append(True)

    dock.session.start(work)
    del dock
    assert folder.is_dir()
    viewer.close()
    qtbot.wait_until(lambda: bool(ended) and not folder.exists(), timeout=PATIENCE_MS)


def test_commands_and_the_plugins_menu_share_one_dock(make_napari_viewer):
    from porescope.viewer import dock

    viewer = make_napari_viewer()
    dock.open_segment(viewer)
    shared = viewer.window.dock_widgets[NAME]
    dock.open_measure(viewer)
    assert viewer.window.dock_widgets[NAME] is shared
    opened = [name for name, panel in shared.panels.items() if not panel.isHidden()]
    assert opened == ["measure"]


def test_results_go_to_the_folder_of_the_settings(make_napari_viewer, tmp_path):
    from napari.settings import get_plugin_settings

    make_napari_viewer()
    get_plugin_settings("napari-porescope").results.folder = str(tmp_path)
    session = Session()
    assert tmp_path in session.new_folder().parents
    session.close()
    assert not list(Path(tmp_path).iterdir())
    get_plugin_settings("napari-porescope").results.folder = ""


def test_every_measured_number_is_shown_in_the_window_but_doubles():
    cube = np.random.default_rng(0).integers(0, 2, (12, 12, 12))
    measured = measures.isotropy(cube, (5, 5, 5)) | measures.morphometry(cube, (5, 5, 5))
    measured |= measures.percolation(cube) | measures.local_thickness(cube, (5, 5, 5))
    measured |= measures.scores(cube, cube) | measures.volume_fractions(cube)
    numbers = {key for key, value in measured.items() if isinstance(value, int | float)}
    told_otherwise = {
        *("volume_fraction", "euler_per_um3", "D_xz_nm", "D_yz_nm"),
        *(key for key in numbers if key.endswith("_uncertainty")),
    }
    assert numbers - told_otherwise == set(EXPLAINED) & numbers
    of_others = {"misfit", "true_solid_fraction", "tortuosity_z", "tortuosity_y", "tortuosity_x"}
    assert set(EXPLAINED) - numbers == of_others


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (0.123456, 0.00314, "0.1235 ± 0.0031"),
        (-12345, 1234.5, "-12345 ± 1200"),
        (123456.7, 0.0, "123500 ± 0"),
        (0.5, None, "0.5"),
        (0.5, math.nan, "0.5"),
        (7, None, "7"),
    ],
)
def test_a_number_is_shown_without_powers_of_ten(value, uncertainty, text):
    scores = {"euler_number": value, "euler_number_uncertainty": uncertainty, "MP": math.nan}
    assert explained(scores) == {"Euler number": text}


def test_images_only_are_offered_as_images(qtbot, session):
    viewer = viewer_with(an_image())
    viewer.add_image(np.zeros((12, 14)), name="flat")
    viewer.add_labels(np.zeros((4, 12, 14), np.uint8), name="labels")
    panel = StepPanel(viewer, session, DUMMY)
    qtbot.addWidget(panel)
    assert panel.images.count() == 1
    assert isinstance(viewer.layers[panel.images.item(0).text()], Image)
