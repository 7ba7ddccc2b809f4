"""The commands ``porescope layers simulate`` and ``porescope layers find``."""

import json

import numpy as np
import pytest
import tifffile

from porescope import Stack
from porescope.cli import main
from porescope.io import read_stack, write_stack
from porescope.layers import bare_signal, read_series

SMALL = ("--shape", "24,32", "--kind", "plates", "--seed", "5", "--noise", "0.001")


def run(*words):
    return main([*map(str, words)])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    out = tmp_path_factory.mktemp("layers") / "simulated"
    assert run("layers", "simulate", *SMALL, "--out", out) == 0
    return out


def test_layers_are_found_again(simulated, tmp_path, capfd):
    out = tmp_path / "found"
    assert (
        run("layers", "find", simulated / "series.tif", "--method", "tikhonov", "--out", out) == 0
    )
    true = read_stack(simulated / "thickness_nm.tif").data
    found = read_stack(out / "thickness_nm.tif")
    assert found.data.shape == true.shape == (2, 24, 32)
    assert abs(found.data[0] - true[0]).mean() < 0.2, "gold in nm"
    assert abs(found.data[1] - true[1]).mean() < 10, "aluminium in nm"
    assert found.spacing_nm[1:] == (10.0, 10.0)
    told = capfd.readouterr().out
    assert f"gold: {found.data[0].mean():.2f} nm on average" in told
    assert "the layers explain the series" in told
    assert "misfit 0.9" in told
    assert " 0 % of the pixels" in told
    labels = read_stack(out / "labels.tif")
    assert labels.is_labels
    assert labels.shape == read_stack(simulated / "labels.tif").shape == (33, 24, 32), "of 5 nm"
    assert (labels.data.max(axis=0) > 0).mean() == pytest.approx(
        (found.data.sum(axis=0) > 2.5).mean(), abs=0.05
    )
    written = json.loads((out / "layers.json").read_text())
    assert written["parameters"]["method"] == "tikhonov"
    assert len(written["series"]["sha256"]) == 64
    assert written["series"]["path"] == str(simulated / "series.tif")
    assert written["labels"] == {"0": "none", "1": "gold", "2": "aluminium"}
    numbers = written["found"]
    assert numbers["method"] == "tikhonov"
    assert (len(numbers["beam_kv"]), numbers["pixel_nm"]) == (31, [10.0, 10.0])
    assert numbers["misfit"] == pytest.approx(1, abs=0.2)
    assert numbers["noise"] == pytest.approx(0.001, rel=0.1)
    layer = numbers["layers"][1]
    assert (layer["name"], layer["label"]) == ("aluminium", 2)
    assert layer["mean_nm"] == pytest.approx(found.data[1].mean())


def test_info_tells_what_pages_show(simulated, capfd):
    assert run("info", simulated / "series.tif", simulated / "thickness_nm.tif") == 0
    told = capfd.readouterr().out
    assert "31 of 24 x 32 pixels" in told
    assert "5.0, 6.0," in told
    assert "10 x 10 nm (y, x)" in told
    assert "thickness of gold in nm" in told
    assert "slices" not in told
    assert "not told" not in told


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--model", "published", "--thickest-nm", "15,80"), "do not explain the series"),
        (("--thickest-nm", "3,150"), "of the pixels are as thick as is allowed, 3 nm: allow more"),
    ],
)
def test_a_wrong_guess_is_told_though_nobody_tells_the_noise(
    simulated, tmp_path, capfd, options, sentence
):
    assert run("layers", "find", simulated / "series.tif", *options, "--out", tmp_path / "f") == 0
    told = capfd.readouterr().out
    assert sentence in told
    assert "the layers explain the series" not in told


def test_saturated_grey_values_are_told(simulated, tmp_path, capfd):
    series = read_series(simulated / "series.tif")
    brightest = np.quantile(series.signals, 0.98)
    folder = tmp_path / "grey"
    folder.mkdir()
    for beam_kv, image in zip(series.beam_kv, series.signals, strict=True):
        grey = np.round(255 * image / brightest).clip(0, 255).astype(np.uint8)
        write_stack(folder / f"{beam_kv:g}kV.tif", Stack(grey[np.newaxis], (1.0, 4.0, 4.0)))
    assert read_series(folder).metadata["saturated_share"] == pytest.approx(0.02, abs=0.01)
    out = tmp_path / "found"
    options = ("--bare", "0,9,0,9", "--method", "tikhonov", "--out", out)
    assert run("layers", "find", folder, *options) == 0
    assert "% of the grey values are saturated" in capfd.readouterr().out


def test_grey_values_are_told_by_a_bare_region(simulated, tmp_path):
    true = read_stack(simulated / "thickness_nm.tif").data
    rows, columns = np.nonzero(true.sum(axis=0) == 0)
    y, x = rows[0], columns[0]
    assert (true[:, y : y + 2, x : x + 2] == 0).all(), "the sample has a bare corner"
    series = read_series(simulated / "series.tif")
    folder = tmp_path / "grey"
    folder.mkdir()
    for beam_kv, image in zip(series.beam_kv, series.signals, strict=True):
        grey = np.round(1e5 * image).astype(np.uint16)
        write_stack(folder / f"{beam_kv:04.1f}kV.tif", Stack(grey[np.newaxis], (1.0, 4.0, 4.0)))
    box = f"{y},{y + 2},{x},{x + 2}"
    out = tmp_path / "found"
    options = ("--method", "tikhonov", "--bare", box, "--out", out)
    assert run("layers", "find", folder, *options) == 0
    found = read_stack(out / "thickness_nm.tif")
    assert abs(found.data[0] - true[0]).mean() < 0.2
    assert found.spacing_nm[1:] == (4.0, 4.0)


def test_layers_that_do_not_explain_the_series_are_told(simulated, tmp_path, capfd):
    options = ("--method", "tikhonov", "--noise", "0.001", "--substrate", "copper")
    assert run("layers", "find", simulated / "series.tif", *options, "--out", tmp_path / "f") == 0
    assert "check the bare region, materials" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--materials", "gold, unobtainium"), "no material 'unobtainium'"),
        (("--thickest-nm", "15"), "greatest thickness"),
        (("--beam-kv", "5,6,7"), "31 images but 3 beam energies known"),
        (("--bare", "0,99,0,99"), "does not lie in an image"),
        (("--method", "guess"), "no method 'guess'"),
        (("--method", "mine.safetensors"), "Cannot read mine.safetensors"),
        (("--thickest-nm", "1e6,15"), "at most 10000 nm"),
        (("--voxel-nm", "0.001"), "165000 voxels"),
        (("--materials", "silicon, gold"), "silicon on silicon cannot be seen"),
        (("--model", "published", "--materials", "gold"), "published model"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    simulated, tmp_path, capfd, options, sentence
):
    out = tmp_path / "found"
    assert run("layers", "find", simulated / "series.tif", *options, "--out", out) == 2
    assert sentence in capfd.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is left"


def test_grey_values_and_pixels_of_no_size_are_refused_before_anything_is_found(
    simulated, tmp_path, capfd
):
    series = read_series(simulated / "series.tif")
    folder = tmp_path / "grey"
    folder.mkdir()
    for beam_kv, image in zip(series.beam_kv[:5], series.signals, strict=False):
        tifffile.imwrite(folder / f"{beam_kv:g}keV.tif", np.round(1e4 * image).astype(np.uint16))
    out = tmp_path / "found"
    assert run("layers", "find", folder, "--out", out) == 2
    told = capfd.readouterr().err
    assert "give the pixel size" in told
    assert "where the substrate is bare" in told, "all at once"
    assert "Finding" not in told
    assert run("layers", "find", folder, "--pixel-nm", "4,4", "--out", out) == 2
    assert "where the substrate is bare" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["grey"]


def test_an_input_or_an_earlier_result_is_not_overwritten(simulated, tmp_path, capfd):
    assert run("layers", "simulate", *SMALL, "--out", simulated) == 2
    assert "exists already" in capfd.readouterr().err
    assert run("layers", "find", simulated / "series.tif", "--overwrite", "--out", simulated) == 2
    assert "lie in one another" in capfd.readouterr().err
    again = tmp_path / "again"
    assert run("layers", "simulate", *SMALL, "--out", again) == 0
    assert run("layers", "simulate", *SMALL, "--overwrite", "--out", again) == 0
    first, second = (read_series(each / "series.tif").signals for each in (simulated, again))
    assert np.array_equal(first, second), "the same seed, the same series"


def test_three_layers_of_named_materials_and_a_formula(tmp_path, capfd):
    options = ("--materials", "gold, SiO2:2.2, gold", "--thickest-nm", "10,100,10")
    energies = ("--beam-kv", "20,5,10")
    out = tmp_path / "three"
    assert run("layers", "simulate", *SMALL, *options, *energies, "--out", out) == 0
    series = read_series(out / "series.tif")
    assert series.beam_kv.tolist() == [5.0, 10.0, 20.0]
    bare = read_stack(out / "thickness_nm.tif").data.sum(axis=0) == 0
    expected = bare_signal(series.beam_kv)
    assert series.signals[:, bare].mean(axis=1) == pytest.approx(expected, rel=0.002)
