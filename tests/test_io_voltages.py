import imageio.v3
import numpy as np
import pytest
import tifffile

from porescope import Stack
from porescope.cli import main
from porescope.errors import MissingMetadata, PorescopeError
from porescope.io import is_voltage_folder, read_stack, read_voltages, write_stack
from porescope.io.stacks import voltage_in
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace
from porescope.tracking import never_cancel, no_progress

SPACING_NM = (10, 2, 2)
VOLUME = np.random.default_rng(1).integers(0, 255, (3, 8, 9), np.uint8)


def slices(folder, volume=VOLUME):
    folder.mkdir(parents=True)
    for index, image in enumerate(volume):
        imageio.v3.imwrite(folder / f"{index}.png", image)


@pytest.mark.parametrize(
    ("name", "beam_kv"),
    [
        ("2kV", 2), ("1.5 kV", 1.5), ("stack_2kv.tif", 2), ("500V", 0.5), ("0,8kV", 0.8),
        ("npg-4-kV_a", 4), ("10kV.ome.zarr", 10), ("V2", None), ("volume", None), ("3 views", None),
        ("1kV_2kV", None), ("0kV", None), ("2kVA", None), ("s2.1.5kV", None),
    ],
)  # fmt: skip
def test_voltage_in_a_name(name, beam_kv):
    assert voltage_in(name) == beam_kv


def test_sub_folders_sorted_by_voltage(tmp_path):
    for index, name in enumerate(("10kV", "2kV", "500V")):
        slices(tmp_path / name, VOLUME + np.uint8(index))
    slices(tmp_path / "truth")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "drift.json").write_text("{}")
    tifffile.imwrite(tmp_path / "truth.tif", VOLUME, photometric="minisblack")
    write_stack(tmp_path / "labels_2kV.ome.zarr", Stack(VOLUME, SPACING_NM))
    assert is_voltage_folder(tmp_path)
    stacks = read_voltages(tmp_path, SPACING_NM)
    assert [stack.beam_kv for stack in stacks] == [0.5, 2, 10]
    np.testing.assert_array_equal(stacks[0].data, VOLUME + np.uint8(2))
    with pytest.raises(MissingMetadata):
        read_voltages(tmp_path)


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".ome.zarr"])
def test_files_and_metadata_before_names(suffix, tmp_path):
    write_stack(tmp_path / f"first{suffix}", Stack(VOLUME, SPACING_NM, beam_kv=4))
    write_stack(tmp_path / f"second 2kV{suffix}", Stack(VOLUME, SPACING_NM, beam_kv=1))
    write_stack(tmp_path / f"third 2kV{suffix}", Stack(VOLUME, SPACING_NM))
    assert [stack.beam_kv for stack in read_voltages(tmp_path)] == [1, 2, 4]


def test_one_of_them_opened_by_itself_tells_the_same(tmp_path, monkeypatch):
    for name in ("1kV", "2kV"):
        slices(tmp_path / name)
    write_stack(tmp_path / "4kV.tif", Stack(VOLUME, SPACING_NM))
    write_stack(tmp_path / "labels 4kV.tif", Stack(VOLUME, SPACING_NM, is_labels=True))
    write_stack(tmp_path / "8kV.tif", Stack(VOLUME, SPACING_NM, beam_kv=3))
    names = ("2kV", "4kV.tif", "labels 4kV.tif", "8kV.tif")
    read = [read_stack(tmp_path / name, SPACING_NM) for name in names]
    assert [stack.beam_kv for stack in read] == [2, 4, None, 3]
    assert read_stack(tmp_path / "2kV", SPACING_NM, beam_kv=5).beam_kv == 5
    monkeypatch.chdir(tmp_path / "2kV")
    assert read_stack(".", SPACING_NM).beam_kv == 2


def test_info_heads_each_with_its_voltage(tmp_path, capsys):
    for name in ("1kV", "2kV"):
        slices(tmp_path / name)
    assert main(["info", str(tmp_path)]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert told == [f"{tmp_path} (1 kV)", f"{tmp_path} (2 kV)"]


def test_no_voltage(tmp_path):
    slices(tmp_path / "1kV")
    slices(tmp_path / "overview")
    with pytest.raises(PorescopeError, match="overview tells no beam voltage; put it into"):
        read_voltages(tmp_path, SPACING_NM)


def test_same_voltage_twice(tmp_path):
    slices(tmp_path / "1kV")
    slices(tmp_path / "1000V")
    with pytest.raises(PorescopeError, match=r"1kV and 1000V both have 1 kV|1000V and 1kV both"):
        read_voltages(tmp_path, SPACING_NM)


def test_other_shape(tmp_path):
    slices(tmp_path / "1kV")
    slices(tmp_path / "2kV", VOLUME[:, :, :8])
    with pytest.raises(PorescopeError, match=r"2kV has the shape \(3, 8, 8\), but 1kV has"):
        read_voltages(tmp_path, SPACING_NM)


def test_nothing_there(tmp_path):
    with pytest.raises(PorescopeError, match="holds no sub-folder or file with a stack"):
        read_voltages(tmp_path)
    with pytest.raises(PorescopeError, match=r"There is no .*absent"):
        read_voltages(tmp_path / "absent")
    assert not is_voltage_folder(tmp_path)
    assert not is_voltage_folder(tmp_path / "absent")


def test_slices_that_name_their_voltage_are_one_stack(tmp_path):
    slices(tmp_path / "a")
    for index, image in enumerate(VOLUME):
        imageio.v3.imwrite(tmp_path / f"npg_2kV_{index:03}.png", image)
    assert not is_voltage_folder(tmp_path)


def test_what_is_a_voltage_folder(tmp_path):
    write_stack(tmp_path / "1kV.tif", Stack(VOLUME, SPACING_NM))
    assert not is_voltage_folder(tmp_path)  # a single file is a slice or a stack
    write_stack(tmp_path / "2kV.tif", Stack(VOLUME, SPACING_NM))
    assert is_voltage_folder(tmp_path)
    write_stack(tmp_path / "3kV.ome.zarr", Stack(VOLUME, SPACING_NM))
    assert is_voltage_folder(tmp_path)
    assert not is_voltage_folder(tmp_path / "3kV.ome.zarr")
    assert not is_voltage_folder(tmp_path / "1kV.tif")


def test_one_energy_is_not_given_to_stacks_of_several(tmp_path):
    for name in ("1kV", "2kV"):
        slices(tmp_path / name)
    load = find_step("load")
    given = load.parse({"spacing_nm": SPACING_NM, "beam_kv": 3.0})
    with pytest.raises(PorescopeError, match="has a stack for each voltage"):
        load.function(
            Workspace(inputs=(tmp_path,)), given, progress=no_progress, cancel=never_cancel
        )
