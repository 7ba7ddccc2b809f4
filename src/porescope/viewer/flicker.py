"""Before and after in turns, so that the eye sees what moved."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton

if TYPE_CHECKING:
    from napari.components import ViewerModel

EACH_MS = 500


class Flicker(QPushButton):
    """A button that shows two groups of layers in turns until it is pressed again.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__("Flicker before and after")
        self._viewer = viewer
        self._groups: tuple[list[Layer], list[Layer]] = ([], [])
        self._timer = QTimer(self)
        self._timer.setInterval(EACH_MS)
        self._timer.timeout.connect(self._turn)
        self.setCheckable(True)
        self.setVisible(False)
        self.toggled.connect(self._toggled)
        # Before the layer is gone: what follows the list then finds visible what is left.
        viewer.layers.events.removing.connect(self._removing)

    def offer(self, before: Sequence[Layer], after: Sequence[Layer]) -> None:
        """Show the button if there is something to compare."""
        self.stop()
        self._groups = list(before), list(after)
        self.setVisible(bool(before and after))

    def stop(self) -> None:
        """Show what came after, or before where nothing else is left."""
        self.setChecked(False)

    def _removing(self, event: Any) -> None:
        removed = self._viewer.layers[event.index]
        for group in self._groups:
            if removed in group:
                group.remove(removed)
                self.stop()
                self.setVisible(all(map(bool, self._groups)))
                if not self._groups[1]:
                    self._show(after=False)

    def _toggled(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()
            self._show(after=bool(self._groups[1]))

    def _turn(self) -> None:
        _, after = self._groups
        self._show(after=not any(layer.visible for layer in after))

    def _show(self, after: bool) -> None:
        for group, visible in zip(self._groups, (not after, after), strict=True):
            for layer in group:
                layer.visible = visible
