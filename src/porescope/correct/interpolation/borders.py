"""Labels as fields that tell how far the border of a phase is: smooth where labels jump."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SOFTNESS = 3.0
"""Pixels of distance over which a border field goes from 0 to tanh(1)."""


def pixel_extent(spacing_yx_nm: Sequence[float]) -> tuple[float, float]:
    """Return the extent of a pixel along y and x in units in which its area is 1."""
    side_nm = float(np.sqrt(np.prod(spacing_yx_nm)))
    height, width = (spacing / side_nm for spacing in spacing_yx_nm)
    return height, width


def signed_distance(inside: NDArray[np.bool_], spacing_yx: Sequence[float]) -> NDArray[np.float32]:
    """Return the distance to the border of a phase in one slice, positive inside.

    The border lies half a pixel before the nearest pixel on the other side. No distance is longer
    than the diagonal of the slice, which stands where there is no border.

    Parameters
    ----------
    inside : bool array of shape (y, x)
    spacing_yx : two floats
        Extent of a pixel; distances are in the same unit.
    """
    from porescope._core import distance_to_other_label

    limit = float(np.hypot(*(np.array(inside.shape) * spacing_yx)))
    distance = distance_to_other_label(inside[np.newaxis], (1.0, *spacing_yx), threads=1)[0]
    bounded = np.minimum(distance - min(spacing_yx) / 2, limit)
    return np.where(inside, bounded, -bounded).astype(np.float32)


def border_field(inside: NDArray[np.bool_], pixel: Sequence[float]) -> NDArray[np.float32]:
    """Return the signed distance in pixels, softened to stay within -1 and 1."""
    return np.tanh(signed_distance(inside, pixel) / SOFTNESS)
