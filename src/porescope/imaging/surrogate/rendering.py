"""The neural simulator: an image from a heightfield, in a fraction of a second."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from porescope.errors import PorescopeError
from porescope.imaging.device import Device
from porescope.imaging.heightfield import HeightField
from porescope.imaging.surrogate.layouts import all_channels, mirrored, shown_channels
from porescope.imaging.surrogate.settings import Settings
from porescope.learn.device import torch_device

if TYPE_CHECKING:
    from porescope.imaging.surrogate.networks import Network

NAME = "surrogate/1"
KIND = "surrogate"
"""Of files of weights that ship."""
MARGIN_PX = 24
"""What a network is shown around an image; beyond the sample's sides it is mirrored."""
TILE_PX = 1024
PIXEL_TOLERANCE = 0.01
KV_TOLERANCE = 0.001


class Surrogate:
    """A trained network that images heightfields as Monte Carlo would, on average.

    Any number of threads may render at the same time.

    Parameters
    ----------
    network : Network
        With its weights.
    settings : Settings
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, network: Network, settings: Settings, device: str = "cpu") -> None:
        import torch

        from porescope.learn.precision import has_fast_bfloat16

        self.settings = settings
        self._device = device
        self._dtype = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
        self._network = network.eval().to(device, self._dtype)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._shown = shown_channels(settings.layout, settings.layers)

    def render(
        self,
        heightfield: HeightField,
        *,
        beam_kv: float | None = None,
        pixel_nm: float | None = None,
        unit_nm: float | None = None,
        tile_px: int = TILE_PX,
    ) -> dict[str, NDArray[np.float32]]:
        """Return the image of a plane, as a beam of endless electrons would make it.

        Parameters
        ----------
        heightfield : HeightField
            Of :func:`porescope.imaging.extract_heightfield`, with at least ``settings.layers``
            layers. Beyond its sides the sample is taken as mirrored.
        beam_kv : float, optional
            One of ``settings.beams_kv``; by default the nearest to 2 kV.
        pixel_nm : float, optional
            Size of a pixel; by default, and within 1 %, ``settings.pixel_nm``.
        unit_nm : float, optional
            What one unit of the heightfield's depths is; by default a pixel, as of primitives and
            of arrays without a spacing. Heightfields of stacks come in nm: 1.
        tile_px : int, optional
            The compact network works on images in tiles of so many pixels, which changes memory
            and nothing else but rounding; the others on whole images.

        Returns
        -------
        dict of arrays of shape (y, x), float32
            For each of ``settings.signals``, mean signal for each electron of the beam: ``"bse"``,
            ``"se"``. Free of noise; :func:`porescope.imaging.noise.noise_for_snr` adds it.

        Raises
        ------
        PorescopeError
            If the heightfield has too few layers, or the weights do not know the voltage or the
            pixel size.
        """
        import torch

        settings = self.settings
        beam_kv = self.checked_beam_kv(beam_kv)
        pixel_nm = self.checked_pixel_nm(pixel_nm)
        unit_nm = self._checked_unit_nm(pixel_nm if unit_nm is None else unit_nm)
        self._check_heightfield(heightfield)
        rows, columns = heightfield.entry.shape[1:]
        with torch.inference_mode():
            channels = all_channels(heightfield, settings.layers, settings.length_nm / unit_nm)
            channels = channels.to(self._device)
            beam = torch.full((1,), math.log2(beam_kv / 2), device=self._device, dtype=self._dtype)
            signals = np.empty((len(settings.signals), rows, columns), np.float32)
            shape = (rows, columns)
            for inner, around, place in _tiles(shape, tile_px, self._network.reach_px):
                seen = mirrored(channels, *around)[self._shown].to(self._dtype)[None]
                told = self._network(seen, beam)[0, :, *place].float()
                signals[:, *inner] = told.cpu().numpy()
        signals *= np.array(settings.typical, np.float32)[:, np.newaxis, np.newaxis]
        np.maximum(signals, 0, out=signals)
        return dict(zip(settings.signals, signals, strict=True))

    def checked_beam_kv(self, beam_kv: float | None) -> float:
        """Return the voltage, that nearest to 2 kV for none, or refuse one that is not known."""
        known = self.settings.beams_kv
        if beam_kv is None:
            return min(known, key=lambda each: abs(each - 2))
        for each in known:
            if isinstance(beam_kv, int | float) and abs(beam_kv / each - 1) <= KV_TOLERANCE:
                return each
        kilovolts = ", ".join(f"{each:g}" for each in known)
        raise PorescopeError(
            f"These weights of the neural simulator know {kilovolts} kV, not {beam_kv:g} kV; take "
            "one of these, use Monte Carlo, or train weights of your own."
        )

    def checked_pixel_nm(self, pixel_nm: float | None) -> float:
        """Return the size of a pixel, or refuse one that is not known."""
        known = self.settings.pixel_nm
        if pixel_nm is not None and not abs(pixel_nm / known - 1) <= PIXEL_TOLERANCE:
            raise PorescopeError(
                f"These weights of the neural simulator know pixels of {known:g} nm, not of "
                f"{pixel_nm} nm; take such, use Monte Carlo, or train weights of your own."
            )
        return known

    @staticmethod
    def _checked_unit_nm(unit_nm: float) -> float:
        if not 0 < unit_nm < math.inf:
            raise PorescopeError(f"The unit of depths must be above 0 nm, not {unit_nm} nm.")
        return unit_nm

    def _check_heightfield(self, field: HeightField) -> None:
        layers = self.settings.layers
        if len(field.entry) < layers:
            raise PorescopeError(
                f"These weights of the neural simulator look at {layers} layers of a heightfield, "
                f"but there are {len(field.entry)}; extract it with layers={layers}."
            )


Area = tuple[slice, slice]


def _tiles(
    shape: tuple[int, int], tile_px: int, reach_px: int | None
) -> Iterator[tuple[Area, tuple[range, range], Area]]:
    """Yield parts of an image, what is shown of each, and where the part lies in that.

    What is shown begins and ends with the image's margin, or further from a part than the network
    reaches, at places that the network's coarser pixels have in common.
    """
    rows, columns = (_parts(size, tile_px, reach_px) for size in shape)
    for y, shown_y in rows:
        for x, shown_x in columns:
            at_y, at_x = (
                slice(part.start - shown.start, part.stop - shown.start)
                for part, shown in ((y, shown_y), (x, shown_x))
            )
            yield (y, x), (shown_y, shown_x), (at_y, at_x)


def _parts(size: int, step: int, reach_px: int | None) -> list[tuple[slice, range]]:
    from porescope.imaging.surrogate.networks import MULTIPLE

    first = -MARGIN_PX
    last = first + math.ceil((size + 2 * MARGIN_PX) / MULTIPLE) * MULTIPLE
    if reach_px is None:
        return [(slice(0, size), range(first, last))]
    parts = []
    for start in range(0, size, step):
        stop = min(size, start + step)
        shown_from = first + (start - reach_px - first) // MULTIPLE * MULTIPLE
        shown_to = first + math.ceil((stop + reach_px - first) / MULTIPLE) * MULTIPLE
        parts.append((slice(start, stop), range(max(first, shown_from), min(last, shown_to))))
    return parts


def surrogate_names() -> list[str]:
    """Return the names of the weights that ship, of which ``"default"`` is one."""
    from porescope.learn.weights import shipped_names

    return shipped_names(KIND)


def load_surrogate(name: str | Path = "default", device: Device = "auto") -> Surrogate:
    """Return a neural simulator with its weights, which are read once.

    Parameters
    ----------
    name : str or Path, optional
        One of :func:`surrogate_names`: ``"default"`` is carbon in vacuum, BSE and SE;
        ``"gold-epoxy"`` gold in epoxy, BSE. Or the path of weights that ``porescope train
        surrogate`` wrote, ending in ``.safetensors``.
    device : {"auto", "cpu", "cuda"}, optional

    Returns
    -------
    Surrogate

    Raises
    ------
    PorescopeError
        If there are no such weights, the file holds others, or there is no such device.

    Examples
    --------
    >>> surrogate = load_surrogate()  # doctest: +SKIP
    >>> field = extract_heightfield(primitives, plane_z=20.0)  # doctest: +SKIP
    >>> surrogate.render(field, beam_kv=2.0)["bse"]  # doctest: +SKIP
    """
    from porescope.learn.weights import find_weights, written_ns

    path = find_weights(KIND, name)
    return _loaded(path.absolute(), written_ns(path), torch_device(device))


@lru_cache(maxsize=4)
def _loaded(path: Path, _written_ns: int, device: str) -> Surrogate:
    import torch

    from porescope.learn.weights import load_weights, read_card

    settings = read_settings(path, read_card(path).settings)
    with torch.random.fork_rng(devices=[]):
        network = settings.make_network()
    load_weights(path, network, NAME)
    return Surrogate(network, settings, device)


def read_settings(path: Path, told: Any) -> Settings:
    """Return the settings on a card, or refuse them."""
    try:
        settings = Settings.model_validate(told)
    except ValidationError as error:
        raise PorescopeError(f"{path} holds no weights of a neural simulator.") from error
    if len(settings.typical) != len(settings.signals):
        raise PorescopeError(f"{path} is damaged: its signals and their sizes differ in number.")
    return settings
