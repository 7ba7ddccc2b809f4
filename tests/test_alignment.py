"""An alignment: what it holds, how it is kept, composed and applied."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from porescope import PorescopeError, Stack
from porescope.correct import Alignment, common_area

TURN = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])


def smooth(shape=(2, 60, 70), seed=0):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, (0, 4, 4)).astype(np.float32) * 50


def test_linear_part_confidence_and_refusals_are_saved(tmp_path):
    before = Alignment(
        [[0, 0], [1.5, -2]], 2.0, [np.eye(2), TURN], confidence=[1, 0.1], refused=[False, True]
    )
    before.save(tmp_path / "a.json")
    after = Alignment.load(tmp_path / "a.json")
    for name in ("offsets_px", "linear", "confidence", "refused"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert json.loads((tmp_path / "a.json").read_text())["porescope_alignment"] == 2


def test_alignments_of_the_first_version_are_read(tmp_path):
    content = {"porescope_alignment": 1, "beam_kv": 4.0, "offsets_px": [[0, 0], [1, 2]]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = Alignment.load(tmp_path / "a.json")
    assert found.offsets_px.tolist() == [[0, 0], [1, 2]]
    assert (found.beam_kv, found.linear, found.refused.any()) == (4.0, None, False)


@pytest.mark.parametrize(
    "change",
    [
        {"porescope_alignment": 3},
        {"offsets_px": [[0, "x"]]},
        {"offsets_px": [[0, float("nan")]]},
        {"offsets_px": {"0": 1}},
        {"offsets_px": [[0, 0], [1]]},
        {"linear": [[[1, 0], [0, 0]]]},
        {"linear": [[[1, 0], [0, 1e300]]]},
        {"linear": [[1, 0]]},
        {"confidence": [2]},
        {"confidence": [0.5, 0.5]},
        {"refused": ["yes"]},
        {"beam_kv": "2"},
        {"beam_kv": -1},
        {"beam_kv": [2]},
    ],
)
def test_hostile_files_are_refused(tmp_path, change):
    content = {"porescope_alignment": 2, "beam_kv": 2.0, "offsets_px": [[0, 0]]} | change
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(PorescopeError, match="is not an alignment that"):
        Alignment.load(tmp_path / "a.json")


def test_deep_nesting_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(PorescopeError, match="is not an alignment that"):
        Alignment.load(tmp_path / "a.json")


numbers = st.floats(-3, 3)
small = st.floats(-0.2, 0.2)


@settings(max_examples=30, deadline=None)
@given(st.lists(numbers, min_size=4, max_size=4), st.lists(small, min_size=8, max_size=8))
def test_composing_is_one_after_the_other(offsets, parts):
    one, two = (
        Alignment([moves], 2.0, np.eye(2) + np.array([linear]).reshape(1, 2, 2))
        for moves, linear in ((offsets[:2], parts[:4]), (offsets[2:], parts[4:]))
    )
    both = one.compose(two)
    at, centre = np.array([7.0, 11.0]), np.array([20.0, 30.0])

    def place(alignment, point):
        return centre + alignment.linear[0] @ (point - centre) + alignment.offsets_px[0]

    np.testing.assert_allclose(place(both, at), place(two, place(one, at)), atol=1e-9)


def test_composing_keeps_the_worse_news():
    one = Alignment(np.zeros((2, 2)), confidence=[0.2, 1], refused=[True, False])
    two = Alignment(np.ones((2, 2)), confidence=[1, 0.5])
    both = one.compose(two)
    assert both.confidence.tolist() == [0.2, 0.5]
    assert both.refused.tolist() == [True, False]
    with pytest.raises(PorescopeError, match="do not compose"):
        one.compose(Alignment(np.zeros((3, 2))))


def test_turning_is_about_the_centre_of_the_image():
    """A point moves where the formula says: c + linear (r - c) + offset."""
    data = np.zeros((1, 41, 61), np.float32)
    data[0, 28:31, 44:47] = 1
    moved = Alignment([[2.0, -3.0]], linear=[TURN]).apply(Stack(data, (1, 1, 1)), fill=0).data[0]
    centre = np.array([20, 30])
    expected = centre + TURN @ (np.array([29, 45]) - centre) + [2, -3]
    np.testing.assert_allclose(ndimage.center_of_mass(np.asarray(moved)), expected, atol=0.05)


def test_turned_slices_fill_their_common_area():
    data = smooth()
    alignment = Alignment([[0, 0], [2.3, -1.2]], linear=[np.eye(2), TURN])
    stack = Stack(data, (1, 1, 1))
    rows, columns = common_area([alignment], data.shape)
    marked = np.asarray(alignment.apply(stack, fill=np.nan).data)
    assert np.isnan(marked).any()
    assert not np.isnan(marked[:, rows, columns]).any()
    np.testing.assert_array_equal(alignment.apply(stack).data, marked[:, rows, columns])


def test_edges_do_not_ring():
    """Flat parts beside an edge stay flat, though a spline would overshoot there."""
    data = np.full((1, 40, 40), 100, np.uint8)
    data[0, :, 20:] = 180
    data[0, 0, 0], data[0, -1, -1] = 0, 255  # so that the range of the slice holds nothing back
    moved = np.asarray(Alignment([[0.5, 0.5]]).apply(Stack(data, (1, 1, 1))).data)
    inside = moved[0, 4:-4]
    assert inside.min() >= 100
    assert inside.max() <= 180
    assert set(np.unique(inside[:, :15])) == {100}


def test_what_is_not_filled_is_marked():
    data = np.full((2, 10, 12), 7, np.uint8)
    stack = Stack(data, (1, 1, 1))
    marked = Alignment([[0, 0], [2, -3]]).apply(stack, fill=0).data
    assert (marked[0] == 7).all()
    assert (marked[1, 2:, :9] == 7).all()
    assert marked[1].sum() == 7 * 8 * 9
    for bad in (-1, 256, 0.5, np.nan):
        with pytest.raises(PorescopeError, match="cannot hold"):
            Alignment(np.zeros((2, 2))).apply(stack, fill=bad)
