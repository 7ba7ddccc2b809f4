"""The step align: what it measures, replays, keeps and tells."""

import json
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.correct import Alignment
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace, load_workspace, save_workspace
from porescope.tracking import never_cancel, no_progress

SHAPE = (60, 70)
EVERYTHING = (None,) * 4


@pytest.fixture
def workspace(texture):
    drift = np.array([[0, 0], [1, -2], [3, 0.5], [2, 2]])
    images = [
        Stack(
            np.array([texture.slice(0.1 * z, SHAPE, d) for z, d in enumerate(drift)], np.float32),
            (10, 2, 2),
            beam_kv,
        )
        for beam_kv in (1.0, 2.0)
    ]
    return Workspace(images=tuple(images)), drift


def align(workspace, **parameters):
    step = find_step("align")
    return step.function(
        workspace, step.parse(parameters), progress=no_progress, cancel=never_cancel
    )


def test_the_table_has_a_row_a_slice(workspace):
    before, drift = workspace
    after = align(before, region=EVERYTHING)
    rows = after.tables["alignment"]
    assert [row["slice"] for row in rows] == [0, 1, 2, 3]
    for name in ("1kV", "2kV"):
        np.testing.assert_allclose([row[f"{name} y px"] for row in rows], -drift[:, 0], atol=0.1)
        assert all(0 < row[f"{name} confidence"] <= 1 for row in rows)
        assert not any(row[f"{name} refused"] for row in rows)


def test_a_saved_alignment_is_replayed_on_another_voltage(workspace, tmp_path):
    before, _ = workspace
    measured = align(before, region=EVERYTHING)
    measured.alignments[1].save(tmp_path / "alignment-2kV.json")
    replayed = align(before, alignment=tmp_path / "alignment-2kV.json")
    for found in replayed.alignments:
        np.testing.assert_array_equal(found.offsets_px, measured.alignments[1].offsets_px)
    assert [found.beam_kv for found in replayed.alignments] == [1.0, 2.0]
    with pytest.raises(PorescopeError, match=r"no alignment-1kV\.json but alignment-2kV\.json"):
        align(before, alignment=tmp_path)
    measured.alignments[0].save(tmp_path / "alignment-1kV.json")
    again = align(before, alignment=tmp_path)
    for image, expected in zip(again.images, measured.images, strict=True):
        np.testing.assert_array_equal(image.data, expected.data)


def test_what_is_not_filled_is_cut_off_or_marked(workspace):
    before, _ = workspace
    cropped, marked = (
        align(before, region=EVERYTHING, unfilled=how).images[0] for how in ("crop", "mark")
    )
    assert marked.shape == before.images[0].shape
    assert cropped.shape[1] < SHAPE[0]
    assert (np.asarray(marked.data)[2, -2:] == 0).all()


def test_a_result_keeps_alignments_and_earlier_results_are_read(workspace, tmp_path):
    before, _ = workspace
    after = align(before, region=EVERYTHING, model="translation")
    save_workspace(tmp_path / "result", after)
    kept, _ = load_workspace(tmp_path / "result")
    np.testing.assert_array_equal(kept.alignments[0].confidence, after.alignments[0].confidence)
    index = Path(tmp_path / "result" / "workspace.json")
    content = json.loads(index.read_text())
    content["alignments"] = [{"beam_kv": 1.0, "offsets_px": [[0, 0], [1, 1]]}]
    index.write_text(json.dumps(content))
    (earlier,) = load_workspace(tmp_path / "result")[0].alignments
    assert isinstance(earlier, Alignment)
    assert earlier.offsets_px.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("lazy", [False, True])
def test_slices_are_left_out_and_the_others_stay_where_they_were_cut(lazy):
    data = np.arange(8 * 6 * 5).reshape(8, 6, 5)
    stack = Stack(da.from_array(data, chunks=(1, 6, 5)) if lazy else data, (10, 2, 2), 1.0)

    def cropped(**parameters):
        step = find_step("crop")
        before = Workspace(images=(stack,))
        parameters = step.parse(parameters)
        return step.function(before, parameters, progress=no_progress, cancel=never_cancel)

    (kept,) = cropped(slices=[1, 7], leave_out=[3, 4], region=[2, None, None, None]).images
    np.testing.assert_array_equal(kept.data, data[[1, 2, 5, 6], 2:])
    assert kept.slice_z_nm.tolist() == [10, 20, 50, 60]
    assert kept.spacing_nm == (10, 2, 2)
    (whole,) = cropped().images
    np.testing.assert_array_equal(whole.data, data)
    with pytest.raises(PorescopeError, match="no slice 8 to leave out; the slices are 0 to 7"):
        cropped(leave_out=[8])
    with pytest.raises(PorescopeError, match="none would be left"):
        cropped(slices=[5, 5])
    with pytest.raises(PorescopeError, match="leave_out is -1, but must be at least 0"):
        cropped(leave_out=[-1])
