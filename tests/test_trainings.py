"""Trainings from samples on the disk to weights that segment, and what they refuse."""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from porescope import PorescopeError, Stack
from porescope.cli import main
from porescope.correct import Alignment
from porescope.errors import Cancelled, PorescopeWarning
from porescope.io import read_stack, write_stack
from porescope.pipeline.trainings import find_training, trainings
from porescope.pipeline.trainings.samples import read_sample
from porescope.pipeline.trainings.training import run_training
from porescope.pipeline.workspace import Workspace, load_workspace, save_workspace

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file  # noqa: E402

from porescope.segment import segment  # noqa: E402
from porescope.segment.model import Settings, load_segmentation  # noqa: E402
from porescope.segment.parameters import SegmentationTraining  # noqa: E402
from porescope.segment.training import Sample, train_segmentation  # noqa: E402
from porescope.segment.windows import Windows  # noqa: E402

SPACING_NM = (10.0, 2.5, 2.5)
FILE = "segmentation.safetensors"
TINY = {
    "epochs": 2, "batch_size": 4, "slices": 3, "channels": 4, "patch_px": 32, "stride_px": 16
}  # fmt: skip


def phantom(seed=0, shape=(4, 32, 48), beams_kv=(1.0, 2.0)):
    """Blobs at 150 in a matrix at 70, noisy, the more so at higher voltages."""
    random = np.random.default_rng(seed)
    truth = gaussian_filter(random.normal(size=shape), (0.5, 4, 4)) > 0
    stacks = []
    for beam_kv in beams_kv:
        noise = 10 * beam_kv * random.normal(size=shape)
        grey = np.clip(70 + 80 * truth + noise, 0, 255).astype(np.uint8)
        stacks.append(Stack(grey, SPACING_NM, beam_kv))
    return Sample(stacks, Stack(truth.astype(np.uint8), SPACING_NM, is_labels=True))


def larger_pixels(sample):
    spacing_nm = (10.0, 5.0, 5.0)
    stacks = [replace(stack, spacing_nm=spacing_nm) for stack in sample.stacks]
    return Sample(stacks, replace(sample.truth, spacing_nm=spacing_nm))


def on_disk(folder, sample, labels="labels.tif"):
    for stack in sample.stacks:
        write_stack(folder / f"{stack.beam_kv:g}kV.ome.tif", stack)
    write_stack(folder / labels, sample.truth)
    return folder


def learn(folder, samples=None, validation=None, **more):
    given = TINY | {key: value for key, value in more.items() if key not in ("cancel", "progress")}
    follow = {key: value for key, value in more.items() if key in ("cancel", "progress")}
    return train_segmentation(
        samples or [phantom(1)], [phantom(2)] if validation is None else validation, folder,
        SegmentationTraining(**given), **follow,
    )  # fmt: skip


def score(card, of="validation"):
    return card.scores[f"misplaced % of {of} at 1 kV"]


def test_training_tells_the_phases_apart(tmp_path):
    sample, other = (phantom(seed, (4, 48, 48), beams_kv=(1.0,)) for seed in (1, 2))
    before = learn(tmp_path / "short", [sample], [other], epochs=1, learning_rate=1e-6)
    plain = {"changed": 0, "noise": 0.05, "learning_rate": 0.01, "stride_px": 4, "channels": 8}
    card = learn(tmp_path / "long", [sample], [other], epochs=4, **plain)
    assert score(before) > 20
    assert score(card) < 3
    model, read = load_segmentation(tmp_path / "long" / FILE)
    assert read == card
    assert model.settings.pixel_nm == 2.5
    assert json.loads((tmp_path / "long" / "segmentation.json").read_text())["scores"]


def test_what_is_stopped_goes_on_to_the_same_weights(tmp_path):
    whole = learn(tmp_path / "whole")
    for calls in (3, 4):  # in the first network, and in the second
        with pytest.raises(Cancelled):
            learn(tmp_path / "parts", cancel=iter([0] * calls + [1]).__next__)
        assert not (tmp_path / "parts" / FILE).exists()
    done = []
    parts = learn(tmp_path / "parts", progress=lambda *both: done.append(both))
    assert parts.scores == whole.scores
    assert done[-1][0] == done[-1][1]
    assert len(done) < 6  # of ten steps, most had been done
    expected, found = (load_file(tmp_path / name / FILE) for name in ("whole", "parts"))
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_file_ends_all_networks_with_their_best_weights(tmp_path):
    (tmp_path / "stop").touch()
    done = []
    card = learn(tmp_path, epochs=50, progress=lambda *both: done.append(both))
    assert max(done)[0] < max(done)[1] * 0.6  # one epoch each
    assert (tmp_path / FILE).exists()
    assert set(card.scores) == {
        f"misplaced % of validation at {each}" for each in ("1 kV", "2 kV", "1, 2 kV")
    }


def test_networks_of_other_kinds_are_trained_too(tmp_path):
    samples = [phantom(seed, (9, 32, 32)) for seed in (1, 2)]
    for architecture in ("early-fusion", "intermediate-fusion", "unet3d", "residual-unet3d"):
        folder = tmp_path / architecture
        learn(folder, samples[:1], samples[1:], epochs=1, architecture=architecture)
        model, card = load_segmentation(folder / FILE)
        assert len(model.networks) == (1 if "fusion" in architecture else 2)
        assert all(0 <= value <= 100 for value in card.scores.values())


def test_another_training_in_the_same_folder_is_refused(tmp_path):
    with pytest.raises(Cancelled):
        learn(tmp_path, cancel=iter([0] * 3 + [1] * 9).__next__)
    with pytest.raises(PorescopeError, match="training of another network; choose another folder"):
        learn(tmp_path, channels=6)


@pytest.mark.parametrize(
    ("training", "validation", "more", "why"),
    [
        ([], [], {}, "give at least one"),
        ([phantom(1)], [phantom(2, beams_kv=(1.0,))], {}, "stacks of the same, known voltages"),
        ([phantom(1, (4, 32, 31))], [phantom(2)], {}, "has 31 columns"),
        ([phantom(1)], [phantom(2)], {"architecture": "vnet"}, "has 4 slices"),
        ([phantom(1)], [larger_pixels(phantom(2))], {}, "have 2.5 to 5 nm"),
        ([phantom(1, beams_kv=range(1, 10))], [phantom(1, beams_kv=range(1, 10))], {}, "at most"),
        ([phantom(1, beams_kv=(1, 1))], [phantom(2, beams_kv=(1, 1))], {}, "have 1, 1 kV"),
    ],
)
def test_samples_that_do_not_fit_together_are_refused(tmp_path, training, validation, more, why):
    with pytest.raises(PorescopeError, match=why) as error:
        train_segmentation(training, validation, tmp_path, SegmentationTraining(**TINY | more))
    assert "\n" not in str(error.value)
    assert not (tmp_path / FILE).exists()


def of_slices(labels, slices):
    """Return labels of some slices only."""
    return labels.with_data(labels.data[slices], slice_z_nm=labels.slice_z_nm[slices])


def test_labels_of_some_slices_teach_what_lies_around_them(tmp_path):
    sample = phantom(1, (7, 32, 48))
    chosen = [1, 4]
    some = replace(sample, truth=of_slices(sample.truth, chosen))
    network = Settings(beam_kv=(1.0,), pixel_nm=2.5, channels=4).build()
    windows = Windows([some.example([0])], network, 32, 16)
    whole = Windows([sample.example([0])], network, 32, 16)
    a_slice = len(whole) // 7
    assert len(windows) == 2 * a_slice
    for place, index in enumerate(chosen):
        for key, value in windows[place * a_slice].items():
            torch.testing.assert_close(value, whole[index * a_slice][key])


def test_volumes_are_learned_from_where_slices_with_labels_are_neighbours(tmp_path):
    sample = phantom(1, (40, 32, 48))
    network = Settings(architecture="unet3d", beam_kv=(1.0,), pixel_nm=2.5).build()
    together, apart = list(range(3, 3 + network.planes)), list(range(0, 2 * network.planes, 2))
    some = replace(sample, truth=of_slices(sample.truth, together))
    whole = Windows([sample.example([0])], network, 32, 16)[0]["truth"].shape
    assert Windows([some.example([0])], network, 32, 16)[0]["truth"].shape == whole
    some = replace(sample, truth=of_slices(sample.truth, apart))
    with pytest.raises(PorescopeError, match="no neighbours"):
        Windows([some.example([0])], network, 32, 16)


def test_labels_of_other_places_are_refused():
    sample = phantom(1)
    between = of_slices(sample.truth, [1, 2])
    between = between.with_data(between.data, slice_z_nm=between.slice_z_nm + 4.0)
    with pytest.raises(PorescopeError, match="give labels of slices of the images"):
        replace(sample, truth=between).example([0])


def test_training_begins_with_weights_that_there_are(tmp_path):
    plain = {"changed": 0, "noise": 0.05, "learning_rate": 0.01, "stride_px": 4}
    learn(tmp_path / "first", epochs=8, **plain, channels=8)
    start = str(tmp_path / "first" / FILE)
    corrected = phantom(5)
    corrected = replace(corrected, truth=of_slices(corrected.truth, [0, 2]))
    how = {"epochs": 1, "learning_rate": 1e-9, "validation": []}
    card = learn(tmp_path / "more", [corrected], **how, start=start, slices=5, channels=4)
    for name, value in load_file(start).items():
        if name.startswith("networks"):
            np.testing.assert_allclose(load_file(tmp_path / "more" / FILE)[name], value, atol=1e-3)
    assert card.settings["slices"] == TINY["slices"]  # those of the weights
    assert "No sample was kept back" in card.split
    assert card.training["start"] == start
    anew = learn(tmp_path / "anew", [corrected], **how)
    assert score(card, "what was learned") < 0.5 * score(anew, "what was learned")


def test_weights_of_the_nearest_voltage_are_begun_with(tmp_path):
    learn(tmp_path / "first", epochs=1)
    start = load_file(tmp_path / "first" / FILE)
    sample = phantom(5, beams_kv=(5.0,))
    learn(
        tmp_path / "more", [sample], validation=[], epochs=1, learning_rate=1e-9,
        start=str(tmp_path / "first" / FILE),
    )  # fmt: skip
    found = load_file(tmp_path / "more" / FILE)
    for name in (name for name in found if name.startswith("networks.0")):
        known = start[name.replace("networks.0", "networks.1")]
        np.testing.assert_allclose(found[name], known, atol=1e-3)


def test_weights_for_another_number_of_voltages_together_are_refused(tmp_path):
    learn(tmp_path / "first", epochs=1, architecture="early-fusion")
    with pytest.raises(PorescopeError, match="take 2 voltages together, the samples have 1"):
        learn(
            tmp_path / "more", [phantom(1, beams_kv=(1.0,))], [],
            start=str(tmp_path / "first" / FILE),
        )  # fmt: skip


def test_labels_that_do_not_fit_are_refused(tmp_path):
    good = phantom(1)
    phases = replace(good, truth=good.truth.with_data(3 * good.truth.data))
    with pytest.raises(PorescopeError, match="there is a label 3; join the phases"):
        learn(tmp_path, [phases])
    unknown = [Stack(stack.data, SPACING_NM) for stack in good.stacks]
    with pytest.raises(PorescopeError, match="known voltages"):
        learn(tmp_path, [Sample(unknown, good.truth)], [Sample(unknown, good.truth)])


def test_samples_are_read_from_folders_and_from_results(tmp_path):
    sample = phantom(1)
    folder = on_disk(tmp_path / "folder", sample)
    zarr = on_disk(tmp_path / "zarr", sample, "truth-slices.ome.zarr")
    finer = sample.truth.with_data(np.repeat(sample.truth.data, 2, axis=0), slice_z_nm=None)
    write_stack(zarr / "truth.ome.zarr", finer)
    workspace = Workspace(images=tuple(sample.stacks), labels=sample.truth)
    save_workspace(tmp_path / "result", workspace)
    for place in (folder, zarr, tmp_path / "result"):
        read = read_sample(place)
        assert [stack.beam_kv for stack in read.stacks] == [1, 2]
        for given, found in zip((*sample.stacks, sample.truth), (*read.stacks, read.truth),
                                strict=True):  # fmt: skip
            assert isinstance(found.data, np.ndarray)
            np.testing.assert_array_equal(found.data, given.data)


def test_folders_without_fitting_labels_are_refused(tmp_path):
    sample = phantom(1)
    other = replace(sample, truth=phantom(1, (4, 32, 40)).truth)
    bare = on_disk(tmp_path / "bare", sample)
    (bare / "labels.tif").unlink()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    save_workspace(tmp_path / "result", Workspace(images=tuple(sample.stacks)))
    for place, why in [
        (bare, r"no labels of slices .* add labels of the shape \(4, 32, 48\)"),
        (on_disk(tmp_path / "other", other), "no labels of slices"),
        (tmp_path / "file", "file"),
        (tmp_path / "gone", "gone"),
        (tmp_path / "empty", "no sub-folder or file with a stack"),
        (tmp_path / "result", "no labels yet"),
    ]:
        with pytest.raises(PorescopeError, match=why):
            read_sample(place)


def test_the_drift_of_a_simulated_folder_is_undone(tmp_path):
    sample = phantom(1, (4, 40, 50))
    offsets = {1.0: np.array([[0, 0], [2, -1], [3, 1], [-2, 4]]), 2.0: np.zeros((4, 2))}
    drifted = []
    for stack in sample.stacks:
        moves = -offsets[stack.beam_kv].astype(int)
        data = [np.roll(plane, move, (0, 1)) for plane, move in zip(stack.data, moves, strict=True)]
        drifted.append(stack.with_data(np.array(data)))
    folder = on_disk(tmp_path / "drifted", replace(sample, stacks=drifted))
    for beam_kv, found in offsets.items():
        Alignment(found, beam_kv).save(folder / f"alignment-{beam_kv:g}kV.json")
    read = read_sample(folder)
    seen = (slice(None), slice(3, 38), slice(4, 49))  # by every slice
    for found, expected in zip((*read.stacks, read.truth), (*sample.stacks, sample.truth),
                               strict=True):  # fmt: skip
        np.testing.assert_allclose(found.data, expected.data[seen], atol=1)
    assert set(np.unique(read.truth.data)) == {0, 1}


def test_from_the_command_line_to_labels_and_a_map(tmp_path, capfd):
    folders = [str(on_disk(tmp_path / name, phantom(n))) for n, name in enumerate("abc")]
    options = [
        "--epochs", "1", "--channels", "4", "--slices", "3", "--patch-px", "32",
        "--stride-px", "16", "--batch-size", "4", "--architecture", "unet-adjacent",
    ]  # fmt: skip
    command = ["train", "segmentation", *folders[:2], "--out", str(tmp_path / "w"), *options]
    assert main(command) == 0
    told = capfd.readouterr().out
    weights = tmp_path / "w" / FILE
    assert f"Wrote {weights}" in told
    assert "misplaced % of validation at 1, 2 kV" in told
    before = weights.read_bytes()
    assert main(command) == 2
    assert "holds finished weights" in capfd.readouterr().err
    assert weights.read_bytes() == before
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["training"]["epochs"] == 1
    assert "1 samples for training, 4 slices" in card["data"]

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"porescope: 1\nsteps: [load, {{segment: {{weights: {weights}}}}}]\n")
    stacks = phantom(3)
    for stack in stacks.stacks:
        write_stack(tmp_path / "in" / f"{stack.beam_kv:g}kV.ome.tif", stack)
    out = tmp_path / "out"
    assert main(["run", str(recipe), str(tmp_path / "in"), "--out", str(out)]) == 0
    likely = read_stack(out / "maps" / "probability.ome.zarr")
    labels = read_stack(out / "labels.ome.zarr")
    assert labels.is_labels
    assert not likely.is_labels
    assert likely.data.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(labels.data), np.asarray(likely.data) >= 128)
    assert labels.history[-1]["parameters"]["weights"] == str(weights)
    workspace, written = load_workspace(out)
    assert list(workspace.maps) == ["probability"]
    np.testing.assert_array_equal(workspace.maps["probability"].data, likely.data)
    assert written[id(workspace.maps["probability"])].name == "probability.ome.zarr"

    pytest.importorskip("napari", reason="napari is not installed")
    from napari.components import ViewerModel
    from npe2 import PluginManager

    PluginManager.instance().discover()
    layers = {layer.name: layer for layer in ViewerModel().open(out, plugin="napari-porescope")}
    assert list(layers) == ["1kV", "2kV", "probability", "labels"]
    np.testing.assert_array_equal(np.asarray(layers["probability"].data), likely.data)
    assert tuple(layers["probability"].scale) == SPACING_NM
    assert not layers["probability"].visible


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["{a}"], "of 1, 1 would choose the epoch"),
        (["{a}", "{b}", "--validation", "2"], "none be left to learn from"),
        (["{a}", "{a}"], "is named twice"),
        (["{a}", "{a}", "--slices", "4"], "take an odd number"),
        (["{a}", "{a}", "--channels", "3"], "channels is '3', but must be a multiple of 2"),
        (["{a}", "{a}", "--channels", "1000000000"], "must be at most 256"),
        (["{a}", "{a}", "--architecture", "magic"], "architecture is 'magic'"),
        (["{a}", "{gone}"], "gone"),
    ],
)
def test_mistakes_in_the_command_are_told_in_a_sentence(tmp_path, capfd, words, why):
    folders = {name: on_disk(tmp_path / name, phantom(1)) for name in "ab"}
    words = [word.format(**folders, gone=tmp_path / "gone") for word in words]
    assert main(["train", "segmentation", *words, "--out", str(tmp_path / "w")]) == 2
    told = capfd.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("porescope: ")
    assert why in told
    assert not (tmp_path / "w").exists(), "no empty folder is left"


def test_a_folder_of_anything_else_is_not_trained_in(tmp_path):
    folders = [on_disk(tmp_path / name, phantom(1, beams_kv=(1.0,))) for name in "ab"]
    kind = find_training("segmentation")
    parameters = kind.parse(TINY)
    full, file, other = tmp_path / "full", tmp_path / "file", tmp_path / "other"
    full.mkdir()
    (full / "report.html").write_text("of a recipe")
    file.write_text("mine")
    other.mkdir()
    (other / "training.json").write_text('{"training": "surrogate"}')
    for out, says in ((full, "files of other kinds"), (file, "is a file"), (other, "another")):
        kept = {path: path.read_text() for path in tmp_path.rglob("*.html")}
        with pytest.raises(PorescopeError, match=says):
            run_training(kind, folders, out, parameters)
        assert {path: path.read_text() for path in kept} == kept
    assert [path.name for path in full.iterdir()] == ["report.html"]
    assert file.read_text() == "mine"
    with pytest.raises(Cancelled):
        run_training(kind, folders, tmp_path / "w", parameters, cancel=lambda: True)
    assert not (tmp_path / "w").exists()


def test_what_is_learned_without_validation_claims_none(tmp_path):
    sample = phantom(1, (4, 32, 32))
    card = learn(tmp_path, [sample], [], epochs=1)
    assert list(card.scores) == [
        f"misplaced % of what was learned at {each}" for each in ("1 kV", "2 kV", "1, 2 kV")
    ]
    with pytest.warns(PorescopeWarning, match="what that costs was not measured"):
        segment(sample.stacks[:1], "late-fusion", weights=tmp_path / FILE)


def test_epochs_and_losses_are_told_while_a_network_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("porescope.pipeline.trainings.training"), "LOOKS_S", 0)
    folders = [on_disk(tmp_path / name, phantom(1, beams_kv=(1.0,))) for name in "ab"]
    kind, told = find_training("segmentation"), []
    parameters = kind.parse(TINY | {"epochs": 3})
    out = tmp_path / "w"
    run_training(kind, folders, out, parameters, report=lambda what, *_: told.append(what))
    told = list(dict.fromkeys(told))
    assert told[:2] == ["Getting ready", "segmentation"]
    assert "epoch 1 done, validation loss " in told[2]
    assert "epoch 2 done, validation loss " in told[3]


def test_who_cancels_is_told_what_is_kept(tmp_path, monkeypatch, capfd):
    out = tmp_path / "w"

    def interrupted(job):
        job.cancel()
        with pytest.raises(Cancelled):
            job.result()
        (out / "1kV").mkdir(parents=True, exist_ok=True)
        if kept:
            (out / "1kV" / "metrics.csv").write_text(
                "epoch,training_loss,validation_loss\n0,2,1\n1,0.5,0.25\n"
            )
        raise Cancelled

    monkeypatch.setattr("porescope.terminal.wait_with_bars", interrupted)
    kept = False
    command = ["train", "interpolation", "--out", str(out)]
    assert main(command) == 130
    assert "nothing was written" in capfd.readouterr().err
    assert not out.exists()
    kept = True
    assert main(command) == 130
    told = capfd.readouterr().err
    assert f"is kept in {out} (1kV, epoch 2 done, validation loss 0.25)" in told
    assert "the same command goes on" in told


@pytest.mark.parametrize("place", ["a", ".", "a/w"])
def test_weights_do_not_come_to_lie_among_the_samples(tmp_path, place):
    folder = on_disk(tmp_path / "a", phantom(1))
    before = sorted(tmp_path.rglob("*"))
    kind = find_training("segmentation")
    with pytest.raises(PorescopeError, match="lie in one another"):
        run_training(kind, [folder, folder], tmp_path / place, kind.parse(TINY))
    assert sorted(tmp_path.rglob("*")) == before


def test_trainings_are_known_by_name():
    assert {"segmentation", "interpolation"} <= set(trainings())
    with pytest.raises(PorescopeError, match="There is no training 'magic'; choose from"):
        find_training("magic")
    with pytest.raises(PorescopeError, match="has no parameter 'epoch'"):
        find_training("segmentation").parse({"epoch": 3})
