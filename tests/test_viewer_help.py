"""Help from the pages in ``docs/``, and the sample that a new user begins with."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import porescope
from porescope.errors import PorescopeError

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QLabel

from porescope.viewer.dock import GROUPS, Dock
from porescope.viewer.help import PAGES, TUTORIAL, Help, docs_folder, page_url, slug
from porescope.viewer.layers import from_layer

PATIENCE_MS = 60_000
CHECKOUT = Path(__file__).parents[1]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [slug(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")]


@pytest.fixture
def dock(qtbot):
    dock = Dock(ViewerModel())
    qtbot.addWidget(dock)
    dock.show()
    yield dock
    dock.session.close()


@pytest.fixture
def help_window(qtbot, dock):
    return Help(dock)


def link_of(panel):
    (label,) = [each for each in panel.findChildren(QLabel) if "Help</a>" in each.text()]
    return label


def test_every_section_has_a_page_and_the_heading_that_it_names():
    sections = [name for names in GROUPS.values() for name in names]
    assert set(PAGES) == {*sections, TUTORIAL}
    for place in PAGES.values():
        page, _, heading = place.partition("#")
        assert not heading or heading in headings(docs_folder() / page), place


def test_pages_link_to_what_there_is():
    for page in (*docs_folder().glob("*.md"), CHECKOUT / "README.md"):
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: {link}"
            assert not heading or heading in headings(target), f"{page.name}: {link}"


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_what_is_installed_has_all_pages_and_their_pictures(tmp_path):
    (install,) = re.findall(
        r"^install\(DIRECTORY docs/.*?\)$",
        (CHECKOUT / "CMakeLists.txt").read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.22)\nproject(docs LANGUAGES NONE)\n{install}\n"
    )
    shutil.copytree(CHECKOUT / "docs", tmp_path / "docs")
    for command in (("-S", tmp_path, "-B", tmp_path / "b"), ("--install", tmp_path / "b")):
        prefix = () if command[0] == "-S" else ("--prefix", tmp_path / "wheel")
        subprocess.run(["cmake", *command, *prefix], check=True, capture_output=True)
    installed = tmp_path / "wheel" / "porescope" / "docs"
    for page in {place.partition("#")[0] for place in PAGES.values()}:
        text = (installed / page).read_text(encoding="utf-8")
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
            assert (installed / picture).is_file()


def test_pages_are_those_beside_the_package_where_there_is_no_checkout(monkeypatch, tmp_path):
    package = tmp_path / "lib" / "site-packages" / "porescope"
    (package / "docs").mkdir(parents=True)
    monkeypatch.setattr(porescope, "__path__", [str(package)])
    with pytest.raises(PorescopeError, match="documentation is missing"):
        page_url("align")
    (package / "docs" / "tutorial.md").touch()
    assert Path(page_url("align").toLocalFile()) == package / "docs" / "stacks.md"


def test_the_link_of_each_section_opens_its_page_at_its_heading(qtbot, dock):
    for name, panel in dock.panels.items():
        link_of(panel).linkActivated.emit("help")
        pages = dock.findChild(Help).pages
        assert dock.findChild(Help).isVisible()
        page, _, heading = PAGES[name].partition("#")
        assert Path(pages.source().toLocalFile()).name == page
        assert pages.source().fragment() == heading
        assert len(pages.toPlainText()) > 100


def test_a_page_scrolls_to_the_heading_and_back_again(qtbot, help_window):
    help_window.show_section("align")
    pages = help_window.pages
    qtbot.wait_until(lambda: pages.verticalScrollBar().value() > 0)
    align = pages.verticalScrollBar().value()
    help_window.show_section("slices")
    qtbot.wait_until(lambda: pages.verticalScrollBar().value() > align)
    pages.backward()
    assert pages.source().fragment() == "align"


def test_pictures_are_shown_no_wider_than_the_window(qtbot, help_window):
    help_window.show_section("simulate")
    pages = help_window.pages
    qtbot.wait_until(lambda: pages.verticalScrollBar().maximum() > 0)
    assert pages.horizontalScrollBar().maximum() == 0
    heights = []
    block = pages.document().begin()
    while block.isValid():
        heights.append(pages.document().documentLayout().blockBoundingRect(block).height())
        block = block.next()
    assert sum(height > 300 for height in heights) == 2


def test_links_lead_on_and_what_is_not_there_is_told(qtbot, help_window, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    help_window.show_section("measure")
    pages = help_window.pages
    pages.anchorClicked.emit(pages.source().resolved(page_url("check")))
    assert pages.source().toLocalFile().endswith("segmentation.md")
    missing = page_url("check")
    missing.setPath(str(tmp_path / "figures.md"))
    pages.anchorClicked.emit(missing)
    assert "figures.md" in help_window.told.text()
    assert pages.source().toLocalFile().endswith("segmentation.md")
    missing.setUrl("https://napari.org")
    pages.anchorClicked.emit(missing)
    assert opened == ["https://napari.org"]


def test_load_opens_the_sample_with_its_truth(qtbot, dock):
    load = dock.open_section("load")
    qtbot.mouseClick(load.sample, Qt.MouseButton.LeftButton)
    qtbot.wait_until(lambda: not load.runner.running, timeout=PATIENCE_MS)
    layers = load.viewer.layers
    assert [layer.name for layer in layers] == ["1kV", "2kV", "4kV", "truth"]
    assert [layer.visible for layer in layers] == [True, True, True, False]
    assert [from_layer(layer).beam_kv for layer in layers[:3]] == [1, 2, 4]
    assert isinstance(layers["truth"], Labels)
    assert set(np.unique(layers["truth"].data)) == {0, 1}
    dock.reset_choices()
    assert dock.panels["align"].chosen_images() == ["1kV", "2kV", "4kV"]


def test_the_tutorial_is_a_click_away_from_load(qtbot, dock):
    qtbot.mouseClick(dock.panels["load"].tutorial, Qt.MouseButton.LeftButton)
    assert dock.findChild(Help).pages.source().toLocalFile().endswith("tutorial.md")


def test_the_section_that_opens_is_scrolled_into_view(qtbot, dock):
    dock.resize(340, 700)
    headers = {
        button.text().lower(): button
        for button in dock.widget().children()
        if hasattr(button, "isCheckable") and button.isCheckable()
    }
    for name in ("simulate", "run recipe", "load", "train"):
        headers[name].click()
        bar = dock.verticalScrollBar()

        def in_view(header=headers[name], bar=bar):
            top = header.y() - bar.value()
            panel = dock.panels[dock.opened]
            bottom = panel.geometry().bottom() - bar.value()
            assert top >= 0
            assert bottom <= dock.viewport().height() or top == 0

        qtbot.wait_until(in_view)
