"""A folder of slices, one picture a slice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.facts import Facts, to_nm
from porescope.io.guard import naming
from porescope.io.images import IMAGE_SUFFIXES, Picture, picture_header
from porescope.io.lazy import Slices, Source
from porescope.io.tiff_reader import TIFF_SUFFIXES, open_tiff
from porescope.io.vendor import picture_facts

SLICE_SUFFIXES = (*TIFF_SUFFIXES, *IMAGE_SUFFIXES)
SETUP_BYTES = 16 << 20

SETUP_THICKNESS = (
    "Settings/Imaging/DefaultAcquisition/Interval/Distance/Interval",
    "Settings/Imaging/Interval",
)
SETUP_PIXEL = (
    "Settings/Imaging/DefaultAcquisition/PixelSize",
    "Settings/Imaging/FibicsRasterInfo/PixelSizeX",
)
"""Where the two generations of Atlas set-up files hold their lengths, in um."""


@dataclass(frozen=True)
class Plane:
    """A reader of the only slice of a source."""

    source: Source

    def __call__(self) -> np.ndarray:
        """Return the grey values (y, x)."""
        return self.source[0, :, :]


def slice_files(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order; hidden and other files are left out."""
    from natsort import natsorted

    with naming(folder):
        names = [
            entry.name
            for entry in folder.iterdir()
            if entry.suffix.lower() in SLICE_SUFFIXES
            and not entry.name.startswith(".")
            and entry.is_file()
        ]
    return [folder / name for name in natsorted(names)]


def open_picture(path: Path) -> tuple[Source, Facts, int]:
    """Check a single picture file of any kind.

    Returns
    -------
    source : Source
        One or, for a TIFF, several slices.
    facts : Facts
    image_rows : int
        Rows above a data bar, or all rows.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        content = open_tiff(path)
        return content.source, content.facts, content.image_rows
    plane, dtype = picture_header(path)
    facts, strip = picture_facts(path)
    rows = plane[0] - strip if strip and strip < plane[0] else plane[0]
    return Slices(path, (Picture(path),), plane, dtype), facts, rows


def open_folder(folder: Path) -> tuple[Source, Facts, int]:
    """Check a folder of slices; metadata come from the first slice, the names and a set-up file.

    Returns
    -------
    source : Source
    facts : Facts
    image_rows : int
        Rows above a data bar, or all rows.

    Raises
    ------
    PorescopeError
        If there is no slice, or one differs from the first in kind, size or type; with its name.
    """
    files = slice_files(folder)
    if not files:
        raise PorescopeError(
            f"{folder} holds no slices ({', '.join(SLICE_SUFFIXES)}) and is no OME-Zarr; "
            "name the folder of one stack."
        )
    first, facts, rows = open_picture(files[0])
    readers = []
    for path in files:
        if (path.suffix.lower() in TIFF_SUFFIXES) != (files[0].suffix.lower() in TIFF_SUFFIXES):
            raise PorescopeError(
                f"{folder} holds slices of two kinds, {files[0].name} and {path.name}; "
                "keep only those of one stack."
            )
        source, its_facts, _ = open_picture(path)
        if source.shape[0] != 1:
            raise PorescopeError(
                f"{path} holds {source.shape[0]} slices, where a folder has one a file; "
                "read it by itself."
            )
        if source.shape != first.shape or source.dtype != first.dtype:
            raise PorescopeError(
                f"{path} is {source.dtype} of {_size(source)} pixels, but {files[0].name} is "
                f"{first.dtype} of {_size(first)}; remove or convert it."
            )
        _check_same_settings(path, its_facts, files[0], facts)
        readers.append(Plane(source))
    setup = _setup_facts(folder)
    thickness = Facts(spacing_nm=(setup.spacing_nm[0], None, None))
    facts = thickness.completed_by(_named_positions(files, facts)).completed_by(setup)
    _, height, width = first.shape
    return Slices(folder, tuple(readers), (height, width), first.dtype), facts, rows


def _check_same_settings(path: Path, its: Facts, first: Path, facts: Facts) -> None:
    for what, mine, reference in (
        ("beam energy in kV", its.beam_kv, facts.beam_kv),
        ("pixel height in nm", its.spacing_nm[1], facts.spacing_nm[1]),
        ("pixel width in nm", its.spacing_nm[2], facts.spacing_nm[2]),
    ):
        if mine and reference and not np.isclose(mine, reference, rtol=0.01):
            raise PorescopeError(
                f"{path} has a {what} of {mine:g}, but {first.name} has {reference:g}; "
                "keep the slices of one setting in a folder."
            )


def _size(source: Source) -> str:
    return f"{source.shape[1]} x {source.shape[2]}"


def _named_positions(files: Sequence[Path], facts: Facts) -> Facts:
    """Take slice positions from names such as ``slice_00100_z=1.0894um.tif`` (Atlas)."""
    found = [re.search(r"z=([-+]?\d+(?:\.\d+)?)\s*(nm|um|µm|mm)", path.name) for path in files]
    if not any(found):
        return facts
    positions = []
    for path, match in zip(files, found, strict=True):
        if match is None:
            raise PorescopeError(
                f"{path} has no position such as z=1.0894um in its name, unlike other slices "
                "beside it; rename or remove it."
            )
        value = float(match[1])
        positions.append(np.sign(value) * (to_nm(abs(value), match[2]) or 0.0))
    slice_z_nm = np.round(np.array(positions) - positions[0], 9)
    thickness = float(np.median(np.diff(slice_z_nm))) if len(files) > 1 else None
    spacing_nm = facts.spacing_nm
    metadata = {**facts.metadata, "slice_z_source": "file names"}
    if spacing_nm[0] is None and thickness is not None and thickness > 0:
        spacing_nm = (thickness, *spacing_nm[1:])
    return replace(facts, spacing_nm=spacing_nm, slice_z_nm=slice_z_nm, metadata=metadata)


def _setup_facts(folder: Path) -> Facts:
    """Take what an Atlas set-up file in the folder, or just above it, tells."""
    setups = sorted([*folder.glob("*.a3d-setup"), *folder.parent.glob("*.a3d-setup")])
    if not setups or setups[0].stat().st_size > SETUP_BYTES:
        return Facts()
    with naming(setups[0]):
        root = ElementTree.parse(setups[0]).getroot()
    texts = [
        next(filter(None, map(root.findtext, places)), None)
        for places in (SETUP_THICKNESS, SETUP_PIXEL)
    ]
    z, pixel = (to_nm(text, "um") for text in texts)
    metadata = {"spacing_source": setups[0].name} if pixel else {}
    if z:
        metadata["slice_thickness_source"] = setups[0].name
    return Facts(spacing_nm=(z, pixel, pixel), metadata=metadata)
