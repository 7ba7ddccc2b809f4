"""How long and how fast networks learn; light to import, since windows and commands show it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

METRICS, PREVIEW = "metrics.csv", "preview.npz"
"""What a training writes into its folder for whoever watches it."""
STOP = "stop"
"""A file of this name ends a training."""


@dataclass(frozen=True)
class WeightsOf:
    """Marks a parameter that names weights of a kind, or a file of one's own.

    Parameters
    ----------
    kind : str
        Begins the names of the files that ship, and is the name of one that a training wrote.
    others : tuple of str
        What may be said in place of weights.
    """

    kind: str
    others: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return what may be said."""
        from porescope.learn.weights import shipped_names

        return [*self.others, *shipped_names(self.kind)]


class TrainingParameters(BaseModel):
    """How long and how fast to learn."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(500, gt=0, description="at most so many times through the data")
    batch_size: int = Field(64, gt=0, description="patches that are learned from at once")
    learning_rate: float = Field(1e-3, gt=0, description="of the steps, at the beginning")
    steady: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="share of the epochs before the learning rate begins to fall, evenly, to "
        "nothing at the end",
    )
    plateau: int | None = Field(
        None,
        gt=0,
        description="epochs without a better validation until the learning rate becomes a tenth, "
        "in place of falling evenly",
    )
    patience: int = Field(
        25, gt=0, description="epochs without a better validation until the training stops"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the first weights and the order of data")

    def share_at(self, epoch: int) -> float:
        """Return the share of the learning rate with which an epoch learns."""
        return min(1.0, (1 - epoch / self.epochs) / (1 - self.steady))
