"""A small step that can be watched, cancelled and made to fail; jobs import it by name."""

import time
import warnings
from dataclasses import replace
from typing import Literal

from pydantic import Field

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.pipeline import Parameters, Step
from porescope.tracking import track


class DummyParameters(Parameters):
    outcome: Literal["inverts", "refuses", "crashes", "dawdles", "warns"] = Field("inverts")
    depth_nm: float | None = Field(None, gt=0, description="how deep")


def dummy(workspace, parameters, *, progress, cancel):
    if parameters.outcome == "refuses":
        raise PorescopeError("The cheese is missing; buy some.")
    if parameters.outcome == "crashes":
        raise ZeroDivisionError("by zero")
    if parameters.outcome == "warns":
        warnings.warn("The cheese is old; smell it.", PorescopeWarning, stacklevel=2)
    pause_s = 0.05 if parameters.outcome == "dawdles" else 0.0
    for _ in track(range(1000 if pause_s else 5), progress, cancel):
        time.sleep(pause_s)
    images = tuple(image.with_data(255 - image.data) for image in workspace.need_images())
    return replace(workspace, images=images, scores={"MP": 12.5})


DUMMY = Step("dummy", "Inverts images.", DummyParameters, dummy, uses=("images",), made="inverted")
