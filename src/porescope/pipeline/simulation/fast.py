"""Fast imaging in the place of electrons: what planes signal on average, in slabs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from porescope.adapt import fast_planes
from porescope.errors import PorescopeError
from porescope.imaging.detectors import as_detector
from porescope.imaging.montecarlo import FWHM_PER_DEVIATION
from porescope.pipeline.simulation.neural import refuse_unknown, scanned
from porescope.pipeline.simulation.parameters import SimulationParameters, parse_materials
from porescope.pipeline.simulation.plan import Plan
from porescope.stack import COLUMNS, Stack

FAST = "fast"
"""Said in place of weights of the neural simulator."""
DETECTOR = "all-BSE"
READY_PIXELS = 1 << 26
"""So many pixels of images are kept ready, in 256 MiB, if a slice does not need more."""


class Fast:
    """A sample whose planes are imaged by their back-scatter coefficients.

    Parameters
    ----------
    labels : Stack
        The sample as voxels.
    parameters : SimulationParameters
    voxel_nm : (float, float, float)

    Raises
    ------
    PorescopeError
        If what is asked for takes electrons.
    """

    def __init__(
        self,
        labels: Stack,
        parameters: SimulationParameters,
        voxel_nm: tuple[float, float, float],
    ) -> None:
        refuse_unknown("Fast imaging", parameters, voxel_nm)
        detector = as_detector(parameters.detector).name
        if detector != DETECTOR:
            raise PorescopeError(
                f"Fast imaging knows the detector {DETECTOR}, not {detector}; take it, or use "
                "Monte Carlo."
            )
        self._labels = labels
        self._parameters = parameters
        self._voxel_nm = voxel_nm
        self._probe_px = parameters.probe_nm / FWHM_PER_DEVIATION / voxel_nm[COLUMNS]
        self._materials = parse_materials(parameters.materials)
        self._slab = -1
        self._ready: dict[int, list[NDArray[np.float32]]] = {}

    def images(self, z_nm: float, beam_kv: float) -> dict[str, NDArray[np.float32]]:
        """Return what a whole plane signals for each electron of the beam, by detector."""
        return {DETECTOR: self._seen(np.array([z_nm]), beam_kv)[0]}

    def signal(self, plan: Plan, index: int, beam: int, beam_kv: float) -> NDArray[np.float32]:
        """Return what an image's pixels signal for each electron of the beam, free of noise."""
        pixels = math.prod(self._labels.shape[1:]) * len(self._parameters.beam_kv)
        together = max(1, READY_PIXELS // pixels)
        slab = index // together
        if slab != self._slab:
            self._slab, self._ready = slab, {}
        first = slab * together
        if beam not in self._ready:
            depths_nm = plan.slice_z_nm[first : first + together]
            self._ready[beam] = self._seen(depths_nm, beam_kv)
        return scanned(self._ready[beam][index - first], plan, index, beam, self._parameters.walls)

    def _seen(self, depths_nm: NDArray[np.float64], beam_kv: float) -> list[NDArray[np.float32]]:
        """Return the images of planes, as the probe blurs them."""
        from scipy import ndimage

        walls = self._parameters.walls
        mode = "reflect" if walls == "mirror" else "wrap"
        planes = fast_planes(
            self._labels.data, self._voxel_nm, beam_kv, depths_nm, self._materials, walls=walls
        )
        images = [
            ndimage.gaussian_filter(image, self._probe_px, mode=mode) if self._probe_px else image
            for _, image in planes
        ]
        return images[::-1]
