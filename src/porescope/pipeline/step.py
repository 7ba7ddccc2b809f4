"""What a step is: a name, one model of parameters and a pure function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

from porescope.errors import PorescopeError
from porescope.pipeline.workspace import Workspace
from porescope.tracking import Cancel, Progress

VOLUMES = ("images", "labels", "truth")

WANTED = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "literal_error": "{expected}",
    "string_type": "a text",
    "path_type": "a path",
    "tuple_type": "several values",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "{min_length} or more values",
    "too_long": "{max_length} values",
}
"""What a value must be, by the kind of error that pydantic found."""


class Parameters(BaseModel):
    """Parameters of a step; the widget, the ``--set`` options and the recipe entry show these.

    Titles and units of a field are in its name and description.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


class StepFunction(Protocol):
    """From one workspace to the next; arrays may stay lazy, whoever calls writes them."""

    def __call__(
        self, workspace: Workspace, parameters: Any, *, progress: Progress, cancel: Cancel
    ) -> Workspace:
        """Do the work of one step."""


@dataclass(frozen=True)
class Step:
    """A step as registered.

    Parameters
    ----------
    name : str
        As in a recipe.
    summary : str
        What it does, in one sentence.
    parameters : type of Parameters
        Its model.
    function : callable
        Its work.
    saved : bool
        Whether a run keeps what it made, to resume from; not worth it where it only opens files.
    uses : tuple of str
        Which volumes of the workspace it looks at; a panel asks for these.
    made : str
        What a panel calls the volumes it made, after their name, such as "aligned".
    panel : bool
        Whether a window has a panel for it that is made from its model.
    tables : tuple of str
        Names of the tables it makes, of which a panel draws the curves.
    """

    name: str
    summary: str
    parameters: type[Parameters]
    function: StepFunction
    saved: bool = True
    uses: tuple[str, ...] = VOLUMES
    made: str = ""
    panel: bool = True
    tables: tuple[str, ...] = ()

    def parse(self, values: Mapping[str, Any]) -> Parameters:
        """Return checked parameters.

        Raises
        ------
        PorescopeError
            Naming the first parameter that is unknown or out of bounds.
        """
        return parse_parameters(f"Step {self.name}", self.parameters, values)


def parse_parameters(whose: str, model: type[Model], values: Mapping[str, Any]) -> Model:
    """Return checked parameters; ``whose`` begins the sentence that refuses them.

    Raises
    ------
    PorescopeError
        Naming the first parameter that is missing, unknown or out of bounds.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise PorescopeError(_explain(whose, model, error)) from error


def _explain(whose: str, model: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "its parameters"
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) or "none"
        return f"{whose} has no parameter {name!r}; it has {known}."
    if first["type"] == "missing":
        of, *part = first["loc"]
        if not part:
            return f"{whose} needs {name}."
        told = model.model_fields[str(of)]
        return f"{whose}: {of} needs {_length(told.annotation)} values: {told.description}."
    if first["type"] == "value_error" and not first["loc"]:  # of several parameters together
        return f"{whose}: {first['ctx']['error']}."
    field, *inside = first["loc"] or (name,)
    if len(inside) == 1 and isinstance(inside[0], int):
        name = f"value {inside[0] + 1} of {field}"
    given = f"{first['input']!r:.80}"
    if first["type"] not in WANTED:
        return f"{whose}: {name} is {given}; {_lower_first(first['msg'])}."
    bounds = {key: _plain(value) for key, value in first.get("ctx", {}).items()}
    wanted = WANTED[first["type"]].format_map(bounds)
    if first["type"] == "tuple_type":
        wanted += f": {model.model_fields[str(field)].description}"
    return f"{whose}: {name} is {given}, but must be {wanted}."


def _length(annotation: Any) -> int:
    """Return how many values a tuple has, or the tuple in a union."""
    if get_origin(annotation) is tuple:
        return len(get_args(annotation))
    return max(map(_length, get_args(annotation)), default=0)


def _plain(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def summary_of(function: Callable[..., Any]) -> str:
    """Return what a registered function does: the first line of its docstring."""
    return (inspect.getdoc(function) or "").splitlines()[0]


Registered = TypeVar("Registered")


def find(what: str, name: str, known: Mapping[str, Registered]) -> Registered:
    """Return what is registered under a name.

    Raises
    ------
    PorescopeError
        If nothing is; lists what there is. ``what`` is what such a thing is called.
    """
    if name not in known:
        raise PorescopeError(f"There is no {what} {name!r}; choose from {', '.join(known)}.")
    return known[name]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


_REGISTERED: dict[str, Step] = {}
Function = TypeVar("Function", bound=Callable[..., Workspace])


def step(
    name: str,
    *,
    saved: bool = True,
    uses: tuple[str, ...] = VOLUMES,
    made: str = "",
    panel: bool = True,
    tables: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Register a function as a step; its docstring's first line is the summary."""

    def register(function: Function) -> Function:
        parameters = get_type_hints(function)["parameters"]
        _REGISTERED[name] = Step(
            name, summary_of(function), parameters, function, saved, uses, made, panel, tables
        )
        return function

    return register


def steps() -> dict[str, Step]:
    """Return all steps by name, in the order of the work."""
    import porescope.pipeline.catalogue  # noqa: F401  (registers them)

    return dict(_REGISTERED)


def find_step(name: str) -> Step:
    """Return one step.

    Raises
    ------
    PorescopeError
        If there is none of that name.
    """
    return find("step", name, steps())
