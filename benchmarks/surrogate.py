"""Hold the neural simulator to Monte Carlo: cubes, which it never saw, and gold in epoxy.

First make the images, with tools/simulate_surrogate_images.py:
    python tools/simulate_surrogate_images.py DATA cubes cubes-1kV cubes-4kV
    python tools/simulate_surrogate_images.py DATA/gold-test stacks STACK ...
Then ``python benchmarks/surrogate.py DATA`` prints the first part of results/surrogate.md. With
``--trainings`` (and DATA/training) it trains the networks of Tables 3 and 4 for a short while, and
prints the second; three quarters of an hour on one core with 16-bit floats.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from porescope.geometry import boolean_model
from porescope.imaging import HeightField, extract_heightfield, load_surrogate
from porescope.imaging.surrogate import Settings, Surrogate
from porescope.imaging.surrogate.images import examples_in, read_example
from porescope.imaging.surrogate.layouts import LAYOUTS
from porescope.imaging.surrogate.rendering import MARGIN_PX
from porescope.imaging.surrogate.training import Examples, loss
from porescope.learn.precision import autocast
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
STEPS, FEW_STEPS, BATCH, EDGE = 1500, 400, 4, 64


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

    def of_images(self):
        """Return the root mean square error without noise of each image, in % of the range."""
        squares = ((self.told - self.a) * (self.told - self.b)).mean(axis=(1, 2))
        return 100 * np.sign(squares) * np.abs(squares) ** 0.5 / self.range

    def at_paper_noise(self):
        """Return scores with the data range in which the noise is the paper's."""
        return self.scores(100 * self.noise / PAPER_NOISE[self.name])


def cubes(data, surrogate):
    print("\n## The default network on cubes, which it never saw")
    head(
        "kV", "signal", "images", "electrons a pixel", "data range", "noise", "total", "systematic",
        "root mean square, without noise", "SSIM", "PSNR",
    )  # fmt: skip
    for folder in ("cubes-1kV", "cubes", "cubes-4kV"):
        pairs = halves(data / folder)
        for name in surrogate.settings.signals:
            seen = Judged(surrogate, pairs, name)
            first = pairs[0][0]
            row(
                f"{first.beam_kv:g}", name.upper(), len(pairs), 2 * first.electrons,
                f"{seen.range:.3f}", *numbers(seen.scores(seen.range)),
            )  # fmt: skip
    pairs = halves(data / "cubes")
    for name in surrogate.settings.signals:
        each = ", ".join(f"{error:.1f}" for error in Judged(surrogate, pairs, name).of_images())
        print(f"\n{name.upper()} at 2 kV image by image, root mean square without noise: {each}.")
    print("\nAt 2 kV with the data range in which the noise is the paper's, beside its Table 3:")
    head(
        "signal", "data range", "noise", "total", "systematic", "root mean square, without noise",
        "SSIM", "PSNR",
    )  # fmt: skip
    pairs = halves(data / "cubes")
    for place, name in enumerate(("bse", "se")):
        seen = Judged(surrogate, pairs, name)
        data_range = f"{100 * seen.noise / PAPER_NOISE[name]:.3f}"
        row(name.upper(), data_range, *numbers(seen.at_paper_noise()))
        total, systematic, ssim, psnr = PAPER["normal+ehf"][place::2]
        row("paper", "", PAPER_NOISE[name], total, systematic, "", ssim, psnr)


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


def cropped(example):
    """Return the middle of an example, with what lies around it."""
    edge = EDGE + 2 * MARGIN_PX
    fields = (example.field.entry, example.field.exit, example.field.normal)
    return example._replace(
        field=HeightField(*(np.stack([middle(each, (edge, edge)) for each in f]) for f in fields)),
        signals=np.stack([middle(each, (EDGE, EDGE)) for each in example.signals]),
    )


def trained(examples, steps, kind="l2", **asked):
    """Return a surrogate after a short training by Adam, as the paper's, at a rate that falls."""
    first = examples[0]
    settings = Settings(
        **({"network": "compact", "layout": "normal+ehf", "layers": 2, "length_nm": 100.0} | asked),
        pixel_nm=first.pixel_nm,
        beams_kv=[first.beam_kv],
        materials=first.materials,
        signals=list(first.names),
        typical=np.mean([each.signals for each in examples], axis=(0, 2, 3)).tolist(),
    )
    data = Examples(examples, settings, seed=0)
    torch.manual_seed(0)
    network = settings.make_network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    order = np.random.default_rng(0).permutation(steps * BATCH).reshape(steps, BATCH)
    began = time.process_time()
    for step, indices in enumerate(order):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, 2 * (1 - step / steps))
        batch = torch.utils.data.default_collate([data[int(index)] for index in indices])
        optimizer.zero_grad()
        with autocast():
            value = loss(network, batch, kind)["loss"]
        value.backward()
        optimizer.step()
    return Surrogate(network, settings), time.process_time() - began


def trainings(data):
    pairs = halves(data / "cubes")
    examples = [read_example(path) for path in examples_in(data / "training")]
    examples = [cropped(each) for each in examples if each.beam_kv == 2]
    columns = (
        "total", "systematic", "root mean square, without noise", "SSIM", "PSNR",
        "training / min of processor time",
    )  # fmt: skip

    def judge(label, steps, **asked):
        surrogate, seconds = trained(examples, steps, **asked)
        scores = [Judged(surrogate, pairs, signal).at_paper_noise() for signal in ("bse", "se")]
        shown = ("total", 2), ("systematic", 2), ("root", 2), ("ssim", 3), ("psnr", 1)
        cells = (" / ".join(f"{e[what]:.{digits}f}" for e in scores) for what, digits in shown)
        row(label, *cells, f"{seconds / 60:.1f}")

    def paper(layout):
        known = PAPER[layout]
        cells = [f"{known[2 * index]} / {known[2 * index + 1]}" for index in range(4)]
        row("paper", *cells[:2], "", *cells[2:], "")

    print(
        f"\n## Table 3: what the network is shown\nCompact network, {STEPS} steps each of {BATCH} "
        f"of {len(examples)} images of {EDGE} x {EDGE} pixels at 2 kV, mean square; judged on "
        "cubes with the data range in which the noise is the paper's; BSE / SE."
    )
    head("layout", *columns)
    for layout in LAYOUTS:
        judge(layout, STEPS, layout=layout)
        paper(layout)
    for layers in (1, 4):
        judge(f"normal+ehf, {layers} layer{'s' * (layers > 1)}", STEPS, layers=layers)
    judge("normal+ehf, mean absolute difference", STEPS, kind="l1")
    print(
        f"\n## Table 4: which network\nThe same, normal+ehf, {FEW_STEPS} steps each, without "
        "pretraining; BSE / SE."
    )
    head("network", *columns)
    for network in ("compact", *DEPTHS):
        judge(network, FEW_STEPS, network=network)
    print("\nPaper, best of Table 4: ResNet 34, SSIM 0.89 / 0.63, PSNR 37.1 / 27.6.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--trainings", action="store_true")
    asked = parser.parse_args()
    if asked.trainings:
        trainings(asked.data)
        return
    print("# The neural simulator: figures")
    surrogate = load_surrogate(device="cpu")
    cubes(asked.data, surrogate)
    if (asked.data / "gold-test").is_dir():
        gold(asked.data)
    speed(surrogate)


if __name__ == "__main__":
    main()
