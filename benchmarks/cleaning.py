"""Judge each way of cleaning images by what it does to the measures.

Run with ``python benchmarks/cleaning.py``. The sample stacks get curtains, brightness that changes
from slice to slice, or charging; they are segmented by k-means before and after cleaning, and so
are the stacks as they are, where cleaning can only harm. Prints a table of misplaced pixels in the
slices, and of the solid fraction.
"""

import json
from dataclasses import replace

import numpy as np
from scipy import ndimage

from porescope.correct import Alignment
from porescope.imaging.noise import curtains
from porescope.io import read_stack, read_voltages
from porescope.measure import scores, solid_fraction
from porescope.pipeline import Workspace, find_step
from porescope.sample_data import sample_folder
from porescope.segment import segment
from porescope.tracking import never_cancel, no_progress

CAP_ROWS = 40  # the fiducial and what lies under it in any slice
CAP = (None, 28, None, None)


def with_curtains(image):
    data = [curtains(s, 0.1, seed=1, slice_index=i) for i, s in enumerate(image.data)]
    return image.with_data(np.stack(data))


def with_flicker(image):
    random = np.random.default_rng(2)
    gain = random.uniform(0.8, 1.2, (image.shape[0], 1, 1))
    return image.with_data(gain * image.data + random.uniform(-10, 10, gain.shape))


def with_charging(image):
    random = np.random.default_rng(3)
    places = random.normal(size=image.shape)
    clouds = ndimage.gaussian_filter(places, (3, 25, 25), mode="wrap")
    return image.with_data(image.data + 30 * clouds / clouds.std())


def as_it_is(image):
    return image


CASES = (
    ("curtains of 10 %", with_curtains, {"curtains": True}),
    ("gain +- 20 %, offset +- 10", with_flicker, {"brightness": True}),
    ("the same, by the cap alone", with_flicker, {"brightness": True, "brightness_region": CAP}),
    ("charged clouds of 30 greys", with_charging, {"charging_px": 30}),
)


def judged(image, truth):
    labels = segment([image.crop(slice(CAP_ROWS, None), slice(0, None))], method="kmeans")
    labels = np.asarray(labels)
    return scores(labels, truth)["MP"], solid_fraction(labels)


def cleaned(image, values):
    step = find_step("clean")
    done = step.function(
        Workspace(images=(image,)), step.parse(values), progress=no_progress, cancel=never_cancel
    )
    return done.images[0]


def main():
    folder = sample_folder()
    offsets = json.loads((folder / "drift.json").read_text())["offsets_px"]
    truth = read_stack(folder / "truth.tif")
    print("| kV | artefact | none | with it | cleaned | none, but cleaned |")
    print("|---|---|---:|---:|---:|---:|")
    for stack, moved in zip(read_voltages(folder), offsets.values(), strict=True):
        whole = (slice(0, stack.shape[1]), slice(0, stack.shape[2]))
        image = Alignment(np.array(moved), stack.beam_kv).apply(stack, whole, fill=None)
        image = replace(image, data=np.asarray(image.data, np.float32))
        planes = np.floor(image.slice_z_nm / truth.spacing_nm[0] + 1e-6).astype(int)
        right = np.asarray(truth.data)[planes][:, CAP_ROWS:] > 0
        for name, spoil, values in CASES:
            spoilt = spoil(image)
            columns = (image, spoilt, cleaned(spoilt, values), cleaned(image, values))
            results = (judged(volume, right) for volume in columns)
            texts = (f"{mp:.1f} ({solid:.3f})" for mp, solid in results)
            print(f"| {stack.beam_kv:g} | {name} | {' | '.join(texts)} |", flush=True)
        print(f"| | *truth* | ({right.mean():.3f}) | | | |")


if __name__ == "__main__":
    main()
