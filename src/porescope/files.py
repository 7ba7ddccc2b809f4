"""Write beside, then rename: an output is whole or absent."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from porescope.errors import PorescopeError


@contextmanager
def write_beside(path: str | Path) -> Iterator[Path]:
    """Yield a hidden place beside ``path``; move what was written there to ``path`` at the end.

    Whatever goes wrong, the hidden place is removed and ``path`` is as it was.

    Raises
    ------
    PorescopeError
        If ``path`` exists, or its folder cannot be written or is full.
    """
    path = Path(path)
    if path.exists():
        raise PorescopeError(f"{path} exists already; choose another name or remove it.")
    beside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(beside)
        try:
            yield beside
            beside.rename(path)
        finally:
            remove(beside)
    except OSError as error:
        raise PorescopeError(f"Cannot write {path}: {error.strerror or error}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden place beside a file of our own; what was written there replaces the file."""
    beside = path.with_name(f".{path.name}.partial")
    yield beside
    os.replace(beside, path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there, and so is what it would lie in."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
