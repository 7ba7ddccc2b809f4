"""Train the network that fills gaps between slices, and write its weights with their card.

python tools/train_interpolation.py FOLDER      about an hour on one core with 16-bit floats
python tools/train_interpolation.py FOLDER      goes on where it was stopped
It learns a mixture of structures first, then with more waves of two levels among them. The result,
FOLDER/further/interpolation.safetensors, ships in src/porescope/weights. The same as `porescope
train interpolation` twice, with these parameters.
"""

import argparse
import time
from pathlib import Path

from porescope.correct.interpolation.gap_training import train_gap_network
from porescope.correct.interpolation.parameters import InterpolationTraining

FIRST = InterpolationTraining(seed=5)
FURTHER = {
    "cubes": 900, "waves": 0.64, "epochs": 60, "learning_rate": 5e-4, "steady": 0.2,
    "patience": 60, "seed": 6,
}  # fmt: skip
FILE = "interpolation.safetensors"


def main() -> None:
    """Train, saying how far it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        if done % 100 == 0:
            print(f"{time.monotonic() - began:6.0f} s: {done} of {total}", flush=True)

    start = folder / "first" / FILE
    if not start.exists():
        train_gap_network(start.parent, FIRST, progress=progress)
    further = InterpolationTraining(start=start, **FURTHER)
    card = train_gap_network(folder / "further", further, progress=progress)
    print(card.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
