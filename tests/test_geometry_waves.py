import numpy as np
import pytest

from porescope.errors import Cancelled, PorescopeError
from porescope.geometry import hierarchical_leveled_wave, leveled_wave
from porescope.geometry.waves import WaveField

SMALL = {"spacing_nm": 5.0, "wavelength_nm": 60.0, "solid_fraction": 0.4, "waves": 50}
ONE_LEVEL = {"spacing_nm": 5.0, "wavelengths_nm": (60.0,), "solid_fractions": (0.4,)}


def volume(field, z_nm, y_nm, x_nm):
    return np.stack(list(field.planes(z_nm, y_nm, x_nm)))


@pytest.fixture(scope="module")
def autocorrelation():
    """Correlation over one wavelength along z, y and x, averaged over many small fields."""
    wavelength_nm, steps = 12.0, np.arange(25.0)
    correlation = np.zeros((3, 13))
    fields = 400
    for seed in range(fields):
        values = volume(WaveField.draw(wavelength_nm, 20, seed), steps, steps, steps)
        for axis in range(3):
            line = np.moveaxis(values, axis, 0)
            for lag in range(13):
                correlation[axis, lag] += (line[: 25 - lag] * line[lag:]).mean() / fields
    return correlation


@pytest.mark.parametrize("solid_fraction", [0.05, 0.35, 0.5, 0.9])
def test_solid_fraction_is_met(solid_fraction):
    solid = leveled_wave(
        (128, 128, 128), spacing_nm=2.5, wavelength_nm=100, solid_fraction=solid_fraction
    )
    assert solid.dtype == bool
    assert solid.shape == (128, 128, 128)
    assert abs(solid.mean() - solid_fraction) < 1e-6


def test_solid_fraction_is_met_in_a_box_smaller_than_a_wave():
    solid = leveled_wave((16, 16, 16), spacing_nm=2.5, wavelength_nm=100, solid_fraction=0.3)
    assert abs(solid.mean() - 0.3) < 1 / 16**3


def test_field_is_the_sum_of_its_waves():
    field = WaveField.draw(40.0, 7, seed=3)
    points = [np.array([0.0, 13.0, 5.0]), np.array([2.0, 100.0]), np.array([-7.0, 0.5, 3.0, 9.0])]
    expected = np.zeros((3, 2, 4))
    for wave_vector, phase in zip(field.wave_vectors, field.phases, strict=True):
        place = sum(k * r for k, r in zip(wave_vector, np.ix_(*points), strict=True))
        expected += np.cos(place + phase) * np.sqrt(2 / 7)
    np.testing.assert_allclose(volume(field, *points), expected, atol=1e-12)


def test_wave_vectors_are_isotropic_and_of_one_length():
    wave_vectors = WaveField.draw(40.0, 100_000, seed=1).wave_vectors
    np.testing.assert_allclose(np.linalg.norm(wave_vectors, axis=1), 2 * np.pi / 40)
    unit = wave_vectors / np.linalg.norm(wave_vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(unit.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(unit.T @ unit / len(unit), np.eye(3) / 3, atol=0.01)


def test_two_point_correlation_is_a_sinc(autocorrelation):
    expected = np.sinc(2 * np.arange(13) / 12.0)  # sin(k r) / (k r) with k = 2 pi / wavelength
    np.testing.assert_allclose(autocorrelation, np.tile(expected, (3, 1)), atol=0.04)


def test_axes_are_alike(autocorrelation):
    np.testing.assert_allclose(np.ptp(autocorrelation, axis=0), 0, atol=0.05)


def test_same_seed_same_structure_other_seed_another():
    first = leveled_wave((20, 30, 40), seed=1, **SMALL)
    np.testing.assert_array_equal(first, leveled_wave((20, 30, 40), seed=1, **SMALL))
    assert (first != leveled_wave((20, 30, 40), seed=2, **SMALL)).mean() > 0.3


def test_spacing_is_used_on_each_axis():
    """Voxel centres of the coarse grid lie on every third, first and fifth of the fine one."""
    fine = leveled_wave((90, 20, 100), seed=4, **{**SMALL, "spacing_nm": 1.0})
    coarse = leveled_wave((30, 20, 20), seed=4, **{**SMALL, "spacing_nm": (3.0, 1.0, 5.0)})
    assert (fine[1::3, :, 2::5] == coarse).mean() > 0.98  # the level is each volume's own


def test_longer_waves_make_coarser_structures():
    borders = [
        np.count_nonzero(
            np.diff(leveled_wave((64, 64, 64), **{**SMALL, "wavelength_nm": nm}), axis=2)
        )
        for nm in (40.0, 80.0)
    ]
    assert borders[0] / borders[1] == pytest.approx(2, rel=0.15)


def test_hierarchy_is_solid_where_every_level_is():
    levels = {"wavelengths_nm": (150.0, 20.0), "solid_fractions": (0.5, 0.6)}
    both = hierarchical_leveled_wave((96, 96, 96), spacing_nm=2.5, seed=5, **levels)
    coarse = leveled_wave(
        (96, 96, 96), spacing_nm=2.5, wavelength_nm=150, solid_fraction=0.5, waves=100, seed=5
    )
    assert not (both & ~coarse).any()
    assert both[coarse].mean() == pytest.approx(0.6, abs=1e-5)


def test_levels_of_one_wavelength_are_independent():
    sample = hierarchical_leveled_wave(
        (64, 64, 64), spacing_nm=2.5, wavelengths_nm=(20, 20), solid_fractions=(0.5, 0.5)
    )
    first, both = WaveField.draw(20, 100, 0, stream=0), WaveField.draw(20, 100, 0, stream=1)
    steps_nm = 2.5 * np.arange(64)
    values = [volume(field, steps_nm, steps_nm, steps_nm).ravel() for field in (first, both)]
    assert abs(np.corrcoef(values)[0, 1]) < 0.05
    assert sample.mean() == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("calls_before", [0, 4])
def test_cancel(calls_before):
    """While the level is sought, and while the planes are drawn."""
    answers = iter([False] * calls_before)
    with pytest.raises(Cancelled):
        leveled_wave((4, 5, 6), cancel=lambda: next(answers, True), **SMALL)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": (4, 4)}, "shape"),
        ({"shape": (4, 0, 4)}, "shape"),
        ({"shape": (4, 4.5, 4)}, "shape"),
        ({"shape": (10**6, 10**6, 10**6)}, "larger than any stack"),
        ({"spacing_nm": 0}, "voxel size"),
        ({"spacing_nm": (1, 2)}, "voxel size"),
        ({"spacing_nm": (1, 2, np.nan)}, "voxel size"),
        ({"wavelengths_nm": (0.0,)}, "wavelength"),
        ({"wavelengths_nm": (np.inf,)}, "wavelength"),
        ({"wavelengths_nm": (5.0, 6.0)}, "each level"),
        ({"wavelengths_nm": (), "solid_fractions": ()}, "each level"),
        ({"solid_fractions": (0,)}, "solid fraction"),
        ({"solid_fractions": (1,)}, "solid fraction"),
        ({"solid_fractions": (np.nan,)}, "solid fraction"),
        ({"waves": 0}, "wave"),
        ({"waves": 2.5}, "wave"),
        ({"waves": 10**12}, "take at most 10,000"),
        ({"wavelengths_nm": (9.9,)}, "finer than voxels of 5 nm; take .* at least 10 nm"),
        ({"spacing_nm": (2, 31, 2)}, "finer than voxels of 31 nm"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_nonsense_is_refused(change, says):
    with pytest.raises(PorescopeError, match=says):
        hierarchical_leveled_wave(**{"shape": (4, 4, 4), **ONE_LEVEL, **change})
