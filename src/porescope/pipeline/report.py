"""The report: one HTML file with the pictures and tables a person wants to see."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from porescope.measure.parts import UNCERTAINTY
from porescope.pipeline.pictures import cuts, middle, new_figure
from porescope.pipeline.plots import PLOTS
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.workspace import Workspace
from porescope.stack import Stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLAINED = {
    "solid_fraction": "solid fraction",
    "true_solid_fraction": "solid fraction of the truth",
    "MP": "misplaced voxels, %",
    "MGP": "solid voxels missed, %",
    "MDS": "mean Dice score",
    "mIOU": "mean intersection over union",
    "mRecall": "mean recall",
    "mAccuracy": "mean accuracy",
    "misfit": "misfit of the physics check, %",
    "tpcf": "anisotropy error of the two-point correlation",
    "lpf": "anisotropy error of the lineal path",
    "diameter": "anisotropy error of the ligament diameters",
    "D_xy_nm": "ligament diameter in the xy plane, nm",
    "surface_per_um": "specific surface, 1/µm",
    **{f"mean_chord_{axis}_nm": f"mean chord along {axis}, nm" for axis in "zyx"},
    "thickness_nm": "local thickness, nm",
    "thickness_std_nm": "standard deviation of the local thickness, nm",
    "euler_number": "Euler number",
    **{f"percolating_{axis}": f"share percolating along {axis}" for axis in "zyx"},
    "largest_component": "share in the largest component",
    **{f"tortuosity_{axis}": f"tortuosity along {axis}" for axis in "zyx"},
}
"""What the scores that a person wants to see are called; docs/measures.md says what they mean."""
SCORES = "scores.json"


def write_report(
    path: Path,
    recipe: Recipe,
    workspace: Workspace,
    findings: Sequence[str] = (),
    pictures: Sequence[tuple[str, Figure]] = (),
) -> None:
    """Write the report on a finished workspace, with sentences and pictures on top, as one file."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(
        files("porescope.pipeline").joinpath("report.html.jinja").read_text(encoding="utf-8")
    )
    html = template.render(
        title=recipe.name,
        inputs=[str(path) for path in workspace.inputs],
        findings=findings,
        volumes=[_volume_row(name, stack) for name, stack in workspace.stacks()],
        scores=explained(workspace.scores),
        figures=[
            (title, base64.b64encode(_png(figure)).decode())
            for title, figure in (*pictures, *_figures(workspace))
        ],
        tables={name: _formatted(rows) for name, rows in workspace.tables.items()},
        recipe=recipe.to_yaml(),
    )
    path.write_text(html + "\n", encoding="utf-8")


def write_tables(folder: Path, workspace: Workspace) -> None:
    """Write every table of a workspace as CSV into a new folder, if there are any."""
    tables = {name: rows for name, rows in workspace.tables.items() if rows}
    if tables:
        folder.mkdir()
    for name, rows in tables.items():
        write_table(folder / f"{name}.csv", rows)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table as CSV, its columns named in the first line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _volume_row(name: str, stack: Stack) -> dict[str, str]:
    return {
        "volume": name.removesuffix(".ome.zarr"),
        "voxels (z, y, x)": " x ".join(map(str, stack.shape)),
        "voxel size, nm": " x ".join(f"{value:g}" for value in stack.spacing_nm),
        "beam, kV": "" if stack.beam_kv is None else f"{stack.beam_kv:g}",
    }


def explained(scores: Mapping[str, Any]) -> dict[str, str]:
    """Return the scores that a person wants to see, by name, with uncertainties where known."""
    return {
        name: " ± ".join(
            _digits(number, digits)
            for number, digits in ((scores[key], 4), (scores.get(f"{key}{UNCERTAINTY}"), 2))
            if _known(number)
        )
        for key, name in EXPLAINED.items()
        if _known(scores.get(key))
    }


def scores_told(result: Path) -> str:
    """Return the scores of a result that a person wants to see, a line each."""
    told = explained(json.loads((result / SCORES).read_text(encoding="utf-8")))
    width = max(map(len, told), default=0)
    return "".join(f"  {name:<{width}}  {value}\n" for name, value in told.items())


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and math.isfinite(number)


def _digits(number: float, digits: int) -> str:
    """Return a count as it is, and what was measured to some digits."""
    if isinstance(number, int):
        return str(number)
    rounded = float(f"{number:.{digits}g}")
    return f"{rounded:.15g}"


def _formatted(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    def text(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return [{key: text(value) for key, value in row.items()} for row in rows]


def _figures(workspace: Workspace) -> list[tuple[str, Figure]]:
    figures = []
    if workspace.images:
        figures.append(("The middle slice, with the border of the solid", middle(workspace)))
    if workspace.labels is not None:
        figures.append(("Cuts through the labels (solid white)", cuts(workspace.labels)))
    for name, plot in PLOTS.items():
        rows = workspace.tables.get(name)
        if rows:
            figure, axes = new_figure(plot.panels, height=2.8)
            plot.draw(axes, rows)
            figures.append((plot.title, figure))
    return figures


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # Without the software tag, the same picture has the same bytes.
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()
