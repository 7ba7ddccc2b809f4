"""What a window shows, as plain values, and shown again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from porescope.pipeline.project import Annotation, KeptLayer, Window
from porescope.viewer.layers import CHANNEL, KEY, LayerData
from porescope.viewer.project.sources import PLACED, SOURCE, source_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

PLACE = ("scale", "translate")
LOOK = ("visible", "opacity", "blending", "gamma", "contrast_limits")
LABELS_LOOK = ("visible", "opacity", "blending", "contour", "brush_size", "selected_label")
WRONG = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)
"""What napari raises over a value that makes no sense to it; the layer then stays as it is."""


def is_shown_only(layer: Layer) -> bool:
    """Whether a layer is a preview that a section makes anew."""
    return CHANNEL in layer.metadata


def can_be_drawn(layer: Layer) -> bool:
    """Whether a layer is a volume of labels in memory, which is kept slice by slice."""
    return isinstance(layer, Labels) and layer.ndim == 3 and isinstance(layer.data, np.ndarray)


def kept_layer(layer: Layer, folder: str | None) -> KeptLayer | None:
    """Return how to show a layer again, or None if that cannot be.

    Parameters
    ----------
    layer : Layer
    folder : str, optional
        Where its voxels are kept if they have no source.
    """
    source = source_of(layer)
    drawn = None
    if source is None and folder is not None and can_be_drawn(layer):
        drawn = Annotation(folder=folder, shape=layer.data.shape, dtype=layer.data.dtype.name)
    if not isinstance(layer, Image | Labels) or (source is None) == (drawn is None):
        return None
    is_labels = isinstance(layer, Labels)
    look = {name: _plain(getattr(layer, name)) for name in (*PLACE, *_look(is_labels))}
    look |= {
        "units": [str(unit) for unit in layer.units],
        "axis_labels": list(layer.axis_labels),
        "colormap": _colours(layer),
    }
    return KeptLayer(
        name=layer.name,
        kind="labels" if is_labels else "image",
        source=source,
        annotation=drawn,
        look=look,
        told=_told(layer) if drawn else {},
    )


def layer_again(kept: KeptLayer, read: LayerData | None, drawn: Any = None) -> Layer:
    """Return a layer as it was.

    Parameters
    ----------
    kept : KeptLayer
    read : LayerData, optional
        From its source.
    drawn : array of shape (z, y, x), optional
        What was painted, if it has no source.
    """
    if read is None:
        look = {name: kept.look[name] for name in (*PLACE, "units", "axis_labels")}
        layer = Layer.create(drawn, look | {"metadata": {KEY: dict(kept.told)}}, "labels")
    else:
        layer = Layer.create(*read)
    layer.name = kept.name
    for name in (*PLACE, *_look(kept.kind == "labels")):
        with suppress(*WRONG):
            setattr(layer, name, kept.look[name])
    with suppress(*WRONG):
        layer.colormap = _colormap(kept.look["colormap"])
    return layer


def window_of(viewer: ViewerModel, section: str | None, sections: dict[str, Any]) -> Window:
    """Return where the user looks, and what is filled in."""
    camera, active = viewer.scene.camera, viewer.layers.selection.active
    return Window(
        ndisplay=viewer.dims.ndisplay,
        order=viewer.dims.order,
        point=viewer.dims.point,
        center=_three(camera.center),
        zoom=camera.zoom,
        angles=camera.angles,
        active=None if active is None else active.name,
        section=section,
        sections=sections,
    )


def look_there(viewer: ViewerModel, window: Window) -> None:
    """Look at what was looked at."""
    for change in (
        lambda: setattr(viewer.dims, "ndisplay", window.ndisplay),
        lambda: setattr(viewer.dims, "order", window.order),
        lambda: viewer.dims.set_point(range(len(window.point)), window.point),
        lambda: setattr(viewer.scene.camera, "angles", window.angles),
        lambda: setattr(viewer.scene.camera, "center", window.center),
        lambda: setattr(viewer.scene.camera, "zoom", window.zoom),
    ):
        with suppress(*WRONG):
            change()
    if window.active in viewer.layers:
        viewer.layers.selection.active = viewer.layers[window.active]


def _look(is_labels: bool) -> tuple[str, ...]:
    return LABELS_LOOK if is_labels else LOOK


def _plain(value: Any) -> Any:
    is_numbers = isinstance(value, np.ndarray | np.generic | tuple)
    return np.asarray(value).tolist() if is_numbers else value


def _three(values: Any) -> tuple[float, float, float]:
    z, y, x = (0.0, *values)[-3:]
    return float(z), float(y), float(x)


def _told(layer: Layer) -> dict[str, Any]:
    """Return what a layer tells of itself, but for objects that JSON cannot hold."""
    told = {}
    for key, value in layer.metadata.get(KEY, {}).items():
        with suppress(TypeError, ValueError):
            json.dumps(value, allow_nan=False)
            told[key] = value
    return {key: value for key, value in told.items() if key not in (SOURCE, PLACED)}


def _colours(layer: Layer) -> Any:
    """Return a colormap by its name, or its colours."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS, DirectLabelColormap

    colormap = layer.colormap
    if isinstance(layer, Labels):
        if not isinstance(colormap, DirectLabelColormap):
            return None
        colours = colormap.color_dict.items()
        return {"" if label is None else str(label): _plain(rgba) for label, rgba in colours}
    if colormap.name in AVAILABLE_COLORMAPS:
        return colormap.name
    return {"colors": _plain(colormap.colors), "controls": _plain(colormap.controls)}


def _colormap(told: Any) -> Any:
    from napari.utils.colormaps import Colormap, DirectLabelColormap

    if not isinstance(told, Mapping):
        if not isinstance(told, str):
            raise ValueError("as napari has it")
        return told
    if "controls" in told:
        return Colormap(told["colors"], controls=told["controls"])
    return DirectLabelColormap(
        color_dict={int(label) if label else None: rgba for label, rgba in told.items()}
    )
