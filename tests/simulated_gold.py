"""Porous gold to be imaged, and the signals behind grey values."""

import numpy as np

from porescope import Stack
from porescope.geometry import hierarchical_leveled_wave


def porous_gold():
    """Return labels of porous gold with voxels of 2.5 nm."""
    labels = hierarchical_leveled_wave(
        (110, 64, 64), spacing_nm=1.0, wavelengths_nm=(107.0, 12.7), solid_fractions=(0.36, 0.36),
        waves=60, seed=5,
    )  # fmt: skip
    return Stack(labels.astype(np.uint8), (2.5,) * 3, is_labels=True)


def signals(simulated):
    """Return what the pixels signal, from the factors that are told."""
    return [
        (np.asarray(stack.data, float) - stack.metadata["grey_of_no_signal"])
        / stack.metadata["grey_per_signal"]
        for stack in simulated.images
    ]
