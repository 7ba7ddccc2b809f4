"""What napari opens and saves through the plugin's manifest, without a window."""

import json

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.errors import MissingMetadata
from porescope.io import write_stack
from porescope.pipeline import Workspace, save_workspace

pytest.importorskip("napari", reason="napari is not installed")
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from npe2 import PluginManager, PluginManifest

from porescope.viewer.layers import from_layer, to_layer_data

PLUGIN = "napari-porescope"
SPACING_NM = (10.0, 2.5, 3.0)


@pytest.fixture
def viewer():
    PluginManager.instance().discover()
    return ViewerModel()


def an_image(kv=2.0, seed=0, **fields):
    data = np.random.default_rng(seed).integers(0, 255, (4, 12, 14)).astype(np.uint8)
    fields = {"slice_z_nm": [5.0, 16.0, 24.5, 36.0], "detector": "InLens"} | fields
    return Stack(data=data, spacing_nm=SPACING_NM, beam_kv=kv, **fields)


def some_labels():
    return an_image(None).with_data(
        (an_image().data > 128).astype(np.uint8), is_labels=True, detector=None
    )


def test_every_command_of_the_manifest_can_be_imported():
    manifest = PluginManifest.from_distribution(PLUGIN)
    manifest.validate_imports()
    assert manifest.display_name == "Porescope: FIB-SEM tomography"


def test_menus_lead_to_commands_that_exist():
    contributions = PluginManifest.from_distribution(PLUGIN).contributions
    commands = {command.id for command in contributions.commands}
    named = {item.command for items in contributions.menus.values() for item in items}
    assert named <= commands
    assert {"napari/layers/register", "napari/layers/segment", "napari/layers/measure"} <= set(
        contributions.menus
    )


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif", ".tif"])
@pytest.mark.parametrize("stack", [an_image(), some_labels()], ids=["image", "labels"])
def test_a_layer_saved_and_opened_again_is_the_same(viewer, tmp_path, suffix, stack):
    path = tmp_path / f"saved{suffix}"
    layer = viewer.add_layer(Layer.create(*to_layer_data(stack, "2kV")))
    assert viewer.layers.save(str(path), plugin=PLUGIN) == [str(path)]
    (opened,) = viewer.open(path, plugin=PLUGIN)
    assert type(opened) is type(layer)
    assert opened.name == "saved"
    assert np.array_equal(opened.data, layer.data)
    assert np.allclose(opened.scale, SPACING_NM)
    assert [f"{unit:~}" for unit in opened.units] == ["nm"] * 3
    again = from_layer(opened)
    assert np.allclose(again.slice_z_nm, stack.slice_z_nm)
    assert (again.beam_kv, again.detector) == (stack.beam_kv, stack.detector)


def test_an_image_and_its_labels_are_saved_as_one_ome_zarr(viewer, tmp_path):
    path = tmp_path / "both.ome.zarr"
    for stack, name in ((some_labels(), "solid"), (an_image(), "2kV")):
        viewer.add_layer(Layer.create(*to_layer_data(stack, name)))
    assert viewer.layers.save(str(path), plugin=PLUGIN) == [str(path)]
    image, labels = ViewerModel().open(path, plugin=PLUGIN)
    assert isinstance(image, Image)
    assert isinstance(labels, Labels)
    assert labels.name == "solid"
    assert np.array_equal(labels.data, some_labels().data)
    assert np.allclose(labels.scale, SPACING_NM)


def test_saving_never_replaces_what_exists(viewer, tmp_path):
    path = tmp_path / "mine.tif"
    path.write_bytes(b"precious")
    viewer.add_layer(Layer.create(*to_layer_data(an_image(), "2kV")))
    with pytest.raises(PorescopeError, match=r"mine\.tif exists already"):
        viewer.layers.save(str(path), plugin=PLUGIN)
    assert path.read_bytes() == b"precious"


def test_a_layer_without_a_voxel_size_is_not_saved(viewer, tmp_path):
    viewer.add_image(np.zeros((3, 4, 5)), name="raw")
    with pytest.raises(PorescopeError, match="voxel size of layer 'raw'"):
        viewer.layers.save(str(tmp_path / "raw.tif"), plugin=PLUGIN)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_voltages_opens_as_one_layer_each(viewer, tmp_path):
    for kv in (4, 1, 2):
        write_stack(tmp_path / f"{kv}kV.ome.tif", an_image(kv, seed=kv))
    layers = viewer.open(tmp_path, plugin=PLUGIN)
    assert [layer.name for layer in layers] == ["1kV", "2kV", "4kV"]
    assert [from_layer(layer).beam_kv for layer in layers] == [1, 2, 4]


def test_a_result_opens_with_all_its_volumes(viewer, tmp_path):
    workspace = Workspace(
        images=(an_image(1), an_image(2, seed=1)), labels=some_labels(), truth=some_labels()
    )
    save_workspace(tmp_path / "result", workspace)
    layers = viewer.open(tmp_path / "result", plugin=PLUGIN)
    assert [layer.name for layer in layers] == ["1kV", "2kV", "truth", "labels"]
    assert [type(layer) for layer in layers] == [Image, Image, Labels, Labels]
    assert layers[-1].visible
    assert not layers[2].visible
    assert not np.allclose(layers[2].get_color(1), layers[3].get_color(1))


def test_a_file_that_does_not_tell_its_voxel_size_asks_for_it(viewer, tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(MissingMetadata, match=r"bare\.npy") as caught:
        viewer.open(tmp_path / "bare.npy", plugin=PLUGIN)
    assert set(caught.value.missing) >= {"z", "y", "x"}
    assert not viewer.layers


def test_a_broken_file_is_told_in_a_sentence(viewer, tmp_path):
    (tmp_path / "text.tif").write_text("not a picture")
    with pytest.raises(PorescopeError, match=r"text\.tif"):
        viewer.open(tmp_path / "text.tif", plugin=PLUGIN)


def test_what_is_not_for_us_is_left_to_others(tmp_path):
    from porescope.viewer.readers import get_reader

    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("buy cheese")
    assert get_reader(str(tmp_path / "notes")) is None
    assert get_reader([str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]) is None


def blocks(values, dtype=np.uint8, size=6):
    """Labels in areas of several voxels."""
    chosen = np.random.default_rng(0).choice(values, size=(4, 5, 7))
    return chosen.repeat(size, axis=1).repeat(size, axis=2).astype(dtype)


def noise(values, dtype=np.uint16, shares=None):
    return np.random.default_rng(0).choice(values, size=(4, 30, 42), p=shares).astype(dtype)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (blocks([0, 1]), Labels),
        (blocks([0, 1], np.int64), Labels),
        (blocks([0, 1, 2, 3], np.uint16), Labels),
        (noise([0, 1], bool), Labels),
        (blocks([0, 255]), Image),
        (blocks([0, 1, 3]), Image),
        (blocks([1, 2]), Image),
        (blocks([-1, 0, 1], np.int8), Image),
        (blocks(range(9)), Image),
        (blocks([0, 1], np.float32), Image),
        (np.zeros((4, 30, 42), np.uint8), Image),
        (noise([0, 1]), Image),
        (noise([0, 1, 2], shares=[0.97, 0.02, 0.01]), Image),
        (blocks([0, 1]).repeat(80, axis=1), Labels),
    ],
)
def test_a_file_that_does_not_tell_is_opened_as_labels_only_where_it_cannot_be_else(
    tmp_path, data, kind
):
    from porescope.viewer.readers import read_layers

    np.save(tmp_path / "mask.npy", data)
    ((_, attributes, opened),) = read_layers(tmp_path / "mask.npy", SPACING_NM)
    assert opened == kind.__name__.lower()
    layer = Layer.create(data, attributes, opened)
    assert from_layer(layer).is_labels == (kind is Labels)
    ((*_, of_voltage),) = read_layers(tmp_path / "mask.npy", SPACING_NM, 2.0)
    assert of_voltage == ("labels" if data.dtype == bool else "image")


def test_the_sample_data_open(viewer):
    samples = dict(PluginManager.instance().iter_sample_data())
    assert {sample.key for sample in samples[PLUGIN]} == {"gold", "gold_truth"}
    images = viewer.open_sample(PLUGIN, "gold")
    (truth,) = viewer.open_sample(PLUGIN, "gold_truth")
    assert [layer.name for layer in images] == ["1kV", "2kV", "4kV"]
    assert isinstance(truth, Labels)
    assert all(np.allclose(layer.scale[1:], truth.scale[1:]) for layer in images)


def test_a_recipe_result_is_recognised_by_its_index(tmp_path):
    from porescope.viewer.readers import is_result

    assert not is_result(tmp_path)
    (tmp_path / "workspace.json").write_text(json.dumps({}))
    assert is_result(tmp_path)
