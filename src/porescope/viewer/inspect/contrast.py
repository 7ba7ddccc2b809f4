"""The contrast of several stacks, linked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from napari.layers import Layer

Levels = tuple[float, float]
"""The grey values that are dark and bright in a stack."""


class LinkedContrast:
    """While it lives, a change of one layer's contrast limits is a change of all.

    Parameters
    ----------
    levels : mapping of Layer to Levels
        The limits of each are the same relative to its own levels; give the same levels to all for
        the same grey values.
    """

    def __init__(self, levels: Mapping[Layer, Levels]) -> None:
        self._levels = dict(levels)
        for layer in self._levels:
            layer.events.contrast_limits.connect(self._changed)
        if self._levels:
            self._follow(next(iter(self._levels)))

    @property
    def layers(self) -> list[Layer]:
        """Those that are linked."""
        return list(self._levels)

    def end(self) -> None:
        """Let each have its own contrast."""
        for layer in self._levels:
            layer.events.contrast_limits.disconnect(self._changed)
        self._levels = {}

    def _changed(self, event: Any) -> None:
        self._follow(event.source)

    def _follow(self, led: Layer) -> None:
        """Give all layers the contrast of one."""
        dark, bright = self._levels[led]
        low, high = ((limit - dark) / (bright - dark) for limit in led.contrast_limits)
        with ExitStack() as quiet:
            for layer in self._levels:
                quiet.enter_context(layer.events.contrast_limits.blocker(self._changed))
            for layer, (dark, bright) in self._levels.items():
                if layer is not led:
                    layer.contrast_limits = tuple(
                        dark + share * (bright - dark) for share in (low, high)
                    )
