"""Measuring where slices were cut."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from porescope.errors import Cancelled, PorescopeError, PorescopeWarning
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import SLICES, Region, Stack
from porescope.tracking import Cancel, Progress

# Positions of two voltages may differ by this share of a slice, as their files round them.
SAME = 0.1


class PositionsParameters(Parameters):
    """What to look at."""

    source: Literal["images", "ruler", "table", "files"] = Field(
        "images",
        description="what tells the positions: how much slices differ, milled marks, a table, or "
        "what the files told already, which is checked only",
    )
    region: Region | None = Field(
        None,
        description="of images, what to compare, without the fiducial: y start, y stop, x start, "
        "x stop in pixels; empty to the edge",
    )
    parallel: tuple[Region, ...] = Field(
        (),
        description="of a ruler, a box about each mark along the milling direction: [[y start, "
        "y stop, x start, x stop], ...] in pixels of the first slice",
    )
    inclined: tuple[Region, ...] = Field(
        (),
        description="of a ruler, a box about each other mark, written the same way: "
        "[[y start, y stop, x start, x stop], ...]",
    )
    angle_deg: float | None = Field(
        None,
        gt=0,
        lt=90,
        description="of a ruler, the angle between its inclined marks and the milling direction",
    )
    table: Path | None = Field(
        None,
        description="text with a column such as 'position nm' or 'thickness nm', a row a slice",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source == "ruler" and not (self.parallel and self.inclined and self.angle_deg):
            raise ValueError(
                "a ruler needs a box about a parallel mark, one about an inclined mark and the "
                "angle between them"
            )
        if self.source == "table" and self.table is None:
            raise ValueError("name the file of the table")
        return self


@step("positions", uses=("images",), made="placed", tables=("positions", "marks"))
def positions(
    workspace: Workspace, parameters: PositionsParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Measure where each slice was cut, and mark the slices to doubt."""
    from porescope.correct.positions import (
        SliceDistances,
        SlicePositions,
        compare_slices,
        doubts_told,
        positions_from_distances,
        positions_from_marks,
        positions_from_table,
        slice_health,
    )

    images = workspace.need_images()
    # Where the least shines through, slices differ by what was milled away alone.
    clearest = min(images, key=lambda image: image.beam_kv or 0.0)
    distances: SliceDistances | None = None
    try:
        distances = compare_slices(clearest, parameters.region, progress=progress, cancel=cancel)
    except PorescopeError as error:
        if parameters.source == "images" or isinstance(error, Cancelled):
            raise
        warnings.warn(
            f"Slices cannot be compared, so swapped ones are not noticed. {error}",
            PorescopeWarning,
            stacklevel=2,
        )
    if distances is not None and parameters.source == "images":
        _tell_what_is_replaced(clearest)
        found = positions_from_distances(clearest, distances)
    elif parameters.source == "ruler" and parameters.angle_deg is not None:
        found = positions_from_marks(
            clearest,
            parameters.parallel,
            parameters.inclined,
            parameters.angle_deg,
            progress=progress,
            cancel=cancel,
        )
    elif parameters.source == "table" and parameters.table is not None:
        found = positions_from_table(parameters.table)
    else:
        _check_same(images)
        found = SlicePositions.of(clearest)
    values = parameters.model_dump(mode="json")
    placed = tuple(found.apply(image).with_history("positions", **values) for image in images)
    workspace = replace(workspace, images=placed)
    if workspace.labels is not None and workspace.labels.shape[0] == len(found.slice_z_nm):
        workspace = replace(workspace, labels=found.apply(workspace.labels))
    if found.marks_px is not None:
        rows = [
            {"slice": index, "mark": mark, "y px": y, "x px": x}
            for index, places in enumerate(found.marks_px.tolist())
            for mark, (y, x) in enumerate(places)
            if np.isfinite(y)
        ]
        workspace = workspace.with_table("marks", rows)
    rows = slice_health(found, distances)
    if doubts := doubts_told(rows):
        warnings.warn(doubts, PorescopeWarning, stacklevel=2)
    return workspace.with_table("positions", rows)


def _tell_what_is_replaced(image: Stack) -> None:
    """Warn where images take the place of what the files told, or contradict it."""
    up = np.flatnonzero(np.diff(image.slice_z_nm) < 0)
    if up.size:
        warnings.warn(
            f"By the files slice {up[0] + 1} lies above the one before, but the images are taken "
            "in their order; look whether slices are out of order.",
            PorescopeWarning,
            stacklevel=3,
        )
    source = image.metadata.get("slice_z_source", "files")
    if source != "images" and not (source == "files" and image.evenly_sliced):
        warnings.warn(
            f"The {source} told where slices lie, and the images replace that; to keep it, leave "
            "this step out or set its source to files.",
            PorescopeWarning,
            stacklevel=3,
        )


def _check_same(images: Sequence[Stack]) -> None:
    """Refuse voltages whose files contradict each other on where a slice lies."""
    first = images[0]
    for image in images[1:]:
        apart = np.abs(image.slice_z_nm - first.slice_z_nm)
        if len(apart) and apart.max() > SAME * first.spacing_nm[SLICES]:
            worst = int(apart.argmax())
            raise PorescopeError(
                f"By their files slice {worst} lies at {first.slice_z_nm[worst]:g} nm at "
                f"{first.beam_kv or 0:g} kV and at {image.slice_z_nm[worst]:g} nm at "
                f"{image.beam_kv or 0:g} kV; all voltages show one face, so let the images, a "
                "ruler or a table tell."
            )
