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

from porescope.viewer.form import Form, label

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
