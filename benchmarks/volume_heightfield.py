"""Time the heightfield of voxel volumes, and measure the normals of voxel surfaces.

Run with ``python benchmarks/volume_heightfield.py [edge in voxels]``.
"""

import sys
import time

import numpy as np

from porescope import _core
from porescope.geometry import leveled_wave

LAYERS = 2


def balls(edge, solid_fraction, random):
    """Overlapping balls with radii from 10 to 20 voxels."""
    solid = np.zeros((edge,) * 3, bool)
    while solid.mean() < solid_fraction:
        for _ in range(50):
            radius = random.uniform(10, 20)
            centre = random.uniform(-radius, edge + radius, 3)
            begin = np.clip(centre - radius, 0, edge).astype(int)
            end = np.clip(centre + radius + 1, 0, edge).astype(int)
            inside = np.s_[begin[0] : end[0], begin[1] : end[1], begin[2] : end[2]]
            z, y, x = (
                (np.arange(*ends) + 0.5 - at) ** 2
                for *ends, at in zip(begin, end, centre, strict=True)
            )
            solid[inside] |= z[:, None, None] + y[:, None] + x <= radius**2
    return solid


def fastest_ms(volume, plane_z, threads, spacing, level=None):
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        _core.volume_heightfield(volume, spacing, plane_z, LAYERS, level, threads)
        seconds.append(time.perf_counter() - start)
    return 1e3 * min(seconds)


def time_volumes(edge):
    random = np.random.default_rng(0)
    wave = leveled_wave(
        (edge,) * 3, spacing_nm=(1, 1, 1), wavelength_nm=50, solid_fraction=0.3, seed=1
    )
    planes = [share * edge // 512 for share in (0, 100, 256, 500)]
    cases = [
        ("leveled wave, bool", wave, (1, 1, 1), None),
        ("leveled wave, uint8", wave.astype(np.uint8), (1, 1, 1), None),
        ("leveled wave, uint16", wave.astype(np.uint16), (1, 1, 1), None),
        ("leveled wave, bool, spacing 4 1 1", wave, (4, 1, 1), None),
        ("leveled wave, float32, level", wave.astype(np.float32), (1, 1, 1), 0.5),
        ("balls, bool", balls(edge, 0.3, random), (1, 1, 1), None),
    ]
    print(f"{edge}^3 voxels, {LAYERS} intervals and normals, ms a plane at slices {planes}")
    for name, volume, spacing, level in cases:
        for threads in (1, 0):
            times = [fastest_ms(volume, plane, threads, spacing, level) for plane in planes]
            label = f"{name}, {'one thread' if threads else 'all threads'}"
            print(f"{label:48}" + "".join(f"{value:8.1f}" for value in times))


def angles_deg(normal, expected):
    return np.rad2deg(np.arccos(np.clip((normal * expected).sum(axis=0), -1, 1)))


def ball_errors(radius, spacing, random):
    """Angles to the true normals of a ball that lies anywhere between the voxels."""
    shape = [int(2 * np.ceil(radius / step) + 16) for step in spacing]
    z, y, x = (
        (np.arange(length) + 0.5 - length / 2 + random.uniform(-0.5, 0.5)) * step
        for length, step in zip(shape, spacing, strict=True)
    )
    solid = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= radius**2
    entry, _, normal = _core.volume_heightfield(solid, spacing, 0, 1)
    rise = np.sqrt(np.maximum(radius**2 - y[:, None] ** 2 - x**2, 0))
    expected = np.stack(np.broadcast_arrays(rise, y[:, None], x)) / radius
    return angles_deg(normal, expected)[np.isfinite(entry[0])]


def plane_errors(spacing, random):
    """Angles to the true normal of a plane tilted by up to 70 degrees."""
    tilt, turn = np.deg2rad(random.uniform(0, 70)), random.uniform(0, 2 * np.pi)
    normal = np.array([np.cos(tilt), np.sin(tilt) * np.sin(turn), np.sin(tilt) * np.cos(turn)])
    z, y, x = (
        (np.arange(length) + 0.5 - length / 2 + random.uniform(-0.5, 0.5)) * step
        for length, step in zip((160, 40, 40), spacing, strict=True)
    )
    solid = -normal[0] * z[:, None, None] + normal[1] * y[:, None] + normal[2] * x <= 0
    entry, _, found = _core.volume_heightfield(solid, spacing, 0, 1)
    uncut = (entry[0] > 10 * spacing[0]) & (entry[0] < 150 * spacing[0])
    uncut[:8] = uncut[-8:] = uncut[:, :8] = uncut[:, -8:] = False
    return angles_deg(found, normal[:, None, None])[uncut]


def measure_normals():
    random = np.random.default_rng(0)
    print("normals of labels, degrees: mean, root mean square, 95 %, largest")
    for spacing in [(1, 1, 1), (2, 1, 1), (4, 1, 1), (1, 2, 2)]:
        for name, angles in [
            ("ball, radius 10", [ball_errors(10, spacing, random) for _ in range(20)]),
            ("ball, radius 20", [ball_errors(20, spacing, random) for _ in range(20)]),
            ("planes", [plane_errors(spacing, random) for _ in range(100)]),
        ]:
            error = np.concatenate(angles)
            figures = (
                error.mean(),
                np.sqrt((error**2).mean()),
                np.percentile(error, 95),
                error.max(),
            )
            label = f"{name}, spacing {spacing}"
            print(f"{label:48}" + "".join(f"{value:8.2f}" for value in figures))


if __name__ == "__main__":
    measure_normals()
    time_volumes(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
