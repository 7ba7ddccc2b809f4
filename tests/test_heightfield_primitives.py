"""Heightfields of spheres, cylinders and cuboids, held against rays in double precision.

Depths agree to 1e-3 in every pixel of random samples, with none left out. A component of a unit
normal changes by at most 1 / radius when its point moves by 1, at grazing incidence too, so normals
agree to 2e-3 wherever the depths agree and the radius is 1 or more; only where another face is met
within 1e-3 of the first entry may the normal be either.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from heightfield_reference import cut, meet
from porescope import _core
from porescope.geometry import Primitives, voxelize
from porescope.imaging import extract_heightfield

DEPTH_TOLERANCE = 1e-3
NORMAL_TOLERANCE = 2e-3
DOUBLE_ROUNDING = 1e-5
UPRIGHT = (1.0, 0.0, 0.0)
ALONG_Y = (0.0, 1.0, 0.0)
ALONG_X = (0.0, 0.0, 1.0)


def pixels_of(shape):
    return (index.ravel() for index in np.indices(shape))


def check(sample, planes, shape, layers=(2,), pixels=None, least_clearance=-1.0):
    """Compare in all pixels, or those given, whose clearance is above the least."""
    rows, columns = pixels if pixels is not None else pixels_of(shape)
    rays = meet(sample, rows, columns)
    for plane_z in planes:
        expected = cut(rays, plane_z, max(layers))
        clear = expected.clearance > least_clearance
        assert clear.any()
        for count in layers:
            found = extract_heightfield(sample, plane_z, shape=shape, layers=count)
            assert found.entry.shape == found.exit.shape == (count, *shape)
            assert found.normal.shape == (3, *shape)
            assert found.entry.dtype == found.exit.dtype == found.normal.dtype == np.float32
            for name in ("entry", "exit"):
                same_depth(
                    getattr(found, name)[:, rows, columns][:, clear],
                    getattr(expected, name)[:count, clear],
                )
            same_normal(found.normal[:, rows, columns][:, clear], expected, clear)


def same_depth(found, expected):
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    there = np.isfinite(expected)
    np.testing.assert_allclose(found[there], expected[there], rtol=0, atol=DEPTH_TOLERANCE)


def same_normal(found, expected, clear):
    solid = np.isfinite(expected.entry[0, clear])
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), solid, atol=1e-3)
    assert (found[0] >= 0).all()
    certain = expected.normal_clearance[clear] > DEPTH_TOLERANCE
    np.testing.assert_allclose(
        found[:, certain], expected.normal[:, clear][:, certain], rtol=0, atol=NORMAL_TOLERANCE
    )


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_sample(seed, edge, spheres=0, cylinders=0, cuboids=0, tilt=None):
    """Primitives around a cube of some edge; ``tilt`` inclines the axes by so many radians."""
    random = np.random.default_rng(seed)

    def centres(count):
        return random.uniform(-8, edge + 8, (count, 3))

    axes = unit(random.normal(size=(cylinders, 3)))
    if tilt is not None:
        turn = random.uniform(0, 2 * np.pi, cylinders)
        axes = np.stack(
            [
                np.full(cylinders, np.cos(tilt)),
                np.sin(tilt) * np.cos(turn),
                np.sin(tilt) * np.sin(turn),
            ],
            axis=1,
        )
    return Primitives(
        spheres=np.hstack([centres(spheres), random.uniform(1, 9, (spheres, 1))]),
        cylinders=np.hstack(
            [
                centres(cylinders),
                axes,
                random.uniform(1, 5, (cylinders, 1)),
                random.uniform(4, 60, (cylinders, 1)),
            ]
        ),
        cuboids=np.hstack(
            [
                centres(cuboids),
                unit(random.normal(size=(cuboids, 4))),
                random.uniform(2, 14, (cuboids, 3)),
            ]
        ),
    )


def beside_the_image(sample):
    """Add what no pixel sees, so that planes far above and below are within the sample."""
    far = [(-1e4, -99, -99, 1), (1e4, -99, -99, 1)]
    return Primitives([*sample.spheres, *far], sample.cylinders, sample.cuboids)


def upright(y, x, top, bottom, radius=2.0):
    """Row of a vertical cylinder between two depths."""
    return ((top + bottom) / 2, y, x, *UPRIGHT, radius, bottom - top)


def box(y, x, top, bottom, edge=4.0):
    """Row of an upright cuboid between two depths."""
    return ((top + bottom) / 2, y, x, 1, 0, 0, 0, bottom - top, edge, edge)


def column(sample, plane_z, layers=2, pixel=(2, 2), shape=(5, 5)):
    """Return the entries, exits and the normal of one pixel."""
    found = extract_heightfield(sample, plane_z, shape=shape, layers=layers)
    return tuple(
        part[(slice(None), *pixel)].tolist() for part in (found.entry, found.exit, found.normal)
    )


def holds(sample, points):
    """Whether points (n, 3) lie in the union, from what each primitive is."""
    inside = np.zeros(len(points), bool)
    for *centre, radius in sample.spheres:
        inside |= np.linalg.norm(points - centre, axis=1) <= radius
    for z, y, x, az, ay, ax, radius, height in sample.cylinders:
        from_centre = points - (z, y, x)
        along = from_centre @ (az, ay, ax)
        from_axis = np.linalg.norm(from_centre - np.outer(along, (az, ay, ax)), axis=1)
        inside |= (np.abs(along) <= height / 2) & (from_axis <= radius)
    for z, y, x, qw, qx, qy, qz, *edges in sample.cuboids:
        turned = Rotation.from_quat([qx, qy, qz, qw]).inv().apply((points - (z, y, x))[:, ::-1])
        inside |= (np.abs(turned[:, ::-1]) <= np.array(edges) / 2).all(axis=1)
    return inside


KINDS = {
    "spheres": {"spheres": 1},
    "cylinders": {"cylinders": 1},
    "cuboids": {"cuboids": 1},
    "all": {"spheres": 1, "cylinders": 1, "cuboids": 1},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_itself_agrees_with_points_along_rays(kind):
    sample = random_sample(4, 30, **dict.fromkeys(KINDS[kind], 30))
    depths = np.arange(0, 40, 1 / 64) + 1 / 256
    for row, column_ in ((3, 4), (11, 20), (15, 15), (22, 7), (29, 29)):
        expected = cut(meet(sample, [row], [column_]), 0.0, 30)
        in_an_interval = (
            (depths >= expected.entry[:, [0]]) & (depths <= expected.exit[:, [0]])
        ).any(axis=0)
        points = np.column_stack(
            [depths, *np.broadcast_arrays(row + 0.5, column_ + 0.5, depths)[:2]]
        )
        np.testing.assert_array_equal(holds(sample, points), in_an_interval)


@pytest.mark.parametrize("count", [3, 40, 400])
@pytest.mark.parametrize("kind", KINDS)
def test_random_samples(kind, count):
    sample = random_sample(count, 40, **dict.fromkeys(KINDS[kind], count))
    check(sample, (0.0, 7.3, 25.0), (24, 37), pixels=some_pixels((24, 37), 250))


def some_pixels(shape, count, seed=0):
    random = np.random.default_rng(seed)
    return tuple(random.integers(0, size, count) for size in shape)


def test_any_number_of_layers():
    sample = random_sample(5, 120, spheres=150, cylinders=100, cuboids=100)
    check(sample, (0.0, 31.7), (20, 20), layers=range(1, 9))


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (67, 3), (33, 17)])
def test_images_of_any_size(shape):
    check(
        random_sample(6, 40, spheres=60, cylinders=60, cuboids=60),
        (11.0,),
        shape,
        pixels=some_pixels(shape, 150),
    )


def test_a_sample_of_the_usual_size():
    """Coordinates near 1000 leave single precision few digits."""
    random = np.random.default_rng(7)
    centres = random.uniform(700, 1100, (3, 3000, 3))
    centres[..., 1:] = random.uniform(720, 860, (3, 3000, 2))
    sample = Primitives(
        spheres=np.hstack([centres[0], random.uniform(3, 12, (3000, 1))]),
        cylinders=np.hstack(
            [
                centres[1],
                unit(random.normal(size=(3000, 3))),
                random.uniform(3, 6, (3000, 1)),
                random.uniform(10, 60, (3000, 1)),
            ]
        ),
    )
    rows, columns = (pixels + 730 for pixels in some_pixels((118, 118), 1500))
    check(sample, (700.0, 905.5, 1001.0), (850, 850), pixels=(rows, columns))


@pytest.mark.parametrize("radius", [2000, 5000])
def test_a_substrate_far_larger_than_the_rest(radius):
    """A large ball below small ones, though a float holds the square of its radius to 0.25 only."""
    small = random_sample(16, 40, spheres=100)
    sample = Primitives([*small.spheres, (radius + 35, 21.3, 17.7, radius)])
    check(sample, (0.0, 20.3), (40, 40), pixels=some_pixels((40, 40), 300))


@pytest.mark.parametrize("depth", [1030.25, 20_000.7, -3000.0])
def test_accuracy_does_not_depend_on_where_depths_count_from(depth):
    """A float alone would hold a depth of 20,000 to 1e-3."""
    near = random_sample(17, 40, spheres=60, cylinders=60, cuboids=60)
    moved = {
        kind: np.column_stack([rows[:, 0] + depth, rows[:, 1:]])
        for kind, rows in vars(near).items()
        if kind in ("spheres", "cylinders", "cuboids")
    }
    planes = (depth, depth + 11.25, depth + 24)
    check(Primitives(**moved), planes, (40, 40), pixels=some_pixels((40, 40), 300))


@pytest.mark.parametrize("tilt", [0, 1e-7, 1e-5, 1e-3, 0.1, np.pi / 2 - 1e-3, np.pi / 2 - 1e-5])
def test_nearly_vertical_and_nearly_horizontal_axes(tilt):
    sample = random_sample(8, 40, cylinders=120, tilt=tilt)
    check(sample, (0.0, 17.2), (40, 40), pixels=some_pixels((40, 40), 400))


@pytest.mark.parametrize("tilt", [1e-7, 1e-5, 1e-3])
def test_a_mantle_that_is_nearly_parallel_to_the_ray(tilt):
    """The mantle crosses such a ray slowly: the depth is a small difference over the tilt."""
    sine, cosine = np.sin(tilt), np.cos(tilt)
    radius, height = 2.0, 400.0
    beside = radius + height / 4 * sine  # how far the ray runs from the centre
    sample = Primitives(cylinders=[(200, 2.5, 2.5 - beside, cosine, 0, sine, radius, height)])
    (entry, _), (stop, _), normal = column(sample, 0.0)
    through_mantle = 200 + (beside - radius / cosine) / np.tan(tilt)
    through_cap = 200 + (height / 2 - beside * sine) / cosine
    # The coordinates themselves are rounded; the depth feels that divided by the tilt.
    assert entry == pytest.approx(through_mantle, abs=max(1e-3, 1e-15 / tilt))
    assert stop == pytest.approx(through_cap, abs=1e-3)
    assert normal == pytest.approx((sine, 0, cosine), abs=2e-3)


# The nine traps that trials met


def test_trap_order_by_lower_z_is_not_the_order_of_entries():
    """A long inclined cylinder begins high up and far away, and is met deep at the pixel."""
    axis = np.array([1, 0, 1]) / np.sqrt(2)
    sample = Primitives(
        spheres=[(60, 10.5, 60.5, 5), (75, 10.5, 60.5, 5)],
        cylinders=[
            (30, 10.5, 30.5, *axis, 2, 200),  # from z -41 on, at the pixel from 60 - 2.8 on
            (50, 10.5, 30.5, *axis, 2, 200),  # from z -21 on, at the pixel 80
            upright(10.5, 60.5, 62, 78, 1.0),  # bridges all of them, begins last
            upright(10.5, 60.5, 90, 95, 1.0),
        ],
    )
    entry, stop, _ = column(sample, 0.0, pixel=(10, 60), shape=(20, 70))
    assert entry == pytest.approx([55, 90], abs=1e-3)
    assert stop == pytest.approx([80 + 2 * np.sqrt(2), 95], abs=1e-3)
    check(sample, (0.0, 40.0, 61.0), (20, 70), layers=(1, 2, 3))


def test_trap_a_bridge_leads_to_intervals_that_had_no_place_any_more():
    """Rods through one ray, the deeper the steeper: within a few pixels, the deepest begin first.

    A bridge, which begins last, then makes one of all but the two deepest.
    """
    steepness = np.arange(1, 13)
    depths = 45 + 5 * steepness
    axes = unit(np.column_stack([steepness, np.zeros(12), np.ones(12)]))
    rods = [(z, 8.5, 8.5, *axis, 0.1, 200) for z, axis in zip(depths, axes, strict=True)]
    bridge = upright(8.5, 8.5, 50, 97, 0.2)
    sample = Primitives(cylinders=[*rods, bridge])
    for layers in (2, 3):
        entry, stop, _ = column(sample, 0.0, layers, (8, 8), (16, 16))
        half = 0.1 * np.hypot(1, [1, 11, 12])
        assert entry == pytest.approx(([50, 100, 105] - half)[:layers], abs=1e-3)
        assert stop == pytest.approx(([97, 100, 105] + half * (0, 1, 1))[:layers], abs=1e-3)


@pytest.mark.parametrize("gap", [-1e-5, 1e-5])
def test_gaps_and_overlaps_that_single_precision_cannot_tell(gap):
    """Balls one below another at every pixel, almost touching; the lowest almost at the plane."""
    shape = (12, 25)
    rows, columns = (index.ravel() for index in np.indices(shape))
    random = np.random.default_rng(17)
    radius = random.uniform(0.2, 0.45, rows.size)
    aside = random.uniform(-0.1, 0.1, (2, rows.size))
    half = np.sqrt(radius**2 - (aside**2).sum(axis=0))
    plane_z = 950.3
    balls = [
        np.column_stack([z, rows + 0.5 + aside[0], columns + 0.5 + aside[1], radius])
        for z in (plane_z + gap - half, plane_z + 5 + half, plane_z + 5 + 3 * half + gap)
    ]
    check(Primitives(np.vstack(balls)), (plane_z,), shape, layers=(1, 2, 3))


def test_trap_a_late_primitive_merges_intervals_that_were_closed():
    """After the merge the second interval is open again, and lies deeper than the old limit."""
    inclined = np.array([1, 2, 0]) / np.sqrt(5)
    sample = Primitives(
        cylinders=[
            (10, 2.5, 2.5, *inclined, 1, 200),
            (20, 2.5, 2.5, *inclined, 1, 200),
            upright(2.5, 2.5, 11, 21, 1.0),
            upright(2.5, 2.5, 50, 52, 1.0),
            upright(2.5, 2.5, 51, 53, 1.0),
        ]
    )
    entry, stop, _ = column(sample, 0.0)
    half = np.sqrt(5) / 2
    assert entry == pytest.approx([10 - half, 50], abs=1e-3)
    assert stop == pytest.approx([20 + half, 53], abs=1e-3)


def test_trap_a_primitive_that_begins_above_the_plane_counts():
    tall = upright(2.5, 2.5, -1000, 1000, 1.0)
    short = [upright(2.5, 2.5, z, z + 1, 2.0) for z in range(0, 400, 2)]
    sample = Primitives(cylinders=[*short, tall])
    entry, stop, normal = column(sample, 300.0)
    assert entry == [0, np.inf]
    assert stop == [pytest.approx(700), np.inf]
    assert normal == [1, 0, 0]


def test_trap_ties_take_the_plane_when_cut_and_else_the_first_primitive():
    left, right = (10, 2.5, 0.5, 4), (10, 2.5, 4.5, 4)  # met at one depth on two slopes
    half = np.sqrt(12)
    for spheres, slope in (((left, right), 0.5), ((right, left), -0.5)):
        sample = Primitives(spheres=spheres)
        assert column(sample, 0.0)[2] == pytest.approx((half / 4, 0, slope), abs=1e-5)
        assert column(sample, 10.0)[2] == [1, 0, 0]
    # A sphere's pole, the top of a cylinder and that of a cuboid tie: any order, one normal.
    level = Primitives(
        spheres=[(6, 2.5, 2.5, 2)],
        cylinders=[upright(2.5, 2.5, 4, 8)],
        cuboids=[box(2.5, 2.5, 4, 8)],
    )
    for plane_z in (0.0, 4.0, 6.0):
        entry, stop, normal = column(level, plane_z)
        assert (entry, stop) == ([4 - min(plane_z, 4), np.inf], [8 - plane_z, np.inf])
        assert normal == [1, 0, 0]


def test_trap_ties_of_several_kinds_go_to_spheres_then_cylinders_then_cuboids():
    """All three are met at depth 7, exactly, thanks to 3, 4 and 5."""
    kinds = {
        "spheres": [(10, 2.5, -1.5, 5)],
        "cylinders": [(11, 2.5, 5.5, *ALONG_Y, 5, 20)],
        "cuboids": [box(2.5, 2.5, 7, 9)],
    }
    for nx in (0.8, -0.6, 0):
        assert column(Primitives(**kinds), 0.0)[0][0] == 7
        assert column(Primitives(**kinds), 0.0)[2][2] == pytest.approx(nx, abs=1e-6)
        del kinds[next(iter(kinds))]


def test_trap_touching_intervals_merge_and_what_ends_at_the_plane_is_gone():
    stack = Primitives(cuboids=[box(2.5, 2.5, z, z + 2) for z in (4, 0, 2, 8, 10, 6, 20)])
    assert column(stack, 0.0)[:2] == ([0, 20], [12, 22])
    assert column(stack, 12.0)[:2] == ([8, np.inf], [10, np.inf])
    assert column(stack, 22.0) == ([np.inf] * 2, [np.inf] * 2, [0, 0, 0])
    mixed = Primitives(
        spheres=[(3, 2.5, 2.5, 3)],
        cylinders=[upright(2.5, 2.5, 6, 11), (14, 2.5, 2.5, *ALONG_X, 3, 9)],
        cuboids=[box(2.5, 2.5, 17, 20)],
    )
    assert column(mixed, 0.0)[:2] == ([0, np.inf], [20, np.inf])
    assert column(mixed, 6.0)[:2] == ([0, np.inf], [14, np.inf])


def test_trap_hits_of_no_length_are_dropped():
    """Tangent to a sphere, and to a cylinder that lies or leans."""
    leaning = np.array([3, 4, 0]) / 5
    tangent = [
        {"spheres": [(10, 2.5, 5.5, 3)]},
        {"cylinders": [(10, 2.5, 5.5, *ALONG_Y, 3, 8)]},
        {"cylinders": [(10, 2.5, 5.5, *leaning, 3, 8)]},
    ]
    for primitives in tangent:
        assert column(Primitives(**primitives), 0.0) == ([np.inf] * 2, [np.inf] * 2, [0, 0, 0])


def test_rays_within_a_face_are_solid():
    """A boundary belongs to its primitive: faces along the ray count over their whole length."""
    flush = [
        {"cylinders": [(10, 2.5, 5.5, *UPRIGHT, 3, 8)]},
        {"cylinders": [(10, 2.5, 5.5, *ALONG_X, 4, 6)]},
        {"cuboids": [(10, 2.5, 5.5, 1, 0, 0, 0, 8, 2, 6)]},
    ]
    for primitives in flush:
        entry, stop, normal = column(Primitives(**primitives), 0.0)
        assert (entry, stop) == ([6, np.inf], [14, np.inf])
        assert normal == [1, 0, 0]


def grid_sample(seed, offset, count=60):
    """Cubes, and cylinders along the three axes, with whole-numbered faces and centres."""
    random = np.random.default_rng(seed)

    def whole(low, high, columns):
        return random.integers(low, high, (count, columns))

    def centres():
        return whole(0, 16, 3) * (3, 1, 1) + (0, offset, offset)

    axes = np.eye(3)[random.integers(0, 3, count)]
    unturned = np.tile([1, 0, 0, 0], (count, 1))
    return Primitives(
        spheres=np.hstack([centres(), whole(1, 4, 1)])[: count // 4],
        cylinders=np.hstack([centres(), axes, whole(1, 4, 1), 2 * whole(1, 6, 1)]),
        cuboids=np.hstack([centres(), unturned, 2 * whole(1, 3, 3)]),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_trap_samples_aligned_with_the_grid(seed, offset):
    """Faces meet faces, planes and, with centres at half pixels, rays; all numbers are exact."""
    sample = grid_sample(seed, offset)
    check(sample, (0.0, 5.0, 18.0), (12, 13), layers=(2, 8))


@pytest.mark.parametrize("kind", ["spheres", "cylinders"])
def test_trap_culling_keeps_what_only_just_reaches_a_pixel(kind):
    """Balls whose silhouette passes a hair beyond a pixel's ray, in every row and column."""
    shape = (40, 70)
    rows, columns = (index.ravel() for index in np.indices(shape))
    picked = np.random.default_rng(2).permutation(rows.size)[:300]
    turn = np.random.default_rng(3).uniform(0, 2 * np.pi, 300)
    radius = 3.0
    reach = radius - 2.0**-17
    y = rows[picked] + 0.5 + reach * np.sin(turn)
    x = columns[picked] + 0.5 + reach * np.cos(turn)
    z = np.random.default_rng(4).uniform(0, 60, 300)
    if kind == "spheres":
        sample = Primitives(spheres=np.column_stack([z, y, x, np.full(300, radius)]))
    else:
        across = np.column_stack([np.zeros(300), np.cos(turn), -np.sin(turn)])
        sizes = np.tile([radius, 1.0], (300, 1))
        sample = Primitives(cylinders=np.column_stack([z, y, x, across, sizes]))
    check(sample, (0.0, 30.0), shape, layers=(4,), pixels=(rows[picked], columns[picked]))


def same_bits(one, other):
    for expected, found in zip(one, other, strict=True):
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def mixed_bins():
    sample = random_sample(15, 100, spheres=800, cylinders=500, cuboids=500)
    return _core.Bins(sample.spheres, sample.cylinders, sample.cuboids, 101, 93)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
def test_trap_every_instruction_set_gives_the_same_bits(instruction_set):
    plain, vector = mixed_bins(), mixed_bins()
    for layers in range(1, 9):
        for plane_z in (20.3, 21.3, 40.0):
            same_bits(
                plain.heightfield(plane_z, layers, instruction_set="plain"),
                vector.heightfield(plane_z, layers, instruction_set=instruction_set),
            )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_earlier_planes_and_threads_change_nothing(threads):
    """A sweep down may use what the plane before saw; the way to a plane must not show."""
    swept = mixed_bins()
    ways = [(z, 2) for z in (0, 1, 2, 3, 3, 13, 23.5, 24, 70, 71, 70, 5, 99, 3, 4, 67.9, 68)]
    for plane_z, layers in [*ways, (69, 3), (70, 3), (71, 2), (71.25, 2), (72, 2)]:
        same_bits(
            mixed_bins().heightfield(plane_z, layers, threads=1),
            swept.heightfield(plane_z, layers, threads=threads),
        )


def test_trap_columns_without_solid():
    sample = Primitives(spheres=[(10, 2.5, 2.5, 1)])
    found = extract_heightfield(sample, 0.0, shape=(5, 9), layers=3)
    empty = np.ones((5, 9), bool)
    empty[2, 2] = empty[1, 2] = empty[2, 1] = empty[3, 2] = empty[2, 3] = False
    assert np.isposinf(found.entry[:, empty]).all()
    assert np.isposinf(found.exit[:, empty]).all()
    assert (found.normal[:, empty] == 0).all()
    assert np.isfinite(found.entry[0, 2, 2])
    assert np.isposinf(found.entry[1:]).all()


@pytest.mark.parametrize("plane_z", [-1e4, -100.0])
def test_a_plane_far_above_what_the_image_shows(plane_z):
    sample = random_sample(9, 30, spheres=40, cylinders=40, cuboids=40)
    check(beside_the_image(sample), (plane_z,), (20, 20), pixels=some_pixels((20, 20), 100))


def test_a_plane_below_what_the_image_shows():
    sample = beside_the_image(random_sample(9, 30, spheres=40, cylinders=40, cuboids=40))
    found = extract_heightfield(sample, 500.0, shape=(9, 9))
    assert np.isposinf(found.entry).all()
    assert np.isposinf(found.exit).all()
    assert (found.normal == 0).all()


# What the published kernel gets wrong


def test_published_bug_sorting_by_upper_ends():
    """Long and dense cylinders: thin ones begin high up, and so do thick ones that end deep."""
    random = np.random.default_rng(10)
    count = 500
    sample = Primitives(
        cylinders=np.hstack(
            [
                random.uniform(-20, 80, (count, 3)),
                unit(random.normal(size=(count, 3)) * (2, 1, 1)),
                random.uniform(1, 6, (count, 1)),
                random.uniform(20, 120, (count, 1)),
            ]
        )
    )
    check(sample, (0.0, 20.0), (60, 60), layers=(1, 4), pixels=some_pixels((60, 60), 500))


def test_published_bug_what_lies_below_the_last_exit_changes_nothing():
    """Solids beyond the asked intervals are never needed, whatever their number."""
    first = random_sample(11, 30, spheres=30, cuboids=30)
    floor = [(100, 15, 15, 1, 0, 0, 0, 4, 100, 100), (110, 15, 15, 1, 0, 0, 0, 4, 100, 100)]
    random = np.random.default_rng(12)
    deep = np.hstack(
        [random.uniform((120, 0, 0), (900, 30, 30), (20_000, 3)), np.full((20_000, 1), 3)]
    )
    above = Primitives(spheres=first.spheres, cuboids=[*first.cuboids, *floor])
    whole = Primitives(spheres=[*first.spheres, *deep], cuboids=[*first.cuboids, *floor])
    one, other = (extract_heightfield(sample, 50.0, shape=(30, 30)) for sample in (above, whole))
    for name in ("entry", "exit", "normal"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("order", [1, -1])
def test_published_bug_more_hits_than_a_list_holds(order):
    """500 spheres around one centre, from the inside out and from the outside in."""
    radii = np.arange(1, 501)[::order] / 50
    sample = Primitives(
        spheres=np.column_stack([np.tile([20.0, 8.0, 8.0], (500, 1)), radii]),
        cuboids=[box(8, 8, 40, 42, 3.0)],
    )
    check(sample, (0.0, 20.0), (16, 17), layers=(1, 2, 8))


@pytest.mark.parametrize("step", [0.75, 1.0, 1.25])
def test_published_bug_hits_overflow_into_the_next_pixel(step):
    """200 discs in one pixel, which overlap, touch or stand apart, in random order."""
    top = np.random.default_rng(13).permutation(200) * step
    discs = np.column_stack([top + 0.5, *np.tile([2.5, 2.5, *UPRIGHT, 0.4, 1.0], (200, 1)).T])
    sample = Primitives(cylinders=discs, spheres=[(7, 2.5, 5.5, 2)])
    check(sample, (0.0, 60.0, 100.25), (5, 9), layers=range(1, 9))


def test_published_bug_normals_of_all_shapes_point_to_the_beam():
    turned = Rotation.from_rotvec([0, np.pi / 4, 0]).as_quat()[[3, 0, 1, 2]]
    shapes = [
        {"spheres": [(20, 8, 8, 5)]},
        {"cylinders": [(20, 8, 8, *ALONG_Y, 5, 6)]},
        {"cuboids": [(20, 8, 8, *turned, 5, 5, 5)]},
        {"cylinders": [(20, 8, 8, np.sqrt(0.5), 0, np.sqrt(0.5), 3, 6)]},
    ]
    for primitives in shapes:
        for sign, pixel in ((-1, (8, 6)), (1, (8, 9))):
            nz, ny, nx = column(Primitives(**primitives), 0.0, pixel=pixel, shape=(16, 16))[2]
            assert nz > 0
            assert nx * sign > 0.25, primitives
            assert abs(ny) < 0.25
    # The same along y.
    for primitives in (shapes[0], {"cylinders": [(20, 8, 8, *ALONG_X, 5, 6)]}):
        for sign, pixel in ((-1, (6, 8)), (1, (9, 8))):
            nz, ny, nx = column(Primitives(**primitives), 0.0, pixel=pixel, shape=(16, 16))[2]
            assert nz > 0
            assert ny * sign > 0.25
            assert abs(nx) < 0.25


def test_published_bug_edges_and_heights_are_full_lengths():
    sample = Primitives(
        cuboids=[(10, 8, 8, 1, 0, 0, 0, 4, 6, 2)], cylinders=[(30, 8, 8, *UPRIGHT, 3, 8)]
    )
    found = extract_heightfield(sample, 0.0, shape=(16, 16))
    cuboid = np.zeros((16, 16), bool)
    cuboid[5:11, 7:9] = True
    np.testing.assert_array_equal(found.entry[0] == 8, cuboid)
    np.testing.assert_array_equal(found.exit[0] == 12, cuboid)
    entry, stop, _ = column(sample, 0.0, pixel=(8, 8), shape=(16, 16))
    assert (entry, stop) == ([8, 26], [12, 34])


@pytest.mark.parametrize("kind", KINDS)
def test_voxel_columns_of_the_same_sample(kind):
    """Voxel k is solid where an interval holds k + 0.5, to within 1e-3 of the interval's ends."""
    edge = 64
    sample = random_sample(14, edge, **dict.fromkeys(KINDS[kind], 60))
    solid = voxelize(sample, (edge, edge, edge))
    found = extract_heightfield(sample, 0.0, shape=(edge, edge), layers=8)
    centres = np.arange(edge)[:, None, None] + 0.5
    inside = np.zeros_like(solid)
    uncertain = np.zeros_like(solid)
    for entry, stop in zip(found.entry, found.exit, strict=True):
        inside |= (centres >= entry) & (centres <= stop)
        uncertain |= (abs(centres - entry) < 1e-3) | (abs(centres - stop) < 1e-3)
        uncertain |= (centres > stop) & np.isfinite(found.entry[-1])  # beyond the eighth interval
    assert uncertain.mean() < 0.02
    np.testing.assert_array_equal(inside[~uncertain], solid[~uncertain])


WHOLE = st.integers(-3, 9).map(float)
FREE = st.floats(-4, 10, width=32)
SIZE = st.integers(1, 6).map(float)
FREE_SIZE = st.floats(1, 9, width=32)
AXIS = st.sampled_from(np.eye(3).tolist())
# Flush with a face that is tilted by less than this, double precision sees no tilt.
COMPONENT = st.floats(-1, 1, width=32).map(lambda value: value if abs(value) > 1e-6 else 0.0)
FREE_AXIS = st.tuples(*[COMPONENT] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)
IDENTITY = st.just((1.0, 0.0, 0.0, 0.0))
FREE_TURN = st.tuples(*[COMPONENT] * 4).filter(lambda v: np.linalg.norm(v) > 0.1)


def rows_of(*parts):
    """Lists of rows; tuples are unit vectors and are flattened."""

    def flatten(row):
        flat = []
        for part in row:
            flat += list(part / np.linalg.norm(part)) if np.ndim(part) else [part]
        return flat

    return st.lists(st.tuples(*parts).map(flatten), max_size=6)


def samples(place, size, axis, turn):
    return st.tuples(
        rows_of(place, place, place, size),
        rows_of(place, place, place, axis, size, size),
        rows_of(place, place, place, turn, size, size, size),
    ).filter(any)


@settings(deadline=None, max_examples=200)
@given(samples(WHOLE, SIZE, AXIS, IDENTITY), st.integers(-5, 12))
def test_anything_on_the_grid(rows, plane_z):
    sample = beside_the_image(Primitives(*rows))
    check(sample, (float(plane_z),), (4, 5), layers=(2, 8))


@settings(deadline=None, max_examples=200)
@given(samples(FREE, FREE_SIZE, FREE_AXIS, FREE_TURN), FREE)
def test_anything_anywhere(rows, plane_z):
    """Rays that double precision itself cannot decide are left out; such inputs are sought here."""
    sample = beside_the_image(Primitives(*rows))
    rays = meet(sample, *pixels_of((4, 5)))
    if (cut(rays, plane_z, 1).clearance > DOUBLE_ROUNDING).any():
        check(sample, (plane_z,), (4, 5), layers=(2, 8), least_clearance=DOUBLE_ROUNDING)
