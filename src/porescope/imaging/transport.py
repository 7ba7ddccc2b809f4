"""Electrons on their way through solids: tables for the native core, and histories in layers.

Elastic scattering is tabulated (ELSEPA, see ``data/README.md``) and multiplied by 1 + 1/Z for what
inelastic collisions turn; energy is lost continuously after D. C. Joy and S. Luo, Scanning 11
(1989) 176; electrons stop at 50 eV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import cos, inf, isfinite, isnan, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.imaging.materials import ELEMENTS, Material, as_material

CUT_OFF_EV = 50.0
LOWEST_BEAM_KV = 0.1
HIGHEST_BEAM_KV = 30.0
# A secondary from deeper than this many escape depths gets out less than once in a hundred times.
_ESCAPE_DEPTHS = 5.0

# Energies to integrate over, and how the core's tables lie (cuda/materials.hpp).
_FINE_EV = np.geomspace(CUT_OFF_EV, 34_500.0, 8192)


_NODES_PER_ROW = 16


def _doublings(count: int) -> NDArray[np.float64]:
    return np.append(np.outer(2.0 ** np.arange(count), 1 + np.arange(32) / 32).ravel(), 2.0**count)


_RANGE_NODES = _doublings(16)


@cache
def elastic_tables() -> dict[str, NDArray[Any]]:
    """Return the arrays that ``data/README.md`` describes."""
    with (
        files("porescope.imaging").joinpath("data/elastic.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return dict(archive)


def stopping_power(material: Material, energy_ev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the energy that an electron loses along its path.

    Parameters
    ----------
    material : Material
    energy_ev : array, float64
        At least 50 eV.

    Returns
    -------
    array of the same shape, float64
        In eV/nm.

    References
    ----------
    D. C. Joy, S. Luo, Scanning 11 (1989) 176.
    """
    total = np.zeros_like(energy_ev)
    for symbol, fraction in material.fractions:
        z, mass, k, ionisation_ev = ELEMENTS[symbol]
        total += fraction * z / mass * np.log(1.166 * (energy_ev / ionisation_ev + k))
    return 7850.0 * material.density / energy_ev * total


def scattering_per_nm(material: Material, energy_ev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often an electron scatters elastically, for each element.

    Parameters
    ----------
    material : Material
    energy_ev : array of shape (n,), float64

    Returns
    -------
    array of shape (elements of the material, n), float64
        Collisions a nm, those of (1 + 1/Z) with them.
    """
    tables = elastic_tables()
    at = np.log(tables["energy_ev"])
    atoms_per_nm3 = 602.214076 * material.density  # times mass fraction over atomic mass
    rates = []
    for symbol, fraction in material.fractions:
        z, mass, *_ = ELEMENTS[symbol]
        row = int(np.flatnonzero(tables["atomic_number"] == z)[0])
        logarithm = np.interp(np.log(energy_ev), at, np.log(tables["cross_section_nm2"][row]))
        rates.append(atoms_per_nm3 * fraction / mass * (1 + 1 / z) * np.exp(logarithm))
    return np.array(rates)


def _path_to(start: float, loss_per_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate the path over the fine energies; in their logarithm, where it is smooth."""
    per_log = _FINE_EV / loss_per_nm
    steps = np.diff(np.log(_FINE_EV)) * (per_log[1:] + per_log[:-1]) / 2
    return start + np.concatenate([[0.0], np.cumsum(steps)])


def residual_range_nm(material: Material, energy_ev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the path that an electron flies until it has lost all its energy.

    Parameters
    ----------
    material : Material
        A solid.
    energy_ev : array, float64
        Up to 34.5 keV. Below 50 eV the loss is taken to stay what it is there.

    Returns
    -------
    array of the same shape, float64
        In nm.
    """
    loss = stopping_power(material, _FINE_EV)
    at_cut_off = CUT_OFF_EV / loss[0]
    above = np.interp(energy_ev, _FINE_EV, _path_to(at_cut_off, loss))
    return np.where(energy_ev < CUT_OFF_EV, energy_ev / loss[0], above)


def _mixed(
    screening: NDArray[np.float64], quantiles: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the screening and the quantiles of a mixture of elements at one energy.

    Parameters
    ----------
    screening : array of shape (elements,), float64
    quantiles : array of shape (elements, 129), float64
        Of each element's own variable, see ``data/README.md``.
    shares : array of shape (elements,), float64
        Of all scattering; they sum to 1.
    """
    if len(shares) == 1:
        return float(screening[0]), quantiles[0]
    even = np.linspace(0, 1, quantiles.shape[1])
    half_versines = screening[:, np.newaxis] * quantiles
    half_versines /= 1 + screening[:, np.newaxis] - quantiles
    at = np.unique(half_versines)
    below = sum(
        share * np.interp(at, own, even) for share, own in zip(shares, half_versines, strict=True)
    )
    # A geometric mean: what it is matters only to how well the nodes lie.
    mixed = float(np.exp(shares @ np.log(screening)))
    variable = at * (1 + mixed) / (at + mixed)
    return mixed, np.interp(even, below, variable)


def secondary_reach_nm(materials: Sequence[Material]) -> float:
    """Return the depth from which secondaries are followed in the solids that let them farthest."""
    return _ESCAPE_DEPTHS * max(material.lambda_nm or 0.0 for material in materials)


@cache
def core_materials(materials: tuple[Material, ...]) -> _core.Materials:
    """Return the core's tables of solids, which it numbers from 1 in this order.

    Parameters
    ----------
    materials : tuple of Material
        No vacuum among them, and at most 15.
    """
    tables = elastic_tables()
    table_ev = tables["energy_ev"].astype(np.float64)
    last_row = len(table_ev) - 1
    log_step = np.log(table_ev[-1] / table_ev[0]) / last_row
    fine_row = np.log(_FINE_EV / table_ev[0]) / log_step
    row_nodes = np.arange((last_row + 1) * _NODES_PER_ROW + 1) / _NODES_PER_ROW
    node_ev = table_ev[0] * np.exp(row_nodes * log_step)
    losses = [stopping_power(material, _FINE_EV) for material in materials]
    # The way of an electron that is always in the solid that stops it least.
    farthest = _path_to(0.0, np.min(losses, axis=0))[1:]
    row_at_range, at_row, constants, screening, quantiles = [], [], [], [], []
    for material, loss in zip(materials, losses, strict=True):
        fine_range = _path_to(CUT_OFF_EV / loss[0], loss)
        row_at_range.append(
            np.interp(_RANGE_NODES * fine_range[0], fine_range, fine_row).clip(0, last_row + 1)
        )
        free_path_nm = 1 / scattering_per_nm(material, node_ev).sum(axis=0)
        at_row.append(np.stack([residual_range_nm(material, node_ev), free_path_nm], axis=-1))
        constants.append(
            [
                fine_range[0],
                1 / material.lambda_nm if material.lambda_nm else 0.0,
                1 / material.eps_ev if material.eps_ev else 0.0,
                np.max(farthest / (fine_range[1:] - fine_range[0])) * (1 + 1e-4),
            ]
        )
        elements = [
            int(np.flatnonzero(tables["atomic_number"] == ELEMENTS[symbol].atomic_number)[0])
            for symbol, _ in material.fractions
        ]
        rates = scattering_per_nm(material, table_ev)
        mixed = [
            _mixed(
                tables["screening"][elements, row].astype(np.float64),
                tables["quantiles"][elements, row].astype(np.float64),
                rates[:, row] / rates[:, row].sum(),
            )
            for row in range(last_row + 1)
        ]
        screening.append([a for a, _ in mixed])
        quantiles.append([w for _, w in mixed])

    def numbered(rows: list[Any]) -> NDArray[np.float32]:
        return np.array([rows[0], *rows], np.float32)  # number 0 is vacuum, which is never asked

    return _core.Materials(
        numbered(row_at_range),
        numbered(at_row),
        numbered(constants),
        numbered(screening),
        numbered(quantiles),
        float(table_ev[-1] * np.exp(log_step)),
        float(log_step),
        secondary_reach_nm(materials),
    )


@dataclass(frozen=True)
class Histories:
    """What became of electrons that entered plane layers.

    Attributes
    ----------
    energy_ev : array of shape (electrons,), float32
        With which they left; 0 if they did not.
    direction : array of shape (electrons, 3), float32
        In which they left, a unit vector (z, y, x) with z below 0 toward the beam.
    deepest_nm : array of shape (electrons,), float32
        How deep they came.
    secondaries : array of shape (electrons,), float32
        Secondaries that each brought out of the surface, on average.
    """

    energy_ev: NDArray[np.float32]
    direction: NDArray[np.float32]
    deepest_nm: NDArray[np.float32]
    secondaries: NDArray[np.float32]

    @property
    def backscattered(self) -> NDArray[np.bool_]:
        """Which left through the surface."""
        return self.direction[:, 0] < 0

    @property
    def transmitted(self) -> NDArray[np.bool_]:
        """Which left below the last layer."""
        return self.direction[:, 0] > 0


def check_beam(beam_kv: float, tilt_deg: float = 0.0) -> None:
    """Refuse a beam that the tables do not reach.

    Raises
    ------
    PorescopeError
        If the voltage is not from 0.1 to 30 kV, or the tilt not from 0 to less than 90 degrees.
    """
    for what, value in (("beam's kV", beam_kv), ("tilt in degrees", tilt_deg)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise PorescopeError(f"The {what} must be a number, not {value!r}.")
    if not LOWEST_BEAM_KV <= beam_kv <= HIGHEST_BEAM_KV:
        raise PorescopeError(
            f"A beam of {beam_kv} kV is outside the scattering tables; take "
            f"{LOWEST_BEAM_KV} to {HIGHEST_BEAM_KV:g} kV."
        )
    if not 0 <= tilt_deg < 90:
        raise PorescopeError(
            f"The beam cannot come in at {tilt_deg} degrees from the normal; take 0 to below 90."
        )


def trace_layers(
    layers: Sequence[tuple[str | Material, float]],
    beam_kv: float,
    *,
    electrons: int,
    tilt_deg: float = 0.0,
    seed: int = 0,
    first_electron: int = 0,
    secondaries: bool = True,
    threads: int = 0,
) -> Histories:
    """Follow electrons into plane layers, infinitely wide.

    Parameters
    ----------
    layers : sequence of (material, thickness)
        From the surface down, names or materials, thickness in nm; the last may be infinite. The
        first must be a solid, gaps of vacuum may follow.
    beam_kv : float
        From 0.1 to 30.
    electrons : int
        How many.
    tilt_deg : float, optional
        Between the beam and the surface's normal.
    seed, first_electron : int, optional
        Each electron hangs on the seed and its own number alone; numbers count from the first.
    secondaries : bool, optional
        Whether secondaries are counted.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    Histories

    Raises
    ------
    PorescopeError
        If a material is not known or a number is out of its range.
    """
    check_beam(beam_kv, tilt_deg)
    if electrons < 1 or first_electron < 0 or first_electron + electrons > 2**32:
        raise PorescopeError("The number of electrons must be from 1 to 2^32.")
    if not 0 <= seed < 2**64:
        raise PorescopeError("The seed must be from 0 to 2^64 - 1.")
    solids: list[Material] = []
    numbers = []
    for depth, (given, thickness_nm) in enumerate(layers, 1):
        material = as_material(given)
        if isnan(thickness_nm) or thickness_nm <= 0:
            raise PorescopeError(f"Layer {depth}, {material.name}, must be thicker than 0 nm.")
        if not isfinite(thickness_nm) and depth < len(layers):
            raise PorescopeError(f"Only the last layer can be infinite, not layer {depth}.")
        if material.is_vacuum:
            numbers.append(0)
            continue
        if material not in solids:
            solids.append(material)
        numbers.append(solids.index(material) + 1)
    if not numbers or numbers[0] == 0:
        raise PorescopeError("The first layer must be a solid: vacuum scatters nothing.")
    tilt = radians(tilt_deg)
    return Histories(
        *_core.trace_layers(
            core_materials(tuple(solids)),
            numbers,
            [float(thickness_nm) for _, thickness_nm in layers],
            1000.0 * beam_kv,
            (cos(tilt), sin(tilt), 0.0),
            first_electron,
            electrons,
            seed,
            secondaries,
            threads,
        )
    )


def trace_bulk(
    material: str | Material, beam_kv: float, *, electrons: int, **options: Any
) -> Histories:
    """Follow electrons into a half space of one material; options as for `trace_layers`."""
    return trace_layers([(material, inf)], beam_kv, electrons=electrons, **options)
