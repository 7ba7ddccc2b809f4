"""How signals become grey values: dose and noise, and one gain and offset for each voltage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.imaging.detectors import Detector
from porescope.imaging.materials import Material
from porescope.imaging.montecarlo import MOST_ELECTRONS
from porescope.imaging.noise import blur_edges, detector_noise, electrons_per_pixel, shot_noise
from porescope.imaging.transport import trace_bulk
from porescope.pipeline.simulation.parameters import SimulationParameters

BLACK = 0.05
"""Share of the grey scale that lies below no signal, so that noise is not cut off there."""
CALIBRATION_ELECTRONS = 20_000


@dataclass(frozen=True)
class Exposure:
    """Settings of one voltage, the same for all slices.

    As at the microscope, gain and offset are set once for a voltage and then left alone, so that
    brightness can be compared along the stack; between voltages the gains differ. The brightest
    material, thick and flat, comes to lie at two thirds of white, or lower where noise asks for
    more room.

    Attributes
    ----------
    parameters : SimulationParameters
    contrast : float
        Between the signals of the brightest and the dimmest material, for each electron.
    extra_electrons : float
        Of how many electrons shot noise is added to that of those followed; infinite for none.
    grey_of_no_signal, grey_per_signal : float
        Offset and gain.
    """

    parameters: SimulationParameters
    contrast: float
    extra_electrons: float
    grey_of_no_signal: float
    grey_per_signal: float

    @classmethod
    def of(
        cls,
        parameters: SimulationParameters,
        materials: Sequence[Material],
        detector: Detector,
        beam_kv: float,
    ) -> Exposure:
        """Return the settings for a voltage, from what thick materials signal.

        Raises
        ------
        PorescopeError
            If the detector sees nothing, or the dose asked for makes no sense.
        """
        histories = {
            made: trace_bulk(
                made,
                beam_kv,
                electrons=CALIBRATION_ELECTRONS,
                tilt_deg=parameters.tilt_deg,
                secondaries=detector.secondaries > 0,
            )
            for made in materials
            if not made.is_vacuum
        }
        if not histories:
            raise PorescopeError(
                "All of the sample is vacuum; name a material for one of the labels."
            )
        signals = [
            detector.signal(each, beam_kv, parameters.tilt_deg) for each in histories.values()
        ]
        means = [float(signal.mean()) for signal in signals]
        brightest = max(means)
        if brightest == 0:
            raise PorescopeError(
                f"The detector {detector.name} sees nothing of this sample at {beam_kv:g} kV; take "
                "another one."
            )
        dimmest = min(means) if len(histories) == len(set(materials)) else 0.0  # of vacuum
        variance = float(signals[means.index(brightest)].var())
        extra = _extra_electrons(parameters, brightest, variance)
        followed = math.inf if parameters.surrogate is not None else parameters.electrons
        noise = math.sqrt(variance / followed + brightest / extra)
        white = max(1.5 * brightest, brightest + 4 * noise)
        top = float(np.iinfo(parameters.dtype).max)
        return cls(parameters, brightest - dimmest, extra, BLACK * top, (1 - BLACK) * top / white)

    def grey(self, signal: NDArray[np.float32], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Return grey values, not yet whole or cut, with what noise and blur electrons lack.

        Parameters
        ----------
        signal : array of shape (y, x), float32
            For each electron of the beam.
        seeds : sequence of two ints
            The image's own.
        """
        parameters = self.parameters
        white = (np.iinfo(parameters.dtype).max - self.grey_of_no_signal) / self.grey_per_signal
        if math.isfinite(self.extra_electrons):
            signal = shot_noise(signal, self.extra_electrons, seed=seeds[0])
        if parameters.poisson_levels is not None:
            signal = shot_noise(signal, parameters.poisson_levels / white, seed=seeds[1])
        if parameters.detector_noise > 0:
            signal = detector_noise(signal, parameters.detector_noise * white, seed=seeds[0])
        if parameters.edge_blur_px > 0:
            signal = blur_edges(signal, parameters.edge_blur_px, contrast=self.contrast)
        return self.grey_of_no_signal + self.grey_per_signal * signal


def _extra_electrons(parameters: SimulationParameters, brightest: float, variance: float) -> float:
    """Return of how many electrons shot noise must be added; infinite for none.

    Electrons followed bring the variance of one electron's signal over their number; shot noise of
    n electrons brings the signal over n.
    """
    current_pa, dwell_us, snr = parameters.current_pa, parameters.dwell_us, parameters.snr
    if (current_pa is None) != (dwell_us is None):
        raise PorescopeError(
            "A dose takes a beam current in pA and a dwell time in microseconds; give both or none."
        )
    if current_pa is not None and dwell_us is not None:
        if snr is not None:
            raise PorescopeError("Give a signal-to-noise ratio or a dose, not both.")
        what = f"A dose of {current_pa:g} pA for {dwell_us:g} microseconds"
        dose = electrons_per_pixel(current_pa, dwell_us)
        if dose < 1:
            raise PorescopeError(f"{what} is less than one electron for each pixel; take more.")
        wanted = variance / dose
        less = "less of a dose"
    elif snr is not None:
        wanted = (brightest / snr) ** 2
        what = f"A signal-to-noise ratio of {snr:g}"
        less = "a lower ratio"
    elif parameters.surrogate is not None:  # whose images are free of noise
        return parameters.electrons * brightest / variance
    else:
        return math.inf
    if parameters.surrogate is not None:
        return brightest / wanted if wanted > 0 else math.inf
    needed = variance / wanted if wanted > 0 else math.inf
    if needed > MOST_ELECTRONS:
        raise PorescopeError(
            f"{what} takes more than {MOST_ELECTRONS:,} electrons for each pixel, the most that "
            f"can be followed; take {less}."
        )
    if round(needed) > parameters.electrons:
        raise PorescopeError(
            f"{what} takes {round(needed):,} electrons for each pixel, but "
            f"{parameters.electrons:,} are followed, whose noise stays; follow as many, or take "
            f"{less}."
        )
    lacking = wanted - variance / parameters.electrons
    return brightest / lacking if lacking > 0 else math.inf
