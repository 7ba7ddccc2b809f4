"""The heightfield of primitives ray by ray, in double precision: what the product is held against.

Written from the definition alone and sharing nothing with the package but the tables of
`Primitives`. Slow and plain: a ray is met with every primitive whose bounding circle it crosses,
each gives one interval of depths, and a plane sorts and merges them.

Conventions. Pixel (row, column) sends its ray along +z through (row + 0.5, column + 0.5). A
primitive includes its boundary. An interval of no length is dropped, and so is one that ends at or
above the plane; intervals that touch merge. Normals are (nz, ny, nx): outward, with the z component
counted toward the beam.
"""

from dataclasses import dataclass

import numpy as np

CUT_NORMAL = (1.0, 0.0, 0.0)
NO_NORMAL = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Ray:
    """What one ray meets before any merging: an interval a primitive, in the order of the tables.

    Attributes
    ----------
    start, stop : arrays of shape (m,)
        Depths from the origin, not from a plane.
    normal : array of shape (m, 3)
        At the start of each interval.
    second_face : array of shape (m,)
        How far before the start the ray crossed the next face of the same primitive: 0 on an edge.
    clearance : float
        Shortest chord by which a primitive is hit or, by the same measure, missed.
    """

    start: np.ndarray
    stop: np.ndarray
    normal: np.ndarray
    second_face: np.ndarray
    clearance: float


@dataclass(frozen=True)
class Columns:
    """The first solid intervals below a plane along some rays, as depths below the plane.

    Attributes
    ----------
    entry, exit : arrays of shape (layers, rays)
        Infinite where there are no more.
    normal : array of shape (3, rays)
    clearance : array of shape (rays,)
        The smallest change of depth that would change which intervals there are: a gap or overlap
        between two, an end near the plane, a chord near nothing. Rounding in double precision
        stays below 1e-5 here (a chord is the root of a difference).
    normal_clearance : array of shape (rays,)
        The smallest change of depth that would hand the first entry to another face.
    """

    entry: np.ndarray
    exit: np.ndarray
    normal: np.ndarray
    clearance: np.ndarray
    normal_clearance: np.ndarray


def meet(primitives, rows, columns):
    """Return a `Ray` for each pixel (rows[i], columns[i])."""
    kinds = [
        (primitives.spheres, primitives.spheres[:, 3], _meet_spheres),
        (primitives.cylinders, np.hypot(*_half_sizes(primitives.cylinders)), _meet_cylinders),
        (primitives.cuboids, np.linalg.norm(primitives.cuboids[:, 7:] / 2, axis=1), _meet_cuboids),
    ]
    pixels = zip(rows, columns, strict=True)
    return [_meet_one(kinds, row + 0.5, column + 0.5) for row, column in pixels]


def cut(rays, plane_z, layers):
    """Return the first `layers` solid intervals of each ray below a plane."""
    each = zip(*(_cut_one(ray, plane_z, layers) for ray in rays), strict=True)
    entry, exit_, normal, clearance, normal_clearance = map(np.array, each)
    return Columns(entry.T, exit_.T, normal.T, clearance, normal_clearance)


def _half_sizes(cylinders):
    return cylinders[:, 6], cylinders[:, 7] / 2


def _meet_one(kinds, y, x):
    met = []
    for table, reach, meet_kind in kinds:
        # A little beyond the reach, so that near misses count for the clearance.
        near = (np.abs(table[:, 1] - y) <= reach + 1e-3) & (np.abs(table[:, 2] - x) <= reach + 1e-3)
        met.append(meet_kind(table[near], y, x))
    centre, lower, upper, normals, chord = (
        [one_kind[part] for one_kind in met] for part in range(5)
    )
    start, stop, normal, second_face = [], [], [], []
    clearance = [np.abs(part) for part in chord]
    for middle, low, high, face_normals in zip(centre, lower, upper, normals, strict=True):
        face = low.argmax(axis=1)
        each = np.arange(len(face))
        first, last = low[each, face], high.min(axis=1)
        clearance.append(np.abs(last - first))
        hit = last > first
        start.append((middle + first)[hit])
        stop.append((middle + last)[hit])
        normal.append(face_normals[each, face][hit])
        others = np.where(np.arange(low.shape[1]) == face[:, None], -np.inf, low)
        second_face.append(first[hit] - others.max(axis=1)[hit])
    return Ray(
        np.concatenate(start),
        np.concatenate(stop),
        np.concatenate(normal),
        np.concatenate(second_face),
        min((part.min() for part in clearance if len(part)), default=np.inf),
    )


# Each of these returns, for m convex primitives bounded by f faces: the depth of the centres (m,),
# where the ray enters and leaves what each face bounds (m, f), relative to the centre, the normals
# where it enters (m, f, 3), and the chord by which curved or parallel faces are hit or missed (m,).


def _meet_spheres(spheres, y, x):
    z, radius = spheres[:, 0], spheres[:, 3]
    dy, dx = y - spheres[:, 1], x - spheres[:, 2]
    half_squared = _chord_squared(radius, dy, dx)
    half = np.sqrt(np.maximum(half_squared, 0))
    normals = np.stack([half, dy, dx], axis=-1) / radius[:, None]
    return (
        z,
        np.where(half_squared < 0, np.inf, -half)[:, None],
        np.where(half_squared < 0, -np.inf, half)[:, None],
        normals[:, None],
        2 * np.sqrt(np.abs(half_squared)),
    )


def _meet_cylinders(cylinders, y, x):
    z, az, ay, ax = cylinders[:, [0, 3, 4, 5]].T
    radius, half_height = _half_sizes(cylinders)
    dy, dx = y - cylinders[:, 1], x - cylinders[:, 2]
    tilt = np.hypot(ay, ax)  # sine of the angle to the ray
    upright = tilt == 0
    slope = np.where(upright, 1, tilt)
    uy, ux = ay / slope, ax / slope
    along = dy * uy + dx * ux
    aside = dx * uy - dy * ux

    # Mantle: (tilt * t - az * along)^2 <= radius^2 - aside^2.
    half_squared = np.where(
        upright, _chord_squared(radius, dy, dx), _chord_squared(radius, aside, 0)
    )
    half = np.sqrt(np.maximum(half_squared, 0))
    missed = half_squared < 0
    mantle_in = np.where(upright, -np.inf, (az * along - half) / slope)
    mantle_out = np.where(upright, np.inf, (az * along + half) / slope)
    mantle_in = np.where(missed, np.inf, mantle_in)
    mantle_out = np.where(missed, -np.inf, mantle_out)
    chord = 2 * np.sqrt(np.abs(half_squared)) / slope

    caps_in, caps_out, beside = _between_planes(az, along * tilt, half_height)

    depth = np.where(np.isfinite(mantle_in), mantle_in, 0)
    axial = depth * az + along * tilt
    from_axis = np.stack([depth - axial * az, dy - axial * ay, dx - axial * ax], axis=-1)
    return (
        z,
        np.stack([mantle_in, caps_in], axis=1),
        np.stack([mantle_out, caps_out], axis=1),
        np.stack(
            [from_axis * (-1, 1, 1) / radius[:, None], _facing_beam(cylinders[:, 3:6])], axis=1
        ),
        np.minimum(chord, beside),
    )


def _meet_cuboids(cuboids, y, x):
    z = cuboids[:, 0]
    dy, dx = y - cuboids[:, 1], x - cuboids[:, 2]
    axes = _own_axes(cuboids[:, 3:7])  # (m, own axis, component)
    offset = axes[..., 1] * dy[:, None] + axes[..., 2] * dx[:, None]
    lower, upper, beside = _between_planes(axes[..., 0], offset, cuboids[:, 7:] / 2)
    return z, lower, upper, _facing_beam(axes), beside.min(axis=1, initial=np.inf)


def _chord_squared(radius, dy, dx):
    """Square of half the chord of a circle; exact for whole numbers, which a hypotenuse is not."""
    return (radius - np.abs(dy)) * (radius + np.abs(dy)) - dx * dx


def _own_axes(quaternions):
    """Return a cuboid's own z, y, x axes, each as (z, y, x) in the sample."""
    w, x, y, z = quaternions.T
    own_x = (2 * (x * z - w * y), 2 * (x * y + w * z), w * w + x * x - y * y - z * z)
    own_y = (2 * (y * z + w * x), w * w - x * x + y * y - z * z, 2 * (x * y - w * z))
    own_z = (w * w - x * x - y * y + z * z, 2 * (y * z - w * x), 2 * (x * z + w * y))
    return np.moveaxis(np.array([own_z, own_y, own_x]), -1, 0)


def _between_planes(rate, offset, half):
    """Where |rate * t + offset| <= half, and how far a ray along the planes is from them."""
    parallel = rate == 0
    inside = np.abs(offset) <= half
    divisor = np.where(parallel, 1, rate)
    ends = np.sort([(-half - offset) / divisor, (half - offset) / divisor], axis=0)
    lower = np.where(parallel, np.where(inside, -np.inf, np.inf), ends[0])
    upper = np.where(parallel, np.where(inside, np.inf, -np.inf), ends[1])
    return lower, upper, np.where(parallel, np.abs(half - np.abs(offset)), np.inf)


def _facing_beam(axes):
    """Normal of the face across an axis (..., z y x) that a ray along +z meets first."""
    toward = -np.sign(axes[..., :1])
    return axes * toward * (-1, 1, 1)


def _cut_one(ray, plane_z, layers):
    entry = np.full(layers, np.inf)
    exit_ = np.full(layers, np.inf)
    clearance = min(
        ray.clearance,
        np.abs(ray.start - plane_z).min(initial=np.inf),
        np.abs(ray.stop - plane_z).min(initial=np.inf),
    )
    below = np.flatnonzero(ray.stop > plane_z)
    if not len(below):
        return entry, exit_, NO_NORMAL, clearance, clearance

    by_start = below[np.argsort(ray.start[below], kind="stable")]
    start = ray.start[by_start]
    reached = np.maximum.accumulate(ray.stop[by_start])
    gap = start[1:] - reached[:-1]
    clearance = min(clearance, np.abs(gap).min(initial=np.inf))
    apart = gap > 0
    entries = np.concatenate([start[:1], start[1:][apart]])
    exits = np.concatenate([reached[:-1][apart], reached[-1:]])
    found = min(layers, len(entries))
    entry[:found] = np.maximum(entries[:found] - plane_z, 0)
    exit_[:found] = exits[:found] - plane_z

    first = by_start[0]  # the sort is stable, so the lowest index of those that tie
    to_plane = min(abs(entries[0] - plane_z), exits[0] - plane_z)
    if entries[0] <= plane_z:
        return entry, exit_, CUT_NORMAL, clearance, to_plane
    rivals = np.append(start[1:2] - start[0], ray.second_face[first])
    return entry, exit_, ray.normal[first], clearance, min(to_plane, rivals.min())
