"""What the microscope makers write into a TIFF: FEI/Thermo, Zeiss, TESCAN, Atlas, openFIBSEM.

Keys and units follow what the files themselves hold; the readings agree with those of
RosettaSciIO, tifffile, Gwyddion, PyStack3D and fibsem-os, which document the same tags.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from porescope.io.facts import Facts, PartialSpacing, to_nm, to_number

ZEISS_TAG = 34118
TESCAN_TAG = 50431
FIBICS_TAG = 51023
TRAILING_TEXT_BYTES = 64 << 10
ZEISS_BYTES = 1 << 20
ZEISS_DISPLAY_COLUMNS = 1024


def vendor_facts(tif: Any, path: Path) -> tuple[Facts, int | None]:
    """Return what the maker of the microscope wrote into an open TIFF, or beside it.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The open file.
    path : Path
        Where it lies.

    Returns
    -------
    facts : Facts
    rows : int or None
        Number of image rows, where the file tells; what is below is a data bar.
    """
    page = tif.pages.first
    tescan = _tescan_text(page, path)
    fei = tif.fei_metadata or _trailing_text(path)
    fibsem = next((entry for entry in tif.shaped_metadata or () if "pixel_size" in entry), None)
    entries = _zeiss_entries(tif, page)
    zeiss = _zeiss(entries, page.imagewidth) if entries else Facts()
    if fei:
        return _fei(fei), _image_rows(fei, page.imagewidth)
    if FIBICS_TAG in page.tags:  # Atlas scans by itself, so the pixel size of SmartSEM is not its
        unscaled = replace(zeiss, spacing_nm=Facts().spacing_nm)
        return _fibics(str(page.tags[FIBICS_TAG].value)).completed_by(unscaled), None
    if entries:
        return zeiss, None
    if tescan:
        strip = int(to_number(tescan.get("ImageStripSize")) or 0)
        return _tescan(tescan), page.imagelength - strip if strip > 0 else None
    if fibsem:
        return _openfibsem(fibsem), None
    return Facts(), None


def picture_facts(path: Path) -> tuple[Facts, int | None]:
    """Return what a TESCAN header file beside a picture tells, and the rows below the image."""
    tescan = _header_beside(path)
    strip = int(to_number(tescan.get("ImageStripSize")) or 0)
    return (_tescan(tescan) if tescan else Facts()), strip if strip > 0 else None


def _facts(
    vendor: str,
    spacing_nm: PartialSpacing,
    source: str,
    *,
    beam_kv: float | None = None,
    detector: Any = None,
    **metadata: Any,
) -> Facts:
    told = {"vendor": vendor, **metadata}
    if any(value is not None for value in spacing_nm):
        told["spacing_source"] = source
    return Facts(
        spacing_nm=spacing_nm,
        beam_kv=beam_kv if beam_kv is not None and beam_kv > 0 else None,
        detector=str(detector) if detector else None,
        metadata={key: value for key, value in told.items() if value not in (None, "")},
    )


def _scaled(value: Any, factor: float) -> float | None:
    number = to_number(value)
    return None if number is None else float(f"{number * factor:.12g}")


def _flag(value: Any) -> bool | None:
    return {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}.get(
        str(value).strip().lower()
    )


def _fei(sections: Mapping[str, Any]) -> Facts:
    def section(name: Any) -> Mapping[str, Any]:
        found = sections.get(str(name))
        return found if isinstance(found, Mapping) else {}

    beam_name, scan_name = section("Beam").get("Beam"), section("Beam").get("Scan")
    beam = section(beam_name) or section("EBeam")
    scan = section(scan_name) or section("Scan") or section("EScan")
    deceleration = section("EBeamDeceleration")
    volt = beam.get("HV") or section("Beam").get("HV")
    ion = beam_name == "IBeam"
    if not ion and _flag(deceleration.get("ModeOn")):
        volt = deceleration.get("LandingEnergy") or volt
    stage = section("Stage")
    tilt = to_number(stage.get("StageT"))
    return _facts(
        "FEI/Thermo",
        (None, to_nm(scan.get("PixelHeight"), "m"), to_nm(scan.get("PixelWidth"), "m")),
        f"FEI {scan_name or 'Scan'} PixelWidth, PixelHeight",
        beam_kv=None if ion else _scaled(volt, 1e-3),
        detector=section("Detectors").get("Name"),
        beam={"EBeam": "electron", "IBeam": "ion"}.get(str(beam_name), beam_name),
        ion_beam_kv=_scaled(volt, 1e-3) if ion else None,
        current_pa=_scaled(beam.get("BeamCurrent"), 1e12),
        dwell_us=_scaled(scan.get("Dwell", section("Scan").get("Dwelltime")), 1e6),
        working_distance_mm=_scaled(stage.get("WorkingDistance", beam.get("WD")), 1e3),
        tilt_deg=None if tilt is None else _scaled(math.degrees(tilt), 1),
        tilt_corrected=_flag(beam.get("TiltCorrectionIsOn")),
        instrument=section("System").get("SystemType"),
        date=section("PrivateFei").get("TimeOfCreation") or section("User").get("Date"),
    )


def _image_rows(sections: Mapping[str, Any], columns: int) -> int | None:
    image = sections.get("Image")
    if not isinstance(image, Mapping) or to_number(image.get("ResolutionX")) != columns:
        return None
    return int(to_number(image.get("ResolutionY")) or 0) or None


def _trailing_text(path: Path) -> dict[str, dict[str, str]]:
    """Return the sections of FEI text that stands at the end of a file without a tag."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - TRAILING_TEXT_BYTES, 0))
        text = file.read().decode("latin-1")
    start = text.rfind("[User]")
    if start < 0 or "[Beam]" not in text[start:]:
        return {}
    sections: dict[str, dict[str, str]] = {}
    for line in text[start:].splitlines():
        if re.fullmatch(r"\[\w+\]", line.strip()):
            entries = sections.setdefault(line.strip()[1:-1], {})
        elif "=" in line:
            key, value = line.split("=", 1)
            entries[key.strip()] = value.strip()
    return sections


def _zeiss_entries(tif: Any, page: Any) -> dict[str, str]:
    """Return the named values of SmartSEM: a key, then a line such as ``EHT = 950 V``."""
    if ZEISS_TAG not in page.tags:
        return {}
    tag = page.tags[ZEISS_TAG]
    tif.filehandle.seek(tag.valueoffset)
    raw = tif.filehandle.read(min(tag.valuebytecount, ZEISS_BYTES))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    found = re.findall(r"^((?:AP|DP|SV)_\w+)\s*\n[^=:\n]*[=:]([^\n\0]*)", text, re.MULTILINE)
    return {key: value.strip() for key, value in found}


def _zeiss(entries: Mapping[str, str], columns: int) -> Facts:
    def value_and_unit(key: str) -> tuple[str | None, str]:
        match = re.fullmatch(r"([-+.\deE]+)\s*(\S*)", entries.get(key, ""))
        return (match[1], match[2]) if match else (None, "")

    def length_nm(key: str) -> float | None:
        return to_nm(*value_and_unit(key))

    def value_in(key: str, factors: Mapping[str, float]) -> float | None:
        value, unit = value_and_unit(key)
        return _scaled(value, factors[unit]) if unit in factors else None

    source, pixel_nm = "Zeiss AP_IMAGE_PIXEL_SIZE", length_nm("AP_IMAGE_PIXEL_SIZE")
    if pixel_nm is None:
        # AP_PIXEL_SIZE is that of a display 1024 pixels wide; images stored wider have smaller
        # pixels, which can be told where the stored width is named and is that of the file.
        source, pixel_nm = "Zeiss AP_PIXEL_SIZE", length_nm("AP_PIXEL_SIZE")
        stored = re.match(r"(\d+)", entries.get("DP_IMAGE_STORE", ""))
        if pixel_nm is not None and stored and int(stored[1]) == columns:
            pixel_nm *= ZEISS_DISPLAY_COLUMNS / columns
    volts = {"kV": 1.0, "V": 1e-3}
    date = " ".join(filter(None, (entries.get("AP_DATE"), entries.get("AP_TIME"))))
    return _facts(
        "Zeiss",
        (None, pixel_nm, pixel_nm),
        source,
        beam_kv=value_in("AP_ACTUALKV", volts) or value_in("AP_MANUALKV", volts),
        detector=entries.get("DP_DETECTOR_TYPE") or entries.get("DP_DETECTOR_CHANNEL"),
        current_pa=value_in("AP_IPROBE", {"fA": 1e-3, "pA": 1.0, "nA": 1e3, "µA": 1e6}),
        dwell_us=value_in("DP_DWELL_TIME", {"ns": 1e-3, "µs": 1.0, "us": 1.0, "ms": 1e3}),
        working_distance_mm=value_in("AP_WD", {"mm": 1.0, "µm": 1e-3, "m": 1e3}),
        tilt_deg=value_in("AP_STAGE_AT_T", {"°": 1.0}),
        tilt_corrected=_flag(entries.get("DP_TILT_CORRECTION")),
        instrument=entries.get("SV_SERIAL_NUMBER"),
        date=date,
    )


def _tescan_text(page: Any, path: Path) -> dict[str, str]:
    """Return the TESCAN entries of a tag, whose blocks have binary heads, or of a file beside."""
    if TESCAN_TAG not in page.tags:
        return _header_beside(path)
    value = page.tags[TESCAN_TAG].value
    text = value if isinstance(value, str) else bytes(value).decode("latin-1")
    return _entries(text)


def _header_beside(path: Path) -> dict[str, str]:
    for name in (f"{path.stem}.hdr", f"{path.stem}-{path.suffix[1:]}.hdr"):
        header = path.with_name(name)
        if header.is_file() and header.stat().st_size <= TRAILING_TEXT_BYTES:
            text = header.read_text("latin-1")
            if "[MAIN]" in text:
                return _entries(text)
    return {}


def _entries(text: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for key, value in re.findall(r"(\w+)=([^\r\n\x00]*)", text, flags=re.ASCII):
        entries.setdefault(key, value.strip())
    return entries


def _tescan(entries: Mapping[str, str]) -> Facts:
    corrected = to_number(entries.get("TiltCorrection"))
    return _facts(
        "TESCAN",
        (None, to_nm(entries.get("PixelSizeY"), "m"), to_nm(entries.get("PixelSizeX"), "m")),
        "TESCAN PixelSizeX, PixelSizeY",
        beam_kv=_scaled(entries.get("HV") or entries.get("AcceleratorVoltage"), 1e-3),
        detector=entries.get("Detector") or entries.get("Detector0"),
        current_pa=_scaled(entries.get("BeamCurrent") or entries.get("PredictedBeamCurrent"), 1e12),
        dwell_us=_scaled(entries.get("DwellTime"), 1e6),
        working_distance_mm=_scaled(entries.get("WD"), 1e3),
        tilt_deg=to_number(entries.get("StageTilt")),
        tilt_corrected=None if corrected is None else corrected != 0,
        instrument=entries.get("DeviceModel") or entries.get("Device"),
        date=" ".join(filter(None, (entries.get("Date"), entries.get("Time")))),
    )


def _fibics(text: str) -> Facts:
    """Read the XML of Atlas (Fibics): fields of view with units, and the beam's settings."""
    start = text.find("<Fibics")
    root = ElementTree.fromstring(text[start:].strip("\x00 \r\n") if start >= 0 else text)

    def pixel_nm(field: str, extent: str) -> float | None:
        node, pixels = root.find(f"Scan/{field}"), to_number(root.findtext(f"Image/{extent}"))
        if node is None or not pixels or pixels < 1:
            return None
        whole = to_nm(node.text, node.get("units"))
        return whole / pixels if whole else None

    def item(group: str, name: str) -> str | None:
        return root.findtext(f"{group}/item[@name='{name}']")

    dwell = root.find("Scan/Dwell")
    volt = re.match(r"\s*([\d.]+)\s*(k?V)\b", item("BeamInfo", "EHT") or "")
    return _facts(
        "Zeiss Atlas",
        (None, pixel_nm("FOV_Y", "Height"), pixel_nm("FOV_X", "Width")),
        "Atlas FOV_X, FOV_Y",
        beam_kv=_scaled(volt[1], 1.0 if volt[2] == "kV" else 1e-3) if volt else None,
        detector=root.findtext("Image/Detector"),
        dwell_us=_scaled(dwell.text, 1e-3)
        if dwell is not None and dwell.get("units") == "ns"
        else None,
        date=root.findtext("Image/Date"),
    )


def _openfibsem(entries: Mapping[str, Any]) -> Facts:
    def inner(*keys: str) -> Any:
        value: Any = entries
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    image = inner("image") if isinstance(inner("image"), Mapping) else entries
    ion = str(image.get("beam_type", "")).upper() == "ION"
    state = "ion_beam" if ion else "electron_beam"
    volt = _scaled(inner("microscope_state", state, "voltage"), 1e-3)
    tilt = to_number(inner("microscope_state", "stage_position", "t"))
    return _facts(
        "openFIBSEM",
        (None, to_nm(inner("pixel_size", "y"), "m"), to_nm(inner("pixel_size", "x"), "m")),
        "openFIBSEM pixel_size",
        beam_kv=None if ion else volt,
        detector=inner("microscope_state", f"{state[:-5]}_detector", "type"),
        beam="ion" if ion else "electron",
        ion_beam_kv=volt if ion else None,
        current_pa=_scaled(inner("microscope_state", state, "beam_current"), 1e12),
        dwell_us=_scaled(image.get("dwell_time"), 1e6),
        working_distance_mm=_scaled(inner("microscope_state", state, "working_distance"), 1e3),
        tilt_deg=None if tilt is None else _scaled(math.degrees(tilt), 1),
    )
