"""Peak memory of the recipe on a stack larger than the limit: 4 GiB of slices in under 2 GiB.

python benchmarks/memory.py [--gib 4] [--folder DIR]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

WIDTH = 2048
RECIPE = """
porescope: 1
name: Memory benchmark
steps:
  - load: {beam_kv: 2, spacing_nm: [10, 5, 5]}
  - align
  - segment: {method: kmeans}
  - slices: {grid_nm: 10}
  - measure
"""


def write_slices(folder: Path, gib: float) -> int:
    """Write drifting slices of smooth noise and return their number."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(0)
    texture = gaussian_filter(random.normal(size=(WIDTH + 64, WIDTH + 64)), 8)
    texture = (texture - texture.min()) / np.ptp(texture) * 200
    count = int(gib * 2**30 / WIDTH**2)
    for index in range(count):
        y, x = random.integers(28, 36, 2)
        noise = random.integers(0, 40, (WIDTH, WIDTH), dtype=np.uint8)
        image = texture[y : y + WIDTH, x : x + WIDTH].astype(np.uint8) + noise
        tifffile.imwrite(folder / f"slice_{index:04d}.tif", image)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--folder", help="where there is room for three times as much")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "stack").mkdir()
        (folder / "recipe.yaml").write_text(RECIPE)
        count = write_slices(folder / "stack", options.gib)
        began = time.perf_counter()
        command = [sys.executable, "-m", "porescope.cli", "run", "recipe.yaml", "stack"]
        subprocess.run([*command, "--out", "result"], cwd=folder, check=True)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"stack   {options.gib:g} GiB, {count} slices of {WIDTH} x {WIDTH}")
    print(f"peak    {peak:.2f} GiB resident in the largest process (limit 2 GiB)")
    print(f"time    {seconds / 60:.1f} min")
    if peak >= 2:
        sys.exit("over the limit")


if __name__ == "__main__":
    main()
