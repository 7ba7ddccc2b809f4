"""Segmentation by grey value alone: Otsu's threshold and k-means.

Both look at the lowest voltage only, where shine-through is weakest. They decide from the histogram
or a sample of all slices, then label voxel by voxel, so stacks larger than memory stay lazy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        One for each voltage, aligned and of one shape; the lowest is used.
    method : {"otsu", "kmeans"}
        ``otsu`` puts one threshold between two classes, ``kmeans`` clusters the grey values.
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
        0 for pore, 1 for solid; a dask array where the stack's data are one.

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
    lowest = min(stacks, key=lambda stack: stack.beam_kv or 0.0)
    if method == "otsu":
        threshold = _otsu_threshold(lowest, progress, cancel)
    elif method == "kmeans":
        threshold = _kmeans_threshold(lowest, clusters, seed, progress, cancel)
    else:
        raise PorescopeError(
            f"There is no segmentation {method!r}; choose one of {', '.join(METHODS)}."
        )
    solid = lowest.data > threshold
    return solid.astype(np.uint8)


def _otsu_threshold(stack: Stack, progress: Progress, cancel: Cancel) -> float:
    from skimage.filters import threshold_otsu

    if stack.data.dtype in (np.uint8, np.uint16):
        counts = np.zeros(np.iinfo(stack.data.dtype).max + 1, dtype=np.int64)
        centres = np.arange(float(len(counts)))
        for plane in _planes(stack, progress, cancel):
            counts += np.bincount(plane.ravel(), minlength=len(counts))
    else:
        counts = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
        edges = np.linspace(*_range(stack), HISTOGRAM_BINS + 1)
        centres = (edges[:-1] + edges[1:]) / 2
        for plane in _planes(stack, progress, cancel):
            counts += np.histogram(plane, edges)[0]
    if np.count_nonzero(counts) < 2:
        raise PorescopeError("All voxels have the same brightness; there is nothing to tell apart.")
    return float(threshold_otsu(hist=(counts, centres)))


def _range(stack: Stack) -> tuple[float, float]:
    extremes = [(plane.min(), plane.max()) for plane in _planes(stack, no_progress, never_cancel)]
    lows, highs = zip(*extremes, strict=True)
    return float(min(lows)), float(max(highs))


def _planes(stack: Stack, progress: Progress, cancel: Cancel) -> Iterator[np.ndarray]:
    for index in track(range(stack.shape[SLICES]), progress, cancel):
        plane = np.asarray(stack.data[index])
        if not np.isfinite(plane).all():
            raise PorescopeError(
                f"Slice {index} holds values that are not numbers; mend or leave it out."
            )
        yield plane


def _kmeans_threshold(
    stack: Stack, clusters: int, seed: int, progress: Progress, cancel: Cancel
) -> float:
    """Return the grey value halfway between the two brightest clusters."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    thinning = max(1, int(np.prod(stack.shape)) // SAMPLE_VOXELS)
    planes = _planes(stack, progress, cancel)  # copied below: a view would keep the whole plane
    sample = np.concatenate([plane.ravel()[::thinning].copy() for plane in planes])
    different = len(np.unique(sample))
    if different == 1:
        raise PorescopeError("All voxels have the same brightness; there is nothing to tell apart.")
    if different < clusters:
        raise PorescopeError(
            f"There are fewer than {clusters} different grey values; choose fewer clusters or otsu."
        )
    # One thread: the sums of several would differ in the last bit from run to run.
    with threadpool_limits(1):
        model = KMeans(clusters, n_init=4, random_state=seed)
        model.fit(sample.astype(np.float64)[:, np.newaxis])
    return float(np.sort(model.cluster_centers_.ravel())[-2:].mean())
