"""What was found of layers, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from porescope.layers.inversion import LARGEST_NOISE, counted, share_far
from porescope.layers.task import Inversion

if TYPE_CHECKING:
    from porescope.layers import EnergySeries
    from porescope.pipeline.layers.parameters import LayersParameters

WRONG = 1.3
"""Misfit, beside that of chance, from which the model does not hold."""
MUCH_FAR, MUCH_AT_LIMIT = 0.01, 0.02
"""Shares of pixels that are worth a word."""


@dataclass(frozen=True)
class Layer:
    """What was found of one layer.

    Parameters
    ----------
    name : str
    label : int
        In the volume; the layer's page in files of maps too, counted from 1.
    thickest_nm : float
        That was allowed.
    mean_nm : float
    uncertainty_nm : float
        Median standard error of a pixel.
    share_at_limit : float
        Of pixels that are as thick as was allowed.
    """

    name: str
    label: int
    thickest_nm: float
    mean_nm: float
    uncertainty_nm: float
    share_at_limit: float

    @property
    def summary(self) -> str:
        """What was found, in a sentence or two."""
        told = (
            f"{self.name}: {self.mean_nm:.2f} nm on average, half the pixels known to "
            f"{_rounded(self.uncertainty_nm)} nm"
        )
        if self.share_at_limit > MUCH_AT_LIMIT:
            told += (
                f"; {_percent(self.share_at_limit)} of the pixels are as thick as is allowed, "
                f"{self.thickest_nm:g} nm: allow more if they may be thicker"
            )
        return told


@dataclass(frozen=True)
class Found:
    """What there is in a folder of layers.

    Parameters
    ----------
    layers : tuple of Layer
        From the bottom to the top.
    method : str
        That was taken.
    noise : float
        That was reckoned with.
    misfit : float
        Median over pixels of the mean square deviation from the series in units of the noise; about
        1 where all is well.
    share_far : float
        Of pixels whose misfit is far above what chance allows.
    saturated_share : float
        Of grey values that are the greatest that the images can hold.
    beam_kv : tuple of float
        Energies of the series.
    pixel_nm : tuple of two floats
    shape : tuple of three ints
        Of the series: energies, rows and columns.
    """

    layers: tuple[Layer, ...]
    method: str
    noise: float
    misfit: float
    share_far: float
    saturated_share: float
    beam_kv: tuple[float, ...]
    pixel_nm: tuple[float, float]
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        found: Inversion,
        series: EnergySeries,
        pixel_nm: tuple[float, float],
        parameters: LayersParameters,
    ) -> Found:
        """Return what a method found, in numbers."""
        from porescope.layers.series import SATURATED_KEY

        energies, rows, columns = series.signals.shape
        layers = zip(
            parameters.names(),
            parameters.thickest_nm,
            found.thickness_nm,
            found.uncertainty_nm,
            strict=True,
        )
        return cls(
            layers=tuple(
                Layer(
                    name,
                    label,
                    thickest,
                    float(thickness.mean()),
                    float(np.median(sure)),
                    float((thickness >= thickest).mean()),
                )
                for label, (name, thickest, thickness, sure) in enumerate(layers, start=1)
            ),
            method=found.method,
            noise=found.noise,
            misfit=float(np.median(found.misfit)),
            share_far=share_far(found.misfit, energies),
            saturated_share=series.metadata.get(SATURATED_KEY, 0.0),
            beam_kv=tuple(series.beam_kv.tolist()),
            pixel_nm=pixel_nm,
            shape=(energies, rows, columns),
        )

    @property
    def summary(self) -> str:
        """What was found, in a few lines."""
        energies, rows, columns = self.shape
        lines = [f"{counted(energies, 'energy')} of {rows} x {columns} pixels"]
        lines += [layer.summary for layer in self.layers]
        lines.append(
            f"noise {_percent(self.noise)}, misfit {self.misfit:.2f} in the median, far above "
            f"chance in {_percent(self.share_far)} of the pixels ({self._verdict()})"
        )
        if self.noise > LARGEST_NOISE:
            lines.append("the noise is more than half of the signal: nothing can be found in it")
        if self.saturated_share:
            lines.append(
                f"{_percent(self.saturated_share)} of the grey values are saturated, the greatest "
                "that the images can hold: layers are wrong there"
            )
        return "\n".join(lines)

    def _verdict(self) -> str:
        energies = len(self.beam_kv)
        if energies <= len(self.layers):
            return f"too few energies to check {counted(len(self.layers), 'layer')}"
        if self.misfit > WRONG * (1 - 2 / (9 * energies)) ** 3:  # the median of chance
            return (
                "above 1: the layers do not explain the series; check the bare region, materials, "
                "greatest thickness and model"
            )
        if self.share_far > MUCH_FAR:
            return "about 1, but not there: look at the map of the misfit"
        return "about 1: the layers explain the series"


def _rounded(value: float) -> str:
    """Return a number to two digits, never as a power of ten."""
    return f"{float(f'{value:.2g}'):.12g}"


def _percent(share: float) -> str:
    return f"{_rounded(100 * share)} %"
