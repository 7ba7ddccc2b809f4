"""How sure trained networks are that a voxel is solid."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeWarning
from porescope.learn.device import torch_device
from porescope.learn.tiles import Tile, tiles
from porescope.stack import ROWS, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

if TYPE_CHECKING:
    from torch import Tensor

    from porescope.learn.weights import Card
    from porescope.segment.model import Segmentation, Settings, Subset
    from porescope.segment.windows import Seen

TILE_PX = 1024
VOLUME_TILE_PX = 256
"""Networks with 3D convolutions hold several slices at once, so their tiles are smaller."""
HALF = 128
"""From here on a voxel is more likely solid than not."""
PIXEL_WITHIN = 1.25
"""Ratio of pixel sizes up to which networks know what they see."""

Fusion = Literal["late-fusion", "vote"]


class Predictor:
    """Networks that are ready to say of any slices of some stacks how likely they are solid.

    Parameters
    ----------
    stacks : sequence of Stack
        Aligned, of one shape, one for each voltage; any of those that the networks know.
    weights : str or Path
        Name of weights that ship, or a file of weights.
    fusion : {"late-fusion", "vote"}
        How networks of single voltages are put together.
    device : {"auto", "cpu", "cuda"}
    cancel
        See :mod:`porescope.tracking`.

    Raises
    ------
    PorescopeError
        If there are no such weights, or the stacks are none that they know.
    """

    def __init__(
        self,
        stacks: Sequence[Stack],
        weights: str | Path,
        fusion: Fusion = "late-fusion",
        *,
        device: str = "auto",
        cancel: Cancel = never_cancel,
    ) -> None:
        from porescope.segment.model import load_segmentation

        model, card = load_segmentation(weights)
        subset = model.voltages([stack.beam_kv for stack in stacks])
        _warn(stacks, model.settings, card, subset)
        order = sorted(range(len(stacks)), key=lambda index: subset[index])
        self._subset = tuple(sorted(subset))
        self._shape = stacks[0].shape
        self._fusion = fusion
        self._device = torch_device(device)
        self._model = model.to(self._device)
        self._looks = _looks([stacks[index] for index in order], model.settings.joint, cancel)

    def of(
        self,
        slices: range,
        progress: Progress = no_progress,
        cancel: Cancel = never_cancel,
    ) -> NDArray[np.uint8]:
        """Return how likely each voxel of some slices is solid.

        Returns
        -------
        uint8 array of shape (slices, y, x)
            In 256ths, at least 128 where solid; of votes, their share. It lies in a temporary file,
            not in memory.
        """
        import torch

        count = len(slices)
        # As large as the stack may be, so not in memory; the file has no name and goes with the
        # array.
        with tempfile.TemporaryFile() as file:
            likely = np.memmap(file, np.uint8, "w+", shape=(count, *self._shape[ROWS:]))
        model = self._model
        network: Any = model.networks[0 if model.settings.joint else self._subset[0]]
        planes = network.planes
        tile_px = TILE_PX if planes == 1 else VOLUME_TILE_PX
        steps = [
            (first, tile)
            for first in range(slices.start // planes * planes, slices.stop, planes)
            for tile in tiles(self._shape[ROWS:], tile_px, network.halo_px)
        ]
        with torch.inference_mode():
            for first, tile in track(steps, progress, cancel):
                share = _share(
                    model, self._looks, self._subset, self._fusion, first, tile, self._device
                )
                wanted = range(max(first, slices.start), min(first + planes, slices.stop))
                inside = share[wanted.start - first : wanted.stop - first, *tile.inside]
                into = slice(wanted.start - slices.start, wanted.stop - slices.start)
                likely[into, *tile.place] = np.ceil(256 * inside - 1).clip(0, 255)
        return likely


def _looks(stacks: Sequence[Stack], joint: bool, cancel: Cancel) -> list[Seen]:
    from porescope.segment.windows import Seen

    groups = [list(stacks)] if joint else [[stack] for stack in stacks]
    return [Seen.of(group, cancel=cancel) for group in groups]


def _share(
    model: Segmentation,
    looks: Sequence[Seen],
    subset: Subset,
    fusion: Fusion,
    first: int,
    tile: Tile,
    device: str,
) -> NDArray[np.float32]:
    """Return the share of solid in some planes of a tile, and what is around it."""
    import torch

    numbers = (0,) if model.settings.joint else subset
    logits = [
        _logits(model.networks[number], look, first, tile, device)
        for number, look in zip(numbers, looks, strict=True)
    ]
    if fusion == "vote":
        share = model.voted(logits, numbers)
    else:
        share = torch.sigmoid(model.fused(logits, numbers))
    return share[0].cpu().numpy()


def _logits(network: Any, look: Seen, first: int, tile: Tile, device: str) -> Tensor:
    from torch.nn import functional

    from porescope.learn.precision import autocast
    from porescope.segment.networks import mean_logits

    batch = look.window(first - network.reach, network.depth, *tile.seen)
    images, gaps_nm, present = (
        batch[name][None].to(device) for name in ("images", "gaps_nm", "present")
    )
    height, width = images.shape[-2:]
    lacking = (0, -width % network.multiple, 0, -height % network.multiple)
    images = functional.pad(images[0], lacking, mode="replicate")[None]
    with autocast(device):
        logits = mean_logits(network, images, gaps_nm, present)
    return logits[..., :height, :width]


def _warn(stacks: Sequence[Stack], settings: Settings, card: Card, subset: Subset) -> None:
    """Say where the images are not what the networks learned from."""
    sides_nm = stacks[0].spacing_nm[ROWS:]
    if any(not 1 / PIXEL_WITHIN <= side / settings.pixel_nm <= PIXEL_WITHIN for side in sides_nm):
        told = " x ".join(f"{side:g}" for side in dict.fromkeys(sides_nm))
        warnings.warn(
            f"The networks learned from pixels of {settings.pixel_nm:g} nm, and these have {told} "
            f"nm{' (y, x)' if ' x ' in told else ''}: look at the result, or train on such images.",
            PorescopeWarning,
            stacklevel=3,
        )
    if settings.joint or len(subset) == len(settings.beam_kv):
        return
    every = range(len(settings.beam_kv))
    names = [settings.score_name(sorted(each)) for each in (subset, every)]
    some, all_of_them = (f"{card.scores.get(name, math.nan):.2g}" for name in names)
    if names[0] not in card.scores:
        costs = "what that costs was not measured."
    elif some == all_of_them:
        return
    else:
        costs = (
            f"on the samples that chose the networks, {some} % of the voxels were misplaced with "
            f"so few voltages, {all_of_them} % with all."
        )
    warnings.warn(
        f"The networks know {settings.named(every)}, and {settings.named(sorted(subset))} "
        f"{'is' if len(subset) == 1 else 'are'} there: {costs}",
        PorescopeWarning,
        stacklevel=3,
    )
