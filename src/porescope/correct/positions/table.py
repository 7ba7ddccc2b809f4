"""Slice positions from a table, such as a microscope's log saved as text."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from porescope.correct.positions.measured import SlicePositions
from porescope.errors import PorescopeError

UNITS_NM = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6}
LARGEST_BYTES = 10_000_000
# A column is known by a word and a unit, as in "position nm", "z (um)" or "Thickness [nm]".
COLUMN = re.compile(
    r"(?P<what>position|depth|z|thickness)\b.*?\b(?P<unit>" + "|".join(UNITS_NM) + r")\b",
    re.IGNORECASE,
)


def positions_from_table(path: str | Path) -> SlicePositions:
    """Read slice positions, or the thickness of each slice, from a table with a header.

    Parameters
    ----------
    path : str or Path
        Text with a row a slice, in the order of the slices, its columns separated by commas,
        semicolons or tabs. A column named position, depth or z, or else thickness, tells its unit:
        nm, um or mm. Porescope's own ``slices.csv`` is such a table.

    Returns
    -------
    SlicePositions
        A thickness is what was milled away below a slice; that of the last may be missing.

    Raises
    ------
    PorescopeError
        If there is no such column, or a row has no number there.
    """
    path = Path(path)
    rows = _rows(path)
    header = [COLUMN.search(name.strip()) for name in rows[0]]
    found = {
        "thickness" if match["what"].lower() == "thickness" else "position": (column, match)
        for column, match in reversed(list(enumerate(header)))
        if match
    }
    if not found:
        raise PorescopeError(
            f"{path} has no column of positions or thicknesses with a unit, such as 'position nm' "
            f"or 'thickness um'; its columns are {', '.join(rows[0])}."
        )
    what = "position" if "position" in found else "thickness"
    column, match = found[what]
    scale = UNITS_NM[match["unit"].lower()]
    body = rows[1:]
    # Where commas are decimal, other signs part the columns.
    texts = [row[column].replace(",", ".").strip() if column < len(row) else "" for row in body]
    if what == "thickness" and texts and not texts[-1]:
        texts[-1] = "0"
    values = np.array([_number(text, path, line) for line, text in enumerate(texts, start=2)])
    if len(values) < 2:
        raise PorescopeError(f"{path} has {len(values)} rows; slice positions need two or more.")
    if what == "thickness":
        values = np.concatenate([[0.0], np.cumsum(values[:-1])])
    return SlicePositions(scale * values, np.full(len(values), np.nan), path.name)


def _rows(path: Path) -> list[list[str]]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PorescopeError(f"{path} is too large for a table of slice positions.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PorescopeError(f"{path} cannot be read as a table of text.") from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise PorescopeError(f"{path} cannot be read as a table of text.") from error
    if not rows:
        raise PorescopeError(f"{path} is empty.")
    return rows


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise PorescopeError(f"{path}, line {line}: {text!r} is not a number.")
    return value
