"""Simulate the images that surrogates learn from and are judged on, each of a sample of its own.

python tools/simulate_surrogate_images.py FOLDER training validation cubes ...
    makes FOLDER/training/00000-0.npz and so on, see porescope.imaging.surrogate.images; carbon in
    vacuum, a few seconds an image and one core; what is there already is left alone
python tools/simulate_surrogate_images.py FOLDER gold-training gold-validation
    the same of gold in epoxy, with the structures of tools/simulate_training_stacks.py
python tools/simulate_surrogate_images.py FOLDER stacks STACK ...
    takes the images of stacks that the latter made: FOLDER/STACK-000-1kV.npz and so on

Spheres and cylinders span Table 1 of the neural simulator's paper; cubes are never learned from.
Primitives are imaged as they are, not as voxels, whose walls give some per cent more secondaries;
gold is imaged as voxels.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from simulate_training_stacks import KINDS, structure

from porescope.geometry import boolean_model
from porescope.imaging import (
    HeightField,
    electron_sample,
    extract_heightfield,
    simulate_monte_carlo,
)
from porescope.imaging.surrogate.images import Example, write_example
from porescope.io import read_stack
from porescope.pipeline.simulation.parameters import parse_materials

PIXEL_NM = 3.0
DEPTH = 330
"""Pixels, of a sample; the plane lies in the uppermost tenth."""
AROUND = 24
"""Pixels of the sample on each side of an image; at its sides it is mirrored."""
LAYERS = 4
GOLD_PIXEL_NM = 2.5
GOLD_STRUCTURES = ("hierarchical", "wave", "hierarchical", "sphere", "hierarchical", "cylinder")
BEAMS_KV = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Part:
    """Images with one purpose.

    Parameters
    ----------
    count, edge : int
        Of images, and of their pixels.
    first_seed : int
        No two parts share a seed, so no sample is in two.
    beams_kv : tuple of float
        Taken in turn.
    electrons : tuple of int
        For each pixel, at 1, 2 and 4 kV.
    halves : int
        An image in so many independent parts, which tell its noise.
    cubes : bool
    wide : bool
        With emptier samples of larger bodies, into which the view is deep.
    """

    count: int
    edge: int
    first_seed: int
    beams_kv: tuple[float, ...] = (2.0, 1.0, 2.0, 4.0, 2.0)
    electrons: tuple[int, int, int] = (50, 50, 30)
    halves: int = 1
    cubes: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Gold:
    """As many samples of gold, one plane of each at all voltages."""

    count: int
    first_seed: int
    halves: int = len(BEAMS_KV)


PARTS = {
    "training": Part(214, 128, 0),
    "validation": Part(25, 128, 1_000_000),
    "training-wide": Part(1500, 128, 7_000_000, electrons=(20, 20, 12), wide=True),
    "gold-training": Gold(30, 5_000_000),
    "gold-validation": Gold(8, 6_000_000),
    "cubes": Part(12, 64, 2_200_000, (2.0,), (0, 500, 0), 2, True),
    "cubes-1kV": Part(6, 64, 3_200_000, (1.0,), (100, 0, 0), 2, True),
    "cubes-4kV": Part(6, 64, 4_200_000, (4.0,), (0, 0, 100), 2, True),
}


def log_uniform(random, low, high):
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def draw(index, part, random):
    """Return primitives that fill the box of a sample."""
    seed = int(random.integers(2**63))
    side = part.edge + 2 * AROUND
    shape = (DEPTH, side, side)
    if part.cubes:
        edge = ((20, 30), (60, 100))[index % 2]
        porosity = (0.3, 0.5, 0.7)[index // 2 % 3]
        return boolean_model("cube", porosity=porosity, shape=shape, edge=edge, seed=seed)
    porosity = random.uniform(0.3, 0.85 if part.wide else 0.7)
    largest = 60 if part.wide else 30
    if random.random() < 0.4:
        radius = log_uniform(random, 10, largest)
        return boolean_model(
            "sphere", porosity=porosity, shape=shape, radius=(radius, 1.6 * radius), seed=seed
        )
    radius = log_uniform(random, 5, largest)
    height = log_uniform(random, 100, 300)
    return boolean_model(
        "cylinder",
        porosity=porosity,
        shape=shape,
        radius=(radius, 1.7 * radius),
        height=(height, 1.6 * height),
        orientation="uniform" if random.random() < 0.4 else "von-mises-fisher",
        seed=seed,
    )


def simulate_gold(part, index):
    """Return the examples of one plane."""
    random = np.random.default_rng(part.first_seed + index)
    kind = KINDS["gold"]
    highest = 20
    depth = highest + math.ceil(kind.below_nm / GOLD_PIXEL_NM)
    name = GOLD_STRUCTURES[index % len(GOLD_STRUCTURES)]
    labels = structure(name, depth, random, strict=False).astype(np.uint8)
    ready = electron_sample(
        labels, GOLD_PIXEL_NM, parse_materials(kind.materials), secondaries=False
    )
    plane_z = int(random.integers(highest))
    field = gold_field(labels, plane_z)
    for beam_kv in BEAMS_KV:
        seen = simulate_monte_carlo(
            ready,
            plane_z,
            beam_kv=beam_kv,
            electrons=kind.electrons,
            secondaries=False,
            seed=int(random.integers(2**63)),
            threads=1,
        )
        yield Example(
            field,
            seen["bse"][np.newaxis],
            ("bse",),
            beam_kv,
            GOLD_PIXEL_NM,
            kind.electrons,
            kind.materials,
            f"gold {part.first_seed + index}",
        )


def gold_field(labels, plane_z):
    """Return the heightfield of a plane in nm."""
    return extract_heightfield(
        labels, plane_z, layers=LAYERS, spacing_nm=(GOLD_PIXEL_NM,) * 3, device="cpu", threads=1
    )


def from_stack(folder):
    """Yield the examples of a stack of gold, and their names."""
    told = json.loads((folder / "simulation.json").read_text())
    sample = read_stack(folder.with_name(f"{folder.name}-sample.ome.zarr"))
    labels = np.asarray(sample.data)
    assert told["parameters"]["drift_px"] == 0
    assert sample.spacing_nm == (GOLD_PIXEL_NM,) * 3
    images = {
        beam["beam_kv"]: (
            np.asarray(read_stack(folder / f"{beam['beam_kv']:g}kV.ome.zarr").data, np.float32)
            - np.float32(beam["grey_of_no_signal"])
        )
        / np.float32(beam["grey_per_signal"])
        for beam in told["voltages"]
    }
    for index, z_nm in enumerate(told["slice_z_nm"]):
        field = gold_field(labels, z_nm / GOLD_PIXEL_NM)
        for beam_kv, signals in images.items():
            yield (
                f"{folder.name}-{index:03d}-{beam_kv:g}kV.npz",
                Example(
                    field,
                    signals[index : index + 1],
                    ("bse",),
                    beam_kv,
                    GOLD_PIXEL_NM,
                    told["parameters"]["electrons"],
                    told["parameters"]["materials"],
                    folder.name,
                ),
            )


def simulate(part, index):
    """Return the examples of one image."""
    random = np.random.default_rng(part.first_seed + index)
    primitives = draw(index, part, random)
    plane_z = random.uniform(0, DEPTH / 10)
    beam_kv = part.beams_kv[index % len(part.beams_kv)]
    electrons = dict(zip(BEAMS_KV, part.electrons, strict=True))[beam_kv]
    field = extract_heightfield(primitives, plane_z, layers=LAYERS, device="cpu", threads=1)
    field = HeightField(field.entry * PIXEL_NM, field.exit * PIXEL_NM, field.normal)
    ready = electron_sample(primitives, PIXEL_NM)
    for _ in range(part.halves):
        seen = simulate_monte_carlo(
            ready,
            plane_z,
            beam_kv=beam_kv,
            electrons=electrons,
            pixel_nm=PIXEL_NM,
            shape=(part.edge, part.edge),
            first_nm=(AROUND * PIXEL_NM, AROUND * PIXEL_NM),
            seed=int(random.integers(2**63)),
            threads=1,
        )
        yield Example(
            field,
            np.stack([seen["bse"], seen["se"]]),
            ("bse", "se"),
            beam_kv,
            PIXEL_NM,
            electrons,
            "0=vacuum, 1=carbon",
            f"{part.first_seed + index}",
        )


def make(folder, name):
    """Simulate what is not there yet of a part."""
    part = PARTS[name]
    simulated = simulate_gold if isinstance(part, Gold) else simulate
    for index in range(part.count):
        paths = [folder / name / f"{index:05d}-{half}.npz" for half in range(part.halves)]
        if all(path.exists() for path in paths):
            continue
        for path, example in zip(paths, simulated(part, index), strict=True):
            path.unlink(missing_ok=True)
            write_example(path, example)
        print(f"{name} {index}", flush=True)


def main():
    """Simulate parts, or take images from stacks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="+", help=f"{', '.join(PARTS)}; or stacks and folders")
    asked = parser.parse_args()
    if asked.parts[0] == "stacks":
        for stack in map(Path, asked.parts[1:]):
            for name, example in from_stack(stack):
                if not (asked.folder / name).exists():
                    write_example(asked.folder / name, example)
        return
    for name in asked.parts:
        make(asked.folder, name)


if __name__ == "__main__":
    main()
