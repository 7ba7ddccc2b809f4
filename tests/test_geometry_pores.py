from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from porescope.errors import PorescopeError
from porescope.geometry import random_pores, spheroids
from porescope.geometry.spheroids import PoreSample

PORES = {"spacing_nm": 5.0, "radius_nm": 30.0, "radius_sd_nm": 6.0, "solid_fraction": 0.5}
PHANTOM = {"spacing_nm": 2.0, "pitch_nm": 40.0, "solid_fraction": 0.75}


def semi_axes(pore):
    """Semi-axes along z, y, x of an ellipsoid, in voxels: its variance along one is a fifth of
    their square; a voxel adds a twelfth."""
    return np.sqrt(5 * (np.var(np.nonzero(pore), axis=1) + 1 / 12))


def whole_pores(solid):
    """Pores that touch no face of the volume."""
    labels, count = ndimage.label(~solid)
    touching = set(np.unique(np.concatenate([
        side.ravel() for axis in range(3) for side in np.moveaxis(labels, axis, 0)[[0, -1]]
    ])))  # fmt: skip
    return [labels == label for label in set(range(1, count + 1)) - touching]


@settings(max_examples=40, deadline=None)
@given(
    centres=st.lists(st.tuples(*[st.floats(-20, 60)] * 3), max_size=6),
    axes=st.lists(st.tuples(*[st.floats(0.5, 30)] * 3), min_size=6, max_size=6),
    start=st.integers(0, 9),
)
def test_pores_are_where_the_formula_says(centres, axes, start):
    shape, spacing_nm = (10, 8, 9), (3.0, 5.0, 4.0)
    centres_nm = np.array(centres).reshape(-1, 3)
    semi_axes_nm = np.array(axes[: len(centres)]).reshape(-1, 3)
    place_nm = (np.moveaxis(np.indices(shape), 0, -1) + 0.5) * spacing_nm
    pores = np.zeros(shape, dtype=bool)
    for centre, axis in zip(centres_nm, semi_axes_nm, strict=True):
        pores |= (((place_nm - centre) / axis) ** 2).sum(axis=-1) <= 1
    sample = PoreSample(shape, spacing_nm, centres_nm, semi_axes_nm)
    np.testing.assert_array_equal(sample.planes(start, 10), ~pores[start:])


def test_large_pores_are_drawn_in_parts(monkeypatch):
    whole = spheroids((60, 40, 40), **PHANTOM)
    monkeypatch.setattr(import_module("porescope.geometry.spheroids"), "BOX_VOXELS", 1000)
    np.testing.assert_array_equal(spheroids((60, 40, 40), **PHANTOM), whole)


def test_random_pores_are_spheres_of_the_radii_asked_for():
    solid = random_pores(
        (150, 150, 150), spacing_nm=2, radius_nm=16, radius_sd_nm=4, solid_fraction=0.98, seed=3
    )
    found = np.array([semi_axes(pore) for pore in whole_pores(solid)])
    alone = np.ptp(found, axis=1) < 0.5  # not two pores that overlap
    radii_nm = 2 * found[alone].mean(axis=1)
    assert len(radii_nm) >= 10
    assert radii_nm.mean() == pytest.approx(16, abs=2)
    assert radii_nm.std() == pytest.approx(4, abs=1.5)


def test_covariance_of_random_pores_of_one_radius():
    """Solid at both ends: solid_fraction ** (2 - overlap), the share of a ball in its shifted
    copy, because pores are independent of each other."""
    radius = 5.0
    found = np.zeros((3, 11))
    for seed in range(6):
        solid = random_pores(
            (96, 96, 96), spacing_nm=1, radius_nm=radius, radius_sd_nm=0, solid_fraction=0.4,
            seed=seed,
        )  # fmt: skip
        for axis in range(3):
            line = np.moveaxis(solid, axis, 0)
            for lag in range(11):
                found[axis, lag] += (line[: 96 - lag] & line[lag:]).mean() / 6
    lag = np.arange(11)
    overlap = 1 - 3 * lag / (4 * radius) + lag**3 / (16 * radius**3)
    np.testing.assert_allclose(found, np.tile(0.4 ** (2 - overlap), (3, 1)), atol=0.012)


def test_faces_of_the_volume_are_as_porous_as_its_middle():
    solid = np.stack([random_pores((40, 40, 40), seed=seed, **PORES) for seed in range(40)])
    faces = [solid.take(index, axis).mean() for axis in (1, 2, 3) for index in (0, -1)]
    np.testing.assert_allclose(faces, solid[:, 10:30, 10:30, 10:30].mean(), atol=0.06)
    assert np.mean(faces) == pytest.approx(0.5, abs=0.025)


def test_less_solid_is_a_part_of_more_solid():
    """Pores are added one by one, so that a series of porosities is one of the same structure."""
    more = random_pores((40, 40, 40), **PORES)
    less = random_pores((40, 40, 40), **{**PORES, "solid_fraction": 0.2})
    assert not (less & ~more).any()


@pytest.mark.parametrize("radius_nm", [100.0, 2000.0])
def test_pores_larger_than_the_volume(radius_nm):
    solid = random_pores((30, 30, 30), **{**PORES, "radius_nm": radius_nm})
    assert solid.mean() == pytest.approx(0.5, abs=0.001)


def test_no_radius_is_below_zero_however_wide_the_distribution():
    solid = random_pores((40, 40, 40), **{**PORES, "radius_sd_nm": 30.0})
    assert solid.mean() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("aspect_ratio", [0.5, 1.0, 2.0, 3.0])
def test_spheroids_have_the_aspect_ratio(aspect_ratio):
    solid = spheroids((200, 60, 60), aspect_ratio=aspect_ratio, **PHANTOM)
    pores = whole_pores(solid)
    assert len(pores) >= 9
    axes = np.array([semi_axes(pore) for pore in pores])
    np.testing.assert_allclose(axes[:, 0] / axes[:, 1], aspect_ratio, rtol=0.04)
    np.testing.assert_allclose(axes[:, 2], axes[:, 1], rtol=0.02)
    np.testing.assert_allclose(axes, np.tile(axes.mean(axis=0), (len(axes), 1)), rtol=0.03)


def test_spheroids_stand_on_a_square_grid_with_growing_gaps():
    solid = spheroids((220, 60, 60), aspect_ratio=1.0, gap_growth=0.2, **PHANTOM)
    labels, count = ndimage.label(~solid)
    z, y, x = np.array(ndimage.center_of_mass(~solid, labels, range(1, count + 1))).T
    whole = z < 200
    np.testing.assert_allclose(np.unique(np.round(y[whole], 1)), [9.5, 29.5, 49.5])
    np.testing.assert_allclose(np.unique(np.round(x[whole], 1)), [9.5, 29.5, 49.5])
    layers = np.unique(np.round(z[whole], 1))
    np.testing.assert_allclose(np.diff(layers)[:4], [20, 24, 28, 32], atol=0.3)


@pytest.mark.parametrize("solid_fraction", [0.5, 0.75, 0.95])
def test_spheroids_meet_the_solid_fraction(solid_fraction):
    solid = spheroids(
        (128, 96, 101), spacing_nm=2.0, pitch_nm=40.0, solid_fraction=solid_fraction,
        gap_growth=0.0,
    )  # fmt: skip
    assert solid.mean() == pytest.approx(solid_fraction, abs=0.003)


def test_phantom_is_isotropic_in_the_plane_only():
    solid = spheroids((120, 80, 80), **PHANTOM)
    np.testing.assert_array_equal(solid, solid.transpose(0, 2, 1))

    def correlation(axis):
        line = np.moveaxis(~solid, axis, 0)
        return np.array([(line[: len(line) - lag] & line[lag:]).mean() for lag in range(10)])

    assert np.abs(correlation(0) - correlation(1)).max() > 0.05


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"radius_nm": 0}, "radius"),
        ({"radius_nm": -3}, "radius"),
        ({"radius_nm": np.nan}, "radius"),
        ({"radius_nm": 1e-9, "radius_sd_nm": 0}, "smaller than a voxel"),
        ({"radius_sd_nm": -1}, "standard deviation"),
        ({"radius_sd_nm": 31}, "standard deviation"),
        ({"radius_sd_nm": np.nan}, "standard deviation"),
        ({"solid_fraction": 0}, "solid fraction"),
        ({"solid_fraction": 1}, "solid fraction"),
        ({"solid_fraction": np.nan}, "solid fraction"),
        ({"spacing_nm": -1}, "voxel size"),
        ({"shape": (0, 4, 4)}, "shape"),
        ({"shape": (2000, 2000, 2000), "radius_nm": 6}, "pores would be needed"),
        ({"seed": -1}, "seed"),
    ],
)
def test_random_pores_refuse_nonsense(change, says):
    with pytest.raises(PorescopeError, match=says):
        random_pores(**{"shape": (8, 8, 8), **PORES, **change})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pitch_nm": 0}, "pitch"),
        ({"pitch_nm": np.inf}, "pitch"),
        ({"pitch_nm": 7}, "quarter"),
        ({"aspect_ratio": -1}, "aspect ratio"),
        ({"aspect_ratio": 0.1}, "quarter"),
        ({"gap_growth": -0.1}, "growth"),
        ({"gap_growth": np.nan}, "growth"),
        ({"solid_fraction": 0.3}, "overlap"),
        ({"solid_fraction": 0}, "solid fraction"),
        ({"shape": (8, 8)}, "shape"),
        ({"shape": (4000, 4000, 4000), "pitch_nm": 8}, "pores would be needed"),
    ],
)
def test_spheroids_refuse_nonsense(change, says):
    with pytest.raises(PorescopeError, match=says):
        spheroids(**{"shape": (64, 64, 64), **PHANTOM, **change})
