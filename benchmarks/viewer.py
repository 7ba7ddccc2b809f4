"""How fast the window is: opening a large stack, moving its slider, starting with the plugin.

xvfb-run -a python benchmarks/viewer.py [--folder DIR]      (4 GiB of slices are made there)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

import porescope.io

SLICES, WIDTH = 300, 2048
BEAMS_KV = (1, 2, 4)

OPENING = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
import porescope
from napari.components import ViewerModel
from napari.layers import Layer
from porescope.viewer.readers import read_layers
viewer = ViewerModel()
began = time.perf_counter()
for layer in read_layers(Path(sys.argv[1]), (10.0, 5.0, 5.0)):
    viewer.add_layer(Layer.create(*layer))
opened = time.perf_counter() - began
rates = {}
count = int(viewer.dims.nsteps[0])
for name, places in {
    "in order": range(count // 3),
    "at random": np.random.default_rng(0).integers(0, count, 60).tolist(),
}.items():
    for shown in (1, 3):
        for index, layer in enumerate(viewer.layers):
            layer.visible = index < shown
        began = time.perf_counter()
        for place in places:
            viewer.dims.set_current_step(0, place)
        rates[f"{name}, {shown} visible"] = len(places) / (time.perf_counter() - began)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"opened": opened, "peak": peak, "rates": rates}))
"""
STARTING = """
import json, sys, time
import napari
from napari.settings import get_settings
disabled = {"napari-porescope"} if sys.argv[1] == "without" else set()
get_settings().plugins.disabled_plugins = disabled
began = time.process_time()  # other programs do not count
viewer = napari.Viewer()
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
started = time.process_time() - began
panels = {}
if sys.argv[1] == "with":
    from porescope.viewer.dock import open_dock
    for section in sys.argv[2].split(","):
        began = time.perf_counter()
        open_dock(viewer, section)
        QApplication.processEvents()
        panels[section] = time.perf_counter() - began
heavy = [name for name in ("torch", "skimage", "sklearn", "monai") if name in sys.modules]
print(json.dumps({"started": started, "panels": panels, "heavy": heavy}))
viewer.close()
"""
BLOCKING = """
import json, sys, time
from pathlib import Path
import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from porescope.viewer.dock import NAME, open_dock
folder, project = Path(sys.argv[1]), Path(sys.argv[2]) / "a.porescope"
viewer = napari.Viewer()
load = open_dock(viewer, "load")
dock = viewer.window.dock_widgets[NAME]
last, longest = 0.0, {}
def tick():
    global last
    now = time.thread_time()  # the window's own work; other programs and threads do not count
    longest[what] = max(longest.get(what, 0.0), now - last)
    last = now
def wait(panel=None, least_s=1.0):
    begun = time.monotonic()
    while time.monotonic() - begun < least_s or (panel is not None and panel.runner.running):
        QApplication.processEvents()
        time.sleep(0.002)
    if panel is not None:
        print(panel.runner.message.text())
what = "the window opens"
timer = QTimer()
timer.setInterval(5)
timer.timeout.connect(tick)
timer.start()
wait()
what = "three stacks are loaded"
load.ask_for(folder)
wait(load)
load.runner.run_button.click()
wait(load)
what = "a step (crop) runs and its result is shown"
crop = dock.open_section("crop")
crop.form["region"].value = "0, 512, 0, 512"
crop.runner.run_button.click()
wait(crop)
what = "otsu runs and its labels are shown"
segment = dock.open_section("segment")
segment.form["method"].value = "otsu"
segment.runner.run_button.click()
wait(segment)
section = dock.open_section("project")
section.save_as(project)
wait(section)
what = "the window closes"
viewer.close()
wait()
viewer = napari.Viewer()
section = open_dock(viewer, "project")
wait()
what = "the project is opened again (7 layers)"
section.open(project)
wait(section)
what = "first switch to 3D"
viewer.dims.ndisplay = 3
wait()
timer.stop()
print(json.dumps(longest))
viewer.close()
"""
SMALL = (60, 1024)
SECTIONS = "load,align,segment,slices,measure,simulate,train"


def write_slices(folder: Path, slices: int = SLICES, width: int = WIDTH) -> None:
    """Write a stack a voltage, one TIFF a slice."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(0)
    texture = gaussian_filter(random.normal(size=(width + 64, width + 64)), 8)
    texture = (texture - texture.min()) / np.ptp(texture) * 200
    for beam_kv in BEAMS_KV:
        (folder / f"{beam_kv}kV").mkdir()
        for index in range(slices):
            y, x = random.integers(0, 64, 2)
            noise = random.integers(0, 40, (width, width), dtype=np.uint8)
            image = texture[y : y + width, x : x + width].astype(np.uint8) + noise
            tifffile.imwrite(folder / f"{beam_kv}kV" / f"slice_{index:04d}.tif", image)


def told(code: str, *arguments: str) -> dict:
    """Return what a fresh process prints last."""
    command = [sys.executable, "-c", code, *arguments]
    with tempfile.TemporaryDirectory() as folder:  # settings of its own
        settings = {"NAPARI_CONFIG": str(Path(folder) / "settings.yaml")}
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | settings
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where there is room for 4 GiB")
    asked = parser.parse_args()
    print("# The window: figures\nBy `viewer.py`.\n")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        write_slices(Path(name))
        found = told(OPENING, name)
    print(f"Three voltages of {SLICES} x {WIDTH} x {WIDTH}, a TIFF a slice:\n")
    print("| | measured | asked |\n|---|---|---|")
    print(f"| opens | {found['opened']:.2f} s | 3 s |")
    for how, rate in found["rates"].items():
        print(f"| slices a second, {how} | {rate:.0f} | 20 |")
    print(f"| peak memory | {found['peak']:.2f} GiB | 3 GiB |")
    bare, whole = (
        min(told(STARTING, how, "load")["started"] for _ in range(5)) for how in ("without", "with")
    )
    opened = told(STARTING, "with", SECTIONS)
    later = f"{whole - bare:.2f} s (of {bare:.1f} s)"
    print(f"| napari starts later by, processor time | {later} | 0.3 s |")
    for section, seconds in opened["panels"].items():
        print(f"| section {section} opens | {seconds:.2f} s | 1 s |")
    heavy = ", ".join(opened["heavy"]) or "none"
    print(f"| of torch, skimage, sklearn, monai are imported by then | {heavy} | none |")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        stacks = Path(name) / "stacks"
        stacks.mkdir()
        write_slices(stacks, *SMALL)
        for kv in BEAMS_KV:  # voltages as TIFF stacks, which tell their voxel size
            stack = porescope.io.read_stack(stacks / f"{kv}kV", (10.0, 5.0, 5.0))
            porescope.io.write_stack(Path(name) / "told" / f"{kv}kV.ome.tif", stack)
        blocked = told(BLOCKING, str(Path(name) / "told"), name)
    count, width = SMALL
    print(
        f"\nLongest stretch of processor time that the window's thread takes without a pause, "
        f"three stacks of {count} x {width} x {width} (asked: 100 ms):\n\n| | ms |\n|---|---|"
    )
    for what, seconds in blocked.items():
        print(f"| {what} | {1000 * seconds:.0f} |")


if __name__ == "__main__":
    main()
