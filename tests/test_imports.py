"""What the package imports, and when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import porescope

PACKAGE = Path(porescope.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "monai", "lightning", "napari", "qtpy", "PyQt6", "magicgui"}
# As in docs/architecture.md, top to bottom; a part imports from its own layer and those below.
LAYERS = [
    {"cli", "demo", "options", "terminal"},
    {"viewer"},
    {"pipeline"},
    {"correct", "segment", "layers", "adapt", "measure"},
    {"imaging", "learn"},
    {"geometry", "io", "sample_data"},
    {"stack", "files", "tracking", "errors", "_core"},
]


def part_of(source: Path) -> str:
    return source.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(source: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def level(part: str) -> int:
    (found,) = (index for index, parts in enumerate(LAYERS) if part in parts)
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_viewer_imports_napari_and_qt(source):
    roots = {name.partition(".")[0] for name in imported(source)}
    graphical = roots & {"napari", "qtpy", "PyQt6", "PySide6", "magicgui", "superqt"}
    assert part_of(source) == "viewer" or not graphical


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(source):
    part = part_of(source)
    if part == "__init__":
        return
    names = {name.split(".")[1] for name in imported(source) if name.startswith("porescope.")}
    parts = names & set().union(*LAYERS)
    upward = {other for other in parts if level(other) < level(part)}
    assert not upward


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import porescope",
        "import porescope; porescope.io.read_stack",
        "import porescope; porescope.pipeline.steps()",
        "import npe2; m = npe2.PluginManifest.from_distribution('napari-porescope')\n"
        "import porescope.viewer.readers",
    ],
)
def test_starting_imports_nothing_heavy(code):
    assert not modules_after(code) & HEAVY
