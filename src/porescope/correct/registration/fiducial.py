"""Finding what stays the same from slice to slice: a milled mark, free of shine-through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from porescope.correct.registration.network import Network
from porescope.correct.registration.windows import Windows
from porescope.stack import Region, Stack, region_slices
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

# Tiles are this share of the smaller side of an image, within bounds, and overlap by half.
TILE_SHARE, SMALLEST_TILE_PX, LARGEST_TILE_PX = 0.2, 24, 128
# Slices compared, evenly over the stack, each with all others and with its neighbour.
SAMPLED = 9
# How far a tile may lie from where the whole image was found, in pixels of its spectrum.
REACH_PX = 8
# A tile is as good as the same when slices far apart are this much as alike as neighbours are,
# and has texture when neighbours are this much alike.
SAME, TEXTURED = 0.85, 0.45
# Detail finer than this many pixels is left out as noise.
FINEST_PX = 8

Maps = NDArray[np.float64]


def find_fiducial(
    stacks: Sequence[Stack], *, progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> Region | None:
    """Find the part of the images that stays the same, once each slice is moved into place.

    Slices far apart are compared in tiles. Where they are as alike as neighbours, at every voltage
    and between voltages, there is no structure that comes and goes with depth and nothing that
    shines through.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one shape, one a voltage.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Region or None
        Where the first slice of the first stack shows it; None where there is no such part, or too
        few slices to tell.
    """
    network = Network(stacks, progress, cancel)
    offsets = network.coarse(region_slices(None, stacks[0].shape))
    area = fiducial_in(network, offsets - offsets[0])
    if area is None:
        return None
    rows, columns = area
    return rows.start, rows.stop, columns.start, columns.stop


def fiducial_in(network: Network, offsets: NDArray[np.float64]) -> tuple[slice, slice] | None:
    """Return the rows and columns of the frame where all images are the same, or None.

    Parameters
    ----------
    network : Network
    offsets : array of shape (images, 2)
        About where each image lies.
    """
    alike, kept, corners, size = likeness(network, offsets)
    textured = alike >= TEXTURED
    same = textured & (kept >= SAME)
    return _largest(same, textured & ~same, corners, size) if same.any() else None


def likeness(
    network: Network, offsets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], int]:
    """Return how much alike slices are in each tile.

    Returns
    -------
    alike : array of shape (tiles down, tiles across)
        Correlation of neighbouring slices, least over voltages.
    kept : array of shape (tiles down, tiles across)
        What share of it slices far apart have as well, and those at other voltages.
    corners : array of shape (tiles down, tiles across, 2)
        First pixel (y, x) of each tile.
    size : int
        Pixels of a tile along both.
    """
    size = int(np.clip(TILE_SHARE * network.shape.min(), SMALLEST_TILE_PX, LARGEST_TILE_PX))
    # Where every slice has pixels.
    start = np.ceil(offsets.max(axis=0)).clip(min=0).astype(int)
    stop = network.shape + np.floor(offsets.min(axis=0)).clip(max=0).astype(int)
    y, x = (np.arange(a, b - size + 1, size // 2) for a, b in zip(start, stop, strict=True))
    corners = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
    if not corners.size or network.slices <= SAMPLED:
        return np.zeros(corners.shape[:2]), np.zeros(corners.shape[:2]), corners, size
    comparison = Comparison.of(Windows.of((size, size)))
    sampled = np.unique(np.linspace(0, network.slices - 2, SAMPLED).astype(int))
    middles = corners.reshape(-1, 2) + (size - 1) / 2

    def tiles(number: int, index: int) -> NDArray[np.complex64]:
        moved = middles - offsets[number * network.slices + index]
        return comparison.tiles(network.stacks[number], index, moved)

    places = [(number, index) for number in range(len(network.stacks)) for index in sampled]
    looks: list[list[NDArray[np.complex64]]] = [[] for _ in network.stacks]
    near = np.zeros((len(network.stacks), len(middles)))
    for number, index in track(places, network.progress, network.cancel):
        looks[number].append(tiles(number, index))
        beside = tiles(number, index + 1)
        near[number] += comparison.likeness(looks[number][-1], beside).max(axis=(1, 2))
    near /= len(sampled)
    count = len(sampled)
    same = [
        comparison.consistent(own) / np.maximum(alike, 1e-6)
        for own, alike in zip(looks, near, strict=True)
    ]
    for (one, near_one), (other, near_other) in combinations(zip(looks, near, strict=True), 2):
        apart = [
            comparison.likeness(one[k], other[(k + count // 2) % count]).max(axis=(1, 2))
            for k in range(count)
        ]
        same.append(np.mean(apart, axis=0) / np.sqrt(np.maximum(near_one * near_other, 1e-12)))
    shape = corners.shape[:2]
    return near.min(axis=0).reshape(shape), np.min(same, axis=0).reshape(shape), corners, size


@dataclass(frozen=True, eq=False)
class Comparison:
    """How much alike tiles are, by how far one of them is moved.

    Parameters
    ----------
    windows : Windows
    weights : array of shape (frequencies along y, along x)
    down, across : arrays of complex numbers
        What turns a cross-spectrum into a map of shifts up to ``REACH_PX``.
    """

    windows: Windows
    weights: NDArray[np.float32]
    down: NDArray[np.complex64]
    across: NDArray[np.complex64]

    @classmethod
    def of(cls, windows: Windows) -> Comparison:
        """Return the comparison of such windows."""
        ky, kx = windows.frequencies
        reach = windows.binning * np.arange(-REACH_PX, REACH_PX + 1)
        finest = 2 * np.pi / (FINEST_PX * windows.binning)
        share = np.exp(-(ky[:, np.newaxis] ** 2 + kx**2) / (2 * finest**2))
        return cls(
            windows,
            (windows.informative * share).astype(np.float32),
            np.exp(1j * np.outer(reach, ky)).astype(np.complex64),
            np.exp(1j * np.outer(kx, reach)).astype(np.complex64),
        )

    def tiles(
        self, stack: Stack, index: int, middles: NDArray[np.float64]
    ) -> NDArray[np.complex64]:
        """Return the weighted spectra of tiles, of unit power."""
        spectra = self.windows.spectra(stack, index, middles) * np.sqrt(self.weights)
        power = np.sqrt((np.abs(spectra) ** 2).sum(axis=(1, 2), keepdims=True))
        unit: NDArray[np.complex64] = spectra / np.maximum(power, 1e-30)
        return unit

    def likeness(self, first: NDArray[np.complex64], second: NDArray[np.complex64]) -> Maps:
        """Return the correlation of tiles (n, shifts along y, along x)."""
        maps = (self.down @ (first * second.conj()) @ self.across).real
        return np.asarray(maps, np.float64)

    def consistent(self, looks: Sequence[NDArray[np.complex64]]) -> NDArray[np.float64]:
        """Return the mean correlation of tiles in all pairs, each moved as all agree best.

        Chance likeness of two tiles has a shift of its own in each pair, and so is found out.
        """
        count, tiles = len(looks), looks[0].shape[0]
        shifts = np.zeros((count, count, tiles, 2), dtype=int)
        maps = {}
        for k, n in combinations(range(count), 2):
            maps[k, n] = self.likeness(looks[k], looks[n])
            best = maps[k, n].reshape(tiles, -1).argmax(axis=1)
            shifts[k, n] = np.stack(np.divmod(best, self.across.shape[1]), axis=1) - REACH_PX
            shifts[n, k] = -shifts[k, n]
        places = np.median(shifts, axis=0)
        total = np.zeros(tiles)
        for (k, n), likeness in maps.items():
            y, x = np.rint(places[n] - places[k] + REACH_PX).astype(int).clip(0, 2 * REACH_PX).T
            total += likeness[np.arange(tiles), y, x]
        return total / max(len(maps), 1)


def _largest(
    same: NDArray[np.bool_], different: NDArray[np.bool_], corners: NDArray[np.int64], size: int
) -> tuple[slice, slice] | None:
    """Return the box with most tiles that are the same and none that is not, the smallest such."""
    good, bad = (np.pad(part.cumsum(0).cumsum(1), ((1, 0), (1, 0))) for part in (same, different))
    boxes = [
        (down, across)
        for down in combinations(range(same.shape[0] + 1), 2)
        for across in combinations(range(same.shape[1] + 1), 2)
    ]
    (y0, y1), (x0, x1) = np.array(boxes).transpose(1, 2, 0)
    inside, spoilt = (
        total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0] for total in (good, bad)
    )
    inside = np.where(spoilt > 0, 0, inside)
    if not inside.any():
        return None
    best = np.lexsort(((y1 - y0) * (x1 - x0), -inside))[0]
    (top, left), (bottom, right) = (
        corners[y0[best], x0[best]].tolist(),
        (corners[y1[best] - 1, x1[best] - 1] + size).tolist(),
    )
    return slice(top, bottom), slice(left, right)
