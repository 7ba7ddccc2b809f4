"""Where results lie that no project keeps: a folder that goes with its window.

A window that is killed leaves its folder behind, and the next that makes one removes it. A lock in
the folder tells whether its window lives: the system takes it from whoever dies.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from porescope.tracking import Cancel

PREFIX, LOCK = "porescope-", ".porescope-lock"
SETTLED_S = 60.0
"""A folder as young as this may be about to be locked."""


class TemporaryFolder:
    """A new folder for the results of a window.

    Parameters
    ----------
    parent : Path, optional
        Where it is made; the system's place for such unless told.

    Raises
    ------
    OSError
        If nothing can be written there.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=parent, ignore_cleanup_errors=True
        )
        self.path = Path(self._folder.name)
        self._lock = FileLock(self.path / LOCK, thread_local=False)
        self._lock.acquire(timeout=0)

    def remove(self) -> None:
        """Remove the folder and all in it."""
        self._lock.release()
        self._folder.cleanup()


def remove_abandoned(parent: Path, cancel: Cancel) -> None:
    """Remove the temporary folders of this user whose windows are dead."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        if cancel():
            return
        with suppress(OSError, Timeout):
            if _is_own(lock.parent) and time.time() - lock.stat().st_mtime > SETTLED_S:
                FileLock(lock).acquire(timeout=0).lock.release()
                shutil.rmtree(lock.parent, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    if folder.is_symlink():
        return False
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
