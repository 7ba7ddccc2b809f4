"""Orientations as Euler angles, axes and quaternions.

Angles (a, b, c) are intrinsic ZXZ in radians: the rotation Rz(a) Rx(b) Rz(c) of right-handed
(x, y, z) axes takes a body's own axes to those of the sample. Its own z axis then points along
(sin a sin b, -cos a sin b, cos b) in (x, y, z); c turns the body about that axis.
"""

import numpy as np
from numpy.typing import NDArray


def euler_to_axis(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the own z axis points.

    Parameters
    ----------
    angles : array of shape (n, 3)
        Radians; the third one makes no difference.

    Returns
    -------
    array of shape (n, 3)
        Unit vectors (z, y, x).
    """
    a, b, _ = angles.T
    return np.stack([np.cos(b), -np.cos(a) * np.sin(b), np.sin(a) * np.sin(b)], axis=1)


def axis_to_euler(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles, the third one 0, whose own z axis is the given one; of shape (n, 3)."""
    z, y, x = axes.T
    return np.stack([np.arctan2(x, -y), np.arctan2(np.hypot(x, y), z), np.zeros_like(z)], axis=1)


def euler_to_quaternion(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit quaternions (w, x, y, z), of shape (n, 4), of angles of shape (n, 3)."""
    a, b, c = angles.T
    return np.stack(
        [
            np.cos(b / 2) * np.cos((a + c) / 2),
            np.sin(b / 2) * np.cos((a - c) / 2),
            np.sin(b / 2) * np.sin((a - c) / 2),
            np.cos(b / 2) * np.sin((a + c) / 2),
        ],
        axis=1,
    )


def quaternion_to_euler(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles of shape (n, 3) of unit quaternions (w, x, y, z) of shape (n, 4)."""
    w, x, y, z = quaternions.T
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(y, x)
    b = 2 * np.arctan2(np.hypot(x, y), np.hypot(w, z))
    return np.stack([half_sum + half_difference, b, half_sum - half_difference], axis=1)
