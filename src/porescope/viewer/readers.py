"""What napari opens through Porescope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from porescope.errors import MissingMetadata
from porescope.pipeline.workspace import INDEX, Workspace, image_name, load_workspace
from porescope.stack import Stack
from porescope.viewer.layers import (
    SOLID_COLOUR,
    TRUTH_COLOUR,
    LayerData,
    map_layer,
    phase_colours,
    to_layer_data,
)

Spacing = tuple[float | None, float | None, float | None]


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the reader for a file or folder, or None if it is not for us; looks at names only."""
    from porescope.io import can_read

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
    from porescope.viewer.sample_layers import sample_layer

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

    if is_result(path):
        workspace, _ = load_workspace(path)
        return workspace_layers(workspace)
    if is_voltage_folder(path):
        stacks = read_voltages(path, spacing_nm=spacing_nm)
        return image_layers(stacks)
    stack = read_stack(path, spacing_nm=spacing_nm, beam_kv=beam_kv)
    main = labels_layer(stack, stem(path)) if stack.is_labels else to_layer_data(stack, stem(path))
    return [main, *(labels_layer(read_stack(inside), inside.name) for inside in _labels_in(path))]


def is_result(path: Path) -> bool:
    """Whether a folder is a result of Porescope."""
    return (path / INDEX).is_file()


def workspace_layers(
    workspace: Workspace, suffix: str = "", **attributes: object
) -> list[LayerData]:
    """Return the layers of all volumes of a workspace, lowest first."""
    layers = image_layers(workspace.images, suffix, **attributes)
    layers += [map_layer(stack, name) for name, stack in workspace.maps.items()]
    if workspace.truth is not None:
        layers.append(
            labels_layer(workspace.truth, "truth", TRUTH_COLOUR, visible=workspace.labels is None)
        )
    if workspace.labels is not None:
        layers.append(labels_layer(workspace.labels, f"labels{suffix}"))
    return layers


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
    folder = path / "labels"
    if path.suffix != ".zarr" or not folder.is_dir():
        return []
    return sorted(inside for inside in folder.iterdir() if inside.is_dir())
