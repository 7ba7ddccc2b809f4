import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porescope.errors import PorescopeError
from porescope.geometry import label_layers, perlin_layers
from porescope.geometry.perlin import fade, gradient_noise

MAPS = {"spacing_nm": 5.0, "wavelength_nm": 100.0, "thickest_nm": (15.0, 150.0)}


def test_layers_reach_from_nothing_to_the_thickest():
    maps = perlin_layers((60, 80), **MAPS)
    assert maps.shape == (2, 60, 80)
    assert maps.dtype == np.float64
    np.testing.assert_array_equal(maps.min(axis=(1, 2)), 0)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), (15, 150), rtol=1e-14)


def test_layers_are_independent():
    correlations = []
    for seed in range(60):
        gold, aluminium = perlin_layers((60, 60), seed=seed, **MAPS)
        correlations.append(np.corrcoef(gold.ravel(), aluminium.ravel())[0, 1])
    assert abs(np.mean(correlations)) < 0.1


def test_same_seed_same_layers_other_seed_others():
    first = perlin_layers((30, 40), seed=1, **MAPS)
    np.testing.assert_array_equal(first, perlin_layers((30, 40), seed=1, **MAPS))
    assert np.abs(first - perlin_layers((30, 40), seed=2, **MAPS))[1].mean() > 10


def test_a_layer_does_not_depend_on_those_above():
    two = perlin_layers((30, 40), **MAPS)
    one = perlin_layers((30, 40), **{**MAPS, "thickest_nm": (15.0,)})
    np.testing.assert_array_equal(one[0], two[0])


def test_noise_is_one_field_through_which_any_window_looks():
    y, x = np.linspace(0, 9, 70), np.linspace(0, 12, 90)
    whole = gradient_noise(y, x, seed=5, stream=0)
    np.testing.assert_array_equal(gradient_noise(y[20:50], x[:33], 5, 0), whole[20:50, :33])


def test_noise_is_smooth_across_the_cells():
    step = 1e-3
    x = np.arange(0, 4, step)
    along_x = gradient_noise(np.array([0.3]), x, 1, 0)[0]
    along_y = gradient_noise(x, np.array([1.7]), 1, 0)[:, 0]
    for noise in (along_x, along_y):
        slope = np.diff(noise) / step
        bend = np.diff(slope) / step
        assert np.abs(np.diff(slope)).max() < 0.05
        assert np.abs(np.diff(bend)).max() < 0.3


def test_noise_has_the_variance_of_random_gradients():
    """Each corner adds (weight * offset) ** 2 / 2, because gradients are independent units."""
    t = (np.arange(400) + 0.5) / 400
    weight = fade(1 - t) ** 2
    expected = 4 * (weight * t**2).mean() * weight.mean()  # 4 corners, 2 axes, mean square 1/2
    values = [
        gradient_noise(np.arange(0, 30, 0.13), np.arange(0, 30, 0.13), s, 0) for s in range(9)
    ]
    assert np.mean(np.square(values)) == pytest.approx(expected, rel=0.06)
    assert np.abs(values).max() <= np.sqrt(0.5)
    assert abs(np.mean(values)) < 0.01


def test_cells_have_no_common_place():
    values = np.array([gradient_noise(np.zeros(1), np.zeros(1), s, 0)[0, 0] for s in range(200)])
    assert values.std() > 0.15


def test_wavelength_and_spacing_set_the_size_of_the_hills():
    def roughness(**change):
        maps = perlin_layers((200, 200), **{**MAPS, "thickest_nm": (1.0,) * 8, **change})
        return np.abs(np.diff(maps, axis=1)).mean(), np.abs(np.diff(maps, axis=2)).mean()

    along_y, along_x = roughness()
    assert along_y == pytest.approx(along_x, rel=0.1)
    assert roughness(wavelength_nm=200.0)[0] == pytest.approx(along_y / 2, rel=0.15)
    stretched_y, stretched_x = roughness(spacing_nm=(5.0, 2.5))
    assert stretched_x == pytest.approx(stretched_y / 2, rel=0.15)
    assert roughness(octaves=3)[0] > 1.15 * along_y


def test_octaves_halve_wavelength_and_height():
    found = perlin_layers((40, 40), octaves=3, **{**MAPS, "thickest_nm": (1.0,)})[0]
    place_nm = (np.arange(40) + 0.5) * 5.0
    parts = [
        gradient_noise(place_nm / length_nm, place_nm / length_nm, 0, 255 * octave) * height
        for octave, (length_nm, height) in enumerate([(100, 1), (50, 0.5), (25, 0.25)])
    ]
    noise = sum(parts)
    np.testing.assert_allclose(found, (noise - noise.min()) / np.ptp(noise), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    thickness=st.lists(st.lists(st.floats(0, 40), min_size=3, max_size=3), min_size=1, max_size=4),
    slice_nm=st.floats(1, 9),
)
def test_labels_are_the_layer_of_each_voxel_centre(thickness, slice_nm):
    thickness_nm = np.array(thickness)[:, np.newaxis]
    labels = label_layers(thickness_nm, slice_nm=slice_nm)
    assert labels.dtype == np.uint8
    count = len(labels)
    for column in range(3):
        for z in range(count):
            height_nm = (count - z - 0.5) * slice_nm
            tops_nm = np.cumsum(thickness_nm[:, 0, column])
            above = np.flatnonzero(tops_nm > height_nm)
            assert labels[z, 0, column] == (above[0] + 1 if above.size else 0)


def test_lowest_layer_lies_on_the_last_slice():
    thickness_nm = np.array([[[20.0, 0.0]], [[10.0, 30.0]]])
    labels = label_layers(thickness_nm, slice_nm=10, slices=4)
    np.testing.assert_array_equal(labels[:, 0, 0], [0, 2, 1, 1])
    np.testing.assert_array_equal(labels[:, 0, 1], [0, 2, 2, 2])


def test_volume_of_each_label_is_the_thickness():
    maps = perlin_layers((60, 80), **MAPS)
    labels = label_layers(maps, slice_nm=0.5)
    for layer in (1, 2):
        columns_nm = 0.5 * (labels == layer).sum(axis=0)
        np.testing.assert_allclose(columns_nm, maps[layer - 1], atol=0.51)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": (4, 4, 4)}, "shape"),
        ({"shape": (4, 0)}, "shape"),
        ({"shape": (10**9, 10**9)}, "larger than any stack"),
        ({"shape": (1, 1)}, "flat"),
        ({"spacing_nm": 0}, "voxel size"),
        ({"spacing_nm": (1, 2, 3)}, "voxel size"),
        ({"wavelength_nm": -1}, "wavelength"),
        ({"wavelength_nm": np.nan}, "wavelength"),
        ({"wavelength_nm": 1e-3}, "pixel"),
        ({"thickest_nm": ()}, "layers"),
        ({"thickest_nm": (15, 0)}, "thickness"),
        ({"thickest_nm": (np.nan,)}, "thickness"),
        ({"octaves": 0}, "octaves"),
        ({"octaves": 40}, "pixel"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_layers_refuse_nonsense(change, says):
    given = {"shape": (20, 30), **MAPS, **change}
    with pytest.raises(PorescopeError, match=says):
        perlin_layers(given.pop("shape"), **given)


@pytest.mark.parametrize(
    ("thickness_nm", "change", "says"),
    [
        (np.ones((4, 4)), {}, "layers, y, x"),
        (np.ones((256, 2, 2)), {}, "255"),
        (np.full((1, 2, 2), -1.0), {}, "0 nm or above"),
        (np.full((1, 2, 2), np.nan), {}, "0 nm or above"),
        (np.ones((1, 0, 2)), {}, "shape"),
        (np.full((1, 2, 2), 1e30), {}, "larger than any stack"),
        (np.ones((1, 2, 2)), {"slice_nm": 0}, "voxel size along z"),
        (np.full((2, 2, 2), 9.0), {"slices": 1}, "need 2 slices"),
        (np.ones((1, 2, 2)), {"slices": 1.5}, "slices"),
    ],
)
def test_labels_refuse_nonsense(thickness_nm, change, says):
    with pytest.raises(PorescopeError, match=says):
        label_layers(thickness_nm, **{"slice_nm": 10.0, **change})
