"""Structures of many kinds and sizes to learn from: what is learned on one kind fails on others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from porescope.geometry import (
    boolean_model,
    hierarchical_leveled_wave,
    leveled_wave,
    voxelize,
)
from porescope.geometry.waves import WaveField

Shape = tuple[int, int, int]
Volume = NDArray[np.bool_]

WAVES = 200
SMOOTHNESS = (0.5, 1.5, 2.5, math.inf)
"""Of a Gaussian field, in the sense of Matérn: from the roughest, with an exponential covariance,
to one that has all derivatives."""


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(random.uniform(math.log(low), math.log(high))))


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(2**63))


def two_levels(shape: Shape, random: np.random.Generator) -> Volume:
    """Draw a hierarchical leveled wave: ligaments that are porous themselves."""
    fine = _log_uniform(random, 8, 24)
    coarse = fine * _log_uniform(random, 4, 12)
    return hierarchical_leveled_wave(
        shape,
        spacing_nm=1.0,
        wavelengths_nm=(coarse, fine),
        solid_fractions=tuple(random.uniform(0.25, 0.5, 2)),
        waves=WAVES,
        seed=_seed(random),
    )


def one_level(shape: Shape, random: np.random.Generator) -> Volume:
    """Draw a leveled wave."""
    return leveled_wave(
        shape,
        spacing_nm=1.0,
        wavelength_nm=_log_uniform(random, 8, 80),
        solid_fraction=random.uniform(0.15, 0.5),
        waves=WAVES,
        seed=_seed(random),
    )


def gaussian_field(shape: Shape, random: np.random.Generator) -> Volume:
    """Draw an excursion set of a Gaussian random field, smooth or rough."""
    smoothness = random.choice(SMOOTHNESS)
    return excursion_set(
        shape,
        length=_log_uniform(random, 2, 24),
        smoothness=smoothness,
        solid_fraction=random.uniform(0.15, 0.5),
        random=random,
    )


def excursion_set(
    shape: Shape,
    *,
    length: float,
    smoothness: float,
    solid_fraction: float,
    random: np.random.Generator,
) -> Volume:
    """Return where a Gaussian field of Matérn covariance is above a level.

    Parameters
    ----------
    shape : tuple of three ints
        Number of voxels (z, y, x).
    length : float
        Correlation length in voxels.
    smoothness : float
        Matérn's nu; 0.5 is an exponential covariance, infinity a Gaussian one.
    solid_fraction : float
        Share of voxels above the level.
    random : numpy.random.Generator

    Returns
    -------
    bool array of shape (z, y, x)

    References
    ----------
    The spectrum of a Matérn covariance is a multivariate t distribution with 2 nu degrees of
    freedom: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), section 4.2.
    """
    vectors = random.standard_normal((2 * WAVES, 3)) / length
    if math.isfinite(smoothness):
        heavy = random.chisquare(2 * smoothness, len(vectors)) / (2 * smoothness)
        vectors /= np.sqrt(heavy)[:, np.newaxis]
    field = WaveField(vectors, random.uniform(0, 2 * math.pi, len(vectors)))
    z, y, x = (np.arange(size, dtype=np.float64) for size in shape)
    values = np.stack(list(field.planes(z, y, x)))
    return values >= np.quantile(values, 1 - solid_fraction)


def spheres(shape: Shape, random: np.random.Generator) -> Volume:
    """Draw overlapping spheres."""
    smallest = _log_uniform(random, 4, 24)
    primitives = boolean_model(
        "sphere",
        porosity=random.uniform(0.3, 0.85),
        shape=shape,
        radius=(smallest, smallest * random.uniform(1, 2)),
        seed=_seed(random),
    )
    return voxelize(primitives, shape)


def cylinders(shape: Shape, random: np.random.Generator) -> Volume:
    """Draw overlapping cylinders."""
    thinnest = _log_uniform(random, 2.5, 10)
    shortest = _log_uniform(random, 20, 100)
    primitives = boolean_model(
        "cylinder",
        porosity=random.uniform(0.3, 0.85),
        shape=shape,
        radius=(thinnest, thinnest * random.uniform(1, 2)),
        height=(shortest, shortest * random.uniform(1, 2)),
        seed=_seed(random),
    )
    return voxelize(primitives, shape)


KINDS: Mapping[Callable[[Shape, np.random.Generator], Volume], float] = MappingProxyType(
    {two_levels: 0.5, one_level: 0.2, gaussian_field: 0.1, spheres: 0.1, cylinders: 0.1}
)
"""How often each is drawn."""


def mixture(share: float) -> dict[Callable[[Shape, np.random.Generator], Volume], float]:
    """Return how often each kind is drawn, with another share of waves of two levels."""
    rest = (1 - share) / (1 - KINDS[two_levels])
    return {kind: share if kind is two_levels else rest * often for kind, often in KINDS.items()}


def random_structure(
    shape: Sequence[int],
    seed: int,
    kinds: Mapping[Callable[[Shape, np.random.Generator], Volume], float] = KINDS,
) -> Volume:
    """Draw a structure of a random kind and size, one phase or the other being solid.

    Parameters
    ----------
    shape : sequence of three ints
        Number of voxels (z, y, x).
    seed : int
        Of the kind and of all that is random about it.
    kinds : mapping
        How often each kind is drawn.

    Returns
    -------
    bool array of shape (z, y, x)
    """
    random = np.random.default_rng(seed)
    kind = list(kinds)[random.choice(len(kinds), p=list(kinds.values()))]
    depth, height, width = shape
    volume = kind((depth, height, width), random)
    return ~volume if random.random() < 0.5 else volume
