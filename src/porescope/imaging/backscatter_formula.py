"""How many electrons come back from a thick element, by the formula that measurements gave."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError

ATOMIC_NUMBERS = (3.0, 99.0)
"""Below lithium the polynomial turns round."""
BEAMS_KV = (0.1, 50.0)


@overload
def hunger_kuechler(atomic_number: float, beam_kv: float) -> float: ...
@overload
def hunger_kuechler(
    atomic_number: ArrayLike, beam_kv: ArrayLike
) -> float | NDArray[np.float64]: ...
def hunger_kuechler(atomic_number: ArrayLike, beam_kv: ArrayLike) -> float | NDArray[np.float64]:
    """Return the back-scatter coefficient of a thick flat solid under a perpendicular beam.

    It is eta(Z, E) = C(Z) E^m(Z), with E in keV. Papers on synthetic FIB data print it as
    E^(m C), which gives 1 for all elements at 1 kV and more than 1 for gold at 20 kV.

    Parameters
    ----------
    atomic_number : float or array
        From 3 to 99. Of a compound, the mean weighted by mass.
    beam_kv : float or array
        From 0.1 to 50. The measurements went from 4 to 40 kV; below, this is an extrapolation,
        within some 0.03 of clean surfaces down to 1 kV.

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
    H.-J. Hunger, L. Kuechler, phys. stat. sol. (a) 56 (1979) K45.
    """
    z = checked_numbers("The atomic number", atomic_number, ATOMIC_NUMBERS)
    beam = checked_numbers("The voltage in kV", beam_kv, BEAMS_KV)
    log_z = np.log(z)
    at_1_kv = 0.1904 - 0.2236 * log_z + 0.1292 * log_z**2 - 0.01491 * log_z**3
    eta = at_1_kv * beam ** (0.1382 - 0.9211 / np.sqrt(z))
    return float(eta) if np.ndim(eta) == 0 else eta


def checked_numbers(
    name: str, values: ArrayLike, limits: tuple[float, float]
) -> NDArray[np.float64]:
    """Return numbers as an array.

    Raises
    ------
    PorescopeError
        If one is none, or lies outside the limits.
    """
    try:
        numbers: NDArray[Any] = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise PorescopeError(f"{name} must be a number or an array, not {values!r:.80}.") from None
    inside = (numbers >= limits[0]) & (numbers <= limits[1])
    if not inside.all():
        raise PorescopeError(
            f"{name} must be from {limits[0]:g} to {limits[1]:g}, not {numbers[~inside][0]:g}."
        )
    return numbers
