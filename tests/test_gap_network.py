"""What the network is told about gaps, and what it learns from."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from porescope.correct.interpolation.gap_network import REACH, GapNetwork, gap_input  # noqa: E402
from porescope.correct.interpolation.gap_training import Gaps, Patches, as_batch, structures  # noqa: E402
from porescope.correct.interpolation.gaps import Gap, gaps  # noqa: E402


def test_gaps_have_the_slices_around_them():
    known = np.zeros(20, bool)
    known[[2, 3, 6, 9, 10, 14]] = True
    found = [(g.missing.tolist(), g.sources.tolist(), g.before) for g in gaps(known, 2)]
    assert found == [
        ([0, 1], [2], 0),
        ([4, 5], [2, 3, 6, 9], 2),
        ([7, 8], [3, 6, 9, 10], 2),
        ([11, 12, 13], [9, 10, 14], 2),
        ([15, 16, 17, 18, 19], [14], 1),
    ]
    assert [g.between for g in gaps(known, 2)] == [False, True, True, True, False]
    assert not list(gaps(np.ones(3, bool), 2))


def random_batch(gap, seed=0):
    volume = structures(1, 96, seed)[0][:, :32, :32]
    return volume, as_batch(volume, gap)


def mirrored(volume, gap):
    last = len(volume) - 1
    turned = Gap(last - gap.missing[::-1], last - gap.sources[::-1], len(gap.sources) - gap.before)
    return as_batch(volume[::-1], turned)


@pytest.mark.parametrize(
    "gap",
    [
        Gap(np.arange(11, 15), np.array([3, 7, 10, 15, 22, 23]), 3),
        Gap(np.array([11, 13]), np.array([10, 15, 22]), 1),
        Gap(np.array([11]), np.array([3, 10, 15, 22, 24]), 2),
    ],
)
def test_a_gap_seen_from_below_is_the_same_gap(gap):
    volume, batch = random_batch(gap, seed=5)
    below = mirrored(volume, gap)
    torch.testing.assert_close(below["slices"], batch["slices"].flip(0))
    torch.testing.assert_close(below["logits"], batch["logits"].flip(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(below["truth"], batch["truth"].flip(0))
    steps, present = batch["gap"][: 2 * REACH - 1], batch["gap"][2 * REACH - 1 :]
    torch.testing.assert_close(below["gap"], torch.cat([steps.flip(0), present.flip(0)]))
    turned = batch["planes"].flip(0)[:, [0, 2, 1]] * torch.tensor([-1.0, 1, 1])
    torch.testing.assert_close(below["planes"], turned)


def test_slices_that_do_not_exist_are_told():
    fields = np.ones((3, 4, 4), np.float32)
    gap = Gap(np.array([4]), np.array([3, 8, 12]), 1)
    seen = gap_input(gap, fields, fields[:1], np.array([0.1]), 2.0)
    assert seen.slices[:, 0, 0].tolist() == [0, 0, 1, 1, 1, 0]
    typical, known = 0.0, np.log(2.0)  # of four pixels
    np.testing.assert_allclose(seen.gap[:5], [typical, typical, np.log(2.5), known, typical])
    assert seen.gap[5:].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(seen.planes[0], [2 / 5 - 1, np.log(0.5), np.log(2.0)], rtol=1e-6)
    assert seen.logits.max() == 8  # no surer than that


@pytest.fixture(scope="module")
def drawn():
    return Gaps(structures(3, 96, 11), 6, seed=2)


def test_patches_are_what_they_are_whoever_asks(drawn):
    patches, again = (Patches(drawn, 48, 10, seed=3) for _ in range(2))
    for index in (0, 7, 1000):  # beyond the epoch too
        for name, values in patches[index].items():
            torch.testing.assert_close(values, again[index][name])
    assert patches[0]["slices"].shape == (6, 48, 48)
    assert patches[0]["truth"].shape == patches[0]["logits"].shape == (1, 48, 48)
    assert len(patches) == 10


def test_truth_and_estimate_are_turned_alike(drawn):
    patches = Patches(drawn, 48, 10, seed=3)
    agreement = [
        ((each["logits"] > 0) == (each["truth"] > 0.5)).float().mean()
        for each in (patches[index] for index in range(60))
    ]
    assert np.mean(agreement) > 0.9


def test_an_untrained_network_is_kriging():
    network = GapNetwork().eval()
    logits = torch.randn(2, 3, 16, 12)
    with torch.inference_mode():
        given = network(torch.randn(2, 6, 16, 12), logits, torch.randn(2, 9), torch.randn(2, 3, 3))
    torch.testing.assert_close(given, logits)


def test_planes_do_not_see_each_other():
    torch.manual_seed(1)
    network = GapNetwork().eval()
    torch.nn.init.normal_(network.correct.weight)
    slices, gap = torch.randn(2, 6, 16, 12), torch.randn(2, 9)
    logits, planes = torch.randn(2, 3, 16, 12), torch.randn(2, 3, 3)
    with torch.inference_mode():
        together = network(slices, logits, gap, planes)
        alone = [network(slices, logits[:, [n]], gap, planes[:, [n]]) for n in range(3)]
    torch.testing.assert_close(torch.cat(alone, dim=1), together, rtol=1e-4, atol=1e-4)
