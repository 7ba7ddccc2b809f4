"""Structures like those in a stack, imaged at its voltages and given its look."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from porescope.errors import Cancelled, PorescopeError, PorescopeWarning
from porescope.files import write_beside
from porescope.pipeline.own_stack.brightness import Brightness, brightness_of
from porescope.pipeline.own_stack.parameters import OwnStackTraining
from porescope.pipeline.own_stack.structure import Waves, looked_at
from porescope.pipeline.simulation.parameters import parse_materials
from porescope.pipeline.simulation.plan import reach_nm
from porescope.pipeline.simulation.stack import Simulated, simulate_stack
from porescope.pipeline.workspace import image_name, write_json
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, track

if TYPE_CHECKING:
    from porescope.segment.training import Sample

SAMPLES, ADAPTATION, ADAPTED = "samples", "adaptation", "adapted"
NOT_ADAPTED = "not-adapted.json"
NO_NOISE_ELECTRONS = 10_000_000
"""So that images have no noise before they get that of the stack."""
MOST_DEEPER = 1.0
"""What lies below the last slice of a structure, at most, as a share of its slices' depth."""
TRIED_PX = 32
LARGEST_PATCH_PX, PATCH_MULTIPLE_PX = 128, 16
DISTANCE = "validation_distance"
"""Of the looks, as the training of an adaptation tells it: 1 as far as before, 0 the same."""
LOOKED_AT = 64
"""Slices of the stack that show its look."""


def make_samples(
    stacks: Sequence[Stack],
    waves: Waves,
    brightness: Sequence[Brightness],
    out: Path,
    parameters: OwnStackTraining,
    progress: Progress,
    cancel: Cancel,
) -> None:
    """Write structures with their images, a folder each, as far as they are not there."""
    for number in track(range(parameters.samples), progress, cancel):
        folder = out / SAMPLES / f"{number:02d}"
        if folder.exists():
            continue
        seed = 1000 * (parameters.seed + 1) + number
        images, truth = _imaged(waves, stacks, parameters, seed, cancel)
        noisy = [
            wanted.given_to(image, brightness_of(image, truth), stack.data.dtype, seed)
            for image, wanted, stack in zip(images, brightness, stacks, strict=True)
        ]
        _write(folder, noisy, truth, cancel)


def _imaged(
    waves: Waves,
    stacks: Sequence[Stack],
    parameters: OwnStackTraining,
    seed: int,
    cancel: Cancel,
) -> tuple[list[Stack], Stack]:
    """Draw a structure and image it without noise; return the images and what is true of them."""
    beams_kv = [stack.beam_kv or 0.0 for stack in stacks]
    voxel_nm, slice_nm = _sizes_nm(stacks[0])
    depth_nm = parameters.sample_slices * slice_nm
    below_nm = reach_nm(parse_materials(parameters.materials).values(), max(beams_kv))
    planes = math.ceil((depth_nm + min(below_nm, MOST_DEEPER * depth_nm)) / voxel_nm[SLICES])
    solid = waves.draw((planes, parameters.sample_px, parameters.sample_px), voxel_nm, seed)
    labels = Stack(solid.astype(np.uint8), voxel_nm, is_labels=True)
    simulated = _simulated(labels, stacks, parameters, parameters.sample_slices, seed, cancel)
    return list(simulated.images), simulated.truth_slices


def check_imaging(stacks: Sequence[Stack], parameters: OwnStackTraining, cancel: Cancel) -> None:
    """Refuse materials, voltages or weights by which structures would be imaged in vain.

    Raises
    ------
    PorescopeError
    """
    voxel_nm, slice_nm = _sizes_nm(stacks[0])
    labels = np.zeros((math.ceil(2 * slice_nm / voxel_nm[SLICES]), TRIED_PX, TRIED_PX), np.uint8)
    labels[:, : TRIED_PX // 2] = 1
    made = _simulated(Stack(labels, voxel_nm, is_labels=True), stacks, parameters, 1, 0, cancel)
    for image in made.images:
        solid, pore = np.split(np.asarray(image.data, float), 2, axis=1)
        if solid.mean() <= pore.mean():
            raise PorescopeError(
                f"With the materials {parameters.materials}, solid (1) would be no brighter than "
                f"pore (0) at {image.beam_kv:g} kV; name the brighter material as 1."
            )


def _sizes_nm(stack: Stack) -> tuple[tuple[float, float, float], float]:
    """Return the voxels of structures, and the distance of slices."""
    pixel_nm = stack.spacing_nm[COLUMNS]
    slice_nm = float(np.diff(stack.slice_z_nm).mean())
    if not slice_nm > 0:
        raise PorescopeError("The slices do not lie one below the other; find their places first.")
    return (slice_nm / max(1, round(slice_nm / pixel_nm)), pixel_nm, pixel_nm), slice_nm


def _simulated(
    labels: Stack,
    stacks: Sequence[Stack],
    parameters: OwnStackTraining,
    slices: int,
    seed: int,
    cancel: Cancel,
) -> Simulated:
    """Image a structure as the stacks were, but for their noise."""
    return simulate_stack(
        labels,
        {
            "beam_kv": [stack.beam_kv or 0.0 for stack in stacks],
            "electrons": NO_NOISE_ELECTRONS,
            "materials": parameters.materials,
            "surrogate": parameters.imaging,
            "slices": slices,
            "mean_nm": _sizes_nm(stacks[0])[1],
            "deviation_nm": 0.0,
            "dtype": "uint16",
            "seed": seed,
        },
        cancel=cancel,
    )


def _write(folder: Path, images: Sequence[Stack], truth: Stack, cancel: Cancel) -> None:
    from porescope.io import write_stack

    with write_beside(folder) as beside:
        for index, image in enumerate(images):
            write_stack(beside / f"{image_name(image, index)}.ome.zarr", image, cancel=cancel)
        write_stack(beside / "labels.ome.zarr", truth, cancel=cancel)


def adapted_samples(
    stacks: Sequence[Stack],
    out: Path,
    parameters: OwnStackTraining,
    learning: Progress,
    giving: Progress,
    cancel: Cancel,
) -> tuple[list[Sample], list[str]]:
    """Return the samples with the look of the stack, or as they are and why.

    Returns
    -------
    samples : list of Sample
    notes : list of str
        Sentences for the report.
    """
    from porescope.pipeline.trainings.samples import read_sample

    numbers = [f"{number:02d}" for number in range(parameters.samples)]
    plain = [read_sample(out / SAMPLES / number) for number in numbers]
    if not parameters.adapt:
        return plain, ["The images were not adapted, as was asked for."]
    refused = out / NOT_ADAPTED
    if not refused.exists():
        try:
            _learn_look(plain, stacks, out / ADAPTATION, parameters, learning, cancel)
            for index in track(range(len(plain)), giving, cancel):
                folder = out / ADAPTED / numbers[index]
                if not folder.exists():
                    images = _with_look(plain[index], out / ADAPTATION, index, cancel)
                    _write(folder, images, plain[index].truth, cancel)
        except Cancelled:
            raise
        except PorescopeError as error:
            write_json(refused, {"why": str(error)})
    if refused.exists():
        why = json.loads(refused.read_text(encoding="utf-8"))["why"]
        told = f"The images were not adapted, and keep the simulated look: {why}"
        warnings.warn(told, PorescopeWarning, stacklevel=2)
        return plain, [told]
    adapted = [read_sample(out / ADAPTED / number) for number in numbers]
    return adapted, ["The images were given the look of the stack before networks learned."]


def _learn_look(
    samples: Sequence[Sample],
    stacks: Sequence[Stack],
    folder: Path,
    parameters: OwnStackTraining,
    progress: Progress,
    cancel: Cancel,
) -> None:
    from porescope.adapt.adaptation import FILE
    from porescope.adapt.parameters import AdaptationTraining
    from porescope.adapt.training import train_adaptation

    if (folder / FILE).exists():
        return
    room = min(LARGEST_PATCH_PX, parameters.sample_px, *stacks[0].shape[ROWS:])
    card = train_adaptation(
        [stack for sample in samples for stack in sample.stacks],
        [looked_at(stack, LOOKED_AT) for stack in stacks],
        folder,
        AdaptationTraining(
            epochs=parameters.adaptation_epochs,
            patch_px=room // PATCH_MULTIPLE_PX * PATCH_MULTIPLE_PX,
            seed=parameters.seed,
        ),
        progress=progress,
        cancel=cancel,
    )
    if not card.scores[DISTANCE] < 1:
        raise PorescopeError(
            "it would be no nearer to that of the stack than brightness and noise alone bring it "
            f"({card.scores[DISTANCE]:.2f} times as far)."
        )


def _with_look(sample: Sample, folder: Path, index: int, cancel: Cancel) -> list[Stack]:
    from porescope.adapt.adaptation import FILE, adapt_stack

    beams = len(sample.stacks)
    return [
        adapt_stack(stack, folder / FILE, seed=index * beams + beam, cancel=cancel)
        for beam, stack in enumerate(sample.stacks)
    ]
