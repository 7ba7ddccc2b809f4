"""Curves from the tables that steps make, for the report and for the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[dict[str, Any]]

DOUBTFUL, MADE_UP = "#d55e00", "#ffb000"


@dataclass(frozen=True)
class Plot:
    """How to draw a table.

    Parameters
    ----------
    title : str
        What it shows.
    panels : int
        How many axes it wants.
    draw : callable(axes, rows)
        Draws the rows.
    """

    title: str
    panels: int
    draw: Callable[[Sequence[Axes], Rows], None]


def _drift(axes: Sequence[Axes], rows: Rows) -> None:
    slices = np.array([row["slice"] for row in rows])
    stacks = [key.removesuffix(" y px") for key in rows[0] if key.endswith(" y px")]
    for ax, axis in zip(axes, "yx", strict=True):
        for name in stacks:
            offsets = np.array([row[f"{name} {axis} px"] for row in rows])
            (line,) = ax.plot(slices, offsets, label=name, lw=1)
            refused = np.array([row[f"{name} refused"] for row in rows])
            ax.plot(slices[refused], offsets[refused], "x", color=line.get_color())
        ax.set(xlabel="slice", ylabel=f"{axis} offset, px")
        ax.legend(fontsize="x-small", framealpha=0.5)


def _positions(axes: Sequence[Axes], rows: Rows) -> None:
    (ax,) = axes
    _bars(ax, rows[:-1], [DOUBTFUL if row["doubt"] else "0.5" for row in rows[:-1]])
    known = [row for row in rows[:-1] if row["uncertainty nm"] is not None]
    ax.errorbar(
        [row["slice"] for row in known],
        [row["thickness nm"] for row in known],
        yerr=[row["uncertainty nm"] for row in known],
        fmt="none",
        lw=0.5,
        ecolor="0.3",
    )


def _grid(axes: Sequence[Axes], rows: Rows) -> None:
    bars, strip = axes
    _bars(bars, rows[:-1], ["0.5"] * (len(rows) - 1))
    known = np.zeros(1 + max(row["plane"] for row in rows), bool)
    known[[row["plane"] for row in rows]] = True
    colours = np.where(known, "0.5", MADE_UP)
    strip.bar(np.arange(len(known)), 1, width=1, color=colours)
    strip.set(xlabel="plane", yticks=[], xlim=(-0.5, len(known) - 0.5))
    strip.set_title("planes: slices grey, filled amber", fontsize="small")


def _bars(ax: Axes, rows: Rows, colours: Sequence[str]) -> None:
    ax.bar([row["slice"] for row in rows], [row["thickness nm"] for row in rows], color=colours)
    ax.set(xlabel="slice", ylabel="thickness, nm")


def _correlations(axes: Sequence[Axes], rows: Rows) -> None:
    for ax, curve in zip(axes, ("two-point", "lineal path"), strict=True):
        for name in "xyz":
            along = [row for row in rows if row["axis"] == name]
            lags_nm = [row["lag nm"] for row in along]
            values, uncertainty = (
                np.array([row[column] for row in along], dtype=float)
                for column in (curve, f"{curve} uncertainty")
            )
            ax.plot(lags_nm, values, label=name, lw=1)
            ax.fill_between(lags_nm, values - uncertainty, values + uncertainty, alpha=0.25)
        ax.set(xlabel="lag, nm", ylabel=f"{curve} probability")
        ax.legend(fontsize="x-small", framealpha=0.5)


def _physics(axes: Sequence[Axes], rows: Rows) -> None:
    (ax,) = axes
    slices = [row["slice"] for row in rows]
    for name in (key for key in rows[0] if key.startswith("misfit_")):
        misfit = np.array([row[name] for row in rows], dtype=float)
        ax.plot(slices, misfit, ".-", label=name.removeprefix("misfit_"), lw=1, ms=3)
    ax.set(xlabel="slice", ylabel="misfit, %")
    ax.legend(fontsize="x-small", framealpha=0.5)


PLOTS = {
    "alignment": Plot("Drift that was removed", 2, _drift),
    "positions": Plot("Slice thickness, doubtful ones orange", 1, _positions),
    "slices": Plot("Slices and the planes of the grid", 2, _grid),
    "physics": Plot("Misfit of the physics check", 1, _physics),
    "correlations": Plot("Correlations by axis", 2, _correlations),
}
"""Which tables have curves, by name."""
