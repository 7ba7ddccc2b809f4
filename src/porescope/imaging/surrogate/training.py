"""Training of a neural simulator on a folder of examples.

Monte Carlo's images may be noisy: the network that is closest to them on average, by the mean
square, is that of their mean. This module imports torch; import it inside functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.imaging.surrogate.images import Example, examples_in, read_example
from porescope.imaging.surrogate.layouts import (
    all_channels,
    flipped_rows,
    mirrored,
    shown_channels,
    transposed,
)
from porescope.imaging.surrogate.networks import MULTIPLE, Network, ResNetUNet
from porescope.imaging.surrogate.rendering import MARGIN_PX, NAME
from porescope.imaging.surrogate.settings import Settings, SurrogateTraining
from porescope.learn.training import train, versions
from porescope.learn.weights import Card, save_weights
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Batch = dict[str, Tensor]
WEIGHTS = "surrogate.safetensors"
ASKED = "parameters.json"


class Examples(Dataset[Batch]):
    """Images with what the network is shown of each, turned and mirrored at random.

    Parameters
    ----------
    examples : sequence of Example
        Of one pixel size, material and set of signals.
    settings : Settings
    seed : int, optional
        With the index it decides how an image is turned; none is without.
    """

    def __init__(
        self, examples: Sequence[Example], settings: Settings, seed: int | None = None
    ) -> None:
        self.seed = seed
        self.shown = shown_channels(settings.layout, settings.layers)
        # Half the precision for half the memory: they are numbers up to 1.
        self.images = [_shown(example, settings).half() for example in examples]
        typical = np.array(settings.typical, np.float32)[:, np.newaxis, np.newaxis]
        self.signals = [torch.from_numpy(example.signals / typical) for example in examples]
        self.beams = [math.log2(example.beam_kv / 2) for example in examples]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        epoch, which = divmod(index, len(self))
        image, signals = self.images[which].float(), self.signals[which]
        if self.seed is not None:
            random = np.random.default_rng([self.seed, epoch, which])
            upside_down, sideways, swapped = random.integers(2, size=3).tolist()
            if upside_down:
                image, signals = flipped_rows(image), signals.flip(1)
            if sideways:
                image = transposed(flipped_rows(transposed(image)))
                signals = signals.flip(2)
            if swapped:
                image, signals = transposed(image), signals.transpose(1, 2)
        return {
            "images": image[self.shown],
            "beam": torch.tensor(self.beams[which]),
            "signals": signals.contiguous(),
        }


def _shown(example: Example, settings: Settings) -> Tensor:
    """Return all channels in an image and its margin, mirrored where the sample ends before."""
    channels = all_channels(example.field, settings.layers, settings.length_nm)
    parts = []
    for whole, size in zip(channels.shape[1:], example.signals.shape[1:], strict=True):
        first = (whole - size) // 2
        parts.append(range(first - MARGIN_PX, first + size + MARGIN_PX))
    return mirrored(channels, *parts)


def loss(network: nn.Module, batch: Batch, kind: str = "l2") -> dict[str, Tensor]:
    """Return how far the network's images are from Monte Carlo's, in typical signals."""
    told = network(batch["images"], batch["beam"]).float()
    inner = slice(MARGIN_PX, -MARGIN_PX)
    difference = told[:, :, inner, inner] - batch["signals"]
    chosen = difference.abs() if kind == "l1" else difference.square()
    return {"loss": chosen.mean(), "mean_square": difference.detach().square().mean()}


def example(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the first channel, Monte Carlo's image and the network's, of the first item."""
    inner = slice(MARGIN_PX, -MARGIN_PX)
    with torch.no_grad():
        told = network(batch["images"][:1], batch["beam"][:1])
    return {
        "image": batch["images"][0, 0, inner, inner],
        "truth": batch["signals"][0, 0],
        "prediction": told[0, 0, inner, inner],
    }


def train_surrogate(
    source: str | Path,
    parameters: SurrogateTraining,
    out: str | Path,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Card:
    """Train a neural simulator and write its weights and their card.

    Parameters
    ----------
    source : str or Path
        Folder with ``training`` and ``validation``, each with examples as
        :mod:`porescope.imaging.surrogate.images` describes them, of samples of their own.
    parameters : SurrogateTraining
    out : str or Path
        Folder; a training that was stopped there goes on. Gets ``surrogate.safetensors`` and
        ``surrogate.json``.
    progress, cancel
        See :mod:`porescope.tracking`; batches are counted.

    Returns
    -------
    Card

    Raises
    ------
    PorescopeError
        If examples are missing or do not fit together, a sample is in both parts, or in the folder
        another training was begun.
    Cancelled
        If ``cancel()`` became true; the last finished epoch is kept.
    """
    source, out = Path(source), Path(out)
    parts = {
        part: [read_example(path) for path in track(examples_in(source / part), cancel=cancel)]
        for part in ("training", "validation")
    }
    settings = _settings(parts["training"], parameters)
    _check_parts(parts, settings, parameters.batch_size)
    _check_folder(out, parameters)
    training = Examples(parts["training"], settings, parameters.seed)
    validation = Examples(parts["validation"], settings)

    def make_network() -> Network:
        network = settings.make_network()
        if parameters.pretrained is not None:
            if not isinstance(network, ResNetUNet):
                raise PorescopeError("Pretrained weights are for a ResNet; choose such a network.")
            network.load_pretrained(parameters.pretrained)
        return network

    network, scores = train(
        make_network,
        lambda network, batch: loss(network, batch, parameters.loss),
        training,
        validation,
        out,
        parameters,
        example=example,
        progress=progress,
        cancel=cancel,
    )
    card = Card(
        network=NAME,
        summary=_summary(settings),
        settings=settings.model_dump(),
        data=_data(parts["training"]),
        split=(
            f"By sample: {_samples(parts['training'])} for training, "
            f"{_samples(parts['validation'])} others to choose the epoch."
        ),
        training=parameters.model_dump(exclude_none=True),
        scores=scores,
        versions=versions(),
    )
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    save_weights(out / WEIGHTS, tensors, card)
    return card


def _summary(settings: Settings) -> str:
    kilovolts = ", ".join(f"{beam_kv:g}" for beam_kv in settings.beams_kv)
    return (
        f"Draws {' and '.join(map(str.upper, settings.signals))} images of {settings.materials} at "
        f"{kilovolts} kV from heightfields with pixels of {settings.pixel_nm:g} nm."
    )


def _data(examples: Sequence[Example]) -> str:
    pixels = sum(example.signals[0].size for example in examples)
    electrons = sorted({example.electrons for example in examples})
    return (
        f"{len(examples)} Monte Carlo images of {_samples(examples)} samples, {pixels:,} pixels in "
        f"all, with {' to '.join(map(str, electrons[:: len(electrons) - 1 or 1]))} electrons a "
        "pixel."
    )


def _samples(examples: Sequence[Example]) -> int:
    return len({example.sample for example in examples})


def _settings(examples: Sequence[Example], parameters: SurrogateTraining) -> Settings:
    first = examples[0]
    return Settings(
        **parameters.model_dump(include={"network", "layout", "layers", "length_nm"}),
        pixel_nm=first.pixel_nm,
        beams_kv=sorted({example.beam_kv for example in examples}),
        materials=first.materials,
        signals=list(first.names),
        typical=[
            float(np.mean([example.signals[signal].mean() for example in examples]))
            for signal in range(len(first.names))
        ],
    )


def _check_parts(parts: dict[str, list[Example]], settings: Settings, batch_size: int) -> None:
    first = parts["training"][0]
    for part, examples in parts.items():
        for example in examples:
            alike = (
                example.names == first.names
                and example.materials == first.materials
                and example.pixel_nm == first.pixel_nm
                and example.signals.shape == first.signals.shape
            )
            if not alike:
                raise PorescopeError(
                    f"The {part} examples differ in signals, materials, pixels or size; put those "
                    "of one kind into a folder."
                )
            if example.beam_kv not in settings.beams_kv:
                raise PorescopeError(
                    f"There are {part} examples at {example.beam_kv:g} kV but none for training."
                )
            if len(example.field.entry) < settings.layers:
                raise PorescopeError(
                    f"The {part} examples have {len(example.field.entry)} layers, not "
                    f"{settings.layers}; ask for fewer layers or extract them anew."
                )
    if any((size + 2 * MARGIN_PX) % MULTIPLE for size in first.signals.shape[1:]):
        raise PorescopeError(
            f"The examples' images are {first.signals.shape[1]} x {first.signals.shape[2]} pixels, "
            f"but with {MARGIN_PX} around them networks take multiples of {MULTIPLE}."
        )
    if len(parts["training"]) < batch_size:
        raise PorescopeError(
            f"There are {len(parts['training'])} training examples, fewer than the {batch_size} "
            "that are learned from at once; take a smaller batch size."
        )
    shared = {e.sample for e in parts["training"]} & {e.sample for e in parts["validation"]}
    if shared:
        raise PorescopeError(
            f"The sample {min(shared)!r} is in training and validation; split by sample."
        )


def _check_folder(out: Path, parameters: SurrogateTraining) -> None:
    """Remember what was asked, and go on with nothing else."""
    asked: dict[str, Any] = parameters.model_dump()
    place = out / ASKED
    if place.exists():
        if json.loads(place.read_text()) != asked:
            raise PorescopeError(
                f"In {out} a training with other parameters was begun; choose another folder."
            )
    else:
        with write_beside(place) as beside:
            beside.write_text(json.dumps(asked, indent=1) + "\n")
