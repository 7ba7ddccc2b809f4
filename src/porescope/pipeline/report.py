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

import numpy as np

from porescope.measure.parts import UNCERTAINTY
from porescope.pipeline.plots import PLOTS
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.workspace import Workspace, image_name
from porescope.stack import COLUMNS, ROWS, SLICES, Stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
OUTLINE = "#ffb000"
SCORES = "scores.json"


def write_report(
    path: Path, recipe: Recipe, workspace: Workspace, findings: Sequence[str] = ()
) -> None:
    """Write the report on a finished workspace, with sentences on top, as one file."""
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
            for title, figure in _figures(workspace)
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
        figures.append(("The middle slice, with the border of the solid", _middle(workspace)))
    if workspace.labels is not None:
        figures.append(("Cuts through the labels (solid white)", _cuts(workspace.labels)))
    for name, plot in PLOTS.items():
        rows = workspace.tables.get(name)
        if rows:
            figure, axes = _new_figure(plot.panels, height=2.8)
            plot.draw(axes, rows)
            figures.append((plot.title, figure))
    return figures


def _middle(workspace: Workspace) -> Figure:
    images = workspace.images
    figure, axes = _new_figure(len(images), height=3.6)
    for index, (image, ax) in enumerate(zip(images, axes, strict=True)):
        middle = image.shape[SLICES] // 2
        extent = _extent(image, ROWS, COLUMNS)
        plane = np.asarray(image.data[middle])
        low, high = np.percentile(plane, (0.5, 99.5))
        ax.imshow(plane, cmap="gray", vmin=low, vmax=high, extent=extent)
        labels = workspace.labels
        if labels is not None and labels.shape[1:] == image.shape[1:]:
            nearest = int(labels.nearest_slices(image.slice_z_nm[middle]))
            solid = np.asarray(labels.data[nearest]) > 0
            # Matplotlib draws no contour through a single row or column.
            if min(solid.shape) > 1 and solid.any() and not solid.all():
                ax.contour(
                    solid, levels=[0.5], colors=OUTLINE, linewidths=0.8, extent=extent,
                    origin="upper",
                )  # fmt: skip
        ax.set_title(f"{image_name(image, index)}, slice {middle}")
        _label(ax, "x", "y")
    return figure


def _cuts(labels: Stack) -> Figure:
    figure, axes = _new_figure(3, height=3.6)
    z, y, x = (size // 2 for size in labels.shape)
    cuts = [
        (labels.data[z], (ROWS, COLUMNS), "y", "x"),
        (labels.data[:, y], (SLICES, COLUMNS), "z", "x"),
        (labels.data[:, :, x], (SLICES, ROWS), "z", "y"),
    ]
    for ax, (plane, (down, across), down_name, across_name) in zip(axes, cuts, strict=True):
        solid = np.asarray(plane) > 0
        ax.imshow(solid, cmap="gray", vmin=0, vmax=1, extent=_extent(labels, down, across))
        ax.set_title(f"{across_name}{down_name}")
        _label(ax, across_name, down_name)
    return figure


def _new_figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _extent(stack: Stack, down: int, across: int) -> tuple[float, float, float, float]:
    def length(axis: int) -> float:
        return stack.shape[axis] * stack.spacing_nm[axis]

    return 0.0, length(across), length(down), 0.0


def _label(ax: Axes, across: str, down: str) -> None:
    ax.set(xlabel=f"{across}, nm", ylabel=f"{down}, nm")


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # Without the software tag, the same picture has the same bytes.
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()
