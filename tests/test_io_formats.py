import shutil
import struct

import h5py
import imageio.v3
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from porescope import Stack
from porescope.errors import MissingMetadata, PorescopeError
from porescope.io import can_read, lazy, read_stack, write_stack

VOLUME = np.random.default_rng(1).integers(0, 255, (4, 16, 20), np.uint8)
SPACING_NM = (10, 2, 2)


def asked(path, missing, spacing_nm=None):
    with pytest.raises(MissingMetadata, match="does not tell") as caught:
        read_stack(path, spacing_nm)
    assert caught.value.missing == missing
    message = str(caught.value)
    assert str(path) in message
    assert "spacing_nm (z, y, x)" in message
    assert "--set load.spacing_nm=Z,Y,X" in message
    return message


class TestFolder:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".jpg"])
    def test_natural_order_and_other_files(self, suffix, tmp_path):
        values = [np.full((8, 8), 10 * index, np.uint8) for index in range(4)]
        for index, image in zip((98, 99, 100, 101), values, strict=True):
            imageio.v3.imwrite(tmp_path / f"cell {index}{suffix}", image)
        for name in ("notes.txt", "drift.json", "Thumbs.db", ".hidden.png", "._cell 98.tif"):
            (tmp_path / name).write_text("not a slice")
        (tmp_path / "more.tif").mkdir()
        assert can_read(tmp_path)
        stack = read_stack(tmp_path, SPACING_NM)
        assert stack.data[:, 0, 0].tolist() == [0, 10, 20, 30]
        assert stack.slice_z_nm.tolist() == [0, 10, 20, 30]
        asked(tmp_path, ("z", "y", "x"))

    def test_large_folders_are_lazy(self, tmp_path, monkeypatch):
        monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
        monkeypatch.setattr(lazy, "READ_BYTES", 1)
        for index, image in enumerate(VOLUME):
            imageio.v3.imwrite(tmp_path / f"{index}.png", image)
        volume = read_stack(tmp_path, SPACING_NM).data
        assert volume.chunksize == (1, 16, 20)
        np.testing.assert_array_equal(volume.compute(), VOLUME)
        imageio.v3.imwrite(tmp_path / "2.png", VOLUME[2, :8])
        with pytest.raises(PorescopeError, match=r"holds a slice of uint8 \(8, 20\) where"):
            volume.compute()
        (tmp_path / "2.png").unlink()
        with pytest.raises(PorescopeError, match=r"There is no .*2\.png"):
            volume.compute()

    def test_16_bit_pictures(self, tmp_path):
        image = VOLUME[0].astype(np.uint16) * 257
        imageio.v3.imwrite(tmp_path / "a.png", image)
        stack = read_stack(tmp_path, SPACING_NM)
        assert stack.data.dtype == np.uint16
        np.testing.assert_array_equal(stack.data[0], image)

    def test_real_slices(self, real_data):
        folder = real_data / "stacks/flyem_slices"
        stack = read_stack(folder, SPACING_NM)
        assert stack.shape == (100, 250, 250)
        last = imageio.v3.imread(folder / "iso.2699.png")
        np.testing.assert_array_equal(stack.data[-1], last)


class TestTiff:
    def test_real_imagej(self, real_data):
        path = real_data / "stacks/fib_serial_section_small.tif"
        stack = read_stack(path)
        assert stack.shape == (130, 150, 150)
        assert stack.data.dtype == np.uint8
        assert stack.spacing_nm == pytest.approx((46.176923, 40.0, 40.0), rel=1e-4)
        np.testing.assert_array_equal(stack.data, tifffile.imread(path))

    @pytest.mark.parametrize(
        ("unit", "nm"),
        [("nm", 1), ("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("inch", 2.54e7), ("mm", 1e6)],
    )
    def test_imagej_units(self, unit, nm, tmp_path):
        path = tmp_path / "a.tif"
        tifffile.imwrite(
            path, VOLUME, imagej=True, resolution=(0.5, 0.25),
            metadata={"axes": "ZYX", "unit": unit, "spacing": 5},
        )  # fmt: skip
        assert read_stack(path).spacing_nm == pytest.approx((5 * nm, 4 * nm, 2 * nm))

    @pytest.mark.parametrize("unit", ["pixel", "", "px"])
    def test_imagej_without_unit_is_asked_for(self, unit, tmp_path):
        path = tmp_path / "a.tif"
        tifffile.imwrite(
            path, VOLUME, imagej=True, resolution=(0.5, 0.25),
            metadata={"axes": "ZYX", "unit": unit, "spacing": 5},
        )  # fmt: skip
        assert "[5.0, 4.0, 2.0] in a unit it does not name" in asked(path, ("z", "y", "x"))

    @pytest.mark.parametrize("resolution", [(0, 0), (1, 0), (0, 1)])
    def test_resolution_of_zero(self, resolution, tmp_path):
        path = tmp_path / "a.tif"
        tifffile.imwrite(
            path, VOLUME, imagej=True, resolution=(7, 7),
            metadata={"axes": "ZYX", "unit": "nm", "spacing": 5},
        )  # fmt: skip
        with tifffile.TiffFile(path, mode="r+") as tif:
            tif.pages[0].tags["XResolution"].overwrite(resolution)
            tif.pages[0].tags["YResolution"].overwrite(resolution)
        asked(path, ("y", "x"))

    def test_contiguous_images_behind_one_page(self, tmp_path, monkeypatch):
        # What ImageJ writes above 4 GiB: one page directory, the other images follow it.
        path = tmp_path / "a.tif"
        head = "ImageJ=1.54f\nimages=4\nslices=4\nunit=nm\nspacing=5\n"
        tifffile.imwrite(
            path, VOLUME[0], description=head, metadata=None, resolution=(0.5, 0.5), byteorder=">"
        )
        with tifffile.TiffFile(path) as tif:
            start = tif.pages[0].dataoffsets[0]
        raw = path.read_bytes()
        path.write_bytes(raw[:start] + VOLUME.tobytes())
        np.testing.assert_array_equal(read_stack(path).data, VOLUME)
        monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
        np.testing.assert_array_equal(read_stack(path).data.compute(), VOLUME)
        path.write_bytes(raw[:start] + VOLUME[:3].tobytes())
        with pytest.raises(PorescopeError, match="announces 4 images or values but holds 1"):
            read_stack(path)

    @pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4"])
    def test_byte_orders(self, dtype, tmp_path):
        path = tmp_path / "a.tif"
        volume = VOLUME.astype(dtype)
        for compression in (None, "zlib"):
            tifffile.imwrite(
                path, volume, photometric="minisblack", byteorder=dtype[0], compression=compression
            )
            data = read_stack(path, SPACING_NM).data
            assert data.dtype.isnative
            np.testing.assert_array_equal(data, volume)

    @pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
    def test_compressed_pages(self, compression, tmp_path):
        from PIL import Image

        first, *others = (Image.fromarray(image) for image in VOLUME)
        path = tmp_path / "a.tif"
        first.save(path, save_all=True, append_images=others, compression=compression)
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data, VOLUME)

    def test_tiles(self, tmp_path):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, VOLUME, tile=(16, 16), photometric="minisblack")
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data, VOLUME)

    @pytest.mark.parametrize(("unit", "nm"), [("nm", 1), ("µm", 1e3), (None, 1e3), ("pm", 1e-3)])
    def test_ome_units(self, unit, nm, tmp_path):
        path = tmp_path / "a.ome.tif"
        sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (5, 4, 2), strict=True)}
        if unit:
            sizes |= {f"PhysicalSize{axis}Unit": unit for axis in "ZYX"}
        tifffile.imwrite(path, VOLUME, photometric="minisblack", metadata={"axes": "ZYX", **sizes})
        stack = read_stack(path)
        assert stack.spacing_nm == pytest.approx((5 * nm, 4 * nm, 2 * nm))
        assert stack.metadata["spacing_source"] == "OME PhysicalSize"

    def test_ome_without_z(self, tmp_path):
        path = tmp_path / "a.ome.tif"
        sizes = {"PhysicalSizeX": 0.002, "PhysicalSizeY": 0.002}
        tifffile.imwrite(path, VOLUME, photometric="minisblack", metadata={"axes": "ZYX", **sizes})
        asked(path, ("z",))
        assert read_stack(path, (50, None, None)).spacing_nm == (50, 2, 2)

    def test_ome_pyramid(self, tmp_path):
        path = tmp_path / "a.ome.tif"
        with tifffile.TiffWriter(path, ome=True) as tif:
            told = {"axes": "ZYX"}
            tif.write(VOLUME, subifds=1, photometric="minisblack", metadata=told)
            tif.write(VOLUME[:, ::2, ::2], subfiletype=1, photometric="minisblack")
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data, VOLUME)

    def test_avizo_box_runs_through_voxel_centres(self, tmp_path):
        path = tmp_path / "a.tif"
        box = "BoundingBox 10 48 0 30 0 15"  # x, y, z of 20 x 16 x 4 voxels
        tifffile.imwrite(
            path, VOLUME, photometric="minisblack", description=f"{box} |Units: nm", metadata=None
        )
        assert read_stack(path).spacing_nm == (5, 2, 2)
        tifffile.imwrite(path, VOLUME, photometric="minisblack", description=box, metadata=None)
        assert "[5.0, 2.0, 2.0] in a unit it does not name" in asked(path, ("z", "y", "x"))

    def test_dots_per_inch_are_no_pixel_size(self, tmp_path):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, VOLUME[0], resolution=(72, 72), resolutionunit="INCH", metadata=None)
        asked(path, ("z", "y", "x"))

    def test_single_image_takes_its_pixel_size_for_z(self, tmp_path):
        path = tmp_path / "a.ome.tif"
        sizes = {"PhysicalSizeX": 0.002, "PhysicalSizeY": 0.003}
        tifffile.imwrite(path, VOLUME[0], metadata={"axes": "YX", **sizes})
        stack = read_stack(path)
        assert stack.shape == (1, 16, 20)
        assert stack.spacing_nm == (3, 3, 2)
        assert "single image" in stack.metadata["z_spacing"]


class TestZarr:
    def image(self, path, data, version, axes, units, transforms, whole=()):
        form = 2 if version == "0.4" else 3
        group = zarr.create_group(path, zarr_format=form)
        array = group.create_array("s0", shape=data.shape, chunks=data.shape, dtype=data.dtype)
        array[:] = data
        multiscale = {
            "axes": [
                {"name": axis, **({"unit": unit} if unit else {})}
                for axis, unit in zip(axes, units, strict=True)
            ],
            "datasets": [{"path": "s0", "coordinateTransformations": transforms}],
        }
        if whole:
            multiscale["coordinateTransformations"] = list(whole)
        entries = {"multiscales": [multiscale]}
        group.attrs.update({"ome": {"version": "0.5", **entries}} if form == 3 else entries)
        return path

    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_scale_translation_and_units(self, version, tmp_path):
        path = self.image(
            tmp_path / "a.ome.zarr", VOLUME, version, "zyx",
            ["micrometer", "nanometer", "angstrom"],
            [{"type": "scale", "scale": [0.01, 2, 20]},
             {"type": "translation", "translation": [0.1, 4, 60]}],
        )  # fmt: skip
        stack = read_stack(path)
        assert stack.spacing_nm == pytest.approx((10, 2, 2))
        assert stack.slice_z_nm == pytest.approx([100, 110, 120, 130])
        assert stack.origin_yx_nm == pytest.approx((4, 6))
        np.testing.assert_array_equal(stack.data, VOLUME)

    def test_transforms_of_the_whole_image_apply_last(self, tmp_path):
        path = self.image(
            tmp_path / "a.ome.zarr", VOLUME, "0.4", "zyx", ["nanometer"] * 3,
            [{"type": "scale", "scale": [5, 1, 1]},
             {"type": "translation", "translation": [1, 0, 3]}],
            [{"type": "scale", "scale": [2, 2, 2]}],
        )  # fmt: skip
        stack = read_stack(path)
        assert stack.spacing_nm == (10, 2, 2)
        assert stack.slice_z_nm[0] == 2
        assert stack.origin_yx_nm == (0, 6)

    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_leading_axes_of_one(self, version, tmp_path, monkeypatch):
        path = self.image(
            tmp_path / "a.ome.zarr", VOLUME[np.newaxis, np.newaxis], version, "tczyx",
            ["second", None, "nanometer", "nanometer", "nanometer"],
            [{"type": "scale", "scale": [1, 1, 10, 2, 3]}],
        )  # fmt: skip
        stack = read_stack(path)
        assert stack.spacing_nm == (10, 2, 3)
        np.testing.assert_array_equal(stack.data, VOLUME)
        monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
        np.testing.assert_array_equal(read_stack(path).data[1:, 3].compute(), VOLUME[1:, 3])

    def test_flat_image(self, tmp_path):
        path = self.image(
            tmp_path / "a.ome.zarr", VOLUME[0], "0.5", "yx", ["nanometer"] * 2,
            [{"type": "scale", "scale": [2, 3]}],
        )  # fmt: skip
        stack = read_stack(path)
        assert stack.spacing_nm == (2, 2, 3)
        np.testing.assert_array_equal(stack.data, VOLUME[:1])

    def test_without_units_is_asked_for(self, tmp_path):
        path = self.image(
            tmp_path / "a.ome.zarr", VOLUME, "0.4", "zyx", ["nanometer", None, None],
            [{"type": "scale", "scale": [5, 1, 1]}],
        )  # fmt: skip
        asked(path, ("y", "x"))

    def test_labels_inside(self, tmp_path):
        path = tmp_path / "a.ome.zarr"
        labels = Stack(VOLUME // 128, SPACING_NM, is_labels=True)
        write_stack(path, Stack(VOLUME, SPACING_NM), labels={"phases": labels})
        assert can_read(path / "labels/phases")
        stack = read_stack(path / "labels/phases")
        assert stack.is_labels
        np.testing.assert_array_equal(stack.data, VOLUME // 128)
        assert not read_stack(path).is_labels
        with pytest.raises(PorescopeError, match="labels is a Zarr without OME multiscales"):
            read_stack(path / "labels")

    def test_image_label_of_another_program(self, tmp_path):
        path = self.image(
            tmp_path / "a.ome.zarr", VOLUME, "0.4", "zyx", ["nanometer"] * 3,
            [{"type": "scale", "scale": [5, 1, 1]}],
        )  # fmt: skip
        zarr.open_group(path).attrs["image-label"] = {}
        assert read_stack(path).is_labels

    def test_name_without_suffix(self, tmp_path):
        write_stack(tmp_path / "a.ome.zarr", Stack(VOLUME, SPACING_NM))
        shutil.move(tmp_path / "a.ome.zarr", tmp_path / "plain")
        assert read_stack(tmp_path / "plain").shape == VOLUME.shape


class TestMrc:
    @pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
    def test_voxel_size_is_in_angstrom(self, dtype, tmp_path, monkeypatch):
        volume = (VOLUME // 2).astype(dtype)
        path = tmp_path / "a.mrc"
        mrcfile.write(path, volume, voxel_size=(20, 30, 100))
        stack = read_stack(path)
        assert stack.spacing_nm == pytest.approx((10, 3, 2), rel=1e-6)
        assert stack.data.dtype == dtype
        np.testing.assert_array_equal(stack.data, volume)
        monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
        np.testing.assert_array_equal(read_stack(path).data.compute(), volume)

    def test_without_voxel_size_is_asked_for(self, tmp_path):
        path = tmp_path / "a.mrc"
        mrcfile.write(path, VOLUME.astype(np.int16))
        asked(path, ("z", "y", "x"))

    def test_extended_header(self, tmp_path):
        path = tmp_path / "a.mrc"
        with mrcfile.new(path) as mrc:
            mrc.set_data(VOLUME.astype(np.int16))
            mrc.set_extended_header(np.zeros(48, "V2"))
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data, VOLUME)

    def test_bytes_of_imod_have_no_sign(self, tmp_path):
        path = tmp_path / "a.mrc"
        mrcfile.write(path, VOLUME.view(np.int8), voxel_size=20)
        raw = bytearray(path.read_bytes())
        assert read_stack(path).data.dtype == np.int8
        raw[152:160] = struct.pack("<2i", 1146047817, 0)  # stamp and flags of IMOD
        path.write_bytes(raw)
        np.testing.assert_array_equal(read_stack(path).data, VOLUME)
        raw[156] = 1
        path.write_bytes(raw)
        assert read_stack(path).data.dtype == np.int8


class TestHdf5:
    def test_element_size(self, tmp_path, monkeypatch):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            data = file.create_dataset("volumes/raw", data=VOLUME, chunks=(2, 8, 8))
            data.attrs["element_size_um"] = (0.01, 0.0025, 0.002)
            file["flat"] = VOLUME[0]
        stack = read_stack(path)
        assert stack.spacing_nm == (10, 2.5, 2)
        np.testing.assert_array_equal(stack.data, VOLUME)
        assert read_stack(f"{path}:/volumes/raw").spacing_nm == (10, 2.5, 2)
        assert can_read(f"{path}:/volumes/raw")
        monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
        np.testing.assert_array_equal(read_stack(path).data[2].compute(), VOLUME[2])

    def test_without_element_size_is_asked_for(self, tmp_path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["raw"] = VOLUME
        asked(path, ("z", "y", "x"))


class TestNpy:
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_orders(self, order, tmp_path, monkeypatch):
        path = tmp_path / "a.npy"
        np.save(path, np.asarray(VOLUME.astype(">i4"), order=order))
        np.testing.assert_array_equal(read_stack(path, SPACING_NM).data, VOLUME)
        monkeypatch.setattr(lazy, "LAZY_ABOVE_BYTES", 0)
        volume = read_stack(path, SPACING_NM).data
        assert volume.dtype == np.int32
        np.testing.assert_array_equal(volume[1:3, 2].compute(), VOLUME[1:3, 2])
        asked(path, ("z", "y", "x"))

    def test_flat_image(self, tmp_path):
        np.save(tmp_path / "a.npy", VOLUME[0])
        assert read_stack(tmp_path / "a.npy", (None, 2, 2)).spacing_nm == (2, 2, 2)
