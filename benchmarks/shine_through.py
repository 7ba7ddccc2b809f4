"""Gold that shines through epoxy: images of cuboids at rising depth, and the signal over depth.

Writes ``docs/images/shine_through.png`` and prints the numbers; takes a minute or two.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

from porescope.imaging import simulate_monte_carlo
from porescope.imaging.transport import trace_layers

BEAMS_KV = (1.0, 2.0, 4.0)
DEPTHS_NM = np.arange(0, 200, 10)
VOXEL_NM = 2.5
RESULTS = Path(__file__).parent / "results" / "shine_through.md"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "shine_through.png"


def cuboids() -> np.ndarray:
    """Return six gold cuboids of 50 nm in epoxy, their tops 0, 10, 20, 40, 80 and 160 nm deep."""
    labels = np.zeros((180, 52, 184), np.uint8)
    for place, depth_nm in enumerate((0, 10, 20, 40, 80, 160)):
        top, left = round(depth_nm / VOXEL_NM), 6 + 30 * place
        labels[top : top + 20, 16:36, left : left + 20] = 1
    return labels


def curves() -> dict[float, list[float]]:
    """Return the back-scatter coefficient over the thickness of epoxy on gold, at each voltage."""
    signal: dict[float, list[float]] = {}
    for beam_kv in BEAMS_KV:
        signal[beam_kv] = []
        for depth_nm in DEPTHS_NM:
            cover = [("epoxy", float(depth_nm))] if depth_nm else []
            histories = trace_layers(
                [*cover, ("gold", np.inf)], beam_kv, electrons=300_000, secondaries=False
            )
            signal[beam_kv].append(float(histories.backscattered.mean()))
    return signal


def main() -> None:
    """Simulate, draw and print."""
    labels, signal = cuboids(), curves()
    figure = plt.figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplot_mosaic([["1.0", "c"], ["2.0", "c"], ["4.0", "c"]], width_ratios=(1.7, 1))
    for beam_kv in BEAMS_KV:
        image = simulate_monte_carlo(
            labels, 0, voxel_nm=VOXEL_NM, materials={0: "epoxy", 1: "gold"}, beam_kv=beam_kv,
            electrons=1000, probe_nm=2.0, secondaries=False,
        )["bse"]  # fmt: skip
        shown = axes[str(beam_kv)]
        shown.imshow(image, cmap="gray", vmin=0, vmax=0.6)
        shown.set(xticks=[], yticks=[], ylabel=f"{beam_kv:g} kV")
        axes["c"].plot(DEPTHS_NM, signal[beam_kv], ".-", label=f"{beam_kv:g} kV")
    axes["1.0"].set_title("gold cuboids 0, 10, 20, 40, 80, 160 nm under epoxy")
    axes["c"].set(xlabel="epoxy over gold / nm", ylabel="back-scattered electrons", ylim=(0, None))
    axes["c"].legend()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=100)
    lines = [
        "# Gold that shines through epoxy",
        "Back-scatter coefficient of epoxy of some thickness over gold, 300,000 electrons each, by",
        "`shine_through.py`.",
        "",
        "| nm | " + " | ".join(f"{beam_kv:g} kV" for beam_kv in BEAMS_KV) + " |",
        "|---" * 4 + "|",
        *(
            f"| {depth_nm} | " + " | ".join(f"{signal[k][row]:.4f}" for k in BEAMS_KV) + " |"
            for row, depth_nm in enumerate(DEPTHS_NM)
        ),
        "",
    ]
    for beam_kv in BEAMS_KV:
        steps = np.diff(signal[beam_kv])
        rises = steps[steps > 3 * np.sqrt(2 * 0.1 / 300_000)]
        lines.append(
            f"{beam_kv:g} kV: falls monotonically within the noise of {np.sqrt(0.1 / 300_000):.4f}."
            if rises.size == 0
            else f"{beam_kv:g} kV: rises by {rises.max():.4f}."
        )
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
