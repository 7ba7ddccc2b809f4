"""Simulate stacks to train and judge segmentation, each from a sample of its own.

python tools/simulate_training_stacks.py FOLDER gold training validation
    makes FOLDER/gold/training-00 and so on, as `porescope simulate` does; about 100 s a stack of
    gold and one core; what is there already is left alone
"""

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from porescope import Stack
from porescope.geometry import boolean_model, hierarchical_leveled_wave, leveled_wave, voxelize
from porescope.io import write_stack
from porescope.pipeline.simulation import SimulationParameters, write_simulation

PIXEL_NM = 2.5
EDGE = 128
FINE, COARSE = 12.7, 107.0
"""Wavelengths of nanoporous gold in pixels, as Articles I to III."""


@dataclass(frozen=True)
class Kind:
    """A material, and what there must be below the last slice.

    Parameters
    ----------
    materials : str
    electrons : int
        For each pixel.
    detector : str
    below_nm : float
        Where there is vacuum, electrons come from any depth; what comes from deeper is little.
    structures, varied : tuples of str
        What its stacks show, taken in turn, and those that vary.
    porosity : tuple of two floats
        Range, of structures of a single level.
    """

    materials: str
    electrons: int
    detector: str
    below_nm: float
    structures: tuple[str, ...]
    varied: tuple[str, ...]
    porosity: tuple[float, float]


@dataclass(frozen=True)
class Part:
    """Stacks with one purpose.

    Parameters
    ----------
    count, slices : int
    first_seed : int
        No two parts share a seed, so no sample is in two.
    structures : tuple of str, optional
        Taken in turn; those of the material by default.
    mean_nm, deviation : tuple of two floats
        Ranges of the slice thickness's mean, and of its deviation over the mean.
    probe_nm : tuple of two floats
        Range of the beam's full width at half maximum.
    strict : bool
        Whether waves are exactly the thesis's, or vary.
    """

    count: int
    slices: int
    first_seed: int
    structures: tuple[str, ...] = ()
    mean_nm: tuple[float, float] = (10.0, 10.0)
    deviation: tuple[float, float] = (0.0, 0.0)
    probe_nm: tuple[float, float] = (0.0, 0.0)
    strict: bool = True


KINDS = {
    "gold": Kind(
        "0=epoxy, 1=gold",
        100,
        "all-BSE",
        260.0,
        ("hierarchical",),
        ("hierarchical", "sphere", "wave", "cylinder"),
        (0.55, 0.85),
    ),
    "carbon": Kind(
        "0=vacuum, 1=carbon",
        20,
        "SE",
        400.0,
        ("sphere", "cylinder", "wave"),
        ("cylinder", "sphere", "wave"),
        (0.3, 0.7),
    ),
}
UNEVEN = {"mean_nm": (8.0, 13.0), "deviation": (0.0, 0.35), "probe_nm": (0.0, 6.0)}
PARTS = {
    "training": Part(7, 40, 0),
    "varied": Part(16, 24, 10_000, **UNEVEN, strict=False),
    "validation": Part(2, 32, 200),
    "validation-varied": Part(4, 16, 20_000, **UNEVEN, strict=False),
    "test": Part(10, 24, 1000),
    "test-probe": Part(2, 16, 2000, probe_nm=(5.887, 5.887)),
    "test-thick": Part(2, 16, 3000, mean_nm=(12.5, 12.5)),
    "test-sphere": Part(2, 16, 4000, ("sphere",)),
    "test-cylinder": Part(2, 16, 5000, ("cylinder",)),
}


def structure(name, depth, random, strict, porosity=(0.55, 0.85)):
    """Return labels of one phase in another."""
    shape = (depth, EDGE, EDGE)
    seed = int(random.integers(2**63))
    vary = (lambda low, high: 0.5 * (low + high)) if strict else random.uniform
    if name == "hierarchical":
        fine = FINE * vary(0.75, 1.25)
        solid_fractions = (vary(0.3, 0.4), vary(0.3, 0.4))
        coarse = fine * vary(COARSE / FINE - 2, COARSE / FINE + 2)
        return hierarchical_leveled_wave(
            shape, spacing_nm=1.0, wavelengths_nm=(coarse, fine),
            solid_fractions=solid_fractions, waves=100, seed=seed,
        )  # fmt: skip
    if name == "wave":
        wavelength = float(np.exp(random.uniform(math.log(12), math.log(50))))
        return leveled_wave(
            shape, spacing_nm=1.0, wavelength_nm=wavelength,
            solid_fraction=1 - random.uniform(*porosity), waves=100, seed=seed,
        )  # fmt: skip
    fraction = random.uniform(*porosity)
    if name == "sphere":
        radius = random.uniform(6, 12)
        sizes = {"radius": (radius, 1.5 * radius)}
    else:
        radius = random.uniform(3, 6)
        sizes = {"radius": (radius, 1.5 * radius), "height": (40, 80)}
    return voxelize(boolean_model(name, porosity=fraction, shape=shape, seed=seed, **sizes), shape)


def simulate(kind, part, index, out):
    """Write one stack."""
    random = np.random.default_rng(part.first_seed + index)
    mean_nm = random.uniform(*part.mean_nm)
    deviation_nm = mean_nm * random.uniform(*part.deviation)
    probe_nm = random.uniform(*part.probe_nm)
    below_nm = part.slices * (mean_nm + deviation_nm) + kind.below_nm
    structures = part.structures or (kind.structures if part.strict else kind.varied)
    name = structures[index % len(structures)]
    labels = structure(name, math.ceil(below_nm / PIXEL_NM), random, part.strict, kind.porosity)
    sample = out.with_name(f"{out.name}-sample.ome.zarr")
    if not sample.exists():
        write_stack(sample, Stack(labels.astype(np.uint8), (PIXEL_NM,) * 3, is_labels=True))
    parameters = SimulationParameters(
        electrons=kind.electrons,
        materials=kind.materials,
        slices=part.slices,
        mean_nm=mean_nm,
        deviation_nm=deviation_nm,
        probe_nm=probe_nm,
        detector=kind.detector,
        whole_voxels=True,
        seed=part.first_seed + index,
    )
    made = write_simulation(sample, parameters, out)
    told = f"{out}: {name}, {labels.mean():.3f} solid, {made.seconds:.0f} s"
    print(told, *made.notes, flush=True)


def main():
    """Simulate what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--stacks", type=int, default=100, help="at most, of a part")
    parser.add_argument("--slices", type=int, default=100, help="at most, of a stack")
    asked = parser.parse_args()
    for name in asked.parts:
        part = PARTS[name]
        part = replace(part, slices=min(part.slices, asked.slices))
        for index in range(min(part.count, asked.stacks)):
            out = asked.folder / asked.kind / f"{name}-{index:02d}"
            out.parent.mkdir(parents=True, exist_ok=True)
            if not out.exists():
                simulate(KINDS[asked.kind], part, index, out)


if __name__ == "__main__":
    main()
