"""From signals back to layers."""

import numpy as np
import pytest

from porescope import PorescopeError
from porescope.errors import Cancelled
from porescope.layers import BEAM_KV, forward, invert, sample, simulate_series, solve
from porescope.layers.forward import layer_model
from porescope.layers.inversion import share_far
from porescope.layers.neighbours import divergence, gradient, smooth
from porescope.layers.noise import noise_between
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


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("kind", ["perlin-smooth", "gratings", "terraces"])
def test_neighbours_tell_the_noise_of_any_layers(kind, noise):
    series = simulate_series(sample("validation", 1, kind), noise=noise)
    assert noise_between(series.signals.astype(float)) == pytest.approx(noise, rel=0.1)


def test_neighbours_that_were_blurred_together_tell_the_noise_that_is_left():
    signals = 0.3 * (1 + 0.02 * np.random.default_rng(0).standard_normal((9, 99, 99)))
    between_rows = (signals[:, 1:] + signals[:, :-1]) / 2
    left = 0.02 / 2**0.5
    assert noise_between(between_rows) == pytest.approx(left, rel=0.05)


@pytest.mark.parametrize("method", ["network", "neighbours", "tikhonov"])
def test_what_layers_do_not_explain_is_not_taken_for_noise(method):
    truth = sample("train", 0, "plates", (48, 48))
    series = simulate_series(truth, noise=0.01)
    well = solve(series.signals, series.beam_kv, method)
    thin = solve(series.signals, series.beam_kv, method, thickest_nm=truth.max(axis=(1, 2)) / 3)
    other = solve(series.signals, series.beam_kv, method, model="published")
    assert np.median(well.misfit) == pytest.approx(1, abs=0.15)
    assert share_far(well.misfit, 31) < 0.01
    for wrong in (thin, other):
        assert wrong.noise == pytest.approx(0.01, rel=0.1)
        assert share_far(wrong.misfit, 31) > 0.1
    assert np.median(other.misfit) > 3


def test_chance_alone_is_never_far():
    chance = np.random.default_rng(0).chisquare(7, 100_000) / 7
    assert share_far(chance, 7) < 1e-4
    assert share_far(np.array([1.0, 9.0]), 7) == 0.5


@pytest.mark.parametrize("beam_kv", [(10.0,), (8.0, 20.0)])
@pytest.mark.parametrize("method", ["default", "network", "neighbours", "tikhonov"])
def test_few_energies_do_not_make_sure(method, beam_kv):
    truth = maps((48, 48))
    series = simulate_series(truth, beam_kv, noise=0.02)
    found = solve(series.signals, beam_kv, method)
    assert found.noise == pytest.approx(0.02, rel=0.2)
    assert np.median(found.misfit) < 1.5
    if method in ("default", "neighbours"):
        within = np.abs(found.thickness_nm - truth) < 2 * found.uncertainty_nm
        assert (within.mean(axis=(1, 2)) > 0.9).all()


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
        (GOOD[:1], (5, 6), {}, "has 1 image but 2 beam energies"),
        (GOOD[0], BEAM_KV, {}, "energies, y, x"),
        (-GOOD, BEAM_KV, {}, "above 0"),
        (np.where(GOOD[3] == GOOD, np.nan, GOOD), BEAM_KV, {}, "8 keV holds values that are not"),
        (GOOD[:2], (5, 5), {}, "5 keV is there twice"),
        (GOOD, BEAM_KV, {"method": "magic"}, "no method"),
        (GOOD, BEAM_KV, {"noise": -1}, "share of the signal"),
        (GOOD, BEAM_KV, {"thickest_nm": (15,)}, "each of the 2 layers, not 15"),
        (GOOD, BEAM_KV, {"thickest_nm": (15, 1e6)}, "at most 10000 nm"),
        (GOOD, BEAM_KV, {"materials": ("silicon", "gold")}, "silicon on silicon cannot be seen"),
        (GOOD, BEAM_KV, {"materials": ("gold", "gold")}, "gold on gold cannot be seen"),
        (GOOD[:2, :2], (5, 9), {}, "2 images so small cannot tell the noise"),
        (GOOD, BEAM_KV, {"model": "published", "thickest_nm": (15, 500)}, "thicker than"),
    ],
)
def test_refusals(signals, beams, options, said):
    with pytest.raises(PorescopeError, match=said):
        invert(signals, beams, **options)
