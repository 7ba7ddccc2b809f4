"""Where a segmentation cannot be right: its volume is imaged, and the real images disagree.

What shines through at 4 kV is the same solid that later slices show at their surface, so a
segmentation explains all voltages and all slices at once, or it does not. No truth is needed.

A volume of labels is filled between its slices to voxels about as deep as they are wide, imaged at
each slice and voltage, and compared with what was recorded. The brightness and contrast of the
microscope are not known: one gain and one offset for each voltage are fitted to all slices
together, so that they cannot make up for a slice that is segmented wrongly, and only well within
phases, where segmentations agree.

Residuals count in units of the contrast between the brightest and the darkest phase at that
voltage, not in those of the noise: -1 is a pixel that should be solid and is as dark as pore, at
any voltage, dwell time and number of simulated electrons. So the mean square of the residuals, less
what noise adds, is about the share of the image that shows another phase than the labels say. It is
called the misfit, in %. Noise of the simulation drops out of the product of two independent images;
that of the real image is measured within it.

References
----------
J. Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300, doi:10.1006/cviu.1996.0060 (noise).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.correct.interpolation.interpolate import Method, interpolate
from porescope.correct.reposition import grid_places, reposition
from porescope.errors import PorescopeError
from porescope.measure.fractions import solid_fraction
from porescope.measure.parts import check_labels
from porescope.measure.volume_images import Imaging
from porescope.stack import ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

READY_VOXELS = 1 << 26
"""So many are made ready for imaging at once, unless a single slice needs more."""
WITHIN_PX = (2, 1, 0)
"""A pixel lies well within a phase if all pixels so far from it are of the same; where no pixels
of two phases do, nearer ones must be."""
BLOCK_PX, LEAST_PX = 16, 5
"""Gain and offset are fitted to means over a phase in a block, of at least so many pixels."""
OUTLIER = 4.0
"""Standard deviations from which a block has no say in gain and offset."""
LEAST_SPREAD = 1e-3
"""Of the grey values' own, for images without noise."""
SQUARE_WITHIN = 1.01

Image = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PhysicsCheck:
    """What the real images say of a segmentation.

    Attributes
    ----------
    slices : tuple of int
        Which slices were imaged.
    slice_z_nm : array of shape (slices,)
    beam_kv : tuple of float
    misfit : array of shape (voltages, slices), float64
        Share of the image, in %, that shows another phase than the labels say, about; what noise
        makes is taken off, so it may fall below 0 by chance. NaN where the image looks deeper than
        the segmentation goes.
    residuals : tuple of Stack
        One for each voltage, of those slices, float32: real less simulated image in units of the
        contrast between phases. In slices without a misfit they tell less, for what lies below the
        last slice is taken as what lies above it, mirrored.
    weights : tuple of float
        Of each voltage in a mean over voltages: the inverse of the depth that its images look to,
        for the deeper they do, the more they show of what the labels do not hold but interpolate.
    gain, offset, contrast : tuples of float
        One for each voltage: grey value = offset + gain x simulated signal for each electron, and
        the grey values between the brightest and the darkest phase.
    """

    slices: tuple[int, ...]
    slice_z_nm: NDArray[np.float64]
    beam_kv: tuple[float, ...]
    misfit: NDArray[np.float64]
    residuals: tuple[Stack, ...]
    weights: tuple[float, ...]
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    contrast: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean misfit in %, the lower the better; NaN where no slice has any."""
        with np.errstate(invalid="ignore"):
            by_beam = np.nansum(self.misfit, axis=1) / (~np.isnan(self.misfit)).sum(axis=1)
        return float(self._over_voltages(by_beam[:, np.newaxis])[0])

    @property
    def slice_scores(self) -> NDArray[np.float64]:
        """Mean misfit of each slice in %, over the voltages that tell; NaN where none does."""
        return self._over_voltages(self.misfit)

    def _over_voltages(self, misfit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over the first axis of what is known."""
        weights = np.array(self.weights)[:, np.newaxis] * ~np.isnan(misfit)
        with np.errstate(invalid="ignore"):
            return np.nansum(weights * misfit, axis=0) / weights.sum(axis=0)

    def rows(self) -> list[dict[str, float]]:
        """Return a row for each slice: its number, depth, score, and misfit at each voltage."""
        scores = self.slice_scores
        return [
            {
                "slice": index,
                "z_nm": float(self.slice_z_nm[place]),
                "misfit": float(scores[place]),
                **{
                    f"misfit_{kv:g}kV": float(of_beam[place])
                    for kv, of_beam in zip(self.beam_kv, self.misfit, strict=True)
                },
            }
            for place, index in enumerate(self.slices)
        ]


def physics_check(
    stacks: Stack | Sequence[Stack],
    labels: Stack | NDArray[Any],
    imaging: Imaging,
    *,
    interpolation: Method = "learned",
    slices: Sequence[int] | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> PhysicsCheck:
    """Image a segmented volume and tell where the real images disagree.

    Parameters
    ----------
    stacks : Stack or sequence of Stack
        Real images, one for each voltage, aligned; numpy or dask arrays.
    labels : Stack or array of shape (z, y, x)
        The segmentation, 0 for pore: of the slices, or a stack that holds planes between them too,
        as a step that fills gaps makes it.
    imaging : ByMonteCarlo or BySurrogate
        See :mod:`porescope.measure.volume_images`.
    interpolation : str
        How labels between the slices are filled in, see :func:`porescope.correct.interpolate`.
        What it gets wrong adds to the misfit of all segmentations alike.
    slices : sequence of int, optional
        Slices to image, in rising order; all by default. Fewer are faster, and below each of them
        all slices are seen.
    progress, cancel
        See :mod:`porescope.tracking`; images are counted.

    Returns
    -------
    PhysicsCheck
        Residuals are dask arrays, imaged again when computed, where the stacks' data are ones.

    Raises
    ------
    PorescopeError
        If stacks and labels do not fit together, a stack tells no voltage, pixels are not square,
        the labels hold one phase only, or images and labels have nothing in common.
    Cancelled
    """
    stacks = [stacks] if isinstance(stacks, Stack) else list(stacks)
    volume = _volume(stacks, labels, imaging, interpolation)
    chosen = _checked_slices(stacks[0], slices)
    beams_kv = tuple(_beam_kv(stack) for stack in stacks)
    compared = [_Comparison() for _ in stacks]
    simulated: list[list[Image]] = [[] for _ in stacks]
    lazy = any(not isinstance(stack.data, np.ndarray) for stack in stacks)
    groups = volume.groups(chosen)
    ready_group: tuple[int, ...] = ()
    ready: Any = None
    steps = [
        (group, index, beam) for group in groups for index in group for beam in range(len(stacks))
    ]
    # Where no slice tells, all must do for gain and offset.
    tells = np.array([volume.tells(chosen, kv) for kv in beams_kv])
    fitted = tells | ~tells.any(axis=1, keepdims=True)
    for group, index, beam in track(steps, progress, cancel):
        if group is not ready_group:
            ready = None  # makes room
            ready_group, ready = group, volume.ready(group)
        pair = volume.images(ready, index, beams_kv[beam])
        to_fit = fitted[beam, chosen.index(index)]
        surface = volume.surface(index) if to_fit else None
        compared[beam].add(stacks[beam].image(index), *pair, surface)
        if not lazy:
            simulated[beam].append(_mean(pair))
    fits = [each.fit(kv) for each, kv in zip(compared, beams_kv, strict=True)]
    misfit = np.array([each.misfit(fit) for each, fit in zip(compared, fits, strict=True)])
    misfit[~tells] = np.nan
    residuals = [
        _lazily(volume, stack, groups, fit)
        if lazy
        else np.stack(
            [
                fit.residual(stack.image(index), image)
                for index, image in zip(chosen, images, strict=True)
            ]
        )
        for stack, images, fit in zip(stacks, simulated, fits, strict=True)
    ]
    slice_z_nm = stacks[0].slice_z_nm[chosen]
    return PhysicsCheck(
        tuple(chosen),
        slice_z_nm,
        beams_kv,
        misfit,
        tuple(
            stack.with_data(data, slice_z_nm=slice_z_nm).with_history("physics_check")
            for stack, data in zip(stacks, residuals, strict=True)
        ),
        tuple(1 / imaging.depth_nm(kv, volume.solid_share) for kv in beams_kv),
        *(tuple(each) for each in zip(*fits, strict=True)),
    )


@dataclass(frozen=True, eq=False)
class _Volume:
    """Labels on a grid of about cubic voxels, and how to image them.

    Parameters
    ----------
    labels : array of shape (planes, y, x)
    voxel_nm : three floats
    plane : int array of shape (slices,)
        Where each real slice lies.
    imaging : Imaging
    solid_share : float
    beams_kv : tuple of float
    """

    labels: Any
    voxel_nm: tuple[float, float, float]
    plane: NDArray[np.int64]
    imaging: Imaging
    solid_share: float
    beams_kv: tuple[float, ...]

    def _planes_below(self, beam_kv: float) -> int:
        return math.ceil(self.imaging.depth_nm(beam_kv, self.solid_share) / self.voxel_nm[SLICES])

    def tells(self, slices: Sequence[int], beam_kv: float) -> NDArray[np.bool_]:
        """Return for which slices there are labels as deep as the image looks."""
        deepest = self.plane[slices] + self._planes_below(beam_kv)
        return np.asarray(deepest <= self.labels.shape[SLICES])

    @property
    def _most(self) -> int:
        """Planes that are made ready at once."""
        return max(1, READY_VOXELS // math.prod(self.labels.shape[ROWS:]))

    @property
    def _below(self) -> int:
        """Planes that the image of a slice needs, from its own."""
        return min(1 + max(map(self._planes_below, self.beams_kv)), self._most)

    def groups(self, slices: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the slices in groups that are made ready together."""
        groups: list[tuple[int, ...]] = []
        first = None
        for index in slices:
            if first is None or self.plane[index] - first + self._below > self._most:
                first = self.plane[index]
                groups.append(())
            groups[-1] += (index,)
        return groups

    def ready(self, group: Sequence[int]) -> tuple[Any, int]:
        """Return what some slices show, ready for imaging, and the plane that it begins with.

        Below the last slice it goes on as above, mirrored.
        """
        first = int(self.plane[group[0]])
        planes = np.arange(first, self.plane[group[-1]] + self._below)
        last = self.labels.shape[SLICES] - 1
        inside = last - abs(planes % (2 * last) - last) if last else 0 * planes
        low, high = int(inside.min()), int(inside.max()) + 1
        slab = np.asarray(self.labels[low:high])[inside - low]
        return self.imaging.prepare(slab, self.voxel_nm), first

    def images(self, ready: tuple[Any, int], index: int, beam_kv: float) -> tuple[Image, Image]:
        """Return two images of a slice, from what is ready."""
        labels, first = ready
        return self.imaging.images(labels, int(self.plane[index]) - first, beam_kv, index)

    def surface(self, index: int) -> NDArray[Any]:
        """Return the labels of a slice."""
        return np.asarray(self.labels[int(self.plane[index])])


def _volume(
    stacks: Sequence[Stack],
    labels: Stack | NDArray[Any],
    imaging: Imaging,
    interpolation: Method,
) -> _Volume:
    """Check that images and labels fit together, and fill the labels in between slices."""
    if not stacks:
        raise PorescopeError("There are no images to check against; load a stack first.")
    first = stacks[0]
    for stack in stacks[1:]:
        if stack.shape != first.shape or not np.array_equal(stack.slice_z_nm, first.slice_z_nm):
            raise PorescopeError(
                f"The stacks differ in shape or slices ({first.shape} and {stack.shape}); align "
                "them first."
            )
    if not isinstance(labels, Stack):
        check_labels(labels)
        if labels.shape != first.shape:
            raise PorescopeError(
                f"The labels have shape {labels.shape}, but the stacks {first.shape}; give labels "
                "of these stacks."
            )
        labels = first.with_data(labels, is_labels=True)
    check_labels(labels.data)
    same_pixels = np.allclose(labels.spacing_nm[ROWS:], first.spacing_nm[ROWS:], rtol=1e-3)
    if labels.shape[ROWS:] != first.shape[ROWS:] or not same_pixels:
        raise PorescopeError(
            "The labels and the stacks differ in pixels along y and x; give labels of these stacks."
        )
    sides_nm = first.spacing_nm[ROWS:]
    if max(sides_nm) > SQUARE_WITHIN * min(sides_nm):
        raise PorescopeError(
            f"The pixels are not square ({sides_nm[0]:g} x {sides_nm[1]:g} nm), and no image can "
            "be simulated like that; resample the stacks."
        )
    if not (np.diff(first.slice_z_nm) > 0).all():
        raise PorescopeError("The slices do not lie one below the other; put a slices step before.")
    distances = np.diff(labels.slice_z_nm)
    distance_nm = float(distances.mean()) if distances.size else sides_nm[0]
    plane_nm = distance_nm / max(1, round(distance_nm / sides_nm[0]))
    placed, known = reposition(labels.data, labels.slice_z_nm, plane_nm)
    voxel_nm = (plane_nm, sides_nm[0], sides_nm[0])
    filled = placed
    if not known.all():
        filled = interpolate(placed, known, interpolation, spacing_nm=voxel_nm, is_labels=True)
    nearest = labels.nearest_slices(first.slice_z_nm)
    away_nm = abs(labels.slice_z_nm[nearest] - first.slice_z_nm)
    if away_nm.max() > plane_nm / 2:
        raise PorescopeError(
            f"The labels hold no slice at {first.slice_z_nm[away_nm.argmax()]:g} nm, where the "
            "stacks have one; give labels of these stacks."
        )
    return _Volume(
        filled,
        voxel_nm,
        grid_places(labels.slice_z_nm, plane_nm)[nearest],
        imaging,
        solid_fraction(labels.data),
        tuple(_beam_kv(stack) for stack in stacks),
    )


def _beam_kv(stack: Stack) -> float:
    if stack.beam_kv is None:
        raise PorescopeError("A stack does not tell its voltage; give its beam_kv.")
    return stack.beam_kv


def _checked_slices(stack: Stack, slices: Sequence[int] | None) -> list[int]:
    count = stack.shape[SLICES]
    chosen = list(range(count) if slices is None else slices)
    rising = all(a < b for a, b in pairwise(chosen))
    if not chosen or not rising or chosen[0] < 0 or chosen[-1] >= count:
        raise PorescopeError(
            f"Name slices from 0 to {count - 1} in rising order, not {slices!r:.80}."
        )
    return chosen


def _mean(pair: tuple[Image, Image]) -> Image:
    return (pair[0] + pair[1]) / 2


class _Fit(NamedTuple):
    """Grey values from simulated signals, and the contrast between phases in grey values."""

    gain: float
    offset: float
    contrast: float

    def residual(self, real: Image, simulated: Image) -> Image:
        """Return real less simulated image in units of the contrast."""
        expected = np.float32(self.offset) + np.float32(self.gain) * simulated
        return (real - expected) / np.float32(self.contrast)


class _Comparison:
    """What real and simulated images of one voltage have in common, slice by slice."""

    def __init__(self) -> None:
        self._moments: list[list[float]] = []
        self._points: dict[int, list[NDArray[np.float64]]] = {within: [] for within in WITHIN_PX}

    def add(self, real: Image, first: Image, second: Image, labels: NDArray[Any] | None) -> None:
        """Compare a slice: its image and two simulated ones.

        Where its labels are given, gain and offset are fitted to it too.
        """
        o, s, t = images = [image.astype(np.float64) for image in (real, first, second)]
        m = (s + t) / 2
        means = [float(each.mean()) for each in (o * o, s * t, o, m, o * m)]
        self._moments.append([*means, _noise(o) ** 2])
        if labels is not None:
            for within, points in self._points.items():
                points.append(_points(images, labels, within))

    def fit(self, beam_kv: float) -> _Fit:
        """Fit gain and offset to all slices.

        The slope comes from the covariances with two independent images, which noise in these does
        not flatten as it does a plain regression (instrumental variables).
        """
        points = (np.concatenate(each, axis=1) for each in self._points.values())
        count, real, first, second, labels = next(
            (each for each in points if len(np.unique(each[-1])) > 1), np.empty((5, 0))
        )
        if not count.size:
            raise PorescopeError(
                "The labels hold one phase only in these slices, so there is nothing to compare."
            )
        mean = (first + second) / 2
        kept = np.ones(count.shape, bool)
        for _ in range(20):
            weights = count * kept
            common = np.cov(first, second, aweights=weights)[0, 1]
            gain = np.cov(real, mean, aweights=weights)[0, 1] / common if common > 0 else -1.0
            offset = np.average(real - gain * mean, weights=weights)
            away = abs(real - offset - gain * mean) * np.sqrt(count)
            least = LEAST_SPREAD * np.sqrt(np.cov(real, aweights=count) * np.median(count))
            before, kept = kept, away <= OUTLIER * max(1.4826 * np.median(away), least)
            if gain <= 0 or (kept == before).all():
                break
        levels = [
            np.average(mean[labels == phase], weights=count[labels == phase])
            for phase in np.unique(labels)
        ]
        contrast = gain * (max(levels) - min(levels))
        if not (gain > 0 and contrast > 0):
            raise PorescopeError(
                f"The images at {beam_kv:g} kV are not brighter where these labels say so; check "
                "the materials, and that labels and images show the same place."
            )
        return _Fit(float(gain), float(offset), float(contrast))

    def misfit(self, fit: _Fit) -> list[float]:
        """Return the mean product of the residuals of two images, less noise, in %."""
        oo, st, o, m, om, noise = np.array(self._moments).T
        a, b = fit.offset, fit.gain
        product = oo + a * a + b * b * st - 2 * a * o - 2 * b * om + 2 * a * b * m
        misfit: list[float] = (100 * (product - noise) / fit.contrast**2).tolist()
        return misfit


def _points(
    images: Sequence[NDArray[np.float64]], labels: NDArray[Any], within: int
) -> NDArray[np.float64]:
    """Return the means of images over each phase in each block, well within the phase.

    Returns
    -------
    array of shape (5, points)
        Pixels, mean of each of three images, and label.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    size = 2 * within + 1
    inner = minimum_filter(labels, size) == maximum_filter(labels, size)
    block = np.indices(labels.shape) // BLOCK_PX
    phases, phase = np.unique(labels, return_inverse=True)
    place = (block[0] * (1 + block[1].max()) + block[1]) * len(phases) + phase.reshape(labels.shape)
    count = np.bincount(place[inner])
    some = np.flatnonzero(count >= LEAST_PX)
    means = [np.bincount(place[inner], image[inner])[some] / count[some] for image in images]
    return np.stack([count[some], *means, phases[some % len(phases)]])


def _noise(image: NDArray[np.float64]) -> float:
    """Return the standard deviation of the noise, from second differences (Immerkaer 1996).

    Their median, so that borders of phases do not count.
    """
    from scipy.ndimage import correlate

    bends = correlate(image, np.outer([1, -2, 1], [1, -2, 1]).astype(np.float64), mode="nearest")
    return float(np.median(abs(bends))) / 0.6745 / 6


def _lazily(volume: _Volume, stack: Stack, groups: Sequence[tuple[int, ...]], fit: _Fit) -> Any:
    """Return the residuals as a dask array that images each group again."""
    import dask.array as da

    shape = stack.shape[ROWS:]
    beam_kv = _beam_kv(stack)

    def block(block_info: Any = None) -> Image:
        group = groups[block_info[None]["chunk-location"][SLICES]]
        ready = volume.ready(group)
        return np.stack(
            [
                fit.residual(stack.image(index), _mean(volume.images(ready, index, beam_kv)))
                for index in group
            ]
        )

    chunks = (tuple(map(len, groups)), *((size,) for size in shape))
    return da.map_blocks(block, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * 3, "f4"))
