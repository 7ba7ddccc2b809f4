"""What ``porescope demo`` does: the sample recipe on the sample data, and a look at the result."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from porescope.pipeline.recipe import Recipe, read_recipe
from porescope.pipeline.report import SCORES, scores_told
from porescope.pipeline.run import run_recipe
from porescope.sample_data import sample_folder
from porescope.terminal import write_with_bars

PICTURE = "screenshot.png"
PATIENCE_S = 180
SHOW = (sys.executable, "-m", "porescope.viewer.show")
VIRTUAL_DISPLAY = ("xvfb-run", "-a", "-s", "-screen 0 1600x1000x24")


def run_demo(out: Path, headless: bool) -> None:
    """Run the sample recipe, then open its result in napari or take a picture of that window.

    Parameters
    ----------
    out : Path
        Folder for the result; an earlier demo's is replaced.
    headless : bool
        Open no window even where there is a display.

    Raises
    ------
    PorescopeError
        If the result cannot be written.
    """
    result = write_with_bars(run_recipe, sample_recipe(), out=out, overwrite=True)
    with_window = has_display() and not headless
    trouble = _no_viewer() or (None if with_window else take_picture(result / PICTURE))
    print(_summary(result))
    if trouble:
        print(trouble)
    elif with_window:
        print("Opening napari; close its window to end.")
        subprocess.run([*SHOW, str(result)], check=False)


def sample_recipe() -> Recipe:
    """Return the recipe of the demo with the sample data as its input."""
    packaged = files("porescope").joinpath("recipes/nanoporous_gold.yaml")
    with as_file(packaged) as path:
        return replace(read_recipe(path), inputs=(sample_folder(),))


def has_display() -> bool:
    """Whether a window can be opened here."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or bool(shown)


def _no_viewer() -> str | None:
    if find_spec("napari") is None:
        return (
            "napari is not installed, so there is no window; pip install napari-porescope[viewer]."
        )
    return None


def take_picture(path: Path) -> str | None:
    """Take a picture of the window with the result around ``path``.

    Returns
    -------
    str or None
        A sentence on why there is no picture, if there is none.
    """
    if has_display():
        display: tuple[str, ...] = ()
    elif shutil.which(VIRTUAL_DISPLAY[0]):
        display = VIRTUAL_DISPLAY
    else:
        return "There is no display and no xvfb-run, so there is no picture; install xvfb."
    command = [*display, *SHOW, str(path.parent), str(path)]
    # Settings of the user's own napari neither change the picture nor are changed by it.
    environment = {**os.environ, "NAPARI_CONFIG": ""}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return f"napari took longer than {PATIENCE_S} s, so there is no picture."
    if not path.is_file():
        reason = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"napari could not open its window, so there is no picture: {reason}"
    return None


def _summary(result: Path) -> str:
    """Return the main scores and what was written."""
    names = ("labels.ome.zarr", SCORES, "report.html", PICTURE)
    written = [name for name in names if (result / name).exists()]
    return f"{scores_told(result)}Wrote {', '.join(written)} to {result}"
