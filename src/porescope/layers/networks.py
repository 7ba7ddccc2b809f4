"""The paper's networks: from the images of a series at the paper's energies to layers.

Each sees (batch, 31, y, x), y and x multiples of 16, and answers with thickness, (batch, 2, y, x)
in thickest layers, or with a volume, (batch, 3, z, y, x) logits of nothing, gold and aluminium.
They have a quarter of the paper's channels, or less in three dimensions. This module imports torch;
import it inside functions.

References
----------
V. Artemov et al., Microtomography (report), 2022, section Considered Models.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ENERGIES = 31
LAYERS = 2
CLASSES = 3
SLICES = 16
"""Of a volume with steps of 10 nm."""
MULTIPLE = 16
WIDTH = 8
DEPTH = 4
STACKS = 3
DROPOUT = 0.1


def double(entering: int, leaving: int) -> nn.Sequential:
    """Return two convolutions, each normalised and rectified."""
    return nn.Sequential(*_normal(entering, leaving), *_normal(leaving, leaving))


def double_3d(entering: int, leaving: int) -> nn.Sequential:
    """Return the same in three dimensions."""
    return nn.Sequential(
        *_normal(entering, leaving, nn.Conv3d, nn.BatchNorm3d),
        *_normal(leaving, leaving, nn.Conv3d, nn.BatchNorm3d),
    )


def _normal(
    entering: int, leaving: int, convolution: Any = nn.Conv2d, normalisation: Any = nn.BatchNorm2d
) -> list[nn.Module]:
    return [convolution(entering, leaving, 3, padding=1), normalisation(leaving), nn.ReLU()]


class ThreeConv(nn.Module):
    """Convolutions without any change of size."""

    def __init__(self) -> None:
        super().__init__()
        widths = (ENERGIES, 64, 128, 64, 32)
        layers = [layer for pair in pairwise(widths) for layer in _normal(*pair)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(32, LAYERS, 1))

    def forward(self, series: Tensor) -> Tensor:
        """Return thickness."""
        return torch.sigmoid(self.layers(series))


class UNet(nn.Module):
    """Blocks down to a sixteenth of the size and up again, with the finer ones passed across.

    Parameters
    ----------
    entering, leaving : int
        Channels.
    dropout : float, optional
        Share of channels that are left out while it learns.
    """

    def __init__(self, entering: int, leaving: int, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [WIDTH << level for level in range(DEPTH + 1)]
        self.first = double(entering, widths[0])
        self.down = nn.ModuleList([double(fine, coarse) for fine, coarse in pairwise(widths)])
        self.rise = nn.ModuleList(
            [nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(widths)]
        )
        self.up = nn.ModuleList([double(coarse, fine) for fine, coarse in pairwise(widths)])
        self.dropout = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(widths[0], leaving, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return what comes out, not limited to any range."""
        now = self.first(images)
        finer = []
        for block in self.down:
            finer.append(now)
            now = self.dropout(block(functional.max_pool2d(now, 2)))
        for rise, block in zip(reversed(self.rise), reversed(self.up), strict=True):
            now = self.dropout(block(torch.cat([finer.pop(), rise(now)], dim=1)))
        left: Tensor = self.last(now)
        return left


class ThicknessUNet(nn.Module):
    """The U-Net with thickness as its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = UNet(ENERGIES, LAYERS)

    def forward(self, series: Tensor) -> Tensor:
        """Return thickness."""
        return torch.sigmoid(self.network(series))


class StackedUNet(nn.Module):
    """U-Nets one after another, each shown the answers before it; all answers are learned from."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = double(ENERGIES, WIDTH * 2)
        self.networks = nn.ModuleList([UNet(WIDTH * 2, WIDTH * 2, DROPOUT) for _ in range(STACKS)])
        self.answers = nn.ModuleList([nn.Conv2d(WIDTH * 2, LAYERS, 1) for _ in range(STACKS)])
        self.back = nn.ModuleList([nn.Conv2d(LAYERS, WIDTH * 2, 1) for _ in range(STACKS - 1)])

    def forward(self, series: Tensor) -> Tensor:
        """Return thickness: while it learns of all stacks, (3 batch, 2, y, x), else of the last."""
        now = self.enter(series)
        answers = []
        for stack, (network, answer) in enumerate(zip(self.networks, self.answers, strict=True)):
            found = network(now)
            answers.append(torch.sigmoid(answer(functional.relu(found))))
            if stack < STACKS - 1:
                now = now + found + self.back[stack](answers[-1])
        return torch.cat(answers) if self.training else answers[-1]


def _volume(images: Tensor, depth: int) -> Tensor:
    """Cut channels into (channels, depth)."""
    batch, channels, *shape = images.shape
    return images.reshape(batch, channels // depth, depth, *shape)


class VolumeUNet(nn.Module):
    """The U-Net with a class for each voxel as its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = UNet(ENERGIES, CLASSES * SLICES)

    def forward(self, series: Tensor) -> Tensor:
        """Return logits."""
        return _volume(self.network(series), SLICES)


class UVNet(nn.Module):
    """Blocks in two dimensions down to an eighth, in three dimensions up.

    On the way up the volume has 2, 4, 8 and 16 slices; what is passed across is cut into as many
    along its channels.
    """

    def __init__(self) -> None:
        super().__init__()
        flat = [WIDTH * 4 << level for level in range(4)]
        solid = [WIDTH // 2 << level for level in range(4)]
        depths = [SLICES >> level for level in range(4)]
        self.first = double(ENERGIES, flat[0])
        self.down = nn.ModuleList([double(fine, coarse) for fine, coarse in pairwise(flat)])
        self.turn = nn.Conv2d(flat[-1], solid[-1] * depths[-1], 1)
        self.depths = depths
        self.up = nn.ModuleList(
            [
                double_3d(coarse + channels // depth, fine)
                for (fine, coarse), channels, depth in zip(
                    pairwise(solid), flat, depths, strict=False
                )
            ]
        )
        self.last = nn.Conv3d(solid[0], CLASSES, 1)

    def forward(self, series: Tensor) -> Tensor:
        """Return logits."""
        now = self.first(series)
        finer = []
        for block in self.down:
            finer.append(now)
            now = block(functional.max_pool2d(now, 2))
        now = _volume(self.turn(now), self.depths[-1])
        for block, depth in zip(reversed(self.up), reversed(self.depths[:-1]), strict=True):
            across = _volume(finer.pop(), depth)
            now = block(torch.cat([across, functional.interpolate(now, scale_factor=2.0)], dim=1))
        logits: Tensor = self.last(now)
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "3conv": ThreeConv,
    "unet": ThicknessUNet,
    "unet-0.1": ThicknessUNet,
    "unet-0.01": ThicknessUNet,
    "stacked-unet": StackedUNet,
    "unet-to-volume": VolumeUNet,
    "uvnet": UVNet,
}
