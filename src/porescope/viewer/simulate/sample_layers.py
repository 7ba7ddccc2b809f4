"""A sample as a layer, and the heightfield of one of its planes as layers.

napari puts the centre of voxel i at i; in a sample voxel i covers [i, i + 1). The plane of a slice
runs through the centres of its voxels, so that what is solid at the plane is what the slice shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging import HeightField, extract_heightfield
from porescope.pipeline.heightfields import in_memory
from porescope.pipeline.sample_results import Shown
from porescope.stack import SLICES, Stack
from porescope.viewer.layers import (
    AXES,
    CHANNEL,
    KEY,
    SOLID_COLOUR,
    LayerData,
    check_straight,
    nm_per_unit,
    phase_colours,
    to_layer_data,
)

if TYPE_CHECKING:
    from napari.layers import Layer

NEAR_TO_FAR = "inferno"
DEEPEST_SHOWN = 99.5
"""Percentile of the depths that is shown darkest."""
LOOKED_AT = 1 << 16
"""Pixels among which it is found."""


def sample_layer(stack: Stack, name: str, shown: Shown) -> LayerData:
    """Return a labels or surface layer that remembers the sample it shows.

    Parameters
    ----------
    stack : Stack
        Labels as shown.
    name : str
        Of the layer.
    shown : Shown
        What the sample is made of, and its surface.
    """
    colours = phase_colours(SOLID_COLOUR)
    data, attributes, kind = to_layer_data(stack, name, colormap=colours, opacity=1.0)
    told = attributes["metadata"][KEY]
    told["sample"] = shown.primitives if shown.primitives is not None else stack
    told["units_per_voxel"] = shown.units_per_voxel
    if shown.surface is None:
        return data, attributes, kind
    vertices, faces = shown.surface
    kept = ("name", "scale", "units", "axis_labels", "translate", "metadata")
    look = {"colormap": SOLID_COLOUR, "shading": "smooth"}
    surface = (vertices, faces, np.ones(len(vertices), np.float32))
    return surface, {key: attributes[key] for key in kept} | look, "surface"


def can_be_sampled(layer: Layer) -> bool:
    """Whether a layer is a volume, or shows a sample, whose heightfield can be extracted."""
    from napari.layers import Image, Labels, Surface

    if layer.ndim != 3 or CHANNEL in layer.metadata:
        return False
    if isinstance(layer, Surface):
        return "sample" in layer.metadata.get(KEY, {})
    return isinstance(layer, Labels) or (isinstance(layer, Image) and not layer.rgb)


@dataclass(frozen=True, eq=False)
class Question:
    """The heightfield of one plane, asked of a layer as it was then.

    Parameters
    ----------
    sample : Primitives or array of shape (z, y, x)
        Exactly, in its own unit or voxels; numpy or dask.
    level : float or None
        From which an array of grey values is solid.
    layers : int
        How many stretches of solid.
    units_per_voxel : int
        Edge of a shown voxel in units of the sample.
    scale, translate : arrays of shape (3,), float64
        Of the layer (z, y, x), in its units.
    units : tuple
        Of the layer.
    unit_nm : float or None
        Depth in nm of one of the layer's units; None where these are no length.
    z : float
        Where the slider stands, in the layer's units.
    """

    sample: Any
    level: float | None
    layers: int
    units_per_voxel: int
    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    units: tuple[Any, ...]
    unit_nm: float | None
    z: float

    @property
    def slice(self) -> int:
        """Which slice the layer shows."""
        return round(float((self.z - self.translate[SLICES]) / self.scale[SLICES]))

    @property
    def plane_z(self) -> float:
        """Depth of the plane in the sample's unit."""
        return (self.slice + 0.5) * self.units_per_voxel

    @property
    def inside(self) -> bool:
        """Whether the slider stands within the sample."""
        return 0 <= self.plane_z < self.sample.shape[SLICES]

    @property
    def depth_scale(self) -> float:
        """What a depth of 1 in the sample's unit is in nm, or in the layer's unit."""
        return float(self.scale[SLICES]) / self.units_per_voxel * (self.unit_nm or 1.0)

    @property
    def depth_unit(self) -> str:
        """In which depths are shown."""
        return "nm" if self.unit_nm is not None else f"{self.units[SLICES]:~}"

    def answer(self) -> HeightField:
        """Extract the heightfield; depths in the unit that :attr:`depth_unit` names."""
        if isinstance(self.sample, Primitives):
            field = in_memory(extract_heightfield(self.sample, self.plane_z, layers=self.layers))
            depth = np.float32(self.depth_scale)
            return HeightField(field.entry * depth, field.exit * depth, field.normal)
        spacing_nm = tuple(self.scale * (self.unit_nm or 1.0))
        volume = Stack(self.sample, spacing_nm, is_labels=self.level is None)
        return extract_heightfield(volume, self.plane_z, layers=self.layers, level=self.level)

    def places(self) -> dict[str, Any]:
        """Return where the layers of the heightfield lie."""
        # In the unit of the sample the centre of the first pixel lies at 0.5.
        units = self.units_per_voxel
        translate = self.translate + self.scale * (0.5 / units - 0.5)
        translate[SLICES] = self.translate[SLICES] + self.slice * self.scale[SLICES]
        scale = self.scale / units
        scale[SLICES] = self.scale[SLICES]
        return {"scale": scale, "translate": translate}


def ask(layer: Layer, z: float, layers: int, level: float | None) -> Question:
    """Return the question for the heightfield of a layer's sample.

    Parameters
    ----------
    layer : napari layer
        One that :func:`can_be_sampled`.
    z : float
        Where the slider stands, in the layer's units.
    layers : int
        How many stretches of solid, from 1 to 8.
    level : float, optional
        From which an image is solid.

    Raises
    ------
    PorescopeError
        If the layer is turned or sheared.
    """
    data, attributes, kind = layer.as_layer_data_tuple()
    check_straight(layer.name, attributes)
    told = layer.metadata.get(KEY, {})
    sample = told.get("sample")
    if kind != "surface" and not isinstance(sample, Primitives):
        sample = data[0] if layer.multiscale else data
    elif isinstance(sample, Stack):
        sample = sample.data
    try:
        unit_nm = float(nm_per_unit(layer.name, layer.units)[SLICES])
    except PorescopeError:
        unit_nm = None
    return Question(
        sample=sample,
        level=level,
        layers=layers,
        units_per_voxel=told.get("units_per_voxel", 1),
        scale=np.array(layer.scale, dtype=float),
        translate=np.array(layer.translate, dtype=float),
        units=layer.units,
        unit_nm=unit_nm,
        z=z,
    )


def channels(field: HeightField) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the names and pixels of what shows a heightfield.

    Depths are NaN, and colours clear, where there is no solid. The normal is a colour as on normal
    maps elsewhere: red to the right, green up, blue toward the beam.
    """
    for index, ends in enumerate(zip(field.entry, field.exit, strict=True), start=1):
        for name, depth in zip(("entry", "exit"), ends, strict=True):
            yield f"{name} {index}", np.where(np.isfinite(depth), depth, np.nan)[np.newaxis]
    nz, ny, nx = field.normal
    colour = np.stack([nx, -ny, nz, np.ones_like(nz)], axis=-1)
    colour = (colour + 1) / 2
    colour[~field.normal.any(axis=0)] = 0
    yield "normal", (255 * colour + 0.5).astype(np.uint8)[np.newaxis]


def channel_layers(question: Question, shown: Mapping[str, NDArray[Any]]) -> Iterator[LayerData]:
    """Yield the layers of a heightfield, whose pixels are as from :func:`channels`."""
    from napari.utils.colormaps import Colormap, ensure_colormap

    colours = ensure_colormap(NEAR_TO_FAR).colors[::-1]
    near_is_bright = Colormap(colours, name=f"{NEAR_TO_FAR} reversed")
    for name, pixels in shown.items():
        attributes: dict[str, Any] = {
            "name": name,
            "units": question.units,
            "axis_labels": AXES,
            "metadata": {CHANNEL: {"depth_unit": question.depth_unit}},
            **question.places(),
        }
        if name == "normal":
            attributes["rgb"] = True
        else:
            limits = 0.0, _deepest(pixels) or 1.0
            attributes |= {"colormap": near_is_bright, "contrast_limits": limits}
            attributes["metadata"][CHANNEL]["shown_to"] = limits[1]
        yield pixels, attributes, "image"


def widen_contrast(channel: Layer) -> None:
    """Let the contrast of depths reach the deepest so far; one that the user chose stays."""
    told = channel.metadata[CHANNEL]
    if "shown_to" in told and tuple(channel.contrast_limits) == (0.0, told["shown_to"]):
        deepest = _deepest(channel.data)
        if deepest > told["shown_to"]:
            told["shown_to"] = deepest
            channel.contrast_limits = 0.0, deepest


def _deepest(depth: NDArray[Any]) -> float:
    """Return how deep to show, from at most so many pixels that no slider waits for it."""
    seen = depth.ravel()[:: 1 + depth.size // LOOKED_AT]
    known = seen[np.isfinite(seen)]
    return float(np.percentile(known, DEEPEST_SHOWN)) if known.size else 0.0
