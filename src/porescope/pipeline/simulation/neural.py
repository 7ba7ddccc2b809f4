"""The neural simulator in the place of electrons: what a plane signals on average."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.detectors import Detector, as_detector
from porescope.imaging.heightfield import HeightField, extract_heightfield
from porescope.imaging.materials import Material, check_labels
from porescope.imaging.montecarlo import FWHM_PER_DEVIATION
from porescope.imaging.surrogate import Surrogate, load_surrogate, surrogate_names
from porescope.pipeline.simulation.below import READY_VOXELS
from porescope.pipeline.simulation.parameters import SimulationParameters, parse_materials
from porescope.pipeline.simulation.plan import Plan
from porescope.stack import COLUMNS, SLICES, Stack

FITTING = "auto"
SIGNALS = {"all-BSE": "bse", "SE": "se"}
"""Of which detectors a surrogate's signals are."""
DEEP_ENOUGH = 256
"""Voxels below a plane that are looked at even where memory is short."""


class Neural:
    """A sample whose planes a neural simulator images.

    Parameters
    ----------
    sample : Stack or Primitives
    parameters : SimulationParameters
        ``surrogate`` names the weights; ``"auto"`` takes those that know the materials.
    voxel_nm : (float, float, float)
        Of the sample, of primitives one unit.

    Raises
    ------
    PorescopeError
        If the weights do not know the materials, a voltage, the pixel size or the detector, or
        cannot do what is asked.
    """

    def __init__(
        self,
        sample: Stack | Primitives,
        parameters: SimulationParameters,
        voxel_nm: tuple[float, float, float],
    ) -> None:
        assert parameters.surrogate is not None
        self._sample = sample
        self._voxel_nm = voxel_nm
        self._pixel_nm = parameters.pixel_nm or voxel_nm[COLUMNS]
        self._probe_px = parameters.probe_nm / FWHM_PER_DEVIATION / self._pixel_nm
        self._materials = parse_materials(parameters.materials)
        self._surrogate = fitting_surrogate(parameters.surrogate, self._materials)
        self._detector = as_detector(parameters.detector).name
        signal_of(self._surrogate, as_detector(parameters.detector))
        for beam_kv in parameters.beam_kv:
            self._surrogate.checked_beam_kv(beam_kv)
        self._surrogate.checked_pixel_nm(self._pixel_nm)
        refuse_unknown("The neural simulator", parameters, voxel_nm)
        if parameters.walls == "periodic":
            raise PorescopeError("The neural simulator knows no periodic walls; use Monte Carlo.")

    def images(self, z_nm: float, beam_kv: float) -> dict[str, NDArray[np.float32]]:
        """Return what a whole plane signals for each electron of the beam, by detector."""
        from scipy import ndimage

        field = self._heightfield(z_nm)
        seen = self._surrogate.render(field, beam_kv=beam_kv, pixel_nm=self._pixel_nm, unit_nm=1.0)
        whole = {name: seen[signal] for name, signal in SIGNALS.items() if signal in seen}
        if self._probe_px > 0:
            for name, image in whole.items():
                whole[name] = ndimage.gaussian_filter(image, self._probe_px, mode="reflect")
        return whole

    def signal(self, plan: Plan, index: int, beam: int, beam_kv: float) -> NDArray[np.float32]:
        """Return what an image's pixels signal for each electron of the beam, free of noise."""
        whole = self.images(float(plan.slice_z_nm[index]), beam_kv)[self._detector]
        return scanned(whole, plan, index, beam)

    def _heightfield(self, z_nm: float) -> HeightField:
        """Return the heightfield of a plane, in nm."""
        layers = self._surrogate.settings.layers
        voxel_nm = self._voxel_nm
        plane_z = z_nm / voxel_nm[SLICES]
        sample = self._sample
        if isinstance(sample, Primitives):
            field = extract_heightfield(sample, plane_z, layers=layers)
            return HeightField(
                field.entry * voxel_nm[SLICES], field.exit * voxel_nm[SLICES], field.normal
            )
        first = min(int(plane_z), sample.shape[SLICES] - 1)
        depth = max(DEEP_ENOUGH, READY_VOXELS // math.prod(sample.shape[1:]))
        labels = np.asarray(sample.data[first : first + depth])
        check_labels(labels[0], self._materials)  # of all would be too slow to slide
        solid = labels if labels.dtype == bool else labels != 0
        return extract_heightfield(solid, plane_z - first, layers=layers, spacing_nm=voxel_nm)


def refuse_unknown(
    what: str, parameters: SimulationParameters, voxel_nm: tuple[float, float, float]
) -> None:
    """Refuse what only electrons know: a tilted beam, and pixels that are no voxels."""
    asked = {
        "tilted beam": parameters.tilt_deg > 0,
        "pixels of another size than voxels": parameters.pixel_nm not in (None, voxel_nm[COLUMNS]),
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise PorescopeError(f"{what} knows no {name}; use Monte Carlo.")


def scanned(
    whole: NDArray[np.float32], plan: Plan, index: int, beam: int, walls: str = "mirror"
) -> NDArray[np.float32]:
    """Return the part of a whole plane that an image shows, moved by its drift."""
    from scipy import ndimage

    first_px = np.array(plan.scan_start_nm(index, beam)) / plan.pixel_nm
    rows, columns = plan.shape
    if not np.any(first_px % 1) and walls == "mirror":
        y, x = first_px.astype(int)
        return whole[y : y + rows, x : x + columns]
    places = np.mgrid[:rows, :columns] + first_px[:, np.newaxis, np.newaxis]
    mode = "mirror" if walls == "mirror" else "grid-wrap"
    moved = ndimage.map_coordinates(whole, places, order=3, mode=mode)
    return np.maximum(moved, 0).astype(np.float32)


def fitting_surrogate(name: str, materials: Mapping[int, Material]) -> Surrogate:
    """Return the surrogate of that name, or with ``"auto"`` the one that knows the materials.

    Raises
    ------
    PorescopeError
        If there is none.
    """
    names = surrogate_names() if name == FITTING else [name]
    known = {each: load_surrogate(each) for each in names}
    for surrogate in known.values():
        if parse_materials(surrogate.settings.materials) == materials:
            return surrogate
    asked = ", ".join(f"{label}={made.name}" for label, made in sorted(materials.items()))
    there = "; ".join(f"{each} knows {s.settings.materials}" for each, s in known.items())
    raise PorescopeError(
        f"No weights of the neural simulator fit the materials {asked} ({there}); use Monte Carlo, "
        "or train weights of your own with porescope train surrogate."
    )


def signal_of(surrogate: Surrogate, detector: Detector) -> str:
    """Return which of the surrogate's signals a detector sees, or refuse the detector."""
    signal = SIGNALS.get(detector.name)
    if signal in surrogate.settings.signals:
        assert signal is not None
        return signal
    known = [name for name, each in SIGNALS.items() if each in surrogate.settings.signals]
    raise PorescopeError(
        f"These weights of the neural simulator know the detector {' and '.join(known)}, not "
        f"{detector.name}; take one of these, or use Monte Carlo."
    )
