"""From maps of thickness to volumes of labels and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import label_layers
from porescope.geometry.blocks import check_above_zero, check_count

STEP_NM = 10.0
"""Of the paper's volumes."""


def labels_from_thickness(
    thickness_nm: NDArray[Any], step_nm: float = STEP_NM, slices: int | None = None
) -> NDArray[np.uint8]:
    """Return the volume that layers fill, the beam coming from slice 0.

    Parameters
    ----------
    thickness_nm : array of shape (layers, y, x)
        The lowest layer first.
    step_nm : float, optional
        Height of a voxel.
    slices : int, optional
        Number of voxels along z; by default as many as the thickest column needs. The last slice
        lies on the substrate.

    Returns
    -------
    array of shape (z, y, x), uint8
        The layer in which a voxel's centre lies, 1 for the lowest, 0 for none.

    Raises
    ------
    PorescopeError
        If a number makes no sense, or the layers do not fit into the slices.
    """
    labels: NDArray[np.uint8] = label_layers(thickness_nm, slice_nm=step_nm, slices=slices)
    return labels


def thickness_from_labels(
    labels: NDArray[Any], layers: int, step_nm: float = STEP_NM
) -> NDArray[np.float64]:
    """Return the thickness of each layer in a volume of labels.

    Parameters
    ----------
    labels : array of shape (z, y, x), unsigned integers
        As :func:`labels_from_thickness` returns; whatever order the layers have along z.
    layers : int
        How many there are; some may be absent.
    step_nm : float, optional
        Height of a voxel.

    Returns
    -------
    array of shape (layers, y, x), float64
        In nm, the lowest layer first.

    Raises
    ------
    PorescopeError
        If the volume is no volume of so many labels, or a number makes no sense.
    """
    check_count("The number of layers", layers)
    check_above_zero("The height of a voxel in nm", step_nm)
    labels = np.asarray(labels)
    if labels.ndim != 3 or labels.dtype.kind not in "bu":
        raise PorescopeError(
            f"Layers are read from unsigned labels (z, y, x), not {labels.dtype} of shape "
            f"{labels.shape}."
        )
    if labels.size and labels.max() > layers:
        raise PorescopeError(
            f"The volume holds label {labels.max()}, but there are {layers} layers; give as many "
            "as it has."
        )
    return np.stack([(labels == layer).sum(axis=0) * step_nm for layer in range(1, layers + 1)])
