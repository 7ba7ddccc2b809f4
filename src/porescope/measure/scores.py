"""How much of a segmentation is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.io.slabs import load, slabs
from porescope.measure.parts import check_labels, halves, measured
from porescope.stack import SLICES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track


def confusion_matrix(
    prediction: Any,
    truth: Any,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> np.ndarray:
    """Count voxels by true and predicted label.

    Parameters
    ----------
    prediction, truth : arrays of bool or unsigned integers, shape (z, y, x)
        Numpy or dask arrays; labels below 256.

    Returns
    -------
    int array of shape (labels, labels)
        Row: true label; column: predicted label.
    """
    return _confusion_by_part(prediction, truth, progress, cancel).sum(axis=0)


def _confusion_by_part(
    prediction: Any, truth: Any, progress: Progress, cancel: Cancel
) -> NDArray[np.int64]:
    """Return a confusion matrix for each part of the volume, in an array (8, labels, labels)."""
    check_labels(prediction)
    check_labels(truth)
    if prediction.shape != truth.shape:
        raise PorescopeError(
            f"Prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape; "
            "bring them onto one grid first."
        )
    middle = halves(truth.shape[SLICES])[0].stop
    by_part = np.zeros((2, 2, 2, 256 * 256), dtype=np.int64)
    for slab in track(slabs(prediction), progress, cancel):
        planes = zip(load(truth, slab), load(prediction, slab), strict=True)
        for index, labels in enumerate(planes, start=slab.start):
            if any(label.min() < 0 or label.max() > 255 for label in labels):
                raise PorescopeError("Labels must lie between 0 and 255.")
            pairs = 256 * labels[0].astype(np.int64) + labels[1]
            for y, rows in enumerate(halves(pairs.shape[0])):
                for x, columns in enumerate(halves(pairs.shape[1])):
                    some = np.bincount(pairs[rows, columns].ravel(), minlength=by_part.shape[-1])
                    by_part[int(index >= middle), y, x] += some
    counts = by_part.reshape(8, 256, 256)
    present = np.flatnonzero(counts.any(axis=(0, 1)) | counts.any(axis=(0, 2)))
    last = max(int(present.max()), 1)
    return counts[:, : last + 1, : last + 1]


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
        holds scores zero in Dice and IOU and has no recall. What cannot be told is NaN. For each
        the same with ``_uncertainty``, a standard error from eight parts of the volume (see
        :mod:`porescope.measure.parts`).

    References
    ----------
    FIB tomography thesis, section 2.6.1.
    """
    return measured(_scores, _confusion_by_part(prediction, truth, progress, cancel))


def _scores(counts: NDArray[np.int64]) -> dict[str, float]:
    total = counts.sum()
    hit = np.diag(counts).astype(float)
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    either = true + predicted - hit
    accuracy = np.where(either > 0, (total - either + hit) / total, np.nan)
    return {
        "MP": 100 * (1 - hit.sum() / total),
        "MGP": 100 * (1 - hit[1:].sum() / true[1:].sum()),
        "MDS": _mean_over_classes(2 * hit / (true + predicted)),
        "mIOU": _mean_over_classes(hit / either),
        "mRecall": _mean_over_classes(hit / true),
        "mAccuracy": _mean_over_classes(accuracy),
    }


def _mean_over_classes(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
