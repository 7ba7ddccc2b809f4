"""Read and write a stack, whatever the format."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.files import write_beside
from porescope.io.arrays import ARRAY_SUFFIXES, open_array, split_hdf5
from porescope.io.facts import Facts, stack_of
from porescope.io.folder import SLICE_SUFFIXES, open_folder, open_picture, slice_files
from porescope.io.lazy import volume_of
from porescope.io.tiff_writer import write_tiff
from porescope.io.zarr_reader import is_zarr, read_zarr
from porescope.io.zarr_writer import write_zarr
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

WRITERS = {".ome.zarr": write_zarr, ".ome.tif": write_tiff, ".tif": write_tiff}


def read_stack(
    path: str | Path,
    spacing_nm: Sequence[float | None] | None = None,
    beam_kv: float | None = None,
) -> Stack:
    """Read one volume with what its files tell of voxel size, positions and microscope.

    Where no file tells the beam voltage, the name may, such as ``2kV`` or ``stack_500V.tif``.
    Volumes above 512 MiB stay on the disk as dask arrays; what a job pickles of them are names.

    Parameters
    ----------
    path : str or Path
        A folder of slices (PNG, TIFF, JPEG, BMP), a TIFF, an OME-Zarr or a group inside one, an
        MRC, HDF5 (``file.h5`` or ``file.h5:/inside``) or NumPy file.
    spacing_nm : sequence of three floats or None, optional
        Voxel size (z, y, x) in nm; wins over the file, except where an axis is None.
    beam_kv : float, optional
        Energy of the imaging electrons in keV; wins over the file.

    Returns
    -------
    Stack

    Raises
    ------
    MissingMetadata
        If neither the file nor ``spacing_nm`` tells the voxel size.
    PorescopeError
        If the file is missing, damaged, truncated, in colour, or holds other than one volume.
    """
    path = Path(path)
    data, facts = _read(path)
    if not facts.is_labels:
        facts = facts.completed_by(Facts(beam_kv=voltage_in(path.absolute().name)))
    return stack_of(path, data, facts, spacing_nm, beam_kv)


def _read(path: Path) -> tuple[Any, Facts]:
    file, inside = split_hdf5(path)
    if not file.exists():
        raise PorescopeError(f"There is no {path}; check the name.")
    if is_zarr(path):
        return read_zarr(path)
    if inside or path.suffix.lower() in ARRAY_SUFFIXES:
        return open_array(path)
    if path.is_dir():
        source, facts, rows = open_folder(path)
    elif path.suffix.lower() in SLICE_SUFFIXES:
        source, facts, rows = open_picture(path)
    else:
        known = ", ".join((*SLICE_SUFFIXES, *ARRAY_SUFFIXES, ".zarr"))
        raise PorescopeError(f"{path} is of no kind that can be read ({known}, or a folder).")
    data = volume_of(source)
    bar = source.shape[1] - rows
    if bar:
        warnings.warn(
            f"{path}: the lowest {bar} rows are a data bar and were cut.",
            PorescopeWarning,
            stacklevel=3,
        )
        facts = Facts(metadata={"data_bar_rows_cut": bar}).completed_by(facts)
        data = data[:, :rows]
    return data, facts


def voltage_in(name: str) -> float | None:
    """Return the beam voltage in kV that a name tells, or None if none or several do.

    Examples
    --------
    >>> voltage_in("stack_2kV.tif"), voltage_in("1.5 kV"), voltage_in("500V"), voltage_in("v2")
    (2.0, 1.5, 0.5, None)
    """
    found = re.findall(r"(?<![\d.,])(\d+(?:[.,]\d+)?)[ _-]?(k?)V(?![a-z])", name, re.IGNORECASE)
    values = {float(number.replace(",", ".")) / (1 if k else 1000) for number, k in found}
    return values.pop() if len(values) == 1 and 0.0 not in values else None


def can_read(path: str | Path) -> bool:
    """Tell from names alone whether :func:`read_stack` takes a path."""
    path = Path(path)
    file, inside = split_hdf5(path)
    if not file.exists():
        return False
    if path.is_dir():
        return is_zarr(path) or bool(slice_files(path))
    return bool(inside) or path.suffix.lower() in (*SLICE_SUFFIXES, *ARRAY_SUFFIXES)


def write_stack(
    path: str | Path,
    stack: Stack,
    *,
    labels: Mapping[str, Stack] | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Path:
    """Write a stack so that :func:`read_stack` returns every number of it.

    The volume streams slab by slab; the same stack gives the same bytes.

    Parameters
    ----------
    path : str or Path
        Name ending in ``.ome.zarr``, ``.ome.tif`` or ``.tif``; must not exist.
    stack : Stack
        What to write, of numpy or dask.
    labels : mapping of name to Stack, optional
        Label volumes of the same shape, for the ``labels`` group of an OME-Zarr.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    PorescopeError
        If the path exists or has another suffix, the format cannot hold the stack, the folder
        cannot be written or is full. Nothing is left half-written.
    Cancelled
        If ``cancel()`` became true.
    """
    path = Path(path)
    writer = next((WRITERS[end] for end in WRITERS if path.name.lower().endswith(end)), None)
    if writer is None or path.name.startswith("."):
        raise PorescopeError(
            f"Stacks are written as {', '.join(WRITERS)}, not {path.name}; choose such a name."
        )
    if labels and writer is not write_zarr:
        raise PorescopeError(
            f"{path.name} cannot hold labels beside the image; choose .ome.zarr, or write them "
            "as a stack of their own."
        )
    with write_beside(path) as beside:
        writer(beside, path.name, stack, labels or {}, progress, cancel)
    return path
