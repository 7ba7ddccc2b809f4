"""Single slices of stacks in a window, segmented while parameters are chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.pipeline.catalogue.segment import SegmentParameters
from porescope.segment.segment import BY_NETWORKS, segment
from porescope.stack import Stack
from porescope.tracking import Cancel
from porescope.viewer.live_preview import Answer

Slice = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Question:
    """A slice to be segmented.

    Attributes
    ----------
    stacks : tuple of Stack
        One for each voltage.
    parameters : SegmentParameters
    scribbles : array of shape (z, y, x), optional
    drawn : int
        Changes whenever something is scribbled.
    index : int
        Of the slice.
    """

    stacks: tuple[Stack, ...]
    parameters: SegmentParameters
    scribbles: Any
    drawn: int
    index: int

    def asks_as(self, other: Question | None) -> bool:
        """Whether another question differs in the slice alone."""
        return (
            other is not None
            and self.parameters == other.parameters
            and len(self.stacks) == len(other.stacks)
            and all(a.data is b.data for a, b in zip(self.stacks, other.stacks, strict=True))
            and self.scribbles is other.scribbles
            and self.drawn == other.drawn
        )


class Preview:
    """Segments slices, and keeps what it learned of their stacks for the next; for one thread."""

    def __init__(self) -> None:
        self._asked: Question | None = None
        self._slice: Callable[[int], Slice] | None = None

    def answer(self, question: Question, cancel: Cancel) -> Answer:
        """Segment a slice as the whole stack will be.

        Raises
        ------
        PorescopeError
            As the step segment would.
        Cancelled
        """
        start = time.monotonic()
        if self._slice is None or not question.asks_as(self._asked):
            self._slice = None
            self._slice = _learned(question, cancel)
            self._asked = question
        labels = self._slice(question.index)
        solid, seconds = 100 * np.mean(labels > 0), time.monotonic() - start
        said = f"Slice {question.index}: {solid:.1f} % solid, {seconds:.1f} s."
        return Answer(labels, said)


def _learned(question: Question, cancel: Cancel) -> Callable[[int], Slice]:
    """Return what segments a slice, once all has been learned that needs the whole stack."""
    stacks, parameters = list(question.stacks), question.parameters
    if parameters.method in BY_NETWORKS:
        return _by_networks(stacks, parameters, cancel)
    if parameters.method == "forest":
        return _by_forest(question, cancel)
    whole = segment(
        stacks,
        parameters.method,
        clusters=parameters.clusters,
        seed=parameters.seed,
        cancel=cancel,
    )
    return lambda index: np.asarray(whole[index])


def _by_networks(
    stacks: list[Stack], parameters: SegmentParameters, cancel: Cancel
) -> Callable[[int], Slice]:
    from porescope.segment.probability import HALF
    from porescope.segment.segment import predictor

    networks = predictor(stacks, parameters.method, weights=parameters.weights, cancel=cancel)

    def labels(index: int) -> Slice:
        return (networks.of(range(index, index + 1))[0] >= HALF).astype(np.uint8)

    return labels


def _by_forest(question: Question, cancel: Cancel) -> Callable[[int], Slice]:
    from porescope.segment.forest import train_forest

    if question.scribbles is None:
        raise PorescopeError("Paint some pore and some solid, and the forest learns from it.")
    stacks = list(question.stacks)
    forest = train_forest(stacks, question.scribbles, seed=question.parameters.seed, cancel=cancel)
    classes = np.array(forest.classes, np.uint8)

    def labels(index: int) -> Slice:
        likely = forest.probabilities(stacks, slices=range(index, index + 1))
        found: Slice = classes[likely.argmax(axis=0).compute()[0]]
        return found

    return labels
