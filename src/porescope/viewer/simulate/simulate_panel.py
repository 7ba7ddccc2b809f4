"""The section of the dock that images a sample, by Monte Carlo or the neural simulator."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox

from porescope.errors import Cancelled, PorescopeError
from porescope.imaging.surrogate import surrogate_names
from porescope.pipeline.project import RESULTS
from porescope.pipeline.run import Report
from porescope.pipeline.simulation import SimulationParameters
from porescope.pipeline.simulation.fast import FAST
from porescope.pipeline.simulation.neural import FITTING
from porescope.pipeline.step import find_step
from porescope.stack import SLICES
from porescope.tracking import Cancel
from porescope.viewer.choices import offer
from porescope.viewer.form import Form
from porescope.viewer.layers import KEY, made_layers
from porescope.viewer.live_preview import SETTLED_MS, set_changed
from porescope.viewer.panels import Panel
from porescope.viewer.readers import workspace_layers
from porescope.viewer.simulate.sample_layers import ask
from porescope.viewer.simulate.simulation import (
    Exposed,
    Preview,
    Shot,
    can_be_imaged,
    places,
    preview_layers,
    run_simulation,
    simulated_workspace,
    subject,
)
from porescope.viewer.work import Latest, Message, Session, hear, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

MONTE_CARLO, NEURAL, FAST_IMAGING = "Monte Carlo", "neural simulator", "fast imaging"
UNUSED = {
    MONTE_CARLO: {"surrogate"},
    NEURAL: {"walls", "tilt_deg"},
    FAST_IMAGING: {"surrogate", "detector", "tilt_deg"},
}
"""Fields that are not for one of them."""


class SimulatePanel(Panel):
    """Previews the plane at the slider while parameters are chosen, and makes whole stacks."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Simulate",
            "Image a sample as a scanning electron microscope does: see the plane at the slider "
            "while you choose, then make the stacks with their truth.",
        )
        self.step = find_step("simulate")
        self.sample = QComboBox()
        self.by = QComboBox()
        self.by.addItems(list(UNUSED))
        self.live = QCheckBox("Live preview of the plane at the slider")
        self.beam_kv = QComboBox()
        self.secondaries = QCheckBox("Secondary electrons too, side by side")
        self.told = Message()
        self.fields.addRow("Sample", self.sample)
        self.fields.addRow("By", self.by)
        self.fields.addRow(self.live)
        self.fields.addRow("Preview at (kV)", self.beam_kv)
        self.fields.addRow(self.secondaries)
        self.fields.addRow(self.told)
        self.form = Form(SimulationParameters)
        self.form.offer_only("surrogate", [FITTING, *surrogate_names()])
        # So long a form would push the button and what is said out of the window.
        self.column.addWidget(self.form.container.native)

        self._latest = Latest(self, session, self._show, self._fail)
        self._preview = Preview()
        self._shot: tuple[Layer, Shot] | None = None
        self._layers: list[Layer] = []
        self._known: WeakSet[Layer] = WeakSet()
        self._to_front = False
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLED_MS)
        self._settled.timeout.connect(self._ask)
        self.live.toggled.connect(self._switch)
        self.by.currentTextChanged.connect(self._show_fields)
        self.sample.currentTextChanged.connect(self._show_anew)
        self.beam_kv.currentTextChanged.connect(self._ask)
        self.secondaries.toggled.connect(self._ask)
        self.form.container.changed.connect(self._edited)
        hear(self, viewer.dims.events.point, self._moved)
        self._offer_beams()
        self._show_fields()
        self.reset_choices()

    def reset_choices(self) -> None:
        """List the samples there are, and let go of layers that are gone."""
        chosen = self.sample.currentText()
        names = [layer.name for layer in reversed(self.viewer.layers) if can_be_imaged(layer)]
        new = self._new_samples()
        offer(self.sample, names, new[-1].name if new and not self.live.isChecked() else chosen)
        left = [layer for layer in self._layers if layer in self.viewer.layers]
        gone = len(left) < len(self._layers)
        self._layers = left
        if gone:
            self.viewer.canvas.grid.enabled = False
        if gone or (chosen and chosen not in names):
            self.live.setChecked(False)
            self.told.say(None)

    def _new_samples(self) -> list[Layer]:
        """Return the layers of samples that were just made, each once."""
        new = [
            layer
            for layer in self.viewer.layers
            if can_be_imaged(layer) and "sample" in layer.metadata.get(KEY, {})
            if layer not in self._known
        ]
        self._known.update(new)
        return new

    def run(self) -> None:
        """Make the stacks in a process of its own."""
        layer = self._sample_layer()
        imaged = subject(layer, self._parameters())
        self.live.setChecked(False)
        folder = self.session.new_folder()
        beside = folder.with_name(f".{folder.name}")
        job = in_process(run_simulation, imaged, folder, leftovers=(beside,))

        def task(report: Report, cancel: Cancel) -> tuple[list[str], list[Layer]]:
            notes = job(report, cancel)
            made = simulated_workspace(folder, imaged)
            layers = workspace_layers(made, f"{RESULTS}/{folder.name}", f" {self.step.made}")
            for _, attributes, kind in layers:
                attributes["visible"] = kind == "image"
            return notes, made_layers(layers)

        self.runner.start(task, lambda result: self._show_stacks(layer, *result))

    def _show_stacks(self, sample: Layer, notes: list[str], layers: list[Layer]) -> Iterator[None]:
        for layer in (sample, *self._layers):
            layer.visible = False
        self.viewer.canvas.grid.enabled = False
        shown = yield from self.show_each(layers)
        first, last = shown[0].extent.world[:, SLICES]
        self.viewer.dims.set_point(-3, np.clip(self.viewer.dims.point[-3], first, last))
        names = ", ".join(layer.name for layer in shown)
        slices = len(shown[0].data)
        made = f"Made {names}: {slices} slice{'s' * (slices > 1)}."
        self.runner.say(" ".join([made, *notes]))

    def _sample_layer(self) -> Layer:
        name = self.sample.currentText()
        if name not in self.viewer.layers:  # the slider moves before a layer is known to be gone
            raise PorescopeError("There is no sample; make one in the section Sample, or load one.")
        return self.viewer.layers[name]

    def _parameters(self) -> SimulationParameters:
        unused = self._unused()
        values = {k: value for k, value in self.form.values().items() if k not in unused}
        if self.by.currentText() == FAST_IMAGING:
            values["surrogate"] = FAST
        parameters = self.step.parse(values)
        assert isinstance(parameters, SimulationParameters)
        return parameters

    def offer_weights(self, path: Path) -> None:
        """Let a file of weights be chosen for the neural simulator."""
        self.form.offer_weights(path)

    def _show_fields(self, event: Any = None) -> None:
        """Show the fields that matter, and what they lead to."""
        self.form.show_only(set(SimulationParameters.model_fields) - self._unused())
        self.secondaries.setVisible(self.by.currentText() != FAST_IMAGING)
        self._edited()

    def _unused(self) -> set[str]:
        return UNUSED[self.by.currentText()]

    def _offer_beams(self) -> None:
        """Offer the voltages of the form for the preview."""
        try:
            beams = [f"{beam_kv:g}" for beam_kv in self._parameters().beam_kv]
        except PorescopeError:
            return  # is being typed
        if beams != [self.beam_kv.itemText(row) for row in range(self.beam_kv.count())]:
            chosen = self.beam_kv.currentText()
            offer(self.beam_kv, beams, chosen if chosen in beams else beams[len(beams) // 2])

    def _switch(self, on: bool) -> None:
        if on:
            self.viewer.dims.ndisplay = 2
            self._preview = Preview()  # labels may have been painted meanwhile
        self._show_anew()

    def _show_anew(self, event: Any = None) -> None:
        """Ask for images that come before all others, whatever was hidden or added meanwhile."""
        self._to_front = True
        self._ask()

    def _edited(self, event: Any = None) -> None:
        self._shot = None
        self._offer_beams()
        self._settled.start()

    def _moved(self, event: Any = None) -> None:
        if self.live.isChecked() and self.viewer.dims.ndisplay == 2:
            self._ask()

    def _ask(self, event: Any = None) -> None:
        """Begin with the plane at the slider; what is under way is dropped."""
        self._settled.stop()
        self._shot = None
        if self.live.isChecked():
            try:
                self._shot = self._aim()
            except PorescopeError as error:
                self._refuse(error)
                return
            if not self._layers:
                self.told.say("Making the sample ready.")
            preview, shot = self._preview, self._shot
            self._latest.ask(lambda: preview.look(shot[1]))

    def _aim(self) -> tuple[Layer, Shot]:
        layer = self._sample_layer()
        imaged = subject(layer, self._parameters())
        question = ask(layer, self.viewer.dims.point[-3], 1, None)
        if not question.inside:
            raise PorescopeError(f"The slider stands outside {layer.name}; move it back.")
        beam_kv = float(self.beam_kv.currentText())
        secondaries = self.secondaries.isChecked() and self.by.currentText() != FAST_IMAGING
        shot = Shot(imaged, question.plane_z, beam_kv, secondaries)
        # What is shown goes along with the slider until there is something new.
        for shown in self._layers:
            set_changed(shown, places(layer, shot))
        return layer, shot

    def _fail(self, error: PorescopeError) -> None:
        if not isinstance(error, Cancelled):
            self._shot = None
            self._refuse(error)

    def _refuse(self, error: PorescopeError) -> None:
        """Say why there is nothing to see; images of what was asked before would deceive."""
        self.told.say(error)
        for shown in self._layers:
            shown.visible = False
        self._to_front = True

    def _show(self, exposed: Exposed) -> None:
        """Show what was seen, and have it sharpened while the slider stands there."""
        if self._shot is None:
            return
        layer, newest = self._shot
        shot, preview = exposed.shot, self._preview
        if shot is newest:
            self._show_images(layer, shot, exposed.images)
            self.told.say(exposed.summary)
            if not exposed.finished:
                outdated = partial(self._is_outdated, shot)
                self._latest.ask(lambda: preview.sharpen(exposed, outdated))
        elif exposed.quick and self._fits(exposed):
            # A slider that keeps moving shows something on its way.
            self._show_images(layer, newest, exposed.images)

    def _is_outdated(self, shot: Shot) -> bool:
        return self._shot is None or self._shot[1] is not shot

    def _fits(self, exposed: Exposed) -> bool:
        shown = [layer.data.shape[1:] for layer in self._layers]
        return shown == [image.shape for image in exposed.images.values()]

    def _show_images(self, sample: Layer, shot: Shot, images: Mapping[str, Any]) -> None:
        # Layers that come and go cost napari a third of a second each, so they change in place.
        made = list(preview_layers(sample, shot, images))
        arranged = len(made) == len(self._layers)
        while len(self._layers) > len(made):
            self.viewer.layers.remove(self._layers.pop())
        for shown, (pixels, attributes, _) in zip(self._layers, made, strict=False):
            if shown.data.shape == pixels.shape:
                np.copyto(shown.data, pixels)
            else:
                shown.data = pixels
            set_changed(shown, attributes)
            shown.refresh(extent=False)
        self._layers += map(self.show_layer, made[len(self._layers) :])
        if self._to_front:
            self._to_front = False
            self._bring_to_front()
            arranged = arranged and (len(made) == 1 or self.viewer.canvas.grid.enabled)
        if not arranged:
            self.viewer.canvas.grid.enabled = len(made) > 1
            self.viewer.reset_view()

    def _bring_to_front(self) -> None:
        for shown in self._layers:
            shown.visible = True
        layers = self.viewer.layers
        if list(layers)[-len(self._layers) :] != self._layers:
            layers.move_multiple([layers.index(shown) for shown in self._layers], -1)
