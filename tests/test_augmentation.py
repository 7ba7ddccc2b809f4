"""What networks are shown while they learn: windows onto samples, changed but true."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from porescope import PorescopeError, Stack
from porescope.learn.augmentation import Augmentation, turned

torch = pytest.importorskip("torch")

from porescope.segment.levels import Levels  # noqa: E402
from porescope.segment.networks import SliceUNet  # noqa: E402
from porescope.segment.windows import Example, Seen, Windows  # noqa: E402

SPACING_NM = (10.0, 2.5, 2.5)
NEUTRAL = Augmentation(
    changed=1, stretch=1, blur_px=0, displacement_px=0, gain=1, offset=0, noise=0
)
STRENGTHS = {
    "stretch": 1.3, "blur_px": 2.0, "displacement_px": 2, "gain": 1.5, "offset": 0.2, "noise": 0.1
}  # fmt: skip
MIDDLE = slice(1, 2)


def only(name):
    return NEUTRAL.model_copy(update={name: STRENGTHS[name]})


def example(shape=(5, 40, 56), voltages=1, grey=None):
    """Images that are the truth, or show at which place they are, and levels known exactly."""
    noise = np.random.default_rng(0).normal(size=shape)
    truth = (gaussian_filter(noise, (0, 3, 3)) > 0).astype(np.uint8)
    data = truth if grey is None else grey
    stacks = [Stack(data.astype(np.float32), SPACING_NM, kv) for kv in range(1, voltages + 1)]
    seen = Seen(stacks, [Levels(0.0, 1.0)] * voltages)
    return Example(seen, Stack(truth, SPACING_NM, is_labels=True), np.arange(shape[0]))


def places(shape):
    return np.arange(np.prod(shape)).reshape(shape)


class Volume(SliceUNet):
    """Tells eight planes apart at once and sees four more on each side, as 3D networks do."""

    planes = 8

    def __init__(self):
        super().__init__(1, 9, 4)


FLAT = SliceUNet(1, 3, 4)


@pytest.mark.parametrize(
    ("network", "shape", "edge", "stride", "count"),
    [
        (FLAT, (5, 40, 56), 32, 8, 5 * 2 * 4),
        (FLAT, (2, 40, 56), 32, 32, 2 * 2 * 2),
        (FLAT, (1, 32, 33), 32, 50, 2),
        (Volume(), (12, 32, 32), 32, 32, 2),
        (Volume(), (8, 32, 48), 32, 32, 2),
    ],
)
def test_windows_cover_every_voxel(network, shape, edge, stride, count):
    windows = Windows([example(shape, grey=places(shape))] * 2, network, edge, stride)
    assert len(windows) == 2 * count
    seen = set()
    for window in map(windows.__getitem__, range(count)):
        assert window["images"].shape == (1, network.depth, edge, edge)
        assert window["truth"].shape == (network.planes, edge, edge)
        known = window["images"][0, network.reach : network.reach + network.planes]
        seen.update(known.flatten().tolist())
    assert seen == set(range(int(np.prod(shape))))


@pytest.mark.parametrize(
    ("network", "shape", "why"),
    [
        (FLAT, (5, 31, 60), "31 rows"),
        (FLAT, (5, 60, 31), "31 columns"),
        (Volume(), (7, 60, 60), "7 slices"),
    ],
)
def test_samples_smaller_than_a_window_are_refused(network, shape, why):
    with pytest.raises(PorescopeError, match=f"has {why}, but .* at once has .*smaller patches"):
        Windows([example(shape)], network, 32, 8)


def test_windows_stand_on_their_truth():
    sample = example(voltages=2)
    windows = Windows([sample], SliceUNet(2, 3, 4), 32, 8)
    for window in map(windows.__getitem__, range(len(windows))):
        for voltage in window["images"]:
            assert torch.equal(voltage[1], window["truth"][0])
    assert windows[0]["present"].tolist() == [0, 1, 1]


def test_each_epoch_shows_all_windows_in_a_new_order():
    shape = (5, 40, 56)
    windows = Windows([example(shape, grey=places(shape))], FLAT, 32, 8, 3, NEUTRAL)
    count = len(windows)

    def order(epoch):
        return [windows[epoch * count + item]["images"][0, 1].min().item() for item in range(count)]

    first, second = order(0), order(1)
    assert len(set(first)) == count
    assert set(first) == set(second)
    assert first != second
    assert first == order(0)
    assert first != sorted(first)


def test_a_seed_decides_everything():
    same, again, other = (
        Windows([example()], FLAT, 32, 8, seed, Augmentation(changed=1)) for seed in (1, 1, 2)
    )
    for index in (0, 7, 1000):
        assert all(torch.equal(same[index][name], again[index][name]) for name in same[index])
    assert not torch.equal(same[0]["images"], other[0]["images"])
    assert not torch.equal(same[0]["images"], same[len(same)]["images"])


def test_without_strength_nothing_changes():
    random = np.random.default_rng(0)
    images = random.random((2, 3, 16, 16), np.float32)
    np.testing.assert_array_equal(NEUTRAL.change(images, random, MIDDLE), images)
    never = Augmentation(changed=0, gain=1, offset=0, noise=0)
    np.testing.assert_array_equal(never.change(images, random, MIDDLE), images)


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_strength_changes_something(name):
    if name == "stretch":
        plain, changed = (Windows([example()], FLAT, 32, 8, 0, a) for a in (NEUTRAL, only(name)))
        assert not torch.equal(plain[0]["images"], changed[0]["images"])
        return
    images = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    changed = only(name).change(images, np.random.default_rng(1), MIDDLE)
    assert changed.dtype == np.float32
    assert (changed != images).any()
    assert (images == np.random.default_rng(0).random((2, 3, 16, 16), np.float32)).all()


@pytest.mark.parametrize("network", [SliceUNet(2, 3, 4), Volume()], ids=["2D", "3D"])
def test_the_truth_stays_on_its_pixels(network):
    voltages = 2 if network.planes == 1 else 1
    change = only("stretch").model_copy(update={"displacement_px": 2})
    windows = Windows([example((12, 80, 90), voltages)], network, 32, 16, 0, change)
    known = slice(network.reach, network.reach + network.planes)
    gaps, moved = set(), 0
    for index in range(40):
        window = windows[index]
        shown = window["images"][:, known]
        inner = (slice(None), slice(2, -2), slice(2, -2))
        assert ((shown[0] >= 0.5) == (window["truth"] > 0)).float().mean() > 0.999
        for each in (shown[-1], window["images"][0, network.reach - 1]):
            moved += int(((each >= 0.5) != (window["truth"] > 0))[inner].float().mean() > 0.02)
        assert set(window["truth"].unique().tolist()) <= {0, 1}
        gaps.add(round(float(window["gaps_nm"][network.reach]), 4))
    assert moved > 5
    assert len(gaps) > 10  # as many of the new pixels
    assert min(gaps) >= 10 / 1.35
    assert max(gaps) <= 10 * 1.35


def test_what_is_stretched_has_its_slices_further_apart():
    shape = (3, 80, 80)
    ramp = np.broadcast_to(np.arange(80.0), shape)  # its slope tells how large a pixel is
    windows = Windows([example(shape, grey=ramp)], FLAT, 32, 16, 0, only("stretch"))
    for index in range(20):
        window = windows[index]
        plane = window["images"][0, 1]
        slope = max(float(plane.diff(dim=axis)[8:-8, 8:-8].abs().mean()) for axis in (0, 1))
        assert float(window["gaps_nm"][1]) == pytest.approx(10 / slope, rel=0.02)


def test_turning_is_the_same_for_images_and_truth():
    random = np.random.default_rng(0)
    images, truth = random.random((2, 3, 8, 8), np.float32), random.random((1, 8, 8))
    images[0, 1] = truth[0]
    found = set()
    for _ in range(100):
        both = turned(images, truth, random)
        np.testing.assert_array_equal(both[0][0, 1], both[1][0].astype(np.float32))
        found.add(both[1].tobytes())
    assert len(found) == 8


def test_slices_move_by_no_more_than_was_asked():
    random = np.random.default_rng(0)
    images = np.zeros((3, 3, 21, 21), np.float32)
    images[..., 10, 10] = 1
    moved = np.array([only("displacement_px").change(images, random, MIDDLE) for _ in range(200)])
    peaks = np.argwhere(moved == 1)[:, -2:].reshape(200, 3, 3, 2) - 10
    assert set(np.unique(peaks)) == {-2, -1, 0, 1, 2}
    assert (peaks[:, 0, 1] == 0).all()  # there the truth is known
    whole = (peaks[:, 1:] == peaks[:, 1:, :1]).all(axis=(1, 2, 3)).mean()
    assert 0.35 < whole < 0.65  # voltages as a whole as often as slice by slice


def test_brightness_changes_by_voltage_and_within_bounds():
    random = np.random.default_rng(0)
    images = np.stack([np.zeros((3, 2, 2)), np.ones((3, 2, 2))]).astype(np.float32)
    change = only("gain").model_copy(update={"offset": 0.2})
    found = np.array([change.change(images, random, MIDDLE) for _ in range(300)])
    assert np.ptp(found, axis=(2, 3, 4)).max() == 0  # the same in all slices of a voltage
    dark, bright = found[:, 0, 0, 0, 0], found[:, 1, 0, 0, 0]
    assert -0.2 <= dark.min() < -0.15
    assert 0.15 < dark.max() <= 0.2
    assert 1 / 1.5 - 0.2 <= bright.min() < bright.max() <= 1.5 + 0.2
    assert abs(np.corrcoef(dark, bright)[0, 1]) < 0.2


def test_the_variance_of_noise_is_even_and_as_of_counted_electrons():
    """Even part and shot part are drawn apart, each from 0.05 to 1 of the largest deviation."""
    images = np.zeros((1, 2, 80, 80), np.float32)
    images[:, 1] = 1
    images[:, 0] = 0.25
    variances = []
    for seed in range(60):
        noisy = only("noise").change(images, np.random.default_rng(seed), MIDDLE)
        variances.append((noisy - images)[0].var(axis=(1, 2)))
        assert abs((noisy - images).mean()) < 0.01
    quarter, full = np.array(variances).T
    shot = (full - quarter) / 0.75
    even = quarter - 0.25 * shot
    slack = 6e-4  # of variances of 6400 pixels
    for part in (shot, even):
        assert part.min() > 0.005**2 - slack
        assert 0.06**2 < part.max() < 0.1**2 + slack
    small = np.sqrt(np.clip(even, 1e-9, None)) < 0.1 * np.sqrt(0.05)
    assert 0.25 < small.mean() < 0.75  # as often small as large
    dark = only("noise").change(-images, np.random.default_rng(0), MIDDLE) + images
    assert dark[0, 0].var() == pytest.approx(dark[0, 1].var(), rel=0.1)  # none below no signal


@pytest.mark.parametrize(
    ("images", "truth", "why"),
    [
        ((5, 40, 40), np.ones((5, 40, 41)), r"shape \(5, 40, 41\), the images \(5, 40, 40\)"),
        ((5, 40, 40), np.indices((5, 40, 40))[0], "there is a label 4"),
        ((5, 40, 40), np.ones((5, 40, 40)), "All labels of a sample are 1"),
        ((5, 40, 40), np.zeros((5, 40, 40)), "All labels of a sample are 0"),
    ],
)
def test_truths_that_teach_nothing_are_refused(images, truth, why):
    stack = Stack(np.random.default_rng(0).random(images), SPACING_NM)
    fitting = Stack(np.zeros(truth.shape), SPACING_NM)
    stacks = [fitting, stack] if truth.shape != images else [stack]
    with pytest.raises(PorescopeError, match=why):
        Example.of(stacks, Stack(truth.astype(np.uint8), SPACING_NM, is_labels=True))
