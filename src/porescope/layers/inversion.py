"""From signals at rising beam energy to the thickness of layers, by any method."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.imaging import Material
from porescope.layers.forward import (
    MATERIALS,
    SUBSTRATE,
    Model,
    bulk_signal,
    check_reach,
    checked_beam,
    layer_model,
)
from porescope.layers.learned import by_network, from_weights
from porescope.layers.least_squares import by_neighbours, by_tikhonov
from porescope.layers.noise import noise_between
from porescope.layers.structures import THICKEST_NM
from porescope.layers.task import Inversion, Method, Task
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

LARGEST_NOISE = 0.5


def methods() -> dict[str, Method]:
    """Return the methods by name."""
    return {"network": by_network, "neighbours": by_neighbours, "tikhonov": by_tikhonov}


FEWEST_ENERGIES = 4
"""With less the network is too sure of itself."""
DEFAULT = f"network, or neighbours if layers are not two or energies less than {FEWEST_ENERGIES}"
THICKEST_OF_ALL_NM = 10_000.0
"""No electron of 50 keV comes back from deeper; more would only make volumes without end."""
LEAST_CONTRAST = 1e-3
"""Difference of back-scatter coefficients that no detector tells."""
FAR = 5.0
"""Standard deviations that a misfit is above chance only where something is wrong."""


def invert(signals: ArrayLike, beam_kv: ArrayLike, method: str = "default", **options: Any) -> Any:
    """Return the thickness of layers, (layers, y, x) in nm; see :func:`solve`."""
    return solve(signals, beam_kv, method, **options).thickness_nm


def solve(
    signals: ArrayLike,
    beam_kv: ArrayLike,
    method: str = "default",
    *,
    model: str = "corrected",
    materials: Sequence[str | Material] = MATERIALS,
    substrate: str | Material = SUBSTRATE,
    thickest_nm: Sequence[float] = THICKEST_NM,
    noise: float | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Inversion:
    """Find the thickness of layers that explains a series of images.

    Parameters
    ----------
    signals : array of shape (energies, y, x)
        One image a beam energy, in units of the model: bare substrate has
        :func:`~porescope.layers.bare_signal`.
    beam_kv : array of shape (energies,)
        From 1 to 50, each once.
    method : str, optional
        ``"tikhonov"``, each pixel by itself; ``"neighbours"``, with neighbouring pixels;
        ``"network"``, with a network that weighs them, for two layers; a file of weights that
        ``porescope train layers`` wrote; or ``"default"``: the network, or neighbours where there
        are not two layers or less than four energies.
    model, materials, substrate : optional
        See :func:`~porescope.layers.forward`.
    thickest_nm : sequence of floats, optional
        What each layer cannot exceed, the lowest first; at most 10,000.
    noise : float, optional
        Standard deviation of a signal as a share of it, such as 0.02; less than 0.0001 counts as
        that. If left out, what the model does not explain, but not more than neighbouring pixels
        and energies differ.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    Inversion

    Raises
    ------
    PorescopeError
        If the series is not one image an energy, holds what is no signal, a border cannot be seen,
        or a number makes no sense.
    Cancelled
        If ``cancel()`` became true.

    Warns
    -----
    PorescopeWarning
        If the energies do not rise; the images are taken in the order in which they do.
    """
    chosen = layer_model(model, materials, substrate)
    energies = checked_beam(beam_kv)
    images, energies = rising(checked_signals(signals, energies), energies)
    check_contrast(chosen, energies)
    thickest = checked_thickest(thickest_nm, chosen)
    check_reach(thickest, energies, chosen)
    if noise is not None and not (math.isfinite(noise) and 0 <= noise <= LARGEST_NOISE):
        raise PorescopeError(
            f"The noise is a share of the signal from 0 to {LARGEST_NOISE}, such as 0.02, not "
            f"{noise}."
        )
    if noise is None and len(energies) < len(thickest) + 2:
        noise = noise_between(images)
        if noise is None:
            raise PorescopeError(
                f"{counted(len(energies), 'image')} so small cannot tell the noise; give it, as a "
                "share of the signal such as 0.02."
            )
    task = Task(images, energies, chosen, thickest, noise)
    taken = method_taken(method, task)
    return replace(find_method(taken)(task, progress, cancel), method=taken)


def method_taken(name: str, task: Task) -> str:
    """Return the name of the method that the default stands for, or the name itself."""
    if name != "default":
        return name
    fitting = len(task.beam_kv) >= FEWEST_ENERGIES and len(task.thickest_nm) == 2
    return "network" if fitting else "neighbours"


def find_method(name: str) -> Method:
    """Return a method by its name, or that of a file of weights.

    Raises
    ------
    PorescopeError
        If there is none.
    """
    known = methods()
    method = known.get(name) or from_weights(name)
    if method is None:
        raise PorescopeError(
            f"There is no method {name!r}; take one of default, {', '.join(known)}, or a file of "
            "weights."
        )
    return method


def rising(
    signals: NDArray[Any], beam_kv: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return a series in the order of its energies, with a warning where it was not."""
    if (np.diff(beam_kv) > 0).all():
        return signals, beam_kv
    warnings.warn(
        "The images were not in order of beam energy and were sorted, from "
        f"{beam_kv.min():g} to {beam_kv.max():g} keV.",
        PorescopeWarning,
        stacklevel=3,
    )
    order = np.argsort(beam_kv)
    return signals[order], beam_kv[order]


def check_contrast(model: Model, beam_kv: NDArray[np.float64]) -> None:
    """Refuse a layer on another, or on the substrate, that sends back the same signal.

    Raises
    ------
    PorescopeError
        With the two.
    """
    for below, above in pairwise((model.substrate, *model.materials)):
        if np.ptp([bulk_signal(each, beam_kv) for each in (below, above)], axis=0).max() < (
            LEAST_CONTRAST
        ):
            raise PorescopeError(
                f"{above.name} on {below.name} cannot be seen, as both send back the same "
                "share of electrons; leave such a layer out, or take the two for one."
            )


def checked_thickest(thickest_nm: Sequence[float], model: Model) -> NDArray[np.float64]:
    """Return the greatest thickness of each layer as an array.

    Raises
    ------
    PorescopeError
        If it is not one for each layer, or makes no sense.
    """
    thickest = np.asarray(thickest_nm, np.float64)
    layers = len(model.materials)
    if thickest.shape != (layers,) or not (np.isfinite(thickest) & (thickest > 0)).all():
        listed = ", ".join(f"{each:g}" for each in thickest.flat) or "nothing"
        raise PorescopeError(
            "Give the greatest thickness in nm (thickest_nm), above 0, of "
            f"{'the one layer' if layers == 1 else f'each of the {layers} layers'}, not {listed}."
        )
    if thickest.max() > THICKEST_OF_ALL_NM:
        raise PorescopeError(
            f"A layer of {thickest.max():g} nm is thicker than the beam can see through; give a "
            f"greatest thickness (thickest_nm) of at most {THICKEST_OF_ALL_NM:g} nm."
        )
    return thickest


def share_far(misfit: NDArray[np.float64], energies: int) -> float:
    """Return the share of pixels whose misfit is far above what chance makes of so many energies.

    After Wilson and Hilferty's cube root, which is about normally distributed.
    """
    spread = 2 / (9 * energies)
    return float(np.mean(misfit > (1 - spread + FAR * spread**0.5) ** 3))


def counted(count: int, what: str) -> str:
    """Return a count with its noun in the right number."""
    if count == 1:
        return f"1 {what}"
    return f"{count} {what.removesuffix('y')}{'ies' if what.endswith('y') else 's'}"


def checked_signals(signals: ArrayLike, beam_kv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a series as float64.

    Raises
    ------
    PorescopeError
        If it is not one image an energy, an energy is there twice, or a value is no signal.
    """
    images = np.asarray(signals)
    if images.ndim != 3 or images.dtype.kind not in "buif" or 0 in images.shape:
        raise PorescopeError(
            f"A series is images (energies, y, x), not {images.dtype} of shape {images.shape}."
        )
    if len(images) != len(beam_kv):
        raise PorescopeError(
            f"The series has {counted(len(images), 'image')} but "
            f"{counted(len(beam_kv), 'beam energy')}; give one for each."
        )
    values, counts = np.unique(beam_kv, return_counts=True)
    if (counts > 1).any():
        raise PorescopeError(
            f"The energy {values[counts > 1][0]:g} keV is there twice; keep one image of each."
        )
    images = images.astype(np.float64)
    for image, energy in zip(images, beam_kv, strict=True):
        if not np.isfinite(image).all():
            raise PorescopeError(
                f"The image at {energy:g} keV holds values that are not numbers; mend it first."
            )
        if not image.min() > 0:
            y, x = np.unravel_index(image.argmin(), image.shape)
            raise PorescopeError(
                f"The image at {energy:g} keV is {image.min():.4g} at pixel ({y}, {x}), but a "
                "signal must be above 0; take off no more than the detector's dark level."
            )
    return images
