"""The forward model: the published values, physics of the corrected one, slopes, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porescope import PorescopeError
from porescope.imaging import hunger_kuechler
from porescope.imaging.transport import trace_layers
from porescope.layers import BEAM_KV, bare_signal, forward, layer_model, sample

PUBLISHED_KV = (5, 10, 15, 20, 25, 30, 35)
PUBLISHED = {
    (0, 0): (0.49,) * 7,
    (0, 150): (0.84438, 0.64277, 0.57456, 0.54487, 0.52908, 0.51957, 0.51335),
    (5, 0): (0.76210, 0.61146, 0.55921, 0.53554, 0.52268, 0.51485, 0.50967),
    (15, 0): (0.89238, 0.76607, 0.66863, 0.61401, 0.58155, 0.56078, 0.54666),
    (15, 150): (0.54562, 0.72500, 0.69261, 0.63984, 0.60203, 0.57643, 0.55872),
    (10, 100): (0.62941, 0.71421, 0.64462, 0.59620, 0.56688, 0.54834, 0.53595),
}


def column(*thickness_nm):
    return np.array(thickness_nm, float).reshape(-1, 1, 1)


@pytest.mark.parametrize("thickness_nm", PUBLISHED)
def test_published_values(thickness_nm):
    found = forward(column(*thickness_nm), PUBLISHED_KV, "published")[:, 0, 0]
    assert found == pytest.approx(np.array(PUBLISHED[thickness_nm]), abs=1e-4)


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_bare_substrate(model):
    assert forward(column(0, 0), model=model)[:, 0, 0] == pytest.approx(bare_signal(model=model))


@given(st.floats(0, 5000), st.floats(1, 50))
def test_aluminium_without_gold_does_not_shine_like_gold(aluminium, beam):
    found = forward(column(0, aluminium), [beam])[0, 0, 0]
    low, high = sorted((hunger_kuechler(13, beam), hunger_kuechler(14, beam)))
    assert low - 1e-12 <= found <= high + 1e-12


@given(st.floats(0, 3000), st.floats(0, 3000), st.floats(1, 50))
def test_thicker_gold_is_brighter_up_to_its_bulk(gold, more, beam):
    thin, thick = (forward(column(nm, 0), [beam])[0, 0, 0] for nm in (gold, gold + more))
    assert thin <= thick + 1e-12
    assert thick <= hunger_kuechler(79, beam) + 1e-12


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_nothing_is_singular_in_thick_layers(model):
    chosen = layer_model(model)
    through = np.linspace(0, 5000, 4001)
    for maps in (
        np.stack([through, 0 * through]),
        np.stack([0 * through + 1, through]),
        np.stack([through, through]),
    ):
        signals, slopes = chosen.evaluate(maps[:, np.newaxis], np.array(BEAM_KV), True)
        assert np.isfinite(signals).all()
        assert np.isfinite(slopes).all()
        assert signals.min() > 0.1
        assert signals.max() <= 0.9 + 1e-9
    bulk = chosen.evaluate(column(0, 20_000), np.array([5.0, 35.0]))[0][:, 0, 0]
    if model == "corrected":
        assert bulk == pytest.approx([hunger_kuechler(13, 5.0), hunger_kuechler(13, 35.0)])


def test_a_layer_cut_in_two_is_the_same_layer():
    whole = forward(column(40, 300), materials=("copper", "carbon"))
    cut = forward(column(15, 25, 100, 200), materials=("copper", "copper", "carbon", "carbon"))
    assert cut == pytest.approx(whole, abs=1e-12)


def test_the_order_of_layers_counts():
    below = forward(column(10, 60), materials=("gold", "aluminium"))
    above = forward(column(60, 10), materials=("aluminium", "gold"))
    assert (above - below)[0, 0, 0] > 0.02


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_every_pixel_by_itself_and_none_transposed(model):
    layers = sample("train", 1, shape=(20, 33))
    signals = forward(layers, (5, 20, 35), model)
    assert signals.shape == (3, 20, 33)
    for y, x in [(0, 0), (19, 32), (19, 0), (0, 32), (7, 21)]:
        alone = forward(layers[:, y : y + 1, x : x + 1], (5, 20, 35), model)
        assert signals[:, y, x] == pytest.approx(alone[:, 0, 0])
    assert (signals[:, -1] > 0).all()
    assert (signals[..., -1] > 0).all()


@pytest.mark.parametrize(
    ("model", "materials"),
    [
        ("published", ("gold", "aluminium")),
        ("corrected", ("gold", "aluminium")),
        ("corrected", ("epoxy", "silver", "carbon")),
    ],
)
def test_slopes_are_those_of_differences_and_of_torch(model, materials):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    chosen = layer_model(model, materials)
    maps = random.uniform(0.01, 15, (len(materials), 4, 5))
    beams = np.array(BEAM_KV)
    signals, slopes = chosen.evaluate(maps, beams, True)
    for layer in range(len(materials)):
        moved = maps.copy()
        moved[layer] += 1e-6
        change = (chosen.evaluate(moved, beams)[0] - signals) / 1e-6
        assert slopes[layer] == pytest.approx(change, rel=1e-3, abs=1e-7)
    tensor = torch.tensor(maps, requires_grad=True)
    same = forward(tensor, beams, model, materials)
    assert same.detach().numpy() == pytest.approx(signals)
    weights = torch.tensor(random.standard_normal(signals.shape))
    (same * weights).sum().backward()
    assert tensor.grad.numpy() == pytest.approx(np.einsum("leyx,eyx->lyx", slopes, weights.numpy()))


@pytest.mark.parametrize("model", ["published", "corrected"])
def test_gradients_exist_where_there_is_no_layer(model):
    torch = pytest.importorskip("torch")
    maps = torch.zeros((3, 2, 4, 4), requires_grad=True)
    signals = forward(maps, model=model)
    assert signals.shape == (3, 31, 4, 4)
    signals.sum().backward()
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("beam", [6.0, 12.0, 30.0])
@pytest.mark.parametrize(("gold", "aluminium"), [(8, 0), (8, 90), (0, 120)])
def test_beside_monte_carlo(beam, gold, aluminium):
    layers = [("aluminium", aluminium), ("gold", gold), ("silicon", np.inf)]
    histories = trace_layers(
        [each for each in layers if each[1] > 0], beam, electrons=20_000, secondaries=False
    )
    found = forward(column(gold, aluminium), [beam])[0, 0, 0]
    assert found == pytest.approx(histories.backscattered.mean(), abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((column(1),), "2, y, x"),
        ((column(1, -1),), "0 nm or above"),
        ((column(1, np.nan),), "0 nm or above"),
        ((column(1, 1), [0.0]), "1 to 50"),
        ((column(1, 1), []), "one for each image"),
        ((column(1, 1), [5.0], "new"), "published"),
        ((column(1, 1), [5.0], "published", ("aluminium", "gold")), "corrected"),
        ((column(1, 1), [5.0], "corrected", ("gold", "vacuum")), "solid"),
        ((column(1, 1), [5.0], "corrected", ("gold", "cheese")), "cheese"),
        ((column(1, 400), [5.0], "published"), "thicker than the published model holds at 5 keV"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(PorescopeError, match=said):
        forward(*arguments)
