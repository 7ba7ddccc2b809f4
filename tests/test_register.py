import dask.array as da
import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.correct import Alignment, align_stack, align_voltages, common_area

SHAPE = (80, 90)


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
    monkeypatch.setattr("porescope.correct.windows.LARGEST_PX", 40)
    drift = np.array([[0, 0], [1.3, -2.1], [4.0, 0.5]])
    found = align_stack(drifting_stack(texture, drift, step=0)).offsets_px
    np.testing.assert_allclose(found, -drift, atol=0.08)
