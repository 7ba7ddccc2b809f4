"""Filling the planes between repositioned slices.

Every method fills a gap from the known slices around it and nothing else, plane by whole plane, so
the result does not depend on how a volume is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from porescope.correct.interpolation.blend import Distance, GreyValues, Indicator
from porescope.correct.interpolation.borders import pixel_extent
from porescope.correct.interpolation.gaps import Gap, gaps
from porescope.correct.interpolation.phases import Labels
from porescope.errors import PorescopeError
from porescope.stack import SLICES, checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Method = Literal[
    "hold", "nearest", "linear", "spline", "mended-spline", "distance", "kriging", "learned"
]


class Filler(Protocol):
    """What a method does."""

    @property
    def reach(self) -> int:
        """How many known slices on each side of a gap it listens to."""

    def prepare(self, plane: NDArray[Any]) -> Any:
        """Return what is needed of a known plane, worked out once and used for several gaps."""

    def fill(self, prepared: Sequence[Any], gap: Gap) -> NDArray[Any]:
        """Return the missing planes of a gap between known ones."""


def interpolate(
    volume: Any,
    known: np.ndarray,
    method: Method = "learned",
    *,
    spacing_nm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    is_labels: bool | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Fill the planes of a volume that are not known.

    Parameters
    ----------
    volume : array of shape (z, y, x)
        Numpy or dask array; what it holds in unknown planes does not matter.
    known : bool array of shape (z,)
        Which planes are known.
    method : str
        For labels and for grey values: ``hold`` takes the known slice before (called nearest
        neighbour in the thesis), ``nearest`` the nearest one (the earlier on a tie), ``linear`` and
        ``spline`` a line or a cubic spline along z through grey values or through the indicator of
        each phase.
        For labels only: ``mended-spline`` is a spline with the holes filled that it leaves within
        ligaments (fewer than 20 pixels); ``distance`` a cubic spline through the signed distance to
        each phase; ``kriging`` the best linear estimate of that distance, softened, under the
        covariance that the slices around the gap have within themselves, so it takes the structure
        to be isotropic; ``learned`` adds to kriging what a network learned from many structures,
        for square pixels.
    spacing_nm : tuple of three floats
        Voxel size (z, y, x); ``distance``, ``kriging`` and ``learned`` need its ratios.
    is_labels : bool, optional
        Whether values are labels. By default bool and unsigned integers are, others are grey
        values; pass False for images of 8 or 16 bits.
    progress, cancel
        See :mod:`porescope.tracking`; gaps are counted. A dask array is filled when it is computed.

    Returns
    -------
    array of shape (z, y, x)
        Of the same kind and dtype; known planes are unchanged. Beyond the first and the last known
        plane these are held.

    Raises
    ------
    PorescopeError
        If no plane is known, or the method is not for such values or pixels.
    Cancelled
        If ``cancel()`` became true.

    References
    ----------
    Article II of the FIB tomography thesis, sections 2.2.3 and 2.3, and its supplement.
    """
    known = np.asarray(known, dtype=bool)
    if known.shape != (volume.shape[SLICES],) or not known.any():
        raise PorescopeError(
            f"Of {volume.shape[SLICES]} planes, {known.size} are described and "
            f"{np.count_nonzero(known)} known; describe each, and know at least one."
        )
    labels = volume.dtype.kind in "bu" if is_labels is None else is_labels
    filler = _filler(method, checked_spacing_nm(spacing_nm), labels)
    if isinstance(volume, np.ndarray):
        return _filled(volume, known, filler, progress, cancel)
    return _lazily(volume, known, filler)


def _filler(method: Method, spacing_nm: tuple[float, float, float], labels: bool) -> Filler:
    depth_nm, *pixel_nm = spacing_nm
    pixel = pixel_extent(pixel_nm)
    plane_distance = depth_nm / (pixel_nm[0] / pixel[0])
    if method in ("hold", "nearest", "linear", "spline"):
        return Labels(Indicator(method)) if labels else GreyValues(method)
    if method not in get_args(Method):
        raise PorescopeError(
            f"There is no interpolation {method!r}; choose one of {', '.join(get_args(Method))}."
        )
    if not labels:
        raise PorescopeError(
            f"The interpolation {method!r} follows the borders of phases, so it is for labels "
            "only; use spline for grey values."
        )
    if method == "mended-spline":
        return Labels(Indicator("spline"), mended=True)
    if method == "distance":
        return Labels(Distance(pixel))
    if method == "kriging":
        from porescope.correct.interpolation.kriging import Kriging

        return Labels(Kriging(pixel, plane_distance))
    from porescope.correct.interpolation.learned import Learned

    return Labels(Learned(pixel, plane_distance))


def _filled(
    volume: NDArray[Any],
    known: NDArray[np.bool_],
    filler: Filler,
    progress: Progress,
    cancel: Cancel,
) -> NDArray[Any]:
    filled = volume.copy()
    prepared: dict[int, Any] = {}
    for gap in track(list(gaps(known, filler.reach)), progress, cancel):
        sources = gap.sources.tolist()
        if not gap.between:
            filled[gap.missing] = volume[sources[0]]
            continue
        prepared = {z: prepared[z] if z in prepared else filler.prepare(volume[z]) for z in sources}
        filled[gap.missing] = filler.fill(list(prepared.values()), gap)
    return filled


def _lazily(volume: Any, known: NDArray[np.bool_], filler: Filler) -> Any:
    import dask
    import dask.array as da

    single = volume.rechunk((1, -1, -1))
    planes: list[Any] = [single[index : index + 1] for index in range(len(known))]
    slices = {
        int(z): dask.delayed(_prepared)(filler, single.blocks[int(z)].to_delayed().item())
        for z in np.flatnonzero(known)
    }
    for gap in gaps(known, filler.reach):
        first, *others = gap.missing.tolist()
        sources = gap.sources.tolist()
        shape = (len(gap.missing), *volume.shape[1:])
        if gap.between:
            filled = dask.delayed(filler.fill)([slices[z] for z in sources], gap)
            planes[first] = da.from_delayed(filled, shape=shape, dtype=volume.dtype)
        else:
            planes[first] = da.repeat(planes[sources[0]], len(gap.missing), axis=SLICES)
        for index in others:
            planes[index] = None
    return da.concatenate([plane for plane in planes if plane is not None])


def _prepared(filler: Filler, block: NDArray[Any]) -> Any:
    return filler.prepare(block[0])
