import subprocess
import sys
from typing import get_args

import dask.array as da
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from porescope import PorescopeError
from porescope.correct import interpolate
from porescope.correct.interpolation.interpolate import Method
from porescope.correct.interpolation.phases import mend
from porescope.errors import Cancelled
from porescope.geometry import leveled_wave

METHODS = get_args(Method)
GREY = ("hold", "nearest", "linear", "spline")

KNOWN = np.zeros(31, dtype=bool)
KNOWN[[0, 4, 7, 12, 15, 18, 23, 26, 30]] = True


def grey_volume(function):
    z = np.arange(31.0)[:, np.newaxis, np.newaxis]
    return np.broadcast_to(function(z), (31, 2, 3)).astype(np.float32).copy()


@pytest.mark.parametrize(
    ("method", "function"),
    [("linear", lambda z: 3 * z - 2), ("spline", lambda z: 0.01 * z**3 - 0.2 * z**2 + z)],
)
def test_what_a_method_can_express_is_exact(method, function):
    volume = grey_volume(function)
    emptied = np.where(KNOWN[:, np.newaxis, np.newaxis], volume, 0)
    filled = interpolate(emptied, KNOWN, method)
    # The result is held within the grey values around it, which a cubic may leave.
    low, high = (
        np.array([f([volume[k, 0, 0] for k in near(i)]) for i in range(31)]) for f in (min, max)
    )
    expected = np.clip(volume[:, 0, 0], low, high)
    np.testing.assert_allclose(filled[:, 0, 0], expected, rtol=1e-4, atol=1e-3)


def near(plane):
    places = np.flatnonzero(KNOWN)
    if KNOWN[plane]:
        return [plane]
    after = np.searchsorted(places, plane)
    return places[max(0, after - 4) : after + 4]


def test_spline_is_close_to_the_spline_through_all_slices():
    volume = grey_volume(lambda z: np.sin(z / 4))
    filled = interpolate(volume * KNOWN[:, np.newaxis, np.newaxis], KNOWN, "spline")
    whole = CubicSpline(np.flatnonzero(KNOWN), volume[KNOWN])(np.arange(31))
    np.testing.assert_allclose(filled, np.clip(whole, -1, 1), atol=0.02)


def test_hold_and_nearest_copy_slices():
    volume = np.arange(31, dtype=np.uint8)[:, np.newaxis, np.newaxis] * np.ones((1, 2, 2), np.uint8)
    held = interpolate(volume, KNOWN, "hold")[:, 0, 0]
    nearest = interpolate(volume, KNOWN, "nearest")[:, 0, 0]
    places = np.flatnonzero(KNOWN)
    assert held.tolist() == [places[places <= plane].max() for plane in range(31)]
    assert nearest.tolist() == [places[np.abs(places - plane).argmin()] for plane in range(31)]


def cone(spacing_nm=(1.0, 1.0, 1.0)):
    """A disc that grows along z: distance interpolation is made for it."""
    y, x = np.mgrid[-20:21, -20:21]
    radius = np.hypot(y * spacing_nm[1], x * spacing_nm[2])
    return np.stack([radius < 4 + 0.5 * z for z in range(31)]).astype(np.uint8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_known_planes_are_kept_and_labels_stay_labels(method, dtype):
    volume = cone().astype(dtype)
    volume[~KNOWN] = 0
    filled = interpolate(volume, KNOWN, method)
    assert filled.dtype == dtype
    np.testing.assert_array_equal(filled[KNOWN], volume[KNOWN])
    assert set(np.unique(filled)) <= {0, 1}


def misplaced(method, truth, spacing_nm=(1.0, 1.0, 1.0)):
    emptied = truth * KNOWN[:, np.newaxis, np.newaxis]
    return (interpolate(emptied, KNOWN, method, spacing_nm=spacing_nm) != truth).mean()


def test_distance_follows_a_moving_border_where_others_jump():
    truth = cone()
    assert misplaced("distance", truth) < 0.6 * misplaced("linear", truth)
    assert misplaced("linear", truth) <= misplaced("hold", truth)


def test_distance_uses_the_pixel_shape():
    spacing_nm = (1.0, 0.5, 2.0)
    truth = cone(spacing_nm)
    assert misplaced("distance", truth, spacing_nm) < misplaced("distance", truth, (1, 2.0, 0.5))


@pytest.mark.parametrize("method", ["distance", "kriging", "learned"])
def test_several_phases(method):
    truth = cone() + (cone() * (np.mgrid[0:31, -20:21, -20:21][2] > 0)).astype(np.uint8)
    assert set(np.unique(truth)) == {0, 1, 2}
    assert misplaced(method, truth) < 0.02
    # Names of phases mean nothing.
    named = np.array([7, 0, 200], np.uint8)[truth]
    assert misplaced(method, named) == misplaced(method, truth)


def test_better_methods_are_better_on_a_wave():
    truth = leveled_wave(
        (31, 64, 64), spacing_nm=1, wavelength_nm=13, solid_fraction=0.35, seed=77
    ).astype(np.uint8)
    order = ["learned", "kriging", "distance", "spline", "hold"]
    errors = [misplaced(method, truth) for method in order]
    assert errors == sorted(errors)
    assert errors[0] < 0.8 * errors[1] < 0.6 * errors[3]


@pytest.mark.parametrize("method", ["distance", "kriging"])
def test_only_ratios_of_the_voxel_size_matter(method):
    truth = cone((1.0, 0.5, 2.0))
    results = [
        interpolate(truth, KNOWN, method, spacing_nm=tuple(scale * np.array([3.0, 0.5, 2.0])))
        for scale in (1, 4.7)
    ]
    np.testing.assert_array_equal(*results)


def test_holes_within_a_phase_are_mended_and_pores_are_not():
    plane = np.ones((20, 30), np.uint8)
    plane[:, 20:] = 3
    plane[2:6, 2:6] = 0  # 16 pixels in one phase
    plane[10:15, 5:10] = 0  # 25 pixels: a pore
    plane[2:4, 25:27] = 0  # 4 pixels in the other phase
    plane[10:12, 19:21] = 0  # 4 pixels between them: belongs to neither
    plane[16:18, 0:2] = 0  # at the edge, and small
    plane[8, 2] = 3  # a small part of another phase is no hole
    expected = plane.copy()
    expected[2:6, 2:6] = 1
    expected[2:4, 25:27] = 3
    expected[16:18, 0:2] = 1
    mend(plane)
    np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("shape", [(31, 1, 1), (31, 2, 3), (31, 5, 40), (31, 33, 17)])
@pytest.mark.parametrize("method", ["kriging", "learned", "mended-spline"])
def test_slices_of_any_size(method, shape):
    truth = np.random.default_rng(1).integers(0, 2, shape, dtype=np.uint8)
    filled = interpolate(truth, KNOWN, method)
    np.testing.assert_array_equal(filled[KNOWN], truth[KNOWN])
    assert filled.shape == shape
    assert set(np.unique(filled)) <= {0, 1}


@pytest.mark.parametrize("method", METHODS)
def test_slices_that_say_nothing(method):
    known = np.array([True, False, False, True, False, True])
    for planes in ([1, 0, 0, 1, 0, 1], [0, 5, 5, 1, 5, 1]):
        volume = np.array(planes, np.uint8)[:, np.newaxis, np.newaxis] * np.ones(
            (1, 8, 8), np.uint8
        )
        filled = interpolate(volume, known, method)
        assert set(np.unique(filled)) <= set(np.unique(volume[known]))


def test_large_planes_are_cut_into_parts_that_fit(monkeypatch):
    from porescope.correct.interpolation import learned

    truth = leveled_wave(
        (40, 150, 130), spacing_nm=1, wavelength_nm=30, solid_fraction=0.35, seed=3
    )
    known = np.isin(np.arange(40), [0, 3, 9, 22, 31, 39])
    whole = interpolate(truth, known, "learned")
    monkeypatch.setattr(learned, "TILE_PX", 40)
    # What is left of a difference is rounding, not what lies beyond a tile.
    assert (interpolate(truth, known, "learned") != whole).mean() < 1e-4


@pytest.mark.parametrize("method", ["distance", "kriging"])
def test_a_stack_from_below_with_its_phases_swapped_is_the_same_stack(method):
    truth = leveled_wave((31, 40, 40), spacing_nm=1, wavelength_nm=13, solid_fraction=0.35, seed=5)
    filled = interpolate(truth, KNOWN, method)
    other = ~interpolate(~truth[::-1], KNOWN[::-1], method)[::-1]
    assert (other != filled).mean() < 1e-3  # where the evidence is nought, or rounding decides


def test_progress_counts_gaps_and_cancel_stops():
    seen = []
    interpolate(cone(), KNOWN, "kriging", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(9)]
    with pytest.raises(Cancelled):
        interpolate(cone(), KNOWN, "kriging", cancel=lambda: True)


def test_only_the_network_needs_torch():
    program = (
        "import sys, numpy as np\n"
        "from porescope.correct import interpolate\n"
        "interpolate(np.eye(8, dtype=np.uint8)[:, :, None] * np.ones(8, np.uint8),"
        " np.arange(8) % 2 == 0, 'kriging')\n"
        "assert not {'torch', 'lightning', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("method", METHODS)
def test_lazy_is_the_same_as_whole(method):
    truth = cone()
    lazy = da.from_array(truth, chunks=(7, 13, 41))
    known = KNOWN.copy()
    known[[0, 30]] = False  # planes outside the known ones too
    whole = interpolate(truth, known, method)
    np.testing.assert_array_equal(interpolate(lazy, known, method).compute(), whole)


def test_planes_outside_the_known_ones_are_held():
    volume = np.arange(4, dtype=np.float32)[:, np.newaxis, np.newaxis] * np.ones((1, 1, 1))
    known = np.array([False, True, True, False])
    assert interpolate(volume, known, "spline").ravel().tolist() == [1, 1, 2, 2]


def test_refusals():
    volume = np.zeros((3, 2, 2), np.float32)
    for act, says in [
        (lambda: interpolate(volume, [True] * 3, "magic"), "choose one of"),
        (lambda: interpolate(volume, [False] * 3, "linear"), "at least one"),
        (lambda: interpolate(volume, [True] * 2, "linear"), "describe each"),
        *(
            (lambda method=method: interpolate(volume, [True] * 3, method), "labels only")
            for method in METHODS
            if method not in GREY
        ),
        (
            lambda: interpolate(
                volume > 0, [True, False, True], "learned", spacing_nm=(1.0, 1.0, 1.3)
            ),
            "square pixels.*choose kriging",
        ),
    ]:
        with pytest.raises(PorescopeError, match=says):
            act()
