"""The signal of stacked layers at each beam energy, and how it changes with their thickness.

Written over the functions that numpy and torch share, so the same lines serve arrays and, with
gradients, tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError
from porescope.imaging import Material, hunger_kuechler
from porescope.imaging.backscatter_formula import checked_numbers
from porescope.imaging.materials import as_material
from porescope.imaging.transport import CUT_OFF_EV, stopping_power

BEAM_KV = tuple(float(energy) for energy in range(5, 36))
"""The paper's 31 energies."""
MATERIALS = ("gold", "aluminium")
SUBSTRATE = "silicon"
MODELS = ("corrected", "published")
BEAMS_KV = (1.0, 50.0)
MOST_LAYERS = 16
LAYER, ROW, COLUMN = -3, -2, -1


class Model(Protocol):
    """What turns thickness into signals."""

    @property
    def materials(self) -> tuple[Material, ...]:
        """Of the layers, the lowest first."""

    @property
    def substrate(self) -> Material:
        """Below them all."""

    @property
    def jumps(self) -> tuple[bool, ...]:
        """For each layer, whether the signal jumps where it begins."""

    def evaluate(
        self, thickness_nm: Any, beam_kv: NDArray[np.float64], slopes: bool = False
    ) -> tuple[Any, Any]:
        """Return signals and, if asked, how they change with the thickness.

        Parameters
        ----------
        thickness_nm : numpy array or torch tensor of shape (..., layers, y, x)
        beam_kv : array of shape (energies,), float64
        slopes : bool, optional

        Returns
        -------
        signals : (..., energies, y, x)
        slopes : (..., layers, energies, y, x) or None
            In 1/nm.
        """


@dataclass(frozen=True)
class Corrected:
    """Each layer sends back its own share, and hides what lies below as it uses up the range.

    Where a layer ends, the signal goes over from its bulk's to that of what follows, damped by
    exp(-V). V grows on the way down with U, the share of the range that the layers use up, which
    is what tells the energy left: within a layer from U1 to U2 it grows by f(U2) - f(U1) with
    f(U) = a U + (k U)^3: single collisions, and electrons that have lost their way. So a layer cut
    in two is the same layer, one thicker than the range is its bulk, and nothing is singular.

    Bulk signals are those of Hunger and Kuechler, ranges those of Joy and Luo's energy loss. The
    four constants in a = 2.88 (Z / 14)^(2/3) and k = 4.25 (Z / 14)^(1/6) were fitted to Monte
    Carlo of 1,260 films of gold, silver, copper, silicon, aluminium, carbon, epoxy, and aluminium
    on gold (``benchmarks/layers_forward.py``).

    Parameters
    ----------
    materials : tuple of Material
        From the bottom to the top.
    substrate : Material
    """

    materials: tuple[Material, ...]
    substrate: Material

    @property
    def jumps(self) -> tuple[bool, ...]:
        """See :class:`Model`."""
        return (False,) * len(self.materials)

    def evaluate(
        self, thickness_nm: Any, beam_kv: NDArray[np.float64], slopes: bool = False
    ) -> tuple[Any, Any]:
        """See :class:`Model`."""
        xp, constant = _namespace(thickness_nm)
        downward = range(len(self.materials) - 1, -1, -1)
        bulks = [bulk_signal(material, beam_kv) for material in (self.substrate, *self.materials)]
        signals: Any = constant(bulks[-1])
        used: Any = 0.0
        damping: Any = 0.0
        per_nm: dict[int, Any] = {}
        damping_slopes: dict[int, Any] = {}
        signal_slopes: list[Any] = [0.0] * len(self.materials)
        for layer in downward:
            material = self.materials[layer]
            z = material.mean_atomic_number
            linear = 2.88 * (z / 14) ** (2 / 3)
            cubic = (4.25 * (z / 14) ** (1 / 6)) ** 3
            per_nm[layer] = constant(1 / range_nm(material, beam_kv))
            above, used = used, used + thickness_nm[..., layer, None, :, :] * per_nm[layer]
            damping = damping + used * (linear + cubic * used * used)
            damping = damping - above * (linear + cubic * above * above)
            past = constant(bulks[layer] - bulks[layer + 1]) * xp.exp(-damping)
            signals = signals + past
            if slopes:
                rate = linear + 3 * cubic * used * used
                change = 3 * cubic * (used * used - above * above)
                for other in damping_slopes:
                    damping_slopes[other] = damping_slopes[other] + change * per_nm[other]
                damping_slopes[layer] = rate * per_nm[layer]
                for other, slope in damping_slopes.items():
                    signal_slopes[other] = signal_slopes[other] - past * slope
        return signals, xp.stack(signal_slopes, LAYER - 1) if slopes else None


@dataclass(frozen=True)
class Published:
    """The formulas of the published code, for gold and aluminium on it, on silicon.

    Where there is no gold, aluminium takes its place and shines like gold, so the signal jumps
    where gold begins. Beyond the range, where the formulas are singular, a layer hides all below.

    References
    ----------
    V. Artemov et al., Microtomography (report and code), 2022: m = d rho^0.91,
    psi = m / (74 E^1.55 - m), xi = 1 - exp(-A psi), E2 = E exp(-psi^0.45).
    """

    materials: ClassVar[tuple[Material, ...]] = (as_material("gold"), as_material("aluminium"))
    substrate: ClassVar[Material] = as_material("silicon")
    jumps: ClassVar[tuple[bool, ...]] = (True, False)
    SUBSTRATE_SIGNAL: ClassVar[float] = 0.49
    GOLD_SIGNAL: ClassVar[float] = 0.90

    def evaluate(
        self, thickness_nm: Any, beam_kv: NDArray[np.float64], slopes: bool = False
    ) -> tuple[Any, Any]:
        """See :class:`Model`; where gold begins, the slope is that of its side."""
        xp, constant = _namespace(thickness_nm)
        densities = [material.density**0.91 for material in self.materials]
        absorptions = [
            1 / (0.49 * math.exp(-0.022 * (material.mean_atomic_number + 2)))
            for material in self.materials
        ]
        gold, aluminium = (
            thickness_nm[..., layer, None, :, :] * densities[layer] for layer in range(2)
        )
        beam = constant(beam_kv)
        reach = 74.0 * beam**1.55
        upper, upper_left, upper_psi = _film(xp, aluminium, reach, absorptions[1])
        # Below this share nothing is lost; it keeps the root's slope finite.
        loss = xp.clip(upper_psi, 1e-12, None) ** 0.45
        below = reach * xp.exp(-1.55 * loss)
        lower, lower_left, _ = _film(xp, gold, below, absorptions[0])
        bare = gold == 0
        jump = self.GOLD_SIGNAL - self.SUBSTRATE_SIGNAL
        signals = self.SUBSTRATE_SIGNAL + jump * xp.where(bare, upper, lower * (1 - upper))
        if not slopes:
            return signals, None
        upper_slope = (1 - upper) * absorptions[1] * reach / upper_left**2 * densities[1]
        lower_rate = (1 - lower) * absorptions[0]
        gold_slope = (1 - upper) * lower_rate * below / lower_left**2 * densities[0]
        psi_slope = reach / upper_left**2 * densities[1]
        loss_slope = xp.where(upper_psi > 1e-12, 0.45 * loss / xp.clip(upper_psi, 1e-12, None), 0.0)
        loss_slope = loss_slope * psi_slope
        below_slope = -1.55 * below * loss_slope
        covered = (1 - upper) * lower_rate * (-gold / lower_left**2) * below_slope
        covered = covered - lower * upper_slope
        return signals, jump * xp.stack(
            [
                xp.where(bare, 0 * gold_slope, gold_slope),
                xp.where(bare, upper_slope, covered),
            ],
            LAYER - 1,
        )


def _film(xp: Any, mass: Any, reach: Any, absorption: float) -> tuple[Any, Any, Any]:
    """Return a published film's share, the range that it leaves, and the ratio psi."""
    left = xp.clip(reach - mass, 1e-9, None)
    psi = mass / left
    return 1 - xp.exp(-absorption * psi), left, psi


def forward(
    thickness_nm: Any,
    beam_kv: ArrayLike = BEAM_KV,
    model: str = "corrected",
    materials: Sequence[str | Material] = MATERIALS,
    substrate: str | Material = SUBSTRATE,
) -> Any:
    """Return the signal of stacked layers at each beam energy.

    Parameters
    ----------
    thickness_nm : array or torch tensor of shape (..., layers, y, x)
        Thickness in nm, the lowest layer first. A tensor's gradients pass through.
    beam_kv : array of shape (energies,), optional
        From 1 to 50; by default the paper's 5, 6, ..., 35.
    model : {"corrected", "published"}, optional
        :class:`Corrected`, a back-scatter coefficient, or :class:`Published`, in which bare silicon
        is 0.49 at all energies.
    materials : sequence of str or Material, optional
        Of the layers, the lowest first.
    substrate : str or Material, optional
        What lies below them, thicker than all ranges.

    Returns
    -------
    array or tensor of shape (..., energies, y, x)

    Raises
    ------
    PorescopeError
        If a material is not known, the shapes do not fit, or a number is out of its range.
    """
    chosen = layer_model(model, materials, substrate)
    if not hasattr(thickness_nm, "dtype"):
        thickness_nm = np.asarray(thickness_nm, np.float64)
    energies = checked_beam(beam_kv)
    check_layers(thickness_nm, chosen)
    if isinstance(thickness_nm, np.ndarray) and thickness_nm.size:
        check_reach(
            thickness_nm.max(axis=(*range(thickness_nm.ndim - 3), -2, -1)), energies, chosen
        )
    return chosen.evaluate(thickness_nm, energies)[0]


def bare_signal(
    beam_kv: ArrayLike = BEAM_KV,
    model: str = "corrected",
    substrate: str | Material = SUBSTRATE,
) -> NDArray[np.float64]:
    """Return the signal of the bare substrate, (energies,): what a series is normalised to."""
    if model == "published":
        return np.full(len(checked_beam(beam_kv)), Published.SUBSTRATE_SIGNAL)
    return bulk_signal(_solid(substrate), checked_beam(beam_kv))


def layer_model(
    model: str = "corrected",
    materials: Sequence[str | Material] = MATERIALS,
    substrate: str | Material = SUBSTRATE,
) -> Model:
    """Return the model of layers; parameters as for :func:`forward`."""
    if isinstance(materials, str) or not 0 < len(materials) <= MOST_LAYERS:
        raise PorescopeError(f"Give the materials of 1 to {MOST_LAYERS} layers, the lowest first.")
    solids = tuple(_solid(material) for material in materials)
    if model == "corrected":
        return Corrected(solids, _solid(substrate))
    if model != "published":
        raise PorescopeError(f"There is no model {model!r}; take one of {', '.join(MODELS)}.")
    if solids != Published.materials or _solid(substrate) != Published.substrate:
        raise PorescopeError(
            "The published model knows aluminium on gold on silicon only; take the corrected one."
        )
    return Published()


def check_layers(thickness_nm: Any, model: Model) -> None:
    """Refuse maps that are not one a layer, or, of numpy, hold what is no thickness.

    Raises
    ------
    PorescopeError
        With what is wrong.
    """
    if len(thickness_nm.shape) < 3 or thickness_nm.shape[LAYER] != len(model.materials):
        names = ", ".join(material.name for material in model.materials)
        raise PorescopeError(
            f"Give maps of thickness of shape ({len(model.materials)}, y, x), one for each of "
            f"{names} from the bottom up, not {tuple(thickness_nm.shape)}."
        )
    if isinstance(thickness_nm, np.ndarray) and not (
        np.isfinite(thickness_nm).all() and (thickness_nm >= 0).all()
    ):
        raise PorescopeError("The thickness of a layer must be 0 nm or above everywhere.")


def check_reach(
    thickest_nm: NDArray[np.float64], beam_kv: NDArray[np.float64], model: Model
) -> None:
    """Refuse layers that are thicker than the published formulas hold; the corrected hold for all.

    Raises
    ------
    PorescopeError
        With the layer and how thick it may be.
    """
    if not isinstance(model, Published):
        return
    for material, thickest in zip(model.materials, thickest_nm, strict=True):
        most = 74.0 * beam_kv.min() ** 1.55 / material.density**0.91
        if thickest >= most:
            raise PorescopeError(
                f"A layer of {thickest:g} nm of {material.name} is thicker than the published "
                f"model holds at {beam_kv.min():g} keV, {most:.4g} nm; take the corrected model, "
                "or leave out the lowest energies."
            )


def checked_beam(beam_kv: ArrayLike) -> NDArray[np.float64]:
    """Return beam energies as an array (energies,).

    Raises
    ------
    PorescopeError
        If there is none, or one is no number from 1 to 50.
    """
    energies = np.atleast_1d(checked_numbers("The beam energy in keV", beam_kv, BEAMS_KV))
    if energies.ndim != 1 or not energies.size:
        raise PorescopeError("Give the beam energies in keV as a list, one for each image.")
    return energies


def bulk_signal(material: Material, beam_kv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the back-scatter coefficient of a thick solid at each energy."""
    return np.asarray(hunger_kuechler(material.mean_atomic_number, beam_kv))


def range_nm(material: Material, beam_kv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the path on which electrons lose all their energy, after Joy and Luo."""
    return np.interp(np.log(1000 * beam_kv), *_path(material))


@cache
def _path(material: Material) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    log_ev = np.linspace(math.log(CUT_OFF_EV), math.log(1000 * BEAMS_KV[1]), 4096)
    energy_ev = np.exp(log_ev)
    per_log = energy_ev / stopping_power(material, energy_ev)
    steps = np.diff(log_ev) * (per_log[1:] + per_log[:-1]) / 2
    return log_ev, per_log[0] + np.concatenate([[0.0], np.cumsum(steps)])


def _solid(material: str | Material) -> Material:
    found = as_material(material)
    if found.is_vacuum:
        raise PorescopeError("A layer or substrate must be a solid, not vacuum; leave it out.")
    return found


def _namespace(thickness_nm: Any) -> tuple[Any, Any]:
    """Return numpy or torch, and what makes a constant of (energies,) ready to meet maps."""
    if isinstance(thickness_nm, np.ndarray):
        kind = np.result_type(thickness_nm.dtype, np.float32)
        return np, lambda values: values.astype(kind)[:, np.newaxis, np.newaxis]
    import torch

    return torch, lambda values: torch.as_tensor(
        values, dtype=thickness_nm.dtype, device=thickness_nm.device
    )[:, None, None]
