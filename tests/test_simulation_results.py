"""Simulated stacks in folders, on the command line and in recipes."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.cli import main
from porescope.correct import Alignment
from porescope.errors import Cancelled, PorescopeWarning
from porescope.geometry import leveled_wave
from porescope.io import read_stack, read_voltages, write_stack
from porescope.pipeline import Recipe, Workspace, find_step, load_workspace, run_recipe
from porescope.pipeline.run import work_folder
from porescope.pipeline.simulation import SimulationParameters, results, simulate_stack

QUICK = {"electrons": 30, "slices": 3, "beam_kv": (0.5, 1.0), "drift_px": 1.0}


@pytest.fixture(scope="module")
def labels():
    solid = leveled_wave((40, 30, 28), spacing_nm=2.5, wavelength_nm=40, solid_fraction=0.4, seed=2)
    return Stack(solid.astype(np.uint8), (2.5, 2.5, 2.5), is_labels=True)


@pytest.fixture
def source(tmp_path, labels):
    return write_stack(tmp_path / "gold.ome.zarr", labels)


def write(source, out, **how):
    keywords = {key: how.pop(key) for key in ("overwrite", "report", "cancel") if key in how}
    return results.write_simulation(
        source, SimulationParameters(**{**QUICK, **how}), out, **keywords
    )


def run(*words):
    return main([*map(str, words)])


def test_a_folder_holds_the_stacks_and_how_they_really_are(tmp_path, source, labels):
    out = tmp_path / "out"
    written = write(source, out)
    expected = simulate_stack(labels, QUICK)
    assert written.shape == expected.images[0].shape
    assert written.electrons == 30 * 2 * np.prod(written.shape)
    assert {path.name for path in out.iterdir()} == {
        "0.5kV.ome.zarr",
        "1kV.ome.zarr",
        "truth.ome.zarr",
        "truth-slices.ome.zarr",
        "alignment-0.5kV.json",
        "alignment-1kV.json",
        "simulation.json",
    }
    for found, stack in zip(read_voltages(out), expected.images, strict=True):
        np.testing.assert_array_equal(found.data, stack.data)
        np.testing.assert_array_equal(found.slice_z_nm, stack.slice_z_nm)
        assert found.beam_kv == stack.beam_kv
        assert found.history[-1]["step"] == "simulate"
    for name, stack in (("truth", expected.truth), ("truth-slices", expected.truth_slices)):
        found = read_stack(out / f"{name}.ome.zarr")
        np.testing.assert_array_equal(found.data, stack.data)
        np.testing.assert_array_equal(found.slice_z_nm, stack.slice_z_nm)
        assert found.is_labels
    for alignment in expected.alignments:
        found = Alignment.load(out / f"alignment-{alignment.beam_kv:g}kV.json")
        np.testing.assert_array_equal(found.offsets_px, alignment.offsets_px)
    told = json.loads((out / "simulation.json").read_text())
    assert told["parameters"] == SimulationParameters(**QUICK).model_dump(mode="json")
    assert told["slice_z_nm"] == expected.images[0].slice_z_nm.tolist()
    assert [v["grey_per_signal"] for v in told["voltages"]] == [
        how.grey_per_signal for how in expected.exposures
    ]
    assert told["notes"] == expected.notes
    assert "porescope" in told["versions"]
    assert len(told["sample"]["sha256"]) == 64


def test_a_call_that_was_killed_is_taken_up_at_its_image(tmp_path, source, monkeypatch):
    out = tmp_path / "out"
    write(source, tmp_path / "whole")

    def power_cut(what, done, total):
        if (what, done) == ("Imaging", 4):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write(source, out, report=power_cut)
    assert not out.exists()
    assert len(list(work_folder(out).glob("images-*/*.npz"))) == 4
    made = []
    real = results.simulate_stack

    def counted(*arguments, keep, **more):
        made.append(len(list(keep.glob("*.npz"))) if keep.exists() else 0)
        return real(*arguments, keep=keep, **more)

    monkeypatch.setattr(results, "simulate_stack", counted)
    write(source, out)
    assert made == [4]
    assert not work_folder(out).exists()
    for one, other in zip(read_voltages(out), read_voltages(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("change", ["parameters", "sample"])
def test_what_was_made_otherwise_is_not_taken_up(tmp_path, source, labels, change, monkeypatch):
    out = tmp_path / "out"

    def power_cut(what, done, total):
        if (what, done) == ("Imaging", 3):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write(source, out, report=power_cut)
    how = {}
    if change == "sample":
        source = write_stack(tmp_path / "b.ome.zarr", labels.with_data(labels.data[::-1]))
    else:
        how = {"seed": 1}
    write(source, out, **how)
    expected = simulate_stack(read_stack(source), {**QUICK, **how})
    np.testing.assert_array_equal(read_voltages(out)[0].data, expected.images[0].data)


def test_a_cancelled_call_leaves_nothing(tmp_path, source):
    seen = []

    def report(what, done, total):
        seen.append((what, done))

    with pytest.raises(Cancelled):
        write(source, tmp_path / "out", report=report, cancel=lambda: ("Imaging", 2) in seen)
    assert {path.name for path in tmp_path.iterdir()} == {source.name}


def test_only_an_earlier_simulation_is_replaced(tmp_path, source):
    out = tmp_path / "out"
    write(source, out)
    with pytest.raises(PorescopeError, match="exists already"):
        write(source, out)
    write(source, out, overwrite=True, seed=7)
    assert json.loads((out / "simulation.json").read_text())["parameters"]["seed"] == 7
    other = tmp_path / "holiday"
    other.mkdir()
    (other / "beach.txt").write_text("sand")
    with pytest.raises(PorescopeError, match="choose another"):
        write(source, other, overwrite=True)
    with pytest.raises(PorescopeError, match="lie in one another"):
        write(source, source / "out")
    assert (other / "beach.txt").exists()


def test_the_command(tmp_path, source, labels, capfd):
    out = tmp_path / "out"
    words = ("--beam-kv", "0.5,1", "--electrons", 30, "--slices", 3, "--drift-px", "1")
    assert run("simulate", source, *words, "--output", out) == 0
    told = capfd.readouterr().out
    expected = simulate_stack(labels, QUICK)
    z, y, x = expected.images[0].shape
    assert f"{z} slices of {y} x {x} pixels at 0.5, 1 kV" in told
    np.testing.assert_array_equal(read_voltages(out)[1].data, expected.images[1].data)
    assert run("info", out) == 0
    assert "grey_per_signal" in capfd.readouterr().out

    one = ("--beam-kv", "4", "--electrons", 5, "--slices", 1, "--first-nm", "50")
    assert run("simulate", source, *one, "--out", tmp_path / "one") == 0
    told = capfd.readouterr()
    assert "1 slice of 30 x 28" in told.out
    assert "ends too close below slice 0 at 4 kV" in told.err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be heard")
def test_sigterm_ends_it_without_a_word_and_keeps_what_is_finished(tmp_path, source):
    words = ("--beam-kv", "1", "--electrons", "2000", "--slices", "5", "--mean-nm", "9")
    call = [sys.executable, "-m", "porescope.cli", "simulate", source, *words, "--out", "out"]
    running = subprocess.Popen(call, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list(work_folder(tmp_path / "out").glob("images-*/0*.npz")):
        assert running.poll() is None
        time.sleep(0.02)
    running.terminate()
    _, told = running.communicate(timeout=30)
    assert running.returncode == 143
    assert told.splitlines()[-1] == "Imaging"
    assert list(work_folder(tmp_path / "out").glob("images-*/0*.npz"))


def test_help_comes_from_the_model(capsys):
    with pytest.raises(SystemExit) as ended:
        run("simulate", "--help")
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for name in SimulationParameters.model_fields:
        assert f"--{name.replace('_', '-')} " in told
    assert "at most 10000000," in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("gold.ome.zarr", "--beam-kv", "99"), "outside the scattering tables"),
        (("gold.ome.zarr", "--materials", "0=epoxy,1=cheese"), "no material 'cheese'"),
        (("gold.ome.zarr", "--materials", "0=epoxy,2=gold", "--slices", "1"), "material: 1"),
        (("gold.ome.zarr", "--materials", "0=epoxy,1=Au:0"), "density must be above 0"),
        (("gold.ome.zarr", "--electrons", "0"), "electrons is '0'"),
        (("gold.ome.zarr", "--electrons", "many"), "whole number"),
        (("gold.ome.zarr", "--first-nm", "1000", "--slices", "1"), "outside the sample"),
        (("gold.ome.zarr",), "take a deeper sample"),
        (("none.ome.zarr",), "none.ome.zarr"),
        (("plain.npy",), "--spacing-nm"),
    ],
)
def test_bad_input_ends_in_one_sentence(tmp_path, source, monkeypatch, capfd, words, says):
    np.save(tmp_path / "plain.npy", np.ones((4, 4, 4), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert run("simulate", *words, "--out", "out") == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert says in lines[-1]
    assert not any("Traceback" in line for line in lines)
    assert not (tmp_path / "out").exists()


DRAWN = {
    "kind": "leveled-wave",
    "parameters": {
        "shape": (48, 40, 40), "voxel_nm": 2.5, "wavelength_nm": 60, "solid_fraction": 0.35,
    },
}  # fmt: skip


def test_a_recipe_goes_from_sample_to_scores(tmp_path):
    recipe = Recipe.of(
        ("sample", DRAWN),
        ("simulate", {"electrons": 100, "beam_kv": (0.5, 1)}),
        ("segment", {"method": "otsu"}),
        "slices",
        "measure",
    )
    out = run_recipe(recipe, tmp_path / "out")
    workspace, _ = load_workspace(out)
    assert [image.beam_kv for image in workspace.images] == [0.5, 1]
    assert workspace.truth is not None
    rows = workspace.tables["simulation"]
    assert len(rows) == workspace.images[0].shape[0]
    assert {"slice", "position nm", "1kV y px", "0.5kV x px"} <= set(rows[0])
    assert workspace.scores["MP"] < 8
    again = run_recipe(recipe, tmp_path / "again")
    assert (again / "scores.json").read_text() == (out / "scores.json").read_text()
    assert "sample" in (out / "recipe.yaml").read_text()


def test_a_recipe_takes_labels_from_its_input(tmp_path, source, labels):
    recipe = Recipe.of(("simulate", QUICK), inputs=(source,))
    workspace, _ = load_workspace(run_recipe(recipe, tmp_path / "out"))
    expected = simulate_stack(labels, QUICK)
    np.testing.assert_array_equal(workspace.images[0].data, expected.images[0].data)


def test_steps_refuse_in_a_sentence(tmp_path):
    simulate, sample = find_step("simulate"), find_step("sample")
    with pytest.raises(PorescopeError, match="There is no sample"):
        run_recipe(Recipe.of("simulate"), tmp_path / "out")
    with pytest.raises(PorescopeError, match="no sample 'jelly'"):
        sample.parse({"kind": "jelly"})
    with pytest.raises(PorescopeError, match="Sample spheres: porosity is 3"):
        sample.parse({"kind": "spheres", "parameters": {"porosity": 3}})
    with pytest.raises(PorescopeError, match="Step simulate: electrons is 0"):
        simulate.parse({"electrons": 0})
    with pytest.raises(PorescopeError, match="input of the recipe"):
        run_recipe(
            Recipe.of(("sample", {"kind": "list", "parameters": {"path": "a.txt"}}), "simulate"),
            tmp_path / "out",
        )


def test_a_recipe_that_draws_its_sample_refuses_an_input(tmp_path, source):
    recipe = Recipe.of(("sample", DRAWN), ("simulate", QUICK), inputs=(source,))
    with pytest.raises(PorescopeError, match=r"no use for the input .*gold\.ome\.zarr"):
        run_recipe(recipe, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_the_step_warns_of_a_sample_that_ends_too_close(labels):
    step = find_step("simulate")
    parameters = step.parse({"electrons": 5, "slices": 1, "beam_kv": (5,)})
    with pytest.warns(PorescopeWarning, match="ends too close"):
        step.function(
            Workspace(sample=labels), parameters, progress=lambda *_: None, cancel=lambda: False
        )
