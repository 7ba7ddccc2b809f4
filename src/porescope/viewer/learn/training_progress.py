"""How a training is getting on, as curves and as pictures."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QVBoxLayout, QWidget

from porescope.pipeline.trainings.watch import Losses
from porescope.viewer.curves import recolour

HEIGHT_PX = 290
COLOURS = ("#ffb000", "#4aa3ff", "#009e73", "#cc79a7", "#d55e00")
COLUMNS = 3


class TrainingProgress(QWidget):
    """Losses by epoch, and what the newest network sees, should say and says of an example."""

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._canvas: Any = None
        self._shown: Any = None
        self.setVisible(False)

    def show_training(
        self, losses: Sequence[Losses], pictures: Mapping[str, NDArray[np.float32]]
    ) -> None:
        """Draw, if there is anything new."""
        told = (list(losses), {name: picture.tobytes() for name, picture in pictures.items()})
        if told == self._shown:
            return
        self._shown = told
        self.setVisible(bool(losses))
        if not losses:
            return
        figure = self._cleared()
        top, bottom = figure.add_gridspec(2, 1, height_ratios=(3, 2))
        ax = figure.add_subplot(top)
        _draw_losses(ax, losses)
        axes = [figure.add_subplot(place) for place in bottom.subgridspec(1, COLUMNS)]
        for each, (name, picture) in zip(axes, pictures.items(), strict=False):
            each.imshow(picture, cmap="gray")
            each.set_title(name)
        for each in axes:
            each.set(xticks=[], yticks=[], visible=bool(pictures))
        colour = self.palette().text().color().name()
        for each in (ax, *axes):
            recolour(each, colour)
        self._canvas.draw_idle()

    def _cleared(self) -> Any:
        """Return an empty figure."""
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        if self._canvas is None:
            figure = Figure(layout="constrained")
            figure.patch.set_alpha(0)
            self._canvas = FigureCanvasQTAgg(figure)  # type: ignore[no-untyped-call]
            self._canvas.setFixedHeight(HEIGHT_PX)
            self._column.addWidget(self._canvas)
        self._canvas.figure.clear()
        return self._canvas.figure


def _draw_losses(ax: Any, losses: Sequence[Losses]) -> None:
    for each, colour in zip(losses, cycle(COLOURS), strict=False):
        for points, style, what in (
            (each.training, ":", "training"),
            (each.validation, "-", "validation"),
        ):
            if points:
                epochs, values = zip(*points, strict=True)
                name = f"{each.name} {what}".strip()
                ax.plot(epochs, values, style, color=colour, lw=1, marker=".", ms=3, label=name)
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(fontsize="x-small", framealpha=0.5)
