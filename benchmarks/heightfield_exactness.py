"""Hold heightfields of 850 x 850 pixels against rays in double precision, pixel by pixel.

Run with ``python benchmarks/heightfield_exactness.py [folder of primitive lists] [pixels]``. Random
pixels of every list in the folder and of Boolean models of every kind, at planes that leave the
sample whole and planes that cut it. A mismatch is a depth that is wrong by more than 1e-3, an
interval too many or too few, or a normal that is off by more than 2e-3 where no other face is met
within 1e-3 of the first entry.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from heightfield_reference import cut, meet  # noqa: E402
from porescope.geometry import boolean_model  # noqa: E402
from porescope.imaging import extract_heightfield  # noqa: E402
from porescope.io import read_primitives  # noqa: E402

LISTS = ROOT.parent / "shared" / "data" / "real" / "primitives"
DEPTH_TOLERANCE = 1e-3
NORMAL_TOLERANCE = 2e-3
SHAPE = (850, 850)
LAYERS = 8
PLANES = (0.0, 1.0, 10.0, 20.0, 257.3, 267.3, 500.0, 990.0)  # and one above everything

BOX = (1130, *SHAPE)
MODELS = {
    "spheres": {"kind": "sphere", "porosity": 0.5, "radius": (10, 15)},
    "cylinders": {"kind": "cylinder", "porosity": 0.5, "radius": (10, 20), "height": (100, 150)},
    "cubes": {"kind": "cube", "porosity": 0.5, "edge": (15, 40)},
    "fine vMF cylinders": {
        "kind": "cylinder",
        "porosity": 0.3,
        "radius": (5, 10),
        "height": (100, 150),
        "orientation": "von-mises-fisher",
    },
    "vMF cubes": {
        "kind": "cube",
        "porosity": 0.7,
        "edge": (15, 40),
        "orientation": "von-mises-fisher",
    },
    "aligned cylinders": {
        "kind": "cylinder",
        "porosity": 0.5,
        "radius": (10, 20),
        "height": (100, 150),
        "orientation": "aligned",
    },
    "aligned cubes": {
        "kind": "cube",
        "porosity": 0.5,
        "edge": (15, 40),
        "orientation": "aligned",
    },
}


def samples(folder):
    for path in sorted(folder.glob("*.txt")):
        yield path.stem.split("_PlusSampling")[0], read_primitives(path)
    for name, parameters in MODELS.items():
        yield name, boolean_model(**parameters, shape=BOX, seed=1)


def compare(sample, rows, columns):
    """Return what was found at all planes: counts, errors and the clearance of mismatches."""
    sample = replace(sample, shape=None)  # a plane above all of it is outside its box
    rays = meet(sample, rows, columns)
    count = dict.fromkeys(("cut", "whole", "empty", "depth wrong", "normal wrong"), 0)
    worst_depth = worst_normal = 0.0
    clearances = []
    planes = (sample.bounds[0][0], *PLANES)
    each = [cut(rays, plane_z, LAYERS) for plane_z in planes]
    for expected in each:
        solid = np.isfinite(expected.entry[0])
        count["cut"] += int((solid & (expected.entry[0] == 0)).sum())
        count["whole"] += int((expected.entry[0] > 0)[solid].sum())
        count["empty"] += int((~solid).sum())
    for layers in (2, LAYERS):
        for plane_z, expected in zip(planes, each, strict=True):
            found = extract_heightfield(sample, plane_z, shape=SHAPE, layers=layers)
            wrong = np.zeros(len(rows), bool)
            for name in ("entry", "exit"):
                depth = getattr(found, name)[:, rows, columns].astype(np.float64)
                truth = getattr(expected, name)[:layers]
                both = np.isfinite(depth) & np.isfinite(truth)
                error = np.abs(np.subtract(depth, truth, where=both, out=np.zeros_like(truth)))
                error[np.isfinite(depth) != np.isfinite(truth)] = np.inf
                wrong |= (error > DEPTH_TOLERANCE).any(axis=0)
                worst_depth = max(worst_depth, error[:, ~wrong].max())
            turned = np.abs(found.normal[:, rows, columns] - expected.normal).max(axis=0)
            certain = (expected.normal_clearance > DEPTH_TOLERANCE) & ~wrong
            worst_normal = max(worst_normal, turned[certain].max())
            count["depth wrong"] += int(wrong.sum())
            count["normal wrong"] += int((turned[certain] > NORMAL_TOLERANCE).sum())
            clearances += expected.clearance[wrong].tolist()
    return count, worst_depth, worst_normal, clearances


def main(folder, pixels):
    print(
        f"{pixels:,} random pixels of each sample at planes {PLANES} and one above all primitives, "
        f"layers 2 and {LAYERS}\n"
    )
    names = ("cut", "whole", "empty", "depth wrong", "normal wrong")
    print(
        "| sample | primitives |",
        " | ".join(names),
        "| largest depth error | largest normal error | clearance of mismatches |",
    )
    print("|---|" + "---:|" * (len(names) + 4))
    total = 0
    for name, sample in samples(folder):
        random = np.random.default_rng(0)
        rows, columns = (random.integers(0, size, pixels) for size in SHAPE)
        count, depth, normal, clearances = compare(sample, rows, columns)
        total += count["depth wrong"] + count["normal wrong"]
        print(
            f"| {name} | {len(sample):,} |",
            " | ".join(f"{count[key]:,}" for key in names),
            f"| {depth:.1e} | {normal:.1e} |",
            ", ".join(f"{clearance:.0e}" for clearance in sorted(clearances)[:8]) or "-",
            "|",
            flush=True,
        )
    print(f"\n{total} mismatches")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else LISTS,
        int(sys.argv[2]) if len(sys.argv) > 2 else 20_000,
    )
