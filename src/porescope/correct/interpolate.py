"""Filling the planes between repositioned slices.

Every method fills a gap from the known slices around it, through weights that depend on their
distances alone, so the result does not depend on how a volume is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from porescope.errors import PorescopeError
from porescope.stack import SLICES

Method = Literal["hold", "nearest", "linear", "spline", "distance"]

# Known slices on each side of a gap that a cubic spline listens to: the influence of a slice falls
# by a factor of 3.7 with each one between.
REACH = 4


def interpolate(
    volume: Any,
    known: np.ndarray,
    method: Method = "distance",
    *,
    spacing_nm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    is_labels: bool | None = None,
) -> Any:
    """Fill the planes of a volume that are not known.

    Parameters
    ----------
    volume : array of shape (z, y, x)
        Numpy or dask array; what it holds in unknown planes does not matter.
    known : bool array of shape (z,)
        Which planes are known.
    method : str
        ``hold`` takes the known slice before (called nearest neighbour in the thesis), ``nearest``
        the nearest one (the earlier on a tie), ``linear`` and ``spline`` a line or a cubic spline
        along z through grey values or through the indicator of each phase, ``distance`` a cubic
        spline through the signed distance to each phase (labels only).
    spacing_nm : tuple of three floats
        Voxel size (z, y, x); ``distance`` needs the ratio of y to x.
    is_labels : bool, optional
        Whether values are labels. By default bool and unsigned integers are, others are grey
        values; pass False for images of 8 or 16 bits.

    Returns
    -------
    array of shape (z, y, x)
        Of the same kind and dtype; known planes are unchanged.

    References
    ----------
    Article II of the FIB tomography thesis, sections 2.2.3 and 2.3.
    """
    if method not in get_args(Method):
        raise PorescopeError(
            f"There is no interpolation {method!r}; choose one of {', '.join(get_args(Method))}."
        )
    known = np.asarray(known, dtype=bool)
    if known.shape != (volume.shape[SLICES],) or not known.any():
        raise PorescopeError(
            f"Of {volume.shape[SLICES]} planes, {known.size} are described and "
            f"{np.count_nonzero(known)} known; describe each, and know at least one."
        )
    labels = volume.dtype.kind in "bu" if is_labels is None else is_labels
    if method == "distance" and not labels:
        raise PorescopeError("Distances exist between labels only; use spline for grey values.")
    blend = partial(_blend_phases, method, spacing_nm[1:]) if labels else _blend_grey
    if isinstance(volume, np.ndarray):
        filled = volume.copy()
        for gap, sources, weights in _gaps(known, method):
            filled[gap] = blend(volume[sources], weights)
        return filled
    return _lazily(volume, known, method, blend)


def _lazily(volume: Any, known: np.ndarray, method: Method, blend: Callable[..., Any]) -> Any:
    import dask
    import dask.array as da

    single = volume.rechunk((1, -1, -1))
    planes: list[Any] = [single[index : index + 1] for index in range(len(known))]
    for gap, sources, weights in _gaps(known, method):
        neighbours = [single.blocks[int(source)].to_delayed().item() for source in sources]
        filled = dask.delayed(_blend_blocks)(blend, neighbours, weights)
        shape = (len(gap), *volume.shape[1:])
        block = da.from_delayed(filled, shape=shape, dtype=volume.dtype)
        planes[gap[0]] = block
        for index in gap[1:]:
            planes[index] = None
    return da.concatenate([plane for plane in planes if plane is not None])


def _blend_blocks(
    blend: Callable[..., np.ndarray], blocks: list[np.ndarray], weights: np.ndarray
) -> np.ndarray:
    return blend(np.concatenate(blocks), weights)


def _gaps(known: np.ndarray, method: Method) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each run of unknown planes, the known planes around it and their weights."""
    places = np.flatnonzero(known)
    missing = np.flatnonzero(~known)
    for gap in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
        if not gap.size:
            continue
        after = int(np.searchsorted(places, gap[0]))
        if after in (0, len(places)):  # outside the known planes there is nothing to blend
            yield gap, places[[min(after, len(places) - 1)]], np.ones((len(gap), 1))
            continue
        sources = places[max(0, after - REACH) : after + REACH]
        yield gap, sources, _weights(sources, gap, method)


def _weights(sources: np.ndarray, gap: np.ndarray, method: Method) -> np.ndarray:
    """Return the weight (gap, sources) of every known plane in every missing one."""
    from scipy.interpolate import CubicSpline, make_interp_spline

    each = np.eye(len(sources))
    if method in ("hold", "nearest"):
        before = np.searchsorted(sources, gap) - 1
        to_before, to_after = gap - sources[before], sources[before + 1] - gap
        return np.asarray(each[before + ((method == "nearest") & (to_after < to_before))])
    if method == "linear" or len(sources) == 2:
        return np.asarray(make_interp_spline(sources, each, k=1)(gap))
    return np.asarray(CubicSpline(sources, each)(gap))


def _blend_grey(slices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    blended: np.ndarray = np.tensordot(
        weights.astype(np.float32), slices.astype(np.float32), axes=1
    )
    if slices.dtype.kind in "bui":
        blended = np.rint(blended)
    # A spline overshoots; no pixel may be brighter or darker than those it comes from.
    np.clip(blended, slices.min(axis=0), slices.max(axis=0), out=blended)
    return blended.astype(slices.dtype)


def _blend_phases(
    method: Method, spacing_yx_nm: tuple[float, float], slices: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return, for every missing pixel, the phase with the largest blended evidence."""
    phases = np.unique(slices)
    if len(phases) == 1:
        return np.full((len(weights), *slices.shape[1:]), phases[0])
    evidence_of = partial(_signed_distance, spacing_yx_nm) if method == "distance" else _indicator
    best = np.full((len(weights), *slices.shape[1:]), -np.inf, dtype=np.float32)
    result = np.full(best.shape, phases[0])
    for phase in phases:
        evidence = np.tensordot(weights.astype(np.float32), evidence_of(slices == phase), axes=1)
        better = evidence > best
        best[better] = evidence[better]
        result[better] = phase
    return result


def _indicator(inside: np.ndarray) -> np.ndarray:
    return inside.astype(np.float32)


def _signed_distance(spacing_yx_nm: tuple[float, float], inside: np.ndarray) -> np.ndarray:
    """Return, slice by slice, the distance to the border of a phase, positive inside.

    The border lies half a pixel before the nearest pixel on the other side.
    """
    from porescope._core import distance_to_other_label

    limit = float(np.hypot(*(np.array(inside.shape[1:]) * spacing_yx_nm)))
    distances = [
        distance_to_other_label(plane[np.newaxis].astype(np.uint8), (1.0, *spacing_yx_nm))[0]
        for plane in inside
    ]
    bounded = np.minimum(np.stack(distances) - min(spacing_yx_nm) / 2, limit)
    return np.where(inside, bounded, -bounded).astype(np.float32)
