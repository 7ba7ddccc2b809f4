"""What napari opens through Porescope."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from porescope.errors import MissingMetadata, PorescopeError
from porescope.pipeline.lineage import VOLTAGE
from porescope.pipeline.project import FILE, Source
from porescope.pipeline.workspace import (
    IMAGES,
    INDEX,
    MAPS,
    ZARR,
    Workspace,
    image_name,
    load_workspace,
)
from porescope.stack import ROWS, Stack
from porescope.viewer.layers import (
    SOLID_COLOUR,
    TRUTH_COLOUR,
    LayerData,
    map_layer,
    phase_colours,
    to_layer_data,
)
from porescope.viewer.project.sources import with_source

LABELS = "labels"
LOOKED_AT, MOST_PHASES, ROWS_LOOKED_AT = 16, 8, 256
"""Slices and rows of each by which labels are known that no file tells of, and their phases."""
Spacing = tuple[float | None, float | None, float | None]


def get_reader(path: str | Sequence[str]) -> Callable[[str], Any] | None:
    """Return the reader for a file or folder, or None if it is not for us; looks at names only."""
    from porescope.io import can_read

    if isinstance(path, str) and is_project(Path(path)):
        return open_project
    if not isinstance(path, str) or not (is_result(Path(path)) or can_read(Path(path))):
        return None
    return read


def get_list_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the reader for a list of primitives, or None for any other text."""
    from porescope.io import is_primitive_list

    return read_list if isinstance(path, str) and is_primitive_list(path) else None


def read_list(path: str) -> list[LayerData]:
    """Return a list of primitives as labels in voxels of its own unit, or coarser ones if many."""
    from napari.utils.notifications import show_info

    from porescope.io import read_primitives
    from porescope.pipeline.sample_results import show_primitives
    from porescope.viewer.simulate.sample_layers import sample_layer

    stack, shown = show_primitives(read_primitives(path))
    if shown.units_per_voxel > 1:
        show_info(
            f"{Path(path).name} is shown with voxels {shown.units_per_voxel} times as large; "
            "heightfields are exact."
        )
    # The list does not tell how long its unit is.
    stack = stack.with_data(np.asarray(stack.data))
    data, attributes, kind = sample_layer(stack, stem(Path(path)), shown)
    return [(data, attributes | {"units": ("pixel",) * 3}, kind)]


def read(path: str) -> list[LayerData]:
    """Read for napari; where the file does not tell the voxel size, open the panel that asks."""
    try:
        return read_layers(Path(path))
    except MissingMetadata as error:
        from napari import current_viewer

        viewer = current_viewer()
        if viewer is None:
            raise
        from porescope.viewer.dock import open_dock

        open_dock(viewer, "load").ask_for(Path(path))
        raise MissingMetadata(
            f"{error} Or fill it in in the Load panel of Porescope.", error.missing
        ) from error


def read_layers(
    path: Path, spacing_nm: Spacing | None = None, beam_kv: float | None = None
) -> list[LayerData]:
    """Return the layers of a stack, a folder of voltages, an OME-Zarr with labels or a result.

    Parameters
    ----------
    path : Path
    spacing_nm : tuple of three floats, optional
        Voxel size (z, y, x) in nm where the file does not tell it; None for an axis it tells.
    beam_kv : float, optional
        Beam energy where the file does not tell it.

    Raises
    ------
    PorescopeError
        If the file cannot be read.
    MissingMetadata
        If it does not tell the voxel size.
    """
    from porescope.io import is_voltage_folder, read_stack, read_voltages

    path = Path(os.path.abspath(path))
    if is_result(path):
        workspace, _ = load_workspace(path)
        return workspace_layers(workspace, str(path))
    source = Source(path=str(path), spacing_nm=spacing_nm, beam_kv=beam_kv)
    if is_voltage_folder(path):
        stacks = read_voltages(path, spacing_nm=spacing_nm)
        one = source.model_copy(update={"count": len(stacks), "beam_kv": None})
        return [
            with_source(layer, one.model_copy(update={"volume": f"{VOLTAGE}{stack.beam_kv!r}"}))
            for layer, stack in zip(image_layers(stacks), stacks, strict=True)
        ]
    stack = read_stack(path, spacing_nm=spacing_nm, beam_kv=beam_kv)
    if is_surely_labels(stack):
        main = labels_layer(replace(stack, is_labels=True), stem(path))
    else:
        main = to_layer_data(stack, stem(path))
    inside = [
        with_source(
            labels_layer(read_stack(labels), labels.name),
            Source(path=str(path), volume=f"{LABELS}/{labels.name}"),
        )
        for labels in _labels_in(path)
    ]
    return [with_source(main, source), *inside]


def is_surely_labels(stack: Stack) -> bool:
    """Whether a stack holds labels beyond doubt.

    Its file tells so, or it has two values only by its type, or its values are the numbers from 0
    to at most 7 in areas: neighbours differ less than half as often as by chance, which counted
    electrons or X-rays do not. Masks of 0 and 255 are left as images, as grey values may be black
    and white.
    """
    if stack.is_labels or stack.data.dtype.kind == "b":
        return True
    if stack.beam_kv is not None or stack.detector is not None or stack.data.dtype.kind == "f":
        return False
    rows = stack.shape[ROWS]
    found = np.zeros(MOST_PHASES, np.intp)
    differ: Any = 0
    pairs = 0
    for index in stack.spread_slices(LOOKED_AT):
        plane = np.asarray(stack.data[index])
        if plane.min() < 0 or plane.max() >= MOST_PHASES:
            return False
        plane = plane[:: math.ceil(rows / ROWS_LOOKED_AT)]
        found += np.bincount(plane.ravel(), minlength=MOST_PHASES)
        apart = plane[:, 1:] != plane[:, :-1]
        differ, pairs = differ + np.count_nonzero(apart), pairs + apart.size
    phases = np.flatnonzero(found)
    by_chance = 1 - np.sum((found / found.sum()) ** 2)
    return bool(1 < len(phases) == phases[-1] + 1 and differ < by_chance / 2 * pairs)


def is_project(path: Path) -> bool:
    """Whether a folder is a project of Porescope."""
    return (path / FILE).is_file()


def open_project(path: str) -> list[tuple[None]]:
    """Open a project in the window's dock; what napari itself gets are no layers."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        raise PorescopeError(f"{path} is a project; open it in a window of napari.")
    from porescope.viewer.dock import open_dock

    open_dock(viewer, "project").open(Path(path))
    return [(None,)]


def is_result(path: Path) -> bool:
    """Whether a folder is a result of Porescope."""
    return (path / INDEX).is_file()


def workspace_layers(workspace: Workspace, path: str, suffix: str = "") -> list[LayerData]:
    """Return the layers of all volumes of a workspace, lowest first.

    Parameters
    ----------
    workspace : Workspace
    path : str
        Where it was read from, for :class:`porescope.pipeline.project.Source`.
    suffix : str
        Of the names of its images and labels.
    """
    layers = image_layers(workspace.images, suffix)
    layers += [map_layer(stack, name) for name, stack in workspace.maps.items()]
    if workspace.truth is not None:
        layers.append(
            labels_layer(workspace.truth, "truth", TRUTH_COLOUR, visible=workspace.labels is None)
        )
    if workspace.labels is not None:
        layers.append(labels_layer(workspace.labels, f"labels{suffix}"))
    images, rest = len(workspace.images), dict(workspace.stacks())
    volumes = [name for name in rest if name.startswith((IMAGES, MAPS))]
    volumes += [name for name in (f"truth{ZARR}", f"labels{ZARR}") if name in rest]
    return [
        with_source(layer, Source(path=path, volume=volume, count=images))
        for layer, volume in zip(layers, volumes, strict=True)
    ]


def image_layers(
    stacks: Sequence[Stack], suffix: str = "", **attributes: object
) -> list[LayerData]:
    """Return an image layer a voltage, named after it."""
    return [
        to_layer_data(stack, image_name(stack, index) + suffix, **attributes)
        for index, stack in enumerate(stacks)
    ]


def labels_layer(
    stack: Stack, name: str, colour: str = SOLID_COLOUR, **attributes: object
) -> LayerData:
    """Return a labels layer with the solid in one colour."""
    return to_layer_data(stack, name, colormap=phase_colours(colour), **attributes)


def stem(path: Path) -> str:
    """Return a file's name without its suffix, also where that has two parts."""
    return path.name.removesuffix(path.suffix).removesuffix(".ome")


def _labels_in(path: Path) -> list[Path]:
    """Return the label volumes inside an OME-Zarr."""
    folder = path / LABELS
    if path.suffix != ".zarr" or not folder.is_dir():
        return []
    return sorted(inside for inside in folder.iterdir() if inside.is_dir())
