"""Forms made from parameters."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from porescope import PorescopeError
from porescope.pipeline import Parameters, Step, steps

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("widgets need a display", allow_module_level=True)
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox

from porescope.viewer.form import Form, in_words, label
from porescope.viewer.work import Message

Length = Annotated[float, Field(gt=0)]


class Everything(Parameters):
    method: Literal["otsu", "kmeans"] = Field("kmeans", description="how")
    count: int = Field(3, ge=2, le=8, description="how many")
    share: float = Field(0.25, ge=0, le=1, description="how much")
    bold: bool = Field(True, description="whether")
    depth_nm: float | None = Field(None, gt=0, description="how deep")
    spacing_nm: tuple[Length | None, Length | None, Length | None] | None = Field(
        None, description="z, y, x"
    )
    region: tuple[int, int] | None = Field(None, description="from, to")
    file: Path | None = Field(None, description="which")
    blur_px: float | None = Field(None, ge=0, description="how wide; off by default")
    phases: tuple[int, ...] = Field((), description="which; all by default")
    mark: int | None = Field(None, description="where. By default it is looked for, slice by slice")
    leave_out: int | None = Field(None, ge=0, description="which, if any")
    sizes: tuple[int, ...] = Field((3, 4), description="how large")


EVERYTHING = Step("everything", "Does all.", Everything, lambda workspace, *_, **__: workspace)


@pytest.fixture
def form(qtbot):
    return Form(Everything)


def test_each_kind_of_field_has_its_widget(form):
    kinds = {
        "method": ComboBox,
        "count": SpinBox,
        "share": FloatSpinBox,
        "bold": CheckBox,
        "depth_nm": LineEdit,
        "spacing_nm": LineEdit,
        "region": LineEdit,
        "file": LineEdit,
    }
    assert {name: type(form[name]) for name in kinds} == kinds
    assert form["method"].choices == ("otsu", "kmeans")
    assert (form["count"].min, form["count"].max) == (2, 8)
    assert form["count"].tooltip == "how many"
    assert form["depth_nm"].label == "depth (nm)"


def test_an_untouched_form_gives_the_defaults(form):
    assert EVERYTHING.parse(form.values()) == Everything()


def test_what_is_filled_in_arrives_as_numbers(form):
    form["method"].value = "otsu"
    form["depth_nm"].value = " 12.5 "
    form["spacing_nm"].value = "50, , 2.5"
    form["region"].value = "3, 9"
    form["file"].value = "truth.tif"
    parsed = EVERYTHING.parse(form.values())
    assert parsed.method == "otsu"
    assert parsed.depth_nm == 12.5
    assert parsed.spacing_nm == (50.0, None, 2.5)
    assert parsed.region == (3, 9)
    assert parsed.file == Path("truth.tif")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("depth_nm", "deep", "everything: depth_nm is 'deep'"),
        ("depth_nm", "-1", "everything: depth_nm is '-1', but must be above 0"),
        ("depth_nm", "nan", "everything: depth_nm"),
        ("region", "1", "everything: region"),
        ("region", "1, 2, 3", "everything: region"),
        ("spacing_nm", "1, two, 3", "everything: value 2 of spacing_nm"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(form, name, text, sentence):
    form[name].value = text
    with pytest.raises(PorescopeError, match=sentence):
        EVERYTHING.parse(form.values())


def test_every_step_has_a_form_that_gives_its_defaults(qtbot):
    for name, step in steps().items():
        if name == "sample":  # whose parameters are those of a kind, each with a form of its own
            continue
        # These refuse to do nothing.
        chosen = {"clean": {"curtains": True}, "labels": {"path": "labels.tif"}}.get(name, {})
        values = Form(step.parameters).values() | chosen
        assert step.parse(values) == step.parameters(**chosen)


def test_names_become_words_with_units():
    assert label("reference_kv") == "reference (kV)"
    assert label("grid_nm") == "grid (nm)"
    assert label("interpolation") == "interpolation"
    assert label("solid_fraction") == "solid fraction"


def test_an_empty_line_says_what_it_means_as_far_as_the_model_does(form):
    told = {name: form[name].native.placeholderText() for name in ("blur_px", "phases", "mark")}
    assert told == {
        "blur_px": "off",
        "phases": "all, or numbers: a, b, …",
        "mark": "automatic",
    }
    assert form["leave_out"].native.placeholderText() == ""
    assert form["region"].native.placeholderText() == "2 numbers: a, b, …"
    assert form["sizes"].native.placeholderText() == "3, 4"


def test_an_emptied_line_says_its_default_again(form):
    for name, default in (("sizes", "3, 4"), ("blur_px", "")):
        form[name].value = " "
        form[name].native.editingFinished.emit()
        assert form[name].value == default
    check = Form(steps()["check"].parameters)
    check["materials"].value = ""
    check["materials"].native.editingFinished.emit()
    assert check["materials"].value == "0=epoxy, 1=gold"


def test_charging_is_off_by_default(qtbot):
    form = Form(steps()["clean"].parameters)
    assert form["charging_px"].native.placeholderText() == "off"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Give each its own with beam_kv.", "Give each its own with beam (kV)."),
        ("Give it with --spacing-nm Z,Y,X.", "Give it with spacing (nm) Z,Y,X."),
        ("Lists need pixel_nm, a size (pixel_nm)", "Lists need pixel (nm), a size (pixel (nm))"),
        *[(kept, kept) for kept in ("'beam_kv'", "/data/beam_kv/x_nm.tif", "my_stack", "a-nm.tif")],
    ],
)
def test_errors_name_parameters_as_the_form_does(said, words):
    assert in_words(PorescopeError(said)) == words


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"leave_out": "x"}, "Step everything: leave out is 'x', but must be a whole number."),
        ({"depth_nm": -1}, "Step everything: depth (nm) is -1, but must be above 0."),
        ({"region": ("leave_out", 1)}, "value 1 of region is 'leave_out'"),
        ({"spacing_nm": (1, "two", 3)}, "value 2 of spacing (nm) is 'two'"),
    ],
)
def test_what_a_form_refuses_is_named_by_its_label(qtbot, values, sentence):
    line = Message()
    qtbot.addWidget(line)
    with pytest.raises(PorescopeError) as refused:
        EVERYTHING.parse(values)
    line.say(refused.value)
    assert sentence in line.text()
