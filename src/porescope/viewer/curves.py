"""Curves in the dock: those of the report, beside the layers that they are about."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from porescope.pipeline.plots import PLOTS
from porescope.stack import SLICES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from napari.components import ViewerModel
    from napari.layers import Layer

PANEL_PX = 170
CURSOR = "#4aa3ff"
LISTED = 10


class Curves(QWidget):
    """The curves of a step's tables and the slices to doubt; a click on a slice shows it.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Layer | None = None
        self._canvas: Any = None
        self._cursors: list[Any] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.doubts = QLabel()
        self.doubts.setWordWrap(True)
        self.doubts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._column.addWidget(self.doubts)
        self.setVisible(False)
        viewer.dims.events.current_step.connect(self._move_cursors)

    def show_tables(self, tables: Mapping[str, Sequence[dict[str, Any]]], layer: Layer) -> None:
        """Draw the tables that have curves.

        Parameters
        ----------
        tables : mapping of str to rows
        layer : Layer
            Whose slices the tables are about.
        """
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        if self._canvas is not None:
            self._column.removeWidget(self._canvas)
            self._canvas.deleteLater()
            self._canvas = None
        self._layer, self._cursors = layer, []
        drawn = [(PLOTS[name], rows) for name, rows in tables.items() if name in PLOTS and rows]
        self.setVisible(bool(drawn))
        self.doubts.setText(_doubts([row for _, rows in drawn for row in rows]))
        self.doubts.setVisible(bool(self.doubts.text()))
        if not drawn:
            return
        panels = sum(plot.panels for plot, _ in drawn)
        figure = Figure(layout="constrained")
        self._canvas = FigureCanvasQTAgg(figure)  # type: ignore[no-untyped-call]
        self._canvas.setFixedHeight(PANEL_PX * panels)
        axes = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
        self._cursors = [(ax, ax.axvline(0, color=CURSOR, lw=1, visible=False)) for ax in axes]
        for plot, rows in drawn:
            own, axes = axes[: plot.panels], axes[plot.panels :]
            own[0].set_title(plot.title, fontsize="small")
            plot.draw(own, rows)
        figure.patch.set_alpha(0)
        colour = self.palette().text().color().name()
        for ax, _ in self._cursors:
            recolour(ax, colour)
        self._canvas.mpl_connect("button_press_event", self._clicked)
        self._column.insertWidget(0, self._canvas)
        self._move_cursors()

    def _clicked(self, event: Any) -> None:
        if self._layer is None or event.inaxes is None or event.inaxes.get_xlabel() != "slice":
            return
        self.show_slice(round(event.xdata))

    def show_slice(self, index: int) -> None:
        """Go to a slice of the layer that the tables are about, or the next that it has."""
        if self._layer is None:
            return
        index = min(max(index, 0), self._layer.data.shape[SLICES] - 1)
        z = self._layer.translate[SLICES] + index * self._layer.scale[SLICES]
        self._viewer.dims.set_point(SLICES, float(z))

    def _move_cursors(self, event: Any = None) -> None:
        if self._canvas is None or self._layer is None:
            return
        z = self._viewer.dims.point[SLICES] - self._layer.translate[SLICES]
        index = round(z / self._layer.scale[SLICES])
        for ax, cursor in self._cursors:
            cursor.set_visible(ax.get_xlabel() in ("slice", "plane"))
            cursor.set_xdata([index, index])
        self._canvas.draw_idle()


def _doubts(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return which slices to doubt and why, the first of them if there are many."""
    doubts = [f"slice {row['slice']}: {row['doubt']}" for row in rows if row.get("doubt")]
    more = len(doubts) - LISTED
    return "; ".join(doubts[:LISTED]) + (f"; and {more} more" if more > 0 else "")


def recolour(ax: Axes, colour: str) -> None:
    """Draw an axis in the window's own colours."""
    ax.set_facecolor("none")
    ax.tick_params(colors=colour, labelsize="small")
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_color(colour)
        text.set_fontsize("small")
    for spine in ax.spines.values():
        spine.set_color(colour)
