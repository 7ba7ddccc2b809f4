"""Taking artefacts out of images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import SLICES, Region, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress


class CleanParameters(Parameters):
    """What to take out; nothing by default."""

    curtains: bool = Field(False, description="whether stripes along y, from milling, are removed")
    brightness: bool = Field(False, description="whether every slice gets the same black and white")
    brightness_region: Region | None = Field(
        None,
        description="where to look for that, best in a material that fills the same part of every "
        "slice: y start, y stop, x start, x stop in pixels; empty to the edge",
    )
    charging_px: float | None = Field(
        None,
        gt=0,
        description="broad bright and dark areas: standard deviation of the Gaussian that tells "
        "them from the structure; off by default",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.curtains or self.brightness or self.charging_px):
            raise ValueError("choose what to take out: curtains, brightness or charging")
        return self


@step("clean", uses=("images",), made="cleaned")
def clean(
    workspace: Workspace, parameters: CleanParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Take stripes, uneven brightness and charging out of the images, where asked to."""
    images = workspace.need_images()
    values = parameters.model_dump(mode="json")
    results = []
    for number, image in enumerate(images):

        def report(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(images) * total)

        matched = matching(image, parameters, progress=report, cancel=cancel)
        results.append(cleaned(image, matched, parameters).with_history("clean", **values))
    return replace(workspace, images=tuple(results))


def matching(
    image: Stack,
    parameters: CleanParameters,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> NDArray[np.float64]:
    """Return the gain and offset (z, 2) of each slice, for which all slices are looked at."""
    from porescope.correct.clean import match_brightness

    if not parameters.brightness:
        return np.tile([1.0, 0.0], (image.shape[SLICES], 1))
    return match_brightness(image, parameters.brightness_region, progress=progress, cancel=cancel)


def cleaned(image: Stack, matched: NDArray[np.float64], parameters: CleanParameters) -> Stack:
    """Return the stack, slice by slice, and lazily where it was lazy.

    Parameters
    ----------
    image : Stack
    matched : array of shape (z, 2)
        Of :func:`matching`.
    parameters : CleanParameters
    """
    from porescope.correct.clean import change_slices, flatten, remove_curtains

    def change(grey: NDArray[np.float32], index: int) -> Any:
        if parameters.curtains:
            grey = remove_curtains(grey)
        if parameters.charging_px:
            grey = flatten(grey, parameters.charging_px)
        gain, offset = matched[index]
        return gain * grey + offset

    return change_slices(image, change)
