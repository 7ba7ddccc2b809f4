"""Methods that have learned: the default, and the paper's networks from files of weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from porescope.errors import PorescopeError
from porescope.layers.forward import BEAM_KV, Published
from porescope.layers.noise import believed
from porescope.layers.parameters import NETWORK_NAMES, network_name
from porescope.layers.structures import THICKEST_NM
from porescope.layers.task import Inversion, Method, Task
from porescope.layers.tikhonov import SMALLEST_NOISE
from porescope.layers.volumes import thickness_from_labels
from porescope.learn.precision import autocast, channels_last
from porescope.learn.tiles import tiles
from porescope.learn.weights import load_weights, read_card, shipped
from porescope.tracking import Cancel, Progress, track

if TYPE_CHECKING:
    from torch import Tensor, nn

    from porescope.layers.evidence_network import Answer, Cases, EvidenceNetwork

    Network = TypeVar("Network", bound=nn.Module)

TILE_PX = 1024
HALO_PX = 96
"""What lies further away hardly reaches a pixel."""


def by_network(task: Task, progress: Progress, cancel: Cancel) -> Inversion:
    """Weigh what pixels say against their neighbours, by the network that ships."""
    return _by_evidence(shipped("layers-default"), task, progress, cancel)


def from_weights(name: str) -> Method | None:
    """Return the method of a file of weights, or of a network of the paper; None if it is neither.

    Raises
    ------
    PorescopeError
        If the file holds no weights of such a network, or the network ships without weights.
    """
    if name in NETWORK_NAMES:
        raise PorescopeError(
            f"No weights ship for the network {name}: train it with porescope train layers "
            f"--network {name}, and give the file of weights that it writes as the method."
        )
    if Path(name).suffix != ".safetensors":
        return None
    path = Path(name)
    known = {network_name(network): network for network in NETWORK_NAMES}
    found = read_card(path).network
    if found == network_name("default"):
        return lambda task, progress, cancel: _by_evidence(path, task, progress, cancel)
    if found not in known:
        raise PorescopeError(f"{path} holds weights of {found!r:.80}, which knows no layers.")
    return lambda task, progress, cancel: _by_paper(path, known[found], task, progress, cancel)


def _by_evidence(path: Path, task: Task, progress: Progress, cancel: Cancel) -> Inversion:
    import torch

    from porescope.layers.evidence import Evidence, Pixels
    from porescope.layers.evidence_network import cases, decided

    network = _evidence_network(path)
    shape = task.signals.shape[1:]
    thickness, variance = np.empty((2, 2, *shape))
    misfit = np.empty(shape)
    with torch.inference_mode():
        evidence = Evidence(task.model, task.beam_kv, task.thickest_nm)
        pixels = evidence.pixels(task.signals, task.noise)
        points, beside = pixels.points.reshape(*shape, -1), pixels.beside.reshape(shape)
        for place, seen, inside in track(list(tiles(shape, TILE_PX, HALO_PX)), progress, cancel):
            part = Pixels(points[seen].flatten(0, 1), pixels.noise, beside[seen].flatten())
            extent = beside[seen].shape
            told = evidence.told(part)
            answer = _answer(network, told.features, cases(told, extent))
            *maps, off = decided(evidence, part, told, answer)
            for into, each in zip((thickness, variance), maps, strict=True):
                into[:, *place] = each.T.reshape(-1, *extent)[:, *inside]
            misfit[place] = (off + part.beside).reshape(extent)[inside]
    unit = task.thickest_nm[:, np.newaxis, np.newaxis]
    return Inversion(
        np.minimum(thickness, 1) * unit,
        np.sqrt(variance) * unit,
        misfit / len(task.beam_kv),
        float(pixels.noise),
    )


def _answer(network: EvidenceNetwork, features: Tensor, said: Cases) -> Answer:
    """Return what the network thinks of an image, a batch of one."""
    from porescope.layers.evidence_network import MULTIPLE, Answer

    height, width = said.likely.shape[1:]
    maps = (features.reshape(-1, height, width), *said)
    with autocast():
        answer = network(*(_padded(each, MULTIPLE)[None] for each in maps))
    return Answer(*(each[..., :height, :width] for each in answer))


def _padded(images: Tensor, multiple: int) -> Tensor:
    from torch.nn import functional

    beside = (0, -images.shape[-1] % multiple, 0, -images.shape[-2] % multiple)
    padded = functional.pad(images.flatten(0, -3), beside, mode="replicate")
    return padded.reshape(*images.shape[:-2], *padded.shape[-2:])


def _by_paper(path: Path, name: str, task: Task, progress: Progress, cancel: Cancel) -> Inversion:
    """Ask a network of the paper, which does not say how sure it is."""
    import torch

    from porescope.layers.networks import MULTIPLE

    known = (
        isinstance(task.model, Published)
        and tuple(task.beam_kv) == BEAM_KV
        and tuple(task.thickest_nm) == THICKEST_NM
    )
    if not known:
        raise PorescopeError(
            f"The network {name} knows the published model at 5, 6, ..., 35 keV with gold up to 15 "
            "and aluminium up to 150 nm alone; take another method."
        )
    network = _paper_network(path, name)
    _, height, width = task.signals.shape
    series = torch.from_numpy(task.signals).float()[None]
    with torch.inference_mode(), autocast():
        answer = network(_padded(series, MULTIPLE))[0].float()
    if answer.ndim == 4:
        labels = answer.argmax(dim=0).numpy().astype(np.uint8)
        thickness = thickness_from_labels(labels, 2)
    else:
        thickness = answer.double().numpy() * task.thickest_nm[:, np.newaxis, np.newaxis]
    thickness = thickness[:, :height, :width]
    away = np.log(task.signals) - np.log(task.model.evaluate(thickness, task.beam_kv)[0])
    noise = task.noise
    if noise is None:
        noise = believed(float(np.sqrt(np.square(away).mean())), task.signals)
    noise = max(noise, SMALLEST_NOISE)
    unknown = np.full_like(thickness, np.nan)
    return Inversion(thickness, unknown, np.square(away / noise).mean(axis=0), noise)


@cache
def _evidence_network(path: Path) -> EvidenceNetwork:
    from porescope.layers.evidence_network import EvidenceNetwork

    return _loaded(EvidenceNetwork, path, "default")


@cache
def _paper_network(path: Path, name: str) -> nn.Module:
    from porescope.layers.networks import NETWORKS

    return _loaded(NETWORKS[name], path, name)


def _loaded(make_network: Callable[[], Network], path: Path, name: str) -> Network:
    """Return a network with the weights of a file."""
    import torch

    with torch.random.fork_rng(devices=[]):
        network = make_network()
    load_weights(path, network, network_name(name))
    channels_last(network)
    return network.eval()
