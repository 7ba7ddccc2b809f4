"""Compare electrons in thick solids with measurements and other programs, and time them.

Run with ``python benchmarks/montecarlo_bulk.py``; prints the tables of results/montecarlo_bulk.md.
"""

import time

import numpy as np

from porescope.imaging import backscatter_coefficient, secondary_yield
from porescope.imaging.transport import trace_bulk

ELECTRONS = 200_000
ENERGIES_KV = (0.5, 1, 2, 3, 5, 10, 20, 30)

# Lowest and highest of the sets in D. C. Joy's database (2001), and the middle of clean surfaces
# and of H.-J. Hunger and L. Kuechler, phys. stat. sol. (a) 56 (1979) K45.
BACKSCATTER = {
    "carbon": (
        ".08-.150 .071-.133 .066-.107 .063-.088 .058-.086 .066-.074 .049-.064 .050-.060",
        "- .10+-.025 .089+-.025 .075+-.025 .078+-.012 .070+-.012 .058+-.012 .054+-.012",
    ),
    "aluminium": (
        ".216-.236 .134-.235 .14-.203 .132-.213 .135-.20 .14-.188 .139-.164 .135-.156",
        "- .214+-.03 .201+-.03 .194+-.03 .178+-.03 .164+-.03 .152+-.03 .147+-.03",
    ),
    "silicon": (
        ".21-.25 .21-.235 .204-.21 .192-.212 .184-.206 .174-.20 .159-.194 .145-.19",
        "- .226+-.03 .205+-.03 .200+-.03 .190+-.03 .176+-.03 .164+-.03 .157+-.03",
    ),
    "copper": (
        ".27-.40 .265-.438 .28-.419 .309-.406 .298-.398 .29-.357 .29-.339 .291-.32",
        "- .32+-.04 .322+-.04 .321+-.04 .316+-.04 .309+-.04 .302+-.04 .298+-.04",
    ),
    "silver": (
        "- - - - - - - -",
        "- .396+-.03 .396+-.03 .396+-.03 .396+-.03 .396+-.03 .396+-.03 .396+-.03",
    ),
    "gold": (
        ".30-.37 .289-.419 .373-.450 .414-.464 .43-.489 .47-.501 .48-.516 .481-.521",
        "- .407+-.06 .44+-.03 .455+-.03 .461+-.03 .472+-.03 .484+-.03 .491+-.03",
    ),
}
# Other programs, run by us: eta of gold and of carbon at 1, 2 and 4 kV.
PEERS = """\
| PENEPMA 2014 | .396 | .456 | .474 | .110 | .097 | .084 |
| CASINO 2 | .407 | .432 | .439 | .076 | .064 | .052 |
| JMONSEL, SRD 64 and Joy-Luo | .407-.431 | .447-.452 | .449 | .081 | .069-.070 | .065 |
| Nebula 1.0.2 (counts fast secondaries too) | .553-.561 | .569 | .558 | .132 | .127 | .103 |
| measured | .289-.419 | .373-.450 | .443-.461 | .071-.133 | .066-.107 | .058-.089 |"""
# Joy's database, at .5, 1, 2, 3 and 5 kV: all sets, and what the material was fitted near to.
SECONDARY = {
    "gold": "1.55 1.12/1.37/1.65 .71/1.21 .59/1.04/1.07 .44/.72/.79",
    "aluminium": "- .45/1.58/1.67/2.1 .30/.88/1.32 .23/.62/.96-1.0 .44/.50/.68",
    "silicon": ".67/1.12/1.42 .44/.94/.98/1.59 .27/.64 .19/.53/.77 .37/.49",
    "carbon": ".67-.78 .47/.54/.99 .31/.33/.53 .21/.27/.40 .16-.32",
}
FALL = {"gold": "1.3-1.9", "aluminium": "1.6-2.7", "silicon": "1.8-2.3", "carbon": "1.7-2.6"}
MEAN_ENERGY = {
    ("gold", 1): ".68", ("gold", 2): ".72", ("gold", 4): ".75", ("gold", 20): ".78",
    ("silver", 2): ".70-.74", ("copper", 2): ".68-.69", ("silicon", 2): ".61-.64",
    ("aluminium", 2): ".60-.63", ("carbon", 2): ".55-.58",
}  # fmt: skip
DEPTHS_NM = {
    ("gold", 1): "1.4 / 3.3 / 4.8", ("gold", 2): "2.9 / 6.9 / 10", ("gold", 4): "7.0 / 16 / 23",
    ("silicon", 1): "4.6 / 9.3 / 13", ("silicon", 2): "14 / 26 / 35",
    ("silicon", 4): "44 / 80 / 104", ("aluminium", 2): "12 / 23 / 31",
    ("carbon", 1): "5 / 9.6 / 12.5", ("carbon", 2): "16 / 30 / 38", ("carbon", 4): "54 / 95 / 121",
    ("epoxy", 2): "25 / 44 / 56",
}  # fmt: skip
PEERS_SPEED = """\
| PENEPMA 2014 | 1.4e4-1.7e4 |
| Nebula 1.0.2 on a processor | 1e4 |
| JMONSEL | 7e3 |
| CASINO 2 | 6e3 |"""


def row(*cells):
    print("|", " | ".join(str(cell) for cell in cells), "|")


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def backscatter():
    print(f"\n## Back-scatter coefficient, normal incidence, {ELECTRONS} electrons each")
    head("", "", *(f"{beam_kv} kV" for beam_kv in ENERGIES_KV))
    for name, (measured, tolerance) in BACKSCATTER.items():
        row(name, "measured", *measured.split())
        row("", "to lie in", *tolerance.replace("+-", "±").split())
        eta = [backscatter_coefficient(name, beam_kv, ELECTRONS) for beam_kv in ENERGIES_KV]
        row("", "**porescope**", *(f"**{value:.3f}**" for value in eta))
    print("\n## Beside other programs")
    head("", "Au 1 kV", "2 kV", "4 kV", "C 1 kV", "2 kV", "4 kV")
    eta = [
        backscatter_coefficient(name, beam_kv, ELECTRONS)
        for name in ("gold", "carbon")
        for beam_kv in (1, 2, 4)
    ]
    row("**porescope**", *(f"**{value:.3f}**" for value in eta))
    print(PEERS)


def tilt():
    print("\n## Rise with tilt, eta(tilt) / eta(0) at 2 kV")
    head("", "38°", "Arnal", "off by", "52°", "Arnal", "off by")
    for name, z in (
        ("aluminium", 13),
        ("silicon", 14),
        ("copper", 29),
        ("silver", 47),
        ("gold", 79),
    ):
        upright = backscatter_coefficient(name, 2, ELECTRONS)
        cells = []
        for tilt_deg in (38, 52):
            ours = backscatter_coefficient(name, 2, ELECTRONS, tilt_deg=tilt_deg) / upright
            arnal = ((1 + np.cos(np.radians(tilt_deg))) / 2) ** (-9 / np.sqrt(z))
            cells += [f"**{ours:.3f}**", f"{arnal:.3f}", f"{100 * (ours / arnal - 1):+.0f} %"]
        row(name, *cells)


def secondaries():
    energies_kv = (0.5, 1, 2, 3, 5)
    print("\n## Secondary yield")
    head("", "", *(f"{beam_kv} kV" for beam_kv in energies_kv), "1 kV / 3 kV")
    for name, measured in SECONDARY.items():
        row(name, "measured", *measured.split(), FALL[name])
        delta = [secondary_yield(name, beam_kv, ELECTRONS) for beam_kv in energies_kv]
        row(
            "",
            "**porescope**",
            *(f"**{value:.2f}**" for value in delta),
            f"{delta[1] / delta[3]:.2f}",
        )


def energies_and_depths():
    print("\n## Back-scattered electrons: mean energy, and how deep they came (50, 90, 99 %)")
    head("", "kV", "E / E0", "prototype, peers", "depth / nm", "prototype")
    for name, beam_kv in sorted(MEAN_ENERGY | DEPTHS_NM):
        histories = trace_bulk(name, beam_kv, electrons=ELECTRONS, secondaries=False)
        back = histories.backscattered
        depths_nm = np.quantile(histories.deepest_nm[back], (0.5, 0.9, 0.99))
        row(
            name,
            beam_kv,
            f"**{histories.energy_ev[back].mean() / (1000 * beam_kv):.3f}**",
            MEAN_ENERGY.get((name, beam_kv), "-"),
            "**" + " / ".join(f"{depth:.1f}" for depth in depths_nm) + "**",
            DEPTHS_NM.get((name, beam_kv), "-"),
        )


def electrons_a_second(name, beam_kv, with_secondaries):
    def seconds():
        start = time.perf_counter()
        trace_bulk(name, beam_kv, electrons=ELECTRONS // 2, secondaries=with_secondaries, threads=1)
        return time.perf_counter() - start

    return ELECTRONS / 2 / min(seconds() for _ in range(5))


def speed():
    print("\n## Speed: electrons a second on one core")
    head("", "without secondaries", "with")
    for name, beam_kv in (
        *(("gold", 1), ("gold", 2), ("gold", 4)),
        *(("carbon", 1), ("carbon", 2), ("carbon", 4)),
    ):
        rates = [electrons_a_second(name, beam_kv, secondaries) for secondaries in (False, True)]
        row(f"{name}, {beam_kv} kV", *(f"**{rate:.2g}**" for rate in rates))
    print()
    head("gold, 2 kV", "electrons/s")
    print(PEERS_SPEED)


if __name__ == "__main__":
    print("# Electrons in thick solids: figures")
    for part in (backscatter, tilt, secondaries, energies_and_depths, speed):
        part()
