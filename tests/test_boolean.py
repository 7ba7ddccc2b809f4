"""Boolean models against what is known of them in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.spatial.transform import Rotation

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import (
    PAPER_SAMPLES,
    boolean,
    boolean_model,
    paper_sample,
    paper_sample_names,
    voxelize,
)
from porescope.geometry.primitives import bounding_boxes
from porescope.io import read_primitives

SMALL_GRAINS = {
    "sphere": {"radius": (4, 7)},
    "cylinder": {"radius": (3, 5), "height": (10, 20)},
    "cube": {"edge": (6, 11)},
}
KINDS = pytest.mark.parametrize("kind", list(SMALL_GRAINS))


def rows_of(sample):
    (rows,) = (rows for rows in (sample.spheres, sample.cylinders, sample.cuboids) if len(rows))
    return rows


def inside(sample):
    """Rows of particles with their centre in the box: all those drawn there, none left out."""
    rows = rows_of(sample)
    return rows[((rows[:, :3] >= 0) & (rows[:, :3] < sample.shape)).all(axis=1)]


class TestParticles:
    @pytest.mark.parametrize(
        ("kind", "sizes", "volume"),
        [
            ("sphere", [(10, 15)], lambda r: 4 / 3 * np.pi * r**3),
            ("sphere", [(7, 7)], lambda r: 4 / 3 * np.pi * r**3),
            ("cylinder", [(5, 10), (100, 150)], lambda r, h: np.pi * r**2 * h),
            ("cube", [(2, 9)], lambda a: a**3),
        ],
    )
    def test_mean_volume_is_the_integral(self, kind, sizes, volume):
        free = [(low, high) for low, high in sizes if low < high]
        if free:
            total = integrate.nquad(volume, free)[0] / math.prod(b - a for a, b in free)
        else:
            total = volume(*(low for low, _ in sizes))
        assert boolean.mean_volume(kind, sizes) == pytest.approx(total, rel=1e-9)

    @KINDS
    def test_sizes_are_uniform_and_independent(self, kind):
        intervals = list(SMALL_GRAINS[kind].values())
        rows = inside(boolean_model(kind, porosity=0.3, shape=(150,) * 3, **SMALL_GRAINS[kind]))
        assert len(rows) > 1500
        sizes = rows[:, {"sphere": 3, "cylinder": 6, "cube": 7}[kind] :]
        for (low, high), values in zip(intervals, sizes.T, strict=False):
            assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 0.001
        if kind == "cube":
            assert (sizes == sizes[:, :1]).all()
        if kind == "cylinder":
            assert abs(np.corrcoef(sizes.T)[0, 1]) < 4 / len(sizes) ** 0.5

    def test_a_number_is_a_fixed_size(self):
        sample = boolean_model("cylinder", porosity=0.5, shape=(50,) * 3, radius=4, height=(9, 9))
        assert np.unique(sample.cylinders[:, 6]) == 4
        assert np.unique(sample.cylinders[:, 7]) == 9

    @KINDS
    def test_centres_are_uniform_in_the_box(self, kind):
        rows = inside(
            boolean_model(kind, porosity=0.3, shape=(150, 120, 180), **SMALL_GRAINS[kind])
        )
        for size, values in zip((150, 120, 180), rows.T, strict=False):
            assert stats.kstest(values, "uniform", (0, size)).pvalue > 0.001

    def test_the_number_of_particles_is_poisson(self):
        """Fixed spheres: those meeting the box by their own box have centres in the widened one."""
        counts = []
        for seed in range(400):
            sample = boolean_model("sphere", porosity=0.7, shape=(30, 40, 50), radius=6, seed=seed)
            counts.append(len(sample))
        mean = -math.log(0.7) / (4 / 3 * math.pi * 6**3) * 42 * 52 * 62
        assert np.mean(counts) == pytest.approx(mean, abs=4 * (mean / 400) ** 0.5)
        assert np.var(counts) == pytest.approx(mean, rel=4 * (2 / 400) ** 0.5)

    @KINDS
    def test_all_that_is_kept_meets_the_box(self, kind):
        sample = boolean_model(kind, porosity=0.3, shape=(40, 50, 60), **SMALL_GRAINS[kind])
        lower, upper = bounding_boxes(boolean.TABLES[kind], rows_of(sample))
        assert (upper >= 0).all()
        assert (lower <= (40, 50, 60)).all()
        assert (rows_of(sample)[:, :3] < 0).any(axis=1).sum() > 10


class TestOrientation:
    def axes(self, kind="cylinder", **kwargs):
        sizes = {"radius": 1, "height": 2} if kind == "cylinder" else {"edge": 2}
        rows = inside(boolean_model(kind, porosity=0.8, shape=(90,) * 3, **sizes, **kwargs))
        assert len(rows) > 15_000
        if kind == "cylinder":
            return rows[:, 3:6]
        return self.matrices(rows)[:, :, 0]

    @staticmethod
    def matrices(rows):
        """Own axes z, y, x of cuboids as columns, in z, y, x."""
        return Rotation.from_quat(rows[:, [4, 5, 6, 3]]).as_matrix()[:, ::-1, ::-1]

    @pytest.mark.parametrize("kind", ["cylinder", "cube"])
    def test_uniform_on_the_sphere(self, kind):
        axes = self.axes(kind)
        scatter = 4 / len(axes) ** 0.5
        np.testing.assert_allclose(axes.mean(axis=0), 0, atol=scatter * 0.58)
        np.testing.assert_allclose(axes.T @ axes / len(axes), np.eye(3) / 3, atol=scatter * 0.3)
        assert stats.kstest(axes[:, 0], "uniform", (-1, 2)).pvalue > 0.001

    @pytest.mark.parametrize("kind", ["cylinder", "cube"])
    @pytest.mark.parametrize("kappa", [1e-9, 0.5, 20, 800])
    def test_von_mises_fisher_about_z(self, kind, kappa):
        axes = self.axes(kind, orientation="von-mises-fisher", kappa=kappa, seed=4)
        cosine = axes[:, 0]
        # Moments of the density proportional to exp(kappa t) on [-1, 1].
        first = 1 / math.tanh(kappa) - 1 / kappa if kappa > 1e-3 else 0
        second = 1 - 2 * first / kappa if kappa > 1e-3 else 1 / 3
        scatter = 4 / len(axes) ** 0.5
        deviation = math.sqrt(second - first**2)
        assert cosine.mean() == pytest.approx(first, abs=scatter * deviation)
        assert (cosine**2).mean() == pytest.approx(second, abs=2 * scatter * deviation)
        turn = np.arctan2(axes[:, 1], axes[:, 2])
        assert stats.kstest(turn, "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.001

    def test_von_mises_fisher_has_the_whole_distribution(self):
        cosine = self.axes(orientation="von-mises-fisher")[:, 0]  # kappa = 20

        def distribution(t):
            return (np.exp(20 * (t - 1)) - np.exp(-40)) / (1 - np.exp(-40))

        assert stats.kstest(cosine, distribution).pvalue > 0.001

    def test_uniform_cubes_have_uniform_rotations(self):
        sample = boolean_model("cube", porosity=0.8, shape=(90,) * 3, edge=2)
        turns = Rotation.from_quat(inside(sample)[:, [4, 5, 6, 3]])

        def distribution(angle):  # of the angle of a uniform rotation
            return (angle - np.sin(angle)) / np.pi

        assert stats.kstest(turns.magnitude(), distribution).pvalue > 0.001
        for column in range(3):
            axes = turns.as_matrix()[:, :, column]
            np.testing.assert_allclose(axes.mean(axis=0), 0, atol=2.4 / len(axes) ** 0.5)

    def test_cubes_spin_about_the_axis(self):
        sample = boolean_model(
            "cube", porosity=0.8, shape=(90,) * 3, edge=2, orientation="von-mises-fisher", kappa=1e6
        )
        own_x = self.matrices(inside(sample))[:, :, 2]
        turn = np.arctan2(own_x[:, 1], own_x[:, 2])
        assert stats.kstest(turn, "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.001

    def test_aligned(self):
        sizes = {"porosity": 0.5, "shape": (30,) * 3, "orientation": "aligned"}
        cubes = boolean_model("cube", edge=4, **sizes).cuboids
        assert (cubes[:, 3:7] == [1, 0, 0, 0]).all()
        cylinders = boolean_model("cylinder", radius=2, height=5, **sizes).cylinders
        assert (cylinders[:, 3:6] == [1, 0, 0]).all()


class TestPorosity:
    @KINDS
    @pytest.mark.parametrize("porosity", [0.3, 0.5, 0.7])
    def test_is_the_one_asked_for(self, kind, porosity):
        """Grains so small against the volume that it scatters by no more than 0.0033."""
        sample = boolean_model(
            kind, porosity=porosity, shape=(256,) * 3, seed=1, **SMALL_GRAINS[kind]
        )
        assert 1 - voxelize(sample).mean() == pytest.approx(porosity, abs=0.01)

    @pytest.mark.parametrize("orientation", ["von-mises-fisher", "aligned"])
    @pytest.mark.parametrize("kind", ["cylinder", "cube"])
    def test_whatever_the_orientation(self, kind, orientation):
        sample = boolean_model(
            kind, porosity=0.5, shape=(256,) * 3, orientation=orientation, **SMALL_GRAINS[kind]
        )
        assert 1 - voxelize(sample).mean() == pytest.approx(0.5, abs=0.01)

    @KINDS
    def test_is_the_same_at_faces_and_corners_as_inside(self, kind):
        """Single voxels at the corners, edges, faces and the middle, over many seeds."""
        sizes = {
            "sphere": {"radius": (4, 9)},
            "cylinder": {"radius": (2, 4), "height": (10, 25)},
            "cube": {"edge": (8, 14)},
        }[kind]
        seeds = 1500
        pores = np.zeros((3, 3, 3))
        for seed in range(seeds):
            sample = boolean_model(kind, porosity=0.4, shape=(41,) * 3, seed=seed, **sizes)
            for place in np.ndindex(3, 3, 3):
                pores[place] += not voxelize(sample, (1, 1, 1), start=np.multiply(place, 20))[
                    0, 0, 0
                ]
        tolerance = 4 * math.sqrt(0.4 * 0.6 / seeds)
        np.testing.assert_allclose(pores / seeds, 0.4, atol=tolerance)
        corners = pores[::2, ::2, ::2].mean() / seeds
        assert corners == pytest.approx(0.4, abs=tolerance / 8**0.5)

    def test_a_sphere_model_scatters_as_its_covariance_says(self):
        """Variance of the porosity of a cube W: the mean of its covariance over pairs of points."""
        radius, edge, porosity = 8, 48, 0.5
        intensity = -math.log(porosity) / (4 / 3 * math.pi * radius**3)
        steps = (np.arange(64) + 0.5) / 64 * 4 * radius - 2 * radius
        z, y, x = np.meshgrid(steps, steps, steps)
        distance = np.minimum(np.sqrt(z**2 + y**2 + x**2) / (2 * radius), 1)
        overlap = 4 / 3 * math.pi * radius**3 * (1 - 1.5 * distance + 0.5 * distance**3)
        pairs = np.prod([edge - np.abs(axis) for axis in (z, y, x)], axis=0) / edge**6
        covariance = porosity**2 * np.expm1(intensity * overlap)
        expected = (pairs * covariance).sum() * (steps[1] - steps[0]) ** 3
        found = [
            voxelize(
                boolean_model("sphere", porosity=porosity, shape=(edge,) * 3, radius=radius, seed=s)
            ).mean()
            for s in range(400)
        ]
        assert np.var(found) == pytest.approx(expected, rel=4 * (2 / 400) ** 0.5)
        assert np.mean(found) == pytest.approx(porosity, abs=4 * (expected / 400) ** 0.5)


class TestSeeds:
    def test_a_seed_gives_one_sample(self):
        def draw(seed):
            return boolean_model("cube", porosity=0.5, shape=(40,) * 3, edge=5, seed=seed).cuboids

        assert np.array_equal(draw(3), draw(3))
        assert not np.array_equal(draw(3)[:5], draw(4)[:5])
        assert len(draw(2**64 - 1))

    def test_the_number_of_threads_makes_no_difference(self, monkeypatch):
        def draw():
            return boolean_model("sphere", porosity=0.3, shape=(100,) * 3, radius=3).spheres

        uniform, expected = _core.uniform, draw()
        for threads in (1, 5):
            monkeypatch.setattr(
                _core, "uniform", lambda *args, n=threads: uniform(*args, threads=n)
            )
            assert np.array_equal(draw(), expected)

    def test_samples_stay_the_same_from_version_to_version(self):
        sample = boolean_model(
            "cylinder", porosity=0.5, shape=(30, 40, 50), radius=(3, 5), height=(10, 20), seed=7
        )
        assert len(sample) == 151
        first = [
            *(14.7402802752, 8.22766240147, 53.0286648452),
            *(-0.493510488666, 0.839252471236, -0.228260130338),
            *(4.53580723905, 12.896366554),
        ]
        np.testing.assert_allclose(sample.cylinders[0], first, rtol=1e-10)


GOOD = {"kind": "sphere", "porosity": 0.5, "shape": (30,) * 3, "radius": 5}


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"kind": "cone"}, "Particles are sphere, cylinder, cube, not 'cone'"),
            ({"radius": None}, "A sphere needs a radius"),
            ({"height": 5}, "A sphere has no height; give radius"),
            ({"kind": "cylinder"}, "A cylinder needs a height; give radius and height"),
            ({"kind": "cube"}, "A cube has no radius; give edge"),
            ({"porosity": 0}, "porosity must lie between 0 and 1"),
            ({"porosity": 1}, "porosity must lie between 0 and 1"),
            ({"porosity": math.nan}, "porosity must lie between 0 and 1"),
            ({"radius": 0}, "radius must be a number from .* not 0"),
            ({"radius": -5}, "radius must be"),
            ({"radius": math.inf}, "radius must be"),
            ({"radius": math.nan}, "radius must be"),
            ({"radius": (8, 5)}, r"radius must be .* not \(8, 5\)"),
            ({"radius": (1, 2, 3)}, "radius must be"),
            ({"radius": "big"}, "radius must be"),
            ({"orientation": "sideways"}, "orientation is uniform, von-mises-fisher, aligned, not"),
            ({"kappa": 0}, "kappa must be finite and above 0"),
            ({"kappa": math.inf}, "kappa must be finite and above 0"),
            ({"seed": -1}, "seed must be a whole number"),
            ({"seed": 2**64}, "seed must be a whole number"),
            ({"seed": 1.5}, "seed must be a whole number"),
            ({"shape": (30, 30)}, r"three numbers \(z, y, x\) above 0"),
            ({"shape": (30, 30, 0)}, r"three numbers \(z, y, x\) above 0"),
            ({"shape": (1e300, 1e300, 1e300)}, "particles, more than the 50,000,000"),
            ({"radius": 1e-6}, "particles, more than the 50,000,000"),
            ({"radius": 5000, "porosity": 0.999999}, "No particle meets the box.*larger shape"),
        ],
    )
    def test_are_one_sentence(self, changes, match):
        with pytest.raises(PorescopeError, match=match):
            boolean_model(**{**GOOD, **changes})

    @settings(max_examples=60, deadline=None)
    @given(
        kind=st.sampled_from(list(SMALL_GRAINS)),
        porosity=st.floats(0.02, 0.98),
        shape=st.tuples(*[st.floats(1, 60)] * 3),
        low=st.floats(3, 20),
        ratio=st.floats(1, 4),
        orientation=st.sampled_from(boolean.ORIENTATIONS),
        kappa=st.floats(1e-3, 1e5),
        seed=st.integers(0, 2**64 - 1),
    )
    def test_what_makes_sense_gives_a_sample(
        self, kind, porosity, shape, low, ratio, orientation, kappa, seed
    ):
        sizes = dict.fromkeys(SMALL_GRAINS[kind], (low, low * ratio))
        try:
            sample = boolean_model(
                kind,
                porosity=porosity,
                shape=shape,
                orientation=orientation,
                kappa=kappa,
                seed=seed,
                **sizes,
            )
        except PorescopeError as error:
            assert "No particle meets the box" in str(error)  # noqa: PT017
        else:
            assert sample.shape == shape
            column = {"sphere": 3, "cylinder": 6, "cube": 7}[kind]
            drawn = rows_of(sample)[:, column:]
            assert drawn.min() >= low
            assert drawn.max() <= low * ratio * (1 + 1e-12)


class TestPaperSamples:
    def test_are_those_of_table_1(self):
        names = paper_sample_names()
        assert len(set(names)) == 72
        assert sum(name.startswith("sphere") for name in names) == 18
        assert sum("vmf" in name for name in names) == 36
        assert sum("uniform" in name for name in names) == 18
        for last in ("sphere-p0.3-r10-15-3", "cylinder-p0.7-r5-10-h300-500-vmf-2"):
            assert last in names
        assert dict(PAPER_SAMPLES["cylinder-p0.5-r30-50-h100-150-vmf-1"]) == {
            "kind": "cylinder",
            "porosity": 0.5,
            "radius": (30, 50),
            "height": (100, 150),
            "orientation": "von-mises-fisher",
            "shape": (1130, 850, 850),
        }

    def test_hold_as_many_particles_as_miles_says(self):
        volume = 1130 * 850 * 850
        for name, parameters in PAPER_SAMPLES.items():
            sample = paper_sample(name)
            sizes = [parameters[size] for size in ("radius", "height") if size in parameters]
            mean = -math.log(parameters["porosity"]) * volume
            mean /= boolean.mean_volume(parameters["kind"], sizes)
            assert len(inside(sample)) == pytest.approx(mean, abs=4.5 * mean**0.5), name
            assert sample.shape == (1130, 850, 850)

    def test_are_all_different_and_come_back(self):
        names = ["sphere-p0.7-r30-50-1", "sphere-p0.7-r30-50-2", "sphere-p0.7-r30-50-3"]
        first = {
            (name, seed): paper_sample(name, seed).spheres for name in names for seed in (0, 1)
        }
        assert len({rows[0].tobytes() for rows in first.values()}) == 6
        assert np.array_equal(paper_sample(names[1], 1).spheres, first[names[1], 1])

    def test_unknown_names_are_refused(self):
        with pytest.raises(PorescopeError, match=r"no sample 'cow'; names look like sphere-p0\.3"):
            paper_sample("cow")

    @pytest.mark.parametrize(
        ("pattern", "kind", "porosity", "sizes", "reach"),
        [
            ("Sphere_Vv0p3_r10-15", "sphere", 0.7, [(10, 15)], 15),
            ("Sphere_Vv0p7_r30-50", "sphere", 0.3, [(30, 50)], 50),
            ("Cylinder_Vv0p7_r10-20", "cylinder", 0.3, [(10, 20), (100, 150)], 77.62),
            ("Cylinder_Vv0p3_r30-50", "cylinder", 0.7, [(30, 50), (300, 500)], 254.95),
        ],
    )
    def test_the_papers_own_lists_agree(self, real_data, pattern, kind, porosity, sizes, reach):
        """Vv in a name is the solid fraction; all centres are listed, 1030 slices."""
        (path,) = (real_data / "primitives").glob(f"{pattern}_*")
        volume = math.prod(size - 1 + 2 * reach for size in (1030, 850, 850))
        mean = -math.log(porosity) * volume / boolean.mean_volume(kind, sizes)
        assert len(read_primitives(path)) == pytest.approx(mean, abs=4 * mean**0.5)
