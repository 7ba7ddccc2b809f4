import csv
import json
import math

import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.errors import PorescopeWarning
from porescope.geometry import boolean_model, voxelize
from porescope.io import write_stack
from porescope.measure import isotropy, morphometry, percolation
from porescope.pipeline import Recipe, run_recipe
from porescope.pipeline.report import write_tables
from porescope.pipeline.step import find_step
from porescope.pipeline.workspace import Workspace
from porescope.tracking import never_cancel, no_progress

SPACING = (4.0, 2.0, 2.0)
SOLID = voxelize(
    boolean_model("sphere", porosity=0.6, shape=(24, 32, 28), radius=5.0), (24, 32, 28)
).astype(np.uint8)
LABELS = Stack(SOLID, SPACING, is_labels=True)


def run(workspace, progress=no_progress, **parameters):
    step = find_step("measure")
    return step.function(workspace, step.parse(parameters), progress=progress, cancel=never_cancel)


def test_every_number_comes_with_its_uncertainty():
    truth = Stack(np.roll(SOLID, 1, axis=2), SPACING, is_labels=True)
    made = run(Workspace(labels=LABELS, truth=truth))
    found = made.scores
    for expected in (
        isotropy(SOLID, SPACING), morphometry(SOLID, SPACING), percolation(SOLID),
    ):  # fmt: skip
        assert {key: found[key] for key in expected} == pytest.approx(expected, nan_ok=True)
    for key in ("solid_fraction", "true_solid_fraction", "MP", "MGP", "MDS", "mIOU"):
        assert found[key] > 0
        assert 0 < found[f"{key}_uncertainty"] < 10
    assert found["shape"] == [24, 32, 28]
    assert found["spacing_nm"] == [4, 2, 2]
    assert found["phase_fractions"].keys() == {0, 1}
    rows = {row["measure"]: row for row in made.tables["measures"]}
    assert rows["tpcf"]["value"] == found["tpcf"]
    assert rows["MP"]["uncertainty"] == found["MP_uncertainty"]
    assert {row["axis"] for row in made.tables["correlations"]} == set("zyx")


def test_only_what_is_asked_for():
    made = run(Workspace(labels=LABELS), isotropy=False, morphometry=False, percolation=False)
    assert "tpcf" not in made.scores
    assert "correlations" not in made.tables
    assert [row["measure"] for row in made.tables["measures"]] == ["solid_fraction"]
    thick = run(Workspace(labels=LABELS), local_thickness=True, phase=0)
    assert thick.scores["thickness_nm"] > 4
    assert thick.scores["volume_fraction"] == pytest.approx(1 - thick.scores["solid_fraction"])


def test_uneven_slices_are_not_taken_for_even_ones():
    uneven = Stack(SOLID, SPACING, slice_z_nm=np.arange(24) ** 1.1 * 4, is_labels=True)
    with pytest.warns(PorescopeWarning, match="isotropy, morphometry cannot be measured"):
        found = run(Workspace(labels=uneven)).scores
    assert "tpcf" not in found
    assert found["percolating_z"] > 0


def test_a_single_slice_is_measured_as_far_as_it_goes():
    found = run(Workspace(labels=Stack(SOLID[:1], SPACING, is_labels=True))).scores
    assert math.isnan(found["tpcf"])
    assert math.isnan(found["surface_per_um"])
    assert found["solid_fraction"] == pytest.approx(SOLID[0].mean())


def test_progress_goes_on_from_measure_to_measure():
    told = []
    run(
        Workspace(labels=LABELS, truth=LABELS),
        progress=lambda done, total: told.append(done / total),
        local_thickness=True,
    )
    assert told == sorted(told)
    assert told[-1] == 1


def test_without_labels_it_says_so():
    with pytest.raises(PorescopeError, match="no labels"):
        run(Workspace())


def test_a_result_holds_numbers_tables_and_curves(tmp_path):
    grey = Stack((SOLID * 200).astype(np.uint8), SPACING, 2.0)
    write_stack(tmp_path / "stack.ome.zarr", grey)
    segment = ("segment", {"method": "otsu"})
    out = run_recipe(
        Recipe.of("load", segment, "measure", inputs=(tmp_path / "stack.ome.zarr",)),
        tmp_path / "result",
    )
    scores = json.loads((out / "scores.json").read_text())
    assert scores["solid_fraction"] == pytest.approx(SOLID.mean())
    with (out / "tables" / "correlations.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    along_x = [float(row["two-point"]) for row in curves if row["axis"] == "x"]
    assert along_x[0] == pytest.approx(SOLID.mean())
    assert len(along_x) == 15
    html = (out / "report.html").read_text()
    assert "Correlations by axis" in html
    shown = f"{scores['tpcf']:.4g} ± {scores['tpcf_uncertainty']:.2g}"
    assert shown in html


def test_tables_without_rows_are_not_written(tmp_path):
    write_tables(tmp_path / "tables", Workspace(tables={"slices": []}))
    assert not (tmp_path / "tables").exists()
