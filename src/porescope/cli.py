"""The command ``porescope``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from porescope import __version__
from porescope.errors import Cancelled, MissingMetadata, PorescopeError, show_warning

if TYPE_CHECKING:
    from porescope.stack import Stack

REFUSED = 2
CANCELLED = 130
"""As shells count Ctrl-C."""
Number = TypeVar("Number", int, float)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors end in one sentence and exit status 2, Ctrl-C in 130."""
    warnings.showwarning = show_warning
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters of it, we say ourselves
    try:
        options = _parse(arguments)
        options.run(options)
    except PorescopeError as error:
        print(f"porescope: {error}", file=sys.stderr)
        return CANCELLED if isinstance(error, Cancelled) else REFUSED
    except (KeyboardInterrupt, RuntimeError) as error:
        # Python 3.11 makes a RuntimeError of a Ctrl-C that comes while it makes a class.
        if not isinstance(error.__cause__ or error, KeyboardInterrupt):
            raise
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        sys.stderr.close()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    # What is imported here makes panics and other errors of a Ctrl-C, and there is nothing yet to
    # clean up.
    before = signal.signal(signal.SIGINT, _leave)
    try:
        return _parser().parse_args(arguments)
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(*_: object) -> None:
    os.write(sys.stderr.fileno(), b"Cancelled.\n")
    os._exit(CANCELLED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="porescope", description="FIB-SEM tomography of porous and layered materials."
    )
    parser.add_argument("--version", action="version", version=f"porescope {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a recipe on stacks")
    run.add_argument("recipe", type=Path, help="recipe in YAML, or a provenance.json to replay")
    run.add_argument("inputs", type=Path, nargs="*", metavar="INPUT", help="stack file or folder")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    run.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="STEP.PARAM=VALUE",
        help="change a parameter of the recipe; may be given several times",
    )
    run.add_argument("--overwrite", action="store_true", help="replace an earlier result")
    run.set_defaults(run=_run)

    info = commands.add_parser("info", help="tell what a file or folder holds")
    info.add_argument("file", type=Path, nargs="+")
    info.set_defaults(run=_info)

    steps = commands.add_parser("steps", help="list the steps a recipe can have")
    steps.set_defaults(run=_steps)

    _add_sample(commands)
    _add_heightfield(commands)
    _add_simulate(commands)
    _add_layers(commands)
    _add_adapt(commands)
    _add_train(commands)

    demo = commands.add_parser("demo", help="run the sample recipe and show the result")
    demo.add_argument("--headless", action="store_true", help="open no window")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR")
    demo.set_defaults(run=_demo)
    return parser


def _add_sample(commands: Any) -> None:
    from porescope.options import add_options
    from porescope.pipeline.samples import sample_kinds

    sample = commands.add_parser("sample", help="draw a sample of a porous or layered material")
    kinds = sample.add_subparsers(required=True, metavar="KIND")
    for name, kind in sample_kinds().items():
        parser = kinds.add_parser(name, help=kind.summary, description=kind.summary)
        add_options(parser, kind.parameters)
        parser.add_argument(
            "--out",
            type=Path,
            required=True,
            metavar="FILE",
            help="labels as .ome.zarr, .ome.tif or .tif"
            + ("; a list of primitives as .txt" if kind.has_primitives else ""),
        )
        parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")
        parser.set_defaults(run=_sample, kind=name)


def _add_heightfield(commands: Any) -> None:
    parser = commands.add_parser(
        "heightfield",
        help="extract what image planes see of a sample: depths and normals",
        description="Extract extended heightfields: where the column below each pixel of a plane "
        "enters and leaves solid, and the normal of the surface seen first.",
    )
    parser.add_argument(
        "sample", type=Path, metavar="SAMPLE", help="list of primitives (.txt), or any volume"
    )
    parser.add_argument(
        "--plane",
        required=True,
        metavar="Z",
        help="depth in voxels or the list's unit; several as Z,Z,... or START:STOP:STEP, where "
        "STOP is left out",
    )
    parser.add_argument(
        "--layers",
        type=int,
        default=2,
        metavar="COUNT",
        help="how many stretches of solid, 1 to 8 (default: 2)",
    )
    parser.add_argument(
        "--shape", metavar="ROWS,COLUMNS", help="pixels of a plane, for a list that tells no size"
    )
    parser.add_argument(
        "--level",
        type=float,
        help="value from which a grey volume is solid; labels, solid where not 0, need none",
    )
    parser.add_argument(
        "--spacing-nm", metavar="Z,Y,X", help="voxel size of a volume that does not tell it"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where primitives are worked on; auto takes a GPU if there is one (default: auto)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="name ending in .npz or .ome.tif"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")
    parser.set_defaults(run=_heightfield)


def _add_simulate(commands: Any) -> None:
    from porescope.options import add_options
    from porescope.pipeline.simulation import SimulationParameters

    parser = commands.add_parser(
        "simulate",
        help="image a sample slice by slice, as an electron microscope would",
        description="Image a sample slice by slice at one or more voltages, by Monte Carlo, and "
        "write the stacks with the truth beside them.",
    )
    parser.add_argument(
        "sample", type=Path, metavar="SAMPLE", help="volume of labels, or list of primitives (.txt)"
    )
    add_options(parser, SimulationParameters)
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--neural",
        dest="surrogate",
        action="store_const",
        const="auto",
        default=argparse.SUPPRESS,
        help="image by the neural simulator, a hundred thousand times faster; the same as "
        "--surrogate auto",
    )
    either.add_argument(
        "--fast",
        dest="surrogate",
        action="store_const",
        const="fast",
        default=argparse.SUPPRESS,
        help="image by back-scatter coefficients, less exactly, for solids in epoxy; the same as "
        "--surrogate fast",
    )
    parser.add_argument(
        "--spacing-nm", metavar="Z,Y,X", help="voxel size of a volume that does not tell it"
    )
    parser.add_argument(
        "--out", "--output", type=Path, required=True, metavar="DIR", help="folder to make"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier simulation")
    parser.set_defaults(run=_simulate)


def _add_layers(commands: Any) -> None:
    from porescope.options import add_options
    from porescope.pipeline.layers import LayersParameters, LayersSimulation

    layers = commands.add_parser(
        "layers",
        help="find the thickness of stacked layers from images at rising beam energy",
        description="Layer microtomography: deeper layers show at higher beam energy.",
    )
    actions = layers.add_subparsers(required=True, metavar="ACTION")
    find = actions.add_parser("find", help="find the layers of an energy series")
    find.add_argument(
        "series",
        type=Path,
        metavar="SERIES",
        help="folder with an image an energy, such as 05keV.tif, or a TIFF that Porescope wrote",
    )
    add_options(find, LayersParameters)
    find.set_defaults(run=_layers)
    simulate = actions.add_parser("simulate", help="draw layers, and make their energy series")
    add_options(simulate, LayersSimulation)
    simulate.set_defaults(run=_simulate_layers)
    for action in (find, simulate):
        action.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
        action.add_argument("--overwrite", action="store_true", help="replace an earlier result")


def _add_adapt(commands: Any) -> None:
    from porescope.learn.parameters import WeightsOf

    parser = commands.add_parser(
        "adapt",
        help="give simulated stacks the look of other images",
        description="Give simulated stacks the look of other images, with their structure as it "
        "is: their truth is taken along. Weights that move edges, or remove or invent structure, "
        "are refused.",
    )
    parser.add_argument(
        "stacks",
        type=Path,
        metavar="STACKS",
        help="folder of voltages, as porescope simulate makes it, or a stack",
    )
    parser.add_argument(
        "--weights",
        required=True,
        metavar="FILE",
        help="what porescope train adaptation wrote, ending in .safetensors, or by name: "
        f"{', '.join(WeightsOf('adaptation').names())}",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the noise that is added (default: 0)"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where networks run; auto takes a GPU if there is one (default: auto)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result")
    parser.set_defaults(run=_adapt)


def _add_train(commands: Any) -> None:
    from porescope.options import add_options
    from porescope.pipeline.trainings import trainings

    train = commands.add_parser(
        "train",
        help="train a network on your own material",
        description="Train a network. Ctrl-C keeps what is learned so far, and the same command "
        "goes on with it; a file named stop in the folder ends the training with the best so far.",
    )
    kinds = train.add_subparsers(required=True, metavar="WHAT")
    for name, kind in trainings().items():
        parser = kinds.add_parser(name, help=kind.summary, description=kind.summary)
        parser.add_argument("inputs", type=Path, nargs="*", metavar="INPUT", help=kind.inputs)
        add_options(parser, kind.parameters)
        parser.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="folder for the weights"
        )
        parser.set_defaults(run=_train, kind=name)


def _run(options: argparse.Namespace) -> None:
    from porescope.pipeline.recipe import read_recipe
    from porescope.pipeline.report import scores_told
    from porescope.pipeline.run import run_recipe
    from porescope.terminal import write_with_bars

    recipe = read_recipe(options.recipe).with_settings(options.settings)
    if options.inputs:
        recipe = recipe.with_inputs(options.inputs)
    result = write_with_bars(run_recipe, recipe, out=options.out, overwrite=options.overwrite)
    print(f"{scores_told(result)}Result in {result}")


def _info(options: argparse.Namespace) -> None:
    from porescope.io import is_voltage_folder, read_primitives, read_stack, read_voltages
    from porescope.io.heightfields import heightfields_in
    from porescope.pipeline.describe import describe, describe_heightfields, describe_primitives
    from porescope.pipeline.sample_results import LIST_SUFFIX

    def read(path: Path, spacing_nm: Sequence[float | None] | None = None) -> list[Stack]:
        if is_voltage_folder(path):
            return read_voltages(path, spacing_nm=spacing_nm)
        return [read_stack(path, spacing_nm)]

    for path in options.file:
        if path.suffix.lower() == LIST_SUFFIX:
            print(describe_primitives(path, read_primitives(path)))
            continue
        heightfields = heightfields_in(path)
        if heightfields is not None:
            print(describe_heightfields(path, heightfields))
            continue
        untold: tuple[str, ...] = ()
        try:
            stacks = read(path)
        except MissingMetadata as question:
            untold = question.missing
            stacks = read(path, [1.0 if axis in untold else None for axis in "zyx"])
        for stack in stacks:
            print(describe(path, stack, untold, len(stacks)))


def _steps(options: argparse.Namespace) -> None:
    from porescope.pipeline.describe import describe_step
    from porescope.pipeline.step import steps

    print("\n\n".join(describe_step(step) for step in steps().values()))


def _sample(options: argparse.Namespace) -> None:
    from porescope.options import given_values
    from porescope.pipeline.sample_results import write_sample
    from porescope.pipeline.samples import find_sample_kind
    from porescope.terminal import write_with_bars

    kind = find_sample_kind(options.kind)
    parameters = kind.parse(given_values(options, kind.parameters))
    written = write_with_bars(
        write_sample, kind, parameters, out=options.out, overwrite=options.overwrite
    )
    print(f"Wrote {options.out}")
    if written.primitives is not None:
        print(f"  primitives      {written.primitives:,}")
    if written.shape is not None:
        z, y, x = written.shape
        print(f"  voxels          {z} x {y} x {x} (z, y, x)")
        print(f"  solid fraction  {written.solid_fraction:.4f}")
    if hasattr(parameters, "seed"):
        print(f"  seed            {parameters.seed}")


def _heightfield(options: argparse.Namespace) -> None:
    from porescope.pipeline.heightfields import parse_planes, write_heightfields_of
    from porescope.terminal import write_with_bars

    made = write_with_bars(
        write_heightfields_of,
        options.sample,
        parse_planes(options.plane),
        layers=options.layers,
        shape=_numbers("--shape", options.shape, int),
        level=options.level,
        spacing_nm=_numbers("--spacing-nm", options.spacing_nm, float),
        device=options.device,
        out=options.out,
        overwrite=options.overwrite,
    )
    layers, rows, columns = made.shape
    print(
        f"Wrote {options.out}: {made.planes} plane{'s' * (made.planes > 1)} of {rows} x {columns} "
        f"pixels, {layers} layer{'s' * (layers > 1)}, {100 * made.solid_fraction:.1f} % solid at "
        f"the plane, {1000 * made.seconds:.1f} ms a plane"
    )


def _simulate(options: argparse.Namespace) -> None:
    from porescope.options import given_values
    from porescope.pipeline.simulation import SimulationParameters, write_simulation
    from porescope.pipeline.simulation.fast import FAST
    from porescope.pipeline.step import parse_parameters
    from porescope.terminal import write_with_bars

    values = given_values(options, SimulationParameters)
    parameters = parse_parameters("Simulation", SimulationParameters, values)
    written = write_with_bars(
        write_simulation,
        options.sample,
        parameters,
        spacing_nm=_numbers("--spacing-nm", options.spacing_nm, float),
        out=options.out,
        overwrite=options.overwrite,
    )
    z, y, x = written.shape
    voltages = ", ".join(f"{beam_kv:g}" for beam_kv in written.beams_kv)
    drawn = "by fast imaging" if parameters.surrogate == FAST else "by the neural simulator"
    how = f"{written.electrons:.3g} electrons" if written.electrons else drawn
    print(
        f"Wrote {options.out}: {z} slice{'s' * (z > 1)} of {y} x {x} pixels at {voltages} kV, "
        f"{how}, {written.seconds:.1f} s"
    )
    for note in written.notes:
        print(f"porescope: {note}", file=sys.stderr)


def _layers(options: argparse.Namespace) -> None:
    from porescope.options import given_values
    from porescope.pipeline.layers import LayersParameters, write_layers
    from porescope.pipeline.step import parse_parameters
    from porescope.terminal import write_with_bars

    values = given_values(options, LayersParameters)
    found = write_with_bars(
        write_layers,
        options.series,
        parse_parameters("Layers", LayersParameters, values),
        out=options.out,
        overwrite=options.overwrite,
    )
    print(f"Wrote {options.out}: {found.summary}")


def _simulate_layers(options: argparse.Namespace) -> None:
    from porescope.options import given_values
    from porescope.pipeline.layers import LayersSimulation, write_layers_simulation
    from porescope.pipeline.step import parse_parameters
    from porescope.terminal import write_with_bars

    values = given_values(options, LayersSimulation)
    write_with_bars(
        write_layers_simulation,
        parse_parameters("Simulation of layers", LayersSimulation, values),
        out=options.out,
        overwrite=options.overwrite,
    )
    print(f"Wrote {options.out}: the series, and the true thickness of its layers")


def _adapt(options: argparse.Namespace) -> None:
    from porescope.pipeline.adaptation import write_adaptation
    from porescope.terminal import write_with_bars

    written = write_with_bars(
        write_adaptation,
        options.stacks,
        options.weights,
        seed=options.seed,
        device=options.device,
        out=options.out,
        overwrite=options.overwrite,
    )
    z, y, x = written.shape
    print(f"Wrote {options.out}: {z} slice{'s' * (z > 1)} of {y} x {x} pixels")
    for name, moved in written.moved.items():
        print(
            f"  {name}: edges move by {moved.median_px:.2f} px in the median, "
            f"{100 * moved.removed:.1f} % vanish, {100 * moved.invented:.1f} % are invented"
        )
    if written.kept:
        print(f"  taken along: {', '.join(written.kept)}")


def _train(options: argparse.Namespace) -> None:
    from porescope.options import given_values
    from porescope.pipeline.jobs import Job
    from porescope.pipeline.own_stack.verdict import REPORT
    from porescope.pipeline.trainings import find_training
    from porescope.pipeline.trainings.training import remove_without_files, run_training
    from porescope.pipeline.trainings.watch import reached
    from porescope.terminal import wait_with_bars

    kind = find_training(options.kind)
    parameters = kind.parse(given_values(options, kind.parameters))
    out = options.out.absolute()
    begun = out.exists()
    try:
        card = wait_with_bars(Job(run_training, kind, options.inputs, out, parameters))
    except (Cancelled, KeyboardInterrupt) as error:  # the latter if it comes twice
        if not begun:
            remove_without_files(out)
        if not out.exists():
            raise
        told = f" ({reached(out)})" if reached(out) else ""
        raise Cancelled(
            f"Cancelled; what was finished is kept in {out}{told}, and the same command goes on "
            "with it."
        ) from error
    print(f"Wrote {options.out / kind.file}")
    if (out / REPORT).exists():
        print(f"{options.out / REPORT} tells what was made of your stack")
    for name, score in card.scores.items():
        print(f"  {name}: {score:.4g}")


def _numbers(option: str, text: str | None, kind: type[Number]) -> list[Number] | None:
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise PorescopeError(
            f"{option} is {text!r}; write numbers with commas between them."
        ) from error


def _demo(options: argparse.Namespace) -> None:
    from porescope.demo import run_demo

    run_demo(options.out, headless=options.headless)


if __name__ == "__main__":
    sys.exit(main())
