"""Metadata of microscopes, from real files beside the checkout and from made ones."""

import numpy as np
import pytest
import tifffile

from porescope.errors import MissingMetadata, PorescopeError, PorescopeWarning
from porescope.io import read_stack

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)


@pytest.fixture
def metadata(real_data):
    return real_data / "metadata"


def read_cut(path, rows, spacing_nm=None):
    with pytest.warns(PorescopeWarning, match=f"lowest {rows} rows are a data bar and were cut"):
        stack = read_stack(path, spacing_nm)
    assert stack.metadata["data_bar_rows_cut"] == rows
    return stack


class TestRealFei:
    @pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
    def test_electron_beam(self, bits, dtype, metadata):
        path = metadata / f"FEI-Helios-Ebeam-{bits}bits.tif"
        stack = read_cut(path, 29)
        assert stack.shape == (1, 442, 512)
        assert stack.data.dtype == dtype
        assert stack.spacing_nm == pytest.approx((3372.4, 3372.4, 3372.4))
        assert stack.beam_kv == 5
        assert stack.detector == "ETD"
        told = stack.metadata
        assert told["vendor"] == "FEI/Thermo"
        assert told["beam"] == "electron"
        assert told["current_pa"] == pytest.approx(6.25)
        assert told["dwell_us"] == pytest.approx(10)
        assert told["working_distance_mm"] == pytest.approx(4.03466)
        assert told["tilt_corrected"] is False
        assert told["date"] == "13.06.2016 17:06:40"
        np.testing.assert_array_equal(stack.data[0], tifffile.imread(path)[:442])

    def test_back_scatter_detector(self, metadata):
        stack = read_cut(metadata / "Indent_20230912_7kV_spot4.5_FOV100um_multiBSE_A_05.tif", 79)
        assert stack.shape == (1, 1024, 1536)
        assert stack.spacing_nm == pytest.approx((65.1042, 65.1042, 65.1042))
        assert stack.beam_kv == 7
        assert stack.detector == "ABS"

    def test_ion_beam(self, metadata):
        stack = read_stack(metadata / "helios_g4_pfib_ibeam_openfibsem.tif")
        assert stack.shape == (1, 1024, 1536)
        assert stack.spacing_nm == pytest.approx((97.6562, 97.6562, 97.6562))
        assert stack.beam_kv is None  # 30 kV is the energy of the ions
        assert stack.metadata["beam"] == "ion"
        assert stack.metadata["ion_beam_kv"] == 30
        assert stack.metadata["tilt_deg"] == pytest.approx(32, abs=0.01)

    def test_navigation_camera_is_asked_for(self, metadata):
        path = metadata / "FEI-Helios-navcam.tif"
        with (
            pytest.raises(MissingMetadata, match=r"navcam\.tif does not tell the voxel size"),
            pytest.warns(PorescopeWarning),
        ):
            read_stack(path)
        assert read_cut(path, 39, (1, 2, 2)).shape == (1, 512, 768)

    def test_no_tags_is_asked_for(self, metadata):
        with pytest.raises(MissingMetadata, match="does not tell the voxel size"):
            read_stack(metadata / "openfibsem_lamella_needle_notags.tif")


class TestRealZeiss:
    @pytest.mark.parametrize(
        ("name", "pixel_nm", "beam_kv", "detector", "current_pa"),
        [
            ("metadata/test_tiff_Zeiss_SEM_1k.tif", 2615, 25, "HE-SE2", 1e3),
            ("stacks/npg_zeiss_inlens_20kV_0.543nm.tif", 0.543, 20, "InLens", 2e5),
        ],
    )
    def test_single_image(self, name, pixel_nm, beam_kv, detector, current_pa, real_data):
        stack = read_stack(real_data / name)
        assert stack.shape == (1, 768, 1024)  # a burnt-in data bar is left where it is
        assert stack.spacing_nm == pytest.approx((pixel_nm,) * 3)
        assert (stack.beam_kv, stack.detector) == (beam_kv, detector)
        assert stack.metadata["current_pa"] == pytest.approx(current_pa)
        assert stack.metadata["tilt_corrected"] is False

    def test_two_pages_ask_for_the_slice_thickness(self, real_data):
        path = real_data / "stacks/zeiss_fib_cross_section_multipage_curtains.tif"
        with pytest.raises(MissingMetadata, match=r"slice thickness \(only y 12\.33 nm") as caught:
            read_stack(path)
        assert caught.value.missing == ("z",)
        stack = read_stack(path, (20, None, None))
        assert stack.spacing_nm == pytest.approx((20, 12.33, 12.33))  # not the 24.65 beside it
        assert stack.shape == (2, 1536, 2048)
        assert stack.beam_kv == 1.8
        assert stack.metadata["tilt_corrected"] is True
        assert stack.metadata["tilt_deg"] == 52.6
        assert stack.metadata["date"] == "18 Apr 2016 22:42:02"


def fei(path, sections, tag=34682, image=IMAGE):
    text = "".join(
        f"[{name}]\r\n" + "".join(f"{key}={value}\r\n" for key, value in entries.items()) + "\r\n"
        for name, entries in sections.items()
    )
    extratags = [(tag, "s", 0, text, True)] if tag else []
    tifffile.imwrite(path, image, metadata=None, extratags=extratags)
    if not tag:
        with path.open("ab") as file:
            file.write(text.encode())
    return path


FEI = {
    "User": {"Date": "1/2/2024"},
    "Beam": {"HV": 30000, "Beam": "EBeam", "Scan": "EScan"},
    "EBeam": {"HV": 2000, "BeamCurrent": 5e-11, "TiltCorrectionIsOn": "yes"},
    "IBeam": {"HV": 30000, "BeamCurrent": 1e-9},
    "EScan": {"Dwell": 3e-6, "PixelWidth": 4e-9, "PixelHeight": 5e-9},
    "IScan": {"Dwell": 1e-7, "PixelWidth": 40e-9, "PixelHeight": 50e-9},
    "Stage": {"StageT": 0.6632251157578453, "WorkingDistance": 0.004},
    "Detectors": {"Name": "TLD"},
}


class TestFei:
    @pytest.mark.parametrize("tag", [34680, 34682, None])
    def test_both_tags_and_text_at_the_end(self, tag, tmp_path):
        stack = read_stack(fei(tmp_path / "a.tif", FEI, tag))
        assert stack.spacing_nm == (5, 5, 4)
        assert stack.beam_kv == 2
        assert stack.detector == "TLD"
        told = stack.metadata
        assert told["tilt_deg"] == pytest.approx(38)
        assert told["tilt_corrected"] is True
        assert told["dwell_us"] == 3
        assert told["current_pa"] == 50
        np.testing.assert_array_equal(stack.data[0], IMAGE)

    def test_ion_beam_has_its_own_scan(self, tmp_path):
        beam = {"HV": 30000, "Beam": "IBeam", "Scan": "IScan"}
        stack = read_stack(fei(tmp_path / "a.tif", {**FEI, "Beam": beam}))
        assert stack.spacing_nm == (50, 50, 40)
        assert stack.beam_kv is None
        assert stack.metadata["ion_beam_kv"] == 30
        assert stack.metadata["current_pa"] == 1000

    def test_deceleration_gives_the_landing_energy(self, tmp_path):
        slow = {"ModeOn": "On", "LandingEnergy": 500}
        stack = read_stack(fei(tmp_path / "a.tif", {**FEI, "EBeamDeceleration": slow}))
        assert stack.beam_kv == 0.5

    def test_data_bar_is_cut_only_from_an_image_of_the_told_width(self, tmp_path):
        told = {"ResolutionX": 64, "ResolutionY": 40}
        stack = read_cut(fei(tmp_path / "a.tif", {**FEI, "Image": told}), 8)
        np.testing.assert_array_equal(stack.data[0], IMAGE[:40])
        for other in ({"ResolutionX": 128, "ResolutionY": 40}, {"ResolutionX": 64}, {}):
            stack = read_stack(fei(tmp_path / "a.tif", {**FEI, "Image": other}))
            assert stack.shape == (1, 48, 64)

    def test_data_bars_of_a_folder(self, tmp_path):
        told = {"ResolutionX": 64, "ResolutionY": 40}
        for index in range(3):
            fei(tmp_path / f"{index}.tif", {**FEI, "Image": told}, image=IMAGE + np.uint8(index))
        stack = read_cut(tmp_path, 8, (9, None, None))
        assert stack.spacing_nm == (9, 5, 4)
        np.testing.assert_array_equal(stack.data[2], IMAGE[:40] + np.uint8(2))

    def test_slices_of_two_voltages_are_refused(self, tmp_path):
        fei(tmp_path / "1.tif", FEI)
        fei(tmp_path / "2.tif", {**FEI, "EBeam": {"HV": 4000}})
        with pytest.raises(PorescopeError, match=r"2\.tif has a beam energy in kV of 4"):
            read_stack(tmp_path, (9, None, None))

    def test_empty_entries(self, tmp_path):
        empty = {name: dict.fromkeys(entries, "") for name, entries in FEI.items()}
        with pytest.raises(MissingMetadata):
            read_stack(fei(tmp_path / "a.tif", empty))


def zeiss(path, entries, image=IMAGE):
    text = "0\r\n0\r\n" + "".join(f"{key}\r\n{line}\r\n" for key, line in entries.items())
    extratags = [(34118, "s", 0, text.encode("latin-1"), True)]
    tifffile.imwrite(path, image, metadata=None, extratags=extratags)
    return path


class TestZeiss:
    @pytest.mark.parametrize(
        ("size", "pixel_nm"),
        [("543.0 pm", 0.543), ("9.92 nm", 9.92), ("2.615 µm", 2615), ("2.615 um", 2615),
         ("0.001 mm", 1000), ("2500000 fm", 2.5)],
    )  # fmt: skip
    def test_units(self, size, pixel_nm, tmp_path):
        line = f"Image Pixel Size = {size}"
        stack = read_stack(zeiss(tmp_path / "a.tif", {"AP_IMAGE_PIXEL_SIZE": line}))
        assert stack.spacing_nm == pytest.approx((pixel_nm,) * 3, rel=1e-12)

    def test_image_pixel_size_wins(self, tmp_path):
        both = {"AP_PIXEL_SIZE": "Pixel Size = 10 nm", "AP_IMAGE_PIXEL_SIZE": "Image = 5 nm"}
        assert read_stack(zeiss(tmp_path / "a.tif", both)).spacing_nm == (5, 5, 5)
        both["AP_IMAGE_PIXEL_SIZE"] = "Image Pixel Size = 0.0 fm"
        assert read_stack(zeiss(tmp_path / "a.tif", both)).spacing_nm == (10, 10, 10)

    def test_pixel_size_alone_is_that_of_the_display(self, tmp_path):
        for columns, pixel_nm in ((1024, 10), (2048, 5), (4096, 2.5)):
            store = f"Store resolution = {columns} * 48"
            entries = {"AP_PIXEL_SIZE": "Pixel Size = 10 nm", "DP_IMAGE_STORE": store}
            wide = np.zeros((48, columns), np.uint8)
            stack = read_stack(zeiss(tmp_path / "a.tif", entries, wide))
            assert stack.spacing_nm == (pixel_nm,) * 3
            assert read_stack(zeiss(tmp_path / "b.tif", entries)).spacing_nm == (10, 10, 10)

    def test_energy(self, tmp_path):
        entries = {"AP_IMAGE_PIXEL_SIZE": "I = 5 nm", "AP_MANUALKV": "EHT Target = 2.00 kV"}
        assert read_stack(zeiss(tmp_path / "a.tif", entries)).beam_kv == 2
        entries["AP_ACTUALKV"] = "EHT = 950 V"
        assert read_stack(zeiss(tmp_path / "a.tif", entries)).beam_kv == 0.95
        entries["AP_ACTUALKV"] = "EHT = 0.00 kV"
        assert read_stack(zeiss(tmp_path / "a.tif", entries)).beam_kv == 2


TESCAN = """[MAIN]
AccFrames=1
Date=2024-02-03
Time=12:13:14
DeviceModel=AMBER X
PixelSizeX=2.5e-09
PixelSizeY=3e-09
{strip}
[SEM]
Detector=BSE
DwellTime=3.2e-06
HV=2000.0
PredictedBeamCurrent=1e-10
StageTilt=55.0
WD=0.006
"""


class TestTescan:
    def check(self, stack, rows):
        assert stack.spacing_nm == (3, 3, 2.5)
        assert stack.beam_kv == 2
        assert stack.detector == "BSE"
        assert stack.metadata["current_pa"] == 100
        assert stack.metadata["dwell_us"] == pytest.approx(3.2)
        assert stack.metadata["working_distance_mm"] == 6
        assert stack.metadata["tilt_deg"] == 55
        assert stack.metadata["date"] == "2024-02-03 12:13:14"
        np.testing.assert_array_equal(stack.data[0], IMAGE[:rows])

    def test_tag_with_binary_heads(self, tmp_path):
        text = TESCAN.format(strip="")
        main, sem = (part.split("]\n")[1] for part in text.split("[")[1:])
        blocks = b"\x02\0\0\0\x07\x01" + main.encode() + b"\x03\0\0\0\x07\x01" + sem.encode()
        path = tmp_path / "a.tif"
        tags = [(50431, "B", len(blocks), blocks, True)]
        tifffile.imwrite(path, IMAGE, metadata=None, extratags=tags)
        self.check(read_stack(path), 48)

    @pytest.mark.parametrize(
        ("name", "header"), [("a.tif", "a.hdr"), ("a.tif", "a-tif.hdr"), ("a.png", "a-png.hdr")]
    )
    def test_header_beside(self, name, header, tmp_path):
        import imageio.v3

        imageio.v3.imwrite(tmp_path / name, IMAGE)
        with pytest.raises(MissingMetadata):
            read_stack(tmp_path / name)
        (tmp_path / header).write_text(TESCAN.format(strip=""))
        self.check(read_stack(tmp_path / name), 48)
        (tmp_path / header).write_text(TESCAN.format(strip="ImageStripSize=8"))
        self.check(read_cut(tmp_path / name, 8), 40)

    def test_other_header_files_are_left_alone(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", IMAGE)
        (tmp_path / "a.hdr").write_text("ENVI\nPixelSizeX=1e-9\nPixelSizeY=1e-9\n")
        with pytest.raises(MissingMetadata):
            read_stack(tmp_path / "a.tif")


class TestAtlas:
    def slices(self, folder, positions, **kwargs):
        folder.mkdir(exist_ok=True)
        for index, position in enumerate(positions):
            name = f"slice_{100 + index:05}_z={position}.tif"
            tifffile.imwrite(folder / name, IMAGE + np.uint8(index), **kwargs)
        return folder

    def test_positions_in_names(self, tmp_path):
        folder = self.slices(tmp_path / "a", ["1.0894um", "1.0994um", "1.1114um", "1.1194um"])
        stack = read_stack(folder, (None, 5, 5))
        assert stack.slice_z_nm == pytest.approx([0, 10, 22, 30], abs=1e-9)
        assert stack.spacing_nm == pytest.approx((10, 5, 5))
        assert stack.metadata["slice_z_source"] == "file names"
        assert stack.data[:, 0, 0].tolist() == [IMAGE[0, 0] + index for index in range(4)]

    def test_thickness_in_the_slices_wins_over_names(self, tmp_path):
        folder = self.slices(
            tmp_path / "a", ["0um", "0.0123456um"], imagej=True, resolution=(0.4, 0.4),
            metadata={"unit": "nm", "spacing": 10.16},
        )  # fmt: skip
        stack = read_stack(folder)
        assert stack.spacing_nm == pytest.approx((10.16, 2.5, 2.5))
        assert stack.slice_z_nm == pytest.approx([0, 12.3456])

    def test_negative_and_nanometres(self, tmp_path):
        folder = self.slices(tmp_path / "a", ["-5nm", "0nm", "+5.5nm"])
        assert read_stack(folder, (None, 5, 5)).slice_z_nm == pytest.approx([0, 5, 10.5])

    def test_one_name_without_position(self, tmp_path):
        folder = self.slices(tmp_path / "a", ["1.0um", "1.1um"])
        tifffile.imwrite(folder / "slice_00099.tif", IMAGE)
        with pytest.raises(PorescopeError, match=r"slice_00099\.tif has no position"):
            read_stack(folder, (10, 5, 5))

    @pytest.mark.parametrize("above", [False, True])
    @pytest.mark.parametrize(
        "inside",
        [
            "<Interval>0.012</Interval><FibicsRasterInfo><PixelSizeX>0.004</PixelSizeX>"
            "</FibicsRasterInfo>",
            "<DefaultAcquisition><PixelSize>0.004</PixelSize><Interval><Distance>"
            "<Interval>0.012</Interval></Distance></Interval></DefaultAcquisition>",
        ],
    )
    def test_job_file(self, inside, above, tmp_path):
        folder = self.slices(tmp_path / "InLens", ["1.00um", "1.01um", "1.02um"])
        place = tmp_path if above else folder
        (place / "Atlas3D.a3d-setup").write_text(
            f"<ATLAS3D><Settings><Imaging>{inside}</Imaging></Settings></ATLAS3D>"
        )
        stack = read_stack(folder)
        assert stack.spacing_nm == pytest.approx((12, 4, 4))
        assert stack.slice_z_nm == pytest.approx([0, 10, 20])
        assert stack.metadata["slice_thickness_source"] == "Atlas3D.a3d-setup"

    def test_damaged_job_file(self, tmp_path):
        folder = self.slices(tmp_path / "InLens", ["1.00um", "1.01um"])
        (folder / "Atlas3D.a3d-setup").write_text("<ATLAS3D><Settings>")
        with pytest.raises(PorescopeError, match=r"a3d-setup cannot be read"):
            read_stack(folder, (10, 5, 5))

    def test_own_tag(self, tmp_path):
        xml = (
            '<?xml version="1.0" encoding="iso-8859-1"?>\r\n<Fibics version="1.2"><Image>'
            "<Width>64</Width><Height>48</Height></Image><Scan>"
            '<FOV_X units="um">0.32</FOV_X><FOV_Y units="um">0.288</FOV_Y>'
            '<Dwell units="ns">2000</Dwell></Scan></Fibics>'
        )
        tags = [(51023, "s", 0, xml, True)]
        tags.append((34118, "s", 0, "0\r\nAP_IMAGE_PIXEL_SIZE\r\nI = 99 nm\r\n"
                     "AP_ACTUALKV\r\nEHT = 1.5 kV\r\n", True))  # fmt: skip
        tifffile.imwrite(tmp_path / "a.tif", IMAGE, metadata=None, extratags=tags)
        stack = read_stack(tmp_path / "a.tif")
        assert stack.spacing_nm == pytest.approx((6, 6, 5))
        assert stack.metadata["dwell_us"] == 2
        assert stack.metadata["vendor"] == "Zeiss Atlas"
        assert stack.beam_kv == 1.5


class TestOpenFibsem:
    def told(self, beam):
        return {
            "image": {"beam_type": beam, "dwell_time": 1e-6, "hfw": 1e-4},
            "pixel_size": {"x": 4e-9, "y": 5e-9},
            "microscope_state": {
                "electron_beam": {"voltage": 2000.0, "beam_current": 1e-10},
                "ion_beam": {"voltage": 30000.0, "beam_current": 2e-9},
                "electron_detector": {"type": "ETD"},
            },
        }

    def test_description(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", IMAGE, metadata=self.told("ELECTRON"))
        stack = read_stack(tmp_path / "a.tif")
        assert stack.spacing_nm == (5, 5, 4)
        assert stack.beam_kv == 2
        assert stack.detector == "ETD"
        assert stack.metadata["current_pa"] == 100

    def test_ions(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", IMAGE, metadata=self.told("ION"))
        stack = read_stack(tmp_path / "a.tif")
        assert stack.beam_kv is None
        assert stack.metadata["ion_beam_kv"] == 30
        assert stack.metadata["current_pa"] == 2000
