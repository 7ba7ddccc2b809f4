import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from porescope import _core
from porescope.errors import PorescopeError
from porescope.imaging import transport
from porescope.imaging.materials import ELEMENTS, as_material
from porescope.imaging.transport import trace_bulk, trace_layers


def collisions(name, energy_ev, direction=(1.0, 0.0, 0.0), count=200_000, seed=3):
    materials = transport.core_materials((as_material(name),))
    return _core.first_collisions(materials, 1, energy_ev, direction, count, seed)


def table_of(symbol):
    tables = transport.elastic_tables()
    row = list(tables["atomic_number"]).index(ELEMENTS[symbol].atomic_number)
    return (
        tables["energy_ev"],
        tables["cross_section_nm2"][row],
        tables["transport_cross_section_nm2"][row],
    )


# Atoms in a nm3, from density and mole alone.
PURE = {
    "gold": ("Au", 59.0),
    "silicon": ("Si", 49.96),
    "carbon": ("C", 90.2),
    "copper": ("Cu", 84.9),
}


def optical_depths(name, atoms_per_nm3, energy_ev, path_nm):
    """Integrate, from its first energy down, what an electron meets on paths."""
    at = np.linspace(energy_ev, energy_ev / 5, 20_001)
    rate = np.zeros_like(at)
    for symbol, count in atoms_per_nm3.items():
        table_ev, cross_section, _ = table_of(symbol)
        logarithm = np.interp(np.log(at), np.log(table_ev), np.log(cross_section))
        rate += count * (1 + 1 / ELEMENTS[symbol].atomic_number) * np.exp(logarithm)
    slowing = 1 / transport.stopping_power(as_material(name), at)
    path = integrate.cumulative_trapezoid(slowing, -at, initial=0)
    depth = integrate.cumulative_trapezoid(rate * slowing, -at, initial=0)
    return np.interp(path_nm, path, depth)


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("row", [25, 40, 55])
def test_free_paths_are_those_of_the_tables(name, row):
    symbol, atoms_per_nm3 = PURE[name]
    energy_ev = float(table_of(symbol)[0][row])
    path, _ = collisions(name, energy_ev)
    depths = optical_depths(name, {symbol: atoms_per_nm3}, energy_ev, path)
    assert depths.mean() == pytest.approx(1, rel=0.01)
    assert stats.kstest(depths[:20_000], "expon").pvalue > 1e-3


def test_free_path_in_a_compound_adds_its_atoms():
    molecules = 1.18 * 602.214 / (21 * 12.011 + 24 * 1.008 + 4 * 15.999)
    atoms = {"C": 21 * molecules, "H": 24 * molecules, "O": 4 * molecules}
    path, _ = collisions("epoxy", 2000.0)
    assert optical_depths("epoxy", atoms, 2000.0, path).mean() == pytest.approx(1, rel=0.01)


# What the quantiles leave of ELSEPA's transport cross-section, as the tables' card says.
@pytest.mark.parametrize(
    ("name", "within"), [("carbon", 0.01), ("silicon", 0.015), ("gold", 0.055)]
)
@pytest.mark.parametrize("row", [20, 37, 50])
def test_deflections_give_the_transport_cross_section(name, within, row):
    energy_ev, cross_section, transport_cross_section = table_of(PURE[name][0])
    _, direction = collisions(name, float(energy_ev[row]))
    one_minus_cosine = 1 - direction[:, 0].astype(float)
    error = 4 * one_minus_cosine.std() / np.sqrt(len(direction)) / one_minus_cosine.mean()
    expected = transport_cross_section[row] / cross_section[row]
    assert one_minus_cosine.mean() == pytest.approx(expected, rel=within + error)


def test_deflections_between_rows_lie_between_them():
    energy_ev, *_ = table_of("Au")
    means = [
        (1 - collisions("gold", float(at))[1][:, 0].astype(float)).mean()
        for at in (energy_ev[37], np.sqrt(energy_ev[37] * energy_ev[38]), energy_ev[38])
    ]
    assert means[1] == pytest.approx((means[0] + means[2]) / 2, rel=0.01)
    assert means[0] > means[1] > means[2]


def test_atoms_of_a_compound_scatter_by_their_shares():
    tables = transport.elastic_tables()
    energy_ev = float(tables["energy_ev"][37])
    rates = transport.scattering_per_nm(as_material("epoxy"), np.array([energy_ev]))[:, 0]
    means = []
    for symbol, _ in as_material("epoxy").fractions:
        _, cross_section, transport_cross_section = table_of(symbol)
        means.append(transport_cross_section[37] / cross_section[37])
    _, direction = collisions("epoxy", energy_ev, count=400_000)
    expected = np.dot(rates, means) / rates.sum()
    assert (1 - direction[:, 0].astype(float)).mean() == pytest.approx(expected, rel=0.02)


def unit(*values):
    return np.array(values) / np.linalg.norm(values)


@pytest.mark.parametrize(
    "direction",
    [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, -1), (-1, 1e-5, 0), (-3, 2, 5)],
)
def test_no_direction_is_special(direction):
    direction = unit(*direction)
    _, along_z = collisions("gold", 2000.0)
    _, turned = collisions("gold", 2000.0, direction)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(turned @ direction, along_z[:, 0], atol=2e-6)
    # Around the axis all azimuths are alike.
    first = unit(*np.cross(direction, unit(0.3, -0.5, 0.8)))
    azimuth = np.arctan2(turned @ np.cross(direction, first), turned @ first)
    assert stats.kstest(azimuth[:20_000] / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3


def flown_straight(layers, beam_kv, electrons=100_000):
    histories = trace_layers(layers, beam_kv, electrons=electrons, seed=11)
    straight = histories.transmitted & (histories.direction[:, 0] == 1)
    return straight.mean(), histories.energy_ev[straight]


@pytest.mark.parametrize("beam_kv", [0.3, 2.0, 20.0])
@pytest.mark.parametrize(
    "layers",
    [
        [("gold", 0.5)],
        [("gold", 0.25), ("epoxy", 1.0), ("gold", 0.25), ("vacuum", 7.0), ("carbon", 0.5)],
    ],
)
def test_what_no_atom_turned_has_lost_energy_along_its_path_alone(layers, beam_kv):
    energy_ev, optical_depth = 1000 * beam_kv, 0.0
    for name, thickness_nm in layers:
        material = as_material(name)
        if material.is_vacuum:
            continue

        def slope(_, state, material=material):
            rate = transport.scattering_per_nm(material, state[:1]).sum()
            return -transport.stopping_power(material, state[:1])[0], rate

        start = [energy_ev, optical_depth]
        solution = integrate.solve_ivp(slope, (0, thickness_nm), start, rtol=1e-9, atol=1e-9)
        energy_ev, optical_depth = solution.y[:, -1]
    share, energies_ev = flown_straight(layers, beam_kv)
    expected = np.exp(-optical_depth)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 100_000)
    np.testing.assert_allclose(energies_ev, energy_ev, rtol=3e-4)


def test_range_is_the_integral_of_the_inverse_loss():
    gold = as_material("gold")
    for energy_ev in (100.0, 1000.0, 20_000.0):
        path, _ = integrate.quad(
            lambda at: 1 / transport.stopping_power(gold, np.array([at]))[0],
            50,
            energy_ev,
            limit=200,
        )
        to_zero = 50 / transport.stopping_power(gold, np.array([50.0]))[0]
        ours = transport.residual_range_nm(gold, np.array([energy_ev]))[0]
        assert ours - to_zero == pytest.approx(path, rel=1e-5)


def test_none_leaves_beyond_its_range():
    range_nm = transport.residual_range_nm(as_material("silicon"), np.array([1000.0]))[0]
    assert not trace_layers([("silicon", range_nm)], 1, electrons=20_000).transmitted.any()
    assert trace_layers([("silicon", 0.4 * range_nm)], 1, electrons=20_000).transmitted.any()


def test_layers_of_one_material_are_its_bulk():
    count = 100_000
    bulk = trace_bulk("gold", 1, electrons=count, seed=1)
    layers = trace_layers([("gold", 0.4)] * 30 + [("gold", np.inf)], 1, electrons=count, seed=2)
    eta = bulk.backscattered.mean()
    assert abs(layers.backscattered.mean() - eta) < 4 * np.sqrt(2 * eta * (1 - eta) / count)
    spread = np.sqrt((bulk.secondaries.var() + layers.secondaries.var()) / count)
    assert abs(layers.secondaries.mean() - bulk.secondaries.mean()) < 4 * spread


def test_width_of_a_gap_does_not_matter():
    narrow, wide = (
        trace_layers([("gold", 4.0), ("vacuum", gap), ("carbon", 20.0)], 2, electrons=20_000)
        for gap in (1.0, 500.0)
    )
    # Rounding alone, at another depth, tells them apart.
    assert abs(narrow.backscattered.mean() - wide.backscattered.mean()) < 2e-3
    assert abs(narrow.transmitted.mean() - wide.transmitted.mean()) < 2e-3
    assert narrow.transmitted.any()
    # Electrons come back from behind it, secondaries do not.
    alone = trace_layers([("gold", 4.0)], 2, electrons=20_000)
    assert narrow.backscattered.mean() > alone.backscattered.mean() + 5e-3


def test_giving_up_on_what_cannot_come_back_is_exact(monkeypatch):
    layers = [("gold", 5.0), ("carbon", 30.0), ("vacuum", 3.0), ("silicon", np.inf)]
    given_up = trace_layers(layers, 2, electrons=20_000)
    monkeypatch.setattr(transport, "_ESCAPE_DEPTHS", 1e9)
    monkeypatch.setattr(transport, "core_materials", transport.core_materials.__wrapped__)
    to_the_end = trace_layers(layers, 2, electrons=20_000)
    assert np.array_equal(given_up.energy_ev, to_the_end.energy_ev)
    assert np.array_equal(given_up.direction, to_the_end.direction)
    assert given_up.secondaries.sum() == pytest.approx(to_the_end.secondaries.sum(), rel=1e-4)
    without = trace_layers(layers, 2, electrons=20_000, secondaries=False)
    assert np.array_equal(without.energy_ev, to_the_end.energy_ev)


def test_result_hangs_on_the_seed_and_the_number_alone():
    def traced(**options):
        return trace_bulk("silicon", 2, **{"electrons": 3000, "seed": 5} | options)

    one = traced(threads=1)
    for other in (traced(threads=2), traced(threads=7)):
        assert np.array_equal(one.energy_ev, other.energy_ev)
        assert np.array_equal(one.secondaries, other.secondaries)
    tail = traced(electrons=1000, first_electron=2000)
    assert np.array_equal(one.direction[2000:], tail.direction)
    assert not np.array_equal(one.energy_ev, traced(seed=6).energy_ev)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["vacuum", "gold", "epoxy", "silver"]), st.floats(1e-3, 1e3)),
        max_size=6,
    ),
    st.floats(0.1, 30),
    st.floats(0, 89.9),
)
def test_any_layers_keep_electrons_whole(below, beam_kv, tilt_deg):
    histories = trace_layers(
        [("carbon", 2.0), *below], beam_kv, electrons=64, tilt_deg=tilt_deg, seed=1
    )
    left = histories.energy_ev > 0
    assert np.array_equal(left, histories.backscattered | histories.transmitted)
    assert np.all(histories.energy_ev[left] >= 49.9)
    assert np.all(histories.energy_ev <= 1000 * beam_kv * 1.001)
    np.testing.assert_allclose(np.linalg.norm(histories.direction[left], axis=1), 1, atol=1e-5)
    assert np.all(np.isfinite(histories.secondaries) & (histories.secondaries >= 0))
    assert np.all(histories.deepest_nm <= 2.0 + sum(thickness for _, thickness in below) + 0.01)


@pytest.mark.parametrize(
    ("layers", "options", "says"),
    [
        ([("gold", np.inf)], {"beam_kv": 31}, "outside the scattering tables; take 0.1 to 30 kV"),
        ([("gold", np.inf)], {"beam_kv": float("nan")}, "outside the scattering tables"),
        ([("gold", np.inf)], {"tilt_deg": 90}, "cannot come in at 90 degrees"),
        ([("gold", np.inf)], {"electrons": 0}, "number of electrons"),
        ([("gold", np.inf)], {"seed": -1}, "seed must be"),
        ([("gold", 0.0)], {}, "Layer 1, gold, must be thicker than 0 nm"),
        ([("gold", np.inf), ("gold", 1.0)], {}, "Only the last layer can be infinite, not layer 1"),
        ([("vacuum", 1.0), ("gold", 1.0)], {}, "must be a solid"),
        ([], {}, "must be a solid"),
    ],
)
def test_what_makes_no_sense_is_refused(layers, options, says):
    with pytest.raises(PorescopeError, match=says):
        trace_layers(layers, **{"beam_kv": 1.0, "electrons": 10} | options)


def backscattered_in_small_steps(name, beam_kv, electrons, step_nm):
    """Share of electrons that come back, from many small steps in doubles, for a pure element."""
    random = np.random.default_rng(0)
    material = as_material(name)
    tables = transport.elastic_tables()
    z = ELEMENTS[material.fractions[0][0]].atomic_number
    element = list(tables["atomic_number"]).index(z)
    screening = tables["screening"][element].astype(float)
    quantiles = tables["quantiles"][element].astype(float)
    energy_ev, depth_nm = np.full(electrons, 1000.0 * beam_kv), np.zeros(electrons)
    direction = np.tile([1.0, 0.0, 0.0], (electrons, 1))
    back = 0
    while len(energy_ev):
        energy_ev = energy_ev - step_nm * transport.stopping_power(material, energy_ev)
        depth_nm = depth_nm + step_nm * direction[:, 0]
        kept = (depth_nm >= 0) & (energy_ev > 50)
        back += np.count_nonzero(depth_nm < 0)
        energy_ev, depth_nm, direction = energy_ev[kept], depth_nm[kept], direction[kept]
        rate = transport.scattering_per_nm(material, energy_ev)[0]
        hit = np.flatnonzero(random.random(len(rate)) < -np.expm1(-rate * step_nm))
        row = np.interp(np.log(energy_ev[hit]), np.log(tables["energy_ev"]), np.arange(60))
        row = (row + random.random(len(hit))).astype(int)
        place = 128 * random.random(len(hit))
        node = place.astype(int)
        low, high = quantiles[row, node], quantiles[row, node + 1]
        w = low + (place - node) * (high - low)
        cosine = 1 - 2 * screening[row] * w / (1 + screening[row] - w)
        # Any vector across, turned by a random angle through the plane of two others.
        across = np.cross(direction[hit], random.normal(size=(len(hit), 3)))
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        direction[hit] = cosine[:, None] * direction[hit] + np.sqrt(1 - cosine**2)[:, None] * across
    return back / electrons


@pytest.mark.parametrize(("name", "beam_kv", "step_nm"), [("gold", 1, 0.02), ("carbon", 0.5, 0.02)])
def test_backscatter_is_that_of_small_steps(name, beam_kv, step_nm):
    count = 15_000
    expected = backscattered_in_small_steps(name, beam_kv, count, step_nm)
    ours = trace_bulk(name, beam_kv, electrons=20 * count).backscattered.mean()
    assert abs(ours - expected) < 3.5 * np.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize(
    "layers",
    [
        [("carbon", 1.5)],
        [("carbon", 0.5), ("carbon", 1.0)],
        # None gets over the gap from the second foil.
        [("carbon", 1.5), ("vacuum", 2.0), ("carbon", 1.5)],
    ],
)
def test_secondaries_of_a_foil_that_electrons_fly_straight_through(layers):
    carbon = as_material("carbon")
    loss = transport.stopping_power(carbon, np.array([30_000.0]))[0]
    escape_nm = carbon.lambda_nm * (1 - np.exp(-1.5 / carbon.lambda_nm))
    expected = 0.5 * loss / carbon.eps_ev * escape_nm
    histories = trace_layers(layers, 30, electrons=20_000)
    assert histories.secondaries.mean() == pytest.approx(expected, rel=0.04)
