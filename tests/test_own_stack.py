"""From a stack without labels to its segmentation: structures like it, their look, and the loop."""

import contextlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from porescope import Stack
from porescope.errors import Cancelled, PorescopeError, PorescopeWarning
from porescope.geometry import boolean_model, hierarchical_leveled_wave, leveled_wave, voxelize
from porescope.imaging.noise import shot_noise
from porescope.io import read_stack, write_stack
from porescope.pipeline.own_stack import OwnStackTraining, loop
from porescope.pipeline.own_stack import samples as own_samples
from porescope.pipeline.own_stack.brightness import brightness_of
from porescope.pipeline.own_stack.structure import waves_like
from porescope.pipeline.own_stack.verdict import Verdict
from porescope.tracking import never_cancel, no_progress

PIXEL_NM = 2.5
SPACING_NM = (10.0, PIXEL_NM, PIXEL_NM)


def mean_chord_nm(solid):
    """Mean length of the runs along rows and columns that no side of the volume cuts short."""
    lengths = []
    for lines in (solid, solid.swapaxes(1, 2)):
        for line in lines.reshape(-1, lines.shape[2])[::7]:
            edges = np.flatnonzero(np.diff(line.astype(int)))
            starts = edges[line[edges + 1]] if len(edges) else edges
            ends = edges[~line[edges + 1]] if len(edges) else edges
            lengths += [end - start for start in starts for end in ends[ends > start][:1]]
    return PIXEL_NM * float(np.mean(lengths))


def labelled(solid, spacing_nm=SPACING_NM):
    return Stack(solid.astype(np.uint8), spacing_nm, is_labels=True)


def drawn_like(waves, seed=99):
    step_nm = min(waves.wavelengths_nm) / 2.5
    return waves.draw((32, 256, 256), (step_nm, PIXEL_NM, PIXEL_NM), seed)


def assert_alike(solid, made):
    assert made.mean() == pytest.approx(solid.mean(), abs=0.02)
    assert mean_chord_nm(made) == pytest.approx(mean_chord_nm(solid), rel=0.1)


@pytest.mark.parametrize(("wavelength_nm", "fraction"), [(40, 0.3), (90, 0.55), (14, 0.25)])
def test_waves_of_one_length_are_found_again_though_they_be_a_few_pixels(wavelength_nm, fraction):
    solid = leveled_wave(
        (32, 256, 256), spacing_nm=(5.0, PIXEL_NM, PIXEL_NM), wavelength_nm=wavelength_nm,
        solid_fraction=fraction, seed=1,
    )  # fmt: skip
    waves = waves_like(labelled(solid))
    assert waves.wavelengths_nm == pytest.approx([wavelength_nm], rel=0.1)
    assert_alike(solid, drawn_like(waves))


def test_ligaments_that_are_porous_themselves_are_two_levels_even_under_noise():
    solid = hierarchical_leveled_wave(
        (40, 256, 256), spacing_nm=SPACING_NM, wavelengths_nm=(180, 32),
        solid_fractions=(0.45, 0.4), seed=3,
    )  # fmt: skip
    noisy = solid ^ (np.random.default_rng(0).random(solid.shape) < 0.03)
    waves = waves_like(labelled(noisy))
    coarse_nm, fine_nm = waves.wavelengths_nm
    assert fine_nm == pytest.approx(32, rel=0.1)
    assert coarse_nm == pytest.approx(180, rel=0.3)
    assert_alike(solid, drawn_like(waves))


@pytest.mark.parametrize("pores", [False, True])
def test_structures_that_are_no_waves_are_met_in_fraction_and_chord(pores):
    shape = (64, 256, 256)
    spheres = voxelize(boolean_model("sphere", porosity=0.6, shape=shape, radius=9, seed=5), shape)
    solid = ~spheres if pores else spheres
    waves = waves_like(labelled(solid, (PIXEL_NM,) * 3))
    assert len(waves.wavelengths_nm) == 1
    assert_alike(solid, drawn_like(waves))


@pytest.mark.parametrize("fill", [0, 1])
def test_nothing_is_learned_from_one_phase(fill):
    with pytest.raises(PorescopeError, match="solid, from which no structure can be learned"):
        waves_like(labelled(np.full((8, 64, 64), fill)))


def blocks(shape=(6, 64, 64), size=16):
    _, y, x = np.indices(shape)
    return ((y // size + x // size) % 2).astype(np.uint8)


def test_brightness_and_noise_are_measured_within_the_phases_and_given_to_others():
    truth = labelled(blocks())
    random = np.random.default_rng(1)
    deviation = np.where(truth.data, 12.0, 5.0)
    grey = np.where(truth.data, 150.0, 60.0) + deviation * random.standard_normal(truth.shape)
    wanted = brightness_of(Stack(grey, SPACING_NM), truth)
    assert (wanted.dark, wanted.bright) == pytest.approx((60, 150), rel=0.02)
    assert (wanted.noise_dark, wanted.noise_bright) == pytest.approx((5, 12), rel=0.1)
    clean = Stack(np.where(truth.data, 3000, 1000).astype(np.uint16), SPACING_NM, 1.0)
    given = wanted.given_to(clean, brightness_of(clean, truth), np.dtype(np.uint8), seed=0)
    assert given.data.dtype == np.uint8
    found = brightness_of(given, truth)
    for name in ("dark", "bright", "noise_dark", "noise_bright"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=0.1), name


def test_solid_that_is_not_brighter_is_refused():
    truth = labelled(blocks())
    with pytest.raises(PorescopeError, match="at 1 kV says solid, its images are not brighter"):
        brightness_of(Stack(200 - 100 * truth.data, SPACING_NM, 1.0), truth)


def verdict(before, after, **more):
    unsure = {"tpcf_uncertainty": 0.01, "lpf_uncertainty": 0.01, "diameter_uncertainty": 0.01}
    solid = {"solid_fraction": 0.3, **unsure, **more}
    return Verdict({**solid, **before}, {**solid, **after}, np.full(5, 0.012), (0.8, 0.4))


def test_the_verdict_says_what_fell_and_what_did_not():
    told = verdict(
        {"tpcf": 0.2, "lpf": 0.1, "diameter": float("nan"), "misfit": 1.0},
        {"tpcf": 0.1, "lpf": 0.095, "diameter": float("nan"), "misfit": 1.5},
    ).findings()[1:]
    assert told[0].endswith("two-point correlation fell from 0.2 to 0.1.")
    assert told[1].endswith("lineal path fell from 0.1 to 0.095, by less than its uncertainty.")
    assert told[2].endswith("did not fall: 1 before, 1.5 after.")
    assert told[3].startswith(
        "Not known, as the stack is too small for it: the anisotropy error of"
    )
    assert any("1.20 % of the voxels are of another phase" in each for each in told)
    reason = verdict({}, {}, no_check="No weights fit.").findings()
    assert "There is no physics check: No weights fit." in reason


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [(1.0, 0.9, True), (1.0, 1.0, False), (1.0, 1.5, False), (None, None, True)],
)
def test_the_first_segmentation_stays_unless_the_new_one_explains_the_images_better(
    before, after, new
):
    misfit = [{} if each is None else {"misfit": each} for each in (before, after)]
    made = verdict(*misfit)
    assert made.better is new
    kept = "the new segmentation" if new else "the first segmentation"
    assert made.findings()[0].startswith(f"labels.ome.zarr is {kept}")


torch = pytest.importorskip("torch")

from porescope.pipeline.recipe import read_recipe  # noqa: E402
from porescope.pipeline.run import run_recipe  # noqa: E402
from porescope.pipeline.trainings import find_training  # noqa: E402
from porescope.pipeline.trainings.training import run_training  # noqa: E402
from porescope.pipeline.trainings.watch import read_losses  # noqa: E402
from porescope.segment.model import load_segmentation  # noqa: E402

TINY = {
    "start": "none", "channels": 4, "slices": 3, "patch_px": 32, "stride_px": 32, "epochs": 1,
    "samples": 2, "validation": 1, "sample_slices": 5, "sample_px": 32, "adapt": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A stack of waves at 1 kV, grey values with noise, no labels."""
    solid = leveled_wave(
        (8, 64, 64), spacing_nm=SPACING_NM, wavelength_nm=50, solid_fraction=0.4, seed=7
    )
    grey = np.stack(
        [
            150 * shot_noise(0.25 + 0.5 * each, 60, seed=1, slice_index=z)
            for z, each in enumerate(solid)
        ]
    )
    path = tmp_path_factory.mktemp("own") / "1kV.ome.tif"
    write_stack(path, Stack(np.clip(grey, 0, 255).astype(np.uint8), SPACING_NM, 1.0))
    return path


def learn(path, out, cancel=None, report=None, **more):
    kind = find_training("own-stack")
    follow = {"cancel": cancel} if cancel else {}
    follow |= {"report": report} if report else {}
    return run_training(kind, [path], out, kind.parse(TINY | more), **follow)


@pytest.fixture(scope="module")
def finished(own, tmp_path_factory):
    """What the loop made of it, how it told of that, and the card it returned."""
    out, stages = tmp_path_factory.mktemp("finished"), []
    card = learn(own, out, report=lambda what, *_: stages.append(what.split(", ")[0]))
    return out, list(dict.fromkeys(stages)), card


def test_the_loop_leads_from_a_stack_to_its_segmentation(own, finished, tmp_path):
    out, stages, card = finished
    assert stages[1:] == [
        f"{number}/{len(loop.STAGES)} {name}"
        for number, name in enumerate(loop.STAGES, start=1)
        if name not in ("learning the look", "giving the look")
    ]
    assert load_segmentation(out / "segmentation.safetensors")[0].settings.beam_kv == (1.0,)
    told = (out / "report.html").read_text()
    assert "Before is by k-means" in told
    assert "anisotropy error of the lineal path" in told
    assert "not adapted, as was asked for" in told
    assert "The slice where most changed" in told
    assert "misplaced voxels, %, of generated structures, before" in card.scores
    labels = read_stack(out / "labels.ome.zarr")
    assert labels.is_labels
    assert labels.shape == (8, 64, 64)
    assert [losses.name for losses in read_losses(out)] == ["1kV"]
    again = run_recipe(read_recipe(out / "recipe.yaml"), tmp_path / "again")
    np.testing.assert_array_equal(read_stack(again / "labels.ome.zarr").data, labels.data)
    with pytest.raises(Cancelled):  # begun: a result shows its images
        learn(again, tmp_path / "more", cancel=lambda: True)
    assert (tmp_path / "more/own-stack.json").exists()
    with pytest.raises(PorescopeError, match="holds finished weights"):
        learn(own, out)


@pytest.mark.parametrize(
    ("misfits", "trusted", "method"),
    [((2.0, 1.0), "after", "late-fusion"), ((1.0, 2.0), "before", "kmeans")],
)
def test_labels_and_recipe_are_of_the_segmentation_that_explains_the_images(
    own, finished, tmp_path, monkeypatch, misfits, trusted, method
):
    out = shutil.copytree(finished[0], tmp_path / "out")
    shutil.rmtree(out / "labels.ome.zarr")
    for name in ("segmentation.safetensors", "measures-before.json", "measures-after.json"):
        (out / name).unlink()
    left = iter(misfits)
    monkeypatch.setattr(
        loop, "measured", lambda *_, **__: {"solid_fraction": 0.4, "misfit": next(left)}
    )
    with contextlib.nullcontext() if trusted == "after" else pytest.warns(PorescopeWarning):
        learn(own, out)
    np.testing.assert_array_equal(
        read_stack(out / "labels.ome.zarr").data,
        read_stack(out / f"labels-{trusted}.ome.zarr").data,
    )
    recipe = read_recipe(out / "recipe.yaml")
    steps = {step.name: parameters for step, parameters in recipe.steps}
    assert steps["segment"].method == method
    assert recipe.inputs[0].is_absolute()
    assert ("as at first" in recipe.name) == (trusted == "before")
    again = f"with {out / 'segmentation.safetensors'} to begin with"
    assert (again in (out / "report.html").read_text()) == (trusted == "after")


def test_generated_images_have_the_voltage_pixels_slices_and_levels_of_the_stack(finished):
    out, _, _ = finished
    image = read_stack(out / "samples/00/1kV.ome.zarr")
    truth = read_stack(out / "samples/00/labels.ome.zarr")
    assert image.beam_kv == 1.0
    assert image.spacing_nm == SPACING_NM
    assert image.data.dtype == np.uint8
    found = brightness_of(image, truth)
    wanted = json.loads((out / "structure.json").read_text())["brightness"][0]
    assert found.bright == pytest.approx(wanted["bright"], rel=0.05)
    assert found.dark == pytest.approx(wanted["dark"], rel=0.1)
    assert found.noise_bright == pytest.approx(wanted["noise_bright"], rel=0.2)


@pytest.mark.parametrize("stage", ["3/", "6/"])
def test_what_is_stopped_goes_on_at_its_stage(own, tmp_path, stage):
    reached = []

    def stop():
        return any(what.startswith(stage) for what in reached)

    with pytest.raises(Cancelled):
        learn(own, tmp_path, cancel=stop, report=lambda what, *_: reached.append(what))
    assert not (tmp_path / "segmentation.safetensors").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    learn(own, tmp_path)
    finished = [path for path in kept if path.is_relative_to(tmp_path / "labels-before.ome.zarr")]
    finished += [path for path in kept if path.name == "structure.json"]
    assert len(finished) > 2
    assert all(path.stat().st_mtime_ns == kept[path] for path in finished)
    assert (tmp_path / "report.html").exists()


def test_other_parameters_do_not_mix_into_a_folder(own, tmp_path):
    reached = []
    with pytest.raises(Cancelled):
        learn(own, tmp_path, cancel=lambda: any("3/" in each for each in reached),
              report=lambda what, *_: reached.append(what))  # fmt: skip
    with pytest.raises(PorescopeError, match="another samples; choose another folder"):
        learn(own, tmp_path, samples=3)


def test_a_look_that_cannot_be_learned_is_told_and_the_samples_are_as_they_were(
    own, finished, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise PorescopeError("In no epoch the structure stayed as it is.")

    monkeypatch.setattr("porescope.adapt.training.train_adaptation", refuse)
    stacks, parameters = [read_stack(own)], OwnStackTraining(**TINY | {"adapt": True})
    shutil.copytree(finished[0] / "samples", tmp_path / "samples")
    for _ in range(2):  # and nobody tries again
        with pytest.warns(PorescopeWarning, match="keep the simulated look"):
            found, notes = own_samples.adapted_samples(
                stacks, tmp_path, parameters, no_progress, no_progress, never_cancel
            )
        assert "In no epoch the structure stayed as it is." in notes[0]
        assert len(found) == 2
        assert not (tmp_path / "adapted").exists()
        monkeypatch.undo()


def test_samples_get_the_look_that_was_learned(own, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(own_samples, "_learn_look", lambda *_: None)
    monkeypatch.setattr(
        "porescope.adapt.adaptation.adapt_stack",
        lambda stack, weights, **_: stack.with_data(stack.data // 2),
    )
    shutil.copytree(finished[0] / "samples", tmp_path / "samples")
    stacks, parameters = [read_stack(own)], OwnStackTraining(**TINY | {"adapt": True})
    found, notes = own_samples.adapted_samples(
        stacks, tmp_path, parameters, no_progress, no_progress, never_cancel
    )
    assert "given the look of the stack" in notes[0]
    for number, sample in enumerate(found):
        plain = read_stack(tmp_path / f"samples/0{number}/1kV.ome.zarr")
        np.testing.assert_array_equal(sample.stacks[0].data, np.asarray(plain.data) // 2)
        assert set(np.unique(sample.truth.data)) == {0, 1}


def test_a_file_ends_the_trainings(own, tmp_path):
    (tmp_path / "stop").touch()
    learn(own, tmp_path, epochs=50)
    assert len((tmp_path / "training/1kV/metrics.csv").read_text().splitlines()) == 2


def test_what_nothing_can_be_learned_from_is_refused(own, tmp_path):
    stack = read_stack(own)
    cases = {
        "tells no beam energy": replace(stack, beam_kv=None),
        "pixels are not square": replace(stack, spacing_nm=(10.0, 2.5, 5.0)),
        "take at least 5 of 32 x 32": stack.with_data(
            stack.data[:3], slice_z_nm=stack.slice_z_nm[:3]
        ),
    }
    for number, (message, bad) in enumerate(cases.items()):
        path = tmp_path / f"bad{number}.ome.tif"
        write_stack(path, bad)
        with pytest.raises(PorescopeError, match=message):
            learn(path, tmp_path / f"out{number}")
    with pytest.raises(PorescopeError, match="Name one stack"):
        run_training(find_training("own-stack"), [], tmp_path / "none", OwnStackTraining())


@pytest.mark.parametrize(
    ("beam_kv", "pixel_nm", "method"),
    [(1.0, 2.5, "late-fusion"), (3.0, 2.5, "kmeans"), (1.0, 40.0, "kmeans")],
)
def test_networks_segment_first_what_they_know(beam_kv, pixel_nm, method):
    stack = Stack(np.zeros((5, 32, 32), np.uint8), (10.0, pixel_nm, pixel_nm), beam_kv)
    assert loop._first_method([stack], OwnStackTraining())["method"] == method
    assert loop._first_method([stack], OwnStackTraining(start="none"))["method"] == "kmeans"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"materials": "0=epoxy"}, "labels without a material"),
        ({"materials": "0=gold, 1=epoxy"}, "solid .1. would be no brighter than pore"),
        ({"imaging": "nonsense"}, "No weights 'nonsense' for surrogate"),
        ({"beam_kv": 0.2}, "must be from 0.5 to 10"),
    ],
)
def test_what_cannot_be_imaged_is_refused_before_anything_is_made(own, tmp_path, given, says):
    stack = replace(read_stack(own), beam_kv=None) if "beam_kv" in given else read_stack(own)
    write_stack(tmp_path / "own.ome.tif", stack)
    out = tmp_path / "out"
    with pytest.raises(PorescopeError, match=says):
        learn(tmp_path / "own.ome.tif", out, **given)
    assert not (out / "labels-before.ome.zarr").exists()
    with pytest.raises(Cancelled):  # and the folder takes other parameters
        learn(own, out, cancel=lambda: True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"samples": 3, "validation": 3}, "would leave none to learn from"),
        ({"sample_px": 48, "patch_px": 64}, "do not fit into structures of 48"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(given, says):
    with pytest.raises(PorescopeError, match=says):
        find_training("own-stack").parse(TINY | given)
