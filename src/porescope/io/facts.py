"""What a file tells beside its voxels, and how that becomes a stack."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from porescope.errors import MissingMetadata, PorescopeError
from porescope.stack import Stack

OWN_KEY = "porescope"
OWN_VERSION = 1
AXES = "zyx"

UNITLESS = "voxel_size_without_unit"
"""Key in the metadata of a voxel size whose unit the file does not name."""

PartialSpacing = tuple[float | None, float | None, float | None]

NM_PER_UNIT = {
    "fm": 1e-6, "femtometer": 1e-6,
    "pm": 1e-3, "picometer": 1e-3,
    "å": 0.1, "angstrom": 0.1, "ångström": 0.1,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0, "nanometers": 1.0,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3,
    "micrometer": 1e3, "micrometre": 1e3, "micrometers": 1e3,
    "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6,
    "cm": 1e7, "centimeter": 1e7, "centimetre": 1e7,
    "inch": 2.54e7, "in": 2.54e7,
    "m": 1e9, "meter": 1e9, "metre": 1e9,
}  # fmt: skip


def to_nm(value: Any, unit: str | None) -> float | None:
    """Return a length in nm, or None where it is no length above zero in a known unit."""
    nm_per_unit = NM_PER_UNIT.get((unit or "").strip().lower().replace("\\u00b5", "µ"))
    number = to_number(value)
    if nm_per_unit is None or number is None or number <= 0:
        return None
    # 0.0025 um is 2.5 nm: what the product of two decimal numbers has beyond is rounding error.
    return number if nm_per_unit == 1 else float(f"{number * nm_per_unit:.15g}")


def to_number(value: Any) -> float | None:
    """Return a finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Facts:
    """What a file tells beside its voxels; None where it is silent.

    Fields are those of :class:`porescope.Stack`; ``spacing_nm`` may hold None for an axis.
    """

    spacing_nm: PartialSpacing = (None, None, None)
    beam_kv: float | None = None
    slice_z_nm: np.ndarray | None = None
    detector: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    origin_yx_nm: tuple[float, float] = (0.0, 0.0)
    is_labels: bool = False

    def completed_by(self, other: Facts) -> Facts:
        """Return these facts with what is missing taken from ``other``."""
        z, y, x = (
            mine if mine is not None else theirs
            for mine, theirs in zip(self.spacing_nm, other.spacing_nm, strict=True)
        )
        return replace(
            self,
            spacing_nm=(z, y, x),
            beam_kv=self.beam_kv if self.beam_kv is not None else other.beam_kv,
            slice_z_nm=self.slice_z_nm if self.slice_z_nm is not None else other.slice_z_nm,
            detector=self.detector if self.detector is not None else other.detector,
            metadata={**other.metadata, **self.metadata},
            history=self.history or other.history,
            origin_yx_nm=self.origin_yx_nm if any(self.origin_yx_nm) else other.origin_yx_nm,
            is_labels=self.is_labels or other.is_labels,
        )


def stack_of(
    path: Path,
    data: Any,
    facts: Facts,
    spacing_nm: Sequence[float | None] | None,
    beam_kv: float | None,
) -> Stack:
    """Return the stack, or ask for what neither the file nor the caller tells.

    Raises
    ------
    MissingMetadata
        If the voxel size is not known on each axis.
    PorescopeError
        If the caller's voxel size makes no sense, or the voxels are no numbers.
    """
    given = checked_partial_spacing_nm(spacing_nm)
    told = facts.spacing_nm
    known = [mine if mine is not None else its for mine, its in zip(given, told, strict=True)]
    metadata = dict(facts.metadata)
    if any(given):
        metadata["spacing_source"] = "given" if all(given) else "given in part"
    if known[0] is None and data.shape[0] == 1 and known[1] is not None:
        known[0] = known[1]
        metadata["z_spacing"] = "the pixel size, as a single image has no slice thickness"
    missing = tuple(axis for axis, value in zip(AXES, known, strict=True) if value is None)
    if missing:
        raise _question(path, known, missing, metadata.get(UNITLESS))
    slice_z_nm = facts.slice_z_nm
    if slice_z_nm is not None and given[0] is not None and told[0] is not None:
        steps = np.diff(slice_z_nm)
        if np.allclose(steps, told[0], rtol=1e-6):  # nominal positions follow the thickness
            slice_z_nm = slice_z_nm[0] + given[0] * np.arange(len(slice_z_nm))
    try:
        return Stack(
            data=data,
            spacing_nm=(known[0], known[1], known[2]),  # type: ignore[arg-type]  # none is None
            beam_kv=beam_kv if beam_kv is not None else facts.beam_kv,
            slice_z_nm=slice_z_nm,  # type: ignore[arg-type]
            detector=facts.detector,
            metadata=metadata,
            history=facts.history,
            origin_yx_nm=facts.origin_yx_nm,
            is_labels=facts.is_labels,
        )
    except PorescopeError as error:
        raise PorescopeError(f"{path}: {error}") from error


def checked_partial_spacing_nm(spacing_nm: Sequence[float | None] | None) -> PartialSpacing:
    """Return the caller's voxel size, with None for an axis that the file shall tell.

    Raises
    ------
    PorescopeError
        If there are not three values, or one is neither None nor a number above zero.
    """
    if spacing_nm is None:
        return (None, None, None)
    try:
        values = [None if value is None else float(value) for value in spacing_nm]
    except (TypeError, ValueError):
        values = []
    if len(values) != 3 or any(v is not None and not (math.isfinite(v) and v > 0) for v in values):
        raise PorescopeError(
            "The voxel size must be three numbers above 0 (z, y, x) in nm, or nothing for an axis "
            f"that the file tells; it is {spacing_nm!r}."
        )
    return (values[0], values[1], values[2])


def _question(
    path: Path, known: Sequence[float | None], missing: tuple[str, ...], unitless: Any
) -> MissingMetadata:
    what = {
        ("z",): "the slice thickness",
        ("y", "x"): "the pixel size",
        ("z", "y", "x"): "the voxel size",
    }.get(missing, f"the voxel size along {' and '.join(missing)}")
    found = ", ".join(
        f"{axis} {value:g} nm" for axis, value in zip(AXES, known, strict=True) if value is not None
    )
    if unitless:
        found = f"only (z, y, x) {unitless} in a unit it does not name"
    elif found:
        found = f"only {found}"
    return MissingMetadata(
        f"{path} does not tell {what}{f' ({found})' if found else ''}; give spacing_nm "
        "(z, y, x) in nm where it is asked for (porescope run: --set load.spacing_nm=Z,Y,X), or "
        "write it into the file.",
        missing,
    )


def own_fields(stack: Stack) -> dict[str, Any]:
    """Return the fields of a stack as JSON can hold them, to be read back exactly.

    Raises
    ------
    PorescopeError
        If metadata or history hold what JSON cannot.
    """
    fields = {
        "version": OWN_VERSION,
        "shape": list(stack.shape),
        "spacing_nm": list(stack.spacing_nm),
        "slice_z_nm": stack.slice_z_nm.tolist(),
        "origin_yx_nm": list(stack.origin_yx_nm),
        "beam_kv": stack.beam_kv,
        "detector": stack.detector,
        "is_labels": stack.is_labels,
        "metadata": stack.metadata,
        "history": stack.history,
    }
    try:
        plain: dict[str, Any] = json.loads(json.dumps(fields, allow_nan=False, default=_plain))
    except (TypeError, ValueError) as error:
        raise PorescopeError(
            f"The metadata or history of the stack cannot be written as JSON ({error}); "
            "keep to plain numbers, texts, lists and mappings."
        ) from error
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def merge_own(fields: Any, shape: tuple[int, ...], told: Facts) -> Facts:
    """Return the facts that Porescope wrote, as far as they still fit the file.

    Parameters
    ----------
    fields : mapping or anything
        What stands where Porescope writes its fields; ignored unless it is that.
    shape : tuple of three ints
        Shape of the volume in the file.
    told : Facts
        What the file's own format tells. Where another program cropped or rescaled the volume
        and copied the fields along, this is what counts.
    """
    try:
        if fields["version"] != OWN_VERSION:
            return told
        z, y, x = (float(value) for value in fields["spacing_nm"])
        fits = list(shape) == fields["shape"] and all(
            its is None or np.isclose(own, its, rtol=1e-4)
            for own, its in zip((z, y, x), told.spacing_nm, strict=True)
        )
        own = Facts(
            spacing_nm=(z, y, x) if fits else told.spacing_nm,
            slice_z_nm=np.array(fields["slice_z_nm"], dtype=float) if fits else told.slice_z_nm,
            origin_yx_nm=tuple(fields["origin_yx_nm"]) if fits else told.origin_yx_nm,
            beam_kv=to_number(fields["beam_kv"]),
            detector=fields["detector"],
            metadata=dict(fields["metadata"]),
            history=tuple(dict(entry) for entry in fields["history"]),
            is_labels=bool(fields["is_labels"]),
        )
    except (KeyError, TypeError, ValueError):
        return told
    return own
