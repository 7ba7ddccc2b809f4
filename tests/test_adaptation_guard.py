"""What the guard lets pass: looks that change; and what it refuses: structure that does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from porescope import PorescopeError
from porescope.adapt import edges_moved
from porescope.adapt.guard import MOST_CHANGED
from porescope.imaging.noise import curtains

DISC = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2.3


def structure(seed=0, edge=128):
    """Thick and thin ligaments, and pores with something shining through."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=(2, edge, edge)), (0, 5, 5))
    solid = ndimage.binary_opening(np.abs(field[0] / field[0].std()) < 0.45, DISC)
    below = 0.2 * (field[1] > field[1].std())
    return solid, below


def imaged(solid, below, noise=0.05, seed=0):
    bright = np.where(solid, 1.0, below)
    random = np.random.default_rng(seed)
    grey = ndimage.gaussian_filter(bright, 0.8) + noise * random.normal(size=solid.shape)
    return (60 + 120 * grey).astype(np.float32)


SOLID, BELOW = structure()
BEFORE = imaged(SOLID, BELOW)
NOISE = np.random.default_rng(9).normal(size=BEFORE.shape)
HARMLESS = {
    "nothing": BEFORE,
    "gain and offset": 1.8 * BEFORE - 70,
    "brightness bent": 255 * (np.clip(BEFORE, 0, 255) / 255) ** 0.7,
    "noise": BEFORE + 24 * NOISE,
    "blur": ndimage.gaussian_filter(BEFORE, 1.3),
    "blur, gain and noise": 0.5 * ndimage.gaussian_filter(BEFORE, 1.0) + 12 * NOISE,
    "curtains": curtains(np.maximum(BEFORE, 0), 0.08, width_px=8, seed=3),
    "what shines through fades": imaged(SOLID, 0.5 * BELOW),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_another_look_passes(name):
    moved = edges_moved([BEFORE], [HARMLESS[name]])
    assert not moved.refused, moved
    moved.check()


def small_erased():
    labels, _ = ndimage.label(ndimage.binary_erosion(SOLID))
    sizes = np.bincount(labels.ravel())
    kept = np.isin(labels, np.flatnonzero(sizes > np.median(sizes[1:]))) & (labels > 0)
    return SOLID & ndimage.binary_dilation(kept, iterations=2)


def ligaments_drawn():
    drawn = SOLID.copy()
    for row in (25, 60, 95):
        drawn[row : row + 7, 20:108] = True
    return drawn


HARMFUL = {
    "moved by a pixel": np.roll(BEFORE, 1, axis=1),
    "dilated by a pixel": imaged(ndimage.binary_dilation(SOLID), BELOW),
    "eroded by a pixel": imaged(ndimage.binary_erosion(SOLID), BELOW),
    "small ligaments erased": imaged(small_erased(), BELOW),
    "ligaments drawn": imaged(ligaments_drawn(), BELOW),
    "solid and pore swapped": 255 - BEFORE,
    "another sample": imaged(*structure(seed=5)),
    "nothing left": np.full_like(BEFORE, 70),
    "noise alone": (70 + 20 * NOISE).astype(np.float32),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_another_structure_is_refused(name):
    moved = edges_moved([BEFORE], [HARMFUL[name]])
    assert moved.refused, moved
    with pytest.raises(PorescopeError, match="change the structure: edges move by") as error:
        moved.check()
    assert "\n" not in str(error.value)


def test_it_tells_what_was_removed_from_what_was_invented():
    erased = edges_moved([BEFORE], [HARMFUL["small ligaments erased"]])
    drawn = edges_moved([BEFORE], [HARMFUL["ligaments drawn"]])
    assert erased.removed > MOST_CHANGED > erased.invented
    assert drawn.invented > MOST_CHANGED


@settings(max_examples=12, deadline=None)
@given(st.floats(0.1, 1.5), st.booleans())
def test_it_measures_how_far(moved_px, along_x):
    axis = 1 if along_x else 0
    stripes = 0.5 + 0.5 * np.tanh(2 * np.sin(np.arange(96) / 4.0))
    shifted = 0.5 + 0.5 * np.tanh(2 * np.sin((np.arange(96) - moved_px) / 4.0))
    before, after = (np.tile(each, (96, 1)) for each in (stripes, shifted))
    found = edges_moved(*([(each if axis else each.T).astype("f4")] for each in (before, after)))
    assert found.median_px == pytest.approx(moved_px, abs=0.08)
    assert found.most_px == pytest.approx(moved_px, abs=0.12)


def test_images_without_edges_are_refused():
    with pytest.raises(PorescopeError, match="show no edges"):
        edges_moved([np.zeros((64, 64), np.float32)], [BEFORE[:64, :64]])
