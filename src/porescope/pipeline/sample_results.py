"""Samples on their way to a file or a window, drawn in a process of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.files import remove
from porescope.geometry import Primitives
from porescope.pipeline.run import Report, tell_nobody, work_folder
from porescope.pipeline.samples import SampleKind, box_of, draw_sample, labels_of
from porescope.pipeline.step import Parameters
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, track

LIST_SUFFIX = ".txt"

SHOWN_VOXELS = 256**3
SURFACE_VOXELS = 200**3
SURFACE_SMOOTHING = 0.8
"""Standard deviation in voxels of the Gaussian that takes the steps off a shown surface."""


@dataclass(frozen=True)
class Written:
    """What there is in a file.

    Parameters
    ----------
    primitives : int or None
        How many, of a sample made of them.
    shape : tuple of three ints or None
        Number of voxels (z, y, x); None for a list of primitives.
    solid_fraction : float or None
        Share of voxels that are not 0, counted in the file.
    """

    primitives: int | None = None
    shape: tuple[int, int, int] | None = None
    solid_fraction: float | None = None


def write_sample(
    kind: SampleKind,
    parameters: Parameters,
    path: Path,
    overwrite: bool = False,
    *,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Written:
    """Draw a sample and write it: a list of primitives (.txt), or labels slab by slab.

    Parameters
    ----------
    kind : SampleKind
    parameters : Parameters
        Of that kind.
    path : Path
        Name ending in .txt, .ome.zarr, .ome.tif or .tif.
    overwrite : bool, optional
        Replace an earlier file.
    report : callable(what, done, total), optional
        Hears of progress.
    cancel : callable() -> bool, optional
        Stops the work when true; nothing is left then.

    Returns
    -------
    Written

    Raises
    ------
    PorescopeError
        If a parameter or the name makes no sense, the file exists or cannot be written.
    Cancelled
        If ``cancel()`` became true.
    """
    from porescope.io import write_primitives, write_stack

    as_list = path.suffix.lower() == LIST_SUFFIX
    if as_list and not kind.has_primitives:
        raise PorescopeError(
            f"Sample {kind.name} is made of voxels, not of primitives, so {path.name} cannot hold "
            "it; choose .ome.zarr, .ome.tif or .tif."
        )
    check_not_input(path, getattr(parameters, "path", None))
    with in_place_of(path, overwrite) as place:
        sample = draw_sample(kind.name, parameters, partial(report, "Drawing"), cancel)
        primitives = len(sample) if isinstance(sample, Primitives) else None
        if as_list and isinstance(sample, Primitives):
            write_primitives(place, sample)
            return Written(primitives)
        told = parameters.model_dump(mode="json")
        stack = labels_of(sample, told["voxel_nm"]).with_history(f"sample {kind.name}", **told)
        write_stack(place, stack, progress=partial(report, "Drawing and writing"), cancel=cancel)
        counting = partial(report, "Counting solid voxels")
        return Written(primitives, stack.shape, _solid_fraction(place, counting, cancel))


def _solid_fraction(path: Path, progress: Progress, cancel: Cancel) -> float:
    from porescope.io import read_stack
    from porescope.io.slabs import load, slabs

    data = read_stack(path).data
    counts = [np.count_nonzero(load(data, slab)) for slab in track(slabs(data), progress, cancel)]
    return sum(counts) / math.prod(data.shape)


def check_not_input(path: Path, source: Path | None) -> None:
    """Refuse to write over what is read."""
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise PorescopeError(f"{path} is the input; choose another name for the result.")


@contextmanager
def in_place_of(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a place of the same name in a hidden folder; move what is there to ``path`` at the end.

    Raises
    ------
    PorescopeError
        If there is a file already that must not be replaced, or it cannot be written.
    """
    from porescope.io.zarr_reader import is_zarr

    if path.exists() and not overwrite:
        raise PorescopeError(
            f"{path} exists already; choose another name, or replace it with --overwrite."
        )
    if path.is_dir() and not is_zarr(path):
        raise PorescopeError(f"{path} is a folder of other things; choose another name.")
    folder = work_folder(path)
    try:
        remove(folder)
        folder.mkdir(parents=True)
        yield folder / path.name
        if path.is_dir():
            remove(path)
        os.replace(folder / path.name, path)
    except OSError as error:
        raise PorescopeError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        remove(folder)


@dataclass(frozen=True, eq=False)
class Shown:
    """What a window shows of a sample.

    Parameters
    ----------
    primitives : Primitives or None
        What the sample is made of, exactly.
    units_per_voxel : int
        Edge of a shown voxel in units of the primitives; 1 for samples on a voxel grid.
    surface : tuple of arrays or None
        Vertices (n, 3) in voxels, where voxel i has its centre at i, and triangles (m, 3).
    """

    primitives: Primitives | None = None
    units_per_voxel: int = 1
    surface: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None


def show_primitives(
    primitives: Primitives, voxel_nm: float = 1.0, most_voxels: int = SHOWN_VOXELS
) -> tuple[Stack, Shown]:
    """Return primitives as labels, on a coarser grid where they would fill too many voxels.

    Parameters
    ----------
    primitives : Primitives
    voxel_nm : float, optional
        What one unit of the primitives is in nm.
    most_voxels : int, optional
        How many there may be.
    """
    box = box_of(primitives)
    units = _coarsening(box, most_voxels)
    return labels_of(primitives, voxel_nm, units), Shown(replace(primitives, shape=box), units)


def prepare_sample(
    kind: SampleKind,
    parameters: Parameters,
    folder: Path,
    as_surface: bool = False,
    *,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Shown:
    """Draw a sample for a window, and write its labels into a new folder as an OME-Zarr.

    Primitives that fill more than 256^3 voxels, or 200^3 for a surface, are shown on a coarser
    grid.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, or the folder cannot be written.
    Cancelled
        If ``cancel()`` became true.
    """
    from porescope.io import read_stack, write_stack

    sample = draw_sample(kind.name, parameters, partial(report, "Drawing"), cancel)
    told = parameters.model_dump(mode="json")
    if isinstance(sample, Primitives):
        most_voxels = SURFACE_VOXELS if as_surface else SHOWN_VOXELS
        stack, shown = show_primitives(sample, told["voxel_nm"], most_voxels)
    else:
        stack, shown = sample, Shown()
    place = folder / f"{kind.name}.ome.zarr"
    stack = stack.with_history(f"sample {kind.name}", **told)
    write_stack(place, stack, progress=partial(report, "Drawing"), cancel=cancel)
    if as_surface:
        report("Finding the surface", 0, 1)
        shown = replace(shown, surface=_surface(read_stack(place)))
    return shown


def _coarsening(box: tuple[float, float, float], most_voxels: int) -> int:
    """Return the smallest edge with which the box has at most so many voxels."""
    units = 1
    while math.prod(math.ceil(size / units) for size in box) > most_voxels:
        units += 1
    return units


def _surface(stack: Stack) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    step = _coarsening(stack.shape, SURFACE_VOXELS)
    solid = np.asarray(stack.data[::step, ::step, ::step] > 0)
    # A margin of pores closes the surface where the sample ends.
    smooth = gaussian_filter(np.pad(solid, 2).astype(np.float32), SURFACE_SMOOTHING)
    vertices, faces, *_ = marching_cubes(smooth, 0.5)
    return ((vertices - 2) * step).astype(np.float32), faces.astype(np.int64)
