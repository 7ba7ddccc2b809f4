"""Does the physics check rank segmentations without knowing the truth?

python benchmarks/physics_check.py FOLDER [--imaging montecarlo|gold-epoxy] [--every N] ...
    FOLDER/test-NN and FOLDER/validation-00 are made by tools/simulate_training_stacks.py; prints
    the tables and stores them in results/physics_check.md; two to three minutes a volume and core

The check was developed on validation-00 and test-02, which is marked; the forest, a segmentation
that learned, with mistakes where images mislead, learned on validation-00 too.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from porescope.errors import PorescopeError
from porescope.imaging import load_surrogate
from porescope.io import read_stack, read_voltages
from porescope.measure import ByMonteCarlo, BySurrogate, physics_check, scores
from porescope.segment import segment
from porescope.segment.forest import train_forest

RESULTS = Path(__file__).parent / "results" / "physics_check.md"
MATERIALS = {0: "epoxy", 1: "gold"}
FLIPPED = 0.002
SEEN = 2
TRUTH, LATE, KMEANS = "truth", "late fusion", "k-means"
FOREST, FLIPS = "forest", "truth, border flipped"


def read(folder):
    """Return images of all voltages, and the truth of their slices."""
    truth = read_stack(folder / "truth-slices.ome.zarr")
    return read_voltages(folder), np.asarray(truth.data).astype(np.uint8)


def flipped(truth, seed):
    """Return the truth with so many of its pixels wrong, in clumps along borders."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=truth.shape), (0, 1, 1))
    cross = ndimage.generate_binary_structure(2, 1)[np.newaxis]
    border = ndimage.binary_dilation(truth, cross) ^ ndimage.binary_erosion(truth, cross)
    field[~border] = -np.inf
    return truth ^ (field >= np.quantile(field, 1 - FLIPPED))


def late_fusion(stacks, weights):
    """Return what trained networks say, or None where there are none yet."""
    try:
        return np.asarray(segment(stacks, "late-fusion", weights=weights))
    except PorescopeError as error:
        print(error, file=sys.stderr)
        return None


def segmented(stacks, truth, forest, weights, seed):
    """Return segmentations by name."""
    found = {
        TRUTH: truth,
        LATE: late_fusion(stacks, weights),
        FLIPS: flipped(truth, seed),
        FOREST: forest.segment(stacks),
        KMEANS: np.asarray(segment(stacks, "kmeans")),
    }
    return {name: labels for name, labels in found.items() if labels is not None}


def share(better, worse):
    """Return in how many of the slices that tell one is ranked above the other."""
    known = ~np.isnan(better)
    return f"{(better < worse)[known].sum()} of {known.sum()}"


def main():
    """Check, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--imaging", default="montecarlo")
    parser.add_argument("--weights", default="gold-epoxy", help="of late fusion")
    parser.add_argument("--volumes", type=int, default=10)
    parser.add_argument("--electrons", type=int, default=16)
    parser.add_argument("--every", type=int, default=2, help="image every so many slices")
    parser.add_argument("--interpolation", default="learned")
    asked = parser.parse_args()
    by = (
        ByMonteCarlo(MATERIALS, electrons=asked.electrons)
        if asked.imaging == "montecarlo"
        else BySurrogate(load_surrogate(asked.imaging))
    )
    stacks, truth = read(asked.folder / "validation-00")
    scribbles = np.where(np.arange(len(truth))[:, None, None] % 8 == 2, truth + 1, 0)
    forest = train_forest(stacks, scribbles)
    rows, by_slice, misplaced, seconds = [], [], [], []
    for folder in sorted(asked.folder.glob("test-[0-9][0-9]"))[: asked.volumes]:
        stacks, truth = read(folder)
        labels = segmented(stacks, truth, forest, asked.weights, seed=int(folder.name[-2:]))
        found = {}
        for name, each in labels.items():
            start = time.process_time()
            found[name] = physics_check(
                stacks, each, by, interpolation=asked.interpolation,
                slices=range(0, len(truth), asked.every),
            )  # fmt: skip
            seconds.append(time.process_time() - start)
        rows.append({name: check.score for name, check in found.items()})
        by_slice.append({name: check.slice_scores for name, check in found.items()})
        misplaced.append({name: scores(each, truth)["MP"] for name, each in labels.items()})
        print(folder.name, rows[-1], file=sys.stderr, flush=True)
    names = list(rows[0])
    text = [
        "# The physics check: ranking segmentations without the truth",
        f"By `physics_check.py`, imaging by {asked.imaging}"
        + (f" ({asked.electrons} electrons a pixel)" if asked.imaging == "montecarlo" else "")
        + f", one slice of {asked.every} of {len(truth)}, 1, 2 and 4 kV, gold in epoxy; volumes "
        f"that chose nothing. Labels between slices by the interpolation {asked.interpolation}. "
        "The misfit is about the share of the images, in %, that shows another phase than the "
        "labels say; MP, against the truth, stands beside it.",
        "",
        "| volume | " + " | ".join(f"{name}: misfit (MP) %" for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {number}{' (seen)' if number == SEEN else ''} | "
            + " | ".join(f"{row[name]:.3f} ({wrong[name]:.2f})" for name in names)
            + " |"
            for number, (row, wrong) in enumerate(zip(rows, misplaced, strict=True))
        ),
        "",
        "| one above the other | volumes | slices |",
        "|---|---|---|",
    ]
    for place, better in enumerate(names):
        for worse in names[place + 1 :]:
            if better != TRUTH and worse != KMEANS:
                continue
            volumes = sum(row[better] < row[worse] for row in rows)
            slices = share(
                *(np.concatenate([s[name] for s in by_slice]) for name in (better, worse))
            )
            text.append(f"| {better} above {worse} | {volumes} of {len(rows)} | {slices} |")
    text += ["", f"A check takes {np.median(seconds):.0f} s of processor time (median)."]
    print("\n".join(text))
    RESULTS.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
