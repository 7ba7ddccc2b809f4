"""Images from heightfields by the neural simulator."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from porescope.errors import PorescopeError
from porescope.geometry import boolean_model
from porescope.imaging import (
    HeightField,
    backscatter_coefficient,
    extract_heightfield,
    load_surrogate,
    secondary_yield,
    simulate_monte_carlo,
)
from porescope.imaging.surrogate import Settings, Surrogate, surrogate_names
from porescope.imaging.surrogate.rendering import NAME
from porescope.learn.weights import Card, save_weights

torch = pytest.importorskip("torch")

SETTINGS = Settings(
    network="compact",
    layout="normal+ehf",
    layers=2,
    length_nm=100.0,
    pixel_nm=3.0,
    beams_kv=[1.0, 2.0],
    materials="0=vacuum, 1=carbon",
    signals=["bse", "se"],
    typical=[0.1, 0.3],
)


def network():
    """Return a network that answers differently everywhere."""
    torch.manual_seed(0)
    made = SETTINGS.make_network()
    torch.nn.init.normal_(made.answer.weight, std=0.05)
    return made


def save(path, **changed):
    card = Card(
        network=changed.pop("network", NAME), summary="", settings=SETTINGS.model_dump() | changed,
        data="", split="", training={}, scores={}, versions={},
    )  # fmt: skip
    save_weights(path, {k: v.numpy() for k, v in network().state_dict().items()}, card)
    return path


def field_of(shape=(60, 150, 200), seed=1, layers=2):
    sample = boolean_model("sphere", porosity=0.6, shape=shape, radius=(6, 12), seed=seed)
    return extract_heightfield(sample, 5.0, layers=layers, device="cpu")


@pytest.fixture
def surrogate(tmp_path):
    return load_surrogate(save(tmp_path / "own.safetensors"), device="cpu")


@pytest.fixture
def exact(monkeypatch):
    """A surrogate in 32-bit floats, whatever the processor."""
    monkeypatch.setattr("porescope.learn.precision.has_fast_bfloat16", lambda device="cpu": False)
    return Surrogate(network(), SETTINGS)


def test_an_image_does_not_depend_on_the_tiles(exact):
    field = field_of((60, 330, 283))
    whole = exact.render(field, tile_px=4096)
    for tile_px in (64, 100, 256):
        parts = exact.render(field, tile_px=tile_px)
        for name, image in whole.items():
            np.testing.assert_allclose(parts[name], image, atol=1e-6)
    assert np.ptp(whole["bse"]) > 0.01


def test_what_lies_beyond_the_sides_is_mirrored(exact):
    field = field_of((60, 160, 160))
    mirrored = HeightField(
        *(np.concatenate([each, each[:, ::-1]], axis=1) for each in vars(field).values())
    )
    mirrored.normal[1, 160:] *= -1
    near = exact.render(mirrored)["bse"][:30]
    np.testing.assert_allclose(exact.render(field)["bse"][:30], near, atol=1e-6)


def test_images_are_yields_of_the_signals(surrogate):
    field = field_of()
    told = surrogate.render(field, beam_kv=1.0)
    assert list(told) == ["bse", "se"]
    for image in told.values():
        assert (image.shape, image.dtype) == ((150, 200), np.float32)
        assert image.min() >= 0
    as_tensors = HeightField(*(torch.from_numpy(np.array(each)) for each in vars(field).values()))
    np.testing.assert_array_equal(surrogate.render(as_tensors, beam_kv=1.0)["se"], told["se"])
    further = HeightField(*(each[:, :, :77] for each in vars(field).values()))  # not contiguous
    assert surrogate.render(further)["se"].shape == (150, 77)


def test_depths_count_in_pixels_or_in_the_unit_that_is_told(surrogate):
    field = field_of()
    in_nm = HeightField(3 * field.entry, 3 * field.exit, field.normal)
    in_pixels = surrogate.render(field)["bse"]
    np.testing.assert_allclose(surrogate.render(in_nm, unit_nm=1.0)["bse"], in_pixels, rtol=0.02)
    assert not np.allclose(surrogate.render(in_nm)["bse"], in_pixels, rtol=0.02)


def test_the_voltage_matters_and_is_nearest_two_kilovolts_by_default(surrogate):
    field = field_of()
    default = surrogate.render(field)["bse"]
    np.testing.assert_array_equal(default, surrogate.render(field, beam_kv=2.0)["bse"])
    assert np.abs(default - surrogate.render(field, beam_kv=1.0)["bse"]).max() > 1e-4


def test_more_layers_than_it_looks_at_change_nothing(surrogate):
    two, four = (surrogate.render(field_of(layers=layers))["bse"] for layers in (2, 4))
    np.testing.assert_array_equal(two, four)


def test_threads_can_render_at_once(surrogate):
    fields = [field_of(seed=seed) for seed in range(3)] * 4
    alone = [surrogate.render(field)["bse"] for field in fields[:3]] * 4
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda field: surrogate.render(field)["bse"], fields))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"beam_kv": 3.0}, "know 1, 2 kV, not 3"),
        ({"beam_kv": float("nan")}, "know 1, 2 kV"),
        ({"pixel_nm": 2.5}, "pixels of 3 nm, not of 2.5 nm"),
        ({"unit_nm": 0.0}, "above 0 nm"),
    ],
)
def test_what_the_weights_do_not_know_is_refused(surrogate, asked, says):
    with pytest.raises(PorescopeError, match=says):
        surrogate.render(field_of(), **asked)


def test_too_few_layers_are_refused(surrogate):
    with pytest.raises(PorescopeError, match=r"look at 2 layers .* extract it with layers=2"):
        surrogate.render(field_of(layers=1))


def test_names_and_files_that_are_no_surrogate_are_refused(tmp_path):
    with pytest.raises(PorescopeError, match=r"No weights 'nothing'.*default"):
        load_surrogate("nothing")
    with pytest.raises(PorescopeError, match="Cannot read"):
        load_surrogate(tmp_path / "none.safetensors")
    with pytest.raises(PorescopeError, match=r"not of 'surrogate/1'|no weights of a neural"):
        load_surrogate(save(tmp_path / "other.safetensors", network="gap-network/1"))
    for number, changed in enumerate(
        ({"layout": "odd"}, {"layers": 0}, {"typical": [1.0]}, {"network_": 1}, {"layers": 10**9})
    ):
        with pytest.raises(PorescopeError, match=r"no weights of a neural|damaged"):
            load_surrogate(save(tmp_path / f"{number}.safetensors", **changed))
    with pytest.raises(PorescopeError, match="does not fit"):
        load_surrogate(save(tmp_path / "shape.safetensors", layers=3))
    with pytest.raises(PorescopeError, match="device"):
        load_surrogate("default", device="tpu")


def flat(depth=0.0, edge=64, layers=2):
    entry = np.full((layers, edge, edge), np.inf, np.float32)
    exit_ = entry.copy()
    entry[0] = depth
    exit_[0] = 1e6
    normal = np.zeros((3, edge, edge), np.float32)
    normal[0] = 1
    return HeightField(entry, exit_, normal)


@pytest.mark.parametrize("beam_kv", [1.0, 2.0, 4.0])
def test_flat_carbon_signals_what_carbon_does(beam_kv):
    told = load_surrogate(device="cpu").render(flat(), beam_kv=beam_kv)
    bse = backscatter_coefficient("carbon", beam_kv, electrons=20_000)
    se = secondary_yield("carbon", beam_kv, electrons=20_000)
    middle = (slice(24, 40),) * 2
    assert told["bse"][middle].mean() == pytest.approx(bse, rel=0.15)
    assert told["se"][middle].mean() == pytest.approx(se, rel=0.1)


def test_default_weights_draw_what_monte_carlo_does():
    sample = boolean_model("cube", porosity=0.5, shape=(200, 64, 64), edge=(20, 30), seed=7)
    field = extract_heightfield(sample, 10.0, device="cpu")
    told = load_surrogate(device="cpu").render(field, beam_kv=2.0)
    truth = simulate_monte_carlo(sample, 10.0, beam_kv=2.0, electrons=30, pixel_nm=3.0)
    for name in ("bse", "se"):
        blocks = [image[name].reshape(16, 4, 16, 4).mean(axis=(1, 3)) for image in (told, truth)]
        assert np.corrcoef(*map(np.ravel, blocks))[0, 1] > 0.9
        assert told[name].mean() == pytest.approx(truth[name].mean(), rel=0.08)


def test_weights_that_ship_are_named():
    names = surrogate_names()
    assert {"default", "gold-epoxy"} <= set(names)
    gold = load_surrogate("gold-epoxy", device="cpu").settings
    assert gold.signals == ["bse"]
    assert gold.beams_kv == [1.0, 2.0, 4.0]
    assert load_surrogate("default").settings.signals == ["bse", "se"]
