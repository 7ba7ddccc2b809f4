"""The methods that need nothing but the forward model."""

from __future__ import annotations

import numpy as np

from porescope.layers.neighbours import RIDGE, fit_neighbours
from porescope.layers.noise import believed
from porescope.layers.task import Inversion, Task
from porescope.layers.tikhonov import (
    SMALLEST_NOISE,
    Fit,
    Problem,
    choose_strength,
    fit,
    tables,
)
from porescope.tracking import Cancel, Progress

UNKNOWN_NOISE = 0.02
"""To begin with, where the noise is still to be estimated."""


def by_tikhonov(task: Task, progress: Progress, cancel: Cancel) -> Inversion:
    """Fit each pixel by itself; the regularisation by discrepancy, or without noise by L-curve."""
    problem = _problem(task, UNKNOWN_NOISE if task.noise is None else task.noise)
    starts = tables(problem)
    strength = choose_strength(problem, starts, task.noise is not None)
    found = fit(problem, starts, strength, progress, cancel)
    if task.noise is None:
        # Weighed against the noise that is left, the strength is another for the same thickness.
        noise = believed(_noise_left(problem, found), task.signals)
        strength *= (problem.noise / noise) ** 2
        problem = _problem(task, noise)
        found = problem.at(found.thickness_nm)
    return _inversion(task, problem, found, strength)


def by_neighbours(task: Task, progress: Progress, cancel: Cancel) -> Inversion:
    """Fit all pixels together."""
    noise = task.noise
    if noise is None:
        problem = _problem(task, UNKNOWN_NOISE)
        few = problem.of(slice(None, None, max(1, problem.logs.shape[1] // 4096)))
        left = _noise_left(few, fit(few, tables(few), 0.0, cancel=cancel))
        noise = believed(left, task.signals)
    problem = _problem(task, noise)
    found = fit_neighbours(problem, task.signals.shape[1:], progress, cancel)
    return _inversion(task, problem, found, RIDGE)


def _problem(task: Task, noise: float) -> Problem:
    logs = np.log(task.signals.reshape(len(task.beam_kv), -1))
    return Problem(task.model, task.beam_kv, task.thickest_nm, logs, max(noise, SMALLEST_NOISE))


def _noise_left(problem: Problem, found: Fit) -> float:
    """Return the noise that explains what the fit does not; of pixels, half are better."""
    left = max(len(problem.beam_kv) - len(problem.thickest_nm), 1)
    return max(problem.noise * float(np.sqrt(np.median(found.misfit) / left)), SMALLEST_NOISE)


def _inversion(task: Task, problem: Problem, found: Fit, strength: float) -> Inversion:
    image = task.signals.shape[1:]
    pull = np.diag(strength / problem.thickest_nm**2)
    covariance = np.linalg.inv(np.moveaxis(found.information, -1, 0) + pull)
    spread = np.sqrt(np.einsum("pll->lp", covariance))
    return Inversion(
        found.thickness_nm.reshape(-1, *image),
        spread.reshape(-1, *image),
        (found.misfit / len(task.beam_kv)).reshape(image),
        problem.noise,
        {"strength": strength},
    )
