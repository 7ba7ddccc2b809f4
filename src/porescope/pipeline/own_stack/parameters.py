"""What is made and learned from a stack without labels; light to import."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from porescope.learn.parameters import WeightsOf
from porescope.pipeline.simulation.parameters import checked_materials
from porescope.segment.parameters import SegmentationTraining

NO_WEIGHTS = "none"


class OwnStackTraining(SegmentationTraining):
    """How structures like those in a stack are made and imaged, and what is learned from them."""

    spacing_nm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
        None, description="voxel size z, y, x in nm, where the files do not tell it"
    )
    beam_kv: float | None = Field(
        None, gt=0, description="beam energy in kV of a single stack, where its file does not tell"
    )
    materials: Annotated[str, AfterValidator(checked_materials)] = Field(
        "0=epoxy, 1=gold",
        description="what pore, 0, and solid, 1, are: LABEL=MATERIAL, or LABEL=FORMULA:DENSITY "
        "with the density in g/cm3",
    )
    imaging: Annotated[str, WeightsOf("surrogate", ("fast", "auto"))] = Field(
        "fast",
        description="how structures are imaged: fast, for pores that are filled; or weights of the "
        "neural simulator, by name or as a file, auto for those that know the materials",
    )
    start: Annotated[str, WeightsOf("segmentation", (NO_WEIGHTS,))] = Field(
        "gold-epoxy",
        description="weights to begin with, by name or as a file, or none; where they know "
        "voltages and pixels of the stack, they segment it first, and elsewhere k-means does",
    )
    samples: int = Field(10, ge=2, description="structures that are made")
    sample_slices: int = Field(32, ge=5, description="slices of each structure")
    sample_px: int = Field(128, ge=32, multiple_of=16, description="rows and columns of each")
    adapt: bool = Field(True, description="give the simulated images the look of the stack")
    adaptation_epochs: int = Field(
        10, gt=0, description="at most so many rounds of learning that look"
    )
    epochs: int = Field(6, gt=0, description="at most so many times through the data")
    learning_rate: float = Field(
        3e-4, gt=0, description="of the steps, at the beginning; small, for networks know much"
    )
    validation: int = Field(2, ge=1, description="of the structures, which choose the best epoch")

    @model_validator(mode="after")
    def _fit_together(self) -> OwnStackTraining:
        if self.validation >= self.samples:
            raise ValueError(
                f"of {self.samples} samples {self.validation} for validation would leave none to "
                "learn from"
            )
        if self.patch_px > self.sample_px:
            raise ValueError(
                f"patches of {self.patch_px} pixels (patch_px) do not fit into structures of "
                f"{self.sample_px} (sample_px)"
            )
        return self

    @property
    def weights(self) -> str | None:
        """Those to begin with."""
        return None if self.start == NO_WEIGHTS else self.start

    def of_segmentation(self) -> SegmentationTraining:
        """Return what the training of the networks itself takes."""
        values = self.model_dump(include=set(SegmentationTraining.model_fields))
        return SegmentationTraining(**{**values, "start": self.weights})
