"""TIFF: several pages, ImageJ, OME, Avizo, and what microscopes write."""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.facts import (
    NM_PER_UNIT,
    OWN_KEY,
    UNITLESS,
    Facts,
    PartialSpacing,
    merge_own,
    to_nm,
    to_number,
)
from porescope.io.guard import check_holds_something, check_plausible, check_size, naming
from porescope.io.images import to_grey
from porescope.io.lazy import Mapped, Slices, Source
from porescope.io.vendor import vendor_facts

TIFF_SUFFIXES = (".tif", ".tiff")
SLICE_AXES = "ZIQ"

DESCRIPTIONS = {270, 34118, 34680, 34682, 50431, 50839, 51023}
"""Tags that hold what programs and microscopes tell of an image."""


@dataclass(frozen=True)
class TiffPlane:
    """A reader of one page; it goes to the page's place without walking the pages before."""

    path: Path
    page_offset: int
    index: int

    def __call__(self) -> np.ndarray:
        """Return the grey values (y, x)."""
        import tifffile

        with naming(self.path), tifffile.TiffFile(self.path) as tif:
            tif.filehandle.seek(self.page_offset)
            page = tifffile.TiffPage(tif, self.index)
            # It may declare another size than the first page, which was looked at when opening.
            _check_inside(self.path, page, page, tif.filehandle.size)
            if page.compression in tifffile.TIFF.DECOMPRESSORS:
                image = page.asarray()
                if page.axes.startswith("S"):
                    image = np.moveaxis(image, 0, -1)
            else:  # LZW and the like: tifffile needs a further package, Pillow brings libtiff
                import imageio.v3

                image = imageio.v3.imread(self.path, plugin="pillow", index=self.index)
            grey = to_grey(self.path, image)
            return grey.astype(grey.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class TiffContent:
    """An opened TIFF: where its voxels are, what it tells, and how many rows are image."""

    source: Source
    facts: Facts
    image_rows: int


def open_tiff(path: Path) -> TiffContent:
    """Check a TIFF and return what it holds, without reading the voxels.

    Raises
    ------
    PorescopeError
        If it is no TIFF, truncated, in colour, or holds other than one volume.
    """
    import tifffile

    check_holds_something(path)
    with naming(path), tifffile.TiffFile(path, _multifile=False) as tif:
        _check_page_chain(path, tif)
        _check_descriptions(path, tif)
        series = _only_series(path, tif)
        _check_grey(path, series.keyframe)
        source = _source(path, tif, series)
        told, rows = vendor_facts(tif, path)
        facts = _format_facts(tif, source.shape, told)
    height = source.shape[1]
    return TiffContent(source, facts, rows if rows and rows < height else height)


def _check_page_chain(path: Path, tif: Any) -> None:
    """Refuse a file that announces a page it does not hold; tifffile would go on without it."""
    tif.filehandle.seek(tif.pages.next_page_offset)
    (following,) = struct.unpack(
        tif.tiff.offsetformat, tif.filehandle.read(tif.tiff.offsetsize).ljust(tif.tiff.offsetsize)
    )
    if following:
        raise PorescopeError(
            f"{path} is truncated or damaged: page {len(tif.pages)} is announced but not there; "
            "copy it again."
        )


def _check_descriptions(path: Path, tif: Any) -> None:
    """Refuse a file that announces a description it does not hold; tifffile would leave it out."""
    page, layout, file = tif.pages.first, tif.tiff, tif.filehandle
    file.seek(page.offset)
    (count,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    entries = file.read(count * layout.tagsize)
    codes = {
        struct.unpack_from(f"{tif.byteorder}H", entries, start)[0]
        for start in range(0, len(entries), layout.tagsize)
    }
    if (codes & DESCRIPTIONS) - set(page.tags.keys()):
        raise PorescopeError(
            f"{path} is truncated or damaged: its description is not there; copy it again."
        )


def _only_series(path: Path, tif: Any) -> Any:
    full = [series for series in tif.series if not series.keyframe.is_reduced]
    if len(full) != 1:
        sizes = ", ".join(sorted({"x".join(map(str, series.shape)) for series in full}))
        raise PorescopeError(
            f"{path} holds {len(full)} images of sizes {sizes}; save the one volume to be read "
            "as a file of its own."
        )
    return full[0]


def _check_grey(path: Path, page: Any) -> None:
    from tifffile import PHOTOMETRIC

    if page.photometric == PHOTOMETRIC.MINISWHITE:
        raise PorescopeError(
            f"{path} stores black as the highest value (MinIsWhite); save it with ordinary grey "
            "values (in Fiji: Image > Lookup Tables > Invert LUT, then save)."
        )
    if page.photometric == PHOTOMETRIC.PALETTE and not _is_grey_ramp(page.colormap):
        raise PorescopeError(
            f"{path} has a colour table; save it in grey (in Fiji: Image > Lookup Tables > Grays)."
        )


def _is_grey_ramp(colours: np.ndarray | None) -> bool:
    if colours is None or (colours != colours[0]).any() or colours[0, -1] == 0:
        return False
    ramp = np.linspace(0, 1, colours.shape[1])
    return bool(np.allclose(colours[0] / colours[0, -1], ramp, atol=1 / colours.shape[1]))


def _source(path: Path, tif: Any, series: Any) -> Source:
    size = tif.filehandle.size
    planes, plane = _layout(path, series)
    page = series.keyframe
    if series.dtype is None:
        raise PorescopeError(f"{path} holds {page.bitspersample}-bit values; save it as 8 or 16.")
    dtype = np.dtype(series.dtype)
    check_size(path, (planes, *plane), dtype.itemsize, (1, *plane))
    _check_promise(path, tif, planes, math.prod(series.shape))
    if series.dataoffset is not None and page.samplesperpixel == 1:
        declared = planes * math.prod(plane) * dtype.itemsize
        check_plausible(path, declared, size - series.dataoffset, compressed=False)
        stored = dtype.newbyteorder(tif.byteorder)
        return Mapped(path, (planes, *plane), stored, series.dataoffset)
    if len(series.pages) != planes or any(one is None for one in series.pages):
        raise PorescopeError(f"{path} lacks some of its {planes} slices; export it again.")
    for one in series.pages:
        _check_inside(path, one, page, size)
    readers = tuple(TiffPlane(path, one.offset, one.index) for one in series.pages)
    return Slices(path, readers, plane, dtype.newbyteorder("="))


def _check_inside(path: Path, page: Any, keyframe: Any, size: int) -> None:
    ends = [a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or min(page.databytecounts) == 0 or max(ends) > size:
        raise PorescopeError(
            f"{path} is truncated: the image of page {page.index} ends beyond the file; "
            "copy it again."
        )
    compressed = keyframe.compression != 1
    # A tile is made whole, however little of the image lies in it.
    values = max(keyframe.size, math.prod(keyframe.chunks)) if compressed else keyframe.size
    declared = values * keyframe.bitspersample // 8
    check_plausible(path, declared, sum(page.databytecounts), compressed)


def _layout(path: Path, series: Any) -> tuple[int, tuple[int, int]]:
    """Return the number of slices and the size of a slice."""
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    extent = {"Y": 1, "X": 1}
    stacked = []
    for axis, length in zip(axes, shape, strict=True):
        if axis in "YX":
            extent[axis] = length
        elif axis in SLICE_AXES:
            stacked.append(length)
        elif axis != "S" and length > 1:
            what = {"C": "channels", "T": "time points"}.get(axis, f"images along axis {axis}")
            raise PorescopeError(
                f"{path} holds {length} {what}; save one as a file of its own (if these are the "
                "slices, in Fiji: Image > Properties, and give them as slices)."
            )
    if sum(length > 1 for length in stacked) > 1:
        raise PorescopeError(f"{path} has more than three axes {tuple(shape)}; save one volume.")
    return math.prod(stacked), (extent["Y"], extent["X"])


def _check_promise(path: Path, tif: Any, planes: int, values: int) -> None:
    """Refuse a file that holds less than its own description says."""
    promised, found = 0, planes
    if tif.is_ome:
        pixels = _ome_pixels(tif.ome_metadata)
        promised = math.prod(int(pixels.get(f"Size{axis}", "1")) for axis in "ZCT")
    elif tif.is_imagej:
        told = tif.imagej_metadata
        promised = math.prod(int(told.get(key, 1)) for key in ("slices", "frames", "channels"))
        promised = max(promised, int(told.get("images", 1)))
    elif tif.is_shaped:
        promised, found = math.prod(tif.shaped_metadata[0]["shape"]), values
    if promised > found:
        raise PorescopeError(
            f"{path} announces {promised} images or values but holds {found}; it is truncated or "
            "one file of several, export the volume as one file."
        )


def _format_facts(tif: Any, shape: tuple[int, ...], told: Facts) -> Facts:
    page = tif.pages.first
    own = None
    if tif.is_ome:
        told = Facts(spacing_nm=_ome_spacing_nm(tif.ome_metadata)).completed_by(told)
        told = _with_source(told, "OME PhysicalSize")
        own = _ome_annotation(tif.ome_metadata)
    elif tif.is_imagej:
        told = told.completed_by(_imagej_facts(tif.imagej_metadata, page))
        own = tif.imagej_metadata.get("Info")
    elif page.description.startswith(f"{OWN_KEY}="):
        own = page.description.removeprefix(f"{OWN_KEY}=")
    elif "BoundingBox" in page.description:
        told = told.completed_by(_avizo_facts(page.description, shape))
    if not isinstance(own, str) or not own.startswith("{"):
        return told
    return merge_own(json.loads(own), shape, told)


def _with_source(facts: Facts, source: str) -> Facts:
    if not any(facts.spacing_nm):
        return facts
    return Facts(metadata={"spacing_source": source}).completed_by(facts)


def _imagej_facts(told: dict[str, Any], page: Any) -> Facts:
    unit = str(told.get("unit", ""))
    y, x = (_units_per_pixel(page, tag) for tag in ("YResolution", "XResolution"))
    sizes = (told.get("spacing"), y, x)
    units = (told.get("zunit", unit), told.get("yunit", unit), unit)
    spacing_nm = [to_nm(size, str(name)) for size, name in zip(sizes, units, strict=True)]
    facts = Facts(spacing_nm=(spacing_nm[0], spacing_nm[1], spacing_nm[2]))
    if unit.lower() not in (*NM_PER_UNIT, "\\u00b5m") and any(
        size not in (None, 1) for size in sizes
    ):
        facts = Facts(metadata={UNITLESS: [to_number(size) for size in sizes]})
    return _with_source(facts, "ImageJ")


def _units_per_pixel(page: Any, tag: str) -> float | None:
    value = page.tags.valueof(tag)
    if not isinstance(value, tuple) or len(value) != 2 or 0 in value:  # 0/0 where not known
        return None
    return float(value[1] / value[0])


def _avizo_facts(description: str, shape: tuple[int, ...]) -> Facts:
    """Read the box through the centres of the corner voxels, x first, as Amira writes it."""
    number = r"\s+([-+.\deE]+)"
    box = re.search("BoundingBox" + 6 * number, description)
    if not box:
        return Facts()
    ends = [to_number(group) or 0.0 for group in box.groups()]
    widths = [stop - start for start, stop in zip(ends[::2], ends[1::2], strict=True)][::-1]
    sizes = [
        width / (count - 1) if count > 1 else None
        for width, count in zip(widths, shape, strict=True)
    ]
    unit = re.search(r"\bunits?\b\W+([^\W\d_]+)", description, flags=re.IGNORECASE)
    if not unit or unit[1].lower() not in NM_PER_UNIT:
        return Facts(metadata={UNITLESS: sizes})
    z, y, x = (to_nm(size, unit[1]) for size in sizes)
    return _with_source(Facts(spacing_nm=(z, y, x)), "Avizo BoundingBox")


def _ome_pixels(text: str) -> Any:
    pixels = ElementTree.fromstring(text).find("{*}Image/{*}Pixels")
    if pixels is None:
        raise ValueError("OME-XML without Pixels")
    return pixels


def _ome_spacing_nm(text: str) -> PartialSpacing:
    pixels = _ome_pixels(text)
    z, y, x = (
        to_nm(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "ZYX"
    )
    return (z, y, x)


def _ome_annotation(text: str) -> str | None:
    path = "{*}StructuredAnnotations/{*}MapAnnotation/{*}Value/{*}M"
    for entry in ElementTree.fromstring(text).iterfind(path):
        if entry.get("K") == OWN_KEY:
            return entry.text
    return None
