"""The demo: what it writes, and the window that it opens."""

import json
import os
import shutil
import sys

import imageio.v3 as imageio
import numpy as np
import pytest

from porescope import PorescopeError, Stack, demo
from porescope.cli import main
from porescope.io import write_stack
from porescope.pipeline import Workspace, load_workspace, read_recipe, save_workspace

HAS_VIEWER = bool(pytest.importorskip("napari", reason="napari is not installed"))
HAS_DISPLAY = sys.platform != "linux" or bool(
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
)
needs_display = pytest.mark.skipif(not HAS_DISPLAY, reason="windows need a display; try xvfb-run")
needs_some_display = pytest.mark.skipif(
    not (HAS_DISPLAY or shutil.which("xvfb-run")), reason="no display, and no xvfb-run either"
)


@pytest.fixture
def result(tmp_path):
    """A small result with slices of uneven thickness."""
    random = np.random.default_rng(0)
    slice_z_nm = np.array([0.0, 12, 18, 30])
    images = tuple(
        Stack(
            data=random.integers(0, 255, (4, 20, 24)).astype(np.uint8),
            spacing_nm=(10, 2.5, 2.5),
            beam_kv=kv,
            slice_z_nm=slice_z_nm,
        )
        for kv in (1, 2)
    )
    labels = Stack(
        data=(random.random((13, 20, 24)) > 0.5).astype(np.uint8),
        spacing_nm=(2.5, 2.5, 2.5),
        is_labels=True,
    )
    workspace = Workspace(
        images=images, labels=labels, truth=labels, scores={"solid_fraction": 0.5}
    )
    save_workspace(tmp_path / "result", workspace)
    return tmp_path / "result"


@needs_some_display
def test_the_headless_demo_writes_its_result_and_a_picture(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--headless", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for name in ("labels.ome.zarr", "scores.json", "report.html", "screenshot.png"):
        assert (out / name).exists(), printed
        assert name in printed
    assert f"{json.loads((out / 'scores.json').read_text())['MP']:.4g}" in printed
    picture = imageio.imread(out / "screenshot.png")
    assert picture.shape[:2] == (800, 1280)
    # The border of the solid stands out in amber in the middle, where the canvas is.
    canvas = picture[100:700, 340:820].astype(int)
    amber = (canvas[..., 0] - canvas[..., 2] > 100).sum()
    assert 500 < amber < canvas[..., 0].size / 4


def test_a_second_demo_takes_the_place_of_the_first(tmp_path, monkeypatch):
    rows = np.arange(12, dtype=np.uint8)[:, np.newaxis] * 20
    images = np.broadcast_to(rows, (3, 12, 10)).copy()
    write_stack(tmp_path / "1kV.ome.tif", Stack(images, spacing_nm=(10, 5, 5), beam_kv=1))
    (tmp_path / "recipe.yaml").write_text(
        "porescope: 1\nname: small\nsteps: [load, {segment: {method: otsu}}, measure]\n"
    )
    small = read_recipe(tmp_path / "recipe.yaml").with_inputs([tmp_path / "1kV.ome.tif"])
    monkeypatch.setattr(demo, "sample_recipe", lambda: small)
    monkeypatch.setattr(demo, "take_picture", lambda path: None)
    out = tmp_path / "demo"
    demo.run_demo(out, headless=True)
    (out / "of the first").touch()
    demo.run_demo(out, headless=True)
    assert (out / "scores.json").exists()
    assert not (out / "of the first").exists()


def test_without_a_display_the_demo_says_so_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "has_display", lambda: False)
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    assert demo.take_picture(tmp_path / "screenshot.png") == (
        "There is no display and no xvfb-run, so there is no picture; install xvfb."
    )


def test_a_window_that_cannot_open_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "has_display", lambda: True)
    monkeypatch.setattr(
        demo, "SHOW", (sys.executable, "-c", "import sys; sys.exit('no luck today')")
    )
    told = demo.take_picture(tmp_path / "screenshot.png")
    assert "there is no picture: no luck today" in told


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(PorescopeError, match="is no result of Porescope"):
        demo.run_demo(tmp_path, headless=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@needs_display
def test_the_window_shows_labels_over_the_slices_they_came_from(make_napari_viewer, result):
    from porescope.viewer import show
    from porescope.viewer.dock import open_dock

    viewer = make_napari_viewer()
    show.fill(viewer, result)
    assert [layer.name for layer in viewer.layers] == [
        "2kV aligned",
        "1kV aligned",
        "truth",
        "labels",
    ]
    image, labels = viewer.layers["1kV aligned"], viewer.layers["labels"]
    assert np.allclose(image.scale, labels.scale)
    assert image.data.shape == labels.data.shape
    cut = load_workspace(result)[0].images[0].data
    slices = [int((cut == plane).all(axis=(1, 2)).argmax()) for plane in image.data]
    assert slices == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert labels.contour == 1
    assert viewer.layers["2kV aligned"].contrast_limits == image.contrast_limits
    assert viewer.dims.point[0] == pytest.approx(15)
    assert open_dock(viewer, "measure").scores.item(0, 1).text() == "0.5"


@needs_display
def test_one_goes_on_with_the_result_and_not_with_its_hidden_inputs(
    make_napari_viewer, result, tmp_path
):
    from porescope.viewer import show
    from porescope.viewer.dock import open_dock

    raw = Stack(np.zeros((3, 4, 5), np.uint8), spacing_nm=(10, 5, 5), beam_kv=1)
    write_stack(tmp_path / "raw.ome.tif", raw)
    viewer = make_napari_viewer()
    show.fill(viewer, result, [tmp_path / "raw.ome.tif"])
    chosen = open_dock(viewer, "segment").chosen_images()
    assert chosen == ["1kV aligned", "2kV aligned"]
