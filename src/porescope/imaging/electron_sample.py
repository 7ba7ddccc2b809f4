"""A sample made ready for electrons, once for all planes and voltages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.materials import Material, as_material, check_labels
from porescope.imaging.pore_walls import wall_words
from porescope.imaging.transport import core_materials, secondary_reach_nm
from porescope.stack import checked_spacing_nm

MOST_MATERIALS = 15
MOST_VOXELS = 2**31 - 1
LARGEST_VOXEL_NM = 1e5  # no electron of 30 keV gets as far
DEFAULT_MATERIALS: Mapping[int, str | Material] = {0: "vacuum", 1: "carbon"}
# Cells that primitives are sorted into: so many for the size of a typical one, and for the box.
_CELLS_A_PRIMITIVE = 4
_LEAST_CELLS, _MOST_CELLS = 32**3, 2**25
_MOST_CELLS_ALONG = 2**16


@dataclass(frozen=True, eq=False)
class ElectronSample:
    """Voxels of materials, or primitives, as the native core takes them.

    Attributes
    ----------
    geometry : _core.VoxelSample or _core.BodySample
    materials : tuple of Material
        The solids among them, in the core's order.
    shape : (float, float, float)
        In voxels, or in the unit of the primitives.
    voxel_nm : (float, float, float)
        Size of a voxel, or of that unit.
    porous : bool
        Whether there is vacuum in it.
    secondaries : bool
        Whether it tells of secondary electrons.
    periodic : bool
        Whether its sides lead in again on the other side; they mirror if not.
    """

    geometry: _core.VoxelSample | _core.BodySample
    materials: tuple[Material, ...]
    shape: tuple[float, float, float]
    voxel_nm: tuple[float, float, float]
    porous: bool
    secondaries: bool
    periodic: bool

    @property
    def core_materials(self) -> _core.Materials:
        """The core's tables of the materials."""
        return core_materials(self.materials)


def electron_sample(
    sample: Primitives | NDArray[Any],
    voxel_nm: float | Sequence[float],
    materials: Mapping[int, str | Material] | None = None,
    *,
    secondaries: bool = True,
    periodic: bool = False,
) -> ElectronSample:
    """Make labelled voxels or primitives ready for electrons.

    Parameters
    ----------
    sample : array of shape (z, y, x), bool or whole numbers, or Primitives
        Labels, or solids that fill a box: they are label 1, and what they leave is label 0. Where
        they overlap or touch they are one body.
    voxel_nm : float or sequence of three floats
        Size of a voxel, or sizes along z, y and x. Of primitives, that of their unit.
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
        If the labels are none, one of them has no material, a size makes no sense, or primitives
        tell no box, are vacuum, or are too many or too large for it.
    """
    if materials is None:
        materials = DEFAULT_MATERIALS
    if not isinstance(materials, Mapping):
        raise PorescopeError(
            f'Name materials by their labels, such as {{0: "epoxy", 1: "gold"}}, not {materials!r}.'
        )
    if isinstance(sample, Primitives):
        return _of_primitives(sample, voxel_nm, materials, secondaries, periodic)
    labels = np.asarray(sample)
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
    if max(spacing_nm) > LARGEST_VOXEL_NM:
        raise PorescopeError(
            f"Voxels of {max(spacing_nm):g} nm are too large to follow electrons in; take at most "
            f"{LARGEST_VOXEL_NM:g} nm."
        )
    numbers, solids = _numbered(labels, materials)
    voxels = _core.VoxelSample(numbers, spacing_nm)
    if secondaries and voxels.porous:
        voxels.set_surfaces(wall_words(numbers != 0, spacing_nm, periodic))
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    return ElectronSample(voxels, solids, shape, spacing_nm, voxels.porous, secondaries, periodic)


def _of_primitives(
    primitives: Primitives,
    unit_nm: float | Sequence[float],
    materials: Mapping[int, str | Material],
    secondaries: bool,
    periodic: bool,
) -> ElectronSample:
    if not isinstance(unit_nm, int | float | np.number):
        raise PorescopeError(
            f"The unit of primitives is the same along z, y and x; give one number of nm, not "
            f"{unit_nm!r}."
        )
    sizes_nm = checked_spacing_nm([unit_nm] * 3)
    if primitives.shape is None:
        raise PorescopeError(
            "These primitives tell no box; give Primitives(..., shape=(z, y, x)), its size."
        )
    missing = [label for label in (0, 1) if label not in materials]
    if missing:
        raise PorescopeError(
            f"Name a material for label {missing[0]}; primitives are 1, and what they leave is 0."
        )
    filler, solid = (as_material(materials[label]) for label in (0, 1))
    if solid.is_vacuum:
        raise PorescopeError(
            "Primitives of vacuum cannot be imaged exactly; name a solid for label 1, or voxelize "
            "them."
        )
    solids = (solid,) if filler.is_vacuum or filler == solid else (solid, filler)
    try:
        bodies = _core.BodySample(
            # The same one twice would be looked at twice.
            np.unique(primitives.spheres, axis=0),
            np.unique(primitives.cylinders, axis=0),
            np.unique(primitives.cuboids, axis=0),
            primitives.shape,
            _cells(primitives, primitives.shape),
            sizes_nm[0],
            1,
            0 if filler.is_vacuum else solids.index(filler) + 1,
            secondary_reach_nm(solids) if secondaries else 0.0,
        )
    except ValueError as error:
        raise PorescopeError(str(error)) from error
    return ElectronSample(
        bodies, solids, primitives.shape, sizes_nm, filler.is_vacuum, secondaries, periodic
    )


def _cells(primitives: Primitives, box: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return into how many cells (z, y, x) to divide the box."""
    spheres, cylinders, cuboids = primitives.spheres, primitives.cylinders, primitives.cuboids
    sizes = np.concatenate(
        [
            2 * spheres[:, 3],
            np.cbrt(4 * cylinders[:, 6]) * np.cbrt(cylinders[:, 6]) * np.cbrt(cylinders[:, 7]),
            np.prod(np.cbrt(cuboids[:, 7:]), axis=1),
        ]
    )
    edge = float(np.prod(np.cbrt(box)))
    least, most = edge / np.cbrt(_MOST_CELLS), edge / np.cbrt(_LEAST_CELLS)
    cell = np.clip(np.median(sizes) / _CELLS_A_PRIMITIVE, least, most)
    z, y, x = (int(np.clip(np.rint(size / cell), 1, _MOST_CELLS_ALONG)) for size in box)
    return z, y, x


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
    check_labels(present, made_of)
    of_label = np.zeros(len(present), np.uint8)
    for place, label in enumerate(present):
        material = made_of[int(label)]
        of_label[place] = 0 if material.is_vacuum else solids.index(material) + 1
    return of_label[np.searchsorted(present, labels)], solids
