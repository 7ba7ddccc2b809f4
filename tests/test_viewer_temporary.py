"""Temporary folders of windows that were killed."""

import os
import subprocess
import sys
import time

import pytest

pytest.importorskip("napari", reason="napari is not installed")
from porescope.tracking import never_cancel
from porescope.viewer.temporary import LOCK, SETTLED_S, TemporaryFolder, remove_abandoned

KILLED = """
import os, sys
from pathlib import Path
from porescope.viewer.temporary import TemporaryFolder
folder = TemporaryFolder(Path(sys.argv[1]))
(folder.path / "results").mkdir()
print(folder.path, flush=True)
os._exit(1)
"""


def age(folder):
    then = time.time() - 2 * SETTLED_S
    os.utime(folder / LOCK, (then, then))


@pytest.fixture
def killed(tmp_path):
    """The folder of a window that was killed."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    (folder,) = tmp_path.glob("porescope-*")
    return folder


def test_the_folder_of_a_dead_window_is_removed_and_no_other(tmp_path, killed):
    living = TemporaryFolder(tmp_path)
    of_others = tmp_path / "porescope-notes"
    of_others.mkdir()
    linked = tmp_path / "elsewhere"
    linked.mkdir()
    (linked / LOCK).touch()
    (tmp_path / "porescope-link").symlink_to(linked)
    for folder in (killed, living.path, linked):
        age(folder)
    remove_abandoned(tmp_path, never_cancel)
    assert not killed.exists()
    assert all(folder.is_dir() for folder in (living.path, of_others, linked))
    living.remove()
    assert not living.path.exists()


def test_a_folder_that_may_just_be_made_stays(tmp_path, killed):
    remove_abandoned(tmp_path, never_cancel)
    assert killed.is_dir()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owners here")
def test_the_folder_of_another_user_stays(tmp_path, killed, monkeypatch):
    age(killed)
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    remove_abandoned(tmp_path, never_cancel)
    assert killed.is_dir()


def test_a_new_window_clears_up(tmp_path, killed, monkeypatch, session, qtbot):
    age(killed)
    monkeypatch.setattr("porescope.viewer.work.results_folder", lambda: tmp_path)
    assert session.new_folder().is_relative_to(tmp_path)
    qtbot.wait_until(lambda: not killed.exists(), timeout=10_000)
