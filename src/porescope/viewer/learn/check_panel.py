"""The section of the dock that checks a segmentation by its physics."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from napari.layers import Layer
from qtpy.QtWidgets import QPushButton

from porescope.errors import PorescopeError
from porescope.pipeline.catalogue.check import DISAGREEMENT, TABLE
from porescope.pipeline.workspace import Workspace
from porescope.viewer.panels import MISSING, NOTHING, StepPanel


class CheckPanel(StepPanel):
    """Shows where the real images disagree with a segmentation, worst slices first."""

    def _complete(self) -> None:
        self.worst = QPushButton("Next worst slice")
        self.worst.setVisible(False)
        self.worst.clicked.connect(self._go_on)
        self.column.addWidget(self.worst)
        self._worst: Any = iter(())

    def run(self) -> None:
        """Run the check, if there are labels."""
        if self.chosen_images() and self.labels.currentText() == NOTHING:
            raise PorescopeError(MISSING["labels"])
        super().run()

    def _show(self, made: Workspace, layers: list[Layer], used: list[Layer]) -> Iterator[None]:
        *_, judged = used
        for layer in layers:  # short, as the list of layers is narrow
            layer.name = f"{layer.name}, {judged.name.removeprefix('labels ')}"
        yield from super()._show(made, layers, used)
        for layer in layers[:1]:
            layer.visible = layer.name.startswith(DISAGREEMENT)
        known = [
            (row["misfit"], row["slice"])
            for row in made.tables[TABLE]
            if row["misfit"] is not None and math.isfinite(row["misfit"])
        ]
        self._worst = cycle(sorted(known, reverse=True))
        self.worst.setVisible(bool(known))

    def _go_on(self) -> None:
        misfit, index = next(self._worst)
        self.curves.show_slice(index)
        self.runner.say(f"Slice {index}: misfit {misfit:.2f} %.")
