"""A recipe: inputs and steps in YAML, checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from porescope.errors import PorescopeError
from porescope.pipeline.fields import tuple_of
from porescope.pipeline.step import Parameters, Step, find_step

FORMAT = 1
KEYS = ("porescope", "name", "inputs", "steps")
LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """What to do, and with what.

    Parameters
    ----------
    steps : tuple of (Step, Parameters)
        In the order of the work.
    name : str
        A title for the report.
    inputs : tuple of Path
        Stacks to load; those on the command line take their place.
    input_hashes : tuple of str, optional
        SHA-256 that the inputs must have, where a provenance is replayed.
    """

    steps: tuple[tuple[Step, Parameters], ...]
    name: str = "Recipe"
    inputs: tuple[Path, ...] = ()
    input_hashes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, *steps: str | tuple[str, Mapping[str, Any]], **fields: Any) -> Recipe:
        """Make a recipe from step names, or names with parameters."""
        named = [(entry, {}) if isinstance(entry, str) else entry for entry in steps]
        return cls(tuple((find_step(n), find_step(n).parse(p)) for n, p in named), **fields)

    def to_dict(self) -> dict[str, Any]:
        """Return what :func:`parse_recipe` reads, with every parameter spelled out."""
        return {
            "porescope": FORMAT,
            "name": self.name,
            "inputs": [str(path) for path in self.inputs],
            "steps": [{step.name: p.model_dump(mode="json")} for step, p in self.steps],
        }

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        text: str = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        return text

    def with_inputs(self, inputs: Iterable[Path]) -> Recipe:
        """Return the recipe for other stacks, whatever their hashes."""
        return replace(self, inputs=tuple(inputs), input_hashes=None)

    def with_settings(self, settings: Iterable[str]) -> Recipe:
        """Return the recipe with parameters changed by ``step.parameter=value``.

        Values are read as YAML; where a parameter has several, ``1,2,3`` are, and ``1`` is one.

        Raises
        ------
        PorescopeError
            If a setting is malformed, or its step or parameter is not in the recipe.
        """
        changes: dict[str, dict[str, str]] = {}
        for setting in settings:
            target, equals, text = setting.partition("=")
            name, dot, parameter = target.strip().partition(".")
            if not (equals and dot and parameter):
                raise PorescopeError(
                    f"Cannot read the setting {setting!r}; write it as step.parameter=value."
                )
            changes.setdefault(name, {})[parameter] = text
        names = [step.name for step, _ in self.steps]
        for name in changes:
            if name not in names:
                raise PorescopeError(
                    f"The recipe has no step {name!r}; its steps are {', '.join(names)}."
                )
        changed = tuple(
            (step, step.parse(p.model_dump() | _values(step, changes.get(step.name, {}))))
            for step, p in self.steps
        )
        return replace(self, steps=changed)


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe, or the one that a ``provenance.json`` holds.

    Inputs and other paths in it are relative to the recipe's folder.

    Raises
    ------
    PorescopeError
        If the file is no recipe, or a step or parameter in it is unknown.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PorescopeError(f"{path} is too large to be a recipe.")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise PorescopeError(f"Cannot read the recipe {path}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise PorescopeError(f"{path} is not a recipe in YAML{line}; mend it.") from error
    hashes = None
    if isinstance(content, dict) and "recipe" in content:
        hashes = _recorded_hashes(path, content)
        content = content["recipe"]
    try:
        return replace(parse_recipe(content, path.parent), input_hashes=hashes)
    except PorescopeError as error:
        raise PorescopeError(f"{path}: {error}") from error


def _recorded_hashes(path: Path, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        hashes = tuple(str(entry["sha256"]) for entry in provenance["inputs"])
        if len(hashes) == len(provenance["recipe"]["inputs"]):
            return hashes
    except (KeyError, TypeError):
        pass
    raise PorescopeError(f"{path} is a damaged provenance; take the recipe.yaml beside it.")


def parse_recipe(content: Any, folder: Path) -> Recipe:
    """Return the recipe that a mapping describes; see :func:`read_recipe`."""
    if not isinstance(content, Mapping) or "steps" not in content:
        raise PorescopeError("a recipe is a mapping with the keys porescope, inputs and steps.")
    unknown = [str(key) for key in content if key not in KEYS]
    if unknown:
        raise PorescopeError(f"unknown key {unknown[0]!r}; a recipe has {', '.join(KEYS)}.")
    if content.get("porescope") != FORMAT:
        raise PorescopeError(f"the recipe must say 'porescope: {FORMAT}', the format it is in.")
    inputs = content.get("inputs") or []
    if not (isinstance(inputs, Sequence) and all(isinstance(entry, str) for entry in inputs)):
        raise PorescopeError("inputs must be a list of files or folders.")
    if isinstance(inputs, str):
        inputs = [inputs]
    if not isinstance(content["steps"], Sequence) or not content["steps"]:
        raise PorescopeError("steps must be a list with one entry or more.")
    named = [_entry(entry) for entry in content["steps"]]
    return Recipe.of(
        *named,
        name=str(content.get("name", "Recipe")),
        inputs=tuple(folder / entry for entry in inputs),
    )


def _entry(entry: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, values = next(iter(entry.items()))
        if values is None or isinstance(values, Mapping):
            return str(name), {str(key): value for key, value in (values or {}).items()}
    raise PorescopeError(f"cannot read the step {entry!r}; write '- name: {{parameter: value}}'.")


def _values(step: Step, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that texts stand for, several where a parameter has several."""
    fields = step.parameters.model_fields
    return {
        name: _value(text, name in fields and tuple_of(fields[name]) is not None)
        for name, text in texts.items()
    }


def _value(text: str, several: bool) -> Any:
    try:
        value = yaml.safe_load(text)
        if several and isinstance(value, str):
            value = [yaml.safe_load(part) for part in value.split(",")]
    except yaml.YAMLError as error:
        raise PorescopeError(f"Cannot read the value {text!r}.") from error
    return value if not several or value is None or isinstance(value, list) else [value]
