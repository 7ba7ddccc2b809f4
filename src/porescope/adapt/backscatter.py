"""How many electrons come back from a material that lies under epoxy, learned from Monte Carlo.

eta(Z, E, t) = epoxy(E) + (bulk(Z, E) - epoxy(E)) exp(-s rate(Z, E, s)), where s is the thickness t
of the epoxy as a share of the depth that no electron comes back from. The network gives the rate
and cannot fall with s, so eta runs from that of the bulk to that of epoxy and never back.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError
from porescope.imaging.backscatter_formula import checked_numbers, hunger_kuechler
from porescope.imaging.materials import as_material
from porescope.imaging.transport import residual_range_nm
from porescope.learn.weights import read_tensors, shipped

Floats = NDArray[np.float64]

NETWORK = "backscatter/1"
SUMMARY = "Tells how many electrons come back from a thick material under epoxy."
HIDDEN = (16, 32, 32, 32)
ATOMIC_NUMBERS = (6.0, 79.0)
BEAMS_KV = (0.5, 10.0)
DEEPEST = 3.0
"""Share of the reach beyond which the rate stays what it is."""


class Coefficients(NamedTuple):
    """What :func:`learned_backscatter` is made of; arrays that broadcast.

    Parameters
    ----------
    bulk, epoxy : array, float64
        Of the thick material, and of thick epoxy.
    left : array, float64
        Share of their difference that shows through the epoxy, from 1 at no depth to 0.
    """

    bulk: Floats
    epoxy: Floats
    left: Floats


@overload
def learned_backscatter(atomic_number: float, beam_kv: float, depth_nm: float) -> float: ...
@overload
def learned_backscatter(
    atomic_number: ArrayLike, beam_kv: ArrayLike, depth_nm: ArrayLike
) -> float | Floats: ...
def learned_backscatter(
    atomic_number: ArrayLike, beam_kv: ArrayLike, depth_nm: ArrayLike
) -> float | Floats:
    """Return the back-scatter coefficient of a thick material under a layer of epoxy.

    Parameters
    ----------
    atomic_number : float or array
        From 6 to 79. It was learned from carbon, aluminium, silicon, copper, silver and gold. Of a
        compound, the mean weighted by mass.
    beam_kv : float or array
        From 0.5 to 10, perpendicular to the surface.
    depth_nm : float or array
        Thickness of the epoxy, from 0 on. With more of it the coefficient goes, without turning
        back, to that of epoxy.

    Returns
    -------
    float, or array of float64 of the shape to which the arguments broadcast
        Electrons that come back with more than 50 eV, for each of the beam.

    Raises
    ------
    PorescopeError
        If a number is out of its range.

    References
    ----------
    Generating ideal synthetic data for 3D reconstruction of FIB tomography data using generative
    adversarial networks (2024), section 2.3: the inputs and the hidden layers. What comes in and
    out is scaled here by physics, and the depth can only act one way.
    """
    bulk, epoxy, left = coefficients(atomic_number, beam_kv, depth_nm)
    eta = epoxy + (bulk - epoxy) * left
    return float(eta) if np.ndim(eta) == 0 else eta


def coefficients(atomic_number: ArrayLike, beam_kv: ArrayLike, depth_nm: ArrayLike) -> Coefficients:
    """Return what the coefficient is made of, for arguments as of :func:`learned_backscatter`."""
    numbers = checked_numbers("The atomic number", atomic_number, ATOMIC_NUMBERS)
    beams_kv = checked_numbers("The voltage in kV", beam_kv, BEAMS_KV)
    depths_nm = checked_numbers("The depth in nm", depth_nm, (0.0, np.inf))
    shapes = [values.shape for values in (numbers, beams_kv, depths_nm)]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise PorescopeError(
            f"Atomic numbers, voltages and depths of the shapes {shapes} do not go together."
        ) from None
    tensors = _tensors()
    z, e, s = inputs(numbers, beams_kv, depths_nm)
    values = np.stack([z, e, np.minimum(s, DEEPEST)], axis=-1)
    last = len(HIDDEN)
    for layer in range(last):
        values = np.tanh(values @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"])
    rate = np.logaddexp(0, values @ tensors[f"{last}.weight"].T + tensors[f"{last}.bias"])[..., 0]
    ratio = np.exp(powers(z, e) @ tensors["bulk"])
    filler = 0.1 * np.exp(np.polynomial.polynomial.polyval(e, tensors["epoxy"]))
    return Coefficients(hunger_kuechler(numbers, beams_kv) * ratio, filler, np.exp(-s * rate))


def inputs(
    atomic_number: Floats, beam_kv: Floats, depth_nm: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return what the network sees: Z and E from -1 to 1, the depth as a share of the reach."""
    z, e, s = np.broadcast_arrays(
        _scaled(atomic_number, ATOMIC_NUMBERS),
        _scaled(beam_kv, BEAMS_KV),
        depth_nm / reach_nm(beam_kv),
    )
    return z, e, s


def _scaled(values: Floats, limits: tuple[float, float]) -> Floats:
    low, high = np.log(limits)
    scaled: Floats = 2 * (np.log(values) - low) / (high - low) - 1
    return scaled


def powers(z: Floats, e: Floats) -> Floats:
    """Return z^i e^j for i up to 3 and j up to 4, on a new last axis."""
    return np.stack([z**i * e**j for i in range(4) for j in range(5)], axis=-1)


def reach_nm(beam_kv: ArrayLike) -> Floats:
    """Return the depth in epoxy that no electron comes back from: half the range."""
    return residual_range_nm(as_material("epoxy"), 1000 * np.asarray(beam_kv, np.float64)) / 2


@cache
def _tensors() -> dict[str, Floats]:
    sizes = (3, *HIDDEN, 1)
    shapes: dict[str, tuple[int, ...]] = {"bulk": (20,), "epoxy": (4,)}
    for layer, (size, following) in enumerate(pairwise(sizes)):
        shapes |= {f"{layer}.weight": (following, size), f"{layer}.bias": (following,)}
    tensors, _ = read_tensors(shipped("backscatter-epoxy"), NETWORK, shapes)
    return {name: values.astype(np.float64) for name, values in tensors.items()}
