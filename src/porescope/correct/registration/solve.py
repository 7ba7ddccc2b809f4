"""Where all images lie, from how far they lie apart in pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 30
# Pairs further off than this many times what is usual count for little.
USUAL = 3.0
# No pair is surer than this, however little noise there is: windows and resampling spoil it.
SUREST_PX = 0.05
# Holds what no pair tells to where its neighbours are, and changes nothing else.
FAINT = 1e-6


@dataclass(eq=False)
class Pairs:
    """What was measured between pairs of images.

    Parameters
    ----------
    parameters : int
        Numbers that describe the place of an image: two of a translation, more with a linear part.
    first, second : list of int
        The images.
    values : list of arrays of shape (parameters,)
        What to add to the place of the second, less what to add to that of the first.
    information : list of arrays of shape (parameters, parameters)
        Inverse covariance of each, up to a common factor; zero where nothing was found.
    """

    parameters: int
    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    information: list[NDArray[np.float64]] = field(default_factory=list)

    def add(
        self,
        first: int,
        second: int,
        values: NDArray[np.float64],
        information: NDArray[np.float64],
    ) -> None:
        """Put down one pair."""
        self.first.append(first)
        self.second.append(second)
        self.values.append(values)
        self.information.append(information)


@dataclass(frozen=True, eq=False)
class Solution:
    """What fits all pairs together.

    Parameters
    ----------
    places : array of shape (images, parameters)
        What to add to the place of each image.
    weights : array of shape (pairs,)
        From 0 to 1, how far each pair agrees.
    """

    places: NDArray[np.float64]
    weights: NDArray[np.float64]


def solve(images: int, pairs: Pairs) -> Solution:
    """Fit the places of all images to all pairs by weighted least squares, robustly.

    Residuals are weighted as absolute values first, which finds what most pairs agree on, and then
    such that a pair that contradicts the others has next to no say.

    References
    ----------
    Geman, McClure, Bull. Int. Stat. Inst. 52 (1987) 5 (the weights).
    """
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    count, size = len(pairs.first), pairs.parameters
    first, second = np.array(pairs.first), np.array(pairs.second)
    values = np.array(pairs.values).reshape(count, size)
    roots = _roots(np.array(pairs.information).reshape(count, size, size))
    # Row e, parameter i of the design: roots[e, i] times the difference of two places.
    block = np.arange(count * size).reshape(count, size, 1)
    rows = np.broadcast_to(block, (count, size, size)).ravel()
    columns = [
        np.broadcast_to(size * image[:, np.newaxis, np.newaxis] + np.arange(size), roots.shape)
        for image in (second, first)
    ]
    design = sparse.csr_matrix(
        (
            np.concatenate([roots.ravel(), -roots.ravel()]),
            (np.tile(rows, 2), np.concatenate([part.ravel() for part in columns])),
        ),
        (count * size, images * size),
    )
    wanted = np.einsum("eij,ej->ei", roots, values).ravel()
    measured = np.abs(roots).sum(axis=(1, 2)) > 0
    diagonal = (design.T @ design).diagonal()
    faint = FAINT * (diagonal.mean() or 1.0) * sparse.identity(images * size)
    places = np.zeros(images * size)
    weights = measured.astype(np.float64)
    surest = SUREST_PX * np.sqrt((roots**2).sum(axis=(1, 2)) / size) + 1e-30
    for iteration in range(ITERATIONS):
        weigh = sparse.diags(np.repeat(weights, size))
        places = spsolve((design.T @ weigh @ design + faint).tocsc(), design.T @ weigh @ wanted)
        off = np.linalg.norm((design @ places - wanted).reshape(count, size), axis=1)
        usual = float(np.median(off[measured])) if measured.any() else 0.0
        # Of two normal components, the median length is 0.83 of their root mean square.
        scale = np.maximum(usual / 0.83 * np.sqrt(size / 2), surest)
        if iteration < ITERATIONS // 3:
            weights = measured / np.maximum(off / scale, 1)
        else:
            weights = measured / (1 + (off / (USUAL * scale)) ** 2) ** 2
    return Solution(places.reshape(images, size), weights)


def _roots(information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R with R.T @ R the information, of matrices that may be singular."""
    values, vectors = np.linalg.eigh(information)
    roots: NDArray[np.float64] = np.sqrt(values.clip(min=0))[:, :, np.newaxis] * vectors.swapaxes(
        1, 2
    )
    return roots
