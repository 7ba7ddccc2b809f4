"""Make npg_multivoltage: nanoporous gold in epoxy, as a FIB-SEM sees it at 1, 2 and 4 kV.

Run with ``python sample_data/make_sample_data.py``; the same bytes come out each time. What is
simulated is described in npg_multivoltage/README.md.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage, stats

from porescope import _core
from porescope.geometry.waves import WaveField

FOLDER = Path(__file__).parent / "npg_multivoltage"
SEED = 46

WAVELENGTH_NM = 100.0
SOLID_FRACTION = 0.35
WAVES = 200
LEVELS = 2**16  # tried between the bounds of the field
PIXEL_NM = 2.5
EDGE_PX = 128
SLICES = 48
MEAN_THICKNESS_NM, THICKNESS_DEVIATION_NM = 10.16, 3.12  # real slices, FIB tomography thesis

VOLTAGES_KV = (1, 2, 4)
REFERENCE_KV = 2
DRIFT_STEP_PX = 0.5
JITTER_PX = 0.4
VOLTAGE_OFFSET_PX = 1.0

CAP_PX = 32  # rows at the top that show the platinum cap with its milled marks, the fiducial
CAP = 0.75
MARK = 0.2
MARK_CENTRES_PX = ((16, 32), (16, 96))
MARK_ARM_PX, MARK_WIDTH_PX = 9.0, 2.5

EPOXY = 0.22  # brightness where gold is 1
ATTENUATION_NM_AT_1_KV = 18.0
ATTENUATION_EXPONENT = 1.67  # as the range of electrons grows, Kanaya and Okayama 1972
PROBE_NM = 2.0
ELECTRONS = {1: 150, 2: 220, 4: 300}  # detected for a pixel of gold
DETECTOR_NOISE = 0.03
GREY_OF_GOLD = 190.0

OVERSAMPLING = 2
MARGIN_PX = 4  # so that the probe sees beyond the image's edge
SEARCH_STEP_NM = 5.0
SEARCH_LENGTHS = 5  # attenuation lengths; what lies deeper adds less than 1 %

# Each draw has its own stream of random numbers; the noise of a slice has one a voltage.
FIELD, THICKNESS, DRIFT, JITTER, VOLTAGE_OFFSET, NOISE = 0, 1, 2, 3, 10, 1000


def slice_positions_nm():
    """Draw the depth of each slice, the first at 0."""
    shape = (MEAN_THICKNESS_NM / THICKNESS_DEVIATION_NM) ** 2
    quantiles = _core.uniform(SEED, THICKNESS, 0, SLICES - 1)
    thickness_nm = stats.gamma.ppf(quantiles, shape, scale=MEAN_THICKNESS_NM / shape)
    return np.round(np.concatenate([[0.0], np.cumsum(thickness_nm)]), 3)


def offsets_px():
    """Draw what to add to y, x of each slice's content, for each voltage: (slices, 2)."""
    steps = DRIFT_STEP_PX * _core.normal(SEED, DRIFT, 0, 2 * SLICES).reshape(SLICES, 2)
    jitter = JITTER_PX * (2 * _core.uniform(SEED, JITTER, 0, 2 * SLICES).reshape(SLICES, 2) - 1)
    drift = np.cumsum(steps, axis=0) + jitter
    drift -= drift[0]
    offsets = {}
    for kv in VOLTAGES_KV:
        own = 2 * _core.uniform(SEED, VOLTAGE_OFFSET + kv, 0, 2 * SLICES).reshape(SLICES, 2) - 1
        extent = 0.0 if kv == REFERENCE_KV else VOLTAGE_OFFSET_PX
        offsets[kv] = np.round(drift + extent * own, 3)
    return offsets


def truth_and_level(field, slice_z_nm):
    """Return labels on the planes z = 0, 2.5, 5 ... nm, and the level above which gold begins."""
    z_nm = np.arange(round(slice_z_nm[-1] / PIXEL_NM) + 1) * PIXEL_NM
    centres_nm = (np.arange(EDGE_PX) + 0.5) * PIXEL_NM
    planes = np.stack(list(field.planes(z_nm, centres_nm, centres_nm)))
    bound = np.sqrt(2 * WAVES)
    counts, edges = np.histogram(planes[:, CAP_PX:], bins=LEVELS, range=(-bound, bound))
    above = counts.sum() - np.concatenate([[0], np.cumsum(counts)])
    level = edges[np.argmin(np.abs(above - SOLID_FRACTION * counts.sum()))]
    labels = (planes >= level).astype(np.uint8)
    labels[:, :CAP_PX] = 0
    return labels, level


def capped(brightness, y_px, x_px):
    """Put the cap over the top rows: opaque, with a cross milled through it at each mark."""
    y, x = y_px[:, np.newaxis], x_px[np.newaxis]
    marked = np.zeros(brightness.shape, dtype=bool)
    for centre_y, centre_x in MARK_CENTRES_PX:
        down, across = np.abs(y - centre_y), np.abs(x - centre_x)
        off_diagonal = np.abs(down - across) / np.sqrt(2)
        marked |= (off_diagonal < MARK_WIDTH_PX / 2) & (down < MARK_ARM_PX)
    return np.where(y < CAP_PX, np.where(marked, MARK, CAP), brightness)


def depth_of_gold_nm(field, level, z_nm, y_nm, x_nm, reach_nm):
    """Find how far below each point of a plane gold begins; infinity beyond ``reach_nm``."""
    steps = np.arange(0.0, reach_nm, SEARCH_STEP_NM)
    depth_nm = np.full((len(y_nm), len(x_nm)), np.inf)
    above = None
    for step_nm, plane in zip(steps, field.planes(z_nm + steps, y_nm, x_nm), strict=True):
        height = plane - level
        found = np.isinf(depth_nm) & (height >= 0)
        if above is None:
            depth_nm[found] = 0.0
        else:
            before, after = above[found], height[found]
            depth_nm[found] = step_nm - SEARCH_STEP_NM * after / (after - before)
        if np.isfinite(depth_nm).all():
            break
        above = height
    return depth_nm


def noise_free_slice(field, level, z_nm, offset_px, kv):
    """Render gold as 1, epoxy, and gold that shines through epoxy."""
    count = (EDGE_PX + 2 * MARGIN_PX) * OVERSAMPLING
    points_px = (np.arange(count) + 0.5) / OVERSAMPLING - MARGIN_PX
    y_px, x_px = points_px + offset_px[0], points_px + offset_px[1]
    attenuation_nm = ATTENUATION_NM_AT_1_KV * kv**ATTENUATION_EXPONENT
    depth_nm = depth_of_gold_nm(
        field,
        level,
        z_nm,
        y_px * PIXEL_NM,
        x_px * PIXEL_NM,
        SEARCH_LENGTHS * attenuation_nm,
    )
    brightness = EPOXY + (1 - EPOXY) * np.exp(-depth_nm / attenuation_nm)
    brightness = capped(brightness, y_px, x_px)
    seen = ndimage.gaussian_filter(brightness, PROBE_NM / PIXEL_NM * OVERSAMPLING)
    pixels = seen.reshape(count // OVERSAMPLING, OVERSAMPLING, -1, OVERSAMPLING).mean(axis=(1, 3))
    return pixels[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def imaged_slice(field, level, z_nm, offset_px, kv, index):
    """Image one slice as 8-bit grey values, with Poisson and Gaussian noise."""
    brightness = noise_free_slice(field, level, z_nm, offset_px, kv)
    stream = NOISE * kv + index
    quantiles = _core.uniform(SEED, stream, 0, brightness.size).reshape(brightness.shape)
    counted = stats.poisson.ppf(quantiles, ELECTRONS[kv] * brightness) / ELECTRONS[kv]
    detector = _core.normal(SEED, stream, brightness.size, brightness.size)
    noisy = counted + DETECTOR_NOISE * detector.reshape(brightness.shape)
    return np.rint(GREY_OF_GOLD * noisy).clip(0, 255).astype(np.uint8)


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
    slice_z_nm, offsets = slice_positions_nm(), offsets_px()
    field = WaveField.draw(WAVELENGTH_NM, WAVES, SEED, FIELD)
    truth, level = truth_and_level(field, slice_z_nm)
    write_tiff(FOLDER / "truth.tif", truth, PIXEL_NM, compression="zlib")
    for kv in VOLTAGES_KV:
        folder = FOLDER / f"{kv}kV"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for index, z_nm in enumerate(slice_z_nm):
            image = imaged_slice(field, level, z_nm, offsets[kv][index], kv, index)
            write_tiff(folder / slice_name(index, z_nm), image, MEAN_THICKNESS_NM)
    drift = {
        "offsets_px": {f"{kv}kV": offsets[kv].tolist() for kv in VOLTAGES_KV},
        "offsets_meaning": "what to add to y, x of a slice's content to bring it into the frame of "
        f"slice 0 at {REFERENCE_KV} kV, which is the frame of truth.tif",
        "slice_z_nm": slice_z_nm.tolist(),
        "thickness_nm": np.round(np.diff(slice_z_nm), 3).tolist(),
        "seed": SEED,
    }
    (FOLDER / "drift.json").write_text(json.dumps(drift, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
