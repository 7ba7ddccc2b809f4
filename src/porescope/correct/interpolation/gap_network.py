"""The network that fills gaps between slices, and what it is told about a gap.

From the border fields of three slices on each side and their distances it learns what to add to
the kriging estimate of a missing plane. This module imports torch; import it inside functions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from porescope.correct.interpolation.gaps import Gap
from porescope.learn.blocks import ConditionedBlock

NAME = "gap-network/1"

REACH = 3
"""Slices on each side of a gap."""

TYPICAL = 4.0
"""Pixels between slices to which distances are compared."""

OF_A_GAP = 4 * REACH - 3
OF_A_PLANE = 3
PROBIT = 1.702
"""A logistic curve of this steepness is closest to the normal distribution's."""

SUREST = 8.0
"""Largest logit that kriging may give."""


class GapInput(NamedTuple):
    """What the network sees of one gap and one phase; tensors with a batch axis in front.

    Parameters
    ----------
    slices : array of shape (2 REACH, y, x), float32
        Border fields, 0 in place of slices that do not exist.
    logits : array of shape (missing, y, x), float32
        Of the kriging estimate.
    gap : array of shape (OF_A_GAP,), float32
        Distances between the slices.
    planes : array of shape (missing, OF_A_PLANE), float32
        Distances of each missing plane.
    """

    slices: NDArray[np.float32]
    logits: NDArray[np.float32]
    gap: NDArray[np.float32]
    planes: NDArray[np.float32]


def gap_input(
    gap: Gap,
    fields: NDArray[np.float32],
    estimate: NDArray[np.float32],
    deviation: NDArray[np.floating],
    plane_distance: float,
) -> GapInput:
    """Describe a gap to the network.

    Parameters
    ----------
    gap : Gap
        With known planes on both sides, at most REACH each.
    fields : array of shape (sources, y, x)
        Border field of every source.
    estimate, deviation : arrays of shape (missing, y, x) and (missing,)
        The kriging estimate of the field, and its standard deviation.
    plane_distance : float
        Of neighbouring planes, in pixels.
    """
    first = REACH - gap.before
    slices = np.zeros((2 * REACH, *fields.shape[1:]), np.float32)
    slices[first : first + len(fields)] = fields
    present = np.zeros(2 * REACH, bool)
    present[first : first + len(fields)] = True
    steps = np.full(2 * REACH - 1, TYPICAL)
    steps[first : first + len(fields) - 1] = np.diff(gap.sources) * plane_distance
    outer = np.delete(present, [REACH - 1, REACH])
    to_before = (gap.missing - gap.sources[gap.before - 1]) * plane_distance
    to_after = (gap.sources[gap.before] - gap.missing) * plane_distance
    whole = to_before + to_after
    planes = [2 * to_before / whole - 1, np.log(to_before / TYPICAL), np.log(to_after / TYPICAL)]
    logits = PROBIT * estimate / np.maximum(deviation, 1e-3)[:, np.newaxis, np.newaxis]
    return GapInput(
        slices,
        logits.clip(-SUREST, SUREST).astype(np.float32),
        np.concatenate([np.log(steps / TYPICAL), outer]).astype(np.float32),
        np.stack(planes, axis=1).astype(np.float32),
    )


def from_below(slices: Tensor, gap: Tensor, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Describe the same gap with the slices in reverse order.

    Parameters
    ----------
    slices, gap, planes : tensors
        As in :class:`GapInput`, with any axes in front.
    """
    steps, present = gap[..., : 2 * REACH - 1], gap[..., 2 * REACH - 1 :]
    place, to_before, to_after = planes.unbind(-1)
    return (
        slices.flip(-3),
        torch.cat([steps.flip(-1), present.flip(-1)], dim=-1),
        torch.stack([-place, to_after, to_before], dim=-1),
    )


class GapNetwork(nn.Module):
    """Logits of missing planes.

    Parameters
    ----------
    channels : int
        Width at half the resolution, where everything happens.
    blocks : int
        Residual blocks of two convolutions.
    """

    def __init__(self, channels: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.know = nn.Sequential(
            nn.Linear(OF_A_GAP + OF_A_PLANE, channels), nn.ReLU(),
            nn.Linear(channels, channels), nn.ReLU(),
        )  # fmt: skip
        self.look = nn.Conv2d(4 * (2 * REACH + 1), channels, 3, padding=1)
        self.modulate = nn.Linear(channels, 2 * channels)
        self.blocks = nn.ModuleList(ConditionedBlock(channels, channels) for _ in range(blocks))
        self.correct = nn.Conv2d(channels, 4, 3, padding=1)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)  # type: ignore[arg-type]

    def forward(self, slices: Tensor, logits: Tensor, gap: Tensor, planes: Tensor) -> Tensor:
        """Return logits, shape (batch, missing, y, x); y and x are even."""
        missing = planes.shape[1]
        known = torch.cat([gap[:, None].expand(-1, missing, -1), planes], dim=2).flatten(0, 1)
        known = self.know(known)
        estimate = logits.flatten(0, 1)[:, None] / SUREST
        seen = [_halved(slices).repeat_interleave(missing, dim=0), _halved(estimate)]
        scale, shift = self.modulate(known)[..., None, None].chunk(2, dim=1)
        together = torch.cat(seen, dim=1).contiguous(memory_format=torch.channels_last)
        features = torch.addcmul(shift, self.look(together), 1 + scale)
        for block in self.blocks:
            features = block(features, known)
        correction = functional.pixel_shuffle(self.correct(functional.relu(features)), 2)
        return logits + SUREST * correction.reshape(logits.shape)


def _halved(images: Tensor) -> Tensor:
    """Return four images of half the size for each: the mean of 2 x 2 pixels, and how they differ.

    Neighbouring pixels are nearly equal, but a border's place is in their differences, so these are
    made as large as means.
    """
    upper, lower = images[..., 0::2, :], images[..., 1::2, :]
    both, down = upper + lower, upper - lower
    parts = [
        (both[..., 0::2] + both[..., 1::2]) / 4,
        down[..., 0::2] + down[..., 1::2],
        both[..., 0::2] - both[..., 1::2],
        2 * (down[..., 0::2] - down[..., 1::2]),
    ]
    return torch.stack(parts, dim=2).flatten(1, 2)
