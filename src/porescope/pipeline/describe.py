"""What a file holds, or a step, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from porescope.geometry import Primitives
from porescope.io.heightfields import HeightfieldFile
from porescope.layers.series import ENERGIES_KEY, PAGES_KEY
from porescope.pipeline.fields import told
from porescope.pipeline.step import Step
from porescope.stack import SLICES, Stack


def describe(path: Path, stack: Stack, untold: tuple[str, ...] = (), one_of: int = 1) -> str:
    """Return what a person wants to know of a stack, a line each.

    Parameters
    ----------
    path : Path
        Where it lies; with others, one a voltage, if ``one_of`` is more than 1.
    stack : Stack
        What it holds.
    untold : tuple of str
        Axes (z, y, x) whose voxel size the file does not tell.
    """
    if pages := _pages(path, stack, untold):
        return pages
    z, y, x = stack.shape
    sizes = [
        "not told" if axis in untold else f"{size:g}"
        for axis, size in zip("zyx", stack.spacing_nm, strict=True)
    ]
    lines = {
        "slices": f"{z} of {y} x {x} pixels (y, x), {stack.data.dtype}",
        "voxel size": " x ".join(sizes) + " nm (z, y, x)",
        "slices at": "not told" if "z" in untold else _positions(stack),
        "beam energy": "not told" if stack.beam_kv is None else f"{stack.beam_kv:g} kV",
        "detector": stack.detector or "not told",
        **{key: str(value) for key, value in stack.metadata.items() if not isinstance(value, dict)},
    }
    if untold:  # what was put in their place was given by nobody
        lines.pop("spacing_source", None)
    voltage = f" ({stack.beam_kv:g} kV)" if one_of > 1 and stack.beam_kv else ""
    return _listed(f"{path}{voltage}", lines)


def _pages(path: Path, stack: Stack, untold: tuple[str, ...]) -> str | None:
    """Return what is in pages that are no slices: images of several energies, or maps."""
    energies, pages = (stack.metadata.get(key) for key in (ENERGIES_KEY, PAGES_KEY))
    count, y, x = stack.shape
    what = f"{count} of {y} x {x} pixels (y, x)"
    if isinstance(energies, list):
        lines = {"images": what, "beam energies": ", ".join(map(str, energies)) + " keV"}
    elif isinstance(pages, list):
        shown = {f"page {page}": str(each) for page, each in enumerate(pages, start=1)}
        lines = {"maps": what, **shown}
    else:
        return None
    if "y" not in untold:
        _, height, width = stack.spacing_nm
        lines["pixel size"] = f"{height:g} x {width:g} nm (y, x)"
    return _listed(path, lines)


def describe_primitives(path: Path, primitives: Primitives) -> str:
    """Return what a person wants to know of a list of primitives, a line each."""
    kinds = {
        "spheres": primitives.spheres,
        "cylinders": primitives.cylinders,
        "cubes": primitives.cuboids,
    }
    box = primitives.shape and " x ".join(f"{size:g}" for size in primitives.shape) + " (z, y, x)"
    counts = {name: f"{len(rows):,}" for name, rows in kinds.items()}
    return _listed(path, {**counts, "box": box or "not told"})


def describe_heightfields(path: Path, file: HeightfieldFile) -> str:
    """Return what a person wants to know of a file of heightfields, a line each."""
    lines = {
        "heightfields": f"{file.planes} of {file.rows} x {file.columns} pixels (y, x)",
        "layers": str(file.layers),
    }
    return _listed(path, lines)


def _listed(heading: object, lines: Mapping[str, str]) -> str:
    width = max(len(key) for key in lines)
    return "\n".join(
        [str(heading), *(f"  {key:<{width}}  {value}" for key, value in lines.items())]
    )


def _positions(stack: Stack) -> str:
    first, last = stack.slice_z_nm[0], stack.slice_z_nm[-1]
    even = "evenly" if stack.evenly_sliced else "unevenly"
    return f"{first:g} nm" if stack.shape[SLICES] == 1 else f"{first:g} to {last:g} nm, {even}"


def describe_step(step: Step) -> str:
    """Return a step's summary and its parameters with bounds, defaults and choices."""
    lines = [f"{step.name}: {step.summary}"]
    for name, field in step.parameters.model_fields.items():
        lines.append(f"  {name}: {told(field)}")
    return "\n".join(lines)
