"""Primitives: what is kept, what is refused, where they lie, and their voxels."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dense_voxels import dense_voxels
from porescope.errors import PorescopeError
from porescope.geometry import Primitives, voxelize
from porescope.geometry.orientation import (
    axis_to_euler,
    euler_to_axis,
    euler_to_quaternion,
    quaternion_to_euler,
)
from porescope.geometry.primitives import bounding_boxes

SPHERE = [10.0, 11, 12, 3]
CYLINDER = [10.0, 11, 12, 0, 0.6, 0.8, 2, 9]
CUBOID = [10.0, 11, 12, 1, 0, 0, 0, 2, 4, 6]


def random_primitives(count, size, seed=0):
    random = np.random.default_rng(seed)
    centres = random.uniform(-2, size + 2, (3, count, 3))
    axes = random.normal(size=(count, 3))
    quaternions = random.normal(size=(count, 4))
    return Primitives(
        spheres=np.hstack([centres[0], random.uniform(0.5, 4, (count, 1))]),
        cylinders=np.hstack(
            [
                centres[1],
                axes / np.linalg.norm(axes, axis=1, keepdims=True),
                random.uniform(0.5, [3, 9], (count, 2)),
            ]
        ),
        cuboids=np.hstack(
            [
                centres[2],
                quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True),
                random.uniform(0.5, 6, (count, 3)),
            ]
        ),
    )


class TestConstruction:
    def test_arrays_are_own_float64_contiguous_and_read_only(self):
        given_rows = np.array([SPHERE, SPHERE], dtype=np.float32, order="F")
        primitives = Primitives(spheres=given_rows)
        given_rows[:] = 7
        assert primitives.spheres.tolist() == [SPHERE, SPHERE]
        for rows, columns in (
            (primitives.spheres, 4),
            (primitives.cylinders, 8),
            (primitives.cuboids, 10),
        ):
            assert rows.dtype == np.float64
            assert rows.shape[1] == columns
            assert rows.flags.c_contiguous
            assert not rows.flags.writeable

    def test_fields_cannot_be_replaced(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Primitives(spheres=[SPHERE]).shape = (1, 1, 1)

    def test_length_counts_all_kinds(self):
        assert len(Primitives([SPHERE] * 3, [CYLINDER] * 2, [CUBOID])) == 6

    def test_box_keeps_whole_numbers_whole(self):
        assert Primitives([SPHERE]).shape is None
        shape = Primitives([SPHERE], shape=np.array([4.0, 5.5, 6])).shape
        assert shape == (4, 5.5, 6)
        assert [type(size) for size in shape] == [int, float, int]

    def test_directions_are_scaled_to_length_1_once(self):
        rough = np.array([[0, 0, 0, 0.6, 0.8, 1e-8, 1, 1], CYLINDER])
        rough[:, 3:6] *= 1 + 9e-7
        once = Primitives(cylinders=rough).cylinders
        np.testing.assert_allclose(np.linalg.norm(once[:, 3:6], axis=1), 1, rtol=4e-16)
        for seed in range(20):
            first = random_primitives(50, 20, seed)
            again = Primitives(first.spheres, first.cylinders, first.cuboids)
            assert np.array_equal(again.cylinders, first.cylinders)
            assert np.array_equal(again.cuboids, first.cuboids)

    @pytest.mark.parametrize(
        ("kind", "row", "column", "value", "message"),
        [
            ("spheres", SPHERE, 3, -1, "Row 1 of the spheres.*radius is -1.0.*above 0"),
            ("spheres", SPHERE, 3, 0, "Row 1 of the spheres.*radius is 0.0.*above 0"),
            ("spheres", SPHERE, 3, np.nan, "Row 1 of the spheres.*radius is nan"),
            ("spheres", SPHERE, 2, np.inf, "Row 1 of the spheres.*: x is inf"),
            ("cylinders", CYLINDER, 6, -2, "Row 1 of the cylinders.*radius is -2.0"),
            ("cylinders", CYLINDER, 7, -5, "Row 1 of the cylinders.*height is -5.0"),
            ("cylinders", CYLINDER, 3, 1, r"Row 1 of the cylinders.*axis has length 1\.414"),
            ("cylinders", CYLINDER, 5, 0.8 + 2e-6, "Row 1 of the cylinders.*axis has length 1.0"),
            ("cuboids", CUBOID, 9, 0, "Row 1 of the cuboids.*edge x is 0.0"),
            ("cuboids", CUBOID, 3, 0, "Row 1 of the cuboids.*quaternion has length 0"),
            ("cuboids", CUBOID, 4, np.nan, "Row 1 of the cuboids.*quaternion x is nan"),
        ],
    )
    def test_what_is_no_solid_is_refused_by_row(self, kind, row, column, value, message):
        bad = list(row)
        bad[column] = value
        with pytest.raises(PorescopeError, match=message):
            Primitives(**{kind: [row, bad, row]})

    @pytest.mark.parametrize(
        ("kind", "rows", "message"),
        [
            ("spheres", [[1, 2, 3]], r"spheres must be rows of 4 numbers \(z, y, x, radius\)"),
            ("spheres", SPHERE, "rows of 4"),
            ("spheres", "many", "rows of 4"),
            ("spheres", [[1, 2], [3]], "rows of 4"),
            ("cylinders", [SPHERE], "rows of 8"),
            ("cuboids", [CYLINDER], "rows of 10"),
            ("spheres", [], "There is no primitive"),
            ("spheres", np.empty((0, 4)), "There is no primitive"),
        ],
    )
    def test_other_tables_are_refused(self, kind, rows, message):
        with pytest.raises(PorescopeError, match=message):
            Primitives(**{kind: rows})

    @pytest.mark.parametrize("shape", [(1, 2), (1, 2, 0), (1, 2, np.nan), 5, ("a", 1, 1)])
    def test_other_boxes_are_refused(self, shape):
        with pytest.raises(PorescopeError, match=re.escape(repr(shape))):
            Primitives([SPHERE], shape=shape)


class TestBounds:
    def test_of_simple_solids(self):
        assert Primitives([SPHERE]).bounds == ((7, 13), (8, 14), (9, 15))
        upright = Primitives(cylinders=[[10, 11, 12, 1, 0, 0, 2, 9]])
        assert upright.bounds == ((5.5, 14.5), (9, 13), (10, 14))
        box = Primitives(cuboids=[CUBOID])
        np.testing.assert_allclose(box.bounds, ((9, 11), (9, 13), (9, 15)), atol=1e-12)
        both = Primitives([SPHERE], cuboids=[[0, 0, 0, 1, 0, 0, 0, 2, 2, 2]])
        np.testing.assert_allclose(both.bounds, ((-1, 13), (-1, 14), (-1, 15)), atol=1e-12)

    def test_quaternion_turns_right_handed_xyz_axes(self):
        """A quarter turn about x takes the own y axis to z."""
        half = np.sqrt(0.5)
        turned = Primitives(cuboids=[[0, 0, 0, half, half, 0, 0, 2, 4, 6]])
        np.testing.assert_allclose(turned.bounds, ((-2, 2), (-1, 1), (-3, 3)), atol=1e-12)
        third = Primitives(cuboids=[[0, 0, 0, 0.5, 0.5, 0.5, 0.5, 2, 4, 6]])  # x to y to z to x
        np.testing.assert_allclose(third.bounds, ((-2, 2), (-3, 3), (-1, 1)), atol=1e-12)

    def test_boxes_touch_the_surface(self):
        """No point of the surface lies outside, and some come close on every side."""
        random = np.random.default_rng(1)
        primitives = random_primitives(20, 20)
        points = random.normal(size=(20_000, 3))
        for row in primitives.cylinders:
            axis, radius, half = row[3:6], row[6], row[7] / 2
            across = points - (points @ axis)[:, np.newaxis] * axis
            rim = radius * across / np.linalg.norm(across, axis=1, keepdims=True)
            surface = row[:3] + np.concatenate([rim + half * axis, rim - half * axis])
            self._encloses("cylinders", row, surface)
        corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
        for row in primitives.cuboids:
            turn = Rotation.from_quat(row[[4, 5, 6, 3]])
            surface = row[:3] + turn.apply((corners * row[7:] / 2)[:, ::-1])[:, ::-1]
            self._encloses("cuboids", row, surface)

    @staticmethod
    def _encloses(kind, row, surface):
        lower, upper = (corner[0] for corner in bounding_boxes(kind, row[np.newaxis]))
        np.testing.assert_allclose(surface.min(axis=0), lower, atol=1e-3)
        np.testing.assert_allclose(surface.max(axis=0), upper, atol=1e-3)
        assert (surface >= lower - 1e-9).all()
        assert (surface <= upper + 1e-9).all()


class TestOrientation:
    angles = np.random.default_rng(2).uniform([-np.pi, 0, -np.pi], np.pi, (200, 3))
    poles = np.array([[0.3, 0, 0.4], [0.3, np.pi, 0.4], [0, 0, 0], [0, np.pi / 2, 0]])

    def test_angles_are_intrinsic_zxz(self):
        angles = np.concatenate([self.angles, self.poles])
        turns = Rotation.from_euler("ZXZ", angles)
        axes = turns.apply([0, 0, 1])[:, ::-1]
        np.testing.assert_allclose(euler_to_axis(angles), axes, atol=1e-15)
        w, *xyz = euler_to_quaternion(angles).T
        both = turns * Rotation.from_quat(np.stack([*xyz, w], axis=1)).inv()
        np.testing.assert_allclose(both.magnitude(), 0, atol=1e-7)

    def test_the_third_angle_turns_about_the_axis(self):
        other = self.angles + np.array([0, 0, 1])
        np.testing.assert_array_equal(euler_to_axis(other), euler_to_axis(self.angles))

    def test_there_and_back(self):
        angles = np.concatenate([self.angles, self.poles])
        axes, quaternions = euler_to_axis(angles), euler_to_quaternion(angles)
        np.testing.assert_allclose(euler_to_axis(axis_to_euler(axes)), axes, atol=1e-15)
        again = euler_to_quaternion(quaternion_to_euler(quaternions))
        np.testing.assert_allclose(again, quaternions, atol=1e-15)


class TestVoxelize:
    def test_agrees_with_every_voxel_tried(self):
        for seed in range(5):
            primitives = random_primitives(60, 24, seed)
            expected = dense_voxels(primitives, (24, 20, 30))
            assert 0.1 < expected.mean() < 0.95
            assert np.array_equal(voxelize(primitives, (24, 20, 30)), expected)

    def test_centres_decide_and_the_boundary_belongs(self):
        touching = Primitives([[1.5, 1.5, 1.5, 1]])
        assert voxelize(touching, (3, 3, 3))[:, 1, 1].all()
        short = Primitives([[1.5, 1.5, 1.5, 1 - 1e-12]])
        assert voxelize(short, (3, 3, 3)).sum() == 1
        box = Primitives(cuboids=[[1.5, 1.5, 1.5, 1, 0, 0, 0, 2, 1, 1]])
        assert np.argwhere(voxelize(box, (3, 3, 3))).tolist() == [[0, 1, 1], [1, 1, 1], [2, 1, 1]]

    def test_fills_the_box_that_the_sample_tells(self):
        sphere = Primitives([[2, 2, 2, 2]], shape=(4, 5, 6.5))
        assert voxelize(sphere).shape == (4, 5, 7)
        assert np.array_equal(voxelize(sphere, start=(1, 2, 3)), voxelize(sphere)[1:, 2:, 3:])

    @settings(max_examples=25, deadline=None)
    @given(cut=st.tuples(*[st.integers(1, 15)] * 3), origin=st.tuples(*[st.integers(-20, 20)] * 3))
    def test_blocks_fit_together(self, cut, origin):
        primitives = random_primitives(8, 16)
        whole = voxelize(primitives, (16, 16, 16), start=origin)
        z, y, x = cut
        for rows in ((0, z), (z, 16)):
            for columns in ((0, y), (y, 16)):
                block = np.s_[slice(*rows), slice(*columns), :x]
                start = (origin[0] + rows[0], origin[1] + columns[0], origin[2])
                part = voxelize(primitives, whole[block].shape, start=start)
                assert np.array_equal(part, whole[block])

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({}, "tell no box; give the shape"),
            ({"shape": (4, 4)}, "shape must be three whole numbers"),
            ({"shape": (4, 4, 4.5)}, "shape must be three whole numbers"),
            ({"shape": (4, 0, 4)}, "must be 1 or more"),
            ({"shape": (4, 4, 4), "start": (0, 0, 2**70)}, "start must be three whole"),
            ({"shape": (10**6, 10**5, 10**5)}, "voxels needs .* GiB, more than there is"),
            ({"shape": (10**12, 10**12, 10**12)}, "voxels needs .* GiB, more than there is"),
        ],
    )
    def test_other_blocks_are_refused(self, kwargs, message):
        with pytest.raises(PorescopeError, match=message):
            voxelize(Primitives([SPHERE]), **kwargs)

    @pytest.mark.parametrize("rows", [np.ones((3, 4)), [SPHERE], None])
    def test_only_primitives_are_voxelized(self, rows):
        with pytest.raises(PorescopeError, match="Only Primitives can be voxelized, not"):
            voxelize(rows, (4, 4, 4))

    def test_a_start_beyond_the_box_is_refused(self):
        with pytest.raises(PorescopeError, match="must be 1 or more"):
            voxelize(Primitives([SPHERE], shape=(4, 4, 4)), start=(0, 0, 4))
