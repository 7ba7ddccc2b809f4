import json
import warnings
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from porescope import PorescopeError, Stack
from porescope.correct import Alignment, align_stack, align_voltages, common_area, find_fiducial
from porescope.correct.registration.solve import Pairs, solve
from porescope.errors import Cancelled, PorescopeWarning
from porescope.io import read_voltages
from porescope.sample_data import sample_folder

SHAPE = (80, 90)
EVERYTHING = (None,) * 4


def drifting_stack(texture, drift, beam_kv=2.0, step=0.5, noise=0.3, seed=0):
    random = np.random.default_rng(seed)
    images = [texture.slice(step * i, SHAPE, d) for i, d in enumerate(drift)]
    images = np.stack(images) + noise * random.normal(size=(len(drift), *SHAPE))
    return Stack(images.astype(np.float32), (10, 2, 2), beam_kv)


def random_drift(slices, seed):
    drift = np.cumsum(np.random.default_rng(seed).normal(size=(slices, 2)), axis=0)
    return drift - drift[0]


def test_drift_within_a_stack_is_found(texture):
    drift = random_drift(12, seed=1)
    found = align_stack(drifting_stack(texture, drift)).offsets_px
    assert found[0].tolist() == [0, 0]
    # The structure changes from slice to slice, so each pair is off a little by itself.
    np.testing.assert_allclose(np.diff(found, axis=0), -np.diff(drift, axis=0), atol=0.2)


def test_other_voltages_are_brought_into_the_frame_of_2_kv(texture):
    drift = random_drift(10, seed=2)
    apart = np.random.default_rng(5).uniform(-2, 2, size=(10, 2))
    stacks = [
        drifting_stack(texture, drift + apart, beam_kv=1.0, seed=1),
        drifting_stack(texture, drift, beam_kv=2.0, seed=2),
    ]
    at_1, at_2 = align_voltages(stacks)
    assert (at_1.beam_kv, at_2.beam_kv) == (1.0, 2.0)
    np.testing.assert_allclose(at_2.offsets_px, align_stack(stacks[1]).offsets_px, atol=0.15)
    np.testing.assert_allclose(at_1.offsets_px - at_2.offsets_px, -apart, atol=0.1)
    by_1 = align_voltages(stacks, reference_kv=1.0)
    assert by_1[0].offsets_px[0].tolist() == [0, 0]


@pytest.mark.parametrize("lazy", [False, True])
def test_applying_brings_content_to_one_place_and_crops(texture, lazy):
    drift = random_drift(6, seed=4)
    stack = drifting_stack(texture, drift, step=0, noise=0)
    if lazy:
        stack = stack.with_data(da.from_array(stack.data, chunks=(4, 50, 50)))
    aligned = Alignment(-drift).apply(stack)
    rows, columns = common_area([Alignment(-drift)], stack.shape)
    still = texture.slice(0, SHAPE)[rows, columns]
    assert aligned.data.shape == (6, *still.shape)
    inside = np.s_[5:-5, 5:-5]  # a spline knows less at the border
    for plane in np.asarray(aligned.data):
        np.testing.assert_allclose(plane[inside], still[inside], atol=0.05 * still.std())
    assert aligned.origin_yx_nm == (2 * rows.start, 2 * columns.start)


def test_common_area_is_where_every_slice_has_pixels():
    offsets = np.array([[0, 0], [2.2, -1], [-3.5, 0.5]])
    rows, columns = common_area([Alignment(offsets)], (3, 20, 30))
    assert (rows, columns) == (slice(3, 16), slice(1, 29))


def test_integer_images_keep_dtype_and_range():
    data = np.zeros((2, 16, 16), np.uint8)
    data[:, :, 8:] = 255
    moved = Alignment(np.array([[0, 0], [0.5, 0.5]])).apply(Stack(data, (1, 1, 1))).data
    assert moved.dtype == np.uint8
    assert set(np.unique(moved[0])) == {0, 255}


def test_labels_are_moved_without_inventing_any():
    data = np.random.default_rng(0).choice([0, 3], size=(2, 16, 16)).astype(np.uint8)
    stack = Stack(data, (1, 1, 1), is_labels=True)
    moved = Alignment(np.array([[0, 0], [0.4, 1.7]])).apply(stack).data
    assert set(np.unique(moved)) == {0, 3}


def test_saved_alignment_is_the_same(tmp_path):
    alignment = Alignment(np.random.default_rng(0).normal(size=(5, 2)), 2.0)
    alignment.save(tmp_path / "a.json")
    back = Alignment.load(tmp_path / "a.json")
    np.testing.assert_array_equal(back.offsets_px, alignment.offsets_px)
    assert back.beam_kv == 2.0
    with pytest.raises(PorescopeError, match="exists already"):
        alignment.save(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "[]", '{"porescope_alignment": 1, "offsets_px": [[1]]}'])
def test_foreign_alignment_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PorescopeError):
        Alignment.load(tmp_path / "a.json")


def test_refusals():
    one, two = (Stack(np.zeros((n, 8, 8)), (1, 1, 1), 2.0) for n in (1, 2))
    for act, says in [
        (lambda: align_stack(one), "single image"),
        (lambda: align_stack(two, region=(0, 9, None, 8)), "region"),
        (lambda: align_voltages([one, two]), "shape"),
        (lambda: align_voltages([two], reference_kv=5), "no stack at 5 kV"),
        (lambda: Alignment(np.zeros((3, 2))).apply(two), "same slices"),
        (lambda: common_area([Alignment([[0, 0], [9, 0]])], (2, 8, 8)), "in common"),
        (lambda: align_stack(two.with_data(np.full((2, 8, 8), np.nan))), "not numbers"),
    ]:
        with pytest.raises(PorescopeError, match=says):
            act()


def test_large_images_are_binned_without_losing_the_scale(texture, monkeypatch):
    monkeypatch.setattr("porescope.correct.registration.windows.LARGEST_PX", 40)
    drift = np.array([[0, 0], [1.3, -2.1], [4.0, 0.5]])
    found = align_stack(drifting_stack(texture, drift, step=0)).offsets_px
    np.testing.assert_allclose(found, -drift, atol=0.08)


def test_a_fiducial_is_found_and_tells_the_drift_to_a_tenth_of_a_pixel():
    """Without it, structure that all leans to one side is taken for drift."""
    stack, drift = leaning_stack(fiducial=True)
    y0, y1, x0, x1 = find_fiducial([stack])
    assert y0 < 15
    assert 25 < y1 < 60
    assert x1 - x0 > 70
    found = align_stack(stack)
    np.testing.assert_allclose(found.offsets_px, -drift, atol=0.1)
    assert not found.refused.any()


@pytest.mark.parametrize("region", [None, (0, 28, None, None), (0, 28, 0, 52)])
@pytest.mark.parametrize("voltages", [1, 2])
def test_large_pores_of_a_small_image_do_not_outweigh_the_fiducial(region, voltages):
    """From slice 11 to 12 so much is milled that a large pore seems to have moved by 10 pixels."""
    told = json.loads((sample_folder() / "drift.json").read_text(encoding="utf-8"))["offsets_px"]
    stacks = [
        replace(stack, data=np.asarray(stack.data)[:16, :96, :96], slice_z_nm=stack.slice_z_nm[:16])
        for stack in read_voltages(sample_folder())[:voltages]
    ]
    for found in align_voltages(stacks, region=region):
        off = found.offsets_px - np.array(told[f"{found.beam_kv:g}kV"])[:16]
        assert np.abs(off - np.median(off, axis=0)).max() < 0.1


@pytest.mark.parametrize(("missing", "warns"), [(0, False), (6, True)])
def test_parts_that_hardly_hang_together_are_told(texture, missing, warns):
    depths = 0.5 * np.concatenate([np.arange(8), np.arange(8, 16) + missing])
    images = np.array([texture.slice(depth, SHAPE) for depth in depths])
    images += 0.3 * np.random.default_rng(0).normal(size=images.shape)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        align_stack(Stack(images, (10, 2, 2)), region=EVERYTHING)
    told = [str(each.message) for each in caught if "hardly agree" in str(each.message)]
    assert len(told) == warns
    assert all(each.startswith("Slices up to 7 and those from 8 on") for each in told)


def leaning_stack(fiducial, slices=16, seed=0):
    """Rods that lean by 1.5 pixels a slice, below a band whose marks stay where they are."""
    random = np.random.default_rng(seed)
    drift = random.normal(0, 2, (slices, 2))
    drift[slices // 2 :] += [4, -20]
    drift -= drift[0]
    marks = ndimage.gaussian_filter(random.normal(size=(140, 220)), 1.5) * 100
    rods = ndimage.gaussian_filter(random.normal(size=(200, 300)), 3) * 200
    images = []
    for index, (dy, dx) in enumerate(drift):
        y, x = np.mgrid[:120, :120].astype(float)
        image = ndimage.map_coordinates(rods, [y - dy + 40, x - dx + 1.5 * index + 60], order=3)
        image += 30 * ndimage.gaussian_filter(random.normal(size=image.shape), 2)
        if fiducial:
            band = ndimage.map_coordinates(marks, [y - dy + 40, x - dx + 60], order=3)
            image = np.where(y - dy < 44, band, image)
        images.append(image + random.normal(0, 4, image.shape))
    return Stack(np.array(images, np.float32), (10, 5, 5), 2.0), drift


def test_where_nothing_stays_the_same_it_is_said(texture):
    stack = drifting_stack(texture, random_drift(14, seed=5), step=1.5)
    assert find_fiducial([stack]) is None
    with pytest.warns(PorescopeWarning, match="may be straightened"):
        align_stack(stack)


def bad_slice(stack, index, image):
    data = np.array(stack.data)
    data[index] = image
    return stack.with_data(data)


@pytest.mark.parametrize("what", ["black", "saturated", "noise", "foreign"])
def test_a_slice_that_shows_nothing_known_is_refused_and_shown(texture, what):
    drift = np.linspace(0, 6, 12)[:, np.newaxis] * [1, -0.5]
    stack = drifting_stack(texture, drift)
    image = {
        "black": np.zeros(SHAPE),
        "saturated": np.full(SHAPE, 255),
        "noise": np.random.default_rng(1).normal(size=SHAPE),
        "foreign": type(texture)(seed=9).slice(0, SHAPE),
    }[what]
    with pytest.warns(PorescopeWarning, match="Slices refused at 2 kV: 6. "):
        found = align_stack(bad_slice(stack, 6, image), region=EVERYTHING)
    assert found.refused.tolist() == [index == 6 for index in range(12)]
    assert found.confidence[6] < 0.3 < np.delete(found.confidence, 6).min()
    np.testing.assert_allclose(found.offsets_px[6], found.offsets_px[[5, 7]].mean(axis=0))
    # Without a fiducial, what leans on average adds up along the stack.
    np.testing.assert_allclose(found.offsets_px, -drift, atol=0.7)


@pytest.mark.parametrize("value", [0.0, 255.0, None])
def test_stacks_without_anything_in_common_are_refused(value):
    data = np.full((6, *SHAPE), value, np.float32) if value is not None else None
    if data is None:
        data = np.random.default_rng(0).normal(size=(6, *SHAPE))
    with pytest.raises(PorescopeError, match="show nothing that others show"):
        align_stack(Stack(data, (1, 1, 1)), region=EVERYTHING)


def test_parts_that_do_not_overlap_are_refused(texture):
    here = [texture.slice(0.3 * index, SHAPE) for index in range(12)]
    there = [type(texture)(seed=9).slice(0.3 * index, SHAPE) for index in range(5)]
    with pytest.raises(PorescopeError, match="nothing"):
        align_stack(Stack(np.array(here[:6] + there + there[:1]), (1, 1, 1)), region=EVERYTHING)


def test_turns_are_found(texture):
    angles = np.deg2rad([0, 0.4, -0.3, 0.5, 0.2, -0.5])
    y, x = np.mgrid[:100, :120] - np.array([49.5, 59.5]).reshape(2, 1, 1)
    base = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(160, 180)), 2) * 100
    images = [
        ndimage.map_coordinates(
            base, [79.5 + np.cos(a) * y - np.sin(a) * x, 89.5 + np.sin(a) * y + np.cos(a) * x]
        )
        for a in angles
    ]
    found = align_stack(Stack(np.array(images), (1, 1, 1)), model="rigid", region=EVERYTHING)
    turned = np.arctan2(found.linear[:, 1, 0], found.linear[:, 0, 0])
    np.testing.assert_allclose(turned, angles, atol=np.deg2rad(0.03))
    np.testing.assert_allclose(found.offsets_px, 0, atol=0.1)
    with pytest.raises(PorescopeError, match="too small to tell how"):
        align_stack(Stack(np.array(images), (1, 1, 1)), model="rigid", region=(0, 30, 0, 30))


def test_gain_and_offset_do_not_matter(texture):
    drift = random_drift(6, seed=1)
    stack = drifting_stack(texture, drift, step=0.1)
    gain = np.array([1, 2, 0.5, 1, 3, 1])[:, np.newaxis, np.newaxis]
    other = stack.with_data(100 * gain + gain * stack.data)
    one, two = (align_stack(s, region=EVERYTHING).offsets_px for s in (stack, other))
    np.testing.assert_allclose(one, two, atol=1e-3)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_the_scale_of_grey_values_does_not_matter(texture, scale):
    stack = drifting_stack(texture, random_drift(6, seed=3))
    scaled = stack.with_data(stack.data * np.float32(scale))
    one, other = (align_stack(each, region=EVERYTHING).offsets_px for each in (stack, scaled))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_smoothing_is_only_on_request(texture):
    drift = random_drift(10, seed=3)
    stack = drifting_stack(texture, drift, step=0.1)
    raw = align_stack(stack, region=EVERYTHING).offsets_px
    smooth = align_stack(stack, region=EVERYTHING, smooth_slices=2).offsets_px
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.5 * np.abs(np.diff(raw, axis=0)).mean()
    with pytest.raises(PorescopeError, match="0 slices or more"):
        align_stack(stack, smooth_slices=-1)


def test_cancelling_stops(texture):
    with pytest.raises(Cancelled):
        align_stack(drifting_stack(texture, np.zeros((4, 2))), cancel=lambda: True)


def test_pairs_that_contradict_the_others_have_no_say():
    random = np.random.default_rng(0)
    true = np.cumsum(random.normal(size=(20, 2)), axis=0)
    pairs = Pairs(2)
    wrong = []
    for apart in (1, 2, 3):
        for first in range(20 - apart):
            spoilt = 3 < first < 13 and random.uniform() < 0.2
            off = random.uniform(5, 9, 2) * spoilt
            moved = true[first + apart] - true[first] + off + random.normal(0, 0.02, 2)
            pairs.add(first, first + apart, moved, np.eye(2))
            wrong.append(spoilt)
    found = solve(20, pairs)
    np.testing.assert_allclose(found.places - found.places[0], true - true[0], atol=0.1)
    assert found.weights[wrong].max() < 0.01
    assert found.weights[~np.array(wrong)].min() > 0.5
