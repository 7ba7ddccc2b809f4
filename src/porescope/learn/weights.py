"""Weights of networks as files: tensors alone, with a card that tells where they come from.

A file of weights is data and is checked as such: it is safetensors, never unpickled; its header
names this format and the network it is for; its tensors have the names and shapes of that network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from porescope.errors import PorescopeError
from porescope.files import write_beside
from porescope.learn.safe_files import opened

if TYPE_CHECKING:
    from torch import nn

MARK, FORMAT, WHAT = "porescope_weights", "1", "file of weights"
DTYPES = (np.dtype("float16"), np.dtype("float32"))


Setting = float | int | str


class Card(BaseModel):
    """Where weights come from and what they reach.

    Parameters
    ----------
    network : str
        Which network they are for, with a version: ``"gap-network/1"``.
    summary : str
        What it does, in a sentence.
    settings : dict
        How the network is built, and what it must be told to be used; each network reads its own.
    data : str
        What it was trained on.
    split : str
        How training, validation and test data were kept apart.
    training : dict
        Parameters of the training, its seed among them.
    scores : dict
        What it reached, by name; each name says on what.
    versions : dict
        Of the libraries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    summary: str
    settings: dict[str, Setting | list[Setting]] = {}
    data: str
    split: str
    training: dict[str, float | int | str]
    scores: dict[str, float]
    versions: dict[str, str]


def save_weights(path: str | Path, tensors: Mapping[str, np.ndarray], card: Card) -> None:
    """Write weights as 16-bit floats, and the card beside them as JSON.

    Raises
    ------
    PorescopeError
        If a file is there already, or a weight is no finite 16-bit float.
    """
    from safetensors.numpy import save

    path = Path(path)
    with np.errstate(over="ignore"):
        halves = {name: np.asarray(values, "f2", order="C") for name, values in tensors.items()}
    for name, values in halves.items():
        if not np.isfinite(values).all():
            raise PorescopeError(f"The weights {name} are too large or no numbers; train again.")
    metadata = {MARK: FORMAT, "card": card.model_dump_json()}
    with write_beside(path) as beside:
        beside.write_bytes(save(halves, metadata))
    with write_beside(path.with_suffix(".json")) as beside:
        beside.write_text(card.model_dump_json(indent=1) + "\n")


def load_weights(path: str | Path, network: nn.Module, name: str) -> Card:
    """Put weights into a network.

    Parameters
    ----------
    path : str or Path
        Written by :func:`save_weights`.
    network : torch.nn.Module
        Gets the weights, in place.
    name : str
        Of the network, as on the card.

    Raises
    ------
    PorescopeError
        If the file is missing, is no such file, or is for another network.
    """
    import torch

    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    tensors, card = read_tensors(path, name, shapes)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()})
    return card


def read_tensors(
    path: str | Path, name: str, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], Card]:
    """Return weights as 32-bit floats, and their card; needs no torch.

    Parameters
    ----------
    path : str or Path
        Written by :func:`save_weights`.
    name : str
        Of the network, as on the card.
    shapes : mapping of str to tuple of ints
        What the network takes.

    Raises
    ------
    PorescopeError
        If the file is missing, is no such file, or is for another network.
    """
    path = Path(path)
    tensors, card = _read(path)
    if card.network != name:
        raise PorescopeError(f"{path} holds weights of {card.network!r:.80}, not of {name!r}.")
    given = {key: value.shape for key, value in tensors.items()}
    if given != dict(shapes):
        odd = sorted(key for key in given.keys() | shapes if given.get(key) != shapes.get(key))
        raise PorescopeError(
            f"{path} does not fit the network {name!r}: {odd[0]!r:.80} differs; "
            "use the weights that came with this version of Porescope, or train again."
        )
    return tensors, card


def read_card(path: str | Path) -> Card:
    """Return the card of a file of weights, to build the network that they are for.

    Raises
    ------
    PorescopeError
        If the file is missing or is no such file.
    """
    with opened(Path(path), MARK, FORMAT, WHAT) as (_, metadata):
        return _card(metadata)


def _card(metadata: Mapping[str, str]) -> Card:
    return Card.model_validate_json(metadata["card"])


def _read(path: Path) -> tuple[dict[str, np.ndarray], Card]:
    with opened(path, MARK, FORMAT, WHAT) as (file, metadata):
        card = _card(metadata)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for key, values in tensors.items():
        if values.dtype not in DTYPES or not np.isfinite(values).all():
            raise PorescopeError(f"{path} is damaged: {key!r:.80} holds no finite floats.")
    return {key: values.astype(np.float32) for key, values in tensors.items()}, card


def shipped(name: str) -> Path:
    """Return the path of weights that come with Porescope.

    Parameters
    ----------
    name : str
        Such as ``"interpolation"``.
    """
    return Path(__file__).parents[1] / "weights" / f"{name}.safetensors"


def find_weights(kind: str, name: str | Path) -> Path:
    """Return the path of weights: a file ending in ``.safetensors``, or some that ship.

    Parameters
    ----------
    kind : str
        ``"segmentation"``, ``"surrogate"`` or ``"adaptation"``.
    name : str or Path

    Raises
    ------
    PorescopeError
        If no such weights ship.
    """
    path = Path(name)
    if path.suffix == ".safetensors":
        return path
    known = shipped(f"{kind}-{name}")
    if known.exists():
        return known
    names = ", ".join(shipped_names(kind))
    if path.exists():
        raise PorescopeError(
            f"{name} is no .safetensors file, as porescope train {kind} writes them; name one"
            f"{f', or weights that ship: {names}' if names else ''}."
        )
    choose = f"; choose from: {names}. Or train" if names else ". Train"
    raise PorescopeError(
        f"No weights {str(name)!r} for {kind} ship with Porescope{choose} your own with "
        f"porescope train {kind}, and give the .safetensors file."
    )


def written_ns(path: Path) -> int:
    """Return when a file was written, so that weights in memory are told from newer ones.

    0 where there is none, which is for whoever reads it to say.
    """
    return path.stat().st_mtime_ns if path.exists() else 0


def shipped_names(kind: str) -> list[str]:
    """Return the names of weights of a kind that ship, but for those that others bring along."""
    paths = shipped("").parent.glob(f"{kind}-*.safetensors")
    names = sorted(path.stem.removeprefix(f"{kind}-") for path in paths)
    return [name for name in names if not any(name.startswith(f"{other}-") for other in names)]
