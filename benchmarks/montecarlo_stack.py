"""Time a multi-voltage stack, and see how wrong k-means is on it, beside the thesis.

Run with ``python benchmarks/montecarlo_stack.py``; prints results/montecarlo_stack.md.
"""

import time

import numpy as np

from porescope import Stack
from porescope.geometry import hierarchical_leveled_wave
from porescope.imaging import electron_sample, simulate_monte_carlo
from porescope.pipeline.simulation import parse_materials, simulate_stack
from porescope.segment import segment

VOXEL_NM = 2.5
SHAPE = (352, 128, 128)  # 64 slices of four voxels, and below them what 4 kV comes back from
WAVELENGTHS_NM = (107 * VOXEL_NM, 12.7 * VOXEL_NM)
SOLID_FRACTIONS = (0.35, 0.35)
HOW = {"electrons": 200, "slices": 64, "mean_nm": 10.0, "deviation_nm": 0.0}
THESIS_NOISE = {"poisson_levels": 256, "detector_noise": 0.001**0.5}
FWHM_PER_DEVIATION = 2.3548
BEAMS_KV = (1.0, 2.0, 4.0)
# Sardhara et al., Nanomanuf. Metrol. 7 (2024) 4: k-means on simulated stacks.
THESIS = (4.455, 9.490, 18.626)
# The same protocol in an earlier trial: 100 electrons a pixel, other volumes.
TRIAL = (2.16, 5.67, 13.4)


def misplaced(simulated):
    """Return the share of misplaced pixels in per cent at each voltage, by k-means."""
    truth = np.asarray(simulated.truth_slices.data)
    return [
        100 * float((np.asarray(segment(image, "kmeans")) != truth).mean())
        for image in simulated.images
    ]


class Clock:
    """Counts seconds by the wall, and those of the processor, which others' work leaves alone."""

    def __init__(self):
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def read(self):
        """Return both since the clock was made."""
        return time.perf_counter() - self._wall, time.process_time() - self._processor


def seconds_a_slice(labels):
    """Return the times of one image at each voltage, once the sample is ready: wall, processor."""
    ready = electron_sample(labels, VOXEL_NM, parse_materials("0=epoxy, 1=gold"))
    found = []
    for beam_kv in BEAMS_KV:
        clock = Clock()
        simulate_monte_carlo(ready, 0, beam_kv=beam_kv, electrons=200, secondaries=False)
        found.append(clock.read())
    return zip(*found, strict=True)


def row(name, values, form="{:.2f}"):
    """Return a row of a table."""
    return f"| {name} | " + " | ".join(form.format(value) for value in values) + " |"


def main():
    """Print the tables."""
    labels = hierarchical_leveled_wave(
        SHAPE, spacing_nm=VOXEL_NM, wavelengths_nm=WAVELENGTHS_NM, solid_fractions=SOLID_FRACTIONS,
        seed=1,
    ).astype(np.uint8)  # fmt: skip
    sample = Stack(labels, (VOXEL_NM,) * 3, is_labels=True)
    header = "| | 1 kV | 2 kV | 4 kV |\n|---|---|---|---|"
    print(
        "# Stacks at three voltages: figures\nMade by `montecarlo_stack.py`: hierarchical gold in "
        f"epoxy, solid {labels.mean():.3f}, wavelengths 12.7 and 107 voxels of 2.5 nm, 64 slices "
        "of 128 x 128 pixels 10 nm apart, 200 electrons a pixel, the "
        "thesis's Poisson (256) and Gaussian (variance .001) noise on top, on two cores.\n"
    )
    print(f"## Seconds for one slice, 3.3 million electrons\n{header}")
    wall, processor = seconds_a_slice(labels[:110])
    print(row("by the wall", wall), row("of the processor, both cores", processor), sep="\n")
    tables, times = [], []
    for name, probe_nm in (("no probe", 0.0), ("probe of 2.5 nm sigma", 2.5 * FWHM_PER_DEVIATION)):
        clock = Clock()
        simulated = simulate_stack(sample, {**HOW, "probe_nm": probe_nm, **THESIS_NOISE})
        times.append(clock.read())
        tables.append(row(f"porescope, {name}", misplaced(simulated)))
    print("\n## Seconds for the stack, 6.3e8 electrons\n")
    print("| | by the wall | of the processor, both cores |\n|---|---|---|")
    print(row("no probe", times[0], "{:.0f}"), row("probe", times[1], "{:.0f}"), sep="\n")
    print("\nThe aim was 300 by the wall on two cores.\n")
    print(f"## Pixels that k-means misplaces, %\n{header}")
    print(row("thesis, MCXray", THESIS), row("earlier trial", TRIAL), *tables, sep="\n")


if __name__ == "__main__":
    main()
