"""Lines and lists for files and folders."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

LIST_PX = 72


class PathList(QListWidget):
    """A list of files and folders, which takes those that are dropped on it."""

    def __init__(self) -> None:
        super().__init__()
        self.setMaximumHeight(LIST_PX)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAcceptDrops(True)
        # Paths begin alike; how they end tells them apart.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.model().rowsInserted.connect(self._tell_whole)

    def paths(self) -> list[Path]:
        """Return what is listed."""
        return [Path(self.item(row).text()).expanduser() for row in range(self.count())]

    def add(self, paths: Sequence[str]) -> None:
        """List what is not listed yet."""
        for path in paths:
            if Path(path).expanduser() not in self.paths():
                self.addItem(path)

    def with_buttons(self, files: bool = True) -> QWidget:
        """Return the list with buttons that add and remove."""
        add_folder, remove = QPushButton("Folder…"), QPushButton("Remove")
        add_folder.clicked.connect(lambda: self.add(ask_folder(self)))
        remove.clicked.connect(self._remove)
        buttons = [add_folder, remove]
        if files:
            add_file = QPushButton("File…")
            add_file.clicked.connect(lambda: self.add(ask_file(self, several=True)))
            buttons.insert(0, add_file)
        return _below(self, in_a_row(*buttons))

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802  (Qt calls it so)
        """Take what comes from a file manager."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    dragMoveEvent = dragEnterEvent  # noqa: N815

    def dropEvent(self, event: Any) -> None:  # noqa: N802
        """List what was dropped."""
        self.add([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()

    def _tell_whole(self, parent: Any, first: int, last: int) -> None:
        for row in range(first, last + 1):
            self.item(row).setToolTip(self.item(row).text())

    def _remove(self) -> None:
        for item in self.selectedItems():
            self.takeItem(self.row(item))


def in_a_row(*widgets: QWidget) -> QWidget:
    """Return widgets side by side."""
    box = QWidget()
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return box


def with_choosers(
    line: QLineEdit,
    chosen: Callable[[], None] | None = None,
    files: bool = True,
    folders: bool = True,
) -> QWidget:
    """Return a line for a path with buttons that ask for one; ``chosen`` is called then."""

    def fill(paths: list[str]) -> None:
        if paths:
            line.setText(paths[0])
            if chosen is not None:
                chosen()

    buttons = []
    if files:
        buttons.append(QPushButton("File…"))
        buttons[-1].clicked.connect(lambda: fill(ask_file(line)))
    if folders:
        buttons.append(QPushButton("Folder…"))
        buttons[-1].clicked.connect(lambda: fill(ask_folder(line)))
    return _below(line, in_a_row(*buttons))


def ask_file(parent: QWidget, pattern: str = "", several: bool = False) -> list[str]:
    """Ask for files; none if the user changed their mind."""
    if several:
        return list(QFileDialog.getOpenFileNames(parent, "Choose files", "", pattern)[0])
    name, _ = QFileDialog.getOpenFileName(parent, "Choose a file", "", pattern)
    return [name] if name else []


def ask_folder(parent: QWidget) -> list[str]:
    """Ask for a folder; none if the user changed their mind."""
    name = QFileDialog.getExistingDirectory(parent, "Choose a folder")
    return [name] if name else []


def ask_new(parent: QWidget, title: str, pattern: str, suffix: str) -> Path | None:
    """Ask for the name of something new, which gets a suffix; None if the user changed their mind.

    Whoever writes there says whether it may be replaced.
    """
    options = QFileDialog.Option.DontConfirmOverwrite
    name, _ = QFileDialog.getSaveFileName(parent, title, "", pattern, options=options)
    if not name:
        return None
    path = Path(name)
    return path if path.suffix == suffix else path.with_name(path.name + suffix)


def _below(*widgets: QWidget) -> QWidget:
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        column.addWidget(widget)
    return box
