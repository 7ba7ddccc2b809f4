"""Pores that are spheres or spheroids along z, and a phantom with known anisotropy made of them.

References
----------
The phantom follows T. Sardhara et al., Front. Mater. 9 (2022) 837006,
doi:10.3389/fmats.2022.837006, supplementary figure S1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import Cancelled, PorescopeError
from porescope.geometry.blocks import (
    Coordinates,
    Sample,
    Triple,
    check_above_zero,
    check_fraction,
    checked_shape,
    checked_voxel_nm,
    voxel_centres_nm,
)
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

RADII = 1 << 12
"""So many radii are tried, evenly between none and that at which the spheroids touch."""

SMALLEST_PITCH = 4
"""Pores must be so many voxels apart."""

MOST_PORES = 10_000_000

BOX_VOXELS = 1 << 20
"""Larger pores are drawn in parts, so that memory does not grow with them."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class PoreSample(Sample):
    """A solid with pores.

    Parameters
    ----------
    shape : tuple of three ints
        Number of voxels (z, y, x).
    spacing_nm : tuple of three floats
        Voxel size (z, y, x).
    centres_nm : array of shape (pores, 3), float64
        Along z, y, x, from the volume's corner.
    semi_axes_nm : array of shape (pores, 3), float64
        Along z, y, x.
    """

    shape: Triple
    spacing_nm: tuple[float, float, float]
    centres_nm: NDArray[np.float64]
    semi_axes_nm: NDArray[np.float64]

    def planes(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Draw the planes from ``start`` to before ``stop``."""
        z_nm, y_nm, x_nm = voxel_centres_nm(self.shape, self.spacing_nm)
        solid = np.ones((stop - start, *self.shape[1:]), dtype=bool)
        grid = (z_nm[start:stop], y_nm, x_nm)
        for _, box, distance in boxes(self.centres_nm, self.semi_axes_nm, grid):
            solid[box] &= distance > 1
        return solid


def boxes(
    centres_nm: NDArray[np.float64], semi_axes_nm: NDArray[np.float64], grid_nm: Coordinates
) -> Iterator[tuple[int, Box, NDArray[np.float64]]]:
    """Walk the spheroids that come near a grid of points, large ones part by part.

    Parameters
    ----------
    centres_nm, semi_axes_nm : arrays of shape (spheroids, 3), float64
        Along z, y, x.
    grid_nm : three arrays, ascending
        Where the points lie along z, y, x.

    Yields
    ------
    index : int
        Which spheroid.
    box : tuple of three slices
        Points around it.
    distance : array of the shape of the box, float64
        Their squared distance from its centre in units of its surface's: 1 on the surface.
    """
    from_nm, to_nm = (centres_nm - semi_axes_nm).T, (centres_nm + semi_axes_nm).T
    first = [np.searchsorted(points, at) for points, at in zip(grid_nm, from_nm, strict=True)]
    end = [np.searchsorted(points, at, "right") for points, at in zip(grid_nm, to_nm, strict=True)]
    corners = np.stack([first, end], axis=-1).transpose(1, 0, 2)  # spheroid, axis, first or end
    for index in np.flatnonzero((corners[..., 0] < corners[..., 1]).all(axis=1)).tolist():
        (z, z_end), *in_plane = corners[index].tolist()
        y, x = (slice(*ends) for ends in in_plane)
        along_z, along_y, along_x = (
            ((points[part] - centre) / semi_axis) ** 2
            for points, part, centre, semi_axis in zip(
                grid_nm, (slice(None), y, x), centres_nm[index], semi_axes_nm[index], strict=True
            )
        )
        distance_in_plane = along_y[:, np.newaxis] + along_x
        step = max(1, BOX_VOXELS // distance_in_plane.size)
        for start in range(z, z_end, step):
            part = slice(start, min(start + step, z_end))
            yield index, (part, y, x), along_z[part, np.newaxis, np.newaxis] + distance_in_plane


def check_pore_count(count: int) -> None:
    """Refuse more pores than can be drawn in reasonable time and memory."""
    if count > MOST_PORES:
        raise PorescopeError(
            f"More than {MOST_PORES:,} pores would be needed; ask for larger pores, larger "
            "voxels or a smaller volume."
        )


def spheroids(
    shape: Sequence[int],
    *,
    spacing_nm: float | Sequence[float],
    pitch_nm: float,
    solid_fraction: float,
    aspect_ratio: float = 2.0,
    gap_growth: float = 0.1,
    lazy: bool = False,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Return a solid with spheroidal pores stretched along z: alike along y and x, not along z.

    The pores stand on a square grid in each of several layers, and the layers lie further apart the
    deeper they are. They do not touch; all are of one size, which follows from the solid fraction.

    Parameters
    ----------
    shape : sequence of three ints
        Number of voxels (z, y, x).
    spacing_nm : float or sequence of three floats
        Voxel size, the same on all axes or (z, y, x).
    pitch_nm : float
        From pore to pore along y and along x.
    solid_fraction : float
        Share of solid voxels, below 1 and above what is left where the pores touch: 0.48 or more;
        met as closely as whole voxels allow: within 0.005 where the pitch is 20 voxels or more.
    aspect_ratio : float, optional
        Extent of a pore along z over that along y and x. The first two layers are as far apart as
        the pitch times this.
    gap_growth : float, optional
        By this share of the first gap between layers each gap is longer than the one above it.
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
        If a parameter makes no sense, or the pores would overlap.
    Cancelled
        If ``cancel()`` became true.
    """
    check_above_zero("The pitch in nm", pitch_nm)
    check_above_zero("The aspect ratio", aspect_ratio)
    if not (math.isfinite(gap_growth) and gap_growth >= 0):
        raise PorescopeError(f"The growth of the gaps must be 0 or above, not {gap_growth!r}.")
    check_fraction(solid_fraction)
    shape, voxel_nm = checked_shape(shape), checked_voxel_nm(spacing_nm)
    if min(pitch_nm, aspect_ratio * pitch_nm) < SMALLEST_PITCH * max(voxel_nm):
        raise PorescopeError(
            f"Pores {pitch_nm} nm apart and {aspect_ratio} times as long need voxels of at most a "
            f"quarter of their size, not {max(voxel_nm)} nm."
        )
    centres_nm = _centres_nm(shape, voxel_nm, pitch_nm, aspect_ratio, gap_growth)
    touching_nm = np.broadcast_to(
        pitch_nm / 2 * np.array([aspect_ratio, 1.0, 1.0]), centres_nm.shape
    )
    scale = _scale(shape, voxel_nm, centres_nm, touching_nm, solid_fraction, cancel)
    sample = PoreSample(shape, voxel_nm, centres_nm, scale * touching_nm)
    return sample.draw(lazy, progress, cancel)


def _centres_nm(
    shape: Triple,
    spacing_nm: Sequence[float],
    pitch_nm: float,
    aspect_ratio: float,
    gap_growth: float,
) -> NDArray[np.float64]:
    """Return the centres of all pores that reach into the volume, layer by layer."""
    depth_nm, height_nm, width_nm = np.multiply(shape, spacing_nm)
    gap_nm = aspect_ratio * pitch_nm
    most = math.ceil(depth_nm / gap_nm) + 1
    gaps_nm = gap_nm * (1 + gap_growth * np.arange(most - 1))
    z_nm = gap_nm / 2 + np.concatenate([[0], np.cumsum(gaps_nm)])
    z_nm = z_nm[z_nm < depth_nm + gap_nm / 2]
    y_nm, x_nm = (
        pitch_nm * (np.arange(math.ceil(size_nm / pitch_nm)) + 0.5)
        for size_nm in (height_nm, width_nm)
    )
    check_pore_count(len(z_nm) * len(y_nm) * len(x_nm))
    return np.stack(np.meshgrid(z_nm, y_nm, x_nm, indexing="ij"), axis=-1).reshape(-1, 3)


def _scale(
    shape: Triple,
    spacing_nm: Sequence[float],
    centres_nm: NDArray[np.float64],
    touching_nm: NDArray[np.float64],
    solid_fraction: float,
    cancel: Cancel,
) -> float:
    """Return how large the pores are, 1 where they touch, by counting the voxels in each."""
    counts = np.zeros(RADII, dtype=np.int64)
    near = boxes(centres_nm, touching_nm, voxel_centres_nm(shape, spacing_nm))
    for _, _, distance in near:
        if cancel():
            raise Cancelled
        counts += np.histogram(np.sqrt(distance), bins=RADII, range=(0, 1))[0]
    solid = 1 - np.cumsum(counts) / math.prod(shape)
    if solid[-1] > solid_fraction:
        raise PorescopeError(
            f"The pores would overlap at a solid fraction of {solid_fraction}; ask for "
            f"{solid[-1]:.3f} or more, or for gaps that grow less."
        )
    return float(np.argmin(np.abs(solid - solid_fraction)) + 1) / RADII
