"""How long a random forest takes from a stroke to the repainted slice.

python benchmarks/forest.py prints a table and stores it in results/forest.md; a minute or two

Three voltages of 512 x 512 pixels, slices 10 nm apart with pixels of 2.5 nm: waves whose pores
shine through the more the higher the voltage.
"""

import os
import resource
import time
from pathlib import Path

import numpy as np

from porescope import Stack
from porescope.geometry import leveled_wave
from porescope.measure import scores
from porescope.segment.forest import train_forest

RESULTS = Path(__file__).parent / "results" / "forest.md"
EDGE, SLICES, SHOWN = 512, 16, 8
SPACING_NM = (10.0, 2.5, 2.5)
SHINING = {1.0: 0.2, 2.0: 0.5, 4.0: 0.9}


def phantom(random):
    """Return three voltages and the truth."""
    planes = leveled_wave(
        (4 * SLICES + 8, EDGE, EDGE), spacing_nm=2.5, wavelength_nm=60, solid_fraction=0.3, seed=1
    )
    truth = planes[: 4 * SLICES : 4]
    deep = planes[8:][: 4 * SLICES : 4]
    stacks = []
    for beam_kv, shine in SHINING.items():
        grey = 40 + 140 * np.where(truth, 1.0, shine * deep)
        grey += random.normal(scale=15, size=grey.shape)
        stacks.append(Stack(grey.clip(0, 255).astype(np.uint8), SPACING_NM, beam_kv))
    return stacks, truth.astype(np.uint8)


def strokes(truth, count, random):
    """Return scribbles of some strokes of 3 x 40 pixels on three slices."""
    scribbles = np.zeros(truth.shape, np.uint8)
    for _ in range(count):
        z, y, x = (
            random.choice((2, SHOWN, 13)), *random.integers(0, EDGE - 40, 2),
        )  # fmt: skip
        scribbles[z, y : y + 3, x : x + 40] = truth[z, y : y + 3, x : x + 40] + 1
    return scribbles


def timed(function):
    """Return what a function gives, and the seconds and seconds of processor time it takes."""
    wall, processor = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - wall, time.process_time() - processor


def main():
    """Measure, print and store."""
    random = np.random.default_rng(0)
    stacks, truth = phantom(random)
    text = [
        "# Random forest: from a stroke to the repainted slice",
        f"By `forest.py`, 3 voltages of {EDGE} x {EDGE} pixels, {os.cpu_count()} cores, "
        f"{os.getloadavg()[0]:.0f} processes waiting for them. Seconds by the clock (of processor "
        "time): the latter are what counts where the machine is busy.",
        "",
        "| strokes | marked voxels | features and training | one slice repainted | "
        "misplaced there, % |",
        "|---|---|---|---|---|",
    ]
    forest = train_forest(stacks, strokes(truth, 10, random))  # imports what it needs
    forest.probabilities(stacks, slices=range(0, 1)).compute()
    shown = range(SHOWN, SHOWN + 1)
    for count in (10, 40, 160):
        scribbles = strokes(truth, count, random)
        forest, *learned = timed(lambda marks=scribbles: train_forest(stacks, marks))
        found, *painted = timed(
            lambda grown=forest: grown.probabilities(stacks, slices=shown).compute()
        )
        wrong = scores(found.argmax(axis=0).astype(np.uint8), truth[SHOWN : SHOWN + 1])["MP"]
        times = ["{:.2f} ({:.2f})".format(*each) for each in (learned, painted)]
        text.append(
            f"| {count} | {np.count_nonzero(scribbles)} | {times[0]} | {times[1]} | {wrong:.2f} |"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    names = list(forest.importances().items())[:5]
    text += [
        "",
        f"Largest memory of the process {peak:.1f} GiB. Most helpful features: "
        + "; ".join(f"{name} ({share:.2f})" for name, share in names)
        + ".",
    ]
    print("\n".join(text))
    RESULTS.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
