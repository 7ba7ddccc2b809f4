"""What a sample is made of, as electrons meet it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError


class Element(NamedTuple):
    """A chemical element, with the k and the ionisation energy of Joy and Luo's energy loss."""

    atomic_number: int
    atomic_mass: float
    joy_luo_k: float
    ionisation_ev: float


# Those with tables of elastic scattering. Where Joy and Luo give no k it is 0.734 Z^0.037.
ELEMENTS = {
    "H": Element(1, 1.008, 0.734, 19.2),
    "C": Element(6, 12.011, 0.77, 78.0),
    "N": Element(7, 14.007, 0.789, 82.0),
    "O": Element(8, 15.999, 0.793, 95.0),
    "Al": Element(13, 26.982, 0.815, 163.0),
    "Si": Element(14, 28.085, 0.822, 172.0),
    "Cu": Element(29, 63.546, 0.83, 314.0),
    "Ag": Element(47, 107.868, 0.852, 470.0),
    "Au": Element(79, 196.967, 0.851, 790.0),
}


@dataclass(frozen=True)
class Material:
    """A solid, or vacuum if its density is 0.

    Attributes
    ----------
    name : str
    fractions : tuple of (str, float)
        Elements and their mass fractions, which sum to 1.
    density : float
        In g/cm3.
    lambda_nm, eps_ev : float, optional
        Of secondary electrons: how deep they escape from, in nm, and the energy that one costs, in
        eV. Without them the material gives none and :func:`~porescope.imaging.secondary_yield`
        refuses.

    Raises
    ------
    PorescopeError
        If a number is out of its range or an element has no tables.
    """

    name: str
    fractions: tuple[tuple[str, float], ...]
    density: float
    lambda_nm: float | None = None
    eps_ev: float | None = None

    def __post_init__(self) -> None:
        for element, fraction in self.fractions:
            if element not in ELEMENTS:
                raise PorescopeError(
                    f"{self.name}: there are no scattering tables for {element}, only for "
                    f"{', '.join(ELEMENTS)}."
                )
            if not (isfinite(fraction) and fraction > 0):
                raise PorescopeError(f"{self.name}: the share of {element} must be above 0.")
        if len(dict(self.fractions)) != len(self.fractions):
            raise PorescopeError(f"{self.name}: an element is named twice.")
        if self.fractions and abs(sum(share for _, share in self.fractions) - 1) > 1e-6:
            raise PorescopeError(f"{self.name}: the mass fractions must sum to 1.")
        if not (isfinite(self.density) and (self.density > 0 or not self.fractions)):
            raise PorescopeError(f"{self.name}: the density must be above 0 g/cm3.")
        if (self.lambda_nm is None) != (self.eps_ev is None):
            raise PorescopeError(f"{self.name}: give both lambda_nm and eps_ev, or neither.")
        for value in (self.lambda_nm, self.eps_ev):
            if value is not None and not (isfinite(value) and value > 0):
                raise PorescopeError(f"{self.name}: lambda_nm and eps_ev must be above 0.")

    @property
    def mean_atomic_number(self) -> float:
        """Weighted by mass."""
        return sum(share * ELEMENTS[element].atomic_number for element, share in self.fractions)

    @property
    def is_vacuum(self) -> bool:
        """Whether electrons fly through without loss."""
        return not self.fractions

    @property
    def secondaries_known(self) -> bool:
        """Whether it can be told how many secondary electrons it gives; vacuum gives none."""
        return self.is_vacuum or self.lambda_nm is not None


def _atoms(name: str, formula: str) -> dict[str, float]:
    if not re.fullmatch(r"([A-Z][a-z]?(\d+(\.\d+)?)?)+", formula):
        raise PorescopeError(
            f"{name}: {formula!r} is no formula such as SiO2; write brackets out, "
            "Al(OH)3 as AlO3H3."
        )
    atoms: dict[str, float] = {}
    for element, count in re.findall(r"([A-Z][a-z]?)([\d.]*)", formula):
        atoms[element] = atoms.get(element, 0.0) + float(count or 1)
    return atoms


def check_labels(labels: NDArray[Any], materials: Mapping[int, Any]) -> None:
    """Refuse labels that have no material.

    Parameters
    ----------
    labels : array
        Of a sample, or of a part of it.
    materials : mapping
        By label.

    Raises
    ------
    PorescopeError
        Naming some of them.
    """
    known = np.isin(labels, list(materials))
    if not known.all():
        unknown = [f"{float(label):g}" for label in np.unique(labels[~known])]
        named = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise PorescopeError(
            f"The sample has labels without a material: {named}. Name one for each, or segment it "
            "first if it is an image."
        )


def compound(
    name: str,
    composition: str | Mapping[str, float],
    density: float,
    *,
    lambda_nm: float | None = None,
    eps_ev: float | None = None,
) -> Material:
    """Return a material from a formula or from mass fractions.

    Parameters
    ----------
    name : str
        What errors and tables call it.
    composition : str or mapping of str to float
        A formula without brackets, ``"SiO2"``, or mass fractions, ``{"C": 0.8, "H": 0.2}``, which
        are scaled to sum to 1.
    density : float
        In g/cm3.
    lambda_nm, eps_ev : float, optional
        Of secondary electrons, see :class:`Material`.

    Returns
    -------
    Material

    Raises
    ------
    PorescopeError
        If the formula cannot be read, a number is out of its range or an element has no tables.
    """
    if isinstance(composition, str):
        atoms = _atoms(name, composition)
        masses = {
            element: count * (ELEMENTS[element].atomic_mass if element in ELEMENTS else 1.0)
            for element, count in atoms.items()
        }
    else:
        masses = dict(composition)
    total = sum(masses.values())
    if not (isfinite(total) and total > 0):
        raise PorescopeError(f"{name}: the composition names no mass.")
    return Material(
        name,
        tuple((element, mass / total) for element, mass in masses.items()),
        density,
        lambda_nm,
        eps_ev,
    )


# Escape depths and energies a secondary are fits to measured yields (D. C. Joy's database, 2001),
# which hold the two apart but loosely; those of epoxy are an estimate. At 1 nm the yields of carbon
# and silicon fall from 1 to 3 kV as measured, and more steeply from deeper. Copper and silver have
# none until a fit is at hand.
_KNOWN = {
    material.name: material
    for material in (
        Material("vacuum", (), 0.0),
        compound("carbon", "C", 1.8, lambda_nm=1.0, eps_ev=28.0),
        compound("aluminium", "Al", 2.70, lambda_nm=2.0, eps_ev=27.0),
        compound("silicon", "Si", 2.33, lambda_nm=1.0, eps_ev=20.0),
        compound("copper", "Cu", 8.96),
        compound("silver", "Ag", 10.49),
        compound("gold", "Au", 19.3, lambda_nm=1.0, eps_ev=38.0),
        # Bisphenol-A diglycidyl ether.
        compound("epoxy", "C21H24O4", 1.18, lambda_nm=3.0, eps_ev=40.0),
    )
}


def material_names() -> list[str]:
    """Return the names that stand for a material."""
    return list(_KNOWN)


def as_material(material: str | Material) -> Material:
    """Return the material of a name, or the material itself.

    Raises
    ------
    PorescopeError
        If no material has this name.
    """
    if isinstance(material, Material):
        return material
    if material not in _KNOWN:
        raise PorescopeError(
            f"There is no material {material!r}; take one of {', '.join(_KNOWN)}, or make it with "
            "porescope.imaging.compound."
        )
    return _KNOWN[material]
