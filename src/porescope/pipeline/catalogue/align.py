"""Removing drift, and keeping a part."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace, image_name
from porescope.stack import SLICES, Region, region_slices
from porescope.tracking import Cancel, Progress


class AlignParameters(Parameters):
    """How to align."""

    reference_kv: float | None = Field(
        None, gt=0, description="voltage that others are aligned to; the nearest to 2 kV by default"
    )
    region: Region | None = Field(
        None,
        description="what to look at, such as a fiducial: y start, y stop, x start, x stop in "
        "pixels; empty to the edge",
    )


@step("align", uses=("images",), made="aligned")
def align(
    workspace: Workspace, parameters: AlignParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Remove drift within each stack and between voltages, and crop to the common area."""
    from porescope.correct import align_voltages, common_area

    images = workspace.need_images()
    alignments = align_voltages(
        images,
        parameters.reference_kv,
        region=parameters.region,
        progress=progress,
        cancel=cancel,
    )
    area = common_area(alignments, images[0].shape)
    aligned = tuple(
        alignment.apply(image, area).with_history("align", **parameters.model_dump(mode="json"))
        for image, alignment in zip(images, alignments, strict=True)
    )
    rows = [{"slice": index} for index in range(images[0].shape[SLICES])]
    for index, (image, alignment) in enumerate(zip(images, alignments, strict=True)):
        name = image_name(image, index)
        for row, (y, x) in zip(rows, alignment.offsets_px.tolist(), strict=True):
            row |= {f"{name} y px": y, f"{name} x px": x}
    workspace = replace(workspace, images=aligned, alignments=tuple(alignments))
    return workspace.with_table("alignment", rows)


class CropParameters(Parameters):
    """What to keep."""

    region: Region = Field(
        (None, None, None, None),
        description="what to keep: y start, y stop, x start, x stop in pixels; empty to the edge",
    )


@step("crop", uses=("images",), made="cropped")
def crop(
    workspace: Workspace, parameters: CropParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Keep a part of every slice, such as all but the fiducial."""
    values = parameters.model_dump(mode="json")
    images = tuple(
        image.crop(*region_slices(parameters.region, image.shape)).with_history("crop", **values)
        for image in workspace.need_images()
    )
    return replace(workspace, images=images)
