"""What was clicked, as a recipe that gives the same: the steps that led to one result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from porescope.errors import PorescopeError
from porescope.pipeline.catalogue.segment import SCRIBBLES
from porescope.pipeline.project import Source, Taken, Used, place_of
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import IMAGES, ZARR

VOLTAGE = "kv="
"""Begins the name of a volume in a folder with one stack a voltage."""


def lineage(steps: Sequence[Taken], goal: Taken, folder: Path | None) -> Recipe:
    """Return the recipe that leads from files to the result of a step.

    Parameters
    ----------
    steps : sequence of Taken
        All that were run, in their order.
    goal : Taken
        One of them.
    folder : Path or None
        Of the project; None while the work is only temporary.

    Raises
    ------
    PorescopeError
        If the steps are no straight line, or use what is only temporary; names the layer.
    """
    made_by = {taken.folder: taken for taken in steps}
    needed: dict[str, Taken] = {}

    def collect(taken: Taken) -> None:
        if taken.folder not in needed:
            needed[taken.folder] = taken
            for used in _all_used(taken):
                if used.source.path in made_by:
                    collect(made_by[used.source.path])

    collect(goal)
    line = _Line(folder, needed)
    for taken in steps:
        if taken.folder in needed:
            line.take(taken)
    return Recipe.of(*line.steps, name=goal.step.capitalize(), inputs=tuple(line.inputs))


def _all_used(taken: Taken) -> list[Used]:
    found = (*taken.images, taken.labels, taken.truth, *taken.maps.values())
    return [used for used in found if used is not None]


class _Line:
    """A recipe that grows, and where the volumes of its workspace come from."""

    def __init__(self, folder: Path | None, made_by: dict[str, Taken]) -> None:
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self.inputs: list[Path] = []
        self._folder = folder
        self._made_by = made_by
        self._images: tuple[Used, ...] = ()
        self._labels: Used | None = None
        self._truth: Used | None = None
        self._stale: Used | None = None

    def take(self, taken: Taken) -> None:
        """Add a step, with what must come before it."""
        parameters = dict(taken.parameters)
        if taken.images:
            self._need_images(taken)
        self._need_labels(taken)
        if SCRIBBLES in taken.maps:
            parameters[SCRIBBLES] = str(self._place(taken.maps[SCRIBBLES]))
        if self._labels is not None and "labels" not in find_step(taken.step).uses:
            self._labels, self._stale = None, self._labels
        self.steps.append((taken.step, parameters))
        made = {
            volume: Used(name=name, source=Source(path=taken.folder, volume=volume))
            for volume, name in taken.made.items()
        }
        images = tuple(used for volume, used in made.items() if volume.startswith(IMAGES))
        self._images = images or self._images
        self._labels = made.get(f"labels{ZARR}", self._labels)

    def _need_images(self, taken: Taken) -> None:
        if _sources(taken.images) == _sources(self._images):
            return
        if self._images or any(used.source.path in self._made_by for used in taken.images):
            there = f"those before it left {_names(self._images)}" if self._images else "no other"
            raise PorescopeError(
                f"This is no straight line of steps: {taken.step} worked on "
                f"{_names(taken.images)}, but {there}. Run {taken.step} on these, and save the "
                "recipe of what it makes."
            )
        self._load(taken.images)
        self._images = taken.images

    def _need_labels(self, taken: Taken) -> None:
        wanted: dict[str, str] = {}
        for key, used, there in (
            ("path", taken.labels, self._labels),
            ("truth", taken.truth, self._truth),
        ):
            if used is None or (there and _sources([used]) == _sources([there])):
                continue
            if used.source.path in self._made_by:
                why = "a later step" if used == self._stale else "another branch of the steps"
                raise PorescopeError(
                    f"This is no straight line of steps: {taken.step} worked on the layer "
                    f"{used.name!r}, and {why} stands between. Make it once more from the images "
                    f"that were used last, and run {taken.step} on that."
                )
            self._check_told(used)
            wanted[key] = str(self._place(used))
        if wanted:
            self.steps.append(("labels", wanted))
        self._labels, self._truth = taken.labels or self._labels, taken.truth or self._truth

    def _load(self, images: Sequence[Used]) -> None:
        """Begin with images from files."""
        first = images[0].source
        for used in images:
            source = used.source
            same = source.spacing_nm == first.spacing_nm and source.beam_kv == first.beam_kv
            if not same or (source.beam_kv is not None and len(images) > 1):
                raise PorescopeError(
                    f"Voxel size or beam energy were filled in for {used.name!r} alone, and a "
                    "recipe says them once for all; put the stacks in one folder, with the "
                    "voltage in their names, and load that."
                )
        self.inputs = list(dict.fromkeys(self._place(used) for used in images))
        told: dict[str, Any] = {}
        if first.spacing_nm is not None:
            told["spacing_nm"] = first.spacing_nm
        if first.beam_kv is not None:
            told["beam_kv"] = first.beam_kv
        voltages = [used.source for used in images if used.source.volume.startswith(VOLTAGE)]
        count = sum({source.path: source.count for source in voltages}.values())
        if len(voltages) < count:
            if len(voltages) < len(images):
                raise PorescopeError(
                    f"{_names(images)} are some of the voltages of one folder together with other "
                    "files; put the stacks in one folder and load that."
                )
            told["keep_kv"] = [float(source.volume.removeprefix(VOLTAGE)) for source in voltages]
        self.steps.append(("load", told))

    def _check_told(self, used: Used) -> None:
        if used.source.spacing_nm is not None:
            raise PorescopeError(
                f"The voxel size of {used.name!r} was filled in by hand; save the layer with "
                "File, Save, load that file and run the step on it."
            )

    def _place(self, used: Used) -> Path:
        """Return the file of a volume."""
        source = used.source
        if not source.is_input and self._folder is None:
            raise PorescopeError(
                f"{used.name!r} is so far only in the temporary folder of this window; save the "
                "project first."
            )
        place = place_of(source.path, self._folder or Path())
        whole = not source.volume or source.volume.startswith(VOLTAGE)
        return place if whole else place / source.volume


def _sources(images: Sequence[Used]) -> list[Source]:
    """Return where images come from, however many there are beside them."""
    return [used.source.model_copy(update={"count": 1}) for used in images]


def _names(images: Sequence[Used]) -> str:
    return ", ".join(repr(used.name) for used in images)
