import json
import pickle

import numpy as np
import pytest

from porescope.errors import PorescopeError
from porescope.learn.weights import Card, load_weights, save_weights, shipped

torch = pytest.importorskip("torch")

NAME = "line/1"
CARD = Card(
    network=NAME,
    summary="Draws a line.",
    data="None.",
    split="None.",
    training={"seed": 1},
    scores={"validation_loss": 0.5},
    versions={"torch": "2"},
)


def tensors(outputs=2):
    return {
        name: values.detach().numpy()
        for name, values in torch.nn.Linear(3, outputs).state_dict().items()
    }


def refused(path, says, name=NAME):
    network = torch.nn.Linear(3, 2)
    before = {key: values.clone() for key, values in network.state_dict().items()}
    with pytest.raises(PorescopeError, match=says):
        load_weights(path, network, name)
    assert all(torch.equal(values, before[key]) for key, values in network.state_dict().items())


def test_round_trip(tmp_path):
    path, saved, network = tmp_path / "line.safetensors", tensors(), torch.nn.Linear(3, 2)
    save_weights(path, saved, CARD)
    assert load_weights(path, network, NAME) == CARD
    for name, values in network.state_dict().items():
        assert values.dtype == torch.float32
        np.testing.assert_allclose(values.numpy(), saved[name], rtol=1e-3)
    assert Card.model_validate_json((tmp_path / "line.json").read_text()) == CARD
    with pytest.raises(PorescopeError, match="exists already"):
        save_weights(path, saved, CARD)


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    for bad in (np.nan, 1e6):
        with pytest.raises(PorescopeError, match="too large or no numbers"):
            save_weights(tmp_path / "x.safetensors", {"weight": np.array([bad], "f4")}, CARD)
    assert not list(tmp_path.iterdir())


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_foreign_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "weights.safetensors"
    refused(path, "Cannot read")
    path.mkdir()
    refused(path, "Cannot read|no file of weights")
    path.rmdir()
    path.write_bytes(pickle.dumps(Trap()))
    refused(path, "no file of weights")
    torch.save({"weight": torch.zeros(2, 3)}, path)
    refused(path, "no file of weights")
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    refused(path, "no file of weights")
    save_file(tensors(), path)
    refused(path, "no file of weights")  # not written by Porescope
    for card in ("{}", "[", json.dumps({**json.loads(CARD.model_dump_json()), "more": 1})):
        save_file(tensors(), path, {"porescope_weights": "1", "card": card})
        refused(path, "no file of weights")
    save_file(tensors(), path, {"porescope_weights": "2", "card": CARD.model_dump_json()})
    refused(path, "no file of weights")


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "line.safetensors"
    save_weights(path, tensors(), CARD)
    whole = path.read_bytes()
    for size in (0, 4, 30, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path, "no file of weights")
    spoiled = whole[:-2] + np.float16("nan").tobytes()
    path.write_bytes(spoiled)
    refused(path, "no finite floats")


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(tmp_path / "a.safetensors", tensors(), CARD)
    refused(tmp_path / "a.safetensors", "weights of 'line/1', not of 'curve/1'", "curve/1")
    save_weights(tmp_path / "b.safetensors", tensors(outputs=4), CARD)
    refused(tmp_path / "b.safetensors", "does not fit the network 'line/1': 'bias' differs")
    save_weights(tmp_path / "c.safetensors", {"other": np.zeros(3)}, CARD)
    refused(tmp_path / "c.safetensors", "does not fit")


def test_whole_numbers_are_no_weights(tmp_path):
    from safetensors.numpy import save_file

    whole = {name: values.astype(np.int32) for name, values in tensors().items()}
    metadata = {"porescope_weights": "1", "card": CARD.model_dump_json()}
    save_file(whole, tmp_path / "x.safetensors", metadata)
    refused(tmp_path / "x.safetensors", "no finite floats")


def test_what_ships_has_the_card_that_lies_beside_it():
    from porescope.correct.interpolation.gap_network import NAME as GAP_NETWORK
    from porescope.correct.interpolation.gap_network import GapNetwork

    path = shipped("interpolation")
    card = load_weights(path, GapNetwork(), GAP_NETWORK)
    assert Card.model_validate_json(path.with_suffix(".json").read_text()) == card
    assert card.training["seed"] >= 0
    assert path.stat().st_size < 3_000_000
