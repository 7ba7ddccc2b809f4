import json
import subprocess
import sys

import numpy as np
import pytest

from porescope import Stack, cli
from porescope.cli import main
from porescope.errors import Cancelled, PorescopeError
from porescope.io import write_stack

RECIPE = "porescope: 1\nsteps: [load, align, {segment: {method: otsu}}, slices, measure]\n"
SPACING = "load.spacing_nm=46.18,40,40"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def run(recipe, *inputs, settings=(), out="out"):
    options = [word for setting in settings for word in ("--set", setting)]
    out = recipe.parent / out
    return main(["run", str(recipe), *map(str, inputs), "--out", str(out), *options])


@pytest.mark.parametrize(
    ("file", "settings", "spacing_nm"),
    [
        ("fib_serial_section_small.tif", ["slices.grid_nm=46.176923076923075"], [46.177, 40, 40]),
        ("flyem_slices", ["load.spacing_nm=8,8,8"], [8, 8, 8]),
        (
            "zeiss_fib_cross_section_multipage_curtains.tif",
            ["load.spacing_nm=60,null,null", "slices.grid_nm=60"],
            [60, 12.33, 12.33],
        ),
    ],
)
def test_real_stacks_go_the_whole_way(real_data, recipe, file, settings, spacing_nm):
    assert run(recipe, real_data / "stacks" / file, settings=settings) == 0
    scores = json.loads((recipe.parent / "out" / "scores.json").read_text())
    np.testing.assert_allclose(scores["spacing_nm"], spacing_nm, rtol=1e-4)
    assert 0.05 < scores["solid_fraction"] < 0.95


def test_a_run_ends_with_the_scores(tmp_path, capsys):
    (tmp_path / "short.yaml").write_text(
        "porescope: 1\nsteps: [load, {segment: {method: otsu}}, measure]"
    )
    data = np.zeros((4, 32, 32), np.uint8)
    data[:, :, 8:16] = 200
    write_stack(tmp_path / "in.tif", Stack(data, (10, 10, 10)))
    assert run(tmp_path / "short.yaml", tmp_path / "in.tif") == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.split()[:4] == ["solid", "fraction", "0.25", "±"]
    assert last == f"Result in {tmp_path / 'out'}"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: (p / "bad.tif").write_bytes(b"this is no image"), "bad.tif"),
        (lambda p: (p / "bad.tif").write_bytes(b""), "bad.tif"),
        (lambda p: (p / "bad.npy").write_bytes(b"\x93NUMPY"), "bad.npy"),
        (lambda p: (p / "bad.zarr").mkdir(), "bad.zarr"),
        (lambda p: np.save(p / "bad.npy", np.zeros((9, 9))), "two slices or more"),
        (lambda p: None, "Cannot read .*bad"),
    ],
)
def test_bad_input_ends_in_one_sentence(recipe, capfd, make, says):
    folder = recipe.parent / "in"
    folder.mkdir()
    make(folder)
    inputs = list(folder.iterdir()) or [folder / "bad.tif"]
    before = sorted(recipe.parent.rglob("*"))
    assert run(recipe, *inputs, settings=[SPACING]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("porescope: ")
    assert error.endswith(".")
    import re

    assert re.search(says, error)
    assert "Traceback" not in error
    assert sorted(recipe.parent.rglob("*")) == before


def test_mistakes_in_the_command(recipe, capfd, tmp_path):
    recipe.write_text(RECIPE.replace("method", "mehtod"))
    assert run(recipe, tmp_path) == 2
    assert "no parameter 'mehtod'" in capfd.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["run", str(recipe)])
    assert ended.value.code == 2


def raises(error, cause=None):
    def function(*arguments):
        raise error from cause

    return function


@pytest.mark.parametrize("place", ["_parser", "_steps"])
@pytest.mark.parametrize(
    ("stop", "status", "says"),
    [
        (raises(KeyboardInterrupt), 130, "Cancelled."),
        (raises(RuntimeError("__set_name__"), KeyboardInterrupt()), 130, "Cancelled."),
        (raises(Cancelled), 130, "porescope: Cancelled; nothing was written."),
        (raises(PorescopeError("No cheese.")), 2, "porescope: No cheese."),
    ],
)
def test_ctrl_c_at_any_time_ends_in_one_word(monkeypatch, capfd, place, stop, status, says):
    monkeypatch.setattr(cli, place, stop)
    assert main(["steps"]) == status
    assert capfd.readouterr().err == f"{says}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no process can send itself Ctrl-C")
def test_ctrl_c_while_modules_load_ends_in_one_word():
    lines = (
        "import os, signal, sys",
        "from porescope import cli",
        "cli._parser = lambda: os.kill(os.getpid(), signal.SIGINT)",
        "sys.exit(cli.main(['steps']))",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"Cancelled.\n")


def test_other_errors_are_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "_steps", raises(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        main(["steps"])


def test_info_tells_what_a_file_holds(real_data, capsys):
    assert main(["info", str(real_data / "stacks" / "fib_serial_section_small.tif")]) == 0
    text = capsys.readouterr().out
    assert "130 of 150 x 150 pixels" in text
    assert "46.1769" in text


def test_info_shows_what_is_known_where_the_voxel_size_is_not(real_data, capsys):
    files = ("flyem_slices", "zeiss_fib_cross_section_multipage_curtains.tif")
    assert main(["info", *(str(real_data / "stacks" / file) for file in files)]) == 0
    text = capsys.readouterr().out
    assert "not told x not told x not told nm" in text
    assert "not told x 12.33 x 12.33 nm" in text
    assert "given" not in text


def test_steps_are_listed_with_their_parameters(capsys):
    assert main(["steps"]) == 0
    text = capsys.readouterr().out
    for word in ("load:", "align:", "segment:", "slices:", "measure:", "grid_nm:", "kmeans"):
        assert word in text
