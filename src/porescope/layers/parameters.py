"""How the networks of layers are trained; light to import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from porescope.learn.parameters import TrainingParameters

LayersNetwork = Literal[
    "default", "3conv", "unet", "unet-0.1", "unet-0.01", "stacked-unet", "unet-to-volume", "uvnet"
]
NETWORK_NAMES: tuple[str, ...] = get_args(LayersNetwork)


class LayersTraining(TrainingParameters):
    """Which network, what is drawn to learn from, and how long."""

    network: LayersNetwork = Field(
        "default",
        description="which network: default, or one of the paper's (a number is the weight of "
        "aluminium's error), which know only the published model, 5 to 35 keV and Perlin layers",
    )
    start: Path | None = Field(None, description="weights to go on from (.safetensors)")
    samples: int = Field(
        1000, ge=8, description="pairs of layers of 128 x 128 pixels that are drawn to learn from"
    )
    noise: float = Field(
        0.02, ge=0, le=0.2, description="of signals for the paper's networks, as a share of them"
    )
    epochs: int = Field(12, gt=0, description="at most so many times through the samples")
    batch_size: int = Field(8, gt=0, description="crops that are learned from at once")
    learning_rate: float = Field(2e-3, gt=0, description="of the steps, at the beginning")
    steady: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="share of the epochs before the learning rate begins to fall, evenly, to "
        "nothing at the end",
    )


def network_name(network: str) -> str:
    """Return the name of a network on the card of its weights."""
    return f"layers-{network}/1"
