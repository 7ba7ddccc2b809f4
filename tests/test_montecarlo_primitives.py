"""Electrons in spheres, cylinders and cuboids: against closed forms, voxels and other divisions."""

import sys

import numpy as np
import pytest

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives, boolean_model, voxelize
from porescope.imaging import electron_sample, simulate_monte_carlo
from porescope.imaging.transport import trace_bulk

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
ASKEW = (0.8, 0.2, -0.4, 0.4)


def image(sample, plane_z=0.0, *, beam_kv=2.0, electrons=100, pixel_nm=4.0, **options):
    return simulate_monte_carlo(
        sample, plane_z, beam_kv=beam_kv, electrons=electrons, pixel_nm=pixel_nm, **options
    )


def scaled(primitives, by):
    """Return primitives in a unit so many times smaller."""
    return Primitives(
        spheres=primitives.spheres * by,
        cylinders=primitives.cylinders * ([by] * 3 + [1] * 3 + [by] * 2),
        cuboids=primitives.cuboids * ([by] * 3 + [1] * 4 + [by] * 3),
        shape=tuple(size * by for size in primitives.shape),
    )


def assert_alike(first, second, electrons, names=("bse", "se", "transmitted"), least=0.0):
    """Within four standard errors of signals that are counts, or a part of the signal."""
    for name in names:
        a, b = float(first[name].mean()), float(second[name].mean())
        error = 4 * np.sqrt(2 * max(a, b) / (electrons * first[name].size))
        assert abs(a - b) <= max(error, least * b) + 1e-6, (name, a, b)


BODIES = {
    "sphere": Primitives(spheres=[[16, 16, 16, 12]], shape=(32, 32, 32)),
    "cylinder": Primitives(cylinders=[[16, 16, 16, 0.6, 0.48, 0.64, 6, 24]], shape=(32, 32, 32)),
    "upright cylinder": Primitives(cylinders=[[16, 16, 16, 1, 0, 0, 9, 18]], shape=(32, 32, 32)),
    "cuboid": Primitives(cuboids=[[16, 16, 16, *ASKEW, 14, 18, 10]], shape=(32, 32, 32)),
    "overlapping": boolean_model("sphere", porosity=0.5, shape=(32, 32, 32), radius=(4, 7), seed=1),
}


@pytest.mark.parametrize("beam_kv", [1.0, 4.0])
@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_what_fine_voxels_are(name, beam_kv):
    body, fine = BODIES[name], 5
    exact = image(body, 5.3, beam_kv=beam_kv)
    voxels = voxelize(scaled(body, fine))
    voxel = image(voxels, 5.3 * fine, beam_kv=beam_kv, voxel_nm=4.0 / fine)
    assert_alike(exact, voxel, 100, ("bse", "transmitted"), least=0.01)
    # The walls of voxels are not quite smooth, and tell a few more secondaries.
    assert exact["se"].mean() == pytest.approx(voxel["se"].mean(), rel=0.1)


def test_gold_in_epoxy_is_what_fine_voxels_are():
    materials = {0: "epoxy", 1: "gold"}
    body, fine = BODIES["overlapping"], 5
    exact = image(body, 5.3, materials=materials)
    voxel = image(
        voxelize(scaled(body, fine)), 5.3 * fine, voxel_nm=4.0 / fine, materials=materials
    )
    assert_alike(exact, voxel, 100, least=0.01)


@pytest.mark.parametrize("beam_kv", [1.0, 3.0])
@pytest.mark.parametrize("above", [0.0, 10.0])
def test_a_huge_cuboid_is_a_half_space(beam_kv, above):
    """Both cut by the plane and with a face of its own below it."""
    deep = Primitives(
        cuboids=[[above + 5e5, 0, 0, *UPRIGHT, 1e6, 3e6, 1e6]], shape=(80 + above, 40, 40)
    )
    images = image(deep, beam_kv=beam_kv, electrons=150)
    bulk = trace_bulk("carbon", beam_kv, electrons=300_000, seed=5)
    assert images["bse"].mean() == pytest.approx(bulk.backscattered.mean(), rel=0.02)
    assert images["se"].mean() == pytest.approx(bulk.secondaries.mean(), rel=0.02)
    assert images["transmitted"].max() == 0


def test_a_large_sphere_is_a_plane_at_every_tilt():
    """Of a wall that leans by an angle, secondaries leave upward as (1 + cosine) / 2."""
    radius = 30
    # A quarter in a corner: the sides mirror it, and its images are far away.
    sphere = Primitives(spheres=[[32, 0, 0, radius]], shape=(64, 600, 600))
    images = image(sphere, beam_kv=1.0, electrons=400, pixel_nm=60.0, shape=(32, 32))
    y, x = np.mgrid[:32, :32] + 0.5
    away = np.hypot(y, x) / radius
    for low, high in ((0.2, 0.4), (0.5, 0.6), (0.7, 0.8), (0.8, 0.9)):
        ring = (low <= away) & (away < high)
        sine = np.sqrt((away[ring] ** 2).mean())
        cosine = np.sqrt(1 - sine**2)
        flat = trace_bulk(
            "carbon", 1.0, electrons=100_000, tilt_deg=float(np.degrees(np.arcsin(sine)))
        )
        upward = flat.direction[:, 0] * cosine + flat.direction[:, 1] * sine < 0
        assert images["bse"][ring].mean() == pytest.approx(
            (flat.backscattered & upward).mean(), rel=0.04
        )
        assert images["se"][ring].mean() == pytest.approx(
            flat.secondaries.mean() * (1 + cosine) / 2, rel=0.03
        )


CUBE = Primitives(cuboids=[[16, 16, 16, *UPRIGHT, 12, 12, 12]], shape=(32, 32, 32))
CUTS = {
    "overlapping": [[16, 16, 14, *UPRIGHT, 12, 12, 8], [16, 16, 18, *UPRIGHT, 12, 12, 8]],
    "touching": [[16, 13, 16, *UPRIGHT, 12, 6, 12], [16, 19, 16, *UPRIGHT, 12, 6, 12]],
    "plates": [[10.5 + k, 16, 16, *UPRIGHT, 1, 12, 12] for k in range(12)],
    "turned": [[16, 16, 16, 0.5, 0.5, 0.5, 0.5, 12, 12, 12]],
    "a body within": [[16, 16, 16, *UPRIGHT, 12, 12, 12], [15, 16, 16, *ASKEW, 5, 4, 6]],
}


@pytest.mark.parametrize("name", CUTS)
def test_a_body_in_pieces_is_one_body(name):
    whole = image(CUBE, 5.0, electrons=200)
    pieces = image(Primitives(cuboids=CUTS[name], shape=(32, 32, 32)), 5.0, electrons=200)
    assert_alike(whole, pieces, 200)
    # Electrons take the same ways, but for rounding.
    assert np.mean(whole["bse"] == pieces["bse"]) > 0.98


@pytest.mark.parametrize("angle_deg", [30.0, 90.0])
def test_turning_the_sample_about_the_beam_turns_the_image(angle_deg):
    half = np.radians(angle_deg) / 2
    cosine, sine = np.cos(2 * half), np.sin(2 * half)
    turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])  # of (z, y, x)
    middle = np.array([20.0, 20.0, 20.0])
    sphere, rod, box = [16, 14, 15, 5.0], [22, 20, 20, 0.6, 0.0, 0.8, 3.0, 18.0], [14, 24, 24]

    def turned(at):
        return turn @ (np.array(at) - middle) + middle

    def sample(turned, axis, quaternion):
        return Primitives(
            spheres=[[*turned(sphere[:3]), sphere[3]]],
            cylinders=[[*turned(rod[:3]), *axis, *rod[6:]]],
            cuboids=[[*turned(box), *quaternion, 8, 6, 9]],
            shape=(40, 40, 40),
        )

    before = image(sample(lambda at: at, rod[3:6], UPRIGHT))
    after = image(sample(turned, turn @ rod[3:6], (np.cos(half), 0, 0, np.sin(half))))
    assert_alike(before, after, 100)


def test_cells_do_not_matter(monkeypatch):
    module = sys.modules["porescope.imaging.electron_sample"]
    cubes = boolean_model("cube", porosity=0.5, shape=(32, 32, 32), edge=(6, 9), seed=1)
    images = []
    for cells in ((2, 3, 3), (5, 6, 7), (40, 33, 40)):
        monkeypatch.setattr(module, "_cells", lambda *_, cells=cells: cells)
        images.append(image(cubes, 4.2, electrons=60))
    for other in images[1:]:
        assert_alike(images[0], other, 60)
        assert other["bse"].mean() == pytest.approx(images[0]["bse"].mean(), rel=2e-3)


@pytest.mark.parametrize("periodic", [False, True])
def test_instruction_sets_and_threads_give_the_same_bits(monkeypatch, periodic):
    sample = Primitives(
        spheres=BODIES["overlapping"].spheres[:40],
        cylinders=[[16, 10, 22, 0.6, 0.48, 0.64, 5, 20], [20, 24, 8, 1, 0, 0, 4, 9]],
        cuboids=[[12, 22, 12, *ASKEW, 9, 7, 11], [9, 8, 8, *UPRIGHT, 6, 8, 20]],
        shape=(32, 32, 32),
    )
    ready = electron_sample(sample, 4.0, periodic=periodic)
    scan, seen = _core.image_plane, []
    for instruction_set in _core.instruction_sets():
        monkeypatch.setattr(_core, "image_plane", lambda *a, s=instruction_set: scan(*a, s))
        for threads in (1, 2):
            images = image(ready, 6.0, electrons=20, tilt_deg=38.0, threads=threads)
            seen.append(np.stack([images[name] for name in ("bse", "se", "transmitted")]))
    assert seen[0][:2].min(axis=(1, 2)).max() >= 0
    assert seen[0].mean(axis=(1, 2)).min() > 0
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])


def test_empty_space_transmits_all():
    small = Primitives(spheres=[[10, 28, 28, 2]], shape=(32, 32, 32))
    images = image(small)
    assert np.all(images["transmitted"][:20, :20] == 1)
    assert np.all(images["bse"][:20, :20] == 0)
    assert images["bse"].sum() > 0
    outside = Primitives(spheres=[[1000, 1000, 1000, 2]], shape=(32, 32, 32))
    assert np.all(image(outside)["transmitted"] == 1)


def test_a_sphere_around_the_box_fills_it():
    filled = Primitives(spheres=[[0, 0, 0, 1e9]], shape=(64, 32, 32))
    images = image(filled, beam_kv=1.0)
    assert images["transmitted"].max() == 0
    assert images["bse"].mean() == pytest.approx(
        trace_bulk("carbon", 1.0, electrons=100_000).backscattered.mean(), rel=0.03
    )


def test_what_sticks_out_far_is_cut_off_exactly():
    rod = [16, 16, 16, 0.6, 0.48, 0.64, 6]
    plate = [16, 16, 10, *ASKEW, 4]
    short = Primitives(cylinders=[[*rod, 2e2]], cuboids=[[*plate, 2e2, 2e2]], shape=(32, 32, 32))
    long = Primitives(cylinders=[[*rod, 2e8]], cuboids=[[*plate, 2e8, 2e8]], shape=(32, 32, 32))
    assert_alike(image(short), image(long), 100)
    assert np.mean(image(short)["bse"] == image(long)["bse"]) > 0.98


def test_thousands_in_one_place_are_one():
    row = [16, 16, 16, 12.0]
    many = Primitives(spheres=np.repeat([row], 20_000, axis=0), shape=(32, 32, 32))
    np.testing.assert_array_equal(image(many)["bse"], image(BODIES["sphere"])["bse"])
    nearly = np.repeat([row], 500, axis=0)
    nearly[:, 3] += np.linspace(0, 1e-5, 500)
    close = Primitives(spheres=nearly, shape=(32, 32, 32))
    assert_alike(image(close, electrons=4), image(BODIES["sphere"], electrons=4), 4)


@pytest.mark.parametrize(
    ("sample", "options", "told"),
    [
        (Primitives(spheres=[[1e9 + 16, 16, 16, 1e9]], shape=(32, 32, 32)), {}, "so much wider"),
        (Primitives(spheres=[[16, 16, 16, 4]]), {}, "tell no box"),
        (BODIES["sphere"], {"materials": {0: "carbon", 1: "vacuum"}}, "Primitives of vacuum"),
        (BODIES["sphere"], {"materials": {1: "gold"}}, "label 0"),
        (BODIES["sphere"], {"pixel_nm": None}, "pixel_nm"),
        (BODIES["sphere"], {"plane_z": 32.0}, "outside the sample"),
        (BODIES["sphere"], {"shape": (40, 40)}, "room for 32 x 32"),
    ],
)
def test_what_cannot_be_imaged_is_refused_in_a_sentence(sample, options, told):
    with pytest.raises(PorescopeError, match=told):
        image(sample, **{"plane_z": 0.0, **options})


def test_primitives_without_a_box_take_the_pixels_asked_for():
    images = image(Primitives(spheres=[[10, 8, 8, 6]]), shape=(16, 20))
    assert images["bse"].shape == (16, 20)
    assert images["bse"][:, 15:].max() == 0
    assert images["bse"][8, 8] > 0
