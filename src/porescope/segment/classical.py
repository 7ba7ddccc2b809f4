"""Segmentation by grey value alone: Otsu's threshold and k-means.

Both decide from the histogram or a sample of all slices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from porescope.errors import PorescopeError
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

HISTOGRAM_BINS = 1024
SAMPLE_VOXELS = 200_000


def otsu_threshold(
    stack: Stack, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> float:
    """Return the grey value that parts a stack best into two.

    Raises
    ------
    PorescopeError
        If all voxels are equally bright, or one is not a number.

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62.
    """
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


def kmeans_threshold(
    stack: Stack,
    clusters: int = 3,
    seed: int = 0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> float:
    """Return the grey value halfway between the two brightest clusters.

    Raises
    ------
    PorescopeError
        If there are fewer than two clusters, fewer grey values than clusters, or one is not a
        number.

    References
    ----------
    Article I of the FIB tomography thesis takes three clusters.
    """
    if clusters < 2:
        raise PorescopeError(f"k-means takes 2 clusters or more, not {clusters}.")
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
