"""The Porescope dock: the sections in the order of the work, and commands that open it at one."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from porescope.pipeline.step import steps
from porescope.viewer.annotate.annotate_panel import AnnotatePanel
from porescope.viewer.clean_panel import CleanPanel
from porescope.viewer.help import Help
from porescope.viewer.inspect.inspect_panel import InspectPanel
from porescope.viewer.layers_panel import LayersPanel
from porescope.viewer.learn.check_panel import CheckPanel
from porescope.viewer.learn.segment_panel import SegmentPanel
from porescope.viewer.learn.train_panel import TrainPanel
from porescope.viewer.panels import LoadPanel, Panel, RecipePanel, StepPanel
from porescope.viewer.project.project_panel import ProjectPanel
from porescope.viewer.simulate.sample_panels import HeightfieldPanel, SamplePanel
from porescope.viewer.simulate.simulate_panel import SimulatePanel
from porescope.viewer.work import Session

if TYPE_CHECKING:
    import napari

# As napari's Plugins menu calls it, so that menu and commands share one dock.
NAME = "Porescope (Porescope: FIB-SEM tomography)"
WIDTH_PX = 340
"""Room for the widest section and a scroll bar."""
RESULTS_PX = 160
"""So much of what follows a message is to be seen with it."""
GROUPS = {
    "": ("project", "load"),
    "Make a sample": ("sample", "heightfield", "simulate"),
    "Put right": ("align", "crop", "clean", "positions"),
    "Tell phases apart": ("segment", "check", "slices"),
    "Look and measure": ("inspect", "annotate", "measure"),
    "Layered materials": ("layers",),
    "Learn and repeat": ("train", "recipe"),
}
"""The sections as a person works, under their headings."""
TITLES = {"layers": "Layer thickness", "recipe": "Run recipe"}
"""Sections that are called otherwise than by their name."""
OWN_PANELS = {"clean": CleanPanel, "segment": SegmentPanel, "check": CheckPanel}
"""Panels of steps that have more than their parameters."""


class Dock(QScrollArea):
    """The panels of one window, below one another; one is open at a time.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Filled in by napari.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = session = Session()
        # This widget is gone by then, and Qt would keep a bound method only weakly.
        self.destroyed.connect(lambda: session.close())
        self.panels: dict[str, Panel] = {}
        project = ProjectPanel(
            napari_viewer, session, self.panels, lambda: self.opened, self.open_section
        )
        made: dict[str, Panel] = {
            "project": project,
            "load": LoadPanel(napari_viewer, session),
            "sample": SamplePanel(napari_viewer, session),
            "heightfield": HeightfieldPanel(napari_viewer, session),
            "simulate": SimulatePanel(napari_viewer, session),
            "inspect": InspectPanel(napari_viewer, session),
            "annotate": AnnotatePanel(napari_viewer, session),
            "layers": LayersPanel(napari_viewer, session),
            "train": TrainPanel(napari_viewer, session),
            "recipe": RecipePanel(napari_viewer, session),
        }
        for name, step in steps().items():
            if step.panel:
                made[name] = OWN_PANELS.get(name, StepPanel)(napari_viewer, session, step)
        self.panels |= {name: made[name] for names in GROUPS.values() for name in names}
        self._headers = {name: _header(name) for name in self.panels}
        project.headed.connect(self._headers["project"].setText)

        column = QVBoxLayout()
        column.setSpacing(2)
        for heading, names in GROUPS.items():
            if heading:
                column.addWidget(_quiet(heading))
            for name in names:
                header, panel = self._headers[name], self.panels[name]
                header.toggled.connect(panel.setVisible)
                header.clicked.connect(lambda checked, name=name: self._toggle(name, checked))
                panel.help_wanted.connect(lambda page, name=name: self.show_help(page or name))
                panel.runner.ended.connect(lambda name=name: self._tell(name))
                panel.setVisible(False)
                column.addWidget(header)
                column.addWidget(panel)
        column.addStretch()
        content = QWidget()
        content.setLayout(column)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(WIDTH_PX)
        self._help: Help | None = None
        # Once the section that was opened has its size.
        self._scrolling = QTimer(self)
        self._scrolling.setSingleShot(True)
        self._scrolling.timeout.connect(self._scroll)
        self._telling = QTimer(self)
        self._telling.setSingleShot(True)
        self._telling.timeout.connect(self._scroll_to_message)
        self.open_section("load")

    @property
    def opened(self) -> str | None:
        """The section that is open, if any."""
        return next((name for name, head in self._headers.items() if head.isChecked()), None)

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt calls it so)
        """Leave most of the window to the picture."""
        return QSize(WIDTH_PX, 600)

    def reset_choices(self, event: Any = None) -> None:
        """Follow a change of the layer list; called by napari."""
        for panel in self.panels.values():
            panel.reset_choices()

    def open_section(self, name: str) -> Panel:
        """Open one section, close the others, and return its panel."""
        self._toggle(name, True)
        return self.panels[name]

    def show_help(self, page: str) -> None:
        """Show what is written about a section, or the tutorial, in a window beside."""
        if self._help is None:
            self._help = Help(self)
        self._help.show_section(page)

    def _toggle(self, name: str, opened: bool) -> None:
        for other, header in self._headers.items():
            header.setChecked(opened and other == name)
        self._scrolling.start(0)

    def _scroll(self) -> None:
        """Show the section that is open, its beginning above all."""
        if self.opened is not None:
            self.ensureVisible(0, self.panels[self.opened].geometry().bottom(), 0, 0)
            self.ensureVisible(0, self._headers[self.opened].y(), 0, 0)

    def _tell(self, section: str) -> None:
        """Have a message of a section seen, if that is the one that is open."""
        if section == self.opened:
            self._telling.start(0)

    def _scroll_to_message(self) -> None:
        """Show what was said, and the beginning of what was found."""
        if self.opened is not None:
            panel = self.panels[self.opened]
            message = panel.runner.message
            top = message.mapTo(self.widget(), QPoint(0, 0)).y()
            end = min(panel.geometry().bottom(), top + message.height() + RESULTS_PX)
            self.ensureVisible(0, end, 0, 0)
            self.ensureVisible(0, top, 0, 0)


def open_dock(viewer: napari.viewer.Viewer, section: str) -> Any:
    """Show the window's dock at a section, and return that panel."""
    dock = viewer.window.dock_widgets.get(NAME)
    if dock is None:
        dock = Dock(viewer)
        viewer.window.add_dock_widget(dock, name=NAME, area="right")
    parent = dock.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    if parent is not None:
        parent.show()
        parent.raise_()
    return dock.open_section(section)


def _opener(section: str) -> Callable[[napari.viewer.Viewer], None]:
    def open_section(viewer: napari.viewer.Viewer) -> None:
        open_dock(viewer, section)

    return open_section


open_project = _opener("project")
open_load = _opener("load")
open_align = _opener("align")
open_crop = _opener("crop")
open_clean = _opener("clean")
open_positions = _opener("positions")
open_segment = _opener("segment")
open_check = _opener("check")
open_annotate = _opener("annotate")
open_slices = _opener("slices")
open_measure = _opener("measure")
open_inspect = _opener("inspect")
open_sample = _opener("sample")
open_heightfield = _opener("heightfield")
open_simulate = _opener("simulate")
open_layers = _opener("layers")
open_train = _opener("train")
open_recipe = _opener("recipe")


def _header(section: str) -> QPushButton:
    button = QPushButton(TITLES.get(section, section.capitalize()))
    button.setCheckable(True)
    button.setStyleSheet("text-align: left; padding: 5px 8px; font-weight: bold;")
    return button


def _quiet(heading: str) -> QLabel:
    label = QLabel(heading)
    label.setStyleSheet("padding: 5px 2px 0px 2px; font-size: 11px;")
    return label
