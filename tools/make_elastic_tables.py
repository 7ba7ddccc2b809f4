"""Pack text tables of elastic electron scattering into the archive that the package ships.

Run with ``python tools/make_elastic_tables.py FOLDER``, where the folder holds ``mott_ZNN.txt``: a
line with the number of energies and of quantiles, then a line an energy with the energy in eV, the
cross-section and the transport cross-section in cm2, the screening and the quantiles.
"""

import re
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent.parent / "src/porescope/imaging/data/elastic.npz"


def main(folder: Path) -> None:
    """Write the tables of all elements in the folder, lightest first."""
    paths = sorted(folder.glob("mott_Z*.txt"))
    tables = []
    for path in paths:
        with path.open() as file:
            energies, quantiles = map(int, file.readline().split())
            table = np.loadtxt(file)
        if table.shape != (energies, 4 + quantiles):
            raise SystemExit(f"{path.name} has not the size that its first line tells.")
        if tables and not np.array_equal(table[:, 0], tables[0][:, 0]):
            raise SystemExit(f"{path.name} has other energies than {paths[0].name}.")
        tables.append(table)
    if not tables:
        raise SystemExit(f"There is no mott_ZNN.txt in {folder}.")
    packed = np.stack(tables).astype(np.float32)
    numbers = [int(re.findall(r"\d+", path.stem)[-1]) for path in paths]
    np.savez_compressed(
        TARGET,
        atomic_number=np.array(numbers, np.uint8),
        energy_ev=packed[0, :, 0],
        cross_section_nm2=packed[:, :, 1] * np.float32(1e14),
        transport_cross_section_nm2=packed[:, :, 2] * np.float32(1e14),
        screening=packed[:, :, 3],
        quantiles=packed[:, :, 4:],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
