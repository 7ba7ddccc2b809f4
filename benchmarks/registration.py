"""Align stacks whose drift is known, beside pystackreg and plain correlation of neighbours.

Run with ``pip install pystackreg`` and ``python benchmarks/registration.py``; takes some minutes
and prints results/registration.md.
"""

import importlib.util
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pystackreg import StackReg
from scipy import ndimage
from skimage.io import imread
from skimage.registration import phase_cross_correlation

from porescope import Stack
from porescope.correct import align_voltages
from porescope.errors import PorescopeError, PorescopeWarning
from porescope.geometry import boolean_model, leveled_wave, voxelize
from porescope.io import read_voltages
from porescope.pipeline.simulation import simulate_stack
from porescope.sample_data import sample_folder

ROOT = Path(__file__).parents[1]
FLYEM = ROOT.parent / "shared" / "data" / "real" / "stacks" / "flyem_slices"
SLICES, STEP, EDGE = 40, 4, 176  # a slice every 4 voxels, of 176 x 176 pixels
MARGIN = 40  # of the sample around an image, for drift
# How fast the share of what lies below falls off, in voxels, at 1, 2 and 4 kV.
REACH = {1.0: 3.0, 2.0: 8.0, 4.0: 20.0}
FORESHORTENED = np.sin(np.deg2rad(52))
BOX = (30, 62, 20, 156)
TILT_DEG = 30.0
KINDS = ("wave", "gauss", "sphere", "cylinder")


@dataclass(frozen=True)
class Case:
    """Stacks and the drift of each, (voltages, slices, 2)."""

    stacks: list[Stack]
    drift: np.ndarray


def structure(kind, seed, shape):
    """Return a sample, True where solid."""
    random = np.random.default_rng(seed)
    if kind == "wave":
        return leveled_wave(
            shape,
            spacing_nm=1.0,
            wavelength_nm=random.uniform(14, 24),
            solid_fraction=0.4,
            seed=seed,
        )
    if kind in ("sphere", "cylinder"):
        size = {"radius": (4.0, 9.0)} if kind == "sphere" else {
            "radius": (3.0, 6.0), "height": (20.0, 60.0)
        }  # fmt: skip
        return voxelize(boolean_model(kind, porosity=0.6, shape=shape, seed=seed, **size), shape)
    field = ndimage.gaussian_filter(random.normal(size=shape), random.uniform(2, 4), mode="wrap")
    return field > np.quantile(field, 0.6)


def with_cap(solid):
    """Return grey values of a sample below a cap with two crosses milled through it."""
    grey = solid.astype(np.float32)
    y = (np.arange(grey.shape[1]) - MARGIN)[:, np.newaxis] * FORESHORTENED
    x = np.arange(grey.shape[2]) - MARGIN
    cap = np.full(np.broadcast_shapes(y.shape, x.shape), 0.6, np.float32)
    for centre in (54, 122):
        down, across = np.abs(y - 46), np.abs(x - centre)
        cap[(np.abs(down - across) < 2.5) & (down < 11)] = 0
    rows = y[:, 0] < 66
    grey[:, rows] = cap[rows]
    return grey


def drifts(random, voltages):
    """Return the drift of a stack: 3 px of jitter, a slow part, a step of 20 px along y and x."""
    drift = random.normal(0, 3, (voltages, SLICES, 2))
    drift += np.cumsum(random.normal(0, 0.15, (SLICES, 2)), axis=0)
    drift[:, SLICES // 3 :, 0] += 20
    drift[:, 2 * SLICES // 3 :, 1] -= 20
    return drift.clip(-MARGIN + 8, MARGIN - 8)


def imaged(grey, seed, beams_kv=(1.0, 2.0, 4.0), noise=0.12):
    """Image a sample at some voltages: shine-through, foreshortening, gain, curtains and noise."""
    random = np.random.default_rng(seed)
    drift = drifts(random, len(beams_kv))
    stacks = []
    for beam_kv, moves in zip(beams_kv, drift, strict=True):
        reach = REACH[beam_kv]
        share = np.exp(-np.arange(int(3 * reach)) / reach)
        images = []
        for index, (dy, dx) in enumerate(moves):
            below = grey[STEP * index : STEP * index + len(share)]
            face = np.tensordot(share / share.sum(), below, axes=1)
            face = ndimage.gaussian_filter(face, (0.8 / FORESHORTENED, 0.8))
            scale = np.array([1 / FORESHORTENED, 1.0])
            image = ndimage.affine_transform(
                face, scale, MARGIN - scale * (dy, dx), (EDGE, EDGE), order=3, mode="nearest"
            )
            curtain = ndimage.gaussian_filter1d(random.normal(0, 0.06, EDGE), 1.5)
            image = (1 + random.normal(0, 0.05)) * (image * (1 + curtain) + 0.2)
            images.append(image + random.normal(0, noise, image.shape))
        grey_values = (120 * np.array(images)).clip(0, 255).astype(np.uint8)
        stacks.append(Stack(grey_values, (STEP, 1, 1), beam_kv))
    return Case(stacks, drift)


def depth():
    """Return how many planes a sample needs."""
    return STEP * SLICES + int(3 * max(REACH.values()))


def sample_shape():
    """Return the voxels of a sample."""
    return depth(), int(EDGE / FORESHORTENED) + 2 * MARGIN, EDGE + 2 * MARGIN


def by_porescope(stacks, region=None):
    """Return the offsets that Porescope finds."""
    return np.stack([found.offsets_px for found in align_voltages(stacks, region=region)])


def neighbours(stacks, shift):
    """Return offsets from neighbours in the reference stack, and from faces between stacks."""
    reference = min(range(len(stacks)), key=lambda i: abs((stacks[i].beam_kv or 2) - 2))
    data = [np.asarray(stack.data, dtype=np.float32) for stack in stacks]
    within = np.zeros((len(data[0]), 2))
    for index in range(1, len(within)):
        within[index] = within[index - 1] + shift(*data[reference][index - 1 : index + 1])
    return np.stack(
        [
            within
            if number == reference
            else within + [shift(*pair) for pair in zip(data[reference], images, strict=True)]
            for number, images in enumerate(data)
        ]
    )


def phase(reference, moving):
    """Return the shift by scikit-image."""
    return phase_cross_correlation(reference, moving, upsample_factor=50, normalization=None)[0]


def stackreg(reference, moving):
    """Return the shift by pystackreg."""
    matrix = StackReg(StackReg.TRANSLATION).register(reference, moving)
    return -np.array([matrix[1, 2], matrix[0, 2]])


def errors(found, drift, reference=1):
    """Return RMS errors in pixels within stacks and between voltages."""
    off = found + drift
    within = off - off.mean(axis=1, keepdims=True)
    between = np.delete(off - off[reference], reference, axis=0) if len(off) > 1 else np.zeros(1)
    return float(np.sqrt((within**2).mean())), float(np.sqrt((between**2).mean()))


def row(name, *values):
    """Print a row of a table."""
    cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in values]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def compare(name, case, box):
    """Print the errors of all methods on one case, and return Porescope's."""
    y0, y1, x0, x1 = box
    near = [
        stack.crop(slice(max(y0 - 24, 0), y1 + 24), slice(max(x0 - 24, 0), x1 + 24))
        for stack in case.stacks
    ]
    ours = errors(by_porescope(case.stacks), case.drift), errors(
        by_porescope(case.stacks, box), case.drift
    )  # fmt: skip
    others = [
        errors(neighbours(stacks, how), case.drift)
        for how in (stackreg, phase)
        for stacks in (case.stacks, near)
    ]
    row(name, *(value for pair in (*ours, *others) for value in pair))
    return ours


def made(script, seed, **changes):
    """Return the stacks of the sample data, made by Monte Carlo with another seed."""
    spec = importlib.util.spec_from_file_location("make_sample_data", script)
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.SEED = seed
    make.PARAMETERS = make.PARAMETERS.model_copy(update={"seed": seed, **changes})
    simulated = simulate_stack(make.labels(), make.PARAMETERS)
    drift = -np.stack([alignment.offsets_px for alignment in simulated.alignments])
    return Case(list(simulated.images), drift)


def demo():
    """Return the stacks that ship with Porescope."""
    told = json.loads((sample_folder() / "drift.json").read_text(encoding="utf-8"))["offsets_px"]
    stacks = read_voltages(sample_folder())
    return Case(stacks, -np.stack([told[f"{stack.beam_kv:g}kV"] for stack in stacks]))


def shifted(image, shift):
    """Move an image by a fraction of a pixel, without a border in sight."""
    padded = np.pad(image, 48, mode="reflect")
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(padded), shift)).real


def real(shifts):
    """Return the real slices, undisturbed and with known shifts, seen in one window."""
    slices = np.stack([imread(file).astype(np.float32) for file in sorted(FLYEM.glob("*.png"))])
    seen = (slice(78, 268), slice(78, 268))
    return [
        Stack(np.stack([shifted(*pair)[seen] for pair in zip(slices, by, strict=True)]), (8, 8, 8))
        for by in (np.zeros_like(shifts), shifts)
    ]


def tilted(seed, fiducial, bright=1.0):
    """Return how far, in degrees, the axis of a tilted cylinder is off after alignment.

    The cylinder lies among isotropic structure, of the same grey or brighter.
    """
    shape = sample_shape()
    grey = structure("gauss", seed, shape).astype(np.float32) * (1.0 if bright == 1 else 0.5)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    middle = (shape[0] / 2, shape[1] / 2 + 40, shape[2] / 2)
    lean = np.tan(np.deg2rad(TILT_DEG))
    grey[(y - middle[1]) ** 2 + (x - middle[2] - lean * (z - middle[0])) ** 2 < 8**2] = bright
    if fiducial:
        grey = with_cap(grey)
    case = imaged(grey, seed, beams_kv=(1.0,))
    try:
        found = by_porescope(case.stacks)[0]
    except PorescopeError:
        return "refused"
    off = found + case.drift[0]
    # The cylinder lies where the sample has it, plus what alignment left of drift.
    depth_px = STEP * np.arange(SLICES)
    leans = np.array([np.polyfit(depth_px, off[:, axis], 1)[0] for axis in (0, 1)])
    axis = np.array([1.0, leans[0], lean + leans[1]])
    true = np.array([1.0, 0.0, lean])
    cosine = axis @ true / np.linalg.norm(axis) / np.linalg.norm(true)
    return float(np.rad2deg(np.arccos(min(cosine, 1.0))))


def main():
    """Print the tables."""
    warnings.simplefilter("ignore", PorescopeWarning)
    methods = (
        "porescope",
        "porescope, box",
        "pystackreg",
        "pystackreg, box",
        "neighbours",
        "neighbours, box",
    )
    head = "".join(f" {name}: within | between |" for name in methods)
    print(
        "# Registration: figures\nMade by `registration.py`. RMS errors in pixels, within a stack "
        "(less its mean) and between voltages. Box: the region of the fiducial is given, to the "
        "others with 24 px around it; otherwise all of the image is, and Porescope looks for the "
        "fiducial. Neighbours: correlation by scikit-image.\n\n"
        "## Multi-voltage stacks with known drift, 3 voltages\n"
        f"40 slices of {EDGE} x {EDGE} pixels, jitter of 3 px, steps of 20 px, a slow drift, "
        "noise, curtains, changing gain, shine-through by voltage, foreshortened by 52 degrees. "
        "The first rows are a stand-in for a microscope, each of another structure and seed; then "
        f"Monte Carlo.\n\n| |{head}\n|---|" + "---|---|" * len(methods)
    )
    ours = []
    for seed, kind in enumerate((*KINDS, *KINDS, *KINDS[:2]), start=100):
        case = imaged(with_cap(structure(kind, seed, sample_shape())), seed)
        ours.append(compare(f"{kind} {seed}", case, BOX))
    ours.append(compare("Monte Carlo, sample data", demo(), (0, 28, 0, 128)))
    script = ROOT / "sample_data" / "make_sample_data.py"
    for seed in (7, 8):
        case = made(script, seed, slices=24, electrons=60, drift_px=0.8)
        box = (0, 28, 0, case.stacks[0].shape[2])
        ours.append(compare(f"Monte Carlo {seed}, 60 electrons", case, box))
    worst = np.array(ours).max(axis=0)
    row("worst", *worst.ravel().tolist(), *("",) * 8)
    print("\nAsked for: 0.1 within and between.\n")
    print("## The same without a fiducial\n\n| | porescope: within | between |"
          " neighbours: within | between |\n|---|---|---|---|---|")  # fmt: skip
    for seed, kind in enumerate(KINDS, start=200):
        case = imaged(structure(kind, seed, sample_shape()).astype(np.float32), seed)
        found = errors(by_porescope(case.stacks), case.drift)
        row(f"{kind} {seed}", *found, *errors(neighbours(case.stacks, phase), case.drift))
    print("\nNothing in such images tells drift from structure that is inclined on average over "
          "the image.\n\n## Real slices with known shifts, relative to the undisturbed alignment"
          "\n\n| 100 slices, shifts | porescope | pystackreg | neighbours |\n"
          "|---|---|---|---|")  # fmt: skip
    random = np.random.default_rng(0)
    cases = {
        "uniform within 1 px": random.uniform(-1, 1, (100, 2)),
        "normal, 3 px": random.normal(0, 3, (100, 2)),
    }
    for name, shifts in cases.items():
        still, moved = real(shifts)
        row(name, *(
            errors((how([moved]) - how([still])), shifts[np.newaxis])[0]
            for how in (
                by_porescope, lambda s: neighbours(s, stackreg), lambda s: neighbours(s, phase)
            )
        ))  # fmt: skip
    print(f"\n## A cylinder tilted by {TILT_DEG:g} degrees: error of its axis, degrees\n\n"
          "| seed | with fiducial | without | without, thrice the contrast of all else |\n"
          "|---|---|---|---|")  # fmt: skip
    for seed in range(300, 305):
        row(seed, *(tilted(seed, *how) for how in ((True,), (False,), (False, 1.5))))
    print(
        "\nAsked for: 0.5.\n\nWith a fiducial the aim is met. Without one it is not in every image "
        f"of {EDGE} x {EDGE} pixels: the error shrinks with the area. A body that outshines all "
        "else is followed."
    )


if __name__ == "__main__":
    main()
