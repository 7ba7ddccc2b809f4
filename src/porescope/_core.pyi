"""The native core: counter-based random numbers and exact distances, on all processor cores.

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
