"""A Stack as a napari layer, and back.

A layer's scale, units and translation are the truth about where its voxels lie, so that napari's
own operations count; what napari has no place for stands in ``metadata["porescope"]``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.pipeline.catalogue.check import DISAGREEMENT
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.viewer.disk_volume import held, released

if TYPE_CHECKING:
    from napari.layers import Layer

AXES = ("z", "y", "x")
KEY = "porescope"
CHANNEL = "porescope heightfield"
"""Key in the metadata of layers for the eye alone: a heightfield, a preview."""
# Amber and blue stand out from grey and from each other, also for colour-blind eyes.
SOLID_COLOUR = "#ffb000"
TRUTH_COLOUR = "#4aa3ff"
MAP_COLOURS = "magma"
TOO_DARK_COLOUR, TOO_BRIGHT_COLOUR = "#0072b2", "#d55e00"
"""Where an image is not as bright as its segmentation says; as it should be is clear."""
OTHER_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#0072b2", "#ffffff")
SAMPLED_PIXELS = 250_000
MARK_PX = 12

LayerData = tuple[Any, dict[str, Any], str]


def made_layers(layers: Iterable[LayerData]) -> list[Layer]:
    """Return layers to be added to a window.

    In a thread this keeps from the window what the first ones import, contrast and thumbnails.
    """
    from napari.layers import Layer

    return [Layer.create(*layer) for layer in layers]


def to_layer_data(stack: Stack, name: str, **attributes: Any) -> LayerData:
    """Return what napari makes a layer of.

    Parameters
    ----------
    stack : Stack
        Images or labels of shape (z, y, x).
    name : str
        Of the layer.
    **attributes
        Of the layer, such as ``visible``.

    Returns
    -------
    data, attributes, kind
        ``kind`` is "image" or "labels"; the scale is the voxel size in nm.
    """
    told = {
        "beam_kv": stack.beam_kv,
        "detector": stack.detector,
        "spacing_nm": list(stack.spacing_nm),
        "slice_z_nm": stack.slice_z_nm.tolist(),
        "metadata": dict(stack.metadata),
        "history": [dict(entry) for entry in stack.history],
    }
    places = {
        "name": name,
        "scale": stack.spacing_nm,
        "units": ("nm",) * 3,
        "axis_labels": AXES,
        "translate": (float(stack.slice_z_nm[0]), *stack.origin_yx_nm),
        "metadata": {KEY: told},
    }
    if stack.is_labels:
        data = stack.data.astype(np.uint8) if stack.data.dtype.kind == "b" else stack.data
        return held(data), places | {"opacity": 0.6} | attributes, "labels"
    look = {"colormap": "gray", "contrast_limits": contrast_limits(stack.data)}
    return held(stack.data), places | look | attributes, "image"


def contrast_limits(data: Any) -> tuple[float, float]:
    """Return grey values to show as black and white, from the first, middle and last slice only."""
    values = _sampled(data)
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (0.2, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def looks_like_mask(layer: Layer) -> bool:
    """Whether an image is 0 and one other value, in the slices that are looked at."""
    from napari.layers import Image

    if not isinstance(layer, Image) or not is_stack(layer):
        return False
    values = np.unique(_sampled(released(layer.data)))
    return len(values) == 2 and values[0] == 0 and values[1] in (1, 255)


def _sampled(data: Any) -> np.ndarray:
    count, rows, columns = data.shape
    stride = max(1, math.isqrt(3 * rows * columns // SAMPLED_PIXELS))
    planes = [np.asarray(data[z, ::stride, ::stride]) for z in {0, count // 2, count - 1}]
    values = np.concatenate([plane.ravel() for plane in planes]).astype(np.float64)
    return values[np.isfinite(values)]


def map_layer(stack: Stack, name: str) -> LayerData:
    """Return a hidden layer that shows a map of a workspace."""
    layer = to_layer_data(stack, name, visible=False, **_map_look(name))
    layer[1]["metadata"][KEY]["is_map"] = True
    return layer


def _map_look(name: str) -> dict[str, Any]:
    if not name.startswith(DISAGREEMENT):
        return {"colormap": MAP_COLOURS}
    from matplotlib.colors import to_rgba
    from napari.utils.colormaps import Colormap

    dark, bright = (np.array(to_rgba(each)) for each in (TOO_DARK_COLOUR, TOO_BRIGHT_COLOUR))
    # Noise stays clear.
    colours = [dark, dark * (1, 1, 1, 0), bright * (1, 1, 1, 0), bright]
    colormap = Colormap(colours, controls=[0, 0.35, 0.65, 1], name=DISAGREEMENT)
    return {"colormap": colormap, "contrast_limits": (-1.0, 1.0), "blending": "translucent"}


def is_map(layer: Layer) -> bool:
    """Whether a layer shows a map of a workspace, and no image to work on."""
    return bool(layer.metadata.get(KEY, {}).get("is_map"))


def is_volume(layer: Layer) -> bool:
    """Whether a layer is an image in grey, or labels, with three axes."""
    from napari.layers import Image, Labels

    grey = isinstance(layer, Labels) or (isinstance(layer, Image) and not layer.rgb)
    return grey and layer.ndim == 3


def is_stack(layer: Layer) -> bool:
    """Whether a layer is a volume to work on, neither a map nor there for the eye alone."""
    return is_volume(layer) and CHANNEL not in layer.metadata and not is_map(layer)


def phase_colours(solid: str) -> dict[int | None, str]:
    """Return the colours of phases: pores clear, phase 1 in ``solid``, any other as it comes."""
    others: dict[int | None, str] = dict(enumerate(OTHER_COLOURS, start=2))
    return {None: OTHER_COLOURS[-1], 0: "transparent", 1: solid} | others


def label_features(phase_fractions: Mapping[str, float]) -> dict[str, list[Any]]:
    """Return the features of a labels layer: how much of the volume each phase fills."""
    return {
        "index": [int(label) for label in phase_fractions],
        "volume fraction": list(phase_fractions.values()),
    }


def marks_layer(rows: Sequence[Mapping[str, Any]], image: Layer) -> LayerData:
    """Return a layer of points where milled marks were seen on an image."""
    places = [(row["slice"], row["y px"], row["x px"]) for row in rows]
    attributes = {
        "name": "marks",
        "scale": image.scale,
        "translate": image.translate,
        "units": image.units,
        "size": MARK_PX,
        "border_color": SOLID_COLOUR,
        "face_color": "transparent",
        "features": {"mark": [row["mark"] for row in rows]},
    }
    return np.array(places), attributes, "points"


def from_layer(layer: Layer) -> Stack:
    """Return the stack that a layer shows.

    Raises
    ------
    PorescopeError
        If the layer is no volume of images or labels, or has no voxel size.
    """
    return from_layer_data(*layer.as_layer_data_tuple())


def from_layer_data(data: Any, attributes: Mapping[str, Any], kind: str) -> Stack:
    """Return the stack that layer data describe; see :func:`from_layer`."""
    name = attributes.get("name", "layer")
    if kind not in ("image", "labels"):
        raise PorescopeError(f"Layer {name!r} holds {kind}; choose an image or labels layer.")
    if attributes.get("rgb"):
        raise PorescopeError(f"Layer {name!r} is in colour; convert it to grey values first.")
    if attributes.get("multiscale") or isinstance(data, list | tuple):
        data = data[0]
    data = released(data)
    if data.ndim != 3:
        raise PorescopeError(
            f"Layer {name!r} has {data.ndim} axes; choose a volume with three (z, y, x)."
        )
    check_straight(name, attributes)
    nm = nm_per_unit(name, attributes.get("units"))
    scale = np.asarray(attributes.get("scale", (1.0, 1.0, 1.0)), dtype=float) * nm
    z, y, x = np.asarray(attributes.get("translate", (0.0, 0.0, 0.0)), dtype=float) * nm
    told = attributes.get("metadata", {}).get(KEY, {})
    return Stack(
        data=data,
        spacing_nm=tuple(scale),
        beam_kv=told.get("beam_kv"),
        slice_z_nm=_slice_z_nm(name, data.shape[SLICES], scale[SLICES], z, told),
        detector=told.get("detector"),
        metadata=told.get("metadata", {}),
        history=told.get("history", ()),
        origin_yx_nm=(y, x),
        is_labels=kind == "labels",
    )


def check_straight(name: str, attributes: Mapping[str, Any]) -> None:
    """Refuse a layer whose axes were turned: its voxels lie on no grid along z, y, x."""
    identity = {
        "affine": np.eye(4),
        "rotate": np.eye(3),
        "shear": np.zeros(3),
    }
    for key, straight in identity.items():
        value = np.asarray(attributes.get(key, straight), dtype=float)
        if value.shape != straight.shape or not np.allclose(value, straight):
            raise PorescopeError(
                f"Layer {name!r} is turned or sheared; reset its transform and align it instead."
            )


def nm_per_unit(name: str, units: Any) -> np.ndarray:
    """Return the nm in each axis' unit."""
    import pint

    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    try:
        return np.array([registry.Quantity(1.0, unit).to("nm").magnitude for unit in units or ()])[
            [SLICES, ROWS, COLUMNS]
        ]
    except (pint.errors.PintError, IndexError) as error:
        raise PorescopeError(
            f"What is the voxel size of layer {name!r}? Its unit is no length; load its file in "
            "the Load panel of Porescope and set the voxel size there."
        ) from error


def _slice_z_nm(
    name: str, count: int, spacing_nm: float, first_nm: float, told: Mapping[str, Any]
) -> np.ndarray:
    """Return slice positions, moved to where the layer's first slice now lies."""
    even = first_nm + spacing_nm * np.arange(count)
    if "slice_z_nm" not in told:
        return even
    positions = np.asarray(told["slice_z_nm"], dtype=float)
    nominal_nm = told["spacing_nm"][SLICES]
    if len(positions) == count and math.isclose(spacing_nm, nominal_nm, rel_tol=1e-6):
        # As they are, to the last bit, where nothing was moved.
        return positions + (first_nm - positions[0])
    if np.allclose(np.diff(positions), nominal_nm, rtol=1e-6):
        return even
    raise PorescopeError(
        f"Layer {name!r} has {count} slices {spacing_nm:g} nm apart, but uneven positions are "
        f"known of {len(positions)} slices {nominal_nm:g} nm apart; use the whole stack as loaded."
    )
