"""The section of the dock for looking: from three sides, side by side, and where it is worst."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QGroupBox, QLabel, QLineEdit, QVBoxLayout

from porescope.pipeline.run import Report
from porescope.tracking import Cancel
from porescope.viewer.choices import layer_named, offer
from porescope.viewer.inspect.differences import DifferencesGroup
from porescope.viewer.inspect.figure import free_path, offered_path, take_figure, write_figure
from porescope.viewer.inspect.overlay import KEYS, OverlayKeys
from porescope.viewer.inspect.sections import Sections
from porescope.viewer.inspect.side_by_side import SideBySide
from porescope.viewer.inspect.surface import SurfaceGroup
from porescope.viewer.inspect.worst_places import WorstPlacesGroup
from porescope.viewer.layers import is_map, is_volume
from porescope.viewer.panels import NOTHING, Panel
from porescope.viewer.work import Session

SECTIONS = "Porescope cross-sections"


class InspectPanel(Panel):
    """Looks at stacks and segmentations; nothing is changed but how the window shows them.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Save figure",
            "Look at stacks from three sides, compare segmentations, and go where they are worst.",
            can_cancel=False,
        )
        self.labels, self.truth = QComboBox(), QComboBox()
        self.cross_sections = QCheckBox("Cross-sections xz and yz")
        self.cross_sections.setToolTip(
            "Cuts through the cursor; a click on any of the three views moves it."
        )
        self.scale_bar = QCheckBox("Scale bar")
        self.voltages = SideBySide(viewer, session)
        self.differences = DifferencesGroup(
            viewer, session, lambda: (self._labels(), self._truth())
        )
        self.worst = WorstPlacesGroup(viewer, session)
        self.surface = SurfaceGroup(viewer, session, self._labels)
        self.figure = QLineEdit()
        self.figure.setPlaceholderText("PNG file; empty: named by itself")
        # What the user chose otherwise than we would have.
        self._chosen: dict[QComboBox, str] = {}
        for combo in (self.labels, self.truth):
            combo.textActivated.connect(lambda name, combo=combo: self._remember(combo, name))
        self.labels.currentTextChanged.connect(self._offer_truths)
        self.fields.addRow("Labels", self.labels)
        self.fields.addRow("Compare with", self.truth)

        self.column.removeWidget(self.runner)
        for widget in (
            self.cross_sections,
            self.scale_bar,
            _keys(),
            self.differences,
            self.worst,
            self.voltages,
            self.surface,
            self._figure(),
        ):
            self.column.addWidget(widget)

        self._keys = keys = OverlayKeys(viewer, self._labels)
        self._sections: list[Sections] = []
        self._opened = False
        bar = viewer.canvas.overlays.scale_bar
        self.cross_sections.toggled.connect(self._show_sections)
        self.scale_bar.toggled.connect(lambda on: setattr(bar, "visible", on))
        followed = bar.events.visible.connect(self._follow_scale_bar)
        groups, sections = (self.voltages, self.surface), self._sections

        def close_down() -> None:
            keys.unbind()
            _remove(viewer, sections)
            bar.events.visible.disconnect(followed)
            for group in groups:
                group.close_down()

        # This widget is gone by then, and Qt would keep a bound method only weakly.
        self.destroyed.connect(close_down)
        self.reset_choices()

    def reset_choices(self) -> None:
        """List the layers there are."""
        found, truths = self._segmentations()
        offer(self.labels, [*found, *truths], self._chosen.get(self.labels))
        self._offer_truths()
        for group in (self.voltages, self.worst):
            group.reset_choices()

    def run(self) -> None:
        """Save the picture as a figure; the file is written in a thread."""
        typed = self.figure.text().strip()
        path = Path(typed).expanduser() if typed else offered_path(self.viewer)
        picture = take_figure(self.viewer)

        def task(report: Report, cancel: Cancel) -> Path:
            write_figure(path, picture)
            return path

        self.runner.start(task, self._saved)

    def showEvent(self, event: Any) -> None:  # noqa: N802  (Qt calls it so)
        """Listen to the keys, and show a scale bar the first time."""
        super().showEvent(event)
        self._keys.bind()
        if not self._opened:
            self._opened = True
            self.scale_bar.setChecked(True)

    def hideEvent(self, event: Any) -> None:  # noqa: N802
        """Give the keys back."""
        super().hideEvent(event)
        self._keys.unbind()

    def _figure(self) -> QGroupBox:
        box = QGroupBox("Figure")
        column = QVBoxLayout(box)
        column.addWidget(self.figure)
        column.addWidget(self.runner)
        self.runner.run_button.setToolTip(
            "The picture at twice the resolution of the screen, with a scale bar, as PNG."
        )
        return box

    def _saved(self, path: Path) -> None:
        self.runner.say(f"Saved {path}.")
        if self.figure.text().strip():
            self.figure.setText(str(free_path(path)))

    def _labels(self) -> Labels | None:
        return self._layer(self.labels.currentText())

    def _truth(self) -> Labels | None:
        return self._layer(self.truth.currentText())

    def _layer(self, name: str) -> Labels | None:
        layer = layer_named(self.viewer, name)
        return layer if isinstance(layer, Labels) else None

    def _segmentations(self) -> tuple[list[str], list[str]]:
        """Return the names of labels, newest first, and of truths."""
        names = [
            layer.name
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Labels) and is_volume(layer) and not is_map(layer)
        ]
        truths = [name for name in names if name.startswith("truth")]
        return [name for name in names if name not in truths], truths

    def _offer_truths(self, event: Any = None) -> None:
        """Offer all labels but those that are looked at, which differ from themselves nowhere."""
        found, truths = self._segmentations()
        own = self.labels.currentText()
        names = [name for name in (*truths, NOTHING, *found) if name != own]
        offer(self.truth, names, self._chosen.get(self.truth))

    def _remember(self, combo: QComboBox, name: str) -> None:
        self._chosen[combo] = name

    def _follow_scale_bar(self, event: Any) -> None:
        self.scale_bar.blockSignals(True)
        self.scale_bar.setChecked(self.viewer.canvas.overlays.scale_bar.visible)
        self.scale_bar.blockSignals(False)

    def _show_sections(self, on: bool) -> None:
        _remove(self.viewer, self._sections)
        if on:
            sections = Sections(self.viewer, self.session)
            self._sections.append(sections)
            self.viewer.window.add_dock_widget(sections, name=SECTIONS, area="bottom")
            sections.destroyed.connect(lambda: sections.close_down())
            sections.destroyed.connect(self._sections_gone)

    def _sections_gone(self) -> None:
        """Follow the user, who has closed the cross-sections."""
        self._sections.clear()
        self.cross_sections.setChecked(False)


def _remove(viewer: Any, shown: list[Sections]) -> None:
    """Remove cross-sections from the window."""
    while shown:
        sections = shown.pop()
        sections.destroyed.disconnect()
        sections.close_down()
        with suppress(AttributeError, LookupError, RuntimeError):  # the window is going too
            viewer.window.remove_dock_widget(sections)
            sections.deleteLater()


def _keys() -> QLabel:
    told = ", ".join(f"<b>{key.replace('-', '+')}</b> {does}" for key, (does, _) in KEYS.items())
    label = QLabel(f"Keys for the labels: {told}.")
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    return label
