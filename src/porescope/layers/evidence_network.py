"""Networks that tell the thickness of layers from a series.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from porescope.layers.evidence import (
    BEYOND,
    FEATURES,
    Alone,
    Evidence,
    Pixels,
    Told,
    shown_misfit,
    shown_variance,
)

CHANNELS = (40, 48, 64)
MULTIPLE = 8
"""Of pixels along an axis that the network takes."""
STATE = 5
FINEST = 0.01
"""Least mean deviation that the network may claim, in thickest layers."""
SURE = 0.1
"""Standard deviation, in thickest layers, at which a pixel is first half trusted."""
BARE = 0.025
"""Below this the lower layer counts as absent, in thickest layers."""
SIMPLER = (4.0, 2.0, 2.0, 0.0)
"""By how much the misfit must be better for each further layer."""
REACH, VOTES, FIRMEST = 5, 12.0, 6.0
"""Pixels whose neighbours have a vote, the weight of all together, and the most that one says."""
STEPS = 2


class State(NamedTuple):
    """What is thought of each pixel; thickness in thickest layers.

    Parameters
    ----------
    thickness, variance : tensors of shape (pixels, 2)
    excess : tensor of shape (pixels,)
        By how much the signals fit worse than they could, as a square in units of the noise.
    """

    thickness: Tensor
    variance: Tensor
    excess: Tensor


def first_state(told: Told, shape: Sequence[int]) -> State:
    """Return what pixels (y, x) speak for, as few layers as explain them and their neighbours."""
    least = told.misfits.amin(dim=0)
    cost = told.misfits + torch.tensor(SIMPLER)[:, None]
    # What contradicts a neighbour altogether may still be right here: there may be an edge.
    votes = (cost - cost.amin(dim=0)).clamp(max=FIRMEST).reshape(1, -1, *shape)
    around = functional.avg_pool2d(votes, REACH, 1, REACH // 2, count_include_pad=False)
    simplest = (cost + VOTES * around.flatten(2)[0]).argmin(dim=0)
    nothing = torch.zeros_like(told.upper.thickness)
    thickness = torch.stack(
        [
            told.both.thickness,
            torch.stack([nothing, told.upper.thickness], dim=1),
            torch.stack([told.lower.thickness, nothing], dim=1),
            torch.stack([nothing, nothing], dim=1),
        ]
    )
    variance = torch.stack(
        [
            told.both.variance,
            torch.stack([told.both.variance[:, 0], told.upper.variance], dim=1),
            torch.stack([told.lower.variance, told.both.variance[:, 1]], dim=1),
            told.both.variance,
        ]
    )
    pixels = torch.arange(len(nothing))
    return State(
        thickness[simplest, pixels],
        variance[simplest, pixels],
        told.misfits[simplest, pixels] - least,
    )


def next_state(
    evidence: Evidence,
    pixels: Pixels,
    least: Tensor,
    upper: Alone,
    thickness: Tensor,
    variance: Tensor,
) -> State:
    """Return what pixels say to what a network thinks of them.

    Parameters
    ----------
    evidence : Evidence
    pixels : Pixels
    least : tensor of shape (pixels,)
        Least misfit of any layers.
    upper : Alone
        What the pixel says if there is no lower layer.
    thickness, variance : tensors of shape (pixels, 2)
        Of the network.
    """
    both = evidence.refined(pixels, thickness, thickness, 1 / variance, STEPS)
    weight = 1 / upper.variance + 1 / variance[:, 1]
    alone = (upper.thickness / upper.variance + thickness[:, 1] / variance[:, 1]) / weight
    beside = (alone - upper.thickness).square() / upper.variance
    nothing = torch.zeros_like(alone)
    bare = thickness[:, 0] < BARE
    misfit = torch.where(bare, upper.misfit + beside, both.misfit)
    return State(
        torch.where(bare[:, None], torch.stack([nothing, alone], dim=1), both.thickness),
        torch.where(bare[:, None], torch.stack([variance[:, 0], 1 / weight], dim=1), both.variance),
        (misfit - least).clamp(min=0),
    )


class Answer(NamedTuple):
    """Thickness and its mean absolute deviation, each of shape (batch, 2, y, x)."""

    thickness: Tensor
    deviation: Tensor


class EvidenceNetwork(nn.Module):
    """A small U-Net at half the resolution, which weighs what pixels say against their neighbours.

    It has no normalization over the image, so that size does not matter.
    """

    def __init__(self) -> None:
        super().__init__()
        top, *_ = CHANNELS
        self.enter = nn.Conv2d(4 * (FEATURES + STATE), top, 3, padding=1)
        self.down_blocks = nn.ModuleList([_Block(width) for width in CHANNELS])
        self.up_blocks = nn.ModuleList([_Block(width) for width in CHANNELS[:-1]])
        steps = list(pairwise(CHANNELS))
        self.down = nn.ModuleList([nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in steps]
        )
        self.leave = nn.Conv2d(top, 24, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(
        self, features: Tensor, thickness: Tensor, variance: Tensor, excess: Tensor
    ) -> Answer:
        """Return what the network thinks.

        Parameters
        ----------
        features : tensor of shape (batch, FEATURES, y, x)
            y and x are multiples of 8.
        thickness, variance : tensors of shape (batch, 2, y, x)
        excess : tensor of shape (batch, 1, y, x)
        """
        seen = torch.cat(
            [features, thickness, shown_variance(variance), shown_misfit(excess)], dim=1
        )
        now = self.enter(functional.pixel_unshuffle(seen, 2))
        kept = []
        for block, down in zip(self.down_blocks, (*self.down, None), strict=True):
            now = block(now)
            if down is not None:
                kept.append(now)
                now = down(now)
        for block, up in zip(reversed(self.up_blocks), reversed(self.up), strict=True):
            now = block(up(now) + kept.pop())
        told = functional.pixel_shuffle(self.leave(functional.relu(now)), 2).float()
        trust = torch.sigmoid(told[:, 4:] - (variance / SURE**2).log())
        scale = (variance.log() / 2).clamp(max=-1.5)
        return Answer(
            (trust * thickness + told[:, :2]).clamp(-0.1, BEYOND),
            FINEST + torch.exp((scale + told[:, 2:4]).clamp(max=1)),
        )


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(functional.relu(self.first(functional.relu(features))))
        return features + changed
