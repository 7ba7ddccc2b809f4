"""Layers that are chosen by name in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer


def offer(choice: QComboBox, names: Sequence[str], chosen: str | None) -> None:
    """List names, unheard; the first is chosen where the chosen one is not among them."""
    blocked = QSignalBlocker(choice)
    choice.clear()
    choice.addItems(names)
    if chosen in names:
        choice.setCurrentText(chosen)
    blocked.unblock()


def layer_named(viewer: ViewerModel, name: str) -> Layer | None:
    """Return the layer of a name, if there is one."""
    return next((layer for layer in viewer.layers if layer.name == name), None)
