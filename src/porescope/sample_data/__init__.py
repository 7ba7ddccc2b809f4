"""Stacks that come with Porescope: nanoporous gold in epoxy, imaged at three voltages.

They are made by ``sample_data/make_sample_data.py`` in the repository and described in the
``README.md`` beside them.
"""

from pathlib import Path

import porescope
from porescope.errors import PorescopeError


def sample_folder() -> Path:
    """Return the folder with one sub-folder of slices a voltage, ``truth.tif`` and ``drift.json``.

    Raises
    ------
    PorescopeError
        If the installation lacks it.
    """
    # An editable install has two places: the sources, and what CMake installed.
    for place in porescope.__path__:
        folder = Path(place) / "sample_data" / "npg_multivoltage"
        if folder.is_dir():
            return folder
    raise PorescopeError("The sample data are missing; install napari-porescope again.")
