"""What a parameter of a model is, in words: for options, lists of steps and the like."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

BOUNDLESS = 1e9
"""Bounds from here on only keep nonsense out and are not told."""
SIGNS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """Return the values that a field may have, or nothing if these are no names."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def tuple_of(field: FieldInfo) -> Any:
    """Return the tuple that a field is or may be, or None."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if get_origin(kind) is tuple), None)


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
    choices = choices_of(field)
    return f"{text}: {', '.join(choices)}" if len(choices) > shown_choices else text


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
