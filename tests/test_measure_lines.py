import itertools
import math

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from porescope import PorescopeError
from porescope.errors import Cancelled
from porescope.geometry import boolean_model, spheroids, voxelize
from porescope.measure import correlations, isotropy, lineal_path, two_point_correlation
from porescope.measure import parts as parts_module
from porescope.measure.parts import halves, jackknife

volumes = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=7),
    elements=st.sampled_from([0, 1, 1, 1, 3]),
)
RADIUS = 6.0
POROSITY = 0.6
INTENSITY = -math.log(POROSITY) / (4 / 3 * math.pi * RADIUS**3)


def spheres(edge, seed=0, radius=RADIUS, porosity=POROSITY):
    shape = (edge,) * 3
    return voxelize(
        boolean_model("sphere", porosity=porosity, shape=shape, radius=radius, seed=seed), shape
    )


def counted_one_by_one(inside, axis, longest):
    """Pairs, segments and places by the part in which they begin."""
    middles = [halves(size)[0].stop for size in inside.shape]
    counts = np.zeros((3, 2, 2, 2, longest + 1), dtype=int)
    for first in np.ndindex(*inside.shape):
        part = tuple(int(at >= middle) for at, middle in zip(first, middles, strict=True))
        for lag in range(longest + 1):
            last = list(first)
            last[axis] += lag
            if last[axis] < inside.shape[axis]:
                way = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
                both = inside[first] and inside[tuple(last)]
                counts[(slice(None), *part, lag)] += (both, inside[way].all(), 1)
    return counts.reshape(3, 8, -1)


@pytest.fixture(params=[None, 32], ids=["whole", "pieces"])
def piece_bytes(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(parts_module, "PIECE_BYTES", request.param)


@pytest.mark.parametrize("phase", [None, 1, 0])
@pytest.mark.parametrize("shape", [(7, 9, 6), (4, 5, 11), (2, 2, 2), (12, 3, 70)])
def test_counts_are_those_of_counting_one_by_one(shape, phase, piece_bytes):
    labels = np.random.default_rng(0).choice([0, 1, 1, 3], shape).astype(np.uint8)
    found = correlations(labels, (1, 1, 1), phase=phase)
    inside = labels != 0 if phase is None else labels == phase
    for axis in range(3):
        expected = counted_one_by_one(inside, axis, shape[axis] // 2)
        for counts, one_by_one in zip(
            (found.pairs, found.segments, found.places), expected, strict=True
        ):
            assert np.array_equal(counts[axis][:, : shape[axis] // 2 + 1], one_by_one)


@given(volumes, st.integers(0, 2))
def test_curves_up_to_the_last_lag(labels, axis):
    longest = labels.shape[axis] - 1
    pairs, segments, places = counted_one_by_one(labels != 0, axis, longest).sum(axis=1)
    correlation = two_point_correlation(labels, axis, longest=longest)
    path = lineal_path(labels, axis, longest=longest)
    assert np.array_equal(correlation, pairs / places)
    assert np.array_equal(path, segments / places)
    assert (path <= correlation).all()


def test_nothing_wraps_around():
    labels = np.zeros((4, 4, 10), np.uint8)
    labels[..., 0] = labels[..., -1] = 1
    assert two_point_correlation(labels, 2, longest=9).tolist() == [0.2, *[0] * 8, 1]
    assert lineal_path(labels, 2, longest=9).tolist() == [0.2, *[0] * 9]


def test_lazy_is_the_same_as_whole():
    labels = spheres(40).astype(np.uint8)
    lazy = da.from_array(labels, chunks=(7, 40, 13))
    assert isotropy(lazy, (2, 1, 1)) == isotropy(labels, (2, 1, 1))


def test_boolean_spheres_have_closed_forms():
    """Torquato, Random Heterogeneous Materials, chapter 5; Chiu et al., section 3.1."""
    found = correlations(spheres(160), (1, 1, 1))
    pores = correlations(spheres(160), (1, 1, 1), phase=0)
    for axis in range(3):
        lag = np.arange(25.0)
        near = np.minimum(lag, 2 * RADIUS) / (2 * RADIUS)
        overlap = 4 / 3 * math.pi * RADIUS**3 * (1 - 1.5 * near + 0.5 * near**3)
        both_pore = POROSITY**2 * np.exp(INTENSITY * overlap)
        value, uncertainty = found.two_point(axis)
        error = value[:25] - (1 - 2 * POROSITY + both_pore)
        assert (np.abs(error) < 5 * uncertainty[:25]).all()
        value, uncertainty = pores.lineal_path(axis)
        error = value[:25] - POROSITY * np.exp(-INTENSITY * math.pi * RADIUS**2 * lag)
        assert (np.abs(error) < 5 * uncertainty[:25]).all()
        assert uncertainty[:25].max() < 0.02


def test_uncertainties_are_the_scatter_of_realisations():
    def all_of(seed):
        found = correlations(spheres(64, seed, radius=4.0), (1, 1, 1))
        curve, its = found.lineal_path(0)
        numbers = found.isotropy()
        diameter = numbers["D_xy_nm"], numbers["D_xy_nm_uncertainty"]
        return (curve[0], its[0]), (curve[4], its[4]), diameter

    values, uncertainties = np.transpose([all_of(seed) for seed in range(16)])[:, :, :]
    assert np.allclose(uncertainties.mean(axis=1) / values.std(axis=1, ddof=1), 1, atol=0.5)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    parts = np.random.default_rng(0).normal(size=(8, 3))
    value, uncertainty = jackknife(lambda total, count: total / count, parts, np.ones((8, 3)))
    assert value == pytest.approx(parts.mean(axis=0))
    assert uncertainty == pytest.approx(parts.std(axis=0, ddof=1) / math.sqrt(8))


def test_the_right_spacing_makes_an_isotropic_volume_isotropic():
    labels = spheres(160)[::2]
    right, wrong = isotropy(labels, (2, 1, 1)), isotropy(labels, (1, 1, 1))
    for name in ("tpcf", "lpf", "diameter"):
        assert right[name] < 0.06
        assert wrong[name] > 0.12
    assert right["D_xy_nm"] == pytest.approx(right["D_xz_nm"], rel=0.06)
    assert wrong["D_xz_nm"] < 0.8 * wrong["D_xy_nm"]


def test_equation_by_equation():
    labels = spheres(48)[:, :40]
    z, y, x = (two_point_correlation(labels, axis, longest=20) for axis in range(3))
    norm = np.linalg.norm
    expected = norm(x - z) / (norm(x) + norm(z)) + norm(y - z) / (
        norm(y) + norm(z)
    )  # eq. 2.12: twice the half
    found = isotropy(labels, (1, 1, 1))
    assert found["tpcf"] == pytest.approx(expected)
    d_xy, d_xz, d_yz = (found[f"D_{plane}_nm"] for plane in ("xy", "xz", "yz"))
    assert found["diameter"] == pytest.approx((abs(d_xz - d_xy) + abs(d_yz - d_xy)) / 2 / d_xy)


def test_diameters_are_those_of_plates_and_bars():
    """A chord of n voxels has the area n / 2 under its lineal path function."""
    labels = np.zeros((60, 60, 60), bool)
    at = np.arange(60)
    labels[np.ix_(at % 20 < 6, at % 20 < 8, at % 20 < 5)] = True
    found = isotropy(labels, (1, 1, 1))
    # Edges of the volume cut nothing but a part of the places, so a tenth is allowed for.
    assert found["D_xy_nm"] == pytest.approx((8 + 5) / 2, rel=0.1)
    assert found["D_xz_nm"] == pytest.approx((6 + 5) / 2, rel=0.1)
    assert found["D_yz_nm"] == pytest.approx((6 + 8) / 2, rel=0.1)


def test_the_stretched_phantom_differs_along_z_only():
    phantom = spheroids((160, 80, 80), spacing_nm=1, pitch_nm=20, solid_fraction=0.7)
    found = correlations(phantom, (1, 1, 1), phase=0)
    (z, _), (y, _), (x, _) = (found.lineal_path(axis) for axis in range(3))
    assert np.array_equal(x, y)
    assert z[10] > 1.5 * x[10]
    assert found.isotropy()["lpf"] > 0.2


def test_what_cannot_be_told_is_nan():
    numbers = isotropy(np.ones((1, 8, 8), bool), (1, 1, 1))
    assert all(math.isnan(value) for value in numbers.values())
    absent = isotropy(np.zeros((8, 8, 8), np.uint8), (1, 1, 1))
    assert all(math.isnan(value) for value in absent.values())
    full = isotropy(np.ones((8, 8, 8), np.uint8), (1, 1, 1))
    assert full["tpcf"] == full["lpf"] == 0
    assert math.isnan(full["diameter"])
    assert math.isnan(full["D_xy_nm"])
    assert two_point_correlation(np.zeros((4, 4, 4), np.uint8), 0).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda v: isotropy(v, (1, 1)), "three numbers"),
        (lambda v: isotropy(v, (1, 0, 1)), "above 0 nm"),
        (lambda v: isotropy(v, (1, math.nan, 1)), "above 0 nm"),
        (lambda v: isotropy(v.astype(float), (1, 1, 1)), "whole numbers"),
        (lambda v: isotropy(np.full((4, 4, 4), np.nan), (1, 1, 1)), "whole numbers"),
        (lambda v: isotropy(v[0], (1, 1, 1)), "three axes"),
        (lambda v: isotropy(v[:0], (1, 1, 1)), "at least a voxel"),
        (lambda v: isotropy(v.tolist(), (1, 1, 1)), "three axes"),
        (lambda v: lineal_path(v, 3), "An axis is"),
        (lambda v: two_point_correlation(v, 0, longest=4), "between 0 and 3"),
        (lambda v: two_point_correlation(v, 0, longest=-1), "between 0 and 3"),
        (lambda v: two_point_correlation(v, 0, longest=1.5), "whole number"),
    ],
)
def test_refusals(act, says):
    with pytest.raises(PorescopeError, match=says):
        act(np.ones((4, 4, 4), np.uint8))


def test_progress_and_cancel():
    told = []
    lazy = da.from_array(np.ones((8, 4, 4), np.uint8), chunks=(2, 4, 4))
    isotropy(lazy, (1, 1, 1), progress=lambda *now: told.append(now))
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    with pytest.raises(Cancelled):
        isotropy(lazy, (1, 1, 1), cancel=lambda: True)


def test_chords_are_as_long_as_they_are():
    labels = np.zeros((40, 60, 60), np.uint8)
    labels[:, 5:9] = labels[:, 20:27] = labels[:, 40:47] = 1
    value, uncertainty = correlations(labels, (1, 1, 1)).chord_lengths(1)
    expected = np.zeros(31)
    expected[4], expected[7] = 1 / 55, 2 / 52  # so many places there are for both ends
    assert value == pytest.approx(expected / expected.sum())
    assert uncertainty.shape == value.shape
    assert np.isnan(correlations(labels, (1, 1, 1)).chord_lengths(2)[0]).all()


def test_chords_of_random_pores_have_their_mean_length():
    value, _ = correlations(spheres(160), (1, 1, 1), phase=0).chord_lengths(2)
    mean = 1 / (INTENSITY * math.pi * RADIUS**2)
    assert value @ np.arange(len(value)) == pytest.approx(mean, rel=0.1)
    assert value[1:4] == pytest.approx(np.exp(-np.arange(3) / mean) * -np.expm1(-1 / mean), rel=0.1)


def test_rows_hold_every_curve():
    rows = correlations(spheres(16), (2.0, 1.0, 0.5)).rows()
    assert [row["axis"] for row in rows] == list(
        itertools.chain.from_iterable(name * 9 for name in "zyx")
    )
    assert rows[8]["lag nm"] == 16
    assert rows[26]["lag nm"] == 4
