"""Removing drift, and keeping a part of the slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from porescope.errors import PorescopeError
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace, image_name
from porescope.stack import SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress

if TYPE_CHECKING:
    from porescope.correct import Alignment


class AlignParameters(Parameters):
    """How to align."""

    reference_kv: float | None = Field(
        None, gt=0, description="voltage that others are aligned to; the nearest to 2 kV by default"
    )
    region: Region | None = Field(
        None,
        description="what to look at, such as a fiducial: y start, y stop, x start, x stop in "
        "pixels of the first slice; empty to the edge. By default a part that stays the same from "
        "slice to slice is looked for, and all is used where there is none",
    )
    model: Literal["translation", "rigid", "affine"] = Field(
        "translation", description="whether slices only moved, turned too, or were sheared as well"
    )
    smooth_slices: float = Field(
        0.0,
        ge=0,
        description="standard deviation in slices of a Gaussian that smooths the drift; 0 for none",
    )
    unfilled: Literal["crop", "mark"] = Field(
        "crop", description="whether what some slices do not show is cut off, or kept and set to 0"
    )
    alignment: Path | None = Field(
        None,
        description="an alignment saved before, or a result folder with one for each voltage, to "
        "apply instead of measuring",
    )


@step("align", uses=("images",), made="aligned", tables=("alignment",))
def align(
    workspace: Workspace, parameters: AlignParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Remove drift within each stack and between voltages, and crop to the common area."""
    from porescope.correct import align_voltages, common_area

    images = workspace.need_images()
    if parameters.alignment is not None:
        # Whichever stack one was measured on, it is now that of the image it is applied to.
        alignments = [
            replace(_saved(parameters.alignment, image), beam_kv=image.beam_kv) for image in images
        ]
    else:
        alignments = align_voltages(
            images,
            parameters.reference_kv,
            region=parameters.region,
            model=parameters.model,
            smooth_slices=parameters.smooth_slices,
            progress=progress,
            cancel=cancel,
        )
    crops = parameters.unfilled == "crop"
    area = common_area(alignments, images[0].shape) if crops else None
    aligned = tuple(
        alignment.apply(image, area, fill=None if crops else 0).with_history(
            "align", **parameters.model_dump(mode="json")
        )
        for image, alignment in zip(images, alignments, strict=True)
    )
    workspace = replace(workspace, images=aligned, alignments=tuple(alignments))
    return workspace.with_table("alignment", _rows(images, alignments))


def _saved(path: Path, image: Stack) -> Alignment:
    """Return the alignment of an image from a file, or from a folder with one for each voltage."""
    from porescope.correct import Alignment

    if not path.is_dir():
        return Alignment.load(path)
    file = path / f"alignment-{image_name(image, 0)}.json"
    if not file.is_file():
        known = ", ".join(sorted(found.name for found in path.glob("alignment-*.json")))
        raise PorescopeError(
            f"{path} holds no {file.name} but {known or 'no alignment at all'}; name the file to "
            "apply to all images."
        )
    return Alignment.load(file)


def _rows(images: Sequence[Stack], alignments: Sequence[Alignment]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"slice": index} for index in range(images[0].shape[SLICES])]
    for number, (image, alignment) in enumerate(zip(images, alignments, strict=True)):
        name = image_name(image, number)
        for index, row in enumerate(rows):
            y, x = alignment.offsets_px[index].tolist()
            row |= {
                f"{name} y px": y,
                f"{name} x px": x,
                f"{name} confidence": float(alignment.confidence[index]),
                f"{name} refused": bool(alignment.refused[index]),
            }
    return rows


Index = Annotated[int, Field(ge=0)]


class CropParameters(Parameters):
    """What to keep."""

    region: Region = Field(
        (None, None, None, None),
        description="what to keep: y start, y stop, x start, x stop in pixels; empty to the edge",
    )
    slices: tuple[Index | None, Index | None] = Field(
        (None, None),
        description="first slice to keep, counted from 0, and the one to stop before; empty to the "
        "end",
    )
    leave_out: tuple[Index, ...] = Field(
        (),
        description="slices to leave out, such as those taken twice: [7, 12], counted from 0; the "
        "others stay where they were cut",
    )


@step("crop", uses=("images",), made="cropped")
def crop(
    workspace: Workspace, parameters: CropParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Keep a part of every slice, such as all but the fiducial, and leave out bad slices."""
    values = parameters.model_dump(mode="json")
    images = tuple(
        _kept(image, parameters)
        .crop(*region_slices(parameters.region, image.shape))
        .with_history("crop", **values)
        for image in workspace.need_images()
    )
    return replace(workspace, images=images)


def _kept(image: Stack, parameters: CropParameters) -> Stack:
    """Return the slices to keep, each at the depth where it was cut."""
    count = image.shape[SLICES]
    beyond = [index for index in parameters.leave_out if index >= count]
    if beyond:
        raise PorescopeError(
            f"There is no slice {beyond[0]} to leave out; the slices are 0 to {count - 1}."
        )
    keep = np.zeros(count, bool)
    keep[slice(*parameters.slices)] = True
    keep[list(parameters.leave_out)] = False
    if not keep.any():
        raise PorescopeError(
            f"Of slices 0 to {count - 1} none would be left; keep one or more of them."
        )
    if keep.all():
        return image
    return replace(image, data=image.data[keep], slice_z_nm=image.slice_z_nm[keep])
