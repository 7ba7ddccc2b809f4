"""Back-scattered images without electrons: each slice from those below it, weighted by depth.

An electron may turn back anywhere on its way down, and then tells of the material there. What share
has not yet turned back at a depth is known for epoxy from :mod:`porescope.adapt.backscatter`, and
is put together here from exponentials of the depth, counted in each material's own reach:

    left(s) = sum_j c_j exp(-a_j s)

so that one walk from the lowest slice up makes all images: below each slice lies a signal for each
exponential, of which the slice lets a share through, spread sideways, and adds its own. Two of the
terms fall alike and spread differently; over flat layers they cancel, and beside a wall they tell
how what lies beside a path darkens it. What the c_j do not take from the learned coefficients
(a_j, how far each spreads, how much sooner gold turns electrons back than its range says) was
fitted to Monte-Carlo images of porous gold in epoxy at 1, 2 and 4 kV.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.adapt.backscatter import coefficients, reach_nm
from porescope.errors import PorescopeError
from porescope.imaging.materials import Material, as_material, check_labels
from porescope.imaging.transport import residual_range_nm
from porescope.stack import SLICES, checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Image = NDArray[np.float32]
Method = Literal["layered", "published"]
Walls = Literal["mirror", "periodic"]
Spread = Callable[[Image], Image]

EPOXY_AND_GOLD: Mapping[int, str | Material] = {0: "epoxy", 1: "gold"}

FALLS = np.array([2.766, 10.06, 16.77, 10.06])
"""a_j, for a depth of one reach."""
SPREADS = np.array([0.1065, 0.0352, 0.1224, 0.4756])
"""How far each spreads on its way through one reach, in reaches of epoxy, standard deviation."""
WIDE = -1.053
"""c of the last exponential; the second has as much more as this takes away."""
SHORTER = -0.39
"""Power of Z/6 by which the reach of a material is shorter than its electrons' range tells."""

DARKEST = 0.9
"""No pixel is darker than so much of the darkest material, as sums of exponentials could be."""

SETTLED = 2.0
"""Reaches below a plane from which on nothing is seen."""
PUBLISHED_SLICES = 15
PUBLISHED_NM = 10.0
PLANES_AT_ONCE = 32
BLOCK = 128


class _Beam(NamedTuple):
    """What is known of each material at one voltage, in the order of their labels.

    Parameters
    ----------
    eta : array of shape (materials,), float64
        Back-scatter coefficient of the thick material.
    reach_nm : array of shape (materials,), float64
    shares : array of shape (4,), float64
        c_j.
    brightest : float
        Atomic number of the material with the highest coefficient.
    """

    eta: NDArray[np.float64]
    reach_nm: NDArray[np.float64]
    shares: NDArray[np.float64]
    brightest: float


def fast_images(
    labels: Any,
    spacing_nm: Sequence[float],
    beam_kv: float,
    materials: Mapping[int, str | Material] = EPOXY_AND_GOLD,
    *,
    method: Method = "layered",
    walls: Walls = "mirror",
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Image:
    """Return images of all slices of a volume, free of noise, without following electrons.

    Parameters
    ----------
    labels : array of shape (z, y, x), bool or whole numbers, numpy or dask
        Below the last slice its material goes on.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x); the images have the same pixels.
    beam_kv : float
        From 0.5 to 10.
    materials : mapping of int to str or Material, optional
        What each label is; solids only, epoxy or of a mean atomic number from 6 to 79.
    method : {"layered", "published"}, optional
        "layered" as this module says; "published" adds up 15 slices, about 10 nm apart, each
        weighted by the coefficient at its depth, as the paper does.
    walls : {"mirror", "periodic"}, optional
        What lies beyond the sides.
    progress, cancel
        See :mod:`porescope.tracking`; an item is a slice.

    Returns
    -------
    array of shape (z, y, x), float32
        Electrons that come back for each of the beam, as "bse" of
        :func:`~porescope.imaging.simulate_monte_carlo`.

    Raises
    ------
    PorescopeError
        If the labels are none, one has no material, a material is vacuum or too light, or a number
        is out of its range.
    Cancelled

    References
    ----------
    Generating ideal synthetic data for 3D reconstruction of FIB tomography data using generative
    adversarial networks (2024), section 2.3.
    """
    if method not in ("layered", "published"):
        raise PorescopeError(f"The method is layered or published, not {method!r}.")
    check_volume(labels)
    shape = tuple(labels.shape)
    spacing_nm = checked_spacing_nm(spacing_nm)
    try:
        images = np.empty(shape, np.float32)
    except MemoryError:
        raise PorescopeError(
            f"Images of {math.prod(shape) / 2**28:,.0f} GiB do not fit into memory; take them "
            "slice by slice from porescope.adapt.fast_planes."
        ) from None
    if method == "published":
        planes = _published(labels, spacing_nm[SLICES], beam_kv, materials)
    else:
        depths_nm = np.arange(shape[SLICES]) * spacing_nm[SLICES]
        planes = fast_planes(labels, spacing_nm, beam_kv, depths_nm, materials, walls=walls)
    for _ in track(range(shape[SLICES]), progress, cancel):
        index, image = next(planes)
        images[index] = image
    return images


def fast_planes(
    labels: Any,
    spacing_nm: Sequence[float],
    beam_kv: float,
    depths_nm: Sequence[float] | NDArray[np.float64],
    materials: Mapping[int, str | Material] = EPOXY_AND_GOLD,
    *,
    walls: Walls = "mirror",
) -> Iterator[tuple[int, Image]]:
    """Yield the images of planes, the deepest first, reading the volume once from there up.

    Parameters
    ----------
    labels, spacing_nm, beam_kv, materials, walls
        As for :func:`fast_images`.
    depths_nm : sequence of floats
        Of the planes, rising, within the volume.

    Yields
    ------
    index : int
        Of the plane.
    image : array of shape (y, x), float32

    Raises
    ------
    PorescopeError
        As :func:`fast_images`.
    """
    from threadpoolctl import ThreadpoolController

    check_volume(labels)
    dz, *pixel_nm = checked_spacing_nm(spacing_nm)
    planes = np.asarray(depths_nm, np.float64) / dz
    count, *shape = labels.shape
    if not (planes.ndim == 1 and planes.size and (np.diff(planes) >= 0).all()):
        raise PorescopeError("The depths of the planes must rise.")
    if not 0 <= planes[0] <= planes[-1] < count:
        raise PorescopeError(
            f"The planes must lie in the sample, from 0 to less than {count * dz:g} nm."
        )
    beam = _beam(materials, beam_kv)
    epoxy_nm = float(reach_nm(beam_kv))
    spreads = [
        _spread(shape, [spread**2 * dz * epoxy_nm / size**2 for size in pixel_nm], walls)
        for spread in SPREADS
    ]
    eta = beam.eta.astype(np.float32)
    darkest = DARKEST * eta.min()
    turned = _turned(beam, dz)
    threads = ThreadpoolController()  # so small products lose more by threads than they gain
    below: list[Image] | None = None
    lowest = min(count, math.ceil(planes[-1] + 1 + SETTLED * epoxy_nm / dz))
    left = len(planes)
    for index, numbers in _upward(labels, lowest, int(planes[0]), materials):
        here = eta[numbers]
        below = below or [here] * len(FALLS)
        with threads.limit(limits=1):
            spread = [each(signal) for each, signal in zip(spreads, below, strict=True)]
        above = _through(spread, here, numbers, turned)
        while left and planes[left - 1] >= index:
            left -= 1
            share = np.float32(index + 1 - planes[left])
            seen = above
            if share < 1:  # the plane lies within the slice, of which this share is left
                start = [
                    signal + share * (wider - signal)
                    for signal, wider in zip(below, spread, strict=True)
                ]
                seen = _through(start, here, numbers, _turned(beam, float(share) * dz))
            image = np.einsum("j,jyx->yx", beam.shares, np.stack(seen))
            yield left, image.clip(min=darkest).astype(np.float32)
        below = above


def _through(
    below: list[Image], here: Image, numbers: NDArray[np.intp], turned: list[Image]
) -> list[Image]:
    """Return the signals above a slice from those below it."""
    return [
        signal + (here - signal) * share[numbers]
        for signal, share in zip(below, turned, strict=True)
    ]


def check_volume(labels: Any) -> None:
    """Refuse what is no volume of labels."""
    if getattr(labels, "ndim", 0) != 3 or labels.dtype.kind not in "bui" or 0 in labels.shape:
        raise PorescopeError(
            "Fast images are made of a volume (z, y, x) of labels, which are whole numbers."
        )


def _beam(materials: Mapping[int, str | Material], beam_kv: float) -> _Beam:
    """Return what is known of the materials, or refuse them."""
    if not (isinstance(materials, Mapping) and materials):
        raise PorescopeError('Name materials by their labels, such as {0: "epoxy", 1: "gold"}.')
    if np.ndim(beam_kv):
        raise PorescopeError("Fast images are made at one voltage; ask once for each.")
    epoxy = as_material("epoxy")
    eta, reaches_nm, numbers = [], [], []
    for _, given in sorted(materials.items()):
        material = as_material(given)
        if material.is_vacuum:
            raise PorescopeError(
                "Fast imaging knows no vacuum, through which electrons fly far; fill the pores "
                "with epoxy, or use Monte Carlo."
            )
        number = material.mean_atomic_number
        if material != epoxy and not 6 <= number <= 79:
            raise PorescopeError(
                f"Fast imaging knows epoxy and materials of a mean atomic number from 6 to 79, but "
                f"that of {material.name} is {number:.3g}; use Monte Carlo."
            )
        thick = coefficients(max(number, 6.0), beam_kv, 0.0)
        eta.append(float(thick.epoxy if material == epoxy else thick.bulk))
        range_nm = float(residual_range_nm(material, np.array([1000 * beam_kv]))[0])
        reaches_nm.append(range_nm / 2 * (number / 6) ** SHORTER)
        numbers.append(number)
    brightest = float(np.clip(numbers[int(np.argmax(eta))], 6, 79))
    return _Beam(np.array(eta), np.array(reaches_nm), _shares(brightest, beam_kv), brightest)


def _shares(atomic_number: float, beam_kv: float) -> NDArray[np.float64]:
    """Return the c_j with which the exponentials fall as a material fades under epoxy."""
    depth = np.linspace(0, SETTLED, 81)
    left = coefficients(atomic_number, beam_kv, depth * reach_nm(beam_kv)).left
    falls = FALLS[:-1]
    # That they sum to 1 is 900 times as important; the last term keeps them from growing.
    rows = np.concatenate(
        [np.exp(-np.outer(depth, falls)), np.full((1, 3), 30.0), 0.0316 * np.eye(3)]
    )
    wanted = np.concatenate([left, [30.0], np.zeros(3)])
    shares = np.linalg.lstsq(rows, wanted)[0]
    shares /= shares.sum()
    shares[1] -= WIDE
    return np.append(shares, WIDE)


def _turned(beam: _Beam, thickness_nm: float) -> list[Image]:
    """Return the share that turns back in a slice of each material, for each exponential."""
    depth = thickness_nm / beam.reach_nm
    return list(-np.expm1(-np.outer(FALLS, depth)).astype(np.float32))


def _upward(
    labels: Any, lowest: int, highest: int, materials: Mapping[int, str | Material]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield the planes from before ``lowest`` up to ``highest``, as numbers of materials."""
    for stop in range(lowest, highest, -PLANES_AT_ONCE):
        start = max(highest, stop - PLANES_AT_ONCE)
        block = np.asarray(labels[start:stop])
        for index in reversed(range(start, stop)):
            yield index, _numbered(block[index - start], materials)


def _numbered(plane: NDArray[Any], materials: Mapping[int, str | Material]) -> NDArray[np.intp]:
    """Return the place of each pixel's label among the labels that have a material."""
    known = np.array(sorted(materials))
    if known.tolist() == list(range(len(known))):  # as most are
        numbers = plane.astype(np.intp)
        unknown = plane[(numbers < 0) | (numbers >= len(known))]
    else:
        numbers = np.searchsorted(known, plane).clip(max=len(known) - 1)
        unknown = plane[known[numbers] != plane]
    check_labels(unknown, materials)
    return numbers


def _spread(shape: Sequence[int], variance_px: Sequence[float], walls: Walls) -> Spread:
    """Return a blur with these variances along y and x.

    It is a product with a matrix on each side, of which only blocks near the diagonal are not 0:
    nothing is faster where there are many of them and none is wide.
    """
    rows, columns = (
        _blocks(count, variance, walls) for count, variance in zip(shape, variance_px, strict=True)
    )

    def spread(image: Image) -> Image:
        middle = np.empty_like(image)
        for place, seen, weights in rows:
            np.matmul(weights, image[seen], out=middle[place])
        blurred = np.empty_like(image)
        for place, seen, weights in columns:
            blurred[:, place] = middle[:, seen] @ weights.T
        return blurred

    return spread


def _blocks(count: int, variance: float, walls: Walls) -> list[tuple[slice, slice, Image]]:
    """Return rows of a matrix that blurs, what they see, and their weights."""
    from scipy.special import ive

    reach = math.ceil(4 * math.sqrt(variance)) + 2
    away = np.arange(-reach, reach + 1)
    kernel = ive(np.abs(away), variance)  # the Gaussian of a grid, right also below a pixel
    kernel /= kernel.sum()
    at = np.arange(count)[:, np.newaxis] + away
    if walls == "periodic":
        at %= count
    else:
        at %= 2 * count
        at = np.minimum(at, 2 * count - 1 - at)
    matrix = np.zeros((count, count), np.float32)
    np.add.at(matrix, (np.arange(count)[:, np.newaxis], at), kernel.astype(np.float32))
    blocks = []
    for start in range(0, count, BLOCK):
        place = slice(start, min(start + BLOCK, count))
        used = np.flatnonzero(matrix[place].any(axis=0))
        seen = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((place, seen, np.ascontiguousarray(matrix[place, seen])))
    return blocks


def _published(
    labels: Any, dz: float, beam_kv: float, materials: Mapping[int, str | Material]
) -> Iterator[tuple[int, Image]]:
    """Yield the weighted sums of slices and those below them, the deepest first."""
    beam = _beam(materials, beam_kv)
    step = max(1, round(PUBLISHED_NM / dz))
    places = np.arange(PUBLISHED_SLICES) * step
    left = coefficients(beam.brightest, beam_kv, places * dz).left
    weights = (left / left.sum()).astype(np.float32)
    eta = beam.eta.astype(np.float32)
    below: deque[Image] = deque(maxlen=int(places[-1]) + 1)
    for index, numbers in _upward(labels, labels.shape[SLICES], 0, materials):
        below.appendleft(eta[numbers])
        seen = (below[min(place, len(below) - 1)] for place in places.tolist())
        total = sum(weight * image for weight, image in zip(weights, seen, strict=True))
        yield index, np.asarray(total, np.float32)
