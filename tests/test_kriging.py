import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porescope.correct.interpolation.kriging import Covariance, Weights, krige, to_frequencies
from porescope.geometry.waves import WaveField


def gaussian_planes(length, z, size=160, seed=0, pixel=(1.0, 1.0)):
    """Planes of a field of variance 1 whose covariance is exp(-r^2 / (2 length^2))."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((600, 3)) / length
    field = WaveField(vectors, random.uniform(0, 2 * np.pi, 600))
    y, x = (np.arange(size) * side for side in pixel)
    return np.stack(list(field.planes(np.asarray(z, float), y, x)))


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (0.8, 1.25)])
def test_the_covariance_in_space_follows_from_planes(pixel):
    length = 4.0
    planes = gaussian_planes(length, np.arange(6) * 40, pixel=pixel)
    covariance = Covariance.of(list(planes), pixel)
    assert (covariance.power >= 0).all()
    assert covariance.power.sum() == pytest.approx(1, abs=0.15)
    # exp(-r^2 / 2 l^2), transformed within planes, at a distance d between them.
    k, d = np.linspace(0, 0.6, 7), np.array([0.0, 3.0, 6.0])
    expected = (
        2 * np.pi * length**2 * np.exp(-((k * length) ** 2) / 2)[:, np.newaxis]
        * np.exp(-(d**2) / (2 * length**2))
    ) / (2 * np.pi) ** 2  # fmt: skip
    np.testing.assert_allclose(covariance.in_planes(k, d), expected, atol=0.25 * expected.max())


def test_waves_of_one_length_have_one_frequency():
    field = WaveField.draw(20.0, 300, seed=1)
    grid = np.arange(128.0)
    planes = list(field.planes([0.0, 50.0, 100.0], grid, grid))
    covariance = Covariance.of(planes)
    strongest = covariance.wave_numbers[covariance.power.argmax()]
    assert strongest == pytest.approx(2 * np.pi / 20, abs=np.diff(covariance.wave_numbers)[0])


def test_a_plane_that_is_known_is_kept():
    planes = gaussian_planes(4.0, [0, 5, 9], size=64)
    z = np.array([0.0, 5.0, 9.0])
    weights = Weights.between(Covariance.of(list(planes)), z, z)
    kriged = krige([to_frequencies(plane) for plane in planes], weights, (64, 64))
    inner = (slice(None), slice(8, -8), slice(8, -8))  # at edges, slices are mirrored
    np.testing.assert_allclose(kriged[inner], planes[inner], atol=0.1)
    assert (weights.deviation < 0.1).all()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=6))
def test_weights_depend_on_distances_alone(steps):
    covariance = Covariance(np.array([0.2, 0.6, 1.0, 1.4]), np.array([0.1, 0.5, 0.3, 0.1]))
    z = np.cumsum([0.0, *steps])
    here = Weights.between(covariance, z, np.array([0.5]))
    moved = Weights.between(covariance, z + 17, np.array([17.5]))
    turned = Weights.between(covariance, -z, np.array([-0.5]))
    for other in (moved, turned):
        np.testing.assert_allclose(here.weights, other.weights, atol=1e-9)
        np.testing.assert_allclose(here.deviation, other.deviation, atol=1e-9)


def test_the_error_is_what_it_is_said_to_be_and_falls_with_more_slices():
    z, missing = np.array([-9.0, -3.0, 3.0, 9.0]), np.array([0.0])
    errors, said = [], []
    for seed in range(4):
        truth, *planes = gaussian_planes(4.0, [0, *z], seed=seed)
        covariance = Covariance.of(planes)
        for chosen in (slice(1, 3), slice(0, 4)):
            weights = Weights.between(covariance, z[chosen], missing)
            frequencies = [to_frequencies(plane) for plane in planes[chosen]]
            kriged = krige(frequencies, weights, truth.shape)[0]
            errors.append(np.std(kriged - truth))
            said.append(weights.deviation[0])
    assert np.mean(said) == pytest.approx(np.mean(errors), rel=0.25)
    assert np.mean(errors[1::2]) < np.mean(errors[::2])
