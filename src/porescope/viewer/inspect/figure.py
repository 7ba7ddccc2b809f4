"""The picture as a figure: with a scale bar, at twice the resolution of the screen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from qtpy.QtCore import QStandardPaths

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.stack import SLICES
from porescope.viewer.inspect.sections import CURSOR
from porescope.viewer.inspect.worst_places import MARK

if TYPE_CHECKING:
    import napari
    from napari.components import ViewerModel

RESOLUTION = 2
AIDS = (CURSOR, MARK)
"""Layers that help to look, and are no part of the picture."""
BAR_PX = 150
"""On the screen, napari's scale bar is no longer."""
BAR_LENGTHS = (1, 2, 5, 10, 15, 20, 25, 50, 75, 100, 125, 150, 200, 500, 750)
"""Those that napari chooses from, in the unit with which the number is from 1 to 1000."""
NUMBERED = re.compile(r"^(?P<stem>.*?)(?:-(?P<number>\d+))?$")


def offered_path(viewer: ViewerModel) -> Path:
    """Return a name for a figure that is free: after the topmost visible layer and its slice."""
    pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    folder = Path(pictures or Path.home())
    shown = [layer.name for layer in viewer.layers if layer.visible and layer.ndim == 3]
    name = re.sub(r"[^\w-]+", "-", shown[-1] if shown else "figure").strip("-")
    if viewer.dims.ndim >= 3 and viewer.dims.ndisplay == 2:
        name += f"-slice{viewer.dims.current_step[viewer.dims.ndim - 3 + SLICES]}"
    return free_path(folder / f"{name}.png")


def free_path(path: Path) -> Path:
    """Return a path where nothing is yet, by counting on."""
    found = NUMBERED.match(path.stem)
    assert found is not None  # it matches anything
    stem, number = found["stem"], int(found["number"] or 1)
    while path.exists():
        number += 1
        path = path.with_name(f"{stem}-{number}{path.suffix}")
    return path


def take_figure(viewer: napari.viewer.Viewer) -> NDArray[Any]:
    """Return the picture as uint8 (y, x, 4), with its scale bar.

    Raises
    ------
    PorescopeError
        If nothing is shown.
    """
    if not any(layer.visible for layer in viewer.layers if layer.name not in AIDS):
        raise PorescopeError("There is no picture; load a stack, or show one that is hidden.")
    with _enlarged(viewer), _without_aids(viewer):
        picture: NDArray[Any] = viewer.screenshot(scale=RESOLUTION, canvas_only=True, flash=False)
    return picture


def write_figure(path: Path, picture: NDArray[Any]) -> None:
    """Write a figure as PNG.

    Raises
    ------
    PorescopeError
        If there is a file already, the name is none for PNG, or it cannot be written.
    """
    from imageio import v3

    if path.suffix.lower() != ".png":
        raise PorescopeError(f"Figures are PNG files; let the name {path.name!r} end in .png.")
    with write_beside(path) as beside:
        v3.imwrite(beside, picture, extension=".png")


@contextmanager
def _enlarged(viewer: napari.viewer.Viewer) -> Iterator[None]:
    """Show the scale bar, and all as large as on a screen of the figure's resolution."""
    bar, camera = viewer.canvas.overlays.scale_bar, viewer.scene.camera
    before = bar.visible, bar.font_size, bar.length, camera.zoom
    bar.visible = True
    bar.font_size *= RESOLUTION
    bar.length = bar.length or bar_length(BAR_PX / camera.zoom)
    camera.zoom *= RESOLUTION  # napari enlarges the canvas alone
    try:
        yield
    finally:
        bar.visible, bar.font_size, bar.length, camera.zoom = before


@contextmanager
def _without_aids(viewer: napari.viewer.Viewer) -> Iterator[None]:
    hidden = [layer for layer in viewer.layers if layer.name in AIDS and layer.visible]
    for layer in hidden:
        layer.visible = False
    try:
        yield
    finally:
        for layer in hidden:
            layer.visible = True


def bar_length(longest: float) -> float:
    """Return the length of the scale bar that napari shows where ``longest`` has room."""
    thousand = 1000.0 ** math.floor(math.log(longest, 1000))
    shorter = [length for length in BAR_LENGTHS if length < longest / thousand]
    return thousand * max(shorter, default=BAR_LENGTHS[0])
