"""Planes between slices by a network that learned what kriging misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from porescope.correct.interpolation.gaps import Gap
from porescope.correct.interpolation.kriging import REACH, Kriging, PreparedSlice
from porescope.errors import PorescopeError
from porescope.learn.tiles import tiles

if TYPE_CHECKING:
    from torch import Tensor

    from porescope.correct.interpolation.gap_network import GapInput, GapNetwork

SQUARE_WITHIN = 1.05
"""Ratio of a pixel's sides up to which the network, which learned on squares, takes it as one."""

TILE_PX = 1024
HALO_PX = 48
"""What lies further away does not reach a pixel through the network's convolutions."""


@dataclass(frozen=True)
class Learned:
    """Evidence of a phase: the logit that the network gives it.

    Parameters
    ----------
    pixel : two floats
        Extent of a pixel along y and x, in units in which its area is 1.
    plane_distance : float
        Of neighbouring planes, in the same unit.

    Raises
    ------
    PorescopeError
        If pixels are not square.
    """

    pixel: tuple[float, float]
    plane_distance: float
    reach: int = REACH

    def __post_init__(self) -> None:
        ratio = max(self.pixel) / min(self.pixel)
        if ratio > SQUARE_WITHIN:
            raise PorescopeError(
                "The network that fills gaps knows square pixels, but of these one side is "
                f"{ratio:.2f} times the other; choose kriging."
            )

    @property
    def kriging(self) -> Kriging:
        """The estimate that the network starts from."""
        return Kriging(self.pixel, self.plane_distance, self.reach)

    def prepare(self, inside: NDArray[np.bool_]) -> PreparedSlice:
        """Return what is needed of one slice."""
        return self.kriging.prepare(inside)

    def evidence(self, prepared: Sequence[PreparedSlice], gap: Gap) -> NDArray[np.float32]:
        """Return the logit in every missing plane."""
        from porescope.correct.interpolation.gap_network import gap_input

        estimate, deviation = self.kriging.estimate(prepared, gap)
        fields = np.stack([each.field for each in prepared])
        seen = gap_input(gap, fields, estimate, deviation, self.plane_distance)
        network = load_network()
        evidence = np.empty_like(estimate)
        for tile, around, inner in tiles(estimate[0].shape, TILE_PX, HALO_PX):
            part = seen._replace(slices=seen.slices[:, *around], logits=seen.logits[:, *around])
            evidence[:, *tile] = _logits(network, part)[:, *inner]
        return evidence


@cache
def load_network() -> GapNetwork:
    """Return the network with the weights that ship."""
    import torch

    from porescope.correct.interpolation.gap_network import NAME, GapNetwork
    from porescope.learn.weights import load_weights, shipped

    with torch.random.fork_rng(devices=[]):
        network = GapNetwork()
    load_weights(shipped("interpolation"), network, NAME)
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _logits(network: GapNetwork, seen: GapInput) -> NDArray[np.float32]:
    import torch
    from torch.nn import functional

    from porescope.learn.precision import autocast

    slices, logits, gap, planes = (torch.from_numpy(each)[None] for each in seen)
    height, width = logits.shape[2:]
    to_even = (0, width % 2, 0, height % 2)
    slices, logits = (functional.pad(each, to_even, mode="replicate") for each in (slices, logits))
    with torch.inference_mode(), autocast():
        # One plane at a time is fastest: what a layer hands to the next stays in the cache.
        each = [
            _answer(network, slices, logits[:, [plane]], gap, planes[:, [plane]])
            for plane in range(len(seen.planes))
        ]
    return torch.cat(each, dim=1)[0, :, :height, :width].numpy()


def _answer(
    network: GapNetwork, slices: Tensor, logits: Tensor, gap: Tensor, planes: Tensor
) -> Tensor:
    """Return the mean of two answers to one question, which misplaces 3 % less than either.

    Seen from below and with its phases swapped, a gap is the same gap.
    """
    from porescope.correct.interpolation.gap_network import from_below

    there = network(slices, logits, gap, planes).float()
    slices, gap, planes = from_below(slices, gap, planes)
    back = network(-slices, -logits, gap, planes).float()
    return (there - back) / 2
