"""Solids with spherical pores at random places.

References
----------
T. Sardhara et al., Front. Mater. 9 (2022) 837006, doi:10.3389/fmats.2022.837006, section 2.1.1.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import Cancelled, PorescopeError
from porescope.geometry.blocks import (
    Triple,
    check_above_zero,
    check_fraction,
    check_seed,
    checked_shape,
    checked_voxel_nm,
    spread_centres_nm,
    upper_quantile,
)
from porescope.geometry.spheroids import PoreSample, boxes, check_pore_count
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

LARGEST_SD = 4
"""The distribution of the radii is cut at so many standard deviations above the mean."""

PLACES, RADII = 0, 1
"""Streams of random numbers."""


def random_pores(
    shape: Sequence[int],
    *,
    spacing_nm: float | Sequence[float],
    radius_nm: float,
    radius_sd_nm: float,
    solid_fraction: float,
    seed: int = 0,
    lazy: bool = False,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Return a solid with spherical pores, overlapping, at random places and of random radii.

    Pores are added until the solid fraction is reached; the last one only as far as is needed.

    Parameters
    ----------
    shape : sequence of three ints
        Number of voxels (z, y, x).
    spacing_nm : float or sequence of three floats
        Voxel size, the same on all axes or (z, y, x).
    radius_nm, radius_sd_nm : float
        Mean and standard deviation of the normal distribution of the radii, of which the part below
        0 and that beyond four standard deviations are left out.
    solid_fraction : float
        Share of solid voxels, above 0 and below 1; met to a voxel up to 256^3, within 0.002 beyond.
    seed : int, optional
        From 0 to 2**64 - 1; another seed gives another structure.
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
        If a parameter makes no sense.
    Cancelled
        If ``cancel()`` became true.
    """
    check_above_zero("The pore radius in nm", radius_nm)
    if not 0 <= radius_sd_nm <= radius_nm:
        raise PorescopeError(
            "The standard deviation of the pore radius must lie between 0 and the radius of "
            f"{radius_nm} nm, not {radius_sd_nm!r}."
        )
    check_fraction(solid_fraction)
    check_seed(seed)
    shape, voxel_nm = checked_shape(shape), checked_voxel_nm(spacing_nm)
    if 2 * radius_nm < max(voxel_nm):
        raise PorescopeError(
            f"Pores of radius {radius_nm} nm are smaller than a voxel of {max(voxel_nm)} nm; ask "
            "for larger pores or smaller voxels."
        )
    # Pores around the volume reach into it, so that it is no emptier or fuller at its faces.
    margin_nm = radius_nm + LARGEST_SD * radius_sd_nm
    box_nm = np.multiply(shape, voxel_nm) + 2 * margin_nm
    mean_volume = 4 / 3 * math.pi * (1 + 3 * (radius_sd_nm / radius_nm) ** 2)
    expected = -math.log(solid_fraction) * float(np.prod(box_nm / radius_nm)) / mean_volume
    count = math.ceil(expected + 6 * math.sqrt(expected)) + 1
    while True:
        check_pore_count(count)
        centres_nm = _core.uniform(seed, PLACES, 0, 3 * count).reshape(count, 3)
        centres_nm = centres_nm * box_nm - margin_nm
        radii_nm = radius_nm + radius_sd_nm * _core.normal(seed, RADII, 0, count)
        kept = (radii_nm > 0) & (radii_nm <= margin_nm)
        centres_nm, radii_nm = centres_nm[kept], radii_nm[kept]
        order = _order(shape, voxel_nm, centres_nm, radii_nm, cancel)
        level = upper_quantile(order, solid_fraction)
        if math.isfinite(level):
            break
        count *= 2  # as bad luck will have it where a pore is as large as the volume
    whole = int(level)
    radii_nm = radii_nm[: whole + 1].copy()
    radii_nm[whole:] *= level - whole
    needed = radii_nm > 0
    semi_axes_nm = np.repeat(radii_nm[needed, np.newaxis], 3, axis=1)
    sample = PoreSample(shape, voxel_nm, centres_nm[: whole + 1][needed], semi_axes_nm)
    return sample.draw(lazy, progress, cancel)


def _order(
    shape: Triple,
    spacing_nm: Sequence[float],
    centres_nm: NDArray[np.float64],
    radii_nm: NDArray[np.float64],
    cancel: Cancel,
) -> NDArray[np.float64]:
    """Return when voxels spread over the volume become pore, infinity for never.

    Pores come one after another, and each grows from its centre: a voxel becomes pore at the index
    of the first pore that reaches it plus its distance from that pore's centre, in radii.
    """
    z_nm, y_nm, x_nm = spread_centres_nm(shape, spacing_nm)
    order = np.full((len(z_nm), len(y_nm), len(x_nm)), np.inf)
    semi_axes_nm = np.repeat(radii_nm[:, np.newaxis], 3, axis=1)
    for index, box, distance in boxes(centres_nm, semi_axes_nm, (z_nm, y_nm, x_nm)):
        if cancel():
            raise Cancelled
        reached = np.where(distance <= 1, index + np.sqrt(distance), np.inf)
        np.minimum(order[box], reached, out=order[box])
    return order
