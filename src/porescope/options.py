"""Command line options made from a model of parameters: its fields are the only source."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from porescope.pipeline.fields import choices_of, told

SHOWN_CHOICES = 5


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
    return _tuple_of(field) is not None


def _tuple_of(field: FieldInfo) -> Any:
    """Return the tuple that a field is or may be, if any."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if get_origin(kind) is tuple), None)


def _metavar(field: FieldInfo) -> str:
    choices = choices_of(field)
    if choices and len(choices) <= SHOWN_CHOICES:
        return "{" + ",".join(choices) + "}"
    if _is_tuple(field):
        parts = get_args(_tuple_of(field))
        return "A,B,..." if ... in parts else ",".join("ABCDEFGH"[: len(parts)])
    return "VALUE"
