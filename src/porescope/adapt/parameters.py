"""How networks that make images look like others are trained; light to import."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from porescope.learn.parameters import TrainingParameters


class AdaptationTraining(TrainingParameters):
    """Which stacks to learn the look of, from what patches, and how long."""

    targets: int = Field(
        1,
        ge=1,
        description="stacks, the last that are named, whose look is learned; those before are the "
        "simulated ones",
    )
    target_kv: float | None = Field(
        None, gt=0, description="voltage in kV of stacks whose look is learned and that tell none"
    )
    target_spacing_nm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
        None, description="voxel size z, y, x in nm of those that tell none"
    )
    channels: int = Field(
        16, ge=4, le=256, multiple_of=2, description="width of the networks, at half resolution"
    )
    cycle: float = Field(5.0, ge=0, description="weight of coming back to the same structure")
    identity: float = Field(
        0.5, ge=0, description="weight of leaving as it is what looks right already"
    )
    patch_px: int = Field(128, ge=32, multiple_of=16, description="rows and columns of a patch")
    stride_px: int = Field(64, ge=1, description="pixels by which patches slide over the images")
    patches: int = Field(200, gt=0, description="patches of each look in an epoch")
    epochs: int = Field(30, gt=0, description="at most so many times through the patches")
    batch_size: int = Field(
        1, gt=0, description="patches of each look that are learned from at once"
    )
    learning_rate: float = Field(2e-4, gt=0, description="of the steps, at the beginning")
    patience: int = Field(
        8, gt=0, description="epochs without a better likeness until the training stops"
    )
