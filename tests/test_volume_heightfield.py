import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from porescope import _core

SPACING = st.tuples(*[st.sampled_from([1.0, 2.5, 10.0]) for _ in range(3)])
SHAPE = arrays.array_shapes(min_dims=3, max_dims=3, max_side=9)


def intervals_of_labels(column, plane_z):
    """Runs of solid voxels below the plane, as (begin, end) in voxels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], column != 0, [False]])))
    runs = [(max(begin, plane_z), end) for begin, end in edges.reshape(-1, 2)]
    return [(begin, end) for begin, end in runs if end > begin]


def intervals_of_field(column, plane_z, level):
    """Solid stretches of the interpolated column below the plane, piece by linear piece."""
    column = column.astype(float)
    centres = np.arange(len(column)) + 0.5
    places = np.unique([plane_z, *centres[centres > plane_z], len(column)])
    values = np.interp(places, centres, column)
    merged = []
    for begin, end, first, last in zip(places, places[1:], values, values[1:], strict=False):
        if max(first, last) < level:
            continue
        if min(first, last) < level:
            border = begin + (level - first) / (last - first) * (end - begin)
            begin, end = (border, end) if first < level else (begin, border)
        if merged and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return [(begin, end) for begin, end in merged if end > begin]


def by_brute_force(volume, spacing, plane_z, layers, level=None):
    """Return entry and exit, column by column."""
    found = np.full((2, layers, *volume.shape[1:]), np.inf)
    for y, x in np.ndindex(volume.shape[1:]):
        column = volume[:, y, x]
        if level is None:
            intervals = intervals_of_labels(column, plane_z)
        else:
            intervals = intervals_of_field(column, plane_z, level)
        for layer, interval in enumerate(intervals[:layers]):
            found[:, layer, y, x] = (np.array(interval) - plane_z) * spacing[0]
    return found


def smoothed_gradient(solid, spacing, z, y, x):
    """Gradient of the occupancy around the middle of a voxel's upper face, as documented."""
    sigma = 1.5 * max(spacing)
    weights = []
    places = []
    for index, step, shift in zip((z, y, x), spacing, (0.5, 0, 0), strict=True):
        reach = min(7, int(np.ceil(2 * sigma / step)))
        steps = np.arange(-reach, reach + (shift == 0)) + shift
        even = np.exp(-0.5 * (steps * step / sigma) ** 2)
        odd = steps * step * even
        weights.append((even / even.sum(), odd / (odd * steps * step).sum()))
        places.append(index + np.floor(steps).astype(int))
    inside = [np.clip(at, 0, length - 1) for at, length in zip(places, solid.shape, strict=True)]
    box = solid[np.ix_(*inside)].astype(float)
    choice = np.eye(3, dtype=int)
    return np.array(
        [
            np.einsum("zyx,z,y,x", box, *(weights[axis][odd[axis]] for axis in range(3)))
            for odd in choice
        ]
    )


def as_normal(gradient):
    normal = np.asarray(gradient) * (1, -1, -1)
    normal[0] = max(normal[0], 0)
    length = np.linalg.norm(normal)
    return normal / length if length > 1e-9 else np.array([1.0, 0, 0])


def is_clear(gradient, spacing):
    """Whether weights rounded to bytes can tell the direction to a few degrees."""
    return np.linalg.norm([max(gradient[0], 0), *gradient[1:]]) > 0.05 / max(spacing)


def angles_deg(normal, expected):
    return np.rad2deg(np.arccos(np.clip((normal * expected).sum(axis=0), -1, 1)))


def ball(radius, spacing=(1, 1, 1), shift=(0.1, 0.3, -0.2)):
    """Distance below the surface of a ball at voxel centres, and its heightfield and normals."""
    lengths = [int(2 * np.ceil(radius / step) + 16) for step in spacing]
    z, y, x = (
        (np.arange(length) + 0.5 - length / 2) * step - offset
        for length, step, offset in zip(lengths, spacing, shift, strict=True)
    )
    depth = radius - np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    squared = radius**2 - y[:, None] ** 2 - x**2
    rise = np.sqrt(np.maximum(squared, 0))
    entry = lengths[0] / 2 * spacing[0] + shift[0] - rise
    normal = np.stack(np.broadcast_arrays(rise, y[:, None], x)) / radius
    return depth, squared > 0, entry, normal


@settings(deadline=None, max_examples=300)
@given(
    volume=st.one_of(
        arrays.arrays(np.bool_, SHAPE),
        arrays.arrays(
            st.sampled_from([np.uint8, np.uint16, np.uint32]), SHAPE, elements=st.integers(0, 2)
        ),
    ),
    spacing=SPACING,
    plane=st.floats(0, 1, exclude_max=True),
    layers=st.integers(1, 8),
)
def test_labels_against_brute_force(volume, spacing, plane, layers):
    plane_z = plane * volume.shape[0]
    entry, exit, normal = _core.volume_heightfield(volume, spacing, plane_z, layers)
    expected = by_brute_force(volume, spacing, plane_z, layers)
    np.testing.assert_allclose([entry, exit], expected, rtol=1e-6, atol=1e-9)
    for y, x in np.ndindex(volume.shape[1:]):
        if np.isinf(entry[0, y, x]):
            np.testing.assert_array_equal(normal[:, y, x], (0, 0, 0))
        elif entry[0, y, x] == 0:
            np.testing.assert_array_equal(normal[:, y, x], (1, 0, 0))
        else:
            z = round(plane_z + entry[0, y, x] / spacing[0])
            gradient = smoothed_gradient(volume != 0, spacing, z, y, x)
            if is_clear(gradient, spacing):
                assert angles_deg(normal[:, y, x], as_normal(gradient)) < 3


@settings(deadline=None, max_examples=300)
@given(
    volume=arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.uint16]),
        SHAPE,
        elements=st.integers(0, 6),
    ),
    level=st.integers(-1, 13).map(lambda number: number / 2),
    spacing=SPACING,
    plane=st.integers(0, 1000),
    layers=st.integers(1, 8),
)
def test_fields_against_brute_force(volume, level, spacing, plane, layers):
    plane_z = plane / 8 % volume.shape[0]
    entry, exit, normal = _core.volume_heightfield(volume, spacing, plane_z, layers, level)
    expected = by_brute_force(volume, spacing, plane_z, layers, level)
    np.testing.assert_allclose([entry, exit], expected, rtol=1e-5, atol=1e-6)
    gradients = [
        np.gradient(volume.astype(float), step, axis=axis) if volume.shape[axis] > 1 else 0 * volume
        for axis, step in enumerate(spacing)
    ]
    for y, x in np.ndindex(volume.shape[1:]):
        if np.isinf(entry[0, y, x]):
            np.testing.assert_array_equal(normal[:, y, x], (0, 0, 0))
        elif entry[0, y, x] == 0:
            np.testing.assert_array_equal(normal[:, y, x], (1, 0, 0))
        else:
            z = plane_z + entry[0, y, x] / spacing[0]
            centres = np.arange(volume.shape[0]) + 0.5
            gradient = [np.interp(z, centres, along[:, y, x]) for along in gradients]
            if max(gradient[0], np.hypot(*gradient[1:])) > 1e-5:
                np.testing.assert_allclose(normal[:, y, x], as_normal(gradient), atol=1e-3)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.uint32])
def test_wide_volumes_of_all_label_types_agree_with_brute_force(dtype):
    """Rows of several full segments, and normals at both ends of a row."""
    depth = np.random.default_rng(1).normal(size=(12, 5, 150))
    volume = (np.cumsum(depth, axis=2) > 0).astype(dtype)
    entry, exit, normal = _core.volume_heightfield(volume, (2, 1, 1), 1.25, 3)
    np.testing.assert_allclose([entry, exit], by_brute_force(volume, (2, 1, 1), 1.25, 3))
    ys, xs = np.nonzero(np.isfinite(entry[0]) & (entry[0] > 0))
    for y, x in zip(ys, xs, strict=True):
        z = round(1.25 + entry[0, y, x] / 2)
        gradient = smoothed_gradient(volume != 0, (2, 1, 1), z, y, x)
        if is_clear(gradient, (2, 1, 1)):
            assert angles_deg(normal[:, y, x], as_normal(gradient)) < 2


@pytest.mark.parametrize("level", [None, 3.0])
def test_views_are_read_in_place(level):
    volume = np.random.default_rng(0).integers(0, 6, (30, 31, 150)).astype(np.uint8)
    view = volume[::-2, 3:, ::3].transpose(2, 0, 1)
    view.flags.writeable = False
    arguments = (3, 2, 1), 4.5, 4, level
    for got, expected in zip(
        _core.volume_heightfield(view, *arguments),
        _core.volume_heightfield(np.ascontiguousarray(view), *arguments),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("level", [None, 0.1])
def test_threads_change_nothing(level):
    field = np.random.default_rng(2).normal(size=(20, 67, 130)).astype(np.float32)
    volume = field > 0.5 if level is None else field
    one = _core.volume_heightfield(volume, (10, 2.5, 2.5), 3.5, 2, level, threads=1)
    for threads in (0, 2, 5):
        many = _core.volume_heightfield(volume, (10, 2.5, 2.5), 3.5, 2, level, threads=threads)
        for got, expected in zip(many, one, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("radius", "spacing", "mean_deg", "largest_deg"),
    [
        (10, (1, 1, 1), 2.6, 8),
        (20, (1, 1, 1), 2.4, 11),
        (20, (1, 1, 2), 2.0, 9),
        (20, (4, 1, 1), 3.9, 13),
    ],
)
def test_normals_of_a_voxel_ball(radius, spacing, mean_deg, largest_deg):
    depth, hit, _, expected = ball(radius, spacing)
    entry, _, normal = _core.volume_heightfield(depth >= 0, spacing, 0, 1)
    hit &= np.isfinite(entry[0])
    angles = angles_deg(normal, expected)[hit]
    assert angles.mean() < mean_deg
    assert angles.max() < largest_deg


def test_normals_of_a_tilted_voxel_plane_also_at_the_faces_of_the_volume():
    z, y, x = np.indices((60, 40, 40)) + 0.5
    for slope_y, slope_x in [(0.5, 0), (0, -0.7), (0.3, 0.4)]:
        solid = z > 30 + slope_y * (y - 20) + slope_x * (x - 20)
        _, _, normal = _core.volume_heightfield(solid, (1, 1, 1), 0, 1)
        expected = as_normal([1, -slope_y, -slope_x])[:, np.newaxis, np.newaxis]
        angles = angles_deg(normal, expected)
        assert angles[5:-5, 5:-5].mean() < 3
        assert angles[5:-5, 5:-5].max() < 10
        if slope_x == 0:
            np.testing.assert_array_equal(normal, normal[:, :, :1].repeat(40, axis=2))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (4, 1, 1), (1, 2, 1.5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_heightfield_of_a_distance_field(spacing, dtype):
    depth, hit, expected_entry, expected_normal = ball(20, spacing)
    entry, exit, normal = _core.volume_heightfield(depth.astype(dtype), spacing, 0, 1, level=0)
    np.testing.assert_array_equal(np.isfinite(entry[0][expected_normal[0] > 0.3]), True)
    steep = hit & (expected_normal[0] > 0.5)
    np.testing.assert_allclose(entry[0][steep], expected_entry[steep], atol=0.1 * max(spacing))
    height = depth.shape[0] * spacing[0]
    thickness = 2 * 20 * expected_normal[0]
    np.testing.assert_allclose((exit - entry)[0][steep], thickness[steep], atol=0.2 * max(spacing))
    assert np.nanmax(np.where(np.isfinite(exit), exit, np.nan)) < height
    assert angles_deg(normal, expected_normal)[steep].max() < (1 if max(spacing) < 4 else 4)


def test_solid_at_the_plane_is_cut_there():
    column = np.array([0, 1, 1, 0, 1], np.uint8).reshape(5, 1, 1)
    entry, exit, normal = _core.volume_heightfield(column, (10, 1, 1), 1.5, 2)
    np.testing.assert_array_equal(entry.ravel(), [0, 25])
    np.testing.assert_array_equal(exit.ravel(), [15, 35])
    np.testing.assert_array_equal(normal.ravel(), [1, 0, 0])


def test_solid_that_ends_at_the_plane_is_gone():
    entry, exit, _ = _core.volume_heightfield(
        np.array([1, 0, 1], np.uint8).reshape(3, 1, 1), (1, 1, 1), 1, 2
    )
    np.testing.assert_array_equal(entry.ravel(), [1, np.inf])
    np.testing.assert_array_equal(exit.ravel(), [2, np.inf])
    field = np.array([2.0, 0, 0, 2]).reshape(4, 1, 1)
    entry, exit, _ = _core.volume_heightfield(field, (1, 1, 1), 1, 2, level=1)
    np.testing.assert_array_equal(entry.ravel(), [2, np.inf])
    np.testing.assert_array_equal(exit.ravel(), [3, np.inf])


def test_a_field_that_only_touches_the_level_is_pore():
    field = np.array([0, 1, 0, 0, 3, 3, 0], float).reshape(7, 1, 1)
    entry, exit, _ = _core.volume_heightfield(field, (1, 1, 1), 0, 1, level=1)
    np.testing.assert_allclose(entry.ravel(), 3.5 + 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(exit.ravel(), 5.5 + 2 / 3, rtol=1e-6)


def test_nan_is_pore_and_borders_beside_it_are_voxel_faces():
    field = np.array([np.nan, 2, 2, np.nan, np.inf, 0], np.float32).reshape(6, 1, 1)
    entry, exit, normal = _core.volume_heightfield(field, (1, 1, 1), 0, 3, level=1)
    np.testing.assert_array_equal(entry.ravel(), [1, 4, np.inf])
    np.testing.assert_array_equal(exit.ravel(), [3, 5, np.inf])
    np.testing.assert_array_equal(normal.ravel(), [1, 0, 0])


def test_a_level_between_two_whole_numbers_splits_an_image():
    image = np.array([2, 3, 254, 255], np.uint8).reshape(4, 1, 1)
    entry, _, _ = _core.volume_heightfield(image, (1, 1, 1), 0, 1, level=2.5)
    np.testing.assert_array_equal(entry.ravel(), [1])
    entry, _, _ = _core.volume_heightfield(image, (1, 1, 1), 0, 1, level=1e9)
    np.testing.assert_array_equal(entry.ravel(), [np.inf])


def test_the_level_has_the_precision_of_the_field():
    """As in numpy: 0.7 in single precision reaches the level 0.7."""
    field = np.array([0, 0.7, 0.7], np.float32).reshape(3, 1, 1)
    assert (field >= 0.7).any()
    entry, exit, _ = _core.volume_heightfield(field, (1, 1, 1), 0, 1, level=0.7)
    np.testing.assert_array_equal([entry.item(), exit.item()], [1.5, 3])


@pytest.mark.parametrize("label", [2, 128, 255])
def test_every_label_counts_as_solid_alike(label):
    z, _, x = np.indices((30, 20, 40))
    solid = z > 10 + x / 4
    for got, expected in zip(
        _core.volume_heightfield(np.where(solid, label, 0).astype(np.uint8), (1, 1, 1), 0, 2),
        _core.volume_heightfield(solid, (1, 1, 1), 0, 2),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"plane_z": -0.1}, ValueError, "plane_z"),
        ({"plane_z": 4.0}, ValueError, "plane_z"),
        ({"plane_z": np.nan}, ValueError, "plane_z"),
        ({"layers": 0}, ValueError, "layers"),
        ({"layers": 9}, ValueError, "layers"),
        ({"spacing": (1, 0, 1)}, ValueError, "spacing"),
        ({"spacing": (1, 1, np.inf)}, ValueError, "spacing"),
        ({"level": np.nan}, ValueError, "level"),
        ({"level": 1, "volume": np.zeros((4, 3, 3), bool)}, TypeError, "level"),
        ({"level": 1, "volume": np.zeros((4, 3, 3), np.uint32)}, TypeError, "level"),
        ({"volume": np.zeros((4, 3, 3))}, TypeError, "level"),
        ({"volume": np.zeros((4, 3, 3), np.int64)}, TypeError, "volume"),
        ({"volume": np.zeros((4, 3), bool)}, TypeError, "volume"),
        ({"volume": np.zeros((4, 0, 3), bool)}, ValueError, "no voxels"),
        (
            {"volume": np.broadcast_to(np.uint8(1), (1, 2**31, 2**31)), "plane_z": 0},
            ValueError,
            "memory",
        ),
    ],
)
def test_impossible_requests_are_refused(changes, error, words):
    request = {
        "volume": np.zeros((4, 3, 3), np.uint8),
        "spacing": (1, 1, 1),
        "plane_z": 1.0,
        "layers": 2,
    }
    with pytest.raises(error, match=words):
        _core.volume_heightfield(**(request | changes))
