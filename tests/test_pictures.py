"""Pictures of the report."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from porescope import Stack
from porescope.pipeline.pictures import GAINED, LOST, changes

SPACING_NM = (10.0, 5.0, 5.0)


def colours(figure, ax, rows, columns):
    """Return what is drawn in the middle of each of so many pixels of an image."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    y, x = np.indices((rows, columns)).reshape(2, -1) + 0.5
    places = np.column_stack([x * SPACING_NM[2], y * SPACING_NM[1]])
    across, up = ax.transData.transform(places).round().astype(int).T
    return drawn[drawn.shape[0] - up, across].reshape(rows, columns, 3)


def test_what_came_and_what_went_is_told_apart_by_colour():
    before, after = np.zeros((2, 3, 8, 8), np.uint8)
    before[:, 2, 1:3] = 1
    after[1, 2, 2:4] = 1
    image = Stack(np.random.default_rng(0).random((3, 8, 8)), SPACING_NM)
    labels = (Stack(each, SPACING_NM, is_labels=True) for each in (before, after))
    figure = changes(image, *labels, 1)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["before, slice 1", "after, slice 1"]
    drawn = colours(figure, figure.axes[2], 8, 8)
    gained, lost = (
        np.isclose(drawn, to_rgb(each), atol=0.01).all(axis=-1) for each in (GAINED, LOST)
    )
    assert np.argwhere(gained).tolist() == [[2, 3]]
    assert np.argwhere(lost).tolist() == [[2, 1]]
