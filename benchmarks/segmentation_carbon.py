"""Segmentation of Monte-Carlo stacks of porous carbon in vacuum that chose nothing.

python tools/simulate_training_stacks.py DATA carbon test --stacks 4 --slices 10
python benchmarks/segmentation_carbon.py DATA/carbon [WEIGHTS.safetensors]
prints the table and stores it in results/segmentation_carbon.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np

from porescope.pipeline.trainings.samples import read_sample
from porescope.segment import segment
from porescope.segment.model import load_segmentation
from segmentation import BEAMS_KV, Method, scored

RESULTS = Path(__file__).parent / "results" / "segmentation_carbon.md"


def methods(weights: str) -> dict[str, Method]:
    """Return what is compared, by name."""
    found: dict[str, Method] = {}
    for name, method, more in (
        ("Otsu", "otsu", {}),
        ("k-means of two", "kmeans", {"clusters": 2}),
        ("U-Net, adjacent slices", "unet-adjacent", {"weights": weights}),
    ):
        for beam, beam_kv in enumerate(BEAMS_KV):
            found[f"{name}, {beam_kv:g} kV"] = lambda stacks, beam=beam, method=method, more=more: (
                segment(stacks[beam], method, **more)
            )
    found["late fusion"] = lambda stacks: segment(stacks, "late-fusion", weights=weights)
    found["votes"] = lambda stacks: segment(stacks, "vote", weights=weights)
    return found


def main() -> None:
    """Print the table and store it."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", nargs="?", default="carbon-vacuum")
    asked = parser.parse_args()
    paths = sorted(path for path in asked.folder.glob("test-[0-9][0-9]") if path.is_dir())
    samples = [
        (sample.stacks, np.asarray(sample.truth.data) > 0) for sample in map(read_sample, paths)
    ]
    solid = ", ".join(f"{truth.mean():.2f}" for _, truth in samples)
    lines = [
        "# Segmentation of porous carbon: figures",
        f"By `segmentation_carbon.py`: secondary electrons by Monte Carlo, {len(samples)} stacks "
        f"(spheres, cylinders, waves; {solid} solid) of {len(samples[0][1])} slices of 128 x 128 "
        "pixels that chose nothing, 2.5 nm pixels, 10 nm slices, 20 electrons a pixel. No "
        "reference gives figures for this.",
        "",
        "| | MP % | MGP % | MDS | worst MP % | solid fraction, mean (worst) |",
        "|---|---|---|---|---|---|",
    ]
    for name, method in methods(asked.weights).items():
        row = scored(method, samples)
        lines.append(
            f"| {name} | {row['MP']:.2f} | {row['MGP']:.2f} | {row['MDS']:.4f} | "
            f"{row['worst']:.2f} | {row['solid']:+.4f} ({row['worst solid']:+.4f}) |"
        )
        print(lines[-1], flush=True)
    card = load_segmentation(asked.weights)[1]
    lines += ["", "## Weights", f"{card.data} {card.split}"]
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
