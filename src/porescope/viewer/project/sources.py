"""Where the voxels of a layer can be read again: in its metadata, from whoever read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from porescope.pipeline.project import Source
from porescope.viewer.layers import KEY, LayerData

if TYPE_CHECKING:
    from napari.layers import Layer

SOURCE, PLACED = "source", "placed"


def with_source(layer: LayerData, source: Source) -> LayerData:
    """Return layer data that say where they were read, and how they were placed then."""
    attributes = layer[1]
    told = attributes["metadata"][KEY]
    told[SOURCE] = source.model_dump()
    told[PLACED] = _rows(attributes["scale"], attributes["translate"])
    return layer


def source_of(layer: Layer) -> Source | None:
    """Return where the voxels of a layer can be read, if anywhere."""
    told = layer.metadata.get(KEY, {}).get(SOURCE)
    return None if told is None else Source.model_validate(told)


def as_read(layer: Layer) -> Source | None:
    """Return the source of a layer that still lies where it lay when it was read."""
    placed = layer.metadata.get(KEY, {}).get(PLACED)
    same = placed == _rows(layer.scale, layer.translate)
    in_nm = all(f"{unit}" == "nanometer" for unit in layer.units)
    return source_of(layer) if same and in_nm else None


def forget_source(layer: Layer) -> None:
    """Have a layer say no more where its voxels come from, because they have changed."""
    own = {key: value for key, value in layer.metadata[KEY].items() if key not in (SOURCE, PLACED)}
    layer.metadata = {**layer.metadata, KEY: own}


def _rows(scale: Sequence[Any], translate: Sequence[Any]) -> list[list[float]]:
    return [np.asarray(scale, float).tolist(), np.asarray(translate, float).tolist()]
