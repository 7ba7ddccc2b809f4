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

from porescope.layers.evidence import BEYOND, FEATURES, Alone, Estimate, Evidence, Pixels, Told

CHANNELS = (40, 48, 64)
MULTIPLE = 8
"""Of pixels along an axis that the network takes."""
CASES = 4
"""Both layers, the upper one, the lower one, none."""
THERE = ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))
"""Which layers there are in each case."""
SIMPLER = (3.0, 1.5, 1.5, 0.0)
"""By how much the misfit must be better for each further layer."""
REACH, ALIKE, TURNS = 5, 8.0, 10
"""Pixels within which neighbours are asked, what all of them outweigh, and how often."""
UNLIKELY = -12.0
FINEST = 0.01
"""Least mean deviation that the network may claim, in thickest layers."""
SURE = 0.1
"""Standard deviation, in thickest layers, at which a pixel is first half trusted."""
STEPS = 2
REFUTED = 20.0
"""By how much more than the least the misfit of the truth is once in 10,000."""


class Cases(NamedTuple):
    """What pixels say in each case; tensors (CASES, ..., pixels) or of images.

    Parameters
    ----------
    thickness, variance : tensors of shape (CASES, 2, ...)
        In thickest layers.
    likely : tensor of shape (CASES, ...)
        Logarithm of how likely each case is, neighbours asked.
    """

    thickness: Tensor
    variance: Tensor
    likely: Tensor


def cases(told: Told, shape: Sequence[int]) -> Cases:
    """Return what pixels (y, x) say, as images; neighbours are asked which layers there are.

    As in a model of Potts, a pixel is likely to have the layers of those around it; the mean field
    of all pixels is found by going round.
    """
    thickness, variance = _side_by_side(told.both, told.upper, told.lower, told.both.variance)
    alone = -(told.misfits + torch.tensor(SIMPLER)[:, None]).reshape(1, CASES, *shape) / 2
    likely = functional.log_softmax(alone, dim=1)
    for _ in range(TURNS):
        around = functional.avg_pool2d(likely.exp(), REACH, 1, REACH // 2, count_include_pad=False)
        likely = functional.log_softmax(alone + ALIKE * around, dim=1)
    return Cases(
        thickness.reshape(CASES, 2, *shape),
        variance.reshape(CASES, 2, *shape),
        likely[0].clamp(min=UNLIKELY),
    )


def _side_by_side(
    both: Estimate, upper: Alone, lower: Alone, absent: Tensor
) -> tuple[Tensor, Tensor]:
    """Return thickness and variance of all cases, (CASES, 2, pixels).

    What is absent is 0, with the variance ``absent``, (pixels, 2).
    """
    nothing = torch.zeros_like(upper.thickness)
    thickness = [
        both.thickness.T,
        torch.stack([nothing, upper.thickness]),
        torch.stack([lower.thickness, nothing]),
        torch.stack([nothing, nothing]),
    ]
    variance = [
        both.variance.T,
        torch.stack([absent[:, 0], upper.variance]),
        torch.stack([lower.variance, absent[:, 1]]),
        absent.T,
    ]
    return torch.stack(thickness), torch.stack(variance)


class Answer(NamedTuple):
    """What the network thinks.

    Parameters
    ----------
    likely : tensor of shape (batch, CASES, y, x)
        Logarithm of the probability of each case.
    thickness, deviation : tensors of shape (batch, CASES, 2, y, x)
        In each case, and the mean deviation from it.
    """

    likely: Tensor
    thickness: Tensor
    deviation: Tensor


def decided(
    evidence: Evidence, pixels: Pixels, told: Told, answer: Answer
) -> tuple[Tensor, Tensor, Tensor]:
    """Return thickness and variance, (pixels, 2), and misfit: the likeliest case, and the data.

    Parameters
    ----------
    evidence : Evidence
    pixels : Pixels
        Of one image.
    told : Told
        What they say.
    answer : Answer
        Of a batch of this image.
    """
    flat = [each[0].flatten(-2) for each in answer]
    chosen = flat[0].argmax(dim=0)
    probability = flat[0].exp()[:, None]
    expected, deviation = (_of(chosen, each) for each in flat[1:])
    doubt = (probability * (flat[1] - expected.T).square()).sum(dim=0).T
    variance = 2 * deviation.square()
    upper, lower = (
        _joined(told.upper, expected[:, 1], variance[:, 1]),
        _joined(told.lower, expected[:, 0], variance[:, 0]),
    )
    both = evidence.refined(pixels, expected, expected, 1 / variance, STEPS)
    thickness, spread = _side_by_side(both, upper, lower, variance)
    misfits = torch.stack([both.misfit, upper.misfit, lower.misfit, told.misfits[3]])
    thickness, spread = (_of(chosen, each) for each in (thickness, spread + doubt.T))
    misfit = misfits.gather(0, chosen[None])[0]
    # What the signals contradict is not answered, whatever the network thinks.
    refuted = misfit - told.misfits.amin(dim=0) > REFUTED
    own = (told.misfits + torch.tensor(SIMPLER)[:, None]).argmin(dim=0)
    alone = _side_by_side(told.both, told.upper, told.lower, told.both.variance)
    return (
        torch.where(refuted[:, None], _of(own, alone[0]), thickness),
        torch.where(refuted[:, None], _of(own, alone[1]), spread),
        torch.where(refuted, told.misfits.gather(0, own[None])[0], misfit),
    )


def _of(case: Tensor, values: Tensor) -> Tensor:
    """Return the values (pixels, 2) of a case from those of all, (CASES, 2, pixels)."""
    return values.gather(0, case.expand(1, 2, -1))[0].T


def _joined(alone: Alone, expected: Tensor, variance: Tensor) -> Alone:
    """Return what a pixel says of a layer that is alone, and what is expected, put together."""
    weight = 1 / alone.variance + 1 / variance
    thickness = (alone.thickness / alone.variance + expected / variance) / weight
    thickness = thickness.clamp(0, BEYOND)
    beside = (thickness - alone.thickness).square() / alone.variance
    return Alone(thickness, 1 / weight, alone.misfit + beside)


class EvidenceNetwork(nn.Module):
    """A small U-Net at half the resolution, which weighs what pixels say against their neighbours.

    It corrects how likely each case is and how thick the layers are in it. It has no normalization
    over the image, so that size does not matter.
    """

    def __init__(self) -> None:
        super().__init__()
        top, *_ = CHANNELS
        self.enter = nn.Conv2d(4 * (FEATURES + CASES), top, 3, padding=1)
        self.down_blocks = nn.ModuleList([_Block(width) for width in CHANNELS])
        self.up_blocks = nn.ModuleList([_Block(width) for width in CHANNELS[:-1]])
        steps = list(pairwise(CHANNELS))
        self.down = nn.ModuleList([nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in steps]
        )
        self.leave = nn.Conv2d(top, 4 * (CASES + 6), 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(
        self, features: Tensor, thickness: Tensor, variance: Tensor, likely: Tensor
    ) -> Answer:
        """Return what the network thinks.

        Parameters
        ----------
        features : tensor of shape (batch, FEATURES, y, x)
            y and x are multiples of 8.
        thickness, variance, likely : tensors
            As of :class:`Cases`, with a batch in front.
        """
        seen = torch.cat([features, likely / 4], dim=1)
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
        more, shift, scale, gate = torch.split(told, [CASES, 2, 2, 2], dim=1)
        trust = torch.sigmoid(gate[:, None] - (variance / SURE**2).log())
        there = torch.tensor(THERE)[:, :, None, None]
        by_itself = (variance.log() / 2).clamp(max=-1.5)
        return Answer(
            functional.log_softmax(likely + more, dim=1),
            there * (trust * thickness + shift[:, None]).clamp(-0.1, BEYOND),
            FINEST + torch.exp((by_itself + scale[:, None]).clamp(max=1)),
        )


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(functional.relu(self.first(functional.relu(features))))
        return features + changed
