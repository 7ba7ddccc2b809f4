"""How much of a segmentation is right, and how much of a volume is solid."""

from __future__ import annotations

from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.stack import SLICES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track


def confusion_matrix(
    prediction: Any,
    truth: Any,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> np.ndarray:
    """Count voxels by true and predicted label, slice by slice.

    Parameters
    ----------
    prediction, truth : arrays of bool or unsigned integers, shape (z, y, x)
        Numpy or dask arrays; labels below 256.

    Returns
    -------
    int array of shape (labels, labels)
        Row: true label; column: predicted label.
    """
    if prediction.shape != truth.shape:
        raise PorescopeError(
            f"Prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape; "
            "bring them onto one grid first."
        )
    counts = np.zeros((256, 256), dtype=np.int64)
    for index in track(range(prediction.shape[SLICES]), progress, cancel):
        labels = [np.asarray(volume[index]).astype(np.int64) for volume in (truth, prediction)]
        if any(label.min() < 0 or label.max() > 255 for label in labels):
            raise PorescopeError("Labels must lie between 0 and 255.")
        pairs = 256 * labels[0].ravel() + labels[1].ravel()
        counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
    present = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    last = max(int(present.max()), 1)
    return counts[: last + 1, : last + 1]


def scores(
    prediction: Any,
    truth: Any,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Score a segmentation against the truth.

    Parameters
    ----------
    prediction, truth : arrays of bool or unsigned integers, shape (z, y, x)
        0 is pore, everything else solid of one kind or another.

    Returns
    -------
    dict
        ``MP``: misplaced voxels in % of all (eq. 2.9); ``MGP``: solid voxels missed, in % of the
        solid (eq. 2.10); ``MDS``: Dice score, mean over the classes (eq. 2.11); ``mIOU``,
        ``mRecall``: intersection over union and recall, means over the classes; ``mAccuracy``:
        share of voxels told rightly as of a class or not, mean over the classes.
        A class that neither volume holds is left out of the means; one that only the prediction
        holds scores zero in Dice and IOU and has no recall. What cannot be told is NaN.

    References
    ----------
    FIB tomography thesis, section 2.6.1.
    """
    counts = confusion_matrix(prediction, truth, progress=progress, cancel=cancel)
    total = counts.sum()
    hit = np.diag(counts).astype(float)
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    either = true + predicted - hit
    with np.errstate(invalid="ignore", divide="ignore"):
        dice = 2 * hit / (true + predicted)
        overlap = hit / either
        recall = hit / true
        missed = 1 - hit[1:].sum() / true[1:].sum()
    accuracy = np.where(either > 0, (total - either + hit) / total, np.nan)
    return {
        "MP": float(100 * (1 - hit.sum() / total)),
        "MGP": float(100 * missed),
        "MDS": _mean_over_classes(dice),
        "mIOU": _mean_over_classes(overlap),
        "mRecall": _mean_over_classes(recall),
        "mAccuracy": _mean_over_classes(accuracy),
    }


def _mean_over_classes(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def phase_fractions(
    labels: Any, *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> dict[int, float]:
    """Return the volume fraction of every label that occurs.

    Parameters
    ----------
    labels : array of bool or unsigned integers, shape (z, y, x)
        Numpy or dask array.
    """
    counts: dict[int, int] = {}
    for index in track(range(labels.shape[SLICES]), progress, cancel):
        values, numbers = np.unique(np.asarray(labels[index]), return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            counts[int(value)] = counts.get(int(value), 0) + number
    total = sum(counts.values())
    return {value: counts[value] / total for value in sorted(counts)}


def solid_fraction(
    labels: Any, *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> float:
    """Return the volume fraction of everything that is not pore (label 0)."""
    return 1.0 - phase_fractions(labels, progress=progress, cancel=cancel).get(0, 0.0)
