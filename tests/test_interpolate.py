import dask.array as da
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from porescope import PorescopeError
from porescope.correct import interpolate

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


@pytest.mark.parametrize("method", ["hold", "nearest", "linear", "spline", "distance"])
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


def test_several_phases():
    truth = cone() + (cone() * (np.mgrid[0:31, -20:21, -20:21][2] > 0)).astype(np.uint8)
    assert set(np.unique(truth)) == {0, 1, 2}
    assert misplaced("distance", truth) < 0.02


@pytest.mark.parametrize("method", ["hold", "nearest", "linear", "spline", "distance"])
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
        (lambda: interpolate(volume, [True] * 3, "distance"), "labels only"),
    ]:
        with pytest.raises(PorescopeError, match=says):
            act()
