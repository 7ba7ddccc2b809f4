"""The whole way from a stack without labels to its segmentation, stage by stage.

A first segmentation tells how much is solid and how thick ligaments are; structures like that are
drawn, imaged at the stack's voltages, and given its look; networks learn from them and segment the
stack. Each stage leaves in the folder what it made, whole or not at all, so that whoever comes back
goes on there; trainings go on at their epoch.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from porescope.errors import MissingMetadata, PorescopeError, PorescopeWarning
from porescope.files import replacing, write_beside
from porescope.learn.parameters import STOP
from porescope.pipeline.own_stack.brightness import Brightness, brightness_of
from porescope.pipeline.own_stack.parameters import OwnStackTraining
from porescope.pipeline.own_stack.samples import adapted_samples, check_imaging, make_samples
from porescope.pipeline.own_stack.structure import Waves, waves_like
from porescope.pipeline.own_stack.verdict import (
    Verdict,
    measured,
    share_moved,
    write_verdict,
)
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.run import Report, tell_nobody
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import IMAGES, INDEX, Workspace, write_json
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

if TYPE_CHECKING:
    from porescope.learn.weights import Card
    from porescope.segment.training import Sample

FILE = "segmentation.safetensors"
ASKED, STRUCTURE = "own-stack.json", "structure.json"
BEFORE, AFTER, TRAINING = "labels-before.ome.zarr", "labels-after.ome.zarr", "training"
LABELS = "labels.ome.zarr"
"""The one of both that is to be trusted."""
STAGES = (
    "first segmentation",
    "measuring ligaments",
    "imaging structures",
    "learning the look",
    "giving the look",
    "learning to segment",
    "segmenting",
    "checking the first segmentation",
    "checking the new one",
)
KMEANS = "kmeans"
AGAIN = (
    "The structures were drawn from what k-means found. Learn again in another folder, with "
    "{weights} to begin with (start): they are then drawn from the new segmentation, and come "
    "nearer to the stack."
)
SQUARE_WITHIN = 1.01
LEAST_PX, LEAST_SLICES = 32, 5


def train_on_own_stack(
    path: Path,
    out: Path,
    parameters: OwnStackTraining,
    *,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Card:
    """Learn to segment a stack without labels from structures like its own, and segment it.

    Parameters
    ----------
    path : Path
        Aligned stack, folder with one a voltage, or result of a recipe.
    out : Path
        Folder, in which a loop that was stopped goes on. It gets ``segmentation.safetensors``,
        ``labels-before.ome.zarr`` and ``labels-after.ome.zarr``, the one to be trusted as
        ``labels.ome.zarr`` too, ``report.html``, a ``recipe.yaml`` that segments other such stacks
        as that one was, and what each stage made. A file named ``stop`` in it ends each
        training after the epoch it is in.
    parameters : OwnStackTraining
    report, cancel : callables, optional
        Progress, by stage, and cancelling.

    Returns
    -------
    Card
        Of the weights, with isotropy and misfit before and after among the scores.

    Raises
    ------
    PorescopeError
        If the stack, a parameter or the folder makes no sense.
    Cancelled
        If ``cancel()`` became true; what is finished is kept.

    References
    ----------
    Generating ideal synthetic data for 3D reconstruction of FIB tomography data using generative
    adversarial networks (2024), figure 3.
    """
    if (path / INDEX).is_file():
        path = path / IMAGES
    stacks = _stacks(path, parameters, cancel)
    out.mkdir(parents=True, exist_ok=True)
    _check_same(out, path, parameters)
    check_imaging(stacks, parameters, cancel)
    stages = _Stages(out, report)
    how = _first_method(stacks, parameters)
    before = _segmented(stacks, out / BEFORE, how, stages.next(), cancel)
    waves, brightness = _structure(stacks, before, out, parameters, stages.next(), cancel)
    make_samples(stacks, waves, brightness, out, parameters, stages.next(), cancel)
    samples, notes = adapted_samples(
        stacks, out, parameters, stages.next("adaptation"), stages.next(), cancel
    )
    card = _trained(samples, out / TRAINING, parameters, stages.next(TRAINING), cancel)
    weights = out / TRAINING / FILE
    then = _by_networks(weights)
    after = _segmented(stacks, out / AFTER, then, stages.next(), cancel)
    measures = [
        _kept(
            out / f"measures-{when}.json",
            partial(measured, stacks, labels, parameters.materials),
            stages.next(),
            cancel,
        )
        for when, labels in (("before", before), ("after", after))
    ]
    judged = samples[-parameters.validation :]
    misplaced = tuple(_misplaced(judged, each, cancel) for each in (how, then))
    verdict = Verdict(
        measures[0], measures[1], share_moved(before, after, cancel), (misplaced[0], misplaced[1])
    )
    learned = {**then, "weights": str(out / FILE)}
    recipe = _recipe(
        Path(os.path.abspath(path)),
        learned if verdict.better else how,
        "Segmented by what was learned from the stack's own look"
        if verdict.better
        else "Segmented as at first, which explains the images better than what was learned",
        parameters,
        stacks,
    )
    made = Workspace(
        inputs=(path,),
        images=tuple(stacks),
        labels=after if verdict.better else before,
        maps={"labels before": before, "labels after": after},
        scores=verdict.after if verdict.better else verdict.before,
    )
    if not (out / LABELS).exists():
        with write_beside(out / LABELS) as beside:
            shutil.copytree(out / (AFTER if verdict.better else BEFORE), beside)
    notes = [_told(how, waves), *notes]
    if how["method"] == KMEANS and verdict.better:
        notes.append(AGAIN.format(weights=out / FILE))
    write_verdict(out, recipe, made, verdict, notes)
    if not verdict.better:
        warnings.warn(verdict.conclusion(), PorescopeWarning, stacklevel=2)
    for name in (Path(FILE).with_suffix(".json").name, FILE):
        with replacing(out / name) as beside:
            shutil.copyfile(weights.with_name(name), beside)
    return card.model_copy(update={"scores": {**card.scores, **verdict.scores()}})


class _Stages:
    """Tells progress by stage, and hands on to each training that it is to end."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._begun = 0

    def next(self, training: str | None = None) -> Progress:
        """Return the progress of the next stage, which may be a training in a folder."""
        name = f"{self._begun + 1}/{len(STAGES)} {STAGES[self._begun]}"
        self._begun += 1
        stop = None if training is None else self._folder / training / STOP
        if stop is not None:
            stop.unlink(missing_ok=True)  # of the last time

        def progress(done: int, total: int) -> None:
            if stop is not None and (self._folder / STOP).exists():
                stop.parent.mkdir(exist_ok=True)
                stop.touch()
            self._report(name, done, total)

        return progress


def _stacks(path: Path, parameters: OwnStackTraining, cancel: Cancel) -> list[Stack]:
    """Read the stacks, or refuse what nothing can be learned from."""
    load = find_step("load")
    given = {"spacing_nm": parameters.spacing_nm, "beam_kv": parameters.beam_kv}
    try:
        images = load.function(
            Workspace(inputs=(path,)), load.parse(given), progress=no_progress, cancel=cancel
        ).images
    except MissingMetadata as question:
        raise PorescopeError(
            f"{path} does not tell its voxel size; give it with --spacing-nm Z,Y,X."
        ) from question
    first = images[0]
    if any(stack.beam_kv is None for stack in images):
        raise PorescopeError(f"{path} tells no beam energy; give it in kV with --beam-kv.")
    if len({stack.shape for stack in images}) > 1:
        raise PorescopeError("The stacks differ in shape; align them first.")
    if first.shape[SLICES] < LEAST_SLICES or min(first.shape[ROWS:]) < LEAST_PX:
        raise PorescopeError(
            f"The stack has {first.shape[SLICES]} slices of {first.shape[ROWS]} x "
            f"{first.shape[COLUMNS]} pixels; take at least {LEAST_SLICES} of {LEAST_PX} x "
            f"{LEAST_PX}."
        )
    sides_nm = first.spacing_nm[ROWS:]
    if max(sides_nm) > SQUARE_WITHIN * min(sides_nm):
        raise PorescopeError(
            f"The pixels are not square ({sides_nm[0]:g} x {sides_nm[1]:g} nm), and no image can "
            "be simulated like that; resample the stacks."
        )
    return list(images)


def _check_same(out: Path, path: Path, parameters: OwnStackTraining) -> None:
    """Refuse to go on with another stack or other parameters than the loop began with."""
    asked = {"stack": str(path.absolute()), **parameters.model_dump(mode="json")}
    place = out / ASKED
    if not (place.exists() and (out / BEFORE).exists()):  # else there is nothing to go on with
        write_json(place, asked)
        return
    begun = _read(place)
    differ = [name for name, value in asked.items() if begun.get(name) != value]
    if differ:
        raise PorescopeError(
            f"{out} holds work with another {' and another '.join(differ)}; choose another folder, "
            "or go on with the same."
        )


def _read(place: Path) -> Any:
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PorescopeError(f"{place} cannot be read; choose another folder.") from error


def _kept(place: Path, make: Any, progress: Progress, cancel: Cancel) -> Any:
    """Return what lies there, or make it and put it there."""
    if not place.exists():
        write_json(place, make(progress=progress, cancel=cancel))
    return _read(place)


def _first_method(stacks: Sequence[Stack], parameters: OwnStackTraining) -> dict[str, Any]:
    """Return by what a stack is segmented first: networks that know it, or k-means."""
    from porescope.segment.model import load_segmentation
    from porescope.segment.probability import PIXEL_WITHIN

    if parameters.weights is None:
        return {"method": KMEANS}
    model, _ = load_segmentation(parameters.weights)
    pixels = stacks[0].spacing_nm[COLUMNS] / model.settings.pixel_nm
    try:
        model.voltages([stack.beam_kv for stack in stacks])
    except PorescopeError:
        return {"method": KMEANS}
    if not 1 / PIXEL_WITHIN <= pixels <= PIXEL_WITHIN:
        return {"method": KMEANS}
    return _by_networks(parameters.weights)


def _by_networks(weights: str | Path) -> dict[str, Any]:
    """Return how weights segment all voltages, as the step segment takes it."""
    from porescope.segment.model import load_segmentation

    settings = load_segmentation(weights)[0].settings
    method = settings.architecture if settings.joint else "late-fusion"
    return {"method": method, "weights": str(weights)}


def _segmented(
    stacks: Sequence[Stack],
    place: Path,
    how: Mapping[str, Any],
    progress: Progress,
    cancel: Cancel,
) -> Stack:
    from porescope.io import read_stack, write_stack

    if not place.exists():
        segment = find_step("segment")
        labels = segment.function(
            Workspace(images=tuple(stacks)), segment.parse(how), progress=progress, cancel=cancel
        ).need_labels()
        write_stack(place, labels, cancel=cancel)
    return read_stack(place)


def _misplaced(samples: Sequence[Sample], how: Mapping[str, Any], cancel: Cancel) -> float:
    """Return how many voxels of samples a method misplaces, in %."""
    segment = find_step("segment")
    parameters = segment.parse(how)
    shares = []
    for sample in samples:
        labels = segment.function(
            Workspace(images=tuple(sample.stacks)), parameters, progress=no_progress, cancel=cancel
        ).need_labels()
        shares.append(share_moved(labels, sample.truth, cancel).mean())
    return 100 * float(np.mean(shares))


def _structure(
    stacks: Sequence[Stack],
    labels: Stack,
    out: Path,
    parameters: OwnStackTraining,
    progress: Progress,
    cancel: Cancel,
) -> tuple[Waves, list[Brightness]]:
    """Return the waves to be drawn, and what the stacks look like in their phases."""

    def make(*, progress: Progress, cancel: Cancel) -> dict[str, Any]:
        brightness = [asdict(brightness_of(stack, labels)) for stack in stacks]
        waves = waves_like(labels, seed=parameters.seed, progress=progress, cancel=cancel)
        return {"waves": asdict(waves), "brightness": brightness}

    found = _kept(out / STRUCTURE, make, progress, cancel)
    waves = Waves(**{name: _tuples(value) for name, value in found["waves"].items()})
    return waves, [Brightness(**each) for each in found["brightness"]]


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _trained(
    samples: Sequence[Sample],
    folder: Path,
    parameters: OwnStackTraining,
    progress: Progress,
    cancel: Cancel,
) -> Card:
    from porescope.learn.weights import read_card
    from porescope.segment.training import train_segmentation

    if (folder / FILE).exists():
        return read_card(folder / FILE)
    chosen = len(samples) - parameters.validation
    return train_segmentation(
        samples[:chosen],
        samples[chosen:],
        folder,
        parameters.of_segmentation(),
        progress=progress,
        cancel=cancel,
    )


def _recipe(
    path: Path,
    how: Mapping[str, Any],
    name: str,
    parameters: OwnStackTraining,
    stacks: Sequence[Stack],
) -> Recipe:
    """Return what segments such stacks."""
    told = {"spacing_nm": parameters.spacing_nm, "beam_kv": parameters.beam_kv}
    even = stacks[0].evenly_sliced
    return Recipe.of(
        ("load", {name: value for name, value in told.items() if value is not None}),
        ("segment", how),
        *([] if even else ["slices"]),
        "measure",
        name=name,
        inputs=(path,),
    )


def _told(how: Mapping[str, Any], waves: Waves) -> str:
    """Return what was made, and from what."""
    by = "k-means" if how["method"] == KMEANS else "networks that there were"
    sizes = " and ".join(f"{length:.3g} nm" for length in waves.wavelengths_nm)
    return (
        f"Before is by {by}. Learned from leveled waves of {sizes}, "
        f"{100 * waves.solid_fraction:.1f} % solid, with chords of {waves.chord_nm:.3g} nm within "
        "slices on average."
    )
