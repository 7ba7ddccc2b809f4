"""Files that hold one array: MRC, HDF5 and NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.facts import Facts, to_nm
from porescope.io.guard import check_holds_something, check_plausible, naming
from porescope.io.lazy import Mapped, Selection, Stored, volume_of

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
MRC_SUFFIXES = (".mrc", ".rec", ".map")
ARRAY_SUFFIXES = (*HDF5_SUFFIXES, *MRC_SUFFIXES, ".npy")

IMOD_STAMP = b"IMOD"
MOST_NAMES = 20


def open_array(path: Path) -> tuple[Any, Facts]:
    """Read an MRC, HDF5 or NumPy file.

    Returns
    -------
    data : array of shape (z, y, x)
        Numpy, or dask if large.
    facts : Facts

    Raises
    ------
    PorescopeError
        If the file is damaged, or holds other than one volume of real numbers.
    """
    file, inside = split_hdf5(path)
    check_holds_something(file)
    suffix = file.suffix.lower()
    reader: Callable[..., tuple[Any, Facts]]
    if suffix in HDF5_SUFFIXES:
        return _read_hdf5(file, inside)
    reader = _read_npy if suffix == ".npy" else _read_mrc
    return reader(file)


def split_hdf5(path: Path) -> tuple[Path, str]:
    """Return the file and the place inside it, for names such as ``file.h5:/volume``."""
    text = str(path)
    for suffix in HDF5_SUFFIXES:
        file, mark, inside = text.partition(f"{suffix}:")
        if mark and inside:
            return Path(file + suffix), inside
    return path, ""


def _read_npy(path: Path) -> tuple[Any, Facts]:
    with naming(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap):
            raise PorescopeError(f"{path} is no .npy file but an archive; save one array.")
        shape = (1, *array.shape) if array.ndim == 2 else array.shape
        order = "C" if array.flags.c_contiguous else "F"
        return volume_of(Mapped(path, shape, array.dtype, array.offset, order)), Facts()


def _read_mrc(path: Path) -> tuple[Any, Facts]:
    import warnings

    import mrcfile
    from mrcfile.mrcfile import MrcFile

    with naming(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with MrcFile(path, header_only=True) as mrc:
            header = mrc.header
            stored = mrcfile.utils.data_dtype_from_header(header)
            shape = tuple(int(header[key]) for key in ("nz", "ny", "nx"))
            offset = header.nbytes + int(header.nsymbt)
            # IMOD keeps bytes without sign unless the first of its flags is set.
            stamp, flags = bytes(header.extra2)[40:44], bytes(header.extra2)[44:48]
            spacing = [
                to_nm(header.cella[axis] / header[count], "angstrom") if header[count] > 0 else None
                for axis, count in (("z", "mz"), ("y", "my"), ("x", "mx"))
            ]
        if stored == np.int8 and stamp in (IMOD_STAMP, IMOD_STAMP[::-1]):
            flag = int.from_bytes(flags, "little" if header.nx.dtype.byteorder != ">" else "big")
            stored = np.dtype(np.int8 if flag & 1 else np.uint8)
        if min(shape) < 1 or header.nsymbt < 0:
            raise PorescopeError(f"{path} is damaged: its header tells the shape {shape}.")
        size = path.stat().st_size
        check_plausible(path, math.prod(shape) * stored.itemsize, size - offset, compressed=False)
        facts = Facts(spacing_nm=(spacing[0], spacing[1], spacing[2]))
        if any(spacing):
            facts = Facts(metadata={"spacing_source": "MRC header"}).completed_by(facts)
        return volume_of(Mapped(path, shape, stored, offset)), facts


@dataclass(frozen=True)
class Hdf5Volume(Stored):
    """A data set of an HDF5 file, opened for each part that is read."""

    inside: str

    def __getitem__(self, selection: Selection) -> np.ndarray:
        """Read a part."""
        import h5py

        with naming(self.path), h5py.File(self.path, "r") as file:
            part = file[self.inside][selection]
            return np.asarray(part, dtype=self.dtype)


def _read_hdf5(path: Path, inside: str) -> tuple[Any, Facts]:
    import h5py

    with naming(path), h5py.File(path, "r") as file:
        if not inside:
            inside = _only_volume(path, file)
        dataset = file.get(inside)
        if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 3:
            raise PorescopeError(
                f"{path} holds no volume named {inside}; it holds {_names(_volumes(file))}."
            )
        told = dataset.attrs.get("element_size_um")
        sizes = np.ravel(told).tolist() if told is not None else []
        z, y, x = (to_nm(size, "um") for size in sizes) if len(sizes) == 3 else (None, None, None)
        metadata = {"spacing_source": "HDF5 element_size_um"} if z or y or x else {}
        volume = Hdf5Volume(path, dataset.shape, dataset.dtype, inside)
        data = volume_of(volume, dataset.chunks)
    return data, Facts(spacing_nm=(z, y, x), metadata=metadata)


def _only_volume(path: Path, file: Any) -> str:
    names = _volumes(file)
    if len(names) != 1:
        raise PorescopeError(
            f"{path} holds {len(names)} volumes: {_names(names)}; name one, such as "
            f"{path.name}:/{names[0] if names else 'volume'}."
        )
    return names[0]


def _volumes(file: Any) -> list[str]:
    import h5py

    names: list[str] = []

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim == 3 and node.dtype.kind in "buif":
            names.append(name)

    file.visititems(note)
    return names


def _names(names: list[str]) -> str:
    return (
        ", ".join(names[:MOST_NAMES]) + (" and more" if len(names) > MOST_NAMES else "") or "none"
    )
