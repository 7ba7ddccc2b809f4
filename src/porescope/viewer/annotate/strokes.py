"""Strokes on a layer, heard of and remembered as they are painted.

napari's own undo forgets after 100 strokes and when a layer was locked, keeps up to 50 bytes a
pixel, and tells nobody when it undoes. So each stroke is remembered here as what it changed in the
slice that was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from porescope.segment.annotation import plane_part
from porescope.segment.edits import Edit, History, Labels, Part, Patch
from porescope.viewer.annotate.planes import shown_axis, shown_index

if TYPE_CHECKING:
    from napari.components import ViewerModel

PAINTING = ("paint", "erase", "fill", "polygon")
FORGET_PX = 1 << 22
"""Painted pixels after which napari is made to forget what it keeps of them."""


class Strokes:
    """What is painted on one layer.

    Parameters
    ----------
    parent : QWidget
        Nothing is remembered any more once it is gone.
    viewer : napari viewer
    layer : Layer
        Labels in memory, of three axes.
    then : callable(edit)
        Called after each stroke.
    """

    def __init__(
        self, parent: QWidget, viewer: ViewerModel, layer: Layer, then: Callable[[Edit], None]
    ) -> None:
        self.layer = layer
        self.history = History()
        self._viewer = viewer
        self._then = then
        self._before: tuple[Part, Labels] | None = None
        self._painted_px = 0
        self._ended = QTimer(parent)
        self._ended.setSingleShot(True)
        self._ended.timeout.connect(self._end)
        layer.mouse_drag_callbacks.insert(0, self._pressed)
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._replaced)

    def close(self) -> None:
        """Let go of the layer."""
        self.layer.mouse_drag_callbacks.remove(self._pressed)
        self.layer.events.paint.disconnect(self._painted)
        self.layer.events.data.disconnect(self._replaced)

    def settle(self) -> None:
        """Remember what was painted since the mouse was pressed."""
        if self._before is None:
            return
        where, before = self._before
        patch = Patch.between(where, before, self.layer.data[where])
        if patch is None:
            return
        self._before = where, self.layer.data[where].copy()
        self.history.add([patch])
        rows, columns = sorted(part.stop - part.start for part in patch.where)[1:]
        self._painted_px += rows * columns
        self._then((patch,))

    def forget_slice(self) -> None:
        """Take no notice of what was changed in the slice otherwise than by a stroke."""
        self._before = None

    def _pressed(self, layer: Layer, event: Any) -> Iterator[None]:
        self.settle()
        index = shown_index(self._viewer, layer)
        if layer.mode not in PAINTING or self._viewer.dims.ndisplay != 2 or index is None:
            return
        where = plane_part(layer.data.shape, shown_axis(self._viewer, layer), index)
        self._before = where, layer.data[where].copy()
        yield
        while event.type == "mouse_move":
            yield
        self._ended.start()

    def _painted(self, event: Any = None) -> None:
        # Of a polygon napari tells before it has painted it.
        self._ended.start()

    def _replaced(self, event: Any = None) -> None:
        self._before = None
        self.history = History()

    def _end(self) -> None:
        self.settle()
        if self._painted_px > FORGET_PX:
            self._painted_px = 0
            mode = self.layer.mode
            self.layer.editable = False
            self.layer.editable = True
            self.layer.mode = mode
