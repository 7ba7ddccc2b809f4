"""A form made from a model of parameters: its fields, descriptions and bounds are the only source.

Optional values and tuples are lines of text that may stay empty; the model itself reads them, so
that a form refuses what a recipe refuses, in the same words.
"""

from __future__ import annotations

import re
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FileEdit,
    FloatSpinBox,
    LineEdit,
    PushButton,
    SpinBox,
    Widget,
)
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QComboBox, QSizePolicy

from porescope.errors import PorescopeError
from porescope.learn.parameters import WeightsOf
from porescope.stack import Region
from porescope.viewer.paths import ask_file

UNITS = {
    "nm": "nm",
    "kv": "kV",
    "px": "pixels",
    "deg": "°",
    "us": "µs",
    "pa": "pA",
    "s": "s",
    "percent": "%",
}
NAME_WITH_UNIT = re.compile(
    r"(?<![^ (])(--[a-z-]+-|[a-z_]+_)(" + "|".join(UNITS) + r")(?=[,;.:)]*(?: |$))"
)
"""A parameter as Python or the command line has it, standing free in a sentence."""
BY_DEFAULT = re.compile(r"(?:^|[;,.] )([^;,.]+) by default")
"""What the description of a parameter says about leaving it empty."""
NONE_SHIP = "none ship: train"
LARGEST = 2**31 - 1
Regions = tuple[Region, ...]


class Form:
    """Widgets for the fields of a model.

    Parameters
    ----------
    model : type of BaseModel
        Of a step, a training or a kind of sample.
    names : sequence of str, optional
        Of the fields, in the order in which they are wanted; all by default.
    """

    def __init__(self, model: type[BaseModel], names: Sequence[str] | None = None) -> None:
        fields = model.model_fields
        self._fields = {name: fields[name] for name in (fields if names is None else names)}
        self._widgets = {name: _widget(name, field) for name, field in self._fields.items()}
        self._buttons = {
            name: PushButton(text="Draw", tooltip="Draw a box on the image.")
            for name, field in self._fields.items()
            if _plain(field.annotation) in (Region, Regions)
        }
        self._files = {
            name: PushButton(text="File…", tooltip="Choose a file of weights.")
            for name, field in self._fields.items()
            if _weights_of(field)
        }
        for name, button in self._files.items():
            button.changed.connect(lambda _=None, name=name: self._ask_weights(name))
        self._rows = {name: self._with_button(name) for name in self._widgets}
        self.container = Container(widgets=list(self._rows.values()), labels=True)
        self.container.margins = (0, 0, 0, 0)

    def _with_button(self, name: str) -> Widget:
        widget = self._widgets[name]
        button = self._buttons.get(name) or self._files.get(name)
        if button is None:
            return widget
        row = Container(
            widgets=[widget, button],
            layout="horizontal",
            labels=False,
            label=widget.label,
        )
        row.margins = (0, 0, 0, 0)
        return row

    def __getitem__(self, name: str) -> Widget:
        return self._widgets[name]

    def regions(self) -> dict[str, tuple[LineEdit, PushButton, bool]]:
        """Return the line and the button of each field of boxes, and whether it takes several."""
        return {
            name: (
                self._widgets[name],
                button,
                _plain(self._fields[name].annotation) == Regions,
            )
            for name, button in self._buttons.items()
        }

    def show_only(self, names: Collection[str]) -> None:
        """Hide all fields but some; they keep their values."""
        for name, row in self._rows.items():
            row.visible = name in names

    def offer_weights(self, path: Path) -> None:
        """Let a file of weights be chosen in the fields for its kind."""
        for name in self._files:
            if _weights_of(self._fields[name]).kind == path.stem:
                _add_choice(self._widgets[name], str(path))

    def offer_only(self, name: str, shipped: Sequence[str]) -> None:
        """Offer for weights, beside files, only what is named; where nothing is, say so."""
        box = self._widgets[name]
        files = [other for other in box.choices if Path(str(other)).suffix == ".safetensors"]
        # The default comes first, since that is chosen where the chosen one goes.
        given = self._fields[name].default
        names = sorted(shipped, key=lambda other: other != given)
        _offer(box, [*names, *files])
        box.native.setPlaceholderText(NONE_SHIP)

    def filled(self) -> dict[str, Any]:
        """Return what is in each widget, for :meth:`fill`."""
        values = {name: widget.value for name, widget in self._widgets.items()}
        return {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}

    def fill(self, values: Mapping[str, Any]) -> None:
        """Fill in what was filled in before; what no longer fits is left as it is."""
        for name in self._widgets.keys() & values.keys():
            widget, value = self._widgets[name], values[name]
            if name in self._files and isinstance(value, str):
                _add_choice(widget, value)
            with suppress(ValueError, TypeError):
                widget.value = value

    def _ask_weights(self, name: str) -> None:
        for path in ask_file(self._widgets[name].native, "Weights (*.safetensors)"):
            _add_choice(self._widgets[name], path)
            self._widgets[name].value = path

    def values(self) -> dict[str, Any]:
        """Return what was filled in, for ``Step.parse``; empty lines are left to the default."""
        values = {}
        for name, widget in self._widgets.items():
            value = widget.value
            if isinstance(widget, LineEdit):
                if not value.strip():
                    continue
                kind = _plain(self._fields[name].annotation)
                if kind == Regions:
                    value = [_parts(box) for box in value.split(";") if box.strip()]
                elif _is_tuple(kind):
                    value = _parts(value)
            if value is None or (isinstance(widget, FileEdit) and value == Path()):
                continue
            values[name] = value
        return values


def label(name: str) -> str:
    """Return a field's name in words, with its unit.

    Examples
    --------
    >>> label("reference_kv")
    'reference (kV)'
    """
    *words, last = name.split("_")
    if words and last in UNITS:
        return f"{' '.join(words)} ({UNITS[last]})"
    return " ".join([*words, last])


def in_words(error: PorescopeError) -> str:
    """Return what went wrong with the labels of parameters in place of their names.

    Examples
    --------
    >>> in_words(PorescopeError("A stack tells no beam voltage; give it with beam_kv."))
    'A stack tells no beam voltage; give it with beam (kV).'
    """
    text = NAME_WITH_UNIT.sub(_labelled, str(error))
    if isinstance(error.__cause__, ValidationError):
        for name in error.__cause__.errors()[0]["loc"][:1]:
            text = re.sub(rf"\b{name}\b", label(str(name)), text, count=1)
    return text


def _labelled(found: re.Match[str]) -> str:
    return label(found[0].removeprefix("--").replace("-", "_"))


def _widget(name: str, field: FieldInfo) -> Widget:
    kind = _plain(field.annotation)
    options = {"name": name, "label": label(name), "tooltip": field.description}
    given = None if field.is_required() else field.get_default(call_default_factory=True)
    if marked := _weights_of(field):
        others = [None] if _is_optional(field.annotation) else []
        names = dict.fromkeys([*others, *marked.names(), given])
        box = ComboBox(choices=[(_told(name), name) for name in names], value=given, **options)
        # The path of a file would make the whole form wider.
        shrinks = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        box.native.setSizeAdjustPolicy(shrinks)
        # All the room beside its button.
        box.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        return box
    if get_origin(kind) is Literal:
        return ComboBox(choices=get_args(kind), value=given, **options)
    if kind is bool:
        return CheckBox(value=bool(given), **options)
    if kind is Path and not _is_optional(field.annotation):
        return FileEdit(value=given or "", **options)
    if kind in (int, float) and not _is_optional(field.annotation):
        low, high = _bounds(field, step=1 if kind is int else 0)
        value = max(low, low if given is None else given)
        if kind is int:
            return SpinBox(min=low, max=high, value=value, **options)
        box = FloatSpinBox(min=low, max=high, **options)
        box.native.setDecimals(_decimals(value))
        box.value = value
        return box
    default = _text(given)
    line = LineEdit(value=default, **options)
    line.native.setPlaceholderText(_hint(kind, field))

    def fill() -> None:
        # An emptied line means the default, so that is what it says once it is left.
        if not line.value.strip():
            line.value = default

    line.native.editingFinished.connect(fill)
    return line


def _weights_of(field: FieldInfo) -> Any:
    """Return of what kind of weights a field is, if of any."""
    return next((mark for mark in field.metadata if isinstance(mark, WeightsOf)), None)


def _told(name: str | None) -> str:
    """Return the name of weights, and of a file that of its folder: all files have one name."""
    if name is None:
        return "none"
    path = Path(name)
    return name if path.name == name else f"{path.parent.name}/…"


def _add_choice(box: ComboBox, value: str) -> None:
    _offer(box, dict.fromkeys([*box.choices, value]))


def _offer(box: ComboBox, names: Iterable[str | None]) -> None:
    told = [(_told(name), name) for name in names]
    # As a function, since a list is forgotten once the box gets another parent.
    box.choices = lambda _: told


def _decimals(value: float) -> int:
    """Return how many decimals a number needs that may become a little smaller: two or more."""
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return max(2, 1 - int(exponent))


def _bounds(field: FieldInfo, step: int) -> tuple[float, float]:
    low, high = -LARGEST, LARGEST
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            low = bound.ge  # type: ignore[assignment]  # a number, whatever its protocol says
        elif isinstance(bound, annotated_types.Gt):
            low = bound.gt + step  # type: ignore[operator]
        elif isinstance(bound, annotated_types.Le):
            high = bound.le  # type: ignore[assignment]
        elif isinstance(bound, annotated_types.Lt):
            high = bound.lt - step  # type: ignore[operator]
    return low, min(high, LARGEST)


def _parts(text: str) -> list[str | None]:
    return [part.strip() or None for part in text.split(",")]


def _hint(kind: Any, field: FieldInfo) -> str:
    """Return what an empty line means, as far as the model says so, and what else goes there."""
    if kind == Regions:
        return "none, or boxes: a, b, c, d; …"
    given = None if field.is_required() else field.get_default(call_default_factory=True)
    if text := _text(given):
        return text
    told = field.description or ""
    found = BY_DEFAULT.search(told)
    empty = found[1] if found else "automatic" if "default" in told.lower() else ""
    if not _is_tuple(kind):
        return empty
    parts = get_args(kind)
    numbers = "numbers" if ... in parts else f"{len(parts)} numbers"
    return f"{empty}, or {numbers}: a, b, …" if empty else f"{numbers}: a, b, …"


def _text(value: Any) -> str:
    if value is None or (isinstance(value, tuple) and set(value) == {None}):
        return ""
    if isinstance(value, tuple):
        return ", ".join("" if part is None else f"{part:g}" for part in value)
    return str(value)


def _plain(annotation: Any) -> Any:
    """Return a field's type without ``| None`` and ``Annotated``."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if _is_optional(annotation):
        (plain,) = (part for part in get_args(annotation) if part is not types.NoneType)
        return _plain(plain)
    return annotation


def _is_optional(annotation: Any) -> bool:
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return is_union and types.NoneType in get_args(annotation)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple
