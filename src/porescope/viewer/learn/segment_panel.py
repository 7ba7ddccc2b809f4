"""The section of the dock that tells phases apart, with scribbles and a preview."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QPushButton, QWidget

from porescope.errors import PorescopeError
from porescope.pipeline.catalogue.segment import MATTERS, SCRIBBLES, SegmentParameters
from porescope.pipeline.step import Parameters
from porescope.stack import SLICES
from porescope.viewer.annotate.annotation_layers import BRUSH_PX, PORE, SOLID, new_scribbles
from porescope.viewer.choices import layer_named, offer
from porescope.viewer.layers import CHANNEL, SOLID_COLOUR, from_layer, phase_colours
from porescope.viewer.learn.segmentation import Preview, Question, Segmented
from porescope.viewer.panels import StepPanel
from porescope.viewer.paths import in_a_row
from porescope.viewer.simulate.simulation import set_changed
from porescope.viewer.work import Latest, Message

SETTLED_MS = 300
"""A stroke or a parameter that did not change for so long is worth an answer."""


class SegmentPanel(StepPanel):
    """Segments stacks; a forest by scribbles, and the slice at the slider before all others."""

    def _complete(self) -> None:
        self.scribbles = QComboBox()
        self.paint_pore, self.paint_solid = QPushButton("Paint pore"), QPushButton("Paint solid")
        self.live = QCheckBox("Live preview of the slice at the slider")
        self.told = Message()
        self.scribbled = QWidget()
        rows = QFormLayout(self.scribbled)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Scribbles", self.scribbles)
        rows.addRow(in_a_row(self.paint_pore, self.paint_solid))
        for offset, widget in enumerate((self.scribbled, self.live, self.told)):
            self.column.insertWidget(3 + offset, widget)
        self.paint_pore.clicked.connect(lambda: self._paint(PORE))
        self.paint_solid.clicked.connect(lambda: self._paint(SOLID))

        self._latest = Latest(self, self.session, self._show_slice, self.told.say)
        self._preview = Preview()
        self._question: Question | None = None
        self._shown: Layer | None = None
        self._drawn = 0
        self._painted: Layer | None = None
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLED_MS)
        self._settled.timeout.connect(self._ask)
        self.live.toggled.connect(self._switch)
        self.scribbles.currentTextChanged.connect(self._follow_scribbles)
        self.images.itemChanged.connect(self._edited)
        self.form.container.changed.connect(self._edited)
        self.form["method"].changed.connect(self._show_fields)
        moved = self.viewer.dims.events.point.connect(self._moved)
        self.destroyed.connect(lambda: self.viewer.dims.events.point.disconnect(moved))
        self._show_fields()

    def reset_choices(self) -> None:
        """List the layers there are, and let go of those that are gone."""
        super().reset_choices()
        names = [
            layer.name
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Labels) and layer.ndim == 3 and CHANNEL not in layer.metadata
        ]
        names.sort(key=lambda name: not name.startswith(SCRIBBLES))
        # Labels that were segmented are no scribbles unless the user says so.
        if not any(name.startswith(SCRIBBLES) for name in names):
            names.insert(0, "")
        offer(self.scribbles, names, self.scribbles.currentText())
        self._follow_scribbles()
        if self._shown is not None and self._shown not in self.viewer.layers:
            self._shown = None
            self.live.setChecked(False)

    def run(self) -> None:
        """Segment the whole stacks; the preview ends."""
        if self._method == "forest" and self._scribbles() is None:
            raise PorescopeError("Paint some pore and some solid, and the forest learns from it.")
        self.live.setChecked(False)
        super().run()

    def _made(self, parameters: Parameters) -> str:
        assert isinstance(parameters, SegmentParameters)
        return parameters.method

    def _maps(self) -> dict[str, Layer]:
        layer = self._scribbles()
        return {SCRIBBLES: layer} if self._method == "forest" and layer is not None else {}

    @property
    def _method(self) -> str:
        method: str = self.form["method"].value
        return method

    def _show_fields(self, event: Any = None) -> None:
        """Show the fields that matter for the method."""
        used = {name for name, methods in MATTERS.items() if self._method in methods}
        self.form.show_only({"method", *used} - {SCRIBBLES})
        self.scribbled.setVisible(SCRIBBLES in used)

    def _scribbles(self) -> Layer | None:
        return layer_named(self.viewer, self.scribbles.currentText())

    def _paint(self, label: int) -> None:
        """Have the user paint, on a new layer where there is none."""
        try:
            layer = self._scribbles() or self._new_scribbles()
        except PorescopeError as error:
            self.runner.refuse(error)
            return
        self.viewer.dims.ndisplay = 2
        self.viewer.layers.selection.active = layer
        layer.visible = True
        layer.selected_label = label
        layer.mode = "paint"
        self.runner.say(f"Paint {'pore' if label == PORE else 'solid'}: a few strokes will do.")

    def _new_scribbles(self) -> Layer:
        chosen = self.chosen_images()
        if not chosen:
            raise self._nothing("images")
        (layer,) = self.show_layers([new_scribbles(self.viewer.layers[chosen[0]])])
        layer.brush_size = BRUSH_PX
        self.reset_choices()
        self.scribbles.setCurrentText(layer.name)
        return layer

    def _follow_scribbles(self, event: Any = None) -> None:
        """Hear of strokes."""
        layer = self._scribbles()
        if layer is self._painted:
            return
        if self._painted is not None:
            self._painted.events.paint.disconnect(self._stroke)
        self._painted = layer
        if layer is not None:
            layer.events.paint.connect(self._stroke)
        self._edited()

    def _stroke(self, event: Any = None) -> None:
        self._drawn += 1
        self._edited()

    def _switch(self, on: bool) -> None:
        self.told.say(None)
        if on:
            self.viewer.dims.ndisplay = 2
            self._ask()
        elif self._shown is not None:
            shown, self._shown = self._shown, None
            if shown in self.viewer.layers:
                self.viewer.layers.remove(shown)

    def _edited(self, event: Any = None) -> None:
        if self.live.isChecked():
            self._settled.start()

    def _moved(self, event: Any = None) -> None:
        if self.live.isChecked() and self.viewer.dims.ndisplay == 2:
            self._ask()

    def _ask(self) -> None:
        """Ask for the slice at the slider; what is under way is dropped."""
        self._settled.stop()
        if not self.live.isChecked():
            return
        before = self._question
        try:
            question = self._question = self._aim()
        except PorescopeError as error:
            self._question = None
            self.told.say(error)
            return
        if not question.asks_as(before):
            self.told.say("Looking at the stacks.")
        preview = self._preview
        self._latest.ask(lambda: preview.answer(question))

    def _aim(self) -> Question:
        chosen = self.chosen_images()
        if not chosen:
            raise self._nothing("images")
        stacks = tuple(from_layer(self.viewer.layers[name]) for name in chosen)
        first = self.viewer.layers[chosen[0]]
        z = self.viewer.dims.point[SLICES - 3]
        index = round(float((z - first.translate[SLICES]) / first.scale[SLICES]))
        if not 0 <= index < len(first.data):
            raise PorescopeError(f"The slider stands outside {first.name}; move it back.")
        parameters = self.step.parse(self.form.values())
        assert isinstance(parameters, SegmentParameters)
        layer = self._scribbles() if parameters.method == "forest" else None
        return Question(
            stacks, parameters, None if layer is None else layer.data, self._drawn, index
        )

    def _show_slice(self, segmented: Segmented) -> None:
        """Show the newest answer; an earlier one of a slider that moves on is out of place."""
        if segmented.question is not self._question or not self.live.isChecked():
            return
        self.told.say(segmented.summary)
        chosen = self.chosen_images()
        if not chosen:
            return
        image, pixels = self.viewer.layers[chosen[0]], segmented.labels[np.newaxis]
        translate = np.array(image.translate, dtype=float)
        translate[SLICES] += segmented.question.index * image.scale[SLICES]
        if self._shown is not None and self._shown.data.shape == pixels.shape:
            np.copyto(self._shown.data, pixels)
            set_changed(self._shown, {"translate": translate, "scale": image.scale})
            self._shown.refresh(extent=False)
            return
        self._replace(image, pixels, translate)

    def _replace(self, image: Layer, pixels: Any, translate: Any) -> None:
        layers = self.viewer.layers
        if self._shown is not None:
            layers.remove(self._shown)
        active = layers.selection.active
        places = {"translate": translate, "scale": image.scale}
        look = {
            "name": "preview labels",
            "units": image.units,
            "axis_labels": image.axis_labels,
            "colormap": phase_colours(SOLID_COLOUR),
            "opacity": 0.4,
            "metadata": {CHANNEL: dict(places)},
        }
        (self._shown,) = self.show_layers([(pixels, places | look, "labels")])
        self._shown.editable = False
        # Strokes stay on top, and where they were being painted.
        scribbles = self._scribbles()
        if scribbles is not None:
            layers.move(layers.index(self._shown), layers.index(scribbles))
        if active in layers:
            layers.selection.active = active
