"""How much longer the way through a phase is than straight through the volume."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.measure.parts import UNCERTAINTY, check_labels, halves
from porescope.stack import checked_spacing_nm
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

AXES = "zyx"
MOST_VOXELS = 1 << 28
"""The solver keeps some 30 bytes a voxel in memory."""


def tortuosity(
    labels: Any,
    spacing_nm: Sequence[float],
    *,
    phase: int | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, float]:
    """Return tortuosity factor and effective diffusivity of a phase along each axis.

    Steady diffusion through the phase, between two opposite faces of the volume and with no flux
    through the others, as TauFactor solves it.

    Parameters
    ----------
    labels : array of bool or whole numbers, shape (z, y, x)
        Numpy or dask array; the whole volume is worked on in memory.
    spacing_nm : sequence of three floats
        Voxel size (z, y, x).
    phase : int, optional
        Which label; by default all that is not 0.

    Returns
    -------
    dict
        ``diffusivity_z``, ``_y``, ``_x``: effective diffusivity in units of that in the free
        phase, 0 where nothing leads through; ``tortuosity_z``, ``_y``, ``_x``: volume fraction by
        that, and NaN there; for each the same with ``_uncertainty``: the standard deviation of the
        eight parts of the volume (see :mod:`porescope.measure.parts`), each solved by itself, by
        the root of their number. NaN too where an axis has fewer than two voxels or the solver did
        not settle.

    Raises
    ------
    PorescopeError
        If TauFactor is not installed, or the volume is too large for the memory.

    References
    ----------
    S. Kench, I. Squires, S. J. Cooper, J. Open Source Softw. 8 (2023) 5358,
    doi:10.21105/joss.05358.
    """
    check_labels(labels)
    spacing_nm = checked_spacing_nm(spacing_nm)
    if math.prod(labels.shape) > MOST_VOXELS:
        raise PorescopeError(
            f"Tortuosity is worked out in memory, and {tuple(labels.shape)} voxels are too many; "
            "crop the volume or bin it."
        )
    solver = _solver()
    data = np.asarray(labels)
    inside = data != 0 if phase is None else data == phase
    parts = list(itertools.product(*(halves(size) for size in inside.shape)))
    volumes = [inside, *(inside[part] for part in parts)]
    solved = [
        _diffusivity(solver, volume, spacing_nm, axis)
        for axis, volume in track(list(itertools.product(range(3), volumes)), progress, cancel)
    ]
    result: dict[str, float] = {}
    for name, (whole, *of_parts) in zip(
        AXES, np.reshape(solved, (3, len(volumes), 2)), strict=True
    ):
        for kind, value, others in zip(
            ("diffusivity", "tortuosity"), whole, np.transpose(of_parts), strict=True
        ):
            spread = float(np.std(others, ddof=1) / math.sqrt(len(others)))
            result[f"{kind}_{name}"] = float(value)
            result[f"{kind}_{name}{UNCERTAINTY}"] = spread
    return result


def _solver() -> Any:
    try:
        with redirect_stdout(io.StringIO()):
            import taufactor
    except ImportError as error:
        raise PorescopeError(
            "Tortuosity needs TauFactor; install it with pip install napari-porescope[tortuosity]."
        ) from error

    class Solver(taufactor.AnisotropicSolver):  # type: ignore[misc]
        """TauFactor's, but with the flux through all that conducts.

        TauFactor 1.2 takes voxels for solid whose conductances sum up to more than 8, which is
        where voxels are longer along the flow than across.
        """

        def vertical_flux(self) -> Any:
            """Return the flux from each voxel to the next along the flow."""
            conducts = self.factor.isfinite()
            steps = self.field[:, 2:-1, 1:-1, 1:-1] - self.field[:, 1:-2, 1:-1, 1:-1]
            return steps * (conducts[:, :-1] & conducts[:, 1:])

    return Solver


def _diffusivity(
    solver: Any, inside: NDArray[np.bool_], spacing_nm: Sequence[float], axis: int
) -> tuple[float, float]:
    """Return effective diffusivity and tortuosity factor along one axis."""
    import torch

    if 0 in inside.shape or inside.shape[axis] < 2:
        return math.nan, math.nan
    if not _leads_through(inside, axis):
        return 0.0, math.nan
    order = [axis, *(other for other in range(3) if other != axis)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    along = np.ascontiguousarray(inside.transpose(order)).astype(np.uint8)
    with redirect_stdout(io.StringIO()):  # it prints
        problem = solver(along, tuple(spacing_nm[other] for other in order), device=device)
        factor = problem.solve(verbose=False)
    if not problem.converged:
        return math.nan, math.nan
    return float(inside.mean()) / float(factor[0]), float(factor[0])


def _leads_through(inside: NDArray[np.bool_], axis: int) -> bool:
    from porescope.measure.connectivity import percolation

    return percolation(inside)[f"percolating_{AXES[axis]}"] > 0
