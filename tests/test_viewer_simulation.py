"""The Simulate section: a preview that sharpens while the slider stands, and whole stacks."""

import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from porescope import Stack
from porescope.errors import Cancelled, PorescopeError
from porescope.geometry import Primitives, voxelize
from porescope.imaging import simulate_monte_carlo

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QPoint, Qt, QTimer

from porescope.pipeline.sample_results import Shown, show_primitives
from porescope.pipeline.simulation import SimulationParameters, below, simulate_stack
from porescope.viewer.dock import Dock, open_dock
from porescope.viewer.layers import from_layer, to_layer_data
from porescope.viewer.simulate import simulation
from porescope.viewer.simulate.sample_layers import can_be_sampled, sample_layer
from porescope.viewer.simulate.simulate_panel import SimulatePanel
from porescope.viewer.simulate.simulation import Preview, Shot, Subject, can_be_imaged, subject

PATIENCE_MS = 60_000
SHAPE = (24, 20, 16)


@pytest.fixture
def viewer():
    return ViewerModel()


def spheres():
    random = np.random.default_rng(1)
    return Primitives(
        spheres=np.column_stack([random.uniform(0, 24, (40, 3)), random.uniform(2, 4, 40)]),
        shape=SHAPE,
    )


def sample_of(voxel_nm=5.0, most_voxels=10**9, name="spheres"):
    stack, shown = show_primitives(spheres(), voxel_nm, most_voxels)
    return Layer.create(*sample_layer(stack.with_data(np.asarray(stack.data)), name, shown))


def labels_of(data, spacing_nm=(5, 5, 5), name="labels", **facts):
    stack = Stack(data, spacing_nm, is_labels=True, **facts)
    return Layer.create(*to_layer_data(stack, name))


def bulk_shot(electrons, shape=SHAPE, **parameters):
    stack = Stack(np.ones(shape, np.uint8), (10, 10, 10), is_labels=True)
    asked = SimulationParameters(electrons=electrons, **parameters)
    return Shot(Subject(stack, stack.spacing_nm, (0, 0, 0), asked), 0.5, 2.0)


def sharpened(shot):
    preview = Preview()
    exposed = preview.look(shot)
    while not exposed.finished:
        exposed = preview.sharpen(exposed)
    return exposed


@pytest.fixture
def panel(qtbot, session, viewer):
    viewer.add_layer(sample_of())
    panel = SimulatePanel(viewer, session)
    qtbot.addWidget(panel)
    viewer.layers.events.inserted.connect(panel.reset_choices)
    viewer.layers.events.removed.connect(panel.reset_choices)
    panel.form["electrons"].value = 24
    return panel


def wait_for(qtbot, panel, text):
    qtbot.wait_until(lambda: text in panel.told.text(), timeout=PATIENCE_MS)
    return panel.told.text()


def preview(qtbot, panel, text="24 of 24"):
    panel.live.setChecked(True)
    return wait_for(qtbot, panel, text)


def run(qtbot, panel):
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    return panel.runner.message.text()


def previews(viewer):
    return [layer for layer in viewer.layers if layer.name.startswith("preview")]


def test_rounds_are_independent_and_add_up(monkeypatch):
    monkeypatch.setattr(simulation, "ELECTRONS_A_ROUND", 3 * 40 * 50)
    shot = bulk_shot(50, (24, 40, 50))
    exposed = sharpened(shot)
    assert exposed.electrons == 50
    few = sharpened(bulk_shot(3, (24, 40, 50)))
    # Thick gold is the same everywhere, so pixels differ by noise alone.
    (seen,), (noisy,) = exposed.signals.values(), few.signals.values()
    assert seen.var() / noisy.var() == pytest.approx(3 / 50, rel=0.2)
    expected = simulate_monte_carlo(
        np.ones((24, 8, 8), np.uint8),
        0.5,
        beam_kv=2.0,
        electrons=1000,
        voxel_nm=10,
        materials={1: "gold"},
        probe_nm=2.0,
        seed=5,
    )
    assert seen.mean() == pytest.approx(expected["bse"].mean(), abs=0.01)


def test_how_long_a_round_takes_changes_no_pixel(monkeypatch):
    monkeypatch.setattr(simulation, "ELECTRONS_A_ROUND", 5 * 16 * 20)
    images = []
    for seconds in (0.0, 1000.0):
        monkeypatch.setattr(simulation, "SHOWN_EVERY_S", seconds)
        images.append(sharpened(bulk_shot(17)).images["all-BSE"])
    assert np.array_equal(*images)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"dtype": "uint16"}, {"detector_noise": 0.1}, {"surrogate": "fast", "snr": 30.0}],
)
def test_a_preview_looks_as_the_stack_will(parameters):
    data = np.zeros((60, 30, 30), np.uint8)
    data[:, 10:20] = 1
    stack = Stack(data, (5, 5, 5), is_labels=True)
    asked = SimulationParameters(beam_kv=(1.0,), electrons=60, **parameters)
    exposed = sharpened(Shot(Subject(stack, stack.spacing_nm, (0, 0, 0), asked), 10.0, 1.0))
    told = asked.model_copy(update={"slices": 1, "first_nm": 50.0})
    (image,) = simulate_stack(stack, told).images[0].data
    shown = exposed.images["all-BSE"]
    white = np.iinfo(image.dtype).max
    for rows in (slice(2, 8), slice(12, 18)):
        assert shown[rows].mean() == pytest.approx(image[rows].mean(), abs=0.01 * white)
        assert shown[rows].std() == pytest.approx(image[rows].std(), rel=0.2)
    assert shown.min() >= 0
    assert shown.max() <= white
    assert np.array_equal(shown, np.rint(shown))


def test_the_first_look_has_few_electrons_in_large_pixels(monkeypatch):
    followed = []

    def counting(*arguments, **keywords):
        seen = simulate_monte_carlo(*arguments, **keywords)
        followed.append(keywords["electrons"] * seen["bse"].size)
        return seen

    monkeypatch.setattr(simulation, "simulate_monte_carlo", counting)
    exposed = Preview().look(bulk_shot(1000, (24, 301, 403)))
    (image,) = exposed.images.values()
    assert image.shape == (301, 403)
    assert exposed.electrons == 0
    assert sum(followed) <= 4 * (1 << 13)
    blocks = image[:300, :400].reshape(75, 4, 100, 4)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert np.unique(blocks).size > 2
    assert np.array_equal(image[300], image[299])


def test_rounds_stop_when_asked(monkeypatch):
    monkeypatch.setattr(simulation, "ELECTRONS_A_ROUND", 1)
    monkeypatch.setattr(simulation, "SHOWN_EVERY_S", 1000.0)
    preview, asked = Preview(), []
    look = preview.look(bulk_shot(10**6, (24, 4, 4)))

    def cancel():
        asked.append(True)
        return len(asked) > 10

    with pytest.raises(Cancelled):
        preview.sharpen(look, cancel)


@pytest.mark.parametrize("as_primitives", [False, True])
def test_a_sample_that_ends_too_close_below_is_told(as_primitives):
    """In words and numbers as a stack tells it."""
    sample = Stack(np.zeros((40, 12, 12), np.uint8), (10, 10, 10), is_labels=True)
    if as_primitives:
        sample = Primitives(spheres=[[20, 6, 6, 2]], shape=(40, 12, 12))
    asked = SimulationParameters(beam_kv=(1.0, 3.0), electrons=60, pixel_nm=10.0, slices=1)
    shared = [
        Subject(sample, (10, 10, 10), (0, 0, 0), asked.model_copy(update={"first_nm": z_nm}))
        for z_nm in (50.0, 250.0, 380.0)  # enough, barely enough for 3 kV, and too little below
    ]
    for imaged, plane_z in zip(shared, (5.0, 25.0, 38.0), strict=True):
        stack = simulate_stack(sample, imaged.parameters)
        for beam_kv, (expected,) in zip((1.0, 3.0), stack.transmitted.T, strict=True):
            exposed = sharpened(Shot(imaged, plane_z, beam_kv))
            assert exposed.transmitted == pytest.approx(expected, rel=0.1, abs=0.002)
            said = "The sample ends too close below: " in exposed.summary
            assert said == any(f"{beam_kv:g} kV: up to" in note for note in stack.notes)
            if said:
                assert f"{100 * exposed.transmitted:.1f} % of the electrons" in exposed.summary
    assert any(stack.notes)


def test_a_sample_is_made_ready_once(monkeypatch):
    made, original = [], below.electron_sample
    monkeypatch.setattr(
        below, "electron_sample", lambda *a, **k: made.append(1) or original(*a, **k)
    )
    preview, stack = Preview(), Stack(np.ones(SHAPE, np.uint8), (5, 5, 5), is_labels=True)

    def look(z, beam_kv, **parameters):
        asked = SimulationParameters(**parameters)
        preview.look(Shot(Subject(stack, stack.spacing_nm, (0, 0, 0), asked), z, beam_kv))

    for z in (10.5, 2.5, 20.5):
        for beam_kv in (1.0, 4.0):
            look(z, beam_kv)
    look(3.5, 2.0, tilt_deg=30.0)
    assert len(made) == 1
    look(3.5, 2.0, materials="1=copper")
    assert len(made) == 2
    look(3.5, 2.0, materials="1=copper", walls="periodic")
    assert len(made) == 3


def test_of_a_large_volume_the_planes_about_the_slider_are_taken(monkeypatch):
    data = np.random.default_rng(0).integers(0, 2, (80, 12, 12)).astype(np.uint8)
    data[40:] = 1
    stack = Stack(data, (10, 10, 10), is_labels=True)
    asked = SimulationParameters(electrons=400, beam_kv=(1.0,))
    shots = [Shot(Subject(stack, stack.spacing_nm, (0, 0, 0), asked), z, 1.0) for z in (3.5, 33.5)]
    whole = [sharpened(shot).signals["all-BSE"] for shot in shots]
    monkeypatch.setattr(below, "READY_VOXELS", 40 * 12 * 12)
    sizes, original = [], below.electron_sample
    monkeypatch.setattr(
        below,
        "electron_sample",
        lambda d, *a, **k: sizes.append(len(d)) or original(d, *a, **k),
    )
    for shot, expected in zip(shots, whole, strict=True):
        seen = sharpened(shot).signals["all-BSE"]
        assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.9
    assert sizes == [40, 40]


def test_where_a_sample_lies_and_how_large_it_is():
    layer = sample_of(most_voxels=12 * 10 * 8)
    layer.translate = (100, 10, 20)
    found = subject(layer, SimulationParameters())
    assert isinstance(found.sample, Primitives)
    assert found.voxel_nm == pytest.approx((5, 5, 5))
    assert found.parameters.pixel_nm == pytest.approx(5)
    # Shown voxels are twice as large, and so their centres lie half a unit further in.
    assert found.origin_nm == pytest.approx((97.5, 7.5, 17.5))
    labels = labels_of(np.zeros((3, 4, 5), np.uint8), (8, 2, 3), slice_z_nm=100 + 8 * np.arange(3))
    found = subject(labels, SimulationParameters())
    assert found.voxel_nm == (8, 2, 3)
    assert found.origin_nm == (100, 0, 0)
    assert found.pixel_nm == 3


def test_what_has_no_size_is_refused():
    layer = sample_of()
    with pytest.raises(PorescopeError, match="leave pixel"):
        subject(layer, SimulationParameters(pixel_nm=10))
    layer.units = ("pixel",) * 3
    with pytest.raises(PorescopeError, match="fill in pixel"):
        subject(layer, SimulationParameters())
    assert subject(layer, SimulationParameters(pixel_nm=10)).voxel_nm == pytest.approx((10,) * 3)
    layer.rotate = (0, 0, 30)
    with pytest.raises(PorescopeError, match="turned"):
        subject(layer, SimulationParameters(pixel_nm=10))
    uneven = labels_of(np.zeros((3, 4, 5), np.uint8), slice_z_nm=np.array([0.0, 5.0, 13.0]))
    with pytest.raises(PorescopeError, match="unevenly"):
        subject(uneven, SimulationParameters())
    with pytest.raises(PorescopeError, match="voxel size"):
        subject(Labels(np.zeros((3, 4, 5), np.uint8)), SimulationParameters())


def test_the_preview_follows_the_slider(qtbot, panel, viewer):
    viewer.dims.set_current_step(0, 3)
    assert preview(qtbot, panel) == "Plane at 17.5 nm, 2 kV: 24 of 24 electrons a pixel."
    for step in (3, 9):
        if step != 3:
            viewer.dims.set_current_step(0, step)
            wait_for(qtbot, panel, f"Plane at {5 * (step + 0.5):g} nm, 2 kV: 24 of 24")
        (layer,) = previews(viewer)
        assert layer.name == "preview all-BSE"
        assert tuple(layer.scale) == (5, 5, 5)
        assert tuple(layer.translate) == (5 * step, 0, 0)
        assert layer.units == viewer.layers["spheres"].units
        assert tuple(layer.contrast_limits) == (0, 255)
        solid = viewer.layers["spheres"].data[step] == 1
        (image,) = layer.data
        assert image[solid].mean() > image[~solid].mean() + 40
        assert not can_be_sampled(layer)


@pytest.mark.parametrize("most_voxels", [10**9, 12 * 10 * 8])
def test_the_preview_lies_on_its_sample(qtbot, panel, viewer, most_voxels):
    viewer.layers.clear()
    sample = viewer.add_layer(sample_of(most_voxels=most_voxels))
    sample.translate = (0, 30, -10)
    preview(qtbot, panel)
    (layer,) = previews(viewer)
    assert layer.data.shape == (1, 20, 16)
    for axis in (1, 2):
        ends = [
            [
                lies.translate[axis] + lies.scale[axis] * (end - 0.5)
                for end in (0, lies.data.shape[axis])
            ]
            for lies in (sample, layer)
        ]
        np.testing.assert_allclose(*ends)


def test_pixels_of_another_size(qtbot, panel, viewer):
    viewer.layers.clear()
    viewer.add_layer(labels_of(np.ones((8, 12, 12), np.uint8), (4, 4, 4)))
    panel.form["pixel_nm"].value = "6"
    preview(qtbot, panel)
    (layer,) = previews(viewer)
    assert layer.data.shape == (1, 8, 8)
    assert tuple(layer.scale) == (4, 6, 6)
    assert tuple(layer.translate[1:]) == (1, 1)
    panel.form["pixel_nm"].value = "4"
    qtbot.wait_until(lambda: layer.data.shape == (1, 12, 12), timeout=PATIENCE_MS)
    assert tuple(layer.scale) == (4, 4, 4)
    assert tuple(layer.translate[1:]) == (0, 0)


def test_a_change_of_a_parameter_is_seen(qtbot, panel, viewer):
    preview(qtbot, panel)
    (layer,) = previews(viewer)
    before = layer.data.copy()
    panel.beam_kv.setCurrentText("4")
    wait_for(qtbot, panel, "4 kV: 24 of 24")
    assert not np.array_equal(layer.data, before)
    panel.form["beam_kv"].value = "0.5, 3"
    assert [panel.beam_kv.itemText(row) for row in range(panel.beam_kv.count())] == ["0.5", "3"]
    wait_for(qtbot, panel, "3 kV: 24 of 24")
    panel.form["electrons"].value = 7
    wait_for(qtbot, panel, "7 of 7")
    panel.form["detector"].value = "SE"
    qtbot.wait_until(lambda: layer.name == "preview SE", timeout=PATIENCE_MS)
    panel.form["dtype"].value = "uint16"
    qtbot.wait_until(lambda: tuple(layer.contrast_limits) == (0, 65535), timeout=PATIENCE_MS)
    assert previews(viewer) == [layer]


def test_errors_are_sentences_and_pass(qtbot, panel, viewer):
    preview(qtbot, panel)
    panel.form["materials"].value = "0=epoxy, 1=unobtainium"
    wait_for(qtbot, panel, "no material 'unobtainium'")
    shown = viewer.layers["preview all-BSE"]
    assert not shown.visible, "it is of other materials"
    panel.form["materials"].value = "1=gold"
    wait_for(qtbot, panel, "label 0")
    panel.form["materials"].value = "0=epoxy, 1=SiO2:2.2"
    wait_for(qtbot, panel, "24 of 24")
    assert shown.visible
    assert shown in viewer.layers
    panel.secondaries.setChecked(True)
    wait_for(qtbot, panel, "how many secondary electrons SiO2:2.2 gives")
    panel.secondaries.setChecked(False)
    wait_for(qtbot, panel, "24 of 24")
    panel.form["snr"].value = "1000"
    wait_for(qtbot, panel, "A signal-to-noise ratio of 1000 takes")
    panel.form["snr"].value = ""
    viewer.add_labels(np.zeros((100, 4, 4), np.uint8), name="deep", scale=(5, 5, 5))
    panel.sample.setCurrentText("spheres")
    wait_for(qtbot, panel, "24 of 24")
    viewer.dims.set_current_step(0, 60)
    wait_for(qtbot, panel, "outside spheres")
    viewer.dims.set_current_step(0, 6)
    wait_for(qtbot, panel, "24 of 24")


@pytest.fixture
def endless(monkeypatch):
    """Let no round end before it is dropped; return the events of both."""
    begun, dropped = threading.Event(), threading.Event()

    def never_ends(self, exposed, cancel):
        begun.set()
        while not cancel():
            time.sleep(0.001)
        dropped.set()
        raise Cancelled

    monkeypatch.setattr(Preview, "sharpen", never_ends)
    return begun, dropped


def test_what_is_under_way_is_dropped(qtbot, panel, viewer, endless):
    begun, dropped = endless
    panel.live.setChecked(True)
    for change in (
        lambda: viewer.dims.set_current_step(0, 2),
        lambda: panel.beam_kv.setCurrentText("1"),
        lambda: setattr(panel.form["tilt_deg"], "value", 20),
        lambda: panel.secondaries.setChecked(True),
        lambda: panel.live.setChecked(False),
    ):
        qtbot.wait_until(begun.is_set, timeout=PATIENCE_MS)
        begun.clear()
        assert not dropped.is_set()
        change()
        qtbot.wait_until(dropped.is_set, timeout=PATIENCE_MS)
        dropped.clear()
    assert "nothing was written" not in panel.told.text()


def test_while_a_parameter_is_being_typed_nothing_is_imaged(qtbot, panel, endless):
    begun, dropped = endless
    panel.live.setChecked(True)
    qtbot.wait_until(begun.is_set, timeout=PATIENCE_MS)
    begun.clear()
    panel._settled.setInterval(10 * PATIENCE_MS)
    panel.form["materials"].value = "0=epoxy, 1=g"
    qtbot.wait_until(dropped.is_set, timeout=PATIENCE_MS)
    panel.form["materials"].value = "0=epoxy, 1=gold"
    qtbot.wait(50)
    assert not begun.is_set()
    assert "no material" not in panel.told.text()
    panel.live.setChecked(False)


def test_the_window_lives_while_a_sample_is_made_ready(qtbot, panel, monkeypatch):
    begun, go_on, original = threading.Event(), threading.Event(), below.electron_sample

    def slow(*arguments, **keywords):
        begun.set()
        assert go_on.wait(PATIENCE_MS / 1000)
        return original(*arguments, **keywords)

    monkeypatch.setattr(below, "electron_sample", slow)
    panel.live.setChecked(True)
    qtbot.wait_until(begun.is_set, timeout=PATIENCE_MS)
    ticks = []
    QTimer.singleShot(0, lambda: ticks.append(True))
    qtbot.wait_until(lambda: bool(ticks), timeout=PATIENCE_MS)
    assert panel.told.text() == "Making the sample ready."
    go_on.set()
    wait_for(qtbot, panel, "24 of 24")


def test_secondaries_side_by_side(qtbot, panel, viewer):
    panel.secondaries.setChecked(True)
    preview(qtbot, panel)
    assert [layer.name for layer in previews(viewer)] == ["preview all-BSE", "preview SE"]
    assert viewer.canvas.grid.enabled
    panel.secondaries.setChecked(False)
    qtbot.wait_until(lambda: len(previews(viewer)) == 1, timeout=PATIENCE_MS)
    assert not viewer.canvas.grid.enabled
    assert panel.live.isChecked()


def test_paint_is_seen_by_the_next_preview(qtbot, panel, viewer):
    viewer.layers.clear()
    labels = viewer.add_layer(labels_of(np.zeros((60, 10, 10), np.uint8)))
    viewer.dims.set_current_step(0, 0)
    preview(qtbot, panel)
    dim = previews(viewer)[0].data.mean()
    panel.live.setChecked(False)
    labels.data[:] = 1
    panel.told.say(None)
    preview(qtbot, panel)
    assert previews(viewer)[0].data.mean() > dim + 40


def test_fast_imaging_has_its_fields_and_no_secondaries(qtbot, panel, viewer):
    panel.secondaries.setChecked(True)
    panel.by.setCurrentText("fast imaging")
    assert panel.secondaries.isHidden()
    hidden = {"surrogate", "tilt_deg", "detector"}
    shown = {name for name in SimulationParameters.model_fields if panel.form[name].visible}
    assert not hidden & shown
    assert "by fast imaging" in preview(qtbot, panel, "fast imaging")
    assert len(previews(viewer)) == 1


def test_layers_may_go_at_any_time(qtbot, panel, viewer):
    preview(qtbot, panel)
    viewer.layers.remove("preview all-BSE")
    assert not panel.live.isChecked()
    preview(qtbot, panel)
    assert len(previews(viewer)) == 1
    viewer.layers.remove("spheres")
    assert not panel.live.isChecked()
    assert panel.told.text() == ""
    panel.live.setChecked(True)
    assert "There is no sample" in panel.told.text()
    assert "There is no sample" in run(qtbot, panel)


def test_a_sample_that_goes_while_it_is_imaged(qtbot, panel, viewer):
    panel.live.setChecked(True)
    viewer.layers.remove("spheres")
    qtbot.wait(200)
    assert not viewer.layers


@pytest.mark.parametrize("show", [can_be_imaged, can_be_sampled, from_layer])
def test_layers_are_asked_for_what_is_public_alone(show):
    """As a window hands them to a plugin."""
    for layer in (sample_of(), labels_of(np.ones(SHAPE, np.uint8))):
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            assert show(PublicOnlyProxy(layer))


def test_a_sample_that_was_just_made_is_chosen(qtbot, panel, viewer):
    viewer.add_layer(labels_of(np.ones(SHAPE, np.uint8)))
    assert panel.sample.currentText() == "spheres"
    viewer.add_layer(sample_of(name="cubes"))
    assert panel.sample.currentText() == "cubes"
    panel.sample.setCurrentText("labels")
    viewer.add_layer(labels_of(np.ones(SHAPE, np.uint8), name="others"))
    assert panel.sample.currentText() == "labels"
    viewer.add_layer(sample_of(name="cylinders"))
    assert panel.sample.currentText() == "cylinders"


def test_only_samples_are_offered(qtbot, panel, viewer):
    viewer.add_image(np.zeros((4, 5, 6)), name="image")
    viewer.add_labels(np.zeros((5, 6), np.uint8), name="flat")
    surface = np.array([[0, 0, 0], [5, 0, 0], [5, 4, 4]], np.float32), np.array([[0, 1, 2]])
    stack = Stack(np.ones((40, 5, 5), np.uint8), (4, 4, 4), is_labels=True)
    viewer.add_layer(Layer.create(*sample_layer(stack, "surface", Shown(surface=surface))))
    offered = [panel.sample.itemText(row) for row in range(panel.sample.count())]
    assert offered == ["surface", "spheres"]
    viewer.dims.ndisplay = 3
    panel.sample.setCurrentText("surface")
    preview(qtbot, panel)
    assert viewer.dims.ndisplay == 2


def test_stacks_become_layers_where_the_sample_is(qtbot, panel, viewer):
    sample = viewer.layers["spheres"]
    sample.translate = (50, 10, 20)
    panel.form["beam_kv"].value = "1, 3"
    panel.form["electrons"].value = 30
    panel.form["slices"].value = "3"
    preview(qtbot, panel, "30 of 30")
    viewer.dims.set_current_step(0, 20)
    said = run(qtbot, panel)
    assert said.startswith("Made 1kV simulated, 3kV simulated, truth: 3 slices.")
    assert "The sample ends too close below" in said
    assert not panel.live.isChecked()
    visible = [layer.name for layer in viewer.layers if layer.visible]
    assert visible == ["1kV simulated", "3kV simulated"]
    expected = simulate_stack(
        spheres(), {"beam_kv": (1, 3), "electrons": 30, "slices": 3, "pixel_nm": 5.0}
    )
    for name, stack in zip(visible, expected.images, strict=True):
        layer = viewer.layers[name]
        assert isinstance(layer, Image)
        assert np.array_equal(layer.data, stack.data)
        assert tuple(layer.scale) == pytest.approx((10.16, 5, 5))
        assert tuple(layer.translate) == pytest.approx((50, 10, 20))
        assert [f"{unit:~}" for unit in layer.units] == ["nm"] * 3
        np.testing.assert_allclose(from_layer(layer).slice_z_nm, stack.slice_z_nm + 50)
    truth = viewer.layers["truth"]
    assert np.array_equal(truth.data, voxelize(spheres(), SHAPE)[: len(truth.data)])
    assert tuple(truth.translate) == (50, 10, 20)
    low, high = viewer.layers["1kV simulated"].extent.world[:, 0]
    assert low <= viewer.dims.point[0] <= high


@pytest.mark.parametrize("secondaries", [False, True])
def test_after_a_run_the_preview_comes_back_before_the_stacks(qtbot, panel, viewer, secondaries):
    panel.form["slices"].value = "2"
    panel.secondaries.setChecked(secondaries)
    preview(qtbot, panel)
    shown = previews(viewer)
    assert "Made" in run(qtbot, panel)
    assert not any(layer.visible for layer in shown)
    panel.told.say(None)
    preview(qtbot, panel)
    assert previews(viewer) == list(viewer.layers)[-len(shown) :] == shown
    assert all(layer.visible for layer in shown)
    assert viewer.canvas.grid.enabled == secondaries
    # What the user hides while the preview runs stays hidden, until there is another sample.
    shown[0].visible = False
    viewer.dims.set_current_step(0, 2)
    wait_for(qtbot, panel, "Plane at 12.5 nm, 2 kV: 24 of 24")
    assert not shown[0].visible
    viewer.add_layer(sample_of(name="others"))
    panel.sample.setCurrentText("others")
    qtbot.wait_until(lambda: shown[0].visible, timeout=PATIENCE_MS)
    assert list(viewer.layers)[-len(shown) :] == shown


def test_a_run_that_is_cancelled_leaves_nothing(qtbot, panel, viewer, session):
    panel.form["electrons"].value = 1_000_000
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    assert panel.runner.running
    qtbot.wait(300)
    qtbot.mouseClick(panel.runner.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert panel.runner.message.text() == "Cancelled; nothing was written."
    assert [layer.name for layer in viewer.layers] == ["spheres"]
    assert not list(session.new_folder().parent.glob("*"))


def test_what_makes_no_sense_is_said(qtbot, panel, viewer):
    panel.form["slices"].value = "1000"
    assert "outside the sample" in run(qtbot, panel)
    panel.form["beam_kv"].value = "1, 1"
    assert "named twice" in run(qtbot, panel)
    assert len(viewer.layers) == 1


def test_the_section_opens_from_the_menus(make_napari_viewer):
    viewer = make_napari_viewer()
    assert isinstance(open_dock(viewer, "simulate"), SimulatePanel)


def test_the_button_and_what_is_said_are_in_the_window(qtbot, viewer):
    viewer.add_layer(sample_of())
    dock = Dock(viewer)
    qtbot.addWidget(dock)
    dock.resize(330, 850)  # of a window of 1500 x 950
    dock.show()
    dock.reset_choices()
    panel = dock.open_section("simulate")
    panel.told.say("A sentence. " * 15)
    panel.runner.bar.setVisible(True)
    panel.runner.say("A sentence. " * 15)
    qtbot.wait(200)  # until all is laid out
    seen = dock.viewport().rect()
    for part in (panel.told, panel.runner.run_button, panel.runner.bar, panel.runner.message):
        place = part.rect().translated(part.mapTo(dock.viewport(), QPoint()))
        assert place.height() > 0
        assert seen.contains(place)


def test_closing_the_dock_during_a_preview(qtbot, viewer):
    dock = Dock(viewer)
    viewer.add_layer(sample_of())
    dock.reset_choices()
    panel = dock.open_section("simulate")
    panel.form["electrons"].value = 10**6
    preview(qtbot, panel, "electrons a pixel")
    dock.deleteLater()
    qtbot.wait(100)
    viewer.dims.set_current_step(0, 7)
    qtbot.wait(100)
    assert len(previews(viewer)) == 1
