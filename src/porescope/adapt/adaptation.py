"""Simulated stacks made to look like others, with their structure as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from porescope.adapt.guard import Moved, edges_moved, first_slices
from porescope.errors import PorescopeError
from porescope.imaging.noise import slice_random
from porescope.learn.tiles import tiles
from porescope.segment.levels import Levels, levels_of
from porescope.stack import ROWS, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress

if TYPE_CHECKING:
    from porescope.adapt.networks import Generator

NAME = "adaptation/1"
KIND = "adaptation"
FILE = "adaptation.safetensors"
TILE_PX = 512
KV_TOLERANCE, PIXEL_WITHIN = 0.1, 1.25
"""Share by which a voltage, and ratio by which pixels may differ from what was learned."""
NO_LONGER = ("grey_of_no_signal", "grey_per_signal")
"""What a file told of grey levels that are others now."""


class Settings(BaseModel):
    """How a generator is built, and what it makes.

    Parameters
    ----------
    beam_kv : tuple of floats
        Voltages that it knows.
    channels : int
        Its width.
    pixel_nm : float
    dark, bright : tuples of floats
        Grey values of the look that was wanted, at each voltage.
    dtype : str
        Of its images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    beam_kv: tuple[float, ...] = Field(min_length=1)
    channels: int = Field(ge=4, le=256, multiple_of=2)
    pixel_nm: float = Field(gt=0)
    dark: tuple[float, ...]
    bright: tuple[float, ...]
    dtype: Literal["uint8", "uint16", "int16", "float32", "float64"]

    @model_validator(mode="after")
    def _one_each(self) -> Settings:
        if not len(self.beam_kv) == len(self.dark) == len(self.bright):
            raise ValueError("numbers of voltages and levels differ")
        if any(b <= d for d, b in zip(self.dark, self.bright, strict=True)):
            raise ValueError("bright is not above dark")
        return self


def noise_fields(shape: Sequence[int], seed: int, slice_index: int) -> NDArray[np.float32]:
    """Return white noise of pixels, and of columns, for a whole slice, shape (2, y, x)."""
    random = slice_random("adaptation", seed, slice_index)
    grain = random.standard_normal(tuple(shape), np.float32)
    columns = random.standard_normal(shape[1], np.float32)
    return np.stack([grain, np.broadcast_to(columns, grain.shape)])


class Adaptation:
    """A trained generator that gives images another look.

    Parameters
    ----------
    generator : Generator
        With its weights.
    settings : Settings
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, generator: Generator, settings: Settings, device: str = "cpu") -> None:
        self.settings = settings
        self._generator = generator.eval().to(device)
        self._device = device

    def change(
        self,
        shares: NDArray[np.float32],
        beam_kv: float,
        seed: int = 0,
        slice_index: int = 0,
        tile_px: int = TILE_PX,
    ) -> NDArray[np.float32]:
        """Return an image with another look.

        Parameters
        ----------
        shares : array of shape (y, x), float32
            From 0, dark, to 1, bright, as :class:`porescope.segment.levels.Levels` makes them.
        beam_kv : float
        seed, slice_index : int, optional
            Together they name the noise.
        tile_px : int, optional
            A multiple of 4; changes memory and nothing else but rounding.

        Returns
        -------
        array of shape (y, x), float32
            On the same scale.
        """
        import torch

        from porescope.adapt.networks import HALO_PX, MULTIPLE, known_beam

        around = [(HALO_PX, HALO_PX + -size % MULTIPLE) for size in shares.shape]
        mirrored = np.pad(shares, around, mode="symmetric")
        noise = np.pad(
            noise_fields(shares.shape, seed, slice_index), [(0, 0), *around], mode="symmetric"
        )
        beam = torch.tensor([known_beam(beam_kv)], device=self._device)
        result = np.empty_like(shares)
        with torch.inference_mode():
            for tile in tiles(shares.shape, tile_px, 0):
                seen = tuple(
                    slice(
                        part.start, part.stop + -(part.stop - part.start) % MULTIPLE + 2 * HALO_PX
                    )
                    for part in tile.place
                )
                shown, drawn = (
                    torch.from_numpy(np.ascontiguousarray(each)).to(self._device)
                    for each in (mirrored[seen][None, None], noise[:, *seen][None])
                )
                made = self._generator(shown, beam, drawn)[0, 0]
                inside = tuple(
                    slice(HALO_PX, HALO_PX + part.stop - part.start) for part in tile.place
                )
                result[tile.place] = made[inside].cpu().numpy()
        return result

    def levels(self, stack: Stack) -> tuple[float, Levels]:
        """Return a stack's voltage as it was learned, and what is dark and bright in the look.

        Raises
        ------
        PorescopeError
            If the voltage is unknown or none that was learned, or pixels are of another size.
        """
        settings, beam_kv = self.settings, stack.beam_kv
        for side_nm in stack.spacing_nm[ROWS:]:
            if not 1 / PIXEL_WITHIN <= side_nm / settings.pixel_nm <= PIXEL_WITHIN:
                raise PorescopeError(
                    f"These weights know pixels of {settings.pixel_nm:g} nm, not of {side_nm:g} "
                    "nm; simulate with those, or train on stacks of yours."
                )
        names = ", ".join(f"{each:g}" for each in settings.beam_kv)
        if beam_kv is None:
            raise PorescopeError(
                f"The stack tells no voltage, and these weights know {names} kV; give it with "
                "beam_kv."
            )
        for known, dark, bright in zip(
            settings.beam_kv, settings.dark, settings.bright, strict=True
        ):
            if abs(beam_kv / known - 1) <= KV_TOLERANCE:
                return known, Levels(dark, bright)
        raise PorescopeError(
            f"These weights know {names} kV, not {beam_kv:g} kV; simulate at these, or train on "
            "stacks of yours."
        )


def adapt_stack(
    stack: Stack,
    weights: str | Path,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Stack:
    """Make a simulated stack look like those that were learned from.

    Parameters
    ----------
    stack : Stack
        Of a voltage and pixel size that the weights know.
    weights : str or Path
        A file that ``porescope train adaptation`` wrote, or the name of weights that ship.
    seed : int, optional
        Of the noise that is added, anew in each slice.
    device : {"auto", "cpu", "cuda"}, optional
    progress, cancel
        See :mod:`porescope.tracking`; of the slices that the grey levels are taken from.

    Returns
    -------
    Stack
        Of the same structure, with the grey values and the dtype of the look; lazy where the
        stack's data are.

    Raises
    ------
    PorescopeError
        If the weights do not fit the stack, or change the structure of its first slices: see
        :func:`porescope.adapt.edges_moved`.
    """
    return adapted(stack, weights, seed=seed, device=device, progress=progress, cancel=cancel)[0]


def adapted(
    stack: Stack,
    weights: str | Path,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> tuple[Stack, Moved]:
    """Return what :func:`adapt_stack` does, and what edges in the first slices did."""
    adaptation = load_adaptation(weights, device)
    settings = adaptation.settings
    beam_kv, wanted = adaptation.levels(stack)
    levels = levels_of(stack, progress, cancel)

    def changed(shares: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        return adaptation.change(shares, beam_kv, seed, index)

    looked_at = first_slices(stack)
    before = [levels.apply(stack.image(index)) for index in looked_at]
    moved = edges_moved(before, list(map(changed, before, looked_at)))
    moved.check()

    dtype = np.dtype(settings.dtype)
    limits = np.iinfo(dtype) if dtype.kind in "ui" else None

    def grey(image: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        made = wanted.dark + (wanted.bright - wanted.dark) * changed(levels.apply(image), index)
        return made if limits is None else np.clip(np.rint(made), limits.min, limits.max)

    made = stack.with_data(stack.data.astype(np.float32)).map_slices(grey)
    metadata = {key: value for key, value in stack.metadata.items() if key not in NO_LONGER}
    told = {"weights": Path(weights).name, "seed": seed}
    result = made.with_data(made.data.astype(dtype), metadata=metadata)
    return result.with_history("adapt", **told), moved


def load_adaptation(name: str | Path, device: str = "auto") -> Adaptation:
    """Return a generator with its weights.

    Parameters
    ----------
    name : str or Path
        Of weights that ship, or a file ending in ``.safetensors``.
    device : {"auto", "cpu", "cuda"}, optional

    Raises
    ------
    PorescopeError
        If there are no such weights, or the file is none of an adaptation.
    """
    from porescope.learn.device import torch_device
    from porescope.learn.weights import find_weights, written_ns

    path = find_weights(KIND, name)
    return _loaded(path.absolute(), written_ns(path), torch_device(device))


@lru_cache(maxsize=4)
def _loaded(path: Path, _written_ns: int, device: str) -> Adaptation:
    import torch

    from porescope.adapt.networks import Generator
    from porescope.learn.weights import load_weights, read_card

    card = read_card(path)
    if card.network != NAME:
        raise PorescopeError(f"{path} holds weights of {card.network!r:.80}, not of {NAME!r}.")
    settings = _settings(path, card.settings)
    with torch.random.fork_rng(devices=[]):
        generator = Generator(settings.channels)
    load_weights(path, generator, NAME)
    return Adaptation(generator, settings, device)


def _settings(path: Path, told: Any) -> Settings:
    try:
        return Settings.model_validate(told)
    except ValidationError as error:
        raise PorescopeError(
            f"{path} describes an adaptation that this version of Porescope cannot build."
        ) from error
