"""Hold the neural simulator to Monte Carlo: cubes, which it never saw, and gold in epoxy.

First make the images, with tools/simulate_surrogate_images.py:
    python tools/simulate_surrogate_images.py DATA cubes cubes-1kV cubes-4kV
    python tools/simulate_surrogate_images.py DATA/gold-test stacks STACK ...
Then ``python benchmarks/surrogate.py DATA`` prints the first part of results/surrogate.md. With
``--trainings WORK`` (and DATA/training, DATA/validation) it trains the networks of Tables 3 and 4
for a short while into WORK, and prints the second; half an hour on one core.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from porescope.geometry import boolean_model
from porescope.imaging import extract_heightfield, load_surrogate
from porescope.imaging.surrogate.images import examples_in, read_example
from porescope.imaging.surrogate.layouts import LAYOUTS
from porescope.imaging.surrogate.settings import SurrogateTraining
from porescope.imaging.surrogate.training import train_surrogate
from porescope.measure.image_quality import image_quality

PAPER_NOISE = {"bse": 0.89, "se": 2.07}
"""Mean pixel error of noise in % of the data range, section 2.9."""
PAPER = {
    "normal+ehf": (0.98, 3.09, 0.09, 1.02, 0.89, 0.62, 37.59, 27.24),
    "ehf+normal": (1.02, 3.13, 0.13, 1.06, 0.89, 0.61, 37.13, 27.12),
    "heightfield+normal": (1.05, 3.02, 1.16, 0.95, 0.88, 0.62, 36.57, 27.20),
    "heightfield": (1.15, 3.17, 0.26, 1.10, 0.86, 0.58, 35.82, 26.97),
    "ehf": (1.17, 3.11, 0.28, 1.04, 0.86, 0.59, 35.66, 27.03),
    "normal": (1.60, 3.35, 0.71, 1.28, 0.81, 0.56, 32.97, 26.61),
}
"""Table 3: mean pixel error total BSE, SE; systematic BSE, SE; SSIM BSE, SE; PSNR BSE, SE."""
DEPTHS = ("resnet34", "resnet50", "resnet101", "resnet152")
SHORT = {"epochs": 8, "learning_rate": 2e-3, "patience": 100}
SHORTER = {"epochs": 2, "batch_size": 4, "learning_rate": 2e-3, "patience": 100}


def row(*cells):
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def middle(image, shape):
    """Return the middle of an image."""
    y, x = ((whole - part) // 2 for whole, part in zip(image.shape, shape, strict=True))
    return image[y : y + shape[0], x : x + shape[1]]


def halves(folder):
    """Return pairs of examples that show the same with electrons of their own."""
    examples = [read_example(path) for path in examples_in(folder)]
    return [(one, other) for one, other in pairwise(examples) if one.sample == other.sample]


class Judged:
    """Predictions of one signal beside Monte Carlo.

    What is wrong with a prediction p is told from halves a and b of the electrons: noise is
    |a - b| / 2 on average, and (p - a)(p - b) is on average the square of the error without noise.
    """

    def __init__(self, surrogate, pairs, name):
        self.name = name
        signal = pairs[0][0].names.index(name)
        self.a, self.b = (
            np.stack([pair[half].signals[signal] for pair in pairs]).astype(float)
            for half in (0, 1)
        )
        self.told = np.stack(
            [
                middle(
                    surrogate.render(one.field, beam_kv=one.beam_kv, unit_nm=1.0)[name],
                    one.signals.shape[1:],
                )
                for one, _ in pairs
            ]
        )
        self.truth = (self.a + self.b) / 2
        self.noise = float(np.abs(self.a - self.b).mean() / 2)
        self.range = float(np.ptp(self.truth))

    def scores(self, data_range):
        noise = 100 * self.noise / data_range
        quality = image_quality(self.told, self.truth, data_range=data_range, noise=noise)
        square = ((self.told - self.a) * (self.told - self.b)).mean()
        return {
            "noise": noise,
            "total": quality["mean_pixel_error"],
            "systematic": quality["systematic_pixel_error"],
            "root": 100 * np.sign(square) * abs(square) ** 0.5 / data_range,
            "ssim": quality["SSIM"],
            "psnr": quality["PSNR"],
        }

    def at_paper_noise(self):
        """Return scores with the data range in which the noise is the paper's."""
        return self.scores(100 * self.noise / PAPER_NOISE[self.name])


def cubes(data, surrogate):
    print("\n## The default network on cubes, which it never saw")
    head(
        "kV", "signal", "images", "electrons a pixel", "data range", "noise", "total", "systematic",
        "root mean square, without noise", "SSIM", "PSNR",
    )  # fmt: skip
    judged = {}
    for folder in ("cubes", "cubes-1kV", "cubes-4kV"):
        if not (data / folder).is_dir():
            continue
        pairs = halves(data / folder)
        for name in surrogate.settings.signals:
            seen = Judged(surrogate, pairs, name)
            first = pairs[0][0]
            judged[folder, name] = seen
            scores = seen.scores(seen.range)
            row(
                f"{first.beam_kv:g}", name.upper(), len(pairs), 2 * first.electrons,
                f"{seen.range:.3f}", *numbers(scores),
            )  # fmt: skip
    print("\nWith the data range in which the noise is the paper's:")
    head(
        "kV",
        "signal",
        "data range",
        "noise",
        "total",
        "systematic",
        "root mean square, without noise",
        "SSIM",
        "PSNR",
    )
    for (folder, name), seen in judged.items():
        kilovolts = {"cubes": 2, "cubes-1kV": 1, "cubes-4kV": 4}[folder]
        scores = seen.at_paper_noise()
        data_range = f"{100 * seen.noise / PAPER_NOISE[name]:.3f}"
        row(kilovolts, name.upper(), data_range, *numbers(scores))
    for place, name in enumerate(("bse", "se")):
        best = PAPER["normal+ehf"]
        row(
            "paper", name.upper(), "", PAPER_NOISE[name], best[place], best[2 + place], "",
            ("0.89", "0.63")[place], ("37.1", "27.6")[place],
        )  # fmt: skip


def numbers(scores):
    return (
        *(f"{scores[name]:.2f}" for name in ("noise", "total", "systematic", "root")),
        f"{scores['ssim']:.3f}",
        f"{scores['psnr']:.1f}",
    )


def gold(data):
    print("\n## gold-epoxy on stacks that it never saw")
    head(
        "kV", "stacks", "images", "signal of gold less epoxy", "noise of one pixel",
        "root mean square error, without noise", "in % of the contrast", "mean error in %",
    )  # fmt: skip
    surrogate = load_surrogate("gold-epoxy", device="cpu")
    examples = [read_example(path) for path in examples_in(data / "gold-test")]
    for beam_kv in surrogate.settings.beams_kv:
        here = [each for each in examples if each.beam_kv == beam_kv]
        told = np.stack(
            [surrogate.render(e.field, beam_kv=beam_kv, unit_nm=1.0)["bse"] for e in here]
        )
        truth = np.stack([each.signals[0] for each in here])
        solid = np.stack([each.field.entry[0] == 0 for each in here])
        contrast = truth[solid].mean() - truth[~solid].mean()
        # An electron comes back or not, so that noise is binomial.
        noise = (told * (1 - told)).mean() / here[0].electrons
        error = max(((told - truth) ** 2).mean() - noise, 0) ** 0.5
        row(
            f"{beam_kv:g}", len({each.sample for each in here}), len(here), f"{contrast:.3f}",
            f"{noise**0.5:.4f}", f"{error:.4f}", f"{100 * error / contrast:.1f}",
            f"{100 * (told.mean() - truth.mean()) / contrast:+.2f}",
        )  # fmt: skip


def speed(surrogate):
    print("\n## Time of an image of 512 x 512 pixels, heightfield included")
    head("sample", "threads", "processor time / ms", "time that passed / ms")
    sizes = {"sphere": {"radius": (10, 15)}, "cube": {"edge": (20, 30)}}
    for kind, size in sizes.items():
        sample = boolean_model(kind, porosity=0.5, shape=(330, 512, 512), seed=1, **size)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = []
            for plane in range(10):
                began = time.process_time(), time.perf_counter()
                field = extract_heightfield(sample, 3.0 + 7 * plane, device="cpu", threads=threads)
                surrogate.render(field, beam_kv=2.0)
                times.append(
                    [
                        now - then
                        for now, then in zip(
                            (time.process_time(), time.perf_counter()), began, strict=True
                        )
                    ]
                )
            processor, passed = np.sort(1000 * np.array(times[1:]), axis=0)[4]
            row(f"{kind}s, porosity 0.5", threads, f"{processor:.0f}", f"{passed:.0f}")


def trainings(data, work):
    pairs = halves(data / "cubes")

    def judge(label, name, **parameters):
        out = work / name
        weights = out / "surrogate.safetensors"
        if not weights.exists():
            train_surrogate(data, SurrogateTraining(**parameters), out)
        surrogate = load_surrogate(weights, device="cpu")
        scores = [Judged(surrogate, pairs, signal).at_paper_noise() for signal in ("bse", "se")]
        cells = [
            " / ".join(f"{each[what]:.{digits}f}" for each in scores)
            for what, digits in (
                ("total", 2),
                ("systematic", 2),
                ("root", 2),
                ("ssim", 3),
                ("psnr", 1),
            )
        ]
        row(label, *cells)

    columns = "total", "systematic", "root mean square, without noise", "SSIM", "PSNR"
    print(
        f"\n## Table 3: what the network is shown, compact network, {SHORT['epochs']} epochs each, "
        "cubes at 2 kV, BSE / SE"
    )
    head("layout", *columns)
    for layout in LAYOUTS:
        judge(layout, layout, layout=layout, **SHORT)
        paper = PAPER[layout]
        cells = [f"{paper[2 * i]} / {paper[2 * i + 1]}" for i in range(4)]
        row("paper", *cells[:2], "", *cells[2:])
    for layers in (1, 4):
        judge(f"normal+ehf, {layers} layers", f"layers-{layers}", layers=layers, **SHORT)
    print(
        f"\n## Table 4: which network, {SHORTER['epochs']} epochs each in batches of "
        f"{SHORTER['batch_size']}, without pretraining, cubes at 2 kV, BSE / SE"
    )
    head("network", *columns)
    for network in (*DEPTHS, "compact"):
        judge(network, network, network=network, **SHORTER)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--trainings", type=Path)
    asked = parser.parse_args()
    if asked.trainings is not None:
        trainings(asked.data, asked.trainings)
        return
    print("# The neural simulator: figures")
    surrogate = load_surrogate(device="cpu")
    cubes(asked.data, surrogate)
    if (asked.data / "gold-test").is_dir():
        gold(asked.data)
    speed(surrogate)


if __name__ == "__main__":
    main()
