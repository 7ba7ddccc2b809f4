"""Stacks with labels of each slice, to learn segmentation from, as they lie on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from porescope.correct import Alignment
from porescope.errors import PorescopeError
from porescope.io import read_stack, read_voltages
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
        the truth too, such as ``porescope simulate`` makes, whose drift is undone.

    Raises
    ------
    PorescopeError
        If it holds no images, or no labels of the images' shape.
    """
    from porescope.segment.training import Sample

    if (path / INDEX).is_file():
        workspace, _ = load_workspace(path)
        stacks: Sequence[Stack] = workspace.need_images()
        found = [workspace.need_labels()]
    else:
        stacks = [_undrifted(path, stack) for stack in read_voltages(path)]
        found = [
            read_stack(entry)
            for entry in sorted(path.iterdir())
            if entry.name.startswith(NAMES) and entry.suffix != ".json"
        ]
    fitting = [labels for labels in found if labels.shape == stacks[0].shape]
    if not fitting:
        raise PorescopeError(
            f"{path} holds no labels of each slice of its images; add labels of the shape "
            f"{stacks[0].shape} as labels.ome.zarr or labels.tif."
        )
    return Sample([_held(stack) for stack in stacks], _held(fitting[0]))


def _undrifted(path: Path, stack: Stack) -> Stack:
    """Return a stack as the alignment beside it says."""
    place = path / f"alignment-{stack.beam_kv:g}kV.json"
    if not place.exists():
        return stack
    alignment = Alignment.load(place)
    return alignment.apply(stack) if np.any(alignment.offsets_px) else stack


def _held(stack: Stack) -> Stack:
    if stack.data.nbytes > HELD_BYTES:
        return stack
    return stack.with_data(np.asarray(stack.data))
