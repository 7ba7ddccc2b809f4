"""Two real images segmented by k-means and by the networks that ship, to be judged by eye.

python benchmarks/real_segmentation.py draws docs/images/real_segmentation.png and prints the
isotropy errors of the stack; needs shared/data beside the project.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from skimage.transform import rescale

from porescope import Stack
from porescope.io import read_stack
from porescope.measure import isotropy
from porescope.segment import probability, segment

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
STACKS = ROOT.parent / "shared/data/real/stacks"
PICTURE = ROOT / "docs/images/real_segmentation.png"
ABOVE_DATA_BAR = slice(0, 690)
LEARNED_NM = 2.5
TAKEN_FOR_KV = 1.0
"""Of the voltages that the networks know, the one at which least shines through."""


def gold() -> Stack:
    """Return a micrograph of nanoporous gold with pixels of the size that was learned."""
    stack = read_stack(STACKS / "npg_zeiss_inlens_20kV_0.543nm.tif")
    image = np.asarray(stack.data[0], np.float32)[ABOVE_DATA_BAR]
    image = rescale(image, stack.spacing_nm[1] / LEARNED_NM, anti_aliasing=True)
    return Stack(image[np.newaxis], (10.0, LEARNED_NM, LEARNED_NM), beam_kv=TAKEN_FOR_KV)


def metal() -> Stack:
    """Return a serial section of a metal, already smoothed, of unknown voltage."""
    stack = read_stack(STACKS / "fib_serial_section_small.tif")
    return replace(stack, data=np.asarray(stack.data), beam_kv=TAKEN_FOR_KV)


def main() -> None:
    """Draw the picture and print the errors."""
    warnings.simplefilter("ignore")
    figure, rows = plt.subplots(2, 4, figsize=(12, 5.4))
    for stack, row in zip((gold(), metal()), rows, strict=True):
        middle = stack.shape[0] // 2
        by_networks = segment(stack, "late-fusion")
        by_kmeans = segment(stack, "kmeans")
        sure = probability(stack, "late-fusion")[middle]
        pictures = {
            "image": stack.data[middle],
            "k-means": by_kmeans[middle],
            "networks": by_networks[middle],
            "how likely solid": sure,
        }
        for axes, (title, picture) in zip(row, pictures.items(), strict=True):
            axes.imshow(picture, cmap="gray")
            axes.set_title(title)
            axes.axis("off")
        if stack.shape[0] > 1:
            for name, labels in (("k-means", by_kmeans), ("networks", by_networks)):
                found = isotropy(labels, stack.spacing_nm)
                errors = {key: round(found[key], 4) for key in ("tpcf", "lpf", "diameter")}
                print(name, f"{labels.mean():.3f} solid", errors)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=70)


if __name__ == "__main__":
    main()
