import csv

import pytest

from porescope.errors import Cancelled

torch = pytest.importorskip("torch")

from porescope.learn.training import TrainingParameters, train  # noqa: E402

PARAMETERS = TrainingParameters(
    epochs=4, batch_size=8, learning_rate=0.1, decay=0.5, decay_patience=1, stop_patience=3, seed=1
)


class Lines(torch.utils.data.Dataset):
    """Points on a line: item n is the same whenever it is asked for."""

    def __init__(self, count, seed=0):
        self.count, self.seed, self.asked = count, seed, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append(index)
        x = torch.rand(1, generator=torch.Generator().manual_seed(1000 * self.seed + index))
        return {"x": x, "y": 3 * x - 1}


def squared(network, batch):
    error = (network(batch["x"]).float() - batch["y"]).square().mean()
    return {"loss": error, "root": error.detach().sqrt()}


def learn(folder, parameters=PARAMETERS, training=None, loss=squared, **tracking):
    training = training or Lines(64)
    return train(
        lambda: torch.nn.Linear(1, 1), loss, training, Lines(16, seed=7), folder, parameters,
        **tracking,
    )  # fmt: skip


def weights(network):
    return torch.cat([values.flatten() for values in network.state_dict().values()])


def test_it_learns_and_returns_the_best_epoch(tmp_path):
    network, scores = learn(tmp_path, PARAMETERS.model_copy(update={"epochs": 40}))
    assert weights(network).tolist() == pytest.approx([3, -1], abs=0.2)
    rows = [
        float(row["validation_loss"])
        for row in csv.DictReader((tmp_path / "metrics.csv").open())
        if row["validation_loss"]
    ]
    assert scores["validation_loss"] == pytest.approx(min(rows), rel=1e-3)
    assert scores["validation_root"] > 0


def test_a_seed_decides(tmp_path):
    first, again, other = (
        weights(learn(tmp_path / str(n), PARAMETERS.model_copy(update={"seed": seed}))[0])
        for n, seed in enumerate((1, 1, 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_epoch_meets_new_items(tmp_path):
    data = Lines(64)
    learn(tmp_path, training=data)
    assert data.asked == list(range(4 * 64))


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path):
    whole, _ = learn(tmp_path / "whole")
    calls = []
    with pytest.raises(Cancelled):
        learn(tmp_path / "parts", cancel=lambda: calls.append(1) or len(calls) > 20)
    data, done = Lines(64), []
    network, _ = learn(
        tmp_path / "parts", training=data, progress=lambda d, total: done.append((d, total))
    )
    assert data.asked == list(range(2 * 64, 4 * 64))
    assert done[-1] == (32, 32)
    assert torch.equal(weights(network), weights(whole))


def test_it_stops_when_nothing_gets_better(tmp_path):
    def flat(network, batch):
        return {"loss": squared(network, batch)["loss"] * 0 + 1}

    data = Lines(64)
    learn(tmp_path, PARAMETERS.model_copy(update={"epochs": 40}), data, flat)
    assert len(data.asked) == 4 * 64  # the first epoch, and three that were no better
