"""Train the neural simulators that ship, and write their weights with their cards.

python tools/train_surrogate.py default FOLDER OUT    carbon in vacuum, half an hour on one core
python tools/train_surrogate.py gold-epoxy FOLDER OUT gold in epoxy, the same
A training that was stopped goes on. FOLDER holds training/ and validation/, which
tools/simulate_surrogate_images.py makes; OUT/surrogate.safetensors ships as
src/porescope/weights/surrogate-NAME.safetensors, with its card beside. The same as
`porescope train surrogate FOLDER --out OUT` with these parameters.
"""

import argparse
import time
from pathlib import Path

from porescope.imaging.surrogate.settings import SurrogateTraining
from porescope.imaging.surrogate.training import train_surrogate

PARAMETERS = {
    "default": SurrogateTraining(epochs=34),
    "gold-epoxy": SurrogateTraining(layers=4, length_nm=50.0, epochs=13),
}


def main() -> None:
    """Train, saying how far it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=PARAMETERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        if done % 50 == 0:
            print(f"{time.monotonic() - began:6.0f} s: {done} of {total}", flush=True)

    card = train_surrogate(asked.folder, PARAMETERS[asked.name], asked.out, progress=progress)
    print(card.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
