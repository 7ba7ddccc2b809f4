import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special, stats
from skimage.util import random_noise

from porescope import Stack
from porescope.correct import Alignment, align_stack
from porescope.errors import Cancelled, PorescopeError
from porescope.imaging.noise import (
    apply_drift,
    blur_edges,
    curtains,
    detector_noise,
    drift_offsets_px,
    electrons_per_pixel,
    noise_for_snr,
    poisson_gaussian_noise,
    shot_noise,
    slice_random,
)

SIZE = 400
PIXELS = SIZE**2
seeds = st.integers(0, 2**64 - 1)
images = arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.floats(0, 1, width=32),
)


def even(brightness):
    return np.full((SIZE, SIZE), brightness, np.float32)


def check_moments(values, mean, variance):
    """Within four standard errors, the kurtosis being about that of a Gaussian."""
    assert values.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / values.size))
    assert values.var() == pytest.approx(variance, rel=4 * np.sqrt(3 / values.size))


def test_dose_of_a_real_stack():
    assert electrons_per_pixel(50, 30) == pytest.approx(9362.26, abs=0.01)
    assert electrons_per_pixel(current_pa=50, dwell_us=0.75) == pytest.approx(234.06, abs=0.01)


@pytest.mark.parametrize(("brightness", "electrons"), [(0.07, 1000), (0.5, 9363), (1.6, 0.5)])
def test_shot_noise_counts_electrons(brightness, electrons):
    noisy = shot_noise(even(brightness), electrons)
    check_moments(noisy.astype(float), brightness, brightness / electrons)
    counts = noisy * electrons
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    values, seen = np.unique(np.rint(counts), return_counts=True)
    expected = PIXELS * stats.poisson.pmf(values, brightness * electrons)
    common = expected > 20
    assert stats.chisquare(
        np.append(seen[common], PIXELS - seen[common].sum()),
        np.append(expected[common], PIXELS - expected[common].sum()),
    ).pvalue > 1e-3  # fmt: skip


def test_black_stays_black():
    assert not shot_noise(np.zeros((5, 5)), 10).any()


def test_no_grain_is_shared_between_pixels():
    noise = shot_noise(even(0.3), 100) - 0.3
    for neighbour in (noise[1:, :-1], noise[:-1, 1:]):
        assert abs(np.corrcoef(noise[:-1, :-1].ravel(), neighbour.ravel())[0, 1]) < 4 / SIZE


@pytest.mark.parametrize("brightness", [0.05, 0.3])
@pytest.mark.parametrize("snr", [8.33, 3.0])
def test_homogeneous_areas_have_the_ratio_asked_for(brightness, snr):
    noisy = noise_for_snr(even(brightness), snr)
    assert noisy.mean() / noisy.std() == pytest.approx(snr, rel=0.01)


def test_ratio_grows_as_the_root_of_the_brightness():
    image = even(0.1875)
    image[:, SIZE // 2 :] = 0.75
    bright = noise_for_snr(image, 10, brightness=0.75)
    for area, snr in ((bright[:, : SIZE // 2], 5), (bright[:, SIZE // 2 :], 10)):
        assert area.mean() / area.std() == pytest.approx(snr, rel=0.015)
    np.testing.assert_array_equal(
        noise_for_snr(image, 10), noise_for_snr(image, 10, brightness=0.46875)
    )


def test_ratio_of_the_reference_is_that_of_1000_electrons_on_carbon():
    noisy = shot_noise(even(0.0694), 1000)
    assert noisy.mean() / noisy.std() == pytest.approx(8.33, rel=0.01)


def test_detector_noise_is_gaussian_at_any_brightness():
    for brightness in (-3.0, 0.0, 0.4):
        noisy = detector_noise(even(brightness), 0.05).astype(float)
        check_moments(noisy, brightness, 0.05**2)
        assert stats.kstest((noisy.ravel()[:20_000] - brightness) / 0.05, "norm").pvalue > 1e-3
    image = even(0.4)
    np.testing.assert_array_equal(detector_noise(image, 0.0), image)


@pytest.mark.parametrize(("brightness", "levels"), [(0.4, 256), (0.5, 64)])
def test_poisson_then_gaussian(brightness, levels):
    noisy = poisson_gaussian_noise(even(brightness), levels)
    check_moments(noisy.astype(float), brightness, brightness / levels + 0.001)


def test_poisson_then_gaussian_is_what_the_reference_used():
    grey = np.tile(np.arange(256) / 255, (2000, 1))  # all grey values of 8 bits
    random = np.random.default_rng(1)
    theirs = random_noise(random_noise(grey, "poisson", rng=random), var=0.001, rng=random)
    ours = poisson_gaussian_noise(grey)
    error = theirs.std(axis=0) * np.sqrt(2 / len(grey))
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 5 * error + 1e-6).all()
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.15)
    assert ours.min() == 0
    assert ours.max() == 1


@pytest.mark.parametrize("sigma_px", [2.0, 5.0])
@pytest.mark.parametrize(("dark", "bright"), [(0.1, 0.5), (-30.0, 200.0)])
def test_blurred_edge_is_the_blend_of_the_reference(sigma_px, dark, bright):
    x = np.arange(120) - 59.5
    row = np.where(x < 0, dark, bright)
    step = np.tile(row, (7, 1))
    mask = np.exp(-(x**2) / (2 * sigma_px**2))
    blurred = dark + (bright - dark) * special.ndtr(x / sigma_px)
    expected = mask * blurred + (1 - mask) * row
    result = blur_edges(step, sigma_px)
    np.testing.assert_allclose(
        result, np.tile(expected, (7, 1)), atol=0.01 * (bright - dark), rtol=0
    )
    np.testing.assert_allclose(blur_edges(step.T, sigma_px), result.T, rtol=1e-5)
    assert result.mean() == pytest.approx(step.mean(), rel=1e-5)


def test_lower_edges_are_blurred_less():
    x = np.arange(80) - 39.5
    step = np.tile(np.where(x < 0, 0.0, 1.0), (5, 1))
    full, half = (blur_edges(step, 2.0, contrast=contrast) for contrast in (1.0, 2.0))
    np.testing.assert_allclose(half - step, (full - step) / 2, atol=1e-6)


@pytest.mark.parametrize("sigma_px", [10.0, 30.0, 100.0])
def test_a_blur_wider_than_structures_blurs_them_as_a_whole(sigma_px):
    stripes = np.tile(np.arange(48) // 6 % 2, (48, 1)).astype(float)
    assert blur_edges(stripes, sigma_px, contrast=1.0).std() < 0.2 * stripes.std()


def test_grain_away_from_edges_stays():
    grain = 0.05 * np.random.default_rng(0).normal(size=(60, 200))
    step = np.where(np.arange(200) < 100, 0.0, 1.0) + grain
    result = blur_edges(step, 2.0, contrast=1.0)
    away = np.r_[0:80, 120:200]
    assert result[:, away].std(axis=0).mean() > 0.9 * grain[:, away].std(axis=0).mean()
    assert result[:, 99:101].std(axis=0).mean() < 0.35 * grain.std()
    # Blurring everything would have left little of it.
    alone = blur_edges(grain, 2.0, contrast=1.0)
    assert alone.std() > 0.9 * grain.std()


@given(images, st.floats(0.3, 5), st.floats(0.1, 100), st.floats(-100, 100))
def test_blur_of_edges_keeps_the_range_and_follows_units(image, sigma_px, factor, offset):
    result = blur_edges(image, sigma_px)
    assert result.shape == image.shape
    assert result.dtype == np.float32
    assert image.min() - 1e-6 <= result.min()
    assert result.max() <= image.max() + 1e-6
    if np.ptp(image) > 1e-2:
        other = blur_edges(factor * image.astype(float) + offset, sigma_px)
        np.testing.assert_allclose(
            other, factor * result.astype(float) + offset, atol=1e-4 * (factor + abs(offset))
        )


def test_drift_is_a_walk_on_a_line():
    offsets = drift_offsets_px(20_001, linear_px=(0.3, -0.1), walk_px=0.5, seed=2)
    steps = np.diff(offsets, axis=0)
    np.testing.assert_array_equal(offsets[0], 0)
    for axis, linear_px in enumerate((0.3, -0.1)):
        check_moments(steps[:, axis], linear_px, 0.25)
        assert stats.kstest((steps[:, axis] - linear_px) / 0.5, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(steps.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(steps[1:, 0], steps[:-1, 0])[0, 1]) < 0.03
    np.testing.assert_allclose(
        drift_offsets_px(4, linear_px=(0.5, -1)), [[0, 0], [0.5, -1], [1, -2], [1.5, -3]]
    )


@given(st.integers(1, 50), st.integers(1, 50), seeds)
def test_longer_drift_begins_as_a_shorter_one(count, more, seed):
    short, long = (
        drift_offsets_px(n, linear_px=(0.1, 0.2), walk_px=1.0, seed=seed)
        for n in (count, count + more)
    )
    np.testing.assert_array_equal(long[:count], short)


def test_content_moves_by_the_offsets(texture):
    offsets = np.array([[0, 0], [0.5, -0.25], [-3.0, 2.0], [2.7, 5.3]])
    still = np.array([texture.slice(z, (64, 72)) for z in range(4)])
    moved = apply_drift(still, offsets)
    exact = np.array([texture.slice(z, (64, 72), drift) for z, drift in enumerate(offsets)])
    inside = np.s_[:, 10:-10, 10:-10]
    np.testing.assert_allclose(moved[inside], exact[inside], atol=0.004 * np.ptp(still))
    np.testing.assert_allclose(moved[0], still[0], rtol=1e-5)
    blocks = [apply_drift(still[k : k + 2], offsets[k : k + 2]) for k in (2, 0)]
    np.testing.assert_array_equal(np.concatenate(blocks[::-1]), moved)


def test_alignment_with_minus_the_offsets_undoes_drift(texture):
    offsets = drift_offsets_px(6, linear_px=(0.4, -0.3), walk_px=0.6, seed=1)
    still = np.array([texture.slice(0.2 * z, (96, 96)) for z in range(6)])
    stack = Stack(apply_drift(still, offsets), spacing_nm=(10, 3, 3))
    undone = Alignment(-offsets).apply(stack)
    top, left = (round(at / 3) for at in undone.origin_yx_nm)
    seen = still[:, top : top + undone.shape[1], left : left + undone.shape[2]]
    inside = np.s_[:, 8:-8, 8:-8]
    np.testing.assert_allclose(
        np.asarray(undone.data)[inside], seen[inside], atol=0.02 * np.ptp(still)
    )
    np.testing.assert_allclose(align_stack(stack).offsets_px, -offsets, atol=0.5)


def test_drift_does_not_overshoot():
    step = np.zeros((1, 20, 20))
    step[:, :, 10:] = 0.5
    moved = apply_drift(step, [[0.0, 0.4]])
    assert moved.min() == 0
    assert moved.max() == 0.5
    assert 0.2 < moved[0, 5, 10] < 0.4


def test_drift_can_be_followed_and_stopped():
    done = []
    apply_drift(np.ones((3, 4, 4)), np.zeros((3, 2)), progress=lambda n, _: done.append(n))
    assert done == [0, 1, 2, 3]
    with pytest.raises(Cancelled):
        apply_drift(np.ones((3, 4, 4)), np.zeros((3, 2)), cancel=lambda: True)


def factors(amplitude, slices, width=4000, **lengths):
    one = np.ones((2, width))
    return np.array([curtains(one, amplitude, slice_index=k, **lengths)[0] for k in slices])


def test_curtains_are_stripes_along_y():
    image = np.random.default_rng(0).random((30, 50))
    striped = curtains(image, 0.2, seed=3)
    factor = striped / image
    np.testing.assert_allclose(factor, np.tile(factor[:1], (30, 1)), rtol=1e-5)
    np.testing.assert_allclose(factor[:2], curtains(np.ones((2, 50)), 0.2, seed=3), rtol=1e-5)
    np.testing.assert_allclose(curtains(image, 0.0), image, rtol=1e-6)


@pytest.mark.parametrize("amplitude", [0.05, 0.5])
def test_curtains_keep_the_mean_and_have_the_amplitude(amplitude):
    factor = factors(amplitude, range(40), width_px=0, depth_slices=0).astype(float)
    assert factor.mean() == pytest.approx(1, abs=4 * amplitude / 400)
    assert factor.std() == pytest.approx(amplitude, rel=0.03)
    assert factor.min() > 0
    logarithm = np.log(factor.ravel()[:20_000])
    assert stats.kstest((logarithm - logarithm.mean()) / logarithm.std(), "norm").pvalue > 1e-3


@pytest.mark.parametrize(("width_px", "depth_slices"), [(10.0, 6.0), (2.0, 30.0), (0.0, 3.0)])
def test_curtains_have_the_correlation_asked_for(width_px, depth_slices):
    lengths = {"width_px": width_px, "depth_slices": depth_slices}
    logarithm = np.log(factors(0.1, range(0, 120), width=3000, **lengths))
    spread = logarithm.std()
    assert spread == pytest.approx(0.1, rel=0.1)
    normal = (logarithm + np.log1p(0.01) / 2) / np.sqrt(np.log1p(0.01))
    for lag in (1, 2, 5, 12):
        along_x = (normal[:, lag:] * normal[:, :-lag]).mean()
        along_z = (normal[lag:] * normal[:-lag]).mean()
        expected = np.exp(-((lag / width_px) ** 2)) if width_px else 0
        assert along_x == pytest.approx(expected, abs=0.06)
        assert along_z == pytest.approx(np.exp(-((lag / depth_slices) ** 2)), abs=0.06)


PER_SLICE = {
    "shot": lambda image, **named: shot_noise(image, 50, **named),
    "snr": lambda image, **named: noise_for_snr(image, brightness=0.5, **named),
    "detector": lambda image, **named: detector_noise(image, 0.1, **named),
    "poisson-gaussian": poisson_gaussian_noise,
    "curtains": lambda image, **named: curtains(image, 0.1, width_px=2, **named),
}


@pytest.mark.parametrize("kind", PER_SLICE)
def test_noise_hangs_on_seed_and_slice_alone(kind):
    make, image = PER_SLICE[kind], np.full((8, 8), 0.5)

    def stack(order, seed=2**63 + 1):
        return {index: make(image, seed=seed, slice_index=index) for index in order}

    forth, back, resumed = stack(range(5)), stack(range(4, -1, -1)), stack([3, 4])
    for index, plane in forth.items():
        assert plane.dtype == np.float32
        np.testing.assert_array_equal(plane, back[index])
    np.testing.assert_array_equal(forth[3], resumed[3])
    assert (forth[0] != forth[1]).any()
    assert (forth[0] != stack([0], seed=1)[0]).any()
    np.testing.assert_array_equal(make(image), make(image, seed=0, slice_index=0))


def test_purposes_and_slices_share_no_numbers():
    draws = [
        slice_random(purpose, seed, index).normal(size=20_000)
        for purpose in ("shot", "detector")
        for seed in (0, 1)
        for index in (0, 1)
    ]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


@settings(max_examples=50)
@given(images, seeds, st.integers(0, 10_000))
def test_any_image_may_be_given(image, seed, index):
    for make in PER_SLICE.values():
        noisy = make(image, seed=seed, slice_index=index)
        assert noisy.shape == image.shape
        assert noisy.dtype == np.float32
        assert np.isfinite(noisy).all()
    assert shot_noise(image, 10, seed=seed).min() >= 0
    prepared = poisson_gaussian_noise(image, seed=seed)
    assert prepared.min() >= 0
    assert prepared.max() <= 1


def test_inputs_are_left_alone_and_whole_numbers_taken():
    image = np.full((6, 6), 1, np.uint8)
    image.flags.writeable = False
    for make in (*PER_SLICE.values(), blur_edges):
        assert make(image).dtype == np.float32


FLAT = np.full((4, 4), 0.5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: electrons_per_pixel(0, 30), "beam current in pA must be above 0, not 0"),
        (lambda: electrons_per_pixel(50, -1), "dwell time in microseconds must be above 0"),
        (lambda: electrons_per_pixel(np.inf, 1), "beam current in pA must be above 0"),
        (lambda: shot_noise(FLAT, 0), "electrons for each pixel must be above 0"),
        (lambda: shot_noise(FLAT, 1e17), "counts in a pixel are more than can be drawn"),
        (lambda: shot_noise(FLAT - 1, 10), "one pixel is -0.5; add detector noise after it"),
        (lambda: shot_noise(FLAT * np.nan, 10), "16 pixels that are not finite"),
        (lambda: shot_noise(FLAT[0], 10), r"a plane \(y, x\) of real numbers"),
        (lambda: shot_noise(FLAT[:0], 10), "a plane"),
        (lambda: shot_noise(FLAT * 1j, 10), "a plane"),
        (lambda: shot_noise(FLAT, 10, seed=-1), "A seed must be"),
        (lambda: shot_noise(FLAT, 10, slice_index=-1), "there is none with index -1"),
        (lambda: noise_for_snr(FLAT, 0), "signal-to-noise ratio must be above 0"),
        (lambda: noise_for_snr(FLAT, brightness=-1.0), "brightness of the homogeneous area"),
        (lambda: noise_for_snr(0 * FLAT), "The image is black"),
        (lambda: detector_noise(FLAT, -1), "deviation of the detector's noise must be 0 or above"),
        (lambda: poisson_gaussian_noise(4 * FLAT), "scaled to 0 to 1, but one pixel is 2"),
        (lambda: poisson_gaussian_noise(FLAT, 0), "must be above 0"),
        (lambda: poisson_gaussian_noise(FLAT, variance=-1), "variance of the Gaussian noise"),
        (lambda: blur_edges(FLAT, 0), "blur of edges in pixels must be above 0"),
        (lambda: blur_edges(FLAT, contrast=0.0), "contrast between solid and pore"),
        (lambda: drift_offsets_px(0), "number of slices must be a whole number above 0"),
        (lambda: drift_offsets_px(3, linear_px=(1, 2, 3)), r"two numbers \(y, x\), not"),
        (lambda: drift_offsets_px(3, walk_px=-1), "random drift in pixels must be 0 or above"),
        (lambda: apply_drift(FLAT, [[0, 0]]), r"slices \(z, y, x\) and as many offsets"),
        (lambda: apply_drift(FLAT[None], [[0, 0], [1, 1]]), "and as many offsets"),
        (lambda: apply_drift(FLAT[None], [[0, -4.0]]), r"drift by \[0.0, -4.0\] pixels"),
        (lambda: apply_drift(FLAT[None], [[0, np.nan]]), "out of its image"),
        (lambda: curtains(FLAT, -0.1), "amplitude of the curtains must be 0 or above"),
        (lambda: curtains(FLAT, 0.1, width_px=-1), "width of the curtains in pixels"),
        (lambda: curtains(FLAT, 0.1, depth_slices=np.inf), "depth of the curtains in slices"),
    ],
)
def test_refusals(make, says):
    with pytest.raises(PorescopeError, match=says):
        make()
