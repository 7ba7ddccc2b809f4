"""Stripes, brightness and charging taken out of images."""

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from porescope.correct.clean import change_slices, flatten, match_brightness, remove_curtains
from porescope.errors import PorescopeError
from porescope.pipeline import Workspace, find_step
from porescope.stack import Stack
from porescope.tracking import never_cancel, no_progress


@pytest.fixture(scope="module")
def structure():
    """Blobs of two greys, 6 slices of 192 x 160 pixels."""
    noise = np.random.default_rng(0).normal(size=(6, 192, 160))
    smooth = ndimage.gaussian_filter(noise, (2, 5, 5), mode="wrap")
    return (100 + 60 * (smooth > 0)).astype(np.float32)


def stripes(shape, amplitude=15, seed=1):
    """Stripes along y, much narrower than the image."""
    columns = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape[-1]), 1.5)
    columns -= ndimage.gaussian_filter(columns, 8)
    return amplitude * columns / columns.std()


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def test_stripes_along_y_go_and_the_structure_stays(structure):
    plain = structure[0] + np.random.default_rng(3).normal(0, 8, structure[0].shape)
    striped = plain + stripes(plain.shape)
    left = remove_curtains(striped) - remove_curtains(plain)
    assert rms(left) < 0.35 * rms(stripes(plain.shape))
    assert rms(remove_curtains(plain) - plain) < 0.1 * plain.std()
    assert remove_curtains(striped).mean() == pytest.approx(striped.mean(), rel=0.01)


def test_stripes_along_x_stay(structure):
    noise = np.random.default_rng(4).normal(0, 1, structure[0].shape)
    lines = noise + stripes((160, 192))[:, np.newaxis]
    assert rms(remove_curtains(lines) - lines) < 0.02 * rms(lines)


@pytest.mark.parametrize("shape", [(1, 7), (9, 1), (17, 33), (64, 63)])
def test_images_of_any_size_keep_it(shape):
    image = np.random.default_rng(0).normal(size=shape)
    assert remove_curtains(image).shape == shape
    assert flatten(image, 5).shape == shape


def test_broad_areas_go_and_the_mean_stays(structure):
    y, x = np.mgrid[:192, :160]
    charged = structure[0] + 40 * np.exp(-((y - 90) ** 2 + (x - 80) ** 2) / (2 * 50**2))
    flat = flatten(charged, 30)
    assert (
        rms(flat - flatten(structure[0], 30) - (flat.mean() - flatten(structure[0], 30).mean())) < 6
    )
    assert flat.mean() == pytest.approx(charged.mean(), rel=1e-5)


def test_brightness_that_changes_from_slice_to_slice_is_matched(structure):
    random = np.random.default_rng(0)
    gain, offset = random.uniform(0.7, 1.3, 6), random.uniform(-20, 20, 6)
    stack = Stack(gain[:, None, None] * structure + offset[:, None, None], (1, 1, 1))
    matched = match_brightness(stack)
    back = matched[:, 0, None, None] * stack.data + matched[:, 1, None, None]
    # All slices are alike again, up to one gain and offset for all.
    scale, shift = np.polyfit(structure.ravel(), back.ravel(), 1)
    np.testing.assert_allclose(back, scale * structure + shift, atol=1e-3)


def test_a_slice_of_one_grey_is_refused(structure):
    data = structure.copy()
    data[3] = 9
    with pytest.raises(PorescopeError, match="Slice 3 shows one grey"):
        match_brightness(Stack(data, (1, 1, 1)))


def test_slices_are_changed_in_their_own_dtype_and_lazily(structure):
    data = structure.astype(np.uint8)
    stack = Stack(da.from_array(data, chunks=(4, 50, 50)), (1, 1, 1))
    changed = change_slices(stack, lambda grey, index: 2 * grey + index)
    assert isinstance(changed.data, da.Array)
    assert changed.data.dtype == np.uint8
    expected = np.clip(2.0 * data + np.arange(6)[:, None, None], 0, 255)
    np.testing.assert_array_equal(np.asarray(changed.data), expected)


def test_the_step_does_nothing_unless_asked_and_then_all_that_was_asked(structure):
    step = find_step("clean")
    gain = np.linspace(0.8, 1.2, 6)[:, None, None]
    image = Stack(gain * (structure + stripes(structure.shape)), (1, 1, 1), beam_kv=2.0)

    def run(**values):
        return step.function(
            Workspace(images=(image,)),
            step.parse(values),
            progress=no_progress,
            cancel=never_cancel,
        ).images[0]

    with pytest.raises(PorescopeError, match="choose what to take out"):
        run()
    cleaned = run(curtains=True, brightness=True)
    assert [entry["step"] for entry in cleaned.history] == ["clean"]
    truth = structure - structure.mean()
    before = np.corrcoef(np.ravel(image.data), truth.ravel())[0, 1]
    after = np.corrcoef(np.ravel(cleaned.data), truth.ravel())[0, 1]
    assert after > before + 0.05
    assert np.ptp(cleaned.data.mean(axis=(1, 2))) < 0.1 * np.ptp(image.data.mean(axis=(1, 2)))
