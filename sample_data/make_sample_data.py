"""Make npg_multivoltage: hierarchical gold in epoxy, as a FIB-SEM sees it at 1, 2 and 4 kV.

Run with ``python sample_data/make_sample_data.py``; takes a minute or two. What is simulated is
described in npg_multivoltage/README.md.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from porescope import Stack
from porescope.geometry import hierarchical_leveled_wave
from porescope.pipeline.simulation import Microscope, SimulationParameters, simulate_stack

FOLDER = Path(__file__).parent / "npg_multivoltage"
SEED = 46

WAVELENGTHS_NM = (160.0, 40.0)
SOLID_FRACTIONS = (0.6, 0.6)
PIXEL_NM = 2.5
VOXEL_NM = (2.5, 1.25, 1.25)  # half a pixel across, for finer edges
EDGE_PX = 128
DEPTH = 306  # planes: the slices, and what 4 kV comes back from

CAP_PX = 32  # rows at the top that show the deposited cap with its milled marks, the fiducial
MARK_CENTRES_PX = ((16, 32), (16, 96))
MARK_ARM_PX, MARK_WIDTH_PX = 9.0, 2.5
EPOXY, GOLD, CAP = 0, 1, 2

PARAMETERS = SimulationParameters(
    beam_kv=(1, 2, 4),
    electrons=200,
    materials="0=epoxy, 1=gold, 2=silver",
    pixel_nm=PIXEL_NM,
    slices=48,
    probe_nm=3.0,
    drift_px=0.5,
    detector_noise=0.02,
    seed=SEED,
)


def labels():
    """Draw the sample: what all images show is 128 pixels wide and begins with the cap."""
    per_px = round(PIXEL_NM / VOXEL_NM[1])
    # The plan for a blank tells how far the images drift, and so how wide the sample must be.
    blank = Stack(
        np.broadcast_to(np.uint8(EPOXY), (DEPTH, 2 * EDGE_PX * per_px, 2 * EDGE_PX * per_px)),
        VOXEL_NM,
    )
    plan = Microscope(blank, PARAMETERS).plan
    beyond = np.ceil(plan.first_nm.max(axis=(0, 1)) / VOXEL_NM[1]).astype(int)
    shape = (DEPTH, *(EDGE_PX * per_px + beyond).tolist())
    solid = hierarchical_leveled_wave(
        shape,
        spacing_nm=VOXEL_NM,
        wavelengths_nm=WAVELENGTHS_NM,
        solid_fractions=SOLID_FRACTIONS,
        seed=SEED,
    )
    found = solid.astype(np.uint8)
    y, x = (
        (np.arange(count) + 0.5 - start) / per_px
        for count, start in zip(shape[1:], plan.start, strict=True)
    )
    found[:, y < CAP_PX] = capped(y[y < CAP_PX], x)
    return Stack(found, VOXEL_NM, is_labels=True)


def capped(y_px, x_px):
    """Return the cap's labels: with a cross milled through it at each mark, filled with epoxy."""
    y, x = y_px[:, np.newaxis], x_px[np.newaxis]
    marked = np.zeros((len(y_px), len(x_px)), dtype=bool)
    for centre_y, centre_x in MARK_CENTRES_PX:
        down, across = np.abs(y - centre_y), np.abs(x - centre_x)
        off_diagonal = np.abs(down - across) / np.sqrt(2)
        marked |= (off_diagonal < MARK_WIDTH_PX / 2) & (down < MARK_ARM_PX)
    return np.where(marked, EPOXY, CAP).astype(np.uint8)


def slice_name(index, z_nm):
    """Name a slice as Atlas does, with its depth to a thousandth of a nm."""
    return f"slice_{index:04}_z={z_nm / 1000:.6f}um.tif"


def write_tiff(path, image, spacing_z_nm, **how):
    """Write an ImageJ TIFF that carries the voxel size."""
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        resolution=(1 / PIXEL_NM, 1 / PIXEL_NM),
        resolutionunit="NONE",
        metadata={"axes": "ZYX"[-image.ndim :], "unit": "nm", "spacing": spacing_z_nm},
        software="porescope",
        **how,
    )


def main():
    """Write all files but the README."""

    def progress(done, total):
        print(f"\r{done} of {total} images", end="", file=sys.stderr, flush=True)

    simulated = simulate_stack(labels(), PARAMETERS, progress=progress)
    if simulated.notes:
        raise SystemExit("\n".join(simulated.notes))
    truth = replace(simulated.truth, data=(simulated.truth.data == GOLD).astype(np.uint8))
    write_tiff(FOLDER / "truth.tif", truth.data, VOXEL_NM[0], compression="zlib")
    for stack in simulated.images:
        folder = FOLDER / f"{stack.beam_kv:g}kV"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for index, (z_nm, image) in enumerate(zip(stack.slice_z_nm, stack.data, strict=True)):
            write_tiff(folder / slice_name(index, z_nm), image, PARAMETERS.mean_nm)
    slice_z_nm = np.round(simulated.images[0].slice_z_nm, 3)
    drift = {
        "offsets_px": {
            f"{alignment.beam_kv:g}kV": alignment.offsets_px.tolist()
            for alignment in simulated.alignments
        },
        "offsets_meaning": "what to add to y, x of a slice's content to bring it into the frame of "
        "slice 0 at 2 kV, which is the frame of truth.tif",
        "slice_z_nm": slice_z_nm.tolist(),
        "thickness_nm": np.round(np.diff(slice_z_nm), 3).tolist(),
        "grey_of_no_signal": simulated.exposures[0].grey_of_no_signal,
        "grey_per_signal": {
            f"{image.beam_kv:g}kV": exposure.grey_per_signal
            for image, exposure in zip(simulated.images, simulated.exposures, strict=True)
        },
        "parameters": PARAMETERS.model_dump(mode="json"),
        "seed": SEED,
    }
    (FOLDER / "drift.json").write_text(json.dumps(drift, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
