"""What made a result: versions, parameters and the hashes of everything read and written."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import porescope
from porescope.errors import PorescopeError
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

FILE = "provenance.json"
LIBRARIES = ("numpy", "scipy", "scikit-image", "scikit-learn", "dask", "zarr", "tifffile")


def versions() -> dict[str, str]:
    """Return the versions of Python, Porescope and the libraries that results depend on."""
    found = {"porescope": porescope.__version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a vendored or conda build without metadata
            found[library] = "unknown"
    return found


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's names and contents.

    Raises
    ------
    PorescopeError
        If it is not there or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in files_of(path):
            if path.is_dir():
                digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror or error}.") from error
    return digest.hexdigest()


def hash_inputs(
    paths: Iterable[Path], progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> list[dict[str, str]]:
    """Return path and hash of every input; for ``file.h5:/inside``, of the file."""
    paths = list(paths)
    return [
        {"path": str(path), "sha256": hash_path(on_disk(path))}
        for path in track(paths, progress, cancel)
    ]


def on_disk(path: Path) -> Path:
    """Return the file of an input such as ``file.h5:/inside``."""
    name, colon, inside = str(path).rpartition(":")
    return Path(name) if colon and inside.startswith("/") and Path(name).is_file() else path


def hash_outputs(folder: Path) -> dict[str, str]:
    """Return the hash of every file and every OME-Zarr in a result folder."""
    entries = [entry for entry in folder.rglob("*") if entry.name != FILE]
    whole = [e for e in entries if e.suffix == ".zarr" or (e.is_file() and not _in_zarr(e))]
    return {entry.relative_to(folder).as_posix(): hash_path(entry) for entry in sorted(whole)}


def fingerprint(*parts: Any) -> str:
    """Return a hash of JSON-able values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return a file, or all files in a folder, sorted."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path]


def _in_zarr(path: Path) -> bool:
    return any(parent.suffix == ".zarr" for parent in path.parents)
