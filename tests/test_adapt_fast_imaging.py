"""Images without electrons: against Monte Carlo, learned coefficients, and symmetries."""

import dask.array
import numpy as np
import pytest

from porescope.adapt import fast_images, fast_planes, learned_backscatter
from porescope.errors import Cancelled, PorescopeError
from porescope.geometry import leveled_wave
from porescope.imaging import simulate_monte_carlo

VOXEL_NM = (5.0, 2.5, 2.5)


@pytest.fixture(scope="module")
def gold():
    return leveled_wave(
        (48, 64, 64), spacing_nm=VOXEL_NM, wavelength_nm=60.0, solid_fraction=0.3, waves=60, seed=8
    )


def one_slice(labels, beam_kv, **options):
    """Return the image of the first slice."""
    ((_, image),) = fast_planes(labels, VOXEL_NM, beam_kv, [0.0], **options)
    return image


@pytest.mark.parametrize(("beam_kv", "most"), [(1, 0.03), (2, 0.05), (4, 0.065)])
def test_close_to_monte_carlo_and_closer_than_the_published_sum(gold, beam_kv, most):
    first, second = (
        simulate_monte_carlo(
            gold, 0, beam_kv=beam_kv, electrons=100, voxel_nm=VOXEL_NM, seed=seed,
            materials={0: "epoxy", 1: "gold"}, secondaries=False,
        )["bse"]
        for seed in (1, 2)
    )  # fmt: skip
    layered = one_slice(gold, beam_kv)
    published = fast_images(gold, VOXEL_NM, beam_kv, method="published")[0]
    # The product of two differences is free of the electrons' noise.
    ours, theirs = (
        np.sqrt(np.mean((image - first) * (image - second))) for image in (layered, published)
    )
    assert ours < most
    assert ours < 0.6 * theirs
    assert layered.mean() == pytest.approx(first.mean(), abs=0.03)


@pytest.mark.parametrize("beam_kv", [1, 2, 4])
@pytest.mark.parametrize("method", ["layered", "published"])
def test_thick_materials_have_their_coefficients(beam_kv, method):
    for label, number, depth_nm in ((1, 79, 0), (0, 79, 1e6)):
        labels = np.full((100, 8, 8), label, np.uint8)
        image = fast_images(labels, VOXEL_NM, beam_kv, method=method)[0]
        np.testing.assert_allclose(image, learned_backscatter(number, beam_kv, depth_nm), atol=1e-4)


@pytest.mark.parametrize("beam_kv", [1, 2, 4])
def test_flat_gold_fades_under_epoxy_as_the_coefficients_do(beam_kv):
    depths_nm = np.arange(0, 200, 10)
    seen = []
    for slices in depths_nm // 5:
        labels = np.ones((100, 4, 4), np.uint8)
        labels[:slices] = 0
        seen.append(one_slice(labels, beam_kv)[0, 0])
    wanted = learned_backscatter(79, beam_kv, depths_nm)
    assert np.abs(seen - wanted).max() < 0.05
    assert np.sqrt(np.mean((seen - wanted) ** 2)) < 0.035


@pytest.mark.parametrize("beam_kv", [2, 4])
def test_nothing_is_much_darker_than_the_darkest_material(gold, beam_kv):
    images = fast_images(gold, VOXEL_NM, beam_kv)
    assert images.min() >= 0.9 * learned_backscatter(79, beam_kv, 1e4) - 1e-6


def test_slices_are_those_of_planes_and_dask_and_label_numbers_do_not_matter(gold):
    whole = fast_images(gold, VOXEL_NM, 2)
    lazy = dask.array.from_array(gold, chunks=(7, 64, 64))
    np.testing.assert_array_equal(fast_images(lazy, VOXEL_NM, 2), whole)
    renamed = np.where(gold, 200, 7).astype(np.uint8)
    others = fast_images(renamed, VOXEL_NM, 2, {7: "epoxy", 200: "gold"})
    np.testing.assert_array_equal(others, whole)
    planes = dict(fast_planes(gold, VOXEL_NM, 2, [0, 15, 20]))
    for index, plane in ((0, 0), (1, 3), (2, 4)):
        np.testing.assert_allclose(planes[index], whole[plane], atol=1e-3)
    np.testing.assert_allclose(one_slice(gold, 2), whole[0], atol=1e-3)


def test_planes_within_a_slice_lie_between_its_ends(gold):
    seen = dict(fast_planes(gold, VOXEL_NM, 2, [15.0, 15.01, 17.5, 19.99, 20.0]))
    np.testing.assert_allclose(seen[0], seen[1], atol=2e-3)
    np.testing.assert_allclose(seen[3], seen[4], atol=2e-3)
    middle = np.abs(seen[2] - seen[0]).mean(), np.abs(seen[2] - seen[4]).mean()
    assert max(middle) < np.abs(seen[0] - seen[4]).mean()


def test_it_turns_and_moves_with_the_sample(gold):
    image = one_slice(gold, 4)
    np.testing.assert_allclose(one_slice(gold[:, ::-1], 4), image[::-1], atol=1e-5)
    np.testing.assert_allclose(one_slice(gold.swapaxes(1, 2), 4), image.T, atol=1e-5)
    around = one_slice(gold, 4, walls="periodic")
    moved = one_slice(np.roll(gold, (5, -9), (1, 2)), 4, walls="periodic")
    np.testing.assert_allclose(moved, np.roll(around, (5, -9), (0, 1)), atol=1e-5)
    assert np.abs(around - image)[:, 0].max() > 0.01
    np.testing.assert_allclose(around[24:40, 24:40], image[24:40, 24:40], atol=0.01)


def test_the_published_sum_is_what_it_says(gold):
    images = fast_images(gold, VOXEL_NM, 2, method="published")
    left = learned_backscatter(79, 2, np.arange(15) * 10.0) - learned_backscatter(79, 2, 1e6)
    eta = np.where(gold, learned_backscatter(79, 2, 0), learned_backscatter(79, 2, 1e6))
    for index in (0, 30):
        slices = eta[np.minimum(index + 2 * np.arange(15), 47)]
        wanted = np.tensordot(left / left.sum(), slices, 1)
        np.testing.assert_allclose(images[index], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "beam_kv", "materials", "message"),
    [
        (np.zeros((3, 4), bool), 2, {0: "epoxy"}, "made of a volume"),
        (np.zeros((3, 4, 4)), 2, {0: "epoxy"}, "made of a volume"),
        (np.zeros((3, 0, 4), bool), 2, {0: "epoxy"}, "made of a volume"),
        (np.zeros((3, 4, 4), bool), 2, {0: "vacuum", 1: "gold"}, "knows no vacuum"),
        (np.zeros((3, 4, 4), bool), 2, {}, "Name materials by their labels"),
        (np.full((3, 4, 4), 2), 2, {0: "epoxy", 1: "gold"}, "without a material: 2"),
        (np.full((3, 4, 4), -1), 2, {0: "epoxy", 1: "gold"}, "without a material: -1"),
        (np.full((3, 4, 4), 5), 2, {3: "epoxy", 7: "gold"}, "without a material: 5"),
        (np.zeros((3, 4, 4), bool), 20, {0: "epoxy"}, "voltage in kV must be from 0.5 to 10"),
        (np.zeros((3, 4, 4), bool), [1, 2], {0: "epoxy"}, "at one voltage"),
        (np.zeros((3, 4, 4), bool), 2, "0=epoxy", "Name materials by their labels"),
    ],
)
def test_what_cannot_be_imaged_is_refused(labels, beam_kv, materials, message):
    with pytest.raises(PorescopeError, match=message):
        fast_images(labels, VOXEL_NM, beam_kv, materials)


def test_planes_and_methods_that_make_no_sense_are_refused(gold):
    with pytest.raises(PorescopeError, match="must rise"):
        list(fast_planes(gold, VOXEL_NM, 2, [10, 5]))
    with pytest.raises(PorescopeError, match="less than 240 nm"):
        list(fast_planes(gold, VOXEL_NM, 2, [240]))
    with pytest.raises(PorescopeError, match="layered or published"):
        fast_images(gold, VOXEL_NM, 2, method="gan")


def test_it_tells_how_far_it_is_and_stops_when_asked(gold):
    told = []
    fast_images(gold, VOXEL_NM, 1, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (48, 48)
    with pytest.raises(Cancelled):
        fast_images(gold, VOXEL_NM, 1, cancel=lambda: True)
