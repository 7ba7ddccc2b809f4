import filecmp
import json
import math
import os
import pickle

import dask.array
import numpy as np
import pytest
import zarr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from porescope import Stack
from porescope.errors import Cancelled, PorescopeError
from porescope.io import can_read, lazy, read_stack, slabs, write_stack
from porescope.io.zarr_writer import pyramid

FORMATS = (".ome.zarr", ".ome.tif", ".tif")
TYPES = ("bool", "uint8", "uint16", "uint32", "int16", "float32", "float64")

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def stacks(draw):
    shape = tuple(draw(st.integers(1, size)) for size in (5, 20, 20))
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    if dtype.kind == "f":
        data = random.normal(scale=1e3, size=shape).astype(dtype)
    elif dtype.kind == "b":
        data = random.random(shape) < 0.5
    else:
        limits = np.iinfo(dtype)
        data = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if draw(st.booleans()):
        chunks = tuple(draw(st.integers(1, size)) for size in shape)
        data = dask.array.from_array(data, chunks=chunks)
    length = st.floats(1e-3, 1e5)
    position = st.floats(-1e6, 1e6)
    return Stack(
        data=data,
        spacing_nm=draw(st.tuples(length, length, length)),
        beam_kv=draw(st.none() | st.floats(0.1, 30)),
        slice_z_nm=draw(st.none() | st.lists(position, min_size=shape[0], max_size=shape[0])),
        detector=draw(st.none() | texts),
        metadata=draw(st.dictionaries(texts, plain, max_size=3)),
        history=draw(st.lists(st.dictionaries(texts, plain, max_size=2), max_size=2)),
        origin_yx_nm=draw(st.tuples(position, position)),
        is_labels=draw(st.booleans()),
    )


def assert_same(stack, other):
    assert other.data.dtype == stack.data.dtype
    np.testing.assert_array_equal(np.asarray(other.data), np.asarray(stack.data))
    np.testing.assert_array_equal(other.slice_z_nm, stack.slice_z_nm)
    for name in ("spacing_nm", "beam_kv", "detector", "metadata", "history", "origin_yx_nm"):
        assert getattr(other, name) == getattr(stack, name), name
    assert other.is_labels == stack.is_labels


@settings(max_examples=150, deadline=None)
@example(stack=Stack(np.zeros((1, 1, 1), bool), (1, 1, 1), detector=""), suffix=".ome.tif")
@given(stack=stacks(), suffix=st.sampled_from(FORMATS))
def test_every_number_survives(stack, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / f"stack{suffix}"
    assert write_stack(path, stack) == path
    assert can_read(path)
    assert_same(stack, read_stack(path))


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_caller_wins_over_the_file(suffix, tmp_path):
    path = tmp_path / f"stack{suffix}"
    write_stack(path, Stack(np.ones((3, 4, 5), np.uint8), (10, 2, 3), beam_kv=1))
    stack = read_stack(path, spacing_nm=(20, None, None), beam_kv=2)
    assert stack.spacing_nm == (20, 2, 3)
    assert stack.slice_z_nm.tolist() == [0, 20, 40]
    assert stack.beam_kv == 2


@pytest.mark.parametrize("suffix", FORMATS)
def test_large_volumes_stay_on_the_disk_and_travel_as_names(suffix, tmp_path, monkeypatch):
    data = np.arange(6 * 40 * 50, dtype=np.uint16).reshape(6, 40, 50)
    path = tmp_path / f"stack{suffix}"
    write_stack(path, Stack(data, (10, 2, 3)))
    monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 100)
    monkeypatch.setattr(lazy, "READ_BYTES", 1)
    volume = read_stack(path).data
    assert isinstance(volume, dask.array.Array)
    if suffix != ".ome.zarr":
        assert volume.chunksize == (1, 40, 50)
    pickled = pickle.dumps(volume)
    assert len(pickled) < 5000
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.compute(), data)
    np.testing.assert_array_equal(again[3].compute(), data[3])
    np.testing.assert_array_equal(again[1:5:2, 7, ::-1].compute(), data[1:5:2, 7, ::-1])


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_stack_same_bytes(suffix, tmp_path):
    random = np.random.default_rng(1)
    data = random.integers(0, 255, (7, 30, 600), np.uint8)
    once, again = tmp_path / f"a/stack{suffix}", tmp_path / f"b/stack{suffix}"
    write_stack(once, Stack(data, (10, 2, 3), metadata={"b": 1, "a": 2}))
    chunked = dask.array.from_array(data, chunks=(2, 11, 100))
    write_stack(again, Stack(chunked, (10, 2, 3), metadata={"b": 1, "a": 2}))
    if suffix != ".ome.zarr":
        assert once.read_bytes() == again.read_bytes()
        return
    files = sorted(file.relative_to(once) for file in once.rglob("*") if file.is_file())
    assert files == sorted(f.relative_to(again) for f in again.rglob("*") if f.is_file())
    assert filecmp.cmpfiles(once, again, files, shallow=False)[0] == files


@pytest.mark.parametrize("suffix", FORMATS)
def test_slabs_bound_what_is_in_memory(suffix, tmp_path, monkeypatch):
    for module in ("slabs", "zarr_writer"):
        monkeypatch.setattr(f"porescope.io.{module}.SLAB_BYTES", 3 * 1000)
    sizes = []
    writer = "zarr_writer" if suffix == ".ome.zarr" else "tiff_writer"
    monkeypatch.setattr(
        f"porescope.io.{writer}.load",
        lambda data, slab: sizes.append(slab.stop - slab.start) or slabs.load(data, slab),
    )
    data = np.arange(10 * 20 * 50, dtype=np.uint8).reshape(10, 20, 50)
    for name, chunks in (("a", (1, 20, 50)), ("b", (2, 20, 50)), ("c", (10, 20, 50))):
        path = tmp_path / f"{name}{suffix}"
        write_stack(path, Stack(dask.array.from_array(data, chunks=chunks), (1, 1, 1)))
        np.testing.assert_array_equal(read_stack(path).data, data)
    assert sizes == [3, 3, 3, 1] + [2] * 5 + [3, 3, 3, 1]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 12))
def test_slabs_cover_each_slice_once(chunks, most):
    data = dask.array.zeros((sum(chunks), 2, 2), chunks=(tuple(chunks), 2, 2), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "SLAB_BYTES", most * 4)
        parts = slabs.slabs(data)
    assert [z for part in parts for z in range(part.start, part.stop)] == list(range(sum(chunks)))
    assert max(part.stop - part.start for part in parts) <= most


def test_fields_are_dropped_where_another_program_cropped(tmp_path):
    import tifffile

    path = tmp_path / "stack.tif"
    slice_z_nm = [0.0, 9.0, 21.0]
    write_stack(
        path, Stack(np.ones((3, 4, 5), np.uint8), (10, 2, 2), beam_kv=2, slice_z_nm=slice_z_nm)
    )
    with tifffile.TiffFile(path) as tif:
        info = tif.imagej_metadata["Info"]
    tifffile.imwrite(
        tmp_path / "cropped.tif",
        np.ones((2, 4, 5), np.uint8),
        imagej=True,
        resolution=(0.25, 0.25),
        metadata={"axes": "ZYX", "unit": "nm", "spacing": 12, "Info": info},
    )
    stack = read_stack(tmp_path / "cropped.tif")
    assert stack.spacing_nm == pytest.approx((12, 4, 4))
    assert stack.slice_z_nm.tolist() == [0, 12]
    assert stack.beam_kv == 2


def test_imagej_finds_the_voxel_size(tmp_path):
    import tifffile

    path = tmp_path / "stack.tif"
    write_stack(path, Stack(np.ones((3, 4, 5), np.uint16), (10.16, 2.5, 4)))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata["unit"] == "nm"
        assert tif.imagej_metadata["spacing"] == 10.16
        page = tif.pages.first
        assert page.tags["XResolution"].value[0] / page.tags["XResolution"].value[1] == 1 / 4
        assert page.tags["YResolution"].value[0] / page.tags["YResolution"].value[1] == 0.4


def test_pyramid_halves_to_512_and_z_once_slices_are_thin():
    def factors(shape, spacing_nm):
        return pyramid(Stack(np.broadcast_to(np.uint8(0), shape), spacing_nm))

    assert factors((9, 512, 512), (1, 1, 1)) == [(1, 1, 1)]
    assert factors((9, 513, 8), (1, 1, 1)) == [(1, 1, 1), (2, 2, 2)]
    assert factors((9, 2048, 99), (3, 1, 1)) == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]
    assert factors((9, 4096, 99), (4, 1, 1))[-1] == (2, 8, 8)
    assert factors((1, 2048, 99), (1, 1, 1)) == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]


@pytest.mark.parametrize("spacing_nm", [(1, 1, 1), (5, 1, 1)])
def test_levels_are_means_of_images_and_samples_of_labels(spacing_nm, tmp_path):
    random = np.random.default_rng(2)
    data = random.integers(0, 60000, (3, 5, 1027), np.uint16)
    labels = Stack((data % 7).astype(np.uint8), spacing_nm, is_labels=True)
    write_stack(tmp_path / "a.ome.zarr", Stack(data, spacing_nm), labels={"phases": labels})
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert [group[level].shape[2] for level in "012"] == [1027, 514, 257]
    deep = 2 if spacing_nm[0] == 1 else 1
    mean = np.empty(group["1"].shape)
    for z, y, x in np.ndindex(mean.shape):
        block = data[deep * z : deep * z + deep, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        mean[z, y, x] = block.mean()
    # At an odd border the outermost voxels are all there is; elsewhere the mean is exact.
    np.testing.assert_allclose(group["1"][:], mean, atol=0.5)
    np.testing.assert_array_equal(group["labels/phases/1"][:], labels.data[::deep, ::2, ::2])
    again = read_stack(tmp_path / "a.ome.zarr/labels/phases")
    assert_same(labels, again)


def test_ome_zarr_is_valid_and_opens_without_porescope(tmp_path):
    from ome_zarr_models.v05 import Image, ImageLabel, Labels

    data = np.random.default_rng(3).integers(0, 255, (4, 600, 50), np.uint8)
    path = tmp_path / "stack.ome.zarr"
    labels = {"phases": Stack(data // 128, (10, 2, 3)), "grains": Stack(data, (10, 2, 3))}
    stack = Stack(data, (10, 2, 3), origin_yx_nm=(6, 9), slice_z_nm=[5, 15, 26, 35])
    write_stack(path, stack, labels=labels)
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == 3
    image = Image.from_zarr(group)
    assert image.ome_attributes.version == "0.5"
    assert {axis.unit for axis in image.ome_attributes.multiscales[0].axes} == {"nanometer"}
    first, second = image.ome_attributes.multiscales[0].datasets
    assert [list(step.model_dump().values())[1] for step in first.coordinateTransformations] == [
        [10, 2, 3],
        [5, 6, 9],
    ]
    assert second.coordinateTransformations[1].translation == [5, 7, 10.5]
    Labels.from_zarr(group["labels"])
    assert Labels.from_zarr(group["labels"]).ome_attributes.labels == ["grains", "phases"]
    ImageLabel.from_zarr(group["labels/phases"])
    np.testing.assert_array_equal(group["0"][:], data)
    chunks = [group[level].chunks for level in "01"]
    assert all(math.prod(chunk) * 1 <= 4 << 20 for chunk in chunks)
    write_stack(tmp_path / "labels.ome.zarr", Stack(data, (10, 2, 3), is_labels=True))
    ImageLabel.from_zarr(zarr.open_group(tmp_path / "labels.ome.zarr", mode="r"))
    codecs = json.loads((path / "0/zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in codecs] == ["bytes", "zstd"]


def stack_of(dtype="uint8"):
    return Stack(np.ones((4, 5, 6), dtype), (10, 2, 2))


@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_is_overwritten(suffix, tmp_path):
    path = tmp_path / f"stack{suffix}"
    path.write_text("mine")
    with pytest.raises(PorescopeError, match=r"stack\..* exists already; choose another name"):
        write_stack(path, stack_of())
    assert path.read_text() == "mine"


@pytest.mark.parametrize("suffix", FORMATS)
def test_cancel_leaves_nothing(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("porescope.io.slabs.SLAB_BYTES", 1)
    done = []
    with pytest.raises(Cancelled):
        write_stack(
            tmp_path / f"stack{suffix}",
            stack_of(),
            progress=lambda count, total: done.append((count, total)),
            cancel=lambda: len(done) > 2,
        )
    assert done == [(0, 4), (1, 4), (2, 4)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_full_disk_leaves_nothing(suffix, tmp_path):
    def full(block):
        raise OSError(28, "No space left on device")

    lazily = dask.array.zeros((4, 5, 6), chunks=(1, 5, 6), dtype=np.uint8).map_blocks(
        full, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)
    )
    with pytest.raises(PorescopeError, match=r"Cannot write .*stack.*No space left on device"):
        write_stack(tmp_path / f"stack{suffix}", Stack(lazily, (1, 1, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["stack.png", "stack", "stack.zarr", ".ome.zarr", "stack.ome"])
def test_unknown_suffix_is_refused(name, tmp_path):
    with pytest.raises(PorescopeError, match=r"written as \.ome\.zarr, \.ome\.tif, \.tif"):
        write_stack(tmp_path / name, stack_of())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["uint64", "int64", "float16"])
def test_what_ome_tiff_cannot_hold_is_refused(dtype, tmp_path):
    with pytest.raises(PorescopeError, match=f"cannot hold voxels of type {dtype}.*ome.zarr"):
        write_stack(tmp_path / "stack.ome.tif", stack_of(dtype))
    assert list(tmp_path.iterdir()) == []


def test_labels_must_fit_the_image(tmp_path):
    wrong = {
        "phases": Stack(np.ones((4, 5, 7), np.uint8), (10, 2, 2)),
        "soft": stack_of("float32"),
        "../out": stack_of(),
    }
    for name, labels in wrong.items():
        with pytest.raises(PorescopeError, match="Labels"):
            write_stack(tmp_path / "a.ome.zarr", stack_of(), labels={name: labels})
    with pytest.raises(PorescopeError, match="cannot hold labels beside the image"):
        write_stack(tmp_path / "a.tif", stack_of(), labels={"phases": stack_of()})
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_json_cannot_hold_are_refused(tmp_path):
    stack = Stack(np.ones((1, 2, 2)), (1, 1, 1), metadata={"bad": object()})
    with pytest.raises(PorescopeError, match="cannot be written as JSON"):
        write_stack(tmp_path / "a.ome.zarr", stack)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".ome.tif", ".tif"])
def test_beyond_4_gib_offsets_have_8_bytes(suffix, tmp_path, monkeypatch):
    import tifffile

    monkeypatch.setattr("porescope.io.tiff_writer.CLASSIC_BYTES", 100)
    stack = stack_of()
    write_stack(tmp_path / f"a{suffix}", stack)
    with tifffile.TiffFile(tmp_path / f"a{suffix}") as tif:
        assert tif.is_bigtiff
    assert_same(stack, read_stack(tmp_path / f"a{suffix}"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_read_only_folder(suffix, tmp_path):
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(PorescopeError, match=r"Cannot write .*stack.*: Permission denied"):
        write_stack(tmp_path / f"stack{suffix}", stack_of())
    assert list(tmp_path.iterdir()) == []


def test_missing_source_is_named_rather_than_the_target(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
    np.save(tmp_path / "source.npy", np.ones((3, 4, 5), np.uint8))
    stack = read_stack(tmp_path / "source.npy", (1, 1, 1))
    (tmp_path / "source.npy").unlink()
    with pytest.raises(PorescopeError, match=r"There is no .*source\.npy"):
        write_stack(tmp_path / "a.ome.zarr", stack)
    assert list(tmp_path.iterdir()) == []


def test_chunks_under_way_do_not_outlive_the_clearing_up(tmp_path, monkeypatch):
    import asyncio
    import time

    original = zarr.storage.LocalStore.set

    async def full(store, key, value):
        if key.endswith("c/0/0/0"):
            raise OSError(28, "No space left on device")
        if "/c/" in key:
            await asyncio.sleep(0.05)
        await original(store, key, value)

    monkeypatch.setattr(zarr.storage.LocalStore, "set", full)
    monkeypatch.setattr("porescope.io.zarr_writer.CHUNK_PIXELS", 8)
    stack = Stack(np.ones((3, 64, 64), np.uint8), (1, 1, 1))
    with pytest.raises(PorescopeError, match="No space left on device"):
        write_stack(tmp_path / "stack.ome.zarr", stack)
    time.sleep(0.2)
    assert list(tmp_path.iterdir()) == []
