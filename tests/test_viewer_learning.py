"""Segment with scribbles and a preview, the check's panel, Train, and the neural preview."""

import io
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from porescope import Stack
from porescope.geometry import leveled_wave
from porescope.io import write_stack
from porescope.learn.parameters import WeightsOf

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from porescope.pipeline.step import find_step
from porescope.pipeline.trainings.watch import read_losses, read_pictures
from porescope.viewer.dock import NAME, open_dock
from porescope.viewer.layers import to_layer_data
from porescope.viewer.learn.check_panel import CheckPanel
from porescope.viewer.learn.segment_panel import SegmentPanel
from porescope.viewer.learn.train_panel import TrainPanel
from porescope.viewer.simulate.simulate_panel import SimulatePanel

PATIENCE_MS = 120_000
SPACING = (10, 3, 3)


def phases(slices=6, edge=40, seed=1):
    shape = (4 * slices, edge, edge)
    solid = leveled_wave(shape, spacing_nm=3, wavelength_nm=45, solid_fraction=0.4, seed=seed)
    return solid[::4].astype(np.uint8)


def image_of(labels, beam_kv=1.0, seed=0):
    """Images that are bright where labels are solid, with noise."""
    noise = np.random.default_rng([seed, round(beam_kv)]).normal(size=labels.shape)
    return Stack((60 + 100 * labels + 10 * noise).clip(0, 255).astype(np.uint8), SPACING, beam_kv)


def add(viewer, stack, name, **look):
    return viewer.add_layer(Layer.create(*to_layer_data(stack, name, **look)))


def made(qtbot, viewer, panel):
    qtbot.addWidget(panel)
    viewer.layers.events.inserted.connect(panel.reset_choices)
    viewer.layers.events.removed.connect(panel.reset_choices)
    return panel


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    for beam_kv in (1.0, 2.0):
        add(viewer, image_of(phases(), beam_kv), f"{beam_kv:g}kV")
    return viewer


@pytest.fixture
def segment(qtbot, session, viewer):
    return made(qtbot, viewer, SegmentPanel(viewer, session, find_step("segment")))


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run(qtbot, panel):
    click(qtbot, panel.runner.run_button)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    return panel.runner.message.text()


def wait_for(qtbot, label, text):
    qtbot.wait_until(lambda: text in label.text(), timeout=PATIENCE_MS)


def scribble(layer, truth, index):
    """Mark some of both phases of a slice, as a stroke of the brush does."""
    layer.data[index, 5:10] = truth[index, 5:10] + 1
    layer.events.paint(value=[])


@pytest.mark.parametrize(
    ("history", "reminded"),
    [
        ([], True),
        ([{"step": "clean", "parameters": {}}, {}], True),
        ([{"step": "simulate", "parameters": 3}], False),
        ([{"step": "simulate", "parameters": {"drift_px": 2.0}}], True),
        ([{"step": "simulate", "parameters": {"drift_px": 0.0}}], False),
        ([{"step": "simulate", "parameters": {"drift_px": 2.0}}, {"step": "align"}], False),
    ],
)
def test_several_voltages_that_nothing_aligned_are_pointed_out(segment, viewer, history, reminded):
    viewer.layers.clear()
    for beam_kv in (1.0, 2.0):
        stack = replace(image_of(phases(), beam_kv), history=history)
        add(viewer, stack, f"{beam_kv:g}kV")
    assert ("run Align first" in segment.aligned.text()) == reminded
    segment.images.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert segment.aligned.text() == "", "a single stack lies where it lies"


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("late-fusion", {"weights"}),
        ("unet3d", {"weights"}),
        ("forest", {"seed"}),
        ("kmeans", {"clusters", "seed"}),
        ("otsu", set()),
    ],
)
def test_only_fields_that_matter_for_the_method_are_shown(segment, method, fields):
    segment.form["method"].value = method
    segment.setVisible(True)
    shown = {
        name for name in segment.form.filled() if not segment.form._rows[name].native.isHidden()
    }
    assert shown == {"method", *fields}
    assert segment.scribbled.isHidden() == (method != "forest")


def test_scribbles_begin_empty_on_the_images_and_ready_for_pore(qtbot, viewer, segment):
    segment.form["method"].value = "forest"
    assert "Paint some pore" in run(qtbot, segment)
    click(qtbot, segment.paint_pore)
    layer = viewer.layers["scribbles"]
    image = viewer.layers["1kV"]
    assert isinstance(layer, Labels)
    assert layer.data.shape == image.data.shape
    assert not layer.data.any()
    assert np.allclose(layer.scale, image.scale)
    assert np.allclose(layer.translate, image.translate)
    assert (layer.mode, layer.selected_label) == ("paint", 1)
    assert viewer.layers.selection.active is layer
    click(qtbot, segment.paint_solid)
    assert layer.selected_label == 2
    assert [each.name for each in viewer.layers].count("scribbles") == 1


def test_a_forest_learns_from_the_layer_and_its_scribbles_are_no_labels(qtbot, viewer, segment):
    segment.form["method"].value = "forest"
    click(qtbot, segment.paint_pore)
    scribble(viewer.layers["scribbles"], phases(), 2)
    assert "Made labels" in run(qtbot, segment)
    assert np.mean(viewer.layers["labels forest"].data == phases()) > 0.97
    assert segment.labels.itemText(0) == "labels forest"
    add(viewer, Stack(np.zeros((6, 40, 40), np.uint8), SPACING, is_labels=True), "scribbles 2")
    assert segment.labels.itemText(0) == "labels forest"


def test_a_preview_follows_the_slider_and_the_strokes(qtbot, viewer, segment):
    truth = phases()
    segment.form["method"].value = "forest"
    viewer.dims.set_point(0, 30)
    segment.live.box.setChecked(True)
    wait_for(qtbot, segment.live.told, "Paint some pore")
    click(qtbot, segment.paint_pore)
    scribbles = viewer.layers["scribbles"]
    scribble(scribbles, truth, 2)
    wait_for(qtbot, segment.live.told, "Slice 3:")
    preview = viewer.layers["preview labels"]
    assert np.mean(preview.data[0] == truth[3]) > 0.97
    assert preview.translate[0] == 30
    assert viewer.layers.selection.active is scribbles
    assert viewer.layers.index(preview) < viewer.layers.index(scribbles)

    viewer.dims.set_point(0, 40)
    wait_for(qtbot, segment.live.told, "Slice 4:")
    assert viewer.layers["preview labels"] is preview
    assert preview.translate[0] == 40
    assert np.mean(preview.data[0] == truth[4]) > 0.97

    swapped = scribbles.data[2] > 0
    scribbles.data[2][swapped] = 3 - scribbles.data[2][swapped]
    scribbles.events.paint(value=[])
    qtbot.wait_until(lambda: np.mean(preview.data[0] == 1 - truth[4]) > 0.97, timeout=PATIENCE_MS)
    segment.live.box.setChecked(False)
    assert "preview labels" not in viewer.layers


def test_a_preview_is_what_the_whole_stack_becomes(qtbot, viewer, segment):
    segment.form["method"].value = "otsu"
    viewer.dims.set_point(0, 20)
    segment.live.box.setChecked(True)
    wait_for(qtbot, segment.live.told, "Slice 2:")
    seen = viewer.layers["preview labels"].data[0].copy()
    for index in (4, 2):
        viewer.dims.set_point(0, 10 * index)
        wait_for(qtbot, segment.live.told, f"Slice {index}:")
    assert np.array_equal(viewer.layers["preview labels"].data[0], seen)
    run(qtbot, segment)
    assert not segment.live.box.isChecked()
    assert np.array_equal(viewer.layers["labels otsu"].data[2], seen)


def test_a_new_segmentation_is_seen_in_place_of_the_last(qtbot, viewer, segment):
    for method in ("otsu", "kmeans"):
        segment.form["method"].value = method
        assert "Made labels" in run(qtbot, segment)
    seen = {layer.name: layer.visible for layer in viewer.layers}
    assert seen == {"1kV": True, "2kV": True, "labels otsu": False, "labels kmeans": True}


def test_the_slice_at_the_slider_must_be_one(qtbot, viewer, segment):
    add(viewer, Stack(np.zeros((50, 4, 4), np.uint8), SPACING, 4.0), "far", visible=False)
    viewer.dims.set_point(0, 400)
    segment.form["method"].value = "otsu"
    segment.live.box.setChecked(True)
    wait_for(qtbot, segment.live.told, "slider stands outside 1kV")
    segment.images.item(2).setCheckState(Qt.CheckState.Unchecked)  # of another shape
    for _ in range(2):
        viewer.dims.set_point(0, 20)
        wait_for(qtbot, segment.live.told, "Slice 2:")
        assert viewer.layers["preview labels"].visible
        viewer.dims.set_point(0, 400)
        wait_for(qtbot, segment.live.told, "slider stands outside 1kV")
        assert "preview labels" not in viewer.layers


def test_weights_are_chosen_by_name_or_as_a_file(segment, tmp_path, monkeypatch):
    weights = segment.form["weights"]
    assert weights.value == "gold-epoxy"
    path = tmp_path / "silver" / "segmentation.safetensors"
    segment.offer_weights(path)
    assert weights.value == "gold-epoxy"
    assert str(path) in weights.choices
    segment.offer_weights(tmp_path / "surrogate.safetensors")
    assert len([name for name in weights.choices if name.endswith(".safetensors")]) == 1
    other = str(tmp_path / "other.safetensors")
    monkeypatch.setattr("porescope.viewer.form.ask_file", lambda *_: [other])
    segment.form._files["weights"].changed.emit(True)
    assert segment.form.values()["weights"] == other
    assert {"auto", "montecarlo"} < set(WeightsOf("surrogate", ("auto", "montecarlo")).names())


def test_only_weights_that_fit_the_method_are_offered(qtbot, segment, tmp_path):
    method, weights = segment.form["method"], segment.form["weights"]
    assert set(weights.choices) == {"gold-epoxy", "carbon-vacuum"}
    weights.value = "carbon-vacuum"
    method.value = "vote"
    assert weights.value == "carbon-vacuum"
    method.value = "early-fusion"
    assert weights.choices == ("gold-epoxy",)
    for alone in ("unet", "unet3d", "intermediate-fusion"):
        method.value = alone
        assert weights.choices == ()
        assert "none ship" in weights.native.placeholderText()
        assert f"No weights for {alone} ship" in run(qtbot, segment)
    method.value = "late-fusion"
    assert weights.value == "gold-epoxy"
    path = tmp_path / "silver" / "segmentation.safetensors"
    segment.offer_weights(path)
    method.value = "unet3d"
    assert weights.choices == (str(path),)


def test_the_check_shows_a_map_and_the_worst_slice_first(qtbot, session):
    viewer = ViewerModel()
    labels = phases(8)
    add(viewer, image_of(labels), "1kV")
    panel = made(qtbot, viewer, CheckPanel(viewer, session, find_step("check")))
    assert "no labels yet" in run(qtbot, panel)
    spoilt = labels.copy()
    spoilt[2, 5:25, 5:25] = 1 - spoilt[2, 5:25, 5:25]
    add(viewer, Stack(spoilt, SPACING, is_labels=True), "labels")
    for name, value in {"imaging": "montecarlo", "interpolation": "hold", "electrons": 8}.items():
        panel.form[name].value = value
    assert "Made disagreement 1kV, labels from" in run(qtbot, panel)
    shown = viewer.layers["disagreement 1kV, labels"]
    assert shown.visible
    assert [panel.images.item(row).text() for row in range(panel.images.count())] == ["1kV"]
    assert viewer.layers["1kV"].visible
    assert panel.scores.item(0, 0).text() == "misfit of the physics check, %"
    assert not panel.curves.isHidden()
    click(qtbot, panel.worst)
    assert "Slice 2:" in panel.runner.message.text()
    assert viewer.dims.point[0] == 20
    click(qtbot, panel.worst)
    assert "Slice 2:" not in panel.runner.message.text()


def judged(qtbot, session, viewer):
    """The check's panel, quick, in a window with two segmentations."""
    labels = phases()
    for name in ("labels otsu", "labels forest"):
        add(viewer, Stack(labels, SPACING, is_labels=True), name)
    panel = made(qtbot, viewer, CheckPanel(viewer, session, find_step("check")))
    for name, value in {"imaging": "montecarlo", "interpolation": "hold", "electrons": 2}.items():
        panel.form[name].value = value
    return panel


def test_the_labels_that_were_chosen_stay_chosen(qtbot, session, viewer):
    panel = judged(qtbot, session, viewer)
    assert panel.labels.currentText() == "labels forest"
    panel.labels.setCurrentText("labels otsu")
    panel.labels.activated.emit(panel.labels.currentIndex())
    assert "Made disagreement" in run(qtbot, panel)
    assert panel.labels.currentText() == "labels otsu"
    add(viewer, Stack(phases(), SPACING, is_labels=True), "labels kmeans")
    assert panel.labels.currentText() == "labels otsu"
    viewer.layers.remove("labels otsu")
    assert panel.labels.currentText() == "labels kmeans"


def test_disagreements_are_named_by_their_labels_and_seen_one_at_a_time(qtbot, session, viewer):
    panel = judged(qtbot, session, viewer)
    run(qtbot, panel)
    panel.labels.setCurrentText("labels otsu")
    run(qtbot, panel)
    seen = {layer.name: layer.visible for layer in viewer.layers if "disag" in layer.name}
    assert seen == {
        "disagreement 1kV, forest": False,
        "disagreement 2kV, forest": False,
        "disagreement 1kV, otsu": True,
        "disagreement 2kV, otsu": False,
    }


def test_the_neural_simulator_follows_the_slider(qtbot, session):
    viewer = ViewerModel()
    solid = np.repeat(phases(10), 4, axis=0)
    add(viewer, Stack(solid, (3, 3, 3), is_labels=True), "fibres")
    panel = made(qtbot, viewer, SimulatePanel(viewer, session))
    panel.setVisible(True)
    assert panel.form._rows["surrogate"].native.isHidden()
    panel.by.setCurrentText("neural simulator")
    assert not panel.form._rows["surrogate"].native.isHidden()
    surrogate = panel.form["surrogate"]
    assert surrogate.choices == ("auto", "default", "gold-epoxy"), "none would contradict"
    assert surrogate.value == "auto"
    panel.form["materials"].value = "0=vacuum, 1=carbon"
    panel.secondaries.setChecked(True)
    panel.live.setChecked(True)
    wait_for(qtbot, panel.told, "by the neural simulator")
    bse, se = viewer.layers["preview all-BSE"], viewer.layers["preview SE"]
    assert bse.data.shape == se.data.shape == (1, 40, 40)
    viewer.dims.set_point(0, 30)
    wait_for(qtbot, panel.told, "Plane at 31.5 nm")
    surface = solid[10].astype(bool)
    assert bse.data[0][surface].mean() > bse.data[0][~surface].mean() + 20
    panel.form["materials"].value = "0=vacuum, 1=gold"
    wait_for(qtbot, panel.told, "No weights of the neural simulator fit")
    panel.form["materials"].value = "0=vacuum, 1=carbon"
    panel.form["beam_kv"].value = "3"
    wait_for(qtbot, panel.told, "not 3")


def a_sample(folder, seed):
    """A folder of one voltage with labels of its slices."""
    truth = phases(edge=48, seed=seed)
    write_stack(folder / "1kV.ome.tif", image_of(truth, seed=seed))
    write_stack(folder / "labels.ome.tif", Stack(truth, SPACING, is_labels=True))
    return str(folder)


@pytest.fixture
def train(qtbot, session, tmp_path):
    panel = TrainPanel(ViewerModel(), session)
    qtbot.addWidget(panel)
    set_up(panel, tmp_path)
    return panel


def set_up(panel, tmp_path):
    small = {"channels": 2, "slices": 1, "patch_px": 32, "batch_size": 8, "epochs": 2}
    for name, value in small.items():
        panel.form[name].value = value
    panel.inputs.addItems([a_sample(tmp_path / f"sample-{seed}", seed) for seed in (1, 2)])
    panel.out.setText(str(tmp_path / "silver"))


def test_what_is_missing_is_said(qtbot, train, tmp_path):
    assert train.training.count() >= 3
    train.form["slices"].value = 4
    assert "odd number" in run(qtbot, train)
    train.out.setText("")
    assert "Name the folder" in run(qtbot, train)
    train.out.setText(str(tmp_path / "silver"))
    train.inputs.clear()
    assert "Add what to learn from" in run(qtbot, train)


def test_a_file_is_no_folder_for_weights(qtbot, train, tmp_path):
    (tmp_path / "notes.txt").write_text("gold")
    for place in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "silver"):
        train.runner.say("Wrote weights.")
        train.out.setText(str(place))
        train.out.editingFinished.emit()
        assert run(qtbot, train).startswith(f"Cannot write weights to {place}: ")


def test_each_training_has_its_own_parameters_the_common_ones_folded_away(train):
    train.setVisible(True)
    first, others = train._forms["segmentation"]
    assert {"architecture", "epochs"} <= set(first.values())
    assert {"learning_rate", "seed"} <= set(others.values())
    assert others["learning_rate"].value == 0.001
    assert others.container.native.isHidden()
    train.more.setChecked(True)
    assert not others.container.native.isHidden()
    train.training.setCurrentText("interpolation")
    assert train._listed.isHidden()
    assert "epochs" in train.form.values()


def test_folders_can_be_dropped(train, tmp_path):
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    event = QDropEvent(
        QPointF(1, 1), Qt.DropAction.CopyAction, dropped,
        Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    train.inputs.dropEvent(event)
    assert train.inputs.paths()[-1] == tmp_path
    train.inputs.dropEvent(event)
    assert train.inputs.paths().count(tmp_path) == 1, "what is listed already is not listed again"
    train.inputs.setCurrentRow(train.inputs.count() - 1)
    train.inputs._remove()
    assert tmp_path not in train.inputs.paths()


def test_a_training_is_watched_cancelled_continued_and_stopped(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer()
    panel = open_dock(viewer, "train")
    set_up(panel, tmp_path)
    folder = tmp_path / "silver"
    panel.form["epochs"].value = 10_000
    panel._timer.setInterval(100)

    def epochs():
        return max((len(each.validation) for each in read_losses(folder)), default=0)

    def drawn():
        losses = panel.progress._shown[0] if panel.progress._shown else []
        return max((len(each.validation) for each in losses), default=0)

    click(qtbot, panel.runner.run_button)
    qtbot.wait_until(lambda: drawn() >= 2, timeout=PATIENCE_MS)
    assert set(read_pictures(folder)) == {"image", "truth", "prediction"}
    start = time.monotonic()
    click(qtbot, panel.runner.cancel_button)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert time.monotonic() - start < 20  # two seconds where nothing else runs
    assert "finished epochs are kept" in panel.runner.message.text()
    before = epochs()
    assert before >= 2

    (folder / "stop").touch()  # left by an earlier try
    click(qtbot, panel.runner.run_button)
    qtbot.wait_until(lambda: drawn() >= before + 2, timeout=PATIENCE_MS)
    click(qtbot, panel.stop)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert "it can be chosen" in panel.runner.message.text()
    assert panel.scores.rowCount() > 0
    dock = viewer.window.dock_widgets[NAME]
    weights = dock.panels["segment"].form["weights"]
    assert str(folder / "segmentation.safetensors") in weights.choices
    assert "holds finished weights" in run(qtbot, panel)


def test_a_network_segments_in_the_preview_as_in_the_whole_stack(qtbot, session, viewer, tmp_path):
    from porescope.pipeline.trainings.training import find_training, run_training

    training = find_training("segmentation")
    small = {"channels": 2, "slices": 3, "patch_px": 32, "batch_size": 8, "epochs": 1}
    samples = [tmp_path / f"sample-{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(samples, start=1):
        a_sample(folder, seed)
    run_training(training, samples, tmp_path / "silver", training.parse(small))
    segment = made(qtbot, viewer, SegmentPanel(viewer, session, find_step("segment")))
    assert segment.images.item(1).text() == "2kV"  # which these networks do not know
    segment.images.item(1).setCheckState(Qt.CheckState.Unchecked)
    path = tmp_path / "silver" / training.file
    segment.offer_weights(path)
    segment.form["weights"].value = str(path)
    viewer.dims.set_point(0, 50)
    segment.live.box.setChecked(True)
    wait_for(qtbot, segment.live.told, "Slice 5:")
    seen = viewer.layers["preview labels"].data[0].copy()
    assert "Made probability, labels" in run(qtbot, segment)
    assert np.array_equal(viewer.layers[f"labels {segment.form['method'].value}"].data[5], seen)
    assert not viewer.layers["probability"].visible
    assert viewer.layers["1kV"].visible


PREVIEWS = """
import sys
import numpy as np
from porescope import Stack
from porescope.pipeline.catalogue.segment import SegmentParameters
from porescope.pipeline.simulation import SimulationParameters
from porescope.viewer.learn import segmentation
from porescope.viewer.simulate import simulation

grey = Stack(np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8), (5, 5, 5), 1.0)
question = segmentation.Question((grey,), SegmentParameters(method="unet-adjacent"), None, 0, 1)
segmentation.Preview().answer(question, lambda: False)
solid = Stack((grey.data > 127).astype(np.uint8), (3, 3, 3), is_labels=True)
neural = SimulationParameters(surrogate="default", materials="0=vacuum, 1=carbon")
subject = simulation.Subject(solid, (3, 3, 3), (0, 0, 0), neural)
simulation.Preview().look(simulation.Shot(subject, 1.5, 1.0))
print(*sys.modules)
"""


def test_previews_import_networks_but_nothing_that_trains_or_compiles_them():
    # With CUDA that brings triton, whose LLVM and that of Mesa end the window's process.
    done = subprocess.run([sys.executable, "-c", PREVIEWS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert "torch" in modules
    assert not modules & {"lightning", "torch._dynamo", "triton"}


def an_array_alone():
    file = io.BytesIO()
    np.save(file, np.zeros((3, 3)))
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04pickle", b"epoch,training_loss\nx,y\n", an_array_alone()]
)
def test_foreign_files_in_the_folder_are_not_watched(tmp_path, content):
    for name in ("metrics.csv", "preview.npz"):
        (tmp_path / name).write_bytes(content)
    assert read_pictures(tmp_path) == {}
    assert [each for each in read_losses(tmp_path) if each.training or each.validation] == []
