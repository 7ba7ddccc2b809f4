"""Slices corrected by hand, as a sample that a training learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.pipeline.run import Report, tell_nobody
from porescope.stack import Stack
from porescope.tracking import Cancel, never_cancel

AROUND = 16
"""Slices kept before and after corrected ones: more than a network sees at once."""


def corrections_of(
    images: Sequence[Stack], labels: Stack, corrected: Sequence[int]
) -> tuple[list[Stack], Stack]:
    """Return the images around corrected slices, and the labels of those slices alone.

    Parameters
    ----------
    images : sequence of Stack
        One for each voltage, on the voxels of the labels.
    labels : Stack
    corrected : sequence of int
        Slices of which every label is right, ascending.

    Raises
    ------
    PorescopeError
        If there are no images or no corrected slices, or an image has other voxels.
    """
    if not len(corrected):
        raise PorescopeError("No slice is marked as corrected; correct one and mark it.")
    if not images:
        raise PorescopeError(
            "There are no images of a known voltage on the voxels of these labels; load the stacks "
            "that were segmented."
        )
    for image in images:
        if image.shape != labels.shape or not np.allclose(image.slice_z_nm, labels.slice_z_nm):
            raise PorescopeError(
                f"An image has the shape {image.shape}, the labels {labels.shape}, or their slices "
                "lie elsewhere; choose the images that were segmented."
            )
    first = max(corrected[0] - AROUND, 0)
    around = slice(first, corrected[-1] + AROUND + 1)
    seen = [
        image.with_data(image.data[around], slice_z_nm=image.slice_z_nm[around]) for image in images
    ]
    chosen = list(corrected)
    truth = labels.with_data(labels.data[chosen], slice_z_nm=labels.slice_z_nm[chosen])
    return seen, replace(truth, is_labels=True)


def write_corrections(
    images: Sequence[Stack],
    truth: Stack,
    folder: Path,
    *,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Path:
    """Write what :func:`corrections_of` returns into a folder that does not exist yet.

    Raises
    ------
    PorescopeError
        If the folder exists or cannot be written.
    Cancelled
    """
    from porescope.io import write_stack

    volumes = {f"{image.beam_kv:g}kV.ome.zarr": image for image in images}
    volumes["labels.ome.zarr"] = truth
    with write_beside(folder) as beside:
        for number, (name, stack) in enumerate(volumes.items()):

            def progress(done: int, total: int, before: int = number) -> None:
                report("writing corrections", before * total + done, len(volumes) * total)

            write_stack(beside / name, stack, progress=progress, cancel=cancel)
    return folder
