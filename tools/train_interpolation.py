"""Train the network that fills gaps between slices, and write its weights with their card.

python tools/train_interpolation.py FOLDER      about half an hour on one core with 16-bit floats
python tools/train_interpolation.py FOLDER      goes on where it was stopped
The result, FOLDER/interpolation.safetensors, ships in src/porescope/weights.
"""

import argparse
import time
from pathlib import Path

from porescope.correct.interpolation.gap_training import train_gap_network
from porescope.learn.parameters import TrainingParameters

PARAMETERS = TrainingParameters(
    epochs=90,
    batch_size=16,
    learning_rate=1e-3,
    steady=0.4,
    patience=12,
    seed=5,
)


def main() -> None:
    """Train, saying how far it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        if done % 100 == 0:
            print(f"{time.monotonic() - began:6.0f} s: {done} of {total}", flush=True)

    card = train_gap_network(folder, PARAMETERS, progress=progress)
    print(card.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
