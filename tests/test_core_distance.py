import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from porescope import _core

SPACING = st.tuples(*[st.floats(1.0, 1e3) for _ in range(3)])


def by_brute_force(labels, spacing_nm):
    """Look at every pair of voxels."""
    places = np.indices(labels.shape).reshape(3, -1).T * np.asarray(spacing_nm)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    flat = labels.ravel()
    apart[flat[:, None] == flat[None]] = np.inf
    return apart.min(axis=1).reshape(labels.shape)


def blobs(shape, labels=2, seed=0):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    ranks = smooth.ravel().argsort().argsort().reshape(shape)
    return (ranks * labels // smooth.size).astype(np.uint8)


@settings(deadline=None, max_examples=200)
@given(
    labels=arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32]),
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=7),
        elements=st.integers(0, 3),
    ),
    spacing_nm=SPACING,
)
def test_several_labels_against_brute_force(labels, spacing_nm):
    np.testing.assert_allclose(
        _core.distance_to_other_label(labels, spacing_nm),
        by_brute_force(labels, spacing_nm),
        rtol=1e-6,
    )


@pytest.mark.parametrize("spacing_nm", [(1, 1, 1), (46.18, 40, 40), (1000, 1, 1), (1, 3, 1000)])
@pytest.mark.parametrize("shape", [(40, 33, 50), (1, 60, 70), (60, 1, 70), (60, 70, 1), (1, 1, 90)])
def test_two_phases_against_scipy(shape, spacing_nm):
    solid = blobs(shape).astype(bool)
    expected = sum(
        ndimage.distance_transform_edt(phase, sampling=spacing_nm) for phase in (solid, ~solid)
    )
    np.testing.assert_allclose(
        _core.distance_to_other_label(solid, spacing_nm), expected, rtol=1e-6
    )


def test_threads_change_nothing():
    labels = blobs((37, 41, 43), labels=4)
    one = _core.distance_to_other_label(labels, (10, 2.5, 2.5), threads=1)
    for threads in (0, 2, 5):
        many = _core.distance_to_other_label(labels, (10, 2.5, 2.5), threads=threads)
        np.testing.assert_array_equal(many, one)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 1, 1)])
def test_one_label_has_no_border(shape):
    distance = _core.distance_to_other_label(np.full(shape, 9, np.uint16), (1, 1, 1))
    assert distance.dtype == np.float32
    assert distance.shape == shape
    assert np.isposinf(distance).all()


def test_an_empty_volume_stays_empty():
    assert _core.distance_to_other_label(np.zeros((0, 4, 5), np.uint8), (1, 1, 1)).size == 0


def test_views_are_read_in_place():
    labels = blobs((30, 31, 32), labels=3)
    view = labels[::-2, 3:, ::3].transpose(2, 0, 1)
    np.testing.assert_array_equal(
        _core.distance_to_other_label(view, (3, 2, 1)),
        _core.distance_to_other_label(np.ascontiguousarray(view), (3, 2, 1)),
    )


def test_labels_beyond_a_byte_are_told_apart():
    labels = np.array([[[1, 257, 65537]]], np.uint32)
    np.testing.assert_array_equal(_core.distance_to_other_label(labels, (1, 1, 2)), [[[2, 2, 2]]])


@pytest.mark.parametrize("spacing_nm", [(0, 1, 1), (1, -1, 1), (1, 1, np.nan), (np.inf, 1, 1)])
def test_impossible_spacing_is_refused(spacing_nm):
    with pytest.raises(ValueError, match="spacing_nm"):
        _core.distance_to_other_label(np.zeros((2, 2, 2), bool), spacing_nm)


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2), bool), np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), int)]
)
def test_other_arrays_are_refused(labels):
    with pytest.raises(TypeError):
        _core.distance_to_other_label(labels, (1, 1, 1))
