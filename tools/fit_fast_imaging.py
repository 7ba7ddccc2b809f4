"""Fit the constants of fast imaging to stacks by Monte Carlo.

python tools/simulate_training_stacks.py DATA gold training varied validation
python tools/fit_fast_imaging.py DATA/gold training-00 varied-00 ... [--judge validation-00 ...]
prints the constants of porescope.adapt.fast_imaging that come nearest to the stacks named, and how
near the ones that ship and the new ones come to those that judge; about ten minutes of a core for
three stacks.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from porescope.adapt import fast_imaging
from porescope.imaging.montecarlo import FWHM_PER_DEVIATION
from porescope.io import read_stack
from porescope.pipeline.simulation import parse_materials
from porescope.pipeline.trainings.samples import read_sample

SMOOTHED_PX = 1.0
"""So that the noise of electrons counts little."""
EVERY_PX = 4
"""Only every so many smoothed pixels are compared."""


class Compared:
    """A sample, and what Monte Carlo made of its slices."""

    def __init__(self, folder):
        told = json.loads((folder / "simulation.json").read_text())
        sample = read_stack(folder.with_name(f"{folder.name}-sample.ome.zarr"))
        self.labels, self.spacing_nm = np.asarray(sample.data), sample.spacing_nm
        self.depths_nm = told["slice_z_nm"]
        self.materials = parse_materials(told["parameters"]["materials"])
        self.probe_px = told["parameters"]["probe_nm"] / FWHM_PER_DEVIATION / sample.spacing_nm[-1]
        self.signals = {
            stack.beam_kv: smoothed(
                (np.asarray(stack.data, np.float32) - stack.metadata["grey_of_no_signal"])
                / stack.metadata["grey_per_signal"]
            )
            for stack in read_sample(folder).stacks
        }

    def errors(self, beam_kv):
        """Return by how much fast images differ, in electrons for each of the beam."""
        planes = fast_imaging.fast_planes(
            self.labels, self.spacing_nm, beam_kv, self.depths_nm, self.materials
        )
        images = [image for _, image in sorted(planes, key=lambda each: each[0])]
        return smoothed(np.stack(images), self.probe_px) - self.signals[beam_kv]


def smoothed(images, probe_px=0.0):
    """Return every few pixels of slices seen by a probe, without the noise of single ones."""
    deviation = np.hypot(SMOOTHED_PX, probe_px)
    even = gaussian_filter(images, (0, deviation, deviation))
    return even[:, ::EVERY_PX, ::EVERY_PX]


def take(values):
    """Make numbers the constants of fast imaging."""
    first, second, third = np.exp(values[:3])
    fast_imaging.FALLS = np.array([first, second, third, second])
    fast_imaging.SPREADS = np.exp(values[3:7])
    fast_imaging.WIDE, fast_imaging.SHORTER = values[7:9]


def taken():
    """Return the constants of fast imaging as numbers that can be fitted."""
    falls, spreads = np.log(fast_imaging.FALLS[:3]), np.log(fast_imaging.SPREADS)
    return np.array([*falls, *spreads, fast_imaging.WIDE, fast_imaging.SHORTER])


def told(samples):
    """Return the root mean square error at each voltage."""
    beams_kv = sorted({beam_kv for sample in samples for beam_kv in sample.signals})
    squares = [np.mean([np.square(s.errors(kv)).mean() for s in samples]) for kv in beams_kv]
    return ", ".join(f"{kv:g} kV {v**0.5:.4f}" for kv, v in zip(beams_kv, squares, strict=True))


def main():
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("stacks", nargs="+")
    parser.add_argument("--judge", nargs="*", default=[])
    options = parser.parse_args()
    samples = [Compared(options.data / name) for name in options.stacks]
    judges = [Compared(options.data / name) for name in options.judge] or samples
    print("as they ship:", told(judges), flush=True)

    def errors(values):
        take(values)
        return np.concatenate([s.errors(kv).ravel() for s in samples for kv in s.signals])

    found = least_squares(errors, taken(), diff_step=0.01, max_nfev=15, verbose=2)
    take(found.x)
    for name in ("FALLS", "SPREADS", "WIDE", "SHORTER"):
        print(name, "=", np.array2string(np.array(getattr(fast_imaging, name)), precision=4))
    print("fitted:", told(judges))


if __name__ == "__main__":
    main()
