"""Which of the electrons that leave a sample a detector sees, and how strongly it answers to each.

Angles are those of an electron's way out. The polar angle is taken from the beam's axis, 0 straight
back along it. The azimuth is taken around that axis: 0 toward +y, the way a tilted beam travels
along the face, so that the face's normal and what is mirrored off the face lie at azimuth 0; 90
degrees toward +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, inf, isfinite, radians, sin
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.imaging.transport import CUT_OFF_EV, check_beam

if TYPE_CHECKING:
    from porescope.imaging.transport import Histories

Response = Literal["count", "energy"]


class Window(NamedTuple):
    """A detector's window in numbers, at one beam energy and tilt, as the native core takes them.

    An electron scores ``weight + weight_per_ev * energy_ev`` where its energy lies from
    ``lowest_ev`` to ``highest_ev``, the cosine between its direction and minus the beam's from
    ``lowest_cosine`` to ``highest_cosine``, and the cosine of its azimuth from the axis is at least
    ``least_azimuth_cosine``, where -1 lets in any. Ends that shut nothing out are infinite, so that
    rounding shuts nothing out either.
    """

    lowest_ev: float
    highest_ev: float
    lowest_cosine: float
    highest_cosine: float
    azimuth_axis_z: float
    azimuth_axis_y: float
    azimuth_axis_x: float
    least_azimuth_cosine: float
    weight: float
    weight_per_ev: float


@dataclass(frozen=True)
class Detector:
    """A window on the electrons that leave through the imaged face.

    Attributes
    ----------
    name : str
    polar_deg : (float, float), optional
        From and to, 0 to 180; all by default. Beyond 90 lie electrons that leave a tilted face
        sideways, away from the column.
    energy_ev : (float, float), optional
        From and to, in eV; from 50, below which none is followed.
    energy_fraction : (float, float), optional
        From and to, of the beam's energy, 0 to 1. An electron must lie in both windows.
    azimuth_deg : (float, float), optional
        Centre and half width; a half width of 180 lets in any.
    response : {"count", "energy"}, optional
        Whether an electron counts as 1, or as what energy it has left below the dead layer, as a
        share of the beam's.
    dead_layer_ev : float, optional
        Energy that an electron loses before the detector answers. Those with less are not seen.
    backscattered, secondaries : float, optional
        How strongly electrons in the window count, and all secondaries that get out of the sample,
        which a field draws in from any direction.
    approximate : bool, optional
        Whether the window is a guess at what an instrument does.

    Raises
    ------
    PorescopeError
        If a window is empty or a number out of its range.
    """

    name: str
    polar_deg: tuple[float, float] = (0.0, 180.0)
    energy_ev: tuple[float, float] = (CUT_OFF_EV, inf)
    energy_fraction: tuple[float, float] = (0.0, 1.0)
    azimuth_deg: tuple[float, float] = (0.0, 180.0)
    response: Response = "count"
    dead_layer_ev: float = 0.0
    backscattered: float = 1.0
    secondaries: float = 0.0
    approximate: bool = False

    def __post_init__(self) -> None:
        for what, (low, high), highest in (
            ("polar angles in degrees", self.polar_deg, 180.0),
            ("energies in eV", self.energy_ev, inf),
            ("shares of the beam energy", self.energy_fraction, 1.0),
        ):
            if not 0 <= low < high <= highest:
                raise PorescopeError(
                    f"{self.name}: the window of {what} must rise within 0 to {highest:g}, "
                    f"not go from {low:g} to {high:g}."
                )
        centre_deg, half_width_deg = self.azimuth_deg
        if not (isfinite(centre_deg) and 0 < half_width_deg <= 180):
            raise PorescopeError(
                f"{self.name}: the azimuth takes a centre and a half width above 0 up to 180 "
                f"degrees, not {centre_deg:g} and {half_width_deg:g}."
            )
        if self.response not in get_args(Response):
            raise PorescopeError(
                f"{self.name}: the response is one of {', '.join(get_args(Response))}, "
                f"not {self.response!r}."
            )
        for what, value in (
            ("dead layer", self.dead_layer_ev),
            ("weight of back-scattered electrons", self.backscattered),
            ("weight of secondaries", self.secondaries),
        ):
            if not (isfinite(value) and value >= 0):
                raise PorescopeError(f"{self.name}: the {what} must be 0 or above, not {value:g}.")
        if self.backscattered == 0 and self.secondaries == 0:
            raise PorescopeError(
                f"{self.name} sees nothing: give back-scattered electrons or secondaries a weight."
            )

    def window(self, beam_kv: float, tilt_deg: float = 0.0) -> Window:
        """Return the window in numbers.

        Parameters
        ----------
        beam_kv : float
        tilt_deg : float, optional
            Between the beam, which travels along (cos tilt, sin tilt, 0) in (z, y, x), and the
            face's normal.

        Returns
        -------
        Window
            Ten floats.

        Raises
        ------
        PorescopeError
            If the tables do not reach the beam, or no electron of it can be seen.
        """
        check_beam(beam_kv, tilt_deg)
        beam_ev = 1000.0 * beam_kv
        from_fraction, to_fraction = self.energy_fraction
        lowest_ev = max(self.energy_ev[0], self.dead_layer_ev, from_fraction * beam_ev)
        highest_ev = min(self.energy_ev[1], to_fraction * beam_ev)
        if self.backscattered > 0 and lowest_ev >= highest_ev:
            raise PorescopeError(
                f"{self.name} sees no electron of a {beam_kv:g} kV beam: its window would go from "
                f"{lowest_ev:g} to {highest_ev:g} eV. Take another voltage or detector."
            )
        from_deg, to_deg = self.polar_deg
        centre, half_width = (radians(angle) for angle in self.azimuth_deg)
        tilt = radians(tilt_deg)
        if self.response == "energy":
            weight_per_ev = self.backscattered / beam_ev
            weight = -self.dead_layer_ev * weight_per_ev
        else:
            weight, weight_per_ev = self.backscattered, 0.0
        return Window(
            lowest_ev,
            highest_ev if highest_ev < beam_ev else inf,
            cos(radians(to_deg)) if to_deg < 180 else -inf,
            cos(radians(from_deg)) if from_deg > 0 else inf,
            -cos(centre) * sin(tilt),
            cos(centre) * cos(tilt),
            sin(centre),
            cos(half_width),
            weight,
            weight_per_ev,
        )

    def signal(
        self, histories: Histories, beam_kv: float, tilt_deg: float = 0.0
    ) -> NDArray[np.float64]:
        """Return what each electron that entered a sample gives to the detector.

        Parameters
        ----------
        histories : Histories
            What became of the electrons. Those that left below the last layer are not seen.
        beam_kv, tilt_deg : float
            Those that the histories were traced with.

        Returns
        -------
        array of shape (electrons,), float64
            Its mean is the brightness of a pixel.

        Raises
        ------
        PorescopeError
            As for :meth:`window`.
        """
        window = self.window(beam_kv, tilt_deg)
        tilt = radians(tilt_deg)
        energy_ev = histories.energy_ev.astype(np.float64)
        direction = histories.direction.astype(np.float64)
        cosine = direction @ (-cos(tilt), -sin(tilt), 0.0)
        toward_axis = direction @ window[4:7]
        seen = (
            histories.backscattered
            & (window.lowest_ev <= energy_ev)
            & (energy_ev <= window.highest_ev)
            & (window.lowest_cosine <= cosine)
            & (cosine <= window.highest_cosine)
        )
        if window.least_azimuth_cosine > -1:
            sine = np.sqrt(np.clip(1 - cosine**2, 0, None))
            seen &= toward_axis >= window.least_azimuth_cosine * sine
        score = np.where(seen, window.weight + window.weight_per_ev * energy_ev, 0.0)
        return score + self.secondaries * histories.secondaries


# Makers publish no acceptances: all but the first and the last are guesses from the detectors'
# descriptions.
_KNOWN = {
    detector.name: detector
    for detector in (
        Detector("all-BSE"),
        # Through the lens: what goes straight back into the column.
        Detector("TLD-BSE", polar_deg=(0, 25), approximate=True),
        # In the column above it, for electrons that lost next to nothing.
        Detector("ICD", polar_deg=(0, 25), energy_fraction=(0.9, 1), approximate=True),
        # Behind a grid that can be set from 0 to 1500 V.
        Detector("EsB", polar_deg=(0, 15), energy_ev=(500, inf), approximate=True),
        # A solid-state ring beneath the lens.
        Detector(
            "annular",
            polar_deg=(20, 60),
            response="energy",
            dead_layer_ev=1000,
            approximate=True,
        ),
        Detector("SE", backscattered=0, secondaries=1),
    )
}


def detector_names() -> list[str]:
    """Return the names that stand for a detector."""
    return list(_KNOWN)


def as_detector(detector: str | Detector) -> Detector:
    """Return the detector of a name, or the detector itself.

    ``dataclasses.replace`` makes another of one, such as an EsB with its grid at 1500 V:
    ``replace(as_detector("EsB"), energy_ev=(1500, inf))``.

    Raises
    ------
    PorescopeError
        If no detector has this name.
    """
    if isinstance(detector, Detector):
        return detector
    if detector not in _KNOWN:
        raise PorescopeError(
            f"There is no detector {detector!r}; take one of {', '.join(_KNOWN)}, or describe it "
            "with porescope.imaging.Detector."
        )
    return _KNOWN[detector]
