"""Leveled waves with the solid fraction and the ligaments of a segmented stack.

How probable it is that two points are both solid tells how many sizes of ligaments there are: for
waves it is known in closed form, and where ligaments are porous themselves it is the product of
those of both levels. What no formula knows (voxels, and how far the structure is none of waves) is
measured: structures are drawn, measured as the stack was, and drawn again with waves so much longer
or shorter. All is measured within slices, since what shines through reaches from slice to slice,
and after each pixel has joined most of its neighbours, so that noise makes no ligaments.

References
----------
J. W. Cahn, J. Chem. Phys. 42 (1965) 93; M. Teubner, Europhys. Lett. 14 (1991) 403 (two points in a
leveled wave); C. Soyarslan et al., Acta Mater. 149 (2018) 326.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import hierarchical_leveled_wave
from porescope.measure import morphometry, two_point_correlation
from porescope.stack import COLUMNS, ROWS, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

LOOKED_AT = 48
"""Slices, spread over the stack, that are measured, and drawn to be measured."""
MOST_PX = 1024
"""Rows and columns of them that are looked at, in the middle."""
NEIGHBOURS_PX = 3
SHORTEST_PX = 4.0
"""Waves that are shorter show nothing."""
APART = 3.0
"""Ratio of two wavelengths from which on they are two levels."""
CLEARLY = 0.5
"""Two levels must leave less than this share of what one leaves unexplained,"""
UNEXPLAINED = 0.02
"""and one level more than this share of the correlation."""
ROUNDS = 4
DRAWN_WAVELENGTHS, LEAST_DRAWN_PX, MOST_DRAWN_PX = 5, 128, 512
SLICES_A_WAVELENGTH = 2.5
"""Drawn slices lie so near that waves are not too fine for voxels, and no nearer."""
SPARE = 0.98
"""Largest solid fraction of a level."""

Volume = NDArray[np.bool_]


@dataclass(frozen=True)
class Waves:
    """A leveled wave of one or two levels.

    Attributes
    ----------
    wavelengths_nm : tuple of floats
        From the longest.
    solid_fractions : tuple of floats
        Of each level; that of the whole is their product.
    chord_nm : float
        Mean chord of the solid within slices, as measured on what is drawn.
    """

    wavelengths_nm: tuple[float, ...]
    solid_fractions: tuple[float, ...]
    chord_nm: float = math.nan

    @property
    def solid_fraction(self) -> float:
        """Of the whole."""
        return math.prod(self.solid_fractions)

    def draw(self, shape: Sequence[int], spacing_nm: Sequence[float], seed: int) -> Volume:
        """Draw a structure, a bool array of that shape (z, y, x)."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # products so small lose by threads, where others run too
            drawn: Volume = hierarchical_leveled_wave(
                shape,
                spacing_nm=spacing_nm,
                wavelengths_nm=self.wavelengths_nm,
                solid_fractions=self.solid_fractions,
                seed=seed,
            )
        return drawn


def waves_like(
    labels: Stack,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Waves:
    """Return waves with the solid fraction and the mean chord of a segmented stack.

    Parameters
    ----------
    labels : Stack
        0 for pore; numpy or dask array. Ligaments of a few pixels and more are known; noise of
        single pixels is passed over.
    seed : int, optional
        Of the structures that are drawn to be measured.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Waves

    Raises
    ------
    PorescopeError
        If nearly all or nothing is solid.
    Cancelled
        If ``cancel()`` became true.
    """
    pixel_nm = labels.spacing_nm[ROWS:]
    wanted = _measured(looked_at(labels, LOOKED_AT).data > 0, pixel_nm)
    if not 1 - SPARE < wanted.solid_fraction < SPARE:
        raise PorescopeError(
            f"In the first segmentation {100 * wanted.solid_fraction:.1f} % of the voxels are "
            "solid, from which no structure can be learned; look at the images, or name weights "
            "that know them."
        )
    shortest_nm = SHORTEST_PX * max(pixel_nm)
    waves = _fitted(wanted, shortest_nm)
    for turn in track(range(ROUNDS), progress, cancel):
        made = _measured(_drawn(waves, pixel_nm, seed + turn), pixel_nm)
        longer = wanted.chord_nm / made.chord_nm
        more = wanted.solid_fraction / made.solid_fraction
        *coarse_nm, fine_nm = waves.wavelengths_nm
        *coarse, fine = waves.solid_fractions
        waves = Waves(
            (*coarse_nm, max(fine_nm * longer, shortest_nm)),
            (*coarse, float(np.clip(fine * more, 1 - SPARE, SPARE))),
            wanted.chord_nm,
        )
    return waves


class _Measured(NamedTuple):
    """What is known of a structure within slices.

    Parameters
    ----------
    solid_fraction, chord_nm : float
    lags_nm, both : arrays of shape (lags,)
        How probable it is that two points so far apart are both solid.
    """

    solid_fraction: float
    chord_nm: float
    lags_nm: NDArray[np.float64]
    both: NDArray[np.float64]


def looked_at(stack: Stack, most: int) -> Stack:
    """Return slices spread over a stack, their middle only where they are large, in memory."""
    chosen = stack.spread_slices(most)
    rows, columns = (
        slice(max(0, (size - MOST_PX) // 2), max(0, (size - MOST_PX) // 2) + MOST_PX)
        for size in stack.shape[ROWS:]
    )
    data: Any = np.stack([np.asarray(stack.data[index, rows, columns]) for index in chosen])
    return stack.with_data(data, slice_z_nm=stack.slice_z_nm[chosen])


def _drawn(waves: Waves, pixel_nm: Sequence[float], seed: int) -> Volume:
    longest_px = max(waves.wavelengths_nm) / min(pixel_nm)
    edge = int(np.clip(DRAWN_WAVELENGTHS * longest_px, LEAST_DRAWN_PX, MOST_DRAWN_PX))
    step_nm = min(waves.wavelengths_nm) / SLICES_A_WAVELENGTH
    return waves.draw((LOOKED_AT, edge, edge), (step_nm, *pixel_nm), seed)


def _measured(solid: Volume, pixel_nm: Sequence[float]) -> _Measured:
    from scipy.ndimage import uniform_filter

    size = (1, NEIGHBOURS_PX, NEIGHBOURS_PX)
    even = uniform_filter(solid.astype(np.float32), size, mode="nearest") > 0.5
    if not even.any() or even.all():
        return _Measured(float(even.mean()), math.nan, np.empty(0), np.empty(0))
    # How far apart the slices lie has no say in what is looked at.
    numbers = morphometry(even, (pixel_nm[0], *pixel_nm))
    curves = [two_point_correlation(even, axis) for axis in (ROWS, COLUMNS)]
    lags = [np.arange(len(curve)) * step for curve, step in zip(curves, pixel_nm, strict=True)]
    chords = [1 / numbers[f"mean_chord_{axis}_nm"] for axis in "yx"]
    return _Measured(
        numbers["volume_fraction"],
        2 / sum(chords),
        np.concatenate(lags),
        np.concatenate(curves),
    )


def _fitted(wanted: _Measured, shortest_nm: float) -> Waves:
    """Return the waves whose two-point correlation comes nearest, of two levels if those say so."""
    from scipy.optimize import least_squares

    fraction = wanted.solid_fraction
    longest_nm = 2 * float(wanted.lags_nm.max())
    # A wave's chord at a level is known for the first guess (S. O. Rice, 1945).
    level = _level(fraction)
    guess_nm = wanted.chord_nm / fraction * math.exp(-(level**2) / 2) / math.sqrt(3)
    guess_nm = float(np.clip(guess_nm, 1.01 * shortest_nm, longest_nm / (2 * APART)))

    def unexplained(values: NDArray[np.float64]) -> NDArray[np.float64]:
        waves = _of(values, fraction)
        both = math.prod(
            _both_solid(wanted.lags_nm, length, share)
            for length, share in zip(waves.wavelengths_nm, waves.solid_fractions, strict=True)
        )
        left: NDArray[np.float64] = (both - wanted.both) / (fraction * (1 - fraction))
        return left

    def best(starts: Sequence[Sequence[float]], low: Sequence[float], high: Sequence[float]) -> Any:
        fits = [least_squares(unexplained, start, bounds=(low, high)) for start in starts]
        return min(fits, key=lambda fit: fit.cost)

    shortest, longest = math.log(shortest_nm), math.log(longest_nm)
    one = best(
        [[math.log(np.clip(guess_nm * k, shortest_nm, longest_nm))] for k in (0.5, 1, 2)],
        [shortest - 0.01],
        [longest + 0.01],
    )
    two = best(
        [[math.log(guess_nm), math.log(ratio), 0.5] for ratio in (4.0, 8.0, 16.0)],
        [shortest, math.log(APART) - 0.01, 0.1],
        [longest, math.log(longest_nm / shortest_nm) + 1, 0.9],
    )
    rms_one, rms_two = (math.sqrt(float(np.mean(fit.fun**2))) for fit in (one, two))
    ratio_known = two.x[1] > math.log(APART)
    clearly = rms_one > UNEXPLAINED and rms_two < CLEARLY * rms_one and ratio_known
    return _of((two if clearly else one).x, fraction)


def _of(values: NDArray[np.float64], fraction: float) -> Waves:
    """Return the waves that fitted numbers stand for.

    They are logarithms of the shortest wave and of the ratio of both, and the share that the first
    level has in the logarithm of the solid fraction.
    """
    fine_nm = math.exp(values[0])
    if len(values) == 1:
        return Waves((fine_nm,), (fraction,))
    return Waves(
        (fine_nm * math.exp(values[1]), fine_nm),
        (float(fraction ** values[2]), float(fraction ** (1 - values[2]))),
    )


def _level(fraction: float) -> float:
    from scipy.special import erfinv

    return math.sqrt(2) * float(erfinv(1 - 2 * fraction))


def _both_solid(
    lags_nm: NDArray[np.float64], wavelength_nm: float, fraction: float
) -> NDArray[np.float64]:
    """Return how probable it is that two points in a leveled wave are both solid."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    limit = np.arcsin(np.clip(np.sinc(2 * lags_nm / wavelength_nm), -1, 1))[:, np.newaxis]
    angle = limit * (nodes + 1) / 2
    level = _level(fraction)
    with np.errstate(divide="ignore", over="ignore"):
        inner = np.exp(-(level**2) / (1 + np.sin(angle)))
    found: NDArray[np.float64] = fraction**2 + (limit[:, 0] / 2) * (inner @ weights) / (2 * math.pi)
    return found
