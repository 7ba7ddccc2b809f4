"""Interpolation into the gaps between slices, at the protocol of Article II of the thesis.

python benchmarks/interpolation.py prints the tables and stores them in results/interpolation.md.
The electrode of shared/data beside the project is used where it is there.
No structure here chose anything: neither a parameter of kriging nor a weight of the network.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from porescope.correct import grid_places, interpolate, reposition
from porescope.correct.interpolation.interpolate import Method
from porescope.geometry import boolean_model, hierarchical_leveled_wave, voxelize
from porescope.imaging.slices import gamma_slice_z_nm
from porescope.learn import precision
from porescope.learn.structures import excursion_set
from porescope.measure import isotropy, scores

RESULTS = Path(__file__).parent / "results" / "interpolation.md"
ELECTRODE = (
    Path(__file__).parents[2] / "shared/data/real/labels/taufactor_electrode_256cube_3phase.tiff"
)
FIRST_SEED = 40_000_000
STRUCTURES = 12
EDGE = 128
VOXEL_NM = 2.5
GRID_NM = 10.0
PLANES = round(GRID_NM / VOXEL_NM)
GOLD = {"wavelengths_nm": (267.5, 31.75), "solid_fractions": (0.35, 0.35), "waves": 100}
METHODS = (
    "hold", "nearest", "linear", "spline", "mended-spline", "distance", "kriging", "learned",
)  # fmt: skip
FOLLOWING_BORDERS = ("spline", "distance", "kriging", "learned")
THESIS = {
    "hold": "4.89, 19.98, 0.89",
    "mended-spline": "3.12, 13.52, 0.93",
    "learned": "2.35, 10.04, 0.95",
}
THESIS_ISOTROPY = {
    "truth": "0.1038, 0.0188, 0.0138",
    "hold": "0.1149, 0.0479, 0.0306",
    "mended-spline": "0.1091, 0.0482, 0.0299",
    "learned": "0.1086, 0.0341, 0.0211",
}
THESIS_CASES = {
    "DNN": "19.97, 81.62, 0.53",
    "SRCS": "5.29, 22.38, 0.88",
    "RNN": THESIS["hold"],
    "RCS": THESIS["mended-spline"],
    "RML": THESIS["learned"],
}

Volume = np.ndarray


def gold(seed: int, shape: tuple[int, int, int] = (EDGE,) * 3) -> Volume:
    """Return hierarchical nanoporous gold."""
    return hierarchical_leveled_wave(shape, spacing_nm=VOXEL_NM, seed=seed, **GOLD)


def spheres(seed: int) -> Volume:
    model = boolean_model("sphere", porosity=0.5, shape=(EDGE,) * 3, radius=(6, 12), seed=seed)
    return voxelize(model, (EDGE,) * 3)


def cylinders(seed: int) -> Volume:
    model = boolean_model(
        "cylinder", porosity=0.6, shape=(EDGE,) * 3, radius=(4, 7), height=(30, 60), seed=seed
    )
    return voxelize(model, (EDGE,) * 3)


def rough(seed: int, length: float = 10.0) -> Volume:
    """Return an excursion set of a Gaussian field with an exponential covariance."""
    return excursion_set(
        (EDGE,) * 3, length=length, smoothness=0.5, solid_fraction=0.35,
        random=np.random.default_rng(seed),
    )  # fmt: skip


def slice_planes(depth: int, seed: int, mean: float = 10.16, deviation: float = 3.12) -> np.ndarray:
    """Return the planes that were imaged: thicknesses gamma distributed, in whole voxels."""
    z_nm = gamma_slice_z_nm(depth, mean, deviation, step_nm=VOXEL_NM, seed=seed)
    planes = np.rint(z_nm / VOXEL_NM).astype(int)
    return planes[planes < depth]


def mimicked(truth: Volume, planes: np.ndarray) -> tuple[Volume, Volume, np.ndarray]:
    """Return the truth up to the last slice, its slices alone, and which planes these are."""
    truth = truth[: planes[-1] + 1]
    known = np.isin(np.arange(len(truth)), planes)
    return truth, np.where(known[:, np.newaxis, np.newaxis], truth, 0).astype(truth.dtype), known


def misplaced(filled: Volume, truth: Volume) -> float:
    return 100 * float((filled != truth).mean())


CASES: dict[str, Callable[[Volume, np.ndarray], Volume]] = {}


def case(
    function: Callable[[Volume, np.ndarray], Volume],
) -> Callable[[Volume, np.ndarray], Volume]:
    CASES[function.__name__.upper()] = function
    return function


@case
def dnn(slices: Volume, z_nm: np.ndarray) -> Volume:
    """No repositioning: every slice counts as 10 nm thick, and is held."""
    return np.repeat(slices, PLANES, axis=0)


@case
def srcs(slices: Volume, z_nm: np.ndarray) -> Volume:
    """Slices on a grid of 10 nm, then a spline with its holes mended."""
    volume, known = reposition(slices, GRID_NM * PLANES * grid_places(z_nm, GRID_NM), GRID_NM)
    return interpolate(volume, known, "mended-spline")


@case
def rnn(slices: Volume, z_nm: np.ndarray) -> Volume:
    """Slices where they were cut, held."""
    return interpolate(*reposition(slices, z_nm, VOXEL_NM), "hold")


@case
def rcs(slices: Volume, z_nm: np.ndarray) -> Volume:
    """Slices where they were cut, then a spline with its holes mended."""
    return interpolate(*reposition(slices, z_nm, VOXEL_NM), "mended-spline")


@case
def rml(slices: Volume, z_nm: np.ndarray) -> Volume:
    """Slices where they were cut, then the network."""
    return interpolate(*reposition(slices, z_nm, VOXEL_NM), "learned")


def mean_and_deviation(values: list[float], digits: int = 2) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def protocol() -> list[str]:
    """Every method on hierarchical nanoporous gold."""
    found: dict[str, list[dict[str, float]]] = {method: [] for method in ("truth", *METHODS)}
    for seed in range(FIRST_SEED, FIRST_SEED + STRUCTURES):
        truth, emptied, known = mimicked(gold(seed), slice_planes(EDGE, seed))
        cubic = truth[:EDGE]
        found["truth"].append(isotropy(cubic, (VOXEL_NM,) * 3))
        for method in METHODS:
            filled = interpolate(emptied, known, method)
            found[method].append({**scores(filled, truth), **isotropy(filled, (VOXEL_NM,) * 3)})
    spline = np.array([one["MP"] for one in found["spline"]])
    lines = [
        "## Hierarchical leveled wave, slices of 10.16 ± 3.12 nm on 2.5 nm",
        "| method | MP % | of spline | worst | MGP % | MDS | thesis: MP, MGP, MDS |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        ratio = np.array([one["MP"] for one in found[method]]) / spline
        columns = [
            mean_and_deviation([one["MP"] for one in found[method]]),
            f"{ratio.mean():.3f}",
            f"{ratio.max():.3f}",
            mean_and_deviation([one["MGP"] for one in found[method]]),
            mean_and_deviation([one["MDS"] for one in found[method]], 4),
            THESIS.get(method, ""),
        ]
        lines.append(f"| {method} | " + " | ".join(columns) + " |")
    lines += [
        "",
        "## Errors of isotropy of the same volumes",
        f"Volumes of {EDGE * VOXEL_NM:g} nm hold few of the coarse ligaments (268 nm apart), so "
        "the truth itself is far from 0: compare with its row.",
        "",
        "| method | two-point | lineal path | diameter | thesis |",
        "|---|---|---|---|---|",
    ]
    for method, each in found.items():
        columns = [
            mean_and_deviation([one[name] for one in each], 4)
            for name in ("tpcf", "lpf", "diameter")
        ]
        columns.append(THESIS_ISOTROPY.get(method, ""))
        lines.append(f"| {method} | " + " | ".join(columns) + " |")
    return lines


def cases() -> list[str]:
    """Compare what the thesis compares in its Table 3."""
    lines = [
        "## With and without repositioning",
        "Without repositioning errors add up along z, so DNN and SRCS grow with the height of a "
        f"stack; here it is {EDGE} planes.",
        "",
        "| case | MP % | MGP % | MDS | thesis: MP, MGP, MDS |",
        "|---|---|---|---|---|",
    ]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for seed in range(FIRST_SEED, FIRST_SEED + STRUCTURES):
        truth, planes = gold(seed).astype(np.uint8), slice_planes(EDGE, seed)
        for name, reconstruct in CASES.items():
            volume = reconstruct(truth[planes], VOXEL_NM * planes)
            depth = min(len(volume), planes[-1] + 1)
            found[name].append(scores(volume[:depth], truth[:depth]))
    for name, each in found.items():
        columns = [
            mean_and_deviation([one[score] for one in each], digits)
            for score, digits in (("MP", 2), ("MGP", 2), ("MDS", 3))
        ]
        about = CASES[name].__doc__.rstrip(".")
        lines.append(f"| {name}: {about} | " + " | ".join([*columns, THESIS_CASES[name]]) + " |")
    return lines


def others() -> list[str]:
    """Structures that are no waves, and slices of other thickness."""
    seeds = range(FIRST_SEED, FIRST_SEED + 10)
    sets = {
        f"{name}, 10": [mimicked(draw(seed), slice_planes(EDGE, seed)) for seed in seeds]
        for name, draw in (
            ("spheres of radius 6 to 12", spheres),
            ("cylinders of radius 4 to 7", cylinders),
            ("rough Gaussian field, length 10", rough),
            ("rough Gaussian field, length 25", lambda seed: rough(seed, 25.0)),
            ("the other phase of gold", lambda seed: ~gold(seed)),
        )
    }
    for mean in (5.5, 20.0):
        sets[f"gold, slices of {mean:g} nm, 10"] = [
            mimicked(gold(seed), slice_planes(EDGE, seed, mean, 0.3 * mean)) for seed in seeds
        ]
    if ELECTRODE.exists():
        import tifffile

        electrode = tifffile.imread(ELECTRODE)
        for axis, name in enumerate("zyx"):
            turned = np.ascontiguousarray(np.moveaxis(electrode, axis, 0)[:96])
            sets[f"electrode, 3 phases, along {name}"] = [
                mimicked(turned, slice_planes(96, FIRST_SEED + axis))
            ]
    lines = [
        "## Other structures, MP %",
        "| structure | " + " | ".join(FOLLOWING_BORDERS) + " | learned / kriging | worst |",
        "|---" * (len(FOLLOWING_BORDERS) + 3) + "|",
    ]
    for name, stacks in sets.items():
        found = {
            method: np.array(
                [
                    misplaced(interpolate(emptied, known, method), truth)
                    for truth, emptied, known in stacks
                ]
            )
            for method in FOLLOWING_BORDERS
        }
        ratio = found["learned"] / found["kriging"]
        columns = [f"{found[method].mean():.2f}" for method in FOLLOWING_BORDERS]
        columns += [
            f"{found['learned'].mean() / found['kriging'].mean():.3f}",
            f"{ratio.max():.3f}",
        ]
        lines.append(f"| {name} | " + " | ".join(columns) + " |")
    return lines


def speed() -> list[str]:
    """Time 128 planes of 512 x 512."""
    shape = (128, 512, 512)
    _, emptied, known = mimicked(gold(FIRST_SEED, shape), slice_planes(128, FIRST_SEED))
    interpolate(emptied[:20], known[:20], "learned")  # the weights are read once
    lines = [
        "## 128 planes of 512 x 512",
        "| method | CPU seconds | seconds |",
        "|---|---|---|",
    ]

    def timed(method: Method) -> tuple[Volume, str]:
        began, cpu = time.perf_counter(), time.process_time()
        filled = interpolate(emptied, known, method)
        used = time.process_time() - cpu
        return filled, f"| {used:.1f} | {time.perf_counter() - began:.1f} |"

    for method in METHODS:
        halves, took = timed(method)
        lines.append(f"| {method} {took}")
    precision.has_fast_bfloat16 = lambda device="cpu": False
    whole, took = timed("learned")
    lines.append(f"| learned, where there are no 16-bit floats {took}")
    lines += [
        "",
        f"Without them {misplaced(whole, halves):.4f} % of the voxels become another phase.",
    ]
    return lines


def main() -> None:
    """Run all parts."""
    parts = [
        [
            "# Interpolation into the gaps between slices",
            f"`interpolation.py`; {STRUCTURES} structures of {EDGE}^3 voxels, each with slices of "
            "its own; mean ± standard deviation over structures. `of spline` is the mean ratio of "
            "MP to that of the cubic spline on the same stack, `worst` the largest. Planes beyond "
            "the last slice are left out. No structure here chose a weight or a parameter.",
        ],
        *(part() for part in (protocol, cases, others, speed)),
    ]
    text = "\n\n".join("\n".join(part) for part in parts) + "\n"
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
