import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.correct import Alignment
from porescope.errors import Cancelled, PorescopeWarning
from porescope.io import read_stack, write_stack
from porescope.pipeline import Parameters, Recipe, Step, Workspace, read_recipe, run_recipe
from porescope.pipeline import run as run_module
from porescope.pipeline.provenance import hash_path
from porescope.pipeline.workspace import load_workspace

SPACING = (8.0, 2.0, 2.0)
ALL = ("load", "align", ("segment", {"method": "kmeans"}), "slices", "measure")


@pytest.fixture
def voltages(tmp_path, texture):
    """Two voltages of a drifting sample, with uneven slices and the truth."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    slice_z_nm = np.array([0, 8.0, 14.0, 24.0, 32.0, 38.0])
    drift = np.cumsum([[0, 0], [1, 0.5], [-0.5, 1], [0.5, -1], [0, 1], [1, 0]], axis=0)
    random = np.random.default_rng(0)
    for kv, shine in ((1.0, 0.1), (2.0, 0.3)):
        images = [
            100 + 80 * (texture.slice(z / 8, (48, 52), d) > 0) + 10 * shine * random.normal()
            for z, d in zip(slice_z_nm, drift, strict=True)
        ]
        noisy = np.stack(images) + 6 * random.normal(size=(6, 48, 52))
        stack = Stack(noisy.clip(0, 255).astype(np.uint8), SPACING, kv, slice_z_nm)
        write_stack(folder / f"{kv:g}kV.ome.zarr", stack)
    truth = np.stack([texture.slice(z / 4, (48, 52)) > 0 for z in range(22)]).astype(np.uint8)
    write_stack(folder / "truth.ome.zarr", Stack(truth, (2, 2, 2), is_labels=True))
    return folder


def recipe_for(folder, *steps):
    return Recipe.of(*(steps or ALL), inputs=(folder,))


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def left_over(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_whole_way(voltages, tmp_path):
    otsu = ("segment", {"method": "otsu"})
    steps = (("load", {"truth": "truth.ome.zarr"}), "align", otsu, "slices", "measure")
    out = run_recipe(recipe_for(voltages, *steps), tmp_path / "result")
    labels = read_stack(out / "labels.ome.zarr")
    assert labels.is_labels
    assert labels.spacing_nm == (2, 2, 2)
    assert labels.evenly_sliced
    assert [entry["step"] for entry in labels.history] == ["align", "segment", "slices"]
    scores = json.loads((out / "scores.json").read_text())
    assert scores["MP"] < 12
    assert scores["solid_fraction"] == pytest.approx((np.asarray(labels.data) > 0).mean())
    assert Alignment.load(out / "alignment-2kV.json").beam_kv == 2
    assert read_stack(out / "images" / "1kV.ome.zarr").spacing_nm == SPACING
    html = (out / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 5
    assert "://" not in html.replace("http://www.w3.org", "")  # no picture holds that by chance
    assert not left_over(tmp_path)
    assert len(load_workspace(out)[0].images) == 2


@pytest.mark.parametrize("region", [(0, 1, None, None), (None, None, 0, 1), (0, 1, 0, 1)])
def test_a_single_row_or_column_is_reported(voltages, tmp_path, region):
    steps = ("load", ("crop", {"region": region}), ("segment", {"method": "kmeans", "clusters": 2}))
    out = run_recipe(recipe_for(voltages, *steps), tmp_path / "result")
    assert (out / "report.html").read_text().count("data:image/png;base64,") == 2


def test_replaying_the_provenance_gives_the_same_bytes(voltages, tmp_path):
    first = run_recipe(recipe_for(voltages), tmp_path / "first")
    again = run_recipe(read_recipe(first / "provenance.json"), tmp_path / "again")
    assert tree(first) == tree(again)
    provenance = json.loads((first / "provenance.json").read_text())
    assert provenance["inputs"][0]["sha256"] == hash_path(voltages)
    assert provenance["outputs"]["labels.ome.zarr"] == hash_path(first / "labels.ome.zarr")


def test_a_provenance_is_not_replayed_on_other_inputs(voltages, tmp_path):
    first = run_recipe(recipe_for(voltages), tmp_path / "first")
    (voltages / "1kV.ome.zarr" / "more").touch()
    with pytest.raises(PorescopeError, match="has changed since"):
        run_recipe(read_recipe(first / "provenance.json"), tmp_path / "again")


class Interrupted(BaseException):
    pass


def test_a_killed_run_goes_on_at_the_step_it_had_reached(voltages, tmp_path, monkeypatch):
    whole = run_recipe(recipe_for(voltages), tmp_path / "whole")

    done = []
    real = run_module._do

    def do(step, *arguments):
        if step.name == "slices" and "slices" not in done:
            done.append("slices")
            # What a kill leaves: finished steps, a half-written one, no cleaning up.
            shutil.copytree(tmp_path / ".out.partial", tmp_path / "copy")
            raise Interrupted
        done.append(step.name)
        real(step, *arguments)

    monkeypatch.setattr(run_module, "_do", do)
    with pytest.raises(Interrupted):
        run_recipe(recipe_for(voltages), tmp_path / "out")
    (tmp_path / "copy").rename(tmp_path / ".out.partial")
    half = next((tmp_path / ".out.partial").glob("02-align-*"))
    shutil.copytree(half, tmp_path / ".out.partial" / ".04-slices-0123")
    out = run_recipe(recipe_for(voltages), tmp_path / "out")
    assert done == ["align", "segment", "slices", "slices", "measure"]
    assert tree(out) == tree(whole)
    assert not left_over(tmp_path)


def test_other_parameters_or_inputs_do_not_resume(voltages, tmp_path, monkeypatch):
    done = []
    real = run_module._do

    def do(step, *arguments):
        done.append(step.name)
        if step.name == "measure" and done.count("measure") < 3:
            raise PorescopeError("No.")
        real(step, *arguments)

    monkeypatch.setattr(run_module, "_do", do)
    out = tmp_path / "out"
    with pytest.raises(PorescopeError, match="No"):
        run_recipe(recipe_for(voltages), out)
    assert left_over(tmp_path) == [".out.partial"]  # finished steps are kept
    otsu = recipe_for(voltages).with_settings(["segment.method=otsu"])
    with pytest.raises(PorescopeError, match="No"):
        run_recipe(otsu, out)
    assert done == ["align", "segment", "slices", "measure", "segment", "slices", "measure"]
    done.clear()
    (voltages / "1kV.ome.zarr" / "zarr.json").touch()
    stack = read_stack(voltages / "1kV.ome.zarr")
    shutil.rmtree(voltages / "1kV.ome.zarr")
    write_stack(voltages / "1kV.ome.zarr", stack.with_data(stack.data[:, ::-1]))
    done += ["measure", "measure"]
    run_recipe(otsu, out)
    assert done[2:] == ["align", "segment", "slices", "measure"]


@pytest.mark.parametrize("stop_at", ["align", "segment, writing", "slices", "measure"])
def test_a_cancelled_run_leaves_nothing(voltages, tmp_path, stop_at):
    asked = []

    def report(what, done, total):
        if what.endswith(stop_at):
            asked.append(what)

    before = set(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        run_recipe(
            recipe_for(voltages), tmp_path / "out", report=report, cancel=lambda: bool(asked)
        )
    assert set(tmp_path.iterdir()) == before


def test_places_are_checked_before_anything_is_written(voltages, tmp_path):
    recipe = recipe_for(voltages)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("do not lose me")
    link = mine / "link"
    link.symlink_to(voltages)
    for act, says in [
        (lambda: run_recipe(recipe, mine), "exists already"),
        (lambda: run_recipe(recipe, mine, overwrite=True), "no result of Porescope"),
        (lambda: run_recipe(recipe, voltages / "out"), "lie in one another"),
        (lambda: run_recipe(recipe, voltages, overwrite=True), "lie in one another"),
        (lambda: run_recipe(recipe, tmp_path, overwrite=True), "lie in one another"),
        (lambda: run_recipe(recipe, link / "out"), "lie in one another"),
        (lambda: run_recipe(recipe_for(tmp_path / "none"), tmp_path / "out"), "Cannot read"),
        (lambda: run_recipe(Recipe.of("segment"), tmp_path / "out"), "begin with load"),
        (lambda: run_recipe(Recipe.of("load"), tmp_path / "out"), "no input"),
        (lambda: run_recipe(recipe_for(voltages, "load"), tmp_path / "out"), "only loads"),
        (lambda: run_recipe(recipe_for(voltages, "load", "measure"), tmp_path / "o"), "no labels"),
    ]:
        with pytest.raises(PorescopeError, match=says):
            act()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "stacks"]


def test_an_earlier_result_is_replaced_only_when_asked(voltages, tmp_path):
    out = run_recipe(recipe_for(voltages), tmp_path / "out")
    with pytest.raises(PorescopeError, match="exists already"):
        run_recipe(recipe_for(voltages), out)
    otsu = recipe_for(voltages, "load", ("segment", {"method": "otsu"}))
    run_recipe(otsu, out, overwrite=True)
    assert "otsu" in (out / "recipe.yaml").read_text()
    assert not left_over(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(voltages, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(PorescopeError, match="Cannot write"):
        run_recipe(recipe_for(voltages), closed / "out")


def test_a_full_disk_leaves_the_finished_steps_only(voltages, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "save_workspace", full)
    with pytest.raises(PorescopeError, match=r"Cannot write .*out: No space left on device"):
        run_recipe(recipe_for(voltages), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["stacks"]


def test_a_file_where_a_folder_should_be_is_named(voltages, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PorescopeError, match="Cannot write"):
        run_recipe(recipe_for(voltages), tmp_path / "file" / "out")
    with pytest.raises(PorescopeError, match="Cannot write"):
        write_stack(tmp_path / "file" / "a.tif", Stack(np.zeros((1, 2, 2), np.uint8), SPACING))


def test_two_runs_do_not_write_one_result(voltages, tmp_path):
    from filelock import FileLock

    work = tmp_path / ".out.partial"
    work.mkdir()
    with FileLock(work / "lock"), pytest.raises(PorescopeError, match="Another run"):
        run_recipe(recipe_for(voltages), tmp_path / "out")


def test_the_command_is_resumed_after_a_kill(voltages, tmp_path):
    (tmp_path / "recipe.yaml").write_text(recipe_for(voltages).to_yaml())
    command = [sys.executable, "-m", "porescope.cli", "run", "recipe.yaml", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if list(Path(tmp_path, ".out.partial").glob("02-align-*")):
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stderr.close()
    for _ in range(100):  # the job notices that its parent is gone
        finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        if "Another run" not in finished.stderr:
            break
        time.sleep(0.1)
    if "exists already" not in finished.stderr:  # the kill may come after the last step
        assert finished.returncode == 0, finished.stderr
    assert read_stack(tmp_path / "out" / "labels.ome.zarr").is_labels
    assert not left_over(tmp_path)


def test_what_a_step_warns_of_is_kept_with_its_result(tmp_path):
    def work(workspace, parameters, *, progress, cancel):
        warnings.warn("Look at slice 3.", PorescopeWarning, stacklevel=2)
        return workspace

    step = Step("warns", "Warns.", Parameters, work)
    with pytest.warns(PorescopeWarning, match="Look at slice 3"):
        run_module.run_step(step, Parameters(), Workspace(), tmp_path / "made")
    made, _ = load_workspace(tmp_path / "made")
    assert made.tables["warnings"] == [{"step": "warns", "warning": "Look at slice 3."}]
