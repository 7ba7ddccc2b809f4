"""Projects in the window: saved, killed, opened again, and turned into a recipe."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.io import write_stack
from porescope.pipeline import load_workspace, read_recipe, run_recipe
from porescope.pipeline.project import ProjectLock, read_project
from porescope.pipeline.provenance import hash_path

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from porescope.viewer.dock import NAME, open_dock
from porescope.viewer.project import project_panel

PATIENCE_MS = 60_000


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Save more often than a user needs."""
    monkeypatch.setattr(project_panel, "EVERY_S", 0.2)


@pytest.fixture
def voltages(tmp_path, texture):
    slice_z_nm = 0.1 + np.cumsum([0, 9, 13, 8, 10, 11.0])
    for kv, gain in ((1, 40), (2, 45)):
        planes = [128 + gain / 6 * texture.slice(z / 10, (40, 44)) for z in slice_z_nm]
        data = np.clip(planes, 0, 255).astype(np.uint8)
        stack = Stack(data=data, spacing_nm=(10, 2.5, 2.5), beam_kv=kv, slice_z_nm=slice_z_nm)
        write_stack(tmp_path / "voltages" / f"{kv}kV.ome.tif", stack)
    return tmp_path / "voltages"


def run(qtbot, panel, start=None):
    if start is None:
        qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    else:
        start()
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    return panel.runner.message.text()


class Clicker:
    """A window, and what a user does in it."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.project = open_dock(viewer, "project")
        self.dock = viewer.window.dock_widgets[NAME]

    def load(self, path):
        load = self.dock.open_section("load")
        load.path.setText(str(path))
        load.path.editingFinished.emit()
        self.qtbot.wait_until(lambda: not load.runner.running, timeout=PATIENCE_MS)
        assert "Loaded" in run(self.qtbot, load)

    def step(self, name, **values):
        panel = self.dock.open_section(name)
        for field, value in values.items():
            panel.form[field].value = value
        told = run(self.qtbot, panel)
        assert told.startswith(("Made", "Done")), told
        return panel

    def save_as(self, folder):
        told = run(self.qtbot, self.project, lambda: self.project.save_as(folder))
        assert told == f"Saved as {folder}."

    def open(self, folder, **more):
        return run(self.qtbot, self.project, lambda: self.project.open(folder, **more))

    def wait_saved(self):
        begun = time.monotonic()
        self.qtbot.wait_until(
            lambda: (self.project.keeper.saved_at or 0) > begun + 0.4, timeout=PATIENCE_MS
        )


@pytest.fixture
def clicker(make_napari_viewer, qtbot):
    made = []

    def make():
        made.append(Clicker(make_napari_viewer(), qtbot))
        return made[-1]

    yield make
    for each in made:
        each.dock.session.close()


def paint(layer, z, rows=slice(3, 9), label=1):
    y, x = np.mgrid[rows, 5:25]
    layer.data_setitem((np.full(y.size, z), y.ravel(), x.ravel()), label)


def test_the_whole_way_is_saved_and_opened_again(clicker, tmp_path, voltages, qtbot):
    folder = tmp_path / "gold.porescope"
    first = clicker()
    first.load(voltages)
    first.step("align")
    first.save_as(folder)  # with a result of before, which comes along
    first.step("segment", method="kmeans", clusters=2)
    first.step("slices", interpolation="linear")
    first.step("measure")
    viewer = first.viewer
    viewer.layers["1kV aligned"].contrast_limits = (20, 200)
    viewer.layers["1kV aligned"].colormap = "magma"
    viewer.layers["labels kmeans"].opacity = 0.25
    viewer.layers["labels on grid"].name = "pores"
    viewer.layers["2kV aligned"].visible = False
    viewer.layers.move(0, 3)
    viewer.dims.set_point(0, 20)
    viewer.scene.camera.zoom = 3.5
    first.wait_saved()
    assert first.project.heading.startswith("gold: saved ")
    order = [layer.name for layer in viewer.layers]
    data = {layer.name: np.asarray(layer.data) for layer in viewer.layers}
    visible = [layer.visible for layer in viewer.layers]
    first.dock.session.close()

    second = clicker()
    assert second.open(folder) == f"Opened {folder}."
    viewer = second.viewer
    assert [layer.name for layer in viewer.layers] == order
    assert [layer.visible for layer in viewer.layers] == visible
    for layer in viewer.layers:
        assert np.array_equal(layer.data, data[layer.name]), layer.name
    assert viewer.layers["1kV aligned"].contrast_limits == [20, 200]
    assert viewer.layers["1kV aligned"].colormap.name == "magma"
    assert viewer.layers["labels kmeans"].opacity == 0.25
    assert viewer.dims.point[0] == pytest.approx(20, abs=2.5)
    assert viewer.scene.camera.zoom == 3.5
    assert second.dock.opened == "measure"
    for section in ("align", "segment", "check"):
        chosen = second.dock.panels[section].chosen_images()
        assert chosen == ["1kV aligned", "2kV aligned"], section
    segment = second.dock.panels["segment"]
    assert (segment.form["method"].value, segment.form["clusters"].value) == ("kmeans", 2)
    assert second.dock.panels["measure"].scores.item(0, 0).text() == "solid fraction"
    assert "solid_fraction" in viewer.layers["pores"].metadata["porescope"]["scores"]
    assert len(viewer.layers["2kV aligned"].metadata["porescope"]["tables"]["alignment"]) == 6

    second.step("crop", region="2, 30, 3, 33")
    assert sorted(path.name for path in (folder / "results").iterdir()) == [
        f"{number:03d}" for number in range(5)
    ]
    assert [taken.step for taken in second.dock.session.taken] == [
        "align",
        "segment",
        "slices",
        "measure",
        "crop",
    ]

    second.project.result.setCurrentIndex(2)
    assert second.project.result.currentText() == "labels on grid"
    second.project.save_recipe(tmp_path / "recipe.yaml")
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert [step.name for step, _ in recipe.steps] == ["load", "align", "segment", "slices"]
    run_recipe(recipe, tmp_path / "again")
    name = "labels.ome.zarr"
    assert hash_path(tmp_path / "again" / name) == hash_path(folder / "results/002" / name)

    second.project.copy_script()
    (tmp_path / "script.py").write_text(QApplication.clipboard().text())
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=100)
    made, _ = load_workspace(tmp_path / "result")
    assert np.array_equal(made.labels.data, data["pores"])


def test_corrected_labels_are_replayed_as_they_were_used(clicker, tmp_path, voltages):
    it = clicker()
    it.load(voltages)
    it.step("segment", method="otsu")
    labels = it.viewer.layers["labels otsu"]
    paint(labels, 2, label=1)
    it.step("slices", interpolation="linear")
    paint(labels, 3, label=0)  # later, and not in what the slices were made of
    with pytest.raises(PorescopeError, match="'labels otsu' is so far only in the temp"):
        it.project.recipe()
    it.save_as(tmp_path / "it.porescope")
    recipe = it.project.recipe()
    assert [step.name for step, _ in recipe.steps] == ["labels", "slices"]
    run_recipe(recipe, tmp_path / "again")
    name = "labels.ome.zarr"
    before = tmp_path / "it.porescope/results/001"
    assert hash_path(tmp_path / "again" / name) == hash_path(before / name)


def test_what_is_painted_comes_back_with_its_colours_and_what_it_says(
    clicker, tmp_path, voltages, qtbot
):
    folder = tmp_path / "it.porescope"
    it = clicker()
    it.load(voltages)
    it.save_as(folder)
    segment = it.dock.open_section("segment")
    segment.form["method"].value = "forest"
    qtbot.mouseClick(segment.paint_pore, Qt.MouseButton.LeftButton)
    scribbles = it.viewer.layers.selection.active
    mark = {"of": "1kV", "kind": "scribbles", "corrected": [2]}
    scribbles.metadata["porescope"]["annotation"] = mark
    paint(scribbles, 1)
    paint(scribbles, 4, label=2)
    it.wait_saved()
    (saved,) = (folder / "annotations").iterdir()
    assert sorted(path.name for path in saved.iterdir()) == ["00001.tif", "00004.tif"]
    scribbles.undo()
    it.wait_saved()
    assert [path.name for path in saved.iterdir()] == ["00001.tif"]
    scribbles.redo()
    drawn, colours = scribbles.data.copy(), scribbles.colormap.color_dict[2]
    it.viewer.close()  # at once, and the last stroke is not lost

    again = clicker()
    again.open(folder)
    back = again.viewer.layers["scribbles"]
    assert np.array_equal(back.data, drawn)
    assert np.allclose(back.colormap.color_dict[2], colours)
    assert back.metadata["porescope"]["annotation"] == mark
    assert np.allclose(back.scale, again.viewer.layers["1kV"].scale)
    assert again.dock.panels["segment"].scribbles.currentText() == "scribbles"
    before = {path: path.stat().st_mtime_ns for path in saved.iterdir()}
    paint(back, 1, rows=slice(12, 14))
    again.wait_saved()
    after = {path: path.stat().st_mtime_ns for path in saved.iterdir()}
    assert [path.name for path in after if after[path] != before[path]] == ["00001.tif"]


KILLED = """
import sys
from pathlib import Path
import numpy as np
import napari
from qtpy.QtWidgets import QApplication
from porescope.viewer.project import project_panel
from porescope.viewer.dock import open_dock

if __name__ == "__main__":
    project_panel.EVERY_S = 0.5
    viewer = napari.Viewer(show=False)
    viewer.open(sys.argv[1], plugin="napari-porescope")
    project = open_dock(viewer, "project")
    project.save_as(Path(sys.argv[2]))
    while project.runner.running:
        QApplication.processEvents()
    empty = np.zeros(viewer.layers[0].data.shape, np.uint8)
    scale = viewer.layers[0].scale
    layer = viewer.add_labels(empty, name="by hand", scale=scale, units=("nm",) * 3)
    layer.data_setitem((np.full(4, 2), np.arange(4), np.arange(4)), 3)
    print("painted", flush=True)
    while True:
        QApplication.processEvents()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_window_loses_no_strokes_but_the_last(clicker, tmp_path, voltages):
    folder = tmp_path / "it.porescope"
    (tmp_path / "killed.py").write_text(KILLED)
    killed = subprocess.Popen(
        [sys.executable, "killed.py", str(voltages), str(folder)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    while killed.stdout.readline() != "painted\n":
        assert killed.poll() is None
    it = clicker()
    assert f"open in another window (process {killed.pid} on" in it.open(folder)
    deadline = time.monotonic() + 30
    while (
        not list(folder.glob("annotations/*/00002.tif"))
        or "by hand" not in (folder / "project.json").read_text()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert it.open(folder) == f"Opened {folder}."
    layer = it.viewer.layers["by hand"]
    assert (layer.data[2, range(4), range(4)] == 3).all()
    assert layer.data.sum() == 12
    assert np.allclose(layer.scale, it.viewer.layers["1kV"].scale)


def test_temporary_work_is_said_to_be_so_and_is_not_thrown_away(clicker, tmp_path, voltages):
    it = clicker()
    assert it.project.heading == "Project"
    it.load(voltages)
    assert it.project.heading == "Project", "what was only loaded is nowhere lost"
    it.save_as(tmp_path / "a.porescope")
    it.project.new(tmp_path / "b.porescope")
    it.qtbot.wait_until(lambda: not it.project.runner.running, timeout=PATIENCE_MS)
    assert len(it.viewer.layers) == 0
    assert it.open(tmp_path / "a.porescope") == f"Opened {tmp_path / 'a.porescope'}."
    ProjectLock(tmp_path / "b.porescope").release()

    other = clicker()
    other.load(voltages)
    other.step("crop")
    assert other.project.heading == "Project: not saved"
    other.project._tell()
    assert "gone when the window closes" in other.project.place.text()
    with pytest.raises(PorescopeError, match="only temporary; save it first"):
        other.project.open(tmp_path / "b.porescope")
    temporary = other.dock.session.folder
    other.dock.session.close()
    assert not temporary.exists()


def test_a_window_that_closes_at_once_leaves_the_view_as_it_was(clicker, tmp_path, voltages):
    first = clicker()
    first.load(voltages)
    first.save_as(tmp_path / "a.porescope")
    first.dock.open_section("clean")
    first.viewer.scene.camera.zoom = 3.5
    first.viewer.scene.camera.center = (0, 40, 30)
    first.wait_saved()
    first.dock.session.close()
    for _ in range(2):
        window = clicker()
        window.open(tmp_path / "a.porescope")
        assert window.viewer.scene.camera.zoom == 3.5
        assert tuple(window.viewer.scene.camera.center)[-2:] == (40, 30)
        assert window.dock.opened == "clean"
        window.dock.session.close()


def test_an_input_that_moved_is_asked_for(clicker, tmp_path, voltages, qtbot):
    folder = tmp_path / "it.porescope"
    it = clicker()
    it.load(voltages)
    it.step("crop")
    it.save_as(folder)
    it.viewer.close()
    voltages.rename(tmp_path / "elsewhere")

    again = clicker()
    assert f"{voltages} is not there" in again.open(folder)
    assert not again.project.missing.isHidden()
    assert len(again.viewer.layers) == 0
    told = again.open(folder, moved={str(voltages): str(tmp_path / "elsewhere")})
    assert told == f"Opened {folder}."
    assert again.project.missing.isHidden()
    assert again.project.recipe().inputs == (tmp_path / "elsewhere",)
    again.wait_saved()
    assert list(read_project(folder).inputs) == [str(tmp_path / "elsewhere")]


def test_an_input_that_changed_is_told(clicker, tmp_path, voltages):
    folder = tmp_path / "it.porescope"
    it = clicker()
    it.load(voltages)
    it.save_as(folder)
    it.viewer.close()
    (voltages / "notes.txt").write_text("something new")
    again = clicker()
    assert f"{voltages} has changed since it was used." in again.open(folder)


def test_a_layer_that_is_left_out_is_told_where_one_looks_and_comes_back(
    clicker, tmp_path, voltages
):
    folder = tmp_path / "it.porescope"
    it = clicker()
    it.load(voltages)
    it.step("crop")
    it.save_as(folder)
    it.dock.open_section("measure")
    it.wait_saved()
    it.viewer.close()
    made = folder / "results/000/images/1kV.ome.zarr"
    made.rename(tmp_path / "aside")

    again = clicker()
    again.dock.open_section("load")
    assert "Layer '1kV cropped' is left out." in again.open(folder)
    assert again.dock.opened == "project"
    again.viewer.layers["2kV"].opacity = 0.5
    again.wait_saved()
    again.viewer.close()
    (tmp_path / "aside").rename(made)
    last = clicker()
    assert last.open(folder) == f"Opened {folder}."
    assert "1kV cropped" in last.viewer.layers
    assert last.dock.opened == "project"


def test_saving_as_a_project_can_be_cancelled_and_leaves_nothing(
    clicker, tmp_path, voltages, monkeypatch
):
    it = clicker()
    it.load(voltages)
    it.step("crop")
    monkeypatch.setattr(project_panel, "write_project", _full)
    told = run(it.qtbot, it.project, lambda: it.project.save_as(tmp_path / "it.porescope"))
    assert told == "The disk is full."
    assert [path.name for path in tmp_path.iterdir()] == ["voltages"]
    assert it.dock.session.project is None
    it.step("crop")  # goes on as before

    it.project.save_as(tmp_path / "it.porescope")
    with pytest.raises(PorescopeError, match="being saved"):
        it.qtbot.wait_until(lambda: it.dock.session.new_folder() is None, timeout=PATIENCE_MS)
    it.project.runner.cancel_button.click()
    it.qtbot.wait_until(lambda: not it.project.runner.running, timeout=PATIENCE_MS)
    assert "Cancelled" in it.project.runner.message.text()
    assert [path.name for path in tmp_path.iterdir()] == ["voltages"]


def _full(folder, project):
    raise PorescopeError("The disk is full.")


def test_what_cannot_be_saved_is_said_and_tried_again(clicker, tmp_path, voltages, monkeypatch):
    from porescope.viewer.project import keeper

    it = clicker()
    it.load(voltages)
    it.save_as(tmp_path / "it.porescope")
    with monkeypatch.context() as broken:
        broken.setattr(keeper, "write_project", _full)
        it.viewer.layers[0].opacity = 0.5
        it.qtbot.wait_until(lambda: it.project.keeper.trouble is not None, timeout=PATIENCE_MS)
        assert it.project.heading == "it: not saved"
        it.project._tell()
        assert it.project.place.text() == "The disk is full."
    it.wait_saved()
    assert it.project.keeper.trouble is None
    kept = json.loads((tmp_path / "it.porescope/project.json").read_text())["layers"]
    assert kept[0]["look"]["opacity"] == 0.5


def test_napari_opens_a_project_by_its_name(clicker, make_napari_viewer, tmp_path, voltages, qtbot):
    folder = tmp_path / "it.porescope"
    it = clicker()
    it.load(voltages)
    it.save_as(folder)
    it.viewer.close()
    viewer = make_napari_viewer()
    viewer.open(folder, plugin="napari-porescope")
    project = open_dock(viewer, "project")
    qtbot.wait_until(lambda: not project.runner.running, timeout=PATIENCE_MS)
    assert [layer.name for layer in viewer.layers] == ["1kV", "2kV"]
    project.session.close()


def test_layers_that_cannot_be_kept_are_named(clicker, tmp_path, voltages):
    it = clicker()
    it.load(voltages)
    it.viewer.add_image(np.zeros((4, 5, 6)), name="from nowhere")
    it.viewer.add_points(np.zeros((1, 3)), name="dots")
    it.save_as(tmp_path / "it.porescope")
    it.project._tell()
    assert "Not kept: from nowhere, dots." in it.project.place.text()


def test_a_layer_of_no_file_is_kept_by_the_step_that_works_on_it(clicker, tmp_path, voltages):
    it = clicker()
    it.load(voltages)
    for layer in list(it.viewer.layers):
        layer.scale = (20, 2.5, 2.5)  # other than the file says
        layer.metadata["porescope"]["slice_z_nm"] = (20.0 * np.arange(6)).tolist()
        layer.metadata["porescope"]["spacing_nm"] = [20, 2.5, 2.5]
    it.save_as(tmp_path / "it.porescope")
    it.step("crop")
    recipe = it.project.recipe()
    assert [path.parent.name for path in recipe.inputs] == ["used", "used"]
    run_recipe(recipe, tmp_path / "again")
    name = "images/2kV.ome.zarr"
    before = tmp_path / "it.porescope/results/000"
    assert hash_path(tmp_path / "again" / name) == hash_path(before / name)


def test_a_recipe_is_not_written_over_a_file(clicker, tmp_path, voltages):
    it = clicker()
    with pytest.raises(PorescopeError, match="No step was run yet"):
        it.project.recipe()
    it.load(voltages)
    it.step("crop")
    (tmp_path / "recipe.yaml").write_text("mine")
    with pytest.raises(PorescopeError, match="exists already"):
        it.project.save_recipe(tmp_path / "recipe.yaml")
    assert Path(tmp_path / "recipe.yaml").read_text() == "mine"
