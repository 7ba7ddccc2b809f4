"""Training that makes images look like others of which nothing but the look is known.

Two generators, there and back, and a critic of each look: CycleGAN (J.-Y. Zhu et al., ICCV 2017).
A step leads along one loss: critics see what generators made as given, and generators see the
critics as given, so the gradients of each side are those of its own loss, and since the lengths of
steps do not depend on those of gradients, one optimizer serves both. This module imports torch;
import it inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import Dataset

from porescope.adapt.adaptation import FILE, NAME, Settings, noise_fields
from porescope.adapt.guard import edges_moved
from porescope.adapt.likeness import distance, look_of
from porescope.adapt.matching import NO_MATCH, Match, apart, match
from porescope.adapt.networks import NOISES, Critic, Generator, Pool, known_beam
from porescope.adapt.parameters import AdaptationTraining
from porescope.errors import PorescopeError
from porescope.learn.training import train, versions
from porescope.learn.weights import Card, save_weights
from porescope.segment.levels import Levels, levels_of
from porescope.stack import COLUMNS, ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

Batch = dict[str, Tensor]
Place = tuple[int, int, int, int]
"""Stack, slice, row and column."""

POOLED = 50
KEPT_BACK = 0.2
"""Share of the slices of each stack, its last, by which likeness is judged."""
JUDGED = 24
"""Patches of each look and voltage by which it is judged."""
MATCHED = 12
"""Patches that blur and noise to begin with are taken from."""
LEAST = (0.0, 0.003, 0.002)
"""Of blur and noise that generators begin with: from no noise at all no step would lead on, since
less than none is as good as more."""
CRITICS_PACE = 8.0
"""Two paces let both sides settle: M. Heusel et al., NeurIPS 2017."""
REFUSED = 10.0
"""Added to the distance of looks where the guard refuses."""
SAMPLES, TARGETS = "sample", "target"


@dataclass(frozen=True)
class Shown:
    """Stacks of one look and voltage, with what is dark and bright in them.

    Attributes
    ----------
    stacks : sequence of Stack
    levels : sequence of Levels
        Of each.
    """

    stacks: Sequence[Stack]
    levels: Sequence[Levels]

    def patch(self, place: Place, edge: int) -> Tensor:
        """Return a patch on the scale from dark to bright, shape (1, edge, edge)."""
        which, z, y, x = place
        grey = self.stacks[which].image(z, slice(y, y + edge), slice(x, x + edge))
        return torch.from_numpy(self.levels[which].apply(grey))[None]

    def places(self, edge: int, stride: int, judged: bool) -> list[Place]:
        """Return all patches, those learned from or those judged by."""
        found = []
        for which, stack in enumerate(self.stacks):
            count = stack.shape[SLICES]
            first = count - max(1, round(KEPT_BACK * count))
            slices = range(first, count) if judged else range(first)
            rows, columns = (_starts(stack.shape[axis], edge, stride) for axis in (ROWS, COLUMNS))
            found += [(which, z, y, x) for z in slices for y in rows for x in columns]
        return found


def _starts(size: int, edge: int, stride: int) -> list[int]:
    return sorted({*range(0, size - edge, stride), size - edge})


class Patches(Dataset[Batch]):
    """A patch of each look at one voltage, mirrored at random, with the noise to make more of them.

    Parameters
    ----------
    looks : mapping of float to (Shown, Shown)
        For each voltage the simulated stacks, and those whose look is wanted.
    parameters : AdaptationTraining
    """

    def __init__(
        self, looks: Mapping[float, tuple[Shown, Shown]], parameters: AdaptationTraining
    ) -> None:
        self._parameters = parameters
        edge, stride = parameters.patch_px, parameters.stride_px
        self._beams = [
            (beam_kv, [(shown, shown.places(edge, stride, judged=False)) for shown in pair])
            for beam_kv, pair in looks.items()
        ]

    def __len__(self) -> int:
        return self._parameters.patches

    def __getitem__(self, index: int) -> Batch:
        random = np.random.default_rng([self._parameters.seed, index])
        beam_kv, pair = self._beams[random.integers(len(self._beams))]
        edge = self._parameters.patch_px
        batch = {"beam": torch.tensor(known_beam(beam_kv))}
        for name, (shown, places) in zip((SAMPLES, TARGETS), pair, strict=True):
            patch = shown.patch(places[int(random.integers(len(places)))], edge)
            mirrored = [axis for axis in (1, 2) if random.random() < 0.5]
            batch[name] = patch.flip(mirrored)
        # In the first epoch critics alone learn, so that generators do not follow chance.
        batch["begun"] = torch.tensor(float(index >= len(self)))
        noise = random.standard_normal((4, NOISES, edge, edge), np.float32)
        noise[:, 1] = noise[:, 1, :1]
        return {
            **batch,
            "noise": torch.from_numpy(noise),
            "draws": torch.rand(2, generator=_torch(random)),
        }


def _torch(random: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(random.integers(1 << 31)))


class Judged(Dataset[Batch]):
    """All patches by which likeness is judged, as one item for each voltage."""

    def __init__(
        self, looks: Mapping[float, tuple[Shown, Shown]], parameters: AdaptationTraining
    ) -> None:
        edge = parameters.patch_px
        self.items = []
        for beam_kv, pair in looks.items():
            item = {"beam": torch.tensor(known_beam(beam_kv))}
            for name, shown in zip((SAMPLES, TARGETS), pair, strict=True):
                places = shown.places(edge, edge, judged=True)
                # As many of each, so that what is by chance in them is alike.
                chosen = np.linspace(0, len(places) - 1, JUDGED).round().astype(int)
                item[name] = torch.stack([shown.patch(places[at], edge) for at in chosen])
            fields = [noise_fields((edge, edge), parameters.seed, at) for at in range(JUDGED)]
            item["noise"] = torch.from_numpy(np.stack(fields))
            self.items.append(item)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Batch:
        return self.items[index]


class Adversaries(nn.Module):
    """Generators there and back, the critics of both looks, and what these were shown.

    Parameters
    ----------
    parameters : AdaptationTraining
    matches : two of Match
        Blur and noise that generators begin with, there and back.
    """

    def __init__(self, parameters: AdaptationTraining, matches: Sequence[Match]) -> None:
        super().__init__()
        self.there, self.back = (Generator(parameters.channels, each) for each in matches)
        self.of_target, self.of_sample = (Critic(parameters.channels) for _ in range(2))
        self.targets, self.samples = (Pool(POOLED, parameters.patch_px) for _ in range(2))

    def paces(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return which parameters learn how fast: critics must keep up with what they judge."""
        generators = [*self.there.parameters(), *self.back.parameters()]
        critics = [*self.of_target.parameters(), *self.of_sample.parameters()]
        return [(generators, 1.0), (critics, CRITICS_PACE)]


def loss(network: Adversaries, batch: Batch, parameters: AdaptationTraining) -> dict[str, Tensor]:
    """Return what a step learns from; or how likely the looks are one, while it is judged."""
    if not network.training:
        return _judged(network, batch)
    beam, noise, draws = batch["beam"], batch["noise"].transpose(0, 1), batch["draws"]
    sample, target = batch[SAMPLES], batch[TARGETS]
    both = beam.repeat(2)
    clean, added = network.there.parts(torch.cat([sample, target]), both, noise[:2].flatten(0, 1))
    unclean, unadded = network.back.parts(
        torch.cat([target, sample]), both, noise[2:].flatten(0, 1)
    )
    (like_target, same_target), (like_sample, same_sample) = clean.chunk(2), unclean.chunk(2)
    made, unmade = like_target + added.chunk(2)[0], like_sample + unadded.chunk(2)[0]
    # Noise that was added cannot be told from noise that was there: it need not come back.
    again_sample, _ = network.back.parts(like_target, beam, noise[0])
    again_target, _ = network.there.parts(like_sample, beam, noise[2])
    adversarial = _deceit(network.of_target, made, beam) + _deceit(network.of_sample, unmade, beam)
    cycle = _apart(again_sample, sample) + _apart(again_target, target)
    identity = _apart(same_target, target) + _apart(same_sample, sample)
    critics = _insight(network.of_target, network.targets, target, made, beam, draws[:, 0])
    critics = critics + _insight(
        network.of_sample, network.samples, sample, unmade, beam, draws[:, 1]
    )
    generators = adversarial + parameters.cycle * cycle + parameters.identity * identity
    told = {"adversarial": adversarial, "cycle": cycle, "identity": identity, "critics": critics}
    return {
        "loss": batch["begun"].mean() * generators + critics,
        **{name: value.detach() for name, value in told.items()},
    }


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean distance of two images, but for noise of single pixels."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=first.device) / 16
    blur = torch.outer(line, line)[None, None]
    return functional.conv2d(first - second, blur).abs().mean()


def _deceit(critic: Critic, made: Tensor, beam: Tensor) -> Tensor:
    """Return by how much a critic is not deceived; it is taken as given."""
    given = {name: value.detach() for name, value in critic.named_parameters()}
    told: Tensor = functional_call(critic, given, (made, beam))
    return (told - 1).square().mean()


def _insight(
    critic: Critic, pool: Pool, real: Tensor, made: Tensor, beam: Tensor, draws: Tensor
) -> Tensor:
    """Return by how much a critic errs, about images as they are."""
    old, beams = pool.exchanged(made, beam, draws)
    on_real, on_old = critic(torch.cat([real, old]), torch.cat([beam, beams])).chunk(2)
    return ((on_real - 1).square().mean() + on_old.square().mean()) / 2


def _judged(network: Adversaries, batch: Batch) -> dict[str, Tensor]:
    """Return how far the looks are apart, 1 being as far as before, and what edges did."""
    found = []
    for at, beam in enumerate(batch["beam"]):
        sample, target = batch[SAMPLES][at], batch[TARGETS][at]
        made = network.there(sample, beam.expand(len(sample)), batch["noise"][at])
        before, wanted, after = (
            [image.numpy() for image in images[:, 0].float().cpu()]
            for images in (sample, target, made)
        )
        looks = distance(look_of(after), look_of(wanted), look_of(before))
        moved = edges_moved(before, after)
        found.append(
            {
                "loss": looks + REFUSED * moved.refused,
                "distance": looks,
                "edges_moved_px": moved.median_px,
                "edges_removed": moved.removed,
                "edges_invented": moved.invented,
            }
        )
    return {
        name: torch.tensor([each[name] for each in found], dtype=torch.float32).mean()
        for name in found[0]
    }


def example(network: Adversaries, batch: Batch) -> dict[str, Tensor]:
    """Return a patch before and after, and one whose look is wanted."""
    sample = batch[SAMPLES][0, :1]
    with torch.no_grad():
        made = network.there(sample, batch["beam"][:1], batch["noise"][0, :1])
    return {
        "before": sample[0, 0],
        "after": made[0, 0].clamp(*_shown(batch[TARGETS])),
        "wanted": batch[TARGETS][0, 0, 0],
    }


def _shown(images: Tensor) -> tuple[float, float]:
    return float(images.min()), float(images.max())


def train_adaptation(
    samples: Sequence[Stack],
    targets: Sequence[Stack],
    folder: str | Path,
    parameters: AdaptationTraining,
    *,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Card:
    """Train networks that make simulated images look like others, and write their weights.

    Parameters
    ----------
    samples : sequence of Stack
        Simulated; several stacks a voltage, if there are.
    targets : sequence of Stack
        Of the same voltages, with the look that is wanted. They need not show the same structure,
        but one of the same kind: as much solid, pixels as large.
    folder : str or Path
        A training that was stopped there goes on.
    parameters : AdaptationTraining
    progress, cancel
        See :mod:`porescope.tracking`.

    Returns
    -------
    Card
        Written beside the weights, ``adaptation.safetensors``. Its scores are of slices that were
        kept back, the last fifth of each stack.

    Raises
    ------
    PorescopeError
        If voltages or pixels differ, or stacks are too small to keep slices back.
    Cancelled
        If ``cancel()`` became true; finished epochs are kept.

    Notes
    -----
    Training ends, and the epoch is chosen, by how far the looks of slices that were kept back are
    apart, see :mod:`porescope.adapt.likeness`; epochs in which the guard refuses do not count.
    """
    looks = _looks(samples, targets, parameters, cancel)
    settings = _settings(looks, parameters)
    folder = Path(folder)
    judged = Judged(looks, parameters)
    network, scores = train(
        lambda: Adversaries(parameters, _matches(judged)),
        partial(loss, parameters=parameters),  # type: ignore[arg-type]  # it is given that network
        Patches(looks, parameters),
        judged,
        folder,
        parameters,
        example=example,  # type: ignore[arg-type]
        progress=progress,
        cancel=cancel,
    )
    if scores["validation_loss"] >= REFUSED:
        raise PorescopeError(
            "In no epoch the structure stayed as it is, so there are no weights to trust: the "
            "simulated stacks and those whose look is wanted differ too much; simulate such as are "
            "more like them, or train longer in another folder."
        )
    counts = [sum(stack.shape[SLICES] for stack in stacks) for stacks in (samples, targets)]
    card = Card(
        network=NAME,
        summary="Makes simulated images look like others.",
        settings=settings.model_dump(mode="json"),
        data=(
            f"{counts[0]} slices of {len(samples)} simulated stacks, and {counts[1]} of "
            f"{len(targets)} with the look that is wanted; no pairs, no labels."
        ),
        split="By slice: the last fifth of each stack was kept back, and chose the epoch.",
        training=parameters.model_dump(exclude_none=True, exclude={"target_spacing_nm"}),
        scores={name: value for name, value in scores.items() if name != "validation_loss"},
        versions=versions(),
    )
    generator: Any = network.there
    tensors = {key: value.numpy() for key, value in generator.state_dict().items()}
    save_weights(folder / FILE, tensors, card)
    return card


def _looks(
    samples: Sequence[Stack],
    targets: Sequence[Stack],
    parameters: AdaptationTraining,
    cancel: Cancel,
) -> dict[float, tuple[Shown, Shown]]:
    """Return the stacks of each voltage, or refuse them."""
    grouped: list[dict[float, list[Stack]]] = [{}, {}]
    for groups, stacks, name in zip(
        grouped, (samples, targets), ("simulated stack", "stack whose look is wanted"), strict=True
    ):
        for stack in stacks:
            beam_kv = stack.beam_kv or (parameters.target_kv if groups is grouped[1] else None)
            if beam_kv is None:
                raise PorescopeError(f"A {name} tells no voltage; give it with target_kv.")
            _check_size(stack, name, parameters.patch_px)
            groups.setdefault(beam_kv, []).append(stack)
    simulated, wanted = grouped
    if not wanted or simulated.keys() < wanted.keys() or not simulated.keys() & wanted.keys():
        raise PorescopeError(
            f"The simulated stacks have {_told(simulated)}, those whose look is wanted "
            f"{_told(wanted)}; simulate at the same voltages."
        )
    pixels = [stack.spacing_nm[ROWS] for stack in (*samples, *targets)]
    if max(pixels) > 1.25 * min(pixels):
        raise PorescopeError(
            f"Pixels of the stacks are from {min(pixels):g} to {max(pixels):g} nm large, so that "
            "blur and noise cannot be compared; simulate with those of your stack."
        )
    return {
        beam_kv: (_shown_by(simulated[beam_kv], cancel), _shown_by(wanted[beam_kv], cancel))
        for beam_kv in sorted(wanted)
    }


def _told(groups: Mapping[float, Any]) -> str:
    return (", ".join(f"{beam_kv:g}" for beam_kv in sorted(groups)) or "no voltage") + " kV"


def _check_size(stack: Stack, name: str, edge: int) -> None:
    if stack.shape[SLICES] < 2 or min(stack.shape[ROWS:]) < edge:
        raise PorescopeError(
            f"A {name} has the shape {stack.shape} (z, y, x), but takes two slices and {edge} x "
            f"{edge} pixels at least; take larger ones, or smaller patches."
        )


def _shown_by(stacks: Sequence[Stack], cancel: Cancel) -> Shown:
    return Shown(stacks, [levels_of(stack, cancel=cancel) for stack in stacks])


def _settings(
    looks: Mapping[float, tuple[Shown, Shown]], parameters: AdaptationTraining
) -> Settings:
    wanted = [target for _, target in looks.values()]
    return Settings(
        beam_kv=tuple(looks),
        channels=parameters.channels,
        pixel_nm=float(np.median([shown.stacks[0].spacing_nm[ROWS] for shown in wanted])),
        dark=tuple(_mean([levels.dark for levels in shown.levels]) for shown in wanted),
        bright=tuple(_mean([levels.bright for levels in shown.levels]) for shown in wanted),
        dtype=_dtype(wanted),
    )


def _matches(judged: Judged) -> list[Match]:
    """Return the blur and noise, there and back, that bring the looks nearest at all voltages."""
    found = []
    for way in ((SAMPLES, TARGETS), (TARGETS, SAMPLES)):
        pairs = []
        for item in judged.items:
            images, wanted = ([*item[name][:MATCHED, 0].numpy()] for name in way)
            pairs.append((images, wanted, item["noise"][:MATCHED].numpy()))
        each = [match(*pair) for pair in pairs]
        candidates = [NO_MATCH, Match(*np.mean(each, axis=0).tolist()), *each]
        distances = [apart(*pair) for pair in pairs]
        totals = [sum(far(this) for far in distances) for this in candidates]
        nearest = candidates[int(np.argmin(totals))]
        found.append(Match(*np.maximum(nearest, LEAST).tolist()))
    return found


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _dtype(wanted: Sequence[Shown]) -> str:
    kinds: set[np.dtype[Any]] = {np.dtype(s.data.dtype) for shown in wanted for s in shown.stacks}
    return str(kinds.pop()) if len(kinds) == 1 else "float32"
