"""Weights that ship tell phases apart on samples that they never saw, where thresholds do not."""

import numpy as np
import pytest

from porescope import Stack
from porescope.geometry import boolean_model, hierarchical_leveled_wave, voxelize
from porescope.measure import scores
from porescope.pipeline.simulation import simulate_stack
from porescope.segment import segment

SHAPE = (48, 48, 48)
VOXEL_NM = 2.5


def carbon():
    return voxelize(
        boolean_model("sphere", porosity=0.5, shape=SHAPE, radius=(8, 12), seed=77), SHAPE
    )


def gold():
    return hierarchical_leveled_wave(
        SHAPE, spacing_nm=1.0, wavelengths_nm=(107.0, 12.7), solid_fractions=(0.5, 0.4), seed=77
    )


@pytest.mark.parametrize(
    ("weights", "sample", "microscope", "most", "times"),
    [
        (
            "carbon-vacuum", carbon,
            {"materials": "0=vacuum, 1=carbon", "detector": "SE", "electrons": 20}, 4.0, 8,
        ),
        (
            "gold-epoxy", gold,
            {"materials": "0=epoxy, 1=gold", "detector": "all-BSE", "electrons": 60}, 1.0, 5,
        ),
    ],
)  # fmt: skip
def test_networks_misplace_few_voxels(weights, sample, microscope, most, times):
    labels = Stack(sample().astype(np.uint8), (VOXEL_NM,) * 3, is_labels=True)
    made = simulate_stack(
        labels,
        {
            **microscope, "beam_kv": (1, 2, 4), "slices": 5, "mean_nm": 10.0, "deviation_nm": 0.0,
            "probe_nm": 0.0, "seed": 5,
        },
    )  # fmt: skip
    truth = np.asarray(made.truth_slices.data) > 0
    networks = scores(segment(made.images, "late-fusion", weights=weights), truth)["MP"]
    threshold = scores(segment(made.images[0], "otsu"), truth)["MP"]
    assert networks < most
    assert threshold > times * networks
