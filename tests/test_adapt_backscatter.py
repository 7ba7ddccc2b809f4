"""Learned back-scatter coefficients of materials under epoxy, against Monte Carlo and by shape."""

import subprocess
import sys
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porescope.adapt import learned_backscatter
from porescope.errors import PorescopeError
from porescope.imaging import backscatter_coefficient
from porescope.imaging.transport import trace_layers


@pytest.mark.parametrize(
    ("material", "atomic_number", "beam_kv", "depth_nm"),
    [
        ("gold", 79, 1.25, 0),
        ("gold", 79, 1.25, 7),
        ("gold", 79, 2.2, 25),
        ("gold", 79, 4.2, 115),
        ("copper", 29, 3.3, 45),
        ("silicon", 14, 2.7, 35),
        ("carbon", 6, 1.7, 5),
        ("gold", 79, 2.2, 400),
    ],
)
def test_within_a_hundredth_of_electrons_it_did_not_learn_from(
    material, atomic_number, beam_kv, depth_nm
):
    layers = [("epoxy", float(depth_nm))] if depth_nm else []
    seen = trace_layers(
        [*layers, (material, inf)], beam_kv, electrons=100_000, seed=77, secondaries=False
    )
    learned = learned_backscatter(atomic_number, beam_kv, depth_nm)
    assert learned == pytest.approx(seen.backscattered.mean(), abs=0.007)


@given(
    atomic_number=st.floats(6, 79),
    beam_kv=st.floats(0.5, 10),
    depths_nm=st.lists(st.floats(0, 1e6), min_size=2, max_size=20).map(sorted),
)
def test_it_runs_from_the_bulk_to_epoxy_and_never_back(atomic_number, beam_kv, depths_nm):
    eta = learned_backscatter(atomic_number, beam_kv, [0, *depths_nm, 1e9])
    way = eta[0] - eta[-1]
    assert (np.diff(eta) * np.sign(way) <= 1e-12).all()


def test_deep_below_lies_epoxy():
    for beam_kv in (1, 3, 10):
        deep = learned_backscatter([6, 30, 79], beam_kv, 1e5)
        np.testing.assert_allclose(deep, backscatter_coefficient("epoxy", beam_kv), atol=0.004)


def test_smooth_in_all_three():
    voltages = learned_backscatter(79, np.geomspace(0.5, 10, 400), 30)
    numbers = learned_backscatter(np.linspace(6, 79, 400), 2, 10)
    depths = learned_backscatter(79, 2, np.linspace(0, 190, 400))
    for curve in (voltages, numbers, depths):
        assert np.abs(np.diff(curve)).max() < 0.01
        assert np.abs(np.diff(curve, 2)).max() < 5e-4


def test_a_number_gives_a_number_and_arrays_broadcast():
    assert type(learned_backscatter(79, 2, 30)) is float
    table = learned_backscatter([[79], [14]], 2, np.arange(0, 200, 10))
    assert table.shape == (2, 20)
    assert table[0, 3] == pytest.approx(learned_backscatter(79, 2, 30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 2, 0), "The atomic number must be from 6 to 79, not 5."),
        ((79, 20, 0), "The voltage in kV must be from 0.5 to 10, not 20."),
        ((79, 2, [0, -1]), "The depth in nm must be from 0 to inf, not -1."),
        ((79, 2, np.nan), "not nan"),
        (([6, 79], 2, [0, 10, 20]), "do not go together"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(PorescopeError, match=message):
        learned_backscatter(*arguments)


def test_it_needs_no_torch():
    program = (
        "import porescope, sys\n"
        "assert 0.4 < porescope.adapt.learned_backscatter(79, 2, 0) < 0.5\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
