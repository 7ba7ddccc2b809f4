"""Two segmentations against one another, as a layer and slice by slice."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGroupBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from porescope.errors import PorescopeError
from porescope.measure.differences import (
    FALSE_PORE,
    FALSE_SOLID,
    NOT_COMPARED,
    Differences,
    difference_map,
    differences,
)
from porescope.pipeline.run import Report
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel
from porescope.viewer.layers import KEY, from_layer, to_layer_data
from porescope.viewer.work import Runner, Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAME = "differences"
# Red and blue are apart for colour-blind eyes too.
FALSE_SOLID_COLOUR, FALSE_PORE_COLOUR = "#ff3b30", "#2f7dff"
LISTED = 100
TABLE_PX = 130


class DifferencesGroup(QGroupBox):
    """Shows where two segmentations differ and how much, worst slices first.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    chosen : callable()
        Returns the labels to look at and those to compare them with; None where none are chosen.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        chosen: Callable[[], tuple[Labels | None, Labels | None]],
    ) -> None:
        super().__init__("Differences")
        self._viewer = viewer
        self._chosen = chosen
        self._labels: Labels | None = None
        self._shown: Layer | None = None
        self.runner = Runner(session, "Show differences", self.run)
        self.shares = QLabel()
        self.shares.setWordWrap(True)
        self.shares.setVisible(False)
        self.slices = QTableWidget(0, 3)
        self.slices.setHorizontalHeaderLabels(["slice", "false solid", "false pore"])
        header = self.slices.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.slices.verticalHeader().setVisible(False)
        self.slices.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.slices.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.slices.setToolTip("Worst slices first; click on one to go there.")
        self.slices.setFixedHeight(TABLE_PX)
        self.slices.setVisible(False)
        self.slices.itemClicked.connect(self._show_slice)
        column = QVBoxLayout(self)
        for widget in (self.runner, self.shares, self.slices):
            column.addWidget(widget)

    def run(self) -> None:
        """Show the differences as a layer, and count them.

        Raises
        ------
        PorescopeError
            If there are no two segmentations to compare.
        """
        labels, truth = self._chosen()
        if labels is None or truth is None or labels is truth:
            raise PorescopeError(
                "Choose two segmentations above: Labels, and others in Compare with."
            )
        stack, true = from_layer(labels), from_layer(truth)
        names = labels.name, truth.name
        self.shares.setVisible(False)
        self.slices.setVisible(False)

        def task(report: Report, cancel: Cancel) -> Stack:
            return difference_map(stack, true)

        self.runner.start(task, lambda found: self._show(found, labels, names))

    def _show(self, found: Stack, labels: Labels, names: tuple[str, str]) -> None:
        layers = self._viewer.layers
        if self._shown is not None and self._shown in layers:
            layers.remove(self._shown)
        colours = {
            None: "transparent",
            FALSE_SOLID: FALSE_SOLID_COLOUR,
            FALSE_PORE: FALSE_PORE_COLOUR,
            NOT_COMPARED: "transparent",
        }
        data, attributes, kind = to_layer_data(found, NAME, colormap=colours, opacity=0.8)
        attributes["metadata"][KEY] |= {"is_map": True}
        active = layers.selection.active
        self._shown = self._viewer.add_layer(Layer.create(data, attributes, kind))
        self._shown.editable = False
        if active in layers:
            layers.selection.active = active
        self._labels = labels

        def task(report: Report, cancel: Cancel) -> Differences:
            return differences(
                found, progress=lambda done, total: report("counting", done, total), cancel=cancel
            )

        self.runner.start(task, lambda counted: self._tell(counted, names))

    def _tell(self, counted: Differences, names: tuple[str, str]) -> None:
        self.shares.setText(
            f"{names[0]} against {names[1]}:<br>"
            f"<span style='color: {FALSE_SOLID_COLOUR}'>■</span> false solid "
            f"{counted.false_solid_percent:.3g} %, "
            f"<span style='color: {FALSE_PORE_COLOUR}'>■</span> false pore "
            f"{counted.false_pore_percent:.3g} %"
        )
        self.shares.setVisible(True)
        rows = counted.rows()[:LISTED]
        self.slices.setRowCount(len(rows))
        for index, row in enumerate(rows):
            for column, (name, value) in enumerate(row.items()):
                item = QTableWidgetItem(str(value) if name == "slice" else f"{value:.3g} %")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.slices.setItem(index, column, item)
        self.slices.setVisible(True)

    def _show_slice(self, item: QTableWidgetItem) -> None:
        if self._shown is None or self._shown not in self._viewer.layers:
            return
        index = int(self.slices.item(item.row(), 0).text())
        z, *_ = self._shown.data_to_world((index, 0, 0))
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3 + SLICES, float(z))


def is_difference(layer: Any) -> bool:
    """Whether a layer shows differences."""
    return isinstance(layer, Labels) and bool(layer.metadata.get(KEY, {}).get("is_map"))
