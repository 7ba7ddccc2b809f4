"""Stacked layers of uneven thickness from gradient noise.

References
----------
K. Perlin, An image synthesizer, SIGGRAPH 1985, doi:10.1145/325334.325247; Improving noise,
SIGGRAPH 2002, doi:10.1145/566570.566636.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry.blocks import (
    Sample,
    Triple,
    check_above_zero,
    check_count,
    check_seed,
    checked_shape,
    checked_voxel_nm,
)
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

MOST_LAYERS = 255
ROW_NUMBERS = 1 << 32
"""Random numbers set aside for one row of the noise's grid, so that it has no edge."""


def perlin_layers(
    shape: Sequence[int],
    *,
    spacing_nm: float | Sequence[float],
    wavelength_nm: float,
    thickest_nm: Sequence[float],
    octaves: int = 1,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return maps of the thickness of layers that lie on each other and vary independently.

    Parameters
    ----------
    shape : sequence of two ints
        Number of pixels (y, x).
    spacing_nm : float or sequence of two floats
        Pixel size, the same on both axes or (y, x).
    wavelength_nm : float
        Distance between neighbouring hills: the cell of the noise's grid.
    thickest_nm : sequence of floats
        One for each layer, the lowest first: each map reaches from 0 to exactly this.
    octaves : int, optional
        How many noises are added up, each of half the wavelength and half the height of the one
        before.
    seed : int, optional
        From 0 to 2**64 - 1; another seed gives other maps.

    Returns
    -------
    array of shape (layers, y, x), float64
        Thickness in nm, the lowest layer first.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense.
    """
    if len(shape) != 2:
        raise PorescopeError(f"The shape must be two numbers of pixels (y, x), not {shape!r}.")
    _, *pixels = checked_shape((1, *shape))
    sizes_nm = (spacing_nm,) * 2 if np.ndim(spacing_nm) == 0 else spacing_nm
    _, *pixel_nm = checked_voxel_nm((1.0, *sizes_nm))  # type: ignore[misc]
    check_above_zero("The wavelength in nm", wavelength_nm)
    check_count("The number of octaves", octaves)
    check_seed(seed)
    if wavelength_nm < 2 ** (octaves - 1) * max(pixel_nm):
        raise PorescopeError(
            f"{octaves} octaves from a wavelength of {wavelength_nm} nm on are finer than a pixel "
            f"of {max(pixel_nm)} nm; take fewer, or a longer wavelength."
        )
    if not 0 < len(thickest_nm) <= MOST_LAYERS:
        raise PorescopeError(
            f"Give the greatest thickness of 1 to {MOST_LAYERS} layers, not of {len(thickest_nm)}."
        )
    for thickness_nm in thickest_nm:
        check_above_zero("The thickness of a layer in nm", thickness_nm)
    maps = np.empty((len(thickest_nm), *pixels))
    for layer, thickness_nm in enumerate(thickest_nm):
        noise = maps[layer]
        noise[:] = 0
        for octave in range(octaves):
            cell_nm = wavelength_nm / 2**octave
            y, x = (
                (np.arange(count) + 0.5) * size_nm / cell_nm
                for count, size_nm in zip(pixels, pixel_nm, strict=True)
            )
            noise += gradient_noise(y, x, seed, stream=octave * MOST_LAYERS + layer) / 2**octave
        noise -= noise.min()
        if not noise.max() > 0:
            raise PorescopeError(
                f"The noise is flat over {pixels[0]} x {pixels[1]} pixels; take more of them or a "
                "shorter wavelength."
            )
        noise *= thickness_nm / noise.max()
    return maps


def gradient_noise(
    y: NDArray[np.float64], x: NDArray[np.float64], seed: int, stream: int
) -> NDArray[np.float64]:
    """Return Perlin's noise on a grid of points.

    Parameters
    ----------
    y, x : arrays of shape (rows,) and (columns,), float64
        Where the points lie, in cells of the noise, 0 or above.
    seed, stream : int
        Together they name the noise, which is defined everywhere.

    Returns
    -------
    array of shape (rows, columns), float64
        Between -sqrt(1/2) and sqrt(1/2), smooth to the second derivative.
    """
    # The noise is 0 at the corners of its cells, so these must not lie at one place for all seeds.
    (y_start, x_start), first = _core.uniform(seed, stream, 0, 2), 2
    y, x = y + y_start, x + x_start
    row, column = y.astype(np.int64), x.astype(np.int64)
    angles = 2 * np.pi * np.stack(
        [
            _core.uniform(seed, stream, first + line * ROW_NUMBERS, int(column.max()) + 2)
            for line in range(int(row.max()) + 2)
        ]
    )  # fmt: skip
    along_y, along_x = np.sin(angles), np.cos(angles)
    noise = np.zeros((len(y), len(x)))
    for below in (0, 1):
        for right in (0, 1):
            corner = np.ix_(row + below, column + right)
            from_y, from_x = (y - row - below)[:, np.newaxis], x - column - right
            weight = fade(1 - np.abs(from_y)) * fade(1 - np.abs(from_x))
            noise += weight * (along_y[corner] * from_y + along_x[corner] * from_x)
    return noise


def fade(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Perlin's weight, from 0 to 1 with no slope and no bend at either end."""
    return t**3 * (t * (6 * t - 15) + 10)


@dataclass(frozen=True, eq=False)
class LayerSample(Sample):
    """Layers on a substrate as labels.

    Parameters
    ----------
    tops_nm : array of shape (layers, y, x), float64
        Height of each layer's top above the substrate, the lowest first.
    slices : int
        Number of voxels along z.
    slice_nm : float
        Their size.
    """

    tops_nm: NDArray[np.float64]
    slices: int
    slice_nm: float
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    @property
    def shape(self) -> Triple:  # type: ignore[override]
        """Number of voxels (z, y, x)."""
        _, y, x = self.tops_nm.shape
        return self.slices, y, x

    def planes(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Draw the planes from ``start`` to before ``stop``."""
        height_nm = (self.slices - np.arange(start, stop) - 0.5) * self.slice_nm
        labels = np.zeros((stop - start, *self.shape[1:]), dtype=np.uint8)
        for layer in range(len(self.tops_nm), 0, -1):
            labels[height_nm[:, np.newaxis, np.newaxis] < self.tops_nm[layer - 1]] = layer
        return labels


def label_layers(
    thickness_nm: NDArray[Any],
    *,
    slice_nm: float,
    slices: int | None = None,
    lazy: bool = False,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Return the volume of layers that lie on a substrate, the thickest column touching its top.

    Parameters
    ----------
    thickness_nm : array of shape (layers, y, x)
        Thickness of each layer, the lowest first.
    slice_nm : float
        Voxel size along z.
    slices : int, optional
        Number of voxels along z; by default as many as the thickest column needs.
    lazy : bool, optional
        Return a dask array that is drawn slab by slab when it is computed or written.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    numpy or dask array of shape (z, y, x), uint8
        The layer in which a voxel's centre lies: 1 for the lowest, 0 for none. The last slice lies
        on the substrate.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, or the layers do not fit into the slices.
    Cancelled
        If ``cancel()`` became true.
    """
    thickness_nm = np.asarray(thickness_nm, dtype=np.float64)
    if thickness_nm.ndim != 3 or not 0 < len(thickness_nm) <= MOST_LAYERS:
        raise PorescopeError(
            f"Layers are maps of shape (layers, y, x) with 1 to {MOST_LAYERS} layers, not "
            f"{thickness_nm.shape}."
        )
    if not (np.isfinite(thickness_nm) & (thickness_nm >= 0)).all():
        raise PorescopeError("The thickness of a layer must be 0 nm or above everywhere.")
    check_above_zero("The voxel size along z in nm", slice_nm)
    tops_nm = np.cumsum(thickness_nm, axis=0)
    needed = max(1, math.ceil(tops_nm.max(initial=0) / slice_nm))
    if slices is not None:
        check_count("The number of slices", slices)
        if slices < needed:
            raise PorescopeError(
                f"The layers are up to {tops_nm.max():.4g} nm thick and need {needed} slices of "
                f"{slice_nm} nm, not {slices}."
            )
    count, *_ = checked_shape((slices or needed, *thickness_nm.shape[1:]))
    return LayerSample(tops_nm, count, slice_nm).draw(lazy, progress, cancel)
