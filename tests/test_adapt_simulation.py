"""Stacks by fast imaging: the same folder as by Monte Carlo, and what it refuses."""

import json

import numpy as np
import pytest

from porescope.cli import main
from porescope.errors import PorescopeError
from porescope.geometry import boolean_model
from porescope.io import read_voltages, write_stack
from porescope.pipeline.simulation import SimulationParameters, fast, simulate_stack
from simulated_gold import porous_gold, signals


@pytest.fixture(scope="module")
def gold():
    return porous_gold()


def asked(**given):
    return SimulationParameters(
        **({"slices": 3, "deviation_nm": 0.0, "surrogate": "fast", "probe_nm": 0.0} | given)
    )


def test_images_and_their_noise_are_like_those_of_monte_carlo(gold):
    made = simulate_stack(gold, asked(electrons=50))
    truth = simulate_stack(gold, asked(electrons=50, surrogate=None))
    for one, other in zip(signals(made), signals(truth), strict=True):
        assert one.mean() == pytest.approx(other.mean(), abs=0.04)
        fine = [np.diff(each, axis=2).std() for each in (one, other)]
        assert fine[0] == pytest.approx(fine[1], rel=0.15)
        coarse = [each.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4)).ravel() for each in (one, other)]
        assert np.corrcoef(coarse)[0, 1] > 0.9
    np.testing.assert_array_equal(np.asarray(made.truth.data), np.asarray(truth.truth.data))


def test_how_many_slices_are_made_ready_does_not_matter(gold, monkeypatch):
    how = asked(beam_kv=(1.0, 4.0), electrons=10**7, dtype="uint16")
    whole = signals(simulate_stack(gold, how))
    monkeypatch.setattr(fast, "READY_PIXELS", 1)
    for one, other in zip(signals(simulate_stack(gold, how)), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_drift_moves_the_image(gold):
    how = {"electrons": 10**7, "dtype": "uint16", "beam_kv": (1.0,)}
    still, moved = (simulate_stack(gold, asked(drift_px=drift, **how)) for drift in (0.0, 5.0))
    rows, columns = moved.truth.shape[1:]
    area = (slice(0, rows), slice(0, columns))
    inner = (slice(None), slice(8, -8), slice(8, -8))
    truth = np.asarray(moved.truth_slices.data)[inner]
    back = np.asarray(moved.alignments[0].apply(moved.images[0], area, fill=0).data)[inner]
    as_it_is = np.asarray(moved.images[0].data)[:, :rows, :columns][inner]
    agreement = [np.corrcoef(each.ravel(), truth.ravel())[0, 1] for each in (back, as_it_is)]
    steady = np.corrcoef(np.ravel(still.images[0].data), np.ravel(still.truth_slices.data))[0, 1]
    assert agreement[0] > steady - 0.08
    assert agreement[0] > agreement[1] + 0.04


def test_primitives_and_periodic_walls():
    spheres = boolean_model("sphere", porosity=0.6, shape=(100, 40, 40), radius=8, seed=2)
    made = simulate_stack(
        spheres, asked(pixel_nm=2.5, walls="periodic", drift_px=3.0, slices=2, beam_kv=(2.0,))
    )
    assert made.images[0].shape == (2, 40, 40)
    truth = np.asarray(made.truth_slices.data)
    grey = np.asarray(made.images[0].data, float)[0]
    assert grey[truth[0] == 1].mean() > 1.5 * grey[truth[0] == 0].mean()


def test_the_command_writes_what_monte_carlo_writes(tmp_path, gold, capsys):
    write_stack(tmp_path / "gold.ome.zarr", gold)
    words = ("simulate", str(tmp_path / "gold.ome.zarr"), "--slices", "2", "--fast")
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "2 slices of 64 x 64 pixels at 1, 2, 4 kV, by fast imaging" in said
    assert [stack.beam_kv for stack in read_voltages(tmp_path / "out")] == [1, 2, 4]
    told = json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert told["parameters"]["surrogate"] == "fast"


def test_fast_or_neural_but_not_both(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "gold.ome.zarr", "--fast", "--neural", "--out", str(tmp_path / "out")])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"materials": "0=vacuum, 1=gold"}, "knows no vacuum"),
        ({"materials": "0=CH2:0.9, 1=gold"}, "mean atomic number from 6 to 79"),
        ({"beam_kv": (2.0, 20.0)}, "from 0.5 to 10"),
        ({"detector": "EsB"}, "detector all-BSE, not EsB"),
        ({"tilt_deg": 10.0}, "no tilted beam"),
        ({"pixel_nm": 5.0}, "pixels of another size"),
    ],
)
def test_what_takes_electrons_is_refused(gold, given, says):
    with pytest.raises(PorescopeError, match=says):
        simulate_stack(gold, asked(**given))
