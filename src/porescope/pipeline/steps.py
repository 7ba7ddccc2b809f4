"""The steps a recipe can have, in the order of the work."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from porescope.correct.interpolate import Method as InterpolationMethod
from porescope.errors import PorescopeError, PorescopeWarning
from porescope.pipeline.samples import draw_sample, find_sample_kind
from porescope.pipeline.simulation import SimulationParameters, simulate_stack
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace, image_name
from porescope.segment.classical import Method as SegmentationMethod
from porescope.stack import COLUMNS, ROWS, SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress

Length = Annotated[float, Field(gt=0)]
Spacing = tuple[Length | None, Length | None, Length | None]


class LoadParameters(Parameters):
    """What the files do not tell."""

    spacing_nm: Spacing | None = Field(
        None, description="voxel size z, y, x in nm, where the files do not tell it"
    )
    beam_kv: float | None = Field(
        None, gt=0, description="beam energy in kV of a single stack, where its file does not tell"
    )
    truth: Path | None = Field(
        None, description="labels to score against; beside the input if relative"
    )


@step("load", saved=False, panel=False)  # the window's own panel can ask
def load(
    workspace: Workspace, parameters: LoadParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Read the stacks, one for each voltage, with voxel size and slice positions."""
    from porescope.io import read_stack, read_voltages

    if not workspace.inputs:
        raise PorescopeError("There is no input; name a stack file or a folder.")
    images: list[Stack] = []
    for path in workspace.inputs:
        if holds_voltages(path):
            images += read_voltages(path, spacing_nm=parameters.spacing_nm)
        else:
            images.append(read_stack(path, parameters.spacing_nm, parameters.beam_kv))
    images.sort(key=lambda stack: stack.beam_kv or 0.0)
    truth = None
    if parameters.truth is not None:
        first = workspace.inputs[0]
        folder = first if first.is_dir() else first.parent
        spacing_nm = None if parameters.truth.suffix else images[0].spacing_nm
        truth = replace(read_stack(folder / parameters.truth, spacing_nm), is_labels=True)
    return replace(workspace, images=tuple(images), truth=truth)


class SampleParameters(Parameters):
    """Which sample."""

    kind: str = Field(description="kind of sample, as porescope sample --help lists them")
    parameters: dict[str, Any] = Field(
        {}, description="what the kind takes, as porescope sample KIND --help lists it"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        find_sample_kind(self.kind).parse(self.parameters)
        return self


@step("sample", saved=False, uses=(), panel=False)
def sample(
    workspace: Workspace, parameters: SampleParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Draw a sample to be imaged."""
    if parameters.kind == "list":
        raise PorescopeError("A list of primitives is an input of the recipe, not a sample step.")
    if workspace.inputs:
        raise PorescopeError(
            f"The recipe draws its own sample and has no use for the input {workspace.inputs[0]}; "
            "leave out the input or the sample step."
        )
    return replace(
        workspace, sample=draw_sample(parameters.kind, parameters.parameters, progress, cancel)
    )


@step("simulate", uses=(), made="simulated", panel=False)
def simulate(
    workspace: Workspace, parameters: SimulationParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Image the sample, or labels or primitives from the input, by Monte Carlo."""
    from porescope.pipeline.heightfields import open_sample

    imaged = workspace.sample
    if imaged is None:
        if not workspace.inputs:
            raise PorescopeError(
                "There is no sample; put a sample step before this one, or name labels or a list "
                "of primitives as the input."
            )
        imaged = open_sample(workspace.inputs[0], lazy=True)
    simulated = simulate_stack(imaged, parameters, progress=progress, cancel=cancel)
    for note in simulated.notes:
        warnings.warn(note, PorescopeWarning, stacklevel=2)
    rows = [
        {"slice": index, "position nm": z}
        for index, z in enumerate(simulated.images[0].slice_z_nm.tolist())
    ]
    for index, alignment in enumerate(simulated.alignments):
        name = image_name(alignment, index)
        for row, (y, x) in zip(rows, alignment.offsets_px.tolist(), strict=True):
            row |= {f"{name} y px": y, f"{name} x px": x}
    workspace = replace(workspace, images=simulated.images, truth=simulated.truth)
    return workspace.with_table("simulation", rows)


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


class SegmentParameters(Parameters):
    """How to tell solid from pore."""

    method: SegmentationMethod = Field("kmeans", description="how grey values become phases")
    clusters: int = Field(3, ge=2, le=8, description="clusters of k-means, the brightest is solid")
    seed: int = Field(0, ge=0, description="where k-means starts")


@step("segment", uses=("images",))
def segment(
    workspace: Workspace, parameters: SegmentParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Tell solid from pore, voxel by voxel."""
    from porescope.segment import segment as segmented

    images = workspace.need_images()
    values = parameters.model_dump(mode="json")
    data = segmented(images, **values, progress=progress, cancel=cancel)
    labels = images[0].with_data(data, is_labels=True, beam_kv=None, detector=None)
    return replace(workspace, labels=labels.with_history("segment", **values))


class SlicesParameters(Parameters):
    """Onto which grid, and how to fill it."""

    grid_nm: float | None = Field(
        None, gt=0, description="distance of planes in nm; the pixel size by default"
    )
    interpolation: InterpolationMethod = Field(
        "distance", description="how planes between slices are filled"
    )


@step("slices", uses=("labels",), made="on grid")
def slices(
    workspace: Workspace, parameters: SlicesParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Put the labelled slices where they were cut, and fill the planes between."""
    from porescope.correct import grid_places, interpolate, reposition

    labels = workspace.need_labels()
    grid_nm = parameters.grid_nm or labels.spacing_nm[ROWS]
    spacing_nm = (grid_nm, *labels.spacing_nm[1:])
    volume, known = reposition(labels.data, labels.slice_z_nm, grid_nm)
    filled = interpolate(
        volume, known, parameters.interpolation, spacing_nm=spacing_nm, is_labels=True
    )
    first_nm = float(labels.slice_z_nm.min())
    regular = replace(
        labels.with_history("slices", **parameters.model_dump(mode="json")),
        data=filled,
        spacing_nm=spacing_nm,
        slice_z_nm=first_nm + grid_nm * np.arange(len(known)),
    )
    places = grid_places(labels.slice_z_nm, grid_nm)
    rows = [
        {"slice": index, "position nm": z, "thickness nm": thickness, "plane": plane}
        for index, (z, thickness, plane) in enumerate(
            zip(
                labels.slice_z_nm.tolist(),
                [*np.diff(labels.slice_z_nm).tolist(), None],
                places.tolist(),
                strict=True,
            )
        )
    ]
    return replace(workspace, labels=regular).with_table("slices", rows)


class MeasureParameters(Parameters):
    """Nothing to choose yet."""


@step("measure", uses=("labels", "truth"))
def measure(
    workspace: Workspace, parameters: MeasureParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Measure the solid fraction, and score against the truth where there is one."""
    from porescope.measure import phase_fractions, scores

    labels = workspace.need_labels()
    total = 2 * labels.shape[SLICES]

    def first_half(done: int, _: int) -> None:
        progress(done, total)

    def second_half(done: int, _: int) -> None:
        progress(labels.shape[SLICES] + done, total)

    fractions = phase_fractions(labels.data, progress=first_half, cancel=cancel)
    found: dict[str, Any] = {
        "solid_fraction": 1.0 - fractions.get(0, 0.0),
        "phase_fractions": {str(label): share for label, share in fractions.items()},
        "shape": list(labels.shape),
        "spacing_nm": list(labels.spacing_nm),
    }
    if workspace.truth is not None:
        truth = sampled_at(workspace.truth, labels)
        found |= scores(labels.data, truth, progress=second_half, cancel=cancel)
        found["true_solid_fraction"] = 1.0 - phase_fractions(truth).get(0, 0.0)
    return replace(workspace, scores=found)


def sampled_at(volume: Stack, grid: Stack) -> Any:
    """Return the voxels of ``volume`` that lie at the voxel centres of ``grid``.

    Raises
    ------
    PorescopeError
        If the grid reaches out of the volume by more than a voxel.
    """
    indices = []
    for axis, name in ((SLICES, "z"), (ROWS, "y"), (COLUMNS, "x")):
        if axis == SLICES:
            positions = grid.slice_z_nm - volume.slice_z_nm[0]
        else:
            start = grid.origin_yx_nm[axis - 1] - volume.origin_yx_nm[axis - 1]
            positions = start + (np.arange(grid.shape[axis]) + 0.5) * grid.spacing_nm[axis]
        index = np.floor(positions / volume.spacing_nm[axis] + 1e-6).astype(int)
        if index.min() < -1 or index.max() > volume.shape[axis]:
            raise PorescopeError(
                f"The truth does not cover the segmented volume along {name}; "
                "check its voxel size and that both show the same place."
            )
        indices.append(index.clip(0, volume.shape[axis] - 1))
    z, y, x = indices
    return volume.data[z][:, y][:, :, x]


def holds_voltages(path: Path) -> bool:
    """Whether a folder holds one sub-folder or file a voltage, rather than one stack."""
    from porescope.io import is_voltage_folder

    return bool(is_voltage_folder(path))
