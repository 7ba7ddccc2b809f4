"""Time the distance to the nearest other phase: porescope._core against scipy.

Run with ``python benchmarks/distance_transform.py [edge in voxels]``.
"""

import sys
import time

import numpy as np
from scipy import ndimage

from porescope import _core

SPACING_NM = (10.0, 2.5, 2.5)


def with_scipy(solid):
    return sum(
        ndimage.distance_transform_edt(phase, sampling=SPACING_NM) for phase in (solid, ~solid)
    )


def fastest_of(runs, work):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def main(edge):
    noise = np.random.default_rng(0).normal(size=(edge, edge, edge)).astype(np.float32)
    solid = ndimage.gaussian_filter(noise, 4) > 0
    reference_s, reference = fastest_of(1, lambda: with_scipy(solid))
    rows = [("scipy, both phases", reference_s, 0.0)]
    for threads in (1, 0):
        seconds, distance = fastest_of(
            3, lambda threads=threads: _core.distance_to_other_label(solid, SPACING_NM, threads)
        )
        name = "porescope, one thread" if threads else "porescope, all threads"
        rows.append((name, seconds, float(abs(distance - reference).max())))
    print(f"{edge}^3 voxels, two phases, spacing {SPACING_NM} nm")
    print(f"{'':24}{'seconds':>9}{'faster by':>11}{'largest difference / nm':>26}")
    for name, seconds, difference in rows:
        print(f"{name:24}{seconds:9.2f}{reference_s / seconds:11.1f}{difference:26.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
