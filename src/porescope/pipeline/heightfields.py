"""Heightfields of a sample in a file, written to another file in a process of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from porescope.errors import MissingMetadata, PorescopeError
from porescope.geometry import Primitives
from porescope.imaging import HeightField, extract_heightfield
from porescope.io.heightfields import heightfield_suffix, write_heightfields
from porescope.pipeline.run import Report, tell_nobody
from porescope.pipeline.sample_results import LIST_SUFFIX, check_not_input, in_place_of
from porescope.stack import Stack
from porescope.tracking import Cancel, never_cancel

MOST_PLANES = 100_000


@dataclass(frozen=True)
class Extracted:
    """What there is in a file of heightfields.

    Parameters
    ----------
    planes : int
        How many.
    shape : tuple of three ints
        Layers, rows and columns of each.
    solid_fraction : float
        Share of pixels that are solid at their plane.
    seconds : float
        Mean time a plane took.
    """

    planes: int
    shape: tuple[int, int, int]
    solid_fraction: float
    seconds: float


def parse_planes(text: str) -> tuple[float, ...]:
    """Return the depths that ``Z``, ``Z,Z,...`` or ``START:STOP:STEP`` name, STOP left out.

    Raises
    ------
    PorescopeError
        If it is none of these, or names no plane or too many.

    Examples
    --------
    >>> parse_planes("0:10:2.5")
    (0.0, 2.5, 5.0, 7.5)
    """
    parts = text.split(":") if ":" in text else text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)) or (":" in text and len(numbers) > 3):
        raise PorescopeError(
            f"The planes are {text!r}; give a depth, several with commas between, or "
            "START:STOP:STEP."
        )
    if ":" not in text:
        return tuple(numbers)
    start, stop, step = (*numbers, 1.0)[:3]
    if step <= 0:
        raise PorescopeError(
            f"The planes {text} have a step of {step:g}; it must be above 0, as planes go deeper."
        )
    if stop <= start:
        raise PorescopeError(
            f"The planes {text} name no plane: they stop at {stop:g}, which is left out, and that "
            f"must lie deeper than the start at {start:g}."
        )
    count = (stop - start) / step
    if count > MOST_PLANES:
        raise PorescopeError(
            f"The planes {text} are more than the {MOST_PLANES:,} that can be extracted at once; "
            "take a larger step."
        )
    return tuple(start + step * index for index in range(math.ceil(count)))


def write_heightfields_of(
    source: Path,
    planes_z: Sequence[float],
    path: Path,
    *,
    layers: int = 2,
    shape: Sequence[int] | None = None,
    level: float | None = None,
    spacing_nm: Sequence[float] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Extracted:
    """Extract the heightfields of a list of primitives or of a volume, and write them.

    Parameters
    ----------
    source : Path
        List of primitives (.txt), or any volume that can be read.
    planes_z : sequence of floats
        Depths in the unit of the primitives or in voxels.
    path : Path
        As for :func:`porescope.io.heightfields.write_heightfields`.
    layers, shape, level, device : optional
        As for :func:`porescope.imaging.extract_heightfield`.
    spacing_nm : sequence of three floats, optional
        Voxel size (z, y, x) of a volume whose file does not tell it.
    overwrite : bool, optional
        Replace an earlier file.
    report, cancel : callables, optional
        Progress and cancelling.

    Raises
    ------
    PorescopeError
        If a file or a parameter makes no sense.
    Cancelled
        If ``cancel()`` became true.
    """
    heightfield_suffix(path)
    check_not_input(path, source)
    report("Opening the sample", 0, 1)
    sample = open_sample(source, spacing_nm)
    seconds: list[float] = []
    solid: dict[float, float] = {}

    def extract(plane_z: float) -> HeightField:
        start = time.perf_counter()
        field = in_memory(extract_heightfield(sample, plane_z, shape, layers, device, level=level))
        seconds.append(time.perf_counter() - start)
        solid[plane_z] = float(np.mean(field.entry[0] == 0))
        return field

    rows, columns = extract(planes_z[0]).entry.shape[1:]

    pixel_nm = None if isinstance(sample, Primitives) else sample.spacing_nm[1:]
    extracting = partial(report, "Extracting and writing")
    with in_place_of(path, overwrite) as place:
        write_heightfields(
            place, planes_z, extract, pixel_nm=pixel_nm, progress=extracting, cancel=cancel
        )
    return Extracted(
        planes=len(planes_z),
        shape=(layers, rows, columns),
        solid_fraction=float(np.mean([solid[z] for z in planes_z])),
        seconds=float(np.mean(seconds)),
    )


def open_sample(
    path: Path, spacing_nm: Sequence[float] | None = None, lazy: bool = False
) -> Primitives | Stack:
    """Open a list of primitives (.txt) or a volume, with its voxels in memory unless ``lazy``.

    Raises
    ------
    PorescopeError
        If it cannot be read, does not tell its voxel size or does not fit into memory.
    """
    from porescope.io import read_primitives, read_stack

    if path.suffix.lower() == LIST_SUFFIX:
        if spacing_nm is not None:
            raise PorescopeError(
                f"{path} is a list of primitives, which has no voxel size; leave out --spacing-nm."
            )
        return read_primitives(path)
    try:
        stack = read_stack(path, spacing_nm)
    except MissingMetadata as question:
        raise PorescopeError(
            f"{path} does not tell its voxel size; give it with --spacing-nm Z,Y,X."
        ) from question
    return stack if lazy else stack.with_data(np.asarray(stack.data))


def in_memory(field: HeightField) -> HeightField:
    """Return a heightfield as numpy arrays, wherever it was extracted."""
    arrays = (field.entry, field.exit, field.normal)
    return HeightField(*(a if isinstance(a, np.ndarray) else a.cpu().numpy() for a in arrays))
