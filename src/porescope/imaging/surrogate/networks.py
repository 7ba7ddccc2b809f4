"""The networks of the neural simulator: the paper's on ResNet encoders, and a compact one.

All take channels of a heightfield, shape (batch, channels, y, x) with y and x multiples of
:data:`MULTIPLE`, and the beam's voltage, shape (batch,), as log2(kV / 2); they return signals
over their typical size, shape (batch, signals, y, x). This module imports torch; import it inside
functions.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from porescope.errors import PorescopeError

MULTIPLE = 16
"""Of pixels that images must be."""
KNOWN = 16
"""Numbers that tell a layer of the beam."""


class Network(nn.Module):
    """What all have in common."""

    reach_px: int | None
    """What lies further away does not reach a pixel; none where all of an image does."""


def make_network(name: str, channels: int, signals: int) -> Network:
    """Return a network with random weights.

    Parameters
    ----------
    name : str
        ``"compact"``, or ``"resnet34"``, 50, 101 or 152.
    channels, signals : int
        Of its input and output.
    """
    if name == "compact":
        return Compact(channels, signals)
    return ResNetUNet(name, channels, signals)


class _Conditioned(nn.Module):
    """A residual block whose middle is scaled and shifted by what is known of the beam."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulate = nn.Linear(KNOWN, 2 * channels)

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        scale, shift = self.modulate(known).chunk(2, dim=1)
        if len(known) == 1:  # then it costs nothing to have the kernel do it
            kernel = self.first.weight * (1 + scale[0])[:, None, None, None]
            middle = functional.conv2d(
                features, kernel, self.first.bias * (1 + scale[0]) + shift[0], padding=1
            )
        else:
            scale, shift = scale[..., None, None], shift[..., None, None]
            middle = torch.addcmul(shift, self.first(features), 1 + scale)
        return self.second(middle.relu_()).add_(features).relu_()


class Compact(Network):
    """A small U-Net that begins at half the resolution, and ends in four pixels at once.

    Parameters
    ----------
    channels, signals : int
        Of its input and output.
    widths : sequence of int
        Channels at half the resolution, a quarter of it and so on.
    """

    reach_px = 112

    def __init__(
        self, channels: int, signals: int, widths: tuple[int, ...] = (32, 64, 96, 128)
    ) -> None:
        super().__init__()
        self.know = nn.Sequential(
            nn.Linear(1, KNOWN), nn.ReLU(), nn.Linear(KNOWN, KNOWN), nn.ReLU()
        )
        self.look = nn.Conv2d(channels, widths[0], 6, stride=2, padding=2)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.there = nn.ModuleList(_Conditioned(width) for width in widths[1:])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.back = nn.ModuleList(_Conditioned(width) for width in widths[:-1])
        self.answer = nn.Conv2d(widths[0], 4 * signals, 3, padding=1)
        nn.init.zeros_(self.answer.weight)
        nn.init.ones_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor, beam: Tensor) -> Tensor:
        """Return signals over their typical size."""
        known = self.know(beam[:, None])
        features = self.look(images.contiguous()).relu_()
        passed = []
        for down, block in zip(self.down, self.there, strict=True):
            passed.append(features)
            features = block(down(features), known)
        for up, block in zip(reversed(self.up), reversed(self.back), strict=True):
            wide = functional.interpolate(up(features), scale_factor=2.0, mode="nearest")
            features = block(wide.add_(passed.pop()), known)
        return functional.pixel_shuffle(self.answer(features), 2)


class ResNetUNet(Network):
    """MONAI's U-Net on a ResNet encoder; the voltage is one more, constant channel.

    Parameters
    ----------
    name : str
        Of the encoder.
    channels, signals : int
        Of its input and output.

    References
    ----------
    T. Dahmen et al., section 2.6.
    """

    reach_px = None

    def __init__(self, name: str, channels: int, signals: int) -> None:
        from monai.networks.nets.flexible_unet import FlexibleUNet

        super().__init__()
        self.network = FlexibleUNet(channels + 1, signals, name, spatial_dims=2)
        encoder = self.network.encoder
        for stage in (encoder.layer2, encoder.layer3, encoder.layer4):
            first = stage[0]
            if not isinstance(first.downsample, nn.Module):  # MONAI's 34 lacks these kernels
                first.downsample = nn.Sequential(
                    nn.Conv2d(first.conv1.in_channels, first.conv1.out_channels, 1, 2, bias=False),
                    nn.BatchNorm2d(first.conv1.out_channels),
                )

    def forward(self, images: Tensor, beam: Tensor) -> Tensor:
        """Return signals over their typical size."""
        y, x = images.shape[2:]
        told = beam[:, None, None, None].expand(-1, 1, y, x)
        whole = torch.cat([images, told.to(images)], dim=1)
        return self.network(functional.pad(whole, (0, -x % 32, 0, -y % 32)))[..., :y, :x]

    def load_pretrained(self, path: str | Path) -> None:
        """Take the encoder's weights from a file as torchvision's ResNets have them.

        The first channels get the weights for red, green and blue, further ones zeros.

        Parameters
        ----------
        path : str or Path
            Safetensors; tensors of the last layer, ``fc``, are left out.

        Raises
        ------
        PorescopeError
            If the file is none, or is for another encoder.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            given = load_file(path)
        except (OSError, SafetensorError) as error:
            raise PorescopeError(f"Cannot read the pretrained weights {path}: {error}.") from error
        encoder = self.network.encoder
        wanted = encoder.state_dict()
        first = given.get("conv1.weight")
        if first is not None and first.ndim == 4:
            lacking = max(0, wanted["conv1.weight"].shape[1] - first.shape[1])
            given["conv1.weight"] = functional.pad(first, (0, 0, 0, 0, 0, lacking))
        for name, tensor in wanted.items():
            fits = name in given and given[name].shape == tensor.shape
            if not fits and not name.endswith(OPTIONAL):
                raise PorescopeError(
                    f"{path} does not fit this encoder: {name!r} is missing or of another shape; "
                    "take weights of the same ResNet, named as torchvision names them."
                )
        encoder.load_state_dict({**wanted, **{n: given[n] for n in wanted if n in given}})


OPTIONAL = ("num_batches_tracked",)
