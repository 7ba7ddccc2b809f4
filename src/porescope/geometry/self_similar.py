"""Hierarchical structures from one structure and its own smaller copy.

References
----------
T. Sardhara et al., Front. Mater. 9 (2022) 837006, doi:10.3389/fmats.2022.837006, section 2.1.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry.blocks import (
    Sample,
    Triple,
    check_fraction,
    check_seed,
    checked_shape,
    checked_voxel_nm,
    spread,
    spread_centres_nm,
    upper_quantile,
    voxel_centres_nm,
)
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

TILE = 384
"""The copy is made of at most so many voxels a side from the middle, which bounds the memory."""

SMALLEST_TILE = 4


@dataclass(frozen=True, eq=False)
class Copies:
    """A structure, made smaller, turned, and mirrored again and again until it fills space.

    Parameters
    ----------
    distance_nm : array of shape (z, y, x), float32
        Of each voxel of the structure from its surface, positive in the solid.
    spacing_nm : tuple of three floats
        Voxel size (z, y, x) of the structure.
    ratio : float
        How many times smaller the copy is.
    turn : array of shape (3, 3), float64
        Rotation from the sample's axes (z, y, x) to the copy's.
    """

    distance_nm: NDArray[np.float32]
    spacing_nm: tuple[float, float, float]
    ratio: float
    turn: NDArray[np.float64]

    def at(self, place_nm: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the structure's signed distance in nm at places (3, n) in the sample."""
        from scipy.ndimage import map_coordinates

        voxel = self.ratio * (self.turn @ place_nm) / np.reshape(self.spacing_nm, (3, 1)) - 0.5
        return map_coordinates(self.distance_nm, voxel, order=1, mode="reflect")


@dataclass(frozen=True, eq=False)
class SelfSimilarSample(Sample):
    """What is solid in a structure and in its smaller copies.

    Parameters
    ----------
    solid : array of shape (z, y, x)
        Numpy or dask array; not 0 where solid.
    spacing_nm : tuple of three floats
        Voxel size (z, y, x).
    copies : Copies
        Of the structure.
    level_nm : float
        The copies are solid where their signed distance reaches this.
    """

    solid: Any
    spacing_nm: tuple[float, float, float]
    copies: Copies
    level_nm: float

    @property
    def shape(self) -> Triple:  # type: ignore[override]
        """Number of voxels (z, y, x)."""
        z, y, x = self.solid.shape
        return z, y, x

    def planes(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Draw the planes from ``start`` to before ``stop``."""
        z_nm, y_nm, x_nm = voxel_centres_nm(self.shape, self.spacing_nm)
        solid = np.asarray(self.solid[start:stop]) != 0
        for depth_nm, here in zip(z_nm[start:stop].tolist(), solid, strict=True):
            place_nm = _solid_places_nm(depth_nm, y_nm, x_nm, here)
            here[here] = self.copies.at(place_nm) >= self.level_nm
        return solid


def self_similar(
    solid: Any,
    *,
    spacing_nm: float | Sequence[float],
    ratio: float,
    solid_fraction: float | None = None,
    seed: int = 0,
    lazy: bool = False,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Return a structure whose ligaments are porous as the structure itself is.

    Solid stays what is solid in the structure and in its own copy, which is several times smaller,
    turned at random, and mirrored again and again to fill the volume.

    Parameters
    ----------
    solid : array of shape (z, y, x), bool or unsigned integers
        Numpy or dask array of a real or a generated structure; not 0 where solid.
    spacing_nm : float or sequence of three floats
        Voxel size, the same on all axes or (z, y, x).
    ratio : float
        How many times smaller the copy is, above 1.
    solid_fraction : float, optional
        Share of solid voxels, below that of the structure; met to a voxel up to 256^3, within 0.002
        beyond, by making the copy's ligaments thicker or thinner everywhere by the same length. By
        default they stay as they are, and the share is about the square of the structure's.
    seed : int, optional
        From 0 to 2**64 - 1; another seed turns the copy another way.
    lazy : bool, optional
        Return a dask array that is drawn slab by slab when it is computed or written.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    numpy or dask array of shape (z, y, x), bool
        True where solid.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, or there are not both solid and pores.
    Cancelled
        If ``cancel()`` became true.
    """
    if not hasattr(solid, "dtype") or solid.dtype.kind not in "bu" or solid.ndim != 3:
        raise PorescopeError(
            "The structure must be a volume (z, y, x) of true and false or of labels with 0 for "
            "pores; segment the images first."
        )
    shape, voxel_nm = checked_shape(solid.shape), checked_voxel_nm(spacing_nm)
    if not 1 < ratio < np.inf:
        raise PorescopeError(f"The ratio must be above 1, not {ratio!r}.")
    if solid_fraction is not None:
        check_fraction(solid_fraction)
    check_seed(seed)
    copies = _copies(solid, shape, voxel_nm, ratio, seed)
    level_nm = 0.0
    if solid_fraction is not None:
        level_nm = _level_nm(solid, shape, voxel_nm, copies, solid_fraction, cancel)
    return SelfSimilarSample(solid, voxel_nm, copies, level_nm).draw(lazy, progress, cancel)


def _copies(
    solid: Any, shape: Triple, spacing_nm: tuple[float, float, float], ratio: float, seed: int
) -> Copies:
    from scipy.spatial.transform import Rotation

    tile = tuple(
        slice((size - min(size, TILE)) // 2, (size + min(size, TILE)) // 2) for size in shape
    )
    piece = np.asarray(solid[tile]) != 0
    if min(piece.shape) < SMALLEST_TILE * ratio:
        raise PorescopeError(
            f"A structure of {' x '.join(map(str, piece.shape))} voxels, made {ratio:g} times "
            f"smaller, is less than {SMALLEST_TILE} voxels thick; take a smaller ratio."
        )
    if piece.all() or not piece.any():
        raise PorescopeError("The middle of the structure must hold both solid and pores.")
    distance_nm = _core.distance_to_other_label(piece, spacing_nm)
    np.negative(distance_nm, out=distance_nm, where=~piece)
    # A quaternion of four normal numbers is a rotation without preferred direction.
    turn = Rotation.from_quat(_core.normal(seed, 0, 0, 4)).as_matrix()
    return Copies(distance_nm, spacing_nm, ratio, turn)


def _level_nm(
    solid: Any,
    shape: Triple,
    spacing_nm: tuple[float, float, float],
    copies: Copies,
    solid_fraction: float,
    cancel: Cancel,
) -> float:
    """Return the level of the copies that gives the whole its solid fraction."""
    z_nm, y_nm, x_nm = spread_centres_nm(shape, spacing_nm)
    here = np.asarray(solid[spread(shape)]) != 0
    share = here.mean()
    if share <= solid_fraction:
        raise PorescopeError(
            f"The structure has a solid fraction of {share:.3f} and its self-similar structure "
            f"less; ask for less than that, not {solid_fraction}."
        )
    values = [
        copies.at(_solid_places_nm(depth_nm, y_nm, x_nm, plane))
        for depth_nm, plane in zip(track(z_nm.tolist(), cancel=cancel), here, strict=True)
    ]
    return upper_quantile(np.concatenate(values), solid_fraction / share)


def _solid_places_nm(
    depth_nm: float,
    y_nm: NDArray[np.float64],
    x_nm: NDArray[np.float64],
    solid: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return where the solid voxels of a plane lie: array of shape (3, n)."""
    row, column = np.nonzero(solid)
    return np.stack([np.full(len(row), depth_nm), y_nm[row], x_nm[column]])
