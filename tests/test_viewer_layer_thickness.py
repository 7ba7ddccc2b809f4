"""The section that finds the thickness of stacked layers, in a real window."""

import os
import sys

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from qtpy.QtCore import Qt

from porescope.learn.weights import shipped
from porescope.viewer.layers import CHANNEL
from porescope.viewer.layers_panel import LayersPanel

PATIENCE_MS = 120_000


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def panel(qtbot, session, viewer):
    panel = LayersPanel(viewer, session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def click(qtbot, panel, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_from_a_simulated_series_to_maps_and_a_volume(qtbot, viewer, panel):
    click(qtbot, panel, panel.simulate)
    assert "31 energies from 5 to 35 keV, 128 × 128 pixels." in panel.runner.message.text()
    series = viewer.layers["series"]
    assert viewer.layers.selection.active is series
    energies_kev = series.data_to_world((0, 0, 0))[0], series.data_to_world((30, 0, 0))[0]
    assert energies_kev == (5, 35), "the slider's position is the energy"

    panel.form["method"].value = "tikhonov"
    click(qtbot, panel, panel.runner.run_button)
    assert "gold:" in panel.runner.message.text()
    assert "nm on average" in panel.runner.message.text()
    found = viewer.layers["gold thickness (nm)"]
    true = viewer.layers["true gold thickness (nm)"]
    assert abs(found.data - true.data).mean() < 1
    assert tuple(found.scale) == (10.0, 10.0)
    assert [str(unit) for unit in found.units] == ["nanometer"] * 2
    assert {"aluminium thickness (nm)", "aluminium uncertainty (nm)", "misfit"} <= {*names(viewer)}
    labels = viewer.layers["layers"]
    assert tuple(labels.scale) == (5.0, 10.0, 10.0)
    viewer.dims.ndisplay = 3
    assert viewer.camera.view_direction[0] > 0, "as the beam comes"
    assert set(np.unique(labels.data)) <= {0, 1, 2}


def test_a_box_on_the_series_is_the_bare_region(qtbot, viewer, panel):
    draw = panel.form.regions()["bare"][1]
    draw.native.click()
    assert "Choose a series first" in panel.runner.message.text()
    click(qtbot, panel, panel.simulate)
    draw.native.click()
    assert "bare substrate" in names(viewer)
    assert len(panel.form["bare"].value.split(",")) == 4
    assert "move it to where no layer lies" in panel.runner.message.text()


def test_the_energy_at_the_slider_is_told_even_where_energies_are_uneven(
    qtbot, viewer, panel, tmp_path
):
    for kev in (5, 6, 12.5, 30):
        tifffile.imwrite(tmp_path / f"{kev}keV.tif", np.full((16, 16), kev, np.float32))
    assert panel.energy.text() == ""
    panel.path.setText(str(tmp_path))
    panel.path.editingFinished.emit()
    qtbot.wait_until(lambda: len(viewer.layers) == 1, timeout=PATIENCE_MS)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert viewer.dims.axis_labels[0] == "energy"
    told = []
    for step in range(4):
        viewer.dims.set_current_step(0, step)
        told.append(panel.energy.text())
    assert told == [f"Slider: {kev:g} keV" for kev in (5, 6, 12.5, 30)]
    viewer.dims.ndisplay = 3
    assert panel.energy.text() == "", "there is no slider"
    viewer.dims.ndisplay = 2
    assert panel.energy.text() == "Slider: 30 keV"
    viewer.layers.clear()
    viewer.dims.set_point(0, 1)
    assert panel.energy.text() == ""


def test_what_is_no_series_is_told(qtbot, viewer, panel, tmp_path):
    click(qtbot, panel, panel.runner.run_button)
    assert "Choose a folder or a file with the series" in panel.runner.message.text()
    panel.path.setText(str(tmp_path))
    panel.path.editingFinished.emit()
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert "holds no images" in panel.runner.message.text()
    panel.form["materials"].value = "gold, unobtainium"
    click(qtbot, panel, panel.runner.run_button)
    assert "no material 'unobtainium'" in panel.runner.message.text()
    assert not names(viewer)


def edit(qtbot, panel, name, text):
    panel.form[name].value = text
    panel.form[name].native.editingFinished.emit()
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)


def test_pages_without_energies_are_shown_once_these_are_told(qtbot, viewer, panel, tmp_path):
    grey = np.random.default_rng(0).integers(90, 110, (3, 20, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", grey, photometric="minisblack")
    panel.path.setText(str(tmp_path / "pages.tif"))
    panel.path.editingFinished.emit()
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    assert "give beam (kV)" in panel.runner.message.text()
    edit(qtbot, panel, "beam_kv", "5, 10, 20")
    assert "3 energies from 5 to 20 keV" in panel.runner.message.text()
    edit(qtbot, panel, "beam_kv", "5, 10, 30")
    assert names(viewer) == ["series pages"]
    assert viewer.layers[0].metadata[CHANNEL]["beam_kv"] == [5, 10, 30]


def test_what_is_missing_is_told_before_work_begins_and_a_pixel_size_is_seen(
    qtbot, viewer, panel, tmp_path
):
    for kev in (5, 10, 20, 30):
        tifffile.imwrite(tmp_path / f"{kev}keV.tif", np.full((16, 20), kev, np.uint8))
    panel.path.setText(str(tmp_path))
    panel.path.editingFinished.emit()
    qtbot.wait_until(lambda: len(viewer.layers) == 1, timeout=PATIENCE_MS)
    qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
    qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
    assert not panel.runner.running
    assert "the pixel size" in panel.runner.message.text()
    assert "where the substrate is bare" in panel.runner.message.text()
    panel.form.regions()["bare"][1].native.click()
    edit(qtbot, panel, "pixel_nm", "4, 3")
    series, box = viewer.layers
    assert tuple(series.scale[1:]) == tuple(box.scale) == (4, 3)
    edit(qtbot, panel, "pixel_nm", "")
    assert tuple(series.scale[1:]) == tuple(box.scale) == (1, 1)


def test_a_file_of_weights_is_a_method(panel, tmp_path):
    path = shipped("layers-default")
    mine = tmp_path / "layers.safetensors"
    mine.write_bytes(path.read_bytes())
    panel.offer_weights(mine)
    panel.form["method"].value = str(mine)
    assert panel._parameters().method == str(mine)
