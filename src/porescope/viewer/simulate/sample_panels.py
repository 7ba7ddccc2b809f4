"""The sections of the dock that make samples and show their heightfields."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QSpinBox

from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.imaging.heightfield import MOST_LAYERS
from porescope.io import read_stack
from porescope.pipeline.run import Report
from porescope.pipeline.sample_results import Shown, prepare_sample
from porescope.pipeline.samples import SampleKind, sample_kinds
from porescope.tracking import Cancel
from porescope.viewer.choices import offer
from porescope.viewer.form import Form
from porescope.viewer.layers import made_layers
from porescope.viewer.panels import Panel, number
from porescope.viewer.simulate.sample_layers import (
    Question,
    ask,
    can_be_sampled,
    channel_layers,
    channels,
    sample_layer,
    widen_contrast,
)
from porescope.viewer.work import Latest, Session, hear, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

Answer = tuple[Layer, Question, dict[str, NDArray[Any]], str]

VOLUME, SURFACE = "volume", "surface"


class SamplePanel(Panel):
    """Makes a sample of any kind, or opens a list of primitives, and shows it."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Make",
            "Make a sample that is known exactly, or open a list of spheres, cylinders and cubes.",
        )
        self.kinds = sample_kinds()
        self.kind = QComboBox()
        self.kind.addItems(list(self.kinds))
        self.show_as = QComboBox()
        self.show_as.addItems([VOLUME, SURFACE])
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.fields.addRow("Sample", self.kind)
        self.fields.addRow("Show as", self.show_as)
        self.fields.addRow(self.about)
        self._forms: dict[str, Form] = {}
        self.kind.currentTextChanged.connect(self._show_form)
        self._show_form(self.kind.currentText())

    @property
    def form(self) -> Form:
        """The form of the chosen kind."""
        return self._forms[self.kind.currentText()]

    def run(self) -> None:
        """Make the sample in a process of its own."""
        kind = self.kinds[self.kind.currentText()]
        parameters = kind.parse(self.form.values())
        folder = self.session.new_folder()
        as_surface = self.show_as.currentText() == SURFACE
        job = in_process(
            prepare_sample, kind, parameters, folder, as_surface=as_surface, leftovers=(folder,)
        )

        def task(report: Report, cancel: Cancel) -> tuple[Shown, Layer]:
            shown = job(report, cancel)
            stack = read_stack(folder / f"{kind.name}.ome.zarr")
            (layer,) = made_layers([sample_layer(stack, kind.name, shown)])
            return shown, layer

        self.runner.start(task, lambda result: self._show(kind, *result))

    def _show_form(self, name: str) -> None:
        if name not in self._forms:
            self._forms[name] = Form(self.kinds[name].parameters)
            self.column.insertWidget(2, self._forms[name].container.native)
        for other, form in self._forms.items():
            form.container.native.setVisible(other == name)
        self.about.setText(self.kinds[name].summary)

    def _show(self, kind: SampleKind, shown: Shown, layer: Layer) -> None:
        added = self.viewer.add_layer(layer)
        self.viewer.dims.ndisplay = 2 if shown.surface is None else 3
        self.viewer.reset_view()
        said = f"Made {added.name}"
        if shown.primitives is not None:
            said += f": {len(shown.primitives):,} primitives"
        if shown.units_per_voxel > 1:
            said += (
                f", shown with voxels {shown.units_per_voxel} times as large; "
                "heightfields are exact"
            )
        self.runner.say(f"{said}.")


class HeightfieldPanel(Panel):
    """Shows what an image plane sees of a sample, as the slider moves through it."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Show",
            "Show what a plane at the slider sees below it: where each column enters and leaves "
            "solid, bright where near, and how the surface lies.",
            can_cancel=False,
        )
        self.sample = QComboBox()
        self.layers = QSpinBox()
        self.layers.setRange(1, MOST_LAYERS)
        self.layers.setValue(2)
        self.level = QLineEdit()
        self.level.setPlaceholderText("grey value from which it is solid")
        self.follow = QCheckBox("Follow the slider")
        self.follow.setChecked(True)
        self.side_by_side = QCheckBox("Side by side")
        self.side_by_side.setChecked(True)
        self.fields.addRow("Sample", self.sample)
        self.fields.addRow("Layers", self.layers)
        self.fields.addRow("Level", self.level)
        self.fields.addRow("", self.follow)
        self.fields.addRow("", self.side_by_side)
        self.sample.currentTextChanged.connect(self._sample_changed)
        self.layers.valueChanged.connect(self._ask_again)
        self.level.editingFinished.connect(self._ask_again)
        self.follow.toggled.connect(self._moved)
        self.side_by_side.toggled.connect(self._arrange)
        self._latest = Latest(self, session, lambda result: self._show(*result), self.runner.say)
        self._level_of: Layer | None = None
        self._channels: dict[str, Layer] = {}
        self._shown: tuple[Layer, dict[str, tuple[int, ...]]] | None = None
        # A volume on the disk and its voxels in memory; touched by the working thread only.
        self._loaded: tuple[Any, Any] = (None, None)
        hear(self, viewer.dims.events.point, self._moved)
        self.reset_choices()

    def reset_choices(self) -> None:
        """List the samples there are, and let go of layers that are gone."""
        names = [layer.name for layer in reversed(self.viewer.layers) if can_be_sampled(layer)]
        offer(self.sample, names, self.sample.currentText())
        self._sample_changed()
        left = {
            name: layer for name, layer in self._channels.items() if layer in self.viewer.layers
        }
        if self._channels and not left:
            self.viewer.canvas.grid.enabled = False
        self._channels = left
        if self._shown and not (left and self._shown[0] in self.viewer.layers):
            self._shown = None
            self.runner.say(None)

    def run(self) -> None:
        """Show the plane on which the slider stands, and follow the slider from now on."""
        if not self.sample.currentText():
            raise PorescopeError("There is no sample; make one in the section Sample, or load one.")
        self.viewer.dims.ndisplay = 2
        if self._shown is not None:
            self._shown = (self._shown[0], {})  # channels that were deleted come back
        self._ask(self.viewer.layers[self.sample.currentText()])

    def _sample_changed(self) -> None:
        name = self.sample.currentText()
        layer = self.viewer.layers[name] if name else None
        self.fields.setRowVisible(self.level, isinstance(layer, Image))
        if isinstance(layer, Image) and layer is not self._level_of:
            self._level_of = layer
            self.level.setText(f"{np.mean(layer.contrast_limits):.4g}")

    def _moved(self, event: Any = None) -> None:
        if self.follow.isChecked() and self.viewer.dims.ndisplay == 2:
            self._ask_again()

    def _ask_again(self) -> None:
        if self._shown is not None:
            try:
                self._ask(self._shown[0])
            except PorescopeError as error:
                self.runner.say(error)

    def _ask(self, layer: Layer) -> None:
        level = None
        if isinstance(layer, Image):
            level = number(self.level, "level")
            if level is None:
                raise PorescopeError("From which grey value on is it solid? Fill in the level.")
        question = ask(layer, self.viewer.dims.point[-3], self.layers.value(), level)
        if not question.inside:
            raise PorescopeError(f"The slider stands outside {layer.name}; move it back.")
        # What is shown goes along with the slider until the new depths are there.
        for channel in self._channels.values():
            for name, value in question.places().items():
                if not np.array_equal(getattr(channel, name), value):
                    setattr(channel, name, value)
        self._latest.ask(lambda: self._answer(layer, question))

    def _answer(self, layer: Layer, question: Question) -> Answer:
        """Extract a heightfield, in the working thread."""
        if not isinstance(question.sample, Primitives):
            if self._loaded[0] is not question.sample:
                self._loaded = (question.sample, np.asarray(question.sample))
            question = replace(question, sample=self._loaded[1])
        start = time.perf_counter()
        field = question.answer()
        took_ms = 1000 * (time.perf_counter() - start)
        unit = question.depth_unit
        solid = "solid" if question.level is None else f"solid (from {question.level:g} on)"
        said = (
            f"Plane at z = {question.plane_z * question.depth_scale:g} {unit}: "
            f"{100 * np.mean(field.entry[0] == 0):.1f} % {solid}, {took_ms:.1f} ms. "
            f"Depths are in {unit}."
        )
        return layer, question, dict(channels(field)), said

    def _show(
        self, layer: Layer, question: Question, pixels: dict[str, NDArray[Any]], said: str
    ) -> None:
        if layer not in self.viewer.layers:
            return
        if self._shown != (layer, _shapes(pixels)):
            self._replace_channels(layer, question, pixels)
        for name, channel in self._channels.items():
            # Setting new data would have napari lay out its sliders anew, at each step.
            np.copyto(channel.data, pixels[name])
            widen_contrast(channel)
            channel.refresh(extent=False)
        self.runner.say(said)

    def _replace_channels(
        self, layer: Layer, question: Question, pixels: dict[str, NDArray[Any]]
    ) -> None:
        # Layers that come and go cost napari a third of a second each, in a grid more.
        self.viewer.canvas.grid.enabled = False
        same_sample = self._shown is not None and self._shown[0] is layer
        for name, channel in list(self._channels.items()):
            if not (same_sample and name in pixels and channel.data.shape == pixels[name].shape):
                del self._channels[name]
                self.viewer.layers.remove(channel)
        missing = {name: pixels[name] for name in pixels if name not in self._channels}
        shown = map(self.show_layer, channel_layers(question, missing))
        known = self._channels | dict(zip(missing, shown, strict=True))
        self._channels = {name: known[name] for name in pixels}
        self._shown = (layer, _shapes(pixels))
        self._arrange()

    def _arrange(self) -> None:
        """Show all channels side by side, or the first above the sample."""
        if self._channels:
            beside = self.side_by_side.isChecked()
            self.viewer.canvas.grid.enabled = False
            for index, channel in enumerate(self._channels.values()):
                channel.visible = beside or index == 0
            self.viewer.canvas.grid.enabled = beside
            self.viewer.reset_view()


def _shapes(pixels: dict[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in pixels.items()}
