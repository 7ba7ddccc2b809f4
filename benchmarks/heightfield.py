"""Time the heightfields of one plane of 850 x 850 pixels, two layers with normals.

Run with ``python benchmarks/heightfield.py [folder for the plot]`` on an idle machine. Prints
tables: every parameter set of the paper's Table 1, the instruction sets, and the growth with the
number of primitives at one porosity. Planes alone lie far apart and in no order; sweeps begin at
the top, and their first planes count too. All planes are run through three times after one to warm
up, each counts with its fastest, and what is printed is the mean over planes.
"""

import math
import os
import sys
import time
from pathlib import Path

import numpy as np

from porescope import _core
from porescope.geometry import boolean_model, paper_sample, paper_sample_names
from porescope.imaging import extract_heightfield

BOX = (1130, 850, 850)
RUNS = 3
PLANES_ALONE = np.random.default_rng(0).permutation(np.linspace(0, 1000, 9))
PLANES_STEP_10 = np.arange(27) * 10.0  # those the paper took of each volume
PLANES_STEP_1 = np.arange(27) * 1.0
ORDERS = (PLANES_ALONE, PLANES_STEP_10, PLANES_STEP_1)
FINEST_SPHERES = "sphere-p0.3-r10-15-1"
COUNTS = (10**3, 10**4, 10**5, 10**6, 10**7)

# Milliseconds: the paper's own kernel on a V100, and a prototype on two AVX-512 cores.
PAPER_V100_MS = 26
TRIAL_MS = """\
| | finest spheres, p 0.3 | finest spheres, p 0.7 | fine vMF cylinders, p 0.3 | mean |
|---|---:|---:|---:|---:|
| paper's loop, two cores | 9,100-26,400 | 1,900-4,900 | 8,100-13,700 | 2,660 |
| trial, plane alone, AVX-512 (AVX2) | 11.5 (29) | 6.9 (14) | 19.3 (44) | 10.0 |
| trial, swept by 10 / by 1 | 7.0 / 4.1 | 4.1 / 3.2 | 9.9 / 5.9 | 6 |"""


def milliseconds(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def mean_of_planes(planes, extract):
    """Return the mean over planes of the fastest run; the planes are run through in order."""
    extract(planes[-1])
    runs = [[milliseconds(lambda z=z: extract(z)) for z in planes] for _ in range(RUNS)]
    return float(np.min(runs, axis=0).mean())


def bin_once(sample, threads=0):
    return _core.Bins(sample.spheres, sample.cylinders, sample.cuboids, *BOX[1:], threads)


def binning_ms(sample, threads=0):
    return min(milliseconds(lambda: bin_once(sample, threads)) for _ in range(RUNS))


def time_sample(sample, threads):
    def extract(plane_z):
        extract_heightfield(sample, plane_z, BOX[1:], layers=2, device="cpu", threads=threads)

    return [mean_of_planes(planes, extract) for planes in ORDERS]


def row(*cells):
    texts = (f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells)
    print("|", " | ".join(texts), "|", flush=True)


def table_1():
    print("### Every parameter set of Table 1, ms a plane\n")
    print("| | primitives | binning | alone | step 10 | step 1 | alone, 1 thread |")
    print("|---|" + "---:|" * 6)
    times = []
    for name in paper_sample_names():
        if not name.endswith("-1"):
            continue
        sample = paper_sample(name)
        figures = [binning_ms(sample), *time_sample(sample, 0), time_sample(sample, 1)[0]]
        times.append(figures)
        row(name, f"{len(sample):,}", *figures)
    row("**mean**", "", *np.mean(times, axis=0).tolist())
    row("**largest**", "", *np.max(times, axis=0).tolist())
    print(f"\nThe paper's kernel on a V100: {PAPER_V100_MS} ms. The trial:\n\n{TRIAL_MS}\n")


def instruction_sets():
    print("### Instruction sets, ms for a plane alone, finest spheres\n")
    threads = (1, os.cpu_count())
    print("| |", " | ".join(f"{count} threads" for count in threads), "|")
    print("|---|" + "---:|" * len(threads))
    bins = bin_once(paper_sample(FINEST_SPHERES))
    for name in _core.instruction_sets():
        row(
            name,
            *(
                mean_of_planes(
                    PLANES_ALONE,
                    lambda z, count=count, name=name: bins.heightfield(z, 2, count, name),
                )
                for count in threads
            ),
        )
    print()


def growth(folder):
    print("### Spheres of one porosity, 0.3, in ever larger numbers\n")
    print("| primitives | mean radius | binning, ms | alone, ms | step 10, ms | step 1, ms |")
    print("|---|" + "---:|" * 5)
    counts, times = [], []
    for count in COUNTS:
        radius = (-math.log(0.3) * math.prod(BOX) / (count * 4 / 3 * math.pi)) ** (1 / 3)
        sample = boolean_model(
            "sphere", porosity=0.3, shape=BOX, radius=(0.8 * radius, 1.2 * radius)
        )
        counts.append(len(sample))
        times.append([binning_ms(sample), *time_sample(sample, 0)])
        row(f"{len(sample):,}", radius, *times[-1])
    print()
    if folder:
        plot_growth(counts, np.array(times), folder / "heightfield.png")


def plot_growth(counts, times, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for index, label in enumerate(("binning, once", "plane alone", "step 10", "step 1")):
        axes.loglog(counts, times[:, index], "o-", label=label)
    axes.axhline(PAPER_V100_MS, color="grey", linestyle=":", label="the paper's V100, a plane")
    axes.set(xlabel="spheres", ylabel="ms", title="850 x 850 pixels, porosity 0.3, two layers")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, {', '.join(_core.instruction_sets())}\n")
    table_1()
    instruction_sets()
    growth(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
