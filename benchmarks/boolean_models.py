"""Porosity of Boolean models on 256^3 voxels beside the one asked for, and how far chance moves it.

Small grains keep within 0.01 in every realisation. Those of the paper are so large against 256^3
that single realisations cannot; their mean over seeds does, within its own scatter. The expected
scatter is that of the covariance (exp(intensity * mean overlap) - 1) * porosity^2, integrated over
pairs of points of the volume.

Run with ``python benchmarks/boolean_models.py``; writes results/boolean_models.md.
"""

import itertools
import math
import time
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from porescope.geometry import boolean_model, paper_sample, paper_sample_names, voxelize
from porescope.geometry.boolean import mean_volume

RESULTS = Path(__file__).parent / "results" / "boolean_models.md"
EDGE = 256
SHAPE = (EDGE,) * 3
POROSITIES = (0.3, 0.5, 0.7)
SMALL = [
    ("sphere", "r 4-7", {"radius": (4, 7)}),
    ("cylinder, uniform", "r 3-5, h 10-20", {"radius": (3, 5), "height": (10, 20)}),
    (
        "cylinder, vMF",
        "r 3-5, h 10-20",
        {"radius": (3, 5), "height": (10, 20), "orientation": "von-mises-fisher"},
    ),
    ("cube, uniform", "a 6-11", {"edge": (6, 11)}),
    ("cube, vMF", "a 6-11", {"edge": (6, 11), "orientation": "von-mises-fisher"}),
    ("cube, aligned", "a 6-11", {"edge": (6, 11), "orientation": "aligned"}),
]
PAPER = [
    ("sphere", f"r {low}-{high}", {"radius": (low, high)}) for low, high in ((10, 15), (30, 50))
] + [
    (
        f"cylinder, {short}",
        f"r {r[0]}-{r[1]}, h {h[0]}-{h[1]}",
        {"radius": r, "height": h, "orientation": orientation},
    )
    for r in ((5, 10), (10, 20), (30, 50))
    for h in ((100, 150), (300, 500))
    for short, orientation in (("uniform", "uniform"), ("vMF", "von-mises-fisher"))
]


def overlap(kind, row, points):
    """Volume that a particle shares with itself moved to each of the points."""
    if kind == "sphere":
        part = np.minimum(np.linalg.norm(points, axis=1) / (2 * row[3]), 1)
        return 4 / 3 * np.pi * row[3] ** 3 * (1 - 1.5 * part + 0.5 * part**3)
    if kind == "cylinder":
        axis, radius, height = row[3:6], row[6], row[7]
        along = np.abs(points @ axis)
        across = np.sqrt(np.maximum((points**2).sum(axis=1) - along**2, 0))
        part = np.minimum(across / (2 * radius), 1)
        lens = 2 * radius**2 * (np.arccos(part) - part * np.sqrt(1 - part**2))
        return lens * np.maximum(height - along, 0)
    own = Rotation.from_quat(row[[4, 5, 6, 3]]).inv().apply(points[:, ::-1])
    return np.prod(np.maximum(row[7] - np.abs(own), 0), axis=1)


def expected_scatter(kind, porosity, sizes, particles=100, points=200_000):
    """Standard deviation of the porosity of the volume, over realisations."""
    intervals = [value for value in sizes.values() if not isinstance(value, str)]
    intensity = -math.log(porosity) / mean_volume(kind, intervals)
    largest = [high for _, high in intervals]
    diameter = {
        "sphere": 2 * largest[0],
        "cylinder": math.hypot(2 * largest[0], largest[-1]),
        "cube": math.sqrt(3) * largest[0],
    }[kind]
    reach = min(diameter, EDGE)
    # Points uniform in direction and distance, so denser in the middle, where overlaps are large.
    random = np.random.default_rng(0)
    length = random.random(points)
    directions = random.normal(size=(points, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shifts = math.sqrt(3) * reach * length[:, np.newaxis] * directions
    weights = 4 * np.pi * (math.sqrt(3) * reach) ** 3 * length**2 / points
    model = boolean_model(kind, porosity=1e-9, shape=SHAPE, seed=99, **sizes)
    rows = {"sphere": model.spheres, "cylinder": model.cylinders, "cube": model.cuboids}[kind]
    centres = rows[:, :3]
    rows = rows[((centres >= 0) & (centres < EDGE)).all(axis=1)][:particles]
    mean_overlap = sum(overlap(kind, row, shifts) for row in rows) / len(rows)
    # The sample of particles has a mean volume of its own; the model's is known.
    mean_overlap *= mean_volume(kind, intervals) / np.mean(
        [overlap(kind, row, np.zeros((1, 3)))[0] for row in rows]
    )
    pairs = np.prod(np.maximum(EDGE - np.abs(shifts), 0), axis=1) / EDGE**6
    covariance = porosity**2 * np.expm1(intensity * mean_overlap)
    return math.sqrt((weights * pairs * covariance).sum())


def porosity_of(kind, porosity, sizes, seed):
    sample = boolean_model(kind, porosity=porosity, shape=SHAPE, seed=seed, **sizes)
    return 1 - voxelize(sample).mean()


def table(title, models, seeds):
    yield f"## {title}\n"
    yield (
        "| model | sizes / voxels | asked | first seed | mean "
        f"of {seeds} seeds | largest error of one | scatter | scatter expected |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    # Other seeds in each row: with equal ones, all rows would deviate alike.
    first = itertools.count(step=seeds)
    for name, words, sizes in models:
        kind = name.partition(",")[0]
        for porosity in POROSITIES:
            begin = next(first)
            found = np.array(
                [porosity_of(kind, porosity, sizes, begin + seed) for seed in range(seeds)]
            )
            expected = expected_scatter(kind, porosity, sizes)
            worst = np.abs(found - porosity).max()
            print(name, words, porosity, found.mean(), worst, found.std(ddof=1), expected)
            yield (
                f"| {name} | {words} | {porosity} | {found[0]:.4f} | {found.mean():.4f} "
                f"| {worst:.4f} | {found.std(ddof=1):.4f} | {expected:.4f} |"
            )
    yield ""


def timings():
    yield "## Drawing the paper's samples (850 x 850 x 1130)\n"
    yield "| sample | particles | seconds |"
    yield "|---|---|---|"
    total = 0.0
    rows = []
    for name in paper_sample_names():
        start = time.perf_counter()
        count = len(paper_sample(name))
        seconds = time.perf_counter() - start
        total += seconds
        rows.append((count, name, seconds))
    for count, name, seconds in (min(rows), max(rows)):
        yield f"| {name} | {count:,} | {seconds:.3f} |"
    yield f"| all 72 | {sum(count for count, *_ in rows):,} | {total:.1f} |"


def main():
    lines = ["# Boolean models: figures", "Two CPU cores; 256^3 voxels.\n"]
    lines += table("Small grains: every realisation within 0.01", SMALL, 10)
    lines += table("The grains of the paper: right on average", PAPER, 20)
    lines += timings()
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULTS)


if __name__ == "__main__":
    main()
