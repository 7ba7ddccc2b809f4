"""Training of any network on any data: early stopping, falling learning rate, resuming, cancelling.

This module imports torch and Lightning; import it inside functions.
"""

from __future__ import annotations

import csv
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader, Dataset, Sampler

from porescope.errors import Cancelled, PorescopeError
from porescope.files import replacing
from porescope.learn.device import torch_device
from porescope.learn.optimizer import Muon
from porescope.learn.parameters import METRICS, PREVIEW, STOP, TrainingParameters
from porescope.learn.precision import channels_last, has_fast_bfloat16
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

Batch = dict[str, Tensor]
Loss = Callable[[nn.Module, Batch], dict[str, Tensor]]
"""From a network and a batch to ``"loss"`` and whatever else is worth following."""

Example = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
"""From a network and a batch to pictures (y, x) of its first item, by what they show."""

MONITOR = "validation_loss"
AVERAGED = 0.995
"""Validated and returned are weights averaged over the last steps: each step keeps this share,
and less in the beginning, so that a short training is not an average of what was random."""

STEEPEST = 1.0
"""Norm to which gradients are clipped."""


def versions() -> dict[str, str]:
    """Return the versions of what trains networks, for the card of their weights."""
    return {name: version(name) for name in ("napari-porescope", "torch", "lightning", "monai")}


def processes() -> int:
    """Return how many processes learn together: one for each GPU.

    They are forked, since a process that starts anew would start the program around it too. That
    cannot be done once this one has begun to use a GPU; then it learns by itself.
    """
    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    forked = hasattr(os, "fork") and not begun
    return max(1, torch.cuda.device_count()) if forked else 1


def train(
    make_network: Callable[[], nn.Module],
    loss: Loss,
    training: Dataset[Batch],
    validation: Dataset[Batch],
    folder: str | Path,
    parameters: TrainingParameters,
    *,
    example: Example | None = None,
    stop: Path | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> tuple[nn.Module, dict[str, float]]:
    """Train a network, or go on where a training in the same folder was stopped.

    Parameters
    ----------
    make_network : callable
        Makes the network with random weights. If it has a method ``paces()``, that tells which of
        its parameters learn how many times as fast as ``parameters`` say.
    loss : callable
        Takes the network and a batch; returns ``"loss"`` and other scalars to follow.
    training, validation : torch Datasets
        With a length, that of an epoch. Epoch e asks ``training`` for the items from ``e * length``
        on, so a dataset that draws at random draws new ones each time; one that is finite turns the
        number into an index itself.
    folder : str or Path
        Gets the state of the last and of the best epoch, a table of all epochs as CSV, and the
        newest pictures of an example.
    parameters : TrainingParameters
    example : callable, optional
        Takes the network and the first validation batch of an epoch; returns pictures by name, such
        as what the network sees, says and should say.
    stop : Path, optional
        If such a file exists, the training ends after the epoch it is in; ``stop`` in the folder
        by default.
    progress, cancel
        See :mod:`porescope.tracking`; batches are counted. Where several GPUs learn together, they
        are called in the process of the first, a copy of this one.

    Returns
    -------
    network : torch.nn.Module
        As it was in the epoch with the smallest validation loss.
    scores : dict
        Means over the validation data in that epoch, by name.

    Raises
    ------
    PorescopeError
        If the folder holds a training of another network, or something else under its names.
    Cancelled
        If ``cancel()`` became true; the epochs that were finished are kept in the folder.
    """
    folder = Path(folder)
    last = folder / "last.ckpt"
    lightning.seed_everything(parameters.seed, verbose=False)
    learner = _Learner(make_network(), loss, example, parameters)
    best = ModelCheckpoint(folder, "best", monitor=MONITOR, enable_version_counter=False)
    newest = ModelCheckpoint(folder, last.stem, enable_version_counter=False)
    averaging = WeightAveraging(avg_fn=_averaged)
    onwards = _Onwards(training)
    size = min(parameters.batch_size, len(onwards))
    new, same = (
        DataLoader(training, size, sampler=onwards, drop_last=True),
        DataLoader(validation, parameters.batch_size),
    )
    together = processes()
    # To ask the GPU what it can do would be to begin to use it; all can, though old ones slowly.
    fast = together > 1 or has_fast_bfloat16(torch_device())
    quiet = logging.getLogger("lightning.pytorch")
    level = quiet.level
    quiet.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            trainer = lightning.Trainer(
                max_epochs=parameters.epochs,
                devices=together,
                strategy="ddp_fork" if together > 1 else "auto",
                use_distributed_sampler=False,  # _Onwards counts for all
                precision="bf16-mixed" if fast else "32-true",
                gradient_clip_val=STEEPEST,
                callbacks=[
                    averaging,
                    best,
                    newest,
                    _EarlyStopping(MONITOR, patience=parameters.patience),
                    _Tracking(progress, cancel, stop or folder / STOP),
                    _Diary(folder),
                ],
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
            ckpt_path = last if last.exists() else None
            if ckpt_path:
                _weights(ckpt_path, learner)
            trainer.fit(learner, new, same, ckpt_path=ckpt_path, weights_only=True)
            learner.load_state_dict(_weights(best.best_model_path, learner))
            # Else it would put the newest average in the place of the best epoch's.
            trainer.callbacks.remove(averaging)  # type: ignore[attr-defined]
            (scores,) = trainer.validate(learner, same, verbose=False)
    except ProcessRaisedException:
        if cancel():
            raise Cancelled from None
        raise
    finally:
        quiet.setLevel(level)
    return learner.network.cpu().eval(), dict(scores)


def _weights(path: str | Path, learner: nn.Module) -> dict[str, Tensor]:
    """Return the weights of an epoch, never unpickling, if they are of this network.

    Raises
    ------
    PorescopeError
        If they are of another, or the file is none of a training.
    """
    try:
        weights: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
        given = {name: value.shape for name, value in weights.items()}
    except Exception as error:  # whatever a file that is anything makes of torch.load
        raise PorescopeError(
            f"{path} is no state of a training that can be read; choose another folder."
        ) from error
    if given != {name: value.shape for name, value in learner.state_dict().items()}:
        raise PorescopeError(
            f"{path} is of the training of another network; choose another folder, or go on with "
            "the same parameters."
        )
    return weights


def _averaged(average: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
    if not weights.is_floating_point():
        return weights  # a count, such as batch normalization keeps
    share = min(AVERAGED, (1 + float(steps)) / (10 + float(steps)))
    return torch.lerp(weights, average, share)


class _Onwards(Sampler[int]):
    """Counts on from epoch to epoch, so that a training that goes on meets the same data.

    Where processes learn together, each takes its own of every so many items.
    """

    def __init__(self, data: Any) -> None:
        self._length = len(data)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:  # Lightning calls this
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length // _count()

    def __iter__(self) -> Iterator[int]:
        first = self._epoch * self._length + _number()
        return iter(range(first, first + len(self) * _count(), _count()))


def _count() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _number() -> int:
    """Return which of the processes this is."""
    return distributed.get_rank() if distributed.is_initialized() else 0


class _Learner(lightning.LightningModule):
    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        example: Example | None,
        parameters: TrainingParameters,
    ) -> None:
        super().__init__()
        self.network = channels_last(network)
        self.pictures: dict[str, np.ndarray] = {}
        self._loss = loss
        self._example = example
        self._plan = parameters

    def training_step(self, batch: Batch, index: int) -> Tensor:
        values = self._loss(self.network, batch)
        named = {f"training_{name}": value for name, value in values.items()}
        self.log_dict(named, on_epoch=True, on_step=False)
        return values["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        values = self._loss(self.network, batch)
        named = {f"validation_{name}": value for name, value in values.items()}
        self.log_dict(named, sync_dist=True)
        if index == 0 and self._example is not None:
            shown = self._example(self.network, batch)
            self.pictures = {name: each.float().cpu().numpy() for name, each in shown.items()}

    def configure_optimizers(self) -> Any:
        paces = getattr(self.network, "paces", lambda: [(self.parameters(), 1.0)])()
        learning_rate = self._plan.learning_rate
        groups = [{"params": list(part), "lr": pace * learning_rate} for part, pace in paces]
        optimizer = Muon(groups, learning_rate)
        if self._plan.plateau is not None:
            falling = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=0.1, patience=self._plan.plateau
            )
            return [optimizer], [{"scheduler": falling, "monitor": MONITOR}]
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, self._plan.share_at)]


class _EarlyStopping(EarlyStopping):
    """Does not learn on, either, where a training that it had ended is taken up."""

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        trainer.should_stop = self.wait_count >= self.patience


class _Tracking(Callback):
    def __init__(self, progress: Progress, cancel: Cancel, stop: Path) -> None:
        self._progress = progress
        self._cancel = cancel
        self._stop = stop

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self._cancel():
            raise Cancelled
        if not trainer.is_global_zero:
            return
        batches = int(trainer.num_training_batches)
        self._progress(trainer.global_step, batches * (trainer.max_epochs or 1))

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        asked = trainer.strategy.reduce_boolean_decision(self._stop.exists(), all=False)
        trainer.should_stop = trainer.should_stop or asked


class _Diary(Callback):
    """Writes what each epoch reached, a row an epoch, and the newest pictures of an example."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, Any]] = []

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        metrics = self._folder / METRICS
        if trainer.current_epoch > 0 and metrics.exists():
            with metrics.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._rows = [row for row in rows if int(row["epoch"]) < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: lightning.Trainer, learner: Any) -> None:
        if not trainer.is_global_zero:
            return
        reached = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._rows.append({"epoch": trainer.current_epoch, **reached})
        with replacing(self._folder / METRICS) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self._rows[-1]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self._rows)
        if learner.pictures:
            with replacing(self._folder / PREVIEW) as beside, beside.open("wb") as file:
                np.savez(file, **learner.pictures)
