"""What a surrogate is shown of a sample: the input layouts of the neural simulator's paper.

Depths, infinite where there is nothing, become ``1 / (1 + depth / length)``: 1 at the plane, 1/2 at
the stated length, 0 for nothing; finite, smooth and monotone. Normals are shown as they are.

References
----------
T. Dahmen et al., A neural model for high-performance scanning electron microscopy image simulation
of porous materials, sections 2.3 and 3.2, Table 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from porescope.imaging.heightfield import HeightField

if TYPE_CHECKING:
    from torch import Tensor

NORMAL = 3
"""Components of a normal; of all channels they are the first."""
ROWS, COLUMNS = 1, 2
"""Which channels are the components that turn with the image: (nz, ny, nx)."""

Layout = Literal["normal+ehf", "ehf+normal", "heightfield+normal", "heightfield", "ehf", "normal"]
LAYOUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "normal+ehf": ("normal", "ehf"),
        "ehf+normal": ("ehf", "normal"),
        "heightfield+normal": ("heightfield", "normal"),
        "heightfield": ("heightfield",),
        "ehf": ("ehf",),
        "normal": ("normal",),
    }
)
"""What is shown, in order: the normals, the first entries alone, or with them the first exits, the
second entries and so on (an extended heightfield, EHF). The order matters to pretrained weights
alone, which know three channels."""


def shown_channels(layout: str, layers: int) -> list[int]:
    """Return which of the channels of :func:`all_channels` a layout shows, in order."""
    parts = {
        "normal": list(range(NORMAL)),
        "heightfield": [NORMAL],
        "ehf": list(range(NORMAL, NORMAL + 2 * layers)),
    }
    return [channel for part in LAYOUTS[layout] for channel in parts[part]]


def all_channels(field: HeightField, layers: int, length: float) -> Tensor:
    """Return normals and depths of a heightfield as a network takes them.

    Parameters
    ----------
    field : HeightField
        With at least so many layers, as arrays or tensors.
    layers : int
    length : float
        That depths are scaled by, in their unit.

    Returns
    -------
    tensor of shape (3 + 2 * layers, y, x), float32
        (nz, ny, nx), then first entry, first exit, second entry and so on.
    """
    import torch

    entry, exit_, normal = (
        torch.from_numpy(np.ascontiguousarray(each, np.float32))
        if isinstance(each, np.ndarray)
        else each
        for each in (field.entry, field.exit, field.normal)
    )
    channels = normal.new_empty((NORMAL + 2 * layers, *normal.shape[1:]))
    channels[:NORMAL] = normal
    channels[NORMAL::2] = entry[:layers]
    channels[NORMAL + 1 :: 2] = exit_[:layers]
    channels[NORMAL:].div_(length).add_(1.0).reciprocal_()
    return channels


def mirrored(channels: Tensor, y: range, x: range) -> Tensor:
    """Return any part of an image that goes on mirrored beyond its sides, normals too.

    Monte Carlo treats a sample's sides so. Rows and columns count from those of the image; below 0
    and from its size on they are mirror images.

    Parameters
    ----------
    channels : tensor of shape (channels, y, x)
        Of :func:`all_channels`.
    y, x : range
        Rows and columns that are wanted.
    """
    for axis, component, wanted in ((1, ROWS, y), (2, COLUMNS, x)):
        size = channels.shape[axis]
        if wanted.start >= 0 and wanted.stop <= size:
            channels = channels.narrow(axis, wanted.start, len(wanted))
            continue
        places = np.arange(wanted.start, wanted.stop)
        turned = places // size % 2 == 1
        places %= size
        places[turned] = size - 1 - places[turned]
        import torch

        channels = channels.index_select(axis, torch.from_numpy(places).to(channels.device))
        sign = torch.from_numpy(np.where(turned, -1, 1)).to(channels)
        channels[component] *= sign[:, None] if axis == 1 else sign
    return channels


def flipped_rows(channels: Tensor) -> Tensor:
    """Return the channels of a sample whose rows are in reverse order."""
    turned = channels.flip(1)
    turned[ROWS] *= -1
    return turned


def transposed(channels: Tensor) -> Tensor:
    """Return the channels of a sample whose rows and columns have changed places."""
    order = list(range(len(channels)))
    order[ROWS], order[COLUMNS] = COLUMNS, ROWS
    return channels[order].transpose(1, 2)
