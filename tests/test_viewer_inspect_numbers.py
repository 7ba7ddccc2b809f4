"""What the section Inspect shows, computed without a window."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porescope import Stack
from porescope.errors import Cancelled, PorescopeError
from porescope.measure.differences import (
    ALIKE,
    FALSE_PORE,
    FALSE_SOLID,
    NOT_COMPARED,
    difference_map,
    differences,
)
from porescope.measure.surfaces import boxes_of_phase, phase_surface
from porescope.measure.worst_places import worst_places


def labels(data, spacing_nm=(10.0, 5.0, 5.0), **more):
    return Stack(data=np.asarray(data), spacing_nm=spacing_nm, is_labels=True, **more)


def random_labels(shape=(4, 6, 7), seed=0, **more):
    data = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    return labels(data, **more)


@pytest.mark.parametrize("lazy", [False, True])
def test_differences_are_false_solid_and_false_pore(lazy):
    found, truth = random_labels(seed=1), random_labels(seed=2)
    if lazy:
        found = found.with_data(da.from_array(found.data, chunks=(3, 4, 4)))
        truth = truth.with_data(da.from_array(truth.data, chunks=(2, 6, 5)))
    shown = difference_map(found, truth)
    assert shown.is_labels
    assert isinstance(shown.data, da.Array)
    solid, truly = np.asarray(found.data) > 0, np.asarray(truth.data) > 0
    expected = np.select([solid & ~truly, truly & ~solid], [FALSE_SOLID, FALSE_PORE], ALIKE)
    np.testing.assert_array_equal(shown.data, expected)

    counted = differences(shown)
    np.testing.assert_array_equal(counted.false_solid, (expected == FALSE_SOLID).sum((1, 2)))
    assert counted.false_pore_percent == pytest.approx(100 * np.mean(expected == FALSE_PORE))
    wrong = [row["false solid %"] + row["false pore %"] for row in counted.rows()]
    assert wrong == sorted(wrong, reverse=True)
    worst = counted.rows()[0]["slice"]
    assert worst == np.argmax((expected > 0).sum((1, 2)))


def test_slices_are_compared_at_the_same_depth_and_no_others():
    truth = random_labels((6, 3, 3), slice_z_nm=[0, 9, 21, 30, 40, 50])
    found = labels(truth.data[[1, 2, 5, 5]], slice_z_nm=[10, 20, 50, 61])
    shown = np.asarray(difference_map(found, truth).data)
    assert (shown[:3] == ALIKE).all()
    assert (shown[3] == NOT_COMPARED).all()
    assert differences(difference_map(found, truth)).compared.tolist() == [9, 9, 9, 0]
    assert [row["slice"] for row in differences(difference_map(found, truth)).rows()] == [0, 1, 2]


def test_cropped_labels_are_compared_where_they_lie():
    truth = random_labels((2, 6, 7))
    cropped = truth.crop(slice(2, 5), slice(1, 7))
    assert (np.asarray(difference_map(cropped, truth).data) == ALIKE).all()
    shown = np.asarray(difference_map(truth, cropped).data)
    assert (shown[:, 2:5, 1:7] == ALIKE).all()
    assert (shown == NOT_COMPARED).sum() == 2 * (42 - 18)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"spacing_nm": (10, 6, 5)}, "pixels are"),
        ({"origin_yx_nm": (2.0, 0.0)}, "lie between"),
        ({"origin_yx_nm": (500.0, 0.0)}, "different places"),
        ({"slice_z_nm": np.arange(4) * 10 + 500.0}, "same depth"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(changes, told):
    data = random_labels().data
    with pytest.raises(PorescopeError, match=told):
        difference_map(labels(data), labels(data, **changes))


def test_counting_differences_can_be_cancelled():
    shown = difference_map(random_labels(), random_labels())
    with pytest.raises(Cancelled):
        differences(shown, cancel=lambda: True)


def test_the_worst_places_are_found_in_order_and_apart():
    data = np.zeros((9, 60, 80), np.float32)
    spots = {(4, 20, 30): 3.0, (4, 45, 60): 2.0, (8, 20, 30): 1.0}
    for (z, y, x), value in spots.items():
        data[z, y - 3 : y + 4, x - 3 : x + 4] = value
    data[5, 17:24, 27:34] = 2.9  # the same place, a slice further
    stack = Stack(data=data, spacing_nm=(20, 5, 5))
    places = worst_places(stack, size_nm=60)
    assert len(places) == 3
    for place, (z, y, x) in zip(places, spots, strict=True):
        assert place.slice == z
        assert abs(place.row - y) <= 2
        assert abs(place.column - x) <= 2
    severities = [place.severity for place in places]
    assert severities == sorted(severities, reverse=True)
    assert 1.5 < severities[0] <= 3


@given(
    st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 25)] * 3), st.sampled_from([20, 45, 90])
)
@settings(max_examples=40, deadline=None)
def test_no_two_worst_places_overlap(seed, shape, size_nm):
    data = np.random.default_rng(seed).random(shape)
    stack = Stack(data=data, spacing_nm=(11, 5, 4))
    places = worst_places(stack, size_nm=size_nm)
    assert places
    at_nm = np.array([(p.slice, p.row, p.column) for p in places]) * stack.spacing_nm
    assert all(0 <= p.slice < shape[0] and p.row < shape[1] and p.column < shape[2] for p in places)
    apart = np.linalg.norm(at_nm[:, None] - at_nm, axis=-1)[~np.eye(len(places), dtype=bool)]
    assert (apart >= size_nm * 0.999).all()


@pytest.mark.parametrize(
    ("meaning", "good", "bad"),
    [
        ("probability", 0.98, 0.5),
        ("probability", 250, 128),
        ("disagreement", 0.1, -0.9),
        ("difference", NOT_COMPARED, FALSE_PORE),
        ("value", 0.1, 0.9),
        ("value", np.nan, 0.2),
    ],
)
def test_what_is_bad_depends_on_what_a_map_means(meaning, good, bad):
    kind = np.uint8 if isinstance(good, int) else np.float32
    data = np.full((3, 40, 40), good, kind)
    data[1, 28:36, 4:12] = bad
    place = worst_places(Stack(data=data, spacing_nm=(5, 5, 5)), meaning, size_nm=30)[0]
    assert place.slice == 1
    assert 28 <= place.row < 36
    assert 4 <= place.column < 12


def test_where_nothing_is_wrong_there_are_no_places():
    shown = difference_map(random_labels(), random_labels())
    assert worst_places(shown, "difference", size_nm=50) == []


def volume_nm3(mesh):
    corners = mesh.vertices_nm[mesh.faces].astype(float)
    return abs(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6


@pytest.mark.parametrize("most", [10**9, 5000])
def test_the_surface_of_a_sphere_encloses_it(most):
    z, y, x = np.mgrid[:30, :60, :50]
    sphere = ((z - 15) * 10) ** 2 + ((y - 28) * 5) ** 2 + ((x - 24) * 6) ** 2 < 100**2
    stack = labels(np.where(sphere, 2, 1).astype(np.uint8), (10, 5, 6), origin_yx_nm=(500, -30))
    boxes = boxes_of_phase(stack, 2, most=most)
    assert boxes.fractions[1:-1, 1:-1, 1:-1].size <= most
    mesh = phase_surface(boxes)
    assert volume_nm3(mesh) == pytest.approx(4 / 3 * np.pi * 100**3, rel=0.05)
    middle = (mesh.vertices_nm.min(axis=0) + mesh.vertices_nm.max(axis=0)) / 2
    np.testing.assert_allclose(middle, (150, 500 + 140, -30 + 144), atol=15)


def test_a_surface_lies_where_the_slices_were_cut_and_closes_at_the_border():
    data = np.ones((4, 5, 5), np.uint8)
    stack = labels(data, (10, 5, 5), slice_z_nm=[0, 10, 40, 50])
    mesh = phase_surface(boxes_of_phase(stack))
    np.testing.assert_allclose(mesh.vertices_nm.min(axis=0), (-5, -2.5, -2.5))
    np.testing.assert_allclose(mesh.vertices_nm.max(axis=0), (55, 22.5, 22.5))


def test_a_single_slice_has_a_surface():
    mesh = phase_surface(boxes_of_phase(labels(np.ones((1, 4, 4), np.uint8))))
    assert np.ptp(mesh.vertices_nm[:, 0]) == pytest.approx(10)


def test_a_phase_that_is_nowhere_is_refused():
    with pytest.raises(PorescopeError, match="nowhere"):
        phase_surface(boxes_of_phase(random_labels(), phase=9))
