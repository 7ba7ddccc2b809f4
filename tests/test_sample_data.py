"""The sample data are what their script makes, and what their README says."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from porescope.correct import Alignment, align_voltages
from porescope.io import read_stack, read_voltages
from porescope.pipeline.simulation import Microscope
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
    # Images are taken in turn, each half a pixel off the last along y and along x.
    taken = np.stack(list(offsets.values()), axis=1).reshape(-1, 2)
    assert np.diff(taken, axis=0).std() == pytest.approx(0.5, abs=0.06)
    thickness_nm = np.diff(drift["slice_z_nm"])
    np.testing.assert_allclose(drift["thickness_nm"], thickness_nm, atol=1e-9)
    assert thickness_nm.mean() == pytest.approx(10.16, abs=1)
    assert thickness_nm.std() == pytest.approx(3.12, abs=0.5)


def test_truth_covers_the_imaged_depth_with_about_the_solid_fraction_asked_for(truth, drift):
    assert truth.spacing_nm == pytest.approx((2.5, 2.5, 2.5))
    assert truth.shape == (int(drift["slice_z_nm"][-1] / 2.5) + 1, 128, 128)
    assert set(np.unique(truth.data)) == {0, 1}
    assert truth.data[:, CAP.stop :].mean() == pytest.approx(0.36, abs=0.02)
    assert not truth.data[:, CAP].any()


def test_k_means_misplaces_more_at_higher_voltage(voltages, truth, drift):
    """Slices moved by the known offsets and put at their depths fall on the truth."""
    gold = truth.data[(np.array(drift["slice_z_nm"]) / 2.5).astype(int)][:, *INSIDE]
    misplaced = []
    for stack in voltages:
        alignment = Alignment(np.array(drift["offsets_px"][f"{stack.beam_kv:g}kV"]))
        labels = np.asarray(segment(alignment.apply(stack, INSIDE), "kmeans"))
        misplaced.append(100 * (labels != gold).mean())
    np.testing.assert_allclose(misplaced, [5.9, 12.2, 20.1], atol=0.3)


def test_the_marks_of_the_cap_tell_the_drift(voltages, drift):
    found = align_voltages(voltages, reference_kv=2, region=(0, 28, 0, 128))
    for alignment in found:
        error_px = alignment.offsets_px - drift["offsets_px"][f"{alignment.beam_kv:g}kV"]
        assert np.sqrt((error_px**2).mean()) < 0.1


def test_the_sample_and_its_slices_are_remade(make, drift, truth, voltages):
    microscope = Microscope(make.labels(), make.PARAMETERS)
    np.testing.assert_allclose(microscope.plan.slice_z_nm, drift["slice_z_nm"], atol=5e-4)
    for stack, offsets in zip(voltages, microscope.plan.offsets_px.swapaxes(0, 1), strict=True):
        np.testing.assert_array_equal(offsets, drift["offsets_px"][f"{stack.beam_kv:g}kV"])
    remade, _ = microscope.truth()
    np.testing.assert_array_equal(np.asarray(remade.data) == make.GOLD, truth.data)
    # Images may differ by their noise, since faster code may draw other random numbers.
    image, stored = microscope.record(30, 0).image.astype(float), voltages[0].data[30]
    assert image.mean() == pytest.approx(stored.mean(), abs=0.5)
    assert np.corrcoef(image.ravel(), stored.ravel())[0, 1] > 0.95


def test_the_sample_data_stay_small():
    assert sum(path.stat().st_size for path in sample_folder().rglob("*")) < 5_000_000
