"""Images of a ruler: filled trenches that are seen end on, in slices of known thickness."""

import numpy as np
from scipy import ndimage

SHAPE = (64, 448)
PIXEL_NM = 2.6
PARALLEL = ((12, 52, 10, 46), (12, 52, 402, 438))
INCLINED = ((12, 52, 60, 96), (12, 52, 350, 386))
ANGLE_DEG = 45.0


def ruler(slice_z_nm, drift_px=0.3, noise=0.05, seed=0):
    """Return images (z, y, x): the inclined marks come nearer to each other with depth.

    Marks of contrast 1 lie in a cap of faint texture, which is cut too.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shift = np.tan(np.deg2rad(ANGLE_DEG)) * (slice_z_nm - slice_z_nm[0]) / PIXEL_NM
    drift = np.cumsum(random.normal(0, drift_px, (len(slice_z_nm), 2)), axis=0)
    drift -= drift[0]
    cap = ndimage.gaussian_filter(random.normal(size=(len(slice_z_nm), *SHAPE)), (1, 3, 3))
    images = []
    for moved, offset, face in zip(shift, drift, cap, strict=True):
        image = 0.02 * ndimage.shift(face, offset, mode="nearest") / cap.std()
        for box, lean in zip(PARALLEL + INCLINED, (0, 0, 1, -1), strict=True):
            centre_y = (box[0] + box[1]) / 2 + offset[0]
            centre_x = (box[2] + box[3]) / 2 + offset[1] + lean * moved
            image += np.exp(-(((y - centre_y) / 9) ** 2) - ((x - centre_x) / 6) ** 2)
        images.append(image + random.normal(0, noise, image.shape))
    return np.stack(images).astype(np.float32)
