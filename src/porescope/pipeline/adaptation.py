"""Simulated stacks that get another look, on their way to a folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from porescope.adapt.adaptation import adapted, load_adaptation
from porescope.adapt.guard import Moved
from porescope.pipeline.provenance import hash_inputs, versions
from porescope.pipeline.run import Report, tell_nobody, writing_result
from porescope.pipeline.trainings.samples import NAMES, read_images
from porescope.pipeline.workspace import image_name, write_json
from porescope.tracking import Cancel, never_cancel

FILE = "adaptation.json"
KEPT = (*(f"{name}*" for name in NAMES), "alignment-*.json")
"""What lies beside stacks and is as true as before."""


@dataclass(frozen=True)
class WrittenAdaptation:
    """What there is in a folder of stacks that got another look.

    Parameters
    ----------
    shape : tuple of three ints
        Of each stack (z, y, x).
    moved : dict of str to Moved
        What edges in the first slices did, by the name of the stack.
    kept : tuple of str
        Names of labels, truths and alignments that were taken along.
    """

    shape: tuple[int, int, int]
    moved: dict[str, Moved]
    kept: tuple[str, ...]


def write_adaptation(
    source: Path,
    weights: str,
    out: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> WrittenAdaptation:
    """Give simulated stacks another look, and write them and their truth into a folder.

    The folder holds ``1kV.ome.zarr`` and so on, the truth, labels and alignments that lay beside
    the stacks, and ``adaptation.json``. It is written beside and renamed when whole.

    Parameters
    ----------
    source : Path
        Folder of voltages, such as ``porescope simulate`` makes, or a stack.
    weights : str
        Name of weights that ship, or a file of weights.
    out : Path
        Folder to make.
    seed : int, optional
        Of the noise that is added.
    device : {"auto", "cpu", "cuda"}, optional
    overwrite : bool, optional
        Replace an earlier result.
    report, cancel : callables, optional

    Raises
    ------
    PorescopeError
        If the weights do not fit the stacks or change their structure, or the folder cannot be
        written.
    Cancelled
    """
    from porescope.io import write_stack

    with writing_result([source], out, overwrite, mark=FILE) as result:
        hashes = hash_inputs([source], partial(report, "Reading the stacks"), cancel)
        result.mkdir()
        moved = {}
        stacks = read_images(source)
        adaptation = load_adaptation(weights, device)
        for stack in stacks:  # before any takes its time
            adaptation.levels(stack)
        for number, stack in enumerate(stacks):
            name = image_name(stack, number)
            made, moved[name] = adapted(
                stack,
                weights,
                # Voltages of one sample have noise of their own.
                seed=1000 * seed + number,
                device=device,
                progress=partial(report, f"Looking at {name}"),
                cancel=cancel,
            )
            write_stack(
                result / f"{name}.ome.zarr",
                made,
                progress=partial(report, f"Adapting {name}"),
                cancel=cancel,
            )
        kept = _take_along(source, result)
        about = {
            "source": hashes[0],
            "weights": str(weights),
            "seed": seed,
            "versions": versions(),
            "edges": {name: vars(each) for name, each in moved.items()},
        }
        write_json(result / FILE, about)
    return WrittenAdaptation(made.shape, moved, kept)


def _take_along(source: Path, result: Path) -> tuple[str, ...]:
    """Copy the truth and alignments that lie beside stacks."""
    if not source.is_dir():
        return ()
    entries = sorted({entry for pattern in KEPT for entry in source.glob(pattern)})
    for entry in entries:
        if entry.is_dir():
            shutil.copytree(entry, result / entry.name)
        else:
            shutil.copy2(entry, result / entry.name)
    return tuple(entry.name for entry in entries)
