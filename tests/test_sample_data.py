"""The sample data are what their script makes, and what their README says."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from porescope.correct import Alignment, align_voltages
from porescope.correct.reposition import grid_places
from porescope.geometry.waves import WaveField
from porescope.io import read_stack, read_voltages
from porescope.sample_data import sample_folder
from porescope.segment import segment

SCRIPT = Path(__file__).parents[1] / "sample_data" / "make_sample_data.py"
CAP = slice(0, 32)
INSIDE = (slice(40, 120), slice(8, 120))  # below the cap, what every slice shows


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_sample_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drift():
    return json.loads((sample_folder() / "drift.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def truth():
    return read_stack(sample_folder() / "truth.tif")


@pytest.fixture(scope="module")
def voltages():
    return read_voltages(sample_folder())


def test_reader_finds_voltages_spacing_and_positions(voltages, drift):
    assert [stack.beam_kv for stack in voltages] == [1, 2, 4]
    for stack in voltages:
        assert stack.shape == (48, 128, 128)
        assert stack.data.dtype == np.uint8
        assert stack.spacing_nm == pytest.approx((10.16, 2.5, 2.5))
        np.testing.assert_allclose(stack.slice_z_nm, drift["slice_z_nm"], atol=5e-4)


def test_drift_is_what_the_readme_says(drift):
    offsets = {name: np.array(values) for name, values in drift["offsets_px"].items()}
    np.testing.assert_array_equal(offsets["2kV"][0], 0)
    for values in offsets.values():
        assert values.shape == (48, 2)
        assert 3 < np.abs(values).max() < 6
        assert 0 < np.abs(values - offsets["2kV"]).max() <= 1 or values is offsets["2kV"]
    thickness_nm = np.diff(drift["slice_z_nm"])
    np.testing.assert_allclose(drift["thickness_nm"], thickness_nm, atol=1e-9)
    assert thickness_nm.mean() == pytest.approx(10.16, abs=0.5)
    assert thickness_nm.std() == pytest.approx(3.12, abs=0.3)


def test_truth_covers_the_imaged_depth_with_the_solid_fraction_asked_for(truth, drift):
    assert truth.spacing_nm == pytest.approx((2.5, 2.5, 2.5))
    assert truth.shape[0] == grid_places(np.array(drift["slice_z_nm"]), 2.5).max() + 1
    assert set(np.unique(truth.data)) == {0, 1}
    assert truth.data[:, CAP.stop :].mean() == pytest.approx(0.35, abs=0.001)
    assert not truth.data[:, CAP].any()


def test_k_means_misplaces_more_at_higher_voltage(voltages, truth, drift):
    """Slices moved by the known offsets and put at their depths fall on the truth."""
    places = grid_places(np.array(drift["slice_z_nm"]), 2.5)
    gold = truth.data[places][:, *INSIDE]
    misplaced = []
    for stack in voltages:
        alignment = Alignment(np.array(drift["offsets_px"][f"{stack.beam_kv:g}kV"]))
        labels = np.asarray(segment(alignment.apply(stack, INSIDE), "kmeans"))
        misplaced.append(100 * (labels != gold).mean())
    np.testing.assert_allclose(misplaced, [4.5, 9.8, 18.1], atol=0.3)


def test_the_marks_of_the_cap_tell_the_drift(voltages, drift):
    found = align_voltages(voltages, reference_kv=2, region=(0, 28, 0, 128))
    for alignment in found:
        error_px = alignment.offsets_px - drift["offsets_px"][f"{alignment.beam_kv:g}kV"]
        assert np.sqrt((error_px**2).mean()) < 0.4


@pytest.mark.parametrize(("kv", "index"), [(1, 7), (4, 40)])
def test_a_slice_is_remade_to_the_byte(make, drift, tmp_path, kv, index):
    slice_z_nm, offsets = make.slice_positions_nm(), make.offsets_px()
    np.testing.assert_array_equal(slice_z_nm, drift["slice_z_nm"])
    np.testing.assert_array_equal(offsets[kv], drift["offsets_px"][f"{kv}kV"])
    field = WaveField.draw(make.WAVELENGTH_NM, make.WAVES, make.SEED, make.FIELD)
    _, level = make.truth_and_level(field, slice_z_nm)
    image = make.imaged_slice(field, level, slice_z_nm[index], offsets[kv][index], kv, index)
    name = make.slice_name(index, slice_z_nm[index])
    make.write_tiff(tmp_path / name, image, make.MEAN_THICKNESS_NM)
    assert (tmp_path / name).read_bytes() == (sample_folder() / f"{kv}kV" / name).read_bytes()


def test_truth_is_remade(make):
    field = WaveField.draw(make.WAVELENGTH_NM, make.WAVES, make.SEED, make.FIELD)
    labels, _ = make.truth_and_level(field, make.slice_positions_nm())
    np.testing.assert_array_equal(labels, tifffile.imread(sample_folder() / "truth.tif"))


def test_depth_of_gold_is_found_between_the_planes_searched(make):
    """One wave along z: gold lies where the cosine is high."""
    field = WaveField(np.array([[2 * np.pi / 100, 0.0, 0.0]]), np.array([0.0]))
    one = np.array([0.0])
    depth_nm = make.depth_of_gold_nm(field, 0.0, 30.0, one, one, 60.0)
    assert depth_nm[0, 0] == pytest.approx(45, abs=0.2)  # the cosine rises through 0 at 75 nm
    assert make.depth_of_gold_nm(field, 0.0, 10.0, one, one, 60.0)[0, 0] == 0
    assert np.isinf(make.depth_of_gold_nm(field, 0.0, 30.0, one, one, 40.0)[0, 0])


def test_the_sample_data_stay_small():
    assert sum(path.stat().st_size for path in sample_folder().rglob("*")) < 5_000_000
