"""Which segmentation networks to train, and how; light to import."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from porescope.errors import PorescopeError
from porescope.learn.augmentation import Augmentation
from porescope.learn.parameters import TrainingParameters, WeightsOf

Architecture = Literal[
    "unet-adjacent",
    "unet",
    "unet3d",
    "residual-unet3d",
    "vnet",
    "early-fusion",
    "intermediate-fusion",
]
JOINT = ("early-fusion", "intermediate-fusion")
"""These take all voltages at once; of the others there is one network for each."""


def _checked_slices(slices: int) -> int:
    if slices % 2 == 0:
        raise PorescopeError(
            f"A network that sees {slices} slices has none in the middle; take an odd number."
        )
    return slices


Slices = Annotated[int, Field(ge=1, le=9), AfterValidator(_checked_slices)]
Channels = Annotated[int, Field(ge=2, le=256, multiple_of=2)]
"""Of what a network can be built."""


class SegmentationTraining(Augmentation, TrainingParameters):
    """Which networks to train, on what patches, changed how far, and how long."""

    start: Annotated[str | None, WeightsOf("segmentation")] = Field(
        None,
        description="weights to begin with in place of random ones, by name or as a file, such as "
        "those whose labels were corrected; architecture, slices and channels are then theirs",
    )
    architecture: Architecture = Field(
        "unet-adjacent",
        description="network for each voltage, put together by late fusion, or one for all by "
        "early or intermediate fusion",
    )
    slices: Slices = Field(
        7, description="that a 2D network sees at once, the one it segments in the middle; odd"
    )
    channels: Channels = Field(48, description="width of a 2D network, at half resolution")
    patch_px: int = Field(96, ge=32, multiple_of=16, description="rows and columns of a patch")
    stride_px: int = Field(32, ge=1, description="pixels by which patches slide over the images")
    validation: int = Field(
        1,
        ge=0,
        description="samples, the last that are named, which choose the best epoch; with 0 what is "
        "learned from chooses it, and no score can be claimed",
    )
    epochs: int = Field(30, gt=0, description="at most so many times through the data")
    batch_size: int = Field(16, gt=0, description="patches that are learned from at once")
    patience: int = Field(
        10, gt=0, description="epochs without a better validation until the training stops"
    )
