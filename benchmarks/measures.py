"""Measures against closed forms, against PoreSpy and TauFactor, and their time and memory.

Needs PoreSpy and TauFactor (pip install porespy taufactor), which nothing else does.
python benchmarks/measures.py [--seeds 10] prints the tables and stores them in results/measures.md.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from porescope import measure
from porescope.geometry import boolean_model, leveled_wave, spheroids, voxelize

RESULTS = Path(__file__).parent / "results" / "measures.md"
POROSITY = 0.6
RADIUS = 10.0
INTENSITY = -math.log(POROSITY) / (4 / 3 * math.pi * RADIUS**3)
SMALL, LARGE, SLOW = 192, 512, 256
TIMED = ["isotropy", "morphometry", "percolation", "volume_fractions", "scores"]


def spheres(shape, seed, radius=RADIUS):
    model = boolean_model("sphere", porosity=POROSITY, shape=shape, radius=radius, seed=seed)
    return voxelize(model, shape).astype(np.uint8)


def table(*rows):
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def closed_forms(seeds):
    """Numbers of Boolean spheres of many seeds beside their formulas."""
    lags = np.array([0, 5, 10, 20, 30])
    near = np.minimum(lags, 2 * RADIUS) / (2 * RADIUS)
    overlap = 4 / 3 * math.pi * RADIUS**3 * (1 - 1.5 * near + 0.5 * near**3)
    both_pore = POROSITY**2 * np.exp(INTENSITY * overlap)
    path = POROSITY * np.exp(-INTENSITY * math.pi * RADIUS**2 * lags)
    truth = {
        **{f"two-point, solid, lag {lag}": 1 - 2 * POROSITY + value
           for lag, value in zip(lags, both_pore, strict=True)},
        **{f"lineal path, pores, lag {lag}": value for lag, value in zip(lags, path, strict=True)},
        "volume fraction, solid": 1 - POROSITY,
        "specific surface, 1/um": 1000 * INTENSITY * 4 * math.pi * RADIUS**2 * POROSITY,
        "mean chord of pores, nm": 1 / (INTENSITY * math.pi * RADIUS**2),
    }  # fmt: skip
    found = {name: [] for name in truth}
    for seed in range(seeds):
        labels = spheres((SMALL,) * 3, seed)
        solid = measure.correlations(labels, (1, 1, 1)).two_point(2)
        pores = measure.correlations(labels, (1, 1, 1), phase=0).lineal_path(2)
        shape, pore_shape = (
            measure.morphometry(labels, (1, 1, 1), phase=phase) for phase in (None, 0)
        )
        for kind, curve in (("two-point, solid", solid), ("lineal path, pores", pores)):
            for lag in lags:
                found[f"{kind}, lag {lag}"].append((curve[0][lag], curve[1][lag]))
        for name, numbers, key in (
            ("volume fraction, solid", shape, "volume_fraction"),
            ("specific surface, 1/um", shape, "surface_per_um"),
            ("mean chord of pores, nm", pore_shape, "mean_chord_x_nm"),
        ):
            found[name].append((numbers[key], numbers[f"{key}_uncertainty"]))
    rows = [
        (
            "number", "formula", "mean", "standard error of the mean", "off by",
            "scatter between seeds", "mean uncertainty told", "within 2 uncertainties",
        )
    ]  # fmt: skip
    for name, pairs in found.items():
        values, told = np.transpose(pairs)
        scatter = values.std(ddof=1)
        covered = np.count_nonzero(np.abs(values - truth[name]) <= 2 * told)
        rows.append((
            name, f"{truth[name]:.4g}", f"{values.mean():.4g}",
            f"{scatter / math.sqrt(seeds):.2g}",
            f"{100 * (values.mean() / truth[name] - 1):+.2f} %",
            f"{scatter:.2g}", f"{told.mean():.2g}", f"{covered} of {seeds}",
        ))  # fmt: skip
    return table(*rows)


def beside_porespy(seeds):
    """The same numbers by PoreSpy, on isotropic phantoms, and tortuosity by TauFactor alone."""
    import porespy
    import taufactor

    rows = [("phantom", "number", "porescope", "told uncertainty", "other", "difference")]

    def row(phantom, name, value, told, other):
        difference = f"{100 * (value / other - 1):+.2f} %"
        rows.append((phantom, name, f"{value:.4g}", f"{told:.2g}", f"{other:.4g}", difference))

    for seed in range(seeds):
        phantoms = {
            f"spheres {seed}": spheres((128,) * 3, 100 + seed, radius=8.0) > 0,
            f"waves {seed}": leveled_wave(
                (128,) * 3, spacing_nm=1, wavelength_nm=24, solid_fraction=0.4, seed=100 + seed
            ),
        }
        for name, solid in phantoms.items():
            found = measure.correlations(solid, (1, 1, 1))
            radial = porespy.metrics.two_point_correlation(solid, bins=np.arange(0, 21) - 0.001)
            curves = [found.two_point(axis) for axis in range(3)]
            centres = np.asarray(radial.bin_centers)
            for lag in (5, 10):
                at = [np.interp(centres[lag], np.arange(len(c[0])), c[0]) for c in curves]
                told = np.mean([c[1][lag] for c in curves])
                all_directions = float(np.asarray(radial.probability_scaled)[lag])
                row(name, f"two-point at {centres[lag]:.1f} voxels (PoreSpy: all directions)",
                    np.mean(at), told, all_directions)  # fmt: skip
            value, its = found.chord_lengths(2)
            chords = porespy.filters.apply_chords(
                solid, axis=2, spacing=1, trim_edges=True, label=True
            )
            lengths = np.asarray(porespy.metrics.chord_counts(chords))
            sizes = np.arange(len(value))
            row(name, "chords of 4 to 12 voxels, share", value[4:13].sum(),
                np.linalg.norm(its[4:13]), np.mean((lengths >= 4) & (lengths <= 12)))  # fmt: skip
            row(name, "mean chord, voxels", value @ sizes,
                float(np.linalg.norm(its * sizes)), lengths.mean())  # fmt: skip
            thick = measure.local_thickness(solid, (1, 1, 1))
            local = porespy.filters.local_thickness(solid, method="legacy", sizes=60)
            row(name, "mean local thickness, voxels", thick["thickness_nm"],
                thick["thickness_nm_uncertainty"], 2 * float(local[solid].mean()))  # fmt: skip
    bent = measure.tortuosity(solid, (1, 1, 1), phase=0)
    alone = taufactor.Solver((~solid).astype(np.uint8), device="cpu").solve(verbose=False)
    row(name, "tortuosity factor of the pores along z (TauFactor's isotropic solver)",
        bent["tortuosity_z"], bent["tortuosity_z_uncertainty"], float(alone[0]))  # fmt: skip
    return table(*rows)


def stretched():
    """The phantom of Fig. 2.10, and isotropic structures with true and wrong voxel sizes."""
    rows = [("volume", "voxel size told, nm", "e TPCF", "e LPF", "e D", "D xy", "D xz", "D yz")]

    def row(name, labels, spacing_nm, phase=None):
        found = measure.isotropy(labels, spacing_nm, phase=phase)
        errors = (
            f"{found[key]:.3f} ± {found[f'{key}_uncertainty']:.3f}"
            for key in ("tpcf", "lpf", "diameter")
        )
        diameters = (f"{found[f'D_{plane}_nm']:.1f}" for plane in ("xy", "xz", "yz"))
        rows.append((name, " x ".join(map(str, spacing_nm)), *errors, *diameters))

    for ratio in (1.5, 2, 3):
        phantom = spheroids(
            (360, 180, 180), spacing_nm=1, pitch_nm=30, solid_fraction=0.7, aspect_ratio=ratio
        )
        curves = measure.correlations(phantom, (1, 1, 1))
        (_, y, x) = (curves.two_point(axis)[0] for axis in range(3))
        assert np.array_equal(x, y), "x and y must agree to the last bit"
        row(f"spheroids stretched {ratio} times along z, their pores", phantom, (1, 1, 1), 0)
    for seed in range(3):
        wave = leveled_wave(
            (256,) * 3, spacing_nm=1, wavelength_nm=30, solid_fraction=0.35, seed=seed
        )
        row(f"leveled wave, seed {seed}", wave, (1, 1, 1))
        row("the same, every fourth slice", wave[::4], (4, 1, 1))
        row("the same, voxel size wrong", wave[::4], (2, 1, 1))
    return table(*rows)


def timed(name, path):
    """Measure one volume in this process; print seconds, processor seconds and peak memory."""
    if path.endswith(".npy"):
        labels = np.load(path)
    else:
        from porescope.io import read_stack

        labels = read_stack(path).data
    spacing = () if name in ("percolation", "volume_fractions") else ((2.5, 2.5, 2.5),)
    function = getattr(measure, name)
    began, worked = time.perf_counter(), time.process_time()
    function(labels, labels) if name == "scores" else function(labels, *spacing)
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    # Not ru_maxrss, which a process takes over from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 2**10
    print(json.dumps([seconds, processor, peak]))


def costs():
    """Time and memory on a large volume, each measure in a process of its own."""
    from porescope import Stack
    from porescope.io import write_stack

    rows = [("measure", "volume", "s", "processor s", "peak MiB", "volume MiB", "ratio")]

    def row(name, path, shape):
        command = [sys.executable, __file__, "--timed", name, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, processor, peak = json.loads(done.stdout.splitlines()[-1])
        size = math.prod(shape) / 2**20
        rows.append((
            name, path.suffix + " " + " x ".join(map(str, shape)), f"{seconds:.1f}",
            f"{processor:.1f}", f"{peak:.0f}", f"{size:.0f}", f"{peak / size:.2f}",
        ))  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        shape = (LARGE,) * 3
        labels = spheres(shape, 0, radius=12.0)
        np.save(path := Path(folder) / "labels.npy", labels)
        for name in TIMED:
            row(name, path, shape)
        np.save(part := Path(folder) / "part.npy", labels[:SLOW, :SLOW, :SLOW])
        row("local_thickness", part, (SLOW,) * 3)
        tall = np.concatenate([labels, labels[::-1], labels, labels[::-1]])
        store = Path(folder) / "labels.ome.zarr"
        write_stack(store, Stack(np.tile(tall, (1, 1, 2)), (2.5, 2.5, 2.5), is_labels=True))
        for name in TIMED[:3]:
            row(name, store, (4 * LARGE, LARGE, 2 * LARGE))
    return table(*rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--timed", nargs=2, metavar=("MEASURE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.timed:
        timed(*options.timed)
        return
    text = f"""# Measures: figures
Two CPU cores, no GPU; `measures.py`. Load of the machine when it began: {os.getloadavg()[0]:.1f}. \
"Uncertainty" is the standard error from eight parts of the volume. PoreSpy leaves out chords that \
a face cuts, long ones more often, so its mean is too small; porescope weights for that.
Asked for: isotropy of 512^3 voxels in under 60 s on two cores and under 3 times its memory.

## Boolean spheres of {options.seeds} seeds, {SMALL}^3 voxels of 1 nm, radius {RADIUS:g}, porosity \
{POROSITY}: closed forms
{closed_forms(options.seeds)}

## Beside PoreSpy and TauFactor, 128^3 voxels of 1 nm
{beside_porespy(2)}

## Anisotropy: the phantom of the thesis's Fig. 2.10, and isotropic structures
{stretched()}

## Time and memory
{costs()}
"""
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
