"""Whether a segmentation can be right: its volume is imaged and compared with the real images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from porescope.correct.interpolation.interpolate import Method as InterpolationMethod
from porescope.errors import PorescopeError, PorescopeWarning
from porescope.learn.parameters import WeightsOf
from porescope.pipeline.simulation.parameters import (
    DetectorName,
    checked_materials,
    parse_materials,
)
from porescope.pipeline.step import Parameters, step
from porescope.pipeline.workspace import Workspace
from porescope.stack import COLUMNS, SLICES, Stack
from porescope.tracking import Cancel, Progress

if TYPE_CHECKING:
    from porescope.measure.volume_images import Imaging

FITTING, MONTE_CARLO = "auto", "montecarlo"
DISAGREEMENT = "disagreement"
TABLE = "physics"


class CheckParameters(Parameters):
    """How the segmented volume is imaged."""

    materials: Annotated[str, AfterValidator(checked_materials)] = Field(
        "0=epoxy, 1=gold",
        description="what each label is: LABEL=MATERIAL, or LABEL=FORMULA:DENSITY with the density "
        "in g/cm3",
    )
    imaging: Annotated[str, WeightsOf("surrogate", (FITTING, MONTE_CARLO))] = Field(
        FITTING,
        description="weights of the neural simulator, by name or as a file, or montecarlo; auto "
        "takes weights that know materials, voltages and pixels, and Monte Carlo where none do",
    )
    electrons: int = Field(
        16, ge=2, le=10_000, description="followed for each pixel by Monte Carlo; few suffice"
    )
    detector: DetectorName = Field("all-BSE", description="that the images were recorded with")
    every: int = Field(1, ge=1, description="image one of so many slices")
    interpolation: InterpolationMethod = Field(
        "learned", description="how labels between the slices are filled in"
    )
    seed: int = Field(0, ge=0, lt=2**64, description="of the electrons")


@step("check", uses=("images", "labels"), tables=(TABLE,))
def check(
    workspace: Workspace, parameters: CheckParameters, *, progress: Progress, cancel: Cancel
) -> Workspace:
    """Image the segmented volume, and show where the real images disagree."""
    from porescope.measure import physics_check

    stacks = workspace.need_images()
    found = physics_check(
        stacks,
        workspace.need_labels(),
        _imaging(parameters, stacks),
        interpolation=parameters.interpolation,
        slices=range(0, stacks[0].shape[SLICES], parameters.every),
        progress=progress,
        cancel=cancel,
    )
    z_nm, y_nm, x_nm = stacks[0].spacing_nm
    for beam_kv, residual in zip(found.beam_kv, found.residuals, strict=True):
        sparse = replace(residual, spacing_nm=(z_nm * parameters.every, y_nm, x_nm))
        workspace = workspace.with_map(f"{DISAGREEMENT} {beam_kv:g}kV", sparse)
    if not math.isfinite(found.score):
        warnings.warn(
            "No slice could be checked: at every voltage the images look deeper than the labels "
            "below any slice reach; take more slices, or images at lower voltages.",
            PorescopeWarning,
            stacklevel=2,
        )
    scores = {**workspace.scores, "misfit": found.score}
    return replace(workspace, scores=scores).with_table(TABLE, found.rows())


def _imaging(parameters: CheckParameters, stacks: Sequence[Stack]) -> Imaging:
    from porescope.measure import ByMonteCarlo

    if parameters.imaging != MONTE_CARLO:
        try:
            return _by_surrogate(parameters, stacks)
        except PorescopeError:
            if parameters.imaging != FITTING:
                raise
    return ByMonteCarlo(
        parse_materials(parameters.materials),
        electrons=parameters.electrons,
        detector=parameters.detector,
        seed=parameters.seed,
    )


def _by_surrogate(parameters: CheckParameters, stacks: Sequence[Stack]) -> Imaging:
    """Return the neural simulator, or refuse what its weights do not know."""
    from porescope.imaging.detectors import as_detector
    from porescope.measure import BySurrogate
    from porescope.pipeline.simulation.neural import fitting_surrogate, signal_of

    surrogate = fitting_surrogate(parameters.imaging, parse_materials(parameters.materials))
    for stack in stacks:
        surrogate.checked_beam_kv(stack.beam_kv)
        surrogate.checked_pixel_nm(stack.spacing_nm[COLUMNS])
    return BySurrogate(surrogate, signal_of(surrogate, as_detector(parameters.detector)))
