"""Whether images that were made to look otherwise still show the same structure.

An edge before is looked for after, along its normal, by where the two profiles agree best: gain,
offset, blur and noise leave it there. One that is nowhere was removed; one after that was not there
before was invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.stack import SLICES, Stack

MOST_MOVED_PX = 0.5
"""Edges that move as far in the median are refused."""
MOST_CHANGED = 0.05
"""Share of the edges that may be removed, or invented."""
SMOOTHING_PX = 1.5
"""So that noise makes few edges, and moves them little."""
STEEP = 0.35
"""An edge is as steep, of a smoothed step between the two brightnesses of the images."""
NOISE_SLOPES = 5.0
"""And steeper than noise makes slopes, in their standard deviations."""
FAINT = 0.3
"""Of an edge's height, below which it is none any more: noise and what shines through."""
REACH_PX, STEP_PX = 2.5, 0.25
HALF_PROFILE_PX = 3.0
ALIKE = 0.6
"""Correlation of two profiles of the same edge."""
MOST_EDGES = 3000
"""Pixels on edges that are followed, spread over all there are."""
CHECKED_SLICES = 3

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Moved:
    """What became of edges.

    Attributes
    ----------
    median_px, most_px : float
        How far edges have moved along their normals: the median, and what 95 % stay below.
    removed, invented : float
        Share of the edges before that are not there after, and of those after that were not there
        before.
    """

    median_px: float
    most_px: float
    removed: float
    invented: float

    @property
    def refused(self) -> bool:
        """Whether this is more than may be."""
        return self.median_px >= MOST_MOVED_PX or max(self.removed, self.invented) > MOST_CHANGED

    def check(self) -> None:
        """Refuse images whose structure is another.

        Raises
        ------
        PorescopeError
            If edges moved by half a pixel or more in the median, or if more than 5 % of them were
            removed or invented.
        """
        if self.refused:
            raise PorescopeError(
                f"These weights change the structure: edges move by {self.median_px:.2f} px in the "
                f"median (allowed: below {MOST_MOVED_PX:g}), {100 * self.removed:.1f} % of them "
                f"vanish and {100 * self.invented:.1f} % are invented (allowed: "
                f"{100 * MOST_CHANGED:g} %); train on stacks that are more alike, or for shorter."
            )


def edges_moved(before: Sequence[Images], after: Sequence[Images]) -> Moved:
    """Compare the structure in images with that in the same images made to look otherwise.

    Parameters
    ----------
    before, after : sequences of arrays of shape (y, x)

    Returns
    -------
    Moved

    Raises
    ------
    PorescopeError
        If the images before show no edges.
    """
    first, second = Edges(before), Edges(after)
    if not first.count:
        raise PorescopeError(
            "The images show no edges, so that nobody can tell whether they stay where they are; "
            "choose slices with structure."
        )
    kept, moved_px = first.sought_in(second)
    invented = 1 - second.sought_in(first)[0].mean() if second.count else 0.0
    away = np.abs(moved_px[kept]) if kept.any() else np.array([np.inf])
    return Moved(
        float(np.median(away)),
        float(np.percentile(away, 95)),
        float(1 - kept.mean()),
        float(invented),
    )


def first_slices(stack: Stack) -> list[int]:
    """Return the slices that are looked at before a stack is changed."""
    return list(range(min(CHECKED_SLICES, stack.shape[SLICES])))


class Edges:
    """The edges in images of one look, on a scale on which solid and pore lie 1 apart.

    Attributes
    ----------
    steepness : array
        Of each edge's pixels, once smoothed, in a pixel.
    """

    def __init__(self, images: Sequence[Images]) -> None:
        from scipy.ndimage import gaussian_filter
        from skimage.filters import threshold_otsu

        smooth = np.stack([gaussian_filter(image, SMOOTHING_PX) for image in images])
        self.count, self.steepness = 0, np.zeros(0)
        if smooth.max() <= smooth.min():
            self.smooth = np.zeros_like(smooth)
            return
        bright = smooth > threshold_otsu(smooth)
        contrast = smooth[bright].mean() - smooth[~bright].mean()
        self.smooth = smooth / contrast
        noise = max(_noise(image) for image in images) / contrast
        # A smoothed step of height 1 has the slope 1 / (sqrt(2 pi) sigma); white noise of deviation
        # 1 slopes of the deviation 1 / (sqrt(8 pi) sigma^2).
        step = 1 / (np.sqrt(2 * np.pi) * SMOOTHING_PX)
        grain = noise / (np.sqrt(8 * np.pi) * SMOOTHING_PX**2)
        self._find(max(STEEP * step, NOISE_SLOPES * grain))

    def _find(self, least: float) -> None:
        """Find pixels where the slope is steepest along its own direction."""
        from scipy.ndimage import map_coordinates

        slope = np.stack(np.gradient(self.smooth, axis=(1, 2)), axis=-1)
        steepness = np.linalg.norm(slope, axis=-1)
        margin = int(np.ceil(REACH_PX + HALF_PROFILE_PX)) + 1
        inner = (slice(None), slice(margin, -margin), slice(margin, -margin))
        candidates = np.zeros(steepness.shape, bool)
        candidates[inner] = steepness[inner] > least
        place = np.argwhere(candidates)
        normal = slope[candidates] / steepness[candidates][:, np.newaxis]
        there = steepness[candidates]
        crest = np.ones(len(place), bool)
        for side in (-1, 1):
            at = [place[:, 0], *(place[:, 1:] + side * normal).T]
            crest &= there >= map_coordinates(steepness, at, order=1, mode="nearest")
        chosen = np.flatnonzero(crest)
        chosen = chosen[:: max(1, -(-len(chosen) // MOST_EDGES))]
        self.place, self.normal, self.count = place[chosen], normal[chosen], len(chosen)
        self.steepness = there[chosen]

    def sought_in(self, other: Edges) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return which edges are there in other images too, and how far on along their normals."""
        own = HALF_PROFILE_PX
        here = self._profiles(self.smooth, np.arange(-own, own + STEP_PX / 2, STEP_PX))
        far = own + REACH_PX
        there = self._profiles(other.smooth, np.arange(-far, far + STEP_PX / 2, STEP_PX))
        here = here - here.mean(axis=1, keepdims=True)
        windows = np.lib.stride_tricks.sliding_window_view(there, here.shape[1], axis=1)
        means = windows.mean(axis=2)
        together = np.einsum("ewt,et->ew", windows, here)  # the mean of ``here`` is 0
        power = np.maximum((windows**2).mean(axis=2) - means**2, 1e-12) * here.shape[1]
        own_power = np.maximum((here**2).sum(axis=1, keepdims=True), 1e-12)
        alike = together / np.sqrt(power * own_power)
        best = alike.argmax(axis=1)
        edges = np.arange(self.count)
        height = together[edges, best] / own_power[:, 0]
        kept = (alike[edges, best] > ALIKE) & (height > FAINT)
        return kept, STEP_PX * (best + _vertex(alike, best)) - REACH_PX

    def _profiles(self, images: Images, along: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.ndimage import map_coordinates

        at = self.place[:, np.newaxis, 1:] + along[:, np.newaxis] * self.normal[:, np.newaxis]
        slices = np.broadcast_to(self.place[:, :1], at.shape[:2])
        sampled = map_coordinates(images, [slices, at[..., 0], at[..., 1]], order=1, mode="nearest")
        return np.asarray(sampled, np.float64)


def _vertex(values: NDArray[np.float64], at: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return where, within a step of a maximum, the parabola through it has its vertex."""
    edges = np.arange(len(at))
    inside = (at > 0) & (at < values.shape[1] - 1)
    middle = np.clip(at, 1, values.shape[1] - 2)
    before, top, after = (values[edges, middle + step] for step in (-1, 0, 1))
    bend = before - 2 * top + after
    offset = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend < -1e-9)
    return np.where(inside, np.clip(offset, -0.5, 0.5), 0.0)


def _noise(image: Images) -> float:
    """Return the standard deviation of white noise, from what no straight edge leaves over."""
    from scipy.ndimage import convolve

    # J. Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300: two Laplacians less one another.
    kernel = np.outer((1, -2, 1), (1, -2, 1))
    left = convolve(np.asarray(image, np.float64), kernel, mode="reflect")
    return float(np.median(np.abs(left)) / 0.6745 / np.linalg.norm(kernel))
