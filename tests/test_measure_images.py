import math

import dask.array as da
import numpy as np
import pytest
from skimage import metrics

from porescope import PorescopeError
from porescope.measure import image_quality, noise_level

random = np.random.default_rng(0)
TRUTH = random.random((4, 40, 50))
NOISY = TRUTH + 0.05 * random.normal(size=TRUTH.shape)
RANGE = float(np.ptp(TRUTH))


def test_against_scikit_image():
    found = image_quality(NOISY, TRUTH)
    assert found["PSNR"] == pytest.approx(
        metrics.peak_signal_noise_ratio(TRUTH, NOISY, data_range=RANGE)
    )
    similarity = [
        metrics.structural_similarity(a, b, data_range=RANGE)
        for a, b in zip(TRUTH, NOISY, strict=True)
    ]
    assert found["SSIM"] == pytest.approx(np.mean(similarity))
    assert found["mean_pixel_error"] == pytest.approx(100 * np.abs(NOISY - TRUTH).mean() / RANGE)
    assert math.isnan(found["systematic_pixel_error"])


def test_uncertainties_are_the_scatter_of_the_parts():
    error = np.abs(NOISY - TRUTH).reshape(2, 2, 2, 20, 2, 25).mean(axis=(1, 3, 5))
    expected = 100 * error.std(ddof=1) / math.sqrt(8) / RANGE
    found = image_quality(NOISY, TRUTH)
    assert found["mean_pixel_error_uncertainty"] == pytest.approx(expected)


def test_what_noise_makes_is_taken_off():
    places = np.zeros((4, 40, 50), np.uint8)
    places[:, :20], places[:, 20:30] = 1, 2
    truth = np.choose(places, [0.0, 50.0, 100.0]) + random.normal(size=places.shape)
    level = noise_level(truth, places, data_range=100)
    assert level == pytest.approx(math.sqrt(2 / math.pi), rel=0.05)
    shifted = truth + 3
    found = image_quality(shifted, truth, data_range=100, noise=level)
    assert found["systematic_pixel_error"] == pytest.approx(3 - level)


def test_equal_images():
    found = image_quality(TRUTH, TRUTH)
    assert found["mean_pixel_error"] == 0
    assert found["SSIM"] == 1
    assert found["PSNR"] == math.inf


def test_images_smaller_than_the_window_have_no_similarity():
    found = image_quality(NOISY[:, :5, :5], TRUTH[:, :5, :5])
    assert math.isnan(found["SSIM"])
    assert found["PSNR"] > 20


def test_lazy_is_the_same_as_whole():
    lazy = [da.from_array(volume, chunks=(2, 11, 50)) for volume in (NOISY, TRUTH)]
    assert image_quality(*lazy, noise=0.1) == image_quality(NOISY, TRUTH, noise=0.1)


def test_whole_numbers_do_not_run_over():
    dark, light = np.zeros((2, 8, 8), np.uint8), np.full((2, 8, 8), 255, np.uint8)
    assert image_quality(dark, light, data_range=255)["mean_pixel_error"] == 100


def test_refusals():
    broken = TRUTH.copy()
    broken[2, 3, 4] = np.nan
    with pytest.raises(PorescopeError, match="Slice 2 of the truth holds"):
        image_quality(NOISY, broken)
    with pytest.raises(PorescopeError, match="Slice 2 of the prediction"):
        image_quality(broken, TRUTH)
    with pytest.raises(PorescopeError, match="same three axes"):
        image_quality(NOISY[:, :-1], TRUTH)
    with pytest.raises(PorescopeError, match="same three axes"):
        image_quality(NOISY[0], TRUTH[0])
    with pytest.raises(PorescopeError, match="one grey value"):
        image_quality(NOISY, np.ones_like(TRUTH))
    with pytest.raises(PorescopeError, match="No place is marked"):
        noise_level(TRUTH, np.zeros(TRUTH.shape, np.uint8))
    with pytest.raises(PorescopeError, match="whole numbers"):
        noise_level(TRUTH, np.zeros(TRUTH.shape))
