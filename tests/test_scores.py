import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from porescope import PorescopeError
from porescope.measure import phase_fractions, scores, solid_fraction

shapes = st.shared(hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))
binary = hnp.arrays(np.uint8, shapes, elements=st.integers(0, 1))


def test_counted_by_hand():
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]).reshape(1, 1, 10)
    found = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0]).reshape(1, 1, 10)
    result = scores(found.astype(np.uint8), truth.astype(bool))
    assert result["MP"] == pytest.approx(20)
    assert result["MGP"] == pytest.approx(25)
    assert result["MDS"] == pytest.approx((6 / 8 + 10 / 12) / 2)
    assert result["mIOU"] == pytest.approx((3 / 5 + 5 / 7) / 2)
    assert result["mRecall"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert result["mAccuracy"] == pytest.approx(0.8)


@given(binary, binary)
def test_against_scikit_learn(found, truth):
    result = scores(found, truth)
    flat = truth.ravel(), found.ravel()
    assert result["MP"] == pytest.approx(100 * (1 - metrics.accuracy_score(*flat)), abs=1e-9)
    present = np.union1d(*flat)
    dice = metrics.f1_score(*flat, labels=present, average="macro", zero_division=0)
    assert result["MDS"] == pytest.approx(dice)
    overlap = metrics.jaccard_score(*flat, labels=present, average="macro", zero_division=0)
    assert result["mIOU"] == pytest.approx(overlap)
    if truth.any():
        assert result["MGP"] == pytest.approx(100 * (1 - metrics.recall_score(*flat)))
    else:
        assert np.isnan(result["MGP"])


def test_a_class_that_is_absent_is_not_a_perfect_one():
    truth = np.zeros((1, 2, 2), np.uint8)
    truth[0, 0] = 2
    with_two = scores(truth, truth)
    wrong = scores(np.where(truth == 2, 0, truth).astype(np.uint8), truth)
    assert with_two["MDS"] == 1
    assert wrong["MDS"] == pytest.approx((2 / 3) / 2)


def test_lazy_is_the_same_as_whole():
    random = np.random.default_rng(0)
    found, truth = random.integers(0, 3, (2, 7, 8, 9)).astype(np.uint8)
    lazy = scores(da.from_array(found, chunks=3), da.from_array(truth, chunks=(2, 8, 5)))
    assert lazy == scores(found, truth)


def test_fractions():
    labels = np.array([0, 0, 0, 1, 1, 4, 0, 0]).reshape(2, 2, 2).astype(np.uint8)
    assert phase_fractions(labels) == {0: 5 / 8, 1: 2 / 8, 4: 1 / 8}
    assert solid_fraction(labels) == 3 / 8
    assert solid_fraction(np.ones((1, 1, 1), bool)) == 1


def test_refusals():
    with pytest.raises(PorescopeError, match="one grid"):
        scores(np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(PorescopeError, match="between 0 and 255"):
        scores(np.full((1, 2, 2), 300), np.zeros((1, 2, 2), int))
