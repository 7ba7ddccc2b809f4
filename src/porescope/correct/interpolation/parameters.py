"""How the network that fills gaps is trained; light to import."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from porescope.learn.parameters import TrainingParameters


class InterpolationTraining(TrainingParameters):
    """What structures are drawn to learn from, and how long."""

    start: Path | None = Field(
        None, description="weights to go on from, on structures drawn anew (.safetensors)"
    )
    cubes: int = Field(500, gt=0, description="structures that are drawn")
    waves: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of them that are leveled waves of two levels; the rest are waves of "
        "one level, Gaussian fields, spheres and cylinders",
    )
    epochs: int = Field(90, gt=0, description="at most so many times 6,400 patches")
    batch_size: int = Field(16, gt=0, description="patches that are learned from at once")
    steady: float = Field(
        0.4,
        ge=0,
        lt=1,
        description="share of the epochs before the learning rate begins to fall, evenly, to "
        "nothing at the end",
    )
    patience: int = Field(
        12, gt=0, description="epochs without a better validation until the training stops"
    )
