import math
import sys

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import euler_number

from porescope import PorescopeError
from porescope.geometry import boolean_model, voxelize
from porescope.measure import (
    local_thickness,
    morphometry,
    percolation,
    tortuosity,
    volume_fractions,
)
from porescope.measure import parts as parts_module
from porescope.measure.morphometry import DIRECTIONS, crofton_weights

thickness_module = sys.modules["porescope.measure.thickness"]
SPACING = (1.0, 1.0, 1.0)
volumes = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=8),
    elements=st.sampled_from([0, 0, 1, 1, 3]),
)
phases = st.sampled_from([None, 0, 1, 3])


def chosen(labels, phase):
    return labels != 0 if phase is None else labels == phase


def spheres(shape, radius, seed=0, porosity=0.7):
    return voxelize(
        boolean_model("sphere", porosity=porosity, shape=shape, radius=radius, seed=seed), shape
    )


@pytest.fixture(params=[None, 32], ids=["whole", "pieces"])
def piece_bytes(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(parts_module, "PIECE_BYTES", request.param)


@given(volumes, phases)
def test_fraction_and_euler_number_are_those_of_the_whole(labels, phase):
    inside = chosen(labels, phase)
    found = morphometry(labels, SPACING, phase=phase)
    assert found["volume_fraction"] == pytest.approx(inside.mean())
    assert found["euler_number"] == euler_number(inside, connectivity=1)


@pytest.mark.parametrize("shape", [(9, 8, 7), (12, 5, 6)])
def test_the_surface_is_that_of_counting_neighbours_one_by_one(shape, piece_bytes):
    inside = np.random.default_rng(0).random(shape) < 0.6
    spacing = (3.0, 1.0, 2.0)
    expected = 0.0
    for offset, weight in zip(DIRECTIONS, crofton_weights(spacing), strict=True):
        pairs = [
            inside[at] != inside[other]
            for at in np.ndindex(*shape)
            for other in [tuple(np.add(at, offset))]
            if all(0 <= a < size for a, size in zip(other, shape, strict=True))
        ]
        expected += 2 * weight * np.mean(pairs) / np.linalg.norm(np.multiply(offset, spacing))
    found = morphometry(inside, spacing)
    assert found["surface_per_um"] == pytest.approx(1000 * expected)
    chord = 2 * inside.mean() * 3.0 / np.mean(inside[1:] != inside[:-1])
    assert found["mean_chord_z_nm"] == pytest.approx(chord)


def test_weights_of_cubic_voxels_are_the_known_ones():
    """Ohser and Muecklich, Statistical Analysis of Microstructures, table of weights."""
    weights = crofton_weights(SPACING)
    known = {1: 0.0915558, 2: 0.0739613, 3: 0.0703913}
    for offset, weight in zip(DIRECTIONS, weights, strict=True):
        assert weight == pytest.approx(known[sum(map(abs, offset))], abs=1e-6)


def test_weights_are_the_shares_of_the_sphere_nearest_to_each_direction():
    spacing = (4.0, 1.0, 2.0)
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    ways = np.array(DIRECTIONS) * spacing
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    nearest = np.abs(points @ ways.T).argmax(axis=1)
    shares = np.bincount(nearest, minlength=13) / len(points)
    assert crofton_weights(spacing) == pytest.approx(shares, abs=0.005)


@pytest.mark.parametrize("step", [1, 2])
def test_boolean_spheres_have_the_surface_and_chords_of_their_formulas(step):
    radius, porosity = 12.0, 0.6
    intensity = -math.log(porosity) / (4 / 3 * math.pi * radius**3)
    labels = spheres((160,) * 3, radius, porosity=porosity)[::step]
    found = morphometry(labels, (step, 1, 1))
    expected = 1000 * intensity * 4 * math.pi * radius**2 * porosity
    # Voxels lose up to 3 % of a surface with edges where spheres meet.
    assert abs(found["surface_per_um"] - expected) < (
        3 * found["surface_per_um_uncertainty"] + 0.03 * expected
    )
    assert abs(found["volume_fraction"] - (1 - porosity)) < 3 * found["volume_fraction_uncertainty"]
    pores = morphometry(labels, (step, 1, 1), phase=0)
    chord = 1 / (intensity * math.pi * radius**2)
    for axis in "zyx":
        error = pores[f"mean_chord_{axis}_nm"] - chord
        assert abs(error) < 3 * pores[f"mean_chord_{axis}_nm_uncertainty"] + 0.05 * chord


def test_the_faces_of_the_volume_are_no_border():
    found = morphometry(np.ones((4, 4, 4), np.uint8), SPACING)
    assert found["surface_per_um"] == 0
    assert found["volume_fraction"] == 1
    assert math.isnan(found["mean_chord_x_nm"])
    assert morphometry(np.zeros((4, 4, 4), np.uint8), SPACING)["volume_fraction"] == 0


def test_a_single_slice_has_no_surface_that_could_be_told():
    found = morphometry(np.eye(6, dtype=np.uint8)[np.newaxis], SPACING)
    assert found["volume_fraction"] == pytest.approx(1 / 6)
    assert math.isnan(found["surface_per_um"])
    assert math.isnan(found["mean_chord_z_nm"])


@given(volumes, phases, st.sampled_from([32, 1 << 20]))
def test_percolation_is_that_of_the_whole(labels, phase, piece_bytes):
    inside = chosen(labels, phase)
    whole, count = ndimage.label(inside)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "PIECE_BYTES", piece_bytes)
        found = percolation(labels, phase=phase)
    for axis, name in enumerate("zyx"):
        if labels.shape[axis] == 1 or not inside.any():
            assert math.isnan(found[f"percolating_{name}"])
            continue
        faces = np.moveaxis(whole, axis, 0)[[0, -1]]
        through = np.setdiff1d(np.intersect1d(*faces), [0])
        expected = np.isin(whole, through).sum() / inside.sum()
        assert found[f"percolating_{name}"] == pytest.approx(expected)
    if count:
        largest = np.bincount(whole.ravel())[1:].max()
        assert found["largest_component"] == pytest.approx(largest / inside.sum())


def test_plates_and_balls_are_as_thick_as_they_are():
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[8:12] = 1
    assert local_thickness(labels, (2, 1, 1))["thickness_nm"] == pytest.approx(8, abs=1)
    radius = 10
    grid = np.mgrid[:30, :30, :30] - 14.7
    ball = ((grid * np.array([2, 1, 1]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < radius**2
    found = local_thickness(ball, (2, 1, 1))
    assert found["thickness_nm"] == pytest.approx(2 * radius, abs=2)
    assert found["thickness_std_nm"] < 1


def test_each_voxel_takes_the_largest_ball_that_holds_it():
    inside = spheres((24, 20, 22), 5.0)
    distance = ndimage.distance_transform_edt(inside)
    expected = np.zeros(inside.shape)
    places = np.argwhere(inside)
    for centre in places:
        held = ((places - centre) ** 2).sum(axis=1) < distance[tuple(centre)] ** 2
        at = tuple(places[held].T)
        expected[at] = np.maximum(expected[at], 2 * distance[tuple(centre)])
    found = local_thickness(inside, SPACING)
    assert found["thickness_nm"] == pytest.approx(expected[inside].mean(), abs=0.5)


def test_tiles_do_not_change_the_thickness(monkeypatch):
    labels = spheres((40, 36, 44), 4.0).astype(np.uint8)
    whole = local_thickness(labels, (2, 1, 1), phase=0)
    monkeypatch.setattr(thickness_module, "TILE_VOXELS", 30_000)
    monkeypatch.setattr(thickness_module, "FIRST_HALO", 3)
    lazy = da.from_array(labels, chunks=(16, 36, 33))
    in_tiles = local_thickness(lazy, (2, 1, 1), phase=0)
    assert in_tiles == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("value", [0, 1])
def test_no_border_no_thickness(value):
    found = local_thickness(np.full((4, 4, 4), value, np.uint8), SPACING)
    assert all(math.isnan(number) for number in found.values())


def test_fractions_of_every_label():
    labels = np.array([0, 0, 0, 1, 1, 4, 0, 0]).reshape(2, 2, 2).astype(np.uint8)
    found = volume_fractions(labels)
    assert found["solid_fraction"] == 3 / 8
    assert found["phase_fractions"] == {0: 5 / 8, 1: 2 / 8, 4: 1 / 8}
    # Eight parts of a voxel each: the standard error of the mean of their values.
    error = np.std(labels.ravel() > 0, ddof=1) / math.sqrt(8)
    assert found["solid_fraction_uncertainty"] == pytest.approx(error)
    assert math.isnan(volume_fractions(labels[:1, :1, :1])["solid_fraction_uncertainty"])


@pytest.mark.parametrize("measure", [morphometry, local_thickness, tortuosity])
def test_refusals(measure):
    labels = np.ones((4, 4, 4), np.uint8)
    with pytest.raises(PorescopeError, match="three numbers"):
        measure(labels, (1, 1))
    with pytest.raises(PorescopeError, match="above 0 nm"):
        measure(labels, (1, -1, 1))
    with pytest.raises(PorescopeError, match="whole numbers"):
        measure(np.full((4, 4, 4), np.nan), SPACING)
    with pytest.raises(PorescopeError, match="three axes"):
        measure(labels[0], SPACING)


def test_without_taufactor_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "taufactor", None)
    with pytest.raises(PorescopeError, match=r"pip install napari-porescope\[tortuosity\]"):
        tortuosity(np.ones((2, 2, 2), np.uint8), SPACING)


def test_diffusion_through_plates():
    """Straight along plates, nothing across; long voxels along the flow and across it."""
    pytest.importorskip("taufactor")
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[:, :, ::2] = 1
    found = tortuosity(labels, (3, 1, 1))
    for axis in "zy":
        assert found[f"diffusivity_{axis}"] == pytest.approx(0.5, abs=0.01)
        assert found[f"tortuosity_{axis}"] == pytest.approx(1, abs=0.01)
    assert found["diffusivity_x"] == 0
    assert math.isnan(found["tortuosity_x"])


def test_diffusion_in_long_voxels_is_that_of_short_ones():
    pytest.importorskip("taufactor")
    fine = np.repeat(np.random.default_rng(1).random((12, 24, 24)) < 0.8, 2, axis=0)
    coarse = tortuosity(fine[::2], (2, 1, 1))
    cubic = tortuosity(fine, SPACING)
    for axis in "zyx":
        assert coarse[f"diffusivity_{axis}"] == pytest.approx(cubic[f"diffusivity_{axis}"], rel=0.1)
