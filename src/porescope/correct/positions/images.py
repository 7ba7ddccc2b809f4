"""Slice positions from the images alone: what has changed from slice to slice."""

from __future__ import annotations

import numpy as np

from porescope.correct.positions.differences import SliceDistances, Values, compare_slices
from porescope.correct.positions.measured import SlicePositions
from porescope.errors import PorescopeError
from porescope.stack import SLICES, Region, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

ROUNDS = 20
# Two images less apart than this share of the usual are copies of one.
COPIES, FAINT = 0.05, 1e-3


def thickness_from_images(
    stack: Stack,
    region: Region | None = None,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> np.ndarray:
    """Return the depth of each slice in nm, as :func:`positions_from_images` finds it.

    Returns
    -------
    array of shape (z,)
        ``slice_z_nm``, from 0.
    """
    return positions_from_images(stack, region, progress=progress, cancel=cancel).slice_z_nm


def positions_from_images(
    stack: Stack,
    region: Region | None = None,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> SlicePositions:
    """Find where slices were cut from how much they differ.

    Images cannot tell how thick slices are on average: the distance from the first slice to the
    last is taken from the stack. Errors of thicknesses add up along a stack; the uncertainty is
    that of a slice's place among its neighbours.

    Parameters
    ----------
    stack : Stack
        Three slices or more, aligned, in the order in which they were cut.
    region : (y start, y stop, x start, x stop), optional
        Pixels to look at; all by default. A fiducial, which does not change, is left out.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    SlicePositions

    Raises
    ------
    PorescopeError
        If there are fewer than three slices that show something, or two neighbours have nothing in
        common.

    References
    ----------
    Hanslovsky, Bogovic, Saalfeld, Bioinformatics 33 (2017) 1379 (positions from similarities).
    """
    distances = compare_slices(stack, region, progress=progress, cancel=cancel)
    return positions_from_distances(stack, distances)


def positions_from_distances(stack: Stack, distances: SliceDistances) -> SlicePositions:
    """Return where slices lie that differ so much."""
    seen, count = distances.seen, stack.shape[SLICES]
    length = float(stack.slice_z_nm[seen[-1]] - stack.slice_z_nm[seen[0]])
    if length <= 0:
        raise PorescopeError(
            "The last slice lies above the first by the stack's own positions; sort the slices in "
            "the order in which they were cut."
        )
    if not np.median(distances.distance) > 0:
        raise PorescopeError("Most slices are the same image; load each slice once.")
    places, jackknife = _solve(distances)
    scale = length / (places[-1] - places[0])
    slice_z_nm = np.interp(np.arange(count), seen, scale * places)
    # Beyond the slices that show something, as far apart as the stack says.
    known = np.clip(np.arange(count), seen[0], seen[-1])
    slice_z_nm += stack.slice_z_nm - stack.slice_z_nm[known]
    uncertainty = np.full(count, np.nan)
    uncertainty[seen] = abs(scale) * _among_neighbours(places, jackknife)
    blank = np.ones(count, bool)
    blank[seen] = False
    return SlicePositions(slice_z_nm, uncertainty, "images", blank)


def _solve(pairs: SliceDistances) -> tuple[Values, Values]:
    """Return the places of slices in units of the plane, and the same without each patch.

    A distance is the difference of two places and an offset for the noise that all pairs share.
    What contradicts the rest counts less.
    """
    from scipy import sparse

    count, number = len(pairs.seen), np.arange(len(pairs.distance))
    # The first slice lies at 0, so the first column is left out.
    design = sparse.csr_matrix(
        (
            np.repeat([1.0, -1.0, 1.0], len(number)),
            (np.tile(number, 3), [*pairs.second, *pairs.first, *np.full(len(number), count)]),
        )
    )[:, 1:]
    # The error of a distance grows with it. Images that share even their noise are copies, and
    # tell nothing of the noise that others have.
    usual = np.median(pairs.distance)
    trust = 1 / np.maximum(pairs.distance, usual / 10)
    trust[pairs.distance < COPIES * usual] *= FAINT  # though many in a row have nothing else
    distances = np.column_stack([pairs.distance, pairs.without_patch])
    weights = trust
    for _ in range(ROUNDS):
        weighted = design.multiply(weights[:, None] ** 2).T.tocsr()
        solution = sparse.linalg.splu((weighted @ design).tocsc()).solve(weighted @ distances)
        residual = trust * (design @ solution[:, 0] - pairs.distance)
        scatter = 1.4826 * np.median(np.abs(residual)) + 1e-9
        weights = trust / np.sqrt(1 + (residual / (2 * scatter)) ** 2)
    # Two images of one place may seem to lie a little the wrong way round.
    places = np.maximum.accumulate(np.vstack([np.zeros(solution.shape[1]), solution[:-1]]), axis=0)
    return places[:, 0], places[:, 1:]


def _among_neighbours(places: Values, jackknife: Values) -> Values:
    """Return the standard error of each place against the middle of its neighbours."""
    kept = jackknife * (places[-1] / jackknife[-1])
    middle = np.pad(kept, ((1, 1), (0, 0)), mode="edge")
    offset = kept - (middle[:-2] + middle[2:]) / 2
    patches = kept.shape[1]
    return np.asarray(np.sqrt((patches - 1) * offset.var(axis=1)))
