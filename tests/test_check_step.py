from dataclasses import replace

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.errors import PorescopeWarning
from porescope.geometry import leveled_wave
from porescope.imaging import simulate_monte_carlo
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace
from porescope.tracking import never_cancel, no_progress

SPACING = (5.0, 5.0, 5.0)
STEP = find_step("check")


@pytest.fixture(scope="module")
def sample():
    """Images of a wave of gold in epoxy at two voltages, and its labels."""
    labels = leveled_wave((24, 32, 32), spacing_nm=5, wavelength_nm=60, solid_fraction=0.4, seed=1)
    labels = labels.astype(np.uint8)
    images = tuple(
        Stack(np.stack([1000 * image(labels, z, kv) for z in range(16)]), SPACING, beam_kv=kv)
        for kv in (1.0, 2.0)
    )
    return images, Stack(labels[:16], SPACING, is_labels=True)


def image(labels, z, beam_kv):
    return simulate_monte_carlo(
        labels, z, beam_kv=beam_kv, electrons=30, voxel_nm=SPACING,
        materials={0: "epoxy", 1: "gold"}, seed=z,
    )["bse"]  # fmt: skip


def check(images, labels, **parameters):
    workspace = Workspace(images=images, labels=labels, scores={"MP": 1.0})
    asked = STEP.parse({"imaging": "montecarlo", **parameters})
    return STEP.function(workspace, asked, progress=no_progress, cancel=never_cancel)


def test_that_no_slice_could_be_checked_is_told(sample):
    images, labels = sample
    shallow = [
        stack.with_data(stack.data[:2], slice_z_nm=stack.slice_z_nm[:2])
        for stack in (*images, labels)
    ]
    high = tuple(replace(stack, beam_kv=5.0 + n) for n, stack in enumerate(shallow[:2]))
    with pytest.warns(PorescopeWarning, match="No slice could be checked"):
        assert np.isnan(check(high, shallow[2]).scores["misfit"])


def test_maps_a_table_and_a_score_rank_segmentations(sample):
    images, labels = sample
    right = check(images, labels)
    assert list(right.maps) == ["disagreement 1kV", "disagreement 2kV"]
    assert right.maps["disagreement 1kV"].shape == labels.shape
    assert right.maps["disagreement 2kV"].beam_kv == 2
    rows = right.tables["physics"]
    assert [row["slice"] for row in rows] == list(range(16))
    assert {"misfit", "misfit_1kV", "misfit_2kV"} <= set(rows[0])
    assert right.scores["MP"] == 1.0

    spoilt = labels.data.copy()
    spoilt[5, 8:20, 8:20] = 1 - spoilt[5, 8:20, 8:20]
    wrong = check(images, labels.with_data(spoilt))
    assert wrong.scores["misfit"] > right.scores["misfit"] + 0.3
    of_1kv = [row["misfit_1kV"] for row in wrong.tables["physics"]]
    assert np.nanargmax(of_1kv) == 5
    inside = np.asarray(wrong.maps["disagreement 1kV"].data)[5, 9:19, 9:19]
    assert abs(inside).mean() > 0.5


def test_some_of_the_slices_can_be_imaged(sample):
    made = check(*sample, every=4, imaging="auto", interpolation="hold", electrons=2)
    assert [row["slice"] for row in made.tables["physics"]] == [0, 4, 8, 12]
    assert made.maps["disagreement 1kV"].slice_z_nm.tolist() == [0, 20, 40, 60]
    assert made.maps["disagreement 1kV"].spacing_nm == (20, 5, 5)


def test_weights_that_do_not_fit_are_refused_where_they_were_asked_for(sample):
    with pytest.raises(PorescopeError, match="for surrogate ship with Porescope"):
        check(*sample, imaging="no-such-weights")
    with pytest.raises(PorescopeError, match="no labels yet"):
        check(sample[0], None)
