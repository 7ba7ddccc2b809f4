"""Stacks with labels of their slices, to learn segmentation from, as they lie on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from porescope.correct import Alignment, common_area
from porescope.errors import PorescopeError
from porescope.io import is_voltage_folder, read_stack, read_voltages
from porescope.pipeline.workspace import INDEX, load_workspace
from porescope.stack import Stack

if TYPE_CHECKING:
    from porescope.segment.training import Sample

HELD_BYTES = 1 << 31
"""Stacks up to this size are held in memory, as they are read over and over."""
NAMES = ("labels", "truth")


def read_sample(path: Path) -> Sample:
    """Read aligned stacks with their labels.

    Parameters
    ----------
    path : Path
        Result of a recipe, with labels at the slices; or a folder of voltages that holds labels or
        the truth too, such as ``porescope simulate`` makes, whose drift is undone. There may be
        labels of some slices only, told by where they lie along z.

    Raises
    ------
    PorescopeError
        If it holds no images, or no labels of their slices.
    """
    from porescope.segment.training import Sample
    from porescope.segment.windows import shows_slices_of

    if (path / INDEX).is_file():
        workspace, _ = load_workspace(path)
        stacks: Sequence[Stack] = workspace.need_images()
        found = [workspace.need_labels()]
    else:
        stacks = read_voltages(path)
        found = [
            read_stack(entry)
            for entry in sorted(path.iterdir())
            if entry.name.startswith(NAMES) and entry.suffix != ".json"
        ]
    fitting = [labels for labels in found if shows_slices_of(labels, stacks[0])]
    if not fitting:
        raise PorescopeError(
            f"{path} holds no labels of slices of its images; add labels of the shape "
            f"{stacks[0].shape}, or of some of these slices, as labels.ome.zarr or labels.tif."
        )
    *stacks, truth = _undrifted(path, stacks, fitting[0])
    return Sample([_held(stack) for stack in stacks], _held(truth))


def read_images(path: Path, spacing_nm: Sequence[float] | None = None) -> list[Stack]:
    """Read the stacks of a folder of voltages, or the one stack of a file or folder of slices."""
    if is_voltage_folder(path):
        stacks = read_voltages(path, spacing_nm)
    else:
        stacks = [read_stack(path, spacing_nm)]
    return [_held(stack) for stack in stacks]


def _undrifted(path: Path, stacks: Sequence[Stack], truth: Stack) -> list[Stack]:
    """Return stacks as the alignments beside them say, and the truth that all of them show."""
    alignments = [Alignment(np.zeros((len(stack.data), 2)), stack.beam_kv) for stack in stacks]
    for index, alignment in enumerate(alignments):
        place = path / f"alignment-{alignment.beam_kv:g}kV.json"
        if place.exists():
            alignments[index] = Alignment.load(place)
    if not any(np.any(each.offsets_px) or each.linear is not None for each in alignments):
        return [*stacks, truth]
    area = common_area(alignments, stacks[0].shape)
    moved = [
        alignment.apply(stack, area) for alignment, stack in zip(alignments, stacks, strict=True)
    ]
    return [*moved, truth.crop(*area)]


def _held(stack: Stack) -> Stack:
    if stack.data.nbytes > HELD_BYTES:
        return stack
    return stack.with_data(np.asarray(stack.data))
