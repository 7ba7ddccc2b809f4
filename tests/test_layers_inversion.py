"""From signals back to layers."""

import numpy as np
import pytest

from porescope import PorescopeError
from porescope.errors import Cancelled
from porescope.layers import BEAM_KV, forward, invert, sample, simulate_series, solve
from porescope.layers.forward import layer_model
from porescope.layers.neighbours import divergence, gradient, smooth
from porescope.layers.tikhonov import Problem, fit, tables


def maps(shape=(24, 31)):
    gold, aluminium = np.full((2, *shape), 0.0)
    gold[4:18, 5:20] = 8
    aluminium[10:, 8:] = 90
    return np.stack([gold, aluminium])


@pytest.mark.parametrize("model", ["published", "corrected"])
@pytest.mark.parametrize("method", ["tikhonov", "neighbours"])
def test_without_noise_the_layers_come_back(model, method):
    truth = maps()
    found = invert(forward(truth, model=model), BEAM_KV, method, model=model, noise=0)
    assert found.shape == truth.shape
    assert np.abs(found - truth).max(axis=(1, 2)) == pytest.approx([0, 0], abs=0.5)
    assert np.abs(found - truth).mean() < 0.05


def test_other_stacks():
    truth = np.stack([np.full((6, 6), 40.0), np.full((6, 6), 25.0), np.full((6, 6), 6.0)])
    truth[1, :, 3:] = 5
    options = {"materials": ("copper", "carbon", "gold"), "substrate": "epoxy"}
    found = solve(
        forward(truth, **options),
        BEAM_KV,
        "tikhonov",
        noise=0,
        thickest_nm=(80, 60, 15),
        **options,
    )
    assert found.thickness_nm == pytest.approx(truth, abs=1)


def test_uncertainty_is_what_noise_does():
    truth = np.full((2, 40, 40), 0.0)
    truth[0], truth[1] = 9, 70
    series = simulate_series(truth, model="corrected", noise=0.01)
    found = solve(series.signals, series.beam_kv, "tikhonov", noise=0.01)
    for layer in range(2):
        spread = (found.thickness_nm[layer] - truth[layer]).std()
        assert np.median(found.uncertainty_nm[layer]) == pytest.approx(spread, rel=0.3)
    assert found.misfit.mean() == pytest.approx(1, abs=0.1)


def test_noise_is_estimated():
    series = simulate_series(sample("train", 0, "plates", (48, 48)), noise=0.03)
    for method in ("tikhonov", "neighbours"):
        assert solve(series.signals, series.beam_kv, method).noise == pytest.approx(0.03, rel=0.15)


def test_the_table_finds_the_lowest_of_several_minima():
    truth = np.stack([np.linspace(0.5, 15, 30), np.linspace(150, 0, 30)])
    model = layer_model("published")
    beams = np.array(BEAM_KV)
    signals = model.evaluate(truth[:, np.newaxis], beams)[0][:, 0]
    problem = Problem(model, beams, np.array([15.0, 150.0]), np.log(signals), 1e-3)
    found = fit(problem, tables(problem), 0.0)
    assert found.misfit.max() < 1
    brute = np.stack(np.meshgrid(np.linspace(0, 15, 61), np.linspace(0, 150, 61))).reshape(2, -1)
    logs = np.log(model.evaluate(brute[:, np.newaxis], beams)[0][:, 0])
    best = [((logs - each[:, np.newaxis]) ** 2).sum(axis=0).min() for each in problem.logs.T]
    assert (found.misfit * problem.noise**2 <= np.array(best) + 1e-12).all()


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_neighbours_help_against_noise(model):
    truth = maps((48, 48))
    series = simulate_series(truth, model=model, noise=0.02)
    alone, together = (
        invert(series.signals, series.beam_kv, method, model=model, noise=0.02)
        for method in ("tikhonov", "neighbours")
    )
    errors = [np.sqrt(((found - truth)[0] ** 2).mean()) for found in (alone, together)]
    assert errors[1] < 0.6 * errors[0]


def test_divergence_is_the_adjoint_of_the_gradient():
    random = np.random.default_rng(0)
    image, along_y, along_x = random.standard_normal((3, 2, 7, 9))
    left = sum((a * b).sum() for a, b in zip(gradient(image), (along_y, along_x), strict=True))
    assert left == pytest.approx(-(image * divergence(along_y, along_x)).sum())


def test_a_flat_image_with_a_step_loses_no_more_than_total_variation_takes():
    truth = np.zeros((1, 1, 40))
    truth[..., 20:] = 0.5
    curvature = np.full((1, 1, 1, 40), 100.0)
    weights = np.full_like(truth, 10.0)
    found = smooth(curvature, 100 * truth, weights, np.ones_like(truth), truth, 4000)
    # Each plateau of 20 pixels moves by weight / (curvature x length) toward the other.
    assert found[0, 0, :20] == pytest.approx(np.full(20, 0.005), abs=5e-4)
    assert found[0, 0, 20:] == pytest.approx(np.full(20, 0.495), abs=5e-4)


def test_cancel():
    with pytest.raises(Cancelled):
        invert(forward(maps()), BEAM_KV, "tikhonov", noise=0.02, cancel=lambda: True)


GOOD = forward(maps((4, 4)))


@pytest.mark.parametrize(
    ("signals", "beams", "options", "said"),
    [
        (GOOD[:-1], BEAM_KV, {}, "30 images but 31 beam energies"),
        (GOOD[0], BEAM_KV, {}, "energies, y, x"),
        (-GOOD, BEAM_KV, {}, "above 0"),
        (np.where(GOOD[3] == GOOD, np.nan, GOOD), BEAM_KV, {}, "8 keV holds values that are not"),
        (GOOD[:2], (5, 5), {}, "5 keV is there twice"),
        (GOOD, BEAM_KV, {"method": "magic"}, "no method"),
        (GOOD, BEAM_KV, {"noise": -1}, "share of the signal"),
        (GOOD, BEAM_KV, {"thickest_nm": (15,)}, "each of the 2 layers"),
        (GOOD, BEAM_KV, {"model": "published", "thickest_nm": (15, 500)}, "thicker than"),
    ],
)
def test_refusals(signals, beams, options, said):
    with pytest.raises(PorescopeError, match=said):
        invert(signals, beams, **options)
