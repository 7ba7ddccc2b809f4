"""What the mouse does on a layer, in place of what napari would do in the same mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari.layers import Layer

Drag = Callable[[Layer, Any], Iterator[None]]


class InPlaceOf:
    """A drag of ours in some modes of a layer; cursor, keys and panning stay napari's.

    Parameters
    ----------
    layer : Layer
    ours : callable(mode)
        Returns what to do in a mode, or None to leave it to napari.
    """

    def __init__(self, layer: Layer, ours: Callable[[str], Drag | None]) -> None:
        self._layer = layer
        self._ours = ours
        self._now: Drag | None = None
        layer.events.mode.connect(self._follow)
        self.refresh()

    def refresh(self) -> None:
        """Ask once more what to do in the mode the layer is in."""
        mode = self._layer.mode
        self._layer.mode = "pan_zoom"
        self._layer.mode = mode

    def close(self) -> None:
        """Leave the layer to napari."""
        self._layer.events.mode.disconnect(self._follow)
        if self._now is not None:
            self._release()
            self.refresh()

    def _follow(self, event: Any = None) -> None:
        self._release()
        self._now = self._ours(self._layer.mode)
        if self._now is not None:
            # A mode that begins puts its own drag last.
            self._layer.mouse_drag_callbacks[-1] = self._now

    def _release(self) -> None:
        if self._now in self._layer.mouse_drag_callbacks:
            self._layer.mouse_drag_callbacks.remove(self._now)
        self._now = None
