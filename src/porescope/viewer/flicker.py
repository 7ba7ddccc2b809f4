"""Layers in turns, so that the eye sees what differs."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QPushButton

if TYPE_CHECKING:
    from napari.components import ViewerModel

EACH_MS = 500


class Flicker(QPushButton):
    """A button that shows groups of layers in turns until it is pressed again.

    Parameters
    ----------
    viewer : napari viewer
    text : str
        On the button.
    """

    def __init__(self, viewer: ViewerModel, text: str = "Flicker before and after") -> None:
        super().__init__(text)
        self._viewer = viewer
        self._groups: list[list[Layer]] = []
        self._before: dict[Layer, bool] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(EACH_MS)
        self._timer.timeout.connect(self._turn)
        self.setCheckable(True)
        self.setVisible(False)
        self.toggled.connect(self._toggled)
        # Before the layer is gone: what follows the list then finds visible what is left.
        viewer.layers.events.removing.connect(self._removing)

    def offer(self, *groups: Sequence[Layer]) -> None:
        """Show the button if there is something to compare."""
        self.stop()
        self._groups = [list(group) for group in groups]
        self.setVisible(all(self._groups) and len(self._groups) > 1)

    def stop(self) -> None:
        """Show what was shown before."""
        self.setChecked(False)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802  (Qt calls it so)
        """Stop where the section is left; a window that is only minimised goes on."""
        if not event.spontaneous():
            self.stop()
        super().hideEvent(event)

    def _removing(self, event: Any) -> None:
        removed = self._viewer.layers[event.index]
        for group in self._groups:
            if removed in group:
                group.remove(removed)
                self.stop()
                left = [group for group in self._groups if group]
                self.setVisible(len(left) > 1)
                # An eye that saw one of them is left with another.
                if not any(layer.visible for group in left for layer in group):
                    self._show(left[-1:])
                self._groups = left
                return

    def _toggled(self, on: bool) -> None:
        if on:
            self._before = {layer: layer.visible for group in self._groups for layer in group}
            self._timer.start()
        else:
            self._timer.stop()
            for layer, visible in self._before.items():
                layer.visible = visible
            self._before = {}

    def _turn(self) -> None:
        shown = [any(layer.visible for layer in group) for group in self._groups]
        last = max((index for index, visible in enumerate(shown) if visible), default=-1)
        self._show([self._groups[(last + 1) % len(self._groups)]])

    def _show(self, groups: Sequence[Sequence[Layer]]) -> None:
        """Show some groups and hide the others."""
        wanted = [layer for group in groups for layer in group]
        for layer in (layer for group in self._groups for layer in group):
            layer.visible = layer in wanted
