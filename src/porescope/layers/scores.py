"""How much of a volume of layers is right, all in all and material by material."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.layers.forward import MATERIALS
from porescope.measure.scores import confusion_matrix, scores


def layer_scores(
    prediction: Any, truth: Any, materials: Sequence[str] = MATERIALS
) -> dict[str, float]:
    """Score a volume of layers against the truth.

    Parameters
    ----------
    prediction, truth : arrays of unsigned integers, shape (z, y, x)
        Labels as of :func:`~porescope.layers.labels_from_thickness`.
    materials : sequence of str, optional
        Names of labels 1, 2, ...

    Returns
    -------
    dict
        ``mIOU``, ``mRecall`` and ``mAccuracy`` of :func:`porescope.measure.scores`, means over the
        classes, emptiness among them; ``accuracy``, the share of voxels that are right (the paper's
        mAccuracy); and for each material ``gold IOU``, ``gold precision``, ``gold recall``. What
        neither volume holds is left out of the means and NaN by itself, as is the recall of what
        the truth does not hold and the precision of what was not predicted.

    Raises
    ------
    PorescopeError
        If the volumes differ in shape or hold more labels than there are names.
    """
    means = scores(prediction, truth)
    counts = confusion_matrix(prediction, truth)
    if len(counts) > len(materials) + 1:
        raise PorescopeError(
            f"The volumes hold label {len(counts) - 1}, but only {', '.join(materials)} are named."
        )
    names = ("", *materials)
    counts = np.pad(counts, (0, len(names) - len(counts))).astype(float)
    hit, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        each = {
            "IOU": hit / (true + predicted - hit),
            "precision": hit / predicted,
            "recall": hit / true,
        }
    result = {name: means[name] for name in ("mIOU", "mRecall", "mAccuracy")}
    result["accuracy"] = 1 - means["MP"] / 100
    for label, material in enumerate(materials, start=1):
        result |= {f"{material} {what}": float(values[label]) for what, values in each.items()}
    return result
