"""Slice positions from milled marks: parallel ones stay, inclined ones wander as slices are cut.

A ruler is two parallel and two inclined trenches, filled so that each shows as a mark in every
slice; a fiducial with one straight and one slanted edge will do. Drift moves all marks alike, so it
is found along with the depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porescope.correct.positions.measured import SlicePositions
from porescope.errors import PorescopeError
from porescope.stack import COLUMNS, SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

# A mark that looks less like itself than this is not there.
LEAST_LIKE = 0.5
# The share of the slices in which a mark may not be found.
MOST_LOST = 0.25
# Parts of a pixel to which a mark's place is found.
UPSAMPLING = 100
# Times the stack is looked through: for a mark as in the first slice, then for its mean.
LOOKS = 2


def thickness_from_ruler(
    stack: Stack,
    parallel: Sequence[Region],
    inclined: Sequence[Region],
    angle_deg: float,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> np.ndarray:
    """Return the depth of each slice in nm, as :func:`positions_from_marks` finds it.

    Returns
    -------
    array of shape (z,)
        ``slice_z_nm``, from 0.
    """
    positions = positions_from_marks(
        stack, parallel, inclined, angle_deg, progress=progress, cancel=cancel
    )
    return positions.slice_z_nm


def positions_from_marks(
    stack: Stack,
    parallel: Sequence[Region],
    inclined: Sequence[Region],
    angle_deg: float,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> SlicePositions:
    """Find where slices were cut from marks that are tracked through the stack.

    Parameters
    ----------
    stack : Stack
        Two slices or more. Aligned or not, but no mark may move by more than half its box from one
        slice to the next.
    parallel : sequence of (y start, y stop, x start, x stop)
        A box in the first slice about each mark that runs along the milling direction.
    inclined : sequence of (y start, y stop, x start, x stop)
        A box about each mark that is inclined to it, either way.
    angle_deg : float
        Angle between the inclined marks and the milling direction, in the plane of the sample's
        surface.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    SlicePositions
        The uncertainty comes from how well three marks or more agree; two tell none. A slice that
        does not show enough marks counts as blank.

    Raises
    ------
    PorescopeError
        If a mark is lost in most slices, or does not move as the angle says.

    References
    ----------
    Article II of the FIB tomography thesis, section 2.1.1 (ruler-based method).
    """
    if not (parallel and inclined):
        raise PorescopeError("A ruler needs one parallel mark and one inclined mark or more.")
    if not 0 < angle_deg < 90:
        raise PorescopeError(
            f"Inclined marks make an angle between 0 and 90 degrees with the milling direction, "
            f"not {angle_deg:g}."
        )
    if stack.shape[SLICES] < 2:
        raise PorescopeError("Slice positions need two slices or more; this is a single image.")
    places = _track(stack, [*parallel, *inclined], progress, cancel)
    moved_nm = (places[..., 1] - places[0, :, 1]) * stack.spacing_nm[COLUMNS]
    fixed = len(parallel)
    drift_nm = np.ma.masked_invalid(moved_nm[:, :fixed]).mean(axis=1).filled(np.nan)
    away_nm = moved_nm[:, fixed:] - drift_nm[:, np.newaxis]
    wandered_nm = np.nanmedian(away_nm[len(away_nm) // 2 :], axis=0)
    for box, wandered in zip(inclined, wandered_nm, strict=True):
        if abs(wandered) < stack.spacing_nm[COLUMNS]:
            raise PorescopeError(
                f"The inclined mark in the box {box} of the first slice does not move along the "
                "parallel ones; draw its box about the right mark."
            )
    lean = np.sign(wandered_nm)
    slope = np.concatenate([np.zeros(fixed), lean * np.tan(np.deg2rad(angle_deg))])
    depth_nm, residual_nm, leverage = _solve(moved_nm, slope)
    blank = ~np.isfinite(depth_nm)
    wrong = np.flatnonzero(np.diff(depth_nm[~blank]) <= 0)
    if wrong.size:
        index = int(np.flatnonzero(~blank)[wrong[0] + 1])
        raise PorescopeError(
            f"By these marks slice {index} lies above the one before, so they are no ruler; draw "
            "the boxes about the filled trenches in the first slice, and check the angle."
        )
    number = np.arange(len(depth_nm))
    slice_z_nm = np.interp(number, number[~blank], depth_nm[~blank])
    free = np.isfinite(residual_nm).sum() - 2 * np.count_nonzero(~blank)
    error_nm = np.sqrt(np.nansum(residual_nm**2) / free) if free > 0 else np.nan
    return SlicePositions(slice_z_nm, error_nm * leverage, "marks", blank, places)


def _solve(
    moved_nm: NDArray[np.float64], slope: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return depth (z,), residuals (z, marks), and how errors of marks grow into the depth (z,)."""
    depth = np.full(len(moved_nm), np.nan)
    leverage = np.full(len(moved_nm), np.nan)
    residual = np.full(moved_nm.shape, np.nan)
    for index, moved in enumerate(moved_nm):
        seen = np.isfinite(moved)
        if len(set(slope[seen])) < 2:
            continue
        design = np.column_stack([slope[seen], np.ones(np.count_nonzero(seen))])
        solution = np.linalg.lstsq(design, moved[seen], rcond=None)[0]
        depth[index] = solution[0]
        residual[index, seen] = moved[seen] - design @ solution
        leverage[index] = np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    return depth, residual, leverage


def _track(
    stack: Stack, boxes: Sequence[Region], progress: Progress, cancel: Cancel
) -> NDArray[np.float64]:
    """Return the middle (y, x) of each mark in each slice, (z, marks, 2); NaN where lost."""
    areas = [region_slices(box, stack.shape) for box in boxes]
    for box, (rows, columns) in zip(boxes, areas, strict=True):
        if rows.stop - rows.start < 8 or columns.stop - columns.start < 8:
            raise PorescopeError(
                f"The box {box} (y start, y stop, x start, x stop) is too small to know a mark by; "
                "draw one of 8 x 8 pixels or more."
            )
    corners = np.array([[rows.start, columns.start] for rows, columns in areas])
    first = stack.image(0)
    marks = [first[area] for area in areas]
    for box, mark in zip(boxes, marks, strict=True):
        if mark.min() == mark.max():
            raise PorescopeError(f"There is no mark in the box {box} of the first slice.")
    count = stack.shape[SLICES]
    for look in range(LOOKS):

        def report(done: int, _: int, before: int = look * count) -> None:
            progress(before + done, LOOKS * count)

        sums = [np.zeros_like(mark) for mark in marks]
        places = np.full((count, len(areas), 2), np.nan)
        near = corners.copy()
        for index in track(range(count), report, cancel):
            image = stack.image(index)
            for number, mark in enumerate(marks):
                found = _find(image, mark, near[number])
                if found is not None:
                    near[number] = np.rint(found)
                    places[index, number] = found + (np.array(mark.shape) - 1) / 2
                    sums[number] += _cut(image, found, mark.shape)
        # What surrounds a mark differs from slice to slice and fades from their sum.
        marks = sums
    for box, lost in zip(boxes, np.isnan(places[..., 0]).mean(axis=0), strict=True):
        if lost > MOST_LOST:
            raise PorescopeError(
                f"The mark in the box {box} of the first slice is lost in many others; draw the "
                "box anew, about the mark and a little more."
            )
    return places


def _cut(
    image: NDArray[np.float32], corner: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the part of an image that begins between pixels."""
    from scipy.ndimage import map_coordinates

    rows, columns = (begin + np.arange(size) for begin, size in zip(corner, shape, strict=True))
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(map_coordinates(image, grid, order=1, mode="nearest"), np.float32)


def _find(
    image: NDArray[np.float32], mark: NDArray[np.float32], corner: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the corner (y, x) of a mark near where it was, in parts of a pixel."""
    from skimage.feature import match_template
    from skimage.registration import phase_cross_correlation

    size, limits = np.array(mark.shape), np.array(image.shape)
    begin = np.clip(corner - size // 2, 0, limits - size)
    end = np.clip(corner + size + size // 2, size, limits)
    around = image[begin[0] : end[0], begin[1] : end[1]]
    if around.min() == around.max():
        return None
    likeness = match_template(around, mark)
    best = np.array(np.unravel_index(likeness.argmax(), likeness.shape))
    if likeness.max() < LEAST_LIKE:
        return None
    y, x = begin + best
    fade = np.outer(*(np.hanning(length + 2)[1:-1] for length in mark.shape))
    here = image[y : y + mark.shape[0], x : x + mark.shape[1]]
    # The rest is below a pixel, so what comes and goes at the box's border hardly counts.
    rest, _, _ = phase_cross_correlation(
        (here - here.mean()) * fade,
        (mark - mark.mean()) * fade,
        upsample_factor=UPSAMPLING,
        normalization=None,
    )
    return np.asarray(begin + best + np.clip(rest, -1, 1), dtype=np.float64)
