"""Time the Monte-Carlo microscope on a GPU, and hold its images against the CPU's.

Run with ``python benchmarks/montecarlo_gpu.py`` on an idle machine that has a GPU, PyTorch and
PyCUDA; takes a few minutes and writes ``results/montecarlo_gpu.md``.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from porescope import _core
from porescope.geometry import hierarchical_leveled_wave, paper_sample
from porescope.imaging import electron_sample, gpu, simulate_monte_carlo
from porescope.imaging.device import gpu_hindrance

RESULTS = Path(__file__).parent / "results" / "montecarlo_gpu.md"
NM = 2.5  # a voxel, a pixel, and the unit of primitives
EDGE = 128
SLICE = 850
SLICE_ELECTRONS = 1000
PLANE = 10.0
BEAMS_KV = (1.0, 2.0, 4.0)
ELECTRONS = {"cuda": 2000, "cpu": 40}  # a pixel
RUNS = 3
COLLISIONS = 1_000_000
PAPER_SAMPLE = "sphere-p0.3-r10-15-1"
PAPER_SECONDS = 7200  # of a slice, on one core


def gold():
    """Return hierarchical gold, an eighth of it solid."""
    return hierarchical_leveled_wave(
        (EDGE, EDGE, EDGE),
        spacing_nm=(NM,) * 3,
        wavelengths_nm=(107 * NM, 12.7 * NM),
        solid_fractions=(0.35, 0.35),
        seed=1,
    )


def in_filler(labels, filler):
    return electron_sample(labels, NM, {0: filler, 1: "gold"})


def scan(sample, device, **options):
    defaults = {"beam_kv": 2.0, "electrons": 100, "pixel_nm": NM, "seed": 1}
    return simulate_monte_carlo(sample, PLANE, device=device, **defaults | options)


def seconds(sample, device, **options):
    """Return the time from the call to the images in the processor's memory."""
    started = time.perf_counter()
    scan(sample, device, **options)
    return time.perf_counter() - started


def rates(labels):
    """Yield rows: electrons a second, the best of three goes."""
    yield "| pores of | signals | device | " + " | ".join(f"{k:g} kV" for k in BEAMS_KV) + " |"
    yield "|---|---|---|" + "---:|" * len(BEAMS_KV)
    for filler in ("epoxy", "vacuum"):
        sample = in_filler(labels, filler)
        for signals, told in (("back-scattered alone", False), ("with secondaries", True)):
            for device, electrons in ELECTRONS.items():
                options = {"electrons": electrons, "secondaries": told}
                scan(sample, device, **options | {"electrons": 1})  # loads and takes there
                found = []
                for kv in BEAMS_KV:
                    runs = [seconds(sample, device, beam_kv=kv, **options) for _ in range(RUNS)]
                    found.append(electrons * EDGE**2 / min(runs))
                cells = " | ".join(f"{rate / 1e6:.2f} M" for rate in found)
                yield f"| {filler} | {signals} | {device} | {cells} |"


def slices(labels):
    """Yield rows: seconds for a slice as large as the paper's."""
    across = -(-SLICE // EDGE)
    tiled = np.tile(labels, (1, across, across))[:, :SLICE, :SLICE]
    paper = electron_sample(paper_sample(PAPER_SAMPLE), NM, {0: "vacuum", 1: "carbon"})
    yield "| sample | kV | first slice | further ones |"
    yield "|---|---:|---:|---:|"
    for name, sample, kv in (
        ("gold in epoxy", in_filler(tiled, "epoxy"), 2.0),
        ("gold in vacuum", in_filler(tiled, "vacuum"), 2.0),
        (f"{PAPER_SAMPLE}, carbon in vacuum", paper, 5.0),
    ):
        options = {"beam_kv": kv, "electrons": SLICE_ELECTRONS, "shape": (SLICE, SLICE)}
        first, *others = [seconds(sample, "cuda", **options) for _ in range(RUNS)]
        yield f"| {name} | {kv:g} | {first:.2f} s | {min(others):.2f} s |"


def differences(labels):
    """Yield rows: pixels that have not the bits of the CPU's."""
    epoxy, vacuum = in_filler(labels, "epoxy"), in_filler(labels, "vacuum")
    paper = electron_sample(paper_sample(PAPER_SAMPLE), NM, {0: "vacuum", 1: "carbon"})
    cases = {
        "gold in epoxy": (epoxy, {}),
        "gold in vacuum": (vacuum, {}),
        "gold in vacuum, 4 kV, tilted by 38 degrees, probe of 6 nm, EsB": (
            vacuum,
            {"beam_kv": 4.0, "tilt_deg": 38.0, "probe_nm": 6.0, "detectors": ["EsB"]},
        ),
        "gold in vacuum, a history a pixel": (vacuum, {"electrons": 1}),
        f"{PAPER_SAMPLE}, carbon in vacuum": (paper, {"shape": (EDGE, EDGE), "beam_kv": 5.0}),
    }
    yield "| images | values | that differ | largest difference |"
    yield "|---|---:|---:|---:|"
    for name, (sample, options) in cases.items():
        ours, theirs = (
            np.stack(list(scan(sample, device, **options).values())) for device in ("cuda", "cpu")
        )
        apart = np.abs(ours - theirs)
        yield f"| {name} | {apart.size:,} | {np.count_nonzero(apart):,} | {apart.max():.1e} |"


def collisions():
    """Yield rows: first collisions that have not the bits of the CPU's."""
    materials = in_filler(np.array([[[0, 1]]]), "epoxy").core_materials
    yield "| first collisions | paths that differ | directions that differ |"
    yield "|---:|---:|---:|"
    paths = directions = total = 0
    for material in (1, 2):
        for kv in BEAMS_KV:
            asked = (materials, material, 1000 * kv, (0.6, 0.64, 0.48), COLLISIONS, 1)
            ours, theirs = gpu.first_collisions(*asked), _core.first_collisions(*asked)
            paths += np.count_nonzero(ours[0] != theirs[0])
            directions += np.count_nonzero((ours[1] != theirs[1]).any(axis=1))
            total += COLLISIONS
    yield f"| {total:,} | {paths:,} | {directions:,} |"


def main():
    hindrance = gpu_hindrance()
    if hindrance is not None:
        sys.exit(f"There is no GPU to time: {hindrance}.")
    labels = gold()
    lines = ["# The Monte-Carlo microscope on a GPU"]
    told = f"Made by `montecarlo_gpu.py` on {torch.cuda.get_device_name()}; the CPU takes all its "
    told += f"{os.cpu_count()} cores."
    for title, rows in (
        (told, ()),
        (f"\n## Electrons a second\nHierarchical gold, {EDGE} x {EDGE} pixels.", rates(labels)),
        (
            f"\n## Seconds a slice\n{SLICE} x {SLICE} pixels of {SLICE_ELECTRONS:,} electrons, "
            f"secondaries too; the paper's: {PAPER_SECONDS} s on a core.",
            slices(labels),
        ),
        ("\n## The same images as on the CPU", differences(labels)),
        ("\n## The same collisions", collisions()),
    ):
        lines += [title, ""]
        print(title, flush=True)
        for row in rows:
            lines.append(row)
            print(row, flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
