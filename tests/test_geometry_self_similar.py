from importlib import import_module

import dask.array
import numpy as np
import pytest

from porescope.errors import PorescopeError
from porescope.geometry import leveled_wave, self_similar
from porescope.geometry.self_similar import Copies

SPACING_NM = 2.0
RATIO = 4.0


@pytest.fixture(scope="module")
def structure():
    return leveled_wave(
        (96, 96, 96), spacing_nm=SPACING_NM, wavelength_nm=64, solid_fraction=0.5, seed=2
    )


def borders(solid):
    """Number of faces between solid and pore."""
    return sum(np.count_nonzero(np.diff(solid, axis=axis)) for axis in range(3))


def plane_copies(turn, spacing_nm=(1.0, 1.0, 1.0)):
    """Copies of a structure that is solid below 10 nm in z."""
    depth_nm = (np.arange(20) + 0.5) * spacing_nm[0]
    distance_nm = np.broadcast_to((10 - depth_nm)[:, None, None], (20, 20, 20))
    return Copies(distance_nm.astype(np.float32), spacing_nm, 2.0, turn)


def test_result_is_a_part_of_the_structure(structure):
    solid = self_similar(structure, spacing_nm=SPACING_NM, ratio=RATIO)
    assert solid.shape == structure.shape
    assert solid.dtype == bool
    assert not (solid & ~structure).any()
    assert solid.mean() == pytest.approx(structure.mean() ** 2, abs=0.03)


def test_a_smaller_copy_has_more_surface(structure):
    faces = [
        borders(self_similar(structure, spacing_nm=SPACING_NM, ratio=ratio)) for ratio in (3.0, 6.0)
    ]
    # The structure's own surface, half of it left, and the copy's in half of the volume.
    own = borders(structure) / 2
    assert (faces[1] - own) / (faces[0] - own) == pytest.approx(2, rel=0.15)


def test_copies_are_smaller_and_mirrored():
    z_nm = np.linspace(-30, 30, 241)
    place_nm = np.stack([z_nm, np.zeros(241), np.zeros(241)])
    # 20 nm made twice smaller and mirrored at every 10 nm: solid up to 5 nm on either side of 0.
    folded_nm = np.abs((z_nm + 10) % 20 - 10)
    expected = 10 - np.clip(2 * folded_nm, 0.5, 19.5)  # flat beyond the outer voxel centres
    np.testing.assert_allclose(plane_copies(np.eye(3)).at(place_nm), expected, atol=1e-5)


def test_copies_are_turned_in_nm_not_in_voxels():
    quarter = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # z of the copy is y
    copies = plane_copies(quarter, spacing_nm=(1.0, 3.0, 3.0))
    y_nm = np.linspace(1, 9, 17)
    place_nm = np.stack([np.full(17, 7.0), y_nm, np.full(17, 2.0)])
    np.testing.assert_allclose(copies.at(place_nm), 10 - 2 * y_nm, atol=1e-5)


def test_half_the_space_stays_half_whatever_the_turn():
    solid = np.zeros((64, 64, 64), dtype=bool)
    solid[:32] = True
    fractions = [
        self_similar(solid, spacing_nm=1, ratio=8, seed=seed)[:32].mean() for seed in range(6)
    ]
    np.testing.assert_allclose(fractions, 0.5, atol=0.04)


@pytest.mark.parametrize("solid_fraction", [0.05, 0.2, 0.45])
def test_solid_fraction_is_met(structure, solid_fraction):
    solid = self_similar(
        structure, spacing_nm=SPACING_NM, ratio=RATIO, solid_fraction=solid_fraction
    )
    assert solid.mean() == pytest.approx(solid_fraction, abs=1e-4)


def test_less_solid_is_a_part_of_more_solid(structure):
    thin, thick = (
        self_similar(structure, spacing_nm=SPACING_NM, ratio=RATIO, solid_fraction=fraction)
        for fraction in (0.15, 0.35)
    )
    assert not (thin & ~thick).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_and_dask_arrays_are_taken(structure, dtype):
    labels = dask.array.from_array(structure.astype(dtype) * 3, chunks=40)
    found = self_similar(labels, spacing_nm=SPACING_NM, ratio=RATIO, solid_fraction=0.2)
    expected = self_similar(structure, spacing_nm=SPACING_NM, ratio=RATIO, solid_fraction=0.2)
    np.testing.assert_array_equal(found, expected)


def test_structure_is_left_as_it_was(structure):
    before = structure.copy()
    self_similar(structure, spacing_nm=SPACING_NM, ratio=RATIO)
    np.testing.assert_array_equal(structure, before)


def test_of_a_large_structure_only_the_middle_is_copied(structure, monkeypatch):
    monkeypatch.setattr(import_module("porescope.geometry.self_similar"), "TILE", 48)
    solid = self_similar(structure, spacing_nm=SPACING_NM, ratio=RATIO)
    changed = structure.copy()
    changed[:8] = True  # not in the middle
    other = self_similar(changed, spacing_nm=SPACING_NM, ratio=RATIO)
    np.testing.assert_array_equal(other[8:], solid[8:])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"solid": np.ones((20, 20), dtype=bool)}, "volume"),
        ({"solid": np.ones((20, 20, 20))}, "segment"),
        ({"solid": [[[True, False]]]}, "volume"),
        ({"solid": np.ones((20, 20, 20), dtype=bool)}, "both solid and pores"),
        ({"solid": np.zeros((20, 20, 20), dtype=bool)}, "both solid and pores"),
        ({"solid": np.zeros((20, 0, 20), dtype=bool)}, "shape"),
        ({"spacing_nm": 0}, "voxel size"),
        ({"ratio": 1}, "ratio"),
        ({"ratio": np.nan}, "ratio"),
        ({"ratio": np.inf}, "ratio"),
        ({"ratio": 30}, "smaller ratio"),
        ({"solid_fraction": 0}, "solid fraction"),
        ({"solid_fraction": np.nan}, "solid fraction"),
        ({"solid_fraction": 0.6}, "0.500"),
        ({"seed": -1}, "seed"),
    ],
)
def test_nonsense_is_refused(structure, change, says):
    given = {"solid": structure, "spacing_nm": SPACING_NM, "ratio": RATIO, **change}
    with pytest.raises(PorescopeError, match=says):
        self_similar(given.pop("solid"), **given)
