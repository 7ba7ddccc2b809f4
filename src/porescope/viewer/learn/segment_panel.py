"""The section of the dock that tells phases apart, with scribbles and a preview."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtWidgets import QComboBox, QFormLayout, QPushButton, QWidget

from porescope.errors import PorescopeError
from porescope.learn.weights import shipped_names
from porescope.pipeline.catalogue.segment import MATTERS, SCRIBBLES, SegmentParameters
from porescope.pipeline.step import Parameters
from porescope.segment.segment import BY_NETWORKS, KIND, ships
from porescope.viewer.annotate.annotation_layers import BRUSH_PX, PORE, SOLID, new_scribbles
from porescope.viewer.choices import layer_named, offer
from porescope.viewer.layers import CHANNEL, KEY, SOLID_COLOUR, from_layer, phase_colours
from porescope.viewer.learn.segmentation import Preview, Question
from porescope.viewer.live_preview import LivePreview, slice_at_slider
from porescope.viewer.panels import StepPanel
from porescope.viewer.paths import in_a_row
from porescope.viewer.work import Message

UNALIGNED = (
    "These were not aligned in Porescope: if they do not lie on one another, run Align first."
)


class SegmentPanel(StepPanel):
    """Segments stacks; a forest by scribbles, and the slice at the slider before all others."""

    def _complete(self) -> None:
        self.scribbles = QComboBox()
        self.paint_pore, self.paint_solid = QPushButton("Paint pore"), QPushButton("Paint solid")
        self.live = LivePreview(
            self.viewer, self.session, self._aim, Preview().answer, _look, self._under_strokes
        )
        self.scribbled = QWidget()
        rows = QFormLayout(self.scribbled)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Scribbles", self.scribbles)
        rows.addRow(in_a_row(self.paint_pore, self.paint_solid))
        for offset, widget in enumerate((self.scribbled, self.live)):
            self.column.insertWidget(3 + offset, widget)
        self.aligned = Message()
        self.column.insertWidget(2, self.aligned)
        self.images.itemChanged.connect(self._tell_unaligned)
        self.paint_pore.clicked.connect(lambda: self._paint(PORE))
        self.paint_solid.clicked.connect(lambda: self._paint(SOLID))

        self._drawn = 0
        self._painted: Layer | None = None
        self.scribbles.currentTextChanged.connect(self._follow_scribbles)
        self.images.itemChanged.connect(self._edited)
        self.form.container.changed.connect(self._edited)
        self.form["method"].changed.connect(self._show_fields)
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
        self.live.follow_layers()
        self._tell_unaligned()

    def run(self) -> None:
        """Segment the whole stacks; the preview ends."""
        if self._method == "forest" and self._scribbles() is None:
            raise PorescopeError("Paint some pore and some solid, and the forest learns from it.")
        self._need_weights()
        self.live.end()
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

    def _need_weights(self) -> None:
        if self._method in BY_NETWORKS and self.form["weights"].value is None:
            raise PorescopeError(
                f"No weights for {self._method} ship with Porescope; train some in the section "
                "Train, or choose a file of weights."
            )

    def _tell_unaligned(self, event: Any = None) -> None:
        """Remind of Align where several voltages were neither aligned nor simulated in place."""
        chosen = [self.viewer.layers[name] for name in self.chosen_images()]
        remind = len(chosen) > 1 and not any(map(_lies_still, chosen))
        self.aligned.say(UNALIGNED if remind else None)

    def _show_fields(self, event: Any = None) -> None:
        """Show the fields that matter for the method."""
        used = {name for name, methods in MATTERS.items() if self._method in methods}
        self.form.show_only({"method", *used} - {SCRIBBLES})
        self.scribbled.setVisible(SCRIBBLES in used)
        fitting = [name for name in shipped_names(KIND) if ships(name, self._method)]
        self.form.offer_only("weights", fitting)

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
        layer = self.show_layer(new_scribbles(self.viewer.layers[chosen[0]]))
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

    def _edited(self, event: Any = None) -> None:
        self.live.edited()

    def _aim(self) -> tuple[Layer, Question]:
        chosen = self.chosen_images()
        if not chosen:
            raise self._nothing("images")
        self._need_weights()
        layers = [self.viewer.layers[name] for name in chosen]
        parameters = self.step.parse(self.form.values())
        assert isinstance(parameters, SegmentParameters)
        drawn_on = self._scribbles() if parameters.method == "forest" else None
        scribbles = None if drawn_on is None else drawn_on.data
        index = slice_at_slider(self.viewer, layers[0])
        stacks = tuple(map(from_layer, layers))
        return layers[0], Question(stacks, parameters, scribbles, self._drawn, index)

    def _under_strokes(self, image: Layer, shown: Layer) -> None:
        layers, scribbles = self.viewer.layers, self._scribbles()
        if scribbles is not None:
            layers.move(layers.index(shown), layers.index(scribbles))


def _lies_still(layer: Layer) -> bool:
    """Whether a layer is known to lie where it should."""
    for entry in layer.metadata.get(KEY, {}).get("history", ()):
        step, parameters = entry.get("step"), entry.get("parameters")
        drifted = isinstance(parameters, Mapping) and parameters.get("drift_px")
        if step == "align" or (step == "simulate" and not drifted):
            return True
    return False


def _look(image: Layer) -> tuple[dict[str, Any], str]:
    colours = phase_colours(SOLID_COLOUR)
    return {"name": "preview labels", "colormap": colours, "opacity": 0.4}, "labels"
