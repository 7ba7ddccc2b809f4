"""Edits of a volume of labels, kept small, that can be taken back and done again."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.unsignedinteger]
Part = tuple[slice, ...]
LEVEL = 1
"""Of compression: labels are mostly runs, and the window waits for it."""
KEPT_BYTES = 1 << 28


@dataclass(frozen=True)
class Patch:
    """A part of a volume before and after an edit.

    Parameters
    ----------
    where : tuple of slices
        The part.
    before, after : bytes
        Its labels, compressed.
    """

    where: Part
    before: bytes
    after: bytes

    @classmethod
    def between(cls, where: Part, before: Labels, after: Labels) -> Patch | None:
        """Return what changed in a part of a volume, or None if nothing did.

        Parameters
        ----------
        where : tuple of slices
            With a start and a stop on each axis.
        before, after : arrays of the same shape and dtype
        """
        changed = before != after
        if not changed.any():
            return None
        box = bounding_box(changed)
        place = tuple(
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(where, box, strict=True)
        )
        kept = (zlib.compress(each[box].tobytes(), LEVEL) for each in (before, after))
        return cls(place, *kept)

    def apply(self, labels: Labels) -> None:
        """Do the edit; voxels that changed meanwhile stay as they are."""
        self._write(labels, self.before, self.after)

    def take_back(self, labels: Labels) -> None:
        """Undo the edit; voxels that changed since stay as they are."""
        self._write(labels, self.after, self.before)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.before) + len(self.after)

    def _write(self, labels: Labels, old: bytes, new: bytes) -> None:
        part = labels[self.where]
        was, becomes = (
            np.frombuffer(zlib.decompress(each), labels.dtype).reshape(part.shape)
            for each in (old, new)
        )
        part[...] = np.where((part == was) & (was != becomes), becomes, part)


Edit = tuple[Patch, ...]
"""What is undone at once."""


class History:
    """The edits of one volume; the oldest are forgotten where they take too much memory.

    Parameters
    ----------
    most_bytes : int
        That edits may take; the newest is kept whatever it takes.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._done: deque[Edit] = deque()
        self._undone: list[Edit] = []

    def add(self, patches: Iterable[Patch]) -> None:
        """Remember an edit that was done; what was taken back before is forgotten."""
        edit = tuple(patches)
        if not edit:
            return
        self._undone.clear()
        self._done.append(edit)
        while len(self._done) > 1 and sum(map(_size, self._done)) > self._most_bytes:
            self._done.popleft()

    def undo(self) -> Edit:
        """Return the edit to take back now; nothing where there is none."""
        return self._move(self._done, self._undone)

    def redo(self) -> Edit:
        """Return the edit to do again; nothing where there is none."""
        return self._move(self._undone, self._done)

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return bool(self._undone)

    @staticmethod
    def _move(source: deque[Edit] | list[Edit], target: deque[Edit] | list[Edit]) -> Edit:
        if not source:
            return ()
        edit = source.pop()
        target.append(edit)
        return edit


def bounding_box(mask: NDArray[np.bool_]) -> Part:
    """Return the smallest box that holds all of a mask, which is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(held[0]), int(held[-1]) + 1))
    return tuple(box)


def _size(edit: Edit) -> int:
    return sum(patch.size for patch in edit)
