"""What the neural simulator learns from, and that it learns."""

import json

import numpy as np
import pytest

from porescope.cli import main
from porescope.errors import Cancelled, PorescopeError
from porescope.geometry import boolean_model
from porescope.imaging import HeightField, extract_heightfield, load_surrogate
from porescope.imaging.surrogate.images import Example, examples_in, read_example, write_example
from porescope.imaging.surrogate.settings import Settings, SurrogateTraining

torch = pytest.importorskip("torch")

from porescope.imaging.surrogate.layouts import all_channels  # noqa: E402
from porescope.imaging.surrogate.networks import make_network  # noqa: E402
from porescope.imaging.surrogate.training import Examples, loss, train_surrogate  # noqa: E402
from porescope.learn.optimizer import Muon  # noqa: E402
from porescope.learn.weights import read_card  # noqa: E402

EDGE = 16


def example(seed, beam_kv=2.0, sample=None, **changed):
    """Return a plane whose brightness is how steep it is, which is easily learned."""
    primitives = boolean_model("sphere", porosity=0.5, shape=(40, 64, 64), radius=(5, 8), seed=seed)
    field = extract_heightfield(primitives, 3.0, layers=2, device="cpu")
    field = HeightField(3 * field.entry, 3 * field.exit, field.normal)
    middle = slice(24, 24 + EDGE)
    steep = field.normal[0, middle, middle] * (field.entry[0, middle, middle] == 0)
    made = Example(
        field, np.stack([steep, 2 * steep]), ("bse", "se"), beam_kv, 3.0, 50, "0=vacuum, 1=carbon",
        sample or str(seed),
    )  # fmt: skip
    return made._replace(**changed)


def settings(**changed):
    given = {
        "network": "compact", "layout": "normal+ehf", "layers": 2, "length_nm": 100.0,
        "pixel_nm": 3.0, "beams_kv": [2.0], "materials": "0=vacuum, 1=carbon",
        "signals": ["bse", "se"], "typical": [1.0, 1.0],
    }  # fmt: skip
    return Settings(**(given | changed))


def write_folder(folder, training=8, validation=2):
    for part, first, count in (("training", 0, training), ("validation", 100, validation)):
        for index in range(count):
            write_example(folder / part / f"{index}.npz", example(first + index))
    return folder


def test_examples_come_back_as_they_were(tmp_path):
    made = example(1)
    write_example(tmp_path / "a.npz", made)
    read = read_example(tmp_path / "a.npz")
    for one, other in zip(
        (*vars(made.field).values(), made.signals),
        (*vars(read.field).values(), read.signals),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert read[2:] == made[2:]
    with pytest.raises(PorescopeError, match="exists already"):
        write_example(tmp_path / "a.npz", made)


def test_files_that_are_no_examples_are_refused(tmp_path, monkeypatch):
    good = tmp_path / "good.npz"
    write_example(good, example(1))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(good.read_bytes()[:-200])
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, entry=np.array([object()], dtype=object))
    odd = tmp_path / "odd.npz"
    write_example(odd, example(1, signals=np.zeros((2, 15, 16), np.float32)))
    for path, says in (
        (cut, "no example"),
        (pickled, "no example"),
        (odd, "damaged"),
    ):
        with pytest.raises(PorescopeError, match=says):
            read_example(path)
    with pytest.raises(PorescopeError, match="Cannot read"):
        read_example(tmp_path / "none.npz")
    with pytest.raises(PorescopeError, match="There is no folder"):
        examples_in(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PorescopeError, match="holds no examples"):
        examples_in(tmp_path / "empty")
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, entry=np.zeros(1 << 20))
    assert bomb.stat().st_size < 1 << 14
    monkeypatch.setattr("porescope.imaging.surrogate.images.LARGEST_BYTES", 1 << 20)
    with pytest.raises(PorescopeError, match="no example"):
        read_example(bomb)


def test_images_are_turned_with_their_normals():
    y, x = np.mgrid[:64, :64] / 9.0
    height = np.sin(y) + np.cos(1.7 * x + 0.3 * y)
    slopes = np.gradient(height)
    normal = np.stack([np.ones_like(height), *slopes]).astype(np.float32)
    depths = np.stack([height + 5] * 2).astype(np.float32)
    middle = slice(24, 40)
    signals = height[np.newaxis, middle, middle].astype(np.float32)
    one = example(0)._replace(
        field=HeightField(depths, depths, normal), signals=signals, names=("bse",)
    )
    data = Examples([one], settings(signals=["bse"], typical=[1.0]), seed=4)
    seen = [data[index] for index in range(40)]
    for batch in seen:
        down, right = np.gradient(batch["signals"][0].numpy())
        inner = (slice(1, -1),) * 2
        shown = batch["images"][:, middle, middle].numpy()
        np.testing.assert_allclose(shown[1][inner], down[inner], atol=0.01)
        np.testing.assert_allclose(shown[2][inner], right[inner], atol=0.01)
        np.testing.assert_allclose(shown[3], 1 / (1 + (batch["signals"][0] + 5) / 100), atol=1e-3)
    assert len({batch["signals"].numpy().tobytes() for batch in seen}) == 8


def test_where_a_sample_ends_with_its_image_it_is_mirrored():
    whole = example(5)
    ends = whole._replace(
        field=HeightField(*(each[:, 24:40, 24:40] for each in vars(whole.field).values()))
    )
    shown, cut = (Examples([each], settings())[0]["images"] for each in (whole, ends))
    assert shown.shape == cut.shape == (7, 64, 64)
    inner = (slice(None), slice(24, 40), slice(24, 40))
    torch.testing.assert_close(shown[inner], cut[inner])
    torch.testing.assert_close(cut[3, 24:40, 40:56], cut[3, 24:40, 24:40].flip(1))


def test_training_learns_writes_and_goes_on(tmp_path):
    source = write_folder(tmp_path / "data")
    parameters = SurrogateTraining(epochs=6, batch_size=4, learning_rate=3e-3)

    def stop_after(batches):
        seen = []
        return lambda: len(seen) > batches or seen.append(1)

    with pytest.raises(Cancelled):
        train_surrogate(source, parameters, tmp_path / "out", cancel=stop_after(16))
    assert (tmp_path / "out" / "last.ckpt").exists()
    with pytest.raises(PorescopeError, match="other parameters"):
        train_surrogate(source, parameters.model_copy(update={"epochs": 7}), tmp_path / "out")
    card = train_surrogate(source, parameters, tmp_path / "out")
    assert card.settings["beams_kv"] == [2.0]
    assert card.settings["signals"] == ["bse", "se"]
    assert "8 for training, 2 others" in card.split
    assert json.loads((tmp_path / "out" / "surrogate.json").read_text())["scores"] == card.scores
    surrogate = load_surrogate(tmp_path / "out" / "surrogate.safetensors", device="cpu")
    told = surrogate.render(example(3).field, unit_nm=1.0)
    assert told["bse"].shape == told["se"].shape == (64, 64)


def test_a_network_learns_what_it_is_shown():
    chosen = settings()
    data = Examples([example(seed) for seed in range(4)], chosen, seed=0)
    torch.manual_seed(0)
    network = chosen.make_network()
    optimizer = Muon(network.parameters(), 5e-3)
    losses = []
    for step in range(40):
        batch = torch.utils.data.default_collate([data[4 * step + index] for index in range(4)])
        value = loss(network, batch)["loss"]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert np.mean(losses[-5:]) < 0.35 * losses[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sample": "0"}, "'0' is in training and validation"),
        ({"beam_kv": 4.0}, "4 kV but none for training"),
        ({"materials": "0=epoxy, 1=gold"}, "differ"),
        ({"pixel_nm": 2.0}, "differ"),
        ({"names": ("bse", "x")}, "differ"),
    ],
)
def test_examples_that_do_not_belong_together_are_refused(tmp_path, changed, says):
    source = write_folder(tmp_path / "data", 4, 1)
    write_example(source / "validation" / "odd.npz", example(200, **changed))
    with pytest.raises(PorescopeError, match=says):
        train_surrogate(source, SurrogateTraining(batch_size=2), tmp_path / "out")


def test_parameters_that_do_not_fit_the_examples_are_refused(tmp_path):
    source = write_folder(tmp_path / "data", 4, 1)
    for given, says in (
        ({"layers": 3}, "have 2 layers, not 3"),
        ({"batch_size": 5}, "fewer than the 5"),
        ({"pretrained": "x.safetensors"}, "for a ResNet"),
    ):
        parameters = SurrogateTraining(**({"batch_size": 2} | given))
        with pytest.raises(PorescopeError, match=says):
            train_surrogate(source, parameters, tmp_path / f"out-{says}")


@pytest.mark.parametrize("name", ["compact", "resnet34", "resnet50"])
def test_networks_answer_an_image_for_each_signal(name):
    network = make_network(name, 5, 2).eval()
    with torch.inference_mode():
        told = network(torch.rand(2, 5, 64, 96), torch.zeros(2))
    assert told.shape == (2, 2, 64, 96)


def test_the_voltage_is_known_and_each_image_has_its_own():
    torch.manual_seed(1)
    network = make_network("compact", 7, 1)
    torch.nn.init.normal_(network.answer.weight, std=0.1)
    images = torch.rand(2, 7, 64, 64)
    with torch.inference_mode():
        both = network(images, torch.tensor([-1.0, 1.0]))
        alone = torch.cat([network(images[:1], -torch.ones(1)), network(images[1:], torch.ones(1))])
        other = network(images[:1], torch.ones(1))
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-5)
    assert (other - both[:1]).abs().max() > 1e-3


def test_pretrained_weights_go_to_the_first_channels(tmp_path):
    from safetensors.torch import save_file

    network = make_network("resnet34", 7, 2)
    given = {
        name: torch.randn(values.shape) if values.is_floating_point() else values
        for name, values in network.network.encoder.state_dict().items()
    }
    given["conv1.weight"] = given["conv1.weight"][:, :3].contiguous()
    assert "layer2.0.downsample.0.weight" in given  # as in torchvision
    save_file(given | {"fc.weight": torch.zeros(2, 2)}, tmp_path / "resnet34.safetensors")
    network.load_pretrained(tmp_path / "resnet34.safetensors")
    first = network.network.encoder.conv1.weight
    torch.testing.assert_close(first[:, :3].detach(), given["conv1.weight"])
    assert first.shape[1] == 8
    assert not first[:, 3:].any()
    with pytest.raises(PorescopeError, match="does not fit this encoder"):
        make_network("resnet50", 7, 2).load_pretrained(tmp_path / "resnet34.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(PorescopeError, match="Cannot read"):
        network.load_pretrained(tmp_path / "bad.safetensors")


def test_all_channels_keep_what_a_half_can_hold():
    field = example(2).field
    exact = all_channels(field, 2, 100.0)
    assert (exact.half().float() - exact).abs().max() < 1e-3


def test_the_command_trains(tmp_path, capsys):
    source = write_folder(tmp_path / "data", 4, 1)
    words = ["train", "surrogate", str(source), "--epochs", "1", "--batch-size", "4"]
    assert main([*words, "--loss", "l1", "--out", str(tmp_path / "out")]) == 0
    assert "surrogate.safetensors" in capsys.readouterr().out
    card = read_card(tmp_path / "out" / "surrogate.safetensors")
    assert card.training["loss"] == "l1"
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "more").mkdir()
    assert main([*words[:3], str(tmp_path / "more"), "--out", str(tmp_path / "other")]) == 2
    assert "Name one folder of examples" in capsys.readouterr().err
