"""What a method that finds layers is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from porescope.layers.forward import Model
from porescope.tracking import Cancel, Progress


@dataclass(frozen=True, eq=False)
class Inversion:
    """What a method found.

    Attributes
    ----------
    thickness_nm : array of shape (layers, y, x), float64
        The lowest layer first.
    uncertainty_nm : array of shape (layers, y, x), float64
        Standard error of each pixel by itself, from noise alone.
    misfit : array of shape (y, x), float64
        Mean square over energies of the deviation from the series, in units of the noise: about 1
        where the model holds, much more where it does not.
    noise : float
        The noise that was reckoned with, as a share of the signal.
    notes : mapping
        What the method decided, such as the strength of its regularisation.
    method : str
        Which found it.
    """

    thickness_nm: NDArray[np.float64]
    uncertainty_nm: NDArray[np.float64]
    misfit: NDArray[np.float64]
    noise: float
    notes: dict[str, float] = field(default_factory=dict)
    method: str = ""


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is given: checked, and the same for all.

    Attributes
    ----------
    signals : array of shape (energies, y, x), float64
        Above 0, in units of the model.
    beam_kv : array of shape (energies,), float64
    model : Model
    thickest_nm : array of shape (layers,), float64
    noise : float or None
        Standard deviation as a share of the signal, if known.
    """

    signals: NDArray[np.float64]
    beam_kv: NDArray[np.float64]
    model: Model
    thickest_nm: NDArray[np.float64]
    noise: float | None


Method = Callable[[Task, Progress, Cancel], Inversion]
