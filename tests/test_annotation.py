"""Labels painted by hand, without a window: between slices, through slices, under a brush."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt, label

from porescope.errors import Cancelled, PorescopeError
from porescope.segment.annotation import (
    brush_disc,
    connected,
    fill_through,
    gaps,
    grow,
    interpolate_labels,
    told_shares,
)
from porescope.segment.edits import History, Patch, bounding_box

few = settings(max_examples=40, deadline=None)
small_shapes = st.tuples(*[st.integers(1, 7)] * 3)
volumes = small_shapes.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3)))


def filled(labels, spacing_nm=(1, 1, 1), slice_z_nm=None, axis=0):
    after = labels.copy()
    for patch in interpolate_labels(labels, spacing_nm, slice_z_nm, axis):
        patch.apply(after)
    return after


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@st.composite
def annotated(draw):
    """A volume in which some slices hold labels, others nothing, at uneven places."""
    shape = draw(st.tuples(st.integers(2, 7), st.integers(1, 8), st.integers(1, 8)))
    labels = draw(arrays(np.uint8, shape, elements=st.integers(0, 3)))
    told = draw(arrays(bool, shape[0]))
    steps = draw(st.lists(st.floats(0.5, 9), min_size=shape[0], max_size=shape[0]))
    return labels * told[:, None, None], np.cumsum(steps)


def between_by_brute_force(labels, spacing_nm, slice_z_nm):
    """As interpolate_labels, each voxel by itself over whole slices."""
    after = labels.copy()
    told = [z for z in range(len(labels)) if labels[z].any()]
    half = min(spacing_nm[1:]) / 2
    far = float(np.hypot(*(np.array(labels.shape[1:]) * spacing_nm[1:])))

    def field(z, value):
        inside = labels[z] == value
        if inside.all():
            return np.full(inside.shape, far)
        to = [distance_transform_edt(side, sampling=spacing_nm[1:]) for side in (inside, ~inside)]
        return np.where(inside, to[0] - half, half - to[1])

    for z in set(range(len(labels))) - set(told):
        deepest = np.full(labels.shape[1:], -np.inf)
        unclear = np.zeros(labels.shape[1:], bool)
        for value in (1, 2, 3):
            held = [other for other in told if (labels[other] == value).any()]
            below = [other for other in held if other < z]
            above = [other for other in held if other > z]
            if not below or not above:
                continue
            a, b = below[-1], above[0]
            share = (slice_z_nm[z] - slice_z_nm[a]) / (slice_z_nm[b] - slice_z_nm[a])
            here = (1 - share) * field(a, value) + share * field(b, value)
            unclear |= np.isclose(here, np.maximum(deepest, 0), atol=1e-4)
            wins = (here >= 0) & (here > deepest)
            deepest[wins] = here[wins]
            after[z][wins] = value
        after[z][unclear] = 255  # rounding decides
    return after


@few
@given(annotated())
def test_between_slices_the_signed_distance_goes_linearly_in_nm(case):
    labels, slice_z_nm = case
    spacing_nm = (1.0, 2.0, 3.0)
    found = filled(labels, spacing_nm, slice_z_nm)
    expected = between_by_brute_force(labels, spacing_nm, slice_z_nm)
    clear = expected != 255
    assert np.array_equal(found[clear], expected[clear])


@few
@given(annotated())
def test_annotated_slices_are_kept_and_no_voxel_is_overwritten(case):
    labels, slice_z_nm = case
    found = filled(labels, (1, 2, 3), slice_z_nm)
    told = labels.any(axis=(1, 2))
    assert np.array_equal(found[told], labels[told])
    held = np.flatnonzero(told)
    outside = np.ones(len(labels), bool)
    if held.size:
        outside[held[0] : held[-1] + 1] = False
    assert not found[outside].any()


@few
@given(annotated())
def test_from_the_other_end_it_is_the_same(case):
    labels, slice_z_nm = case
    there = filled(labels, (1, 2, 3), slice_z_nm)
    back = filled(labels[::-1].copy(), (1, 2, 3), -slice_z_nm[::-1])
    assert np.array_equal(there, back[::-1])


@few
@given(annotated(), st.sampled_from([1, 2]))
def test_slices_may_lie_along_any_axis(case, axis):
    labels, _ = case
    expected = filled(labels, (5.0, 2.0, 3.0))
    spacing_nm = [2.0, 3.0]
    spacing_nm.insert(axis, 5.0)
    turned = np.moveaxis(labels, 0, axis).copy()
    assert np.array_equal(np.moveaxis(filled(turned, spacing_nm, axis=axis), axis, 0), expected)


def test_between_two_discs_lies_a_cone_at_uneven_depths():
    depths = np.array([0.0, 10, 15, 60, 90, 100])
    labels = np.zeros((6, 90, 90), np.uint8)
    labels[0][disc((90, 90), (45, 45), 40)] = 2
    labels[-1][disc((90, 90), (45, 45), 10)] = 2
    radii = np.sqrt((filled(labels, (20, 1, 1), depths) == 2).sum(axis=(1, 2)) / np.pi)
    assert np.allclose(radii, 40 - 0.3 * depths, atol=0.7)


def test_a_disc_that_moves_is_half_way_in_the_middle():
    labels = np.zeros((3, 60, 60), np.uint8)
    labels[0][disc((60, 60), (30, 24), 15)] = 1
    labels[2][disc((60, 60), (30, 36), 15)] = 1
    middle = np.argwhere(filled(labels)[1] == 1)
    assert np.allclose(middle.mean(axis=0), (30, 30), atol=0.1)


def test_slices_told_in_full_leave_no_voxel_between_untold():
    random = np.random.default_rng(0)
    labels = np.zeros((5, 20, 20), np.uint8)
    labels[[0, -1]] = random.integers(1, 3, (2, 20, 20))
    found = filled(labels)
    assert found.all()
    agree = labels[0] == labels[-1]
    assert (found[:, agree] == labels[0][agree]).mean() > 0.9


def test_a_label_goes_past_slices_that_tell_of_others_only():
    labels = np.zeros((5, 9, 9), np.uint8)
    labels[0, 2:7, 2:7] = labels[4, 2:7, 2:7] = 1
    labels[2, 0, 0] = 2
    found = filled(labels)
    assert (found[[1, 3], 2:7, 2:7] == 1).all()
    assert found[2].sum() == 2


def test_slices_at_one_place_are_refused_and_cancel_is_heard():
    labels = np.ones((4, 3, 3), np.uint8)
    with pytest.raises(PorescopeError, match="same place"):
        interpolate_labels(labels, (1, 1, 1), [0, 1, 1, 2])
    labels[1:3] = 0
    with pytest.raises(Cancelled):
        interpolate_labels(labels, (1, 1, 1), cancel=lambda: True)
    seen = []
    interpolate_labels(labels, (1, 1, 1), progress=lambda *each: seen.append(each))
    assert seen[-1] == (2, 2)


@few
@given(volumes, st.data())
def test_filling_through_slices_finds_what_is_connected(labels, data):
    seed = tuple(data.draw(st.integers(0, size - 1)) for size in labels.shape)
    value = data.draw(st.integers(0, 3))
    parts, _ = label(labels == labels[seed])
    after = labels.copy()
    for patch in fill_through(labels, seed, value):
        patch.apply(after)
    assert np.array_equal(after, np.where(parts == parts[seed], value, labels))


def test_filling_follows_a_spiral_back_through_slices_already_seen():
    labels = np.ones((3, 5, 9), np.uint8)
    labels[1, 2, 4] = labels[0, 2, 4:7] = labels[1, 2, 6] = labels[2, 2, 6:9] = labels[1, 2, 8] = 0
    after = labels.copy()
    for patch in fill_through(labels, (1, 2, 4), 7):
        patch.apply(after)
    assert not (after == 0).any()
    assert (after == 7).sum() == (labels == 0).sum()
    with pytest.raises(Cancelled):
        fill_through(labels, (1, 2, 4), 7, cancel=lambda: True)


@few
@given(volumes, st.integers(0, 2))
def test_what_is_told_slice_by_slice(labels, axis):
    others = tuple(each for each in range(3) if each != axis)
    assert np.allclose(told_shares(labels, axis), (labels > 0).mean(axis=others))


@given(st.sets(st.integers(0, 20)), st.just(21))
def test_gaps_and_told_slices_are_all_slices(told, count):
    stretches = gaps(sorted(told), count)
    untold = [index for first, last in stretches for index in range(first, last + 1)]
    assert sorted([*told, *untold]) == list(range(count))
    assert all(first <= last for first, last in stretches)


@few
@given(arrays(np.uint8, (9, 11), elements=st.integers(0, 200)), st.data())
def test_the_brush_stays_on_what_looks_alike_and_is_connected(image, data):
    y, x = data.draw(st.floats(-4, 12)), data.draw(st.floats(-4, 14))
    size = data.draw(st.floats(1, 12))
    part, covered = brush_disc(image.shape, (y, x), size, (1, 2))
    rows, columns = np.ogrid[:9, :11]
    far = ((rows - y) / (size / 2)) ** 2 + ((columns - x) / (size / 4)) ** 2
    expected = np.zeros(image.shape, bool)
    expected[part] = covered
    if size >= 4:  # smaller ones cover the pixel below them at least
        clear = ~np.isclose(far, 1)
        assert np.array_equal(expected[clear], (far <= 1)[clear])
    seeds = np.zeros(image.shape, bool)
    seeds[4, 5] = True
    found = grow(image.astype(np.float32)[part], covered, seeds[part], 100.0, 40.0)
    whole = np.zeros(image.shape, bool)
    whole[part] = found
    alike = expected & (abs(image.astype(float) - 100) <= 40)
    parts, _ = label(alike)
    wanted = (parts == parts[4, 5]) & alike & alike[4, 5]
    assert np.array_equal(whole & alike, wanted)
    # What is taken besides are small holes in it.
    holes, count = label(whole & ~wanted)
    assert all((holes == hole).sum() <= 9 for hole in range(1, count + 1))
    if not wanted.any():
        assert not whole.any()


def test_connected_needs_an_edge_in_common():
    alike = np.eye(3, dtype=bool)
    seeds = np.zeros((3, 3), bool)
    seeds[0, 0] = True
    assert connected(alike, seeds).sum() == 1


@few
@given(volumes, st.data())
def test_edits_are_taken_back_and_done_again_in_order(labels, data):
    history, states = History(), [labels.copy()]
    whole = tuple(slice(0, size) for size in labels.shape)
    for _ in range(data.draw(st.integers(1, 4))):
        after = data.draw(arrays(np.uint8, labels.shape, elements=st.integers(0, 3)))
        patch = Patch.between(whole, labels, after)
        if patch is None:
            continue
        history.add([patch])
        labels[...] = after
        states.append(labels.copy())
    for state in states[-2::-1]:
        for patch in history.undo():
            patch.take_back(labels)
        assert np.array_equal(labels, state)
    assert not history.can_undo
    for state in states[1:]:
        for patch in history.redo():
            patch.apply(labels)
        assert np.array_equal(labels, state)
    assert not history.can_redo


def test_an_edit_leaves_alone_what_changed_since():
    labels = np.zeros((2, 4, 4), np.uint8)
    after = labels[:1].copy()
    after[0, 1:3] = 1
    where = (slice(0, 1), slice(0, 4), slice(0, 4))
    patch = Patch.between(where, labels[:1], after)
    assert patch.where == (slice(0, 1), slice(1, 3), slice(0, 4))
    patch.apply(labels)
    labels[0, 1, 0] = 5
    patch.take_back(labels)
    assert labels.sum() == 5
    assert labels[0, 1, 0] == 5
    labels[0, 2, 2] = 3
    patch.apply(labels)
    assert (labels[0, 2] == [1, 1, 3, 1]).all()


def test_what_takes_too_much_memory_forgets_the_oldest_and_keeps_the_newest():
    random = np.random.default_rng(0)
    plane = random.integers(0, 255, (1, 64, 64)).astype(np.uint8)
    where = (slice(0, 1), slice(0, 64), slice(0, 64))
    patch = Patch.between(where, np.zeros_like(plane), plane)
    history = History(most_bytes=2 * patch.size)
    for _ in range(5):
        history.add([patch])
    assert [bool(history.undo()) for _ in range(3)] == [True, True, False]
    tight = History(most_bytes=1)
    tight.add([patch])
    assert tight.undo() == (patch,)
    assert tight.undo() == ()
    tight.add([])
    assert tight.can_redo
    tight.add([patch])
    assert not tight.can_redo


def test_a_large_fill_takes_little_memory_to_undo():
    plane = np.zeros((1, 2048, 2048), np.uint8)
    where = (slice(0, 1), slice(0, 2048), slice(0, 2048))
    patch = Patch.between(where, plane, np.ones_like(plane))
    assert patch.size < 100_000
    patch.take_back(after := np.ones_like(plane))
    assert not after.any()


def test_the_smallest_box():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 2, 1] = mask[2, 2, 3] = True
    assert bounding_box(mask) == (slice(1, 3), slice(2, 3), slice(1, 4))
