"""Networks that tell the thickness of layers, beside the tables of the paper.

python benchmarks/layers_networks.py [--samples N] [--few N] [--weights FOLDER] prints the tables
and stores them in results/layers_networks.md. N samples are for the default on series by the
published model, few for all else; an hour of a core for 1,000. Weights of the paper's networks do
not ship: FOLDER holds a folder for each, such as unet/layers.safetensors of
`porescope train layers --network unet`.
Samples are of the set "test", which nothing was trained on or chosen by.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layers import KEYS, NOISES, PAPER_REAL, PAPER_TEST, labels
from porescope.layers import BEAM_KV, Inversion, layer_scores, sample, simulate_series, solve
from porescope.layers.parameters import NETWORK_NAMES
from porescope.learn.weights import read_card

RESULTS = Path(__file__).parent / "results" / "layers_networks.md"
GROUP, HELD = 20, 3
MORE = ("mIOU at 10 nm", "rms gold nm", "rms aluminium nm")
HELD_OUT = ("polygons", "gratings", "meander", "terraces")
INTRODUCTION = """# Thickness of layers from 31 energies: networks
`layers_networks.py`; samples of 128 x 128 pixels of the set for tests, scored as in
[layers.md](layers.md): voxels of 5 nm, those of up to 20 samples counted at once and absent classes
left out. Nobody tells `default` the noise. It learned from Perlin layers, soft and correlated ones,
plates, disks, stripes and bars, by both models; sharp layers are of these or of other kinds. The
paper's networks learned as in the paper from Perlin layers with 2 % noise, but for minutes."""


def solved(
    kind: str, noise: float, samples: range, method: str, model: str = "published"
) -> tuple[list[Inversion], list[NDArray[np.float64]]]:
    """Return what a method finds in samples, and the truth."""
    found, truth = [], []
    for index in samples:
        truth.append(sample("test", index, kind))
        series = simulate_series(truth[-1], model=model, noise=noise, seed=index)
        found.append(solve(series.signals, BEAM_KV, method, model=model))
    return found, truth


def maps(found: list[Inversion]) -> list[NDArray[np.float64]]:
    return [each.thickness_nm for each in found]


def scored(name: str, kind: str, noise: float, count: int, method: str, model: str) -> str:
    """Return a row of scores, means over groups of samples whose voxels are counted at once."""
    rows = []
    for first in range(0, count, GROUP):
        found, truth = solved(kind, noise, range(first, min(count, first + GROUP)), method, model)
        fine, coarse = (layer_scores(labels(maps(found), at), labels(truth, at)) for at in (5, 10))
        error = np.concatenate(maps(found), axis=2) - np.concatenate(truth, axis=2)
        squares = np.square(error).mean(axis=(1, 2))
        rows.append([*(fine[key] for key in KEYS), coarse["mIOU"], *squares])
    *shares, gold, aluminium = np.nanmean(rows, axis=0)
    cells = [*(f"{share:.3f}" for share in shares), f"{gold**0.5:.2f}", f"{aluminium**0.5:.2f}"]
    line = f"| {name}, {100 * noise:g} %, {count} samples | " + " | ".join(cells) + " |"
    print(line, file=sys.stderr, flush=True)
    return line


def heading(cells: list[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |", "|---" * len(cells) + "|"]


def held_out(count: int) -> list[str]:
    """Return mIOU on kinds of layers that were not learned from."""
    lines = heading(["model, kind", "default", "neighbours"])
    for model in ("published", "corrected"):
        for kind in HELD_OUT:
            cells = []
            for method in ("default", "neighbours"):
                found, truth = solved(kind, 0.02, range(count), method, model)
                cells.append(layer_scores(labels(maps(found), 5), labels(truth, 5))["mIOU"])
            lines.append(
                f"| {model}, {kind} | " + " | ".join(f"{each:.3f}" for each in cells) + " |"
            )
    return lines


def sureness(count: int) -> list[str]:
    """Return which share of the truth lies within 1 and 2 of the standard deviations told."""
    lines = heading(["model, kind, noise", "gold 1", "gold 2", "aluminium 1", "aluminium 2"])
    for model in ("published", "corrected"):
        for kind in ("perlin", "sharp"):
            for noise in (0.005, 0.02, 0.05):
                found, truth = solved(kind, noise, range(count), "default", model)
                ratios = np.stack(
                    [
                        np.abs(each.thickness_nm - right) / each.uncertainty_nm
                        for each, right in zip(found, truth, strict=True)
                    ],
                    axis=1,
                )
                cells = [f"{(layer < most).mean():.1%}" for layer in ratios for most in (1, 2)]
                lines.append(f"| {model}, {kind}, {noise:.1%} | " + " | ".join(cells) + " |")
    return lines


def speed() -> list[str]:
    thickness = sample("test", 0, "perlin", (512, 512))
    signals = simulate_series(thickness, model="published", noise=0.02, seed=0).signals
    took = []
    for _ in range(3):
        began, busy = time.perf_counter(), time.process_time()
        solve(signals, BEAM_KV, model="published")
        took.append((time.perf_counter() - began, time.process_time() - busy))
    wall, busy = min(took)
    return [f"512 x 512 pixels, 31 energies: {wall:.1f} s, {busy:.1f} s of processors."]


def main(samples: int, few: int, weights: Path | None) -> None:
    paper = {}
    for name in NETWORK_NAMES:
        path = (weights or Path()) / name / "layers.safetensors"
        if weights is not None and path.exists():
            paper[name] = str(path)
    lines = [INTRODUCTION]
    for model, kind in (
        ("published", "perlin"),
        ("published", "sharp"),
        ("corrected", "perlin"),
        ("corrected", "sharp"),
    ):
        lines += ["", f"## Series by the {model} model, {kind} layers", ""]
        if model == "published":
            lines += [(PAPER_TEST if kind == "perlin" else PAPER_REAL).strip(), ""]
        lines += heading(["method, noise", *KEYS, *MORE])
        for noise in NOISES:
            count = samples if model == "published" else few
            lines.append(scored("default", kind, noise, count, "default", model))
        if model == "published":
            for name, path in paper.items():
                noises = (0.02,) if kind == "perlin" else NOISES
                lines += [scored(name, kind, noise, few, path, model) for noise in noises]
    lines += ["", f"## mIOU on kinds that were not learned from, 2 % noise, {HELD} samples", ""]
    lines += held_out(HELD)
    lines += ["", f"## Share of the truth within 1 and 2 standard deviations, {few} samples", ""]
    lines += sureness(few)
    lines += ["", "## Speed", "", *speed()]
    if paper:
        lines += ["", "## How long the paper's networks learned here", ""]
        lines += heading(["network", "samples", "epochs", "crops of 64 x 64 at once"])
        for name, path in paper.items():
            told = read_card(path).training
            cells = (str(told[key]) for key in ("samples", "epochs", "batch_size"))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += ["", "In the paper: 9,400 samples, 150 epochs (hybrid UVNet 50), 4 times as wide."]
    print("\n".join(lines))
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--samples", type=int, default=1000)
    options.add_argument("--few", type=int, default=20)
    options.add_argument("--weights", type=Path)
    asked = options.parse_args()
    main(asked.samples, asked.few, asked.weights)
