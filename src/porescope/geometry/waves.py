"""Nanoporous structures as leveled waves.

Waves of one length, in random directions, add up to a field that is close to a Gaussian random
field; where it exceeds a level, the structure is solid. The level is the quantile of the field over
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

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.stack import checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

LEVELS = 2**16


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

    @property
    def bound(self) -> float:
        """What the field never exceeds on either side of 0."""
        return math.sqrt(2 * len(self.phases))

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


def leveled_wave(
    shape: Sequence[int],
    *,
    spacing_nm: float | Sequence[float],
    wavelength_nm: float,
    solid_fraction: float,
    waves: int = 200,
    seed: int = 0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> NDArray[np.bool_]:
    """Return a nanoporous structure with ligaments of one size.

    Parameters
    ----------
    shape : sequence of three ints
        Number of voxels (z, y, x).
    spacing_nm : float or sequence of three floats
        Voxel size, the same on all axes or (z, y, x).
    wavelength_nm : float
        Length of the waves: the distance between neighbouring ligaments.
    solid_fraction : float
        Share of solid voxels, above 0 and below 1; met within 0.001 plus one voxel.
    waves : int, optional
        How many waves are added up.
    seed : int, optional
        From 0 to 2**64 - 1; another seed gives another structure.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    array of shape (z, y, x), bool
        True where solid. Only this array and one plane of the field are held in memory.

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
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> NDArray[np.bool_]:
    """Return a structure whose ligaments are porous themselves: what is solid on every level.

    The levels are independent of each other, so that the solid fraction is close to the product of
    theirs.

    Parameters
    ----------
    shape, spacing_nm, waves, seed, progress, cancel
        As for :func:`leveled_wave`; ``waves`` is the number for each level.
    wavelengths_nm : sequence of floats
        One for each level.
    solid_fractions : sequence of floats
        One for each level, above 0 and below 1.

    Returns
    -------
    array of shape (z, y, x), bool
        True where solid.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense.
    Cancelled
        If ``cancel()`` became true.
    """
    _check(shape, wavelengths_nm, solid_fractions, waves, seed)
    sizes_nm = (spacing_nm,) * 3 if np.ndim(spacing_nm) == 0 else spacing_nm
    z_nm, y_nm, x_nm = (
        (np.arange(count, dtype=np.float64) + 0.5) * size_nm
        for count, size_nm in zip(shape, checked_spacing_nm(sizes_nm), strict=True)  # type: ignore[arg-type]
    )
    solid = np.ones(tuple(shape), dtype=bool)
    parts = 2 * len(wavelengths_nm)

    def depths_nm(part: int) -> Iterator[float]:
        def report(done: int, total: int) -> None:
            progress(part * total + done, parts * total)

        return track(z_nm.tolist(), report, cancel)

    for level, (wavelength_nm, fraction) in enumerate(
        zip(wavelengths_nm, solid_fractions, strict=True)
    ):
        field = WaveField.draw(wavelength_nm, waves, seed, stream=level)
        threshold = upper_quantile(
            field.planes(depths_nm(2 * level), y_nm, x_nm), fraction, field.bound
        )
        for here, plane in zip(
            solid, field.planes(depths_nm(2 * level + 1), y_nm, x_nm), strict=True
        ):
            here &= plane >= threshold
    return solid


def upper_quantile(planes: Iterable[NDArray[np.float64]], fraction: float, bound: float) -> float:
    """Return the level that the given fraction of the values exceeds, seeing each plane once.

    Parameters
    ----------
    planes : iterable of arrays
        The values, none beyond ``bound`` on either side of 0.
    fraction : float
        Between 0 and 1.
    bound : float
        The levels are ``2 * bound / 65536`` apart.
    """
    counts = np.zeros(LEVELS, dtype=np.int64)
    for plane in planes:
        counts += np.histogram(plane, bins=LEVELS, range=(-bound, bound))[0]
    above = counts.sum() - np.concatenate([[0], np.cumsum(counts)])
    nearest = int(np.argmin(np.abs(above - fraction * counts.sum())))
    return float(np.linspace(-bound, bound, LEVELS + 1)[nearest])


def _check(
    shape: Sequence[int],
    wavelengths_nm: Sequence[float],
    solid_fractions: Sequence[float],
    waves: int,
    seed: int,
) -> None:
    if len(shape) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
        raise PorescopeError(
            f"The shape must be three whole numbers of voxels (z, y, x) above 0, not {shape!r}."
        )
    if not wavelengths_nm or len(wavelengths_nm) != len(solid_fractions):
        raise PorescopeError(
            "Give one wavelength and one solid fraction for each level, not "
            f"{len(wavelengths_nm)} and {len(solid_fractions)}."
        )
    for wavelength_nm in wavelengths_nm:
        if not (math.isfinite(wavelength_nm) and wavelength_nm > 0):
            raise PorescopeError(f"A wavelength must be above 0 nm, not {wavelength_nm!r}.")
    for fraction in solid_fractions:
        if not 0 < fraction < 1:
            raise PorescopeError(
                f"A solid fraction must lie between 0 and 1, both excluded, not {fraction!r}."
            )
    if waves < 1:
        raise PorescopeError(f"At least one wave is needed, not {waves!r}.")
    if not 0 <= seed < 2**64:
        raise PorescopeError(f"A seed must be a whole number from 0 to 2**64 - 1, not {seed!r}.")
