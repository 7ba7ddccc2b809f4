"""Nanoporous structures as leveled waves.

Waves of one length, in random directions, add up to a field that is close to a Gaussian random
field; where it reaches a level, the structure is solid. The level is the quantile of the field over
the volume itself: that of an endless field, ``sqrt(2) * erfinv(1 - 2 * solid_fraction)``, misses
the solid fraction in a volume of a few wavelengths.

References
----------
J. W. Cahn, J. Chem. Phys. 42 (1965) 93, doi:10.1063/1.1695731.
C. Soyarslan et al., Acta Mater. 149 (2018) 326, doi:10.1016/j.actamat.2018.01.005.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry.blocks import (
    Sample,
    Triple,
    check_above_zero,
    check_count,
    check_fraction,
    check_seed,
    checked_shape,
    checked_voxel_nm,
    spread_centres_nm,
    upper_quantile,
    voxel_centres_nm,
)
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

MOST_WAVES = 10_000
"""So many already cannot be told from a Gaussian random field; the memory grows with them."""


@dataclass(frozen=True, eq=False)
class WaveField:
    """A sum of plane waves of one length: mean 0, variance 1, defined at every point of space.

    Parameters
    ----------
    wave_vectors : array of shape (waves, 3), float64
        Along z, y, x, in radians per nm.
    phases : array of shape (waves,), float64
        In radians.
    """

    wave_vectors: NDArray[np.float64]
    phases: NDArray[np.float64]

    @classmethod
    def draw(cls, wavelength_nm: float, waves: int, seed: int, stream: int = 0) -> WaveField:
        """Draw directions, isotropic, and phases.

        Parameters
        ----------
        wavelength_nm : float
            Length of all waves.
        waves : int
            How many.
        seed, stream : int
            Together they name the field.
        """
        upward, turn, phase = _core.uniform(seed, stream, 0, 3 * waves).reshape(waves, 3).T
        cosine = 2 * upward - 1
        sine = np.sqrt(1 - cosine**2)
        turn = 2 * np.pi * turn
        directions = np.stack([cosine, sine * np.sin(turn), sine * np.cos(turn)], axis=1)
        return cls(2 * np.pi / wavelength_nm * directions, 2 * np.pi * phase)

    def planes(
        self, z_nm: Iterable[float], y_nm: NDArray[np.float64], x_nm: NDArray[np.float64]
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the field on one plane after another.

        Parameters
        ----------
        z_nm : iterable of floats
            Depths of the planes.
        y_nm, x_nm : arrays of shape (rows,) and (columns,)
            Where the points of each plane lie.

        Yields
        ------
        array of shape (rows, columns), float64
            In double precision, so that rounding, which differs between processors, does not
            change a thresholded structure.
        """
        k_z, k_y, k_x = self.wave_vectors.T
        along_y = np.exp(1j * np.outer(y_nm, k_y)) * math.sqrt(2 / len(self.phases))
        along_x = np.exp(1j * np.outer(k_x, x_nm))
        # The real part of a complex product, as one real matrix product.
        right = np.concatenate([along_x.real, -along_x.imag])
        for depth_nm in z_nm:
            left = along_y * np.exp(1j * (k_z * depth_nm + self.phases))
            yield np.concatenate([left.real, left.imag], axis=1) @ right


@dataclass(frozen=True, eq=False)
class WaveSample(Sample):
    """What is solid where every field reaches its level.

    Parameters
    ----------
    shape : tuple of three ints
        Number of voxels (z, y, x).
    spacing_nm : tuple of three floats
        Voxel size (z, y, x).
    fields : tuple of WaveField
        One for each level of the hierarchy.
    levels : tuple of floats
        One for each field.
    """

    shape: Triple
    spacing_nm: tuple[float, float, float]
    fields: tuple[WaveField, ...]
    levels: tuple[float, ...]

    def planes(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Draw the planes from ``start`` to before ``stop``."""
        z_nm, y_nm, x_nm = voxel_centres_nm(self.shape, self.spacing_nm)
        solid = np.ones((stop - start, *self.shape[1:]), dtype=bool)
        for field, level in zip(self.fields, self.levels, strict=True):
            planes = field.planes(z_nm[start:stop], y_nm, x_nm)
            for here, plane in zip(solid, planes, strict=True):
                here &= plane >= level
        return solid


def leveled_wave(
    shape: Sequence[int],
    *,
    spacing_nm: float | Sequence[float],
    wavelength_nm: float,
    solid_fraction: float,
    waves: int = 200,
    seed: int = 0,
    lazy: bool = False,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Return a nanoporous structure with ligaments of one size.

    Parameters
    ----------
    wavelength_nm : float
        Length of the waves: the distance between neighbouring ligaments; at least two voxels.
    solid_fraction : float
        Share of solid voxels, above 0 and below 1; met to a voxel up to 256^3, within 0.002 beyond.
    shape, spacing_nm, waves, seed, lazy, progress, cancel
        As for :func:`hierarchical_leveled_wave`, of which this is the case of one level.

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

    Examples
    --------
    >>> solid = leveled_wave((64, 64, 64), spacing_nm=5, wavelength_nm=80, solid_fraction=0.3)
    >>> round(float(solid.mean()), 2)
    0.3
    """
    return hierarchical_leveled_wave(
        shape,
        spacing_nm=spacing_nm,
        wavelengths_nm=(wavelength_nm,),
        solid_fractions=(solid_fraction,),
        waves=waves,
        seed=seed,
        lazy=lazy,
        progress=progress,
        cancel=cancel,
    )


def hierarchical_leveled_wave(
    shape: Sequence[int],
    *,
    spacing_nm: float | Sequence[float],
    wavelengths_nm: Sequence[float] = (),
    solid_fractions: Sequence[float] = (),
    waves: int = 100,
    seed: int = 0,
    lazy: bool = False,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Return a structure whose ligaments are porous themselves: what is solid on every level.

    Each level takes its solid fraction of what the levels before it left solid, so that the whole
    has the product of all fractions.

    Parameters
    ----------
    shape : sequence of three ints
        Number of voxels (z, y, x).
    spacing_nm : float or sequence of three floats
        Voxel size, the same on all axes or (z, y, x).
    wavelengths_nm : sequence of floats
        One for each level: the distance between its neighbouring ligaments; at least two voxels.
    solid_fractions : sequence of floats
        One for each level, above 0 and below 1.
    waves : int, optional
        How many waves are added up for each level, at most 10,000.
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
    if not wavelengths_nm or len(wavelengths_nm) != len(solid_fractions):
        raise PorescopeError(
            "Give one wavelength and one solid fraction for each level, not "
            f"{len(wavelengths_nm)} and {len(solid_fractions)}."
        )
    for wavelength_nm in wavelengths_nm:
        check_above_zero("A wavelength in nm", wavelength_nm)
    for fraction in solid_fractions:
        check_fraction(fraction)
    check_count("The number of waves", waves)
    if waves > MOST_WAVES:
        raise PorescopeError(f"{waves:,} waves are too many; take at most {MOST_WAVES:,}.")
    check_seed(seed)
    shape, voxel_nm = checked_shape(shape), checked_voxel_nm(spacing_nm)
    check_not_too_fine(min(wavelengths_nm), voxel_nm)
    fields = tuple(
        WaveField.draw(wavelength_nm, waves, seed, stream=level)
        for level, wavelength_nm in enumerate(wavelengths_nm)
    )
    levels = _levels(fields, solid_fractions, shape, voxel_nm, cancel)
    return WaveSample(shape, voxel_nm, fields, levels).draw(lazy, progress, cancel)


def check_not_too_fine(wavelength_nm: float, voxel_nm: Sequence[float]) -> None:
    """Refuse a wave whose ligaments are thinner than a voxel, of which voxels show nothing."""
    if wavelength_nm < 2 * max(voxel_nm):
        raise PorescopeError(
            f"Ligaments every {wavelength_nm:g} nm are finer than voxels of {max(voxel_nm):g} nm; "
            f"take a wavelength of at least {2 * max(voxel_nm):g} nm, or smaller voxels."
        )


def _levels(
    fields: Sequence[WaveField],
    fractions: Sequence[float],
    shape: Triple,
    spacing_nm: Sequence[float],
    cancel: Cancel,
) -> tuple[float, ...]:
    """Return the level of each field that leaves its fraction of what was solid before it."""
    z_nm, y_nm, x_nm = spread_centres_nm(shape, spacing_nm)
    levels = []
    solid = np.ones((len(z_nm), len(y_nm), len(x_nm)), dtype=bool)
    for field, fraction in zip(fields, fractions, strict=True):
        planes = field.planes(track(z_nm.tolist(), cancel=cancel), y_nm, x_nm)
        values = np.stack(list(planes))
        levels.append(upper_quantile(values[solid], fraction))
        solid &= values >= levels[-1]
    return tuple(levels)
