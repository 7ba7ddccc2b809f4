"""Measure how well slice positions are found from images and from a ruler.

Run with ``python benchmarks/slice_positions.py``; the real slices are looked for in
``../shared/data``. Prints tables. Errors are root mean squares in per cent of the mean slice
thickness: of a slice's place among its two neighbours, of thicknesses, and of positions along the
whole stack, where errors add up. Nothing was fitted to these stacks but the band of detail that is
compared, which was chosen on other draws of the same real slices.
"""

import json
import sys
from pathlib import Path

import numpy as np

from porescope.correct import Alignment
from porescope.correct.positions import SlicePositions, positions_from_images, positions_from_marks
from porescope.io import read_stack, read_voltages
from porescope.sample_data import sample_folder
from porescope.stack import Stack

ROOT = Path(__file__).parents[1]
FLYEM = ROOT.parent / "shared" / "data" / "real" / "stacks" / "flyem_slices"
DRAWS = 12

sys.path.insert(0, str(ROOT / "tests"))
from milled_marks import ANGLE_DEG, INCLINED, PARALLEL, PIXEL_NM, ruler  # noqa: E402


def errors_percent(found, true_nm):
    true_nm = true_nm - true_nm[0]
    mean = true_nm[-1] / (len(true_nm) - 1)
    error = found.slice_z_nm - true_nm
    among = error[1:-1] - (error[:-2] + error[2:]) / 2
    told = found.uncertainty_nm[1:-1]
    squares = (among, np.diff(error), error, told)
    return [100 * np.sqrt(np.mean(np.square(values))) / mean for values in squares]


def before_percent(true_nm):
    even = np.linspace(0, true_nm[-1] - true_nm[0], len(true_nm))
    return errors_percent(SlicePositions(even, np.zeros(len(even)), "nominal"), true_nm)


def row(name, rows):
    mean = np.mean(rows, axis=0)
    return f"| {name} | " + " | ".join(f"{value:.1f}" for value in mean) + " |"


def table():
    print("| | among neighbours | thickness | whole stack | told |")
    print("|---|---:|---:|---:|---:|")


def from_real_images():
    data = np.asarray(read_stack(FLYEM, (8, 8, 8)).data)
    table()
    for removed in (20, 30, 40):
        found, before = [], []
        for draw in range(DRAWS):
            random = np.random.default_rng([removed, draw])
            kept = np.sort(random.choice(len(data), len(data) - removed, replace=False))
            true_nm = 8.0 * kept
            mean = np.ptp(true_nm) / (len(kept) - 1)
            gain = random.uniform(0.8, 1.2, (len(kept), 1, 1))
            stack = Stack(data[kept] * gain, (mean, 8, 8))
            found.append(errors_percent(positions_from_images(stack), true_nm))
            before.append(before_percent(true_nm))
        print(row(f"{removed} of 100 removed, taken as even", before))
        print(row(f"{removed} of 100 removed, from images", found))


def from_simulated_images():
    folder = sample_folder()
    drift = json.loads((folder / "drift.json").read_text())
    table()
    for stack, offsets in zip(read_voltages(folder), drift["offsets_px"].values(), strict=True):
        aligned = Alignment(np.array(offsets), stack.beam_kv).apply(stack)
        if stack.beam_kv == 1:
            print(row("taken as even", [before_percent(stack.slice_z_nm)]))
        found = positions_from_images(aligned, (40, None, None, None))
        print(row(f"{stack.beam_kv:g} kV", [errors_percent(found, stack.slice_z_nm)]))


def from_a_ruler():
    table()
    for noise in (0.02, 0.05, 0.2):
        found, before = [], []
        for draw in range(DRAWS):
            true_nm = np.cumsum(np.random.default_rng(draw).gamma(10.6, 0.96, 24))
            stack = Stack(ruler(true_nm, noise=noise, seed=draw), (10.16, PIXEL_NM, PIXEL_NM))
            positions = positions_from_marks(stack, PARALLEL, INCLINED, ANGLE_DEG)
            found.append(errors_percent(positions, true_nm))
            before.append(before_percent(true_nm))
        if noise == 0.02:
            print(row("taken as even", before))
        print(row(f"noise of {noise:g} of the marks' contrast", found))


if __name__ == "__main__":
    print("## Real slices, removed at random, with contrast changed by 20 %\n")
    from_real_images() if FLYEM.exists() else print("The real slices are not here.")
    print("\n## Simulated slices of nanoporous gold, 10.16 +- 3.12 nm\n")
    from_simulated_images()
    print("\n## Ruler: marks inclined by 45 degrees, slices of 10.2 +- 3.1 nm\n")
    from_a_ruler()
