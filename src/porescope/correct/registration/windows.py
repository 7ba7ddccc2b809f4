"""What of a slice is compared: windows that move with the content, as spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.stack import Stack

# Larger windows are binned: noise averages out, and the place of a thousand pixels together is as
# sharp as that of all.
LARGEST_PX = 1024
# Frequencies kept on each side of zero. A window of this many features has more than enough.
MOST_FREQUENCIES = 128
# The share of a window over which it fades out at each side.
FADING = 0.25
# Content comes and goes at the border of an image, so it fades in over this many pixels.
BORDER_PX = 4.0


@dataclass(frozen=True)
class Windows:
    """Windows of one size.

    Parameters
    ----------
    size : (int, int)
        Pixels of a window along y and x, a multiple of the binning.
    binning : int
        Pixels of the image to one of the spectrum, along both.
    frequencies : tuple of two arrays
        Those kept, along y and x, in radians a pixel of the image.
    """

    size: tuple[int, int]
    binning: int
    frequencies: tuple[NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def of(cls, size: Sequence[float], largest_px: int | None = None, share: int = 1) -> Windows:
        """Return windows of about a size, binned to no more than ``largest_px``.

        Of several windows in a row, each gets its ``share`` of the frequencies.
        """
        binning = max(1, -(-int(max(size)) // (largest_px or LARGEST_PX)))
        rows, columns = (max(1, int(length) // binning) for length in size)
        most = MOST_FREQUENCIES // share
        down, across = min(most, (rows - 1) // 2), min(most, columns // 2)
        unit = 2 * np.pi / binning
        frequencies = (
            unit * np.arange(-down, down + 1) / rows,
            unit * np.arange(across + 1) / columns,
        )
        return cls((rows * binning, columns * binning), binning, frequencies)

    @property
    def informative(self) -> NDArray[np.float32]:
        """Frequencies that count: once or twice (for their mirror image); slow shading does not."""
        down, across = (part.size for part in self.frequencies)
        y = np.arange(down)[:, np.newaxis] - down // 2
        x = np.arange(across)[np.newaxis]
        return np.where(y**2 + x**2 < 2.5, 0, np.where(x == 0, 1, 2)).astype(np.float32)

    def spectra(
        self, stack: Stack, index: int, centres: NDArray[np.float64]
    ) -> NDArray[np.complex64]:
        """Return what a slice shows around some points, sharp to the fraction of a pixel.

        Parameters
        ----------
        stack : Stack
        index : int
            The slice.
        centres : array of shape (windows, 2)
            Middle (y, x) of each window, in pixels of the slice.

        Returns
        -------
        array of shape (windows, frequencies along y, along x), complex64
            Of unit power; zero where a window is blank.
        """
        shape = np.array(stack.shape[1:])
        # Content that has drifted out of the image is not followed out of it.
        inside = np.array(self.size) / 4
        middles = centres.clip(inside, np.maximum(shape - 1 - inside, inside))
        starts = np.floor(middles - (np.array(self.size) - 1) / 2 + 0.5).astype(int)
        low, high = starts.min(axis=0), starts.max(axis=0) + self.size
        low, high = low.clip(0, shape), high.clip(0, shape)
        image = stack.image(index, *(slice(a, b) for a, b in zip(low, high, strict=True)))
        return np.stack(
            [
                self._spectrum(image, low, start, middle, shape) * self._turn(start - centre)
                for start, middle, centre in zip(starts, middles, centres, strict=True)
            ]
        )

    def _spectrum(
        self,
        image: NDArray[np.float32],
        low: NDArray[np.int64],
        start: NDArray[np.int64],
        middle: NDArray[np.float64],
        shape: NDArray[np.int64],
    ) -> NDArray[np.complex64]:
        from scipy import fft

        first = np.maximum(start, low)
        last = np.minimum(start + self.size, low + image.shape)
        size = tuple(part.size for part in self.frequencies)
        if (last <= first).any():
            return np.zeros(size, np.complex64)
        (y0, x0), (y1, x1) = first - low, last - low
        # The scale of grey values is not in the spectrum; squares of large ones would overflow.
        largest = float(np.abs(image).max()) or 1.0
        part = image[y0:y1, x0:x1] / np.float32(largest)
        wy, wx = (
            _fading(at, middle[axis], self.size[axis]) * _border(at, shape[axis])
            for axis in (0, 1)
            for at in [np.arange(first[axis], last[axis])]
        )
        total = wy.sum() * wx.sum()
        if total <= 0:
            return np.zeros(size, np.complex64)
        part = (part - (wy @ part @ wx) / total) * wy[:, np.newaxis] * wx
        whole = np.zeros(self.size, np.float32)
        (y0, x0), (y1, x1) = first - start, last - start
        whole[y0:y1, x0:x1] = part
        rows, columns = (count // self.binning for count in self.size)
        binned = whole.reshape(rows, self.binning, columns, self.binning).sum(axis=(1, 3))
        power = float(np.sqrt((binned**2).sum()))
        # Of a blank window only the rounding of its mean is left.
        if power <= 1e-4:
            return np.zeros(size, np.complex64)
        down, across = size[0] // 2, size[1]
        spectrum = fft.rfft2(binned)[:, :across]
        spectrum = np.concatenate([spectrum[rows - down :], spectrum[: down + 1]]) / power
        return spectrum.astype(np.complex64)

    def _turn(self, start_px: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return what refers a spectrum, whose first pixel lies at ``start_px``, to zero."""
        first = start_px + (self.binning - 1) / 2
        y, x = (np.exp(-1j * k * at) for k, at in zip(self.frequencies, first, strict=True))
        return np.outer(y, x).astype(np.complex64)


def _fading(at: NDArray[np.int64], centre: float, size: int) -> NDArray[np.float32]:
    inside = (size / 2 - np.abs(at - centre)) / (FADING * size)
    return (np.sin(np.pi / 2 * inside.clip(0, 1)) ** 2).astype(np.float32)


def _border(at: NDArray[np.int64], edge: int) -> NDArray[np.float32]:
    return ((np.minimum(at, edge - 1 - at) + 0.5) / BORDER_PX).clip(0, 1).astype(np.float32)
