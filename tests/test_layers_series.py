"""Series of images at rising energy: files, order, units."""

import numpy as np
import pytest
import tifffile

from porescope import PorescopeError
from porescope.errors import PorescopeWarning
from porescope.io import read_stack
from porescope.layers import (
    EnergySeries,
    bare_signal,
    read_series,
    sample,
    simulate_series,
    solve,
    write_inversion,
    write_series,
)
from porescope.layers.series import energy_in

BEAMS = (5.0, 10.0, 12.5, 30.0)


@pytest.fixture
def series():
    layers = sample("train", 2, "plates", (20, 27))
    return simulate_series(layers, BEAMS, noise=0.01, pixel_nm=(8.0, 8.0))


def write_folder(folder, series, names):
    folder.mkdir()
    for image, name in zip(series.signals, names, strict=True):
        tifffile.imwrite(folder / name, image)


@pytest.mark.parametrize(
    ("name", "energy"),
    [
        ("05keV.tif", 5),
        ("12.5 kV", 12.5),
        ("a_30KEV_2.png", 30),
        ("scan_3.tif", None),
        ("5keV_10keV.tif", None),
    ],
)
def test_energies_in_names(name, energy):
    assert energy_in(name) == energy


def test_a_folder_is_sorted_by_energy(tmp_path, series):
    write_folder(tmp_path / "s", series, ["5keV.tif", "10keV.tif", "12.5 keV.tif", "30kV.tif"])
    (tmp_path / "s" / "notes.txt").write_text("no image")
    found = read_series(tmp_path / "s")
    assert found.beam_kv.tolist() == list(BEAMS)
    assert np.array_equal(found.signals, series.signals)


def test_energies_that_are_given_go_by_name(tmp_path, series):
    write_folder(tmp_path / "s", series, ["a.tif", "b.tif", "c.tif", "d.tif"])
    found = read_series(tmp_path / "s", BEAMS)
    assert np.array_equal(found.signals, series.signals)
    with pytest.raises(PorescopeError, match="tells no beam energy"):
        read_series(tmp_path / "s")
    with pytest.raises(PorescopeError, match="4 images but 3 beam energies"):
        read_series(tmp_path / "s", BEAMS[:3])


def test_out_of_order_is_said_and_sorted(series):
    order = [2, 0, 3, 1]
    with pytest.warns(PorescopeWarning, match="sorted, from 5 to 30 keV"):
        found = EnergySeries(series.signals[order], np.array(BEAMS)[order])
    assert np.array_equal(found.signals, series.signals)
    assert found.beam_kv.tolist() == list(BEAMS)


def test_written_and_read_back(tmp_path, series):
    write_series(tmp_path / "s.tif", series)
    found = read_series(tmp_path / "s.tif")
    assert np.array_equal(found.signals, series.signals)
    assert found.beam_kv.tolist() == list(BEAMS)
    assert found.pixel_nm == (8.0, 8.0)
    tifffile.imwrite(tmp_path / "plain.tif", series.signals, photometric="minisblack")
    with pytest.raises(PorescopeError, match="give beam_kv"):
        read_series(tmp_path / "plain.tif")
    assert np.array_equal(read_series(tmp_path / "plain.tif", BEAMS).signals, series.signals)


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_normalised_by_a_region_or_by_numbers(model):
    layers = np.zeros((2, 20, 20))
    layers[:, 8:] = np.array([6, 50]).reshape(2, 1, 1)
    true = simulate_series(layers, BEAMS, model=model, noise=0)
    gain = np.array([3.0, 20, 1, 7]).reshape(4, 1, 1)
    grey = EnergySeries(true.signals * gain, BEAMS)
    for bare in ((0, 8, None, None), (gain[:, 0, 0] * bare_signal(BEAMS, model)).tolist()):
        assert grey.normalised(bare, model).signals == pytest.approx(true.signals, rel=1e-5)
    with pytest.raises(PorescopeError, match="above 0"):
        grey.normalised(0.0)
    with pytest.raises(PorescopeError, match="one an energy"):
        grey.normalised([1.0, 2.0])
    with pytest.raises(PorescopeError, match="does not lie"):
        grey.normalised((0, 30, None, None))


def test_the_bare_substrate_is_known_better_than_to_a_grey_value():
    random = np.random.default_rng(0)
    images = np.round(60.4 + 2 * random.standard_normal((4, 40, 40))).clip(0, 255).astype(np.uint8)
    images[:, :5, 5] = 255
    found = EnergySeries(images, BEAMS).normalised((0, 40, 0, 40))
    expected = images / 60.4 * bare_signal(BEAMS)[:, np.newaxis, np.newaxis]
    assert found.signals == pytest.approx(expected, rel=0.003)


def test_results_are_written_whole(tmp_path, series):
    found = solve(series.signals, series.beam_kv, "tikhonov", noise=0.01)
    write_inversion(tmp_path / "out", found, series.pixel_nm)
    maps = read_stack(tmp_path / "out" / "thickness_nm.tif")
    assert maps.data == pytest.approx(found.thickness_nm, rel=1e-6)
    assert read_stack(tmp_path / "out" / "labels.tif").spacing_nm == (10.0, 8.0, 8.0)
    with pytest.raises(PorescopeError, match="exists already"):
        write_inversion(tmp_path / "out", found, series.pixel_nm)
    with pytest.raises(PorescopeError, match="pixel size is not known"):
        write_inversion(tmp_path / "other", found, None)
    assert not (tmp_path / "other").exists()


def test_files_that_do_not_belong_together(tmp_path, series):
    write_folder(tmp_path / "twice", series, ["5keV.tif", "05keV.tif", "12keV.tif", "30keV.tif"])
    with pytest.raises(PorescopeError, match="both have 5 keV"):
        read_series(tmp_path / "twice")
    write_folder(tmp_path / "size", series, ["5keV.tif", "10keV.tif", "12keV.tif", "30keV.tif"])
    tifffile.imwrite(tmp_path / "size" / "40keV.tif", series.signals[0, :-1])
    with pytest.raises(PorescopeError, match="same size"):
        read_series(tmp_path / "size")
    write_folder(tmp_path / "minus", series, ["5keV.tif", "10keV.tif", "12keV.tif", "30keV.tif"])
    tifffile.imwrite(tmp_path / "minus" / "10keV.tif", -series.signals[0])
    with pytest.raises(PorescopeError, match=r"minus.*10 keV.*must be above 0"):
        read_series(tmp_path / "minus")
    (tmp_path / "none").mkdir()
    with pytest.raises(PorescopeError, match="holds no images"):
        read_series(tmp_path / "none")
    with pytest.raises(PorescopeError, match="There is no"):
        read_series(tmp_path / "missing")
    for name, said in (("notes.txt", "is no picture; name a TIFF"), ("a.png", "or no picture")):
        (tmp_path / name).write_text("hello")
        with pytest.raises(PorescopeError, match=said):
            read_series(tmp_path / name)
