"""Extended heightfields to files: NumPy's .npz and OME-TIFF, plane by plane."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.io.guard import naming
from porescope.io.tiff_writer import CLASSIC_BYTES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

HEIGHTFIELD_SUFFIXES = (".npz", ".ome.tif")
NAMES = ("entry", "exit", "normal")


def write_heightfields(
    path: str | Path,
    planes_z: Sequence[float],
    extract: Callable[[float], Any],
    *,
    pixel_nm: Sequence[float] | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Path:
    """Write the heightfields of some planes, of which one at a time is in memory.

    Infinity stands where a column has no further solid, in both formats.

    Parameters
    ----------
    path : str or Path
        Name ending in ``.npz``: arrays ``entry`` and ``exit`` (planes, layers, y, x), ``normal``
        (planes, 3, y, x), all float32, and ``plane_z`` (planes,), float64; or in ``.ome.tif``:
        channels "entry 1", "exit 1", "entry 2" ..., "normal z", "normal y", "normal x" of each
        plane. Must not exist.
    planes_z : sequence of floats
        Depths of the planes.
    extract : callable(plane_z)
        Returns the heightfield of a plane, with ``entry``, ``exit`` and ``normal`` as numpy arrays
        that have the same shapes for all planes; called again for each array of a
        ``.npz``, where arrays lie one behind the other.
    pixel_nm : sequence of two floats, optional
        Pixel size (y, x) in nm, for an OME-TIFF.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    PorescopeError
        If the path exists or has another suffix, there is no plane, or the folder cannot be written
        or is full.
    Cancelled
        If ``cancel()`` became true.
    """
    path = Path(path)
    suffix = heightfield_suffix(path)
    if not len(planes_z):
        raise PorescopeError("There is no plane to write; name at least one.")
    # The first tells the shape, and the last lies furthest out.
    *_, first = (extract(z) for z in (planes_z[-1], planes_z[0]))
    with write_beside(path) as beside:
        if suffix == ".npz":
            _write_npz(beside, planes_z, extract, first, progress, cancel)
        else:
            _write_tiff(beside, planes_z, extract, first, pixel_nm, progress, cancel)
    return path


class HeightfieldFile(NamedTuple):
    """What a file of heightfields holds: how many planes, layers, rows and columns."""

    planes: int
    layers: int
    rows: int
    columns: int


def heightfields_in(path: str | Path) -> HeightfieldFile | None:
    """Return what :func:`write_heightfields` left in a file; None if the file is another.

    Raises
    ------
    PorescopeError
        If the file is damaged.
    """
    path = Path(path)
    if not path.is_file() or not path.name.lower().endswith(HEIGHTFIELD_SUFFIXES):
        return None
    with naming(path):
        return _in_npz(path) if path.suffix.lower() == ".npz" else _in_tiff(path)


def _in_npz(path: Path) -> HeightfieldFile | None:
    with zipfile.ZipFile(path) as archive:
        if not {f"{name}.npy" for name in (*NAMES, "plane_z")} <= set(archive.namelist()):
            return None
        with archive.open("entry.npy") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return HeightfieldFile(*shape)


def _in_tiff(path: Path) -> HeightfieldFile | None:
    import tifffile

    with tifffile.TiffFile(path, _multifile=False) as tif:
        series = tif.series[0]
        names = re.findall(r'<Channel [^>]*Name="([^"]*)"', tif.ome_metadata or "")
        layers = (len(names) - 3) // 2
        if layers < 1 or series.axes[-3:] != "CYX" or names != _channels(layers):
            return None
        *planes, _, rows, columns = series.shape
        return HeightfieldFile(math.prod(planes), layers, rows, columns)


def _channels(layers: int) -> list[str]:
    ends = [f"{end} {layer}" for layer in range(1, layers + 1) for end in ("entry", "exit")]
    return [*ends, *(f"normal {axis}" for axis in "zyx")]


def heightfield_suffix(path: Path) -> str:
    """Return which of the formats a name tells, or refuse it."""
    for suffix in HEIGHTFIELD_SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return suffix
    raise PorescopeError(
        f"Heightfields are written as {' or '.join(HEIGHTFIELD_SUFFIXES)}, not {path.name}; choose "
        "such a name."
    )


def _write_npz(
    place: Path,
    planes_z: Sequence[float],
    extract: Callable[[float], Any],
    first: Any,
    progress: Progress,
    cancel: Cancel,
) -> None:
    steps = track([(name, z) for name in NAMES for z in planes_z], progress, cancel)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            shape = (len(planes_z), *getattr(first, name).shape)
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for _ in planes_z:
                    _, z = next(steps)
                    file.write(getattr(extract(z), name).astype("<f4", order="C").data)
        with archive.open("plane_z.npy", "w") as file:
            np.lib.format.write_array(file, np.asarray(planes_z, "<f8"), allow_pickle=False)
        next(steps, None)  # reports that the last step is done


def _write_tiff(
    place: Path,
    planes_z: Sequence[float],
    extract: Callable[[float], Any],
    first: Any,
    pixel_nm: Sequence[float] | None,
    progress: Progress,
    cancel: Cancel,
) -> None:
    import tifffile

    layers, rows, columns = first.entry.shape
    names = _channels(layers)
    shape = (len(planes_z), len(names), rows, columns)
    metadata: dict[str, Any] = {
        "axes": "ZCYX",
        "Channel": {"Name": names},
        "Plane": {
            "PositionZ": [float(z) for z in planes_z for _ in names],
            "PositionZUnit": ["pixel"] * (len(planes_z) * len(names)),
        },
        "Creator": "porescope",
    }
    if pixel_nm is not None:
        for axis, size in zip("YX", pixel_nm, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}

    def images() -> Iterator[NDArray[np.float32]]:
        for z in track(planes_z, progress, cancel):
            field = extract(z)
            for entry, leaving in zip(field.entry, field.exit, strict=True):
                yield entry
                yield leaving
            yield from field.normal

    big = 4 * np.prod(shape, dtype=np.int64) >= CLASSIC_BYTES
    with tifffile.TiffWriter(place, bigtiff=bool(big), ome=True, shaped=False) as tif:
        tif.write(
            images(),
            shape=shape,
            dtype=np.float32,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
            software="porescope",
        )
    progress(len(planes_z), len(planes_z))  # tifffile stops asking once it has the last page
