"""Windows onto stacks with a truth: what segmentation networks learn from.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from porescope.errors import PorescopeError
from porescope.learn.augmentation import Augmentation, turned
from porescope.segment.levels import Levels, levels_of
from porescope.segment.networks import TYPICAL_NM, SliceNetwork
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, never_cancel

Batch = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Seen:
    """Stacks of one sample as a network sees them.

    Parameters
    ----------
    stacks : sequence of Stack
        One for each voltage that the network takes, of one shape.
    levels : sequence of Levels
        Of each.
    """

    stacks: Sequence[Stack]
    levels: Sequence[Levels]

    @classmethod
    def of(cls, stacks: Sequence[Stack], cancel: Cancel = never_cancel) -> Seen:
        """Look at stacks to find their levels."""
        return cls(stacks, [levels_of(stack, cancel=cancel) for stack in stacks])

    def window(
        self, first: int, depth: int, rows: slice = slice(None), columns: slice = slice(None)
    ) -> Batch:
        """Return what a network takes, for slices from ``first``, which may lie outside, on.

        Returns
        -------
        dict
            ``"images"`` of shape (voltages, depth, y, x), ``"gaps_nm"`` and ``"present"``, see
            :class:`porescope.segment.networks.SliceNetwork`.
        """
        z_nm = self.stacks[0].slice_z_nm
        wanted = np.arange(first, first + depth)
        present = (wanted >= 0) & (wanted < len(z_nm))
        there = wanted[present].tolist()
        images = [
            [levels.apply(stack.image(index, rows, columns)) for index in there]
            for stack, levels in zip(self.stacks, self.levels, strict=True)
        ]
        seen = np.array(images, np.float32)
        padded = np.zeros((len(images), depth, *seen.shape[2:]), np.float32)
        padded[:, present] = seen
        gaps_nm = np.full(depth - 1, TYPICAL_NM, np.float32)
        # Slices at one place, or swapped, tell nothing of their distance.
        between = np.maximum(np.diff(z_nm[there]), 0.1 * TYPICAL_NM)
        gaps_nm[present[1:] & present[:-1]] = between
        return {
            "images": torch.from_numpy(padded),
            "gaps_nm": torch.from_numpy(gaps_nm),
            "present": torch.from_numpy(present.astype(np.float32)),
        }


@dataclass(frozen=True, eq=False)
class Example:
    """A sample to learn from.

    Parameters
    ----------
    seen : Seen
    truth : Stack
        Labels 0 and 1 of slices of the images.
    slices : int array
        Which slices they are of.
    """

    seen: Seen
    truth: Stack
    slices: NDArray[np.int64]

    @classmethod
    def of(cls, stacks: Sequence[Stack], truth: Stack) -> Example:
        """Check that truth and images fit.

        Raises
        ------
        PorescopeError
            If shapes differ, the truth is of other slices than there are images of, or it has other
            labels than 0 and 1, or only one of them.
        """
        for stack in stacks:
            if stack.shape != stacks[0].shape or not shows_slices_of(truth, stack):
                raise PorescopeError(
                    f"The labels have the shape {truth.shape}, the images {stack.shape}; give "
                    "labels of slices of the images."
                )
        least, most = int(np.asarray(truth.data.min())), int(np.asarray(truth.data.max()))
        if least == most:
            raise PorescopeError(
                f"All labels of a sample are {most}; learn from samples with both solid, label 1, "
                "and pore, label 0."
            )
        if most > 1:
            raise PorescopeError(
                f"Networks tell solid, label 1, from pore, label 0, but there is a label {most}; "
                "join the phases to two."
            )
        return cls(Seen.of(stacks), truth, slices_shown(truth, stacks[0]))


def slices_shown(truth: Stack, stack: Stack) -> NDArray[np.int64]:
    """Return which slice of a stack lies nearest to each slice of the truth."""
    if truth.shape == stack.shape:
        return np.arange(stack.shape[SLICES])
    return stack.nearest_slices(truth.slice_z_nm)


def shows_slices_of(truth: Stack, stack: Stack) -> bool:
    """Whether labels are of some slices of a stack, or of each."""
    if truth.shape == stack.shape:
        return True
    found = slices_shown(truth, stack)
    return (
        truth.shape[ROWS:] == stack.shape[ROWS:]
        and bool((np.diff(found) > 0).all())
        and np.allclose(truth.slice_z_nm, stack.slice_z_nm[found], atol=1e-3)
    )


class Windows(Dataset[Batch]):
    """Windows that slide over samples by a stride, in a new order and changed anew each epoch.

    Parameters
    ----------
    examples : sequence of Example
    network : SliceNetwork
        Says how many slices it takes and tells apart.
    edge, stride : int
        Of a window and between windows, in pixels.
    seed : int
        With the index it decides everything about a window.
    augmentation : Augmentation, optional
        Without, windows come as they are, in order.

    Raises
    ------
    PorescopeError
        If there is no window, because images are too small or labels too few.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        network: SliceNetwork,
        edge: int,
        stride: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._examples = examples
        self._planes, self._reach, self._depth = network.planes, network.reach, network.depth
        self._edge = edge
        self._seed = seed
        self._augmentation = augmentation
        self._places = [
            (which, z, y, x)
            for which, example in enumerate(examples)
            for z in _starts(example.truth.shape[SLICES], self._planes, self._planes, "slices")
            if example.slices[z + self._planes - 1] - example.slices[z] < self._planes
            for y in _starts(example.truth.shape[ROWS], edge, stride, "rows")
            for x in _starts(example.truth.shape[COLUMNS], edge, stride, "columns")
        ]
        if not self._places:
            raise PorescopeError(
                f"The network learns from {self._planes} slices at once, but those with labels are "
                "no neighbours; label more slices, or take a network of single slices."
            )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Batch:
        if self._augmentation is None:
            which, z, y, x = self._places[index]
            return self._window(self._examples[which], z, y, x, self._edge)
        epoch, item = divmod(index, len(self))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self))
        random = np.random.default_rng([self._seed, epoch, item])
        which, z, y, x = self._places[order[item]]
        example, change = self._examples[which], self._augmentation
        stretch = change.stretch ** random.uniform(-1, 1) if change.happens(random) else 1.0
        room = min(example.truth.shape[ROWS:])
        edge = min(round(self._edge * stretch), room)
        y, x = (
            min(start, size - edge)
            for start, size in zip((y, x), example.truth.shape[ROWS:], strict=True)
        )
        batch = self._window(example, z, y, x, edge)
        if edge != self._edge:
            batch = _resized(batch, self._edge)
        images, truth = turned(batch["images"].numpy(), batch["truth"].numpy(), random)
        known = slice(self._reach, self._reach + self._planes)
        changed = change.change(images, random, known) * batch["present"].numpy()[:, None, None]
        return {**batch, "images": torch.from_numpy(changed), "truth": torch.from_numpy(truth)}

    def _window(self, example: Example, z: int, y: int, x: int, edge: int) -> Batch:
        rows, columns = slice(y, y + edge), slice(x, x + edge)
        first = int(example.slices[z]) - self._reach
        batch = example.seen.window(first, self._depth, rows, columns)
        truth = np.asarray(example.truth.data[z : z + self._planes, rows, columns])
        batch["truth"] = torch.from_numpy((truth > 0).astype(np.float32))
        return batch


def _resized(batch: Batch, edge: int) -> Batch:
    """Return a window with larger or smaller pixels; distances become as many of the new ones."""
    from torch.nn import functional

    ratio = edge / batch["truth"].shape[-1]

    def resized(values: Tensor) -> Tensor:
        return functional.interpolate(values, (edge, edge), mode="bilinear", antialias=True)

    return {
        **batch,
        "images": resized(batch["images"]),
        "truth": (resized(batch["truth"][None])[0] >= 0.5).float(),
        "gaps_nm": batch["gaps_nm"] * ratio,
    }


def _starts(size: int, edge: int, stride: int, counted: str) -> list[int]:
    """Return where windows begin, so that the last ends where the stack does.

    Raises
    ------
    PorescopeError
        If the stack is smaller than a window.
    """
    if size < edge:
        raise PorescopeError(
            f"A stack to learn from has {size} {counted}, but what is learned from at once has "
            f"{edge}; take larger stacks, or smaller patches."
        )
    return sorted({*range(0, size - edge, stride), size - edge})
