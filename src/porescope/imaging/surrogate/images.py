"""What a surrogate learns from: heightfields, and the images that Monte Carlo made of them.

An example is one file in a folder, ``.npz`` without pickled objects, with these arrays:

====================  ==========================================================================
``entry``, ``exit``   (layers, y, x), float32: depths in nm, infinite where there is no solid
``normal``            (3, y, x), float32: as in :class:`porescope.imaging.HeightField`
``signals``           (signals, rows, columns), float32: mean for each electron of the beam, in the
                      middle of the heightfield, which shows what lies around the image too
``names``             (signals,), text: ``"bse"``, ``"se"``
``beam_kv``           number
``pixel_nm``          number: size of a pixel
``electrons``         number: followed for each pixel
``materials``         text: such as ``"0=vacuum, 1=carbon"``
``sample``            text: which sample it shows, and none that is in another folder
====================  ==========================================================================
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.imaging.heightfield import HeightField

SUFFIX = ".npz"
LARGEST_BYTES = 1 << 30


class Example(NamedTuple):
    """A heightfield and the image in its middle; see the module for what each is."""

    field: HeightField
    signals: NDArray[np.float32]
    names: tuple[str, ...]
    beam_kv: float
    pixel_nm: float
    electrons: int
    materials: str
    sample: str


def write_example(path: str | Path, example: Example) -> None:
    """Write an example.

    Raises
    ------
    PorescopeError
        If there is such a file already.
    """
    values = example._asdict()
    field = values.pop("field")
    values |= {"entry": field.entry, "exit": field.exit, "normal": field.normal}
    values["names"] = np.array(example.names)
    with write_beside(Path(path)) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **values)


def read_example(path: str | Path) -> Example:
    """Read an example.

    Raises
    ------
    PorescopeError
        If the file is none.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError("too large")
        with np.load(path, allow_pickle=False) as file:
            _check_sizes(path)
            field = HeightField(*(file[name] for name in ("entry", "exit", "normal")))
            example = Example(
                field,
                file["signals"],
                tuple(str(name) for name in file["names"]),
                float(file["beam_kv"]),
                float(file["pixel_nm"]),
                int(file["electrons"]),
                str(file["materials"]),
                str(file["sample"]),
            )
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise PorescopeError(f"{path} is no example for a surrogate to learn from.") from error
    if not _fits(example):
        raise PorescopeError(f"{path} is damaged: its arrays do not fit together.")
    return example


def _check_sizes(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > LARGEST_BYTES:
            raise ValueError("too large")


def _fits(example: Example) -> bool:
    field, signals = example.field, example.signals
    arrays = (field.entry, field.exit, field.normal, signals)
    if not all(array.ndim == 3 and array.dtype == np.float32 for array in arrays):
        return False
    sizes = zip(field.entry.shape[1:], signals.shape[1:], strict=True)
    around = [large - small for large, small in sizes]
    return (
        field.entry.shape == field.exit.shape
        and field.normal.shape == (3, *field.entry.shape[1:])
        and len(example.names) == len(signals) > 0
        and all(difference >= 0 and difference % 2 == 0 for difference in around)
        and bool(np.isfinite(signals).all() and np.isfinite(field.normal).all())
        and not (np.isnan(field.entry).any() or np.isnan(field.exit).any())
        and min(example.beam_kv, example.pixel_nm, example.electrons) > 0
    )


def examples_in(folder: str | Path) -> list[Path]:
    """Return the examples in a folder, in order.

    Raises
    ------
    PorescopeError
        If there is none.
    """
    if not Path(folder).is_dir():
        raise PorescopeError(f"There is no folder {folder} with examples to learn from.")
    found = sorted(Path(folder).glob(f"*{SUFFIX}"))
    if not found:
        raise PorescopeError(f"{folder} holds no examples ({SUFFIX}) to learn from.")
    return found
