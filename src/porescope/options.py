"""Command line options made from a model of parameters: its fields are the only source."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from porescope.pipeline.fields import choices_of, told, tuple_of

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
        name: _parts(given[name]) if tuple_of(field) else given[name]
        for name, field in model.model_fields.items()
        if name in given
    }


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _metavar(field: FieldInfo) -> str:
    choices = choices_of(field)
    if choices and len(choices) <= SHOWN_CHOICES:
        return "{" + ",".join(choices) + "}"
    if kind := tuple_of(field):
        parts = get_args(kind)
        return "A,B,..." if ... in parts else ",".join("ABCDEFGH"[: len(parts)])
    return "VALUE"
