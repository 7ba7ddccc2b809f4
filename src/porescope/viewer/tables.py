"""The tables of a step: as CSV, and as features of a layer for napari's own table."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from porescope.errors import PorescopeError
from porescope.pipeline.report import write_table
from porescope.viewer.layers import SOLID_COLOUR

if TYPE_CHECKING:
    from napari.components import ViewerModel

Rows = Sequence[Mapping[str, Any]]


class Tables(QWidget):
    """Buttons for what a step found out.

    Parameters
    ----------
    viewer : napari viewer
    say : callable(str or PorescopeError)
        Shows a sentence.
    """

    def __init__(
        self, viewer: ViewerModel, say: Callable[[PorescopeError | str | None], None]
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._say = say
        self._tables: dict[str, Rows] = {}
        self._layer: Layer | None = None
        self.save_button = QPushButton("Save as CSV…")
        self.save_button.clicked.connect(self._ask)
        self.layer_button = QPushButton("Table as layer")
        self.layer_button.setToolTip(
            "A point for each slice, whose features napari's Features table widget shows."
        )
        self.layer_button.clicked.connect(self._add_layer)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.save_button)
        row.addWidget(self.layer_button)
        self.setVisible(False)

    def offer(self, tables: Mapping[str, Rows], layer: Layer) -> None:
        """Show the buttons if there are tables; ``layer`` is what they are about."""
        self._tables = {name: rows for name, rows in tables.items() if rows}
        self._layer = layer
        self.setVisible(bool(self._tables))
        self.layer_button.setVisible(self._of_slices() is not None)

    def save(self, folder: Path) -> None:
        """Write every table into a folder.

        Raises
        ------
        PorescopeError
            If a file is there already or cannot be written.
        """
        paths = {name: folder / f"{name}.csv" for name in self._tables}
        for path in paths.values():
            if path.exists():
                raise PorescopeError(f"{path} is there already; choose another folder.")
        try:
            for name, path in paths.items():
                write_table(path, self._tables[name])
        except OSError as error:
            raise PorescopeError(f"Cannot write to {folder}: {error.strerror}.") from error
        self._say(f"Wrote {', '.join(path.name for path in paths.values())} to {folder}.")

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder for the tables")
        if folder:
            try:
                self.save(Path(folder))
            except PorescopeError as error:
                self._say(error)

    def _of_slices(self) -> str | None:
        """Return the name of the table with a row a slice, if there is one."""
        return next((name for name, rows in self._tables.items() if "slice" in rows[0]), None)

    def _add_layer(self) -> None:
        name = self._of_slices()
        if name is None or self._layer is None:
            return
        rows = self._tables[name]
        places = np.zeros((len(rows), 3))
        places[:, 0] = [row["slice"] for row in rows]
        self._viewer.add_layer(
            Points(
                places,
                name=f"{name} table",
                features={key: [row[key] for row in rows] for key in rows[0]},
                scale=self._layer.scale,
                translate=self._layer.translate,
                units=self._layer.units,
                face_color=SOLID_COLOUR,
                size=2,
            )
        )
        self._say("Layers → Visualize → Features table widget shows the table of this layer.")
