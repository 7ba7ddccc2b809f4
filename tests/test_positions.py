"""Where slices were cut: from images, marks and tables, and which slices to doubt."""

import contextlib
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from milled_marks import ANGLE_DEG, INCLINED, PARALLEL, PIXEL_NM, ruler
from porescope.correct import Alignment
from porescope.correct.positions import (
    SlicePositions,
    compare_slices,
    doubts_told,
    positions_from_images,
    positions_from_marks,
    positions_from_table,
    slice_health,
    thickness_from_images,
    thickness_from_ruler,
)
from porescope.errors import PorescopeError, PorescopeWarning
from porescope.io import read_voltages
from porescope.pipeline import Workspace, find_step
from porescope.sample_data import sample_folder
from porescope.stack import Stack
from porescope.tracking import never_cancel, no_progress

FLYEM = Path(__file__).parents[2] / "shared" / "data" / "real" / "stacks" / "flyem_slices"


@pytest.fixture(scope="module")
def volume():
    """Isotropic texture, 96 planes 1 nm apart."""
    noise = np.random.default_rng(1).normal(size=(96, 128, 128)).astype(np.float32)
    return ndimage.gaussian_filter(noise, 4, mode="wrap")


def sliced(volume, planes, noise=0.0, pixel_nm=1.0):
    planes = np.asarray(planes)
    data = volume[planes].copy()
    data += noise * volume.std() * np.random.default_rng(2).normal(size=data.shape)
    length = float(planes[-1] - planes[0])
    return Stack(data, (length / (len(planes) - 1), pixel_nm, pixel_nm))


def uneven_planes(seed, steps=(2, 3, 4, 5, 6)):
    planes = np.cumsum(np.random.default_rng(seed).choice(steps, 40))
    return planes[planes < 96]


def off_neighbours(found, true):
    error = found - true
    return error[1:-1] - (error[:-2] + error[2:]) / 2


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_images_tell_uneven_slices(volume, noise):
    planes = uneven_planes(3)
    found = positions_from_images(sliced(volume, planes, noise))
    true = planes - planes[0]
    mean = np.diff(planes).mean()
    assert off_neighbours(found.slice_z_nm, true).std() < 0.08 * mean
    assert np.corrcoef(found.thickness_nm, np.diff(planes))[0, 1] > 0.95
    assert found.slice_z_nm[-1] == pytest.approx(true[-1])


def test_the_uncertainty_is_about_that_of_the_error(volume):
    planes = uneven_planes(4)
    found = positions_from_images(sliced(volume, planes, 0.3))
    error = off_neighbours(found.slice_z_nm, planes - planes[0])
    told = np.sqrt(np.mean(found.uncertainty_nm[1:-1] ** 2))
    assert 0.4 < told / np.sqrt(np.mean(error**2)) < 2.5


def test_brightness_and_contrast_of_a_slice_do_not_count(volume):
    stack = sliced(volume, uneven_planes(5))
    random = np.random.default_rng(0)
    gain, offset = random.uniform(0.5, 2, (2, stack.shape[0], 1, 1))
    changed = stack.with_data(stack.data * gain + offset)
    np.testing.assert_allclose(
        thickness_from_images(changed), thickness_from_images(stack), atol=0.02
    )


def test_the_scale_of_grey_values_does_not_matter(volume):
    stack = sliced(volume, uneven_planes(6))
    large = stack.with_data(stack.data * np.float32(1e30))
    np.testing.assert_allclose(
        thickness_from_images(large), thickness_from_images(stack), rtol=1e-3
    )


def test_pixels_need_not_be_square(volume):
    planes = uneven_planes(6)
    stack = sliced(volume, planes)
    foreshortened = Stack(
        ndimage.zoom(stack.data, (1, 0.7, 1), order=3), (stack.spacing_nm[0], 1 / 0.7, 1.0)
    )
    error = off_neighbours(thickness_from_images(foreshortened), planes - planes[0])
    assert error.std() < 0.1 * np.diff(planes).mean()


def test_the_region_alone_is_looked_at(volume):
    stack = sliced(volume, uneven_planes(7))
    data = stack.data.copy()
    data[:, :64] = data[0, :64]  # as a fiducial, the same in every slice
    found = thickness_from_images(stack.with_data(data), (64, None, None, None))
    np.testing.assert_array_equal(found, thickness_from_images(stack, (64, None, None, None)))


def test_a_copy_of_a_slice_moves_no_others():
    """It shares even the noise, which would tell that all others lie closer together."""
    (stack, *_) = read_voltages(sample_folder())
    told = json.loads((sample_folder() / "drift.json").read_text(encoding="utf-8"))["offsets_px"]
    data, offsets = np.array(stack.data)[:16, :96, :96], np.array(told["1kV"])[:16]
    data[7], offsets[7] = data[6], offsets[6] + 0.02  # as alignment finds a copy
    raw = replace(stack, data=data, slice_z_nm=10.0 * np.arange(16))
    thickness = np.diff(thickness_from_images(Alignment(offsets).apply(raw)))
    assert thickness[6] < 0.1
    assert np.delete(thickness, 6).min() > 4


@pytest.mark.parametrize("copies", [1, 5])
def test_copies_of_a_slice_lie_at_one_place(volume, copies):
    planes = uneven_planes(2)[:16]
    before = sliced(volume, planes, noise=0.3)
    order = np.sort([*range(16), *[7] * copies])
    after = replace(before, data=before.data[order], slice_z_nm=before.slice_z_nm[order])
    found, alone = thickness_from_images(after), thickness_from_images(before)
    assert np.ptp(found[order == 7]) < 0.1
    np.testing.assert_allclose(found, alone[order], atol=1)


def test_blank_slices_are_put_between_their_neighbours(volume):
    planes = uneven_planes(8)
    stack = sliced(volume, planes)
    data = stack.data.copy()
    data[[0, 5]] = 7
    found = positions_from_images(stack.with_data(data))
    assert np.flatnonzero(found.blank).tolist() == [0, 5]
    assert found.slice_z_nm[5] == pytest.approx(found.slice_z_nm[[4, 6]].mean())
    assert np.isnan(found.uncertainty_nm[[0, 5]]).all()
    assert slice_health(found)[5]["doubt"] == "blank"


@pytest.mark.skipif(not FLYEM.exists(), reason="the real stack is not here")
def test_real_slices_that_were_removed_are_missed():
    from porescope.io import read_stack

    data = np.asarray(read_stack(FLYEM, (8, 8, 8)).data)
    kept = np.sort(np.random.default_rng(0).choice(100, 75, replace=False))
    true = 8.0 * (kept - kept[0])
    mean = true[-1] / (len(kept) - 1)
    found = positions_from_images(Stack(data[kept], (mean, 8, 8)))
    assert off_neighbours(found.slice_z_nm, true).std() < 0.15 * mean
    assert (found.thickness_nm - np.diff(true)).std() < 0.15 * mean


def test_what_cannot_be_told_from_images_is_refused(volume):
    with pytest.raises(PorescopeError, match="three or more, and this stack has 2; leave the step"):
        compare_slices(sliced(volume, [0, 3]))
    with pytest.raises(PorescopeError, match="Where slices are missing between them, only a table"):
        compare_slices(sliced(volume, [0, 3, 6, 40, 43, 46]))
    with pytest.raises(PorescopeError, match="three or more"):
        positions_from_images(sliced(volume, [0, 4]))
    blank = Stack(np.full((5, 64, 64), 9, np.uint8), (4, 1, 1))
    with pytest.raises(PorescopeError, match="only 0 show"):
        positions_from_images(blank)
    same = Stack(np.repeat(volume[:1], 5, axis=0), (4, 1, 1))
    with pytest.raises(PorescopeError, match="the same image"):
        positions_from_images(same)
    unrelated = np.random.default_rng(0).normal(size=(5, 64, 64))
    with pytest.raises(PorescopeError, match="Slices 0 and 1 have nothing in common"):
        positions_from_images(Stack(unrelated, (4, 1, 1)))
    broken = volume[:5].copy()
    broken[2, 3, 3] = np.nan
    with pytest.raises(PorescopeError, match="Slice 2"):
        positions_from_images(Stack(broken, (4, 1, 1)))
    with pytest.raises(PorescopeError, match="too few"):
        positions_from_images(Stack(volume[:5, :4, :4], (1, 1, 1)))
    backwards = Stack(volume[:5], (4, 1, 1), slice_z_nm=-4.0 * np.arange(5))
    with pytest.raises(PorescopeError, match="order in which they were cut"):
        positions_from_images(backwards)


def test_a_ruler_tells_positions_through_drift_and_noise():
    true = np.cumsum(np.random.default_rng(0).gamma(10.6, 0.96, 24))
    stack = Stack(ruler(true), (10, PIXEL_NM, PIXEL_NM))
    found = positions_from_marks(stack, PARALLEL, INCLINED, ANGLE_DEG)
    error = found.slice_z_nm - (true - true[0])
    assert np.sqrt(np.mean(error**2)) < 0.02 * 10
    assert 0.4 < np.nanmean(found.uncertainty_nm) / np.sqrt(np.mean(error**2)) < 2.5


def test_one_parallel_and_one_inclined_mark_are_enough():
    true = 10.0 * np.arange(12)
    stack = Stack(ruler(true), (10, PIXEL_NM, PIXEL_NM))
    depth = thickness_from_ruler(stack, PARALLEL[:1], INCLINED[1:], ANGLE_DEG)
    np.testing.assert_allclose(depth, true, atol=1.2)


def test_a_slice_without_marks_is_blank():
    true = 10.0 * np.arange(12)
    images = ruler(true)
    images[4] = 0
    found = positions_from_marks(
        Stack(images, (10, PIXEL_NM, PIXEL_NM)), PARALLEL, INCLINED, ANGLE_DEG
    )
    assert np.flatnonzero(found.blank).tolist() == [4]
    assert found.slice_z_nm[4] == pytest.approx(40, abs=0.3)


@pytest.mark.parametrize(
    ("parallel", "inclined", "angle_deg", "message"),
    [
        ((), INCLINED, 30, "one parallel mark and one inclined"),
        (PARALLEL, INCLINED, 90, "between 0 and 90"),
        (((0, 4, 0, 4),), INCLINED, 30, "too small"),
        (((0, 400, 0, 40),), INCLINED, 30, "does not lie in an image"),
        (PARALLEL, ((12, 52, 8, 44),), 30, "does not move"),
    ],
)
def test_a_wrong_ruler_is_refused(parallel, inclined, angle_deg, message):
    true = 10.0 * np.arange(6)
    with pytest.raises(PorescopeError, match=message):
        positions_from_marks(
            Stack(ruler(true, drift_px=0, noise=0), (10, PIXEL_NM, PIXEL_NM)),
            parallel,
            inclined,
            angle_deg,
        )


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("slice,position nm,thickness nm\n0,5,10\n1,15,12\n2,27,\n", [0, 10, 22]),
        ("z nm;what\n0,5;a\n2,5;b\n", [0, 2]),
        ("what\tthickness nm\na\t10,5\nb\t10,5\nc\t\n", [0, 10.5, 21]),
        ("file;Thickness [um]\na.tif;0.01\nb.tif;0.02\nc.tif;\n", [0, 10, 30]),
        ("z (µm)\n1.0\n1.5\n", [0, 500]),
        ("name\tz um\n\na\t0\nb\t1\n", [0, 1000]),
    ],
)
def test_tables_are_read(tmp_path, text, positions):
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    found = positions_from_table(path)
    np.testing.assert_allclose(found.slice_z_nm, positions)
    assert found.source == "table log.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"position\n1\n2\n", "with a unit"),
        (b"position nm\n1\ntwo\n", "line 3: 'two' is not a number"),
        (b"position nm\n1\nnan\n", "line 3"),
        (b"position nm\n1\n", "two or more"),
        (b"position nm\n10,5\n21,0\n", "line 2 has 2 values, but the header names 1 column; .*poi"),
        (b"z nm,file\n1,a\n\n2\n", "line 4 has 1 value,"),
        (b"\xff\xfe\x00", "table of text"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, content, message):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(PorescopeError, match=message):
        positions_from_table(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("tables") / "log.csv"
    path.write_bytes(b"z nm\n" + content)
    with contextlib.suppress(PorescopeError):
        assert np.isfinite(positions_from_table(path).slice_z_nm).all()


def test_boxes_about_no_marks_are_no_ruler(volume):
    planes = uneven_planes(3)
    boxes = ((10, 50, 10, 50),), ((60, 100, 70, 110),)
    with pytest.raises(PorescopeError, match=r"is lost|no ruler|does not move"):
        positions_from_marks(sliced(volume, planes), *boxes, ANGLE_DEG)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ((7, 7, 7), "By the table t.csv all slices lie at one place, 7 nm;"),
        ((30, 20, 10), "By the table t.csv the last slice does not lie below the first"),
    ],
)
def test_positions_that_do_not_grow_are_refused(positions, message):
    with pytest.raises(PorescopeError, match=message):
        SlicePositions(positions, np.zeros(3), "table t.csv")


def test_measured_positions_bring_their_mean_spacing_and_source(volume):
    found = SlicePositions([0, 3, 4, 9.0], np.zeros(4), "log.csv")
    placed = found.apply(Stack(volume[:4], (5, 1, 1), metadata={"slice_z_source": "file names"}))
    assert placed.spacing_nm == (3, 1, 1)
    assert placed.metadata["slice_z_source"] == "log.csv"


def test_positions_fit_only_as_many_slices(volume):
    found = SlicePositions(np.arange(4.0), np.zeros(4), "table")
    with pytest.raises(PorescopeError, match="positions for 4 slices"):
        found.apply(Stack(volume[:5], (1, 1, 1)))


def test_health_names_what_is_wrong(volume):
    planes = np.arange(0, 90, 3)
    planes = np.delete(planes, [10, 11])  # between 9 and what is 10 now, two are missing
    order = planes.copy()
    order[[20, 21]] = planes[[21, 20]]
    order = np.insert(order, 15, order[14])  # taken twice
    stack = sliced(volume, order, noise=0.02)
    distances = compare_slices(stack)
    found = positions_from_images(stack)
    doubts = {row["slice"]: row["doubt"] for row in slice_health(found, distances) if row["doubt"]}
    assert doubts.pop(9).startswith("possible gap after it: 2.")
    assert doubts == {15: "taken twice", 21: "swapped with the next"}
    told = doubts_told(slice_health(found, distances))
    assert told.startswith("Slices to doubt: 9 (possible gap")
    assert "15 (taken twice), 21 (swapped with the next). What to do: where slices are mis" in told
    assert "the step crop leaves slices out" in told


def test_slices_far_from_the_mean_are_marked():
    thickness = np.full(40, 10.0) + np.tile([-0.6, 0.6], 20)
    thickness[7], thickness[20] = 14, 6
    found = SlicePositions(np.cumsum(thickness), np.zeros(40), "table")
    rows = slice_health(found)
    assert [row["slice"] for row in rows if row["doubt"] == "thick"] == [6]
    assert [row["slice"] for row in rows if row["doubt"] == "thin"] == [19]
    up = slice_health(SlicePositions([0, 10, 20, 30, 25, 50.0], np.zeros(6), "files"))
    assert up[4]["doubt"].startswith("above the one before")
    even = slice_health(SlicePositions(np.arange(9.0), np.zeros(9), "files"))
    assert not any(row["doubt"] for row in even)
    assert doubts_told(rows) is None
    assert doubts_told(up).startswith("Slices to doubt: 4 (above the one before), ")
    assert "positions grow with depth" in doubts_told(up)
    blank = SlicePositions(np.arange(40.0), np.zeros(40), "images", np.arange(40) > 10)
    assert "(blank), and 21 more. What" in doubts_told(slice_health(blank))


def test_the_step_places_every_voltage_and_tells_the_doubts(volume):
    planes = uneven_planes(9)
    stack = sliced(volume, planes)
    images = tuple(Stack(stack.data, stack.spacing_nm, beam_kv=kv) for kv in (1.0, 2.0))
    step = find_step("positions")
    workspace = step.function(
        Workspace(images=images), step.parse({}), progress=no_progress, cancel=never_cancel
    )
    depth = thickness_from_images(stack)
    for image in workspace.images:
        np.testing.assert_array_equal(image.slice_z_nm, depth)
    assert len(workspace.tables["positions"]) == len(planes)


def place(stack, **parameters):
    """Return what the step warns of."""
    step = find_step("positions")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PorescopeWarning)
        step.function(
            Workspace(images=(stack,)),
            step.parse(parameters),
            progress=no_progress,
            cancel=never_cancel,
        )
    return [str(each.message) for each in caught if each.category is PorescopeWarning]


def test_the_step_warns_of_doubts_and_of_what_it_replaces(volume):
    even = sliced(volume, range(0, 60, 3))
    assert place(even) == []
    (doubts,) = place(sliced(volume, [0, 3, 6, 9, 9, 12, 15, 18, 21, 24, 27]))
    assert "4 (taken twice)" in doubts
    depths = even.slice_z_nm + np.where(np.arange(20) % 2, 1, 0)
    (replaced,) = place(replace(even, slice_z_nm=depths))
    assert "the images replace that" in replaced
    named = replace(even, metadata={"slice_z_source": "file names"})
    assert [told[:19] for told in place(named)] == ["The file names told"]
    placed = SlicePositions(depths, np.zeros(20), "images").apply(even)
    assert place(placed) == []


def test_files_that_go_backwards_are_told(volume):
    depths = np.arange(0.0, 60, 3)
    depths[8] = 20
    stack = replace(sliced(volume, range(0, 60, 3)), slice_z_nm=depths)
    (told,) = place(stack, source="files")
    assert told.startswith("Slices to doubt: 8 (above the one before)")
    told, replaced = place(stack)
    assert "By the files slice 8 lies above the one before" in told
    assert "the images replace that" in replaced


def test_voltages_that_contradict_each_other_are_refused(volume):
    images = tuple(
        Stack(volume[:4], (5, 1, 1), beam_kv=kv, slice_z_nm=kv * np.arange(4.0)) for kv in (10, 20)
    )
    step = find_step("positions")
    with pytest.raises(PorescopeError, match="slice 3 lies at 30 nm at 10 kV and at 60 nm at 20"):
        step.function(
            Workspace(images=images),
            step.parse({"source": "files"}),
            progress=no_progress,
            cancel=never_cancel,
        )


def test_positions_from_the_files_need_no_images_that_can_be_compared():
    random = np.random.default_rng(0)
    images = Stack(random.random((6, 40, 40), np.float32), (5, 1, 1))  # nothing in common
    step = find_step("positions")
    follow = {"progress": no_progress, "cancel": never_cancel}
    workspace = Workspace(images=(images,))
    with pytest.raises(PorescopeError):
        step.function(workspace, step.parse({}), **follow)
    with pytest.warns(PorescopeWarning, match="swapped ones are not noticed"):
        placed = step.function(workspace, step.parse({"source": "files"}), **follow)
    assert len(placed.tables["positions"]) == 6


def test_a_step_without_what_it_needs_is_refused():
    for values in ({"source": "ruler"}, {"source": "table"}):
        with pytest.raises(PorescopeError, match=values["source"]):
            find_step("positions").parse(values)
    for name in ("parallel", "inclined"):
        with pytest.raises(PorescopeError, match=rf"value 1 of {name} is 0, .*\[\[y start, y stop"):
            find_step("positions").parse({name: [0, 28, 10, 40]})
