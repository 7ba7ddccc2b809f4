"""Segmentation by grey value alone: Otsu's threshold and k-means.

Both decide from the histogram or a sample of all slices, then label voxel by voxel, so stacks
larger than memory stay lazy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from porescope.errors import PorescopeError
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Method = Literal["otsu", "kmeans"]
METHODS: tuple[str, ...] = get_args(Method)

HISTOGRAM_BINS = 1024
SAMPLE_VOXELS = 200_000


def segment(
    stacks: Stack | Sequence[Stack],
    method: Method = "kmeans",
    *,
    clusters: int = 3,
    seed: int = 0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Tell solid from pore.

    Parameters
    ----------
    stacks : Stack or sequence of Stack
        One for each voltage, aligned and of one shape.
    method : {"otsu", "kmeans"}
        ``otsu`` thresholds the lowest voltage, where shine-through is weakest; ``kmeans`` clusters
        the grey values of all voltages together.
    clusters : int
        Number of clusters of ``kmeans``. Three stand for solid, pore and pore with shine-through;
        the brightest is taken as solid.
    seed : int
        Where k-means starts.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    uint8 array of shape (z, y, x)
        0 for pore, 1 for solid; a dask array where the first stack is one.

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62; the k = 3 is that of Article I of the FIB
    tomography thesis.
    """
    stacks = [stacks] if isinstance(stacks, Stack) else list(stacks)
    if not stacks:
        raise PorescopeError("There is nothing to segment; load a stack first.")
    if len({stack.shape for stack in stacks}) > 1:
        shapes = ", ".join(str(stack.shape) for stack in stacks)
        raise PorescopeError(f"The stacks differ in shape ({shapes}); align them first.")
    if method == "otsu":
        lowest = min(stacks, key=lambda stack: stack.beam_kv or 0.0)
        return _label([lowest], partial(_above, _otsu_threshold(lowest, progress, cancel)))
    if method == "kmeans":
        return _label(stacks, _kmeans_rule(stacks, clusters, seed, progress, cancel))
    raise PorescopeError(
        f"There is no segmentation {method!r}; choose one of {', '.join(METHODS)}."
    )


def _label(stacks: Sequence[Stack], rule: Any) -> Any:
    """Apply a rule from grey values (one array for each stack) to labels, block by block."""
    if all(isinstance(stack.data, np.ndarray) for stack in stacks):
        return np.stack([rule(*planes) for planes in zip(*(s.data for s in stacks), strict=True)])
    import dask.array as da

    first = da.asarray(stacks[0].data)
    arrays = [da.asarray(stack.data).rechunk(first.chunks) for stack in stacks]
    return da.map_blocks(rule, *arrays, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))


def _above(threshold: float, grey: np.ndarray) -> np.ndarray:
    return (grey > threshold).astype(np.uint8)


def _otsu_threshold(stack: Stack, progress: Progress, cancel: Cancel) -> float:
    from skimage.filters import threshold_otsu

    slices = range(stack.shape[SLICES])
    if stack.data.dtype in (np.uint8, np.uint16):
        counts = np.zeros(np.iinfo(stack.data.dtype).max + 1, dtype=np.int64)
        centres = np.arange(float(len(counts)))
        for index in track(slices, progress, cancel):
            counts += np.bincount(np.asarray(stack.data[index]).ravel(), minlength=len(counts))
    else:
        low, high = _range(stack)
        counts = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
        edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
        centres = (edges[:-1] + edges[1:]) / 2
        for index in track(slices, progress, cancel):
            counts += np.histogram(np.asarray(stack.data[index]), edges)[0]
    if np.count_nonzero(counts) < 2:
        raise PorescopeError("All voxels have the same brightness; there is nothing to tell apart.")
    return float(threshold_otsu(hist=(counts, centres)))


def _range(stack: Stack) -> tuple[float, float]:
    import dask

    low, high = dask.compute(stack.data.min(), stack.data.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PorescopeError("The stack holds values that are not numbers; mend them first.")
    if low == high:
        raise PorescopeError("All voxels have the same brightness; there is nothing to tell apart.")
    return float(low), float(high)


def _kmeans_rule(
    stacks: Sequence[Stack], clusters: int, seed: int, progress: Progress, cancel: Cancel
) -> Any:
    from sklearn.cluster import KMeans

    sample = np.concatenate(
        [
            _sampled_voxels(stacks, index)
            for index in track(range(stacks[0].shape[SLICES]), progress, cancel)
        ]
    )
    if not np.isfinite(sample).all():
        raise PorescopeError("The stack holds values that are not numbers; mend them first.")
    scale = sample.std(axis=0)
    if (scale == 0).any():
        raise PorescopeError("All voxels have the same brightness; there is nothing to tell apart.")
    if len(np.unique(sample, axis=0)) < clusters:
        raise PorescopeError(
            f"There are fewer than {clusters} different grey values; choose fewer clusters or otsu."
        )
    # One thread: the sums of several would differ in the last bit from run to run.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = KMeans(clusters, n_init=4, random_state=seed).fit(sample / scale)
    centres = model.cluster_centers_
    return partial(_nearest_is_brightest, scale, centres, int(centres.mean(axis=1).argmax()))


def _sampled_voxels(stacks: Sequence[Stack], index: int) -> np.ndarray:
    """Return grey values (voxels, voltages) of one slice, evenly thinned."""
    thinning = max(1, int(np.prod(stacks[0].shape)) // SAMPLE_VOXELS)
    planes = [np.asarray(stack.data[index]).ravel()[::thinning] for stack in stacks]
    return np.stack(planes, axis=1).astype(np.float64)


def _nearest_is_brightest(
    scale: np.ndarray, centres: np.ndarray, brightest: int, *grey: np.ndarray
) -> np.ndarray:
    distances = np.zeros((len(centres), *grey[0].shape), dtype=np.float32)
    for plane, width, values in zip(grey, scale, centres.T, strict=True):
        scaled = plane.astype(np.float32) / np.float32(width)
        for distance, value in zip(distances, values, strict=True):
            distance += (scaled - np.float32(value)) ** 2
    nearest: np.ndarray = distances.argmin(axis=0)
    return (nearest == brightest).astype(np.uint8)
