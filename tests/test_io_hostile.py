"""Broken and hostile files end in one sentence with the file's name, or open; nothing else."""

import json
import struct
import warnings

import h5py
import imageio.v3
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from porescope import Stack
from porescope.errors import MissingMetadata, PorescopeError, PorescopeWarning
from porescope.io import can_read, guard, read_stack, write_stack
from porescope.io.zarr_reader import check_codecs

SPACING_NM = (10, 2, 2)
IMAGE = np.random.default_rng(0).integers(0, 255, (16, 20), np.uint8)
VOLUME = np.random.default_rng(1).integers(0, 255, (4, 16, 20), np.uint8)


def refusal(path, match, spacing_nm=SPACING_NM):
    with pytest.raises(PorescopeError, match=match) as caught:
        read_stack(path, spacing_nm)
    message = str(caught.value)
    assert "\n" not in message
    assert message[-1] in ".)"
    return message


def tiff_header(width, height, bits=8, compression=1, offset=200, count=64):
    """A little-endian TIFF of one page that declares what it likes."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression),
        (262, 3, 1, 1), (273, 4, 1, offset), (277, 3, 1, 1), (278, 4, 1, height),
        (279, 4, 1, count),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)).ljust(300, b"\0")


class TestBrokenTiff:
    def test_truncated(self, tmp_path):
        for name, kwargs in {
            "plain.tif": {},
            "packed.tif": {"compression": "zlib"},
            "imagej.tif": {"imagej": True, "metadata": {"axes": "ZYX"}},
            "ome.ome.tif": {"metadata": {"axes": "ZYX"}},
            "pages.tif": {"metadata": None},
        }.items():
            path = tmp_path / name
            tifffile.imwrite(path, VOLUME, photometric="minisblack", **kwargs)
            whole = path.read_bytes()
            assert read_stack(path, SPACING_NM).shape == VOLUME.shape
            for part in (0.3, 0.6, 0.9):
                path.write_bytes(whole[: int(len(whole) * part)])
                refusal(path, name)

    def test_text_named_tif(self, tmp_path):
        path = tmp_path / "notes.tif"
        path.write_text("Slices were milled on Monday.")
        refusal(path, r"notes\.tif cannot be read: it is damaged or not what its name says")

    def test_empty(self, tmp_path):
        path = tmp_path / "empty.tif"
        path.touch()
        refusal(path, r"empty\.tif is empty \(0 bytes\)")

    def test_missing(self, tmp_path):
        refusal(tmp_path / "absent.tif", "There is no .*absent")

    @pytest.mark.parametrize("compression", [1, 8, 5])
    def test_declares_a_million_squared(self, compression, tmp_path):
        path = tmp_path / "huge.tif"
        path.write_bytes(tiff_header(10**6, 10**6, compression=compression))
        refusal(path, r"huge\.tif declares a slice or chunk of 931 GiB")

    def test_declares_more_than_it_holds(self, tmp_path):
        path = tmp_path / "large.tif"
        path.write_bytes(tiff_header(20_000, 20_000))
        refusal(path, r"large\.tif declares .* but holds only")
        path.write_bytes(tiff_header(20_000, 20_000, compression=8))
        refusal(path, r"large\.tif declares .* but holds only 64")

    def test_strip_beyond_the_end(self, tmp_path):
        path = tmp_path / "strip.tif"
        path.write_bytes(tiff_header(8, 8, compression=8, offset=290, count=64))
        refusal(path, r"strip\.tif is truncated: the image of page 0 ends beyond the file")

    def test_pages_in_a_circle(self, tmp_path):
        path = tmp_path / "circle.tif"
        header = bytearray(tiff_header(8, 8))
        header[10 + 9 * 12 : 14 + 9 * 12] = struct.pack("<I", 8)
        path.write_bytes(header)
        refusal(path, r"circle\.tif")

    def test_pages_of_two_sizes(self, tmp_path):
        path = tmp_path / "mixed.tif"
        with tifffile.TiffWriter(path) as tif:
            tif.write(IMAGE, metadata=None)
            tif.write(IMAGE[:8], metadata=None)
        refusal(path, r"mixed\.tif holds 2 images of sizes 16x20, 8x20")

    @pytest.mark.parametrize(("axes", "what"), [("CYX", "4 channels"), ("TYX", "4 time points")])
    @pytest.mark.parametrize("kind", ["imagej", "ome"])
    def test_channels_and_times(self, axes, what, kind, tmp_path):
        path = tmp_path / "many.tif"
        tifffile.imwrite(
            path, VOLUME, photometric="minisblack", metadata={"axes": axes}, **{kind: True}
        )
        refusal(path, rf"many\.tif holds {what}")

    def test_colour(self, tmp_path):
        path = tmp_path / "colour.tif"
        grey = np.repeat(IMAGE[..., np.newaxis], 3, axis=2)
        tifffile.imwrite(path, grey, photometric="rgb")
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data[0], IMAGE)
        tifffile.imwrite(path, grey * np.array([1, 1, 0], np.uint8), photometric="rgb")
        refusal(path, r"colour\.tif is a colour picture")

    def test_colour_table(self, tmp_path):
        path = tmp_path / "table.tif"
        ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
        tifffile.imwrite(path, IMAGE, photometric="palette", colormap=ramp)
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data[0], IMAGE)
        for table in (ramp * np.array([[1], [0], [1]], np.uint16), ramp[:, ::-1]):
            tifffile.imwrite(path, IMAGE, photometric="palette", colormap=table)
            refusal(path, r"table\.tif has a colour table")

    def test_black_is_white(self, tmp_path):
        path = tmp_path / "inverse.tif"
        tifffile.imwrite(path, IMAGE, photometric="miniswhite")
        refusal(path, r"inverse\.tif stores black as the highest value")

    def test_complex_numbers(self, tmp_path):
        path = tmp_path / "complex.tif"
        tifffile.imwrite(path, VOLUME.astype(np.complex64), photometric="minisblack")
        refusal(path, r"complex\.tif holds complex64")

    def test_ome_of_several_files(self, tmp_path):
        path = tmp_path / "part.ome.tif"
        tifffile.imwrite(path, VOLUME, photometric="minisblack", metadata={"axes": "ZYX"})
        text = path.read_bytes().replace(b'SizeZ="4"', b'SizeZ="9"')
        path.write_bytes(text)
        refusal(path, r"part\.ome\.tif")

    def test_entity_bomb_in_ome(self, tmp_path):
        path = tmp_path / "bomb.ome.tif"
        bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
        for inner, outer in zip("bcdefghij", "cdefghijk", strict=True):
            bomb += f'<!ENTITY {outer} "{f"&{inner};" * 10}">'
        tifffile.imwrite(path, IMAGE, description=bomb + "]><OME>&k;</OME>", metadata=None)
        refusal(path, r"bomb\.ome\.tif")


class TestBrokenPictures:
    def test_bomb(self, tmp_path):
        import zlib

        def chunk(kind, data):
            check = zlib.crc32(kind + data)
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

        head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
        path = tmp_path / "bomb.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9)))
        )
        refusal(path, r"bomb\.png")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
    def test_truncated(self, suffix, tmp_path):
        path = tmp_path / f"slice{suffix}"
        imageio.v3.imwrite(path, IMAGE)
        assert read_stack(path, SPACING_NM).shape == (1, 16, 20)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        refusal(path, rf"slice\{suffix} cannot be read")

    def test_colour_and_transparency(self, tmp_path):
        path = tmp_path / "slice.png"
        opaque = np.dstack([IMAGE, IMAGE, IMAGE, np.full_like(IMAGE, 255)])
        imageio.v3.imwrite(path, opaque)
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data[0], IMAGE)
        imageio.v3.imwrite(path, np.dstack([IMAGE, IMAGE, IMAGE, IMAGE]))
        refusal(path, "partly transparent")
        imageio.v3.imwrite(path, np.dstack([IMAGE, IMAGE, 255 - IMAGE]))
        refusal(path, "colour picture")

    def test_animation(self, tmp_path):
        path = tmp_path / "film.png"
        imageio.v3.imwrite(path, VOLUME, plugin="pillow")
        refusal(path, "holds 4 pictures; give one a slice")


class TestBrokenFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "slices"
        folder.mkdir()
        for index in range(7, 12):
            tifffile.imwrite(folder / f"s_{index}.tif", IMAGE + np.uint8(index))
        return folder

    def test_zero_byte_slice(self, folder):
        (folder / "s_9.tif").write_bytes(b"")
        refusal(folder, r"s_9\.tif is empty \(0 bytes\)")

    def test_wrong_shape_in_the_middle(self, folder):
        tifffile.imwrite(folder / "s_9.tif", IMAGE[:, :19])
        message = refusal(folder, r"s_9\.tif is uint8 of 16 x 19 pixels")
        assert "s_7.tif is uint8 of 16 x 20" in message

    def test_wrong_type_in_the_middle(self, folder):
        tifffile.imwrite(folder / "s_10.tif", IMAGE.astype(np.uint16))
        refusal(folder, r"s_10\.tif is uint16")

    def test_stack_among_slices(self, folder):
        tifffile.imwrite(folder / "s_8.tif", VOLUME, photometric="minisblack")
        refusal(folder, r"s_8\.tif holds 4 slices")

    def test_two_kinds(self, folder):
        imageio.v3.imwrite(folder / "overview.png", IMAGE)
        refusal(folder, "slices of two kinds")

    def test_truncated_slice(self, folder):
        whole = (folder / "s_11.tif").read_bytes()
        (folder / "s_11.tif").write_bytes(whole[:-30])
        refusal(folder, r"s_11\.tif")

    def test_nothing_to_read(self, tmp_path):
        (tmp_path / "notes.txt").write_text("none")
        refusal(tmp_path, "holds no slices")
        assert not can_read(tmp_path)


class TestBrokenZarr:
    def test_without_multiscales(self, tmp_path):
        zarr.create_group(tmp_path / "plain.zarr")
        refusal(tmp_path / "plain.zarr", r"plain\.zarr is a Zarr without OME multiscales")
        zarr.save_array(tmp_path / "array.zarr", VOLUME)
        refusal(tmp_path / "array.zarr", r"array\.zarr is a Zarr without OME multiscales")

    def ome_zarr(self, path, shape=(4, 16, 20), chunks=None, version="0.4", **multiscale):
        axes = multiscale.pop("axes", "zyx")
        form = 3 if version == "0.5" else 2
        group = zarr.create_group(path, zarr_format=form)
        group.create_array("0", shape=shape, chunks=chunks or shape, dtype="uint8")
        told = {
            "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [0.01] * len(axes)}],
                }
            ],
            **multiscale,
        }
        entries = {"multiscales": [told]}
        group.attrs.update({"ome": entries} if form == 3 else entries)
        return path

    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_sizes_beyond_belief(self, version, tmp_path):
        path = self.ome_zarr(
            tmp_path / "a.zarr", (10**6, 10**6, 10**6), (1, 1000, 1000), version=version
        )
        refusal(path, "declares a volume of")
        path = self.ome_zarr(tmp_path / "b.zarr", (10, 10**6, 10**5), version=version)
        refusal(path, "declares a slice or chunk of")

    def test_tiny_chunks(self, tmp_path):
        path = self.ome_zarr(tmp_path / "a.zarr", (20_000, 20_000, 20_000), (1, 1, 1))
        refusal(path, "is divided into 8,000,000,000,000 chunks")
        path = self.ome_zarr(tmp_path / "b.zarr", (1000, 20_000, 20_000), (200, 200, 200))
        volume = read_stack(path).data
        assert volume.npartitions == 5 * 100 * 100
        assert int(volume[999, 19_999, 19_999].compute()) == 0

    def test_channels(self, tmp_path):
        path = self.ome_zarr(tmp_path / "a.zarr", (3, 4, 16, 20), axes="czyx")
        refusal(path, "holds 3 channels")

    def test_path_out_of_the_group(self, tmp_path):
        datasets = [{"path": "../secret"}]
        path = self.ome_zarr(tmp_path / "a.zarr", datasets=datasets)
        refusal(path, "points outside of itself")

    def test_codec_that_runs_code(self, tmp_path):
        path = self.ome_zarr(tmp_path / "a.zarr")
        described = json.loads((path / "0/.zarray").read_text())
        described["compressor"] = {"id": "pickle", "protocol": 5}
        (path / "0/.zarray").write_text(json.dumps(described))
        trace = tmp_path / "trace"
        (path / "0/0.0.0").write_bytes(f"cos\nsystem\n(S'touch {trace}'\ntR.".encode())
        refusal(path, r"a\.zarr .*pickle")
        assert not trace.exists()

    @pytest.mark.parametrize(
        "metadata",
        [
            {"zarr_format": 2, "compressor": {"id": "pickle"}, "filters": None},
            {"zarr_format": 2, "compressor": None, "filters": [{"id": "delta"}, {"id": "pickle"}]},
            {"zarr_format": 3, "codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]},
            {"zarr_format": 3, "codecs": [{"name": "sharding_indexed", "configuration": {
                "codecs": [{"name": "pickle"}], "index_codecs": [{"name": "bytes"}]}}]},
            {"zarr_format": 3, "codecs": [{"name": "sharding_indexed", "configuration": {
                "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "pickle"}]}}]},
        ],
    )  # fmt: skip
    def test_codecs_are_known_ones(self, metadata, tmp_path):
        known = json.loads(json.dumps(metadata).replace("pickle", "zstd"))
        check_codecs(tmp_path, known)
        with pytest.raises(PorescopeError, match=r"codec (numcodecs\.)?pickle, which is not read"):
            check_codecs(tmp_path, metadata)

    def test_shards(self, tmp_path):
        group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
        array = group.create_array(
            "0", shape=VOLUME.shape, chunks=(1, 8, 10), shards=(2, 16, 20), dtype="uint8"
        )
        array[:] = VOLUME
        axes = [{"name": axis, "unit": "nanometer"} for axis in "zyx"]
        scale = {"type": "scale", "scale": [3, 2, 1]}
        dataset = {"path": "0", "coordinateTransformations": [scale]}
        group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [dataset]}]}
        stack = read_stack(tmp_path / "a.zarr")
        np.testing.assert_array_equal(stack.data, VOLUME)
        assert stack.spacing_nm == (3, 2, 1)

    @pytest.mark.parametrize(
        "broken",
        [
            {"axes": []},
            {"axes": ["x", "y", "z"]},
            {"datasets": []},
            {"datasets": [{}]},
            {"datasets": "0"},
            {"datasets": [{"path": "9"}]},
            {"coordinateTransformations": [{"type": "affine", "affine": [1]}]},
            {"coordinateTransformations": [{"type": "scale", "scale": [1]}]},
        ],
    )
    def test_odd_multiscales(self, broken, tmp_path):
        path = self.ome_zarr(tmp_path / "a.zarr")
        group = zarr.open_group(path)
        group.attrs["multiscales"] = [{**group.attrs["multiscales"][0], **broken}]
        refusal(path, r"a\.zarr")

    @pytest.mark.parametrize("value", [float("nan"), -1, 0, "wide", None])
    def test_scale_that_makes_no_sense_is_asked_for(self, value, tmp_path):
        path = self.ome_zarr(tmp_path / "a.zarr")
        group = zarr.open_group(path)
        told = group.attrs["multiscales"]
        told[0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [value, 0.01, 0.01]
        group.attrs["multiscales"] = told
        with pytest.raises(MissingMetadata) as caught:
            read_stack(path)
        assert caught.value.missing == ("z",)
        assert read_stack(path, (7, None, None)).spacing_nm == (7, 10, 10)


class TestBrokenArrays:
    def test_pickle_in_npy(self, tmp_path):
        path = tmp_path / "object.npy"
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        refusal(path, r"object\.npy cannot be read")
        import pickle

        path.write_bytes(pickle.dumps([1, 2]))
        refusal(path, r"object\.npy cannot be read")

    def test_huge_shape_in_npy(self, tmp_path):
        path = tmp_path / "huge.npy"
        np.save(path, VOLUME)
        raw = path.read_bytes().replace(b"(4, 16, 20)", b"(9**9,9,99)")
        path.write_bytes(raw)
        refusal(path, r"huge\.npy")
        path.write_bytes(raw.replace(b"(9**9,9,99)", b"(9999,9999)"))
        refusal(path, r"huge\.npy")

    def test_archive_named_npy(self, tmp_path):
        np.savez(tmp_path / "a.npz", VOLUME)
        path = (tmp_path / "a.npz").rename(tmp_path / "a.npy")
        refusal(path, r"a\.npy is no \.npy file")

    @pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3, 4), (0, 2, 2)])
    def test_npy_of_other_shape(self, shape, tmp_path):
        path = tmp_path / "a.npy"
        np.save(path, np.ones(shape))
        refusal(path, r"a\.npy")

    def test_truncated_mrc(self, tmp_path):
        path = tmp_path / "a.mrc"
        mrcfile.write(path, VOLUME.astype(np.int8))
        raw = path.read_bytes()
        path.write_bytes(raw[:-100])
        refusal(path, r"a\.mrc declares 1,280 bytes of image but holds only 1,180")
        path.write_bytes(raw[:500])
        refusal(path, r"a\.mrc")
        path.write_bytes(struct.pack("<3i", 10**5, 10**5, 10**5) + raw[12:])
        refusal(path, r"a\.mrc declares")

    def test_negative_sizes_in_mrc(self, tmp_path):
        path = tmp_path / "a.mrc"
        mrcfile.write(path, VOLUME)
        raw = path.read_bytes()
        path.write_bytes(struct.pack("<3i", -1, -1, -1) + raw[12:])
        refusal(path, r"a\.mrc")

    def test_hdf5_with_several_or_no_volumes(self, tmp_path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["flat"] = IMAGE
        refusal(path, r"a\.h5 holds 0 volumes: none")
        with h5py.File(path, "a") as file:
            file["one/raw"] = VOLUME
            file["two"] = VOLUME
            file["names"] = np.array([[["a"]]], dtype="S1")
        message = refusal(path, r"a\.h5 holds 2 volumes: one/raw, two")
        assert "a.h5:/one/raw" in message
        refusal(f"{path}:/three", "holds no volume named /three; it holds one/raw, two")
        refusal(f"{path}:/flat", "holds no volume named /flat")
        np.testing.assert_array_equal(read_stack(f"{path}:/two", SPACING_NM).data, VOLUME)
        refusal(tmp_path / "absent.h5:/two", "There is no")

    def test_hdf5_of_hostile_size(self, tmp_path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", (10**6, 10**6, 10**6), "u1", chunks=(1, 100, 100))
        refusal(path, "declares a volume of")
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", (100, 10**6, 10**6), "u1")
        refusal(path, "declares a")


@pytest.mark.parametrize(
    "spacing_nm",
    [(float("nan"), 1, 1), (-1, 1, 1), (0, 1, 1), (1, 1), (1, 1, float("inf")), ("a", 1, 1), 5],
)
def test_spacing_that_makes_no_sense(spacing_nm, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, VOLUME)
    refusal(path, "voxel size must be three numbers above 0", spacing_nm)


def test_unknown_kind(tmp_path):
    path = tmp_path / "a.docx"
    path.write_text("text")
    refusal(path, r"a\.docx is of no kind that can be read")
    assert not can_read(path)


def test_compression_bound_is_what_deflate_reaches():
    import zlib

    blank = 64 << 20
    assert blank / len(zlib.compress(bytes(blank), 9)) < guard.MAX_COMPRESSION


def written(path):
    """Write a small valid file whose kind the name tells."""
    if path.suffix == ".mrc":
        mrcfile.write(path, VOLUME, voxel_size=20)
    elif path.suffix == ".npy":
        np.save(path, VOLUME)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["raw"] = VOLUME
            file["raw"].attrs["element_size_um"] = (0.01, 0.002, 0.002)
    elif path.suffix in (".png", ".jpg", ".bmp"):
        imageio.v3.imwrite(path, IMAGE)
    elif path.name.startswith("fei"):
        text = "[User]\nDate=1\n[Beam]\nBeam=EBeam\nScan=EScan\n[EScan]\nPixelWidth=2e-9\n"
        tifffile.imwrite(path, IMAGE, extratags=[(34682, "s", 0, text, True)], metadata=None)
    elif path.name.startswith("zeiss"):
        text = "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.0 nm\r\n"
        tifffile.imwrite(path, IMAGE, extratags=[(34118, "s", 0, text, True)], metadata=None)
    elif path.name.startswith("deflate"):
        tifffile.imwrite(path, VOLUME, photometric="minisblack", compression="zlib")
    else:
        write_stack(path, Stack(VOLUME, SPACING_NM, beam_kv=2))
    return path


KINDS = (
    "own.tif", "own.ome.tif", "deflate.tif", "fei.tif", "zeiss.tif", "a.mrc", "a.npy", "a.h5",
    "a.png", "a.jpg", "a.bmp", "a.ome.zarr",
)  # fmt: skip


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return {name: written(folder / name) for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mutated_files_open_or_are_refused(name, data, originals, tmp_path_factory):
    original = originals[name]
    files = [original]
    if original.is_dir():
        files = sorted(file for file in original.rglob("*") if file.is_file())
    target = data.draw(st.sampled_from(files))
    raw = bytearray(target.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1) | st.integers(0, min(300, len(raw) - 1)))
        values = data.draw(st.binary(min_size=1, max_size=4) | st.just(b"\xff" * 4))
        raw[place : place + len(values)] = values
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    folder = tmp_path_factory.mktemp("mutated")
    broken = folder / name
    if original.is_dir():
        import shutil

        shutil.copytree(original, broken)
        (broken / target.relative_to(original)).write_bytes(raw)
    else:
        broken.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("ignore", PorescopeWarning)
        message = ""
        try:
            stack = read_stack(broken, SPACING_NM)
            np.asarray(stack.data[:1, :1, :1])
        except PorescopeError as error:
            message = str(error)
    assert not message or str(folder) in message


def test_a_later_page_that_declares_far_more_than_it_holds_is_refused(tmp_path):
    path = written(tmp_path / "deflate.tif")
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[2].tags["ImageLength"].valueoffset
    raw = bytearray(path.read_bytes())
    raw[place : place + 4] = (800_000_000).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(PorescopeError, match="declares 16,000,000,000 bytes of image but holds"):
        np.asarray(read_stack(path, SPACING_NM).data)


def test_a_tile_far_larger_than_its_image_is_refused(tmp_path):
    path = tmp_path / "tiled.tif"
    tifffile.imwrite(path, VOLUME, photometric="minisblack", compression="zlib", tile=(16, 16))
    with tifffile.TiffFile(path) as tif:
        places = [page.tags["TileLength"].valueoffset for page in tif.pages]
        kind = tif.pages[0].tags["TileLength"].dtype
    raw = bytearray(path.read_bytes())
    for place in places:
        raw[place : place + 4] = (16 << 24).to_bytes(4, "little")
    path.write_bytes(raw)
    assert kind == 4  # of four bytes
    with pytest.raises(PorescopeError, match="bytes of image but holds"):
        np.asarray(read_stack(path, SPACING_NM).data)
