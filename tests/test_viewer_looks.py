"""How the dock looks in a window of 1280 x 800, and what it says to whoever has loaded nothing."""

import os
import subprocess
import sys
import time

import pytest

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.layers import Layer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from porescope.viewer.dock import GROUPS, NAME, TITLES, open_dock
from porescope.viewer.project import project_panel
from porescope.viewer.samples import gold_with_truth
from porescope.viewer.work import ERROR_COLOUR

SECTIONS = [name for names in GROUPS.values() for name in names]
PATIENCE_MS = 60_000
SLACK_PX = 1


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    open_dock(viewer, "load")
    return viewer


@pytest.fixture
def dock(window):
    return window.window.dock_widgets[NAME]


def settle(seconds=0.1):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()


def shown(widget, kinds):
    inside = widget.findChildren(QWidget)
    return [each for each in inside if isinstance(each, kinds) and each.isVisible()]


def text_px(widget, text):
    return widget.fontMetrics().horizontalAdvance(text.replace("&", ""))


def is_clipped(widget):
    if isinstance(widget, QLabel) and widget.wordWrap():
        return widget.height() < widget.heightForWidth(widget.width()) - SLACK_PX
    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        option.initFrom(widget)
        room = widget.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            widget,
        )
        return room.width() < text_px(widget, widget.currentText()) + SLACK_PX
    if isinstance(widget, QPushButton):
        icon = 0 if widget.icon().isNull() else widget.iconSize().width()
        return widget.width() < text_px(widget, widget.text()) + icon
    return widget.width() < widget.sizeHint().width() - SLACK_PX


def overlapping(parent):
    """Pairs of widgets of one layout that lie on one another."""
    layout = parent.layout()
    if layout is None:
        return []
    children = [
        child
        for child in parent.children()
        if isinstance(child, QWidget) and child.isVisible() and not child.isWindow()
    ]
    return [
        (first, second)
        for index, first in enumerate(children)
        for second in children[index + 1 :]
        if first.geometry().intersects(second.geometry())
    ]


def told(widget):
    text = getattr(widget, "text", getattr(widget, "currentText", str))()
    return f"{type(widget).__name__} {text!r}"


def faults(dock, section):
    content, room = dock.widget(), dock.viewport().width()
    found = []
    if content.width() > room or dock.horizontalScrollBar().maximum() > 0:
        found.append(f"{section}: is {content.width()} wide in {room}")
    panel = dock.panels[section]
    for widget in shown(panel, (QLabel, QPushButton, QCheckBox, QComboBox)):
        right = widget.mapTo(content, QPoint(widget.width(), 0)).x()
        if is_clipped(widget) or right > room:
            found.append(f"{section}: {told(widget)} is clipped at {widget.width()}")
    for parent in [content, panel, *shown(panel, QWidget)]:
        found += [f"{section}: {told(a)} lies on {told(b)}" for a, b in overlapping(parent)]
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_clipped_and_nothing_overlaps(window, dock, theme):
    window.theme = theme
    found = []
    for loaded in (False, True):
        if loaded:
            for layer in gold_with_truth():
                window.add_layer(Layer.create(*layer))
        for section in SECTIONS:
            dock.open_section(section)
            settle()
            found += faults(dock, section)
    window.layers.clear()
    assert found == []


def test_all_headers_are_seen_while_all_sections_are_closed(window, dock):
    dock.open_section("load")
    header = next(each for each in shown(dock, QPushButton) if each.text() == "Load")
    header.click()
    settle()
    assert dock.opened is None
    assert dock.verticalScrollBar().maximum() == 0
    texts = [each.text() for each in shown(dock, QPushButton)]
    assert texts == [TITLES.get(name, name.capitalize()) for name in SECTIONS]
    headings = [each.text() for each in shown(dock, QLabel)]
    assert headings == [heading for heading in GROUPS if heading]


def test_what_is_wrong_is_a_sentence_in_every_section(window, dock, tmp_path, monkeypatch, qtbot):
    """Run is pressed with nothing loaded, or where that is fine, with what cannot work."""
    taken = tmp_path / "taken.porescope"
    taken.mkdir()
    monkeypatch.setattr(project_panel, "ask_new", lambda *_: taken)
    sample, inspect = dock.panels["sample"], dock.panels["inspect"]
    sample.form["shape"].value = "0, 4, 4"
    figure = tmp_path / "figure.png"
    figure.touch()
    inspect.figure.setText(str(figure))
    for section in SECTIONS:
        panel = dock.open_section(section)
        settle()
        dock.ensureWidgetVisible(panel.runner.run_button)
        qtbot.mouseClick(panel.runner.run_button, Qt.MouseButton.LeftButton)
        qtbot.wait_until(lambda runner=panel.runner: not runner.running, timeout=PATIENCE_MS)
        settle()
        message = panel.runner.message
        assert ERROR_COLOUR in message.styleSheet(), section
        assert len(message.text().split()) > 3, section
        assert message.text().rstrip().endswith("."), section
        assert "Traceback" not in message.text(), section
        assert "report it" not in message.text(), section
        assert not message.visibleRegion().isEmpty(), section
        assert message.height() >= message.heightForWidth(message.width()) - SLACK_PX, section
    inspect.figure.clear()


def test_opening_every_section_imports_nothing_heavy():
    script = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
application = QApplication([])
from porescope.viewer.dock import Dock
dock = Dock(ViewerModel())
dock.show()
for name in dock.panels:
    dock.open_section(name)
    application.processEvents()
print(*(name for name in ("torch", "sklearn", "monai", "lightning") if name in sys.modules))
dock.session.close()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert ended.stdout.split() == []
