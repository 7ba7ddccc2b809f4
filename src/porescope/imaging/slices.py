"""Where the slices of a synthetic stack lie: milling removes a little more or less each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry.blocks import check_above_zero, check_count
from porescope.imaging.noise import slice_random


def gamma_shape_and_scale(mean_nm: float, deviation_nm: float) -> tuple[float, float]:
    """Return the gamma distribution that has a mean and a standard deviation.

    Parameters
    ----------
    mean_nm, deviation_nm : float
        The deviation above 0, at most the mean: beyond it, most slices would have no thickness.

    Returns
    -------
    shape : float
        ``(mean / deviation)^2``.
    scale_nm : float
        ``deviation^2 / mean``.

    Raises
    ------
    PorescopeError
        If a number is out of its range.
    """
    check_above_zero("The mean slice thickness in nm", mean_nm)
    check_above_zero("The deviation of the slice thickness in nm", deviation_nm)
    if deviation_nm > mean_nm:
        raise PorescopeError(
            f"Slices of {mean_nm:g} nm cannot deviate by {deviation_nm:g} nm; take at most the "
            "mean thickness."
        )
    return (mean_nm / deviation_nm) ** 2, deviation_nm**2 / mean_nm


def gamma_slice_z_nm(
    count: int,
    mean_nm: float = 10.16,
    deviation_nm: float = 3.12,
    *,
    step_nm: float | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return positions of slices whose thicknesses vary as those of real ones.

    Parameters
    ----------
    count : int
        How many slices.
    mean_nm, deviation_nm : float, optional
        Of the thickness; by default what a ruler measured on nanoporous gold with a target of
        10 nm. With a deviation of 0 the slices lie evenly.
    step_nm : float, optional
        Thicknesses become whole multiples of this, one at least, so that slices fall on the planes
        of a voxel volume; the reference takes 2.5 nm.
    seed : int, optional
        With the same seed a longer stack begins as a shorter one does.

    Returns
    -------
    array of shape (count,), float64
        In nm, from 0 on.

    Raises
    ------
    PorescopeError
        If a number is out of its range.

    References
    ----------
    T. Sardhara et al., Ultramicroscopy 256 (2024) 113878, doi:10.1016/j.ultramic.2023.113878,
    section 2.1.2: a gamma distribution fitted to measured thicknesses, in bins of 2.5 nm.
    T. Sardhara et al., Nanomanuf. Metrol. 7 (2024) 4, doi:10.1007/s41871-024-00223-y, section
    2.1.1: mean and deviation.
    """
    check_count("The number of slices", count)
    check_above_zero("The mean slice thickness in nm", mean_nm)
    if deviation_nm == 0:
        thickness_nm = np.full(count - 1, float(mean_nm))
    else:
        shape, scale_nm = gamma_shape_and_scale(mean_nm, deviation_nm)
        thickness_nm = slice_random("thickness", seed).gamma(shape, scale_nm, count - 1)
    if step_nm is not None:
        check_above_zero("The step of the slice thickness in nm", step_nm)
        thickness_nm = step_nm * np.maximum(1, np.rint(thickness_nm / step_nm))
    return np.concatenate([[0.0], np.cumsum(thickness_nm)])
