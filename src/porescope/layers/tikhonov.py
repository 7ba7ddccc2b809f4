"""Thickness of layers pixel by pixel: regularised least squares on the forward model.

A signal's noise is a share of the signal, so logarithms of signals are compared, whose noise is
the same everywhere. A pixel minimises |log S(d) - log s|^2 / noise^2 + strength |d / thickest|^2,
with 0 <= d <= thickest, from the best of a table that covers all thicknesses, by Gauss and
Newton's steps with Levenberg's damping.

References
----------
A. N. Tikhonov, V. Y. Arsenin, Solutions of Ill-Posed Problems (1977); V. A. Morozov, Soviet Math.
Dokl. 7 (1966) 414 (discrepancy); P. C. Hansen, SIAM Review 34 (1992) 561 (L-curve).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.layers.forward import Model
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Array = NDArray[np.float64]
Absent = tuple[bool, ...]

TABLE_SIZE = 20_000
MOST_PER_LAYER = 76
BLOCK = 8192
STEPS = 25
SMALLEST_NOISE = 1e-4
"""A tenth of a grey level of an image of 10 bits: nothing is known better."""
STRENGTHS = np.logspace(-4, 3, 15)
SEARCH_PIXELS = 2048
EXCESS = 0.003
"""By which share of its expectation the misfit may grow for the sake of smaller thicknesses."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Signals of pixels to be explained by layers.

    Attributes
    ----------
    model : Model
    beam_kv : array of shape (energies,)
    thickest_nm : array of shape (layers,)
        No layer is thicker.
    logs : array of shape (energies, pixels)
        Logarithms of the signals.
    noise : float
        Standard deviation of a signal as a share of it.
    """

    model: Model
    beam_kv: Array
    thickest_nm: Array
    logs: Array
    noise: float

    def at(self, thickness_nm: Array) -> Fit:
        """Return how well a thickness (layers, pixels) explains the signals."""
        signals, slopes = self.model.evaluate(thickness_nm[:, np.newaxis], self.beam_kv, True)
        residual = (self.logs - np.log(signals[:, 0])) / self.noise
        slopes = slopes[:, :, 0] / (signals[:, 0] * self.noise)
        return Fit(
            thickness_nm,
            np.einsum("ep,ep->p", residual, residual),
            np.einsum("lep,mep->lmp", slopes, slopes),
            np.einsum("lep,ep->lp", slopes, residual),
        )

    def of(self, pixels: Any) -> Problem:
        """Return the same problem for some of the pixels."""
        return Problem(self.model, self.beam_kv, self.thickest_nm, self.logs[:, pixels], self.noise)


@dataclass(frozen=True, eq=False)
class Fit:
    """What explains the signals best.

    Attributes
    ----------
    thickness_nm : array of shape (layers, pixels)
    misfit : array of shape (pixels,)
        Sum over energies of squared residuals, each divided by the noise.
    information : array of shape (layers, layers, pixels)
        What the signals tell, the inverse of the covariance, in 1/nm2.
    downhill : array of shape (layers, pixels)
        Half the negative slope of the misfit, in 1/nm.
    """

    thickness_nm: Array
    misfit: Array
    information: Array
    downhill: Array

    @classmethod
    def joined(cls, fits: Sequence[Fit]) -> Fit:
        """Return the fit of the pixels of all, one after another."""
        return cls(
            *(
                np.concatenate([getattr(one, each.name) for one in fits], axis=-1)
                for each in fields(cls)
            )
        )

    @classmethod
    def chosen(cls, which: NDArray[np.intp], fits: Sequence[Fit]) -> Fit:
        """Return for each pixel the fit of its number."""
        return cls(
            *(np.choose(which, [getattr(one, each.name) for one in fits]) for each in fields(cls))
        )


class Table:
    """Signals of all thicknesses on a grid, to start from.

    Parameters
    ----------
    problem : Problem
    absent : tuple of bool
        Which layers are absent.
    """

    def __init__(self, problem: Problem, absent: Absent) -> None:
        count = int(TABLE_SIZE ** (1 / max(len(absent) - sum(absent), 1)))
        count = min(count, MOST_PER_LAYER)
        axes = []
        for gone, jumps, most in zip(absent, problem.model.jumps, problem.thickest_nm, strict=True):
            axis = np.linspace(0, most, count)
            axes.append(axis[:1] if gone else axis[1:] if jumps else axis)
        self.thickness_nm = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
        signals, _ = problem.model.evaluate(self.thickness_nm[:, np.newaxis], problem.beam_kv)
        logs = np.log(signals[:, 0])
        self._mean = logs.mean(axis=1, keepdims=True)
        directions, sizes, _ = np.linalg.svd(logs - self._mean, full_matrices=False)
        self._directions = directions[:, sizes > 1e-4 * sizes[0]]
        self._logs = self._directions.T @ (logs - self._mean)

    def nearest(self, problem: Problem, strength: float) -> Array:
        """Return what is best in the table for each pixel, (layers, pixels)."""
        from scipy.spatial import cKDTree

        weight = np.sqrt(strength) / problem.thickest_nm[:, np.newaxis]
        points = np.concatenate([self._logs / problem.noise, self.thickness_nm * weight])
        asked = self._directions.T @ (problem.logs - self._mean) / problem.noise
        asked = np.concatenate([asked, np.zeros((len(weight), asked.shape[1]))])
        found: Array = self.thickness_nm[:, cKDTree(points.T).query(asked.T)[1]]
        return found


def tables(problem: Problem) -> list[tuple[Absent, Table]]:
    """Return a table for each choice of absent layers between which the signal jumps."""
    choices = product(*[(False, True) if jumps else (False,) for jumps in problem.model.jumps])
    return [(absent, Table(problem, absent)) for absent in choices]


def descend(problem: Problem, start_nm: Array, absent: Absent, strength: float) -> Fit:
    """Go down to the minimum from a start, all pixels at once.

    Parameters
    ----------
    problem : Problem
    start_nm : array of shape (layers, pixels)
    absent : tuple of bool
        Layers that stay 0.
    strength : float
        Of the regularisation.

    Returns
    -------
    Fit
    """
    most = problem.thickest_nm[:, np.newaxis]
    # On this side of a jump a layer cannot be nothing.
    least = most * 1e-6 * np.array(problem.model.jumps)[:, np.newaxis]
    gone = np.array(absent)[:, np.newaxis]
    least, most = (
        np.broadcast_to(np.where(gone, 0, limit), start_nm.shape) for limit in (least, most)
    )
    pull = np.diag(strength / problem.thickest_nm**2)

    trial = np.clip(start_nm, least, most)
    best = problem.at(trial)
    count = trial.shape[1]
    cost = best.misfit + np.einsum("lp,lm,mp->p", trial, pull, trial)
    damping = np.full(count, 1e-3)
    active = np.arange(count)
    for _ in range(STEPS):
        here = best.thickness_nm[:, active]
        downhill = best.downhill[:, active] - pull @ here
        step = _step(
            best.information[..., active] + pull[..., np.newaxis],
            downhill,
            damping[active],
            ((here <= least[:, active]) & (downhill < 0))
            | ((here >= most[:, active]) & (downhill > 0)),
        )
        tried = problem.of(active).at(np.clip(here + step, least[:, active], most[:, active]))
        trial = tried.thickness_nm
        costs = tried.misfit + np.einsum("lp,lm,mp->p", trial, pull, trial)
        gain = cost[active] - costs
        better = gain > 0
        for each in fields(Fit):
            getattr(best, each.name)[..., active[better]] = getattr(tried, each.name)[..., better]
        cost[active[better]] = costs[better]
        damping[active] *= np.where(better, 0.1, 10.0)
        # Who got worse tries a shorter step; who gained next to nothing is there.
        active = active[np.where(better, gain > 1e-4 * (1 + costs), damping[active] < 1e4)]
        if not active.size:
            break
    return best


def _step(curvature: Array, downhill: Array, damping: Array, held: NDArray[np.bool_]) -> Array:
    """Solve for a damped step (layers, pixels) of what is not held."""
    free = np.moveaxis(~held, 0, -1)
    matrix = np.moveaxis(curvature, -1, 0) * free[:, np.newaxis] * free[..., np.newaxis]
    diagonal = np.einsum("pll->pl", matrix)
    diagonal += damping[:, np.newaxis] * diagonal + ~free + 1e-12
    solved = np.linalg.solve(matrix, (downhill.T * free)[..., np.newaxis])
    return np.asarray(solved[..., 0].T, np.float64)


def fit(
    problem: Problem,
    starts: list[tuple[Absent, Table]],
    strength: float,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Fit:
    """Fit all pixels, block by block, from the best in each table."""
    fits = []
    for first in track(range(0, problem.logs.shape[1], BLOCK), progress, cancel):
        part = problem.of(slice(first, first + BLOCK))
        fits.append(
            _better(
                [
                    descend(part, table.nearest(part, strength), absent, strength)
                    for absent, table in starts
                ],
                strength / problem.thickest_nm**2,
            )
        )
    return Fit.joined(fits)


def _better(fits: list[Fit], pull: Array) -> Fit:
    """Return for each pixel the fit of the least cost."""
    costs = [one.misfit + pull @ one.thickness_nm**2 for one in fits]
    return Fit.chosen(np.argmin(costs, axis=0), fits)


def choose_strength(
    problem: Problem, starts: list[tuple[Absent, Table]], noise_known: bool
) -> float:
    """Return how strongly to regularise, from some of the pixels.

    With the noise known, by discrepancy: the most at which the misfit is not above what noise
    leaves of it, given how many unknowns the regularisation leaves free. Otherwise by the L-curve:
    where misfit and thickness, in logarithms, turn most sharply.
    """
    count = problem.logs.shape[1]
    some = np.unique(np.linspace(0, count - 1, min(count, SEARCH_PIXELS)).astype(int))
    part = problem.of(some)
    misfits, sizes, expected = [], [], []
    for strength in STRENGTHS:
        found = fit(part, starts, strength)
        pull = np.diag(strength / problem.thickest_nm**2)
        information = np.moveaxis(found.information, -1, 0)
        free = np.trace(np.linalg.solve(information + pull, information), axis1=1, axis2=2)
        misfits.append(found.misfit.mean())
        sizes.append(((found.thickness_nm / problem.thickest_nm[:, np.newaxis]) ** 2).sum(0).mean())
        expected.append(len(problem.beam_kv) - free.mean())
    if noise_known:
        # What the model cannot explain at all is no reason to regularise less.
        excess = np.array(misfits) / np.array(expected)
        allowed = max(excess[0], 1.0) * (1 + EXCESS)
        return float(STRENGTHS[np.flatnonzero(excess <= allowed)[-1]])
    x, y = np.log(np.array(misfits)), np.log(np.array(sizes) + 1e-12)
    dx, dy = np.gradient(x), np.gradient(y)
    curvature = (dx * np.gradient(dy) - dy * np.gradient(dx)) / (dx**2 + dy**2 + 1e-12) ** 1.5
    return float(STRENGTHS[1:-1][np.argmax(curvature[1:-1])])
