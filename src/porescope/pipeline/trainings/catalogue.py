"""The trainings there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from porescope.adapt.parameters import AdaptationTraining
from porescope.correct.interpolation.parameters import InterpolationTraining
from porescope.errors import MissingMetadata, PorescopeError
from porescope.imaging.surrogate.settings import SurrogateTraining
from porescope.layers.parameters import LayersTraining
from porescope.learn.weights import Card
from porescope.pipeline.own_stack.parameters import OwnStackTraining
from porescope.pipeline.run import Report
from porescope.pipeline.trainings.training import training
from porescope.segment.parameters import SegmentationTraining
from porescope.tracking import Cancel, Progress


@training(
    "segmentation",
    inputs="aligned stacks with labels of their slices, a folder a sample, as porescope simulate "
    "makes them",
    file="segmentation.safetensors",
)
def segmentation(
    inputs: Sequence[Path],
    out: Path,
    parameters: SegmentationTraining,
    *,
    progress: Progress,
    cancel: Cancel,
) -> Card:
    """Train networks to tell solid from pore."""
    from porescope.pipeline.trainings.samples import read_sample
    from porescope.segment.training import train_segmentation

    chosen = len(inputs) - parameters.validation
    if chosen < 1:
        raise PorescopeError(
            f"Name more samples: of {len(inputs)}, {parameters.validation} would choose the epoch "
            "and none be left to learn from."
        )
    samples = [read_sample(path) for path in inputs]
    return train_segmentation(
        samples[:chosen],
        samples[chosen:],
        out,
        parameters,
        progress=progress,
        cancel=cancel,
    )


@training(
    "interpolation",
    inputs="nothing: structures are drawn",
    file="interpolation.safetensors",
    takes_files=False,
    in_stages=True,
)
def interpolation(
    inputs: Sequence[Path],
    out: Path,
    parameters: InterpolationTraining,
    *,
    report: Report,
    cancel: Cancel,
) -> Card:
    """Train the network that fills gaps between slices."""
    from porescope.correct.interpolation.gap_training import train_gap_network

    if inputs:
        raise PorescopeError("The structures to learn from are drawn; name no files.")
    return train_gap_network(
        out,
        parameters,
        drawing=partial(report, "Drawing structures"),
        progress=partial(report, "interpolation"),
        cancel=cancel,
    )


@training(
    "surrogate",
    inputs="a folder with examples in training/ and validation/, heightfields with their images, "
    "as docs/formats.md describes them and tools/simulate_surrogate_images.py makes them",
    file="surrogate.safetensors",
)
def surrogate(
    inputs: Sequence[Path],
    out: Path,
    parameters: SurrogateTraining,
    *,
    progress: Progress,
    cancel: Cancel,
) -> Card:
    """Train the neural simulator, which images heightfields in place of Monte Carlo."""
    from porescope.imaging.surrogate.training import train_surrogate

    if len(inputs) != 1:
        raise PorescopeError(
            "Name one folder of examples to learn from, with training and validation in it, not "
            f"{len(inputs)}."
        )
    return train_surrogate(inputs[0], parameters, out, progress=progress, cancel=cancel)


@training(
    "layers",
    inputs="nothing: layers are drawn",
    file="layers.safetensors",
    takes_files=False,
    in_stages=True,
)
def layers(
    inputs: Sequence[Path],
    out: Path,
    parameters: LayersTraining,
    *,
    report: Report,
    cancel: Cancel,
) -> Card:
    """Train a network that tells the thickness of stacked layers."""
    from porescope.layers.training import train_layers

    if inputs:
        raise PorescopeError("The layers to learn from are drawn; name no files.")
    return train_layers(
        out,
        parameters,
        drawing=partial(report, "Drawing layers"),
        progress=partial(report, "layers"),
        cancel=cancel,
    )


@training(
    "adaptation",
    inputs="simulated stacks, then those whose look is wanted, files or folders of voltages; the "
    "latter need no labels",
    file="adaptation.safetensors",
)
def adaptation(
    inputs: Sequence[Path],
    out: Path,
    parameters: AdaptationTraining,
    *,
    progress: Progress,
    cancel: Cancel,
) -> Card:
    """Train networks that make simulated stacks look like yours."""
    from porescope.adapt.training import train_adaptation
    from porescope.pipeline.trainings.samples import read_images

    simulated = len(inputs) - parameters.targets
    if simulated < 1:
        raise PorescopeError(
            f"Of {len(inputs)} stacks {parameters.targets} would show the look that is wanted and "
            "none be left that are simulated; name the simulated ones first, then yours."
        )
    samples = [stack for path in inputs[:simulated] for stack in read_images(path)]
    try:
        targets = [
            stack
            for path in inputs[simulated:]
            for stack in read_images(path, parameters.target_spacing_nm)
        ]
    except MissingMetadata as question:
        raise PorescopeError(
            "A stack whose look is wanted does not tell its voxel size; give it with "
            "--target-spacing-nm Z,Y,X."
        ) from question
    return train_adaptation(samples, targets, out, parameters, progress=progress, cancel=cancel)


@training(
    "own-stack",
    inputs="your aligned stack without labels: a file, or a folder with one a voltage",
    file="segmentation.safetensors",
    in_stages=True,
)
def own_stack(
    inputs: Sequence[Path],
    out: Path,
    parameters: OwnStackTraining,
    *,
    report: Report,
    cancel: Cancel,
) -> Card:
    """Make structures like those in your stack, learn from them, and segment the stack."""
    from porescope.pipeline.own_stack.loop import train_on_own_stack

    if len(inputs) != 1:
        raise PorescopeError(
            "Name one stack, or the folder that holds one a voltage, not "
            f"{len(inputs) or 'nothing'}."
        )
    return train_on_own_stack(inputs[0], out, parameters, report=report, cancel=cancel)
