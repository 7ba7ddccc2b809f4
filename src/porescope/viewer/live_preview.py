"""What a step makes of the slice at the slider, shown while its parameters are chosen."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from porescope.errors import Cancelled, PorescopeError
from porescope.stack import SLICES
from porescope.tracking import Cancel
from porescope.viewer.layers import CHANNEL
from porescope.viewer.work import Latest, Message, Session, hear

if TYPE_CHECKING:
    from napari.components import ViewerModel

SETTLED_MS = 300
"""A stroke or a parameter that did not change for so long is worth an answer."""


class Question(Protocol):
    """A slice of stacks, and what is to be made of it."""

    @property
    def index(self) -> int:
        """Of the slice."""

    def asks_as(self, other: Self | None) -> bool:
        """Whether another question differs in the slice alone."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A slice as the whole stack will be, of shape (y, x), and what to say of it."""

    pixels: NDArray[Any]
    said: str


class LivePreview(QWidget):
    """A check box, and a layer of one slice that follows the slider while it is ticked.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    aim : callable() -> (Layer, Question)
        Returns what to ask now, and which layer the preview lies over; raises PorescopeError.
    answer : callable(Question, cancel) -> Answer
        Called in one thread; raises PorescopeError.
    look : callable(Layer) -> (attributes, kind)
        Returns how the preview of a slice of a layer looks.
    added : callable(Layer, Layer)
        Hears of that layer and its preview when there is a new one.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        aim: Callable[[], tuple[Layer, Any]],
        answer: Callable[[Any, Cancel], Answer],
        look: Callable[[Layer], tuple[dict[str, Any], str]],
        added: Callable[[Layer, Layer], None],
    ) -> None:
        super().__init__()
        self.box = QCheckBox("Live preview of the slice at the slider")
        self.told = Message()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.box)
        column.addWidget(self.told)
        self._viewer, self._session = viewer, session
        self._aim, self._answer, self._look, self._added = aim, answer, look, added
        self._latest = Latest(self, session, lambda made: self._show(*made), self._fail)
        self._question: Any = None
        self._of: Layer | None = None
        self._shown: Layer | None = None
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLED_MS)
        self._settled.timeout.connect(self._ask)
        self.box.toggled.connect(self._switch)
        hear(self, viewer.dims.events.point, self._moved)

    def hideEvent(self, event: Any) -> None:  # noqa: N802  (Qt calls it so)
        """Switch it off as its section closes; nobody could from elsewhere."""
        super().hideEvent(event)
        if not event.spontaneous() and not self._session.closing:
            self.end()

    def end(self) -> None:
        """Switch it off; the preview is gone."""
        self.box.setChecked(False)

    def edited(self, event: Any = None) -> None:
        """Look anew once what was changed has settled."""
        if self.box.isChecked():
            self._settled.start()

    def follow_layers(self) -> None:
        """Switch it off where its preview was removed, or what it is a preview of."""
        layers = self._viewer.layers
        if self._shown is not None and not (self._shown in layers and self._of in layers):
            self.end()

    def _switch(self, on: bool) -> None:
        self.told.say(None)
        self._question = None
        if on:
            self._viewer.dims.ndisplay = 2
            self._ask()
        else:
            self._remove()

    def _moved(self, event: Any = None) -> None:
        if self.box.isChecked() and self._viewer.dims.ndisplay == 2:
            self._ask()

    def _ask(self) -> None:
        """Ask for the slice at the slider; what is under way is dropped."""
        self._settled.stop()
        if not self.box.isChecked():
            return
        before = self._question
        try:
            layer, question = self._aim()
        except PorescopeError as error:
            self._question = None
            self._refuse(error)
            return
        self._question = question
        if not question.asks_as(before):
            self.told.say("Looking at the stack.")
        # What is learned of the whole stack serves the next slice too.
        self._latest.ask(
            lambda: (layer, question, self._answer(question, lambda: self._in_vain(question)))
        )

    def _in_vain(self, question: Any) -> bool:
        newest = self._question
        return self._session.closing or newest is None or not newest.asks_as(question)

    def _fail(self, error: PorescopeError) -> None:
        if not isinstance(error, Cancelled):
            self._refuse(error)

    def _refuse(self, error: PorescopeError) -> None:
        """Say why there is nothing to see; a slice as it was asked for before would deceive."""
        self.told.say(error)
        self._remove()

    def _show(self, layer: Layer, question: Any, answer: Answer) -> None:
        """Show the newest answer; an earlier one of a slider that moves on is out of place."""
        if question is not self._question or layer not in self._viewer.layers:
            return
        self.told.say(answer.said)
        pixels = answer.pixels[np.newaxis]
        translate = np.array(layer.translate, dtype=float)
        translate[SLICES] += question.index * layer.scale[SLICES]
        places = {"translate": translate, "scale": layer.scale}
        shown = self._shown
        if shown is None or self._of is not layer or shown.data.shape != pixels.shape:
            self._replace(layer, pixels, places)
            return
        # Layers that come and go cost napari a third of a second each, so it changes in place.
        np.copyto(shown.data, pixels)
        set_changed(shown, places)
        shown.refresh(extent=False)

    def _replace(self, layer: Layer, pixels: Any, places: dict[str, Any]) -> None:
        self._remove()
        layers = self._viewer.layers
        active = layers.selection.active
        attributes, kind = self._look(layer)
        same = {name: getattr(layer, name) for name in ("units", "axis_labels")}
        told = {"metadata": {CHANNEL: dict(places)}}
        # A copy: the answer may be a part of what further answers are taken from.
        shown = Layer.create(pixels.copy(), same | places | attributes | told, kind)
        self._of, self._shown = layer, self._viewer.add_layer(shown)
        shown.editable = False
        self._added(layer, shown)
        if active in layers:
            layers.selection.active = active

    def _remove(self) -> None:
        shown, self._shown, self._of = self._shown, None, None
        if shown is not None and shown in self._viewer.layers:
            self._viewer.layers.remove(shown)


def slice_at_slider(viewer: ViewerModel, layer: Layer) -> int:
    """Return which slice of a volume the slider stands at.

    Raises
    ------
    PorescopeError
        If it stands outside the volume.
    """
    z = viewer.dims.point[SLICES - 3]
    index = round(float((z - layer.translate[SLICES]) / layer.scale[SLICES]))
    if not 0 <= index < len(layer.data):
        raise PorescopeError(f"The slider stands outside {layer.name}; move it back.")
    return index


def set_changed(shown: Layer, attributes: Mapping[str, Any]) -> None:
    """Set what is no more as it was set last; what the user has set meanwhile stays."""
    told = shown.metadata[CHANNEL]
    for name, value in attributes.items():
        if name in told and not np.array_equal(told[name], value):
            told[name] = value
            setattr(shown, name, value)
