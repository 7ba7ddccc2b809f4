"""A segmentation on the picture, by keys: hidden, outlined, fainter, stronger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Labels

if TYPE_CHECKING:
    from napari.components import ViewerModel

STEP = 0.1
FAINTEST = 0.1
OUTLINE_PX = 1


def toggle_visible(labels: Labels) -> None:
    """Hide labels, or show them again."""
    labels.visible = not labels.visible


def toggle_outline(labels: Labels) -> None:
    """Show labels by their outline, or filled."""
    labels.contour = 0 if labels.contour else OUTLINE_PX


def fainter(labels: Labels) -> None:
    """Show more of what lies below."""
    labels.opacity = max(FAINTEST, round(labels.opacity - STEP, 3))


def stronger(labels: Labels) -> None:
    """Show less of what lies below."""
    labels.opacity = min(1.0, round(labels.opacity + STEP, 3))


KEYS: dict[str, tuple[str, Callable[[Labels], None]]] = {
    "H": ("hide or show", toggle_visible),
    "Shift-O": ("outline or filled", toggle_outline),
    ",": ("fainter", fainter),
    ".": ("stronger", stronger),
}
"""Keys that napari leaves free, what they do and what does it."""


class OverlayKeys:
    """The keys, while they are bound.

    Parameters
    ----------
    viewer : napari viewer
    labels : callable()
        Returns the labels that the keys are for, or None.
    """

    def __init__(self, viewer: ViewerModel, labels: Callable[[], Labels | None]) -> None:
        self._viewer = viewer
        self._labels = labels
        self._before: dict[str, Any] | None = None

    def bind(self) -> None:
        """Have the window listen to the keys."""
        if self._before is None:
            self._before = {
                key: self._viewer.bind_key(key, self._doing(act), overwrite=True)
                for key, (_, act) in KEYS.items()
            }

    def unbind(self) -> None:
        """Give the keys back to what they did before."""
        before, self._before = self._before or {}, None
        for key, was in before.items():
            self._viewer.bind_key(key, None, overwrite=True)
            if was is not None:
                self._viewer.bind_key(key, was)

    def _doing(self, act: Callable[[Labels], None]) -> Callable[[Any], None]:
        def pressed(viewer: Any) -> None:
            labels = self._labels()
            if labels is not None:
                act(labels)

        return pressed
