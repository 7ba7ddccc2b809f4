"""Stacks as napari layers and back, without a window."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porescope import PorescopeError, Stack

pytest.importorskip("napari", reason="napari is not installed")
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points

from porescope.viewer.layers import (
    SOLID_COLOUR,
    contrast_limits,
    from_layer,
    phase_colours,
    to_layer_data,
)

lengths = st.floats(1e-2, 1e5)
places = st.floats(-1e6, 1e6)


def small_stack(**fields):
    data = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    return Stack(**{"data": data, "spacing_nm": (10.0, 2.5, 3.0)} | fields)


def same(one: Stack, other: Stack) -> bool:
    return (
        np.array_equal(one.data, other.data)
        and np.allclose(one.spacing_nm, other.spacing_nm)
        and np.allclose(one.slice_z_nm, other.slice_z_nm)
        and np.allclose(one.origin_yx_nm, other.origin_yx_nm)
        and one.beam_kv == other.beam_kv
        and one.detector == other.detector
        and one.metadata == other.metadata
        and one.history == other.history
        and one.is_labels == other.is_labels
    )


@settings(max_examples=30, deadline=None)
@given(
    spacing_nm=st.tuples(lengths, lengths, lengths),
    steps=st.lists(st.floats(0.1, 1e4), min_size=3, max_size=3),
    first=places,
    origin_yx_nm=st.tuples(places, places),
    beam_kv=st.none() | st.floats(0.1, 30),
    is_labels=st.booleans(),
)
def test_a_stack_comes_back_from_its_layer(
    spacing_nm, steps, first, origin_yx_nm, beam_kv, is_labels
):
    stack = small_stack(
        spacing_nm=spacing_nm,
        slice_z_nm=first + np.cumsum([0.0, *steps]),
        origin_yx_nm=origin_yx_nm,
        beam_kv=beam_kv,
        detector="InLens",
        metadata={"vendor": "Zeiss"},
        history=[{"step": "align", "parameters": {}}],
        is_labels=is_labels,
    )
    assert same(from_layer(Layer.create(*to_layer_data(stack, "2kV"))), stack)


def test_a_layer_lies_where_its_stack_lies():
    stack = small_stack(slice_z_nm=[50, 60, 75, 80], origin_yx_nm=(5.0, 6.0))
    layer = Layer.create(*to_layer_data(stack, "2kV"))
    assert isinstance(layer, Image)
    assert layer.name == "2kV"
    assert tuple(layer.scale) == (10.0, 2.5, 3.0)
    assert [f"{unit:~}" for unit in layer.units] == ["nm"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert tuple(layer.translate) == (50.0, 5.0, 6.0)


def test_labels_make_a_labels_layer_even_when_boolean():
    stack = Stack(data=np.ones((2, 3, 3), bool), spacing_nm=(1, 1, 1), is_labels=True)
    layer = Layer.create(*to_layer_data(stack, "labels", colormap=phase_colours(SOLID_COLOUR)))
    assert isinstance(layer, Labels)
    assert layer.data.dtype == np.uint8
    assert np.allclose(layer.get_color(1), [1.0, 0xB0 / 255, 0.0, 1.0])


def test_every_length_unit_becomes_nm():
    layer = Image(np.zeros((3, 4, 5)), scale=(0.05, 0.004, 4.0), units=("um", "um", "nm"))
    layer.translate = (1.0, 0.5, 7.0)
    stack = from_layer(layer)
    assert np.allclose(stack.spacing_nm, (50, 4, 4))
    assert np.allclose(stack.slice_z_nm, [1000, 1050, 1100])
    assert np.allclose(stack.origin_yx_nm, (500, 7))


def test_a_layer_rescaled_in_napari_has_the_new_voxel_size():
    layer = Layer.create(*to_layer_data(small_stack(), "2kV"))
    layer.scale = (20.0, 5.0, 6.0)
    stack = from_layer(layer)
    assert stack.spacing_nm == (20.0, 5.0, 6.0)
    assert np.allclose(stack.slice_z_nm, [0, 20, 40, 60])


def test_a_duplicate_keeps_uneven_positions_and_one_cut_short_is_refused():
    stack = small_stack(slice_z_nm=[0, 10, 25, 30])
    data, attributes, kind = Layer.create(*to_layer_data(stack, "2kV")).as_layer_data_tuple()
    assert same(from_layer(Layer.create(data, attributes, kind)), stack)
    with pytest.raises(PorescopeError, match=r"has 3 slices .* positions are known of 4"):
        from_layer(Layer.create(data[:3], attributes, kind))


def test_an_even_stack_may_be_cut_short():
    data, attributes, kind = to_layer_data(small_stack(), "2kV")
    stack = from_layer(Layer.create(data[1:], attributes | {"translate": (10, 0, 0)}, kind))
    assert np.allclose(stack.slice_z_nm, [10, 20, 30])


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (Image(np.zeros((3, 4, 5)), name="raw"), r"What is the voxel size of layer 'raw'\?.*Load"),
        (Image(np.zeros((4, 5)), name="flat", units=("nm",) * 2), "'flat' has 2 axes"),
        (Image(np.zeros((3, 4, 5, 3)), name="rgb", rgb=True, units=("nm",) * 3), "'rgb' is in col"),
        (Points(np.zeros((1, 3)), name="dots"), "'dots' holds points"),
        (
            Image(np.zeros((3, 4, 5)), name="turned", rotate=(5, 0, 0), units=("nm",) * 3),
            "'turned' is turned",
        ),
    ],
)
def test_a_layer_that_is_no_stack_is_refused_in_a_sentence(layer, sentence):
    with pytest.raises(PorescopeError, match=sentence):
        from_layer(layer)


def test_contrast_looks_at_three_slices_only():
    da = pytest.importorskip("dask.array")
    read = []

    def plane(block_info=None):
        z = block_info[None]["chunk-location"][0]
        read.append(z)
        return np.full((1, 8, 8), float(z))

    chunks = ((1,) * 40, (8,), (8,))
    lazy = da.map_blocks(plane, chunks=chunks, dtype=float, meta=np.empty((0, 0, 0)))
    low, high = contrast_limits(lazy)
    assert set(read) == {0, 20, 39}
    assert 0 <= low < high <= 39


@pytest.mark.parametrize("value", [7.0, math.nan])
def test_contrast_of_a_blank_stack_is_a_range(value):
    low, high = contrast_limits(np.full((2, 3, 3), value))
    assert low < high


def test_layers_of_three_voltages_share_one_place_in_the_viewer():
    viewer = ViewerModel()
    for kv in (1, 2, 4):
        layer = Layer.create(*to_layer_data(small_stack(beam_kv=kv), f"{kv}kV"))
        viewer.add_layer(layer)
    assert viewer.dims.nsteps == (4, 5, 6)
    assert [from_layer(layer).beam_kv for layer in viewer.layers] == [1, 2, 4]
