"""What adapting simulated stacks is worth on a microscope that nobody has seen.

python tools/simulate_training_stacks.py DATA gold training test
python benchmarks/adaptation.py DATA/gold [--seeds 5]
prints the tables and stores them in results/adaptation.md, anew after each seed: about 5 minutes of
a core for each.

A simulated microscope with hidden blur, contrast, gain, curtains and noise plays "real". From two
stacks of it without labels an adaptation is trained; then one small segmentation network on
simulated stacks as they are, and others on the same stacks adapted. The truth of the "real" stacks
is used to count misplaced pixels alone.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from porescope import Stack
from porescope.adapt import adapt_stack, edges_moved
from porescope.adapt.adaptation import noise_fields
from porescope.adapt.likeness import distance, look_of
from porescope.adapt.matching import match
from porescope.adapt.parameters import AdaptationTraining
from porescope.adapt.training import FILE, train_adaptation
from porescope.imaging.noise import curtains, shot_noise
from porescope.measure import scores
from porescope.pipeline.trainings.samples import read_sample
from porescope.segment import segment
from porescope.segment.levels import levels_of
from porescope.segment.parameters import SegmentationTraining
from porescope.segment.training import Sample, train_segmentation

RESULTS = Path(__file__).parent / "results" / "adaptation.md"
BEAM_KV = 2.0
TRAINING, REAL = ("training-00", "training-01", "training-02"), ("test-00", "test-01")
ADAPTATION = {"epochs": 5, "patches": 150, "channels": 16}
SEGMENTATION = {
    "epochs": 12, "slices": 5, "channels": 16, "patch_px": 64, "stride_px": 64, "batch_size": 16,
    "patience": 12, "learning_rate": 3e-3,
}  # fmt: skip
CHANGES = {
    "without augmentation": {"changed": 0, "gain": 1, "offset": 0, "noise": 0},
    "with the augmentation that ships": {},
}
"""What is changed at random in what segmentation networks learn from."""
MATCHED = 12
PLAIN, BY_HAND, LEARNED, KNOWN = (
    "simulated as it is",
    "blur and noise matched, nothing learned",
    "adapted by the trained network",
    "the hidden microscope itself (what no adaptation can pass)",
)
ROWS = (PLAIN, BY_HAND, LEARNED, KNOWN)
ASKED = 20


@dataclass(frozen=True)
class Microscope:
    """What is hidden from all that is trained."""

    blur_px: float = 1.6
    gamma: float = 0.8
    gain: float = 0.5
    black: float = 40.0
    stripes: float = 0.06
    counts: float = 45.0
    amplifier: float = 3.0

    def image(self, stack: Stack, seed: int) -> Stack:
        """Return a stack as this microscope would have taken it."""
        images = []
        for index in range(stack.shape[0]):
            grey = gaussian_filter(np.clip(stack.image(index) / 255, 0, 1), self.blur_px)
            signal = curtains(grey**self.gamma, self.stripes, width_px=7, depth_slices=5, seed=seed,
                              slice_index=index)  # fmt: skip
            signal = shot_noise(np.maximum(signal, 0), self.counts, seed=seed, slice_index=index)
            random = np.random.default_rng([seed, index])
            noise = self.amplifier * random.normal(size=signal.shape)
            grey = self.black + 255 * self.gain * signal + noise
            images.append(np.clip(grey, 0, 255).round().astype(np.uint8))
        return stack.with_data(np.stack(images))


def sample(folder: Path) -> Sample:
    """Return a simulated stack of the voltage, and its truth."""
    whole = read_sample(folder)
    (stack,) = (stack for stack in whole.stacks if stack.beam_kv == BEAM_KV)
    return Sample([stack], whole.truth)


def shares(stack: Stack) -> list[np.ndarray]:
    """Return all slices on the scale from dark to bright."""
    levels = levels_of(stack)
    return [levels.apply(stack.image(index)) for index in range(stack.shape[0])]


def matched(stack: Stack, wanted: Stack, seed: int) -> Stack:
    """Return a stack with the blur and noise of another, which nothing is learned for."""
    images, aim = shares(stack), shares(wanted)
    fields = [noise_fields(stack.shape[1:], seed, index) for index in range(len(images))]
    noise = np.stack(fields)
    found = match(images[:MATCHED], aim[:MATCHED], noise[:MATCHED])
    levels = levels_of(wanted)
    made = np.stack(found.apply(images, noise)) * (levels.bright - levels.dark) + levels.dark
    return stack.with_data(np.clip(made, 0, 255).round().astype(np.uint8))


def one_seed(samples: list[Sample], seed: int, work: Path) -> dict[str, dict[str, float]]:
    """Return what each way of training reaches on the "real" stacks."""
    simulated, real = samples[: len(TRAINING)], samples[len(TRAINING) :]
    microscope = Microscope()
    targets = [microscope.image(each.stacks[0], 100 * seed + n) for n, each in enumerate(real)]
    sources = [each.stacks[0] for each in simulated]
    start = time.process_time()
    parameters = AdaptationTraining(**ADAPTATION, seed=seed)
    train_adaptation(sources, targets, work / "adaptation", parameters)
    took_s = time.process_time() - start
    made = {
        PLAIN: sources,
        BY_HAND: [matched(stack, targets[0], seed) for stack in sources],
        LEARNED: [adapt_stack(stack, work / "adaptation" / FILE, seed=seed) for stack in sources],
        KNOWN: [microscope.image(stack, 7000 + 100 * seed + n) for n, stack in enumerate(sources)],
    }
    aim = look_of([image for stack in targets for image in shares(stack)])
    before = [image for stack in sources for image in shares(stack)]
    found: dict[str, dict[str, float]] = {}
    for name, stacks in made.items():
        after = [image for stack in stacks for image in shares(stack)]
        moved = edges_moved(before, after)
        found[name] = {
            "distance": distance(look_of(after), aim, look_of(before)),
            "median_px": moved.median_px,
            "most_px": moved.most_px,
            "removed": moved.removed,
            "invented": moved.invented,
            "seconds": took_s,
        }
    for number, (changed, values) in enumerate(CHANGES.items()):
        for name, stacks in made.items():
            learned = [
                Sample([stack], each.truth) for stack, each in zip(stacks, simulated, strict=True)
            ]
            folder = work / f"segmentation-{number}-{ROWS.index(name)}"
            parameters = SegmentationTraining(**SEGMENTATION, **values, seed=seed)
            train_segmentation(learned[:-1], learned[-1:], folder, parameters)
            misplaced = []
            for stack, each in zip(targets, real, strict=True):
                weights = folder / "segmentation.safetensors"
                labels = segment(stack, "unet-adjacent", weights=weights)
                misplaced.append(scores(np.asarray(labels), np.asarray(each.truth.data))["MP"])
            found[name][changed] = float(np.mean(misplaced))
            told = {key: round(value, 3) for key, value in found[name].items()}
            print(seed, name, told, flush=True)
    return found


def table(found: list[dict[str, dict[str, float]]]) -> list[str]:
    """Return the page."""
    seeds = len(found)

    def told(name: str, key: str, digits: int) -> str:
        values = [each[name][key] for each in found]
        spread = f" +- {np.std(values, ddof=1):.{digits}f}" if seeds > 1 else ""
        return f"{np.mean(values):.{digits}f}{spread}"

    lines = [
        "# Adaptation: figures",
        f"By `adaptation.py`, {seeds} seed{'s' * (seeds > 1)} (asked: 5). Hierarchical gold in "
        f"epoxy by Monte Carlo at {BEAM_KV:g} kV; a simulated microscope with hidden blur, "
        "contrast, gain, curtains and noise plays real. A small network of the architecture that "
        'ships is trained for half a minute on each; MP is of two "real" '
        "stacks of 24 slices of 128 x 128 pixels. The adaptation saw these without labels, as it "
        "would a user's. Mean and standard deviation over the seeds, which draw the noise of the "
        "microscope, the adaptation and the segmentation anew.",
        "",
    ]
    for changed in CHANGES:
        lines += [
            f"Learned {changed}:",
            "",
            "| learned from | MP % | less than as it is, mean (seeds) |",
            "|---|---|---|",
        ]
        for name in ROWS:
            cut = [100 * (1 - each[name][changed] / each[PLAIN][changed]) for each in found]
            seedwise = ", ".join(f"{each:.0f}" for each in cut)
            less = "" if name == PLAIN else f"{np.mean(cut):.0f} % ({seedwise})"
            lines.append(f"| {name} | {told(name, changed, 2)} | {less} |")
        lines.append("")
    lines += [
        "| | distance of looks | edges moved, median px | 95 % | vanish % | invented % |",
        "|---|---|---|---|---|---|",
    ]
    for name in ROWS:
        edges = " | ".join(
            f"{factor * np.mean([each[name][key] for each in found]):.2f}"
            for key, factor in (
                ("median_px", 1), ("most_px", 1), ("removed", 100), ("invented", 100),
            )
        )  # fmt: skip
        lines.append(f"| {name} | {told(name, 'distance', 2)} | {edges} |")
    seconds = np.mean([each[LEARNED]["seconds"] for each in found])
    lines += [
        "",
        f"Asked: MP {ASKED} % less by adaptation, edges moved by less than half a pixel in the "
        "median. Edges of noisy images are found a little off, whatever was done: the last row "
        "shows how much, where nothing but blur, contrast and noise was added.",
        "",
        f"Training an adaptation took {seconds:.0f} s of a core.",
    ]
    return lines


def main() -> None:
    """Train, count and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    samples = [sample(options.data / name) for name in (*TRAINING, *REAL)]
    found = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as work:
            found.append(one_seed(samples, seed, Path(work)))
        RESULTS.write_text("\n".join(table(found)) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
