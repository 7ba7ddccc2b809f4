"""Samples of layers, their volumes and scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porescope import PorescopeError
from porescope.layers import (
    kinds,
    labels_from_thickness,
    layer_scores,
    layer_seed,
    sample,
    thickness_from_labels,
)
from porescope.layers.structures import SETS

places = st.tuples(st.sampled_from(SETS), st.integers(0, 2**32 - 1), st.integers(0, 15))


@given(places, places)
def test_no_two_layers_share_a_seed(one, other):
    assert (layer_seed(*one) == layer_seed(*other)) == (one == other)


def test_no_layer_is_in_two_sets():
    seeds = [
        layer_seed(name, index, layer)
        for name, count in zip(SETS, (9400, 1000, 1000), strict=True)
        for index in range(count)
        for layer in range(2)
    ]
    assert len(set(seeds)) == len(seeds)
    maps = [sample(name, 0)[layer] for name in SETS for layer in range(2)]
    for index, one in enumerate(maps):
        for other in maps[index + 1 :]:
            shapes = [other, other[::-1], other[:, ::-1], other.T]
            assert not any(np.array_equal(one > 0, shape > 0) for shape in shapes)


@pytest.mark.parametrize("kind", kinds())
def test_kinds(kind):
    maps = sample("train", 3, kind, (40, 64), (15.0, 150.0, 60.0))
    assert maps.shape == (3, 40, 64)
    assert maps.min() >= 0
    assert (maps.max(axis=(1, 2)) <= (15 + 1e-9, 150 + 1e-9, 60 + 1e-9)).all()
    assert np.array_equal(maps, sample("train", 3, kind, (40, 64), (15.0, 150.0, 60.0)))
    assert not np.array_equal(maps, sample("train", 4, kind, (40, 64), (15.0, 150.0, 60.0)))


def test_perlin_layers_are_the_published_terraces():
    for index in range(3):
        gold, aluminium = sample("validation", index)
        assert set(np.unique(gold)) <= {0, 1, 3, 5, 7, 9, 11, 13, 15}
        assert set(np.unique(aluminium)) <= {0, 30, 60, 90, 120, 150}
        assert gold.max() == 15
        assert aluminium.max() == 150
        assert 0.2 < (gold == 0).mean() < 0.9


@pytest.mark.parametrize("kind", ["plates", "disks", "stripes", "gratings", "meander", "bars"])
def test_flat_layers_have_one_thickness_and_sharp_edges(kind):
    for layer in sample("train", 8, kind):
        assert len(np.unique(layer)) <= 2


@given(st.integers(1, 4), st.sampled_from([1.0, 2.5, 10.0]), st.integers(0, 1000))
def test_volume_and_back(layers, step_nm, seed):
    random = np.random.default_rng(seed)
    thickness = random.integers(0, 5, (layers, 3, 4)) * step_nm
    labels = labels_from_thickness(thickness, step_nm)
    assert thickness_from_labels(labels, layers, step_nm) == pytest.approx(thickness)


def test_volumes_are_the_right_way_up_and_not_transposed():
    thickness = np.zeros((2, 2, 3))
    thickness[:, 0, 2] = (10, 20)
    labels = labels_from_thickness(thickness, 10.0)
    assert labels.shape == (3, 2, 3)
    assert labels[:, 0, 2].tolist() == [2, 2, 1]
    assert labels.sum() == 5


def test_scores_counted_by_hand():
    truth = np.zeros((10, 1, 1), np.uint8)
    truth[6:], truth[4:6] = 1, 2
    found = truth.copy()
    found[6] = 2
    scores = layer_scores(found, truth)
    assert scores["gold IOU"] == pytest.approx(3 / 4)
    assert scores["gold precision"] == 1
    assert scores["gold recall"] == pytest.approx(3 / 4)
    assert scores["aluminium precision"] == pytest.approx(2 / 3)
    assert scores["mIOU"] == pytest.approx((1 + 3 / 4 + 2 / 3) / 3)
    assert scores["accuracy"] == pytest.approx(0.9)


def test_an_absent_class_is_no_perfect_one():
    truth = np.zeros((10, 1, 1), np.uint8)
    truth[5:] = 1
    found = truth.copy()
    found[5] = 0
    scores = layer_scores(found, truth)
    assert np.isnan(scores["aluminium IOU"])
    assert scores["mIOU"] == pytest.approx((5 / 6 + 4 / 5) / 2)
    found[4] = 2
    assert layer_scores(found, truth)["aluminium IOU"] == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sample("exam", 0), "set"),
        (lambda: sample("train", -1), "count from 0"),
        (lambda: sample("train", 0, "pyramids"), "kind"),
        (lambda: sample("train", 0, "perlin", (4, 4)), "16"),
        (lambda: sample("train", 0, "perlin", (32, 32), (15.0, 0.0)), "above 0"),
        (lambda: thickness_from_labels(np.full((2, 2, 2), 3, np.uint8), 2), "label 3"),
        (lambda: thickness_from_labels(np.zeros((2, 2)), 2), "unsigned"),
        (lambda: layer_scores(*[np.full((2, 2, 2), 3, np.uint8)] * 2), "label 3"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(PorescopeError, match=said):
        call()
