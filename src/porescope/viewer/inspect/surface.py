"""The surface of a phase in 3D, with a plane that cuts it open."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer, Surface
from napari.utils.colormaps import Colormap
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QSlider, QSpinBox

from porescope.errors import PorescopeError
from porescope.measure.surfaces import Mesh, boxes_of_phase, surface_job
from porescope.pipeline.run import Report
from porescope.tracking import Cancel
from porescope.viewer.layers import AXES, OTHER_COLOURS, from_layer
from porescope.viewer.work import Runner, Session, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

STEPS = 200
WHOLE = "nowhere"
PORE_COLOUR = "#4aa3ff"
VIEW_FROM = (20.0, 30.0, 60.0)
WHOLE_IN_VIEW = 0.55
"""Of the zoom that fits a volume seen straight from the front."""


class SurfaceGroup(QGroupBox):
    """Shows where a phase ends, and cuts it open.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    chosen : callable()
        Returns the labels, or None.
    """

    def __init__(
        self, viewer: ViewerModel, session: Session, chosen: Callable[[], Labels | None]
    ) -> None:
        super().__init__("Surface in 3D")
        self._viewer = viewer
        self._chosen = chosen
        self._shown: Surface | None = None
        self._hidden: list[Layer] = []
        self.phase = QSpinBox()
        self.phase.setRange(0, 2**31 - 1)
        self.phase.setValue(1)
        self.phase.setToolTip("Label of the phase; 0 is pore.")
        self.runner = Runner(session, "Show surface", self.run)
        self.cut = QComboBox()
        self.cut.addItems([WHOLE, *AXES])
        self.place = QSlider(Qt.Orientation.Horizontal)
        self.place.setRange(0, STEPS)
        self.place.setValue(STEPS // 2)
        rows = QFormLayout(self)
        rows.addRow("Phase", self.phase)
        rows.addRow(self.runner)
        rows.addRow("Cut along", self.cut)
        rows.addRow("at", self.place)
        self.cut.currentTextChanged.connect(self._clip)
        self.place.valueChanged.connect(self._clip)
        viewer.dims.events.ndisplay.connect(self._follow_display)
        self._clip()

    def close_down(self) -> None:
        """Let go of the window."""
        self._viewer.dims.events.ndisplay.disconnect(self._follow_display)

    def run(self) -> None:
        """Read the labels, and find the surface in a process of its own.

        Raises
        ------
        PorescopeError
            If there are no labels.
        """
        labels = self._chosen()
        if labels is None:
            raise PorescopeError("There are no labels yet; segment first, or choose some above.")
        stack, phase, name = from_layer(labels), self.phase.value(), labels.name
        colour = labels.colormap.map(np.array([phase]))[0, :3]

        def task(report: Report, cancel: Cancel) -> Mesh:
            boxes = boxes_of_phase(
                stack,
                phase,
                progress=lambda done, total: report("reading", done, total),
                cancel=cancel,
            )
            found: Mesh = in_process(surface_job, boxes)(report, cancel)
            return found

        title = f"surface of {name}, phase {phase}"
        self.runner.start(task, lambda mesh: self._show(mesh, title, phase, colour))

    def _show(self, mesh: Mesh, title: str, phase: int, colour: Any) -> None:
        viewer = self._viewer
        if self._shown is not None and self._shown in viewer.layers:
            viewer.layers.remove(self._shown)
        # Pores are clear on slices.
        shade = colour if np.any(colour) else PORE_COLOUR if phase == 0 else OTHER_COLOURS[-1]
        self._shown = Surface(
            (mesh.vertices_nm, mesh.faces),
            name=title,
            colormap=Colormap([shade, shade], name=title),
            shading="smooth",
            units=("nm",) * 3,
        )
        # Volumes would lie before it, and large ones fill the graphics memory.
        others = [layer for layer in viewer.layers if layer.visible]
        for layer in others:
            layer.visible = False
        self._hidden += others
        viewer.add_layer(self._shown)
        viewer.dims.ndisplay = 3
        viewer.reset_view()
        viewer.scene.camera.angles = VIEW_FROM
        viewer.scene.camera.zoom *= WHOLE_IN_VIEW
        self._clip()
        self.runner.say(f"{len(mesh.faces):,} triangles. In 2D, the slices come back.")

    def _follow_display(self, event: Any = None) -> None:
        """Show the slices again in 2D, where a surface shows little."""
        if self._viewer.dims.ndisplay != 2:
            return
        for layer in self._hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        self._hidden = []
        if self._shown is not None:
            self._shown.visible = False

    def _clip(self, event: Any = None) -> None:
        """Cut the surface open where the slider stands."""
        cutting = self.cut.currentText() != WHOLE
        self.place.setEnabled(cutting)
        if self._shown is None or self._shown not in self._viewer.layers:
            return
        if not cutting:
            self._shown.experimental_clipping_planes = []
            return
        axis = AXES.index(self.cut.currentText())
        low, high = (np.asarray(end) for end in self._shown.extent.data)
        position = (low + high) / 2
        position[axis] = low[axis] + (high[axis] - low[axis]) * self.place.value() / STEPS
        normal = np.eye(3)[axis]
        self._shown.experimental_clipping_planes = [
            {"position": tuple(position), "normal": tuple(normal), "enabled": True}
        ]
