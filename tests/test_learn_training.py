import csv
import os
import pickle

import numpy as np
import pytest

from porescope.errors import Cancelled, PorescopeError

torch = pytest.importorskip("torch")

from porescope.learn import training as learn_training  # noqa: E402
from porescope.learn.optimizer import Muon, orthogonalized  # noqa: E402
from porescope.learn.parameters import TrainingParameters  # noqa: E402
from porescope.learn.training import train  # noqa: E402

PARAMETERS = TrainingParameters(
    epochs=4, batch_size=8, learning_rate=0.1, steady=0.5, patience=3, seed=1
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
    longer = PARAMETERS.model_copy(update={"epochs": 40, "learning_rate": 1.0, "patience": 40})
    network, scores = learn(tmp_path, longer, Lines(256))
    assert weights(network).tolist() == pytest.approx([3, -1], abs=0.1)
    rows = [
        float(row["validation_loss"])
        for row in csv.DictReader((tmp_path / "metrics.csv").open())
        if row["validation_loss"]
    ]
    assert scores["validation_loss"] == pytest.approx(min(rows), rel=1e-3)
    assert scores["validation_root"] > 0


def test_scores_are_those_of_the_best_epoch_though_later_ones_are_worse(tmp_path):
    def worse(network, batch):
        told = squared(network, batch)
        return told if network.training else {"loss": -told["loss"], "root": told["root"]}

    network, scores = learn(tmp_path, loss=worse)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    losses = [float(row["validation_loss"]) for row in rows]
    assert losses.index(min(losses)) < len(losses) - 1
    assert scores["validation_loss"] == pytest.approx(min(losses), rel=1e-6)
    reached = squared(
        network, torch.utils.data.default_collate([Lines(16, seed=7)[n] for n in range(16)])
    )
    assert scores["validation_loss"] == pytest.approx(-float(reached["loss"].detach()), rel=1e-2)


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


def test_the_learning_rate_is_steady_and_then_falls_to_nothing():
    plan = TrainingParameters(epochs=10, steady=0.6)
    shares = [plan.share_at(epoch) for epoch in range(11)]
    assert shares[:7] == [1] * 7
    assert shares[7:] == pytest.approx([0.75, 0.5, 0.25, 0])


def test_the_optimizer_learns_at_the_planned_rate(tmp_path, monkeypatch):
    rates, step = [], Muon.step

    def spy(self, closure=None):
        rates.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(Muon, "step", spy)
    learn(tmp_path)
    expected = [0.1 * PARAMETERS.share_at(epoch) for epoch in range(4) for _ in range(8)]
    assert rates == pytest.approx(expected)


def test_orthogonalized_matrices_keep_their_directions():
    matrix = torch.randn(12, 40, generator=torch.Generator().manual_seed(1))
    for given in (matrix, matrix.mT, 1e-4 * matrix):
        left, _, right = torch.linalg.svd(given, full_matrices=False)
        straight = left.mT @ orthogonalized(given) @ right.mT
        values = straight.diagonal()
        assert ((values > 0.6) & (values < 1.3)).all()
        assert (straight - torch.diag(values)).abs().max() < 1e-3


def test_steps_are_as_long_as_adams():
    kernel, bias = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((8, 4, 3, 3), (8,)))
    optimizer = Muon([kernel, bias], lr=0.01)
    random = torch.Generator().manual_seed(1)
    for parameter in (kernel, bias):
        parameter.grad = torch.randn(parameter.shape, generator=random)
    before = [parameter.clone() for parameter in (kernel, bias)]
    optimizer.step()
    steps = [(now - then).detach() for now, then in zip((kernel, bias), before, strict=True)]
    assert steps[0].square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.2)
    torch.testing.assert_close(steps[1], -0.01 * bias.grad.sign())  # Adam's first step


def test_a_stopped_training_goes_on_after_the_last_epoch_also_if_that_was_no_better(tmp_path):
    def worse(network, batch):
        step["n"] += network.training
        return {"loss": squared(network, batch)["loss"] * 0 + step["n"]}

    step = {"n": 0}
    with pytest.raises(Cancelled):
        learn(tmp_path, loss=worse, cancel=iter([0] * 20 + [1]).__next__)
    data = Lines(64)
    learn(tmp_path, training=data, loss=worse)
    assert data.asked[0] == 2 * 64


def test_a_training_that_had_ended_does_not_go_on(tmp_path):
    def flat(network, batch):
        return {"loss": squared(network, batch)["loss"] * 0 + 1}

    longer = PARAMETERS.model_copy(update={"epochs": 40})
    first, _ = learn(tmp_path, longer, loss=flat)
    data = Lines(64)
    again, _ = learn(tmp_path, longer, data, flat)
    assert data.asked == []
    assert torch.equal(weights(first), weights(again))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_file_ends_a_training_after_its_epoch(tmp_path, elsewhere):
    stop = tmp_path / ("please" if elsewhere else "stop")
    data = Lines(64)

    def progress(done, total):
        if done == 11:  # in the second epoch
            stop.touch()

    _, scores = learn(
        tmp_path, PARAMETERS.model_copy(update={"epochs": 40}), data,
        progress=progress, stop=stop if elsewhere else None,
    )  # fmt: skip
    assert len(data.asked) == 2 * 64
    assert scores["validation_loss"] > 0


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize("kind", ["pickle", "checkpoint", "inside", "text", "empty", "folder"])
def test_a_foreign_file_in_the_folder_is_never_unpickled(tmp_path, kind):
    last = tmp_path / "last.ckpt"
    with pytest.raises(Cancelled):
        learn(tmp_path, cancel=iter([0] * 12 + [1]).__next__)
    state = torch.load(last, weights_only=True)
    last.unlink()
    match kind:
        case "pickle":
            last.write_bytes(pickle.dumps(Trap()))
        case "checkpoint":
            torch.save(Trap(), last)
        case "inside":
            torch.save({**state, "callbacks": Trap()}, last)
        case "text":
            last.write_text("not a checkpoint")
        case "empty":
            last.touch()
        case "folder":
            last.mkdir()
    with pytest.raises(PorescopeError, match="no state of a training that can be read"):
        learn(tmp_path)


def test_a_training_of_another_network_is_not_gone_on_with(tmp_path):
    learn(tmp_path)
    with pytest.raises(PorescopeError, match="training of another network"):
        train(lambda: torch.nn.Linear(1, 2), squared, Lines(64), Lines(16), tmp_path, PARAMETERS)


def test_networks_of_3d_convolutions_can_be_trained(tmp_path):
    def volumes(network, batch):
        return {"loss": network(batch["x"][:, :, None, None, None]).square().mean()}

    train(
        lambda: torch.nn.Conv3d(1, 1, 1), volumes, Lines(64), Lines(16), tmp_path,
        PARAMETERS.model_copy(update={"epochs": 1}),
    )  # fmt: skip


def rows_of(folder):
    return list(csv.DictReader((folder / "metrics.csv").open()))


def test_a_table_tells_of_all_epochs_also_of_those_before_a_cancel(tmp_path):
    learn(tmp_path / "whole")
    calls = []
    with pytest.raises(Cancelled):
        learn(tmp_path / "parts", cancel=lambda: calls.append(1) or len(calls) > 20)
    assert [row["epoch"] for row in rows_of(tmp_path / "parts")] == ["0", "1"]
    learn(tmp_path / "parts")
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")
    (row, *_) = rows_of(tmp_path / "parts")
    assert {"training_loss", "validation_loss", "validation_root"} <= set(row)


def test_an_example_of_the_newest_epoch_is_kept_as_pictures(tmp_path):
    seen = []

    def example(network, batch):
        seen.append(weights(network))
        return {"truth": batch["y"][:1], "prediction": network(batch["x"][:1])}

    learn(tmp_path, example=example)
    with np.load(tmp_path / "preview.npz", allow_pickle=False) as pictures:
        assert set(pictures) == {"truth", "prediction"}
        slope, offset = seen[3].tolist()  # of the fourth epoch, validated once more at the end
        x = Lines(16, seed=7)[0]["x"].item()
        assert pictures["prediction"].item() == pytest.approx(slope * x + offset, abs=0.02)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


class Noted(Lines):
    """Lines that note, in a file of each process, which items it asked for."""

    def __init__(self, count, folder):
        super().__init__(count)
        self.folder = folder

    def __getitem__(self, index):
        with (self.folder / str(os.getpid())).open("a") as file:
            file.write(f"{index}\n")
        return super().__getitem__(index)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@needs_fork
def test_processes_that_learn_together_share_the_items_and_return_one_network(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(learn_training, "processes", lambda: 2)
    noted, work = tmp_path / "noted", tmp_path / "work"
    noted.mkdir()
    longer = PARAMETERS.model_copy(update={"epochs": 20, "learning_rate": 1.0, "patience": 40})
    counted = []
    network, scores = learn(
        work, longer, Noted(64, noted), progress=lambda *done: counted.append(done)
    )
    assert weights(network).tolist() == pytest.approx([3, -1], abs=0.1)
    assert scores["validation_loss"] < 0.01
    assert not counted  # here, but in the process of the first
    asked = [np.loadtxt(path, dtype=int) for path in sorted(noted.iterdir())]
    assert len(asked) == 2
    assert sorted(np.concatenate(asked)) == list(range(20 * 64))
    assert {tuple(np.unique(items % 2)) for items in asked} == {(0,), (1,)}
    rows = list(csv.DictReader((work / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(20)]
    (work / "stop").touch()
    learn(work, longer.model_copy(update={"epochs": 30}), Noted(64, noted))
    assert len(list(csv.DictReader((work / "metrics.csv").open()))) == 21


@needs_fork
def test_processes_that_learn_together_are_cancelled_together(tmp_path, monkeypatch):
    monkeypatch.setattr(learn_training, "processes", lambda: 2)
    with pytest.raises(Cancelled):
        learn(tmp_path, cancel=lambda: True)
