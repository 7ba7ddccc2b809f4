"""From one doubtful place of a map to the next."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer, Points
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QGroupBox, QPushButton

from porescope.errors import PorescopeError
from porescope.measure.worst_places import Meaning, Place, worst_places
from porescope.pipeline.catalogue.check import DISAGREEMENT
from porescope.pipeline.catalogue.segment import PROBABILITY
from porescope.pipeline.run import Report
from porescope.stack import COLUMNS, ROWS
from porescope.tracking import Cancel
from porescope.viewer.choices import layer_named, offer
from porescope.viewer.inspect.cursor import AXES, go_to
from porescope.viewer.inspect.differences import is_difference
from porescope.viewer.layers import from_layer, is_map, is_volume
from porescope.viewer.work import Runner, Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

MARK = "worst place"
MARK_COLOUR = "#33dd77"
OF_WIDTH = 15
"""A place is the shorter side of a slice divided by this, unless the user says otherwise."""


class WorstPlacesGroup(QGroupBox):
    """Finds where a map is worst, and goes there.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__("Worst places")
        self._viewer = viewer
        self.map = QComboBox()
        self.map.currentTextChanged.connect(self._choose)
        self.map.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.size_nm = QDoubleSpinBox()
        self.size_nm.setDecimals(0)
        self.size_nm.setRange(1, 1e6)
        self.size_nm.setSuffix(" nm")
        self.size_nm.setToolTip("Of a place; two places are at least so far apart.")
        self.runner = Runner(session, "Find worst places", self.run)
        self.next = QPushButton("Next worst place")
        self.next.setEnabled(False)
        self.next.clicked.connect(self._go_on)
        rows = QFormLayout(self)
        rows.addRow("Map", self.map)
        rows.addRow("Size", self.size_nm)
        rows.addRow(self.runner)
        rows.addRow(self.next)
        self._layer: Layer | None = None
        self._pixel_nm = 1.0
        self._mark: Points | None = None
        self._places: list[Place] = []
        self._at = -1
        self._choose()
        self.reset_choices()

    def reset_choices(self) -> None:
        """List the maps there are, newest first."""
        chosen = self.map.currentText()
        layers = [layer for layer in self._viewer.layers if is_volume(layer) and is_map(layer)]
        offer(self.map, [layer.name for layer in reversed(layers)], chosen)
        if self.map.currentText() != chosen:
            self._choose()
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._forget()

    def run(self) -> None:
        """Look for the worst places, and go to the first.

        Raises
        ------
        PorescopeError
            If there is no map.
        """
        layer = self._chosen()
        if layer is None:
            raise PorescopeError(
                "There is no map yet: show differences, segment by networks, or check by physics."
            )
        stack, meaning, size_nm = from_layer(layer), meaning_of(layer), self.size_nm.value()

        def task(report: Report, cancel: Cancel) -> list[Place]:
            return worst_places(
                stack,
                meaning,
                size_nm=size_nm,
                progress=lambda done, total: report("looking", done, total),
                cancel=cancel,
            )

        self._forget()
        self._pixel_nm = stack.spacing_nm[COLUMNS]
        self.runner.start(task, lambda places: self._found(layer, places))

    def _chosen(self) -> Layer | None:
        return layer_named(self._viewer, self.map.currentText())

    def _choose(self, event: object = None) -> None:
        """Offer a size that fits the map."""
        self._forget()
        self.map.setToolTip(self.map.currentText())
        layer = self._chosen()
        self.size_nm.setEnabled(layer is not None)
        if layer is not None:
            try:
                stack = from_layer(layer)
            except PorescopeError:
                return
            sides = (stack.shape[axis] * stack.spacing_nm[axis] for axis in (ROWS, COLUMNS))
            self.size_nm.setValue(min(sides) / OF_WIDTH)

    def _forget(self) -> None:
        self._layer, self._places, self._at = None, [], -1
        self.next.setEnabled(False)
        self.runner.say(None)

    def _found(self, layer: Layer, places: list[Place]) -> None:
        if layer not in self._viewer.layers:
            raise PorescopeError("The map was removed meanwhile; choose another.")
        if not places:
            self.runner.say(f"Nothing stands out in {layer.name}.")
            return
        self._layer, self._places = layer, places
        self.next.setEnabled(True)
        layer.visible = True
        self._go_on()

    def _go_on(self) -> None:
        if self._layer is None:
            return
        self._at = (self._at + 1) % len(self._places)
        place, viewer = self._places[self._at], self._viewer
        viewer.dims.ndisplay = 2
        voxel = (place.slice, place.row, place.column)
        viewer.scene.camera.center = tuple(go_to(viewer, self._layer, *voxel)[list(AXES)])
        if self._mark is None or self._mark not in viewer.layers:
            active = viewer.layers.selection.active
            # On the voxels of the map, so that the slider goes on by slices.
            self._mark = viewer.add_points(
                [voxel],
                name=MARK,
                scale=self._layer.scale,
                translate=self._layer.translate,
                symbol="disc",
                face_color="transparent",
                border_color=MARK_COLOUR,
                border_width=0.05,
                units=self._layer.units,
            )
            viewer.layers.selection.active = active
        self._mark.data = [voxel]
        self._mark.size = self.size_nm.value() / self._pixel_nm
        self.runner.say(
            f"Place {self._at + 1} of {len(self._places)}: slice {place.slice}, "
            f"y {place.row}, x {place.column}."
        )


def meaning_of(layer: Layer) -> Meaning:
    """Return what the values of a map mean."""
    if is_difference(layer):
        return "difference"
    if layer.name.startswith(PROBABILITY):
        return "probability"
    return "disagreement" if layer.name.startswith(DISAGREEMENT) else "value"
