"""Time the heightfields of planes of 850 x 850 pixels, two layers with normals, on a GPU.

Run with ``python benchmarks/heightfield_gpu.py`` on an idle machine that has a GPU, PyTorch and
PyCUDA. Prints a table over the parameter sets of the paper's Table 1: the first plane with sorting
and upload, the kernel alone, a whole call, and the CPU's time for it, in ms; and the largest
difference between GPU and CPU.
"""

import sys
import time

import numpy as np
import torch

from porescope.geometry import paper_sample, paper_sample_names
from porescope.imaging import extract_heightfield
from porescope.imaging.device import gpu_hindrance

BOX = (1130, 850, 850)
PLANES = np.random.default_rng(0).permutation(np.linspace(0, 1000, 9))
RUNS = 5
HOLD_CYCLES = 50_000_000  # keeps the GPU from starting until all planes are queued
PAPER_V100_MS = 26


def on(device, sample, plane_z):
    return extract_heightfield(sample, plane_z, BOX[1:], layers=2, device=device)


def milliseconds(work):
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def kernel_ms(sample):
    """Return the mean over planes of the fastest run, of the kernel alone."""
    fastest = np.full(len(PLANES), np.inf)
    for _ in range(RUNS):
        torch.cuda._sleep(HOLD_CYCLES)
        events = []
        for plane_z in PLANES:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            on("cuda", sample, plane_z)
            end.record()
            events.append((begin, end))
        torch.cuda.synchronize()
        fastest = np.minimum(fastest, [begin.elapsed_time(end) for begin, end in events])
    return float(fastest.mean())


def call_ms(device, sample):
    """Return the mean over planes of the fastest run, from the call to the finished result."""
    runs = [[milliseconds(lambda z=z: on(device, sample, z)) for z in PLANES] for _ in range(RUNS)]
    return float(np.min(runs, axis=0).mean())


def largest_difference(sample):
    largest = 0.0
    for plane_z in PLANES:
        gpu, cpu = on("cuda", sample, plane_z), on("cpu", sample, plane_z)
        for channel in ("entry", "exit", "normal"):
            ours, theirs = getattr(gpu, channel).cpu().numpy(), getattr(cpu, channel)
            if not np.array_equal(np.isinf(ours), np.isinf(theirs)):
                return np.inf
            there = np.isfinite(theirs)
            largest = max(largest, float(np.abs(ours[there] - theirs[there]).max(initial=0)))
    return largest


def print_row(name, count, times, difference):
    first, *others = times
    cells = [count, f"{first:.1f}", *(f"{value:.3f}" for value in others), difference]
    print(f"| {name} |", " | ".join(cells), "|", flush=True)


def main():
    hindrance = gpu_hindrance()
    if hindrance is not None:
        sys.exit(f"There is no GPU to time: {hindrance}.")
    print(f"{torch.cuda.get_device_name()}, 850 x 850 pixels, two layers, ms a plane\n")
    print("| | primitives | first plane | kernel | call | CPU | largest difference |")
    print("|---|" + "---:|" * 6)
    names = [name for name in paper_sample_names() if name.endswith("-1")]
    on("cuda", paper_sample(names[0]), 0.0)  # loads the kernels
    times, differences = [], []
    for name in names:
        sample = paper_sample(name)
        first = milliseconds(lambda sample=sample: on("cuda", sample, 0.0))
        times.append([first, kernel_ms(sample), call_ms("cuda", sample), call_ms("cpu", sample)])
        differences.append(largest_difference(sample))
        print_row(name, f"{len(sample):,}", times[-1], f"{differences[-1]:.1e}")
    print_row("**mean**", "", np.mean(times, axis=0), "")
    print_row("**largest**", "", np.max(times, axis=0), f"{max(differences):.1e}")
    print(f"\nThe paper's kernel on a V100: {PAPER_V100_MS} ms.")


if __name__ == "__main__":
    main()
