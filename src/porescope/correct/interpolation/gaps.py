"""Runs of missing planes, and the known planes around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Gap:
    """Missing planes that follow each other.

    Parameters
    ----------
    missing : int array of shape (missing,)
        Numbers of the planes.
    sources : int array of shape (sources,)
        Numbers of the known planes that fill them, in order.
    before : int
        How many of the sources lie before the gap.
    """

    missing: NDArray[np.intp]
    sources: NDArray[np.intp]
    before: int

    @property
    def between(self) -> bool:
        """Whether there are known planes on both sides."""
        return 0 < self.before < len(self.sources)


def gaps(known: NDArray[np.bool_], reach: int) -> Iterator[Gap]:
    """Yield all gaps in order.

    Parameters
    ----------
    known : bool array of shape (z,)
        Which planes are known; one at least.
    reach : int
        How many known planes on each side are sources, where there are so many; outside all known
        planes it is only the nearest one.
    """
    places, missing = np.flatnonzero(known), np.flatnonzero(~known)
    for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
        if not run.size:
            continue
        after = int(np.searchsorted(places, run[0]))
        if 0 < after < len(places):
            first = max(0, after - reach)
            yield Gap(run, places[first : after + reach], after - first)
        else:
            yield Gap(run, places[[min(after, len(places) - 1)]], min(after, 1))
