"""What brings every slice of a stack into one frame: kept as a file, composed, applied once.

Signs: an offset (y, x) is what to ADD to the coordinates of a slice's content to bring it into the
frame of the reference, which is the first slice of the reference stack. With a linear part, content
at r comes to ``c + linear @ (r - c) + offset``, where c is the centre of the image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.stack import COLUMNS, ROWS, SLICES, Stack

ALIGNMENT_FORMAT = 2
LARGEST_FILE_BYTES = 1_000_000_000
# No microscope turns or stretches an image by more; beyond, the file is not what it says.
LARGEST_LINEAR = 10.0

Area = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Alignment:
    """The place of every slice of one stack.

    Parameters
    ----------
    offsets_px : array of shape (z, 2)
        What to add to each slice's y and x.
    beam_kv : float, optional
        The stack that it belongs to.
    linear : array of shape (z, 2, 2), optional
        What turns, scales or shears each slice about the centre of the image, on (y, x); none by
        default.
    confidence : array of shape (z,), optional
        From 0 to 1, how far what was measured on a slice agrees; 1 by default.
    refused : array of shape (z,), bool, optional
        Slices whose measurement was not believed; their place is interpolated from neighbours.

    Raises
    ------
    PorescopeError
        If a shape is another, a number is not finite or a linear part cannot be undone.
    """

    offsets_px: NDArray[np.float64]
    beam_kv: float | None = None
    linear: NDArray[np.float64] | None = None
    confidence: NDArray[np.float64] = None  # type: ignore[assignment]  # filled below
    refused: NDArray[np.bool_] = None  # type: ignore[assignment]  # filled below

    def __post_init__(self) -> None:
        try:
            offsets = np.array(self.offsets_px, dtype=np.float64)
            count = len(offsets)
            linear = None if self.linear is None else np.array(self.linear, dtype=np.float64)
            confidence = np.array(
                np.ones(count) if self.confidence is None else self.confidence, dtype=np.float64
            )
            refused = np.array(np.zeros(count) if self.refused is None else self.refused)
        except (TypeError, ValueError) as error:
            raise PorescopeError("An alignment holds numbers, as many for every slice.") from error
        if offsets.ndim != 2 or offsets.shape[1] != 2 or not np.isfinite(offsets).all():
            raise PorescopeError("An alignment holds one finite offset (y, x) for every slice.")
        if linear is not None:
            if linear.shape != (count, 2, 2) or not (np.abs(linear) <= LARGEST_LINEAR).all():
                raise PorescopeError(
                    "The linear part of an alignment is a matrix of 2 x 2 for every slice, of "
                    f"numbers up to {LARGEST_LINEAR:g}."
                )
            if (np.abs(np.linalg.det(linear)) < 1 / LARGEST_LINEAR).any():
                raise PorescopeError("A linear part of the alignment squeezes its slice to a line.")
        if confidence.shape != (count,) or not ((confidence >= 0) & (confidence <= 1)).all():
            raise PorescopeError("An alignment's confidence is from 0 to 1, one for every slice.")
        if refused.shape != (count,) or not np.isin(refused, (0, 1)).all():
            raise PorescopeError("An alignment tells of every slice, true or false, if refused.")
        beam_kv = self.beam_kv
        if beam_kv is not None:
            if isinstance(beam_kv, bool) or not isinstance(beam_kv, int | float | np.number):
                raise PorescopeError(f"The beam energy of an alignment is no number: {beam_kv!r}.")
            if not (np.isfinite(beam_kv) and beam_kv > 0):
                raise PorescopeError(f"The beam energy must be above 0 kV, not {beam_kv}.")
        refused = refused.astype(bool)
        for name, values in {
            "offsets_px": offsets,
            "linear": linear,
            "confidence": confidence,
            "refused": refused,
        }.items():
            if values is not None:
                values.flags.writeable = False
            object.__setattr__(self, name, values)

    def compose(self, then: Alignment) -> Alignment:
        """Return one alignment that does what this one and then another would.

        The centre is that of the raw image, so compose before anything is cropped.

        Parameters
        ----------
        then : Alignment
            What was found on the stack that this one made, uncropped.

        Raises
        ------
        PorescopeError
            If the numbers of slices differ.
        """
        if len(then.offsets_px) != len(self.offsets_px):
            raise PorescopeError(
                f"Alignments of {len(self.offsets_px)} and {len(then.offsets_px)} slices do not "
                "compose; take those of one stack."
            )
        offsets, linear = self.offsets_px, then.linear
        if then.linear is not None:
            offsets = np.einsum("zij,zj->zi", then.linear, offsets)
            if self.linear is not None:
                linear = then.linear @ self.linear
        elif self.linear is not None:
            linear = self.linear
        return Alignment(
            offsets + then.offsets_px,
            self.beam_kv,
            linear,
            np.minimum(self.confidence, then.confidence),
            self.refused | then.refused,
        )

    def apply(self, stack: Stack, area: Area | None = None, fill: float | None = None) -> Stack:
        """Return the stack with every slice moved into the common frame.

        Slices are resampled once, by a cubic spline. It is held within the values around each
        pixel, so that edges do not ring; labels take the nearest pixel.

        Parameters
        ----------
        stack : Stack
            The raw stack, with as many slices as there are offsets.
        area : pair of slices, optional
            Rows and columns of the common frame to keep; by default those that every slice fills.
        fill : float, optional
            Keep the whole frame (or ``area``), and give this value to what a slice does not fill.

        Raises
        ------
        PorescopeError
            If the numbers of slices differ, no area is left or the voxels cannot hold ``fill``.
        """
        if len(self.offsets_px) != stack.shape[SLICES]:
            raise PorescopeError(
                f"The alignment has {len(self.offsets_px)} slices, the stack {stack.shape[SLICES]};"
                " apply it to a stack of the same slices."
            )
        if fill is not None and not _holds(stack.data.dtype, fill):
            raise PorescopeError(
                f"Voxels of type {stack.data.dtype} cannot hold {fill:g}; fill with another value."
            )
        if area is None:
            whole = (slice(0, stack.shape[ROWS]), slice(0, stack.shape[COLUMNS]))
            area = common_area([self], stack.shape) if fill is None else whole
        order = 0 if stack.is_labels else 3

        def moved(image: np.ndarray, index: int) -> np.ndarray:
            return _moved_slice(image, *self.inverse(index, image.shape), order, fill)

        return stack.map_slices(moved).crop(*area)

    def inverse(
        self, index: int, shape: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what takes the frame back to a slice's pixels: ``matrix @ r + shift``."""
        if self.linear is None:
            return np.eye(2), -self.offsets_px[index]
        matrix: NDArray[np.float64] = np.linalg.inv(self.linear[index])
        centre = (np.array(shape) - 1) / 2
        return matrix, centre - matrix @ (centre + self.offsets_px[index])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "porescope_alignment": ALIGNMENT_FORMAT,
            "beam_kv": self.beam_kv,
            "offsets_px": self.offsets_px.tolist(),
            "linear": None if self.linear is None else self.linear.tolist(),
            "confidence": self.confidence.tolist(),
            "refused": self.refused.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Alignment:
        """Return the alignment that :meth:`to_dict` made, of this version or the first.

        Raises
        ------
        ValueError, TypeError, KeyError, PorescopeError
            If it is none.
        """
        if content["porescope_alignment"] not in (1, ALIGNMENT_FORMAT):
            raise ValueError
        more: dict[str, Any] = {
            name: content.get(name) for name in ("linear", "confidence", "refused")
        }
        return cls(content["offsets_px"], content["beam_kv"], **more)

    def save(self, path: str | Path) -> None:
        """Write the alignment as JSON."""
        with write_beside(path) as beside:
            beside.write_text(json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Alignment:
        """Read an alignment that :meth:`save` wrote.

        Raises
        ------
        PorescopeError
            If the file is no such alignment.
        """
        try:
            if Path(path).stat().st_size > LARGEST_FILE_BYTES:
                raise ValueError
            return cls.from_dict(json.loads(Path(path).read_text()))
        except OSError as error:
            raise PorescopeError(f"Cannot read {path}: {error.strerror}.") from error
        except (
            ValueError, TypeError, KeyError, AttributeError, RecursionError, PorescopeError
        ) as error:  # fmt: skip
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
    height, width = shape[ROWS:]
    centre = (np.array([height, width]) - 1) / 2
    starts, stops = np.zeros(2), np.array([height, width], dtype=np.float64)
    for alignment in alignments:
        low = high = alignment.offsets_px
        if alignment.linear is not None:
            # The box inside a turned image: each side as far in as its worse corner.
            y = np.einsum("zi,ci->zc", alignment.linear[:, 0], _CORNERS * centre)
            x = np.einsum("zi,ci->zc", alignment.linear[:, 1], _CORNERS * centre)
            low = low + centre + np.stack([y[:, :2].max(axis=1), x[:, ::2].max(axis=1)], axis=1)
            high = high - centre + np.stack([y[:, 2:].min(axis=1), x[:, 1::2].min(axis=1)], axis=1)
        starts = np.maximum(starts, np.ceil(low.max(axis=0) - 1e-9))
        stops = np.minimum(stops, np.array([height, width]) + np.floor(high.min(axis=0) + 1e-9))
    if (stops <= starts).any():
        raise PorescopeError(
            "After alignment the slices have no area in common; check that all of them show the "
            "same place, and leave out those that do not."
        )
    (y0, x0), (y1, x1) = starts.astype(int).tolist(), stops.astype(int).tolist()
    return slice(y0, y1), slice(x0, x1)


_CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float64)


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    if dtype.kind == "f":
        return True
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return float(value).is_integer() and limits[0] <= value <= limits[1]


def _moved_slice(
    image: np.ndarray,
    matrix: NDArray[np.float64],
    shift: NDArray[np.float64],
    order: int,
    fill: float | None,
) -> np.ndarray:
    from scipy import ndimage

    if not shift.any() and np.array_equal(matrix, np.eye(2)):
        return image
    straight = np.array_equal(matrix, np.eye(2))
    # A diagonal alone is resampled axis by axis, which is much faster.
    how = {"matrix": np.ones(2) if straight else matrix, "offset": shift, "mode": "nearest"}
    if order == 0:
        moved: np.ndarray = ndimage.affine_transform(image, order=0, **how)
    else:
        source = image.astype(np.float32)
        moved = ndimage.affine_transform(source, order=order, **how)
        lowest, highest = (
            ndimage.affine_transform(extreme(image, 3), order=0, **how)
            for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
        )
        if image.dtype.kind in "bui":
            moved = np.rint(moved)
        moved = np.clip(moved, lowest, highest).astype(image.dtype)
    if fill is not None:
        y, x = np.ogrid[: image.shape[0], : image.shape[1]]
        inside = np.ones(image.shape, dtype=bool)
        for axis, (row, start) in enumerate(zip(matrix, shift, strict=True)):
            at = row[0] * y + row[1] * x + start
            inside &= (at >= -1e-9) & (at <= image.shape[axis] - 1 + 1e-9)
        moved = np.where(inside, moved, np.array(fill, image.dtype))
    return moved
