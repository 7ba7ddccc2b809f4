"""Networks that tell the thickness of layers, and what they see of a series."""

import json

import numpy as np
import pytest

from porescope import PorescopeError
from porescope.errors import PorescopeWarning
from porescope.layers import invert, labels_from_thickness, layer_scores, sample, solve
from porescope.layers.forward import BEAM_KV, layer_model
from porescope.layers.parameters import NETWORK_NAMES, LayersTraining
from porescope.layers.structures import THICKEST_NM
from porescope.layers.volumes import thickness_from_labels
from porescope.learn.weights import shipped
from porescope.pipeline.trainings import find_training
from porescope.pipeline.trainings.training import run_training

torch = pytest.importorskip("torch")

from porescope.layers import learned, training  # noqa: E402
from porescope.layers.evidence import Evidence  # noqa: E402
from porescope.layers.evidence_network import Answer, cases, decided  # noqa: E402
from porescope.layers.networks import NETWORKS  # noqa: E402

ENERGIES = np.array(BEAM_KV)
UNIT_NM = np.array(THICKEST_NM)[:, None, None]
FILE = "layers.safetensors"


def series(thickness_nm, noise=0.0, model="published", beam_kv=ENERGIES, seed=0):
    clean = layer_model(model).evaluate(np.asarray(thickness_nm, float), beam_kv)[0]
    return clean * (1 + noise * np.random.default_rng(seed).standard_normal(clean.shape))


def flat(*thickness_nm, shape=(64, 64)):
    return np.broadcast_to(np.array(thickness_nm, float)[:, None, None], (2, *shape))


def evidence(model="published", beam_kv=ENERGIES):
    return Evidence(layer_model(model), beam_kv, THICKEST_NM)


def score(thickness_nm, truth):
    volumes = (labels_from_thickness(np.rint(each), slices=17) for each in (thickness_nm, truth))
    return layer_scores(*volumes)["mIOU"]


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_pixels_without_noise_tell_their_layers(model):
    truth = np.stack(np.meshgrid(np.linspace(0.5, 15, 40), np.linspace(2, 150, 40)))
    about = evidence(model)
    found = about.told(about.pixels(series(truth, model=model))).both.thickness
    away = np.abs(found.numpy().T.reshape(truth.shape) * UNIT_NM - truth)
    assert (np.quantile(away, 0.998, axis=(1, 2)) < (0.1, 1.6)).all()


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
def test_noise_is_told_from_what_no_layers_explain(noise):
    told = evidence().pixels(series(sample("test", 0), noise)).noise
    assert float(told) == pytest.approx(noise, rel=0.05)


def test_variance_is_that_of_repeated_measurements():
    about = evidence()
    found = about.closest(about.pixels(series(flat(10, 90), 0.02), 0.02))
    measured = found.thickness.var(dim=0)
    np.testing.assert_allclose(found.variance.median(dim=0).values, measured, rtol=0.1)
    together = torch.corrcoef(found.thickness.T)[0, 1]
    assert float(found.correlation.median()) == pytest.approx(float(together), abs=0.05)


def test_variance_is_the_inverse_of_the_information():
    """Against the slopes of the model at all energies."""
    truth = flat(6, 40, shape=(16, 16))
    signals, slopes = layer_model("corrected").evaluate(truth[:, :1, :1], ENERGIES, True)
    slopes = (slopes / signals / 0.02)[:, :, 0, 0] * UNIT_NM[:, 0]
    about = evidence("corrected")
    found = about.closest(about.pixels(series(truth, model="corrected"), 0.02))
    wanted = np.linalg.inv(slopes @ slopes.T + np.eye(2))
    np.testing.assert_allclose(found.variance[0], np.diag(wanted), rtol=0.05)


def test_neighbours_decide_what_a_pixel_leaves_open_but_not_what_it_knows():
    """One pixel among others of gold alone speaks for bare silicon, weakly or strongly."""
    about = evidence()
    told = about.told(about.pixels(series(flat(5, 0)), 0.02))
    for evidently, case in ((4.0, 2), (60.0, 3)):
        misfits = torch.full((4, 64, 64), 30.0)
        misfits[2] = 0.0
        misfits[2, 20, 30], misfits[3, 20, 30] = evidently, 0.0
        said = cases(told._replace(misfits=misfits.flatten(1)), (64, 64))
        chosen = said.likely.argmax(dim=0)
        assert chosen[20, 30] == case
        assert (chosen == 2).sum() == 64 * 64 - (case == 3)


def test_the_order_and_the_number_of_energies_do_not_matter():
    truth = flat(8, 60)
    reverse = ENERGIES[::-1].copy()
    with pytest.warns(PorescopeWarning, match="sorted, from 5 to 35 keV"):
        backwards = invert(series(truth, beam_kv=reverse), reverse, model="published")
    found = [
        solve(series(truth, beam_kv=energies), energies, model="published").thickness_nm
        for energies in (ENERGIES, ENERGIES[::4])
    ]
    np.testing.assert_allclose(found[0], backwards, atol=0.05)
    np.testing.assert_allclose(found[1], truth, atol=0.5)


@pytest.mark.parametrize("kind", ["perlin", "polygons"])
def test_default_is_better_than_each_pixel_by_itself(kind):
    truth = sample("test", 3, kind)
    signals = series(truth, 0.02)
    found = {
        method: score(invert(signals, ENERGIES, method, model="published"), truth)
        for method in ("default", "tikhonov")
    }
    assert found["default"] > 0.9
    assert found["default"] > found["tikhonov"] + 0.02


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_default_without_noise_is_right(model):
    truth = sample("test", 1, "gratings")
    assert score(invert(series(truth, model=model), ENERGIES, model=model), truth) > 0.999


def test_default_says_how_sure_it_is():
    truth = sample("test", 0)
    found = solve(series(truth, 0.02), ENERGIES, model="published")
    within = np.abs(found.thickness_nm - truth) < 2 * found.uncertainty_nm
    assert (within.mean(axis=(1, 2)) > 0.9).all()
    assert found.uncertainty_nm[1, truth[0] > 3].mean() > found.uncertainty_nm[0].mean()
    assert np.median(found.misfit) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("noise", "gold", "sure", "wanted"),
    [(0.005, 10, 0.1, 8), (0.005, 10, 0.001, 8), (0.05, 8.2, 0.001, 8.2), (0.05, 8.2, 0.5, 8)],
)
def test_the_data_have_the_last_word(noise, gold, sure, wanted):
    """Of 8 nm: a network is put right by what pixels know better, or rule out."""
    about = evidence()
    pixels = about.pixels(series(flat(8, 60), noise), noise)
    told = about.told(pixels)
    likely = torch.log(torch.tensor([0.97, 0.01, 0.01, 0.01]))[:, None, None].expand(4, 64, 64)
    thought = torch.tensor([gold / 15, 60 / 150])[:, None, None].expand(1, 4, 2, 64, 64)
    said = Answer(likely[None], thought, torch.full_like(thought, sure))
    thickness, _, _ = decided(about, pixels, told, said)
    assert float(15 * thickness[:, 0].median()) == pytest.approx(wanted, abs=0.05)


def test_tiles_cannot_be_seen(monkeypatch):
    signals = series(sample("test", 2, shape=(200, 136)), 0.02)
    whole = invert(signals, ENERGIES, model="published")
    monkeypatch.setattr(learned, "TILE_PX", 104)
    tiled = invert(signals, ENERGIES, model="published")
    assert np.abs(tiled - whole)[0].max() < 0.2
    np.testing.assert_allclose(tiled, whole, atol=2)


def test_sizes_need_not_fit_the_network():
    truth = flat(8, 60, shape=(37, 53))
    found = invert(series(truth, 0.01), ENERGIES, model="published")
    assert found.shape == truth.shape
    assert np.median(np.abs(found - truth), axis=(1, 2))[0] < 0.1


def test_what_the_network_cannot_do_is_said_or_done_otherwise():
    three = np.full((3, 16, 16), 5.0)
    materials = ("gold", "aluminium", "carbon")
    signals = layer_model("corrected", materials).evaluate(three, ENERGIES)[0]
    layers = {"materials": materials, "thickest_nm": (15, 150, 50)}
    with pytest.raises(PorescopeError, match="two layers, not 3"):
        invert(signals, ENERGIES, "network", **layers)
    assert invert(signals, ENERGIES, **layers).shape == three.shape


@pytest.mark.parametrize("name", [name for name in NETWORK_NAMES if name != "default"])
def test_networks_without_weights_say_how_to_train_them(name):
    with pytest.raises(PorescopeError, match=f"porescope train layers --network {name}"):
        invert(series(flat(5, 50)), ENERGIES, name, model="published")


def test_a_foreign_file_is_refused(tmp_path):
    bad = tmp_path / "x.safetensors"
    bad.write_bytes(b"\x80\x04junk")
    signals = series(flat(5, 50))
    with pytest.raises(PorescopeError, match="no file of weights"):
        invert(signals, ENERGIES, str(bad), model="published")
    with pytest.raises(PorescopeError, match="knows no layers"):
        invert(signals, ENERGIES, str(shipped("interpolation")), model="published")
    with pytest.raises(PorescopeError, match="Cannot read"):
        invert(signals, ENERGIES, str(tmp_path / "none.safetensors"), model="published")


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_answer_in_their_form(name):
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        answer = network(torch.rand(2, 31, 32, 48))
    wanted = (2, 3, 16, 32, 48) if name in ("unet-to-volume", "uvnet") else (2, 2, 32, 48)
    assert answer.shape == wanted


def test_training_and_validation_share_no_layer():
    train, validation = (
        training.PerlinSeries(name, 3, 0.02, 0) for name in ("train", "validation")
    )
    for layer in range(2):
        maps = [each[layer] for part in (train, validation) for each in part.thickness]
        assert len({each.tobytes() for each in maps}) == 6


@pytest.mark.parametrize("name", ["train", "validation"])
def test_the_mask_to_learn_from_is_not_inverted(name):
    """In both sets, gold is where gold is, below aluminium, and nothing is above."""
    item = training.PerlinSeries(name, 2, 0.0, 0)[0]
    labels, truth = item["volume"].numpy().astype(np.uint8), item["thickness"].numpy()
    assert (labels.shape, labels.dtype.kind) == ((16, 64, 64), "u")
    np.testing.assert_allclose(thickness_from_labels(labels, 2), truth, atol=10)
    both = (truth[0] > 5) & (truth[1] > 20)
    assert (labels[-1][truth[0] > 5] == 1).all()
    assert (labels[-3][both] == 2).all()
    assert (labels[0][truth.sum(axis=0) < 150] == 0).all()
    signals = layer_model("published").evaluate(truth.astype(float), ENERGIES)[0]
    np.testing.assert_allclose(item["series"], signals, atol=1e-3)


def test_the_weight_of_aluminium():
    batch = {"series": torch.zeros(1), "thickness": torch.zeros(1, 2, 4, 4)}
    answer = torch.tensor([0.2, 0.1])[:, None, None].expand(1, 2, 4, 4)
    for name, wanted in (("unet", 9 + 225), ("unet-0.1", 9 + 22.5), ("unet-0.01", 9 + 2.25)):
        loss = training.paper_loss(name, lambda _: answer, batch)["loss"]
        assert float(loss) == pytest.approx(wanted, rel=1e-5)
    stacks = torch.cat([answer, answer, 0 * answer])
    loss = training.paper_loss("stacked-unet", lambda _: stacks, batch)["loss"]
    assert float(loss) == pytest.approx((9 + 225) * 2 / 3, rel=1e-5)


@pytest.mark.parametrize("name", ["default", "3conv", "uvnet"])
def test_a_network_is_trained_and_used(tmp_path, monkeypatch, name):
    monkeypatch.setattr(training, "VALIDATION_SAMPLES", 2)
    parameters = LayersTraining(network=name, samples=8, epochs=1, batch_size=4)
    told = []
    card = run_training(
        find_training("layers"),
        [],
        tmp_path / "out",
        parameters,
        report=lambda what, *_: told.append(what),
    )
    assert list(dict.fromkeys(told))[:3] == ["Getting ready", "Drawing layers", "layers"]
    assert card.network == f"layers-{name}/1"
    assert json.loads((tmp_path / "out/layers.json").read_text())["training"]["samples"] == 8
    path = str(tmp_path / "out" / FILE)
    found = solve(series(flat(5, 50)), ENERGIES, path, model="published")
    assert found.thickness_nm.shape == (2, 64, 64)
    assert np.isfinite(found.thickness_nm).all()
    assert np.isfinite(found.uncertainty_nm).all() == (name == "default")
    if name != "default":
        with pytest.raises(PorescopeError, match="knows the published model"):
            solve(series(flat(5, 50), model="corrected"), ENERGIES, path)


def test_training_takes_no_files(tmp_path):
    with pytest.raises(PorescopeError, match="name no files"):
        run_training(find_training("layers"), [tmp_path], tmp_path.parent / "out", LayersTraining())
