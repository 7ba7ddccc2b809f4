"""Lists of primitives as text, in the ITWM format "FIBSEMSIMMODEL v02".

Lines that begin with ``#`` are comments, wherever they stand. The first three others are the
numbers of spheres, cylinders and cubes; then follows one row a primitive::

    sphere     id x y z r
    cylinder   id x y z a b c r height
    cube       id x y z a b c edge

Angles a, b, c are intrinsic ZXZ Euler angles in radians, see :mod:`porescope.geometry.orientation`:
the axis of a cylinder is (sin a sin b, -cos a sin b, cos b) in (x, y, z), whatever c. Other files
of the same look hold the axis itself in their place, as a unit vector x y z; nothing inside tells,
only the name: ``*_ITWM-Euler.txt`` has angles, ``*_ITWM.txt`` directions. Files written here say it
in a comment.

Coordinates are taken as they are written: voxel i covers [i, i + 1).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.geometry.orientation import (
    axis_to_euler,
    euler_to_axis,
    euler_to_quaternion,
    quaternion_to_euler,
)
from porescope.geometry.primitives import UNIT_TOLERANCE, Primitives, checked_box, fault
from porescope.io.guard import MAX_BLOCK_BYTES, check_holds_something, naming

Convention = Literal["euler", "direction"]

LAYOUTS = {
    "sphere": "id x y z r",
    "cylinder": "id x y z a b c r height",
    "cube": "id x y z a b c edge",
}
MAX_LINE = 4096
BATCH = 1 << 16

EVIDENT_ROWS = 10
"""From so many rows on, angles show: by chance, directions would all have b in [0, pi] once in a
thousand lists."""

log = logging.getLogger("porescope")


def read_primitives(
    path: str | Path, cylinder_axes: Literal["auto", "euler", "direction"] = "auto"
) -> Primitives:
    """Read a list of spheres, cylinders and cubes in the ITWM text format.

    The "image size" of the header becomes the ``shape`` of the sample. Which convention was taken
    is logged, and :func:`cylinder_convention` returns it.

    Parameters
    ----------
    path : str or Path
    cylinder_axes : str, optional
        Whether columns a b c are ``"euler"`` angles or a ``"direction"``; ``"auto"`` as described
        for :func:`cylinder_convention`.

    Returns
    -------
    Primitives

    Raises
    ------
    PorescopeError
        If the file is missing, damaged or truncated, a row describes no solid, the model is
        inverted, or neither the file nor ``cylinder_axes`` tells what the columns a b c are.
    """
    path = Path(path)
    if cylinder_axes not in ("auto", "euler", "direction"):
        raise PorescopeError(
            f"cylinder_axes is 'auto', 'euler' or 'direction', not {cylinder_axes!r}."
        )
    listing = _parse(path)
    convention: Convention | None
    if cylinder_axes == "auto":
        convention, reason = _convention(path, listing)
    else:
        convention, reason = cylinder_axes, "as asked"
    if convention:
        log.info("%s: columns a b c taken as %s, %s.", path, convention, reason)
    if convention == "direction" and len(listing.rows["cube"]):
        raise PorescopeError(
            f"{path} holds cubes with directions, which leave open how a cube is turned about "
            "them; if the columns are Euler angles, read it with cylinder_axes='euler'."
        )
    return _primitives(path, listing, convention)


def is_primitive_list(path: str | Path) -> bool:
    """Tell from its first lines whether a file is a list in the ITWM text format.

    The three first lines that are no comments must be whole numbers.
    """
    path = Path(path)
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            counts = list(islice((text for _, text in _content(path, file, {})), len(LAYOUTS)))
    except (OSError, PorescopeError):
        return False
    return len(counts) == len(LAYOUTS) and all(text.strip().isdigit() for text in counts)


def cylinder_convention(path: str | Path) -> Convention | None:
    """Return what ``read_primitives(path)`` takes the columns a b c for; None without any.

    The file's own comment decides, then its name (``*_ITWM-Euler.txt``: angles, ``*_ITWM.txt``:
    directions), then the values of the cylinders: unit vectors in all rows are directions, and
    none among ten or more rows, with b always in [0, pi], are angles. Cubes alone have angles.

    Raises
    ------
    PorescopeError
        If that leaves it open, or the file is damaged.
    """
    path = Path(path)
    return _convention(path, _parse(path))[0]


def write_primitives(path: str | Path, primitives: Primitives) -> Path:
    """Write a list of primitives in the ITWM text format.

    Orientations are written as Euler angles, which :func:`read_primitives` returns to within
    rounding of the last digits, or, under a name that ends in ``_ITWM.txt``, as directions; all
    other numbers come back exactly.

    Parameters
    ----------
    path : str or Path
        Name ending in ``.txt``; must not exist.
    primitives : Primitives
        Cuboids must be cubes: the format knows no others.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    PorescopeError
        If the path exists or has another suffix, the format cannot hold the primitives, or the
        folder cannot be written or is full. Nothing is left half-written.
    """
    path = Path(path)
    if path.suffix.lower() != ".txt" or path.name.startswith("."):
        raise PorescopeError(
            f"Primitives are written as .txt, not {path.name}; choose such a name."
        )
    convention = _named_convention(path) or "euler"
    edges = primitives.cuboids[:, 7:]
    unequal = np.flatnonzero((edges != edges[:, :1]).any(axis=1))
    if len(unequal):
        raise PorescopeError(
            f"Row {unequal[0]} of the cuboids has unequal edges {tuple(edges[unequal[0]])}; "
            "the ITWM format holds cubes only."
        )
    if convention == "direction" and len(edges):
        raise PorescopeError(
            f"{path.name} would hold directions, which do not fix how a cube is turned; "
            "choose a name that ends in _ITWM-Euler.txt."
        )
    with write_beside(path) as beside, beside.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _text(primitives, convention))
    return path


@dataclass
class _Listing:
    """What a file says: its settings, and for each kind the rows and the lines they stand on."""

    settings: dict[str, str] = field(default_factory=dict)
    rows: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)


def _parse(path: Path) -> _Listing:
    check_holds_something(path)
    listing = _Listing()
    # What is no text becomes U+FFFD, which a comment may hold and a number may not.
    with naming(path), path.open(encoding="utf-8-sig", errors="replace") as file:
        if path.stat().st_size > MAX_BLOCK_BYTES:
            raise PorescopeError(
                f"{path} is larger than {MAX_BLOCK_BYTES >> 30} GiB; split the list."
            )
        lines = _content(path, file, listing.settings)
        counts = [_count(path, kind, *next(lines, (0, ""))) for kind in LAYOUTS]
        for kind, count in zip(LAYOUTS, counts, strict=True):
            listing.rows[kind], listing.lines[kind] = _rows(path, lines, kind, count)
        for number, _ in lines:
            raise PorescopeError(
                f"{path}, line {number}: there are more rows than the {sum(counts):,} announced; "
                "the file is damaged."
            )
    if not sum(counts):
        raise PorescopeError(f"{path} lists no primitive at all.")
    inverted = listing.settings.get("inverted", "false")
    if inverted.lower() != "false":
        raise PorescopeError(
            f"{path} describes an inverted model (inverted = {inverted[:40]}): the primitives are "
            "its pores; only models whose primitives are solid can be read."
        )
    return listing


def _content(path: Path, file: TextIO, settings: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is no comment; collect settings on the way."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise PorescopeError(
                f"{path}, line {number} is longer than {MAX_LINE:,} characters; "
                "this is no list of primitives."
            )
        text = line.strip()
        if text.startswith("#"):
            key, _, value = text[1:].partition("=")
            if value:
                settings[key.strip().lower()] = value.strip()
        elif text:
            yield number, text


def _count(path: Path, kind: str, number: int, text: str) -> int:
    if not number:
        raise PorescopeError(
            f"{path} ends before it says how many {kind}s there are; it is truncated or no list "
            "of primitives."
        )
    if "\ufffd" in text or not text.replace("\t", " ").isprintable():
        raise PorescopeError(f"{path}, line {number} is no text; this is no list of primitives.")
    if not re.fullmatch("[0-9]{1,12}", text):
        raise PorescopeError(
            f"{path}, line {number} should hold the number of {kind}s, not {text[:40]!r}."
        )
    return int(text)


def _rows(
    path: Path, lines: Iterator[tuple[int, str]], kind: str, count: int
) -> tuple[NDArray[np.float64], list[int]]:
    # Nothing is allocated on the word of the count.
    blocks = [np.empty((0, len(LAYOUTS[kind].split())))]
    numbers: list[int] = []
    while len(numbers) < count:
        batch = list(islice(lines, min(BATCH, count - len(numbers))))
        if not batch:
            raise PorescopeError(
                f"{path} announces {count:,} {kind}s but holds only {len(numbers):,}; "
                "it is truncated or damaged."
            )
        blocks.append(_block(path, batch, kind))
        numbers += [number for number, _ in batch]
    return np.concatenate(blocks), numbers


def _block(path: Path, batch: list[tuple[int, str]], kind: str) -> NDArray[np.float64]:
    block = _numbers([text for _, text in batch], kind)
    if block is None:
        number, text = next(
            (number, text) for number, text in batch if _numbers([text], kind) is None
        )
        raise PorescopeError(
            f"{path}, line {number} should hold the finite numbers {LAYOUTS[kind]} of a {kind}, "
            f"not {text[:40]!r}."
        )
    return block


def _numbers(texts: list[str], kind: str) -> NDArray[np.float64] | None:
    try:
        block = np.loadtxt(texts, comments=None, ndmin=2)
    except ValueError:
        return None
    fits = block.shape == (len(texts), len(LAYOUTS[kind].split())) and np.isfinite(block).all()
    return block if fits else None


def _named_convention(path: Path) -> Convention | None:
    name = path.stem.lower()
    if name.endswith("itwm-euler"):
        return "euler"
    return "direction" if name.endswith("_itwm") else None


def _convention(path: Path, listing: _Listing) -> tuple[Convention | None, str]:
    vectors = listing.rows["cylinder"][:, 4:7]
    if not len(vectors) and not len(listing.rows["cube"]):
        return None, "as there are none"
    said = listing.settings.get("cylinder axes", "").lower()
    if said in ("euler", "direction"):
        return cast(Convention, said), "as the file says"
    named = _named_convention(path)
    if named:
        return named, "from the name"
    if not len(vectors):
        return "euler", "as a direction does not fix a cube"
    is_unit = np.abs(np.linalg.norm(vectors, axis=1) - 1) <= UNIT_TOLERANCE
    if is_unit.all():
        return "direction", "as all have length 1"
    b = vectors[:, 1]
    if len(b) >= EVIDENT_ROWS and not is_unit.any() and b.min() >= 0 and b.max() <= np.pi:
        return "euler", "as none has length 1"
    raise PorescopeError(
        f"{path} does not tell whether the columns a b c of its cylinders are Euler angles or a "
        "direction; read it with cylinder_axes='euler' or cylinder_axes='direction', or add the "
        "line '# cylinder axes = euler' or '# cylinder axes = direction' to it."
    )


def _primitives(path: Path, listing: _Listing, convention: Convention | None) -> Primitives:
    spheres, cylinders, cubes = (listing.rows[kind] for kind in LAYOUTS)
    angles = cylinders[:, 4:7]
    axes = angles[:, ::-1] if convention == "direction" else euler_to_axis(angles)
    tables = {
        "spheres": np.hstack([spheres[:, 3:0:-1], spheres[:, 4:]]),
        "cylinders": np.hstack([cylinders[:, 3:0:-1], axes, cylinders[:, 7:]]),
        "cuboids": np.hstack(
            [cubes[:, 3:0:-1], euler_to_quaternion(cubes[:, 4:7]), cubes[:, [7, 7, 7]]]
        ),
    }
    for kind, (name, table) in zip(LAYOUTS, tables.items(), strict=True):
        found = fault(name, table)
        if found:
            row, reason = found
            raise PorescopeError(f"{path}, line {listing.lines[kind][row]}, a {kind}: {reason}.")
    return Primitives(**tables, shape=_shape(path, listing.settings.get("image size")))


def _shape(path: Path, image_size: str | None) -> tuple[float, float, float] | None:
    if image_size is None:
        return None
    try:
        x, y, z = (float(size) for size in image_size.strip("[]").replace(",", " ").split())
        return checked_box((z, y, x))
    except (ValueError, PorescopeError) as error:
        raise PorescopeError(
            f"{path} gives the image size as {image_size[:40]!r}, which should be three numbers "
            "(x y z) above 0."
        ) from error


def _text(primitives: Primitives, convention: Convention) -> Iterator[str]:
    yield "# FIBSEMSIMMODEL v02"
    if primitives.shape is not None:
        yield f"# image size = [{' '.join(repr(size) for size in primitives.shape[::-1])}]"
    yield "# inverted = False"
    yield f"# cylinder axes = {convention}"
    yield "# NUM SPHERES CYLINDERS CUBES"
    spheres, cylinders, cuboids = primitives.spheres, primitives.cylinders, primitives.cuboids
    yield from (str(len(rows)) for rows in (spheres, cylinders, cuboids))
    axes = cylinders[:, 3:6]
    turns = axes[:, ::-1] if convention == "direction" else axis_to_euler(axes)
    for kind, columns in (
        ("SPHERES", (spheres[:, 2::-1], spheres[:, 3:])),
        ("CYLINDERS", (cylinders[:, 2::-1], turns, cylinders[:, 6:])),
        ("CUBES", (cuboids[:, 2::-1], quaternion_to_euler(cuboids[:, 3:7]), cuboids[:, 7:8])),
    ):
        yield f"# {kind}"
        for identity, row in enumerate(np.hstack(columns).tolist()):
            yield "\t".join([str(identity), *map(repr, row)])
    yield "# EOF"
