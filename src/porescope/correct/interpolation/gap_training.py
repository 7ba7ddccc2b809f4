"""Gaps to train and to judge the network on, cut out of structures where nothing is missing.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from porescope.correct.interpolation.gap_network import (
    NAME,
    REACH,
    GapNetwork,
    from_below,
    gap_input,
)
from porescope.correct.interpolation.gaps import Gap
from porescope.correct.interpolation.kriging import Kriging
from porescope.correct.interpolation.parameters import InterpolationTraining
from porescope.imaging.slices import gamma_shape_and_scale
from porescope.learn.structures import mixture, random_structure
from porescope.learn.training import train, versions
from porescope.learn.weights import Card, load_weights, read_card, save_weights
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

THESIS = (10.16 / 2.5, 3.12 / 2.5)
"""Mean and standard deviation of the distance of slices, in pixels, in Article II."""

SHARE_OF_THESIS = 0.5
SHARE_AT_ENDS = 0.15
PLANES = 3
"""Missing planes that are looked at in each gap."""

Batch = dict[str, Tensor]


def structures(
    count: int,
    edge: int,
    seed: int,
    waves: float = 0.5,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> list[NDArray[np.bool_]]:
    """Draw cubes of structure, each of its own kind, with seeds from ``seed`` on."""
    return [
        random_structure((edge,) * 3, seed + index, mixture(waves))
        for index in track(range(count), progress, cancel)
    ]


class Gaps:
    """Gaps at random places of random structures, seen along any axis, between random slices.

    Parameters
    ----------
    volumes : list of bool arrays
        Cubes of one size.
    count : int
        How many gaps.
    seed : int
        Decides about all of them.
    """

    def __init__(
        self,
        volumes: list[NDArray[np.bool_]],
        count: int,
        seed: int,
        progress: Progress = no_progress,
        cancel: Cancel = never_cancel,
    ) -> None:
        drawn = [
            self._draw(volumes, np.random.default_rng([seed, index]))
            for index in track(range(count), progress, cancel)
        ]
        # Half the precision for half the memory: they are numbers around 1.
        self.all = {name: torch.stack([each[name] for each in drawn]).half() for name in drawn[0]}

    @staticmethod
    def _draw(volumes: list[NDArray[np.bool_]], random: np.random.Generator) -> Batch:
        volume = volumes[random.integers(len(volumes))]
        gap = _random_gap(len(volume), random)
        turned = volume.transpose(random.permutation(3))
        turned = turned[tuple(slice(None, None, step) for step in random.choice((-1, 1), 3))]
        missing = np.sort(random.choice(gap.missing, PLANES))
        return as_batch(turned, Gap(missing, gap.sources, gap.before))


class Patches(Dataset[Batch]):
    """Patches of one missing plane each, turned and mirrored at random, phases and slices swapped.

    Parameters
    ----------
    gaps : Gaps
    edge : int
        Of a patch, in pixels.
    count : int
        How many there are in an epoch; there is no end of further ones.
    seed : int
        With the index it decides everything about a patch.
    """

    def __init__(self, gaps: Gaps, edge: int, count: int, seed: int) -> None:
        self.gaps = gaps.all
        self.edge = edge
        self.count = count
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        random = np.random.default_rng([self.seed, index])
        which = int(random.integers(len(self.gaps["truth"])))
        plane = int(random.integers(PLANES))
        y, x = random.integers(self.gaps["truth"].shape[-1] - self.edge + 1, size=2).tolist()
        turns, mirrored, inverted, reversed_ = random.integers((4, 2, 2, 2)).tolist()
        batch = {name: values[which].float() for name, values in self.gaps.items()}
        for name in ("planes", "logits", "truth"):
            batch[name] = batch[name][plane : plane + 1]
        for name in ("slices", "logits", "truth"):
            patch = batch[name][:, y : y + self.edge, x : x + self.edge].rot90(turns, (1, 2))
            batch[name] = patch.flip(2) if mirrored else patch
        if inverted:
            batch["slices"], batch["logits"] = -batch["slices"], -batch["logits"]
            batch["truth"] = 1 - batch["truth"]
        if reversed_:
            batch["slices"], batch["gap"], batch["planes"] = from_below(
                batch["slices"], batch["gap"], batch["planes"]
            )
        return batch


def as_batch(volume: NDArray[np.bool_], gap: Gap) -> Batch:
    """Return what the network sees of a gap, and the truth."""
    kriging = Kriging((1.0, 1.0), 1.0)
    prepared = [kriging.prepare(volume[source]) for source in gap.sources]
    fields = np.stack([each.field for each in prepared])
    seen = gap_input(gap, fields, *kriging.estimate(prepared, gap), 1.0)
    batch = {name: torch.from_numpy(value) for name, value in seen._asdict().items()}
    batch["truth"] = torch.from_numpy(volume[gap.missing].astype(np.float32))
    return batch


def _random_gap(depth: int, random: np.random.Generator) -> Gap:
    """Draw slices as milling leaves them until some planes are missing, and take one gap."""
    mean, deviation = THESIS
    if random.random() > SHARE_OF_THESIS:
        mean = float(np.exp(random.uniform(np.log(2), np.log(10))))
        deviation = mean * random.uniform(0.05, 0.5)
    shape, scale = gamma_shape_and_scale(mean, deviation)
    while True:
        steps = np.rint(random.gamma(shape, scale, 2 * REACH - 1)).astype(np.intp).clip(min=1)
        width = steps[REACH - 1]
        # A wide gap holds more planes, and so is met more often.
        if width > 1 and steps.sum() < depth and random.random() < (width - 1) / (2 * mean + 8):
            break
    places = np.concatenate([[0], np.cumsum(steps)])
    places += random.integers(depth - places[-1])
    first, last = 0, 2 * REACH
    if random.random() < SHARE_AT_ENDS:
        at_end = int(random.integers(1, REACH))
        first, last = (at_end, last) if random.random() < 0.5 else (0, last - at_end)
    missing = np.arange(places[REACH - 1] + 1, places[REACH])
    return Gap(missing, places[first:last], REACH - first)


def loss(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the cross entropy, and the share of misplaced pixels in %."""
    seen = {name: value for name, value in batch.items() if name != "truth"}
    logits = network(**seen).float()
    misplaced = ((logits > 0) != (batch["truth"] > 0.5)).float().mean()
    entropy = functional.binary_cross_entropy_with_logits(logits, batch["truth"])
    return {"loss": entropy, "misplaced": 100 * misplaced.detach()}


def example(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the slice above, the missing plane and what the network says, of the first patch."""
    seen = {name: value[:1] for name, value in batch.items() if name != "truth"}
    with torch.no_grad():
        logits = network(**seen).float()
    return {
        "image": batch["slices"][0, REACH - 1],
        "truth": batch["truth"][0, 0],
        "prediction": torch.sigmoid(logits)[0, 0],
    }


EDGE = 96
"""Pixels; a cube must hold six slices."""

GAPS_A_CUBE, PATCHES_IN_AN_EPOCH = 8, 6400
VALIDATION_CUBES, VALIDATION_GAPS, VALIDATION_PATCHES = 64, 256, 768
PATCH = 48
VALIDATION_SEED = 1_000_000
"""Structures of the training have seeds from 0 on, those of the validation from here on."""
FURTHER_SEED = 2_000_000
"""From here on are those of a training that goes on from weights."""


def train_gap_network(
    folder: str | Path,
    parameters: InterpolationTraining,
    *,
    drawing: Progress = no_progress,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Card:
    """Train the network and write its weights into the folder.

    Parameters
    ----------
    folder : str or Path
        A training that was stopped there goes on.
    parameters : InterpolationTraining
    drawing
        Hears how many of the structures to learn from are drawn, then of their gaps; then of those
        to choose the epoch.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Card
        Written beside the weights, ``interpolation.safetensors``.
    """
    folder = Path(folder)

    first_seed = FURTHER_SEED if parameters.start else 0

    def patches(cubes: int, count: int, of_them: int, seed: int) -> Patches:
        volumes = structures(cubes, EDGE, seed, parameters.waves, drawing, cancel)
        drawn = Gaps(volumes, count, seed, drawing, cancel)
        return Patches(drawn, PATCH, of_them, seed + parameters.seed)

    def make_network() -> GapNetwork:
        network = GapNetwork()
        if parameters.start is not None:
            load_weights(parameters.start, network, NAME)
        return network

    cubes, count = parameters.cubes, GAPS_A_CUBE * parameters.cubes
    network, scores = train(
        make_network,
        loss,
        patches(cubes, count, PATCHES_IN_AN_EPOCH, first_seed),
        patches(VALIDATION_CUBES, VALIDATION_GAPS, VALIDATION_PATCHES, VALIDATION_SEED),
        folder,
        parameters,
        example=example,
        progress=progress,
        cancel=cancel,
    )
    before = "" if parameters.start is None else f"First {read_card(parameters.start).data} Then "
    card = Card(
        network=NAME,
        summary="Fills the planes between three slices on each side, a phase at a time.",
        data=(
            before + f"{count} gaps in {cubes} cubes of {EDGE} voxels that "
            "porescope.learn.structures drew: leveled waves of one and two levels, Gaussian "
            f"fields, spheres and cylinders, {parameters.waves:g} of them waves of two levels, "
            "either phase solid; slices at gamma distributed distances, half of them as in "
            "Article II."
        ),
        split=(
            f"By structure: seeds from {first_seed} on for training, {VALIDATION_CUBES} cubes "
            f"with seeds from {VALIDATION_SEED} on to choose the epoch; the benchmark draws others."
        ),
        training=parameters.model_dump(exclude_none=True, exclude={"start"}),
        scores=scores,
        versions=versions(),
    )
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    save_weights(folder / "interpolation.safetensors", tensors, card)
    return card
