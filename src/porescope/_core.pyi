"""The native core: random numbers, distances, heightfields, on all processor cores.

Results never depend on the number of threads; ``threads=0`` takes all cores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def philox4x32(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Return one block of Philox4x32-10, the generator beneath `uniform` and `normal`.

    Parameters
    ----------
    counter : sequence of four ints
        Words of 32 bits, least significant first.
    key : sequence of two ints
        Words of 32 bits.

    Returns
    -------
    list of four ints
        Random words of 32 bits.

    References
    ----------
    J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC'11 (2011),
    doi:10.1145/2063384.2063405.
    """

def uniform(
    seed: int, stream: int, offset: int, count: int, threads: int = 0
) -> NDArray[np.float64]:
    """Return random numbers uniform in (0, 1), both ends excluded.

    Parameters
    ----------
    seed, stream, offset : int
        From 0 to 2**64 - 1. Number ``k`` depends on ``seed``, ``stream`` and ``offset + k`` only.
    count : int
        How many.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    array of shape (count,), float64

    Raises
    ------
    TypeError
        If a number is negative or beyond 64 bits.
    ValueError
        If ``offset + count`` leaves the stream.
    """

def normal(
    seed: int, stream: int, offset: int, count: int, threads: int = 0
) -> NDArray[np.float64]:
    """Return standard normal random numbers; parameters and errors as for `uniform`.

    Returns
    -------
    array of shape (count,), float64
    """

def distance_to_other_label(
    labels: NDArray[Any], spacing_nm: Sequence[float], threads: int = 0
) -> NDArray[np.float32]:
    """Return for each voxel the distance to the nearest voxel with another label.

    Parameters
    ----------
    labels : array of shape (z, y, x), bool, uint8, uint16 or uint32
        Read in place, views too.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x) in nm.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    array of shape (z, y, x), float32
        Distance in nm between voxel centres; infinity where all voxels have one label. The faces of
        the volume are no border.

    Raises
    ------
    TypeError
        If the labels are no three-dimensional array of one of these types.
    ValueError
        If a spacing is not finite and above zero.

    References
    ----------
    P. F. Felzenszwalb, D. P. Huttenlocher, Theory of Computing 8 (2012) 415,
    doi:10.4086/toc.2012.v008a019; A. Meijster et al. (2000), doi:10.1007/0-306-47025-X_36.
    """

def volume_heightfield(
    volume: NDArray[Any],
    spacing: Sequence[float],
    plane_z: float,
    layers: int,
    level: float | None = None,
    threads: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return where the column below each pixel of a plane enters and leaves the solid.

    Parameters
    ----------
    volume : array of shape (z, y, x)
        Labels (bool, uint8, uint16 or uint32), solid where not 0; or with a level a field (float32,
        float64, uint8 or uint16) of values at voxel centres, linear in between along z and constant
        beyond the outer ones, solid where at least the level. Read in place, views too.
    spacing : sequence of three floats
        Voxel size (z, y, x).
    plane_z : float
        Depth of the plane in voxels: at least 0, below the number of slices.
    layers : int
        How many intervals of solid, from 1 to 8.
    level : float, optional
        Least value of the solid, in the precision of the field; needed by floats.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    entry, exit : arrays of shape (layers, y, x), float32
        Depths below the plane, in the unit of ``spacing``, where the solid begins and ends for the
        first, second ... time; infinity where it does not. A column that is solid at the plane has
        entry 0; solid that reaches the last slice ends there. Beside a value of a field that is not
        finite, the border is the voxel face; NaN is pore.
    normal : array of shape (3, y, x), float32
        Outward unit normal (z, y, x) at the first entry, z counted toward the beam and never below
        0; (1, 0, 0) where the solid is cut by the plane or the gradient vanishes, (0, 0, 0) where
        there is no solid. Of a field, from its central differences; of labels, from the occupancy
        under derivatives of a Gaussian with a sigma of 1.5 times the largest spacing, in a box that
        reaches two sigma or seven voxels from the voxel face. The volume goes on as it ends.

    Raises
    ------
    TypeError
        If the volume is no three-dimensional array of one of these types, or level and type do not
        go together.
    ValueError
        If the volume is empty, the plane outside, or another number out of its range.
    """

def instruction_sets() -> list[str]:
    """Return what `Bins.heightfield` can use here, fastest first: avx512, avx2, plain."""

def voxelize(
    spheres: NDArray[np.float64],
    cylinders: NDArray[np.float64],
    cuboids: NDArray[np.float64],
    start: Sequence[int],
    shape: Sequence[int],
    threads: int = 0,
) -> NDArray[np.bool_]:
    """Return which voxels of a block have their centre in a primitive.

    Parameters
    ----------
    spheres, cylinders, cuboids : arrays of shape (n, 4), (n, 8) and (n, 10), float64
        As in :class:`porescope.geometry.Primitives`.
    start, shape : sequence of three ints
        First voxel (z, y, x) of the block and its number of voxels.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    array of shape (z, y, x), bool
    """

class Bins:
    """Primitives sorted into tiles of pixels and, in each, along the beam; for many planes.

    Parameters
    ----------
    spheres, cylinders, cuboids : arrays of shape (n, 4), (n, 8) and (n, 10), float64
        As in :class:`porescope.geometry.Primitives`; not checked again.
    rows, columns : int
        Pixels of the planes.
    threads : int, optional
        Processor threads; 0 takes all.
    """

    def __init__(
        self,
        spheres: NDArray[np.float64],
        cylinders: NDArray[np.float64],
        cuboids: NDArray[np.float64],
        rows: int,
        columns: int,
        threads: int = 0,
    ) -> None: ...
    def heightfield(
        self, plane_z: float, layers: int, threads: int = 0, instruction_set: str = ""
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the extended heightfield of one plane.

        Parameters
        ----------
        plane_z : float
            Depth of the plane.
        layers : int
            How many stretches of solid, from 1 to 8.
        threads : int, optional
            Processor threads; 0 takes all.
        instruction_set : str, optional
            One of `instruction_sets`; the fastest by default. All give the same bits.

        Returns
        -------
        entry, exit : arrays of shape (layers, y, x), float32
        normal : array of shape (3, y, x), float32
            As in :class:`porescope.imaging.HeightField`.

        Raises
        ------
        ValueError
            If a number is out of its range, or the processor lacks the instruction set.
        """

def device_arrays(
    bins: Bins | Materials | VoxelSample | BodySample,
) -> list[NDArray[np.uint8]]:
    """Return the arrays that a GPU needs of an object, as bytes.

    Returns
    -------
    list of arrays of shape (bytes,), uint8
        Views that keep the object alive; not to be written to.
    """

def device_view(bins: Bins, addresses: Sequence[int]) -> bytes:
    """Return the first argument of the kernels in ``cuda/heightfield.cu``: a struct, by value.

    Parameters
    ----------
    bins : Bins
    addresses : sequence of ints
        Where the arrays of :func:`device_arrays` lie on the GPU, in the same order.

    Returns
    -------
    bytes
    """

class Materials:
    """What electrons need to know of solids; made by ``porescope.imaging.transport``.

    Parameters
    ----------
    row_at_range : array of shape (materials, 513), float32
        Row of the energy in the elastic tables, over the residual range in units of that at 50 eV:
        32 nodes for each doubling. Here and below number 0 is vacuum.
    at_row : array of shape (materials, 16 * rows + 1, 2), float32
        Residual range and mean free path in nm, over the row.
    constants : array of shape (materials, 4), float32
        Residual range at 50 eV in nm, 1 / lambda, 1 / eps, and how many times farther than its
        range an electron gets in other solids.
    screening : array of shape (materials, rows), float32
    quantiles : array of shape (materials, rows, 129), float32
    top_ev, log_step : float
        Energy that a row beyond the last would have, and the step of its logarithm between rows.
    secondary_reach_nm : float
        No secondaries are expected from deeper.

    Raises
    ------
    ValueError
        If the tables do not go together.
    """

    def __init__(
        self,
        row_at_range: NDArray[np.float32],
        at_row: NDArray[np.float32],
        constants: NDArray[np.float32],
        screening: NDArray[np.float32],
        quantiles: NDArray[np.float32],
        top_ev: float,
        log_step: float,
        secondary_reach_nm: float,
    ) -> None: ...

class VoxelSample:
    """Voxels of materials, ready for electrons at any plane.

    Parameters
    ----------
    material : array of shape (z, y, x), uint8
        0 for vacuum, else a material counted from 1.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x).

    Raises
    ------
    ValueError
        If there are no voxels or 2^31 and more, or a size is not above 0.
    """

    def __init__(self, material: NDArray[np.uint8], spacing_nm: Sequence[float]) -> None: ...
    def set_surfaces(self, surfaces: NDArray[np.uint32]) -> None:
        """Say where the walls of pores lie; see :mod:`porescope.imaging.pore_walls`."""

    @property
    def porous(self) -> bool:
        """Whether there is vacuum."""

class BodySample:
    """Primitives in a box, ready for electrons at any plane.

    Parameters
    ----------
    spheres, cylinders, cuboids : arrays of shape (n, 4), (n, 8) and (n, 10), float64
        As in :class:`porescope.geometry.Primitives`; not checked again.
    box : sequence of three floats
        Size (z, y, x) from the origin, in the unit of the primitives.
    cells : sequence of three ints
        Into how many cells it is divided along z, y and x.
    unit_nm : float
    solid, filler : int
        Materials of the primitives, counted from 1, and of what they leave, 0 for vacuum.
    reach_nm : float
        How deep secondaries come from; 0 if none are asked for.

    Raises
    ------
    ValueError
        If a number makes no sense, a wall cannot be told exactly, or too many primitives overlap.
    """

    def __init__(
        self,
        spheres: NDArray[np.float64],
        cylinders: NDArray[np.float64],
        cuboids: NDArray[np.float64],
        box: Sequence[float],
        cells: Sequence[int],
        unit_nm: float,
        solid: int,
        filler: int,
        reach_nm: float,
    ) -> None: ...

def image_plane(
    materials: Materials,
    sample: VoxelSample | BodySample,
    plane: float,
    energy_ev: float,
    direction: Sequence[float],
    electrons: int,
    pixel_nm: float,
    pixels: Sequence[int],
    first_nm: Sequence[float],
    probe_nm: float,
    windows: NDArray[np.float32],
    secondaries: bool,
    periodic: bool,
    seed: int,
    first_row: int,
    rows: int,
    threads: int = 0,
    instruction_set: str = "",
) -> NDArray[np.float32]:
    """Scan rows of pixels; see :func:`porescope.imaging.simulate_monte_carlo`.

    Parameters
    ----------
    plane : float
        In voxels, or in the unit of primitives.
    first_nm : sequence of two floats
        Where the first pixel begins, along y and x.
    probe_nm : float
        Standard deviation of the beam.
    windows : array of shape (detectors, 10), float32
        See :class:`porescope.imaging.detectors.Window`.
    instruction_set : str, optional
        "avx512", "avx2" or "plain"; by default the widest there is.

    Returns
    -------
    array of shape (3 + detectors, rows, x), float32
        Electrons back-scattered, secondaries, electrons transmitted, and what each detector sees.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

def device_plane(
    materials: Materials,
    sample: VoxelSample | BodySample,
    plane: float,
    energy_ev: float,
    direction: Sequence[float],
    electrons: int,
    pixel_nm: float,
    pixels: Sequence[int],
    first_nm: Sequence[float],
    probe_nm: float,
    windows: NDArray[np.float32],
    secondaries: bool,
    periodic: bool,
    seed: int,
    first_row: int,
    rows: int,
    materials_at: Sequence[int],
    sample_at: Sequence[int],
    windows_at: int,
    sums_at: int,
    next_at: int,
) -> tuple[str, bytes]:
    """Return which kernel of ``cuda/montecarlo.cu`` scans rows of pixels, and its argument.

    Parameters
    ----------
    materials, sample, plane, ..., rows
        As for :func:`image_plane`.
    materials_at, sample_at : sequences of ints
        Where the arrays of :func:`device_arrays` lie on the GPU, in the same order.
    windows_at, sums_at, next_at : int
        And where the windows lie, whole numbers of 64 bits for what the image has floats for, in
        parts of an electron, and one for the next electron; all 0 to begin with.

    Returns
    -------
    name : str
    argument : bytes
        A struct, by value.
    """

parts_of_electron: float

def trace_layers(
    materials: Materials,
    layer_material: Sequence[int],
    thickness_nm: Sequence[float],
    energy_ev: float,
    direction: Sequence[float],
    first: int,
    electrons: int,
    seed: int,
    secondaries: bool = True,
    threads: int = 0,
    instruction_set: str = "",
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Follow electrons into plane layers; see :func:`porescope.imaging.transport.trace_layers`.

    Parameters
    ----------
    materials : Materials
    layer_material : sequence of ints
        0 for vacuum, else a material counted from 1; the first a solid.
    thickness_nm : sequence of floats
    energy_ev : float
    direction : sequence of three floats
        Of the beam, a unit vector (z, y, x).
    first, electrons : int
        Number of the first electron, and how many.
    seed : int
    secondaries : bool, optional
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    energy_ev : array of shape (electrons,), float32
    direction : array of shape (electrons, 3), float32
    deepest_nm, secondaries : arrays of shape (electrons,), float32

    Raises
    ------
    ValueError
        If the layers make no sense.
    """

def first_collisions(
    materials: Materials,
    material: int,
    energy_ev: float,
    direction: Sequence[float],
    count: int,
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the first elastic collision of electrons, to check the tables by.

    Returns
    -------
    path_nm : array of shape (count,), float32
        Free path before it.
    direction : array of shape (count, 3), float32
        After it, a unit vector (z, y, x).
    """

def device_collisions(
    materials: Materials,
    material: int,
    energy_ev: float,
    direction: Sequence[float],
    count: int,
    seed: int,
    materials_at: Sequence[int],
    path_at: int,
    direction_at: int,
) -> bytes:
    """Return the argument of the kernel of `first_collisions`; see :func:`device_plane`."""
