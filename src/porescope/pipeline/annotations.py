"""What was painted, kept slice by slice: a small compressed TIFF for each slice that is not empty.

A slice is written beside and renamed, so a killed program leaves each slice as it was before or as
it is now.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.files import replacing
from porescope.io.guard import check_size, naming
from porescope.pipeline.project import Annotation

EMPTY = b""


class AnnotationFile:
    """A volume of labels in a folder of slices, which writes only what has changed.

    Parameters
    ----------
    folder : Path
        Made when something is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[int, bytes] = {}

    def save(self, labels: Any) -> int:
        """Write the slices of a volume that are not as they were saved last; return how many.

        Parameters
        ----------
        labels : array of shape (z, y, x)
            May be painted on meanwhile: what is caught half-way is saved whole the next time.

        Raises
        ------
        PorescopeError
            If the folder cannot be written.
        """
        changed = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for index in range(len(labels)):
                plane = np.array(labels[index])
                digest = _digest(plane)
                if digest != self._written.get(index, EMPTY):
                    self._write(index, plane, bool(digest))
                    self._written[index] = digest
                    changed += 1
        except OSError as error:
            raise PorescopeError(
                f"Cannot save what was painted to {self.folder}: {error.strerror or error}."
            ) from error
        return changed

    def _write(self, index: int, plane: NDArray[Any], there: bool) -> None:
        from tifffile import imwrite

        path = self._path(index)
        if not there:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as beside:
            imwrite(beside, plane, compression="zlib", metadata=None)

    def load(self, annotation: Annotation) -> NDArray[Any]:
        """Return the volume that was saved.

        Raises
        ------
        PorescopeError
            If its size cannot be, or a slice is damaged.
        """
        dtype = np.dtype(annotation.dtype)
        with naming(self.folder):
            check_size(self.folder, annotation.shape, dtype.itemsize, (1, *annotation.shape[1:]))
            labels = np.zeros(annotation.shape, dtype)
            for index in range(len(labels)):
                if self._path(index).is_file():
                    labels[index] = _read(self._path(index), labels[index])
                    self._written[index] = _digest(labels[index])
        return labels

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:05d}.tif"


def _digest(plane: NDArray[Any]) -> bytes:
    return hashlib.blake2b(plane.data, digest_size=16).digest() if plane.any() else EMPTY


def _read(path: Path, like: NDArray[Any]) -> NDArray[Any]:
    from tifffile import TiffFile

    with naming(path), TiffFile(path) as file:
        page = file.pages[0]
        if page.shape != like.shape or page.dtype != like.dtype:  # before anything is allocated
            raise PorescopeError(
                f"{path} is no slice of {math.prod(like.shape):,} pixels of its annotation; take "
                "it from a backup, or remove it."
            )
        plane: NDArray[Any] = page.asarray()
        return plane
