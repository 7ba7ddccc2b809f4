"""What became better, and what did not: isotropy and the physics check, before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import Cancelled, PorescopeError
from porescope.files import replacing
from porescope.measure.parts import UNCERTAINTY
from porescope.pipeline.pictures import changes
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.report import EXPLAINED, write_report
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel, Progress, no_progress, track

REPORT, RECIPE = "report.html", "recipe.yaml"
BEFORE, AFTER = "before", "after"
ERRORS = ("tpcf", "lpf", "diameter", "misfit")
"""The lower, the better."""
NO_CHECK = "no_check"
CHECKED_PIXELS = 20_000_000
"""Of images at all voltages; slices are left out where there are more."""


def measured(
    stacks: Sequence[Stack],
    labels: Stack,
    materials: str,
    *,
    progress: Progress = no_progress,
    cancel: Cancel,
) -> dict[str, Any]:
    """Return the anisotropy errors, and the misfit of the physics check or why there is none.

    Slices that lie unevenly are put on a grid first, the planes between them filled.
    """
    from porescope.measure import isotropy, solid_fraction

    even = labels
    if not labels.evenly_sliced:
        slices = find_step("slices")
        even = slices.function(
            Workspace(labels=labels), slices.parse({}), progress=no_progress, cancel=cancel
        ).need_labels()
    found: dict[str, Any] = {
        "solid_fraction": solid_fraction(labels.data),
        **isotropy(even.data, even.spacing_nm, cancel=cancel),
    }
    pixels = len(stacks) * math.prod(stacks[0].shape)
    check = find_step("check")
    parameters = check.parse(
        {"materials": materials, "every": max(1, math.ceil(pixels / CHECKED_PIXELS))}
    )
    try:
        checked = check.function(
            Workspace(images=tuple(stacks), labels=labels),
            parameters,
            progress=progress,
            cancel=cancel,
        )
    except Cancelled:
        raise
    except PorescopeError as error:
        return {**found, NO_CHECK: str(error)}
    return {**found, "misfit": checked.scores["misfit"]}


@dataclass(frozen=True)
class Verdict:
    """The numbers of both segmentations.

    Parameters
    ----------
    before, after : mappings
        From :func:`measured`.
    moved : array of shape (slices,)
        Share of each slice's pixels that are of another phase after than before.
    misplaced : (float, float)
        Voxels in % that either method misplaces on generated structures that chose the epoch.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    moved: NDArray[np.float64]
    misplaced: tuple[float, float]

    @property
    def better(self) -> bool:
        """Whether to trust the new segmentation: unless it explains the images no better.

        Anisotropy errors have no say. On stacks whose truth was known they fell where the
        segmentation got worse, and the misfit did not.
        """
        known = all(_known(of.get("misfit")) for of in (self.before, self.after))
        return not known or bool(self.after["misfit"] < self.before["misfit"])

    def scores(self) -> dict[str, float]:
        """Return the errors of both by name, as far as they are known."""
        of_stack = {
            f"{EXPLAINED[key]}, {when}": float(of[key])
            for key in ERRORS
            for when, of in ((BEFORE, self.before), (AFTER, self.after))
            if _known(of.get(key))
        }
        of_generated = {
            f"{EXPLAINED['MP']}, of generated structures, {when}": value
            for when, value in zip((BEFORE, AFTER), self.misplaced, strict=True)
        }
        return {**of_stack, **of_generated}

    def findings(self) -> list[str]:
        """Return a sentence for each error: whether it fell."""
        told = [self._fell(key) for key in ERRORS if _known(self.before.get(key))]
        unknown = [key for key in ERRORS[:-1] if not _known(self.before.get(key))]
        if unknown:
            told.append(
                "Not known, as the stack is too small for it: "
                + ", ".join(f"the {EXPLAINED[key]}" for key in unknown)
                + "."
            )
        reasons = {of[NO_CHECK] for of in (self.before, self.after) if NO_CHECK in of}
        told += [f"There is no physics check: {reason}" for reason in sorted(reasons)]
        shares = [f"{100 * of['solid_fraction']:.1f} %" for of in (self.before, self.after)]
        before, after = self.misplaced
        return [
            self.conclusion(),
            *told,
            f"On generated structures with this look, {after:.2g} % of the voxels are misplaced "
            f"now, and {before:.2g} % as the stack was segmented first; these structures chose the "
            "epoch.",
            f"{100 * self.moved.mean():.2f} % of the voxels are of another phase than before; "
            f"solid were {shares[0]}, and are {shares[1]}.",
            "Of the stack itself no truth is known: isotropy says something only of structures "
            "that are isotropic, and the physics check only of materials that are rightly named.",
        ]

    def conclusion(self) -> str:
        """Return which of both to trust, and why."""
        if not self.better:
            return (
                "labels.ome.zarr is the first segmentation, since the new one explains the images "
                "no better; the new one is labels-after.ome.zarr."
            )
        why = "explains the images better" if _known(self.after.get("misfit")) else "was asked for"
        return (
            f"labels.ome.zarr is the new segmentation, since it {why}; the first one is "
            "labels-before.ome.zarr."
        )

    def _fell(self, key: str) -> str:
        before, after = self.before[key], self.after.get(key)
        name = f"The {EXPLAINED[key]}"
        if not _known(after):
            return f"{name} was {before:.4g} before, and is not known after."
        unsure = self.after.get(f"{key}{UNCERTAINTY}", 0.0)
        if after >= before:
            return f"{name} did not fall: {before:.4g} before, {after:.4g} after."
        little = ", by less than its uncertainty" if before - after < unsure else ""
        return f"{name} fell from {before:.4g} to {after:.4g}{little}."


def _known(number: Any) -> bool:
    return isinstance(number, float) and math.isfinite(number)


def share_moved(before: Stack, after: Stack, cancel: Cancel) -> NDArray[np.float64]:
    """Return the share of each slice's pixels that two segmentations do not agree on."""
    return np.array(
        [
            ((np.asarray(before.data[z]) > 0) != (np.asarray(after.data[z]) > 0)).mean()
            for z in track(range(before.shape[SLICES]), cancel=cancel)
        ]
    )


def write_verdict(
    folder: Path, recipe: Recipe, made: Workspace, verdict: Verdict, notes: Sequence[str]
) -> None:
    """Write the report, and the recipe that segments other such stacks."""
    with replacing(folder / RECIPE) as beside:
        beside.write_text(recipe.to_yaml(), encoding="utf-8")
    pictures = []
    if verdict.moved.any():
        before, after = (made.maps[f"labels {when}"] for when in (BEFORE, AFTER))
        changed = changes(made.images[0], before, after, int(verdict.moved.argmax()))
        pictures.append(("The slice where most changed", changed))
    with replacing(folder / REPORT) as beside:
        write_report(beside, recipe, made, [*verdict.findings(), *notes], pictures)
