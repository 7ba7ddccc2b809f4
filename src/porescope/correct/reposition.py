"""Slices moved to where they were cut, on a regular grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.stack import SLICES


def grid_places(slice_z_nm: np.ndarray, grid_nm: float) -> np.ndarray:
    """Return the plane of the grid that each slice gets.

    Every slice gets a plane of its own, as near to its position as the others allow, and the order
    along z is kept: the nearest free place taken literally would swap slices on a coarse grid.

    Parameters
    ----------
    slice_z_nm : array of shape (z,)
        Positions in nm, in any order.
    grid_nm : float
        Distance of the planes.

    Returns
    -------
    array of int, shape (z,)
        Plane numbers from 0; the plane 0 lies at the smallest position.

    References
    ----------
    Article II of the FIB tomography thesis, section 2.2.2.
    """
    from scipy.optimize import isotonic_regression

    slice_z_nm = np.asarray(slice_z_nm, dtype=np.float64)
    if not np.isfinite(slice_z_nm).all():
        bad = int(np.flatnonzero(~np.isfinite(slice_z_nm))[0])
        raise PorescopeError(f"The position of slice {bad} is not a number; measure it again.")
    if not (np.isfinite(grid_nm) and grid_nm > 0):
        raise PorescopeError(f"The grid spacing must be above 0 nm, not {grid_nm}.")
    order = np.argsort(slice_z_nm, kind="stable")
    wanted = np.rint((slice_z_nm[order] - slice_z_nm.min()) / grid_nm)
    rank = np.arange(len(order))
    # Distinct and ordered planes p_i mean that p_i - i never falls: an isotonic regression.
    slack = np.clip(isotonic_regression(wanted - rank).x, 0, None)
    places = np.empty(len(order), dtype=np.int64)
    places[order] = rank + np.rint(slack).astype(np.int64)
    return places


def _refuse_contradictions(volume: Any, slice_z_nm: np.ndarray) -> None:
    order = np.argsort(slice_z_nm, kind="stable")
    for first, second in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        if slice_z_nm[first] == slice_z_nm[second]:
            one, other = (np.asarray(volume[index]) for index in (first, second))
            if not np.array_equal(one, other):
                raise PorescopeError(
                    f"Slices {first} and {second} differ but are both said to lie at "
                    f"{slice_z_nm[first]:g} nm; measure their positions again or leave one out."
                )


def reposition(volume: Any, slice_z_nm: np.ndarray, grid_nm: float) -> tuple[Any, np.ndarray]:
    """Move the slices of a volume to their places on a regular grid.

    Parameters
    ----------
    volume : array of shape (z, y, x)
        Numpy or dask array.
    slice_z_nm : array of shape (z,)
        Position of each slice in nm.
    grid_nm : float
        Distance of the planes of the new grid.

    Returns
    -------
    volume : array of shape (planes, y, x)
        Zero where no slice is known.
    known : bool array of shape (planes,)
        Where one is.

    Raises
    ------
    PorescopeError
        If positions are no numbers or too far apart for the grid, there is not one for each slice,
        or slices that differ claim one position.

    References
    ----------
    Article II of the FIB tomography thesis, section 2.2.2.
    """
    places = grid_places(slice_z_nm, grid_nm)
    if len(places) != volume.shape[SLICES]:
        raise PorescopeError(
            f"There are {volume.shape[SLICES]} slices but {len(places)} positions; give one each."
        )
    planes = int(places.max()) + 1
    if planes > 100 * len(places):
        raise PorescopeError(
            f"A grid of {grid_nm:g} nm would put {len(places)} slices on {planes} planes; "
            "check the slice positions or choose a coarser grid."
        )
    _refuse_contradictions(volume, np.asarray(slice_z_nm, dtype=np.float64))
    known = np.zeros(planes, dtype=bool)
    known[places] = True
    if isinstance(volume, np.ndarray):
        placed = np.zeros((planes, *volume.shape[1:]), volume.dtype)
        placed[places] = volume
        return placed, known
    import dask.array as da

    empty = da.zeros((1, *volume.shape[1:]), dtype=volume.dtype, chunks=(1, -1, -1))
    source = np.full(planes, len(places))
    source[places] = np.arange(len(places))
    single = da.concatenate([volume.rechunk((1, -1, -1)), empty])
    return da.concatenate([single[index : index + 1] for index in source]), known
