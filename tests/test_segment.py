import dask.array as da
import numpy as np
import pytest
from skimage.filters import threshold_otsu

from porescope import PorescopeError, Stack
from porescope.measure import scores
from porescope.segment import segment

SPACING = (10, 2, 2)


def phantom(noise=8.0, seed=0):
    """Solid at 180, pore at 60, pore with something shining through at 125, more so at 4 kV."""
    random = np.random.default_rng(seed)
    truth = np.zeros((6, 40, 40), np.uint8)
    truth[:, 8:30, 10:22] = 1
    stacks = []
    for beam_kv, shine in ((4.0, 170), (1.0, 125)):
        grey = np.where(truth, 180.0, 60.0)
        grey[:, 30:38, 5:30] = shine
        grey += noise * random.normal(size=grey.shape)
        stacks.append(Stack(np.clip(grey, 0, 255).astype(np.uint8), SPACING, beam_kv))
    return stacks, truth


def test_otsu_is_the_threshold_of_the_lowest_voltage():
    stacks, _ = phantom()
    low = stacks[1].data
    np.testing.assert_array_equal(segment(stacks, "otsu"), low > threshold_otsu(low))


def test_otsu_of_real_valued_images():
    stacks, truth = phantom()
    real = stacks[1].with_data(stacks[1].data.astype(np.float32) / 7)
    assert scores(segment(real, "otsu"), truth)["MP"] < 20


def test_kmeans_with_three_clusters_takes_shine_through_for_pore():
    stacks, truth = phantom()
    assert scores(segment(stacks, "kmeans"), truth)["MP"] < 1
    assert scores(segment(stacks, "otsu"), truth)["MP"] > 5
    assert scores(segment(stacks[0], "kmeans"), truth)["MP"] > 5


@pytest.mark.parametrize("method", ["otsu", "kmeans"])
def test_lazy_is_the_same_as_whole(method):
    stacks, _ = phantom()
    lazy = [
        stack.with_data(da.from_array(stack.data, chunks=chunks))
        for stack, chunks in zip(stacks, [(4, 11, 40), (1, 40, 40)], strict=True)
    ]
    labels = segment(lazy, method)
    assert isinstance(labels, da.Array)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels.compute(), segment(stacks, method))


def test_the_same_seed_gives_the_same_labels():
    stacks, _ = phantom(noise=40)
    np.testing.assert_array_equal(
        segment(stacks, "kmeans", seed=4), segment(stacks, "kmeans", seed=4)
    )


def test_refusals():
    flat = Stack(np.full((2, 4, 4), 7, np.uint8), SPACING)
    real = flat.with_data(flat.data.astype(float))
    other = Stack(np.zeros((3, 4, 4), np.uint8), SPACING)
    two = flat.with_data(np.indices((2, 4, 4))[0].astype(np.uint8))
    for act, says in [
        (lambda: segment([]), "load a stack"),
        (lambda: segment([flat, other]), "align them first"),
        (lambda: segment(flat, "magic"), "choose one of"),
        (lambda: segment(flat, "otsu"), "same brightness"),
        (lambda: segment(real, "otsu"), "same brightness"),
        (lambda: segment(flat, "kmeans"), "same brightness"),
        (lambda: segment(two, "kmeans"), "fewer clusters"),
        (lambda: segment(two, "kmeans", clusters=0), "2 clusters or more, not 0"),
        (lambda: segment(real.with_data(real.data * np.nan), "kmeans"), "not numbers"),
        (lambda: segment(real.with_data(real.data * np.nan), "otsu"), "not numbers"),
    ]:
        with pytest.raises(PorescopeError, match=says):
            act()
