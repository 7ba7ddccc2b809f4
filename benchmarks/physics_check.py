"""Does the physics check rank segmentations without knowing the truth?

python benchmarks/physics_check.py FOLDER
    FOLDER/test-NN and FOLDER/validation-00 are made by tools/simulate_training_stacks.py; prints
    the tables and stores them in results/physics_check.md; some three minutes a volume and core,
    less with --imaging gold-epoxy, --every 2, --interpolation kriging or fewer --electrons

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


def imaging_by(name, electrons):
    """Return the imaging of that name."""
    if name == "montecarlo":
        return ByMonteCarlo(MATERIALS, electrons=electrons)
    return BySurrogate(load_surrogate(name))


def tables(name, checks, misplaced, seconds):
    """Return the lines of an imaging's part of the results."""
    rows = [{each: check.score for each, check in found.items()} for found in checks]
    segmentations = list(rows[0])
    lines = [
        f"## Imaging by {name}",
        "| volume | " + " | ".join(f"{each}: misfit (MP) %" for each in segmentations) + " |",
        "|---" * (len(segmentations) + 1) + "|",
        *(
            f"| {number}{' (seen)' if number == SEEN else ''} | "
            + " | ".join(f"{row[each]:.3f} ({wrong[each]:.2f})" for each in segmentations)
            + " |"
            for number, (row, wrong) in enumerate(zip(rows, misplaced, strict=True))
        ),
        "",
        "| one above the other | volumes | slices |",
        "|---|---|---|",
    ]
    for place, better in enumerate(segmentations):
        for worse in segmentations[place + 1 :]:
            if better == TRUTH or worse == KMEANS:
                volumes = sum(row[better] < row[worse] for row in rows)
                slices = share(
                    *(
                        np.concatenate([found[each].slice_scores for found in checks])
                        for each in (better, worse)
                    )
                )
                lines.append(f"| {better} above {worse} | {volumes} of {len(rows)} | {slices} |")
    return [*lines, "", f"A check takes {np.median(seconds):.0f} s of processor time (median).", ""]


def main():
    """Check, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--imaging", nargs="+", default=["gold-epoxy", "montecarlo"])
    parser.add_argument("--weights", default="gold-epoxy", help="of late fusion")
    parser.add_argument("--volumes", type=int, default=10)
    parser.add_argument("--electrons", type=int, default=16, help="for each pixel")
    parser.add_argument("--every", type=int, default=1, help="image every so many slices")
    parser.add_argument("--interpolation", default="learned")
    asked = parser.parse_args()
    stacks, truth = read(asked.folder / "validation-00")
    scribbles = np.where(np.arange(len(truth))[:, None, None] % 8 == 2, truth + 1, 0)
    forest = train_forest(stacks, scribbles)
    imagings = {name: imaging_by(name, asked.electrons) for name in asked.imaging}
    checks = {name: [] for name in imagings}
    seconds = {name: [] for name in imagings}
    misplaced = []
    for folder in sorted(asked.folder.glob("test-[0-9][0-9]"))[: asked.volumes]:
        stacks, truth = read(folder)
        labels = segmented(stacks, truth, forest, asked.weights, seed=int(folder.name[-2:]))
        misplaced.append({name: scores(each, truth)["MP"] for name, each in labels.items()})
        for by, imaging in imagings.items():
            found = {}
            for name, each in labels.items():
                start = time.process_time()
                found[name] = physics_check(
                    stacks, each, imaging, interpolation=asked.interpolation,
                    slices=range(0, len(truth), asked.every),
                )  # fmt: skip
                seconds[by].append(time.process_time() - start)
            checks[by].append(found)
            told = {name: round(check.score, 3) for name, check in found.items()}
            print(folder.name, by, told, file=sys.stderr, flush=True)
    text = [
        "# The physics check: ranking segmentations without the truth",
        "By `physics_check.py`: gold in epoxy at 1, 2 and 4 kV, one slice of "
        f"{asked.every} imaged, by Monte Carlo with {asked.electrons} electrons a pixel, labels "
        f"between slices by the interpolation {asked.interpolation}. Volumes that chose nothing "
        "but where it says so. "
        "The misfit is about the share of the images, in %, that shows another phase than the "
        "labels say; MP, against the truth, stands beside it.",
        "",
    ]
    for name in imagings:
        text += tables(name, checks[name], misplaced, seconds[name])
    print("\n".join(text))
    RESULTS.write_text("\n".join(text))


if __name__ == "__main__":
    main()
