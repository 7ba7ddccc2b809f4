"""A project read from the disk, ready to be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer

from porescope.errors import PorescopeError
from porescope.pipeline.annotations import AnnotationFile
from porescope.pipeline.project import (
    KeptLayer,
    Project,
    ProjectLock,
    Source,
    check_inputs,
    place_of,
    read_project,
)
from porescope.pipeline.run import Report
from porescope.pipeline.workspace import INDEX
from porescope.tracking import Cancel, track
from porescope.viewer.layers import KEY, LayerData
from porescope.viewer.project.sources import with_source
from porescope.viewer.project.window_state import layer_again
from porescope.viewer.readers import read_layers


class MissingInputs(PorescopeError):
    """Inputs are not where they were; the user is asked where they are.

    Parameters
    ----------
    paths : list of str
    """

    def __init__(self, paths: list[str]) -> None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        super().__init__(f"{paths[0]}{more} is not there; tell below where it is now, and open.")
        self.paths = paths


@dataclass(frozen=True, eq=False)
class Opened:
    """What a project holds.

    Attributes
    ----------
    lock : ProjectLock
        By which this window holds it.
    project : Project
    layers : list of (KeptLayer, Layer)
        To be shown.
    files : dict
        Where annotations go on to be saved.
    numbers : dict
        Tables and scores of each result.
    left_out : list of KeptLayer
        That cannot be shown now.
    notes : list of str
        What is not as it was.
    """

    lock: ProjectLock
    project: Project
    layers: list[tuple[KeptLayer, Layer]] = field(default_factory=list)
    files: dict[str, AnnotationFile] = field(default_factory=dict)
    numbers: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    left_out: list[KeptLayer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_opened(folder: Path, moved: Mapping[str, str], report: Report, cancel: Cancel) -> Opened:
    """Take hold of a project and read it.

    Parameters
    ----------
    folder : Path
    moved : mapping of str to str
        Where inputs are now.
    report, cancel
        As of a task of a :class:`porescope.viewer.work.Runner`.

    Raises
    ------
    MissingInputs
        If inputs are gone.
    PorescopeError
        If it is no project, is damaged or open in another window.
    """
    project = read_project(folder).with_inputs_at(moved)
    missing, changed = check_inputs(project)
    if missing:
        raise MissingInputs(missing)
    lock = ProjectLock(folder)
    try:
        opened = Opened(lock, project)
        opened.notes.extend(f"{path} has changed since it was used." for path in changed)
        reading = _Reading(folder)
        layers = track(project.layers, lambda done, total: report("Opening", done, total), cancel)
        for kept in layers:
            try:
                _read(kept, folder, reading, opened)
            except PorescopeError as error:
                opened.left_out.append(kept)
                opened.notes.append(f"Layer {kept.name!r} is left out. {error}")
        for taken in project.steps:
            opened.numbers[taken.folder] = _numbers(place_of(taken.folder, folder))
    except BaseException:
        lock.release()
        raise
    return opened


def _read(kept: KeptLayer, folder: Path, reading: _Reading, opened: Opened) -> None:
    if kept.annotation is not None:
        file = AnnotationFile(place_of(kept.annotation.folder, folder))
        opened.layers.append((kept, layer_again(kept, None, file.load(kept.annotation))))
        opened.files[kept.annotation.folder] = file
    elif kept.source is not None:
        opened.layers.append((kept, layer_again(kept, reading.layer(kept.source))))


class _Reading:
    """Reads each file once, however many layers show it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Source, list[LayerData]] = {}

    def layer(self, source: Source) -> LayerData:
        """Return the layer of a volume.

        Raises
        ------
        PorescopeError
            If there is no such volume any more.
        """
        whole = source.model_copy(update={"volume": "", "count": 1})
        if whole not in self._read:
            place = place_of(source.path, self._folder)
            self._read[whole] = read_layers(place, source.spacing_nm, source.beam_kv)
        for data, attributes, kind in self._read[whole]:
            told = attributes["metadata"][KEY]
            if told["source"]["volume"] == source.volume:
                # What is painted on one layer must not show on another.
                own = np.array(data) if isinstance(data, np.ndarray) and kind == "labels" else data
                metadata = {"metadata": {KEY: dict(told)}}
                return with_source((own, attributes | metadata, kind), source)
        raise PorescopeError(f"{source.path} holds no {source.volume} any more.")


def _numbers(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return tables and scores of a result; nothing where they cannot be read."""
    try:
        index = json.loads((folder / INDEX).read_text())
        return dict(index["tables"]), dict(index["scores"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}
