"""The section of the dock that takes artefacts out of images, with a preview."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from porescope.pipeline.catalogue.clean import CleanParameters, cleaned, matching
from porescope.stack import Stack
from porescope.tracking import Cancel
from porescope.viewer.layers import from_layer
from porescope.viewer.live_preview import Answer, LivePreview, slice_at_slider
from porescope.viewer.panels import StepPanel

LOOK = ("contrast_limits", "colormap", "gamma")


@dataclass(frozen=True, eq=False)
class Question:
    """A slice of a stack to be cleaned."""

    stack: Stack
    parameters: CleanParameters
    index: int

    def asks_as(self, other: Question | None) -> bool:
        """Whether another question differs in the slice alone."""
        return (
            other is not None
            and self.parameters == other.parameters
            and self.stack.data is other.stack.data
        )

    @property
    def matches(self) -> tuple[Any, ...]:
        """What the brightness of the slices depends on."""
        parameters = self.parameters
        return id(self.stack.data), parameters.brightness, parameters.brightness_region


class Preview:
    """Cleans slices, and keeps how bright those of their stack are; for one thread."""

    def __init__(self) -> None:
        self._asked: Question | None = None
        self._matched: NDArray[np.float64] | None = None

    def answer(self, question: Question, cancel: Cancel) -> Answer:
        """Clean a slice as the whole stack will be.

        Raises
        ------
        PorescopeError
            As the step clean would.
        Cancelled
        """
        start = time.monotonic()
        before = self._asked
        if self._matched is None or before is None or before.matches != question.matches:
            self._matched = None
            self._matched = matching(question.stack, question.parameters, cancel=cancel)
        self._asked = question
        here = slice(question.index, question.index + 1)
        stack = question.stack
        alone = stack.with_data(np.asarray(stack.data[here]), slice_z_nm=stack.slice_z_nm[here])
        (pixels,) = cleaned(alone, self._matched[here], question.parameters).data
        return Answer(pixels, f"Slice {question.index}: {time.monotonic() - start:.1f} s.")


class CleanPanel(StepPanel):
    """Cleans stacks, and the slice at the slider before all others."""

    def _complete(self) -> None:
        self.live = LivePreview(
            self.viewer, self.session, self._aim, Preview().answer, _look, self._over_image
        )
        self.column.insertWidget(3, self.live)
        self.images.itemChanged.connect(self.live.edited)
        self.form.container.changed.connect(self.live.edited)

    def reset_choices(self) -> None:
        """List the layers there are, and let go of those that are gone."""
        super().reset_choices()
        self.live.follow_layers()

    def run(self) -> None:
        """Clean the whole stacks; the preview ends."""
        self.live.end()
        super().run()

    def _aim(self) -> tuple[Layer, Question]:
        chosen = self.chosen_images()
        if not chosen:
            raise self._nothing("images")
        # The one that is looked at, where several are worked on.
        layers = [layer for layer in self.viewer.layers if layer.name in chosen]
        layer = next((each for each in reversed(layers) if each.visible), layers[-1])
        parameters = self.step.parse(self.form.values())
        assert isinstance(parameters, CleanParameters)
        index = slice_at_slider(self.viewer, layer)
        return layer, Question(from_layer(layer), parameters, index)

    def _over_image(self, image: Layer, shown: Layer) -> None:
        layers = self.viewer.layers
        layers.move(layers.index(shown), layers.index(image) + 1)
        # What differs between the two is what was cleaned.
        layers.link_layers([image, shown], LOOK)
        self.flicker.offer([image], [shown])


def _look(image: Layer) -> tuple[dict[str, Any], str]:
    same = {name: getattr(image, name) for name in LOOK}
    return {"name": "preview cleaned"} | same, "image"
