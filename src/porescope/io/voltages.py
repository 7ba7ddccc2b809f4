"""A folder with one stack a beam voltage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from porescope.errors import PorescopeError
from porescope.io.guard import naming
from porescope.io.stacks import can_read, read_stack, voltage_in
from porescope.io.zarr_reader import is_zarr
from porescope.stack import Stack

IGNORED = ("truth", "labels")


def read_voltages(
    path: str | Path, spacing_nm: Sequence[float | None] | None = None
) -> list[Stack]:
    """Read the stacks of a folder that holds one sub-folder or one file a beam voltage.

    Hidden entries, files that are no images, and entries named ``truth*`` or ``labels*`` are left
    out; every other entry must tell its voltage, in its metadata or in a name such as ``2kV``,
    ``stack_1.5 kV.tif`` or ``500V``.

    Parameters
    ----------
    path : str or Path
        The folder.
    spacing_nm : sequence of three floats or None, optional
        Voxel size (z, y, x) in nm of all stacks; see :func:`porescope.io.read_stack`.

    Returns
    -------
    list of Stack
        From the lowest voltage to the highest.

    Raises
    ------
    PorescopeError
        If a voltage is unknown or there twice, or the stacks differ in shape.
    """
    path = Path(path)
    found: dict[float, tuple[Path, Stack]] = {}
    for entry in _entries(path):
        stack = read_stack(entry, spacing_nm)
        beam_kv = stack.beam_kv
        if beam_kv is None:
            raise PorescopeError(
                f"{entry} tells no beam voltage; put it into the name, such as 2kV, or move it "
                "elsewhere if it is no stack to be read."
            )
        if beam_kv in found:
            raise PorescopeError(
                f"{found[beam_kv][0]} and {entry.name} both have {beam_kv:g} kV; "
                "keep one stack a voltage in the folder."
            )
        for other, one in found.values():
            if one.shape != stack.shape:
                raise PorescopeError(
                    f"{entry} has the shape {stack.shape}, but {other.name} has {one.shape}; "
                    "stacks of one sample must have the same."
                )
        found[beam_kv] = (entry, stack)
    if not found:
        raise PorescopeError(
            f"{path} holds no sub-folder or file with a stack; name a folder with one a voltage."
        )
    return [found[beam_kv][1] for beam_kv in sorted(found)]


def is_voltage_folder(path: str | Path) -> bool:
    """Tell from names alone whether a folder holds stacks of voltages rather than slices.

    It does if it holds sub-folders or OME-Zarrs with stacks and no slices beside, or if its files
    name a different voltage each.
    """
    path = Path(path)
    if not path.is_dir() or is_zarr(path):
        return False
    entries = _entries(path)
    files = [entry for entry in entries if entry.is_file()]
    if not files:
        return bool(entries)
    named = {voltage_in(entry.name) for entry in entries}
    return len(entries) > 1 and None not in named and len(named) == len(entries)


def _entries(path: Path) -> list[Path]:
    from natsort import natsorted

    with naming(path):
        names = [
            entry.name
            for entry in path.iterdir()
            if not entry.name.startswith((".", *IGNORED)) and can_read(entry)
        ]
    return [path / name for name in natsorted(names)]
