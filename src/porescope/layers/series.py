"""A series of images of one place at rising beam energy: read, simulated, normalised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.io.folder import SLICE_SUFFIXES, open_picture, slice_files
from porescope.io.lazy import volume_of
from porescope.io.stacks import voltage_in, write_stack
from porescope.layers.forward import (
    BEAM_KV,
    MATERIALS,
    SUBSTRATE,
    bare_signal,
    checked_beam,
    forward,
)
from porescope.layers.inversion import checked_signals, counted, rising
from porescope.layers.task import Inversion
from porescope.layers.volumes import STEP_NM, labels_from_thickness
from porescope.stack import Region, Stack, region_slices

THICKNESS, UNCERTAINTY, LABELS = "thickness_nm.tif", "uncertainty_nm.tif", "labels.tif"
"""Files of what is known of layers: a page a layer, and their volume."""
ENERGIES_KEY = "beam_energies_kev"
"""Where a series that Porescope wrote keeps its energies, in the metadata of a stack."""
PAGES_KEY = "pages_show"
"""Where maps keep what each page shows."""
SATURATED_KEY = "saturated_share"
"""Where a series keeps the share of its grey values that are the greatest an image can hold."""
TRIMMED = 0.1
"""Share of bare pixels, at either end of their grey values, that do not count: dust, hot pixels."""


@dataclass(frozen=True, eq=False)
class EnergySeries:
    """Images of one place, one a beam energy.

    It is no stack: its first axis is energy, not depth.

    Parameters
    ----------
    signals : array of shape (energies, y, x)
        Above 0; grey values or, once normalised, units of a forward model. Float32 in memory.
    beam_kv : array of shape (energies,)
        Rising; images that come in another order are sorted, with a warning.
    pixel_nm : tuple of two floats, optional
        Pixel size (y, x).
    metadata : mapping, optional
        Whatever the files told.

    Raises
    ------
    PorescopeError
        If it is not one image an energy, an energy is there twice, or a value is no signal.
    """

    signals: NDArray[Any]
    beam_kv: NDArray[np.float64]
    pixel_nm: tuple[float, float] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        energies = checked_beam(self.beam_kv)
        signals = checked_signals(self.signals, energies).astype(np.float32)
        signals, energies = rising(signals, energies)
        object.__setattr__(self, "beam_kv", energies)
        object.__setattr__(self, "signals", signals)

    def normalised(
        self,
        bare: Region | float | Sequence[float],
        model: str = "corrected",
        substrate: str = SUBSTRATE,
    ) -> EnergySeries:
        """Return the series in units of a model, given what is bare substrate.

        Parameters
        ----------
        bare : region, number or sequence of numbers
            Where nothing lies on the substrate (y start, y stop, x start, x stop in pixels, None
            to the edge), whose mean is taken at each energy, without the darkest and brightest
            tenth; or the grey value of the bare
            substrate, one for all energies or a list of one for each.
        model, substrate : optional
            See :func:`~porescope.layers.bare_signal`.

        Returns
        -------
        EnergySeries

        Raises
        ------
        PorescopeError
            If the region does not lie in the images, or a number is not above 0.
        """
        if isinstance(bare, tuple):
            rows, columns = region_slices(bare, self.signals.shape)  # type: ignore[arg-type]
            grey = _trimmed_mean(self.signals[:, rows, columns])
        else:
            grey = np.asarray(bare, np.float64)
            if grey.shape not in ((), self.beam_kv.shape):
                raise PorescopeError(
                    f"Give the bare substrate as one number or as {len(self.beam_kv)}, one an "
                    f"energy, not as {grey.size}."
                )
        if not (np.isfinite(grey) & (grey > 0)).all():
            raise PorescopeError("The signal of the bare substrate must be a number above 0.")
        factor = bare_signal(self.beam_kv, model, substrate) / grey
        return replace(
            self,
            signals=self.signals * factor[:, np.newaxis, np.newaxis].astype(np.float32),
            metadata={**self.metadata, "normalised_to": model},
        )


def _trimmed_mean(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of each image; a median would be a whole grey value."""
    from scipy.stats import trim_mean

    values = images.reshape(len(images), -1).astype(np.float64)
    return np.asarray(trim_mean(values, TRIMMED, axis=1))


def simulate_series(
    thickness_nm: NDArray[Any],
    beam_kv: ArrayLike = BEAM_KV,
    *,
    model: str = "corrected",
    materials: Sequence[str] = MATERIALS,
    substrate: str = SUBSTRATE,
    noise: float = 0.02,
    seed: int = 0,
    pixel_nm: tuple[float, float] | None = None,
) -> EnergySeries:
    """Return the series of known layers, with noise.

    Parameters
    ----------
    thickness_nm : array of shape (layers, y, x)
        The lowest layer first.
    beam_kv, model, materials, substrate : optional
        See :func:`~porescope.layers.forward`.
    noise : float, optional
        Standard deviation of a signal as a share of it; signals below a hundredth of what they
        should be are set to that.
    seed : int, optional
        Of the noise.
    pixel_nm : tuple of two floats, optional

    Returns
    -------
    EnergySeries
        In units of the model.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense.
    """
    if not 0 <= noise <= 1:
        raise PorescopeError(f"The noise is a share of the signal from 0 to 1, not {noise}.")
    signals = forward(thickness_nm, beam_kv, model, materials, substrate)
    random = np.random.default_rng(seed)
    signals = signals * np.maximum(1 + noise * random.standard_normal(signals.shape), 0.01)
    return EnergySeries(signals, checked_beam(beam_kv), pixel_nm, {"normalised_to": model})


def read_series(path: str | Path, beam_kv: ArrayLike | None = None) -> EnergySeries:
    """Read a series from a folder of pictures, or from a TIFF of several pages.

    Parameters
    ----------
    path : str or Path
        A folder with one picture an energy, which its metadata or its name tells, such as
        ``05keV.tif`` or ``gold 12.5 kV.png``; or a TIFF with a page an energy.
    beam_kv : array of shape (energies,), optional
        The energies in keV, in the order of the names or pages; wins over the files. A TIFF that
        Porescope did not write does not tell them, so they must be given.

    Returns
    -------
    EnergySeries

    Raises
    ------
    PorescopeError
        If an energy is not known or there twice, the images differ in size or pixel, or one is
        damaged or holds what is no signal.
    """
    path = Path(path)
    if not path.exists():
        raise PorescopeError(f"There is no {path}; check the name.")
    if path.is_dir():
        images, known, pixel_nm, metadata = _folder(path, named=beam_kv is None)
    else:
        images, known, pixel_nm, metadata = _file(path)
    energies = known if beam_kv is None else checked_beam(beam_kv).tolist()
    if len(energies) != len(images):
        raise PorescopeError(
            f"{path} holds {counted(len(images), 'image')} but "
            f"{counted(len(energies), 'beam energy')} known; give beam_kv, one for each image."
        )
    try:
        told = {**metadata, SATURATED_KEY: float(np.mean([_saturated(each) for each in images]))}
        return EnergySeries(np.stack(images), np.array(energies), pixel_nm, told)
    except PorescopeError as error:
        raise PorescopeError(f"{path}: {error}") from error


def _saturated(image: NDArray[Any]) -> float:
    """Return the share of pixels at the limit of an image's integers."""
    if image.dtype.kind not in "ui":
        return 0.0
    return float(np.mean(image == np.iinfo(image.dtype).max))


Found = tuple[list[NDArray[Any]], list[float], tuple[float, float] | None, dict[str, Any]]


def energy_in(name: str) -> float | None:
    """Return the beam energy in keV that a name tells, or None if none or several do.

    Examples
    --------
    >>> energy_in("05keV.tif"), energy_in("scan_12.5 kV"), energy_in("scan_3")
    (5.0, 12.5, None)
    """
    return voltage_in(re.sub("kev", "kV", name, flags=re.IGNORECASE))


def _folder(path: Path, named: bool) -> Found:
    files = slice_files(path)
    if not files:
        raise PorescopeError(f"{path} holds no images; name the folder with one an energy.")
    images: list[NDArray[Any]] = []
    energies: dict[float, Path] = {}
    pixel_nm: tuple[float, float] | None = None
    metadata: dict[str, Any] = {}
    for file in files:
        source, facts, rows = open_picture(file)
        if source.shape[0] != 1:
            raise PorescopeError(
                f"{file} holds {source.shape[0]} images, where a folder has one a file; read it "
                "by itself."
            )
        image = np.asarray(source[0, :, :])[:rows]
        if images and image.shape != images[0].shape:
            raise PorescopeError(
                f"{file} has {image.shape[0]} x {image.shape[1]} pixels, but {files[0].name} has "
                f"{images[0].shape[0]} x {images[0].shape[1]}; all images of a series must show "
                "the same place at the same size."
            )
        if named:
            energies[_energy(file, facts.beam_kv, energies)] = file
        _, y, x = facts.spacing_nm
        if y and x:
            if pixel_nm and not np.allclose(pixel_nm, (y, x), rtol=0.01):
                raise PorescopeError(
                    f"{file} has pixels of {y:g} nm, but {files[0].name} of {pixel_nm[0]:g} nm; "
                    "all images of a series must be of one magnification."
                )
            pixel_nm = pixel_nm or (y, x)
        metadata = metadata or dict(facts.metadata)
        images.append(image)
    if not named:
        return images, [], pixel_nm, metadata
    # The order of names is nobody's word on the order of energies.
    rising = sorted(range(len(images)), key=list(energies).__getitem__)
    return [images[at] for at in rising], sorted(energies), pixel_nm, metadata


def _energy(file: Path, told: float | None, others: Mapping[float, Path]) -> float:
    energy = told if told is not None else energy_in(file.name)
    if energy is None:
        raise PorescopeError(
            f"{file} tells no beam energy; put it into the name, such as 05keV.tif, or give "
            "beam_kv."
        )
    if energy in others:
        raise PorescopeError(
            f"{others[energy]} and {file.name} both have {energy:g} keV; keep one image of each "
            "energy."
        )
    return energy


def _file(path: Path) -> Found:
    if path.suffix.lower() not in SLICE_SUFFIXES:
        raise PorescopeError(f"{path} is no picture; name a TIFF, or the folder with the images.")
    source, facts, rows = open_picture(path)
    metadata = dict(facts.metadata)
    told = metadata.pop(ENERGIES_KEY, None)
    energies = [float(energy) for energy in told] if isinstance(told, list) else []
    _, y, x = facts.spacing_nm
    images = np.asarray(volume_of(source))[:, :rows]
    return list(images), energies, (y, x) if y and x else None, metadata


def write_series(path: str | Path, series: EnergySeries) -> None:
    """Write a series as a TIFF with a page an energy, which :func:`read_series` reads back.

    Raises
    ------
    PorescopeError
        If the file exists or cannot be written, or the pixel size is not known.
    """
    write_stack(
        path,
        Stack(
            series.signals,
            (1.0, *_pixel_nm(series.pixel_nm)),  # the first axis is no length
            metadata={**series.metadata, ENERGIES_KEY: series.beam_kv.tolist()},
        ),
    )


def write_inversion(
    folder: str | Path,
    found: Inversion,
    pixel_nm: tuple[float, float] | None,
    step_nm: float = STEP_NM,
    *,
    names: Sequence[str] = (),
    slices: int | None = None,
) -> None:
    """Write what was found: thickness, its uncertainty, and the volume of labels, as TIFF.

    Parameters
    ----------
    folder : str or Path
        Must not exist. It gets ``thickness_nm.tif`` and ``uncertainty_nm.tif``, a page a layer from
        the lowest up, and ``labels.tif``, the first page of which is nearest to the beam.
    found : Inversion
    pixel_nm : tuple of two floats
        Pixel size (y, x).
    step_nm : float, optional
        Height of a voxel.
    names : sequence of str, optional
        Of the layers, for who reads the files.
    slices : int, optional
        See :func:`~porescope.layers.labels_from_thickness`.

    Raises
    ------
    PorescopeError
        If the folder exists or cannot be written, or the pixel size is not known.
    """
    pixel = _pixel_nm(pixel_nm)
    with write_beside(folder) as place:
        place.mkdir()
        write_thickness(place, found.thickness_nm, pixel, step_nm, names=names, slices=slices)
        write_maps(
            place / UNCERTAINTY,
            found.uncertainty_nm,
            pixel,
            [f"uncertainty of {name} in nm" for name in names],
        )


def write_thickness(
    folder: Path,
    thickness_nm: NDArray[np.floating],
    pixel_nm: tuple[float, float],
    step_nm: float = STEP_NM,
    *,
    names: Sequence[str] = (),
    slices: int | None = None,
) -> None:
    """Write the thickness of layers, and the volume of labels, as TIFF into a folder."""
    pages = [f"thickness of {name} in nm" for name in names]
    write_maps(folder / THICKNESS, thickness_nm, pixel_nm, pages)
    volume = labels_from_thickness(thickness_nm, step_nm, slices)
    write_stack(folder / LABELS, Stack(volume, (step_nm, *pixel_nm), is_labels=True))


def write_maps(
    path: Path,
    values: NDArray[np.floating],
    pixel_nm: tuple[float, float],
    pages: Sequence[str] = (),
) -> None:
    """Write maps (page, y, x) as TIFF, with what each page shows; the first axis is no length."""
    told = {PAGES_KEY: list(pages)} if pages else {}
    write_stack(path, Stack(values.astype(np.float32), (1.0, *pixel_nm), metadata=told))


def _pixel_nm(pixel_nm: tuple[float, float] | None) -> tuple[float, float]:
    if pixel_nm is None:
        raise PorescopeError("The pixel size is not known; give pixel_nm (y, x) in nm.")
    return pixel_nm
