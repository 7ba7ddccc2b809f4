"""What a series says about each pixel by itself, summed up in a few numbers.

The logarithm of a signal carries noise that is alike everywhere, and as thickness changes it moves
within few dimensions. So every pixel becomes a point in these, a table the sheet of what layers can
look like, and closest points, information and misfit cost little, whatever the energies, the noise
or the model of layers. This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from porescope.errors import PorescopeError
from porescope.layers.forward import Model
from porescope.layers.noise import believed

NODES = 128
COARSE = 5
"""Each fifth node takes part in the search for the closest point of the sheet."""
DIMENSIONS = 8
"""In which signals move; what is left of them is below 3e-5 for gold and aluminium."""
BEYOND = 1.2
"""The table reaches further than layers should be thick."""
STEADIEST = 1e-4
"""Least relative noise; the table knows no better."""
TYPICAL = 0.02
"""Noise to begin with, where there are few energies."""
VAGUE = 1.0
"""Standard deviation, in thickest layers, of what is known before anything is measured."""
STEPS, MANY_STEPS = 4, 24
ODD, BAND = 40.0, 16
"""Misfit from which on a pixel is searched for more thoroughly, in bands of so many nodes."""
FEATURES = 14
MEASURED = 1 << 13
"""About as many pixels tell the noise."""


class Pixels(NamedTuple):
    """A series, pixel by pixel.

    Parameters
    ----------
    points : tensor of shape (pixels, dimensions)
        In units of the noise.
    noise : tensor of shape ()
        Relative standard deviation of the signals.
    beside : tensor of shape (pixels,)
        Squared distance, in units of the noise, from all that layers can look like.
    """

    points: Tensor
    noise: Tensor
    beside: Tensor


class Estimate(NamedTuple):
    """Layers that signals speak for, and how sure.

    Parameters
    ----------
    thickness : tensor of shape (pixels, 2)
        In thickest layers.
    variance : tensor of shape (pixels, 2)
    correlation : tensor of shape (pixels,)
    misfit : tensor of shape (pixels,)
        Squared distance of the signals, in units of the noise.
    """

    thickness: Tensor
    variance: Tensor
    correlation: Tensor
    misfit: Tensor


class Alone(NamedTuple):
    """One layer where the other is not, each of shape (pixels,), as of :class:`Estimate`."""

    thickness: Tensor
    variance: Tensor
    misfit: Tensor


class Told(NamedTuple):
    """What pixels say by themselves.

    Parameters
    ----------
    features : tensor of shape (FEATURES, pixels)
        All of it as numbers around 1.
    both : Estimate
    upper, lower : Alone
    misfits : tensor of shape (4, pixels)
        With both layers, the upper one, the lower one, none.
    """

    features: Tensor
    both: Estimate
    upper: Alone
    lower: Alone
    misfits: Tensor


class Evidence:
    """What two layers can look like at some energies.

    Parameters
    ----------
    model : Model
        Of two layers.
    beam_kv : array of shape (energies,)
    thickest_nm : two floats
        How thick the lower and the upper layer may be.

    Raises
    ------
    PorescopeError
        If there are not two layers.
    """

    def __init__(
        self,
        model: Model,
        beam_kv: NDArray[np.float64],
        thickest_nm: Sequence[float] | NDArray[np.float64],
    ) -> None:
        if len(model.materials) != 2 or len(thickest_nm) != 2:
            raise PorescopeError(
                f"The networks know two layers, not {len(model.materials)}; take the method "
                "tikhonov."
            )
        along = BEYOND * np.linspace(0, 1, NODES) ** 2
        lower, upper = np.meshgrid(along * thickest_nm[0], along * thickest_nm[1], indexing="ij")
        covered = np.stack([np.maximum(lower, 1e-6 * thickest_nm[0]), upper])
        bare = np.stack([0 * upper[:1], upper[:1]])
        logs = [
            np.log(model.evaluate(each, beam_kv)[0]).reshape(len(beam_kv), -1)
            for each in (covered, bare)
        ]
        everything = np.concatenate(logs, axis=1)
        self.middle = everything.mean(axis=1)
        directions = np.linalg.svd(everything - self.middle[:, None], full_matrices=False)[0]
        directions = directions[:, :DIMENSIONS]
        self.free = max(directions.shape[1] - 2, 1)
        self.directions = np.pad(directions, ((0, 0), (0, DIMENSIONS - directions.shape[1])))
        sheet, edge = (
            torch.from_numpy((self.directions.T @ (each - self.middle[:, None])).T).float()
            for each in logs
        )
        self.sheet = sheet.contiguous()
        self.upper_only = edge.contiguous()
        self.lower_only = sheet.reshape(NODES, NODES, -1)[:, 0].contiguous()

    def pixels(self, signals: NDArray[Any], noise: float | None = None) -> Pixels:
        """Return a series (energies, y, x) as points.

        Parameters
        ----------
        signals : array of shape (energies, y, x)
            As the model gives them, above 0.
        noise : float, optional
            Relative standard deviation; by default from what no layers can explain, of three
            energies or more.
        """
        logs = torch.from_numpy(np.asarray(signals, np.float32)).flatten(1).log()
        logs -= torch.from_numpy(self.middle).float()[:, None]
        directions = torch.from_numpy(self.directions).float()
        points = (directions.T @ logs).T.contiguous()
        beside = (logs.square().sum(dim=0) - points.square().sum(dim=1)).clamp(min=0)
        if noise is None:
            some = slice(None, None, max(1, len(points) // MEASURED))
            about = self._about(beside[some], len(signals))
            first = Pixels(points[some] / about, torch.tensor(about), beside[some])
            misfit = self.told(first).misfits.amin(dim=0) * about**2 + first.beside
            noise = believed(_deviation(misfit, len(signals) - 2), np.asarray(signals))
        noise = max(noise, STEADIEST)
        # The logarithm of a noisy signal lies lower, on average, by half its variance.
        points += directions.sum(dim=0) * (noise**2 / 2)
        return Pixels(points / noise, torch.tensor(noise), beside / noise**2)

    def _about(self, beside: Tensor, energies: int) -> float:
        """Return about how large the noise is."""
        if energies <= DIMENSIONS + 2:
            return TYPICAL
        return max(_deviation(beside, energies - DIMENSIONS), STEADIEST)

    def told(self, pixels: Pixels) -> Told:
        """Return what each pixel says by itself."""
        both = self.closest(pixels)
        upper, lower = (_closest_on(pixels, line) for line in (self.upper_only, self.lower_only))
        bare = (pixels.points - self.upper_only[0] / pixels.noise).square().sum(dim=1)
        self._search_again(pixels, both, torch.stack([upper.misfit, lower.misfit, bare]))
        misfits = torch.stack([both.misfit, upper.misfit, lower.misfit, bare])
        least = misfits.amin(dim=0)
        features = torch.stack(
            [
                *both.thickness.T,
                *shown_variance(both.variance).T,
                both.correlation,
                upper.thickness,
                shown_variance(upper.variance),
                lower.thickness,
                shown_variance(lower.variance),
                *shown_misfit(misfits - least),
                ((least - self.free) / (2 * self.free) ** 0.5).clamp(-3, 10) / 3,
            ]
        )
        return Told(features, both, upper, lower, misfits)

    def _search_again(self, pixels: Pixels, both: Estimate, others: Tensor) -> None:
        """Look more thoroughly, in place, for what explains the pixels that nothing explains."""
        misfit = torch.minimum(both.misfit, others.amin(dim=0))
        odd = misfit > ODD * max(1.0, float(misfit.median()) / DIMENSIONS)
        if not odd.any():
            return
        again = pixels._replace(points=pixels.points[odd])
        found = Estimate(*(each[odd] for each in both))
        for first in range(0, NODES, BAND):
            other = self.closest(again, range(first, first + BAND), 1, MANY_STEPS)
            better = other.misfit < found.misfit
            for into, each in zip(found, other, strict=True):
                into[better] = each[better]
        for into, each in zip(both, found, strict=True):
            into[odd] = each

    def closest(
        self,
        pixels: Pixels,
        columns: range = range(NODES),
        apart: int = COARSE,
        steps: int = STEPS,
    ) -> Estimate:
        """Return the layers, both there, that are closest to the signals, by the way of a search.

        Parameters
        ----------
        pixels : Pixels
        columns : range, optional
            Nodes of the upper layer's thickness that take part in the search,
        apart : int, optional
            and how far apart they and those of the lower layer's are.
        steps : int, optional
            From there on.
        """
        sheet = self.sheet.reshape(NODES, NODES, -1)
        lower, upper = torch.meshgrid(
            torch.arange(0, NODES, apart), torch.tensor(columns[::apart]), indexing="ij"
        )
        nearest = _nearest(pixels, sheet[lower, upper].flatten(0, 1))
        cells = torch.stack([lower.flatten()[nearest], upper.flatten()[nearest]], dim=1)
        thickness = BEYOND * (cells / (NODES - 1)) ** 2
        nothing = torch.zeros_like(thickness)
        return self.refined(pixels, thickness, nothing, torch.full_like(thickness, 1e-2), steps)

    def refined(
        self, pixels: Pixels, start: Tensor, expected: Tensor, precision: Tensor, steps: int = STEPS
    ) -> Estimate:
        """Return layers that fit the signals and what is expected, by Gauss-Newton.

        Parameters
        ----------
        pixels : Pixels
        start : tensor of shape (pixels, 2)
            In thickest layers, as are the others.
        expected, precision : tensors of shape (pixels, 2)
            Of the thickness, and one over its variance.
        steps : int, optional
            Of which the one that fits best counts.
        """
        best = start.clamp(0, BEYOND)
        told = self._quadratic(pixels, best, expected, precision)
        damping = torch.full_like(told[0], 1e-4)
        for _ in range(steps):
            trial = _stepped(best, told, damping)
            there = self._quadratic(pixels, trial, expected, precision)
            better = there[0] < told[0]
            best = torch.where(better[:, None], trial, best)
            told = torch.where(better, there, told)
            damping = (damping * torch.where(better, 0.1, 100.0)).clamp(1e-6, 1e6)
        _, misfit, first, second, both, *_ = told
        first, second = first + 1 / VAGUE**2, second + 1 / VAGUE**2
        product = first * second
        sure = (product - both.square()).clamp(min=1e-6 * product)
        variance = torch.stack([second / sure, first / sure], dim=1)
        return Estimate(best, variance, -both / product.sqrt(), misfit)

    def _quadratic(
        self, pixels: Pixels, thickness: Tensor, expected: Tensor, precision: Tensor
    ) -> Tensor:
        """Return cost, misfit, information (lower, upper, both) and pull (2), each (pixels,)."""
        difference, (lower, upper) = self._linear(pixels, thickness)
        misfit = difference.square().sum(dim=1)
        beside = expected - thickness
        return torch.stack(
            [
                misfit + (precision * beside.square()).sum(dim=1),
                misfit,
                lower.square().sum(dim=1) + precision[:, 0],
                upper.square().sum(dim=1) + precision[:, 1],
                (lower * upper).sum(dim=1),
                (lower * difference).sum(dim=1) + precision[:, 0] * beside[:, 0],
                (upper * difference).sum(dim=1) + precision[:, 1] * beside[:, 1],
            ]
        )

    def _linear(self, pixels: Pixels, thickness: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return how far signals are from those of layers, and the slopes per thickest layer."""
        place = (thickness / BEYOND).sqrt() * (NODES - 1)
        cell = place.long().clamp(max=NODES - 2)
        part = place - cell
        index = cell[:, 0] * NODES + cell[:, 1]
        low, high = part[:, :1], part[:, 1:]
        corners = [self.sheet[index + step] for step in (0, 1, NODES, NODES + 1)]
        near = torch.lerp(corners[0], corners[1], high)
        far = torch.lerp(corners[2], corners[3], high)
        across = torch.lerp(corners[1] - corners[0], corners[3] - corners[2], low)
        scale = (NODES - 1) ** 2 / (2 * BEYOND * place.clamp(min=0.5)) / pixels.noise
        told = torch.lerp(near, far, low) / pixels.noise
        return pixels.points - told, ((far - near) * scale[:, :1], across * scale[:, 1:])


def _deviation(squares: Tensor, count: int) -> float:
    """Return the standard deviation of which squares, each a sum of so many, have their median."""
    return float((squares.median() / (count * (1 - 2 / (9 * count)) ** 3)).sqrt())


def _stepped(now: Tensor, quadratic: Tensor, damping: Tensor) -> Tensor:
    """Return where a step leads: within the table, and not across it at once."""
    _, _, first, second, both, *pull = quadratic
    first, second = first * (1 + damping), second * (1 + damping)
    determinant = (first * second - both.square()).clamp(min=1e-9)
    step = torch.stack(
        [
            (second * pull[0] - both * pull[1]) / determinant,
            (first * pull[1] - both * pull[0]) / determinant,
        ],
        dim=1,
    )
    # Where one layer meets the border of what may be, the other goes on alone.
    ahead = now + step
    stuck = (ahead < 0) & (now <= 1e-6) | (ahead > BEYOND) & (now >= BEYOND)
    alone = torch.stack([pull[0] / (first + 1e-9), pull[1] / (second + 1e-9)], dim=1)
    step = torch.where(stuck.flip(1), alone, step)
    longest = 0.05 + 0.5 * now
    ahead = now + torch.minimum(torch.maximum(step, -longest), longest)
    return ahead.clamp(0, BEYOND)


def _closest_on(pixels: Pixels, line: Tensor) -> Alone:
    """Return the closest point of a line of the sheet, on which one layer is alone."""
    nearest = _nearest(pixels, line)
    found = []
    for first in (nearest - 1, nearest):
        first = first.clamp(0, NODES - 2)
        start, chord = line[first] / pixels.noise, (line[first + 1] - line[first]) / pixels.noise
        length = chord.square().sum(dim=1) + 1e-12
        away = pixels.points - start
        part = ((away * chord).sum(dim=1) / length).clamp(0, 1)
        misfit = (away - part[:, None] * chord).square().sum(dim=1)
        place = first + part
        slope = (NODES - 1) ** 2 / (2 * BEYOND * place.clamp(min=0.5))
        found.append((BEYOND * (place / (NODES - 1)) ** 2, length * slope**2, misfit))
    before = found[0][2] < found[1][2]
    thickness, information, misfit = (
        torch.where(before, one, other) for one, other in zip(*found, strict=True)
    )
    return Alone(thickness, 1 / (information + 1 / VAGUE**2), misfit)


def shown_variance(variance: Tensor) -> Tensor:
    """Return a variance as a network sees it."""
    return variance.log() / 4 + 1


def shown_misfit(excess: Tensor) -> Tensor:
    """Return by how much signals fit worse than they could, as a network sees it."""
    return torch.log1p(excess) / 3


def _nearest(pixels: Pixels, nodes: Tensor, block: int = 1 << 15) -> Tensor:
    """Return the index of the node closest to each pixel."""
    half = nodes.square().sum(dim=1) / 2
    return torch.cat(
        [
            torch.addmm(half, part * pixels.noise, nodes.T, alpha=-1).argmin(dim=1)
            for part in torch.split(pixels.points, block)
        ]
    )
