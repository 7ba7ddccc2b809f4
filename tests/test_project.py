"""A project folder, what was painted, and clicks as a recipe and as a script."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porescope import PorescopeError, Stack
from porescope.io import read_stack, write_stack
from porescope.pipeline import find_step, load_workspace, run_recipe, run_step, to_script
from porescope.pipeline.annotations import AnnotationFile
from porescope.pipeline.lineage import lineage
from porescope.pipeline.project import (
    Annotation,
    KeptLayer,
    Project,
    ProjectLock,
    Source,
    Taken,
    Used,
    Window,
    check_inputs,
    copy_results,
    look_at,
    next_number,
    read_project,
    write_project,
)
from porescope.pipeline.provenance import hash_path
from porescope.pipeline.workspace import Workspace

STACK = "/stacks/2kV.tif"


def an_image(kv=2.0, z=(0.1, 11, 19, 30)):
    random = np.random.default_rng(int(10 * kv))
    data = random.integers(0, 255, (len(z), 20, 24)).astype(np.uint8)
    return Stack(data=data, spacing_nm=(10, 2.5, 2.5), beam_kv=kv, slice_z_nm=np.array(z))


def a_project():
    source = Source(path=STACK, spacing_nm=(10, None, 2.5), beam_kv=2)
    used = Used(name="2kV", source=source)
    made = Source(path="results/000", volume="labels.ome.zarr")
    drawn = Annotation(folder="annotations/0123abcd", shape=(3, 4, 5), dtype="uint8")
    return Project(
        inputs={STACK: {"bytes": 7, "modified_s": 1.5}},
        steps=(
            Taken(
                step="segment",
                parameters={"method": "otsu"},
                images=(used,),
                folder="results/000",
                made={"labels.ome.zarr": "labels"},
            ),
        ),
        layers=(
            KeptLayer(name="2kV", kind="image", source=source, look={"opacity": 0.5}),
            KeptLayer(name="labels", kind="labels", source=made),
            KeptLayer(name="scribbles", kind="labels", annotation=drawn, told={"annotation": {}}),
        ),
        window=Window(point=(1.0, 2.0, 3.0), zoom=2.5, sections={"segment": {"method": "otsu"}}),
    )


def test_a_project_reads_back_as_it_was_written(tmp_path):
    write_project(tmp_path, a_project())
    assert read_project(tmp_path) == a_project()
    write_project(tmp_path, Project())
    assert read_project(tmp_path) == Project()
    assert [path.name for path in tmp_path.iterdir()] == ["project.json"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"porescope_project": 2}, "format 2 of projects.*install a newer Porescope"),
        ({"porescope_project": None}, "damaged"),
        ({"surprise": 1}, "damaged at surprise: what stands there makes no sense; take"),
        ({"window": {"zoom": -1}}, "damaged at window → zoom"),
        ({"window": {"zoom": 1e999}}, "damaged at window → zoom"),
        ({"layers": 7}, "damaged at layers: what stands there makes no sense"),
        ({"layers": [{"name": "a", "kind": "image"}]}, "either a source or an annotation"),
        ({"layers": [{"name": "a", "kind": "image", "source": {"path": "../a"}}]}, "within the"),
        (
            {"layers": [{"name": "a", "kind": "image", "source": {"path": "/a", "volume": "/b"}}]},
            "within the",
        ),
        ({"steps": [{"step": "a", "parameters": {}, "folder": "results/../../a"}]}, "within the"),
        ({"steps": [{"step": "a", "parameters": {}, "folder": "/etc"}]}, "within the"),
    ],
)
def test_what_is_wrong_with_a_project_is_a_sentence(tmp_path, change, sentence):
    content = json.loads(a_project().to_json()) | change
    (tmp_path / "project.json").write_text(json.dumps(content))
    with pytest.raises(PorescopeError, match=sentence):
        read_project(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"porescope_project"', "[" * 100_000])
def test_no_text_is_taken_for_a_project(tmp_path, text):
    (tmp_path / "project.json").write_text(text)
    with pytest.raises(PorescopeError, match="damaged"):
        read_project(tmp_path)


def test_a_folder_without_its_file_is_no_project(tmp_path):
    with pytest.raises(PorescopeError, match="no Porescope project"):
        read_project(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_that_leads_out_of_a_project_is_refused(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "it.porescope"
    outside.mkdir()
    folder.mkdir()
    (folder / "results").symlink_to(outside)
    write_project(folder, a_project())
    with pytest.raises(PorescopeError, match="leads out of the project"):
        read_project(folder)


def test_inputs_that_changed_or_are_gone_are_told_and_can_lie_elsewhere(tmp_path):
    same, changed, gone = (str(tmp_path / name) for name in ("same.bin", "changed.bin", "gone.bin"))
    for path in (same, changed, gone):
        Path(path).write_bytes(b"1234")
    project = Project(
        inputs={path: look_at(path) for path in (same, changed, gone)},
        layers=tuple(
            KeptLayer(name="a", kind="image", source=Source(path=path))
            for path in (same, changed, gone)
        ),
        steps=(
            Taken(
                step="align",
                parameters={"path": gone},
                images=(Used(name="a", source=Source(path=gone)),),
                folder="results/000",
            ),
        ),
    )
    assert check_inputs(project) == ([], [])
    Path(changed).write_bytes(b"12345")
    moved = tmp_path / "moved.bin"
    Path(gone).rename(moved)
    assert check_inputs(project) == ([gone], [changed])
    found = project.with_inputs_at({gone: str(moved)})
    assert check_inputs(found) == ([], [changed])
    assert found.input_paths() == [str(moved), same, changed]
    assert found.steps[0].parameters == {"path": gone}, "parameters are the user's"


def _hold(folder, ready, leave):
    lock = ProjectLock(Path(folder))
    ready.set()
    leave.wait()
    lock.release()


def test_a_project_is_open_in_one_living_window_alone(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), ready, leave))
    other.start()
    assert ready.wait(60)
    with pytest.raises(PorescopeError, match=rf"open in another window \(process {other.pid} on"):
        ProjectLock(tmp_path)
    other.kill()
    other.join()
    lock = ProjectLock(tmp_path)  # the dead hold nothing
    with pytest.raises(PorescopeError, match="another window"):
        ProjectLock(tmp_path)
    lock.release()
    ProjectLock(tmp_path).release()


def test_results_are_copied_whole_and_numbered_on(tmp_path):
    results = tmp_path / "results"
    for name in ("000/a.zarr/c/0", "002/b.json", ".003/half"):
        (results / name).parent.mkdir(parents=True)
        (results / name).write_text(name)
    copy_results(results, tmp_path / "copy")
    found = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*.*")}
    assert {"000/a.zarr", "002/b.json"} == found
    assert (tmp_path / "copy/000/a.zarr/c/0").read_text() == "000/a.zarr/c/0"
    assert next_number(results) == 4, "also where something failed, nothing is written twice"
    assert next_number(results, [7]) == 8
    assert next_number(tmp_path / "none") == 0


def test_copying_results_can_be_cancelled(tmp_path):
    (tmp_path / "results/000").mkdir(parents=True)
    (tmp_path / "results/000/a").write_text("a")
    with pytest.raises(PorescopeError, match="Cancelled"):
        copy_results(tmp_path / "results", tmp_path / "copy", cancel=lambda: True)


# What was painted


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    strokes=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 6), st.integers(0, 3)),
        max_size=12,
    )
)
def test_what_was_painted_comes_back_and_only_changed_slices_are_written(tmp_path, strokes):
    folder = tmp_path / "drawn"
    shutil.rmtree(folder, ignore_errors=True)
    file = AnnotationFile(folder)
    labels = np.zeros((4, 6, 7), np.uint8)
    saved = labels.copy()
    for z, y, x, value in strokes:
        labels[z, y, x] = value
        assert file.save(labels) == (labels != saved).any(axis=(1, 2)).sum()
        saved = labels.copy()
    told = Annotation(folder="annotations/a", shape=labels.shape, dtype="uint8")
    again = AnnotationFile(folder)
    assert np.array_equal(again.load(told), labels)
    assert again.save(labels) == 0
    files = len(list(folder.glob("*"))) if folder.exists() else 0
    assert files == labels.any(axis=(1, 2)).sum()


def test_a_slice_of_another_size_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "00001.tif", np.ones((9, 9), np.uint8))
    told = Annotation(folder="annotations/a", shape=(2, 3, 4), dtype="uint8")
    with pytest.raises(PorescopeError, match=r"00001.tif is no slice of 12 pixels"):
        AnnotationFile(tmp_path).load(told)
    (tmp_path / "00001.tif").write_bytes(b"II*\0 no")
    with pytest.raises(PorescopeError, match="damaged"):
        AnnotationFile(tmp_path).load(told)


def test_a_volume_that_cannot_be_is_refused(tmp_path):
    told = Annotation(folder="annotations/a", shape=(2**20, 2**20, 2**20), dtype="uint64")
    with pytest.raises(PorescopeError, match="GiB"):
        AnnotationFile(tmp_path).load(told)


# Clicks as a recipe


class Clicks:
    """Runs steps as the window does, and keeps what was run."""

    def __init__(self, folder):
        self.folder = folder
        self.steps = []

    def load(self, path, **given):
        source = Source(path=str(path), **given)
        return [(read_stack(path, **given), Used(name=path.stem, source=source))]

    def run(self, name, images=(), labels=None, truth=None, maps=None, **parameters):
        step = find_step(name)
        folder = f"results/{len(self.steps):03d}"
        workspace = Workspace(
            images=tuple(stack for stack, _ in images),
            labels=labels and labels[0],
            truth=truth and truth[0],
            maps={key: stack for key, (stack, _) in (maps or {}).items()},
        )
        run_step(step, step.parse(parameters), workspace, self.folder / folder)
        made, _ = load_workspace(self.folder / folder)
        taken = Taken(
            step=name,
            parameters=step.parse(parameters).model_dump(mode="json"),
            images=tuple(known for _, known in images),
            labels=labels and labels[1],
            truth=truth and truth[1],
            maps={key: known for key, (_, known) in (maps or {}).items()},
            folder=folder,
            made={volume: f"{volume} of {name}" for volume, _ in made.stacks()},
        )
        self.steps.append(taken)
        return {
            volume: (
                stack,
                Used(name=taken.made[volume], source=Source(path=folder, volume=volume)),
            )
            for volume, stack in made.stacks()
        }

    def recipe(self, number=-1, temporary=False):
        return lineage(self.steps, self.steps[number], None if temporary else self.folder)


@pytest.fixture
def clicks(tmp_path):
    return Clicks(tmp_path / "it.porescope")


@pytest.fixture
def image_file(tmp_path):
    return write_stack(tmp_path / "2kV.ome.tif", an_image())


def names(recipe):
    return [step.name for step, _ in recipe.steps]


def replayed(clicks, number, out):
    """Replay the recipe of a result, and compare every file of every volume."""
    recipe = clicks.recipe(number)
    run_recipe(recipe, out)
    volumes = list(clicks.steps[number].made)
    assert volumes
    for volume in volumes:
        before = clicks.folder / clicks.steps[number].folder / volume
        assert hash_path(out / volume) == hash_path(before), volume
    return recipe


def test_steps_in_a_line_become_a_recipe_of_the_same_bytes(tmp_path, clicks, image_file):
    image = clicks.load(image_file)
    clicks.run("segment", image, method="kmeans")
    cropped = clicks.run("crop", image, region=(2, 18, 3, 22))
    labels = clicks.run("segment", list(cropped.values()), method="otsu")["labels.ome.zarr"]
    clicks.run("slices", labels=labels, interpolation="linear")
    recipe = replayed(clicks, -1, tmp_path / "again")
    assert names(recipe) == ["load", "crop", "segment", "slices"]
    assert recipe.inputs == (image_file,)
    assert recipe.steps[1][1].region == (2, 18, 3, 22)
    assert names(clicks.recipe(0)) == ["load", "segment"]


def test_what_was_filled_in_when_loading_is_in_the_recipe(tmp_path, clicks):
    np.save(tmp_path / "bare.npy", an_image().data)
    image = clicks.load(tmp_path / "bare.npy", spacing_nm=(10.0, 2.5, 2.5), beam_kv=1.7)
    clicks.run("segment", image, method="otsu")
    load = replayed(clicks, -1, tmp_path / "again").steps[0][1]
    assert load.spacing_nm == (10, 2.5, 2.5)
    assert load.beam_kv == 1.7


def test_labels_from_elsewhere_are_taken_from_their_file(tmp_path, clicks):
    labels = replace(an_image(), is_labels=True, data=(an_image().data > 90).astype(np.uint8))
    write_stack(clicks.folder / "results/000/used/labels.ome.zarr", labels)
    clicks.steps.append(None)  # the step that kept what was corrected by hand
    source = Source(path="results/000/used/labels.ome.zarr")
    clicks.run(
        "slices", labels=(labels, Used(name="corrected", source=source)), interpolation="linear"
    )
    del clicks.steps[0]
    recipe = replayed(clicks, -1, tmp_path / "again")
    assert names(recipe) == ["labels", "slices"]
    with pytest.raises(PorescopeError, match="'corrected' is so far only in the temporary folder"):
        clicks.recipe(temporary=True)


def test_a_truth_is_loaded_where_it_is_needed(tmp_path, clicks, image_file):
    truth = replace(an_image(), is_labels=True, data=(an_image().data > 90).astype(np.uint8))
    file = write_stack(tmp_path / "truth.ome.tif", truth)
    labels = clicks.run("segment", clicks.load(image_file), method="otsu")["labels.ome.zarr"]
    known = (truth, Used(name="truth", source=Source(path=str(file))))
    clicks.run("measure", labels=labels, truth=known, isotropy=False, morphometry=False)
    recipe = clicks.recipe()
    assert names(recipe) == ["load", "segment", "labels", "measure"]
    out = run_recipe(recipe, tmp_path / "again")
    scores = json.loads((out / "scores.json").read_text())
    before, _ = load_workspace(clicks.folder / clicks.steps[-1].folder)
    assert scores["MP"] == before.scores["MP"]


def test_scribbles_are_named_as_a_file(tmp_path, clicks, image_file):
    marks = np.zeros((4, 20, 24), np.uint8)
    marks[1, 2:8, 2:20], marks[1, 12:18, 2:20] = 1, 2
    scribbles = replace(an_image(), is_labels=True, data=marks)
    file = write_stack(tmp_path / "scribbles.ome.zarr", scribbles)
    known = (scribbles, Used(name="scribbles", source=Source(path=str(file))))
    image = clicks.load(image_file)
    clicks.run("segment", image, maps={"scribbles": known}, method="forest")
    recipe = clicks.recipe()
    out = run_recipe(recipe, tmp_path / "again")
    before, _ = load_workspace(clicks.folder / "results/000")
    assert np.array_equal(read_stack(out / "labels.ome.zarr").data, before.labels.data)


@pytest.mark.filterwarnings("ignore:No slice could be checked")  # so few slices
def test_branches_are_refused_by_the_name_of_the_layer(clicks, image_file):
    image = clicks.load(image_file)
    labels = clicks.run("segment", image, method="otsu")["labels.ome.zarr"]
    cleaned = list(clicks.run("clean", image, brightness=True).values())
    clicks.run("check", cleaned, labels=labels, imaging="montecarlo", electrons=2)
    with pytest.raises(PorescopeError, match=r"check worked on the layer 'labels.ome.zarr of seg"):
        clicks.recipe()

    again = clicks.run("crop", image)
    clicks.run("segment", list(again.values()), method="otsu")
    clicks.run("check", image, labels=labels, imaging="montecarlo", electrons=2)
    assert names(clicks.recipe()) == ["load", "segment", "check"], "other branches do not matter"


@pytest.mark.filterwarnings("ignore:No slice could be checked")  # so few slices
def test_a_step_that_goes_back_to_earlier_images_is_refused(clicks, image_file):
    image = clicks.load(image_file)
    cropped = list(clicks.run("crop", image).values())
    labels = clicks.run("segment", cropped, method="otsu")["labels.ome.zarr"]
    clicks.run("check", image, labels=labels, imaging="montecarlo", electrons=2)
    with pytest.raises(PorescopeError, match=r"check worked on '2kV.ome', but those before it"):
        clicks.recipe()


def test_some_voltages_of_a_folder_are_kept(tmp_path, clicks):
    for kv in (1, 2, 4):
        write_stack(tmp_path / f"stacks/{kv}kV.ome.tif", an_image(kv))
    source = Source(path=str(tmp_path / "stacks"), volume="kv=4.0", count=3)
    chosen = [(an_image(4), Used(name="4kV", source=source))]
    clicks.run("crop", chosen)
    recipe = replayed(clicks, -1, tmp_path / "again")
    assert recipe.steps[0][1].keep_kv == (4,)
    with pytest.raises(PorescopeError, match=r"No stack has 3 kV; there are 1, 2, 4"):
        run_recipe(recipe.with_settings(["load.keep_kv=[3]"]), tmp_path / "third")


def test_numbers_given_for_one_of_several_stacks_are_refused(tmp_path, clicks):
    paths = [write_stack(tmp_path / f"{kv}.ome.tif", an_image(kv)) for kv in (1, 2)]
    images = clicks.load(paths[0], beam_kv=1) + clicks.load(paths[1])
    clicks.run("crop", images)
    with pytest.raises(PorescopeError, match=r"filled in for .* alone"):
        clicks.recipe()


def test_a_script_does_what_the_recipe_does_in_a_fresh_process(tmp_path, clicks, image_file):
    cropped = clicks.run("crop", clicks.load(image_file), region=(2, 18, 3, 22))
    clicks.run("segment", list(cropped.values()), method="kmeans", seed=3)
    text = to_script(clicks.recipe())
    assert "apply_step(workspace, 'segment', method='kmeans', seed=3)" in text
    (tmp_path / "script.py").write_text(text)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=100)
    before, _ = load_workspace(clicks.folder / "results/001")
    after, _ = load_workspace(tmp_path / "result")
    assert np.array_equal(after.labels.data, before.labels.data)
    assert after.labels.history == before.labels.history
    assert after.images[0].shape == (4, 16, 19)


def test_what_a_step_works_on_can_be_kept_beside_its_result(tmp_path):
    step = find_step("segment")
    workspace = Workspace(images=(an_image(),))
    kept = {"used/images/2kV.ome.zarr": an_image()}
    run_step(step, step.parse({"method": "otsu"}), workspace, tmp_path / "000", kept=kept)
    again = read_stack(tmp_path / "000/used/images/2kV.ome.zarr")
    assert np.array_equal(again.data, an_image().data)
    assert np.array_equal(again.slice_z_nm, an_image().slice_z_nm)
