"""The pages of ``docs/`` in a window of their own, opened at the section that asks for help."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QColor, QDesktopServices, QImage, QTextCharFormat, QTextCursor, QTextDocument
from qtpy.QtWidgets import QDialog, QPushButton, QTextBrowser, QVBoxLayout, QWidget

import porescope
from porescope.errors import PorescopeError
from porescope.viewer.paths import in_a_row
from porescope.viewer.work import Message

TUTORIAL = "tutorial"
PAGES = {
    TUTORIAL: "tutorial.md",
    "project": "projects.md",
    "load": "stacks.md#load",
    "sample": "samples.md#sample",
    "heightfield": "samples.md#heightfield",
    "simulate": "samples.md#simulate",
    "align": "stacks.md#align",
    "crop": "stacks.md#crop",
    "clean": "stacks.md#clean",
    "positions": "stacks.md#positions",
    "segment": "segmentation.md",
    "check": "segmentation.md#is-it-right",
    "slices": "stacks.md#slices",
    "inspect": "inspect.md",
    "annotate": "annotate.md",
    "measure": "measures.md",
    "layers": "layers.md",
    "train": "segmentation.md#train-on-your-own-material",
    "recipe": "recipes.md",
}
"""Where in ``docs/`` each section is explained; after # stands a heading, as in a link."""
SIZE_PX = (860, 640)
LINK_COLOUR = "#2f7fd6"
"""Legible on dark and on light."""


class Help(QDialog):
    """A window that shows pages of the documentation; nothing is fetched from anywhere.

    Parameters
    ----------
    parent : QWidget
        Goes, and takes the window along.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Porescope: help")
        self.resize(*SIZE_PX)
        self.pages = _Pages()
        self.told = Message()
        back, tutorial = QPushButton("Back"), QPushButton("Ten-minute tutorial")
        back.setEnabled(False)
        for button in (back, tutorial):
            button.setAutoDefault(False)
        back.clicked.connect(self.pages.backward)
        tutorial.clicked.connect(lambda: self.show_section(TUTORIAL))
        self.pages.backwardAvailable.connect(back.setEnabled)
        self.pages.anchorClicked.connect(self._follow)
        column = QVBoxLayout(self)
        column.addWidget(in_a_row(back, tutorial))
        column.addWidget(self.pages)
        column.addWidget(self.told)

    def show_section(self, section: str) -> None:
        """Show what is written about a section, or the tutorial."""
        self.show()
        self.raise_()
        try:
            self._follow(page_url(section))
        except PorescopeError as error:
            self.told.say(error)

    def _follow(self, url: QUrl) -> None:
        """Show another page; what is on the web, the browser shows."""
        self.told.say(None)
        if not url.isLocalFile():
            QDesktopServices.openUrl(url)
        elif Path(url.toLocalFile()).is_file():
            self.pages.setSource(url)
        else:
            self.told.say(f"{url.fileName()} is in Porescope's repository and was not installed.")


def page_url(section: str) -> QUrl:
    """Return where a section is explained.

    Raises
    ------
    PorescopeError
        If the installation lacks the documentation.
    """
    page, _, heading = PAGES[section].partition("#")
    url = QUrl.fromLocalFile(str(docs_folder() / page))
    if heading:
        url.setFragment(heading)
    return url


def docs_folder() -> Path:
    """Return the folder of the documentation: the checkout's, or what came with the package.

    Raises
    ------
    PorescopeError
        If the installation lacks it.
    """
    places = [Path(place) for place in porescope.__path__]
    checkouts = [place.parents[1] for place in places]
    checkouts = [folder for folder in checkouts if (folder / "CMakeLists.txt").is_file()]
    for folder in (*checkouts, *places):
        if (folder / "docs" / PAGES[TUTORIAL]).is_file():
            return folder / "docs"
    raise PorescopeError("The documentation is missing; install napari-porescope again.")


def slug(heading: str) -> str:
    """Return what a link to a heading has after its #.

    Examples
    --------
    >>> slug("Is it right?")
    'is-it-right'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


class _Pages(QTextBrowser):
    """Markdown with pictures that fit, and headings that links lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.sourceChanged.connect(self._finish)

    def loadResource(self, kind: int, name: QUrl) -> Any:  # noqa: N802  (Qt calls it so)
        """Return a page, or a picture no wider than the window."""
        if kind != QTextDocument.ResourceType.ImageResource.value:
            return super().loadResource(kind, name)
        image = QImage(self.source().resolved(name).toLocalFile())
        beside = self.verticalScrollBar().sizeHint().width() + 2 * self.frameWidth()
        room = self.width() - beside - 2 * round(self.document().documentMargin())
        if image.width() <= room:
            return image
        return image.scaledToWidth(room, Qt.TransformationMode.SmoothTransformation)

    def _finish(self, url: QUrl) -> None:
        """Name headings, colour links, and go to the heading that was asked for."""
        block = self.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel():
                named = QTextCharFormat()
                named.setAnchor(True)
                named.setAnchorNames([slug(block.text())])
                cursor = QTextCursor(block)
                cursor.movePosition(
                    QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor
                )
                cursor.mergeCharFormat(named)
            for range_ in block.textFormats():
                if range_.format.isAnchor() and range_.format.anchorHref():
                    coloured = QTextCharFormat()
                    coloured.setForeground(QColor(LINK_COLOUR))
                    cursor = QTextCursor(self.document())
                    cursor.setPosition(block.position() + range_.start)
                    cursor.setPosition(
                        block.position() + range_.start + range_.length,
                        QTextCursor.MoveMode.KeepAnchor,
                    )
                    cursor.mergeCharFormat(coloured)
            block = block.next()
        if url.hasFragment():
            self.scrollToAnchor(url.fragment())
