import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porescope import PorescopeError
from porescope.correct import grid_places, reposition

positions = st.lists(st.floats(0, 500), min_size=1, max_size=40).map(np.array)


@settings(deadline=None)
@given(positions, st.floats(2, 30))
def test_every_slice_gets_a_plane_of_its_own_in_order(slice_z_nm, grid_nm):
    places = grid_places(slice_z_nm, grid_nm)
    assert len(set(places)) == len(places)
    order = np.argsort(slice_z_nm, kind="stable")
    assert (np.diff(places[order]) > 0).all()
    assert places.min() >= 0


def test_free_planes_are_the_nearest():
    assert grid_places(np.array([0, 9.9, 20.3, 29.8]), 10).tolist() == [0, 1, 2, 3]
    assert grid_places(np.array([100, 110.0, 152]), 10).tolist() == [0, 1, 5]


def test_slices_on_one_plane_spread_around_it():
    assert grid_places(np.array([0, 50, 51, 52, 100.0]), 10).tolist() == [0, 4, 5, 6, 10]


@pytest.mark.parametrize("lazy", [False, True])
def test_nothing_is_lost(lazy):
    volume = np.random.default_rng(0).integers(1, 9, (5, 3, 4), dtype=np.uint8)
    data = da.from_array(volume, chunks=(2, 2, 2)) if lazy else volume
    placed, known = reposition(data, np.array([0, 12, 18, 19, 55.0]), 5)
    np.testing.assert_array_equal(np.asarray(placed)[known], volume)
    assert not np.asarray(placed)[~known].any()
    assert np.flatnonzero(known).tolist() == [0, 2, 3, 4, 11] or known.sum() == 5


def test_refusals():
    volume = np.zeros((2, 2, 2))
    for act, says in [
        (lambda: reposition(volume, np.array([0, 1, 2]), 1), "one each"),
        (lambda: reposition(volume, np.array([0, 1]), 0), "above 0 nm"),
        (lambda: reposition(volume, np.array([0, 1e6]), 1), "coarser grid"),
        (lambda: reposition(volume, np.array([0, np.nan]), 1), "slice 1 is not a number"),
    ]:
        with pytest.raises(PorescopeError, match=says):
            act()


@pytest.mark.parametrize("lazy", [False, True])
def test_slices_that_contradict_each_other_are_refused(lazy):
    volume = np.zeros((3, 2, 2), np.uint8)
    volume[2] = 1
    data = da.from_array(volume, chunks=(2, 2, 2)) if lazy else volume
    with pytest.raises(PorescopeError, match="1 and 2 differ but are both said to lie at 10 nm"):
        reposition(data, np.array([0, 10, 10]), 5)
    _, known = reposition(data, np.array([10, 10, 0]), 5)  # twice the same: nobody contradicts
    assert known.sum() == 3
