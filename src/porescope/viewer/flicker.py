"""Before and after in turns, so that the eye sees what moved."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
        self._groups: tuple[Sequence[Layer], Sequence[Layer]] = ((), ())
        self._timer = QTimer(self)
        self._timer.setInterval(EACH_MS)
        self._timer.timeout.connect(self._turn)
        self.setCheckable(True)
        self.setVisible(False)
        self.toggled.connect(self._toggled)

    def offer(self, before: Sequence[Layer], after: Sequence[Layer]) -> None:
        """Show the button if there is something to compare."""
        self.setChecked(False)
        self._groups = before, after
        self.setVisible(bool(before and after))

    def _toggled(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()
            self._show(after=True)

    def _turn(self) -> None:
        _, after = self._groups
        self._show(after=not any(layer.visible for layer in after))

    def _show(self, after: bool) -> None:
        """Show one group; whatever was removed meanwhile is left alone."""
        for group, visible in zip(self._groups, (not after, after), strict=True):
            for layer in group:
                if layer in self._viewer.layers:
                    layer.visible = visible
