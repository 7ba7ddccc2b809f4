"""Learn back-scatter coefficients of materials under epoxy, and write them with their card.

python tools/train_backscatter.py layers TABLE.npz    simulates, minutes on two cores
python tools/train_backscatter.py learn TABLE.npz OUT   a minute; OUT/backscatter-epoxy.safetensors
ships in src/porescope/weights.
"""

import argparse
import importlib.metadata
import time
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np

from porescope.adapt.backscatter import (
    DEEPEST,
    HIDDEN,
    NETWORK,
    SUMMARY,
    inputs,
    powers,
    reach_nm,
)
from porescope.imaging import hunger_kuechler
from porescope.imaging.transport import trace_layers
from porescope.learn.weights import Card, save_weights

MATERIALS = {"carbon": 6, "aluminium": 13, "silicon": 14, "copper": 29, "silver": 47, "gold": 79}
BEAMS_KV = (0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 8, 10)
DEPTHS_NM = np.arange(0, 200, 10)
SHARES = np.arange(0.05, 1.3, 0.1)
"""Of the depth that no electron comes back from: what 190 nm leave out at some voltages."""
ELECTRONS = 100_000
EPOCHS = 6000
LEARNING_RATE = 5e-3


def simulate(table: Path) -> None:
    """Follow electrons into epoxy of some thickness over each material."""
    rows = []
    began = time.monotonic()
    for beam_kv in BEAMS_KV:
        depths_nm = np.unique(np.concatenate([DEPTHS_NM, SHARES * reach_nm(beam_kv), [1e5]]))
        for number in MATERIALS.items():
            for depth_nm in depths_nm:
                rows.append(_point(number, beam_kv, depth_nm, len(rows)))
        print(f"{time.monotonic() - began:6.0f} s: {beam_kv:g} kV", flush=True)
    np.savez(table, rows=np.array(rows))


def _point(
    material: tuple[str, int], beam_kv: float, depth_nm: float, seed: int
) -> tuple[float, ...]:
    layers = [("epoxy", depth_nm)] if depth_nm else []
    histories = trace_layers(
        [*layers, (material[0], inf)], beam_kv, electrons=ELECTRONS, seed=seed, secondaries=False
    )
    return material[1], beam_kv, depth_nm, float(histories.backscattered.mean())


def learn(table: Path, out: Path, seed: int = 0) -> None:
    """Fit the bulk and the network at once to all of the table."""
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    with np.load(table) as file:
        atomic_number, beam_kv, depth_nm, eta = file["rows"].T
    bulk = depth_nm == 0
    sizes = (3, *HIDDEN, 1)
    roots, biases = [], []
    for size, following in pairwise(sizes):
        roots.append(torch.randn(following, size, dtype=torch.float64) * size**-0.5)
        biases.append(torch.randn(following, dtype=torch.float64) * 0.5)
    first = torch.tensor([False, False, True])
    formula = torch.from_numpy(hunger_kuechler(atomic_number, beam_kv))
    z, e, s = inputs(atomic_number, beam_kv, depth_nm)
    seen = torch.from_numpy(np.stack([z, e, np.minimum(s, DEEPEST)], axis=-1))
    terms = torch.from_numpy(powers(z, e))
    ratio = torch.zeros(terms.shape[1], dtype=torch.float64)
    filler_terms = torch.from_numpy(np.stack([e**power for power in range(4)], axis=-1))
    filler = torch.zeros(4, dtype=torch.float64)
    wanted = torch.from_numpy(eta)
    # The bulk, which all depths hang on, is one point in thirty.
    weight_of = torch.from_numpy(np.where(depth_nm == 0, 10.0, 1.0))
    parameters = [*roots, *biases, ratio, filler]
    for parameter in parameters:
        parameter.requires_grad_()
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)

    def weights() -> list[torch.Tensor]:
        """Rising with depth: squares but for what the first layer takes of the others."""
        return [torch.where(first, roots[0] ** 2, roots[0]), *(root**2 for root in roots[1:])]

    for epoch in range(EPOCHS):
        values = seen
        layers = list(zip(weights(), biases, strict=True))
        for weight, bias in layers[:-1]:
            values = torch.tanh(values @ weight.T + bias)
        rate = functional.softplus(values @ layers[-1][0].T + layers[-1][1])[:, 0]
        left = torch.exp(-rate * seen[:, 2])
        epoxy = 0.1 * torch.exp(filler_terms @ filler)
        thick = formula * torch.exp(terms @ ratio)
        loss = (weight_of * (epoxy + (thick - epoxy) * left - wanted).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if epoch % 500 == 0:
            print(epoch, loss.item() ** 0.5, flush=True)
    error = (epoxy + (thick - epoxy) * left - wanted).detach().numpy()
    print(
        "rms", np.sqrt((error**2).mean()), "most", abs(error).max(), "bulk", abs(error[bulk]).max()
    )
    tensors = {"bulk": ratio, "epoxy": filler}
    for index, (weight, bias) in enumerate(zip(weights(), biases, strict=True)):
        tensors |= {f"{index}.weight": weight, f"{index}.bias": bias}
    card = Card(
        network=NETWORK,
        summary=SUMMARY,
        data=f"{len(eta)} flat layers of epoxy on {', '.join(MATERIALS)}, at "
        f"{', '.join(f'{each:g}' for each in BEAMS_KV)} kV, {ELECTRONS:,} electrons each.",
        split="By voltage and thickness; benchmarks/backscatter_coefficients.py asks for others.",
        training={"epochs": EPOCHS, "learning_rate": LEARNING_RATE, "seed": seed},
        scores={
            "training_rms": float(np.sqrt((error**2).mean())),
            "training_largest": float(abs(error).max()),
        },
        versions={
            "napari-porescope": importlib.metadata.version("napari-porescope"),
            "torch": torch.__version__,
        },
    )
    save_weights(
        out / "backscatter-epoxy.safetensors",
        {name: values.detach().numpy() for name, values in tensors.items()},
        card,
    )
    print(card.model_dump_json(indent=1))


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    layers = commands.add_parser("layers")
    layers.add_argument("table", type=Path)
    learning = commands.add_parser("learn")
    learning.add_argument("table", type=Path)
    learning.add_argument("out", type=Path)
    asked = parser.parse_args()
    if asked.command == "layers":
        simulate(asked.table)
    else:
        learn(asked.table, asked.out)


if __name__ == "__main__":
    main()
