"""The section Inspect, driven by clicks in the real window."""

import os
import sys
import time

import dask.array as da
import numpy as np
import pytest

from porescope import Stack
from porescope.errors import PorescopeError

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.layers import Layer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QScrollArea

from porescope.measure.differences import FALSE_PORE, FALSE_SOLID
from porescope.viewer.dock import open_dock
from porescope.viewer.inspect.figure import free_path, take_figure, write_figure
from porescope.viewer.inspect.inspect_panel import SECTIONS, InspectPanel
from porescope.viewer.inspect.section_images import Cuts
from porescope.viewer.inspect.sections import CURSOR
from porescope.viewer.inspect.side_by_side import OWN, RELATIVE, SAME
from porescope.viewer.inspect.worst_places import MARK
from porescope.viewer.layers import map_layer, to_layer_data
from porescope.viewer.panels import NOTHING
from porescope.viewer.readers import labels_layer

PATIENCE_MS = 60_000
SHAPE = (12, 40, 50)
SPACING_NM = (10.0, 5.0, 5.0)
Z_NM = np.cumsum([0, 10, 14, 6, 10, 12, 8, 10, 30, 10, 10, 10.0])


def a_stack(seed=0, lazy=False, **more):
    data = np.random.default_rng(seed).integers(20, 230, SHAPE).astype(np.uint8)
    data = da.from_array(data, chunks=(1, -1, -1)) if lazy else data
    return Stack(data=data, spacing_nm=SPACING_NM, slice_z_nm=Z_NM, beam_kv=1.0 + seed, **more)


def some_labels(data, **more):
    return Stack(
        data=data, spacing_nm=SPACING_NM, slice_z_nm=Z_NM[: len(data)], is_labels=True, **more
    )


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def panel(viewer, session):
    """The section by itself; the whole dock takes longer to make."""
    panel = InspectPanel(viewer, session)
    area = QScrollArea()
    area.setWidget(panel)
    area.setWidgetResizable(True)
    viewer.window.add_dock_widget(area, name="Inspect", area="right")

    def follow(event):
        panel.reset_choices()

    for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
        emitter.connect(follow)
    yield panel
    for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
        emitter.disconnect(follow)


def add(viewer, stack, name):
    make = labels_layer if stack.is_labels else to_layer_data
    return viewer.add_layer(Layer.create(*make(stack, name)))


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def ended(qtbot, runner):
    qtbot.wait_until(lambda: not runner.running, timeout=PATIENCE_MS)


def sections_of(viewer):
    return viewer.window.dock_widgets[SECTIONS]


def opened_sections(qtbot, viewer, panel):
    """The cross-sections, once they show all they are to show."""
    viewer.window.resize(1200, 800)
    panel.cross_sections.setChecked(True)
    sections = sections_of(viewer)
    qtbot.wait_until(lambda: sections.xz.picture is not None, timeout=PATIENCE_MS)
    settle(qtbot, sections)
    return sections


def settle(qtbot, sections):
    qtbot.wait_until(lambda: sections.up_to_date, timeout=PATIENCE_MS)


def greys(section):
    return section.picture[..., 0].astype(int)


def expected_cut(data, frame, axis, at, layer):
    """What a section is to show, voxel by voxel."""
    low, high = layer.contrast_limits
    picture = np.zeros((len(frame.z_nm), len(frame.along_nm)), int)
    for row, z_nm in enumerate(frame.z_nm):
        z = np.abs(Z_NM - z_nm).argmin()
        for column, along_nm in enumerate(frame.along_nm):
            index = round(along_nm / 5)
            if 0 <= index < SHAPE[3 - axis]:
                value = data[z, at[0], index] if axis == 1 else data[z, index, at[1]]
                picture[row, column] = 255 * np.clip((value - low) / (high - low), 0, 1)
    return picture


@pytest.mark.parametrize("lazy", [False, True])
def test_sections_cut_through_the_cursor_at_true_scale(qtbot, viewer, panel, lazy):
    stack = a_stack(lazy=lazy)
    layer = add(viewer, stack, "1kV")
    layer.contrast_limits = (20, 230)
    viewer.dims.set_point((1, 2), (100, 60))
    sections = opened_sections(qtbot, viewer, panel)
    data = np.asarray(stack.data)
    for section, axis in ((sections.xz, 1), (sections.yz, 2)):
        expected = expected_cut(data, section.frame, axis, (20, 12), layer)
        assert np.abs(greys(section) - expected).max() <= 2
        steps = np.diff(section.frame.z_nm), np.diff(section.frame.along_nm)
        assert np.ptp(np.concatenate(steps)) < 1e-6  # as deep as wide
    assert np.ptp(sections.xz.frame.z_nm) == pytest.approx(Z_NM[-1] + 10, rel=0.1)

    viewer.dims.set_point((1, 2), (175, 30))
    settle(qtbot, sections)
    expected = expected_cut(data, sections.xz.frame, 1, (35, 6), layer)
    assert np.abs(greys(sections.xz) - expected).max() <= 2


def test_a_click_in_a_section_moves_the_cursor_of_all_views(qtbot, viewer, panel):
    add(viewer, a_stack(), "1kV")
    sections = opened_sections(qtbot, viewer, panel)
    place = np.array([Z_NM[8] + 1.0, 100.0, 180.0])
    x, y = sections.xz.position_px(place)
    qtbot.mouseClick(sections.xz, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    step = viewer.dims.current_step
    assert step[0] == 8  # napari draws it at 80 nm, but it was cut elsewhere
    assert abs(step[2] - 36) <= 1
    x, y = sections.yz.position_px(np.array([Z_NM[2], 40.0, 0.0]))
    qtbot.mouseClick(sections.yz, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    assert viewer.dims.current_step[0] == 2
    assert abs(viewer.dims.current_step[1] - 8) <= 1
    settle(qtbot, sections)
    lines = viewer.layers[CURSOR].data * viewer.layers[CURSOR].scale
    assert lines[0, 0, 0] == pytest.approx(viewer.dims.point[1])
    assert lines[1, 0, 1] == pytest.approx(viewer.dims.point[2])


def test_sections_follow_layers_and_the_zoom(qtbot, viewer, panel):
    labels = np.zeros(SHAPE, np.uint8)
    add(viewer, a_stack(), "1kV")
    painted = add(viewer, some_labels(labels), "labels")
    sections = opened_sections(qtbot, viewer, panel)
    grey = greys(sections.xz).copy()
    assert np.ptp(sections.xz.picture[..., :3], axis=-1).max() == 0

    row = viewer.dims.current_step[1]
    z, x = (indices.ravel() for indices in np.indices((SHAPE[0], SHAPE[2])))
    painted.data_setitem((z, np.full_like(z, row), x), 1)
    settle(qtbot, sections)
    assert np.ptp(sections.xz.picture[..., :3], axis=-1).max() > 50  # amber
    painted.visible = False
    settle(qtbot, sections)
    np.testing.assert_array_equal(greys(sections.xz), grey)

    wide = np.ptp(sections.xz.frame.along_nm)
    viewer.scene.camera.zoom *= 5
    viewer.scene.camera.center = (0, 150, 200)
    settle(qtbot, sections)
    assert sections.xz.frame.pixel_nm < wide / 300
    assert abs(sections.yz.frame.along_nm.mean() - 150) < 30


def test_sections_show_layers_of_other_depth_where_they_lie(qtbot, viewer, panel):
    layer = add(viewer, a_stack(), "1kV")
    layer.contrast_limits = (0, 1)  # all white
    deep = np.ones((9, 40, 50), np.uint8)
    stack = Stack(data=deep, spacing_nm=(5, 5, 5), slice_z_nm=100 + 5.0 * np.arange(9),
                  is_labels=True)  # fmt: skip
    labels = add(viewer, stack, "labels on grid")
    labels.opacity = 1
    sections = opened_sections(qtbot, viewer, panel)
    coloured = np.ptp(sections.xz.picture[..., :3], axis=-1).max(axis=1) > 50
    inside = (sections.xz.frame.z_nm > 98) & (sections.xz.frame.z_nm < 142)
    outside = (sections.xz.frame.z_nm < 97) | (sections.xz.frame.z_nm > 143)
    assert coloured[inside].all()
    assert not coloured[outside].any()


def test_sections_without_layers_say_what_to_do(qtbot, viewer, panel):
    panel.cross_sections.setChecked(True)
    sections = sections_of(viewer)
    qtbot.wait_until(lambda: "load a stack" in sections.message.text(), timeout=PATIENCE_MS)
    layer = add(viewer, a_stack(), "1kV")
    settle(qtbot, sections)
    assert sections.xz.picture is not None
    viewer.layers.remove(layer)
    qtbot.wait_until(lambda: "load a stack" in sections.message.text(), timeout=PATIENCE_MS)
    assert sections.xz.picture is None


def test_nothing_of_the_sections_is_left(qtbot, viewer, panel):
    layer = add(viewer, a_stack(), "1kV")

    def heard():
        emitters = [layer.events.opacity, viewer.dims.events.point, viewer.layers.events.inserted]
        return [len(emitter.callbacks) for emitter in emitters], len(viewer.mouse_drag_callbacks)

    before = heard()
    opened_sections(qtbot, viewer, panel)
    assert heard() != before
    panel.cross_sections.setChecked(False)
    qtbot.wait(50)
    assert heard() == before
    assert SECTIONS not in viewer.window.dock_widgets
    assert [layer.name for layer in viewer.layers] == ["1kV"]


def test_a_volume_on_the_disk_is_read_once_and_coarsely_first():
    seen = []

    def read(block, block_info=None):
        seen.append(block_info[None]["array-location"][0][0])
        return block

    shape = (9, 30, 40)
    data = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    lazy = da.map_blocks(
        read, da.from_array(data, chunks=(1, 30, 40)), dtype=np.uint8, meta=data[:0]
    )
    cuts = Cuts(lazy)
    order = cuts.missing((3, 4), finely=False)
    assert order[:4] == [0, 8, 4, 2]
    for index in order[:3]:
        cuts.read(index)
    values, known = cuts.sample(1, (3, 4), np.arange(9), np.arange(40))
    assert known.all()
    nearest = [0, 0, 4, 4, 4, 4, 8, 8, 8]
    assert all(
        any(np.array_equal(value, data[z, 3]) for z in (slice_, {2: 0, 6: 4}.get(index, slice_)))
        for index, (value, slice_) in enumerate(zip(values, nearest, strict=True))
    )
    for index in order[3:]:
        cuts.read(index)
    assert sorted(seen) == list(range(9))
    assert cuts.missing((20, 7), finely=False) == []
    values, _ = cuts.sample(2, (20, 7), np.arange(9), np.arange(30))
    np.testing.assert_array_equal(values, data[:, :, 7])


def test_fine_voxels_are_read_for_the_cut_that_is_looked_at(monkeypatch):
    monkeypatch.setattr("porescope.viewer.inspect.section_images.COPY_BYTES", 700)
    data = np.random.default_rng(0).integers(0, 255, (9, 30, 40)).astype(np.uint8)
    cuts = Cuts(da.from_array(data, chunks=(1, 30, 40)))
    assert cuts.step > 2
    at = (11, 17)
    for index in cuts.missing(at, finely=True):
        cuts.read(index)
    assert cuts.missing(at, finely=True) == []
    for axis, exact in ((1, data[:, 11]), (2, data[:, :, 17])):
        values, _ = cuts.sample(axis, at, np.arange(9), np.arange(exact.shape[1]))
        np.testing.assert_array_equal(values, exact)
    coarse, _ = cuts.sample(1, (20, 5), np.arange(9), np.array([12]))
    row, column = (index // cuts.step * cuts.step for index in (20, 12))
    np.testing.assert_array_equal(coarse[:, 0], data[:, row, column])


def test_differences_are_a_layer_with_shares_and_worst_slices(qtbot, viewer, panel):
    truth = np.zeros((12, 40, 50), np.uint8)
    truth[:, 10:30] = 1
    found = truth.copy()
    found[7, :5] = 1
    found[3, 10:12] = 0
    add(viewer, some_labels(truth), "truth")
    add(viewer, some_labels(found), "labels")
    assert (panel.labels.currentText(), panel.truth.currentText()) == ("labels", "truth")
    group = panel.differences
    click(qtbot, group.runner.run_button)
    qtbot.wait_until(lambda: group.slices.rowCount() > 0, timeout=PATIENCE_MS)
    layer = viewer.layers["differences"]
    shown = np.asarray(layer.data[:])
    assert (shown[7, :5] == FALSE_SOLID).all()
    assert (shown[3, 10:12] == FALSE_PORE).all()
    assert np.count_nonzero(shown) == 7 * 50
    red, blue = layer.colormap.map(np.array([FALSE_SOLID, FALSE_PORE], np.uint8))
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]
    assert "false solid 1.04 %" in group.shares.text().replace("</span>", "")
    assert [group.slices.item(0, column).text() for column in range(3)] == ["7", "12.5 %", "0 %"]
    group.slices.itemClicked.emit(group.slices.item(1, 0))
    assert viewer.dims.current_step[0] == 3
    # It is a picture of labels, and no labels to work on.
    panel.reset_choices()
    assert panel.labels.findText("differences") == -1


def test_labels_are_not_compared_with_themselves(viewer, panel):
    for name in ("truth", "first", "second"):
        add(viewer, some_labels(np.ones(SHAPE, np.uint8)), name)

    def offered():
        names = [panel.truth.itemText(index) for index in range(panel.truth.count())]
        return panel.labels.currentText(), [name for name in names if name != NOTHING]

    assert offered() == ("second", ["truth", "first"])
    panel.labels.setCurrentText("first")
    assert offered() == ("first", ["truth", "second"])
    viewer.layers.remove("first")
    assert offered() == ("second", ["truth"])


def test_the_next_worst_place_is_shown_and_marked(qtbot, viewer, panel):
    values = np.full(SHAPE, 0.99, np.float32)
    values[8, 8:16, 30:38] = 0.5
    values[2, 28:36, 4:12] = 0.65
    stack = Stack(data=values, spacing_nm=SPACING_NM, slice_z_nm=Z_NM)
    viewer.add_layer(Layer.create(*map_layer(stack, "probability")))
    group = panel.worst
    assert group.map.currentText() == group.map.toolTip() == "probability"
    group.size_nm.setValue(40)
    click(qtbot, group.runner.run_button)
    ended(qtbot, group.runner)
    assert viewer.dims.current_step[0] == 8
    y, x = np.array(viewer.scene.camera.center[-2:]) / 5
    assert 8 <= y < 16
    assert 30 <= x < 38
    (mark,) = viewer.layers[MARK].data
    np.testing.assert_allclose(viewer.layers[MARK].data_to_world(mark), viewer.dims.point)
    assert viewer.layers[MARK].size[0] * 5 == 40
    assert "Place 1 of" in group.runner.message.text()
    click(qtbot, group.next)
    assert viewer.dims.current_step[0] == 2
    viewer.layers.remove("probability")
    assert not group.next.isEnabled()
    click(qtbot, group.runner.run_button)
    assert "no map yet" in group.runner.message.text()


def test_looking_for_worst_places_can_be_cancelled(qtbot, viewer, panel):
    def slowly(block):
        time.sleep(0.05)
        return block

    lazy = da.map_blocks(slowly, da.zeros((400, 8, 8), chunks=(1, 8, 8), dtype="f4"))
    stack = Stack(data=lazy, spacing_nm=SPACING_NM)
    layer = Layer.create(lazy, *map_layer(stack.with_data(np.zeros(lazy.shape)), "probability")[1:])
    viewer.add_layer(layer)
    runner = panel.worst.runner
    click(qtbot, runner.run_button)
    qtbot.wait_until(lambda: runner.bar.value() > 0, timeout=PATIENCE_MS)
    click(qtbot, runner.cancel_button)
    qtbot.wait_until(lambda: not runner.running, timeout=2000)
    assert "Cancelled" in runner.message.text()


def test_a_surface_is_shown_in_3d_and_cut_open(qtbot, viewer, panel):
    image = add(viewer, a_stack(), "1kV")
    z, y, x = np.mgrid[:12, :40, :50]
    ball = ((z - 6) * 2) ** 2 + (y - 20) ** 2 + (x - 25) ** 2 < 81
    add(viewer, some_labels(ball.astype(np.uint8)), "labels")
    group = panel.surface
    click(qtbot, group.runner.run_button)
    ended(qtbot, group.runner)
    layer = viewer.layers["surface of labels, phase 1"]
    assert viewer.dims.ndisplay == 3
    assert not image.visible
    vertices = layer.data[0]
    np.testing.assert_allclose(vertices.mean(axis=0)[1:], (100, 125), atol=3)

    group.cut.setCurrentText("z")
    group.place.setValue(100)
    (plane,) = layer.experimental_clipping_planes
    assert plane.enabled
    assert plane.position[0] == pytest.approx((vertices[:, 0].min() + vertices[:, 0].max()) / 2)
    np.testing.assert_allclose(np.abs(plane.normal), (1, 0, 0))

    panel.cross_sections.setChecked(True)
    sections = sections_of(viewer)
    qtbot.wait_until(lambda: sections.message.text() != "", timeout=PATIENCE_MS)
    assert "surface hides" in sections.message.text()

    viewer.dims.ndisplay = 2
    assert image.visible
    assert not layer.visible
    settle(qtbot, sections)
    assert sections.xz.picture is not None
    image.visible = viewer.layers["labels"].visible = False
    qtbot.wait_until(lambda: "are hidden" in sections.message.text(), timeout=PATIENCE_MS)
    viewer.layers.remove(layer)
    group.place.setValue(20)  # of nothing


def test_a_cut_takes_away_part_of_the_picture(qtbot, viewer, panel):
    add(viewer, some_labels(np.ones(SHAPE, np.uint8)), "labels")
    group = panel.surface
    click(qtbot, group.runner.run_button)
    ended(qtbot, group.runner)

    def covered():
        qtbot.wait(50)
        picture = viewer.screenshot(flash=False)
        return np.count_nonzero(np.ptp(picture[..., :3].astype(int), axis=-1) > 40)

    whole = covered()
    assert whole > 1000
    group.cut.setCurrentText("x")
    group.place.setValue(100)
    half = covered()
    group.place.setValue(180)
    assert 0 < covered() < half < whole


def test_keys_change_how_labels_look_while_the_section_is_open(viewer):
    open_dock(viewer, "inspect")
    labels = add(viewer, some_labels(np.ones(SHAPE, np.uint8)), "labels")

    def press(key):
        from napari.utils.key_bindings import coerce_keybinding

        viewer.keymap[coerce_keybinding(key)](viewer)

    press("Shift-O")
    assert labels.contour == 1
    press("Shift-O")
    assert labels.contour == 0
    press(",")
    assert labels.opacity == pytest.approx(0.5)
    press(".")
    press(".")
    assert labels.opacity == pytest.approx(0.7)
    press("H")
    assert not labels.visible
    open_dock(viewer, "load")
    assert not viewer.keymap


def test_linked_contrast_follows_levels_or_numbers(qtbot, viewer, panel):
    bright = a_stack(1)
    layers = [
        add(viewer, a_stack(0), "1kV"),
        add(viewer, bright.with_data(bright.data.astype(np.uint16) * 100), "2kV"),
    ]
    group = panel.voltages
    group.contrast.setCurrentText(RELATIVE)
    own = [np.array(layer.contrast_limits) for layer in layers]
    qtbot.wait_until(
        lambda: len(layers[0].events.contrast_limits.callbacks) > 0 and group._link_of is not None,
        timeout=PATIENCE_MS,
    )
    low, high = own[0]
    layers[0].contrast_limits = (low, low + (high - low) / 2)
    low, high = own[1]
    np.testing.assert_allclose(layers[1].contrast_limits, (low, low + (high - low) / 2), rtol=1e-6)

    group.contrast.setCurrentText(SAME)
    layers[1].contrast_limits = (30, 90)
    np.testing.assert_allclose(layers[0].contrast_limits, (30, 90))
    group.contrast.setCurrentText(OWN)
    layers[1].contrast_limits = (10, 20)
    np.testing.assert_allclose(layers[0].contrast_limits, (30, 90))


def test_voltages_side_by_side_and_in_turns(qtbot, viewer, panel):
    group = panel.voltages
    group.flicker.click()
    assert not group.flicker.isChecked()
    assert "two stacks" in group.message.text()
    layers = [add(viewer, a_stack(seed), f"{seed + 1}kV") for seed in range(3)]
    group.grid.setChecked(True)
    assert viewer.canvas.grid.enabled
    group.grid.setChecked(False)
    assert not viewer.canvas.grid.enabled
    group.flicker.click()
    seen = set()

    def turned():
        seen.add(tuple(layer.visible for layer in layers))
        return {(True, False, False), (False, True, False), (False, False, True)} <= seen

    qtbot.wait_until(turned, timeout=PATIENCE_MS)
    group.flicker.click()
    assert all(layer.visible for layer in layers)


def test_the_scale_bar_is_shown_when_the_section_is_opened_first(viewer):
    open_dock(viewer, "load")
    assert not viewer.canvas.overlays.scale_bar.visible
    panel = open_dock(viewer, "inspect")
    assert viewer.canvas.overlays.scale_bar.visible
    assert panel.scale_bar.isChecked()
    panel.scale_bar.setChecked(False)
    assert not viewer.canvas.overlays.scale_bar.visible
    open_dock(viewer, "load")
    open_dock(viewer, "inspect")
    assert not viewer.canvas.overlays.scale_bar.visible
    viewer.canvas.overlays.scale_bar.visible = True
    assert panel.scale_bar.isChecked()


def test_a_figure_is_saved_at_twice_the_resolution_and_never_over_another(
    qtbot, viewer, panel, tmp_path
):
    from imageio.v3 import imread

    add(viewer, a_stack(), "1kV")
    zoom = viewer.scene.camera.zoom
    panel.scale_bar.setChecked(False)
    screen = viewer.screenshot(flash=False)
    path = tmp_path / "figure.png"
    panel.figure.setText(str(path))
    click(qtbot, panel.runner.run_button)
    ended(qtbot, panel.runner)
    figure = imread(path)
    assert figure.shape[:2] == tuple(2 * size for size in screen.shape[:2])
    # All of it is larger, not only the canvas; the scale bar is in it, and gone afterwards.
    difference = np.abs(figure[::2, ::2, :3].astype(int) - screen[..., :3])
    assert np.median(difference) == 0
    corner = figure[-120:, -300:, :3]
    assert corner.max() > 200
    assert not viewer.canvas.overlays.scale_bar.visible
    assert viewer.scene.camera.zoom == pytest.approx(zoom)

    assert panel.figure.text() == str(tmp_path / "figure-2.png")
    panel.figure.setText(str(path))
    before = path.read_bytes()
    click(qtbot, panel.runner.run_button)
    ended(qtbot, panel.runner)
    assert "exists already" in panel.runner.message.text()
    assert path.read_bytes() == before


@pytest.mark.parametrize("zoom", [0.05, 0.7, 2.0, 6.0])
def test_a_figure_shows_what_the_picture_does(qtbot, viewer, panel, zoom):
    viewer.window.resize(1200, 800)
    add(viewer, a_stack().with_data(np.zeros(SHAPE, np.uint8)), "1kV")
    opened_sections(qtbot, viewer, panel)
    cursor = viewer.layers[CURSOR]
    panel.scale_bar.setChecked(True)
    viewer.scene.camera.zoom = zoom
    settle(qtbot, sections_of(viewer))
    figure = take_figure(viewer)
    assert cursor.visible
    assert viewer.canvas.overlays.scale_bar.length is None
    cursor.visible = False
    screen = viewer.screenshot(flash=False)
    assert bar_px(screen) > 50
    assert bar_px(figure) == pytest.approx(2 * bar_px(screen), abs=6)
    coloured = figure[..., :3].max(axis=-1).astype(int) - figure[..., :3].min(axis=-1)
    assert coloured.max() < 20


def bar_px(picture):
    """How long the brightest line in the corner is."""
    return (picture[-120:, ..., :3].min(axis=-1) > 150).sum(axis=1).max()


def test_a_figure_of_nothing_is_refused(qtbot, viewer, panel):
    click(qtbot, panel.runner.run_button)
    assert "no picture" in panel.runner.message.text()
    add(viewer, a_stack(), "1kV").visible = False
    click(qtbot, panel.runner.run_button)
    assert "no picture" in panel.runner.message.text()


def test_names_count_on(tmp_path):
    path = tmp_path / "a-slice7.png"
    assert free_path(path) == path
    path.touch()
    second = free_path(path)
    assert second.name == "a-slice7-2.png"
    second.touch()
    assert free_path(second).name == "a-slice7-3.png"


@pytest.mark.parametrize("group", ["differences", "worst", "surface"])
def test_without_layers_a_sentence_says_what_to_do(qtbot, viewer, panel, group):
    runner = getattr(panel, group).runner
    click(qtbot, runner.run_button)
    assert not runner.running
    assert "hoose" in runner.message.text() or "no map" in runner.message.text()


def test_labels_removed_meanwhile_do_no_harm(qtbot, viewer, panel):
    add(viewer, some_labels(np.ones(SHAPE, np.uint8)), "truth")
    add(viewer, some_labels(np.ones(SHAPE, np.uint8)), "labels")
    click(qtbot, panel.differences.runner.run_button)
    click(qtbot, panel.surface.runner.run_button)
    viewer.layers.clear()
    ended(qtbot, panel.surface.runner)
    ended(qtbot, panel.differences.runner)
    assert panel.labels.count() == 0


def test_figures_are_png(tmp_path):
    with pytest.raises(PorescopeError, match=r"end in \.png"):
        write_figure(tmp_path / "figure.tif", np.zeros((2, 2, 4), np.uint8))
