"""What the network that weighs what pixels say learns from, and how far it is from right.

Series are drawn with the published and the corrected model, many or few energies, and any noise up
to 6 %, of layers of many kinds; some kinds are kept for tests. This module imports torch; import it
inside functions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from porescope.layers.evidence import Evidence
from porescope.layers.evidence_network import cases
from porescope.layers.forward import BEAM_KV, Model, layer_model
from porescope.layers.structures import THICKEST_NM, layer_seed, sample
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

Batch = dict[str, Tensor]
KINDS = ("perlin", "perlin-smooth", "correlated", "plates", "disks", "stripes", "bars")
"""What is learned from; polygons, gratings, meanders and terraces are not."""
SHARE_OF_PERLIN = 0.3
SHARE_OF_MIXED = 0.4
"""Of samples whose layers are of two kinds."""
EDGE, CROP = 128, 64
CROPS = 4
"""Of each sample in an epoch."""
NOISIEST = 0.06
SHARE_WITHOUT_NOISE = 0.08
SETUPS = (
    ("published", BEAM_KV),
    ("corrected", BEAM_KV),
    ("published", BEAM_KV[::3]),
    ("corrected", BEAM_KV[::3]),
    ("published", BEAM_KV[:16]),
    ("corrected", BEAM_KV[3::5]),
)
SHARES = (0.35, 0.35, 0.1, 0.1, 0.05, 0.05)
SEEN = ("features", "thickness", "variance", "likely")
"""What the network sees."""


def draw_thickness(name: str, index: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw a sample of a named set of any kind to learn from, (2, y, x) in nm."""
    if random.random() < SHARE_OF_PERLIN:
        return sample(name, index, "perlin")
    kinds = random.choice(KINDS, 2)
    if random.random() > SHARE_OF_MIXED:
        kinds[1] = kinds[0]
    layers = [sample(name, index, str(kind))[layer] for layer, kind in enumerate(kinds)]
    return np.stack(layers) * random.uniform(0.4, 1, (2, 1, 1))


def draw_noise(random: np.random.Generator) -> float:
    """Draw a relative noise, small ones as often as large ones."""
    if random.random() < SHARE_WITHOUT_NOISE:
        return 0.0
    return float(np.exp(random.uniform(np.log(0.002), np.log(NOISIEST))))


def noisy_series(
    thickness_nm: NDArray[np.float64],
    model: Model,
    beam_kv: NDArray[np.float64],
    noise: float,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the signals of layers with relative noise, (energies, y, x)."""
    clean = model.evaluate(thickness_nm, beam_kv)[0]
    noisy: NDArray[np.float64] = clean * (1 + noise * random.standard_normal(clean.shape))
    return noisy


def setups() -> list[Evidence]:
    """Return what layers can look like in each of SETUPS."""
    return [
        Evidence(layer_model(model), np.array(beam_kv), THICKEST_NM) for model, beam_kv in SETUPS
    ]


class Told(Dataset[Batch]):
    """Crops of what pixels of drawn series say, turned and mirrored at random, with the truth.

    Parameters
    ----------
    name : {"train", "validation", "test"}
        Set of samples, which share no layer with those of another.
    count : int
    setups : list of Evidence
        For each of SETUPS.
    seed : int
        Another one gives other samples.
    progress, cancel
        See :mod:`porescope.tracking`.
    """

    def __init__(
        self,
        name: str,
        count: int,
        setups: list[Evidence],
        seed: int,
        progress: Progress = no_progress,
        cancel: Cancel = never_cancel,
    ) -> None:
        self.seed = seed
        self.drawn = [
            _draw(name, index, setups, np.random.default_rng([seed, layer_seed(name, index, 0)]))
            for index in track(range(seed * count, (seed + 1) * count), progress, cancel)
        ]

    def __len__(self) -> int:
        return CROPS * len(self.drawn)

    def __getitem__(self, index: int) -> Batch:
        epoch, which = divmod(index, len(self))
        random = np.random.default_rng([self.seed, epoch, which])
        y, x = random.integers(EDGE - CROP + 1, size=2).tolist()
        turns, mirrored = random.integers((4, 2)).tolist()
        batch = {}
        for name, drawn in self.drawn[which % len(self.drawn)].items():
            each = drawn[..., y : y + CROP, x : x + CROP].float().rot90(turns, (-2, -1))
            batch[name] = (each.flip(-1) if mirrored else each).contiguous()
        return batch


def _draw(name: str, index: int, setups: list[Evidence], random: np.random.Generator) -> Batch:
    truth = draw_thickness(name, index, random)
    which = int(random.choice(len(SETUPS), p=SHARES))
    model, beam_kv = SETUPS[which]
    noise = draw_noise(random)
    series = noisy_series(truth, layer_model(model), np.array(beam_kv), noise, random)
    told = setups[which].told(setups[which].pixels(series, noise))
    said = cases(told, truth.shape[1:])
    return {
        "features": told.features.reshape(-1, EDGE, EDGE).half(),
        "thickness": said.thickness.half(),
        "variance": said.variance,
        "likely": said.likely.half(),
        "truth": torch.from_numpy(truth / np.array(THICKEST_NM)[:, None, None]).float(),
    }


def loss(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return how unlikely the truth is to the network.

    That is the case, which layers there are, and in it their thickness. And the mean deviation of
    the likeliest, in thickest layers.
    """
    answer = network(*(batch[name] for name in SEEN))
    truth = batch["truth"]
    there = (truth > 0).float()
    which = (3 - there[:, 0] - 2 * there[:, 1]).long()
    unlikely = functional.nll_loss(answer.likely, which)
    at = which[:, None, None].expand(-1, 1, 2, -1, -1)
    thickness, deviation = (each.gather(1, at)[:, 0] for each in answer[1:])
    off = there * ((thickness - truth).abs() / deviation + deviation.log())
    if network.training:
        # By likelihood alone, what is known well anyway would take all the effort.
        off = off * deviation.detach().sqrt()
    at = answer.likely.argmax(dim=1)[:, None, None].expand(-1, 1, 2, -1, -1)
    told = (answer.thickness.gather(1, at)[:, 0] - truth).abs().detach()
    lower, upper = told.mean(dim=(0, 2, 3))
    return {
        "loss": unlikely + off.mean(),
        "unlikely": unlikely.detach(),
        "lower": lower,
        "upper": upper,
    }


def example(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the lower layer of the first item as its pixels say, the network says, and it is."""
    with torch.no_grad():
        answer = network(*(batch[name][:1] for name in SEEN))
    return {
        "image": batch["thickness"][0, 0, 0],
        "truth": batch["truth"][0, 0],
        "prediction": (answer.likely.exp()[:, :, None] * answer.thickness).sum(dim=1)[0, 0],
    }


def data(samples: int) -> str:
    """Return what is learned from, for the card."""
    return (
        f"{samples} pairs of layers of {EDGE} x {EDGE} pixels that porescope.layers.structures "
        f"drew: {', '.join(KINDS)}; their signals by the published and the corrected model, at 6 "
        f"to 31 energies, noise up to {NOISIEST:.0%}."
    )
