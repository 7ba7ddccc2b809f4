"""Command line options made from a model of parameters: its fields are the only source."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SHOWN_CHOICES = 5
BOUNDLESS = 1e9
"""Bounds from here on only keep nonsense out and are not told."""
SIGNS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def add_options(parser: argparse.ArgumentParser, model: type[BaseModel]) -> None:
    """Add an option for each field; the model itself reads and checks what is given."""
    for name, field in model.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            required=field.is_required(),
            default=argparse.SUPPRESS,
            metavar=_metavar(field),
            help=told(field, SHOWN_CHOICES).replace("%", "%%"),
        )


def given_values(options: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    """Return the options that were given, for ``parse``; commas part the numbers of a tuple."""
    given: Mapping[str, str] = vars(options)
    return {
        name: _parts(given[name]) if _is_tuple(field) else given[name]
        for name, field in model.model_fields.items()
        if name in given
    }


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _is_tuple(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _metavar(field: FieldInfo) -> str:
    choices = _choices(field)
    if choices and len(choices) <= SHOWN_CHOICES:
        return "{" + ",".join(choices) + "}"
    if _is_tuple(field):
        parts = get_args(field.annotation)
        return "A,B,..." if ... in parts else ",".join("ABC"[: len(parts)])
    return "VALUE"


def told(field: FieldInfo, shown_choices: int = 0) -> str:
    """Return a field's description, bounds, default, and choices if more than are shown."""
    bounds = [
        (SIGNS[sign], getattr(bound, sign))
        for bound in field.metadata
        for sign in SIGNS
        if hasattr(bound, sign)
    ]
    notes = [f"{words} {_plain(value)}" for words, value in bounds if value < BOUNDLESS]
    default = None if field.is_required() else field.default
    if default is not None:
        values = default if isinstance(default, tuple) else (default,)
        notes.append(f"default: {','.join(map(_plain, values))}")
    text = f"{field.description} ({', '.join(notes)})" if notes else str(field.description)
    choices = _choices(field)
    return f"{text}: {', '.join(choices)}" if len(choices) > shown_choices else text


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
