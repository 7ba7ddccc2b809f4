"""From stacks to phases, by any method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from porescope.errors import PorescopeError
from porescope.learn.weights import shipped
from porescope.segment.classical import kmeans_threshold, otsu_threshold
from porescope.segment.probability import HALF, Fusion, Predictor
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

Method = Literal[
    "otsu",
    "kmeans",
    "forest",
    "unet",
    "unet-adjacent",
    "unet3d",
    "early-fusion",
    "intermediate-fusion",
    "late-fusion",
    "vote",
]
METHODS: tuple[str, ...] = get_args(Method)
CLASSICAL = ("otsu", "kmeans")
BY_NETWORKS = tuple(name for name in METHODS if name not in (*CLASSICAL, "forest"))
LOWEST_ALONE = (*CLASSICAL, "unet", "unet-adjacent", "unet3d")
"""These look at the lowest voltage only, where shine-through is weakest."""
VOLUME_NETWORKS = ("unet3d", "residual-unet3d", "vnet")
OWN_WEIGHTS = ("unet", "unet3d", "early-fusion", "intermediate-fusion")
"""Their weights lie in files of their own; the others share the networks of late fusion."""
KIND, DEFAULT_WEIGHTS = "segmentation", "gold-epoxy"


def segment(
    stacks: Stack | Sequence[Stack],
    method: Method = "late-fusion",
    *,
    weights: str | Path = DEFAULT_WEIGHTS,
    scribbles: Any = None,
    clusters: int = 3,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Any:
    """Tell solid from pore.

    Parameters
    ----------
    stacks : Stack or sequence of Stack
        One for each voltage, aligned and of one shape.
    method : str
        Of the lowest voltage alone: ``otsu`` puts one threshold between two classes, ``kmeans``
        clusters the grey values; ``unet`` is a trained network that sees one slice,
        ``unet-adjacent`` one that sees its neighbours too, ``unet3d`` one of 3D convolutions.
        Of all voltages: ``forest`` learns from scribbles; ``late-fusion`` puts together what a
        network for each voltage says, ``vote`` lets them vote, ``early-fusion`` and
        ``intermediate-fusion`` are networks that see all voltages.
    weights : str or Path
        Of a network: the name of weights that ship, or a file that a training wrote.
    scribbles : array of shape (z, y, x)
        For the forest: 0 where nothing is said, 1 for pore, 2 for solid, further numbers for
        further phases.
    clusters : int
        Number of clusters of ``kmeans``. Three stand for solid, pore and pore with shine-through;
        the brightest is taken as solid.
    seed : int
        Of k-means and of the forest.
    device : {"auto", "cpu", "cuda"}
        Where networks run.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    uint8 array of shape (z, y, x)
        0 for pore, 1 for solid; a dask array where the stacks' data are one.

    Raises
    ------
    PorescopeError
        If the stacks do not fit together, or not the method.

    References
    ----------
    Articles I and III of the FIB tomography thesis.
    """
    stacks = _checked(stacks)
    if method not in METHODS:
        raise PorescopeError(
            f"There is no segmentation {method!r}; choose one of {', '.join(METHODS)}."
        )
    if method in CLASSICAL:
        lowest = lowest_voltage(stacks)
        if method == "otsu":
            threshold = otsu_threshold(lowest, progress, cancel)
        else:
            threshold = kmeans_threshold(lowest, clusters, seed, progress, cancel)
        return (lowest.data > threshold).astype(np.uint8)
    if method == "forest":
        from porescope.segment.forest import train_forest

        if scribbles is None:
            raise PorescopeError("A forest learns from scribbles; draw some and give them.")
        forest = train_forest(stacks, scribbles, seed=seed)
        return forest.segment(stacks, progress=progress, cancel=cancel)
    likely = probability(
        stacks, method, weights=weights, device=device, progress=progress, cancel=cancel
    )
    if isinstance(stacks[0].data, np.ndarray):
        return (likely >= HALF).astype(np.uint8)
    import dask.array as da

    lazy = da.from_array(likely, chunks=(1, -1, -1), name=False)
    return (lazy >= HALF).astype(np.uint8)


def probability(
    stacks: Stack | Sequence[Stack],
    method: Method = "late-fusion",
    *,
    weights: str | Path = DEFAULT_WEIGHTS,
    device: str = "auto",
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> np.ndarray:
    """Return how likely each voxel is solid, by a trained network.

    Parameters
    ----------
    stacks, method, weights, device, progress, cancel
        See :func:`segment`.

    Returns
    -------
    uint8 array of shape (z, y, x)
        In 256ths; at least 128 where :func:`segment` says solid.
    """
    stacks = _checked(stacks)
    networks = predictor(stacks, method, weights=weights, device=device, cancel=cancel)
    return networks.of(range(stacks[0].shape[SLICES]), progress, cancel)


def predictor(
    stacks: Sequence[Stack],
    method: Method,
    *,
    weights: str | Path = DEFAULT_WEIGHTS,
    device: str = "auto",
    cancel: Cancel = never_cancel,
) -> Predictor:
    """Return what says of any slices how likely they are solid; see :func:`probability`."""
    if method not in BY_NETWORKS:
        raise PorescopeError(
            f"No network segments by {method!r}; choose one of {', '.join(BY_NETWORKS)}."
        )
    if method in LOWEST_ALONE:
        stacks = [lowest_voltage(stacks)]
    if method in OWN_WEIGHTS and Path(weights).suffix != ".safetensors":
        weights = _own_weights(method, str(weights))
    _check_method(method, weights)
    fusion: Fusion = "vote" if method == "vote" else "late-fusion"
    return Predictor(stacks, weights, fusion, device=device, cancel=cancel)


def ships(name: str, method: str) -> bool:
    """Return whether weights of that name ship for a method."""
    return shipped(f"{KIND}-{name}{f'-{method}' if method in OWN_WEIGHTS else ''}").exists()


def _own_weights(method: str, name: str) -> str:
    """Return the name under which weights for a method lie beside those of late fusion."""
    own = f"{name}-{method}"
    if not ships(name, method):
        there = [other for other in BY_NETWORKS if ships(name, other)]
        raise PorescopeError(
            f"No weights {name!r} for {method} ship with Porescope"
            + (f", but for {', '.join(there)}" if there else "")
            + f". Train your own with porescope train segmentation --architecture {method}, and "
            "give the .safetensors file."
        )
    return own


def _check_method(method: str, weights: str | Path) -> None:
    """Refuse weights of networks that a method does not mean."""
    from porescope.segment.model import load_segmentation

    settings = load_segmentation(weights)[0].settings
    own = "unet3d" if settings.architecture in VOLUME_NETWORKS else settings.architecture
    if method != own and (settings.joint or method not in ("late-fusion", "vote")):
        raise PorescopeError(
            f"The weights {weights} are of {settings.architecture}; choose the method {own}, or "
            f"weights for {method}."
        )


def lowest_voltage(stacks: Sequence[Stack]) -> Stack:
    """Return the stack of the lowest voltage; those that tell none come first."""
    return min(stacks, key=lambda stack: stack.beam_kv or 0.0)


def _checked(stacks: Stack | Sequence[Stack]) -> list[Stack]:
    stacks = [stacks] if isinstance(stacks, Stack) else list(stacks)
    if not stacks:
        raise PorescopeError("There is nothing to segment; load a stack first.")
    if len({stack.shape for stack in stacks}) > 1:
        shapes = ", ".join(str(stack.shape) for stack in stacks)
        raise PorescopeError(f"The stacks differ in shape ({shapes}); align them first.")
    return stacks
