"""The section of the dock that keeps the work in a project, and turns it into a recipe."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.pipeline.annotations import AnnotationFile
from porescope.pipeline.lineage import lineage
from porescope.pipeline.project import (
    RESULTS,
    SUFFIX,
    Project,
    ProjectLock,
    Taken,
    Used,
    Window,
    copy_results,
    write_project,
)
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.run import Report
from porescope.pipeline.script import to_script
from porescope.tracking import Cancel, track
from porescope.viewer.panels import Panel, StepPanel
from porescope.viewer.paths import ask_folder, ask_new, in_a_row, with_choosers
from porescope.viewer.project.keeper import EVERY_S, Keeper
from porescope.viewer.project.opened import MissingInputs, Opened, read_opened
from porescope.viewer.project.sources import source_of
from porescope.viewer.project.window_state import look_there, window_of
from porescope.viewer.work import Message, Runner, Session, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

TEMPORARY = (
    "This work is only temporary: results, and what you paint, are gone when the window closes. "
    "Save it as a project, and go on with it next week."
)
KEPT = "Work is saved every few seconds; a crash loses no more than {:g} s of painting."
OTHER_WORK = (
    "This window holds work that is only temporary; save it first, or open the project in a "
    "window of its own."
)
TOLD_MS = 1000


class ProjectPanel(Panel):
    """Saves the work as a project, opens one, and copies the steps as a recipe or a script.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    panels : mapping of str to Panel
        All sections of the dock; filled in meanwhile.
    section : callable() -> str or None
        Which one is open.
    open_section : callable(str)
        Opens one.
    """

    headed = Signal(str)
    """The heading, each second."""

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        panels: Mapping[str, Panel],
        section: Callable[[], str | None],
        open_section: Callable[[str], Any],
    ) -> None:
        super().__init__(
            viewer,
            session,
            "Save as…",
            "Keep the work in a folder: steps and results, what you paint, and how it looks. "
            "Stacks stay where they are.",
        )
        self._panels, self._section, self._open_section = panels, section, open_section
        self.keeper = Keeper(viewer, session, self._window)
        session.finish = self.keeper.finish
        self.place = Message()
        self.new_button, self.open_button = QPushButton("New…"), QPushButton("Open…")
        self.new_button.clicked.connect(self.guarded(self._ask_new))
        self.open_button.clicked.connect(self.guarded(self._ask_open))
        self.missing = QWidget()
        self._missing_rows = QVBoxLayout(self.missing)
        self._missing_rows.setContentsMargins(0, 0, 0, 0)
        self.missing.setVisible(False)
        self.result = QComboBox()
        self.result.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.recipe_button = QPushButton("Save as recipe…")
        self.script_button = QPushButton("Save as Python…")
        self.copy_button = QPushButton("Copy as Python")
        self.recipe_button.clicked.connect(self.guarded(self._ask_recipe))
        self.script_button.clicked.connect(self.guarded(self._ask_script))
        self.copy_button.clicked.connect(self.guarded(self.copy_script))
        self.steps = QWidget()
        rows = QFormLayout(self.steps)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Steps to", self.result)
        rows.addRow(self.recipe_button)
        rows.addRow(in_a_row(self.copy_button, self.script_button))
        self.column.insertWidget(1, self.place)
        self.column.insertWidget(2, in_a_row(self.new_button, self.open_button))
        self.column.addWidget(self.missing)
        self.column.addWidget(self.steps)
        self._listed: list[Taken] = []
        self._timer = QTimer(self)
        self._timer.setInterval(round(EVERY_S * 1000))
        self._timer.timeout.connect(self.keeper.tick)
        self._timer.start()
        self._told = QTimer(self)
        self._told.setInterval(TOLD_MS)
        self._told.timeout.connect(self._tell)
        self._told.start()
        self._tell()

    @property
    def heading(self) -> str:
        """Where the work is, for the header of this section."""
        if self.session.project is None:
            return "Project: not saved" if self._has_work else "Project"
        if self.keeper.trouble is not None:
            return f"{self.session.project.stem}: not saved"
        return f"{self.session.project.stem}: saved{self._ago}"

    def run(self) -> None:
        """Ask for a name and save the project there."""
        folder = ask_new(self, "Save the project as", f"Porescope projects (*{SUFFIX})", SUFFIX)
        if folder is not None:
            self.save_as(folder)

    def save_as(self, folder: Path) -> None:
        """Save all work as a new project, whole or not at all, and go on in it.

        Raises
        ------
        PorescopeError
            If a step is running.
        """
        self._check_idle()
        project, drawn = self.keeper.look(), self.keeper.drawn()
        results = None if self.session.folder is None else self.session.folder / RESULTS
        task = partial(_found, folder, project, drawn, results, self.keeper, self.session)
        layers = {id(layer.data): layer for layer in self.viewer.layers}

        def then(made: tuple[ProjectLock, dict[str, AnnotationFile]]) -> None:
            lock, files = made
            self.session.go_on_in(lock, self.session.taken)
            owners = [(layers[id(data)], name) for name, data in drawn.items()]
            self.keeper.adopt(files, owners, project)
            self.keeper.tick()
            self._tell()
            self.runner.say(f"Saved as {folder}.")

        self.runner.start(task, then)

    def open(self, folder: Path, moved: Mapping[str, str] | None = None) -> None:
        """Open a project in place of what the window shows; ``moved`` tells where inputs are now.

        Raises
        ------
        PorescopeError
            If something is running, or there is work that would be lost.
        """
        self._leave()
        self._show_missing(folder, [])

        def failed(error: PorescopeError) -> None:
            if isinstance(error, MissingInputs):
                self._show_missing(folder, error.paths)

        self.runner.start(
            lambda report, cancel: read_opened(folder, moved or {}, report, cancel),
            self._show,
            failed,
        )

    def new(self, folder: Path) -> None:
        """Begin an empty project.

        Raises
        ------
        PorescopeError
            If something is running, or there is work that would be lost.
        """
        self._leave()
        if folder.exists():
            raise PorescopeError(f"{folder} exists already; choose another name, or open it.")
        self._empty()
        self.save_as(folder)

    def recipe(self) -> Recipe:
        """Return the steps that led to the chosen result.

        Raises
        ------
        PorescopeError
            If they are no straight line, or there are none.
        """
        self._tell()  # a step may have ended since the timer last did
        if not self._listed:
            raise PorescopeError("No step was run yet in this window.")
        goal = self._listed[self.result.currentIndex()]
        return lineage(self.session.taken, goal, self.session.project)

    def save_recipe(self, path: Path) -> None:
        """Write the steps as YAML for ``porescope run``."""
        _write(path, self.recipe().to_yaml())
        self.runner.say(f"Wrote {path}; run it with: porescope run {path.name} --out result")

    def save_script(self, path: Path) -> None:
        """Write the steps as a Python script."""
        _write(path, to_script(self.recipe()))
        self.runner.say(f"Wrote {path}.")

    def copy_script(self) -> None:
        """Put the steps as a Python script on the clipboard."""
        QApplication.clipboard().setText(to_script(self.recipe()))
        self.runner.say("Copied; paste it into an editor.")

    @property
    def _has_work(self) -> bool:
        return bool(self.session.taken) or self.keeper.has_drawn

    @property
    def _ago(self) -> str:
        if self.keeper.saved_at is None:
            return ""
        return f" {max(0, round(time.monotonic() - self.keeper.saved_at))} s ago"

    def _window(self) -> Window:
        filled = {name: panel.filled() for name, panel in self._panels.items() if panel is not self}
        return window_of(self.viewer, self._section(), filled)

    def _tell(self) -> None:
        """Say where the work is, and list what a recipe can lead to."""
        folder = self.session.project
        if self.keeper.trouble is not None:
            self.place.say(self.keeper.trouble)
        elif folder is not None:
            left_out = self.keeper.left_out()
            missing = f"\nNot kept: {', '.join(left_out)}." if left_out else ""
            self.place.say(f"{folder}\n{KEPT.format(2 * EVERY_S)}{missing}")
        else:
            self.place.say(TEMPORARY if self._has_work else None)
        self.headed.emit(self.heading)
        self.steps.setVisible(bool(self.session.taken))
        if self._listed != self.session.taken:
            before, chosen = self._listed, self.result.currentIndex()
            self._listed = list(self.session.taken)
            self.result.clear()
            self.result.addItems([_told(taken) for taken in self._listed])
            # The newest, unless an earlier one was chosen.
            known = [taken.folder for taken in before]
            same = known == [taken.folder for taken in self._listed[: len(known)]]
            stays = chosen < len(known) - 1 and same
            self.result.setCurrentIndex(chosen if stays else len(self._listed) - 1)

    def _ask_new(self) -> None:
        self._leave()
        folder = ask_new(self, "Begin a project", f"Porescope projects (*{SUFFIX})", SUFFIX)
        if folder is not None:
            self.new(folder)

    def _ask_open(self) -> None:
        self._leave()
        for name in ask_folder(self):
            self.open(Path(name))

    def _ask_recipe(self) -> None:
        self.recipe()
        path = ask_new(self, "Save the recipe as", "Recipes (*.yaml)", ".yaml")
        if path is not None:
            self.save_recipe(path)

    def _ask_script(self) -> None:
        self.recipe()
        path = ask_new(self, "Save the script as", "Python (*.py)", ".py")
        if path is not None:
            self.save_script(path)

    def _check_idle(self) -> None:
        if any(runner.running for runner in self.window().findChildren(Runner)):
            raise PorescopeError("Something is running; wait for it, or cancel it first.")

    def _leave(self) -> None:
        """Save the project that is open, or refuse if there is work that no project keeps."""
        self._check_idle()
        if self.session.project is None and self._has_work:
            raise PorescopeError(OTHER_WORK)
        self.keeper.flush()

    def _empty(self) -> None:
        self.session.go_on_in(None, ())
        if self.viewer.layers:  # clearing has napari look through all memory
            self.viewer.layers.clear()
        self.keeper.forget()

    def _show(self, opened: Opened) -> Iterator[None]:
        """Show a project in place of what was shown."""
        self._empty()
        project = opened.project
        try:
            yield
            layers = yield from self.show_each(layer for _, layer in opened.layers)
        except GeneratorExit:  # the window closes
            opened.lock.release()
            raise
        drawn = [
            (layer, kept.annotation.folder)
            for kept, layer in opened.layers
            if kept.annotation is not None
        ]
        self.session.go_on_in(opened.lock, project.steps)
        self.keeper.adopt(opened.files, drawn, project)
        self.keeper.waiting = opened.left_out
        for name, values in project.window.sections.items():
            if name in self._panels:
                self._panels[name].fill(values)
        self._show_numbers(opened, layers)
        look_there(self.viewer, project.window)
        # What is not as it was is told here.
        section = "project" if opened.notes else project.window.section
        if section is not None and section in self._panels:
            self._open_section(section)
        self._tell()
        self.runner.say(" ".join([f"Opened {opened.lock.folder}.", *opened.notes]))

    def _show_numbers(self, opened: Opened, layers: list[Layer]) -> None:
        for taken in opened.project.steps:
            panel = self._panels.get(taken.step)
            tables, scores = opened.numbers[taken.folder]
            if isinstance(panel, StepPanel) and (tables or scores):
                sources = [(source_of(layer), layer) for layer in layers]
                made = [
                    layer for source, layer in sources if source and source.path == taken.folder
                ]
                used = [layer for source, layer in sources if _is_used(taken, source, layer)]
                panel.show_numbers(tables, scores, used, made)

    def _show_missing(self, folder: Path, paths: list[str]) -> None:
        """Ask where inputs are now."""
        while (row := self._missing_rows.takeAt(0)) is not None:
            row.widget().deleteLater()
        lines = {path: QLineEdit(path) for path in paths}
        for line in lines.values():
            self._missing_rows.addWidget(with_choosers(line))
        again = QPushButton("Open with these")
        again.clicked.connect(
            self.guarded(
                lambda: self.open(folder, {path: line.text() for path, line in lines.items()})
            )
        )
        self._missing_rows.addWidget(again)
        self.missing.setVisible(bool(paths))


def _found(
    folder: Path,
    project: Project,
    drawn: Mapping[str, Any],
    results: Path | None,
    keeper: Keeper,
    session: Session,
    report: Report,
    cancel: Cancel,
) -> tuple[ProjectLock, dict[str, AnnotationFile]]:
    """Make a project folder, whole or not at all, and take hold of it."""
    with session.held(), write_beside(folder) as beside:
        beside.mkdir()
        if results is not None and results.is_dir():
            in_process(copy_results, results, beside / RESULTS)(report, cancel)
        files = {name: AnnotationFile(beside / name) for name in drawn}
        about = partial(report, "Saving what was painted")
        for name in track(list(drawn), about, cancel):
            files[name].save(drawn[name])
        write_project(beside, keeper.with_seen(project))
    for name, file in files.items():
        file.folder = folder / name
    return ProjectLock(folder), files


def _is_used(taken: Taken, source: Any, layer: Layer) -> bool:
    used: list[Used] = [*taken.images, *([taken.labels] if taken.labels else [])]
    return any(each.source == source or each.name == layer.name for each in used)


def _told(taken: Taken) -> str:
    """Return how a result is called in a list."""
    if taken.made:
        return ", ".join(taken.made.values())
    about = taken.labels or next(iter(taken.images), None)
    return f"{taken.step} of {about.name}" if about else taken.step


def _write(path: Path, text: str) -> None:
    with write_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
