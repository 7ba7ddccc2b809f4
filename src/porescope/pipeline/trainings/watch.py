"""What a training that runs tells in its folder, for whoever watches it."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.learn.parameters import METRICS, PREVIEW

LOSSES = ("training_loss", "validation_loss")
MOST_BYTES = 1 << 24
"""A file that is larger is none of a training."""


class Losses(NamedTuple):
    """Losses of the epochs of one network.

    Attributes
    ----------
    name : str
        Of the network, where a training makes several.
    training, validation : lists of (epoch, loss)
    """

    name: str
    training: list[tuple[int, float]]
    validation: list[tuple[int, float]]


def read_losses(folder: Path) -> list[Losses]:
    """Return what each network of a training has reached so far, those begun first first."""
    found = []
    for path in _files(folder, METRICS):
        try:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            training, validation = (
                [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
                for name in LOSSES
            )
        except (OSError, ValueError, KeyError, TypeError, csv.Error):
            continue  # whatever it is, it is nothing to watch
        name = "" if path.parent == folder else path.parent.name
        found.append(Losses(name, training, validation))
    return found


def reached(folder: Path) -> str:
    """Return in words how far the newest network of a training is; nothing before an epoch."""
    for newest in reversed(read_losses(folder)):
        if newest.validation:
            epoch, loss = newest.validation[-1]
            whose = f"{newest.name}, " if newest.name else ""
            return f"{whose}epoch {epoch + 1} done, validation loss {loss:.4g}"
    return ""


def read_pictures(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the newest pictures (y, x) of an example by name; none if there are none yet."""
    for path in reversed(_files(folder, PREVIEW)):
        try:
            with np.load(path, allow_pickle=False) as pictures:
                shown = {name: np.asarray(pictures[name]) for name in pictures.files}
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile):
            continue  # it is no such file, or an array alone
        return {name: each for name, each in shown.items() if each.ndim == 2}
    return {}


def _files(folder: Path, name: str) -> list[Path]:
    """Return the files of this name in a folder and two levels below it, the newest last."""
    found = []
    for path in (folder / name, *folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")):
        try:
            told = path.stat()
        except OSError:
            continue
        if told.st_size <= MOST_BYTES:
            found.append((told.st_mtime_ns, path))
    return [path for _, path in sorted(found)]
