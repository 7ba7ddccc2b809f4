"""Planes of one sample after another: what is used again must not show."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from porescope import _core
from porescope.geometry import Primitives, boolean_model
from porescope.imaging import extract_heightfield

SHAPE = (140, 75, 90)


def sample(kind):
    size = {"sphere": {"radius": (4, 9)}, "cube": {"edge": (6, 14)}}
    size["cylinder"] = {"radius": (2, 5), "height": (20, 60)}
    return boolean_model(kind, porosity=0.5, shape=SHAPE, seed=3, **size[kind])


def check_same(found, expected):
    for name in ("entry", "exit", "normal"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("kind", ["sphere", "cylinder", "cube"])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_a_plane_swept_to_equals_the_plane_alone(kind, layers):
    swept = sample(kind)
    for plane_z in (0, 0.5, 1.5, 4, 14, 14, 15, 40, 39, 41.25, 110, 125, 139):
        found = extract_heightfield(swept, plane_z, layers=layers, device="cpu")
        alone = extract_heightfield(sample(kind), plane_z, layers=layers, device="cpu")
        check_same(found, alone)


def test_a_sweep_that_begins_again_equals_planes_alone():
    swept = sample("cylinder")
    for plane_z in (30, 31, 32, 100, 101, 30.5, 31.5, 120, 28, 29):
        found = extract_heightfield(swept, plane_z, device="cpu")
        check_same(found, extract_heightfield(sample("cylinder"), plane_z, device="cpu"))


def test_a_sweep_with_other_layers_in_between():
    swept = sample("sphere")
    expected = extract_heightfield(sample("sphere"), 33, layers=3, device="cpu")
    for plane_z, layers in ((30, 3), (31, 3), (31.5, 2), (32, 2), (32.5, 3), (33, 3)):
        found = extract_heightfield(swept, plane_z, layers=layers, device="cpu")
    check_same(found, expected)


def test_earlier_planes_stay_as_they_were():
    swept = sample("sphere")
    held = [extract_heightfield(swept, z, device="cpu") for z in range(20)]
    copies = [field.entry.copy() for field in held]
    for z in range(20, 40):
        extract_heightfield(swept, z, device="cpu")
    for field, copy in zip(held, copies, strict=True):
        assert np.array_equal(field.entry, copy)


def test_several_threads_may_sweep_one_sample():
    swept = sample("cylinder")
    planes = [float(z) for z in range(0, 60, 3)]
    alone = [extract_heightfield(sample("cylinder"), z, device="cpu") for z in planes]
    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(extract_heightfield, swept, z, device="cpu") for z in planes * 3]
    for job, expected in zip(work, alone * 3, strict=True):
        check_same(job.result(), expected)


@pytest.mark.parametrize("name", _core.instruction_sets())
def test_a_sweep_in_each_instruction_set(name):
    tables = sample("sphere")
    tables = (tables.spheres, tables.cylinders, tables.cuboids)
    swept = _core.Bins(*tables, 75, 90)
    for plane_z in (10.0, 11.0, 12.0, 22.0):
        found = swept.heightfield(plane_z, 2, instruction_set=name)
        alone = _core.Bins(*tables, 75, 90).heightfield(plane_z, 2)
        assert all(np.array_equal(*pair) for pair in zip(found, alone, strict=True))


def test_pixels_beyond_the_primitives_see_nothing():
    ball = Primitives([[5, 5, 5, 3]])
    for plane_z in (0, 1, 3, 20):
        field = extract_heightfield(ball, plane_z, shape=(300, 33), device="cpu")
        assert np.isinf(field.entry[:, 20:]).all()
        assert (field.normal[:, 20:] == 0).all()
