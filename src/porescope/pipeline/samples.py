"""What a kind of sample is: a name, one model of parameters and a function that draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.geometry import Primitives, voxelize
from porescope.geometry.blocks import Sample as SlabbedSample
from porescope.geometry.blocks import checked_shape
from porescope.pipeline.step import Parameters, find, parse_parameters, summary_of
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress


@dataclass(frozen=True)
class SampleKind:
    """A kind of sample as registered.

    Parameters
    ----------
    name : str
        As on the command line.
    summary : str
        What it is, in one sentence.
    parameters : type of Parameters
        Its model.
    function : callable(parameters, progress, cancel)
        Draws it: Primitives, or a Stack of labels that are drawn when they are needed.
    has_primitives : bool
        Whether it is made of primitives.
    """

    name: str
    summary: str
    parameters: type[Parameters]
    function: Callable[[Any, Progress, Cancel], Primitives | Stack]
    has_primitives: bool

    def parse(self, values: Mapping[str, Any]) -> Parameters:
        """Return checked parameters.

        Raises
        ------
        PorescopeError
            Naming the first parameter that is missing, unknown or out of bounds.
        """
        return parse_parameters(f"Sample {self.name}", self.parameters, values)


_REGISTERED: dict[str, SampleKind] = {}
Function = TypeVar("Function", bound=Callable[..., Primitives | Stack])


def sample_kind(name: str) -> Callable[[Function], Function]:
    """Register a function as a kind of sample; its docstring's first line is the summary."""

    def register(function: Function) -> Function:
        hints = get_type_hints(function)
        made = hints["return"] is Primitives
        _REGISTERED[name] = SampleKind(
            name, summary_of(function), hints["parameters"], function, made
        )
        return function

    return register


def sample_kinds() -> dict[str, SampleKind]:
    """Return all kinds of samples by name."""
    import porescope.pipeline.sample_kinds  # noqa: F401  (registers them)

    return dict(_REGISTERED)


def find_sample_kind(name: str) -> SampleKind:
    """Return one kind of sample.

    Raises
    ------
    PorescopeError
        If there is none of that name.
    """
    return find("sample", name, sample_kinds())


def draw_sample(
    kind: str,
    parameters: Parameters | Mapping[str, Any],
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Primitives | Stack:
    """Draw a sample.

    Parameters
    ----------
    kind : str
        One of :func:`sample_kinds`.
    parameters : Parameters or mapping
        Of that kind; what is not given has its default.
    progress, cancel : callables, optional
        See :mod:`porescope.tracking`.

    Returns
    -------
    Primitives or Stack
        A stack holds labels as a dask array, drawn slab by slab when they are needed.

    Raises
    ------
    PorescopeError
        If there is no such kind, or a parameter makes no sense.
    Cancelled
        If ``cancel()`` became true.

    Examples
    --------
    >>> sample = draw_sample("spheres", {"shape": (64, 64, 64), "radius": (5, 8)})
    >>> sample.shape
    (64, 64, 64)
    """
    found = find_sample_kind(kind)
    if not isinstance(parameters, Parameters):
        parameters = found.parse(parameters)
    return found.function(parameters, progress, cancel)


@dataclass(frozen=True)
class PrimitiveVoxels(SlabbedSample):
    """Primitives on a voxel grid, drawn slab by slab."""

    shape: tuple[int, int, int]
    primitives: Primitives

    def planes(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Draw the planes from ``start`` to before ``stop``."""
        return voxelize(self.primitives, (stop - start, *self.shape[1:]), (start, 0, 0))


def labels_of(sample: Primitives | Stack, voxel_nm: float = 1.0, units_per_voxel: int = 1) -> Stack:
    """Return a sample as a volume of labels.

    Parameters
    ----------
    sample : Primitives or Stack
        A stack is returned as it is.
    voxel_nm : float, optional
        What one unit of the primitives is in nm.
    units_per_voxel : int, optional
        Edge of a voxel in units of the primitives; above 1 the grid is coarser than the sample.

    Returns
    -------
    Stack
        Labels (uint8) as a dask array: 1 where a voxel's centre lies in a primitive.
    """
    if isinstance(sample, Stack):
        return sample
    z, y, x = (math.ceil(size / units_per_voxel) for size in box_of(sample))
    voxels = PrimitiveVoxels(checked_shape((z, y, x)), _scaled(sample, 1 / units_per_voxel))
    spacing_nm = (voxel_nm * units_per_voxel,) * 3
    return Stack(voxels.to_dask().astype(np.uint8), spacing_nm=spacing_nm, is_labels=True)


def box_of(primitives: Primitives) -> tuple[float, float, float]:
    """Return the sample's box; where it is not known, from the origin as far as it reaches."""
    if primitives.shape is not None:
        return primitives.shape
    z, y, x = (math.ceil(highest) for _, highest in primitives.bounds)
    if min(z, y, x) < 1:
        raise PorescopeError(
            "No primitive lies at positive z, y and x, where the voxels are; move them there."
        )
    return z, y, x


def _scaled(primitives: Primitives, factor: float) -> Primitives:
    if factor == 1:
        return primitives
    spheres, cylinders, cuboids = (
        np.array(rows) for rows in (primitives.spheres, primitives.cylinders, primitives.cuboids)
    )
    spheres *= factor
    for rows, sizes in ((cylinders, 6), (cuboids, 7)):
        rows[:, :3] *= factor
        rows[:, sizes:] *= factor
    return Primitives(spheres, cylinders, cuboids)
