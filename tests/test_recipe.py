import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porescope import PorescopeError
from porescope.pipeline.recipe import Recipe, parse_recipe, read_recipe

GOOD = """
porescope: 1
name: A test
inputs: [stacks]
steps:
  - load: {spacing_nm: [10, null, null]}
  - align
  - segment: {method: otsu}
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


def test_a_recipe_is_read_with_inputs_beside_it(good):
    recipe = read_recipe(good)
    assert recipe.inputs == (good.parent / "stacks",)
    assert [step.name for step, _ in recipe.steps] == ["load", "align", "segment"]
    assert recipe.steps[0][1].spacing_nm == (10, None, None)
    assert recipe.steps[2][1].method == "otsu"


def test_written_and_read_it_is_the_same(good, tmp_path):
    recipe = read_recipe(good)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert read_recipe(tmp_path / "again.yaml") == recipe
    (tmp_path / "provenance.json").write_text(
        json.dumps({"recipe": recipe.to_dict(), "inputs": [{"sha256": "ab"}]})
    )
    replayed = read_recipe(tmp_path / "provenance.json")
    assert replayed.steps == recipe.steps
    assert replayed.inputs == recipe.inputs
    assert replayed.input_hashes == ("ab",)
    assert replayed.with_inputs([Path("other")]).input_hashes is None
    (tmp_path / "provenance.json").write_text(json.dumps({"recipe": recipe.to_dict()}))
    with pytest.raises(PorescopeError, match="damaged provenance"):
        read_recipe(tmp_path / "provenance.json")


def test_settings_change_parameters(good):
    recipe = read_recipe(good).with_settings(
        ["load.spacing_nm=46.18,40,40", "segment.method=kmeans", "align.reference_kv = 1"]
    )
    load, align, segment = (parameters for _, parameters in recipe.steps)
    assert load.spacing_nm == (46.18, 40, 40)
    assert align.reference_kv == 1
    assert segment.method == "kmeans"
    assert recipe.with_settings(["load.spacing_nm=[1,null,2]"]).steps[0][1].spacing_nm == (
        1,
        None,
        2,
    )
    assert recipe.with_settings(["load.keep_kv=2"]).steps[0][1].keep_kv == (2,)


def test_a_text_with_commas_stays_one():
    recipe = Recipe.of("load", "check").with_settings(["check.materials=0=epoxy, 1=silver"])
    assert recipe.steps[1][1].materials == "0=epoxy, 1=silver"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("segment.methd=otsu", "has no parameter 'methd'"),
        ("segment.method=magic", "method is 'magic'"),
        ("slices.grid_nm=2", "no step 'slices'"),
        ("segment", "step.parameter=value"),
        ("load.spacing_nm=.nan,1,1", "spacing_nm"),
        ("load.spacing_nm=-1,1,1", "spacing_nm"),
        ("load.spacing_nm=[1,", "Cannot read"),
        ("segment.clusters=1", "clusters is 1"),
    ],
)
def test_bad_settings_are_refused(good, setting, says):
    with pytest.raises(PorescopeError, match=says):
        read_recipe(good).with_settings([setting])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("porescope: 1", "porescope: 2", "porescope: 1"),
        ("segment:", "segmnt:", "no step 'segmnt'; choose from load"),
        ("method:", "mehtod:", "no parameter 'mehtod'; it has method"),
        ("inputs:", "input:", "unknown key 'input'"),
        ("[stacks]", "{a: 1}", "list of files"),
        ("steps:", "steps: []\n#", "YAML|steps must be"),
        ("- align", "- [align]", "cannot read the step"),
        ("name: A", "name: [A", "YAML"),
        ("{method: otsu}", "{method: [otsu]}", "method"),
    ],
)
def test_mistakes_are_named(good, old, new, says):
    good.write_text(GOOD.replace(old, new))
    with pytest.raises(PorescopeError, match=says):
        read_recipe(good)


def test_what_is_no_recipe_at_all(tmp_path):
    with pytest.raises(PorescopeError, match="Cannot read"):
        read_recipe(tmp_path / "none.yaml")
    binary = tmp_path / "image.tif"
    binary.write_bytes(b"II*\0\xff\xfe\x80")
    with pytest.raises(PorescopeError, match="not a recipe"):
        read_recipe(binary)
    evil = tmp_path / "evil.yaml"
    evil.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(PorescopeError, match="not a recipe"):
        read_recipe(evil)


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["porescope", "steps", "inputs", "load", "segment", "method", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_like)
def test_anything_is_a_recipe_or_is_refused(content):
    with suppress(PorescopeError):
        assert isinstance(parse_recipe(content, Path()), Recipe)


def test_settings_of_one_step_are_checked_together():
    recipe = Recipe.of("load", "positions")
    settings = ["positions.source=table", "positions.table=log.csv"]
    for order in (settings, settings[::-1]):
        (_, _), (_, parameters) = recipe.with_settings(order).steps
        assert (parameters.source, parameters.table) == ("table", Path("log.csv"))
    with pytest.raises(PorescopeError, match=r"^Step positions: name the file of the table\.$"):
        recipe.with_settings(settings[:1])
