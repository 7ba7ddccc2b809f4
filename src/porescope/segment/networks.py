"""Networks that tell solid from pore, seeing a slice together with its neighbours.

A slice alone does not tell a ligament in it from one that shines through a pore; the slices that
are cut next do. This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from porescope.learn.blocks import ConditionedBlock

TYPICAL_NM = 10.0
"""Distance of slices to which distances are compared."""


class SliceNetwork(nn.Module):
    """What all networks here have in common.

    Attributes
    ----------
    reach : int
        Slices on each side of the planes that are told apart.
    planes : int
        How many are told apart at once.
    halo_px : int
        What lies further away does not reach a pixel.
    multiple : int
        Rows and columns come in multiples of this.
    """

    reach: int
    planes: int
    halo_px: int
    multiple: int

    @property
    def depth(self) -> int:
        """Slices that it is shown."""
        return self.planes + 2 * self.reach

    def forward(self, images: Tensor, gaps_nm: Tensor, present: Tensor) -> Tensor:
        """Return logits of solid.

        Parameters
        ----------
        images : tensor of shape (batch, voltages, depth, y, x)
            Grey values, from 0, dark, to 1, bright; 0 in slices that do not exist.
        gaps_nm : tensor of shape (batch, depth - 1)
            Distances between the slices.
        present : tensor of shape (batch, depth)
            1 where there is a slice, 0 beyond the ends of the stack.

        Returns
        -------
        tensor of shape (batch, planes, y, x)
        """
        raise NotImplementedError


VIEWS = ((0, False), (2, True), (1, False), (3, True))
"""Quarter turns, and whether mirrored, in which a slice is looked at."""


def mean_logits(network: nn.Module, images: Tensor, gaps_nm: Tensor, present: Tensor) -> Tensor:
    """Return the mean of what a network says to the same question, turned and mirrored.

    Physics knows no direction in the plane, networks learn so only nearly: on samples that chose
    them, one of nine misplaced pixels comes right by this.
    """
    answers = []
    for turns, mirrored in VIEWS:
        turned = torch.rot90(images, turns, (-2, -1))
        answer = network(turned.flip(-1) if mirrored else turned, gaps_nm, present).float()
        answer = answer.flip(-1) if mirrored else answer
        answers.append(torch.rot90(answer, -turns, (-2, -1)))
    return torch.stack(answers).mean(dim=0)


class _Blocks(nn.Module):
    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConditionedBlock(channels, KNOWN) for _ in range(count))

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        for block in self.blocks:
            features = block(features, known)
        return features


KNOWN = 32
"""Length of the vector by which a network knows the distances of slices."""
WIDTHS = (1.0, 1.5, 2.0)
"""Channels at a half, a quarter and an eighth of the resolution, over those at a half."""
BLOCKS = (2, 1, 1, 1, 2)
"""On the way down to an eighth of the resolution and up again."""


class _Body(nn.Module):
    """From slices to features at half the resolution: a U-Net of residual blocks."""

    def __init__(self, images: int, slices: int, channels: int) -> None:
        super().__init__()
        fine, middle, coarse = (int(channels * width) for width in WIDTHS)
        self.know = nn.Sequential(
            nn.Linear(2 * slices - 1, KNOWN), nn.ReLU(), nn.Linear(KNOWN, KNOWN), nn.ReLU()
        )
        self.look = nn.Conv2d(4 * images * slices, fine, 3, padding=1)
        self.down = nn.ModuleList(
            [nn.Conv2d(fine, middle, 2, stride=2), nn.Conv2d(middle, coarse, 2, stride=2)]
        )
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(coarse, middle, 2, stride=2),
             nn.ConvTranspose2d(middle, fine, 2, stride=2)]
        )  # fmt: skip
        widths = (fine, middle, coarse, middle, fine)
        self.levels = nn.ModuleList(
            _Blocks(width, count) for width, count in zip(widths, BLOCKS, strict=True)
        )

    def forward(self, images: Tensor, gaps_nm: Tensor, present: Tensor) -> Tensor:
        known = self.know(torch.cat([torch.log(gaps_nm / TYPICAL_NM), present], dim=1))
        seen = functional.pixel_unshuffle(images.flatten(1, 2), 2)
        fine = self.look(seen.contiguous(memory_format=torch.channels_last))
        fine = self.levels[0](fine, known)
        middle = self.levels[1](self.down[0](fine), known)
        coarse = self.levels[2](self.down[1](middle), known)
        middle = self.levels[3](middle + self.up[0](coarse), known)
        return self.levels[4](fine + self.up[1](middle), known)


class SliceUNet(SliceNetwork):
    """A 2D U-Net that sees adjacent slices, of one voltage or of several at once (early fusion).

    Parameters
    ----------
    images : int
        Voltages that are seen together.
    slices : int
        Odd; 1 is a U-Net without neighbours.
    channels : int
        Width at half the resolution, the highest at which features are made.

    References
    ----------
    Article I of the FIB tomography thesis, section 2.3.1.
    """

    planes = 1
    multiple = 8
    halo_px = 64

    def __init__(self, images: int, slices: int = 7, channels: int = 48) -> None:
        super().__init__()
        self.reach = slices // 2
        self.body = _Body(images, slices, channels)
        self.head = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, images: Tensor, gaps_nm: Tensor, present: Tensor) -> Tensor:
        """See :meth:`SliceNetwork.forward`."""
        features = self.body(images, gaps_nm, present)
        return functional.pixel_shuffle(self.head(functional.relu(features)), 2)


class IntermediateFusion(SliceNetwork):
    """Features from a U-Net for each voltage, classified together.

    References
    ----------
    Article III of the FIB tomography thesis, section 2.2.2.
    """

    planes = SliceUNet.planes
    multiple = SliceUNet.multiple
    halo_px = SliceUNet.halo_px

    def __init__(self, images: int, slices: int = 7, channels: int = 48) -> None:
        super().__init__()
        self.reach = slices // 2
        self.bodies = nn.ModuleList(_Body(1, slices, channels) for _ in range(images))
        self.classify = nn.Sequential(
            nn.ReLU(), nn.Conv2d(images * channels, channels, 1),
            nn.ReLU(), nn.Conv2d(channels, 4, 1),
        )  # fmt: skip

    def forward(self, images: Tensor, gaps_nm: Tensor, present: Tensor) -> Tensor:
        """See :meth:`SliceNetwork.forward`."""
        features = [
            body(images[:, [index]], gaps_nm, present) for index, body in enumerate(self.bodies)
        ]
        return functional.pixel_shuffle(self.classify(torch.cat(features, dim=1)), 2)


class VolumeNetwork(SliceNetwork):
    """A network of MONAI with 3D convolutions, for one voltage.

    Parameters
    ----------
    kind : {"unet3d", "residual-unet3d", "vnet"}

    References
    ----------
    Article I of the FIB tomography thesis, section 2.3.2.
    """

    planes = 8
    reach = 4
    multiple = 16

    def __init__(self, kind: str) -> None:
        from monai.networks.nets.unet import UNet
        from monai.networks.nets.vnet import VNet

        super().__init__()
        self.halo_px = {"unet3d": 16, "residual-unet3d": 32, "vnet": 208}[kind]
        # Batch normalization throughout: any other would make a result hang on the tile.
        if kind == "vnet":
            self.network: nn.Module = VNet(out_channels=1)
        else:
            self.network = UNet(
                spatial_dims=3, in_channels=1, out_channels=1, channels=(16, 32, 64),
                strides=(2, 2), num_res_units=2 * (kind == "residual-unet3d"), norm="BATCH",
            )  # fmt: skip

    def forward(self, images: Tensor, gaps_nm: Tensor, present: Tensor) -> Tensor:
        """See :meth:`SliceNetwork.forward`; distances of slices are not looked at."""
        logits: Tensor = self.network(images)
        return logits[:, 0, self.reach : -self.reach]


class Ensemble(nn.Module):
    """The last layer of late fusion: from the logits of each voltage to those of all.

    Parameters
    ----------
    images : int

    References
    ----------
    Article III of the FIB tomography thesis, section 2.2.3 and appendix 1: a convolution of size 1.
    """

    def __init__(self, images: int) -> None:
        super().__init__()
        self.combine = nn.Conv2d(images, 1, 1)
        nn.init.constant_(self.combine.weight, 1 / images)
        nn.init.zeros_(self.combine.bias)  # type: ignore[arg-type]

    def forward(self, logits: Sequence[Tensor]) -> Tensor:
        """Return logits from those of each voltage, all of shape (batch, planes, y, x)."""
        planes = logits[0].shape[1]
        each = torch.stack(list(logits), dim=2).flatten(0, 1)
        return self.combine(each).unflatten(0, (-1, planes))[:, :, 0]
