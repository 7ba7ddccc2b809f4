"""What a voxel's surroundings look like at several scales: what a random forest decides by.

Scales are in nm, so that what a forest learned holds for other voxel sizes, and along z they follow
the slices wherever these lie. Where slices lie further apart than a scale, they tell nothing of it
along z: there it is looked at within the slice alone.

Every plane is worked out from the slices and rows within a reach that is known beforehand, so a
volume in pieces gives the same bits as the whole.

References
----------
T. Lindeberg, Int. J. Comput. Vis. 30 (1998) 79, doi:10.1023/A:1008045108935 (derivatives times
their scale); O. K. Smith, Commun. ACM 4 (1961) 168, doi:10.1145/355578.366316 (eigenvalues).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import ROWS, Stack

DEFAULT_SCALES_PX = (1, 2, 4, 8)
TRUNCATE = 3.0
"""Standard deviations at which a Gaussian ends."""
MOST_SCALE_PX = 64

Plane = NDArray[Any]


@dataclass(frozen=True)
class Features:
    """Which features are looked at.

    Parameters
    ----------
    beam_kv : tuple of float or None
        Voltages, in the order of the stacks.
    scales_nm : tuple of float
        Standard deviations of Gaussians.
    along_z : tuple of bool
        For each scale, whether neighbouring slices are looked at too.
    """

    beam_kv: tuple[float | None, ...]
    scales_nm: tuple[float, ...]
    along_z: tuple[bool, ...]

    @classmethod
    def of(cls, stacks: Sequence[Stack], scales_nm: Sequence[float] | None = None) -> Features:
        """Choose features that suit stacks.

        Parameters
        ----------
        stacks : sequence of Stack
            One for each voltage, on one grid.
        scales_nm : sequence of float, optional
            By default 1, 2, 4 and 8 times the longer side of a pixel.

        Raises
        ------
        PorescopeError
            If the stacks do not share one grid, or a scale makes no sense.
        """
        check_one_grid(stacks)
        pixel_nm = max(stacks[0].spacing_nm[ROWS:])
        scales_nm = [pixel_nm * px for px in DEFAULT_SCALES_PX] if scales_nm is None else scales_nm
        if not len(scales_nm) or not all(math.isfinite(scale) for scale in scales_nm):
            raise PorescopeError(f"The scales must be lengths in nm, not {scales_nm!r}.")
        if not pixel_nm / 2 <= min(scales_nm) <= max(scales_nm) <= MOST_SCALE_PX * pixel_nm:
            raise PorescopeError(
                f"The scales must lie between half a pixel and {MOST_SCALE_PX} pixels, "
                f"{pixel_nm / 2:g} to {MOST_SCALE_PX * pixel_nm:g} nm, not {tuple(scales_nm)}."
            )
        distances = np.diff(stacks[0].slice_z_nm)
        distance_nm = float(np.median(distances)) if distances.size else math.inf
        return cls(
            tuple(stack.beam_kv for stack in stacks),
            tuple(float(scale) for scale in scales_nm),
            tuple(bool(scale >= distance_nm) for scale in scales_nm),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is, such as ``"2 kV, 10 nm: gradient"``."""
        return tuple(
            f"{place + 1 if beam_kv is None else f'{beam_kv:g} kV'}, {scale_nm:g} nm: {what}"
            for place, beam_kv in enumerate(self.beam_kv)
            for scale_nm, deep in zip(self.scales_nm, self.along_z, strict=True)
            for what in (
                *("brightness", "gradient", "Laplacian"),
                *(f"curvature {number + 1}" for number in range(3 if deep else 2)),
            )
        )

    def check(self, stacks: Sequence[Stack]) -> None:
        """Refuse stacks that these features cannot be taken from."""
        check_one_grid(stacks)
        if tuple(stack.beam_kv for stack in stacks) != self.beam_kv:
            raise PorescopeError(
                f"These features are of the voltages {_listed(self.beam_kv)} in this order, but "
                f"the stacks are of {_listed(stack.beam_kv for stack in stacks)}."
            )

    def of_rows(self, stacks: Sequence[Stack], index: int, rows: slice) -> NDArray[np.float32]:
        """Return the features of some rows of a slice.

        Parameters
        ----------
        stacks : sequence of Stack
            One for each voltage.
        index : int
            Slice.
        rows : slice
            With start and stop within the image.

        Returns
        -------
        array of shape (features, rows, x), float32

        Raises
        ------
        PorescopeError
            If a value is not a number.
        """
        grid = stacks[0]
        halo = max(_radius(scale / grid.spacing_nm[ROWS]) for scale in self.scales_nm) + 1
        above = max(0, rows.start - halo)
        around = slice(above, min(grid.shape[ROWS], rows.stop + halo))
        inner = slice(rows.start - above, rows.stop - above)
        weights = [
            _along_z(grid.slice_z_nm, index, scale) if deep else (slice(index, index + 1), None)
            for scale, deep in zip(self.scales_nm, self.along_z, strict=True)
        ]
        first = min(near.start for near, _ in weights)
        last = max(near.stop for near, _ in weights)
        found: list[Plane] = []
        for stack in stacks:
            seen = np.stack([stack.image(each, around) for each in range(first, last)])
            for scale_nm, (near, weight) in zip(self.scales_nm, weights, strict=True):
                part = seen[near.start - first : near.stop - first]
                found += [
                    plane[inner] for plane in _looks(part, weight, scale_nm, grid.spacing_nm[ROWS:])
                ]
        return np.stack(found)


def check_one_grid(stacks: Sequence[Stack]) -> None:
    """Refuse stacks that do not lie on one grid, or whose slices are out of order."""
    if not stacks:
        raise PorescopeError("There is nothing to look at; load a stack first.")
    first = stacks[0]
    for stack in stacks[1:]:
        same_nm = np.allclose(stack.spacing_nm, first.spacing_nm, rtol=1e-3)
        if stack.shape != first.shape or not same_nm:
            raise PorescopeError(
                f"The stacks differ in shape or voxel size ({first.shape} of {first.spacing_nm} nm "
                f"and {stack.shape} of {stack.spacing_nm} nm); align them first."
            )
    if not (np.diff(first.slice_z_nm) > 0).all():
        raise PorescopeError("The slices do not lie one below the other; put a slices step before.")


def _listed(voltages: object) -> str:
    return ", ".join("?" if kv is None else f"{kv:g} kV" for kv in voltages)  # type: ignore[attr-defined]


def _radius(deviation: float) -> int:
    return math.ceil(TRUNCATE * deviation)


def _along_z(
    slice_z_nm: NDArray[np.float64], index: int, scale_nm: float
) -> tuple[slice, NDArray[np.float32]]:
    """Return slices near one, and their weights in its smoothed value and two derivatives.

    Each slice counts by the depth that it stands for, so uneven slices do no harm. Beyond the first
    and the last slice these go on.
    """
    z = slice_z_nm
    last = len(z) - 1
    before, after = max(0, index - 1), min(last, index + 1)
    reach_nm = TRUNCATE * scale_nm
    low = int(np.searchsorted(z, z[before] - reach_nm))
    high = int(np.searchsorted(z, z[after] + reach_nm, "right"))
    # What a slice stands for needs its neighbours, also those out of reach.
    wide = slice(max(0, low - 1), min(last + 1, high + 1))
    stands_for = np.gradient(z[wide]) if wide.stop - wide.start > 1 else np.ones(1)
    stands_for = stands_for[low - wide.start : high - wide.start]
    steps = z[low:high] - z[[before, index, after], np.newaxis]
    weights = stands_for * np.exp(-0.5 * (steps / scale_nm) ** 2)
    earlier, here, later = weights / weights.sum(axis=1, keepdims=True)
    up, down = z[index] - z[before], z[after] - z[index]
    up, down = up or down or scale_nm, down or up or scale_nm
    slope_up, slope_down = (here - earlier) / up, (later - here) / down
    slope = (down * slope_up + up * slope_down) / (up + down)
    bend = 2 * (slope_down - slope_up) / (up + down)
    return slice(low, high), np.stack([here, slope, bend]).astype(np.float32)


def _looks(
    seen: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    scale_nm: float,
    pixel_nm: Sequence[float],
) -> list[Plane]:
    """Return the features of one scale; derivatives times the scale, so all are grey values."""
    from scipy.ndimage import correlate1d, gaussian_filter1d

    def smooth(plane: Plane) -> Plane:
        for axis, size_nm in enumerate(pixel_nm):
            plane = gaussian_filter1d(
                plane, scale_nm / size_nm, axis, mode="nearest", radius=_radius(scale_nm / size_nm)
            )
        return plane

    def slope(plane: Plane, axis: int) -> Plane:
        steps = 0.5 * scale_nm / pixel_nm[axis] * np.array([-1, 0, 1])
        return np.asarray(correlate1d(plane, steps, axis, mode="nearest"))

    def bend(plane: Plane, axis: int) -> Plane:
        steps = (scale_nm / pixel_nm[axis]) ** 2 * np.array([1, -2, 1])
        return np.asarray(correlate1d(plane, steps, axis, mode="nearest"))

    deep = weights is not None
    # Sums over slices one by one, whose order no library chooses by the size of the image.
    sums = [seen[0]] if weights is None else [_weighted(each, seen) for each in weights]
    value, *along_z = (smooth(plane) for plane in sums)
    y, x = slope(value, 0), slope(value, 1)
    yy, xx, yx = bend(value, 0), bend(value, 1), slope(y, 1)
    if not deep:
        return [value, np.hypot(y, x), yy + xx, *_eigenvalues_2d(yy, xx, yx)]
    z, zz = np.float32(scale_nm) * along_z[0], np.float32(scale_nm**2) * along_z[1]
    curvatures = _eigenvalues_3d(zz, yy, xx, slope(z, 0), slope(z, 1), yx)
    return [value, np.sqrt(z * z + y * y + x * x), zz + yy + xx, *curvatures]


def _weighted(weights: NDArray[np.float32], planes: NDArray[np.float32]) -> Plane:
    total = weights[0] * planes[0]
    for weight, plane in zip(weights[1:], planes[1:], strict=True):
        total += weight * plane
    return total


def _eigenvalues_2d(yy: Plane, xx: Plane, yx: Plane) -> tuple[Plane, Plane]:
    """Return the eigenvalues of symmetric 2 x 2 matrices, the largest first."""
    mean, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    return mean + spread, mean - spread


def _eigenvalues_3d(
    zz: Plane, yy: Plane, xx: Plane, zy: Plane, zx: Plane, yx: Plane
) -> tuple[Plane, Plane, Plane]:
    """Return the eigenvalues of symmetric 3 x 3 matrices, the largest first (Smith 1961)."""
    mean = (zz + yy + xx) / 3
    a, b, c = zz - mean, yy - mean, xx - mean
    scale = np.sqrt((a * a + b * b + c * c + 2 * (zy * zy + zx * zx + yx * yx)) / 6)
    unit = np.where(scale > 0, scale, np.float32(1))  # its third power might underflow
    a, b, c, zy, zx, yx = (each / unit for each in (a, b, c, zy, zx, yx))
    determinant = a * (b * c - yx * yx) - zy * (zy * c - yx * zx) + zx * (zy * yx - b * zx)
    cosine = (determinant / 2).clip(-1, 1)
    angle = np.arccos(cosine) / 3
    largest = mean + 2 * scale * np.cos(angle)
    least = mean + 2 * scale * np.cos(angle + np.float32(2 * math.pi / 3))
    return largest, 3 * mean - largest - least, least
