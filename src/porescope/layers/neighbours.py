"""Thickness of layers where neighbouring pixels have their say.

What each pixel tells is a quadratic around its own fit; to it comes the total variation of each
layer, weighted edge by edge: where a step is left, it costs less in the next round, so flat layers
become flat and their steps are not rounded. Where the signal jumps when a layer begins, whether
it is there is decided first, as the labelling of least energy with short borders.

References
----------
L. Rudin, S. Osher, E. Fatemi, Physica D 60 (1992) 259 (total variation); A. Chambolle, T. Pock,
J. Math. Imaging Vis. 40 (2011) 120 (its minimum); T. Chan, S. Esedoglu, M. Nikolova, SIAM J. Appl.
Math. 66 (2006) 1632 (labels); E. Candes, M. Wakin, S. Boyd, J. Fourier Anal. Appl. 14 (2008) 877
(weights that follow).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from porescope.layers.tikhonov import Fit, Problem, fit, tables
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Array = NDArray[np.float64]

START = 10.0
"""Strength of the regularisation of the fits to start from."""
CALM = 5
"""Edge in pixels of the window in which their median is taken."""
RIDGE = 1.0
"""Strength of the regularisation that stays."""
STRENGTH = 2.0
"""Weight of the variation between pixels in units of what each is unsure of; of 1 and 2 the better
on samples of the set for validation."""
ROUNDS = 3
ITERATIONS = 200
SMALLEST_STEP = 0.03
"""Share of the greatest thickness; smaller steps between pixels are taken for noise."""
BORDER = 2.0
"""Cost of a pixel's length of border between what has a layer and what has not, in halves of
squared deviations."""
MOST_EVIDENCE = 50.0
OBJECTION = 25.0
"""Squared deviations by which a pixel is believed rather than its neighbours: 5 standard errors."""


def gradient(image: Array) -> tuple[Array, Array]:
    """Return differences to the next pixel along y and x, 0 at the last."""
    y, x = np.zeros_like(image), np.zeros_like(image)
    np.subtract(image[..., 1:, :], image[..., :-1, :], out=y[..., :-1, :])
    np.subtract(image[..., 1:], image[..., :-1], out=x[..., :-1])
    return y, x


def divergence(y: Array, x: Array) -> Array:
    """Return the negative adjoint of :func:`gradient`."""
    total = np.zeros_like(y)
    total[..., :-1, :] += y[..., :-1, :]
    total[..., 1:, :] -= y[..., :-1, :]
    total[..., :-1] += x[..., :-1]
    total[..., 1:] -= x[..., :-1]
    return total


def smooth(
    curvature: Array,
    pull: Array,
    weights: Array,
    most: Array,
    start: Array,
    iterations: int = ITERATIONS,
) -> Array:
    """Minimise x H x / 2 - b x + the weighted total variation of x, with 0 <= x <= most.

    Parameters
    ----------
    curvature : array of shape (layers, layers, y, x)
        H, positive semi-definite in each pixel.
    pull : array of shape (layers, y, x)
        b.
    weights : array of shape (layers, y, x)
        Of the variation at each pixel, above 0.
    most : array of shape (layers, y, x)
    start : array of shape (layers, y, x)
    iterations : int, optional

    Returns
    -------
    array of shape (layers, y, x)
    """
    x = leading = start
    dual_y, dual_x = np.zeros_like(x), np.zeros_like(x)
    step = 0.3 / float(np.median(weights))
    dual_step = 1 / (8 * step)
    moved = np.moveaxis(curvature, (0, 1), (-2, -1)) + np.eye(len(x)) / step
    inverse = np.moveaxis(np.linalg.inv(moved), (-2, -1), (0, 1)).copy()
    for _ in range(iterations):
        along_y, along_x = gradient(leading)
        dual_y, dual_x = dual_y + dual_step * along_y, dual_x + dual_step * along_x
        shrink = np.maximum(np.sqrt(dual_y**2 + dual_x**2) / weights, 1)
        dual_y, dual_x = dual_y / shrink, dual_x / shrink
        before = x
        right = x / step + divergence(dual_y, dual_x) + pull
        x = np.clip(np.einsum("lmyx,myx->lyx", inverse, right), 0, most)
        leading = 2 * x - before
    return x


def fit_neighbours(
    problem: Problem,
    shape: tuple[int, int],
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Fit:
    """Fit all pixels of an image together.

    Parameters
    ----------
    problem : Problem
        With as many pixels as the image has, row by row.
    shape : tuple of two ints
        Number of pixels (y, x).
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    Fit
    """
    from scipy.ndimage import median_filter

    starts = tables(problem)
    chosen: Fit | None = None
    gone = np.zeros((len(problem.thickest_nm), problem.logs.shape[1]), bool)
    for absent, table in track(starts, progress, cancel):
        alone = np.broadcast_to(np.array(absent)[:, np.newaxis], gone.shape)
        found = fit(problem, [(absent, table)], START)
        # Noise alone makes layers, which would be trusted more the thicker it makes them.
        calm = median_filter(found.thickness_nm.reshape(-1, *shape), (1, CALM, CALM))
        calm = problem.at(calm.reshape(found.thickness_nm.shape))
        found = _smoothed(problem, _unless_objected(calm, found), alone, shape)
        if chosen is None:
            chosen, gone = found, alone
            continue
        here = _more_likely(found.misfit - chosen.misfit, shape)
        gone = np.where(here, alone, gone)
        chosen = Fit.chosen(here.astype(int), [chosen, found])
    assert chosen is not None
    return chosen if len(starts) == 1 else _smoothed(problem, chosen, gone, shape)


def _more_likely(excess: Array, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where one explanation is better than another whose misfit is less by ``excess``."""
    evidence = np.clip(excess / 2, -MOST_EVIDENCE, MOST_EVIDENCE).reshape(1, *shape)
    ones = np.ones_like(evidence)
    share = smooth(0 * ones[np.newaxis], -evidence, BORDER * ones, ones, (evidence < 0) * ones)
    return share.ravel() > 0.5


def _smoothed(problem: Problem, alone: Fit, gone: NDArray[np.bool_], shape: tuple[int, int]) -> Fit:
    """Return the fit with neighbours, from that of pixels alone."""
    count = len(problem.thickest_nm)
    image = (count, *shape)
    unit = problem.thickest_nm[:, np.newaxis]
    most = np.where(gone, 0.0, 1.0).reshape(image)
    least = np.where(gone, 0.0, 1e-6 * unit * np.array(problem.model.jumps)[:, np.newaxis])
    now = alone
    x = (alone.thickness_nm / unit).reshape(image)
    weights = np.ones(image)
    for _ in range(ROUNDS):
        # Around where it has come to, each pixel tells a quadratic.
        curvature = now.information * unit[:, np.newaxis] * unit
        pull = np.einsum("lmp,mp->lp", curvature, now.thickness_nm / unit) + now.downhill * unit
        curvature = curvature + RIDGE * np.eye(count)[..., np.newaxis]
        spread = np.linalg.inv(np.moveaxis(curvature, -1, 0))
        sure = 1 / np.sqrt(np.einsum("pll->lp", spread)).reshape(image)
        x = smooth(
            curvature.reshape(count, *image),
            pull.reshape(image),
            STRENGTH * sure * weights,
            most,
            x,
        )
        weights = 1 / (1 + np.hypot(*gradient(x)) / SMALLEST_STEP)
        now = problem.at(np.maximum(x.reshape(count, -1) * unit, least))
        now = _unless_objected(now, alone)
    return now


def _unless_objected(smooth: Fit, alone: Fit) -> Fit:
    """Return the first, but the second where the pixel's own signals speak against the first."""
    objected = smooth.misfit > alone.misfit + OBJECTION
    return Fit.chosen(objected.astype(int), [smooth, alone])
