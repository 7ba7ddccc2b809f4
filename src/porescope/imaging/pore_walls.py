"""How deep voxels lie below the nearest wall of a pore, and which way that wall faces.

The wall is smooth: where it runs slantwise voxels make stairs, which have half as much surface
again, and secondary electrons would come out of all of it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core

# The voxels of a slanted wall blur it themselves, as wide as they are; those of one along an axis
# do not.
_BLUR_OF_SLANTED = np.sqrt(1 + 1 / 12)
_ALONG_AXIS = 0.99  # cosine
# Blurred solid tells the depth this many deviations into the wall, and no farther.
_TRUSTED_DEVIATIONS = 3.0
_HALO = 12
_SLAB = 64


def wall_words(
    solid: NDArray[np.bool_], spacing_nm: tuple[float, float, float], periodic: bool
) -> NDArray[np.uint32]:
    """Return where the walls of pores lie, as the native core reads it (``cuda/voxels.hpp``).

    Parameters
    ----------
    solid : array of shape (z, y, x), bool
        False where a pore is.
    spacing_nm : (float, float, float)
        Voxel size (z, y, x).
    periodic : bool
        Whether the sides lead in again on the other side; they mirror if not.

    Returns
    -------
    array of shape (z, y, x), uint32
        Depth below the wall in 1/64 nm, and the direction away from it as a point of an
        octahedron.

    Notes
    -----
    Solid that is blurred with a Gaussian falls through a flat wall as its integral, of which the
    inverse is the depth; deeper down the depth is that of the nearest pore's voxel.
    """
    words = np.empty(solid.shape, np.uint32)
    sides = "wrap" if periodic else "reflect"
    for first in range(0, len(solid), _SLAB):
        above = min(first, _HALO)
        part = solid[first - above : first + _SLAB + _HALO]
        made = _encoded(*_depth_and_direction(part, spacing_nm, sides))
        words[first : first + _SLAB] = made[above : above + _SLAB]
    return words


def _depth_and_direction(
    solid: NDArray[np.bool_], spacing_nm: tuple[float, float, float], sides: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    from scipy.ndimage import convolve1d
    from scipy.special import ndtr, ndtri

    # What a Gaussian of one voxel has within voxels: its sums end where voxels do, so that blurred
    # solid tells the depth below a wall along voxels exactly.
    blur = np.diff(ndtr(np.arange(-4.5, 5)))
    margin = ((0, 0), (_HALO, _HALO), (_HALO, _HALO))
    around = np.pad(solid, margin, mode="wrap" if sides == "wrap" else "symmetric")
    inner = (slice(None), slice(_HALO, -_HALO), slice(_HALO, -_HALO))
    blurred = around.astype(np.float32)
    for axis in range(3):
        blurred = convolve1d(blurred, blur, axis=axis, mode="nearest")
    to_other_nm = _core.distance_to_other_label(around, spacing_nm)
    to_other_nm = np.minimum(to_other_nm, np.float32(_HALO * max(spacing_nm)))
    signed_nm = np.where(around, to_other_nm, -to_other_nm)
    deviations = ndtri(np.clip(blurred, 1e-6, 1 - 1e-6))
    near = np.abs(deviations) < _TRUSTED_DEVIATIONS
    inward = [
        np.where(near, fine, coarse)
        for fine, coarse in zip(
            _slopes(blurred, spacing_nm), _slopes(signed_nm, spacing_nm), strict=True
        )
    ]
    length = np.sqrt(sum(slope**2 for slope in inward))
    direction = np.stack([slope / np.maximum(length, 1e-20) for slope in inward])
    direction[0][length < 1e-20] = 1
    # A voxel's extent across the wall.
    across_nm = np.sqrt(
        sum((slope * size) ** 2 for slope, size in zip(direction, spacing_nm, strict=True))
    )
    slanted = np.clip((1 - np.abs(direction).max(axis=0)) / (1 - _ALONG_AXIS), 0, 1)
    blur_nm = across_nm * (1 + (_BLUR_OF_SLANTED - 1) * slanted)
    depth_nm = np.where(near, blur_nm * deviations, signed_nm - np.sign(signed_nm) * across_nm / 2)
    return depth_nm[inner], direction[(slice(None), *inner)]


def _slopes(field: NDArray[Any], spacing_nm: tuple[float, float, float]) -> list[NDArray[Any]]:
    return [
        np.gradient(field, size, axis=axis) if field.shape[axis] > 1 else np.zeros_like(field)
        for axis, size in enumerate(spacing_nm)
    ]


def _encoded(depth_nm: NDArray[Any], direction: NDArray[Any]) -> NDArray[np.uint32]:
    z, y, x = direction / np.abs(direction).sum(axis=0)
    below = z < 0
    y, x = (
        np.where(below, (1 - np.abs(x)) * np.where(y < 0, -1, 1), y),
        np.where(below, (1 - np.abs(y)) * np.where(x < 0, -1, 1), x),
    )
    depth = np.clip(np.rint(depth_nm * 64) + 32768, 0, 65535).astype(np.uint32)
    coordinates = [np.rint((value + 1) * 127.5).astype(np.uint32) for value in (y, x)]
    return depth | coordinates[0] << 16 | coordinates[1] << 24
