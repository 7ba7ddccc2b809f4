"""Where each slice was imaged: translations within a stack and between voltages.

Signs: an offset (y, x) is what to ADD to the coordinates of a slice's content to bring it into the
frame of the reference, which is the first slice of the reference stack.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.stack import SLICES, Region, Stack, region_slices
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

ALIGNMENT_FORMAT = 1
# Sub-pixel step of the correlation peak: 1/50 px is finer than the noise of any real pair.
UPSAMPLING = 50
# Larger images are binned before they are compared: noise averages out, and the shift of a thousand
# pixels together is as sharp as that of all.
LARGEST_PX = 1024

Area = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Alignment:
    """The offset of every slice of one stack.

    Parameters
    ----------
    offsets_px : array of shape (z, 2)
        What to add to each slice's y and x.
    beam_kv : float, optional
        The stack that it belongs to.
    """

    offsets_px: np.ndarray
    beam_kv: float | None = None

    def __post_init__(self) -> None:
        offsets = np.array(self.offsets_px, dtype=np.float64)
        if offsets.ndim != 2 or offsets.shape[1] != 2 or not np.isfinite(offsets).all():
            raise PorescopeError("An alignment holds one finite offset (y, x) for every slice.")
        offsets.flags.writeable = False
        object.__setattr__(self, "offsets_px", offsets)

    def apply(self, stack: Stack, area: Area | None = None) -> Stack:
        """Return the stack with every slice moved into the common frame.

        Slices are resampled once, by a cubic spline held within the slice's own range.

        Parameters
        ----------
        stack : Stack
            The raw stack, with as many slices as there are offsets.
        area : pair of slices, optional
            Rows and columns of the common frame to keep; by default those that every slice fills.

        Raises
        ------
        PorescopeError
            If the numbers of slices differ or no area is left.
        """
        if len(self.offsets_px) != stack.shape[SLICES]:
            raise PorescopeError(
                f"The alignment has {len(self.offsets_px)} slices, the stack {stack.shape[SLICES]};"
                " apply it to a stack of the same slices."
            )
        rows, columns = area or common_area([self], stack.shape)
        offsets, order = self.offsets_px, 0 if stack.is_labels else 3

        def moved(block: np.ndarray, block_info: Any = None) -> np.ndarray:
            index = block_info[0]["array-location"][SLICES][0]
            return _moved_slice(block[0], offsets[index], order)[np.newaxis]

        import dask.array as da

        lazy = da.asarray(stack.data).rechunk((1, -1, -1))
        meta = np.empty((0, 0, 0), lazy.dtype)
        data = da.map_blocks(moved, lazy, dtype=lazy.dtype, meta=meta)
        whole = stack.with_data(data if isinstance(stack.data, da.Array) else data.compute())
        return whole.crop(rows, columns)

    def save(self, path: str | Path) -> None:
        """Write the alignment as JSON."""
        content = {
            "porescope_alignment": ALIGNMENT_FORMAT,
            "beam_kv": self.beam_kv,
            "offsets_px": self.offsets_px.tolist(),
        }
        with write_beside(path) as beside:
            beside.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Alignment:
        """Read an alignment that :meth:`save` wrote.

        Raises
        ------
        PorescopeError
            If the file is no such alignment.
        """
        try:
            content = json.loads(Path(path).read_text())
            if content["porescope_alignment"] != ALIGNMENT_FORMAT:
                raise ValueError
            return cls(np.array(content["offsets_px"], dtype=float), content["beam_kv"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise PorescopeError(
                f"{path} is not an alignment that this version of Porescope can read."
            ) from error


def common_area(alignments: Sequence[Alignment], shape: Sequence[int]) -> Area:
    """Return the rows and columns of the common frame that every slice of every stack fills.

    Parameters
    ----------
    alignments : sequence of Alignment
        One for each stack.
    shape : (z, y, x)
        Shape of the stacks.

    Raises
    ------
    PorescopeError
        If the slices do not overlap.
    """
    offsets = np.concatenate([alignment.offsets_px for alignment in alignments])
    starts = np.ceil(offsets.max(axis=0)).astype(int).clip(min=0)
    stops = np.array(shape[1:]) + np.floor(offsets.min(axis=0)).astype(int).clip(max=0)
    if (stops <= starts).any():
        raise PorescopeError(
            "After alignment the slices have no area in common; check that all of them show the "
            "same place, and leave out those that do not."
        )
    return slice(int(starts[0]), int(stops[0])), slice(int(starts[1]), int(stops[1]))


def align_stack(
    stack: Stack,
    *,
    region: Region | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Alignment:
    """Find the drift of a stack by phase cross-correlation of neighbouring slices.

    Parameters
    ----------
    stack : Stack
        Two slices or more.
    region : (y start, y stop, x start, x stop), optional
        Pixels to look at, such as a fiducial; all by default.
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Alignment
        Relative to the first slice.

    References
    ----------
    Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33 (2008) 156 (the sub-pixel peak).
    """
    if stack.shape[SLICES] < 2:
        raise PorescopeError("Aligning needs two slices or more; this is a single image.")
    window = _Window(stack.shape, region)
    offsets = np.zeros((stack.shape[SLICES], 2))
    previous = window.look(stack, 0)
    for index in track(range(1, stack.shape[SLICES]), progress, cancel):
        current = window.look(stack, index)
        offsets[index] = offsets[index - 1] + window.shift(previous, current)
        previous = current
    return Alignment(offsets, stack.beam_kv)


def align_voltages(
    stacks: Sequence[Stack],
    reference_kv: float | None = None,
    *,
    region: Region | None = None,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> list[Alignment]:
    """Find the drift of all voltages of one sample in one frame.

    The reference stack is aligned slice to slice; every other voltage is aligned, slice by slice,
    to the reference's image of the same face.

    Parameters
    ----------
    stacks : sequence of Stack
        Of one shape.
    reference_kv : float, optional
        Beam energy of the reference; the stack nearest to 2 kV by default.
    region, progress, cancel
        As for :func:`align_stack`.

    Returns
    -------
    list of Alignment
        One for each stack, in the order given, relative to the reference's first slice.
    """
    if not stacks:
        raise PorescopeError("There is no stack to align; load one first.")
    reference = _reference(stacks, reference_kv)
    for stack in stacks:
        if stack.shape != reference.shape:
            raise PorescopeError(
                f"The stacks differ in shape ({stack.shape} and {reference.shape}, z y x); "
                "voltages can only be aligned when every slice was imaged at each."
            )
    others = [stack for stack in stacks if stack is not reference]
    total = len(stacks) * stacks[0].shape[SLICES]
    per_stack = stacks[0].shape[SLICES]
    within = align_stack(
        reference,
        region=region,
        progress=lambda done, _: progress(done, total),
        cancel=cancel,
    )
    window = _Window(reference.shape, region)
    between = {id(reference): np.zeros_like(within.offsets_px)}
    for place, stack in enumerate(others, start=1):
        shifts = np.zeros_like(within.offsets_px)
        finished = place * per_stack

        def report(done: int, _: int, finished: int = finished) -> None:
            progress(finished + done, total)

        for index in track(range(per_stack), report, cancel):
            face = window.look(reference, index)
            shifts[index] = window.shift(face, window.look(stack, index))
        between[id(stack)] = shifts
    return [Alignment(within.offsets_px + between[id(s)], s.beam_kv) for s in stacks]


def _reference(stacks: Sequence[Stack], reference_kv: float | None) -> Stack:
    if reference_kv is None:
        return min(stacks, key=lambda stack: abs((stack.beam_kv or 2.0) - 2.0))
    for stack in stacks:
        if stack.beam_kv is not None and np.isclose(stack.beam_kv, reference_kv):
            return stack
    energies = ", ".join(f"{stack.beam_kv:g}" for stack in stacks if stack.beam_kv is not None)
    raise PorescopeError(
        f"There is no stack at {reference_kv:g} kV; choose one of {energies or 'none known'}."
    )


class _Window:
    """The region that is compared."""

    def __init__(self, shape: Sequence[int], region: Region | None) -> None:
        area = region_slices(region, shape)
        size = max(part.stop - part.start for part in area)
        self._binning = -(-size // LARGEST_PX)
        self._area = tuple(
            slice(part.start, part.stop - (part.stop - part.start) % self._binning) for part in area
        )

    def look(self, stack: Stack, index: int) -> np.ndarray:
        """Return the region of a slice, binned."""
        from skimage.transform import downscale_local_mean

        image = np.asarray(stack.data[(index, *self._area)], dtype=np.float32)
        if not np.isfinite(image).all():
            raise PorescopeError(f"Slice {index} holds values that are not numbers; mend it first.")
        binned: np.ndarray = downscale_local_mean(image, (self._binning, self._binning))
        return binned

    def shift(self, reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
        """Return what to add to the coordinates of ``moving``'s content to match ``reference``."""
        whole = np.rint(_correlate(reference, moving)).astype(int)
        # The fading stays where it is while the content moves, which pulls the peak towards zero;
        # between parts that show the same place there is nothing left to pull.
        overlap = _correlate(_part(reference, whole), _part(moving, -whole))
        return self._binning * (whole + overlap)


def _part(image: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return what of an image lies within the same image moved by ``offset``."""
    (y, x), (height, width) = offset, image.shape
    return image[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]


def _correlate(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
    from skimage.registration import phase_cross_correlation

    reference, moving = _faded(reference), _faded(moving)
    if not (reference.any() and moving.any()):
        return np.zeros(2)  # a blank slice tells nothing: it is left where its neighbour is
    # Plain correlation: whitening ("phase") lets the noise of small, dim slices decide.
    shift, _, _ = phase_cross_correlation(
        reference, moving, upsample_factor=UPSAMPLING, normalization=None
    )
    return np.asarray(shift, dtype=np.float64)


def _faded(image: np.ndarray) -> np.ndarray:
    """Return an image without its mean, faded out at the edges, where content comes and goes."""
    rows, columns = (np.hanning(size + 2)[1:-1].astype(np.float32) for size in image.shape)
    faded: np.ndarray = (image - image.mean()) * np.outer(rows, columns)
    return faded


def _moved_slice(image: np.ndarray, offset: np.ndarray, order: int) -> np.ndarray:
    from scipy import ndimage

    if not offset.any():
        return image
    moved: np.ndarray = ndimage.shift(image.astype(np.float32), offset, order=order, mode="nearest")
    if image.dtype.kind in "bui":
        moved = np.rint(moved)
    np.clip(moved, image.min(), image.max(), out=moved)
    return moved.astype(image.dtype)
