"""Running a recipe: step by step into a hidden folder beside the result, renamed when whole.

A finished step leaves its workspace in the hidden folder under a key of everything it depends on,
so a run that was killed goes on at the step it had reached.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from porescope.errors import Cancelled, PorescopeError, PorescopeWarning
from porescope.files import remove
from porescope.pipeline.provenance import (
    FILE,
    fingerprint,
    hash_inputs,
    hash_outputs,
    hash_path,
    on_disk,
    versions,
)
from porescope.pipeline.recipe import Recipe
from porescope.pipeline.report import SCORES, write_report, write_tables
from porescope.pipeline.step import Parameters, Step
from porescope.pipeline.workspace import (
    INDEX,
    Workspace,
    image_name,
    load_workspace,
    save_workspace,
    write_index,
    write_json,
)
from porescope.stack import Stack
from porescope.tracking import Cancel, Progress, never_cancel

# (what is being done, done, total)
Report = Callable[[str, int, int], None]


def tell_nobody(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def run_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Path:
    """Run a recipe and leave its result in a folder.

    The folder holds ``labels.ome.zarr``, ``images/``, ``alignment-….json``, ``scores.json``,
    ``tables/`` as CSV, ``report.html``, ``recipe.yaml``, ``provenance.json`` and
    ``workspace.json``. The same recipe on the same inputs gives the same bytes.

    Parameters
    ----------
    recipe : Recipe
        With its inputs.
    out : path
        Folder that does not exist yet, or is empty.
    overwrite : bool
        Replace ``out`` if it is an earlier result.
    report : callable(what, done, total)
        Hears of progress.
    cancel : callable() -> bool
        Stops the run when true; nothing is left then.

    Raises
    ------
    PorescopeError
        If something is wrong with the recipe, the inputs or the folder.
    """
    out = Path(os.path.abspath(out))
    inputs = tuple(Path(os.path.abspath(path)) for path in recipe.inputs)
    recipe = replace(recipe, inputs=inputs)
    check_places(inputs, out, overwrite, mark=FILE)
    hashes = hash_inputs(inputs, _about(report, "Reading inputs"), cancel)
    _check_unchanged(recipe, hashes)
    work = work_folder(out)
    try:
        with own_folder(work, finished=f"*/{INDEX}"):
            workspace, written = _run_steps(recipe, hashes, work, report, cancel)
            report("Writing the result", 0, 1)
            _gather(recipe, workspace, written, hashes, work / "result")
            swap(work / "result", out)
            report("Writing the result", 1, 1)
    except OSError as error:
        raise PorescopeError(f"Cannot write {out}: {error.strerror or error}.") from error
    return out


def work_folder(out: Path) -> Path:
    """Return the hidden folder beside a result in which it is made."""
    return out.with_name(f".{out.name}.partial")


@contextmanager
def writing_result(inputs: Sequence[Path], out: Path, overwrite: bool, mark: str) -> Iterator[Path]:
    """Yield a hidden place for a folder; what was made there becomes the result at the end.

    Parameters
    ----------
    inputs : sequence of Paths
        Which the result must not lie in.
    out : Path
        The result.
    overwrite : bool
        Replace an earlier result.
    mark : str
        File in it by which a result of this kind is known.

    Raises
    ------
    PorescopeError
        If the folder cannot be written, or is something else.
    """
    out = out.absolute()
    check_places(inputs, out, overwrite, mark)
    work = work_folder(out)
    try:
        remove(work)
        work.mkdir(parents=True)
        yield work / "result"
        swap(work / "result", out)
    except OSError as error:
        raise PorescopeError(f"Cannot write {out}: {error.strerror or error}.") from error
    finally:
        remove(work)


def run_step(
    step: Step,
    parameters: Parameters,
    workspace: Workspace,
    folder: Path,
    *,
    kept: Mapping[str, Stack] | None = None,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Path:
    """Run one step and leave in a new folder what it made.

    Volumes that the step left as they were are not written again.

    Parameters
    ----------
    kept : mapping of str to Stack, optional
        What it works on that is nowhere on the disk, by the names of the files in ``folder`` that
        it is kept in.

    Returns
    -------
    Path
        ``folder``, for :func:`porescope.pipeline.workspace.load_workspace`.
    """
    from porescope.io import write_stack

    beside = folder.with_name(f".{folder.name}")
    remove(beside)
    try:
        about = _about(report, step.name)
        after = _run(step, parameters, workspace, about, cancel)
        writing = _about(report, f"{step.name}, writing")
        save_workspace(beside, _without(after, workspace), progress=writing, cancel=cancel)
        for name, stack in (kept or {}).items():
            write_stack(beside / name, stack, progress=writing, cancel=cancel)
        beside.rename(folder)
    except OSError as error:
        raise PorescopeError(f"Cannot write {folder}: {error.strerror or error}.") from error
    finally:
        remove(beside)
    return folder


def _without(after: Workspace, before: Workspace) -> Workspace:
    """Return a workspace without the volumes that were there before."""
    known = {id(stack) for _, stack in before.stacks()}
    return replace(
        after,
        images=tuple(image for image in after.images if id(image) not in known),
        labels=None if id(after.labels) in known else after.labels,
        truth=None if id(after.truth) in known else after.truth,
        maps={name: stack for name, stack in after.maps.items() if id(stack) not in known},
    )


def check_places(inputs: Sequence[Path], out: Path, overwrite: bool, mark: str) -> None:
    """Refuse to write into an input, or over a folder without the file that marks a result."""
    out = out.resolve()
    for path in (on_disk(path).resolve() for path in inputs):
        if out == path or out in path.parents or path in out.parents:
            raise PorescopeError(
                f"The result {out} and the input {path} lie in one another; choose another folder."
            )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise PorescopeError(
            f"{out} exists already; choose another folder, or replace the earlier result with "
            "--overwrite."
        )
    if not (out / mark).is_file():
        raise PorescopeError(f"{out} is no result of Porescope; choose another folder.")


def _check_unchanged(recipe: Recipe, hashes: Sequence[dict[str, str]]) -> None:
    """Refuse to replay on inputs that are not those of the provenance."""
    if recipe.input_hashes is None:
        return
    for expected, found in zip(recipe.input_hashes, hashes, strict=True):
        if expected != found["sha256"]:
            raise PorescopeError(
                f"{found['path']} has changed since the provenance was written; name the input on "
                "the command line to run the recipe on what it holds now."
            )


@contextmanager
def own_folder(work: Path, finished: str) -> Iterator[None]:
    """Hold a work folder alone; keep it if something fails that left finished parts, or is killed.

    Parameters
    ----------
    work : Path
        Of :func:`work_folder`.
    finished : str
        Pattern of the files in it that the next try can take up.
    """
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise PorescopeError(
            f"Another run is writing beside {work}; wait for it or choose another folder."
        ) from error
    keep = False
    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        remove(work / "result")
        keep = any(work.glob(finished))
        if keep and isinstance(error, PorescopeError):
            raise PorescopeError(
                f"{error} (Finished steps are kept in {work} for the next try.)"
            ) from error
        raise
    finally:
        lock.release()
        if not keep:
            remove(work)


def _run_steps(
    recipe: Recipe,
    hashes: Sequence[dict[str, str]],
    work: Path,
    report: Report,
    cancel: Cancel,
) -> tuple[Workspace, dict[int, Path]]:
    workspace = Workspace(inputs=recipe.inputs)
    written: dict[int, Path] = {}
    key = fingerprint(versions(), hashes)
    for number, (step, parameters) in enumerate(recipe.steps, start=1):
        what = f"{number}/{len(recipe.steps)} {step.name}"
        named = [value for _, value in parameters if isinstance(value, Path) and value.is_file()]
        files = [hash_path(path) for path in named]
        key = fingerprint(key, step.name, parameters.model_dump(mode="json"), files)
        if not step.saved:
            about = _about(report, what)
            workspace = _run(step, parameters, workspace, about, cancel)
            continue
        folder = work / f"{number:02d}-{step.name}-{key[:16]}"
        if not folder.exists():
            beside = folder.with_name(f".{folder.name}")
            remove(beside)
            try:
                _do(step, parameters, workspace, written, beside, what, report, cancel)
                beside.rename(folder)
            finally:
                remove(beside)
        workspace, written = load_workspace(folder)
        report(what, 1, 1)
    return workspace, written


def _do(
    step: Step,
    parameters: Parameters,
    workspace: Workspace,
    written: dict[int, Path],
    folder: Path,
    what: str,
    report: Report,
    cancel: Cancel,
) -> None:
    """Run one step and write what it made; lazy volumes are computed while they are written."""
    after = _run(step, parameters, workspace, _about(report, what), cancel)
    save_workspace(folder, after, written, _about(report, f"{what}, writing"), cancel)


def _run(
    step: Step, parameters: Parameters, workspace: Workspace, progress: Progress, cancel: Cancel
) -> Workspace:
    """Run a step; what it warned of becomes a table, so that it is still known tomorrow."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PorescopeWarning)
        after = step.function(workspace, parameters, progress=progress, cancel=cancel)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    rows = [
        {"step": step.name, "warning": str(warning.message)}
        for warning in caught
        if issubclass(warning.category, PorescopeWarning)
    ]
    if not rows:
        return after
    return after.with_table("warnings", [*workspace.tables.get("warnings", ()), *rows])


def _gather(
    recipe: Recipe,
    workspace: Workspace,
    written: dict[int, Path],
    hashes: Sequence[dict[str, str]],
    result: Path,
) -> None:
    """Collect the last state of every volume, the scores and the report in one folder."""
    remove(result)
    result.mkdir()
    if any(id(stack) not in written for _, stack in workspace.stacks()):
        raise PorescopeError("The recipe only loads; add a step that makes something.")
    for name, stack in workspace.stacks():
        (result / name).parent.mkdir(exist_ok=True)
        # Links cost no space, and leave the step whole should this be interrupted.
        shutil.copytree(written[id(stack)], result / name, copy_function=_link)
    write_index(result, workspace, {name: name for name, _ in workspace.stacks()})
    for index, alignment in enumerate(workspace.alignments):
        alignment.save(result / f"alignment-{image_name(alignment, index)}.json")
    write_json(result / SCORES, workspace.scores)
    (result / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    write_report(result / "report.html", recipe, workspace)
    write_tables(result / "tables", workspace)
    content = {
        "versions": versions(),
        "recipe": recipe.to_dict(),
        "inputs": list(hashes),
        "outputs": hash_outputs(result),
    }
    write_json(result / FILE, content)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def swap(result: Path, out: Path) -> None:
    """Put a finished result in the place of an earlier one, or where nothing is."""
    if out.exists():
        out.rename(result.with_name("replaced"))
    result.rename(out)


def _about(report: Report, what: str) -> Progress:
    return lambda done, total: report(what, done, total)
