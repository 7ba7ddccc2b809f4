"""One image volume: the voxels of one beam voltage and detector, and where they lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from porescope.errors import PorescopeError

if TYPE_CHECKING:
    import xarray

SLICES, ROWS, COLUMNS = 0, 1, 2

Region = tuple[int | None, int | None, int | None, int | None]
"""y start, y stop, x start, x stop in pixels; None reaches to the edge."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A volume of images or labels, slice by slice, with its voxel size and slice positions.

    Parameters
    ----------
    data : array of shape (z, y, x)
        Numpy or dask array; grey values of any real dtype, or labels as unsigned integers with 0
        for pore or background. Slice 0 was imaged first.
    spacing_nm : tuple of three floats
        Voxel size (z, y, x) in nm. The z value is the nominal slice thickness.
    beam_kv : float, optional
        Energy of the imaging electrons in keV.
    slice_z_nm : array of shape (z,), optional
        Depth of each imaged plane in nm along the milling direction; evenly spaced by default.
    detector : str, optional
        Name of the detector, as the microscope calls it.
    metadata : mapping, optional
        Whatever else the file told; plain values that JSON can hold.
    history : sequence of mappings, optional
        What was done to the volume, oldest first.
    origin_yx_nm : tuple of two floats, optional
        Where the corner of the first pixel lies, once borders were cropped.
    is_labels : bool, optional
        Whether the values name phases rather than brightness.

    Raises
    ------
    PorescopeError
        If the data are not three-dimensional and real, or a number makes no sense.
    """

    data: Any
    spacing_nm: tuple[float, float, float]
    beam_kv: float | None = None
    slice_z_nm: np.ndarray = None  # type: ignore[assignment]  # filled below, never None after
    detector: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    origin_yx_nm: tuple[float, float] = (0.0, 0.0)
    is_labels: bool = False

    def __post_init__(self) -> None:
        data = self.data if hasattr(self.data, "dtype") else np.asarray(self.data)
        if data.ndim != 3:
            raise PorescopeError(
                f"A stack has three axes (z, y, x), but this image has shape {tuple(data.shape)}; "
                "give all slices together."
            )
        if 0 in data.shape:
            raise PorescopeError(f"The stack is empty: its shape is {tuple(data.shape)}.")
        if data.dtype.kind not in "buif":
            raise PorescopeError(
                f"Voxels must be real numbers, but these are {data.dtype}; convert the file first."
            )
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "spacing_nm", checked_spacing_nm(self.spacing_nm))
        object.__setattr__(self, "slice_z_nm", self._checked_slice_z_nm())
        if self.beam_kv is not None:
            if not (math.isfinite(self.beam_kv) and self.beam_kv > 0):
                raise PorescopeError(f"The beam energy must be above 0 kV, not {self.beam_kv}.")
            object.__setattr__(self, "beam_kv", float(self.beam_kv))
        object.__setattr__(self, "metadata", dict(self.metadata))
        object.__setattr__(self, "history", tuple(dict(entry) for entry in self.history))
        y, x = self.origin_yx_nm
        object.__setattr__(self, "origin_yx_nm", (float(y), float(x)))

    def _checked_slice_z_nm(self) -> np.ndarray:
        count = self.data.shape[SLICES]
        if self.slice_z_nm is None:
            positions = np.arange(count) * self.spacing_nm[SLICES]
        else:
            positions = np.array(self.slice_z_nm, dtype=np.float64)
        if positions.shape != (count,):
            raise PorescopeError(
                f"There are {count} slices but {positions.size} slice positions; give one for each."
            )
        if not np.isfinite(positions).all():
            bad = int(np.flatnonzero(~np.isfinite(positions))[0])
            raise PorescopeError(f"The position of slice {bad} is not a number; measure it again.")
        positions.flags.writeable = False
        return positions

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (z, y, x)."""
        return tuple(self.data.shape)

    @property
    def evenly_sliced(self) -> bool:
        """Whether all slices lie one nominal thickness apart."""
        steps = np.diff(self.slice_z_nm)
        return bool(np.allclose(steps, self.spacing_nm[SLICES], rtol=1e-6))

    def with_data(self, data: Any, **changes: Any) -> Stack:
        """Return the same stack with other voxels, and other fields where given."""
        return replace(self, data=data, **changes)

    def image(
        self, index: int, rows: slice = slice(None), columns: slice = slice(None)
    ) -> np.ndarray:
        """Return a slice, or a part of it, as float32.

        Raises
        ------
        PorescopeError
            If a value in it is not a number.
        """
        image = np.asarray(self.data[index, rows, columns], dtype=np.float32)
        if not np.isfinite(image).all():
            raise PorescopeError(f"Slice {index} holds values that are not numbers; mend it first.")
        return image

    def spread_slices(self, most: int) -> list[int]:
        """Return at most so many slices, spread evenly from the first to the last."""
        count = self.shape[SLICES]
        return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()

    def nearest_slices(self, z_nm: float | np.ndarray) -> np.ndarray:
        """Return which slice was cut nearest to each of some depths in nm."""
        away_nm = np.abs(np.asarray(z_nm)[..., np.newaxis] - self.slice_z_nm)
        return np.asarray(away_nm.argmin(axis=-1))

    def map_slices(self, change: Callable[[np.ndarray, int], np.ndarray]) -> Stack:
        """Return the stack with every slice changed, lazily where its data are lazy.

        Parameters
        ----------
        change : callable(image, index)
            Returns the slice to be, of the same shape and dtype.
        """
        import dask.array as da

        def changed(block: np.ndarray, block_info: Any = None) -> np.ndarray:
            index = block_info[0]["array-location"][SLICES][0]
            return change(block[0], index)[np.newaxis]

        lazy = da.asarray(self.data).rechunk((1, -1, -1))
        meta = np.empty((0, 0, 0), lazy.dtype)
        data = da.map_blocks(changed, lazy, dtype=lazy.dtype, meta=meta)
        return self.with_data(data if isinstance(self.data, da.Array) else data.compute())

    def crop(self, rows: slice, columns: slice) -> Stack:
        """Return the part between some rows and columns; ``origin_yx_nm`` tells where it lies."""
        y, x = (
            origin + part.start * self.spacing_nm[axis]
            for origin, part, axis in zip(
                self.origin_yx_nm, (rows, columns), (ROWS, COLUMNS), strict=True
            )
        )
        return replace(self, data=self.data[:, rows, columns], origin_yx_nm=(y, x))

    def with_history(self, step: str, **parameters: Any) -> Stack:
        """Return the same stack with one entry more in its history."""
        return replace(self, history=(*self.history, {"step": step, "parameters": parameters}))

    def to_xarray(self) -> xarray.DataArray:
        """Return the stack as a labelled array with coordinates in nm (voxel corners).

        Returns
        -------
        xarray.DataArray
            Dimensions z, y, x; the other fields are kept in ``attrs``.
        """
        import xarray

        in_plane = {
            axis: origin + np.arange(self.shape[index]) * self.spacing_nm[index]
            for axis, index, origin in zip("yx", (ROWS, COLUMNS), self.origin_yx_nm, strict=True)
        }
        coordinates = {
            axis: (axis, values, {"units": "nm"})
            for axis, values in {"z": self.slice_z_nm, **in_plane}.items()
        }
        attributes = {
            "spacing_nm": self.spacing_nm,
            "beam_kv": self.beam_kv,
            "detector": self.detector,
            "metadata": dict(self.metadata),
            "history": list(self.history),
            "is_labels": self.is_labels,
        }
        return xarray.DataArray(
            self.data, dims=("z", "y", "x"), coords=coordinates, attrs=attributes
        )

    @classmethod
    def from_xarray(cls, array: xarray.DataArray) -> Stack:
        """Return the stack that :meth:`to_xarray` made, or any array with dimensions z, y, x.

        Raises
        ------
        PorescopeError
            If the dimensions are others, or neither attributes nor coordinates tell the spacing.
        """
        if set(array.dims) != {"z", "y", "x"}:
            raise PorescopeError(f"Expected dimensions z, y and x, not {array.dims}.")
        array = array.transpose("z", "y", "x")
        attributes = dict(array.attrs)
        spacing_nm = attributes.pop("spacing_nm", None)
        if spacing_nm is None:
            if not all(axis in array.coords and array.sizes[axis] > 1 for axis in "zyx"):
                raise PorescopeError(
                    "The array tells no voxel size; set attrs['spacing_nm'] = (z, y, x)."
                )
            spacing_nm = tuple(float(np.diff(array.coords[axis]).mean()) for axis in "zyx")
        known = ("beam_kv", "detector", "metadata", "history", "is_labels")
        fields = {name: attributes[name] for name in known if name in attributes}
        if "z" in array.coords:
            fields["slice_z_nm"] = array.coords["z"].to_numpy()
        if "y" in array.coords and "x" in array.coords:
            fields["origin_yx_nm"] = tuple(float(array.coords[axis][0]) for axis in "yx")
        return cls(data=array.data, spacing_nm=spacing_nm, **fields)


def region_slices(region: Region | None, shape: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of a region, or of the whole image.

    Raises
    ------
    PorescopeError
        If the region is empty or reaches beyond the image.
    """
    height, width = shape[ROWS:]
    y0, y1, x0, x1 = region or (None,) * 4
    rows = slice(y0 or 0, height if y1 is None else y1)
    columns = slice(x0 or 0, width if x1 is None else x1)
    if not (0 <= rows.start < rows.stop <= height and 0 <= columns.start < columns.stop <= width):
        raise PorescopeError(
            f"The region {region} (y start, y stop, x start, x stop) does not lie in an image of "
            f"{height} x {width} pixels (y, x)."
        )
    return rows, columns


def checked_spacing_nm(spacing_nm: Sequence[float]) -> tuple[float, float, float]:
    """Return the voxel size as three floats, or refuse it.

    Raises
    ------
    PorescopeError
        If there are not three numbers, or one is not finite and above zero.
    """
    try:
        values = tuple(float(value) for value in spacing_nm)
    except (TypeError, ValueError):
        values = ()
    if len(values) != 3:
        raise PorescopeError(f"The voxel size must be three numbers z, y, x in nm: {spacing_nm!r}.")
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise PorescopeError(
            f"The voxel size must be above 0 nm on each axis, but it is {values}; "
            "give the right one as spacing_nm (z, y, x)."
        )
    return values
