"""Fast imaging beside Monte Carlo, on volumes that nothing was fitted to; and how long it takes.

python benchmarks/fast_imaging.py
prints the tables and stores them in results/fast_imaging.md; a quarter of an hour on two cores.
"""

import os
import time
from pathlib import Path

import numpy as np

from porescope import Stack
from porescope.adapt import fast_images
from porescope.adapt.fast_imaging import PUBLISHED_NM
from porescope.geometry import hierarchical_leveled_wave, leveled_wave
from porescope.imaging import electron_sample, simulate_monte_carlo
from porescope.imaging.noise import shot_noise
from porescope.segment.classical import kmeans_threshold

RESULTS = Path(__file__).parent / "results" / "fast_imaging.md"
BEAMS_KV = (1.0, 2.0, 4.0)
SHAPE, VOXEL_NM = (200, 128, 128), 2.5
PLANES = range(0, 24, 4)
ELECTRONS = 100
METHODS = ("layered", "published")
PAPER = {
    "time": "20 s after training (thesis, 6.2), seconds (paper), days by its Monte Carlo",
    "MP": "0.310 / 0.539 / 0.844 % (Table 2: networks trained and tested on its own images)",
}


def volumes() -> dict[str, np.ndarray]:
    """Return porous volumes of two kinds, of other seeds and sizes than any that was fitted to."""
    return {
        "two levels, 13 % solid": hierarchical_leveled_wave(
            SHAPE, spacing_nm=VOXEL_NM, wavelengths_nm=(240.0, 38.0), solid_fractions=(0.36, 0.36),
            seed=101,
        ),
        "two levels, 30 % solid": hierarchical_leveled_wave(
            SHAPE, spacing_nm=VOXEL_NM, wavelengths_nm=(200.0, 50.0), solid_fractions=(0.55, 0.55),
            seed=102,
        ),
        "one level, 40 % solid": leveled_wave(
            SHAPE, spacing_nm=VOXEL_NM, wavelength_nm=60.0, solid_fraction=0.4, seed=103
        ),
    }  # fmt: skip


def followed(labels: np.ndarray, beam_kv: float, material: str, seed: int) -> np.ndarray:
    """Return images of the planes by electrons."""
    sample = electron_sample(labels, VOXEL_NM, {0: "epoxy", 1: material}, secondaries=False)
    return np.stack(
        [
            simulate_monte_carlo(
                sample, plane, beam_kv=beam_kv, electrons=ELECTRONS, seed=seed, secondaries=False
            )["bse"]
            for plane in PLANES
        ]
    )


def drawn(labels: np.ndarray, beam_kv: float, material: str, method: str) -> np.ndarray:
    """Return images of the planes without electrons."""
    images = fast_images(labels, (VOXEL_NM,) * 3, beam_kv, {0: "epoxy", 1: material}, method=method)
    return images[PLANES]


def kmeans_mp(images: np.ndarray, truth: np.ndarray) -> float:
    """Return the percentage of pixels that k-means misplaces in images with noise."""
    threshold = kmeans_threshold(Stack(images.astype(np.float32), (10.0, VOXEL_NM, VOXEL_NM)))
    return 100 * float(np.mean((images > threshold) != truth))


def contrast(images: np.ndarray, truth: np.ndarray) -> float:
    """Return how much brighter the solid is than the pores."""
    return float(images[truth].mean() - images[~truth].mean())


def compared(labels: np.ndarray, beam_kv: float, material: str) -> str:
    """Return a line of the table."""
    truth = labels[PLANES]
    first, second = (followed(labels, beam_kv, material, seed) for seed in (1, 2))
    covariance = np.cov(first.ravel(), second.ravel())
    cells = [
        f"{np.sqrt(covariance[0, 1]):.3f}",
        f"{contrast((first + second) / 2, truth):.3f}",
        f"{kmeans_mp(first, truth):.2f}",
    ]
    for method in METHODS:
        images = drawn(labels, beam_kv, material, method)
        # Free of the electrons' noise, which differs between the two.
        rms = np.sqrt(np.mean((images - first) * (images - second)))
        # As noisy where it is bright: of electrons that come back or do not, not of free counts.
        counts = ELECTRONS / (1 - float(images.max()))
        noisy = np.stack(
            [shot_noise(image, counts, seed=index) for index, image in enumerate(images)]
        )
        cells.append(
            f"{rms:.3f} / {images.mean() - first.mean():+.3f} / {contrast(images, truth):.3f} / "
            f"{kmeans_mp(noisy, truth):.2f}"
        )
    return " | ".join(cells)


def timed(labels: np.ndarray, beam_kv: float, method: str) -> str:
    """Return how long all slices take."""
    wall, processor = time.perf_counter(), time.process_time()
    fast_images(labels, (10.0, 2.5, 2.5), beam_kv, method=method)
    return f"{time.perf_counter() - wall:.1f} s ({time.process_time() - processor:.1f} s of a core)"


def times() -> list[str]:
    """Return the lines on how long 512 slices of 512 x 512 take."""
    labels = leveled_wave(
        (512, 512, 512), spacing_nm=(10.0, 2.5, 2.5), wavelength_nm=100.0, solid_fraction=0.3,
        waves=40, seed=1,
    )  # fmt: skip
    return [
        "",
        "## Time",
        "512 slices of 512 x 512, 10 nm apart, pixels of 2.5 nm, in one thread; the machine of "
        f"{os.cpu_count()} cores bore a load of {os.getloadavg()[0]:.1f} besides. Asked: below "
        f"20 s on two cores. Papers: {PAPER['time']}.",
        "",
        "| | 1 kV | 2 kV | 4 kV |",
        "|---|---|---|---|",
        *(
            f"| {each} | " + " | ".join(timed(labels, beam_kv, each) for beam_kv in BEAMS_KV) + " |"
            for each in METHODS
        ),
        "",
        f"The paper's MP at 1 / 2 / 4 kV, which takes the GAN and networks: {PAPER['MP']}.",
    ]


def main() -> None:
    """Simulate and print."""
    samples = volumes()
    lines = [
        "# Fast imaging",
        "By `fast_imaging.py`. Gold in epoxy, voxels of 2.5 nm, six slices 10 nm apart of each of",
        f"three volumes of 128 x 128 pixels. Monte Carlo twice with {ELECTRONS} electrons a pixel;",
        "deviation and rms difference are free of their noise. Difference of the mean and contrast",
        "(mean of solid less mean of pores) are in electrons for each of the beam; MP (%) is what",
        "k-means misplaces in images with the noise of as many electrons; its threshold lies",
        "between the two brightest of three clusters and jumps where noise parts the gold.",
        "*published*: the paper's",
        f"weighted sum of 15 slices {PUBLISHED_NM:g} nm apart, scaled to the same signals; a",
        "CycleGAN gets it there. *layered*: ours. What is fitted in it is from other volumes.",
        "",
        "| volume | kV | Monte Carlo: deviation | contrast | MP | layered: rms / mean / contrast / "
        "MP | published: the same |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, labels in samples.items():
        for beam_kv in BEAMS_KV:
            lines.append(f"| {name} | {beam_kv:g} | {compared(labels, beam_kv, 'gold')} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        "Other solids in epoxy, of which nothing was fitted but their coefficients, at 2 kV:",
        "",
        "| solid | Monte Carlo: deviation | contrast | MP | layered | published |",
        "|---|---|---|---|---|---|",
    ]
    middle = samples["two levels, 30 % solid"]
    for material in ("silicon", "copper", "silver"):
        lines.append(f"| {material} | {compared(middle, 2.0, material)} |")
        print(lines[-1], flush=True)
    lines += times()
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
