"""The loop on stacks of a microscope that is hidden from it, and on a real serial section.

python benchmarks/own_stack.py WORK [--only unknown|again|known|real]
prints the tables and stores them in results/own_stack.md; half an hour a stack on two idle cores.
WORK is a folder that keeps what is made, so that a run that was stopped goes on; the real section
needs shared/data beside the project.
"""

import argparse
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from porescope import Stack
from porescope.geometry import hierarchical_leveled_wave
from porescope.imaging.noise import curtains
from porescope.io import read_stack, write_stack
from porescope.measure import scores
from porescope.pipeline.own_stack import OwnStackTraining, train_on_own_stack
from porescope.pipeline.own_stack.loop import FILE
from porescope.pipeline.run import Report
from porescope.pipeline.simulation import simulate_stack

RESULTS = Path(__file__).parent / "results" / "own_stack.md"
SECTION = Path(__file__).parents[2] / "shared/data/real/stacks/fib_serial_section_small.tif"
TAKEN_FOR_KV = 1.0
"""The section's voltage is not known; its pixels are larger than any depth that would shine."""
PAPER = (
    "0.145 / 0.059 / 0.030 to 0.132 / 0.047 / 0.029 at 1 kV, 0.271 / 0.181 / 0.138 to "
    "0.140 / 0.038 / 0.017 at 4 kV"
)
ERRORS = ("tpcf", "lpf", "diameter", "misfit")


UNKNOWN_KV, KNOWN_KV = (3.0,), (1.0, 2.0, 4.0)
HIDDEN = {
    "unknown": ("A hidden microscope, at a voltage that no network knows", UNKNOWN_KV, None),
    "again": ("The same stack again, beginning with what was learned", UNKNOWN_KV, "unknown"),
    "known": ("A hidden microscope, at the voltages of the networks that ship", KNOWN_KV, None),
}
"""What is looked at by name: its title, voltages, and the case whose networks it begins with."""
REAL = "real"


def hidden_stack(folder: Path, beams_kv: Sequence[float], seed: int = 1) -> Path:
    """Write a stack of porous gold as some other microscope would take it, and its truth beside.

    Imaged by Monte Carlo; then blur, stripes, a bent response, more noise, and little of the grey
    scale used. Returns where the truth lies.
    """
    truth = folder.with_name(f"{folder.name}-truth.ome.zarr")
    if truth.exists():
        return truth
    solid = hierarchical_leveled_wave(
        (240, 160, 160), spacing_nm=2.5, wavelengths_nm=(240, 36), solid_fractions=(0.45, 0.4),
        seed=seed,
    )  # fmt: skip
    simulated = simulate_stack(
        Stack(solid.astype(np.uint8), (2.5,) * 3, is_labels=True),
        {
            "beam_kv": list(beams_kv), "electrons": 60, "slices": 40, "mean_nm": 10.0,
            "deviation_nm": 0.0, "probe_nm": 6.0, "seed": seed,
        },
    )  # fmt: skip
    random = np.random.default_rng(seed)
    for beam, image in enumerate(simulated.images):
        slices = []
        for z, plane in enumerate(np.asarray(image.data, np.float32) / 255):
            blurred = gaussian_filter(plane, 0.6)
            striped = curtains(blurred, 0.05, seed=seed + beam, slice_index=z, width_px=4)
            bent = 0.25 + 0.55 * np.clip(striped, 0, None) ** 0.8
            noisy = bent + random.normal(0, 0.05, bent.shape)
            slices.append(np.clip(np.rint(255 * noisy), 0, 255).astype(np.uint8))
        stack = Stack(np.stack(slices), image.spacing_nm, image.beam_kv)
        write_stack(folder / f"{image.beam_kv:g}kV.ome.zarr", stack)
    write_stack(truth, simulated.truth_slices)
    return truth


def loop(stack: Path, out: Path, parameters: OwnStackTraining) -> list[str]:
    """Run the loop, or take what it left, and return the rows of a table."""
    if not (out / FILE).exists():
        start = time.process_time()
        train_on_own_stack(stack, out, parameters, report=_teller())
        print(f"{(time.process_time() - start) / 60:.1f} minutes of processor")
    before, after = (
        json.loads((out / f"measures-{when}.json").read_text()) for when in ("before", "after")
    )
    rows = ["| | before | after | |", "|---|---|---|---|"]
    for key in ERRORS:
        if before.get(key) is not None and after.get(key) is not None:
            fell = "fell" if after[key] < before[key] else "did not fall"
            unsure = after.get(f"{key}_uncertainty")
            rows.append(
                f"| {key} | {before[key]:.4f} | {after[key]:.4f}"
                f"{'' if unsure is None else f' ± {unsure:.4f}'} | {fell} |"
            )
    rows.append(
        f"| solid fraction | {before['solid_fraction']:.4f} | {after['solid_fraction']:.4f} | |"
    )
    return rows


def against_truth(out: Path, truth: Path) -> str:
    """Return a row with what is misplaced before and after."""
    solid = np.asarray(read_stack(truth).data) > 0
    found = [
        scores(np.asarray(read_stack(out / name).data) > 0, solid)["MP"]
        for name in ("labels-before.ome.zarr", "labels-after.ome.zarr")
    ]
    fell = "fell" if found[1] < found[0] else "did not fall"
    return f"| MP %, against the truth | {found[0]:.3f} | {found[1]:.3f} | {fell} |"


def told_of(out: Path) -> str:
    """Return how long networks learned, and whether the images were adapted."""
    asked = json.loads((out / "own-stack.json").read_text())
    learned = (
        f"{asked['epochs']} epochs of segmentation, at most {asked['adaptation_epochs']} of "
        "adaptation. Images were"
    )
    refused = out / "not-adapted.json"
    if refused.exists():
        return f"{learned} not adapted: " + json.loads(refused.read_text())["why"]
    scores_of = json.loads((out / "adaptation/adaptation.json").read_text())["scores"]
    return f"{learned} adapted: " + ", ".join(
        f"{name.removeprefix('validation_')} {value:.3g}" for name, value in scores_of.items()
    )


def _teller() -> Report:
    """Return what prints each stage when it begins."""
    begun = set()

    def tell(what: str, done: int, total: int) -> None:
        if what not in begun:
            begun.add(what)
            print(time.strftime("%H:%M:%S"), what, flush=True)

    return tell


def main() -> None:
    """Print the tables and store them."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", choices=(*HIDDEN, REAL))
    asked = parser.parse_args()
    lines = [
        "# From a stack without labels: figures",
        "By `own_stack.py`, with all parameters as they are by default. Before is by the networks "
        "that ship, or by k-means where they do not know the voltages or the pixels. Beside it the "
        "paper's Table 4, tpcf / lpf / diameter of its own real samples without and with "
        f"adaptation: {PAPER}.",
    ]
    for name, (title, beams_kv, before) in HIDDEN.items():
        if asked.only in (None, name):
            stack, out = asked.work / (before or name), asked.work / f"{name}-loop"
            truth = hidden_stack(stack, beams_kv)
            begin = {"start": str(asked.work / f"{before}-loop" / FILE)} if before else {}
            rows = loop(stack, out, OwnStackTraining(**begin))
            lines += ["", f"## {title}", *rows, against_truth(out, truth), "", told_of(out)]
    if asked.only in (None, REAL) and SECTION.exists():
        out = asked.work / f"{REAL}-loop"
        rows = loop(SECTION, out, OwnStackTraining(beam_kv=TAKEN_FOR_KV))
        lines += ["", "## A real serial section", *rows, "", told_of(out)]
    text = "\n".join(lines)
    print(text)
    if asked.only is None:
        RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
