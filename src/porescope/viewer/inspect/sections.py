"""Cross-sections xz and yz beside the picture, with one cursor for all three."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Surface, Vectors
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from porescope.errors import PorescopeError
from porescope.stack import COLUMNS, ROWS, SLICES
from porescope.viewer.inspect.cursor import AXES, cursor_nm, go_to, move_cursor
from porescope.viewer.inspect.section_images import Frame, Look, SectionReader, reach
from porescope.viewer.layers import is_volume
from porescope.viewer.work import Latest, Message, Session

if TYPE_CHECKING:
    import napari

CURSOR = "cursor"
"""Name of the layer that draws the cursor on the picture."""
CURSOR_COLOUR = "#33dd77"
CURSOR_PX = 1.2
FOLLOW_MS = 40
"""What happens within so long is followed once."""
A_CLICK_PX = 4
"""A mouse that moves further drags the picture."""
APPEARANCE = (
    "visible",
    "opacity",
    "blending",
    "contrast_limits",
    "gamma",
    "colormap",
    "contour",
    "data",
    "paint",
    "labels_update",
    "scale",
    "translate",
)
"""Events of a layer that change its sections."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What the sections are to show.

    Parameters
    ----------
    looks : list of Look
        Lowest first.
    cursor_nm : float array
        z, y, x.
    frames : list of Frame
        Of xz and yz.
    held : list of arrays
        Of all layers, also of those that are hidden.
    """

    looks: list[Look]
    cursor_nm: NDArray[np.float64]
    frames: list[Frame]
    held: list[Any]


class Section(QWidget):
    """One cross-section with the cursor; a click in it moves the cursor.

    Parameters
    ----------
    axis : int
        ROWS for xz, COLUMNS for yz.
    """

    picked = Signal(int, float, float)
    """The axis, and where the click was along the section and in depth, in nm."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.frame: Frame | None = None
        self.picture: NDArray[np.uint8] | None = None
        self._cursor_nm: NDArray[np.float64] | None = None
        self.setMinimumSize(120, 90)
        self.setCursor(Qt.CursorShape.CrossCursor)
        names = "x and z" if axis == ROWS else "y and z"
        self.setToolTip(f"Cut along {names} at the cursor; click to move the cursor.")

    def show_picture(self, frame: Frame, picture: NDArray[np.uint8]) -> None:
        """Show a cut; an array of uint8 (z, along, 4)."""
        self.frame, self.picture = frame, np.ascontiguousarray(picture)
        self.update()

    def show_cursor(self, place_nm: NDArray[np.float64]) -> None:
        """Draw the cursor at a place (z, y, x) in nm."""
        self._cursor_nm = place_nm
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.frame = self.picture = self._cursor_nm = None
        self.update()

    def position_px(self, place_nm: NDArray[np.float64]) -> tuple[float, float]:
        """Return where a place (z, y, x) in nm is drawn, from the left and from the top."""
        assert self.frame is not None
        left, top = self._corner()
        along_nm = place_nm[COLUMNS if self.axis == ROWS else ROWS]
        pixel_nm = self.frame.pixel_nm
        return (
            left + (along_nm - self.frame.along_nm[0]) / pixel_nm + 0.5,
            top + (place_nm[SLICES] - self.frame.z_nm[0]) / pixel_nm + 0.5,
        )

    def paintEvent(self, event: Any) -> None:  # noqa: N802  (Qt calls it so)
        """Draw the cut, the cursor and which way is which."""
        painter = QPainter(self)
        if self.frame is not None and self.picture is not None:
            height, width = self.picture.shape[:2]
            image = QImage(
                self.picture.data, width, height, 4 * width, QImage.Format.Format_RGBA8888
            )
            left, top = self._corner()
            area = QRectF(left, top, width, height)
            painter.fillRect(area, QColor("black"))
            painter.drawImage(QPointF(left, top), image)
            if self._cursor_nm is not None:
                x, y = self.position_px(self._cursor_nm)
                painter.setPen(QPen(QColor(CURSOR_COLOUR), CURSOR_PX))
                if area.left() <= x <= area.right():
                    painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
                if area.top() <= y <= area.bottom():
                    painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.setPen(self.palette().text().color())
        metrics = painter.fontMetrics()
        across = "x" if self.axis == ROWS else "y"
        painter.drawText(2, metrics.ascent(), f"{across} →   z ↓")
        painter.end()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Move the cursor here."""
        self._pick(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Move the cursor along with a pressed mouse."""
        self._pick(event)

    def _pick(self, event: Any) -> None:
        if self.frame is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        left, top = self._corner()
        place = event.position()
        along = (place.x() - left - 0.5) * self.frame.pixel_nm + self.frame.along_nm[0]
        depth = (place.y() - top - 0.5) * self.frame.pixel_nm + self.frame.z_nm[0]
        self.picked.emit(self.axis, float(along), float(depth))

    def picture_size(self) -> tuple[int, int]:
        """Return the room for a cut: its pixels in depth and along."""
        return max(1, self.height() - self._title_px()), max(1, self.width())

    def _corner(self) -> tuple[int, int]:
        """Return where the cut begins; it stands in the middle."""
        if self.picture is None:
            return 0, self._title_px()
        height, width = self.picture.shape[:2]
        free_height, free_width = self.picture_size()
        return (free_width - width) // 2, self._title_px() + max(0, free_height - height) // 2

    def _title_px(self) -> int:
        return int(self.fontMetrics().height()) + 2


class Sections(QWidget):
    """Both cross-sections through the cursor; they follow the window, and it follows them.

    The part of the volume that is shown follows the zoom of the picture. The cursor is napari's
    own: ``viewer.dims.point``.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : Session
        Of the window.
    """

    def __init__(self, viewer: napari.viewer.Viewer, session: Session) -> None:
        super().__init__()
        self._viewer = viewer
        self.xz, self.yz = Section(ROWS), Section(COLUMNS)
        self.message = Message()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for section in (self.xz, self.yz):
            row.addWidget(section, 1)
            section.picked.connect(self._picked)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.addLayout(row, 1)
        column.addWidget(self.message)

        self._reader = SectionReader()
        self._latest = Latest(self, session, self._show, self.message.say)
        self._aim: Aim | None = None
        self._done = False
        self._cursor: Vectors | None = None
        self._cursor_removed = False
        self._follow = QTimer(self)
        self._follow.setSingleShot(True)
        self._follow.setInterval(FOLLOW_MS)
        self._follow.timeout.connect(self._ask)
        self._heard_of: dict[Layer, list[tuple[Any, Any]]] = {}
        camera, layers = viewer.scene.camera.events, viewer.layers.events
        self._heard = [
            (emitter, emitter.connect(self._changed))
            for emitter in (
                camera.zoom,
                camera.center,
                viewer.canvas.events.size,
                viewer.canvas.grid.events.enabled,
                viewer.dims.events.point,
                viewer.dims.events.ndisplay,
            )
        ]
        for emitter in (layers.inserted, layers.removed, layers.reordered):
            self._heard.append((emitter, emitter.connect(self._list_changed)))
        viewer.mouse_drag_callbacks.append(self._clicked)
        self._list_changed()

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt calls it so)
        """Leave most of the window to the picture."""
        return QSize(600, 230)

    @property
    def up_to_date(self) -> bool:
        """Whether the cuts show the window as it is now, read in full."""
        return self._done and not self._follow.isActive()

    def close_down(self) -> None:
        """Let go of the window; to be called once, also when Qt's part of this is gone."""
        for emitter, callback in self._heard:
            emitter.disconnect(callback)
        for layer in list(self._heard_of):
            self._let_go(layer)
        self._heard = []
        if self._clicked in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._clicked)
        if self._cursor is not None and self._cursor in self._viewer.layers:
            self._viewer.layers.remove(self._cursor)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Catch up with the window."""
        self._changed()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Cut anew for another size."""
        self._changed()

    def _changed(self, event: Any = None) -> None:
        if not self._follow.isActive():
            self._follow.start()

    def _list_changed(self, event: Any = None) -> None:
        """Hear of all layers there are."""
        layers = set(self._viewer.layers)
        for layer in set(self._heard_of) - layers:
            self._let_go(layer)
        for layer in layers - set(self._heard_of) - {self._cursor}:
            emitters = [getattr(layer.events, name, None) for name in APPEARANCE]
            self._heard_of[layer] = [
                (emitter, emitter.connect(self._changed)) for emitter in emitters if emitter
            ]
        if self._cursor is not None and self._cursor not in layers:
            self._cursor, self._cursor_removed = None, True
        self._changed()

    def _let_go(self, layer: Layer) -> None:
        for emitter, callback in self._heard_of.pop(layer):
            emitter.disconnect(callback)

    def _ask(self) -> None:
        """Have the sections made as the window is now."""
        if not self.isVisible():
            return
        try:
            self._done = False
            self._aim = aim = self._now()
        except PorescopeError as error:
            self._aim = None
            self.message.say(str(error))
            for section in (self.xz, self.yz):
                section.clear()
            return
        self._draw_cursor(aim.cursor_nm)
        self._cut(aim)

    def _cut(self, aim: Aim) -> None:
        reader = self._reader
        y, x = aim.cursor_nm[ROWS:]
        self._latest.ask(lambda: (aim, *reader.images(aim.looks, (y, x), aim.frames, aim.held)))

    def _show(self, result: tuple[Aim, list[NDArray[np.uint8]], float]) -> None:
        aim, pictures, done = result
        if self._aim is None:
            return
        for section, frame, picture in zip((self.xz, self.yz), aim.frames, pictures, strict=True):
            section.show_picture(frame, picture)
        self.message.say(None if done >= 1 else f"Reading slices, {100 * done:.0f} %.")
        self._done = done >= 1 and aim is self._aim
        if done < 1 and aim is self._aim and self.isVisible():
            self._cut(aim)

    def _now(self) -> Aim:
        """Return what to show now.

        Raises
        ------
        PorescopeError
            If there is no visible volume.
        """
        looks, held, turned = [], [], None
        for layer in self._viewer.layers:
            if not is_volume(layer):
                continue
            try:
                look = Look.of(layer)
            except PorescopeError as error:
                turned = error
                continue
            held.append(look.stack.data)
            if layer.visible:
                looks.append(look)
        if turned is not None and not looks:
            raise turned
        if held and not looks:
            layers = self._viewer.layers
            by_surface = any(each.visible for each in layers if isinstance(each, Surface))
            raise PorescopeError(
                "The surface hides the stacks; go back to 2D to see cross-sections."
                if by_surface
                else "All stacks are hidden; show one in the list of layers."
            )
        low, high = reach(looks)
        anchor, stack = self._anchor()
        place = cursor_nm(self._viewer, anchor, stack)
        share, centre = self._in_view(low, high, anchor, stack)
        (height, width), (_, other_width) = self.xz.picture_size(), self.yz.picture_size()
        size = high - low
        fit = max(size[2] / width, size[1] / other_width, size[0] / height)
        pixel_nm = fit * share
        z_nm = _middles(low[0], high[0], place[0], height, pixel_nm)
        frames = [
            Frame(ROWS, _middles(low[2], high[2], centre[1], width, pixel_nm), z_nm),
            Frame(COLUMNS, _middles(low[1], high[1], centre[0], other_width, pixel_nm), z_nm),
        ]
        return Aim(looks, place, frames, held)

    def _anchor(self) -> tuple[Layer, Any]:
        """Return the topmost visible volume, by which places are told."""
        for layer in reversed(self._viewer.layers):
            if layer.visible and is_volume(layer):
                try:
                    return layer, Look.of(layer).stack
                except PorescopeError:
                    continue
        raise PorescopeError("There is nothing to cut; load a stack and show it.")

    def _in_view(
        self, low: NDArray[Any], high: NDArray[Any], anchor: Layer, stack: Any
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the share of the volume that the picture shows, and where (y, x) its middle is."""
        middle = (low[ROWS:] + high[ROWS:]) / 2
        viewer = self._viewer
        if viewer.dims.ndisplay != 2 or tuple(viewer.dims.displayed[-2:]) != (
            viewer.dims.ndim - 2,
            viewer.dims.ndim - 1,
        ):
            return 1.0, middle
        camera = viewer.scene.camera
        nm = stack.spacing_nm[COLUMNS] / abs(float(anchor.scale[-1]))
        seen_nm = np.array(viewer.canvas.viewbox_size(viewer.layers)) / camera.zoom * nm
        share = float(np.max(seen_nm / (high - low)[ROWS:]))
        if share >= 1:
            return 1.0, middle
        origin = np.array(stack.origin_yx_nm) - np.asarray(anchor.translate)[list(AXES[1:])] * nm
        return share, np.array(camera.center[-2:]) * nm + origin

    def _picked(self, axis: int, along_nm: float, z_nm: float) -> None:
        try:
            anchor, stack = self._anchor()
        except PorescopeError:
            return
        place = list(cursor_nm(self._viewer, anchor, stack))
        place[SLICES], place[COLUMNS if axis == ROWS else ROWS] = z_nm, along_nm
        move_cursor(self._viewer, anchor, stack, place)

    def _clicked(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Move the cursor to a click on the picture that neither drags nor paints."""
        active = viewer.layers.selection.active
        still = str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"
        if event.button != 1 or event.modifiers or not still or viewer.dims.ndisplay != 2:
            return
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.array(event.pos) - start).max() > A_CLICK_PX:
                return
            yield
        try:
            anchor, _ = self._anchor()
        except PorescopeError:
            return
        z, *_ = np.asarray(anchor.world_to_data(viewer.dims.point))[list(AXES)]
        _, y, x = np.asarray(anchor.world_to_data(event.position))[list(AXES)]
        go_to(viewer, anchor, z, y, x)

    def _draw_cursor(self, place_nm: NDArray[np.float64]) -> None:
        for section in (self.xz, self.yz):
            section.show_cursor(place_nm)
        viewer = self._viewer
        if self._cursor_removed:
            return
        low, high = np.array(viewer.layers.extent.world)[:, list(AXES[1:])]
        y, x = np.array(viewer.dims.point)[list(AXES[1:])]
        across = [[y, low[1]], [0, high[1] - low[1]]]
        down = [[low[0], x], [high[0] - low[0], 0]]
        anchor, _ = self._anchor()
        # On the pixels of a stack, so that sliders go on by pixels.
        scale = np.asarray(anchor.scale if self._cursor is None else self._cursor.scale)[-2:]
        lines = np.array([across, down]) / scale
        width = CURSOR_PX / viewer.scene.camera.zoom / scale.min()
        if self._cursor is None:
            active = viewer.layers.selection.active
            self._cursor = Vectors(
                lines,
                name=CURSOR,
                edge_color=CURSOR_COLOUR,
                edge_width=width,
                vector_style="line",
                opacity=0.8,
                scale=scale,
                units=anchor.units[-2:],
            )
            viewer.add_layer(self._cursor)
            viewer.layers.selection.active = active
        elif not np.array_equal(self._cursor.data, lines):
            self._cursor.data = lines
        if abs(self._cursor.edge_width / width - 1) > 0.05:
            self._cursor.edge_width = width
        visible = viewer.dims.ndisplay == 2 and not viewer.canvas.grid.enabled
        if self._cursor.visible != visible:
            self._cursor.visible = visible


def _middles(
    low: float, high: float, centre: float, room: int, pixel_nm: float
) -> NDArray[np.float64]:
    """Return the middles of the pixels that show a stretch, or as much of it as there is room."""
    count = min(room, max(1, round((high - low) / pixel_nm)))
    start = np.clip(centre - count * pixel_nm / 2, low, max(low, high - count * pixel_nm))
    return np.asarray(start + (np.arange(count) + 0.5) * pixel_nm)
