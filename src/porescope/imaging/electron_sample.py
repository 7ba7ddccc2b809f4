"""A sample made ready for electrons, once for all planes and voltages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.imaging.materials import Material, as_material
from porescope.imaging.pore_walls import wall_words
from porescope.imaging.transport import core_materials
from porescope.stack import checked_spacing_nm

MOST_MATERIALS = 15
MOST_VOXELS = 2**31 - 1
DEFAULT_MATERIALS: Mapping[int, str | Material] = {0: "vacuum", 1: "carbon"}


@dataclass(frozen=True, eq=False)
class ElectronSample:
    """Voxels of materials, as the native core takes them.

    Attributes
    ----------
    voxels : _core.VoxelSample
    materials : tuple of Material
        The solids among them, in the core's order.
    shape : (int, int, int)
    voxel_nm : (float, float, float)
    porous : bool
        Whether there is vacuum in it.
    secondaries : bool
        Whether it tells of secondary electrons.
    periodic : bool
        Whether its sides lead in again on the other side; they mirror if not.
    """

    voxels: _core.VoxelSample
    materials: tuple[Material, ...]
    shape: tuple[int, int, int]
    voxel_nm: tuple[float, float, float]
    porous: bool
    secondaries: bool
    periodic: bool

    @property
    def core_materials(self) -> _core.Materials:
        """The core's tables of the materials."""
        return core_materials(self.materials)


def electron_sample(
    labels: NDArray[Any],
    voxel_nm: float | Sequence[float],
    materials: Mapping[int, str | Material] | None = None,
    *,
    secondaries: bool = True,
    periodic: bool = False,
) -> ElectronSample:
    """Make labelled voxels ready for electrons.

    Parameters
    ----------
    labels : array of shape (z, y, x), bool or whole numbers
    voxel_nm : float or sequence of three floats
        Size of a voxel, or sizes along z, y and x.
    materials : mapping of int to str or Material, optional
        What each label is; by default 0 is vacuum and 1 carbon.
    secondaries : bool, optional
        Whether secondary electrons are to be told too; takes four bytes more a voxel where there is
        vacuum.
    periodic : bool, optional
        Whether the sides lead in again on the other side. By default they mirror.

    Returns
    -------
    ElectronSample

    Raises
    ------
    PorescopeError
        If the labels are none, one of them has no material, or a size makes no sense.
    """
    labels = np.asarray(labels)
    if labels.ndim != 3 or labels.dtype.kind not in "bui":
        raise PorescopeError(
            "A sample for electrons is a volume (z, y, x) of labels, whole numbers or true and "
            f"false, not {labels.ndim} axes of {labels.dtype}."
        )
    if not 0 < labels.size <= MOST_VOXELS:
        raise PorescopeError(
            f"A sample of {' x '.join(map(str, labels.shape))} voxels cannot be taken at once; "
            "take from 1 to 2^31 - 1 voxels."
        )
    sizes = [voxel_nm] * 3 if isinstance(voxel_nm, int | float | np.number) else voxel_nm
    spacing_nm = checked_spacing_nm(sizes)
    numbers, solids = _numbered(labels, materials or DEFAULT_MATERIALS)
    voxels = _core.VoxelSample(numbers, spacing_nm)
    if secondaries and voxels.porous:
        voxels.set_surfaces(wall_words(numbers != 0, spacing_nm, periodic))
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    return ElectronSample(voxels, solids, shape, spacing_nm, voxels.porous, secondaries, periodic)


def _numbered(
    labels: NDArray[Any], materials: Mapping[int, str | Material]
) -> tuple[NDArray[np.uint8], tuple[Material, ...]]:
    """Return the core's number of each voxel's material, and the solids that they count."""
    made_of = {int(label): as_material(material) for label, material in materials.items()}
    solids = tuple(dict.fromkeys(made for made in made_of.values() if not made.is_vacuum))
    if not solids:
        raise PorescopeError("All of the sample is vacuum; name a material for one of the labels.")
    if len(solids) > MOST_MATERIALS:
        raise PorescopeError(f"A sample has at most {MOST_MATERIALS} materials.")
    present = np.unique(labels)
    unknown = [str(label) for label in present if int(label) not in made_of]
    if unknown:
        named = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise PorescopeError(
            f"The sample has labels without a material: {named}. Name one for each."
        )
    of_label = np.zeros(len(present), np.uint8)
    for place, label in enumerate(present):
        material = made_of[int(label)]
        of_label[place] = 0 if material.is_vacuum else solids.index(material) + 1
    return of_label[np.searchsorted(present, labels)], solids
