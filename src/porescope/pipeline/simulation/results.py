"""Simulated stacks on their way to a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from porescope.errors import PorescopeError
from porescope.files import remove
from porescope.pipeline.heightfields import open_sample
from porescope.pipeline.provenance import fingerprint, hash_inputs, versions
from porescope.pipeline.run import Report, check_places, own_folder, swap, tell_nobody, work_folder
from porescope.pipeline.simulation.parameters import SimulationParameters
from porescope.pipeline.simulation.stack import Simulated, simulate_stack
from porescope.pipeline.workspace import image_name, write_json
from porescope.tracking import Cancel, never_cancel

FILE = "simulation.json"
FORMAT = 1
FRAME = (
    "Truth and slices lie in the frame of slice 0 at the voltage nearest to 2 kV. offsets_px are "
    "what to add to y, x of an image's content to bring it there. "
    "signal = (grey - grey_of_no_signal) / grey_per_signal, in electrons for each of the beam."
)


@dataclass(frozen=True)
class WrittenStacks:
    """What there is in a folder of simulated stacks.

    Parameters
    ----------
    beams_kv : tuple of floats
        One stack each.
    shape : tuple of three ints
        Of each stack (z, y, x).
    electrons : int
        Followed in all.
    seconds : float
        That it took, without what an earlier call had made.
    notes : tuple of str
        What a user should know before trusting the images.
    """

    beams_kv: tuple[float, ...]
    shape: tuple[int, int, int]
    electrons: int
    seconds: float
    notes: tuple[str, ...]


def write_simulation(
    source: Path,
    parameters: SimulationParameters,
    out: Path,
    *,
    spacing_nm: Sequence[float] | None = None,
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> WrittenStacks:
    """Image a sample in a file, and write the stacks, the truth and all numbers into a folder.

    The folder holds ``1kV.ome.zarr`` and so on, ``truth.ome.zarr``, ``truth-slices.ome.zarr``,
    ``alignment-1kV.json`` and ``simulation.json``; :func:`porescope.io.read_voltages` reads the
    stacks. It is written beside and renamed when whole. The images that a killed call had made are
    taken up by the next with the same sample and parameters; a cancelled one leaves nothing.

    Parameters
    ----------
    source : Path
        List of primitives (.txt), or any volume of labels that can be read.
    parameters : SimulationParameters
    out : Path
        Folder to make.
    spacing_nm : sequence of three floats, optional
        Voxel size (z, y, x) of a volume whose file does not tell it.
    overwrite : bool, optional
        Replace an earlier simulation.
    report, cancel : callables, optional
        Progress and cancelling.

    Raises
    ------
    PorescopeError
        If a file or a parameter makes no sense, or the folder cannot be written.
    Cancelled
        If ``cancel()`` became true.
    """
    out = out.absolute()
    check_places([source], out, overwrite, mark=FILE)
    start = time.perf_counter()
    sample = open_sample(source, spacing_nm, lazy=True)
    hashes = hash_inputs([source], partial(report, "Reading the sample"), cancel)
    work = work_folder(out)
    try:
        with own_folder(work, finished="images-*/*.npz"):
            told = parameters.model_dump(mode="json")
            key = fingerprint(versions(), hashes, spacing_nm, told)
            keep = work / f"images-{key[:16]}"
            for other in work.glob("images-*"):
                if other != keep:
                    remove(other)
            simulated = simulate_stack(
                sample, parameters, keep=keep, progress=partial(report, "Imaging"), cancel=cancel
            )
            result = work / "result"
            remove(result)
            _write(result, simulated, report, cancel)
            about = {"sample": hashes[0], "versions": versions(), "parameters": told}
            write_json(result / FILE, {**about, **_numbers(simulated)})
            swap(result, out)
    except OSError as error:
        raise PorescopeError(f"Cannot write {out}: {error.strerror or error}.") from error
    first = simulated.images[0]
    z, y, x = first.shape
    return WrittenStacks(
        parameters.beam_kv,
        first.shape,
        0 if parameters.surrogate else parameters.electrons * z * y * x * len(simulated.images),
        time.perf_counter() - start,
        tuple(simulated.notes),
    )


def _write(folder: Path, simulated: Simulated, report: Report, cancel: Cancel) -> None:
    from porescope.io import write_stack

    volumes = {image_name(stack, 0): stack for stack in simulated.images}
    volumes |= {"truth": simulated.truth, "truth-slices": simulated.truth_slices}
    for name, stack in volumes.items():
        progress = partial(report, f"Writing {name}")
        write_stack(folder / f"{name}.ome.zarr", stack, progress=progress, cancel=cancel)
    for alignment in simulated.alignments:
        alignment.save(folder / f"alignment-{image_name(alignment, 0)}.json")


def _numbers(simulated: Simulated) -> dict[str, object]:
    columns = zip(
        simulated.images,
        simulated.alignments,
        simulated.exposures,
        simulated.transmitted.T.tolist(),
        simulated.white.T.tolist(),
        simulated.black.T.tolist(),
        strict=True,
    )
    return {
        "porescope_simulation": FORMAT,
        "meaning": FRAME,
        "slice_z_nm": simulated.images[0].slice_z_nm.tolist(),
        "notes": simulated.notes,
        "voltages": [
            {
                "beam_kv": image.beam_kv,
                "grey_of_no_signal": exposure.grey_of_no_signal,
                "grey_per_signal": exposure.grey_per_signal,
                "offsets_px": alignment.offsets_px.tolist(),
                "transmitted_share": transmitted,
                "white_share": white,
                "black_share": black,
            }
            for image, alignment, exposure, transmitted, white, black in columns
        ],
    }
