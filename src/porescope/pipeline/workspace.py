"""What goes from step to step: the images of one sample, its labels, and what was found out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from porescope.errors import PorescopeError
from porescope.files import replacing
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

if TYPE_CHECKING:
    from porescope.correct import Alignment
    from porescope.geometry import Primitives

INDEX = "workspace.json"
IMAGES, MAPS, ZARR = "images/", "maps/", ".ome.zarr"


@dataclass(frozen=True, eq=False)
class Workspace:
    """One sample on its way through the steps.

    Parameters
    ----------
    inputs : tuple of Path
        Files or folders that the user named.
    sample : Primitives or Stack, optional
        What is to be imaged; drawn again when it is needed, and not written.
    images : tuple of Stack
        One for each voltage, lowest first.
    labels, truth : Stack, optional
        Phases as found, and as they are where that is known.
    maps : mapping of str to Stack
        What was found out voxel by voxel, such as how likely each is solid.
    alignments : tuple of Alignment
        As applied to the images; empty before.
    tables : mapping of str to list of rows
        What a person wants to see as a table, a row a slice.
    scores : mapping of str to numbers
        What ``scores.json`` holds.
    """

    inputs: tuple[Path, ...] = ()
    sample: Primitives | Stack | None = None
    images: tuple[Stack, ...] = ()
    labels: Stack | None = None
    truth: Stack | None = None
    maps: Mapping[str, Stack] = field(default_factory=dict)
    alignments: tuple[Alignment, ...] = ()
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)

    def need_images(self) -> tuple[Stack, ...]:
        """Return the images, or say that there are none."""
        if not self.images:
            raise PorescopeError(
                "There are no images yet; let the recipe begin with load or simulate."
            )
        return self.images

    def need_labels(self) -> Stack:
        """Return the labels, or say that there are none."""
        if self.labels is None:
            raise PorescopeError("There are no labels yet; put a segment step before this one.")
        return self.labels

    def with_table(self, name: str, rows: list[dict[str, Any]]) -> Workspace:
        """Return the workspace with one table more."""
        return replace(self, tables={**self.tables, name: rows})

    def with_map(self, name: str, stack: Stack) -> Workspace:
        """Return the workspace with one map more."""
        return replace(self, maps={**self.maps, name: stack})

    def stacks(self) -> Iterator[tuple[str, Stack]]:
        """Yield every volume with the name of its file."""
        for index, image in enumerate(self.images):
            yield f"{IMAGES}{image_name(image, index)}{ZARR}", image
        if self.labels is not None:
            yield "labels.ome.zarr", self.labels
        if self.truth is not None:
            yield "truth.ome.zarr", self.truth
        for name, stack in self.maps.items():
            yield f"{MAPS}{name}{ZARR}", stack


def image_name(item: Stack | Alignment, index: int) -> str:
    """Return the name of an image volume or its alignment: the voltage where known."""
    return f"image{index}" if item.beam_kv is None else f"{item.beam_kv:g}kV"


def save_workspace(
    folder: Path,
    workspace: Workspace,
    written: Mapping[int, Path] | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> None:
    """Write a workspace into a folder that does not exist yet.

    Parameters
    ----------
    folder : Path
        Where to.
    workspace : Workspace
        What; lazy volumes are computed on the way to the disk.
    written : mapping of id(stack) to Path, optional
        Volumes that lie on the disk already; they are pointed to, not written again.
    """
    from porescope.io import write_stack

    written = written or {}
    folder.mkdir(parents=True)
    names = [name for name, _ in workspace.stacks()]
    if len(set(names)) < len(names):
        raise PorescopeError(
            "Two of the images have the same beam energy; give each stack its own with beam_kv."
        )
    fresh = [(name, stack) for name, stack in workspace.stacks() if id(stack) not in written]
    places = {name: str(written[id(s)]) for name, s in workspace.stacks() if id(s) in written}
    total = sum(stack.shape[0] for _, stack in fresh)
    finished = 0
    for name, stack in fresh:

        def report(
            done: int, slabs: int, start: int = finished, size: int = stack.shape[0]
        ) -> None:
            progress(start + size * done // max(slabs, 1), total)

        (folder / name).parent.mkdir(exist_ok=True)
        write_stack(folder / name, stack, progress=report, cancel=cancel)
        finished += stack.shape[0]
        places[name] = name
    write_index(folder, workspace, places)


def write_index(folder: Path, workspace: Workspace, places: Mapping[str, str]) -> None:
    """Write what a workspace holds beside its volumes, and where those lie."""
    index = {
        "inputs": [str(path) for path in workspace.inputs],
        "volumes": places,
        "alignments": [alignment.to_dict() for alignment in workspace.alignments],
        "tables": workspace.tables,
        "scores": workspace.scores,
    }
    write_json(folder / INDEX, index)


def load_workspace(folder: Path) -> tuple[Workspace, dict[int, Path]]:
    """Read a workspace that :func:`save_workspace` wrote, volumes lazily where large.

    Returns
    -------
    workspace : Workspace
    written : dict of id(stack) to Path
        Where each of its volumes lies.
    """
    from porescope.correct import Alignment
    from porescope.io import read_stack

    try:
        index = json.loads((folder / INDEX).read_text())
        places = {name: folder / place for name, place in index["volumes"].items()}
        inputs = tuple(Path(path) for path in index["inputs"])
        # Results of the first version left the number of the format out.
        alignments = tuple(
            Alignment.from_dict({"porescope_alignment": 1, **entry})
            for entry in index["alignments"]
        )
        tables, scores = index["tables"], index["scores"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PorescopeError(f"{folder} holds no finished result of Porescope.") from error
    stacks = {name: read_stack(place) for name, place in places.items()}
    workspace = Workspace(
        inputs=inputs,
        images=tuple(stack for name, stack in stacks.items() if name.startswith(IMAGES)),
        labels=stacks.get("labels.ome.zarr"),
        truth=stacks.get("truth.ome.zarr"),
        maps={
            name.removeprefix(MAPS).removesuffix(ZARR): stack
            for name, stack in stacks.items()
            if name.startswith(MAPS)
        },
        alignments=alignments,
        tables=tables,
        scores=scores,
    )
    return workspace, {id(stacks[name]): place for name, place in places.items()}


def write_json(path: Path, content: Any) -> None:
    """Write JSON to the disk, whole before it gets its name; NaN becomes null."""
    text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
    with replacing(path) as beside:
        beside.write_text(text + "\n")


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and content != content:
        return None
    return content
