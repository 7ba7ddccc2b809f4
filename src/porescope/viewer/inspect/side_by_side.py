"""Voltages side by side or in turns, in one contrast."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.layers import Image, Layer
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QGroupBox

from porescope.viewer.flicker import Flicker
from porescope.viewer.inspect.contrast import Levels, LinkedContrast
from porescope.viewer.layers import KEY, contrast_limits, is_map, is_volume
from porescope.viewer.work import Latest, Message, Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

TOO_FEW = "Show two stacks or more in the layer list to compare them."
OWN, RELATIVE, SAME = "each its own", "same dark and bright", "same grey values"


class SideBySide(QGroupBox):
    """Shows several stacks at once, and links their contrast.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__("Voltages")
        self._viewer = viewer
        self.grid = QCheckBox("Side by side")
        self.grid.setChecked(viewer.canvas.grid.enabled)
        self.grid.toggled.connect(self._show_grid)
        self.flicker = Flicker(viewer, "Flicker visible stacks")
        self.flicker.pressed.connect(self._offer)
        self.flicker.toggled.connect(self._refuse_one)
        self.contrast = QComboBox()
        self.contrast.addItems([OWN, RELATIVE, SAME])
        self.contrast.setToolTip(
            "Change the contrast of one stack, and the others follow: by where it lies between the "
            "dark and the bright of each stack, or by the same grey values."
        )
        self.contrast.currentTextChanged.connect(self._link)
        self.message = Message()
        rows = QFormLayout(self)
        rows.addRow(self.grid)
        rows.addRow("Contrast", self.contrast)
        rows.addRow(self.flicker)
        rows.addRow(self.message)
        self._link_of: LinkedContrast | None = None
        self._known: WeakKeyDictionary[Layer, Levels] = WeakKeyDictionary()
        self._latest = Latest(self, session, self._link_by, self.message.say)
        viewer.canvas.grid.events.enabled.connect(self._grid_changed)
        self.reset_choices()

    def reset_choices(self) -> None:
        """Follow a change of the layer list."""
        self._offer()
        linked = [] if self._link_of is None else self._link_of.layers
        if self.contrast.currentText() != OWN and set(linked) != set(self._stacks()):
            self._link()

    def close_down(self) -> None:
        """Let go of the window's layers."""
        self._viewer.canvas.grid.events.enabled.disconnect(self._grid_changed)
        if self._link_of is not None:
            self._link_of.end()

    def _stacks(self) -> list[Layer]:
        """Return the image stacks of the window, topmost first."""
        return [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image) and is_volume(layer) and not is_map(layer)
        ]

    def _offer(self) -> None:
        if self.flicker.isChecked():
            return
        shown = [layer for layer in self._stacks() if layer.visible]
        shown.sort(key=lambda layer: layer.metadata.get(KEY, {}).get("beam_kv") or 0.0)
        self.flicker.offer(*([layer] for layer in shown))
        self.flicker.setVisible(True)

    def _refuse_one(self, on: bool) -> None:
        """Say what is missing where there is nothing to compare."""
        few = sum(layer.visible for layer in self._stacks()) < 2
        if on and few:
            self.flicker.stop()
        self.message.say(TOO_FEW if on and few else None)

    def _show_grid(self, on: bool) -> None:
        few = sum(layer.visible for layer in self._stacks()) < 2
        self.message.say(TOO_FEW if on and few else None)
        self._viewer.dims.ndisplay = 2
        self._viewer.canvas.grid.enabled = on
        self._viewer.reset_view()

    def _grid_changed(self, event: Any = None) -> None:
        self.grid.blockSignals(True)
        self.grid.setChecked(self._viewer.canvas.grid.enabled)
        self.grid.blockSignals(False)

    def _link(self, event: Any = None) -> None:
        if self._link_of is not None:
            self._link_of.end()
            self._link_of = None
        self.message.say(None)
        wanted, stacks = self.contrast.currentText(), self._stacks()
        if wanted == OWN:
            return
        if not stacks:
            self.message.say("There are no stacks to link yet; load some.")
        elif wanted == SAME:
            self._link_of = LinkedContrast(dict.fromkeys(stacks, (0.0, 1.0)))
        else:
            unknown = {layer: _data(layer) for layer in stacks if layer not in self._known}
            self._latest.ask(
                lambda: {layer: contrast_limits(data) for layer, data in unknown.items()}
            )

    def _link_by(self, levels: dict[Layer, Levels]) -> None:
        self._known.update(levels)
        stacks = self._stacks()
        if self.contrast.currentText() != RELATIVE:
            return
        if not all(layer in self._known for layer in stacks):
            self._link()
            return
        if self._link_of is not None:
            self._link_of.end()
        self._link_of = LinkedContrast({layer: self._known[layer] for layer in stacks})


def _data(layer: Layer) -> Any:
    return layer.data[0] if layer.multiscale else layer.data
