"""Stacked layers to learn from and to test on, from soft hills to test patterns of lithography.

Each layer of a sample is drawn from a seed of its own, which no other sample of any named set
shares, so that nothing learned on one set has been seen in another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import perlin_layers
from porescope.geometry.blocks import check_above_zero, checked_shape
from porescope.geometry.perlin import gradient_noise

THICKEST_NM = (15.0, 150.0)
"""Of the paper's gold and aluminium."""
SETS = ("train", "validation", "test")
"""The sets of samples that share no layer."""
MOST_LAYERS = 16
MOST_SAMPLES = 1 << 32

Map = NDArray[np.float64]
Random = np.random.Generator
Shape = tuple[int, int]
Layers = Callable[[Shape, list[int], list[float]], Map]
"""Draws layers from their seeds and greatest thickness."""
Outline = Callable[[Shape, Random], NDArray[np.bool_]]
"""Draws where one layer is."""


SMALLEST = 16
"""Pixels along the shorter side of a sample."""
PERLIN_LEVELS = (8, 5)
"""Steps of the paper's gold and aluminium between nothing and the thickest."""


def layer_seed(name: str, index: int, layer: int) -> int:
    """Return the seed of one layer of one sample of a named set.

    Parameters
    ----------
    name : {"train", "validation", "test"}
        The set.
    index : int
        The sample in it, from 0.
    layer : int
        The layer in the sample, the lowest is 0.

    Returns
    -------
    int
        A seed that belongs to this layer alone: those of all sets, samples and layers differ.

    Raises
    ------
    PorescopeError
        If there is no such set, or a number is out of its range.
    """
    if name not in SETS:
        raise PorescopeError(f"There is no set {name!r} of samples; take one of {', '.join(SETS)}.")
    if not (0 <= index < MOST_SAMPLES and 0 <= layer < MOST_LAYERS):
        raise PorescopeError(
            f"There is no layer {layer} of sample {index}; samples count from 0 to "
            f"{MOST_SAMPLES - 1}, their layers from 0 to {MOST_LAYERS - 1}."
        )
    return (SETS.index(name) * MOST_SAMPLES + index) * MOST_LAYERS + layer


def sample(
    name: str,
    index: int,
    kind: str = "perlin",
    shape: Shape = (128, 128),
    thickest_nm: Sequence[float] = THICKEST_NM,
) -> NDArray[np.float64]:
    """Draw one sample of a named set.

    Parameters
    ----------
    name : {"train", "validation", "test"}
        The set; sets share no layer.
    index : int
        The sample in it, from 0.
    kind : str
        One of :func:`kinds`.
    shape : tuple of two ints
        Number of pixels (y, x), at least 16 on each axis.
    thickest_nm : sequence of floats
        Greatest thickness of each layer, the lowest first.

    Returns
    -------
    array of shape (layers, y, x), float64
        Thickness in nm, the lowest layer first.

    Raises
    ------
    PorescopeError
        If there is no such set or kind, or a number makes no sense.
    """
    seeds = [layer_seed(name, index, layer) for layer in range(len(thickest_nm))]
    return draw(kind, seeds, shape, thickest_nm)


def draw(
    kind: str,
    seeds: Sequence[int],
    shape: Shape = (128, 128),
    thickest_nm: Sequence[float] = THICKEST_NM,
) -> NDArray[np.float64]:
    """Draw layers of one kind, one from each seed; otherwise as :func:`sample`."""
    if kind not in KINDS:
        raise PorescopeError(
            f"There is no kind {kind!r} of layers; take one of {', '.join(KINDS)}."
        )
    _, *pixels = checked_shape((1, *shape))
    if min(pixels) < SMALLEST:
        raise PorescopeError(f"Samples need at least {SMALLEST} x {SMALLEST} pixels, not {shape}.")
    if not 0 < len(thickest_nm) <= MOST_LAYERS or len(seeds) != len(thickest_nm):
        raise PorescopeError(
            f"Give a seed and a greatest thickness for each of 1 to {MOST_LAYERS} layers, not "
            f"{len(seeds)} and {len(thickest_nm)}."
        )
    for value in thickest_nm:
        check_above_zero("The greatest thickness of a layer in nm", value)
    return KINDS[kind]((pixels[0], pixels[1]), list(seeds), list(thickest_nm))


def kinds() -> list[str]:
    """Return the kinds of layers that can be drawn."""
    return list(KINDS)


KINDS: dict[str, Layers] = {}


def _kind(function: Layers) -> Layers:
    KINDS[function.__name__.replace("_", "-")] = function
    return function


@_kind
def perlin(shape: Shape, seeds: list[int], thickest_nm: list[float]) -> Map:
    """Terraces of Perlin noise, bare where the noise is below 0: the paper's samples.

    One octave of two hills along the longer side; gold in 8 steps to 15 nm, aluminium in 5 steps to
    150 nm, whole nm, each layer as thick as it may be somewhere.
    """
    maps = np.empty((len(seeds), *shape))
    for layer, (seed, thickest) in enumerate(zip(seeds, thickest_nm, strict=True)):
        steps = PERLIN_LEVELS[min(layer, len(PERLIN_LEVELS) - 1)]
        height = np.maximum(_hills(shape, seed), 0)
        level = np.minimum(np.floor(height / height.max() * (steps + 0.5)), steps)
        maps[layer] = np.floor(level * thickest / steps)
    return maps


@_kind
def perlin_smooth(shape: Shape, seeds: list[int], thickest_nm: list[float]) -> Map:
    """Soft hills that cover everything, of two octaves."""
    longer = max(shape)
    return np.concatenate(
        [
            perlin_layers(
                shape,
                spacing_nm=1.0,
                wavelength_nm=longer / 2,
                thickest_nm=[thickest],
                octaves=2,
                seed=seed,
            )
            for seed, thickest in zip(seeds, thickest_nm, strict=True)
        ]
    )


@_kind
def correlated(shape: Shape, seeds: list[int], thickest_nm: list[float]) -> Map:
    """Hills that partly follow those of the layer below, or avoid them."""
    maps = np.empty((len(seeds), *shape))
    below: Map | None = None
    for layer, (seed, thickest) in enumerate(zip(seeds, thickest_nm, strict=True)):
        random = np.random.default_rng(seed)
        height = _hills(shape, seed)
        height = (height - height.mean()) / height.std()
        if below is not None:
            share = random.uniform(-1, 1)
            height = share * below + math.sqrt(1 - share * share) * height
        below = height
        bare = random.uniform(-1.5, 0.5)
        height = np.maximum(height - bare, 0)
        maps[layer] = height / max(height.max(), 1e-9) * thickest * random.uniform(0.4, 1)
    return maps


def _hills(shape: Shape, seed: int) -> Map:
    cell = max(shape) / 2
    y, x = (np.arange(0.5, count, dtype=np.float64) / cell for count in shape)
    return gradient_noise(y, x, seed, stream=0)


def _flat(outline: Outline) -> Outline:
    """Register a kind of sharp-edged layers, flat within their outlines."""

    def layers(shape: Shape, seeds: list[int], thickest_nm: list[float]) -> Map:
        maps = np.empty((len(seeds), *shape))
        for layer, (seed, thickest) in enumerate(zip(seeds, thickest_nm, strict=True)):
            random = np.random.default_rng(seed)
            maps[layer] = outline(shape, random) * thickest * random.uniform(0.1, 1)
        return maps

    layers.__doc__ = outline.__doc__
    KINDS[outline.__name__.removeprefix("_")] = layers
    return outline


def _grid(shape: Shape, angle: float = 0.0) -> tuple[Map, Map]:
    """Return coordinates y, x in pixels from the middle, turned by an angle."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    y, x = y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2
    return y * math.cos(angle) - x * math.sin(angle), y * math.sin(angle) + x * math.cos(angle)


def _angle(random: Random) -> float:
    """Mostly along the axes, as patterns are scanned, else any."""
    return random.choice([0, math.pi / 2, random.uniform(0, math.pi)], p=[0.35, 0.35, 0.3])


@_flat
def _plates(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Rectangular plates."""
    inside = np.zeros(shape, bool)
    for _ in range(random.integers(1, 7)):
        y, x = _grid(shape, _angle(random))
        edges = random.uniform(0.1, 0.6, 2) * min(shape) / 2
        centre = random.uniform(-0.5, 0.5, 2) * shape
        inside |= (abs(y - centre[0]) < edges[0]) & (abs(x - centre[1]) < edges[1])
    return inside


@_flat
def _disks(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Disks and rings."""
    inside = np.zeros(shape, bool)
    for _ in range(random.integers(1, 9)):
        y, x = _grid(shape)
        centre = random.uniform(-0.5, 0.5, 2) * shape
        radius = random.uniform(0.04, 0.3) * min(shape)
        distance = np.hypot(y - centre[0], x - centre[1])
        hole = random.choice([0, random.uniform(0.3, 0.8)]) * radius
        inside |= (distance < radius) & (distance >= hole)
    return inside


@_flat
def _polygons(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Polygons with notches, such as letters have."""
    from skimage.draw import polygon2mask

    inside = np.zeros(shape, bool)
    for _ in range(random.integers(1, 6)):
        corners = int(random.integers(3, 11))
        angles = np.sort(random.uniform(0, 2 * math.pi, corners))
        radii = random.uniform(0.08, 0.35, corners) * min(shape)
        centre = random.uniform(0, 1, 2) * shape
        outline = np.stack([radii * np.sin(angles), radii * np.cos(angles)], axis=-1) + centre
        inside |= polygon2mask(shape, outline)
    return inside


@_flat
def _stripes(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Lines and spaces of one period."""
    y, _ = _grid(shape, _angle(random))
    period = random.uniform(4, max(8, min(shape) / 3))
    return (y / period + random.uniform(0, 1)) % 1 < random.uniform(0.25, 0.75)


@_flat
def _gratings(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Lines whose period changes in steps over the field, as a resolution target has."""
    y, x = _grid(shape, _angle(random))
    fields = int(random.integers(2, 6))
    field = np.clip(np.floor((y / max(shape) + 0.5) * fields), 0, fields - 1).astype(int)
    periods = np.sort(random.uniform(3, max(6, min(shape) / 4), fields))[field]
    return (x / periods) % 1 < random.uniform(0.35, 0.65)


@_flat
def _meander(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """One line that goes to and fro."""
    y, x = _grid(shape, random.choice([0, math.pi / 2]))
    period = random.uniform(6, max(10, min(shape) / 4))
    reach = random.uniform(0.3, 0.45) * min(shape)
    width = period * random.uniform(0.3, 0.6)
    row = np.floor(y / period)
    line = (y - row * period < width) & (abs(x) < reach + width)
    turn = (abs(x - np.where(row % 2 == 0, reach, -reach) - width / 2) < width / 2) | line
    return turn & (abs(y) < reach)


@_flat
def _bars(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Bars that cross, a few each way."""
    along = _angle(random)
    inside = np.zeros(shape, bool)
    for turn in (along, along + math.pi / 2):
        y, _ = _grid(shape, turn)
        for _ in range(random.integers(1, 4)):
            middle = random.uniform(-0.4, 0.4) * min(shape)
            inside |= abs(y - middle) < random.uniform(0.02, 0.12) * min(shape)
    return inside


OUTLINES = (_plates, _disks, _polygons, _stripes, _gratings, _meander, _bars)


@_flat
def _sharp(shape: Shape, random: Random) -> NDArray[np.bool_]:
    """Any of the sharp-edged kinds, another one in each layer."""
    return OUTLINES[random.integers(len(OUTLINES))](shape, random)


@_kind
def terraces(shape: Shape, seeds: list[int], thickest_nm: list[float]) -> Map:
    """Fields with straight borders, each of another thickness, some of them bare."""
    from scipy.spatial import cKDTree

    maps = np.empty((len(seeds), *shape))
    pixels = np.mgrid[: shape[0], : shape[1]].reshape(2, -1).T
    for layer, (seed, thickest) in enumerate(zip(seeds, thickest_nm, strict=True)):
        random = np.random.default_rng(seed)
        centres = random.uniform(0, shape, (int(random.integers(2, 25)), 2))
        thickness = np.maximum(random.uniform(-0.5, 1, len(centres)), 0) * thickest
        maps[layer] = thickness[cKDTree(centres).query(pixels)[1]].reshape(shape)
    return maps
