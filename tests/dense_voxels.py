"""Voxels of primitives, one primitive after the other, as plainly as can be."""

import numpy as np
from scipy.spatial.transform import Rotation


def dense_voxels(primitives, shape, start=(0, 0, 0)):
    """Voxels of a block whose centres lie in a primitive."""
    solid = np.zeros(shape, dtype=bool)
    for z, y, x, radius in primitives.spheres:
        window, points = _near((z, y, x), radius, shape, start)
        solid[window] |= (points**2).sum(axis=-1) <= radius**2
    for row in primitives.cylinders:
        axis, radius, height = row[3:6], row[6], row[7]
        window, points = _near(row[:3], np.hypot(radius, height / 2), shape, start)
        along = points @ axis
        across = ((points - along[..., np.newaxis] * axis) ** 2).sum(axis=-1)
        solid[window] |= (np.abs(along) <= height / 2) & (across <= radius**2)
    for row in primitives.cuboids:
        edges = row[7:]
        window, points = _near(row[:3], np.linalg.norm(edges) / 2, shape, start)
        to_own = Rotation.from_quat(row[[4, 5, 6, 3]]).inv()
        own = to_own.apply(points.reshape(-1, 3)[:, ::-1])[:, ::-1].reshape(points.shape)
        solid[window] |= (np.abs(own) <= edges / 2).all(axis=-1)
    return solid


def _near(centre, reach, shape, start):
    """Window of the block around a centre, and its voxel centres seen from there."""
    centre = np.asarray(centre) - start
    first = np.clip(np.floor(centre - reach), 0, shape).astype(int)
    last = np.clip(np.ceil(centre + reach), 0, shape).astype(int)
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    points = np.stack(np.meshgrid(*(np.r_[part] + 0.5 for part in window), indexing="ij"), axis=-1)
    return window, points - centre
