"""The formula for back-scatter coefficients, against its own numbers and measured ones."""

import numpy as np
import pytest

from porescope.errors import PorescopeError
from porescope.imaging import hunger_kuechler


@pytest.mark.parametrize(
    ("atomic_number", "beam_kv", "expected"),
    [
        (6, 1, 0.119),
        (13, 1, 0.215),
        (14, 1, 0.226),
        (29, 1, 0.333),
        (47, 1, 0.394),
        (79, 1, 0.436),
        (79, 5, 0.461),
        (79, 20, 0.484),
        (47, 30, 0.399),
    ],
)
def test_values_worked_out_by_hand(atomic_number, beam_kv, expected):
    assert hunger_kuechler(atomic_number, beam_kv) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("atomic_number", "beam_kv", "measured"),
    [(79, 5, 0.469), (79, 20, 0.485), (6, 10, 0.070), (13, 10, 0.164), (29, 20, 0.310)],
)
def test_close_to_what_was_measured(atomic_number, beam_kv, measured):
    assert hunger_kuechler(atomic_number, beam_kv) == pytest.approx(measured, abs=0.012)


def test_a_number_gives_a_number_and_arrays_broadcast():
    assert type(hunger_kuechler(79, 5)) is float
    table = hunger_kuechler(np.array([[6], [79]]), [1, 5, 20])
    assert table.shape == (2, 3)
    assert table[1, 1] == hunger_kuechler(79, 5)
    assert hunger_kuechler([79], 5).shape == (1,)


@pytest.mark.parametrize("beam_kv", [0.5, 1, 10, 40])
def test_it_rises_with_the_atomic_number(beam_kv):
    eta = hunger_kuechler(np.arange(3, 100), beam_kv)
    assert (np.diff(eta) > 0).all()
    assert 0 < eta[0] < eta[-1] < 0.6


@pytest.mark.parametrize(
    ("atomic_number", "beam_kv", "message"),
    [
        (1, 5, "The atomic number must be from 3 to 99, not 1."),
        (79, 0, "The voltage in kV must be from 0.1 to 50, not 0."),
        (79, [5, 5000], "not 5000"),
        (np.nan, 5, "not nan"),
        ("gold", 5, "must be a number or an array, not 'gold'"),
    ],
)
def test_what_makes_no_sense_is_refused(atomic_number, beam_kv, message):
    with pytest.raises(PorescopeError, match=message):
        hunger_kuechler(atomic_number, beam_kv)
