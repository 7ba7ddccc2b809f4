"""Training of the networks of layers, and what the paper's learn from.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from porescope.layers import evidence_training
from porescope.layers.evidence_network import EvidenceNetwork
from porescope.layers.forward import BEAM_KV, layer_model
from porescope.layers.networks import NETWORKS, SLICES
from porescope.layers.parameters import LayersTraining, network_name
from porescope.layers.structures import THICKEST_NM, layer_seed, sample
from porescope.layers.volumes import labels_from_thickness
from porescope.learn.training import Example, Loss, train, versions
from porescope.learn.weights import Card, load_weights, read_card, save_weights
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Batch = dict[str, Tensor]
WEIGHTS = "layers.safetensors"
VALIDATION_SAMPLES = 96
CROP = 64
WEIGHT_OF_ALUMINIUM = {"unet-0.1": 0.1, "unet-0.01": 0.01}
UNIT_NM = torch.tensor(THICKEST_NM)[:, None, None]


def volume(thickness_nm: np.ndarray) -> np.ndarray:
    """Return the paper's volume of labels, (16, y, x): its samples need no more slices of 10 nm."""
    return labels_from_thickness(thickness_nm, slices=SLICES + 1)[1:]


class PerlinSeries(Dataset[Batch]):
    """Crops of series of Perlin layers by the published model, with new noise in each epoch.

    Parameters
    ----------
    name : {"train", "validation", "test"}
        Set of samples, which share no layer with those of another.
    count : int
    noise : float
        Relative standard deviation of the signals.
    seed : int
    progress, cancel
        See :mod:`porescope.tracking`.
    """

    def __init__(
        self,
        name: str,
        count: int,
        noise: float,
        seed: int,
        progress: Progress = no_progress,
        cancel: Cancel = never_cancel,
    ) -> None:
        self.name, self.noise, self.seed = name, noise, seed
        model = layer_model("published")
        self.thickness = [sample(name, index) for index in track(range(count), progress, cancel)]
        self.signals = [
            model.evaluate(each, np.array(BEAM_KV))[0].astype(np.float16)
            for each in track(self.thickness, progress, cancel)
        ]

    def __len__(self) -> int:
        return len(self.signals)

    def __getitem__(self, index: int) -> Batch:
        epoch, which = divmod(index, len(self))
        seed = layer_seed(self.name, which, 0)
        random = np.random.default_rng([self.seed, epoch, seed])
        y, x = random.integers(self.thickness[which].shape[1] - CROP + 1, size=2).tolist()
        crop = np.s_[:, y : y + CROP, x : x + CROP]
        signals, thickness = self.signals[which][crop], self.thickness[which][crop]
        turns = int(random.integers(4))
        signals, thickness = (np.rot90(each, turns, (1, 2)) for each in (signals, thickness))
        noisy = signals * (1 + self.noise * random.standard_normal(signals.shape, np.float32))
        return {
            "series": torch.from_numpy(noisy.astype(np.float32)),
            "thickness": torch.from_numpy(thickness.astype(np.float32)),
            "volume": torch.from_numpy(volume(thickness).astype(np.int64)),
        }


def paper_loss(name: str, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the squared error in nm2, or of volumes the cross entropy."""
    answer = network(batch["series"]).float()
    if answer.ndim == 5:
        return {"loss": functional.cross_entropy(answer, batch["volume"])}
    stacks = answer.reshape(-1, *batch["thickness"].shape)
    error = (stacks * UNIT_NM - batch["thickness"]).square().mean(dim=(0, 1, 3, 4))
    return {
        "loss": error[0] + WEIGHT_OF_ALUMINIUM.get(name, 1.0) * error[1],
        "gold": error.detach()[0],
        "aluminium": error.detach()[1],
    }


def paper_example(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the image at 10 keV, and the gold that there is and that the network tells."""
    with torch.no_grad():
        answer = network(batch["series"][:1])
    if answer.ndim == 5:
        truth, told = (each == 1 for each in (batch["volume"][0], answer[0].argmax(dim=0)))
        truth, told = truth.float().sum(dim=0), told.float().sum(dim=0)
    else:
        truth, told = batch["thickness"][0, 0], answer[-1, 0] * THICKEST_NM[0]
    return {"image": batch["series"][0, 5], "truth": truth, "prediction": told}


class _Plan(NamedTuple):
    make_network: Callable[[], nn.Module]
    loss: Loss
    sets: Sequence[Dataset[Batch]]
    example: Example
    data: str


def _plan(parameters: LayersTraining, drawing: Progress, cancel: Cancel) -> _Plan:
    name, samples, noise = parameters.network, parameters.samples, parameters.noise
    counted = (("train", samples, parameters.seed), ("validation", VALIDATION_SAMPLES, 0))
    if name == "default":
        setups = evidence_training.setups()
        told = [
            evidence_training.Told(part, count, setups, seed, drawing, cancel)
            for part, count, seed in counted
        ]
        return _Plan(
            EvidenceNetwork,
            evidence_training.loss,
            told,
            evidence_training.example,
            evidence_training.data(samples),
        )
    series = [
        PerlinSeries(part, count, noise, seed, drawing, cancel) for part, count, seed in counted
    ]
    return _Plan(
        NETWORKS[name],
        partial(paper_loss, name),
        series,
        paper_example,
        f"{samples} pairs of Perlin layers, their signals by the published model at 5, 6, ..., 35 "
        f"keV, noise {noise:.1%}.",
    )


def train_layers(
    folder: str | Path,
    parameters: LayersTraining,
    *,
    drawing: Progress = no_progress,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Card:
    """Train a network that tells the thickness of layers and write its weights into the folder.

    Parameters
    ----------
    folder : str or Path
        A training that was stopped there goes on.
    parameters : LayersTraining
    drawing
        Hears how many of the samples to learn from are drawn, then of those to choose the epoch.
    progress, cancel
        See :mod:`porescope.tracking`; batches are counted.

    Returns
    -------
    Card
        Written beside the weights, ``layers.safetensors``.

    Raises
    ------
    PorescopeError
        If another training was begun in the folder.
    Cancelled
        If ``cancel()`` became true; the last finished epoch is kept.
    """
    folder = Path(folder)
    plan = _plan(parameters, drawing, cancel)

    def make_network() -> nn.Module:
        network = plan.make_network()
        if parameters.start is not None:
            load_weights(parameters.start, network, network_name(parameters.network))
        return network

    learned_from, validation = plan.sets
    network, scores = train(
        make_network,
        plan.loss,
        learned_from,
        validation,
        folder,
        parameters,
        example=plan.example,
        progress=progress,
        cancel=cancel,
    )
    before = "" if parameters.start is None else f"First {read_card(parameters.start).data} Then "
    card = Card(
        network=network_name(parameters.network),
        summary="Tells the thickness of two layers from images at several beam energies.",
        data=before + plan.data,
        split=(
            f"By layer: the set train to learn from, {VALIDATION_SAMPLES} samples of the set "
            "validation to choose the epoch; the benchmark draws from the set test."
        ),
        training=parameters.model_dump(exclude_none=True, exclude={"start"}),
        scores=scores,
        versions=versions(),
    )
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    save_weights(folder / WEIGHTS, tensors, card)
    return card
