"""Stacks by the neural simulator: the same folder as by Monte Carlo, and what it refuses."""

import json

import numpy as np
import pytest

from porescope import Stack
from porescope.cli import main
from porescope.errors import PorescopeError
from porescope.geometry import boolean_model
from porescope.io import read_stack, read_voltages, write_stack
from porescope.pipeline.simulation import SimulationParameters, simulate_stack
from simulated_gold import porous_gold, signals

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def gold():
    return porous_gold()


def asked(**given):
    return SimulationParameters(
        **({"slices": 2, "deviation_nm": 0.0, "surrogate": "auto", "probe_nm": 0.0} | given)
    )


def test_images_and_their_noise_are_those_of_monte_carlo(gold):
    made = simulate_stack(gold, asked(electrons=50))
    truth = simulate_stack(gold, asked(electrons=50, surrogate=None))
    for one, other, stack, beam_kv in zip(
        signals(made), signals(truth), made.images, (1, 2, 4), strict=True
    ):
        assert stack.beam_kv == beam_kv
        assert one.mean() == pytest.approx(other.mean(), rel=0.05)
        np.testing.assert_array_equal(np.asarray(made.truth.data), np.asarray(truth.truth.data))
        fine = [np.diff(each, axis=2).std() for each in (one, other)]
        assert fine[0] == pytest.approx(fine[1], rel=0.15)
        coarse = [each.reshape(2, 16, 4, 16, 4).mean(axis=(2, 4)).ravel() for each in (one, other)]
        assert np.corrcoef(coarse)[0, 1] > 0.9


def test_noise_follows_the_ratio_that_is_asked_for(gold):
    solid = Stack(np.ones_like(gold.data), gold.spacing_nm, is_labels=True)
    made = simulate_stack(solid, asked(snr=10.0, beam_kv=(2.0,)))
    (signal,) = signals(made)
    assert signal.mean() / signal.std() == pytest.approx(10.0, rel=0.1)


def quiet(gold, **given):
    """Return a stack that is nearly free of noise."""
    return simulate_stack(gold, asked(electrons=10**7, dtype="uint16", **given))


def test_a_probe_blurs(gold):
    still, blurred = (signals(quiet(gold, probe_nm=probe_nm))[1] for probe_nm in (0.0, 8.0))
    assert np.diff(blurred, axis=2).std() < 0.8 * np.diff(still, axis=2).std()
    assert blurred.mean() == pytest.approx(still.mean(), rel=0.01)


def agreement(simulated, aligned):
    """Return how much each stack's second slice looks like the truth."""
    inner = (slice(1, 2), slice(8, -8), slice(8, -8))
    truth = np.asarray(simulated.truth_slices.data)[inner].ravel()
    area = (slice(0, simulated.truth.shape[1]), slice(0, simulated.truth.shape[2]))
    stacks = [
        alignment.apply(stack, area, fill=0) if aligned else stack
        for stack, alignment in zip(simulated.images, simulated.alignments, strict=True)
    ]
    return np.array([np.corrcoef(np.ravel(each.data[inner]), truth)[0, 1] for each in stacks])


def test_drift_is_what_the_alignment_undoes(gold):
    moved, still = quiet(gold, drift_px=2.0), quiet(gold)
    assert (agreement(moved, True) > agreement(still, False) - 0.08).all()
    assert (agreement(moved, True) > agreement(moved, False) + 0.1).any()


def test_the_command_writes_what_monte_carlo_writes(tmp_path, gold, capsys):
    write_stack(tmp_path / "gold.ome.zarr", gold)
    words = ("simulate", str(tmp_path / "gold.ome.zarr"), "--slices", "2", "--neural")
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "2 slices of 64 x 64 pixels at 1, 2, 4 kV, by the neural simulator" in said
    stacks = read_voltages(tmp_path / "out")
    assert [stack.beam_kv for stack in stacks] == [1, 2, 4]
    assert read_stack(tmp_path / "out" / "truth-slices.ome.zarr").shape == (2, 64, 64)
    told = json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert told["parameters"]["surrogate"] == "auto"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"materials": "0=epoxy, 1=silver"},
            r"materials 0=epoxy, 1=silver .default knows",
        ),
        ({"materials": "0=gold, 1=epoxy"}, "fit the materials"),
        ({"surrogate": "default"}, "default knows 0=vacuum, 1=carbon"),
        ({"surrogate": "nothing"}, "No weights 'nothing'"),
        ({"beam_kv": (2.0, 3.0)}, "know 1, 2, 4 kV, not 3 kV"),
        ({"detector": "SE"}, "detector all-BSE, not SE|secondary electrons epoxy"),
        ({"detector": "EsB"}, "detector all-BSE, not EsB"),
        ({"tilt_deg": 10.0}, "no tilted beam"),
        ({"walls": "periodic"}, "no periodic walls"),
        ({"pixel_nm": 5.0}, "pixels of 2.5 nm, not of 5.0 nm"),
    ],
)
def test_what_the_weights_do_not_know_is_refused(gold, given, says):
    with pytest.raises(PorescopeError, match=says):
        simulate_stack(gold, asked(**given))


@pytest.mark.parametrize("imaged", ["auto", "fast"])
@pytest.mark.parametrize(
    ("labels", "named"), [((0, 0.25), "0.25"), ((0, 4600), "4600"), ((0, 77), "77")]
)
def test_images_are_not_taken_for_labels(gold, imaged, labels, named):
    grey = gold.with_data(np.where(gold.data > 0, *reversed(labels)))
    with pytest.raises(PorescopeError, match=f"without a material: {named}|whole numbers"):
        simulate_stack(grey, asked(surrogate=imaged))


def test_what_weights_do_not_know_is_told_before_how_deep_the_sample_is(gold):
    shallow = gold.with_data(gold.data[:4], slice_z_nm=gold.slice_z_nm[:4])
    with pytest.raises(PorescopeError, match="fit the materials"):
        simulate_stack(shallow, asked(materials="0=gold, 1=epoxy", slices=None))


def test_secondaries_of_primitives_can_be_shown():
    spheres = boolean_model("sphere", porosity=0.5, shape=(60, 48, 48), radius=(5, 9), seed=3)
    made = simulate_stack(
        spheres,
        asked(
            materials="0=vacuum, 1=carbon", pixel_nm=3.0, detector="SE", beam_kv=(2.0,), mean_nm=9.0
        ),
    )
    truth = np.asarray(made.truth_slices.data) > 0
    (signal,) = signals(made)
    assert signal[truth].mean() > 0.15
    assert signal.shape == (2, 48, 48)
