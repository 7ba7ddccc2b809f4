"""Parts that networks are built of.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConditionedBlock(nn.Module):
    """A residual block whose middle is scaled and shifted by what is known, such as distances.

    Parameters
    ----------
    channels : int
        Of its input and output.
    known : int
        Length of the vector of what is known.
    """

    def __init__(self, channels: int, known: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulate = nn.Linear(known, 2 * channels)

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        """Return features, shape (batch, channels, y, x); ``known`` is of shape (batch, known)."""
        scale, shift = self.modulate(known)[..., None, None].chunk(2, dim=1)
        middle = self.first(functional.relu(features))
        middle = functional.relu_(torch.addcmul(shift, middle, 1 + scale))
        return features + self.second(middle)
