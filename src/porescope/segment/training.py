"""Training the networks that segment: one for each voltage, then what puts them together.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from porescope.errors import PorescopeError
from porescope.learn.parameters import STOP
from porescope.learn.precision import autocast
from porescope.learn.training import train, versions
from porescope.learn.weights import Card, save_weights
from porescope.segment.model import (
    MOST_VOLTAGES,
    NAME,
    OF_VALIDATION,
    Segmentation,
    Settings,
    load_segmentation,
)
from porescope.segment.networks import SliceNetwork, mean_logits
from porescope.segment.parameters import SegmentationTraining
from porescope.segment.probability import PIXEL_WITHIN
from porescope.segment.windows import Batch, Example, Windows
from porescope.stack import ROWS, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

FILE = "segmentation.safetensors"
VOTE_STEP = 0.1
"""Weights of votes are multiples of this."""
OF_LEARNED = "of what was learned"
MOST_PIXELS = 2_000_000
"""That ensembles are fitted to."""


@dataclass(frozen=True)
class Sample:
    """Aligned stacks of one place at several voltages, and the truth at their slices.

    Parameters
    ----------
    stacks : sequence of Stack
        From the lowest voltage.
    truth : Stack
        Labels 0 and 1.
    """

    stacks: Sequence[Stack]
    truth: Stack

    def example(self, voltages: Sequence[int]) -> Example:
        """Return what some of the voltages teach."""
        return Example.of([self.stacks[index] for index in voltages], self.truth)


def loss(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the Dice loss of both phases plus the cross entropy, and misplaced pixels in %."""
    truth = batch["truth"]
    logits = network(batch["images"], batch["gaps_nm"], batch["present"]).float()
    solid = torch.sigmoid(logits)
    dice = (_dice(solid, truth) + _dice(1 - solid, 1 - truth)) / 2
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    misplaced = ((logits > 0) != (truth > 0.5)).float().mean()
    return {"loss": 1 - dice + entropy, "misplaced": 100 * misplaced.detach()}


def example(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return what the network sees of the first window, what is true, and what it says."""
    with torch.no_grad():
        logits = network(batch["images"][:1], batch["gaps_nm"][:1], batch["present"][:1]).float()
    voltages, slices = batch["images"].shape[1:3]
    planes = logits.shape[1]
    return {
        "image": batch["images"][0, voltages // 2, slices // 2],
        "truth": batch["truth"][0, planes // 2],
        "prediction": torch.sigmoid(logits)[0, planes // 2],
    }


def _dice(share: Tensor, truth: Tensor) -> Tensor:
    """Return the Dice score over a whole batch, since a window may hold one phase alone."""
    return (2 * (share * truth).sum() + 1) / (share.sum() + truth.sum() + 1)


def train_segmentation(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    folder: str | Path,
    parameters: SegmentationTraining,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Card:
    """Train networks and write their weights into a folder.

    Parameters
    ----------
    training, validation : sequences of Sample
        Of different samples, all at the same voltages. The second chooses the epoch, and what puts
        the voltages together is fitted to it; where there is none, the first does.
    folder : str or Path
        A training that was stopped there goes on. A file named ``stop`` in it ends the training
        of each network after the epoch it is in.
    parameters : SegmentationTraining
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Card
        Written beside the weights, ``segmentation.safetensors``.

    Raises
    ------
    PorescopeError
        If samples do not fit together, or to the weights to begin with.
    Cancelled
        If ``cancel()`` became true; finished epochs are kept.
    """
    folder = Path(folder)
    kept_back = bool(validation)
    validation = validation or training
    start = None if parameters.start is None else load_segmentation(parameters.start)[0]
    settings = _settings([*training, *validation], start.settings if start else parameters)
    model = Segmentation(settings)
    beams = range(len(settings.beam_kv))
    groups = [tuple(beams)] if settings.joint else [(index,) for index in beams]
    scores: dict[str, float] = {}
    for number, group in enumerate(groups):
        named = "-".join(f"{settings.beam_kv[index]:g}kV" for index in group)

        def report(done: int, total: int, before: int = number) -> None:
            progress(before * total + done, len(groups) * total)

        network, found = train(
            partial(_first, settings, group, start),
            loss,
            _windows(training, group, settings, parameters, changed=True),
            _windows(validation, group, settings, parameters),
            folder / named,
            parameters,
            example=example,
            stop=folder / STOP,
            progress=report,
            cancel=cancel,
        )
        model.networks[number].load_state_dict(network.state_dict())
        scores[settings.score_name(group)] = found["validation_misplaced"]
    if not settings.joint:
        scores |= fit_ensembles(model, validation, parameters, cancel=cancel)
    if not kept_back:
        scores = {name.replace(OF_VALIDATION, OF_LEARNED): it for name, it in scores.items()}
    card = Card(
        network=NAME,
        summary="Tells solid from pore, voxel by voxel.",
        settings=settings.model_dump(mode="json"),
        data=_described(training, "training") + " " + _described(validation, "validation"),
        split="By sample: none is both in training and in validation."
        if kept_back
        else "No sample was kept back: the scores are of what was learned.",
        training=parameters.model_dump(exclude_none=True),
        scores=scores,
        versions=versions(),
    )
    save_weights(folder / FILE, _tensors(model), card)
    return card


def _first(settings: Settings, group: Sequence[int], start: Segmentation | None) -> SliceNetwork:
    """Return a network to train: with random weights, or as it was for the nearest voltage."""
    network = settings.build()
    if start is None:
        return network
    learned = start.settings.beam_kv
    if settings.joint and len(group) != len(learned):
        raise PorescopeError(
            f"The weights to begin with take {len(learned)} voltages together, the samples have "
            f"{len(group)}; give samples of as many, or other weights."
        )
    beam_kv = settings.beam_kv[group[0]]
    nearest = min(range(len(learned)), key=lambda index: abs(math.log(learned[index] / beam_kv)))
    known = start.networks[0 if settings.joint else nearest]
    network.load_state_dict(known.state_dict())
    return network


def _settings(samples: Sequence[Sample], built: SegmentationTraining | Settings) -> Settings:
    if not samples:
        raise PorescopeError("Networks learn from samples; give at least one.")
    beams = {tuple(stack.beam_kv for stack in sample.stacks) for sample in samples}
    if len(beams) > 1 or None in (first := next(iter(beams))):
        raise PorescopeError(
            "All samples need stacks of the same, known voltages; these have "
            f"{' and '.join(sorted(map(_named, beams)))}."
        )
    if len(first) > MOST_VOLTAGES or len(set(first)) < len(first):
        raise PorescopeError(
            f"Samples have one stack for each of {MOST_VOLTAGES} voltages at most; these have "
            f"{_named(first)}."
        )
    pixels = sorted({sample.truth.spacing_nm[ROWS] for sample in samples})
    if pixels[-1] > PIXEL_WITHIN * pixels[0]:
        raise PorescopeError(
            f"Networks know pixels of one size, and the samples have {pixels[0]:g} to "
            f"{pixels[-1]:g} nm; take samples of one size."
        )
    return Settings(
        architecture=built.architecture,
        beam_kv=first,
        slices=built.slices,
        channels=built.channels,
        pixel_nm=pixels[len(pixels) // 2],
    )


def _named(beams_kv: Sequence[float | None]) -> str:
    return ", ".join("?" if beam_kv is None else f"{beam_kv:g}" for beam_kv in beams_kv) + " kV"


def _windows(
    samples: Sequence[Sample],
    group: Sequence[int],
    settings: Settings,
    parameters: SegmentationTraining,
    changed: bool = False,
) -> Windows:
    return Windows(
        [sample.example(group) for sample in samples],
        settings.build(),
        parameters.patch_px,
        parameters.stride_px if changed else parameters.patch_px,
        parameters.seed,
        parameters if changed else None,
    )


def fit_ensembles(
    model: Segmentation,
    samples: Sequence[Sample],
    parameters: SegmentationTraining,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Fit what puts voltages together, for any choice of them; return misplaced pixels in %."""
    settings = model.settings
    parts = [
        _windows(samples, (index,), settings, parameters) for index in range(len(settings.beam_kv))
    ]
    logits, truths = [], []
    for batches in track(list(_together(parts, parameters.batch_size)), progress, cancel):
        with torch.inference_mode(), autocast():
            each = [
                mean_logits(network, batch["images"], batch["gaps_nm"], batch["present"])
                for network, batch in zip(model.networks, batches, strict=True)
            ]
        logits.append(torch.stack(each, dim=-1).flatten(0, -2).numpy())
        truths.append(batches[0]["truth"].flatten().numpy() > 0.5)
    evidence, truth = np.concatenate(logits), np.concatenate(truths)
    scores = {}
    for subset in model.subsets():
        key = "-".join(map(str, subset))
        weights, bias = fit_logistic(evidence[:, subset], truth)
        combine: Any = model.ensembles[key].combine
        with torch.no_grad():
            combine.weight.copy_(torch.from_numpy(weights).reshape(combine.weight.shape))
            combine.bias.copy_(torch.tensor([bias]))
            model.votes[key].copy_(torch.from_numpy(fit_votes(evidence[:, subset], truth)))
        misplaced = ((evidence[:, subset] @ weights + bias > 0) != truth).mean()
        scores[settings.score_name(subset)] = 100 * float(misplaced)
    return scores


def _together(parts: Sequence[Windows], batch_size: int) -> Iterator[list[Batch]]:
    loaders = [DataLoader(part, batch_size) for part in parts]
    for batches in zip(*loaders, strict=True):
        yield list(batches)


def fit_logistic(
    evidence: NDArray[np.float32], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """Return weights and bias of the ensemble layer: the best in cross entropy, which is unique.

    Parameters
    ----------
    evidence : array of shape (pixels, voltages)
        Logits, or probabilities.
    truth : bool array of shape (pixels,)
    """
    from sklearn.linear_model import LogisticRegression

    thinning = max(1, len(truth) // MOST_PIXELS)
    fitted = LogisticRegression(C=1e6, max_iter=500).fit(evidence[::thinning], truth[::thinning])
    return fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])


def fit_votes(evidence: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the weights of votes that misplace fewest pixels, the most even ones of the best."""
    count = evidence.shape[1]
    steps = round(1 / VOTE_STEP)
    patterns = (evidence > 0) @ (1 << np.arange(count))
    solid = np.bincount(patterns[truth], minlength=1 << count)
    pore = np.bincount(patterns[~truth], minlength=1 << count)
    votes = np.array(list(product((0, 1), repeat=count)))[:, ::-1]  # as bits of the pattern
    best: tuple[float, float, tuple[int, ...]] | None = None
    for bars in combinations(range(1, steps), count - 1):
        shares = tuple(np.diff((0, *bars, steps)).tolist())
        won = votes @ shares > steps / 2
        wrong = float(solid[~won].sum() + pore[won].sum())
        candidate = (wrong, float(np.var(shares)), shares)
        best = candidate if best is None else min(best, candidate)
    assert best is not None
    return (np.array(best[2]) / steps).astype(np.float32)


def _described(samples: Sequence[Sample], purpose: str) -> str:
    slices = sum(sample.truth.shape[0] for sample in samples)
    solid = np.mean([float(np.asarray(sample.truth.data.mean())) for sample in samples])
    return f"{len(samples)} samples for {purpose}, {slices} slices, {solid:.3f} solid on average."


def _tensors(model: Segmentation) -> dict[str, NDArray[Any]]:
    tensors = {key: value.detach().numpy() for key, value in model.state_dict().items()}
    # Counts of batches are of no use any more, and too large for 16 bits.
    return {
        key: np.zeros_like(value) if key.endswith("num_batches_tracked") else value
        for key, value in tensors.items()
    }
