"""Time electrons in the samples of spheres and cylinders of the neural simulator's paper.

Run with ``python benchmarks/montecarlo_primitives.py``; prints results/montecarlo_primitives.md.
"""

import time

import numpy as np

from porescope.geometry import Primitives, boolean_model, paper_sample, voxelize
from porescope.imaging import electron_sample, simulate_monte_carlo

PIXEL_NM = 3.0
PLANE_Z = 300.0
PIXELS = (128, 128)
SAMPLES = (
    "sphere-p0.3-r10-15-1",
    "sphere-p0.7-r10-15-1",
    "sphere-p0.3-r30-50-1",
    "sphere-p0.7-r30-50-1",
    "cylinder-p0.5-r5-10-h100-150-uniform-1",
    "cylinder-p0.5-r10-20-h300-500-vmf-1",
    "cylinder-p0.7-r30-50-h300-500-vmf-1",
)


def row(*cells):
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def electrons_a_second(sample, beam_kv, with_secondaries):
    """Of time on a processor, which others may use at the same time."""
    electrons = 12 if beam_kv < 2 else 3

    def seconds():
        start = time.process_time()
        simulate_monte_carlo(
            sample,
            PLANE_Z,
            beam_kv=beam_kv,
            electrons=electrons,
            pixel_nm=PIXEL_NM,
            shape=PIXELS,
            secondaries=with_secondaries,
            threads=1,
        )
        return time.process_time() - start

    return electrons * PIXELS[0] * PIXELS[1] / min(seconds() for _ in range(5))


def samples():
    yield from ((name, paper_sample(name)) for name in SAMPLES)
    cubes = boolean_model("cube", porosity=0.5, shape=(500, 300, 300), edge=(20, 30), seed=1)
    yield "cubes, porosity 0.5, edges 20 to 30, 300 x 300 x 500", cubes


def speed():
    print("\n## Speed: electrons a second on one core, carbon and empty pores")
    head(
        "sample, units of 3 nm",
        "primitives",
        "made ready / s",
        "1 kV",
        "1 kV and secondaries",
        "5 kV",
        "5 kV and secondaries",
    )
    for name, primitives in samples():
        start = time.perf_counter()
        ready = electron_sample(primitives, PIXEL_NM)
        seconds = time.perf_counter() - start
        rates = [
            electrons_a_second(ready, beam_kv, with_secondaries)
            for beam_kv in (1.0, 5.0)
            for with_secondaries in (False, True)
        ]
        row(name, len(primitives), f"{seconds:.1f}", *(f"**{rate:.2g}**" for rate in rates))
    print(
        "\nPrill and Schladitz, Scanning 35 (2013) 189, from precomputed tracks: 9.8e4 in spheres, "
        "5.4e4 in cubes."
    )


def agreement():
    print("\n## Beside voxels of the same sphere, radius 48 nm, carbon")
    head("", "kV", "back-scattered", "secondaries", "transmitted")
    side, radius, pixel_nm, electrons = 32, 12, 4.0, 1000
    sphere = Primitives(spheres=[[16, 16, 16, radius]], shape=(side,) * 3)
    for beam_kv in (1.0, 5.0):
        rows = [("exact", sphere, None)]
        for fine in (2, 4, 8):
            voxels = voxelize(Primitives(spheres=sphere.spheres * fine, shape=(side * fine,) * 3))
            rows.append((f"voxels of {pixel_nm / fine:g} nm", voxels, pixel_nm / fine))
        for name, sample, voxel_nm in rows:
            images = simulate_monte_carlo(
                sample,
                0.0,
                beam_kv=beam_kv,
                electrons=electrons,
                pixel_nm=pixel_nm,
                voxel_nm=voxel_nm,
            )
            row(
                name,
                f"{beam_kv:g}",
                *(
                    f"{value:.5f} ± {np.sqrt(value / (electrons * side**2)):.5f}"
                    for value in (images[signal].mean() for signal in ("bse", "se", "transmitted"))
                ),
            )


if __name__ == "__main__":
    print("# Electrons in spheres, cylinders and cuboids: figures")
    speed()
    agreement()
