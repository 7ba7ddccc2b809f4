import numpy as np
import pytest

from porescope.learn.structures import KINDS, excursion_set, mixture, random_structure, two_levels

SHAPE = (24, 32, 40)


def test_a_seed_names_a_structure():
    first, again, other = (random_structure(SHAPE, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == SHAPE
    assert first.dtype == bool


def test_all_kinds_and_both_phases_occur():
    drawn = []
    counted = {
        (lambda shape, random, kind=kind: drawn.append(kind) or np.zeros(shape, bool)): share
        for kind, share in KINDS.items()
    }
    solid = [random_structure((1, 1, 1), seed, counted).all() for seed in range(400)]
    assert np.mean(solid) == pytest.approx(0.5, abs=0.1)
    for kind, share in KINDS.items():
        assert drawn.count(kind) / 400 == pytest.approx(share, abs=0.08)
    assert sum(KINDS.values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_two_phases(kind):
    solid = [kind((48, 48, 48), np.random.default_rng(seed)).mean() for seed in range(6)]
    assert 0.01 < np.mean(solid) < 0.8
    assert np.ptp(solid) > 0.01


def borders(volume):
    return (volume[1:] != volume[:-1]).mean()


def test_excursion_sets():
    def draw(length, smoothness, seed=0):
        return excursion_set(
            (48, 48, 48),
            length=length,
            smoothness=smoothness,
            solid_fraction=0.3,
            random=np.random.default_rng(seed),
        )

    assert draw(6, 0.5).mean() == pytest.approx(0.3, abs=1e-4)
    assert borders(draw(3, np.inf)) > 1.5 * borders(draw(9, np.inf))
    assert borders(draw(6, 0.5)) > 2 * borders(draw(6, np.inf))
    # Borders of the excursion of a smooth field by Rice: exp(-u^2 / 2) / (pi length) a voxel.
    level = 0.5244  # of 0.3
    expected = np.exp(-(level**2) / 2) / (np.pi * 6)
    crossed = np.mean([borders(draw(6, np.inf, seed)) for seed in range(5)])
    assert crossed == pytest.approx(expected, rel=0.15)


def test_a_mixture_keeps_the_ratios_of_the_other_kinds():
    changed = mixture(0.64)
    assert changed[two_levels] == 0.64
    assert sum(changed.values()) == pytest.approx(1)
    ratios = [changed[kind] / KINDS[kind] for kind in KINDS if kind is not two_levels]
    np.testing.assert_allclose(ratios, 0.72)
    assert mixture(KINDS[two_levels]) == pytest.approx(dict(KINDS))
