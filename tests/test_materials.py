import pytest
from hypothesis import given
from hypothesis import strategies as st

from porescope.errors import PorescopeError
from porescope.imaging import Material, compound, material_names
from porescope.imaging.materials import ELEMENTS, as_material


def test_formula_gives_mass_fractions():
    quartz = dict(compound("quartz", "SiO2", 2.65).fractions)
    assert quartz["Si"] == pytest.approx(28.085 / (28.085 + 2 * 15.999))
    assert sum(quartz.values()) == pytest.approx(1)


def test_formula_may_name_an_element_twice():
    acid = compound("acetic acid", "CH3COOH", 1.05)
    assert dict(acid.fractions) == pytest.approx(dict(compound("same", "C2H4O2", 1.05).fractions))


def test_epoxy_is_what_the_literature_says():
    assert dict(as_material("epoxy").fractions) == pytest.approx(
        {"C": 0.741, "H": 0.071, "O": 0.188}, abs=0.002
    )


@given(st.dictionaries(st.sampled_from(sorted(ELEMENTS)), st.floats(1e-3, 1e3), min_size=1))
def test_fractions_are_scaled(masses):
    fractions = dict(compound("mixture", masses, 1.0).fractions)
    assert sum(fractions.values()) == pytest.approx(1)
    first = next(iter(masses))
    assert fractions[first] == pytest.approx(masses[first] / sum(masses.values()))


def test_names_stand_for_materials():
    assert set(material_names()) >= {
        *("vacuum", "carbon", "silicon", "aluminium", "copper", "silver", "gold", "epoxy")
    }
    assert as_material("vacuum").is_vacuum
    gold = as_material("gold")
    assert as_material(gold) is gold


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: as_material("unobtainium"), "There is no material 'unobtainium'; take one of vac"),
        (lambda: compound("steel", "Fe", 7.9), "no scattering tables for Fe, only for H, C, N"),
        (lambda: compound("x", "Al(OH)3", 2.4), "write brackets out"),
        (lambda: compound("x", "", 2.4), "is no formula"),
        (lambda: compound("x", "Si0", 2.4), "no mass"),
        (lambda: compound("x", {"C": -1.0, "H": 2.0}, 1.0), "share of C must be above 0"),
        (lambda: compound("x", {"C": float("nan")}, 1.0), "no mass"),
        (lambda: compound("x", "C", 0.0), "density must be above 0"),
        (lambda: compound("x", "C", float("inf")), "density must be above 0"),
        (lambda: compound("x", "C", 1.0, lambda_nm=1.0), "both lambda_nm and eps_ev"),
        (lambda: compound("x", "C", 1.0, lambda_nm=1.0, eps_ev=0.0), "must be above 0"),
        (lambda: Material("x", (("C", 0.5),), 1.0), "must sum to 1"),
        (lambda: Material("x", (("C", 0.5), ("C", 0.5)), 1.0), "named twice"),
    ],
)
def test_what_makes_no_material_is_refused(make, says):
    with pytest.raises(PorescopeError, match=says.replace("(", r"\(")):
        make()


def test_whether_secondaries_can_be_told():
    known = {name for name in material_names() if as_material(name).secondaries_known}
    assert {"vacuum", "gold", "epoxy"} <= known
    assert not {"copper", "silver"} & known
