"""Boxes on the image for parameters that are regions, such as a fiducial or the marks of a ruler.

The text of the field is what counts; the rectangles of a shapes layer follow it, and it follows
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Shapes
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import COLUMNS, ROWS, SLICES

if TYPE_CHECKING:
    from magicgui.widgets import LineEdit
    from napari.components import ViewerModel

# Of the fields of a step: blue, yellow and pink, apart for colour-blind eyes too.
COLOURS = ("#4aa3ff", "#f0e442", "#cc79a7")
# Of the image's height and width: where a new box begins, how large it is, and how far it moves
# where another one lies already.
BEGIN, SIZE, SHIFT = 0.4, 0.2, 0.05


class Boxes:
    """The rectangles of one field.

    Parameters
    ----------
    viewer : napari viewer
    name : str
        Of the shapes layer.
    line : LineEdit
        Holds "y start, y stop, x start, x stop" in pixels, for several boxes with semicolons
        between.
    several : bool
        Whether there may be more than one box.
    colour : str
        Of their edges.
    over : str, optional
        What the boxes belong on in the first slice; without, they belong to all slices.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        name: str,
        line: LineEdit,
        several: bool,
        colour: str,
        over: str | None = None,
    ) -> None:
        self._viewer = viewer
        self._name = name
        self._line = line
        self._several = several
        self._colour = colour
        self._over = over
        self._layer: Shapes | None = None
        self._shape = (1, 1)

    def draw(self, image: Layer | None, others: Iterable[Boxes] = ()) -> str | None:
        """Show the boxes on an image, a new one among them, for the mouse to move.

        Parameters
        ----------
        image : Layer, optional
            What to draw on.
        others : iterable of Boxes
            Of other fields; a new box lies exactly on none of theirs either.

        Returns
        -------
        str, optional
            What to do with the box, where that is not plain.

        Raises
        ------
        PorescopeError
            If there is no image to draw on.
        """
        if image is None:
            raise PorescopeError("There is no image to draw on; load a stack and choose it above.")
        self._shape = image.data.shape[ROWS], image.data.shape[COLUMNS]
        boxes = self._boxes()
        if not boxes or self._several:
            boxes.append(self._new([*boxes, *(box for other in others for box in other._boxes())]))
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = self._viewer.add_shapes(
                ndim=2,
                name=self._name,
                scale=image.scale[ROWS:],
                translate=image.translate[ROWS:],
                units=image.units[ROWS:],
                edge_color=self._colour,
                face_color="transparent",
                edge_width=max(1.0, min(self._shape) / 150),
            )
            self._layer.events.data.connect(self._follow)
        with self._layer.events.data.blocker(self._follow):
            self._layer.data = [_corners(box) for box in boxes]
        self._layer.visible = True
        self._layer.mode = "select"
        self._layer.selected_data = {len(boxes) - 1}
        self._viewer.layers.selection.active = self._layer
        self._write(boxes)
        if self._over is None:
            return None
        self._viewer.dims.set_point(SLICES, float(image.translate[SLICES]))
        return f"Drawn on the first slice: move it over {self._over}."

    def hide(self) -> None:
        """Take the boxes off the picture; the field keeps them."""
        if self._layer is not None:
            self._layer.visible = False

    def _new(self, taken: list[list[float]]) -> list[float]:
        """Return a box in the middle, or beside it where one lies already."""
        begins = [(BEGIN + step * SHIFT) % (1 - SIZE) for step in range(round((1 - SIZE) / SHIFT))]
        boxes = [
            [float(round(share * size)) for size in self._shape for share in (begin, begin + SIZE)]
            for begin in begins
        ]
        return next((box for box in boxes if box not in taken), boxes[0])

    def _boxes(self) -> list[list[float]]:
        """Return the boxes in the text; what is no box is left out."""
        boxes = []
        for text in self._line.value.split(";"):
            parts = [part.strip() for part in text.split(",")]
            if len(parts) != 4 or not any(parts):
                continue
            ends = [0, self._shape[0], 0, self._shape[1]]
            try:
                boxes.append([float(part or end) for part, end in zip(parts, ends, strict=True)])
            except ValueError:
                continue
        return boxes

    def _follow(self, event: Any = None) -> None:
        if self._layer is not None:
            self._write([_ends(corners) for corners in self._layer.data])

    def _write(self, boxes: list[list[float]]) -> None:
        limits = np.repeat(self._shape, 2)
        whole = [np.rint(np.clip(box, 0, limits)).astype(int) for box in boxes]
        self._line.value = "; ".join(", ".join(map(str, box)) for box in whole)


def _corners(box: list[float]) -> NDArray[np.float64]:
    """Return the corners (y, x) of a box; a pixel's centre has whole numbers."""
    top, bottom, left, right = np.array(box) - 0.5
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def _ends(corners: NDArray[np.float64]) -> list[float]:
    low, high = corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5
    return [low[0], high[0], low[1], high[1]]
