"""A trained segmentation: its networks, what they know, and the file they lie in.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from porescope.errors import PorescopeError
from porescope.learn.precision import channels_last
from porescope.learn.weights import Card, find_weights, load_weights, read_card, written_ns
from porescope.segment.networks import (
    Ensemble,
    IntermediateFusion,
    SliceNetwork,
    SliceUNet,
    VolumeNetwork,
)
from porescope.segment.parameters import JOINT, Architecture, Channels, Slices

KIND, NAME = "segmentation", "segmentation/1"
MOST_VOLTAGES = 8

OF_VALIDATION = "of validation"
VOLTAGE_WITHIN = 1.1
"""Ratio of two beam energies up to which one is taken for the other."""


class Settings(BaseModel):
    """How the networks of a segmentation are built, as on its card.

    Parameters
    ----------
    architecture : str
    beam_kv : tuple of floats
        Voltages, from the lowest.
    slices : int
        That a 2D network sees at once, the one it segments in the middle.
    channels : int
        Width of a 2D network.
    pixel_nm : float
        Of the images it learned from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: Architecture = "unet-adjacent"
    beam_kv: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, max_length=MOST_VOLTAGES
    )
    slices: Slices = 7
    channels: Channels = 48
    pixel_nm: float = Field(gt=0)

    @property
    def joint(self) -> bool:
        """Whether one network takes all voltages."""
        return self.architecture in JOINT

    def named(self, voltages: Sequence[int]) -> str:
        """Return some of the voltages as a person reads them."""
        return ", ".join(f"{self.beam_kv[index]:g}" for index in voltages) + " kV"

    def score_name(self, voltages: Sequence[int]) -> str:
        """Return by which name a card tells what some of the voltages reach."""
        return f"misplaced % {OF_VALIDATION} at {self.named(voltages)}"

    def build(self) -> SliceNetwork:
        """Return a network with random weights: that of one voltage, or of all if it is joint."""
        images = len(self.beam_kv)
        match self.architecture:
            case "early-fusion":
                return SliceUNet(images, self.slices, self.channels)
            case "intermediate-fusion":
                return IntermediateFusion(images, self.slices, self.channels)
            case "unet-adjacent":
                return SliceUNet(1, self.slices, self.channels)
            case "unet":
                return SliceUNet(1, 1, self.channels)
            case _:
                return VolumeNetwork(self.architecture)


Subset = tuple[int, ...]


class Segmentation(nn.Module):
    """The networks of all voltages, and how to put together what any of them say.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        count = 1 if settings.joint else len(settings.beam_kv)
        self.networks = nn.ModuleList(settings.build() for _ in range(count))
        self.ensembles = nn.ModuleDict()
        self.votes = nn.ParameterDict()
        for subset in self.subsets():
            self.ensembles[_key(subset)] = Ensemble(len(subset))
            self.votes[_key(subset)] = nn.Parameter(torch.full((len(subset),), 1 / len(subset)))

    def subsets(self) -> list[Subset]:
        """Return all choices of two or more networks."""
        count = len(self.networks)
        return [s for size in range(2, count + 1) for s in combinations(range(count), size)]

    def fused(self, logits: Sequence[Tensor], subset: Subset) -> Tensor:
        """Return logits of solid from those of some voltages, by late fusion."""
        if len(subset) == 1:
            return logits[0]
        together: Tensor = self.ensembles[_key(subset)](logits)
        return together

    def voted(self, logits: Sequence[Tensor], subset: Subset) -> Tensor:
        """Return the share of votes for solid, weighted by voltage."""
        weights = self.vote_weights(subset)
        return sum(
            (weight * (each > 0) for weight, each in zip(weights, logits, strict=True)),
            start=torch.zeros_like(logits[0]),
        )

    def vote_weights(self, subset: Subset) -> list[float]:
        """Return what the vote of each voltage counts; together they are 1."""
        return self.votes[_key(subset)].tolist() if len(subset) > 1 else [1.0]

    def voltages(self, beams_kv: Sequence[float | None]) -> Subset:
        """Return which networks are for these voltages.

        Raises
        ------
        PorescopeError
            If a voltage is unknown, twice there, or none that was learned; or if a joint network
            misses one.
        """
        learned = self.settings.beam_kv
        names = ", ".join(f"{each:g}" for each in learned)
        found = []
        for beam_kv in beams_kv:
            if beam_kv is None:
                raise PorescopeError(
                    f"A stack tells no beam voltage, and the networks know {names} kV; give it "
                    "with beam_kv."
                )
            nearest = min(range(len(learned)), key=lambda i: abs(learned[i] - beam_kv))
            ratio = max(beam_kv, learned[nearest]) / min(beam_kv, learned[nearest])
            if ratio > VOLTAGE_WITHIN:
                raise PorescopeError(
                    f"The networks know {names} kV, not {beam_kv:g} kV; leave that stack out, "
                    "take other weights, or train on such images."
                )
            if nearest in found:
                raise PorescopeError(f"Two stacks have {learned[nearest]:g} kV; give one of them.")
            found.append(nearest)
        if self.settings.joint and sorted(found) != list(range(len(learned))):
            raise PorescopeError(
                f"A network of {self.settings.architecture} takes all of {names} kV together; give "
                "all, or choose late-fusion, which takes any of them."
            )
        return tuple(found)


def _key(subset: Subset) -> str:
    return "-".join(map(str, subset))


def load_segmentation(name: str | Path) -> tuple[Segmentation, Card]:
    """Return a segmentation and its card.

    Parameters
    ----------
    name : str or Path
        Of weights that ship, such as ``"gold-epoxy"``, or a file that a training wrote.

    Raises
    ------
    PorescopeError
        If there are no such weights, or the file is none of a segmentation.
    """
    path = find_weights(KIND, name)
    return _load(path.absolute(), written_ns(path))


@lru_cache(maxsize=4)
def _load(path: Path, _written_ns: int) -> tuple[Segmentation, Card]:
    card = read_card(path)
    if card.network != NAME:
        raise PorescopeError(f"{path} holds weights of {card.network!r:.80}, not of {NAME!r}.")
    try:
        settings = Settings.model_validate(card.settings)
    except (ValidationError, PorescopeError) as error:
        raise PorescopeError(
            f"{path} describes networks that this version of Porescope cannot build."
        ) from error
    with torch.random.fork_rng(devices=[]):
        model = Segmentation(settings)
    load_weights(path, model, NAME)
    channels_last(model.eval())
    return model, card
