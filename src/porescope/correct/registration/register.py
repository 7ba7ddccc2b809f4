"""Where each slice was imaged, within a stack and between voltages.

Shifts between images are measured in pairs over several baselines and between voltages, each pair
as sure as it is, and all are solved together: errors do not add up along the stack, and what
contradicts the rest is refused. In a region whose content stays the same, such as a fiducial,
images any number of slices apart can be compared. Elsewhere only near slices are alike, and what is
inclined there looks like drift; frequencies that keep their place in depth have the say, and the
rest of that error shrinks with the area, not with the number of slices.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from porescope.correct.registration.alignment import Alignment
from porescope.correct.registration.fiducial import SAMPLED, fiducial_in
from porescope.correct.registration.network import Measured, Model, Network, Places, place
from porescope.correct.registration.solve import Solution
from porescope.correct.registration.windows import Windows
from porescope.errors import PorescopeError, PorescopeWarning
from porescope.stack import SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

# Around a region the content is looked for this far, or as far as the region is large.
MARGIN_PX = 64
# A slice is refused when less than this share of what its pairs usually tell agrees.
BELIEVED = 0.3
# Windows of a linear model are no smaller, and no more than so many in a row.
SMALLEST_PX, MOST_WINDOWS = 32, 4


def align_stack(
    stack: Stack,
    *,
    region: Region | None = None,
    model: Model = "translation",
    smooth_slices: float = 0.0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Alignment:
    """Find the drift of a stack.

    Parameters
    ----------
    stack : Stack
        Two slices or more.
    region : (y start, y stop, x start, x stop), optional
        Pixels to look at, such as a fiducial, where the first slice shows them; found, by default,
        or else all.
    model : {"translation", "rigid", "affine"}
        What a slice may do: move, turn as well, or be sheared and stretched as well.
    smooth_slices : float
        Standard deviation, in slices, of a Gaussian that the drift is smoothed with; 0 for none.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Alignment
        Relative to the first slice, with the confidence in each slice; those refused are named in
        a PorescopeWarning.

    Raises
    ------
    PorescopeError
        If there is one slice only, a value is no number, or the slices have too little in common.
    """
    if stack.shape[SLICES] < 2:
        raise PorescopeError("Aligning needs two slices or more; this is a single image.")
    (found,) = align_voltages(
        [stack],
        region=region,
        model=model,
        smooth_slices=smooth_slices,
        progress=progress,
        cancel=cancel,
    )
    return found


def align_voltages(
    stacks: Sequence[Stack],
    reference_kv: float | None = None,
    *,
    region: Region | None = None,
    model: Model = "translation",
    smooth_slices: float = 0.0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> list[Alignment]:
    """Find the drift of all voltages of one sample in one frame.

    Images of one face at two voltages, of neighbouring faces, and of faces further apart at one
    voltage are compared, and all places are solved together.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one shape.
    reference_kv : float, optional
        Beam energy of the reference; the stack nearest to 2 kV by default.
    region, model, smooth_slices, progress, cancel
        As for :func:`align_stack`; the region is where the first slice of the reference shows it.

    Returns
    -------
    list of Alignment
        One for each stack, in the order given, relative to the reference's first slice.

    Raises
    ------
    PorescopeError
        As for :func:`align_stack`, or if the stacks differ in shape.
    """
    if not stacks:
        raise PorescopeError("There is no stack to align; load one first.")
    reference = _reference(stacks, reference_kv)
    for stack in stacks:
        if stack.shape != reference.shape:
            raise PorescopeError(
                f"The stacks differ in shape ({stack.shape} and {reference.shape}, z y x); "
                "voltages can only be aligned when every slice was imaged at each."
            )
    if len(stacks) * reference.shape[SLICES] < 2:
        raise PorescopeError("Aligning needs two slices or more; this is a single image.")
    if not (np.isfinite(smooth_slices) and smooth_slices >= 0):
        raise PorescopeError(f"Smoothing is over 0 slices or more, not {smooth_slices}.")
    network = Network(stacks, progress, cancel)
    fixed = next(i for i, stack in enumerate(stacks) if stack is reference) * network.slices
    area = region_slices(region, reference.shape)
    offsets = network.coarse(_around(area, reference.shape))
    offsets -= offsets[fixed]
    # In a few slices next to nothing changes, and inclined structure does not get far.
    if region is None and network.slices > SAMPLED:
        area = fiducial_in(network, offsets) or area
        if area == region_slices(None, reference.shape):
            warnings.warn(
                "No part of the images stays the same from slice to slice, so all of them was "
                "compared; structure that is inclined as a whole may be straightened. Give the "
                "region of a fiducial where there is one.",
                PorescopeWarning,
                stacklevel=2,
            )
    places = Places.start(offsets, model, network.shape)
    windows, points = _windows(area, offsets, network.shape, model)
    places, found, solution = place(network, windows, points, places, fixed)
    confidence = _confidence(network, found, solution)
    refused = confidence < BELIEVED
    _check(network, found, solution, refused)
    _doubt(network, found, solution, refused)
    values = _mended(places.values, refused, network.slices, smooth_slices)
    values = values - values[fixed]
    places = Places(values, places.centre, places.lever_px)
    linear = places.linear
    alignments = []
    for number, stack in enumerate(stacks):
        own = slice(number * network.slices, (number + 1) * network.slices)
        alignments.append(
            Alignment(
                values[own, :2],
                stack.beam_kv,
                None if linear is None else linear[own],
                confidence[own],
                refused[own],
            )
        )
    _tell(alignments)
    return alignments


def _reference(stacks: Sequence[Stack], reference_kv: float | None) -> Stack:
    if reference_kv is None:
        return min(stacks, key=lambda stack: abs((stack.beam_kv or 2.0) - 2.0))
    for stack in stacks:
        if stack.beam_kv is not None and np.isclose(stack.beam_kv, reference_kv):
            return stack
    energies = ", ".join(f"{stack.beam_kv:g}" for stack in stacks if stack.beam_kv is not None)
    raise PorescopeError(
        f"There is no stack at {reference_kv:g} kV; "
        + (f"choose one of {energies}." if energies else "leave the reference out.")
    )


def _around(area: tuple[slice, slice], shape: Sequence[int]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, size in zip(area, shape[1:], strict=True)
        for margin in [max(MARGIN_PX, part.stop - part.start)]
    )
    return rows, columns


def _windows(
    area: tuple[slice, slice],
    offsets: NDArray[np.float64],
    shape: NDArray[np.int64],
    model: Model,
) -> tuple[Windows, NDArray[np.float64]]:
    """Return the windows within an area, and their middles."""
    start = np.array([part.start for part in area], dtype=np.float64)
    stop = np.array([part.stop for part in area], dtype=np.float64)
    if (stop - start == shape).all():
        # All that every slice shows, but no less than half of an image.
        start, stop = offsets.max(axis=0).clip(min=0), shape + offsets.min(axis=0).clip(max=0)
        few = stop - start < shape / 2
        start, stop = np.where(few, shape / 4, start), np.where(few, 3 * shape / 4, stop)
    middle, size = (start + stop - 1) / 2, stop - start
    if model == "translation":
        return Windows.of(size.tolist()), middle[np.newaxis]
    # Windows overlap by half, since each fades out at its sides.
    counts = (2 * size / SMALLEST_PX - 1).astype(int).clip(1, MOST_WINDOWS)
    if counts.max() < 2:
        raise PorescopeError(
            f"A region of {size[0]:.0f} x {size[1]:.0f} pixels (y, x) is too small to tell how "
            "slices turn; take a larger one, or align by translation."
        )
    each = 2 * size / (counts + 1)
    y, x = (
        m + s / (n + 1) * (np.arange(n) - (n - 1) / 2)
        for m, s, n in zip(middle, size, counts.tolist(), strict=True)
    )
    points = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return Windows.of(each.tolist(), share=int(counts.max())), points


def _confidence(network: Network, found: Measured, solution: Solution) -> NDArray[np.float64]:
    """Return the share of what an image's pairs usually tell that agrees, from 0 to 1."""
    agrees, all_of_it = np.zeros(network.images), np.zeros(network.images)
    for ends in (found.pairs.first, found.pairs.second):
        np.add.at(agrees, ends, found.usual * found.told * solution.weights)
        np.add.at(all_of_it, ends, found.usual)
    return agrees / np.maximum(all_of_it, 1e-30)


def _check(
    network: Network, found: Measured, solution: Solution, refused: NDArray[np.bool_]
) -> None:
    """Refuse stacks whose slices do not hang together."""
    from scipy import sparse

    believed = np.flatnonzero(~refused)
    if believed.size < 2 or believed.size <= network.images / 2:
        raise PorescopeError(
            f"Of {network.images} images, {network.images - believed.size} show nothing that "
            "others show, or contradict them, so they cannot be aligned; choose another region, "
            "or leave out blank, saturated and foreign slices."
        )
    holds = (solution.weights * found.told > BELIEVED / 3) & (found.usual > 0)
    ends = np.array(found.pairs.first)[holds], np.array(found.pairs.second)[holds]
    graph = sparse.coo_matrix((np.ones(holds.sum()), ends), (network.images,) * 2)
    _, parts = sparse.csgraph.connected_components(graph, directed=False)
    apart = parts[believed] != parts[believed[0]]
    if apart.any():
        stack, index = divmod(int(believed[apart][0]), network.slices)
        energy = network.stacks[stack].beam_kv
        of = "" if energy is None else f" at {energy:g} kV"
        raise PorescopeError(
            f"From slice {index}{of} on, images have nothing in common with those before; "
            "align the parts on their own, or choose another region."
        )


def _doubt(
    network: Network, found: Measured, solution: Solution, refused: NDArray[np.bool_]
) -> None:
    """Warn where few of the pairs across a slice agree: each side may be right, but not both."""
    ends = np.array([found.pairs.first, found.pairs.second])
    believed = ~refused[ends].any(axis=0)
    before, after = np.sort(ends % network.slices, axis=0)
    usual = found.usual * believed
    across = np.zeros((2, network.slices))
    for total, each in zip(across, (usual * found.told * solution.weights, usual), strict=True):
        np.add.at(total, before, each)
        np.add.at(total, after, -each)
    agrees, all_of_it = across.cumsum(axis=1)[:, :-1]
    ties = np.where(all_of_it > 1e-9 * all_of_it.max(initial=0), agrees / (all_of_it + 1e-30), 1)
    if ties.min(initial=1) < BELIEVED:
        index = int(ties.argmin())
        warnings.warn(
            f"Slices up to {index} and those from {index + 1} on hardly agree on how they lie "
            f"({100 * ties[index]:.0f} % of what is usual), so they may lie apart; flicker between "
            "them, and if they do, give the region of a fiducial or a larger one.",
            PorescopeWarning,
            stacklevel=3,
        )


def _mended(
    values: NDArray[np.float64], refused: NDArray[np.bool_], slices: int, smooth_slices: float
) -> NDArray[np.float64]:
    """Return the places with those of refused slices interpolated, and smoothed if asked for."""
    from scipy import ndimage

    mended = values.copy()
    index = np.arange(slices)
    for start in range(0, len(values), slices):
        own = slice(start, start + slices)
        kept = ~refused[own]
        if not kept.any():
            raise PorescopeError(
                "At one of the voltages no slice can be aligned; leave it out, or choose another "
                "region."
            )
        for column in mended[own].T:
            column[:] = np.interp(index, index[kept], column[kept])
        if smooth_slices:
            mended[own] = ndimage.gaussian_filter1d(
                mended[own], smooth_slices, axis=0, mode="nearest"
            )
    return mended


def _tell(alignments: Sequence[Alignment]) -> None:
    """Warn of refused slices."""
    for alignment in alignments:
        refused = np.flatnonzero(alignment.refused).tolist()
        if refused:
            named = ", ".join(str(index) for index in refused[:20])
            of = "" if alignment.beam_kv is None else f" at {alignment.beam_kv:g} kV"
            warnings.warn(
                f"Slices refused{of}: {named}{', ...' if len(refused) > 20 else ''}. Their pairs "
                "contradict each other or show nothing, so their places are interpolated from "
                "their neighbours'; look at them.",
                PorescopeWarning,
                stacklevel=3,
            )
