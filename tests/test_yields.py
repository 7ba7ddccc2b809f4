"""Against measured yields; bands and their sources are those of benchmarks/montecarlo_bulk.py."""

import numpy as np
import pytest

from porescope.errors import PorescopeError
from porescope.imaging import backscatter_coefficient, compound, secondary_yield
from porescope.imaging.transport import trace_bulk

ELECTRONS = 20_000
ENERGIES_KV = (1, 2, 3, 5, 10, 20, 30)
# Midpoint of clean measurements and of Hunger and Kuechler's formula, and what surfaces vary by.
BACKSCATTER = {
    "carbon": ((0.10, 0.089, 0.075, 0.078, 0.070, 0.058, 0.054), (0.025,) * 3 + (0.012,) * 4),
    "aluminium": ((0.214, 0.201, 0.194, 0.178, 0.164, 0.152, 0.147), (0.03,) * 7),
    "silicon": ((0.226, 0.205, 0.200, 0.190, 0.176, 0.164, 0.157), (0.03,) * 7),
    "copper": ((0.32, 0.322, 0.321, 0.316, 0.309, 0.302, 0.298), (0.04,) * 7),
    "silver": ((0.3965,) * 7, (0.03,) * 7),
    "gold": ((0.407, 0.44, 0.455, 0.461, 0.472, 0.484, 0.491), (0.06,) + (0.03,) * 6),
}


@pytest.mark.parametrize("name", BACKSCATTER)
def test_backscatter_is_as_measured(name):
    for beam_kv, measured, tolerance in zip(ENERGIES_KV, *BACKSCATTER[name], strict=True):
        eta = backscatter_coefficient(name, beam_kv, ELECTRONS)
        assert eta == pytest.approx(measured, abs=tolerance), beam_kv


@pytest.mark.parametrize(("name", "z"), [("gold", 79), ("aluminium", 13), ("copper", 29)])
@pytest.mark.parametrize("tilt_deg", [38, 52])
def test_backscatter_rises_with_tilt_as_arnal_found(name, z, tilt_deg):
    cosine = np.cos(np.radians(tilt_deg))
    arnal = ((1 + cosine) / 2) ** (-9 / np.sqrt(z))
    risen = backscatter_coefficient(name, 2, ELECTRONS, tilt_deg=tilt_deg)
    assert risen / backscatter_coefficient(name, 2, ELECTRONS) == pytest.approx(arnal, rel=0.15)


# Sets each material's lambda and eps are meant for: Reimer, Shimizu, Dionne, set 1.
SECONDARY = {
    "gold": {0.5: 1.55, 1: 1.65, 3: 1.07, 5: 0.79},
    "aluminium": {1: 1.58, 2: 0.88, 3: 0.62, 5: 0.44},
    "silicon": {0.5: 1.12, 1: 0.94, 2: 0.64, 3: 0.53, 5: 0.37},
    "carbon": {0.5: 0.78, 1: 0.54, 2: 0.31, 3: 0.21, 5: 0.16},
}
FALL_FROM_1_TO_3_KV = {
    "gold": (1.3, 1.9), "aluminium": (1.6, 2.7), "silicon": (1.8, 2.3), "carbon": (1.7, 2.6)
}  # fmt: skip


@pytest.mark.parametrize("name", SECONDARY)
def test_secondaries_are_as_measured(name):
    for beam_kv, measured in SECONDARY[name].items():
        ratio = secondary_yield(name, beam_kv, ELECTRONS) / measured
        assert 1 / 1.5 < ratio < 1.5, beam_kv
    low, high = FALL_FROM_1_TO_3_KV[name]
    assert low < secondary_yield(name, 1, ELECTRONS) / secondary_yield(name, 3, ELECTRONS) < high


@pytest.mark.parametrize(
    ("name", "beam_kv", "mean_share", "depths_nm"),
    [
        ("gold", 1, 0.68, (1.4, 3.3, 4.8)),
        ("gold", 2, 0.72, (2.9, 6.9, 10)),
        ("gold", 4, 0.75, (7.0, 16, 23)),
        ("silicon", 2, 0.625, (14, 26, 35)),
        ("carbon", 2, 0.565, (16, 30, 38)),
    ],
)
def test_energy_and_depth_of_the_backscattered(name, beam_kv, mean_share, depths_nm):
    histories = trace_bulk(name, beam_kv, electrons=40_000, secondaries=False)
    back = histories.backscattered
    assert histories.energy_ev[back].mean() / (1000 * beam_kv) == pytest.approx(
        mean_share, abs=0.05
    )
    quantiles = np.quantile(histories.deepest_nm[back], (0.5, 0.9, 0.99))
    np.testing.assert_allclose(quantiles, depths_nm, rtol=0.1)


def test_density_alone_does_not_change_a_bulk():
    light, heavy = (
        backscatter_coefficient(compound("carbon", "C", density), 2, ELECTRONS)
        for density in (0.5, 3.5)
    )
    assert light == pytest.approx(heavy, abs=0.002)


def test_vacuum_gives_nothing_back():
    assert backscatter_coefficient("vacuum", 2) == 0
    assert secondary_yield("vacuum", 2) == 0


def test_yields_do_not_depend_on_how_many_are_followed_at_once(monkeypatch):
    whole = backscatter_coefficient("gold", 1, 5000, seed=2)
    monkeypatch.setattr("porescope.imaging.yields._AT_ONCE", 700)
    assert backscatter_coefficient("gold", 1, 5000, seed=2) == whole


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: secondary_yield("copper", 2), "copper has no lambda_nm and eps_ev"),
        (lambda: backscatter_coefficient("gold", 0.05), "take 0.1 to 30 kV"),
        (lambda: backscatter_coefficient("vacuum", 60), "take 0.1 to 30 kV"),
        (lambda: backscatter_coefficient("gold", 2, 0), "At least one electron"),
        (lambda: backscatter_coefficient("glod", 2), "There is no material 'glod'"),
    ],
)
def test_what_makes_no_sense_is_refused(ask, says):
    with pytest.raises(PorescopeError, match=says):
        ask()
