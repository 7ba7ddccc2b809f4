"""A project: a folder that keeps the work of a window, so that one can go on with it next week.

The folder holds ``project.json``, the results of steps under ``results/`` and what was painted
under ``annotations/``. Inputs stay where they are. What a path in ``project.json`` names lies in
the project where it is relative, and is an input where it is not.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from filelock import FileLock, Timeout
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from porescope.errors import PorescopeError
from porescope.files import replacing
from porescope.pipeline.provenance import files_of, on_disk
from porescope.pipeline.run import Report, tell_nobody
from porescope.tracking import Cancel, never_cancel, track

FORMAT: Final = 1
SUFFIX, FILE = ".porescope", "project.json"
RESULTS, ANNOTATIONS, USED = "results", "annotations", "used"
LOCK, HOLDER = ".lock", ".open-in.json"
LARGEST_BYTES = 64 << 20
MODIFIED_TOLERANCE_S = 2.0
"""Archives and some file systems keep the time of a file no better."""

Triple = tuple[float, float, float]


def _inside(path: str) -> str:
    """Refuse a path that could lead out of where it is looked up."""
    if not re.fullmatch(r"[^/\\:\0][^\\:\0]*", path) or {"..", "."} & set(path.split("/")):
        raise ValueError("a path within the project was expected")
    return path


def _input_or_own(path: str) -> str:
    return path if Path(path).is_absolute() else _inside(path)


def _volume(name: str) -> str:
    return name and _inside(name)


Inside = Annotated[str, AfterValidator(_inside)]


class Kept(BaseModel):
    """A part of ``project.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Kept):
    """Where the voxels of a layer can be read again.

    Attributes
    ----------
    path : str
        Of an input, absolute; or of a result of this project, relative.
    volume : str
        Which volume of it: of a result its file, of a folder of voltages ``kv=2.0``, in an
        OME-Zarr ``labels/…``; empty if there is one only.
    count : int
        How many images the path holds.
    spacing_nm, beam_kv : optional
        As given by the user because the files do not tell.
    """

    path: Annotated[str, AfterValidator(_input_or_own)]
    volume: Annotated[str, AfterValidator(_volume)] = ""
    count: int = Field(1, ge=0)
    spacing_nm: tuple[float | None, float | None, float | None] | None = None
    beam_kv: float | None = None

    @property
    def is_input(self) -> bool:
        """Whether it lies outside of the project."""
        return Path(self.path).is_absolute()


class Used(Kept):
    """What a step worked on: the layer's name, and the voxels as they were then."""

    name: str
    source: Source


class Taken(Kept):
    """A step that was run in the window.

    Attributes
    ----------
    step, parameters
        As in a recipe, with every parameter.
    images, labels, truth, maps
        What it worked on.
    folder : str
        Of its result, in the project.
    made : dict
        The name of the layer of each volume in it.
    """

    step: str
    parameters: dict[str, Any]
    images: tuple[Used, ...] = ()
    labels: Used | None = None
    truth: Used | None = None
    maps: dict[str, Used] = {}
    folder: Inside
    made: dict[str, str] = {}


class Seen(Kept):
    """How an input was, by which it is known again."""

    bytes: int = Field(ge=0)
    modified_s: float


class Annotation(Kept):
    """What was painted: a folder with a file for each slice that is not empty."""

    folder: Inside
    shape: tuple[int, int, int]
    dtype: str = Field(pattern=r"^u?int(8|16|32|64)$")


class KeptLayer(Kept):
    """A layer of the window.

    Attributes
    ----------
    name, kind
        As napari shows it.
    source, annotation
        Where its voxels are; one of both.
    look : dict
        Attributes of the layer, such as its scale, opacity and colours.
    told : dict
        Of an annotation, what Porescope knows of it.
    """

    name: str
    kind: Literal["image", "labels"]
    source: Source | None = None
    annotation: Annotation | None = None
    look: dict[str, Any] = {}
    told: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.source is None) == (self.annotation is None):
            raise ValueError("a layer has either a source or an annotation")
        return self


class Window(Kept):
    """What the user looked at, and what was filled in.

    Attributes
    ----------
    ndisplay, order, point
        Of the sliders.
    center, zoom, angles
        Of the camera.
    active : str, optional
        Name of the layer that is selected.
    section : str, optional
        Of the dock, the one that is open.
    sections : dict
        What was filled in, by section.
    """

    ndisplay: Literal[2, 3] = 2
    order: tuple[int, ...] = ()
    point: tuple[float, ...] = ()
    center: Triple = (0.0, 0.0, 0.0)
    zoom: float = Field(1.0, gt=0)
    angles: Triple = (0.0, 0.0, 0.0)
    active: str | None = None
    section: str | None = None
    sections: dict[str, dict[str, Any]] = {}


class Project(Kept):
    """What ``project.json`` holds."""

    porescope_project: Literal[1] = FORMAT
    inputs: dict[str, Seen] = {}
    steps: tuple[Taken, ...] = ()
    layers: tuple[KeptLayer, ...] = ()
    window: Window = Window()

    def to_json(self) -> str:
        """Return the text of ``project.json``."""
        return self.model_dump_json(indent=1)

    def sources(self) -> list[Source]:
        """Return all places that it reads from."""
        used = [
            each.source
            for taken in self.steps
            for each in (*taken.images, taken.labels, taken.truth, *taken.maps.values())
            if each is not None
        ]
        return [*used, *(layer.source for layer in self.layers if layer.source is not None)]

    def input_paths(self) -> list[str]:
        """Return the paths of all inputs, each once."""
        return list(dict.fromkeys(source.path for source in self.sources() if source.is_input))

    def with_inputs_at(self, moved: Mapping[str, str]) -> Project:
        """Return the project with inputs that lie elsewhere now."""
        if not moved:
            return self

        def replaced(value: Any) -> Any:
            if isinstance(value, dict):
                found = {key: replaced(each) for key, each in value.items()}
                if found.keys() == Source.model_fields.keys() and found["path"] in moved:
                    found["path"] = moved[found["path"]]
                return found
            return [replaced(each) for each in value] if isinstance(value, list | tuple) else value

        content = self.model_dump()
        content["inputs"] = {path: each for path, each in self.inputs.items() if path not in moved}
        content |= {"steps": replaced(content["steps"]), "layers": replaced(content["layers"])}
        return Project.model_validate(content)


def read_project(folder: Path) -> Project:
    """Read what a project folder keeps.

    Raises
    ------
    PorescopeError
        If it is no project, is damaged, was written by a newer Porescope, or names a place
        outside of itself as its own.
    """
    path = folder / FILE
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PorescopeError(f"{path} is too large to be a project's; it is damaged.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PorescopeError(
            f"{folder} is no Porescope project: it holds no {FILE}; choose another folder."
        ) from error
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise PorescopeError(f"{path} is damaged; take it from a backup.") from error
    version = content.get("porescope_project") if isinstance(content, dict) else None
    if version is None:
        raise PorescopeError(f"{path} is damaged; take it from a backup.")
    if version != FORMAT:
        raise PorescopeError(
            f"{folder} was saved in format {version!r:.20} of projects, and this Porescope reads "
            f"format {FORMAT}; install a newer Porescope."
        )
    try:
        project = Project.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = " → ".join(map(str, first["loc"])) or "its beginning"
        in_words = first["type"] == "value_error"  # ours, not pydantic's
        why = first["ctx"]["error"] if in_words else "what stands there makes no sense"
        raise PorescopeError(
            f"{path} is damaged at {where}: {why}; take it from a backup."
        ) from error
    own = [source.path for source in project.sources() if not source.is_input]
    drawn = [layer.annotation.folder for layer in project.layers if layer.annotation]
    for name in (*own, *drawn, *(taken.folder for taken in project.steps)):
        place_of(name, folder)
    return project


def place_of(path: str, folder: Path) -> Path:
    """Return where a path of a project lies.

    Raises
    ------
    PorescopeError
        If it is relative and a link leads it out of the project.
    """
    if Path(path).is_absolute():
        return Path(path)
    place = folder / path
    if not place.resolve().is_relative_to(folder.resolve()):
        raise PorescopeError(f"{place} leads out of the project; remove the link.")
    return place


def write_project(folder: Path, project: Project) -> None:
    """Write ``project.json`` anew, whole before it gets its name.

    Raises
    ------
    PorescopeError
        If the folder cannot be written.
    """
    try:
        with replacing(folder / FILE) as beside, beside.open("w", encoding="utf-8") as stream:
            stream.write(project.to_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise PorescopeError(f"Cannot save {folder}: {error.strerror or error}.") from error


def copy_results(
    results: Path, place: Path, *, report: Report = tell_nobody, cancel: Cancel = never_cancel
) -> None:
    """Copy the results of a session into a new folder; where links are possible, at no cost.

    Results are never changed, so that a link is as good as a copy.
    """
    whole = [entry for entry in sorted(results.glob("*")) if not entry.name.startswith(".")]
    files = [file for entry in whole for file in files_of(entry)]
    place.mkdir(parents=True)
    for file in track(files, lambda done, total: report("Copying results", done, total), cancel):
        target = place / file.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(file, target)


def look_at(path: str) -> Seen:
    """Return how an input is now.

    Raises
    ------
    PorescopeError
        If it is not there.
    """
    place = on_disk(Path(path))
    try:
        if not place.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        stats = [file.stat() for file in files_of(place)]
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror or error}.") from error
    return Seen(
        bytes=sum(stat.st_size for stat in stats),
        modified_s=max((stat.st_mtime for stat in stats), default=0.0),
    )


def check_inputs(project: Project) -> tuple[list[str], list[str]]:
    """Return which inputs are missing, and which are no longer as they were."""
    missing, changed = [], []
    for path in project.input_paths():
        try:
            now = look_at(path)
        except PorescopeError:
            missing.append(path)
            continue
        seen = project.inputs.get(path)
        if seen is not None and (
            seen.bytes != now.bytes or abs(seen.modified_s - now.modified_s) > MODIFIED_TOLERANCE_S
        ):
            changed.append(path)
    return missing, changed


class ProjectLock:
    """Holds a project for one window; whoever dies lets go of it.

    Parameters
    ----------
    folder : Path
        Of the project; kept as an attribute.

    Raises
    ------
    PorescopeError
        If another window that lives has it open.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holder = folder / HOLDER
        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
            with replacing(self._holder) as beside:
                beside.write_text(json.dumps({"pid": os.getpid(), "host": platform.node()}))
        except Timeout as error:
            raise PorescopeError(
                f"{folder} is open in another window{_told_of(self._holder)}; close it there first."
            ) from error
        except OSError as error:
            raise PorescopeError(f"Cannot write {folder}: {error.strerror or error}.") from error

    def release(self) -> None:
        """Let others open the project."""
        with suppress(OSError):
            self._holder.unlink(missing_ok=True)
        self._lock.release()


def _told_of(holder: Path) -> str:
    try:
        content = json.loads(holder.read_text()[:1000])
        return f" (process {int(content['pid'])} on {content['host']!s:.80})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def next_number(results: Path, given: Iterable[int] = ()) -> int:
    """Return the number of the next result, whatever became of those before."""
    there = [int(m[1]) for path in results.glob("*") if (m := re.match(r"\.?(\d+)", path.name))]
    return 1 + max([*there, *given], default=-1)
