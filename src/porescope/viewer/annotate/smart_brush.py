"""A brush that stops where the image changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from porescope.errors import PorescopeError
from porescope.segment.annotation import brush_disc, grow, smoothed
from porescope.viewer.annotate.planes import shown_axis, shown_index
from porescope.viewer.work import Latest, Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

Greys = NDArray[np.float32]
STEPS_PER_BRUSH = 4
"""Dabs along a move of the mouse as long as the brush is wide; as many as napari makes."""


class ShownGreys:
    """The slice of an image at the slider, smoothed, read behind the window.

    Parameters
    ----------
    parent : QWidget
    session : Session
        Of the window.
    viewer : napari viewer
    say : callable
        Told of what cannot be read.
    """

    def __init__(
        self,
        parent: QWidget,
        session: Session,
        viewer: ViewerModel,
        say: Callable[[PorescopeError], None],
    ) -> None:
        self._viewer = viewer
        self._latest = Latest(parent, session, self._keep, say)
        self._asked: Any = None
        self._found: tuple[Any, Greys] | None = None

    def of(self, image: Layer) -> Greys | None:
        """Return the slice, or None while it is being read."""
        key = self._key(image)
        if self._found is not None and self._found[0] == key:
            return self._found[1]
        self.read(image)
        return None

    def read(self, image: Layer) -> None:
        """Begin to read the slice at the slider."""
        key = self._key(image)
        _, axis, index = key
        if key == self._asked or index is None:
            return
        self._asked = key
        part: list[Any] = [slice(None)] * 3
        part[axis] = index
        data = image.data[0] if image.multiscale else image.data
        self._latest.ask(lambda: (key, smoothed(np.asarray(data[tuple(part)], dtype=np.float32))))

    def forget(self) -> None:
        """Free the memory."""
        self._asked = self._found = None

    def _key(self, image: Layer) -> Any:
        return image, shown_axis(self._viewer, image), shown_index(self._viewer, image)

    def _keep(self, found: tuple[Any, Greys]) -> None:
        self._found = found


class SmartBrush:
    """A drag that paints what looks as where it began and is connected to it, under the brush.

    Parameters
    ----------
    viewer : napari viewer
    greys : callable()
        Returns the slice at the slider, smoothed, or raises PorescopeError.
    tolerance : callable()
        Returns how far grey values may lie apart.
    say : callable
        Told why nothing is painted.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        greys: Callable[[], Greys],
        tolerance: Callable[[], float],
        say: Callable[[PorescopeError | str], None],
    ) -> None:
        self._viewer = viewer
        self._greys = greys
        self._tolerance = tolerance
        self._say = say

    def drag(self, layer: Layer, event: Any) -> Iterator[None]:
        """Paint while the left button is held; undone as one stroke."""
        index = shown_index(self._viewer, layer)
        frozen = layer.cursor == "circle_frozen"  # the brush is being sized
        if event.button != 1 or frozen or index is None or self._viewer.dims.ndisplay != 2:
            return
        try:
            stroke = _Stroke(layer, self._greys(), shown_axis(self._viewer, layer), index)
            stroke.begin(layer.world_to_data(event.position), self._tolerance())
        except PorescopeError as error:
            self._say(error)
            return
        with layer.block_history():
            stroke.go_on(layer.world_to_data(event.position))
            yield
            while event.type == "mouse_move":
                stroke.go_on(layer.world_to_data(event.position))
                yield


class _Stroke:
    """A stroke of the smart brush in one slice."""

    def __init__(self, layer: Layer, greys: Greys, axis: int, index: int) -> None:
        self._layer, self._greys = layer, greys
        self._axis, self._index = axis, index
        self._in_plane = [other for other in range(3) if other != axis]
        self._spacing = [abs(float(layer.scale[other])) for other in self._in_plane]
        self._painted = np.zeros(greys.shape, bool)

    def begin(self, position: Any, tolerance: float) -> None:
        """Take the grey value to look for from where the mouse was pressed."""
        self._last = self._place(position)
        pixel = tuple(np.rint(self._last).astype(int))
        if not all(0 <= at < size for at, size in zip(pixel, self._greys.shape, strict=True)):
            raise PorescopeError("The stroke begins outside the image; begin on it.")
        self._grey, self._tolerance = float(self._greys[pixel]), tolerance
        self._painted[pixel] = True  # what follows is connected to it
        self._first = np.array(pixel)[:, np.newaxis]

    def go_on(self, position: Any) -> None:
        """Paint from where the mouse was to where it is."""
        here = self._place(position)
        size = self._layer.brush_size
        steps = round(max(abs(here - self._last)) / size * STEPS_PER_BRUSH)
        dabs = [self._dab(at, size) for at in np.linspace(self._last, here, steps + 1)]
        self._last = here
        rows, columns = np.concatenate([self._first, *dabs], axis=1)
        indices = [rows, columns]
        indices.insert(self._axis, np.full(len(rows), self._index))
        self._set(tuple(indices))

    def _place(self, position: Any) -> NDArray[np.float64]:
        return np.asarray(position, dtype=float)[self._in_plane]

    def _dab(self, centre: NDArray[np.float64], size: float) -> NDArray[np.int64]:
        part, disc = brush_disc(self._greys.shape, centre, size, self._spacing)
        painted = self._painted[part]
        found = grow(self._greys[part], disc, painted, self._grey, self._tolerance)
        fresh = np.argwhere(found & ~painted).T
        painted |= found
        return fresh + np.array([[along.start] for along in part])

    def _set(self, indices: tuple[NDArray[np.int64], ...]) -> None:
        layer = self._layer
        if layer.preserve_labels:
            free = layer.data[indices] == 0
            indices = tuple(each[free] for each in indices)
        if len(indices[0]):
            layer.data_setitem(indices, layer.selected_label)
