"""Networks that make images look like others, and those that tell them apart.

What is changed is bounded, begins as nothing, and is decided from near by. Apart from it, images
are blurred by a Gaussian, which moves no edges, and get noise, so that the same structure gets new
noise; how much of both, the network says of each pixel. Nothing is normalized over the image, since
brightness matters and a tile with its halo must give what the whole gives. This module imports
torch; import it inside functions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn
from torch.nn import functional

from porescope.adapt.matching import CURTAIN_WIDTH_PX, NO_MATCH, Match
from porescope.learn.blocks import ConditionedBlock

MULTIPLE = 4
"""Rows and columns come in multiples of this."""
HALO_PX = 32
"""What lies further away does not reach a pixel."""
BOUND = 0.5
"""Most by which a pixel is changed, noise apart, with dark at 0 and bright at 1."""
NOISES = 2
"""Fields of noise: of single pixels, and of whole columns."""
REACHES_PX = (8, 4, 15)
"""Over what the image, noise of pixels, and noise of columns are spread, to each side."""
GRAIN_WIDTH_PX, LEAST_WIDTH_PX = 0.3, 0.2
"""Deviations of the bell over which noise of pixels is spread to begin with, and of the least."""
PACE = 0.1
"""What is told is so many times what the last layer says: a step is to change greys by little."""
WIDEN = 2
LEAK = 0.2


class Generator(nn.Module):
    """A small U-Net of residual blocks that says what to change, and how strong noise is.

    Parameters
    ----------
    channels : int
        At half the resolution.
    match : Match, optional
        Blur and noise to begin with.
    """

    def __init__(self, channels: int, match: Match = NO_MATCH) -> None:
        super().__init__()
        coarse = WIDEN * channels
        self.look = nn.Conv2d(4, channels, 3, padding=1)
        self.fine = ConditionedBlock(channels, 1)
        self.down = nn.Conv2d(channels, coarse, 2, stride=2)
        self.middle = ConditionedBlock(coarse, 1)
        self.up = nn.Conv2d(coarse, channels, 1)
        self.last = ConditionedBlock(channels, 1)
        self.tell = nn.Conv2d(channels, 2 + NOISES, 3, padding=1)
        nn.init.zeros_(self.tell.weight)
        assert self.tell.bias is not None
        strengths = torch.tensor([0.0, 1.0, match.grain, match.curtain], dtype=torch.float32)
        self.tell.bias.data = strengths / PACE
        widths_px = torch.tensor([match.blur_px, GRAIN_WIDTH_PX, CURTAIN_WIDTH_PX])
        self.widths = nn.Parameter(torch.log(widths_px.clamp(min=LEAST_WIDTH_PX)).float())

    def forward(self, images: Tensor, beam: Tensor, noise: Tensor) -> Tensor:
        """Return the images with another look; see :meth:`parts`."""
        clean, added = self.parts(images, beam, noise)
        return clean + added

    def parts(self, images: Tensor, beam: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images with another look but for its noise, and that noise.

        Parameters
        ----------
        images : tensor of shape (batch, 1, y, x)
            On a scale from 0, dark, to 1, bright.
        beam : tensor of shape (batch,)
            Of the voltage, see :func:`known_beam`.
        noise : tensor of shape (batch, 2, y, x)
            White noise of deviation 1 of the pixels, and of the columns, alike in all rows.
        """
        known = beam[:, None]
        fine = self.fine(self.look(functional.pixel_unshuffle(images, 2)), known)
        coarse = self.middle(functional.relu(self.down(fine)), known)
        told = self.tell(self.last(fine + _twice(self.up(coarse)), known))
        change, blurred, grainy, striped = _twice(PACE * told.float()).chunk(2 + NOISES, dim=1)
        # 16 bits, in which a network may be evaluated, are too coarse for grey values.
        with torch.autocast(images.device.type, enabled=False):
            blur, grain, curtain = (
                _bell(width_px, reach_px)
                for width_px, reach_px in zip(self.widths.float().exp(), REACHES_PX, strict=True)
            )
            pixels, columns = noise.float().chunk(NOISES, dim=1)
            images = images.float()
            softer = _spread(_spread(images, blur, 3), blur, 2) - images
            grain, curtain = (each / torch.linalg.vector_norm(each) for each in (grain, curtain))
            pixels = _spread(_spread(pixels, grain, 3), grain, 2)
            columns = _spread(columns, curtain, 3)
            change = BOUND * torch.tanh(change / BOUND)
            clean = images + blurred * softer + change
            return clean, grainy * pixels + striped * columns


def _twice(images: Tensor) -> Tensor:
    """Return images of twice as many rows and columns, between which nothing can be invented."""
    return functional.interpolate(images, scale_factor=2, mode="bilinear")


def _bell(width_px: Tensor, reach_px: int) -> Tensor:
    """Return a Gaussian of sum 1."""
    away = torch.arange(-reach_px, reach_px + 1, device=width_px.device)
    values = torch.exp(-0.5 * (away / width_px) ** 2)
    return values / values.sum()


def _spread(images: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Return images convolved along an axis, mirrored beyond their sides."""
    reach = len(kernel) // 2
    around, shape = (0, 0, reach, reach), (1, 1, -1, 1)
    if axis == 3:
        around, shape = (reach, reach, 0, 0), (1, 1, 1, -1)
    return functional.conv2d(functional.pad(images, around, mode="reflect"), kernel.view(shape))


def known_beam(beam_kv: float) -> float:
    """Return a voltage as networks are told it."""
    return math.log2(beam_kv / 2)


class Critic(nn.Module):
    """Says of every place in an image whether it is of the one look, 1, or was made so, 0.

    It sees no further than 34 pixels: noise, blur and brightness, but hardly what structures there
    are, so that nothing is gained by inventing any.

    Parameters
    ----------
    channels : int
        At half the resolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Normalization would take away the brightness that looks differ by.
        self.network: Any = PatchDiscriminator(
            spatial_dims=2, channels=channels, in_channels=2, num_layers_d=2, norm="", bias=True
        )
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):  # it begins as if what it sees were normalized
                nn.init.kaiming_normal_(module.weight, LEAK)

    def forward(self, images: Tensor, beam: Tensor) -> Tensor:
        """Return a map of how real each place looks, of images as a generator takes them."""
        told = beam[:, None, None, None].expand(-1, 1, *images.shape[2:])
        answer: Tensor = self.network(torch.cat([images, told], dim=1))[-1]
        return answer.float()


class Pool(nn.Module):
    """Images that a generator made before, shown to a critic in the place of every other new one.

    So that the critic does not forget what it has seen; Zhu et al., section 4.

    Parameters
    ----------
    size : int
        Images that are kept.
    edge : int
        Of a patch, in pixels.
    """

    def __init__(self, size: int, edge: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, 1, edge, edge))
        self.register_buffer("beams", torch.zeros(size))
        self.register_buffer("filled", torch.zeros(()))
        self.images: Tensor
        self.beams: Tensor
        self.filled: Tensor

    @torch.no_grad()
    def exchanged(self, images: Tensor, beams: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return new images, or old ones for which they are kept, and their voltages.

        Parameters
        ----------
        images : tensor of shape (batch, 1, y, x)
        beams : tensor of shape (batch,)
        draws : tensor of shape (batch,)
            Random numbers from 0 to 1, which decide.
        """
        images, beams = images.detach().clone(), beams.clone()
        size = len(self.images)
        for index, draw in enumerate(draws.tolist()):
            there = int(self.filled)
            if there < size:
                self.images[there], self.beams[there] = images[index], beams[index]
                self.filled += 1
            elif draw < 0.5:
                old = int(2 * draw * size)
                kept = self.images[old].clone(), self.beams[old].clone()
                self.images[old], self.beams[old] = images[index], beams[index]
                images[index], beams[index] = kept
        return images, beams
