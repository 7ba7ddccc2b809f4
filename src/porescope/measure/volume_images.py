"""How a volume of labels would look in the microscope: for the physics check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.imaging.detectors import Detector, as_detector
from porescope.imaging.device import Device
from porescope.imaging.electron_sample import electron_sample
from porescope.imaging.heightfield import HeightField, extract_heightfield
from porescope.imaging.materials import Material, as_material
from porescope.imaging.montecarlo import simulate_monte_carlo
from porescope.imaging.transport import residual_range_nm


class Imaging(Protocol):
    """A way to image labels. The same question always has the same answer."""

    def depth_nm(self, beam_kv: float, solid_share: float) -> float:
        """Return how deep below a plane its image looks, where so much of a volume is not 0."""

    def prepare(self, labels: NDArray[Any], voxel_nm: Sequence[float]) -> Any:
        """Make a volume of labels (z, y, x) ready for several planes and voltages."""

    def images(
        self, ready: Any, plane: int, beam_kv: float, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return two images (y, x) of a plane whose noise, if any, is independent.

        ``index`` is that of the slice, for noise of its own.
        """


@dataclass(frozen=True)
class ByMonteCarlo:
    """Image labels by Monte Carlo; what is asked twice is answered with the same noise.

    So two segmentations of a stack are imaged by the same electrons, and their images differ only
    where the segmentations do.

    Parameters
    ----------
    materials : mapping of int to str or Material
        What each label is: ``{0: "epoxy", 1: "gold"}``.
    electrons : int
        For each pixel, two or more.
    detector : str or Detector
        That the stacks were recorded with, see :func:`porescope.imaging.detector_names`.
    probe_nm : float
        Diameter of the beam, full width at half maximum.
    seed : int
    device : {"auto", "cpu", "cuda"}

    Raises
    ------
    PorescopeError
        If fewer than two electrons are asked for, or a material is not known.
    """

    materials: Mapping[int, str | Material]
    electrons: int = 16
    detector: str | Detector = "all-BSE"
    probe_nm: float = 0.0
    seed: int = 0
    device: Device = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.electrons, int) or self.electrons < 2:
            raise PorescopeError(
                f"The check needs two electrons or more for each pixel, not {self.electrons!r}."
            )
        as_detector(self.detector)
        for material in self.materials.values():
            as_material(material)

    def depth_nm(self, beam_kv: float, solid_share: float) -> float:
        """Return half of the longest range, longer in vacuum by as much as there is of it."""
        return _depth_nm(self.materials.values(), beam_kv, solid_share)

    def prepare(self, labels: NDArray[Any], voxel_nm: Sequence[float]) -> Any:
        """Return the labels as electrons meet them."""
        secondaries = as_detector(self.detector).secondaries > 0
        return electron_sample(labels, voxel_nm, self.materials, secondaries=secondaries)

    def images(
        self, ready: Any, plane: int, beam_kv: float, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return images of half of the electrons each."""
        detector = as_detector(self.detector)
        random = np.random.SeedSequence(self.seed, spawn_key=(index, round(1e6 * beam_kv), 0))
        first, second = (
            simulate_monte_carlo(
                ready,
                plane,
                beam_kv=beam_kv,
                electrons=self.electrons // 2,
                probe_nm=self.probe_nm,
                detectors=(detector,),
                secondaries=detector.secondaries > 0,
                seed=seed,
                device=self.device,
            )[detector.name]
            for seed in random.generate_state(2, np.uint64).tolist()
        )
        return first, second


class Renderer(Protocol):
    """What of a neural simulator is used, as :func:`porescope.imaging.load_surrogate` gives it."""

    @property
    def settings(self) -> Any:
        """Tells ``layers``, ``materials`` and ``signals``."""

    def render(
        self, heightfield: HeightField, *, beam_kv: float, pixel_nm: float, unit_nm: float
    ) -> dict[str, NDArray[np.float32]]:
        """Return images by signal."""


@dataclass(frozen=True)
class BySurrogate:
    """Image labels by the neural simulator: without noise, and a hundred thousand times faster.

    Parameters
    ----------
    surrogate : Surrogate
        With weights for the materials at hand, which are labels 0 and 1.
    signal : {"bse", "se"}
    """

    surrogate: Renderer
    signal: str = "bse"

    def __post_init__(self) -> None:
        if self.signal not in self.surrogate.settings.signals:
            raise PorescopeError(
                f"This neural simulator tells {', '.join(self.surrogate.settings.signals)}, not "
                f"{self.signal!r}."
            )

    def depth_nm(self, beam_kv: float, solid_share: float) -> float:
        """Return the depth that electrons come back from."""
        named = self.surrogate.settings.materials.split(",")
        made_of = [entry.partition("=")[2].strip() for entry in named]
        return _depth_nm(made_of, beam_kv, solid_share)

    def prepare(self, labels: NDArray[Any], voxel_nm: Sequence[float]) -> Any:
        """Return the labels and their voxel size."""
        if labels.max() > 1:
            raise PorescopeError(
                f"The neural simulator knows pore and one solid, labels 0 and 1, not "
                f"{labels.max()}; use Monte Carlo."
            )
        return labels, tuple(voxel_nm)

    def images(
        self, ready: Any, plane: int, beam_kv: float, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the same image twice, for it has no noise."""
        labels, voxel_nm = ready
        field = extract_heightfield(
            labels, plane, layers=self.surrogate.settings.layers, spacing_nm=voxel_nm
        )
        image = self.surrogate.render(field, beam_kv=beam_kv, pixel_nm=voxel_nm[2], unit_nm=1.0)[
            self.signal
        ]
        return image, image


def _depth_nm(materials: Any, beam_kv: float, solid_share: float) -> float:
    made_of = [as_material(material) for material in materials]
    energy_ev = np.array([1000.0 * beam_kv])
    depth_nm = max(
        float(residual_range_nm(made, energy_ev)[0]) / 2 for made in made_of if not made.is_vacuum
    )
    return depth_nm / solid_share if any(made.is_vacuum for made in made_of) else depth_nm
