"""Volumes on the disk as layers hold them."""

import dask.array as da
import numpy as np
import pytest
from dask.callbacks import Callback
from napari.components import ViewerModel
from napari.layers import Layer

from porescope import PorescopeError, Stack
from porescope.viewer.disk_volume import DiskVolume
from porescope.viewer.layers import from_layer, to_layer_data

VOXELS = np.random.default_rng(0).integers(0, 3, (5, 6, 7), dtype=np.uint8)


def on_disk(is_labels):
    return Stack(da.from_array(VOXELS, (1, 6, 7)), (10, 5, 5), is_labels=is_labels)


@pytest.mark.parametrize("is_labels", [False, True])
def test_a_layer_shows_it_and_gives_it_back(is_labels):
    stack = on_disk(is_labels)
    layer = Layer.create(*to_layer_data(stack, "volume"))
    viewer = ViewerModel()
    viewer.add_layer(layer)
    for index in (3, 0):
        viewer.dims.set_current_step(0, index)
        assert layer.get_value((10 * index, 10, 15), world=True) == VOXELS[index, 2, 3]
    viewer.dims.ndisplay = 3
    assert from_layer(layer).data is stack.data


def test_nothing_is_kept_of_what_was_seen():
    volume = DiskVolume(on_disk(False).data)
    computed = []
    with Callback(pretask=lambda *told: computed.append(told)):
        np.testing.assert_array_equal(volume[3], VOXELS[3])
        np.testing.assert_array_equal(volume[1:4, ::2, 5], VOXELS[1:4, ::2, 5])
        np.testing.assert_array_equal(np.asarray(volume), VOXELS)
        assert not computed
        volume.lazy[3].compute()
    assert computed


def test_painting_on_it_is_refused_in_a_sentence():
    layer = Layer.create(*to_layer_data(on_disk(True), "labels"))
    with pytest.raises(PorescopeError, match="correct a copy of it in the section Annotate"):
        layer.paint((0, 2, 2), 1)
