"""OME-TIFF and ImageJ TIFF that read back exactly."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.io.facts import OWN_KEY, own_fields
from porescope.io.slabs import load, slabs
from porescope.stack import COLUMNS, Stack
from porescope.tracking import Cancel, Progress, track

IMAGEJ_TYPES = ("uint8", "uint16", "float32")
CLASSIC_BYTES = 2**32 - 2**25
"""Beyond this, a TIFF needs offsets of 8 bytes, which the ImageJ format has not."""


def write_tiff(
    place: Path,
    name: str,
    stack: Stack,
    labels: Mapping[str, Stack],
    progress: Progress,
    cancel: Cancel,
) -> None:
    """Write a stack into ``place`` as the kind of TIFF that ``name`` tells.

    ``.ome.tif`` is OME-TIFF. ``.tif`` is ImageJ TIFF for the types ImageJ knows, otherwise and
    above 4 GiB a plain (Big)TIFF with the same fields in its description.
    """
    import tifffile

    data = stack.data
    nbytes = int(np.prod(data.shape)) * data.dtype.itemsize
    fields = json.dumps(own_fields(stack))
    z, y, x = stack.spacing_nm
    metadata: dict[str, Any] | None = None
    description = None
    big = nbytes >= CLASSIC_BYTES
    ome = name.lower().endswith(".ome.tif")
    imagej = not (ome or big) and data.dtype.name in IMAGEJ_TYPES and data.shape[COLUMNS] > 1
    if ome:
        metadata = {
            "axes": "ZYX",
            # OME-XML names each file; this name depends on nothing but the stack.
            "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, fields)),
            "Creator": "porescope",
            "MapAnnotation": {OWN_KEY: fields},
        }
        for axis, size in zip("ZYX", (z, y, x), strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    elif imagej:
        metadata = {"axes": "ZYX", "unit": "nm", "spacing": z, "Info": fields}
    else:
        description = f"{OWN_KEY}={fields}"

    def images() -> Iterator[np.ndarray]:
        for slab in track(slabs(data), progress, cancel):
            yield from load(data, slab)

    try:
        with tifffile.TiffWriter(place, bigtiff=big, imagej=imagej, ome=ome, shaped=False) as tif:
            tif.write(
                images(),
                shape=data.shape,
                dtype=data.dtype.newbyteorder("="),
                photometric="minisblack",
                description=description,
                metadata=metadata,
                resolution=(1 / x, 1 / y) if imagej else None,
                resolutionunit="NONE",
                software="porescope",
            )
    except OSError as error:
        if error.errno is None:  # numpy tells of a full disk only that it wrote less than asked
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
    except (ValueError, tifffile.OmeXmlError) as error:
        raise PorescopeError(
            f"{name} cannot hold voxels of type {data.dtype} ({error}); choose .ome.zarr."
        ) from error
