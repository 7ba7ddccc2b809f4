"""What a training is: a name, one model of parameters and a function that trains."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel

from porescope.errors import PorescopeError
from porescope.files import remove
from porescope.learn.parameters import STOP
from porescope.pipeline.provenance import on_disk
from porescope.pipeline.run import Report, tell_nobody
from porescope.pipeline.step import find, parse_parameters, summary_of
from porescope.pipeline.trainings.watch import reached
from porescope.pipeline.workspace import write_json
from porescope.tracking import Cancel, Progress, never_cancel

if TYPE_CHECKING:
    from porescope.learn.weights import Card

MARK = "training.json"
"""Says which training a folder is of."""
LOOKS_S = 1.0
"""How often it is looked how far a training is."""


class TrainingFunction(Protocol):
    """From files to weights in a folder, with their card."""

    def __call__(
        self,
        inputs: Sequence[Path],
        out: Path,
        parameters: Any,
        *,
        progress: Progress,
        cancel: Cancel,
    ) -> Card:
        """Train, or go on with a training in the same folder."""


class StagedFunction(Protocol):
    """The same, with several stages to tell of."""

    def __call__(
        self,
        inputs: Sequence[Path],
        out: Path,
        parameters: Any,
        *,
        report: Report,
        cancel: Cancel,
    ) -> Card:
        """Train, or go on with a training in the same folder."""


@dataclass(frozen=True)
class Training:
    """A training as registered.

    Parameters
    ----------
    name : str
        As on the command line.
    summary : str
        What it trains, in one sentence.
    inputs : str
        What it learns from.
    parameters : type of BaseModel
    function : callable
    file : str
        Name of the weights in the folder.
    takes_files : bool
        Whether it learns from files, and not from what it draws.
    in_stages : bool
        Whether the function takes ``report``, and names its stages, in place of ``progress``.
    """

    name: str
    summary: str
    inputs: str
    parameters: type[BaseModel]
    function: TrainingFunction | StagedFunction
    file: str
    takes_files: bool = True
    in_stages: bool = False

    def parse(self, values: Mapping[str, Any]) -> BaseModel:
        """Return checked parameters.

        Raises
        ------
        PorescopeError
            Naming the first parameter that is unknown or out of bounds.
        """
        return parse_parameters(f"Training {self.name}", self.parameters, values)


_REGISTERED: dict[str, Training] = {}
Function = TypeVar("Function", bound=Callable[..., Any])


def training(
    name: str, *, inputs: str, file: str, takes_files: bool = True, in_stages: bool = False
) -> Callable[[Function], Function]:
    """Register a function as a training; its docstring's first line is the summary."""

    def register(function: Function) -> Function:
        model = get_type_hints(function)["parameters"]
        _REGISTERED[name] = Training(
            name, summary_of(function), inputs, model, function, file, takes_files, in_stages
        )
        return function

    return register


def trainings() -> dict[str, Training]:
    """Return all trainings by name."""
    import porescope.pipeline.trainings.catalogue  # noqa: F401  (registers them)

    return dict(_REGISTERED)


def find_training(name: str) -> Training:
    """Return one training.

    Raises
    ------
    PorescopeError
        If there is none of that name.
    """
    return find("training", name, trainings())


def run_training(
    what: Training,
    inputs: Sequence[Path],
    out: Path,
    parameters: BaseModel,
    *,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Card:
    """Train in a folder, in which a training that was stopped goes on.

    Returns
    -------
    Card
        Of the weights, which lie in the folder.

    Raises
    ------
    PorescopeError
        If the folder holds finished weights or what is of no such training, or it and an input lie
        in one another, or the inputs make no sense.
    """
    out = out.absolute()
    if (out / what.file).exists():
        raise PorescopeError(
            f"{out} holds finished weights, {what.file}; choose another folder for new ones."
        )
    here, places = out.resolve(), [on_disk(path).resolve() for path in inputs]
    for path, there in zip(inputs, places, strict=True):
        if here == there or here in there.parents or there in here.parents:
            raise PorescopeError(
                f"The folder {out} and the input {path} lie in one another; choose another folder."
            )
        if places.count(there) > 1:
            raise PorescopeError(f"{path} is named twice; name each input once.")
    made = not out.exists()
    _take(out, what.name)

    report("Getting ready", 0, 1)
    report = _with_epochs(report, out)
    function: Any = what.function
    follow = {"report": report} if what.in_stages else {"progress": partial(report, what.name)}
    try:
        card: Card = function(inputs, out, parameters, cancel=cancel, **follow)
    except BaseException:
        if made:
            remove_without_files(out)
        raise
    (out / STOP).unlink(missing_ok=True)
    return card


def _take(folder: Path, training: str) -> None:
    """Make a folder that of a training, or go on in one that is; refuse any other."""
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise PorescopeError(f"{folder} is a file; name a folder to train in.")
    if not mark.exists():
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        if any(not name.startswith(".") and name != STOP for name in names):
            raise PorescopeError(
                f"{folder} holds files of other kinds than a training's; name a new folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(mark, {"training": training})
    elif _marked(mark) != training:
        raise PorescopeError(
            f"{folder} holds another training than {training}; name a new folder, or train there "
            "what was begun."
        )


def _marked(mark: Path) -> Any:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))["training"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def remove_without_files(folder: Path) -> None:
    """Remove a folder of a training that came to nothing that could be gone on with."""
    if not any(path.is_file() and path.name != MARK for path in folder.rglob("*")):
        remove(folder)


def _with_epochs(report: Report, out: Path) -> Report:
    """Return what reports, beside a stage, the epochs and losses since it began."""
    stage = before = known = ""
    looked = 0.0

    def told(what: str, done: int, total: int) -> None:
        nonlocal stage, before, known, looked
        now = time.monotonic()
        if what != stage or now - looked > LOOKS_S or done == total:
            known, looked = reached(out), now
        if what != stage:
            stage, before = what, known
        report(what if known == before else f"{what}, {known}", done, total)

    return told
