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
        semicolons or tabs; with these two, numbers may have a decimal comma. A column named
        position, depth or z, or else thickness, tells its unit: nm, um or mm. Porescope's own
        ``slices.csv`` is such a table.

    Returns
    -------
    SlicePositions
        A thickness is what was milled away below a slice; that of the last may be missing.

    Raises
    ------
    PorescopeError
        If there is no such column, a row has more or fewer values than the header, or no number
        there.
    """
    path = Path(path)
    columns, rows = _rows(path)
    header = [COLUMN.search(name.strip()) for name in columns]
    found = {
        "thickness" if match["what"].lower() == "thickness" else "position": (column, match)
        for column, match in reversed(list(enumerate(header)))
        if match
    }
    if not found:
        raise PorescopeError(
            f"{path} has no column of positions or thicknesses with a unit, such as 'position nm' "
            f"or 'thickness um'; its columns are {', '.join(columns)}."
        )
    what = "position" if "position" in found else "thickness"
    column, match = found[what]
    scale = UNITS_NM[match["unit"].lower()]
    # Where commas are decimal, other signs part the columns.
    texts = [row[column].replace(",", ".").strip() for _, row in rows]
    if what == "thickness" and texts and not texts[-1]:
        texts[-1] = "0"
    values = np.array([_number(t, path, line) for t, (line, _) in zip(texts, rows, strict=True)])
    if len(values) < 2:
        raise PorescopeError(f"{path} has {len(values)} rows; slice positions need two or more.")
    if what == "thickness":
        values = np.concatenate([[0.0], np.cumsum(values[:-1])])
    return SlicePositions(scale * values, np.full(len(values), np.nan), f"table {path.name}")


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a table, and its rows with the numbers of their lines."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PorescopeError(f"{path} is too large for a table of slice positions.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PorescopeError(f"{path} cannot be read as a table of text.") from error
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise PorescopeError(f"{path} cannot be read as a table of text.") from error
    if not rows:
        raise PorescopeError(f"{path} is empty.")
    (_, header), *body = rows
    for line, row in body:
        if len(row) != len(header):
            hint = " Commas part columns here; write decimal points." if delimiter == "," else ""
            raise PorescopeError(
                f"{path}, line {line} has {len(row)} value{'s' * (len(row) != 1)}, but the header "
                f"names {len(header)} column{'s' * (len(header) != 1)}; mend that line.{hint}"
            )
    return header, body


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise PorescopeError(f"{path}, line {line}: {text!r} is not a number.")
    return value
