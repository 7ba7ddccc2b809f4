"""Stacks that get another look: training, weights, tiles, whole folders, and what is refused."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tifffile import imwrite

from porescope import PorescopeError, Stack
from porescope.cli import main
from porescope.correct import Alignment
from porescope.errors import Cancelled
from porescope.io import read_stack, read_voltages, write_stack
from porescope.pipeline.adaptation import write_adaptation
from porescope.pipeline.trainings import find_training
from porescope.pipeline.trainings.training import run_training

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file  # noqa: E402

from porescope.adapt.adaptation import Adaptation, Settings, adapt_stack, noise_fields  # noqa: E402
from porescope.adapt.likeness import distance, distances, look_of  # noqa: E402
from porescope.adapt.matching import Match, match  # noqa: E402
from porescope.adapt.networks import HALO_PX, Generator, Pool  # noqa: E402
from porescope.adapt.parameters import AdaptationTraining  # noqa: E402
from porescope.adapt.training import Adversaries, loss, train_adaptation  # noqa: E402
from porescope.learn.optimizer import Muon  # noqa: E402
from porescope.learn.weights import Card, save_weights  # noqa: E402

SPACING_NM = (10.0, 2.5, 2.5)
FILE = "adaptation.safetensors"
TINY = {"epochs": 2, "batch_size": 1, "channels": 4, "patch_px": 32, "stride_px": 16, "patches": 6}


def truth(seed=0, shape=(4, 64, 64)):
    random = np.random.default_rng(seed)
    return gaussian_filter(random.normal(size=shape), (0.5, 4, 4)) > 0


def simulated(seed=0, beam_kv=1.0, shape=(4, 64, 64), **more):
    noise = np.random.default_rng(seed + 100).normal(size=shape)
    grey = 70 + 80 * gaussian_filter(truth(seed, shape).astype(float), (0, 0.7, 0.7)) + 3 * noise
    grey = np.clip(grey, 0, 255).astype(np.uint8)
    return Stack(grey, SPACING_NM, beam_kv, metadata={"grey_per_signal": 300.0, "note": 1}, **more)


def real(seed=50, beam_kv=1.0, shape=(4, 64, 64)):
    """Darker, blurred, in 16 bits and much noisier."""
    noise = np.random.default_rng(seed + 100).normal(size=shape)
    grey = 9000 + 6000 * gaussian_filter(truth(seed, shape).astype(float), (0, 1.5, 1.5))
    return Stack((grey + 900 * noise).astype(np.uint16), SPACING_NM, beam_kv)


def learn(folder, samples=None, targets=None, **more):
    follow = {key: more.pop(key) for key in ("progress", "cancel") if key in more}
    return train_adaptation(
        samples or [simulated(1), simulated(2)], targets or [real()], folder,
        AdaptationTraining(**TINY | more), **follow,
    )  # fmt: skip


def weights(folder, change=lambda generator: None, beams_kv=(1.0,), **told):
    """Write weights of a generator that was made by hand."""
    torch.manual_seed(0)
    generator = Generator(4)
    with torch.no_grad():
        change(generator)
    settings = {
        "beam_kv": beams_kv, "channels": 4, "pixel_nm": 2.5, "dtype": "uint16",
        "dark": [9000.0] * len(beams_kv), "bright": [15000.0] * len(beams_kv), **told,
    }  # fmt: skip
    card = Card(
        network="adaptation/1", summary="", data="", split="", training={}, scores={}, versions={},
        settings=Settings(**settings).model_dump(mode="json"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.numpy() for key, value in generator.state_dict().items()}
    save_weights(folder / FILE, tensors, card)
    return folder / FILE


def lively(generator):
    """Weights at random, so that everything has a say, with noise of both kinds."""
    generator.tell.weight.normal_(0, 0.2)
    generator.tell.bias[2] = 0.5
    generator.tell.bias[3] = 0.3
    generator.widths[:2] = 0.0


def test_an_untrained_generator_leaves_structure_and_takes_grey_values_of_the_look(tmp_path):
    stack = simulated()
    made = adapt_stack(stack, weights(tmp_path))
    assert made.data.dtype == np.uint16
    before, after = (np.asarray(each.data, float).ravel() for each in (stack, made))
    assert np.corrcoef(before, after)[0, 1] > 0.9999
    smooth = gaussian_filter(np.asarray(made.data, float), (0, 2, 2))
    assert np.percentile(smooth, (2, 99)) == pytest.approx((9000, 15000), abs=60)
    assert made.metadata == {"note": 1}  # what is not true any more is gone
    assert made.history[-1]["step"] == "adapt"
    assert made.spacing_nm == stack.spacing_nm


def test_tiles_cannot_be_seen_and_slices_have_noise_of_their_own():
    torch.manual_seed(1)
    generator = Generator(6)
    with torch.no_grad():
        lively(generator)
    settings = Settings(
        beam_kv=(1,), channels=6, pixel_nm=2.5, dark=(0,), bright=(1,), dtype="float32"
    )
    adaptation = Adaptation(generator, settings)
    image = np.random.default_rng(0).random((150, 201), np.float32)
    whole = adaptation.change(image, 1.0, tile_px=256)
    for tile_px in (32, 100):
        np.testing.assert_allclose(adaptation.change(image, 1.0, tile_px=tile_px), whole, atol=1e-5)
    assert np.abs(whole - image).mean() > 0.02
    np.testing.assert_array_equal(whole, adaptation.change(image, 1.0, tile_px=256))
    other = adaptation.change(image, 1.0, slice_index=1)
    assert np.abs(whole - other).mean() > 0.02
    assert np.abs(whole - adaptation.change(image, 1.0, seed=1)).mean() > 0.02


def test_nothing_beyond_the_halo_reaches_a_pixel():
    torch.manual_seed(2)
    generator = Generator(4)
    torch.nn.init.normal_(generator.tell.weight)
    images = torch.rand(1, 1, 160, 160, requires_grad=True)
    noise = torch.zeros(1, 2, 160, 160)
    generator(images, torch.zeros(1), noise)[0, 0, 80:84, 80:84].sum().backward()
    reached = torch.nonzero(images.grad[0, 0])
    assert reached.min() >= 80 - HALO_PX
    assert reached.max() <= 83 + HALO_PX


def test_noise_of_columns_is_alike_in_all_rows():
    grain, columns = noise_fields((40, 30), 3, 5)
    assert (columns == columns[0]).all()
    assert columns[0].std() > 0.5
    assert np.abs(np.corrcoef(grain[:-1].ravel(), grain[1:].ravel())[0, 1]) < 0.1


def test_volumes_on_the_disk_stay_there(tmp_path):
    import dask.array as da

    path = weights(tmp_path, lively)
    stack = simulated(shape=(5, 48, 48))
    read = []

    def slowly(block):
        read.append(block.shape)
        return block

    data = da.from_array(stack.data, chunks=(1, 48, 48)).map_blocks(slowly, meta=stack.data[:0])
    lazy = adapt_stack(stack.with_data(data), path)
    assert isinstance(lazy.data, da.Array)
    count = len(read)
    one = np.asarray(lazy.data[4])
    assert len(read) == count + 1
    np.testing.assert_array_equal(one, adapt_stack(stack, path).data[4])


@pytest.mark.parametrize(
    ("stack", "told", "why"),
    [
        (simulated(beam_kv=2.0), {}, "know 1 kV, not 2 kV"),
        (replace(simulated(), beam_kv=None), {}, "tells no voltage"),
        (replace(simulated(), spacing_nm=(10, 5, 5)), {}, "pixels of 2.5 nm, not of 5 nm"),
    ],
)
def test_stacks_that_weights_do_not_know_are_refused(tmp_path, stack, told, why):
    with pytest.raises(PorescopeError, match=why):
        adapt_stack(stack, weights(tmp_path, **told))


def test_a_generator_that_changes_structure_is_refused(tmp_path):
    def inventing(generator):
        """Noise so strong and spread so wide that it looks like structure."""
        generator.tell.bias[3] = 20.0

    with pytest.raises(PorescopeError, match="change the structure"):
        adapt_stack(simulated(), weights(tmp_path, inventing))


def test_files_that_are_no_such_weights_are_refused(tmp_path):
    with pytest.raises(PorescopeError, match="No weights 'nothing'"):
        adapt_stack(simulated(), "nothing")
    path = weights(tmp_path)
    told = json.loads((tmp_path / "adaptation.json").read_text())
    told["settings"]["bright"] = [0.0]
    (tmp_path / "adaptation.json").unlink()
    tensors = load_file(path)
    path.unlink()
    save_weights(path, tensors, Card(**told))
    with pytest.raises(PorescopeError, match="cannot build"):
        adapt_stack(simulated(), path)


def test_a_pool_shows_old_images_and_keeps_new_ones():
    pool = Pool(2, 4)
    images = [torch.full((1, 1, 4, 4), float(number)) for number in range(5)]
    beams = torch.zeros(1)

    def shown(number, draw):
        return pool.exchanged(images[number], beams + number, torch.tensor([draw]))

    for number in (0, 1):  # while it fills
        assert shown(number, 0.1)[0].mean() == number
    old, beam = shown(2, 0.3)  # of the second place
    assert old.mean() == beam == 1
    assert shown(3, 0.9)[0].mean() == 3  # as it comes, and not kept
    assert shown(4, 0.3)[0].mean() == 2


def test_each_side_learns_from_its_own_loss():
    torch.manual_seed(0)
    parameters = AdaptationTraining(**TINY, cycle=0, identity=0)
    network = Adversaries(parameters, [Match(0.5, 0.1, 0.0)] * 2).train()
    batch = {
        "beam": torch.zeros(2), "begun": torch.ones(2), "draws": torch.full((2, 2), 0.9),
        "sample": torch.rand(2, 1, 32, 32), "target": torch.rand(2, 1, 32, 32),
        "noise": torch.randn(2, 4, 2, 32, 32),
    }  # fmt: skip
    told = loss(network, batch, parameters)
    told["loss"].backward()
    found = network.of_target.network[0].conv.weight.grad.clone()
    network.zero_grad()
    made = network.there(batch["sample"], batch["beam"], batch["noise"][:, 0]).detach()
    critic = network.of_target
    answers = critic(batch["target"], batch["beam"]), critic(made, batch["beam"])
    (((answers[0] - 1) ** 2).mean() / 2 + (answers[1] ** 2).mean() / 2).backward()
    torch.testing.assert_close(found, network.of_target.network[0].conv.weight.grad)


def test_critics_learn_faster_and_at_first_alone():
    parameters = AdaptationTraining(**TINY)
    network = Adversaries(parameters, [Match(0.5, 0.1, 0.0)] * 2).train()
    (generators, slow), (critics, fast) = network.paces()
    assert {*generators, *critics} == {*network.parameters()}
    assert fast > slow
    optimizer = Muon([{"params": part, "lr": 1e-3 * pace} for part, pace in network.paces()], 1.0)
    before = [each.detach().clone() for each in network.parameters()]
    batch = {
        "beam": torch.zeros(1), "begun": torch.zeros(1), "draws": torch.full((1, 2), 0.9),
        "sample": torch.rand(1, 1, 32, 32), "target": torch.rand(1, 1, 32, 32),
        "noise": torch.randn(1, 4, 2, 32, 32),
    }  # fmt: skip
    loss(network, batch, parameters)["loss"].backward()
    optimizer.step()
    moved = {
        each: float((each.detach() - was).abs().max())
        for each, was in zip(network.parameters(), before, strict=True)
    }
    assert all(moved[each] == 0 for each in generators)
    assert all(moved[each] > 0 for each in critics)


def test_looks_are_compared_without_pairs():
    clean, same, wanted = (
        [np.asarray(image, np.float32) / 150 for image in simulated(seed).data]
        for seed in (1, 2, 3)
    )
    noisy = [image + 0.2 * np.random.default_rng(9).normal(size=image.shape) for image in clean]
    blurred = [gaussian_filter(image, 2) for image in clean]
    near = distances(look_of(clean), look_of(same))
    assert distances(look_of(noisy), look_of(wanted))["rows"] > 3 * near["rows"]
    assert distances(look_of(blurred), look_of(wanted))["edges"] > 2 * near["edges"]
    brighter = distances(look_of([image + 0.2 for image in clean]), look_of(clean))
    assert brighter["dark"] == pytest.approx(0.2)
    assert brighter["bright"] == pytest.approx(0.2)
    assert brighter["rows"] == pytest.approx(0, abs=1e-6)
    assert distance(look_of(noisy), look_of(noisy), look_of(clean)) == 0
    assert distance(look_of(clean), look_of(noisy), look_of(clean)) == 1


def test_blur_and_noise_are_matched_without_pairs():
    images, wanted = ([*truth(seed, (8, 64, 64)).astype(np.float32)] for seed in (1, 2))
    noise = np.stack([noise_fields((64, 64), 5, index) for index in range(8)])
    other = np.stack([noise_fields((64, 64), 6, index) for index in range(8)])
    asked = Match(1.2, 0.15, 0.05)
    found = match(images, asked.apply(wanted, other), noise)
    assert found.blur_px == pytest.approx(asked.blur_px, abs=0.4)
    assert found.grain == pytest.approx(asked.grain, rel=0.2)
    assert found.curtain == pytest.approx(asked.curtain, abs=0.04)


def test_training_brings_the_look_nearer_and_keeps_the_structure(tmp_path):
    card = learn(
        tmp_path, epochs=4, channels=8, patches=60, learning_rate=2e-3, patience=9, batch_size=2
    )
    assert card.scores["validation_distance"] < 0.8
    assert card.scores["validation_edges_moved_px"] < 0.5
    stack, wanted = simulated(7), real(8)
    made = adapt_stack(stack, tmp_path / FILE)

    def grain(values):
        return float(np.diff(np.asarray(values, float), axis=2).std())

    untrained = adapt_stack(stack, weights(tmp_path / "none"))
    before, after, aim = (grain(each.data) for each in (untrained, made, wanted))
    assert abs(after - aim) < 0.7 * abs(before - aim)
    with np.load(tmp_path / "preview.npz") as pictures:
        assert set(pictures.files) == {"before", "after", "wanted"}


def test_what_is_stopped_goes_on_to_the_same_weights(tmp_path):
    whole = learn(tmp_path / "whole")
    with pytest.raises(Cancelled):
        learn(tmp_path / "parts", cancel=iter([0] * 21 + [1] * 9).__next__)
    assert not (tmp_path / "parts" / FILE).exists()
    done = []
    parts = learn(tmp_path / "parts", progress=lambda *both: done.append(both))
    assert len(done) <= 6
    assert done[-1] == (12, 12)
    assert parts.scores == whole.scores
    expected, found = (load_file(tmp_path / name / FILE) for name in ("whole", "parts"))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_it_stops_when_it_no_longer_helps(tmp_path):
    learn(tmp_path, epochs=50, patience=2, learning_rate=1e-9)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert len(rows) < 8


@pytest.mark.parametrize(
    ("samples", "targets", "more", "why"),
    [
        ([simulated()], [real(beam_kv=2.0)], {}, "have 1 kV, those whose look is wanted 2 kV"),
        ([simulated()], [replace(real(), beam_kv=None)], {}, "tells no voltage"),
        ([simulated()], [replace(real(), spacing_nm=(10, 9, 9))], {}, "from 2.5 to 9 nm"),
        ([simulated(shape=(4, 24, 64))], [real()], {}, "has the shape .4, 24, 64."),
        ([simulated()], [real(shape=(1, 64, 64))], {}, "takes two slices"),
    ],
)
def test_stacks_that_do_not_fit_together_are_refused(tmp_path, samples, targets, more, why):
    with pytest.raises(PorescopeError, match=why) as error:
        learn(tmp_path, samples, targets, **more)
    assert "\n" not in str(error.value)


def test_a_voltage_can_be_told(tmp_path):
    card = learn(tmp_path, targets=[replace(real(), beam_kv=None)], target_kv=1.0, epochs=1)
    assert card.settings["beam_kv"] == [1.0]


def test_from_folders_to_a_folder_with_its_truth(tmp_path, capsys):
    sample, wanted = tmp_path / "sample", tmp_path / "wanted"
    labels = Stack(truth(1).astype(np.uint8), SPACING_NM, is_labels=True)
    for beam_kv in (1.0, 2.0):
        write_stack(sample / f"{beam_kv:g}kV.ome.zarr", simulated(1, beam_kv))
        write_stack(wanted / f"{beam_kv:g}kV.ome.tif", real(3, beam_kv))
        Alignment(np.zeros((4, 2)), beam_kv).save(sample / f"alignment-{beam_kv:g}kV.json")
    write_stack(sample / "truth.ome.zarr", labels)
    what = find_training("adaptation")
    learned = tmp_path / "learned"
    run_training(what, [sample, wanted], learned, what.parse(TINY))
    out = tmp_path / "adapted"
    asked = ["adapt", str(sample), "--weights", str(learned / FILE), "--out", str(out)]
    assert main(asked) == 0
    assert "1kV: edges move by 0." in capsys.readouterr().out
    stacks = read_voltages(out)
    assert [stack.beam_kv for stack in stacks] == [1.0, 2.0]
    assert all(stack.data.dtype == np.uint16 for stack in stacks)
    np.testing.assert_array_equal(read_stack(out / "truth.ome.zarr").data, labels.data)
    assert (out / "alignment-2kV.json").exists()
    told = json.loads((out / "adaptation.json").read_text())
    assert told["edges"]["2kV"]["median_px"] < 0.5
    with pytest.raises(PorescopeError, match="exists already"):
        write_adaptation(sample, str(learned / FILE), out)
    assert not list(tmp_path.glob(".*"))


def test_the_order_of_stacks_is_asked_for(tmp_path):
    what = find_training("adaptation")
    write_stack(tmp_path / "one.ome.tif", real())
    with pytest.raises(PorescopeError, match="name the simulated ones first"):
        run_training(what, [tmp_path / "one.ome.tif"], tmp_path / "out", what.parse(TINY))


def test_voxels_of_the_stack_whose_look_is_wanted_can_be_told(tmp_path):
    what = find_training("adaptation")
    write_stack(tmp_path / "simulated.ome.tif", simulated(1))
    imwrite(tmp_path / "mine.tif", real().data, photometric="minisblack")
    paths = [tmp_path / "simulated.ome.tif", tmp_path / "mine.tif"]
    given = TINY | {"epochs": 1, "target_kv": 1.0}
    with pytest.raises(PorescopeError, match="--target-spacing-nm Z,Y,X"):
        run_training(what, paths, tmp_path / "out", what.parse(given))
    parameters = what.parse(given | {"target_spacing_nm": SPACING_NM})
    assert run_training(what, paths, tmp_path / "out", parameters).settings["pixel_nm"] == 2.5


def test_all_voltages_are_looked_at_before_any_is_adapted(tmp_path, monkeypatch):
    for beam_kv in (1.0, 2.0):
        write_stack(tmp_path / f"sample/{beam_kv:g}kV.ome.zarr", simulated(1, beam_kv))
    learned = weights(tmp_path / "learned")
    monkeypatch.setattr("porescope.pipeline.adaptation.adapted", pytest.fail)
    with pytest.raises(PorescopeError, match="know 1 kV, not 2 kV"):
        write_adaptation(tmp_path / "sample", str(learned), tmp_path / "out")
    assert not (tmp_path / "out").exists()
