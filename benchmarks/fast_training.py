"""What segmentation networks that learned from fast images are worth on Monte Carlo's.

python tools/simulate_training_stacks.py DATA gold training test
python benchmarks/fast_training.py DATA/gold [--seeds 2]
prints the table and stores it in results/fast_training.md, anew after each seed: about 10 minutes
of a core for each.

The structures that Monte Carlo imaged for training are imaged by fast imaging too, at the same
voltages, slices and dose, and given the look of Monte Carlo by the weights that ship. The same
network learns from each of these, with the noise of the thesis on top, and segments stacks of other
structures that nothing was trained or chosen on.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from porescope import Stack
from porescope.adapt import adapt_stack
from porescope.io import read_stack
from porescope.measure import scores
from porescope.pipeline.simulation import simulate_stack
from porescope.pipeline.simulation.fast import FAST
from porescope.pipeline.trainings.samples import read_sample
from porescope.segment import segment
from porescope.segment.parameters import SegmentationTraining
from porescope.segment.training import Sample, train_segmentation
from segmentation import BEAMS_KV, noisy

RESULTS = Path(__file__).parent / "results" / "fast_training.md"
TRAINING = tuple(f"training-0{number}" for number in range(6))
VALIDATION = 1
TEST = tuple(f"test-0{number}" for number in range(4))
SEGMENTATION = {
    "epochs": 16, "slices": 7, "channels": 16, "patch_px": 64, "stride_px": 64, "patience": 16,
    "learning_rate": 3e-3, "validation": VALIDATION,
}  # fmt: skip
BY_FAST, BY_ADAPTED, BY_MONTE_CARLO = "fast images", "fast images, adapted", "Monte Carlo"
ADAPTATION = "monte-carlo"
PAPER_FAST = {1.0: (0.310, 0.993), 2.0: (0.539, 0.987), 4.0: (0.844, 0.980)}
PAPER_MONTE_CARLO = {1.0: (0.245, 0.994), 2.0: (0.654, 0.985), 4.0: (1.407, 0.967)}
ASKED = 1.5


def imaged(folder: Path, how: str) -> Sample:
    """Return a sample as Monte Carlo imaged it, or as fast imaging does, with further noise."""
    sample = read_sample(folder)
    stacks = sample.stacks
    number = int(folder.name[-2:])
    if how != BY_MONTE_CARLO:
        asked = json.loads((folder / "simulation.json").read_text())["parameters"]
        structure = read_stack(folder.with_name(f"{folder.name}-sample.ome.zarr"))
        made = simulate_stack(structure, {**asked, "surrogate": FAST})
        if not np.array_equal(np.asarray(made.truth_slices.data), np.asarray(sample.truth.data)):
            raise SystemExit(f"{folder} was cut elsewhere by Monte Carlo.")
        stacks = made.images
    if how == BY_ADAPTED:
        stacks = [adapt_stack(stack, ADAPTATION, seed=number) for stack in stacks]
    return Sample(
        [noisy(stack, 1000 * number + int(stack.beam_kv)) for stack in stacks], sample.truth
    )


def of_beam(sample: Sample, beam_kv: float) -> Sample:
    return Sample([stack for stack in sample.stacks if stack.beam_kv == beam_kv], sample.truth)


def judged(stacks: list[Sample], weights: Path) -> tuple[float, float]:
    """Return the mean MP in % and MDS on stacks."""
    found = []
    for sample in stacks:
        stack: Stack = sample.stacks[0]
        labels = segment(stack, "unet-adjacent", weights=weights)
        told = scores(np.asarray(labels) > 0, np.asarray(sample.truth.data) > 0)
        found.append((told["MP"], told["MDS"]))
    misplaced, overlap = np.mean(found, axis=0)
    return float(misplaced), float(overlap)


def one_seed(
    samples: dict[str, dict[str, list[Sample]]], seed: int, work: Path
) -> dict[tuple[str, str, float], tuple[float, float]]:
    """Return MP and MDS by what was learned from, what is segmented, and voltage."""
    found = {}
    for beam_kv in BEAMS_KV:
        for learned, images in samples.items():
            training = [of_beam(sample, beam_kv) for sample in images["training"]]
            folder = work / f"{learned}-{beam_kv:g}"
            parameters = SegmentationTraining(**SEGMENTATION, seed=seed)
            train_segmentation(training[:-VALIDATION], training[-VALIDATION:], folder, parameters)
            weights = folder / "segmentation.safetensors"
            for shown in sorted({learned, BY_MONTE_CARLO} - {BY_ADAPTED}):
                test = [of_beam(sample, beam_kv) for sample in samples[shown]["test"]]
                found[learned, shown, beam_kv] = judged(test, weights)
                print(seed, learned, shown, beam_kv, found[learned, shown, beam_kv], flush=True)
    return found


def table(seeds: list[dict[tuple[str, str, float], tuple[float, float]]]) -> list[str]:
    """Return the page."""
    lines = [
        "# Learned from fast images: figures",
        f"By `fast_training.py`, {len(seeds)} seed{'s' * (len(seeds) > 1)}; MP in % / MDS, means "
        f"of {len(TEST)} stacks of gold in epoxy of 24 slices that nothing was trained or chosen "
        f"on. The small network of {SEGMENTATION['channels']} channels learned from "
        f"{len(TRAINING) - VALIDATION} stacks of 40 slices of 128 x 128 pixels, whose epoch "
        f"{VALIDATION} more chose, with the augmentation that ships.",
        "",
        "| learned from | segmented | " + " | ".join(f"{kv:g} kV" for kv in BEAMS_KV) + " |",
        "|---" * (2 + len(BEAMS_KV)) + "|",
    ]

    def row(title: str, cells: list[str]) -> str:
        return f"| {title} | " + " | ".join(cells) + " |"

    def mean(learned: str, shown: str, beam_kv: float) -> tuple[float, float]:
        misplaced, overlap = np.mean([each[learned, shown, beam_kv] for each in seeds], axis=0)
        return float(misplaced), float(overlap)

    for learned, shown in (
        (BY_MONTE_CARLO, BY_MONTE_CARLO), (BY_FAST, BY_MONTE_CARLO), (BY_ADAPTED, BY_MONTE_CARLO),
        (BY_FAST, BY_FAST),
    ):  # fmt: skip
        told = [mean(learned, shown, beam_kv) for beam_kv in BEAMS_KV]
        lines.append(row(f"{learned} | {shown}", [f"{mp:.3f} / {mds:.3f}" for mp, mds in told]))
    for learned in (BY_FAST, BY_ADAPTED):
        ratios = [
            [
                each[learned, BY_MONTE_CARLO, beam_kv][0]
                / each[BY_MONTE_CARLO, BY_MONTE_CARLO, beam_kv][0]
                for each in seeds
            ]
            for beam_kv in BEAMS_KV
        ]
        lines.append(
            row(
                f"MP of {learned} over that of {BY_MONTE_CARLO}, by seed (asked: {ASKED}) | ",
                [", ".join(f"{ratio:.2f}" for ratio in each) for each in ratios],
            )
        )
    for title, paper in (
        (f"paper, Table 2: {BY_FAST} | {BY_FAST}", PAPER_FAST),
        (f"paper, Table 3: {BY_MONTE_CARLO} | {BY_MONTE_CARLO}", PAPER_MONTE_CARLO),
    ):
        lines.append(row(title, ["{:.3f} / {:.3f}".format(*paper[kv]) for kv in BEAMS_KV]))
    return lines


def main() -> None:
    """Train, count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    samples = {
        name: {
            part: [imaged(options.data / folder, name) for folder in folders]
            for part, folders in (("training", TRAINING), ("test", TEST))
        }
        for name in (BY_FAST, BY_ADAPTED, BY_MONTE_CARLO)
    }
    found = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as work:
            found.append(one_seed(samples, seed, Path(work)))
        RESULTS.write_text("\n".join(table(found)) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
