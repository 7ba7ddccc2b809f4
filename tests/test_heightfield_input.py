"""What ``extract_heightfield`` takes and what it refuses, in one sentence each."""

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.geometry import Primitives, boolean_model
from porescope.imaging import extract_heightfield

BALL = Primitives([[10, 5, 5, 3]], shape=(20, 10, 10))
STEP = np.zeros((8, 4, 4), dtype=bool)
STEP[5:] = True


@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", ">u2", ">i4", "i8", "u8"])
def test_labels_of_any_type(dtype):
    assert (extract_heightfield(STEP.astype(dtype), 2).entry[0] == 3).all()


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_large_labels_are_solid_too(dtype):
    assert (extract_heightfield(STEP.astype(dtype) * 2**40, 2).entry[0] == 3).all()


GREY = np.random.default_rng(0).normal(100, 20, (20, 12, 9))


@pytest.mark.parametrize("dtype", ["u1", ">u2", "i4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_grey_image_needs_a_level(dtype, stacked):
    grey = GREY.astype(dtype)
    sample = Stack(grey, spacing_nm=(1, 1, 1)) if stacked else grey
    with pytest.raises(PorescopeError, match=r"as grey images do .* give the level"):
        extract_heightfield(sample, 2)
    extract_heightfield(sample, 2, level=100)


def test_a_large_grey_image_needs_a_level_wherever_its_vacuum_lies():
    grey = np.zeros((90, 80, 70), np.uint8)
    grey[60:] = np.random.default_rng(0).normal(100, 20, (30, 80, 70))
    with pytest.raises(PorescopeError, match="give the level"):
        extract_heightfield(grey, 2)


def test_many_labels_are_labels_where_the_stack_says_so():
    labels = np.arange(8 * 4 * 4, dtype=np.uint16).reshape(8, 4, 4)
    stack = Stack(labels, spacing_nm=(1, 1, 1), is_labels=True)
    field = extract_heightfield(stack, 0)
    assert field.entry[0, 0, 0] == 1
    assert (field.entry[0].ravel()[1:] == 0).all()
    assert (extract_heightfield(labels // 4, 0).entry[0].ravel() == [1] * 4 + [0] * 12).all()


@pytest.mark.parametrize("dtype", [">f4", "f8"])
def test_what_is_no_number_is_neither_solid_nor_pore(dtype):
    grey = GREY.astype(dtype)
    extract_heightfield(grey, 2, level=100)
    hole = grey.copy()
    hole[0, :2, :3] = np.nan
    for _ in range(2):
        with pytest.raises(PorescopeError, match=r"^In 6 voxels .* no number \(NaN\)"):
            extract_heightfield(hole, 15, level=100)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"level": np.nan}, "level must be a finite number"),
        ({"level": "5"}, "level must be a finite number, not '5'"),
        ({"spacing_nm": (1, 1)}, "three numbers"),
        ({"shape": (4, 4)}, "leave out the shape"),
        ({"device": "cuda"}, "device auto or cpu, not 'cuda'"),
    ],
)
def test_volumes_with_wrong_arguments(arguments, said):
    with pytest.raises(PorescopeError, match=said):
        extract_heightfield(STEP, **{"plane_z": 5, **arguments})


def test_a_voxel_size_may_be_an_array():
    assert (extract_heightfield(STEP, 2, spacing_nm=np.array([4, 1, 1])).entry[0] == 12).all()


@pytest.mark.parametrize("dtype", ["?", "f2", "g"])
def test_other_real_types_take_a_level_too(dtype):
    assert np.allclose(extract_heightfield(STEP.astype(dtype), 2, level=0.5).entry[0], 3)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "i4", "u4", "i8", ">f4", "f8"])
def test_grey_values_of_any_type(dtype):
    field = extract_heightfield(STEP.astype(dtype) * 100, 2, level=50)
    assert np.allclose(field.entry[0], 3)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4"])
def test_grey_values_may_be_negative(dtype):
    grey = np.where(STEP, 50, -50).astype(dtype)
    assert np.allclose(extract_heightfield(grey, 2, level=0).entry[0], 3)


def test_a_stack_has_its_own_voxel_size():
    stack = Stack(data=STEP, spacing_nm=(10, 5, 5))
    assert (extract_heightfield(stack, 2).entry[0] == 30).all()


@pytest.mark.parametrize("plane_z", [-1, 20, 1e9])
@pytest.mark.parametrize("sample", [BALL, np.zeros((20, 3, 3), bool)], ids=["list", "volume"])
def test_a_plane_outside_is_refused(sample, plane_z):
    with pytest.raises(PorescopeError, match="lies outside the"):
        extract_heightfield(sample, plane_z)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"plane_z": np.nan}, "finite"),
        ({"plane_z": "5"}, "finite"),
        ({"layers": 0}, "from 1 to 8"),
        ({"layers": 9}, "from 1 to 8"),
        ({"layers": 2.5}, "from 1 to 8"),
        ({"shape": (0, 5)}, "whole numbers"),
        ({"shape": (5,)}, "whole numbers"),
        ({"shape": (10**9, 10**9)}, "larger than any image"),
        ({"level": 3}, "no level"),
        ({"spacing_nm": (1, 1, 1)}, "no voxel size"),
        ({"device": "tpu"}, "auto, cpu or cuda"),
    ],
)
def test_primitives_with_wrong_arguments(arguments, said):
    with pytest.raises(PorescopeError, match=said):
        extract_heightfield(BALL, **{"plane_z": 5, **arguments})


@pytest.mark.parametrize(
    "sample",
    [
        "list.txt",
        None,
        np.zeros((4, 4)),
        np.full((3, 3, 3), -1),
        np.ones((3, 3, 3), "c8"),
        STEP.astype(object),
    ],
)
def test_what_is_no_sample(sample):
    with pytest.raises(PorescopeError, match=r"^[^\n]*\.$"):
        extract_heightfield(sample, 1)


def test_a_shape_is_asked_for_where_none_is_known():
    with pytest.raises(PorescopeError, match="give the shape"):
        extract_heightfield(Primitives([[10, 5, 5, 3]]), 0)


def test_generated_samples_know_their_box():
    sample = boolean_model("sphere", porosity=0.6, shape=(30, 20, 25), radius=4)
    assert extract_heightfield(sample, 10).entry.shape == (2, 20, 25)
