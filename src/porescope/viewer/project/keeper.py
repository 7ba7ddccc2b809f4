"""What keeps the work of a window in its project while the user goes on.

Every few seconds the window is looked at; what is new is written by a thread: painted slices first,
then ``project.json``. Looking at everything takes milliseconds, and nothing can be forgotten that
napari lets a user change.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from napari.layers import Labels, Layer
from qtpy.QtCore import QTimer

from porescope.errors import PorescopeError
from porescope.pipeline.annotations import AnnotationFile
from porescope.pipeline.project import (
    ANNOTATIONS,
    KeptLayer,
    Project,
    Seen,
    Window,
    look_at,
    write_project,
)
from porescope.tracking import Cancel
from porescope.viewer.project.sources import forget_source, source_of
from porescope.viewer.project.window_state import can_be_drawn, is_shown_only, kept_layer
from porescope.viewer.work import Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

EVERY_S = 5.0
"""How often the window is looked at; a killed napari loses no more, and the time to write."""


class Keeper:
    """Knows what of a window is worth keeping, and writes it into the open project.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    window : callable() -> Window
        Where the user looks, and what is filled in.
    """

    def __init__(self, viewer: ViewerModel, session: Session, window: Callable[[], Window]) -> None:
        self.saved_at: float | None = None
        self.trouble: PorescopeError | None = None
        self._viewer = viewer
        self._session = session
        self._window = window
        self._looked = Window()
        self.waiting: list[KeptLayer] = []
        """Layers that could not be shown again, and may be another time."""
        self._folders: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
        self._files: dict[str, AnnotationFile] = {}
        self._seen: dict[str, Seen] = {}
        self._dirty: dict[str, Any] = {}
        self._heard: WeakSet[Layer] = WeakSet()
        self._written: Project | None = None
        self._before: Project | None = None
        self._saving = threading.Lock()
        for layer in viewer.layers:
            # It may have been painted on before anybody listened.
            if can_be_drawn(layer) and source_of(layer) is not None:
                forget_source(layer)
            self._hear(layer)
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removing.connect(self._removing)

    @property
    def has_drawn(self) -> bool:
        """Whether there is anything painted that no file holds."""
        return any(layer in self._folders for layer in self._viewer.layers)

    def left_out(self) -> list[str]:
        """Return the names of layers that cannot be kept."""
        return [
            layer.name
            for layer in self._viewer.layers
            if not is_shown_only(layer) and kept_layer(layer, self._folders.get(layer)) is None
        ]

    def look(self) -> Project:
        """Return the work as it is now, all but how the inputs are."""
        self._looked = self._window()
        return self._look(self._looked)

    def _look(self, window: Window) -> Project:
        found = (
            kept_layer(layer, self._folders.get(layer))
            for layer in self._viewer.layers
            if not is_shown_only(layer)
        )
        return Project(
            steps=tuple(self._session.taken),
            layers=(*(kept for kept in found if kept is not None), *self.waiting),
            window=window,
        )

    def drawn(self) -> dict[str, Any]:
        """Return what is painted, by the folder that it is kept in."""
        layers = {layer: self._folders.get(layer) for layer in self._viewer.layers}
        return {folder: layer.data for layer, folder in layers.items() if folder is not None}

    def with_seen(self, project: Project) -> Project:
        """Return a project that tells how its inputs are; for a thread, as disks may be slow."""
        for path in project.input_paths():
            if path not in self._seen:
                try:
                    self._seen[path] = look_at(path)
                except PorescopeError:
                    continue
        paths = project.input_paths()
        inputs = {path: self._seen[path] for path in paths if path in self._seen}
        return project.model_copy(update={"inputs": inputs})

    def adopt(
        self, files: dict[str, AnnotationFile], drawn: Iterable[tuple[Layer, str]], known: Project
    ) -> None:
        """Go on with a project that was opened or made; its annotations are saved already."""
        self._files = files
        self._seen = dict(known.inputs)
        self._looked = known.window
        for layer, folder in drawn:
            self._folders[layer] = folder
        self._dirty = {}
        self._written = None
        self.saved_at = time.monotonic()
        self.trouble = None

    def forget(self) -> None:
        """Begin anew, once a project was closed."""
        self._files, self._seen, self._dirty, self.waiting = {}, {}, {}, []
        self._folders.clear()
        self._written = self.saved_at = self.trouble = None

    def tick(self) -> None:
        """Save what is new, in a thread, if a project is open and the last time has ended."""
        if self._session.project is None or self._saving.locked():
            return
        project = self.look()
        if project == self._written and not self._dirty:
            self.saved_at = time.monotonic()
            return
        drawn, self._dirty = self._dirty, {}
        self._session.start(lambda cancel: self._save(project, drawn, cancel))

    def finish(self) -> None:
        """Save the last that is new, as the window closes."""
        self._viewer.layers.events.inserted.disconnect(self._inserted)
        self._viewer.layers.events.removing.disconnect(self._removing)
        for layer in list(self._heard):
            self._let_go(layer)
        if self._session.project is not None:
            # A window that closes may take its layers away first; nobody meant that. Its panels
            # can no longer be asked.
            self._save(self._before or self._look(self._looked), self._dirty)

    def flush(self) -> None:
        """Save now and wait for it."""
        if self._session.project is not None:
            drawn, self._dirty = self._dirty, {}
            self._save(self.look(), drawn)
            if self.trouble is not None:
                raise self.trouble

    def _save(self, project: Project, drawn: dict[str, Any], cancel: Cancel | None = None) -> None:
        folder = self._session.project
        if folder is None:
            return
        with self._saving:
            try:
                for name, labels in drawn.items():
                    file = self._files.setdefault(name, AnnotationFile(folder / name))
                    file.save(labels)
                if project != self._written:
                    write_project(folder, self.with_seen(project))
            except PorescopeError as error:
                self._dirty = drawn | self._dirty
                self.trouble = error
                return
            self._written = project
            self.trouble = None
            self.saved_at = time.monotonic()

    def _inserted(self, event: Any) -> None:
        self._hear(event.value)

    def _removing(self, event: Any) -> None:
        if self._before is None and self._session.project is not None:
            self._before = self.look()
            QTimer.singleShot(0, self._go_on)
        self._let_go(self._viewer.layers[event.index])

    def _go_on(self) -> None:
        """Know that a layer was removed, and not the window closed."""
        self._before = None

    def _hear(self, layer: Layer) -> None:
        """Listen to strokes, undo and whatever else changes a layer of labels."""
        if not isinstance(layer, Labels) or is_shown_only(layer) or layer in self._heard:
            return
        self._heard.add(layer)
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._painted)
        layer.events.set_data.connect(self._refreshed)
        if source_of(layer) is None and can_be_drawn(layer):
            self._keep(layer)

    def _let_go(self, layer: Layer) -> None:
        if layer in self._heard:
            self._heard.discard(layer)
            layer.events.paint.disconnect(self._painted)
            layer.events.data.disconnect(self._painted)
            layer.events.set_data.disconnect(self._refreshed)

    def _painted(self, event: Any) -> None:
        layer = event.source
        if can_be_drawn(layer):
            if source_of(layer) is not None:
                forget_source(layer)
            self._keep(layer)

    def _refreshed(self, event: Any) -> None:
        """Hear of undo and of moved sliders; only slices that differ are written."""
        if event.source in self._folders:
            self._keep(event.source)

    def _keep(self, layer: Layer) -> None:
        if layer not in self._folders:
            self._folders[layer] = f"{ANNOTATIONS}/{secrets.token_hex(4)}"
        self._dirty[self._folders[layer]] = layer.data
