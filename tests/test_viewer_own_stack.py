"""The loop in the window: one stack, one folder, one button, and what it tells."""

import os
import sys

import numpy as np
import pytest

from porescope import Stack
from porescope.geometry import leveled_wave
from porescope.io import read_stack, write_stack
from porescope.pipeline.trainings.watch import read_losses

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)

from porescope.viewer.dock import NAME, open_dock

PATIENCE_MS = 240_000
TINY = {
    "start": "none", "channels": 2, "slices": 1, "patch_px": 32, "stride_px": 32, "epochs": 1,
    "samples": 2, "validation": 1, "sample_slices": 5, "sample_px": 32, "adapt": False,
}  # fmt: skip


def test_a_stack_without_labels_is_all_it_takes(make_napari_viewer, qtbot, tmp_path):
    spacing_nm = (10.0, 2.5, 2.5)
    solid = leveled_wave(
        (6, 48, 48), spacing_nm=spacing_nm, wavelength_nm=45, solid_fraction=0.4, seed=1
    )
    noise = np.random.default_rng(0).normal(size=solid.shape)
    grey = (60 + 100 * solid + 10 * noise).clip(0, 255).astype(np.uint8)
    write_stack(tmp_path / "mine.ome.tif", Stack(grey, spacing_nm))

    viewer = make_napari_viewer()
    panel = open_dock(viewer, "train")
    panel.training.setCurrentText("own-stack")
    first, others = panel._forms["own-stack"]
    assert {"materials", "imaging", "start", "samples", "epochs"} <= set(first.values())
    assert "noise" in others.values()
    panel.inputs.addItems([str(tmp_path / "mine.ome.tif")])
    panel.out.setText(str(tmp_path / "out"))
    for name, value in TINY.items():
        (first if name in first.values() else others)[name].value = value

    def run():
        panel.runner.run_button.click()
        qtbot.wait_until(lambda: not panel.runner.running, timeout=PATIENCE_MS)
        return panel.runner.message.text()

    assert "tells no beam energy" in run()
    first["beam_kv"].value = "1"
    said = run()
    assert "it can be chosen" in said
    assert "report.html beside it" in said
    told = [panel.scores.item(row, 0).text() for row in range(panel.scores.rowCount())]
    assert any("lineal path, before" in name for name in told)
    assert [losses.name for losses in read_losses(tmp_path / "out")] == ["1kV"]
    assert read_stack(tmp_path / "out/labels.ome.zarr").shape == (6, 48, 48)
    weights = viewer.window.dock_widgets[NAME].panels["segment"].form["weights"]
    assert str(tmp_path / "out/segmentation.safetensors") in weights.choices
