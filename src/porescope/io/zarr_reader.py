"""OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.facts import OWN_KEY, Facts, merge_own, to_nm, to_number
from porescope.io.guard import naming
from porescope.io.lazy import Selection, Stored, volume_of

GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
SPATIAL = ("z", "y", "x")

CODECS = {
    "adler32", "astype", "bitround", "blosc", "bytes", "bz2", "crc32", "crc32c", "delta",
    "endian", "fixedscaleoffset", "fletcher32", "gzip", "lz4", "lzma", "packbits", "pcodec",
    "quantize", "sharding_indexed", "shuffle", "transpose", "zfpy", "zlib", "zstd",
}  # fmt: skip
"""What may stand between stored bytes and numbers; among others is ``pickle``, which runs code
(releases of zarr before 3.1 let it)."""


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array."""
    return path.is_dir() and any((path / name).is_file() for name in GROUP_FILES)


@dataclass(frozen=True)
class ZarrVolume(Stored):
    """The full-size level of an OME-Zarr, opened for each part that is read."""

    level: str
    leading: int

    def __getitem__(self, selection: Selection) -> np.ndarray:
        """Read a part."""
        import zarr

        with naming(self.path):
            array = zarr.open_array(str(self.path), path=self.level, mode="r")
            if array.ndim - self.leading == 2:
                part = array[(0,) * self.leading + tuple(selection[1:])][np.newaxis][selection[0]]
            else:
                part = array[(0,) * self.leading + tuple(selection)]
            return np.asarray(part, dtype=self.dtype)


def read_zarr(path: Path) -> tuple[Any, Facts]:
    """Read the full-size level of an OME-Zarr image or label group.

    Returns
    -------
    data : array of shape (z, y, x)
        Numpy, or dask if large.
    facts : Facts

    Raises
    ------
    PorescopeError
        If there are no multiscales, more than one channel or time point, or damaged metadata.
    """
    import zarr

    with naming(path):
        group = zarr.open(str(path), mode="r")
        attributes = dict(group.attrs)
        ome = attributes["ome"] if isinstance(attributes.get("ome"), Mapping) else attributes
        if not isinstance(group, zarr.Group) or not ome.get("multiscales"):
            raise PorescopeError(
                f"{path} is a Zarr without OME multiscales; name the image group inside it, or "
                "write it as OME-Zarr."
            )
        multiscale = ome["multiscales"][0]
        dataset = multiscale["datasets"][0]
        level = str(dataset["path"])
        if ".." in PurePosixPath(level).parts or level.startswith("/"):
            raise PorescopeError(f"{path} points outside of itself ({level}); it is damaged.")
        array = group[level]
        names, units = _axes(multiscale, array.ndim)
        leading = _leading(path, names, array.shape)
        check_codecs(path, array.metadata.to_dict())
        shape, chunks = array.shape[leading:], array.chunks[leading:]
        if len(shape) == 2:
            shape, chunks = (1, *shape), (1, *chunks)
        scale, shift = _placement(multiscale, dataset, array.ndim)
        z, y, x = (
            to_nm(scale[names.index(axis)], units[names.index(axis)]) if axis in names else None
            for axis in SPATIAL
        )
        told = Facts(spacing_nm=(z, y, x), is_labels="image-label" in ome)
        if all((z, y, x)):
            told = _shifted(told, shape[0], [shift[names.index(a)] for a in SPATIAL], scale, names)
        facts = merge_own(attributes.get(OWN_KEY), shape, told)
        volume = ZarrVolume(path, shape, np.dtype(array.dtype), level, leading)
        return volume_of(volume, chunks), facts


def _shifted(
    told: Facts, count: int, shift: list[float], scale: list[float], names: list[str]
) -> Facts:
    z, y, x = (
        step / scale[names.index(axis)] * (told.spacing_nm[index] or 0.0)
        for index, (axis, step) in enumerate(zip(SPATIAL, shift, strict=True))
    )
    positions = z + (told.spacing_nm[0] or 0.0) * np.arange(count)
    moved = Facts(slice_z_nm=positions if z else None, origin_yx_nm=(y, x))
    return told.completed_by(moved).completed_by(
        Facts(metadata={"spacing_source": "OME-Zarr scale"})
    )


def _axes(multiscale: Mapping[str, Any], ndim: int) -> tuple[list[str], list[str | None]]:
    axes = multiscale.get("axes") or []
    names = [str(axis["name"] if isinstance(axis, Mapping) else axis).lower() for axis in axes]
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in axes]
    if len(names) != ndim or tuple(names[-2:]) != ("y", "x"):
        raise ValueError(f"axes {names} for {ndim} dimensions; expected z, y, x at the end")
    return names, units


def _leading(path: Path, names: list[str], shape: tuple[int, ...]) -> int:
    """Return the number of axes before z, y, x, each of which must have length 1."""
    leading = len(names) - (3 if names[-3:-2] == ["z"] else 2)
    for name, length in zip(names[:leading], shape[:leading], strict=True):
        if length != 1:
            what = {"c": "channels", "t": "time points"}.get(name, f"positions along axis {name}")
            raise PorescopeError(f"{path} holds {length} {what}; save one as an image of its own.")
    return leading


def _placement(
    multiscale: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int
) -> tuple[list[float], list[float]]:
    """Return scale and translation of the level, those of the whole image applied last."""
    scale, shift = [1.0] * ndim, [0.0] * ndim
    for owner in (dataset, multiscale):
        for step in owner.get("coordinateTransformations") or []:
            values = [to_number(value) for value in step.get(step.get("type"), [])]
            if step.get("type") == "identity":
                continue
            if step.get("type") not in ("scale", "translation") or len(values) != ndim:
                raise ValueError(f"transformation {step.get('type')} of {len(values)} values")
            for axis, value in enumerate(values):
                if value is None:
                    value = float("nan")
                if step["type"] == "scale":
                    scale[axis], shift[axis] = scale[axis] * value, shift[axis] * value
                else:
                    shift[axis] += value
    return scale, shift


def check_codecs(path: Path, metadata: Any) -> None:
    """Refuse an array whose metadata (format 2 or 3) name a codec beyond :data:`CODECS`.

    Raises
    ------
    PorescopeError
        With the name of the codec.
    """
    for name in _codec_names(metadata):
        if name.removeprefix("numcodecs.") not in CODECS:
            raise PorescopeError(f"{path} is stored with the codec {name}, which is not read.")


def _codec_names(node: Any) -> list[str]:
    """Return the names of all codecs: ``id`` in format 2, ``name`` in format 3."""
    names: list[str] = []
    if isinstance(node, Mapping):
        for key in ("codecs", "filters", "compressor", "index_codecs", "configuration"):
            names += _codec_names(node.get(key))
        if "node_type" not in node and "zarr_format" not in node:
            names += [str(node[key]) for key in ("id", "name") if key in node]
    elif isinstance(node, list | tuple):
        for one in node:
            names += _codec_names(one)
    return names
