"""The command ``porescope``."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from porescope import __version__
from porescope.errors import MissingMetadata, PorescopeError

if TYPE_CHECKING:
    from porescope.stack import Stack

REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors end in one sentence and exit status 2."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = _show_warning
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters of it, we say ourselves
    try:
        options.run(options)
    except PorescopeError as error:
        print(f"porescope: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("porescope: Cancelled.", file=sys.stderr)
        return REFUSED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        sys.stderr.close()
    return 0


def _show_warning(message: Warning | str, *details: object, **more: object) -> None:
    print(f"porescope: {message}", file=sys.stderr)


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

    demo = commands.add_parser("demo", help="run the sample recipe and show the result")
    demo.add_argument("--headless", action="store_true", help="open no window")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR")
    demo.set_defaults(run=_demo)
    return parser


def _run(options: argparse.Namespace) -> None:
    from porescope.pipeline.jobs import Job
    from porescope.pipeline.recipe import read_recipe
    from porescope.pipeline.run import run_recipe, work_folder
    from porescope.terminal import wait_with_bars

    recipe = read_recipe(options.recipe).with_settings(options.settings)
    if options.inputs:
        recipe = recipe.with_inputs(options.inputs)
    leftovers = (work_folder(options.out.absolute()),)
    job = Job(run_recipe, recipe, options.out, overwrite=options.overwrite, leftovers=leftovers)
    print(f"Result in {wait_with_bars(job)}")


def _info(options: argparse.Namespace) -> None:
    from porescope.io import is_voltage_folder, read_stack, read_voltages
    from porescope.pipeline.describe import describe

    def read(path: Path, spacing_nm: Sequence[float | None] | None = None) -> list[Stack]:
        if is_voltage_folder(path):
            return read_voltages(path, spacing_nm=spacing_nm)
        return [read_stack(path, spacing_nm)]

    for path in options.file:
        untold: tuple[str, ...] = ()
        try:
            stacks = read(path)
        except MissingMetadata as question:
            untold = question.missing
            stacks = read(path, [1.0 if axis in untold else None for axis in "zyx"])
        for stack in stacks:
            print(describe(path, stack, untold))


def _steps(options: argparse.Namespace) -> None:
    from porescope.pipeline.describe import describe_step
    from porescope.pipeline.step import steps

    print("\n\n".join(describe_step(step) for step in steps().values()))


def _demo(options: argparse.Namespace) -> None:
    from porescope.demo import run_demo

    run_demo(options.out, headless=options.headless)


if __name__ == "__main__":
    sys.exit(main())
