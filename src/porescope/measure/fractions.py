"""Which share of a volume each label has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.io.slabs import load, slabs
from porescope.measure.parts import UNCERTAINTY, check_labels, halves, jackknife
from porescope.stack import SLICES
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track


def volume_fractions(
    labels: Any, *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> dict[str, Any]:
    """Return the volume fraction of the solid and of every label that occurs.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array.

    Returns
    -------
    dict
        ``solid_fraction``: of all that is not 0; ``phase_fractions``: by label; and both with
        ``_uncertainty``, standard errors from eight parts of the volume (see
        :mod:`porescope.measure.parts`).
    """
    check_labels(labels)
    found: dict[int, NDArray[np.int64]] = {}
    middle = halves(labels.shape[SLICES])[0].stop
    for slab in track(slabs(labels), progress, cancel):
        for index, plane in enumerate(load(labels, slab), start=slab.start):
            for y, rows in enumerate(halves(plane.shape[0])):
                for x, columns in enumerate(halves(plane.shape[1])):
                    part = 4 * (index >= middle) + 2 * y + x
                    for value, number in zip(
                        *np.unique(plane[rows, columns], return_counts=True), strict=True
                    ):
                        found.setdefault(int(value), np.zeros(8, dtype=np.int64))[part] += number
    present = sorted(found)
    shares, uncertainty = jackknife(
        lambda counts: np.append(counts, counts[np.array(present) != 0].sum()) / counts.sum(),
        np.stack([found[value] for value in present], axis=1),
    )
    return {
        "solid_fraction": float(shares[-1]),
        f"solid_fraction{UNCERTAINTY}": float(uncertainty[-1]),
        "phase_fractions": dict(zip(present, shares.tolist()[:-1], strict=True)),
        f"phase_fractions{UNCERTAINTY}": dict(zip(present, uncertainty.tolist()[:-1], strict=True)),
    }


def phase_fractions(
    labels: Any, *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> dict[int, float]:
    """Return the volume fraction of every label that occurs; see :func:`volume_fractions`."""
    found: dict[int, float] = volume_fractions(labels, progress=progress, cancel=cancel)[
        "phase_fractions"
    ]
    return found


def solid_fraction(
    labels: Any, *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> float:
    """Return the volume fraction of all that is not 0; see :func:`volume_fractions`."""
    return float(volume_fractions(labels, progress=progress, cancel=cancel)["solid_fraction"])
