import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from porescope import PorescopeError, Stack
from porescope.stack import region_slices

SPACING = (10.0, 2.5, 2.5)


def test_slices_lie_one_thickness_apart_unless_told():
    stack = Stack(np.zeros((3, 2, 2)), SPACING)
    assert stack.slice_z_nm.tolist() == [0, 10, 20]
    assert stack.evenly_sliced
    assert not Stack(stack.data, SPACING, slice_z_nm=[0, 9, 20]).evenly_sliced


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"data": np.zeros((4, 4))}, "three axes"),
        ({"data": np.zeros((0, 4, 4))}, "empty"),
        ({"data": np.zeros((2, 4, 4), complex)}, "real numbers"),
        ({"data": np.array([[["a"]]])}, "real numbers"),
        ({"spacing_nm": (1, float("nan"), 1)}, "above 0 nm"),
        ({"spacing_nm": (1, -2, 1)}, "above 0 nm"),
        ({"spacing_nm": (1, float("inf"), 1)}, "above 0 nm"),
        ({"spacing_nm": (1, 1)}, "three numbers"),
        ({"spacing_nm": ("a", 1, 1)}, "three numbers"),
        ({"spacing_nm": None}, "three numbers"),
        ({"slice_z_nm": [0, 1]}, "one for each"),
        ({"slice_z_nm": [0, np.nan, 2]}, "slice 1 is not a number"),
        ({"beam_kv": 0}, "above 0 kV"),
        ({"beam_kv": float("nan")}, "above 0 kV"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(fields, says):
    good = {"data": np.zeros((3, 4, 4)), "spacing_nm": SPACING}
    with pytest.raises(PorescopeError, match=says):
        Stack(**(good | fields))


def test_positions_cannot_be_changed_behind_its_back():
    positions = np.array([0.0, 10.0])
    stack = Stack(np.zeros((2, 2, 2)), SPACING, slice_z_nm=positions)
    positions[0] = 5
    assert stack.slice_z_nm[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        stack.slice_z_nm[0] = 1


def test_dask_data_stay_lazy():
    data = da.zeros((2, 3, 4), dtype=np.uint8)
    assert Stack(data, SPACING).data is data


def test_a_cropped_stack_knows_where_it_lies():
    stack = Stack(np.arange(60).reshape(3, 4, 5), (10, 2, 3), origin_yx_nm=(100, 200))
    part = stack.crop(*region_slices((1, None, None, 4), stack.shape))
    assert part.shape == (3, 3, 4)
    assert part.data[0, 0, 0] == 5
    assert part.origin_yx_nm == (102, 200)


@pytest.mark.parametrize("region", [(0, 5, 0, 5), (2, 2, 0, 5), (-1, 3, 0, 5), (3, 2, 0, 5)])
def test_a_region_beyond_the_image_is_refused(region):
    with pytest.raises(PorescopeError, match="does not lie in an image of 4 x 5"):
        region_slices(region, (3, 4, 5))


finite = st.floats(1e-3, 1e6)


@given(
    data=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)),
    spacing_nm=st.tuples(finite, finite, finite),
    beam_kv=st.none() | finite,
    origin_yx_nm=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
)
def test_xarray_round_trip_keeps_every_number(data, spacing_nm, beam_kv, origin_yx_nm):
    slice_z_nm = np.cumsum(np.random.default_rng(0).uniform(1, 9, len(data)))
    stack = Stack(
        data, spacing_nm, beam_kv, slice_z_nm, "TLD", {"dwell_us": 3}, [{"step": "x"}], origin_yx_nm
    )
    back = Stack.from_xarray(stack.to_xarray())
    np.testing.assert_array_equal(back.data, stack.data)
    np.testing.assert_array_equal(back.slice_z_nm, stack.slice_z_nm)
    for name in ("spacing_nm", "beam_kv", "detector", "metadata", "history", "origin_yx_nm"):
        assert getattr(back, name) == getattr(stack, name)


def test_from_xarray_takes_spacing_from_coordinates_or_asks():
    import xarray

    coordinates = {"z": [0.0, 7.0], "y": [0.0, 2.0], "x": [0.0, 3.0]}
    array = xarray.DataArray(np.zeros((2, 2, 2)), dims=("x", "y", "z"), coords=coordinates)
    assert Stack.from_xarray(array).spacing_nm == (7, 2, 3)
    with pytest.raises(PorescopeError, match="voxel size"):
        Stack.from_xarray(array.drop_vars("z"))
    with pytest.raises(PorescopeError, match="dimensions"):
        Stack.from_xarray(array.rename(x="t"))
