"""Samples on a voxel grid: solid fractions at 256^3, and 850 x 850 x 1130 voxels in under 2 GiB.

Each row runs in a process of its own, so that its peak of resident memory is its own.
python benchmarks/samples.py [--folder DIR] prints the tables and stores them in results/samples.md.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from porescope import geometry
from porescope.geometry import leveled_wave
from porescope.io import write_stack
from porescope.stack import Stack

RESULTS = Path(__file__).parent / "results" / "samples.md"
TOLERANCE = 0.01
LIMIT_GIB = 2
SPACING_NM = 2.5
SMALL = (256, 256, 256)
LARGE = (1130, 850, 850)
GOLD = {"wavelength_nm": 100.0, "solid_fraction": 0.35}
HIERARCHY = {"wavelengths_nm": (267.5, 31.75), "solid_fractions": (0.35, 0.35)}

CASES = [
    ("leveled_wave", {**GOLD, "solid_fraction": 0.1}, 0.1),
    ("leveled_wave", GOLD, 0.35),
    ("leveled_wave", {"wavelength_nm": 600.0, "solid_fraction": 0.35}, 0.35),
    ("hierarchical_leveled_wave", HIERARCHY, 0.1225),
    ("self_similar", {"ratio": 5.0}, None),
    ("self_similar", {"ratio": 5.0, "solid_fraction": 0.1225}, 0.1225),
    ("self_similar", {"ratio": 5.0, "solid_fraction": 0.25}, 0.25),
    ("random_pores", {"radius_nm": 40.0, "radius_sd_nm": 10.0, "solid_fraction": 0.2}, 0.2),
    ("random_pores", {"radius_nm": 40.0, "radius_sd_nm": 10.0, "solid_fraction": 0.7}, 0.7),
    ("random_pores", {"radius_nm": 12.5, "radius_sd_nm": 2.5, "solid_fraction": 0.35}, 0.35),
    ("random_pores", {"radius_nm": 300.0, "radius_sd_nm": 50.0, "solid_fraction": 0.35}, 0.35),
    ("spheroids", {"pitch_nm": 80.0, "aspect_ratio": 2.0, "solid_fraction": 0.55}, 0.55),
    ("spheroids", {"pitch_nm": 80.0, "aspect_ratio": 2.0, "solid_fraction": 0.8}, 0.8),
    ("spheroids", {"pitch_nm": 50.0, "aspect_ratio": 3.0, "solid_fraction": 0.9}, 0.9),
]
LARGE_CASES = [
    ("leveled_wave", GOLD),
    ("hierarchical_leveled_wave", HIERARCHY),
    ("self_similar", {"ratio": 5.0, "solid_fraction": 0.1225}),
    ("random_pores", {"radius_nm": 40.0, "radius_sd_nm": 10.0, "solid_fraction": 0.35}),
    ("spheroids", {"pitch_nm": 80.0, "aspect_ratio": 2.0, "solid_fraction": 0.7}),
    ("label_layers", {"slice_nm": 2.5}),
]


def draw(name: str, shape: tuple[int, int, int], parameters: dict, lazy: bool):
    if name == "label_layers":
        depth, *pixels = shape
        layers_nm = geometry.perlin_layers(
            pixels, spacing_nm=SPACING_NM, wavelength_nm=400, thickest_nm=(1000, 1800)
        )
        return geometry.label_layers(layers_nm, slices=depth, lazy=lazy, **parameters)
    if name == "self_similar":
        structure = leveled_wave(shape, spacing_nm=SPACING_NM, lazy=lazy, **GOLD)
        return geometry.self_similar(structure, spacing_nm=SPACING_NM, lazy=lazy, **parameters)
    return getattr(geometry, name)(shape, spacing_nm=SPACING_NM, lazy=lazy, **parameters)


def measure(name: str, size: str, parameters: dict, folder: str | None) -> dict:
    """Draw one sample, into a file where there is a folder; return figures of it."""
    began = time.perf_counter()
    shape = SMALL if size == "small" else LARGE
    sample = draw(name, shape, parameters, lazy=folder is not None)
    if folder is None:
        seconds, solid = time.perf_counter() - began, float((sample != 0).mean())
    else:
        path = Path(folder) / "sample.ome.zarr"
        write_stack(path, Stack(sample, spacing_nm=(SPACING_NM,) * 3))
        seconds = time.perf_counter() - began
        solid = _mean_on_disk(path)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "solid": solid, "peak_gib": peak_gib}


def _mean_on_disk(path: Path) -> float:
    import zarr

    stored = zarr.open_array(path / "0", mode="r")
    step = stored.chunks[0]
    counts = [np.count_nonzero(stored[z : z + step]) for z in range(0, stored.shape[0], step)]
    return sum(counts) / stored.size


def in_own_process(*arguments: object) -> dict:
    command = [sys.executable, __file__, "--measure", json.dumps(arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def described(parameters: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="where there is room for the large samples")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    lines = [
        "# Samples on a voxel grid: figures",
        "Two CPU cores, no GPU; `samples.py`. Voxels of 2.5 nm. The peak is that of the whole "
        "process, of which Python and its imports are 0.04 to 0.1 GiB.",
        "",
        "## 256^3, as an array in memory",
        "| sample | parameters | solid fraction | asked for | s | peak GiB |",
        "|---|---|---|---|---|---|",
    ]
    failed = []
    for name, parameters, wanted in CASES:
        found = in_own_process(name, "small", parameters, None)
        lines.append(
            f"| {name} | {described(parameters)} | {found['solid']:.4f} | {wanted or 'as it is'} "
            f"| {found['seconds']:.1f} | {found['peak_gib']:.2f} |"
        )
        print(lines[-1], flush=True)
        if wanted and abs(found["solid"] - wanted) > TOLERANCE:
            failed.append(name)
    lines += [
        "",
        "## 850 x 850 x 1130, written slab by slab as OME-Zarr with its pyramid",
        "| sample | parameters | solid fraction | min | peak GiB (limit 2) |",
        "|---|---|---|---|---|",
    ]
    for name, parameters in LARGE_CASES:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = in_own_process(name, "large", parameters, folder)
        lines.append(
            f"| {name} | {described(parameters)} | {found['solid']:.4f} "
            f"| {found['seconds'] / 60:.1f} | {found['peak_gib']:.2f} |"
        )
        print(lines[-1], flush=True)
        if found["peak_gib"] > LIMIT_GIB:
            failed.append(f"{name} (memory)")
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if failed:
        sys.exit(f"outside the limits: {', '.join(failed)}")


if __name__ == "__main__":
    main()
