"""Stationary Boolean models: random particles at the points of a Poisson process.

The intensity follows from the porosity and the mean volume of a particle, as Miles has shown. What
comes out is a random sample: its porosity is the one asked for on average over many seeds, and
scatters about it the more, the fewer particles a sample holds. It is not adjusted, as that would
change the model.

References
----------
J. Ohser, W. Nagel, K. Schladitz, Image Anal. Stereol. 28 (2009) 77 (Miles's formulae);
S. N. Chiu, D. Stoyan, W. S. Kendall, J. Mecke, Stochastic Geometry and its Applications, 3rd ed.
(2013), doi:10.1002/9781118658222.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry.blocks import check_seed
from porescope.geometry.orientation import euler_to_axis, euler_to_quaternion
from porescope.geometry.primitives import Primitives, bounding_boxes, checked_box

Interval = float | tuple[float, float]
"""A number, or the ends (low, high) between which it is uniform."""

SIZES = {"sphere": ("radius",), "cylinder": ("radius", "height"), "cube": ("edge",)}
TABLES = {"sphere": "spheres", "cylinder": "cylinders", "cube": "cuboids"}
ORIENTATIONS = ("uniform", "von-mises-fisher", "aligned")

MAX_PARTICLES = 50_000_000
"""What a sample may hold on average; ten gigabytes."""

NUMBERS_OF_A_PARTICLE = 8
"""Random numbers set aside for each: three for the place, two sizes, three angles."""


def boolean_model(
    kind: Literal["sphere", "cylinder", "cube"],
    *,
    porosity: float,
    shape: Sequence[float],
    radius: Interval | None = None,
    height: Interval | None = None,
    edge: Interval | None = None,
    orientation: Literal["uniform", "von-mises-fisher", "aligned"] = "uniform",
    kappa: float = 20.0,
    seed: int = 0,
) -> Primitives:
    """Draw a Boolean model of spheres, cylinders or cubes.

    The number of points per volume is ``-log(porosity) / mean volume``. Points are drawn beyond the
    box too, as far as the largest particle reaches (plus-sampling), so that the sample is the same
    at its faces as inside; particles whose bounding box does not meet the box are left out.

    Parameters
    ----------
    kind : str
        ``"sphere"`` (needs ``radius``), ``"cylinder"`` (``radius`` and ``height``) or ``"cube"``
        (``edge``).
    porosity : float
        Expected share of the volume outside all particles, above 0 and below 1.
    shape : sequence of three numbers
        Size of the box (z, y, x), in voxels; sizes are in the same unit.
    radius, height, edge : float or (float, float), optional
        A fixed size, or the interval in which it is uniform.
    orientation : str, optional
        Of the axis of a cylinder or the own z axis of a cube: ``"uniform"`` on the sphere,
        ``"von-mises-fisher"`` about z, or ``"aligned"`` with z. Cubes are turned uniformly about
        that axis, except when they are aligned.
    kappa : float, optional
        Concentration of the von Mises-Fisher distribution; larger is closer to z.
    seed : int, optional
        From 0 to 2**64 - 1. Particle k depends on the seed, the box and k only.

    Returns
    -------
    Primitives
        With ``shape`` as its box.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, the sample would hold more than 50 million particles, or not
        a single one meets the box.

    Examples
    --------
    >>> sample = boolean_model("sphere", porosity=0.7, shape=(64, 64, 64), radius=(5, 8))
    >>> sample.shape
    (64, 64, 64)
    """
    box = checked_box(shape)
    sizes = _sizes(kind, {"radius": radius, "height": height, "edge": edge})
    _check(porosity, orientation, kappa, seed)
    margin = _reach(kind, [high for _, high in sizes])
    low, extent = -margin, np.array(box) + 2 * margin
    mean_number = -math.log(porosity) / mean_volume(kind, sizes) * math.prod(extent.tolist())
    if not mean_number <= MAX_PARTICLES:
        raise PorescopeError(
            f"The sample would hold {mean_number:.3g} particles, more than the {MAX_PARTICLES:,} "
            "that can be drawn; take larger particles or a smaller shape."
        )
    random = _draw(mean_number, seed)
    centres = low + extent * random[:, :3]
    drawn = [
        smallest + (largest - smallest) * random[:, 3 + index]
        for index, (smallest, largest) in enumerate(sizes)
    ]
    rows = _rows(kind, centres, drawn, _angles(orientation, kappa, random[:, 5:]))
    lowest, highest = bounding_boxes(TABLES[kind], rows)
    rows = rows[((highest >= 0) & (lowest <= box)).all(axis=1)]
    if not len(rows):
        raise PorescopeError(
            "No particle meets the box: at this porosity one would hold "
            f"{mean_number:.2g} on average; take a larger shape, smaller particles or another seed."
        )
    return Primitives(**{TABLES[kind]: rows}, shape=box)


def mean_volume(kind: str, sizes: Sequence[tuple[float, float]]) -> float:
    """Return the mean volume of particles whose sizes are independent and uniform.

    Parameters
    ----------
    kind : str
        ``"sphere"``, ``"cylinder"`` or ``"cube"``.
    sizes : sequence of (float, float)
        Lowest and highest radius; radius and height; or edge.
    """
    if kind == "sphere":
        return 4 / 3 * math.pi * _mean_power(*sizes[0], 3)
    if kind == "cylinder":
        return math.pi * _mean_power(*sizes[0], 2) * _mean_power(*sizes[1], 1)
    return _mean_power(*sizes[0], 3)


def _mean_power(low: float, high: float, power: int) -> float:
    """Mean of ``t**power`` for t uniform in [low, high]; of equal ends too."""
    return sum(low**k * high ** (power - k) for k in range(power + 1)) / (power + 1)


def _reach(kind: str, largest: Sequence[float]) -> float:
    """Radius of the sphere around the largest particle."""
    if kind == "sphere":
        return largest[0]
    if kind == "cylinder":
        return math.hypot(largest[0], largest[1] / 2)
    return largest[0] * math.sqrt(3) / 2


def _draw(mean_number: float, seed: int) -> NDArray[np.float64]:
    """Draw the Poisson number of particles, and a row of uniform numbers for each."""
    from scipy import stats

    count = int(stats.poisson.ppf(_core.uniform(seed, 0, 0, 1)[0], mean_number))
    return _core.uniform(seed, 1, 0, count * NUMBERS_OF_A_PARTICLE).reshape(
        count, NUMBERS_OF_A_PARTICLE
    )


def _angles(orientation: str, kappa: float, random: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn uniform numbers into Euler angles."""
    if orientation == "aligned":
        return np.zeros_like(random)
    first, height, third = random.T
    if orientation == "uniform":
        cosine = 2 * height - 1
    else:
        # Inverse of the distribution function of the cosine, which on the sphere is closed.
        cosine = 1 + np.log1p((1 - height) * math.expm1(-2 * kappa)) / kappa
    tilt = np.arccos(np.clip(cosine, -1, 1))
    return np.stack([2 * np.pi * first, tilt, 2 * np.pi * third], axis=1)


def _rows(
    kind: str,
    centres: NDArray[np.float64],
    sizes: list[NDArray[np.float64]],
    angles: NDArray[np.float64],
) -> NDArray[np.float64]:
    if kind == "sphere":
        return np.column_stack([centres, *sizes])
    if kind == "cylinder":
        return np.column_stack([centres, euler_to_axis(angles), *sizes])
    return np.column_stack([centres, euler_to_quaternion(angles), *sizes * 3])


def _sizes(kind: str, given: Mapping[str, Interval | None]) -> list[tuple[float, float]]:
    if kind not in SIZES:
        raise PorescopeError(f"Particles are {', '.join(SIZES)}, not {kind!r}.")
    for name, value in given.items():
        if (value is None) == (name in SIZES[kind]):
            needs = "needs a" if value is None else "has no"
            raise PorescopeError(f"A {kind} {needs} {name}; give {' and '.join(SIZES[kind])}.")
    return [_interval(name, given[name]) for name in SIZES[kind]]


def _interval(name: str, value: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in ((value, value) if np.ndim(value) == 0 else value))
    except (TypeError, ValueError):
        low = high = math.nan
    if not 1e-6 <= low <= high <= 1e9:
        raise PorescopeError(
            f"The {name} must be a number from 1e-6 to 1e9 or an interval (low, high) of such, "
            f"not {value!r}."
        )
    return low, high


def _check(porosity: float, orientation: str, kappa: float, seed: int) -> None:
    if not 0 < porosity < 1:
        raise PorescopeError(
            f"A porosity must lie between 0 and 1, both excluded, not {porosity!r}."
        )
    if orientation not in ORIENTATIONS:
        raise PorescopeError(f"An orientation is {', '.join(ORIENTATIONS)}, not {orientation!r}.")
    if not 0 < kappa < math.inf:
        raise PorescopeError(f"kappa must be finite and above 0, not {kappa!r}.")
    check_seed(seed)


def _paper_samples() -> dict[str, Mapping[str, Any]]:
    samples: dict[str, Mapping[str, Any]] = {}

    def add(name: str, realisations: int, **parameters: Any) -> None:
        for number in range(1, realisations + 1):
            samples[f"{name}-{number}"] = MappingProxyType(parameters | {"shape": PAPER_SHAPE})

    porosities = (0.3, 0.5, 0.7)
    for porosity, radius in itertools.product(porosities, ((10, 15), (30, 50))):
        name = f"sphere-p{porosity}-r{radius[0]}-{radius[1]}"
        add(name, 3, kind="sphere", porosity=porosity, radius=radius)
    radii, heights = ((5, 10), (10, 20), (30, 50)), ((100, 150), (300, 500))
    for porosity, radius, height, (short, orientation, realisations) in itertools.product(
        porosities, radii, heights, (("vmf", "von-mises-fisher", 2), ("uniform", "uniform", 1))
    ):
        add(
            f"cylinder-p{porosity}-r{radius[0]}-{radius[1]}-h{height[0]}-{height[1]}-{short}",
            realisations,
            kind="cylinder",
            porosity=porosity,
            radius=radius,
            height=height,
            orientation=orientation,
        )
    return samples


PAPER_SHAPE = (1130, 850, 850)
PAPER_SAMPLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(_paper_samples())
"""What :func:`paper_sample` passes to :func:`boolean_model`, by name."""


def paper_sample_names() -> list[str]:
    """Return the names of the 72 samples that the neural simulator was trained on.

    Such as ``"sphere-p0.3-r10-15-1"`` (porosity, radii, realisation) and
    ``"cylinder-p0.7-r5-10-h100-150-vmf-2"`` (radii, heights, orientation).
    """
    return list(PAPER_SAMPLES)


def paper_sample(name: str, seed: int = 0) -> Primitives:
    """Draw one of the samples of Table 1 of the neural simulator's paper, of 850 x 850 x 1130.

    The paper's own realisations are not public; these follow the same distributions. All names
    under one seed are independent of each other, and so is a name under several seeds.

    Parameters
    ----------
    name : str
        One of :func:`paper_sample_names`.
    seed : int, optional
        From 0 to 2**57.

    Returns
    -------
    Primitives

    Raises
    ------
    PorescopeError
        If there is no such name, or the seed is out of range.

    References
    ----------
    T. Dahmen et al., A Neural Model for High-Performance Scanning Electron Microscopy Image
    Simulation of Porous Materials, section 2.1 and Table 1.
    """
    names = paper_sample_names()
    if name not in names:
        raise PorescopeError(
            f"There is no sample {name!r}; names look like {names[0]} and {names[-1]}, "
            "and paper_sample_names() lists them."
        )
    return boolean_model(**PAPER_SAMPLES[name], seed=seed * len(names) + names.index(name))
