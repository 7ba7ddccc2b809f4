"""The Monte-Carlo electron microscope: what comes back from a plane of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import cos, isfinite, radians, sin
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from porescope import _core
from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.detectors import Detector, as_detector
from porescope.imaging.device import Device, use_gpu
from porescope.imaging.electron_sample import ElectronSample, electron_sample
from porescope.imaging.materials import Material
from porescope.imaging.transport import check_beam
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

MOST_ELECTRONS = 10_000_000
MOST_PIXELS = 1 << 26
FWHM_PER_DEVIATION = 2.3548200450309493
# So many electrons at once, so that progress is told and cancelling heard within a second or two.
_ELECTRONS_AT_ONCE = 100_000
_ELECTRONS_AT_ONCE_ON_A_GPU = 20_000_000


class Scan(NamedTuple):
    """How a beam scans a plane, as the core takes it."""

    plane: float
    energy_ev: float
    direction: tuple[float, float, float]
    electrons: int
    pixel_nm: float
    pixels: tuple[int, int]
    first_nm: tuple[float, float]
    probe_nm: float
    windows: NDArray[np.float32]
    secondaries: bool
    periodic: bool
    seed: int


def simulate_monte_carlo(
    sample: Primitives | ElectronSample | Stack | NDArray[Any],
    plane_z: float,
    *,
    beam_kv: float,
    electrons: int,
    pixel_nm: float | None = None,
    shape: Sequence[int] | None = None,
    first_nm: Sequence[float] = (0.0, 0.0),
    materials: Mapping[int, str | Material] | None = None,
    voxel_nm: float | Sequence[float] | None = None,
    tilt_deg: float = 0.0,
    probe_nm: float = 0.0,
    detectors: Sequence[str | Detector] = (),
    secondaries: bool = True,
    periodic: bool = False,
    seed: int = 0,
    device: Device = "auto",
    threads: int = 0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> dict[str, NDArray[np.float32]]:
    """Return the images of a plane that a beam scans pixel by pixel.

    Parameters
    ----------
    sample : ElectronSample, Stack of labels, array of shape (z, y, x) or Primitives
        What lies above the plane is gone. Arrays need ``voxel_nm``; primitives, whose unit is a
        pixel then, ``pixel_nm``. Many planes are faster from an
        :func:`~porescope.imaging.electron_sample`.
    plane_z : float
        Depth of the plane, in voxels or in the unit of primitives; voxel i reaches from i to i + 1.
    beam_kv : float
        From 0.1 to 30.
    electrons : int
        For each pixel.
    pixel_nm : float, optional
        Size of a pixel; by default that of a voxel along x. For primitives it must be given.
    shape : sequence of two ints, optional
        Pixels (y, x); by default as many as the sample has room for. Primitives that tell no box
        are cut to these, and end with the lowest of them.
    first_nm : sequence of two floats, optional
        Where the first pixel begins, along y and x.
    materials, voxel_nm, secondaries, periodic
        As for :func:`~porescope.imaging.electron_sample`.
    tilt_deg : float, optional
        Between the beam and the face's normal, from 0 to below 90; the beam travels toward +y.
        Where beams of ions and electrons enclose 52 degrees, this is 38.
    probe_nm : float, optional
        Diameter of the beam, the full width at half maximum of its Gaussian. The beam stands still
        at each pixel's centre.
    detectors : sequence of str or Detector, optional
        Of which images are made too, see :func:`~porescope.imaging.detector_names`.
    seed : int, optional
        The images depend on it and not on the number of threads.
    device : {"auto", "cpu", "cuda"}, optional
    threads : int, optional
        Processor threads; 0 takes all.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    dict of str to array of shape (y, x), float32
        For each electron of the beam: "bse", those that came back with more than 50 eV; "se",
        secondaries; "transmitted", those that left below the sample, which was too thin for what
        they could have told; and an image by each detector's name.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, the plane lies outside the sample, or a label has no
        material.
    Cancelled
    """
    check_beam(beam_kv, tilt_deg)
    whole = isinstance(electrons, int | np.integer) and not isinstance(electrons, bool)
    if not (whole and 1 <= electrons <= MOST_ELECTRONS):
        raise PorescopeError(
            f"The electrons for each pixel must be a whole number from 1 to {MOST_ELECTRONS:,}, "
            f"not {electrons!r}."
        )
    if not (_is_finite(probe_nm) and probe_nm >= 0):
        raise PorescopeError(f"The beam's diameter must be at least 0 nm, not {probe_nm!r}.")
    if not (isinstance(seed, int | np.integer) and 0 <= seed < 2**64):
        raise PorescopeError(f"The seed must be a whole number from 0 to 2^64 - 1, not {seed!r}.")
    if isinstance(detectors, str | Detector):
        detectors = (detectors,)
    ready = _ready(sample, voxel_nm, pixel_nm, shape, materials, secondaries, periodic)
    if not (_is_finite(plane_z) and 0 <= plane_z < ready.shape[0]):
        raise PorescopeError(
            f"The plane at {plane_z} lies outside the sample, which reaches from 0 to "
            f"{ready.shape[0]}."
        )
    pixel_nm = ready.voxel_nm[2] if pixel_nm is None else pixel_nm
    rows, columns = _pixels(ready, pixel_nm, shape, first_nm)
    seen = [as_detector(detector) for detector in detectors]
    windows = np.array([seen_by.window(beam_kv, tilt_deg) for seen_by in seen], np.float32)
    tilt = radians(tilt_deg)
    scan = Scan(
        plane_z,
        1000.0 * beam_kv,
        (cos(tilt), sin(tilt), 0.0),
        int(electrons),
        pixel_nm,
        (rows, columns),
        (float(first_nm[0]), float(first_nm[1])),
        probe_nm / FWHM_PER_DEVIATION,
        windows.reshape(-1, 10),
        secondaries and ready.secondaries,
        ready.periodic,
        seed,
    )
    if use_gpu(device):
        from porescope.imaging import gpu

        at_once = _ELECTRONS_AT_ONCE_ON_A_GPU

        def scanned(first: int, count: int) -> NDArray[np.float32]:
            return gpu.image_rows(ready, scan, first, count)
    else:
        at_once = _ELECTRONS_AT_ONCE

        def scanned(first: int, count: int) -> NDArray[np.float32]:
            return _core.image_plane(
                ready.core_materials, ready.geometry, *scan, first, count, threads
            )

    rows_at_once = max(1, at_once // (electrons * columns))
    parts = [
        scanned(first, min(rows_at_once, rows - first))
        for first in track(range(0, rows, rows_at_once), progress, cancel)
    ]
    signals = np.concatenate(parts, axis=1) / np.float32(electrons)
    bse, se, transmitted, *others = signals
    for detector, image in zip(seen, others, strict=True):
        image += np.float32(detector.secondaries) * se
    return {
        "bse": bse,
        "se": se,
        "transmitted": transmitted,
        **{detector.name: image for detector, image in zip(seen, others, strict=True)},
    }


def _ready(
    sample: Primitives | ElectronSample | Stack | NDArray[Any],
    voxel_nm: float | Sequence[float] | None,
    pixel_nm: float | None,
    shape: Sequence[int] | None,
    materials: Mapping[int, str | Material] | None,
    secondaries: bool,
    periodic: bool,
) -> ElectronSample:
    if isinstance(sample, ElectronSample):
        return sample
    if isinstance(sample, Primitives):
        if pixel_nm is None:
            raise PorescopeError("Primitives need pixel_nm, the size of their unit in nm.")
        if sample.shape is None and shape is not None and len(shape) == 2:
            sample = replace(sample, shape=(sample.bounds[0][1], shape[0], shape[1]))
        size: float | Sequence[float] | None = pixel_nm
    else:
        size = voxel_nm if voxel_nm is not None else pixel_nm
        if isinstance(sample, Stack):
            size = sample.spacing_nm
            sample = np.asarray(sample.data)
    if size is None:
        raise PorescopeError("A volume of labels needs the size of its voxels in nm.")
    return electron_sample(sample, size, materials, secondaries=secondaries, periodic=periodic)


def _pixels(
    sample: ElectronSample,
    pixel_nm: float,
    shape: Sequence[int] | None,
    first_nm: Sequence[float],
) -> tuple[int, int]:
    if not (_is_finite(pixel_nm) and pixel_nm > 0):
        raise PorescopeError(f"The pixel size must be above 0 nm, not {pixel_nm!r}.")
    size_nm = [
        count * size for count, size in zip(sample.shape[1:], sample.voxel_nm[1:], strict=True)
    ]
    if len(first_nm) != 2 or not all(
        0 <= first < size for first, size in zip(first_nm, size_nm, strict=True)
    ):
        raise PorescopeError(
            f"The first pixel must begin in the sample, from 0 to {size_nm[0]:g} and "
            f"{size_nm[1]:g} nm along y and x, not at {tuple(first_nm)!r}."
        )
    # What is left of a pixel for rounding is no pixel.
    room = [
        int((size - (0 if sample.periodic else first)) / pixel_nm + 1e-3)
        for first, size in zip(first_nm, size_nm, strict=True)
    ]
    if shape is None:
        shape = room
    if min(room) < 1:
        raise PorescopeError(
            f"A pixel of {pixel_nm:g} nm is larger than the sample, {size_nm[0]:g} x "
            f"{size_nm[1]:g} nm; take smaller ones."
        )
    asked = list(shape)
    whole = len(asked) == 2 and all(isinstance(count, int | np.integer) for count in asked)
    if not whole or not (0 < asked[0] <= room[0] and 0 < asked[1] <= room[1]):
        raise PorescopeError(
            f"The sample has room for {room[0]} x {room[1]} pixels of {pixel_nm:g} nm, from 1 x 1 "
            f"on, not for {shape!r}."
        )
    if asked[0] * asked[1] > MOST_PIXELS:
        raise PorescopeError(
            f"An image of {asked[0]} x {asked[1]} pixels of {pixel_nm:g} nm is too large; take "
            "larger pixels."
        )
    return int(asked[0]), int(asked[1])


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and isfinite(value)
