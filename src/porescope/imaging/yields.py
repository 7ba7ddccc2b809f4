"""How many electrons come back from a solid for each that goes in."""

from collections.abc import Iterator

import numpy as np

from porescope.errors import PorescopeError
from porescope.imaging.materials import Material, as_material
from porescope.imaging.transport import Histories, check_beam, trace_bulk

_AT_ONCE = 1 << 20


def _histories(
    material: Material,
    beam_kv: float,
    electrons: int,
    tilt_deg: float,
    seed: int,
    secondaries: bool,
) -> Iterator[Histories]:
    if electrons < 1:
        raise PorescopeError("At least one electron is needed.")
    for first in range(0, electrons, _AT_ONCE):
        yield trace_bulk(
            material,
            beam_kv,
            electrons=min(_AT_ONCE, electrons - first),
            first_electron=first,
            tilt_deg=tilt_deg,
            seed=seed,
            secondaries=secondaries,
        )


def backscatter_coefficient(
    material: str | Material,
    beam_kv: float,
    electrons: int = 100_000,
    tilt_deg: float = 0.0,
    seed: int = 0,
) -> float:
    """Return the share of electrons that a thick solid sends back with more than 50 eV.

    Parameters
    ----------
    material : str or Material
        One of :func:`~porescope.imaging.material_names`, or one's own.
    beam_kv : float
        From 0.1 to 30.
    electrons : int, optional
        How many are followed; the error is ``sqrt(eta (1 - eta) / electrons)``.
    tilt_deg : float, optional
        Between the beam and the surface's normal, from 0 to below 90.
    seed : int, optional
        The result depends on it and not on the number of threads.

    Returns
    -------
    float

    Raises
    ------
    PorescopeError
        If the material is not known or a number is out of its range.
    """
    check_beam(beam_kv, tilt_deg)
    material = as_material(material)
    if material.is_vacuum:
        return 0.0
    back = sum(
        int(np.count_nonzero(histories.backscattered))
        for histories in _histories(material, beam_kv, electrons, tilt_deg, seed, False)
    )
    return back / electrons


def secondary_yield(
    material: str | Material, beam_kv: float, electrons: int = 100_000, seed: int = 0
) -> float:
    """Return the secondary electrons that a thick solid gives for each electron that goes in.

    Generation is ``dE / eps`` along the track, escape ``exp(-depth / lambda) / 2``.

    Parameters
    ----------
    material : str or Material
        With ``lambda_nm`` and ``eps_ev``.
    beam_kv, electrons, seed
        As for :func:`backscatter_coefficient`.

    Returns
    -------
    float

    Raises
    ------
    PorescopeError
        As for :func:`backscatter_coefficient`, or if the material has no ``lambda_nm`` and
        ``eps_ev``.

    References
    ----------
    Y. Lin, D. C. Joy, Surface and Interface Analysis 37 (2005) 895.
    """
    check_beam(beam_kv)
    material = as_material(material)
    if material.is_vacuum:
        return 0.0
    if not material.secondaries_known:
        raise PorescopeError(
            f"{material.name} has no lambda_nm and eps_ev, without which its secondary electrons "
            "cannot be told; give them with porescope.imaging.Material or compound."
        )
    total = sum(
        float(histories.secondaries.sum(dtype=np.float64))
        for histories in _histories(material, beam_kv, electrons, 0.0, seed, True)
    )
    return total / electrons
