from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from porescope.errors import PorescopeError
from porescope.imaging import backscatter_coefficient, secondary_yield
from porescope.imaging.detectors import Detector, as_detector, detector_names
from porescope.imaging.transport import Histories, trace_bulk

ELECTRONS = 20_000


def leaving(energy_ev, direction, secondaries=0.0):
    """Histories of electrons that left with these energies in these directions."""
    energy_ev = np.asarray(energy_ev, np.float32)
    direction = np.asarray(direction, np.float32)
    return Histories(
        energy_ev,
        direction,
        np.zeros_like(energy_ev),
        np.full_like(energy_ev, secondaries),
    )


def directions(count, seed):
    """All over the half space above the face."""
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    directions[:, 0] = -np.abs(directions[:, 0])
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def angles(direction, tilt_deg):
    """Polar angle and azimuth in degrees, after turning the beam onto +z."""
    zyx = np.asarray(direction, float)
    # About x, from y to z: brings (cos tilt, sin tilt, 0) in (z, y, x) to (1, 0, 0).
    xyz = Rotation.from_euler("x", tilt_deg, degrees=True).apply(zyx[:, ::-1])
    polar = np.degrees(np.arctan2(np.hypot(xyz[:, 0], xyz[:, 1]), -xyz[:, 2]))
    return polar, np.degrees(np.arctan2(xyz[:, 0], xyz[:, 1]))


def around(tilt_deg, polar_deg, azimuth_deg):
    """Return the direction (z, y, x) with these angles; the inverse of `angles`."""
    polar, azimuth = np.radians(polar_deg), np.radians(azimuth_deg)
    xyz = [np.sin(polar) * np.sin(azimuth), np.sin(polar) * np.cos(azimuth), -np.cos(polar)]
    return Rotation.from_euler("x", -tilt_deg, degrees=True).apply([xyz])[:, ::-1]


rising = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[1] - pair[0] > 0.01)


@settings(max_examples=200, deadline=None)
@given(
    polar=rising,
    energies=rising,
    fractions=rising,
    azimuth=st.tuples(st.floats(-400, 400), st.floats(1, 180)),
    response=st.sampled_from(["count", "energy"]),
    dead_layer_ev=st.floats(0, 1500),
    weights=st.tuples(st.floats(0.1, 3), st.floats(0, 3)),
    beam_kv=st.floats(0.5, 30),
    tilt_deg=st.floats(0, 89),
    seed=st.integers(0, 1000),
)
def test_signal_is_what_angles_and_energies_say(
    polar, energies, fractions, azimuth, response, dead_layer_ev, weights, beam_kv, tilt_deg, seed
):
    beam_ev = 1000 * beam_kv
    detector = Detector(
        "any",
        polar_deg=(180 * polar[0], 180 * polar[1]),
        energy_ev=(beam_ev * energies[0], beam_ev * energies[1]),
        energy_fraction=fractions,
        azimuth_deg=azimuth,
        response=response,
        dead_layer_ev=dead_layer_ev,
        backscattered=weights[0],
        secondaries=weights[1],
    )
    lowest_ev = max(beam_ev * max(energies[0], fractions[0]), dead_layer_ev)
    highest_ev = beam_ev * min(energies[1], fractions[1])
    assume(lowest_ev < highest_ev)

    direction = directions(400, seed).astype(np.float32)
    energy_ev = np.random.default_rng(seed).uniform(0, beam_ev, 400).astype(np.float32)
    at_polar, at_azimuth = angles(direction, tilt_deg)
    aside = np.abs((at_azimuth - azimuth[0] + 180) % 360 - 180)
    borders = (
        (at_polar, detector.polar_deg),
        (aside, (azimuth[1],)),
        (energy_ev / beam_ev, (lowest_ev / beam_ev, highest_ev / beam_ev)),
    )
    clear = np.all(
        [np.abs(value - border) > 1e-3 for value, at in borders for border in at], axis=0
    )
    # Around the axis itself the azimuth means nothing.
    clear &= (at_polar > 0.1) & (at_polar < 179.9)
    seen = (
        (at_polar > detector.polar_deg[0])
        & (at_polar < detector.polar_deg[1])
        & (aside < azimuth[1])
        & (energy_ev > lowest_ev)
        & (energy_ev < highest_ev)
    )
    strength = 1.0 if response == "count" else (energy_ev - dead_layer_ev) / beam_ev
    expected = weights[0] * seen * strength + weights[1] * 0.25
    signal = detector.signal(leaving(energy_ev, direction, 0.25), beam_kv, tilt_deg)
    np.testing.assert_allclose(signal[clear], expected[clear], rtol=1e-4, atol=1e-6)
    assert clear.mean() > 0.9


def test_window_in_numbers():
    detector = Detector(
        "ring",
        polar_deg=(30, 60),
        energy_fraction=(0.5, 0.9),
        azimuth_deg=(90, 60),
        response="energy",
        dead_layer_ev=1200,
        backscattered=2,
    )
    assert detector.window(4, 30) == pytest.approx(
        (2000, 3600, 0.5, np.sqrt(0.75), 0, 0, 1, 0.5, -0.6, 1 / 2000), abs=1e-12
    )
    axis = replace(detector, azimuth_deg=(0, 60)).window(4, 30)[4:7]
    assert axis == pytest.approx((-0.5, np.sqrt(0.75), 0))


@pytest.mark.parametrize("tilt_deg", [0, 38, 70])
def test_azimuth_0_is_where_a_tilted_beam_would_be_mirrored(tilt_deg):
    tilt = np.radians(tilt_deg)
    mirrored = [[-np.cos(tilt), np.sin(tilt), 0.0]]
    forward = Detector("forward", azimuth_deg=(0, 20))
    assert forward.signal(leaving([900.0], mirrored), 1, tilt_deg) == 1
    for azimuth_deg in (0, 90, 180, -90):
        at = leaving([900.0], around(tilt_deg, 10, azimuth_deg))
        assert Detector("a", azimuth_deg=(azimuth_deg, 20)).signal(at, 1, tilt_deg) == 1
        assert Detector("a", azimuth_deg=(azimuth_deg + 60, 20)).signal(at, 1, tilt_deg) == 0
    # At normal incidence 90 degrees is +x.
    toward_x = leaving([900.0], [[-0.8, 0.0, 0.6]])
    assert Detector("x", azimuth_deg=(90, 1)).signal(toward_x, 1) == 1


@pytest.mark.parametrize("name", ["all-BSE", "TLD-BSE", "EsB", "ICD"])
@pytest.mark.parametrize("tilt_deg", [0, 38, 52.3])
@pytest.mark.parametrize("beam_kv", [1, 2.3, 29.7])
def test_straight_back_with_all_its_energy_is_seen(name, tilt_deg, beam_kv):
    back = leaving([1000 * beam_kv], around(tilt_deg, 0, 0))
    assert as_detector(name).signal(back, beam_kv, tilt_deg) == 1


@pytest.mark.parametrize("tilt_deg", [0.0, 60.0])
def test_all_back_scattered_are_all_at_any_tilt(tilt_deg):
    histories = trace_bulk("gold", 2, electrons=ELECTRONS, tilt_deg=tilt_deg, seed=5)
    eta = backscatter_coefficient("gold", 2, ELECTRONS, tilt_deg, seed=5)
    assert as_detector("all-BSE").signal(histories, 2, tilt_deg).mean() == pytest.approx(eta)
    polar, _ = angles(histories.direction[histories.backscattered], tilt_deg)
    assert (polar > 90).any() == (tilt_deg > 0)


def test_secondaries_are_the_yield():
    histories = trace_bulk("gold", 2, electrons=ELECTRONS, seed=5)
    expected = secondary_yield("gold", 2, ELECTRONS, seed=5)
    assert as_detector("SE").signal(histories, 2).mean() == pytest.approx(expected, rel=1e-5)


def test_what_went_through_or_stayed_is_not_seen():
    histories = leaving([900.0, 900.0, 0.0], [[1, 0, 0], [0.6, 0.8, 0], [0, 0, 0]])
    everything = Detector("everything", energy_ev=(0, inf))
    assert not everything.signal(histories, 1).any()


def test_neighbouring_windows_share_all_electrons():
    histories = trace_bulk("gold", 5, electrons=ELECTRONS, tilt_deg=38)
    everything = as_detector("all-BSE").signal(histories, 5, 38)
    for field, bounds in (
        ("polar_deg", [(0, 20), (20, 60), (60, 180)]),
        ("energy_ev", [(50, 2000), (2000, inf)]),
        ("energy_fraction", [(0, 0.3), (0.3, 0.9), (0.9, 1)]),
        ("azimuth_deg", [(0, 60), (120, 60), (240, 60)]),
    ):
        parts = [Detector("part", **{field: part}).signal(histories, 5, 38) for part in bounds]
        np.testing.assert_array_equal(sum(parts), everything)
        assert all(part.any() for part in parts)


def test_share_of_electrons_that_leave_by_the_cosine_law():
    count = 200_000
    random = np.random.default_rng(0)
    sine, turn = np.sqrt(random.random(count)), 2 * np.pi * random.random(count)
    direction = np.stack([-np.sqrt(1 - sine**2), sine * np.cos(turn), sine * np.sin(turn)], axis=1)
    share = as_detector("TLD-BSE").signal(leaving(np.full(count, 800.0), direction), 1).mean()
    expected = np.sin(np.radians(25)) ** 2
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / count))


def test_dead_layer_swallows_energy():
    at_40_deg = around(0, 40, 123).repeat(4, axis=0)
    signal = as_detector("annular").signal(leaving([900, 1000, 3000, 5000], at_40_deg), 5)
    np.testing.assert_allclose(signal, [0, 0, 0.4, 0.8], atol=1e-7)


def test_presets():
    approximate = {name for name in detector_names() if as_detector(name).approximate}
    assert detector_names() == ["all-BSE", "TLD-BSE", "ICD", "EsB", "annular", "SE"]
    assert approximate == set(detector_names()) - {"all-BSE", "SE"}
    for name in detector_names():
        assert len(as_detector(name).window(5, 38)) == 10
    own = Detector("own")
    assert as_detector(own) is own


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: as_detector("Everhart"), "no detector 'Everhart'; take one of all-BSE, TLD-BSE"),
        (lambda: Detector("d", polar_deg=(30, 20)), "angles in degrees must rise within 0 to 180"),
        (lambda: Detector("d", polar_deg=(0, 190)), "not go from 0 to 190"),
        (lambda: Detector("d", polar_deg=(np.nan, 20)), "must rise"),
        (lambda: Detector("d", energy_ev=(100, 100)), "energies in eV must rise"),
        (lambda: Detector("d", energy_fraction=(0.5, 1.5)), "must rise within 0 to 1"),
        (lambda: Detector("d", azimuth_deg=(0, 0)), "half width above 0 up to 180"),
        (lambda: Detector("d", azimuth_deg=(inf, 9)), "half width above 0 up to 180"),
        (lambda: Detector("d", response="loud"), "one of count, energy, not 'loud'"),
        (lambda: Detector("d", dead_layer_ev=-1), "dead layer must be 0 or above"),
        (lambda: Detector("d", secondaries=np.nan), "weight of secondaries must be 0 or above"),
        (lambda: Detector("d", backscattered=0), "sees nothing"),
        (lambda: as_detector("annular").window(1), "annular sees no electron of a 1 kV beam"),
        (lambda: as_detector("EsB").window(0.4), "from 500 to 400 eV"),
        (lambda: as_detector("all-BSE").window(40), "outside the scattering tables"),
        (lambda: as_detector("all-BSE").window(2, 95), "cannot come in at 95 degrees"),
    ],
)
def test_refusals(make, says):
    with pytest.raises(PorescopeError, match=says):
        make()


def test_secondaries_alone_need_no_window():
    assert as_detector("SE").window(0.1).weight == 0
    assert replace(as_detector("SE"), energy_ev=(0, 50)).window(1).weight == 0
