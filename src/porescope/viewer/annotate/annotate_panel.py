"""The section of the dock in which labels are painted and corrected."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from app_model.types import KeyCode, KeyMod
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QWidget,
)

from porescope.errors import PorescopeError
from porescope.pipeline.run import Report
from porescope.pipeline.trainings.corrections import corrections_of, write_corrections
from porescope.segment.annotation import fill_through, interpolate_labels, told_share, told_shares
from porescope.segment.edits import Edit, Patch
from porescope.segment.segment import BY_NETWORKS
from porescope.stack import SLICES, Stack
from porescope.tracking import Cancel
from porescope.viewer.annotate.annotation_layers import (
    BRUSH_PX,
    CORRECTIONS,
    annotation_of,
    corrected_slices,
    mark_corrected,
    new_corrections,
    new_scribbles,
)
from porescope.viewer.annotate.mouse import Drag, InPlaceOf
from porescope.viewer.annotate.planes import PLANES, show_plane, show_slice, shown_axis, shown_index
from porescope.viewer.annotate.slice_list import SliceList
from porescope.viewer.annotate.smart_brush import Greys, ShownGreys, SmartBrush
from porescope.viewer.annotate.strokes import Strokes
from porescope.viewer.choices import layer_named, offer
from porescope.viewer.layers import KEY, LayerData, from_layer, is_stack
from porescope.viewer.panels import Panel
from porescope.viewer.paths import in_a_row
from porescope.viewer.work import Latest, Runner, Session, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

TOOLS = {
    "Paint": "paint",
    "Erase": "erase",
    "Fill": "fill",
    "Polygon": "polygon",
    "Pick": "pick",
    "Move": "pan_zoom",
}
HINTS = {
    "paint": "Paint with the left button; encircle with the right one.",
    "erase": "Paint what is to be taken away.",
    "fill": "Click on what touches and has one label.",
    "polygon": "Click the corners; a double click closes.",
    "pick": "Click on a phase to go on with it.",
    "pan_zoom": "Drag the picture; the wheel zooms.",
}
ANEW = " No network made these labels; a new one is trained from them."
PHASES = ("pore", "solid")
MOST_PHASES = 5
SWATCH_PX = 12
DIRECT = 4
"""Slices that are written at once; more of them behind the window."""
UNDO_KEYS = KeyMod.CtrlCmd | KeyCode.KeyZ
REDO_KEYS = KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ


class AnnotatePanel(Panel):
    """Paints scribbles, corrects segmentations, and fills what lies between annotated slices."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Interpolate between slices",
            "Paint phases by hand, or correct a segmentation and fine-tune its network.",
        )
        self.image, self.annotation, self.segmented = QComboBox(), QComboBox(), QComboBox()
        self.begin, self.correct = QPushButton("New annotation"), QPushButton("Correct a copy")
        self.begin.setToolTip("Empty labels on the voxels of the image: 0 is not told.")
        self.correct.setToolTip(
            "A copy of the segmentation, to be corrected; the segmentation stays."
        )
        self.begin.clicked.connect(self.guarded(self._begin))
        self.correct.clicked.connect(self.guarded(self._correct))
        self.plane = QComboBox()
        self.plane.addItems(list(PLANES))
        self.plane.activated.connect(self._choose_plane)
        self.tools = {mode: _tool(name, HINTS[mode]) for name, mode in TOOLS.items()}
        for mode, button in self.tools.items():
            button.clicked.connect(partial(self._choose_tool, mode))
        self.brush = QSpinBox()
        self.brush.setRange(1, 2000)
        self.brush.setValue(BRUSH_PX)
        self.brush.setSuffix(" px")
        self.brush.valueChanged.connect(self._size_brush)
        self.smart = QCheckBox("Stop at edges")
        self.smart.setToolTip("Paint only what is as bright as where the stroke began.")
        self.tolerance = QSpinBox()
        self.tolerance.setRange(1, 100)
        self.tolerance.setValue(20)
        self.tolerance.setPrefix("± ")
        self.tolerance.setSuffix(" %")
        self.tolerance.setToolTip("How far it may differ, of the range from black to white.")
        self.through = QCheckBox("Fill through slices")
        self.through.setToolTip("Fill reaches what touches in other slices too.")
        for check in (self.smart, self.through):
            check.toggled.connect(self._refresh_mouse)
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self.slices = SliceList()
        self.slices.chosen.connect(self._go_to)
        self.done = QCheckBox("This slice is corrected")
        self.done.toggled.connect(self._mark)
        self.tune = Runner(session, "Fine-tune on corrections", self._fine_tune)
        self._phases = QWidget()
        self._phase_row = QHBoxLayout(self._phases)
        self._phase_row.setContentsMargins(0, 0, 0, 0)
        self._phase_buttons: dict[int, QPushButton] = {}

        self.fields.addRow("Image", self.image)
        self.fields.addRow("Segmentation", self.segmented)
        self.fields.addRow(in_a_row(self.begin, self.correct))
        self.fields.addRow("Annotation", self.annotation)
        self.fields.addRow("Plane", self.plane)
        self.fields.addRow(in_a_row(*self.tools.values()))
        self.fields.addRow("Phase", self._phases)
        self.fields.addRow("Brush", self.brush)
        self.fields.addRow(self.smart, self.tolerance)
        self.fields.addRow(self.through)
        self.fields.addRow(in_a_row(self.undo_button, self.redo_button))
        place = self.column.indexOf(self.runner)
        for offset, widget in enumerate((self.slices, self.done)):
            self.column.insertWidget(place + offset, widget)
        self.column.addWidget(self.tune)

        self._layer: Layer | None = None
        self._watched: dict[Layer, Strokes] = {}
        self._edited: dict[Layer, set[int]] = {}
        self._shares: tuple[Layer, int, Any] | None = None
        self._mouse: InPlaceOf | None = None
        # What is undone when another layer is painted on, and when the window closes.
        self._held, self._window = ExitStack(), ExitStack()
        self._counting = Latest(self, session, self._counted, self.runner.say)
        self._greys = ShownGreys(self, session, viewer, self.runner.say)
        self._smart_brush = SmartBrush(viewer, self._shown_greys, self._grey_range, self.runner.say)
        # What was chosen otherwise than we would have.
        self._preferred: dict[QComboBox, str] = {}
        for choice in (self.image, self.segmented, self.annotation):
            choice.currentTextChanged.connect(partial(self._preferred.__setitem__, choice))
        self.annotation.currentTextChanged.connect(self._follow)
        self.image.currentTextChanged.connect(self._moved)
        self._connect(self._window, viewer.dims.events.point, self._moved)
        self._connect(self._window, viewer.dims.events.order, self._moved)
        self.destroyed.connect(partial(_let_go, self._held, self._window, self._watched))
        self.reset_choices()
        self._follow()

    def reset_choices(self) -> None:
        """List the layers there are, and let go of those that are gone."""
        volumes = [layer for layer in reversed(self.viewer.layers) if is_stack(layer)]
        # What is looked at comes first, and the truth, which nobody corrects, last.
        volumes.sort(key=lambda layer: (layer.name.startswith("truth"), not layer.visible))
        images = [layer.name for layer in volumes if isinstance(layer, Image)]
        drawn = [layer.name for layer in volumes if _can_paint(layer)]
        found = [each.name for each in volumes if isinstance(each, Labels)]
        for choice, names in (
            (self.image, images),
            (self.segmented, [name for name in found if name not in drawn]),
            (self.annotation, drawn),
        ):
            offer(choice, names, self._preferred.get(choice))
        for layer in set(self._watched) - set(self.viewer.layers):
            self._watched.pop(layer).close()
            self._edited.pop(layer, None)
        self._follow()

    def run(self) -> None:
        """Fill the slices between those that are annotated."""
        layer = self._need_layer()
        if self._is_correction:
            raise PorescopeError(
                "Corrected labels tell every voxel already; interpolate annotations that leave "
                "slices empty."
            )
        strokes = self._watched[layer]
        strokes.settle()
        stack, axis = from_layer(layer), shown_axis(self.viewer, layer)

        def task(report: Report, cancel: Cancel) -> list[Patch]:
            patches = interpolate_labels(
                layer.data,
                stack.spacing_nm,
                stack.slice_z_nm,
                axis,
                progress=partial(report, "interpolating"),
                cancel=cancel,
            )
            if not patches:
                raise PorescopeError(
                    "There is nothing to fill: paint one phase in two slices with empty ones "
                    "between them."
                )
            return _applied(patches, layer)

        self.runner.start(task, partial(self._filled, layer))

    def undo(self, event: Any = None) -> None:
        """Take the newest edit back."""
        self._step(back=True)

    def redo(self, event: Any = None) -> None:
        """Do again what was taken back last."""
        self._step(back=False)

    @property
    def _is_correction(self) -> bool:
        told = None if self._layer is None else annotation_of(self._layer)
        return told is not None and told.get("kind") == CORRECTIONS

    def _need_layer(self) -> Layer:
        if self._layer is None:
            raise PorescopeError("Press New annotation or Correct a copy first.")
        return self._layer

    def _chosen(self, combo: QComboBox) -> Layer | None:
        return layer_named(self.viewer, combo.currentText())

    def _begin(self) -> None:
        image = self._chosen(self.image)
        if image is None:
            raise PorescopeError("There is no image to annotate; load a stack first.")
        self._add(new_scribbles(image))

    def _correct(self) -> None:
        labels = self._chosen(self.segmented)
        if labels is None:
            raise PorescopeError("There is no segmentation to correct; segment first.")
        if self.runner.running:
            raise PorescopeError("Wait until the work below has ended.")

        def task(report: Report, cancel: Cancel) -> LayerData:
            return new_corrections(labels, _copied(labels.data))

        def then(data: LayerData) -> None:
            self._add(data)
            labels.visible = False  # what is erased would show through

        self.runner.start(task, then)

    def _add(self, data: LayerData) -> None:
        layer = self.show_layer(data)
        layer.brush_size = self.brush.value()
        self.reset_choices()
        self.annotation.setCurrentText(layer.name)
        self._choose_tool("paint")

    def _follow(self, event: Any = None) -> None:
        """Take the chosen annotation in hand."""
        layer = self._chosen(self.annotation)
        if layer is not self._layer:
            self._held.close()
            self._mouse = None
            self._layer = layer
            if layer is not None:
                self._hold(layer)
        is_correction = self._is_correction
        self.done.setVisible(is_correction)
        self.tune.setVisible(is_correction)
        for button in (self.runner.run_button, self.runner.cancel_button):
            button.setVisible(not is_correction)
        self._show_phases()
        self._show_tool()
        self._count()
        self._moved()

    def _hold(self, layer: Layer) -> None:
        if layer not in self._watched:
            self._watched[layer] = Strokes(self, self.viewer, layer, partial(self._stroke, layer))
        layer.n_edit_dimensions = 2
        self._mouse = InPlaceOf(layer, self._drag_in)
        self._held.callback(self._mouse.close)
        events = layer.events
        for emitter, slot in (
            (events.mode, self._show_tool),
            (events.selected_label, self._show_phases),
            (events.brush_size, self._show_brush),
            (events.n_edit_dimensions, self._stay_in_the_slice),
        ):
            self._connect(self._held, emitter, slot)
        for keys, slot in ((UNDO_KEYS, self.undo), (REDO_KEYS, self.redo)):
            layer.bind_key(keys, slot, overwrite=True)
            self._held.callback(layer.bind_key, keys, None, overwrite=True)
        self._show_brush()

    @staticmethod
    def _connect(held: ExitStack, emitter: Any, slot: Callable[..., None]) -> None:
        emitter.connect(slot)
        held.callback(emitter.disconnect, slot)

    def _choose_plane(self, index: int = 0) -> None:
        show_plane(self.viewer, PLANES[self.plane.currentText()])

    def _choose_tool(self, mode: str, checked: bool = True) -> None:
        try:
            layer = self._need_layer()
        except PorescopeError as error:
            self._show_tool()
            self.runner.say(error)
            return
        self.viewer.dims.ndisplay = 2
        self.viewer.layers.selection.active = layer
        layer.visible = True
        layer.mode = mode
        self._show_tool()  # a button that was on stays on
        self.runner.say(HINTS[mode])

    def _show_tool(self, event: Any = None) -> None:
        mode = None if self._layer is None else self._layer.mode
        for name, button in self.tools.items():
            button.setChecked(name == mode)

    def _size_brush(self, size: int) -> None:
        if self._layer is not None and self._layer.brush_size != size:
            self._layer.brush_size = size

    def _show_brush(self, event: Any = None) -> None:
        if self._layer is not None:
            self.brush.setValue(self._layer.brush_size)

    def _stay_in_the_slice(self, event: Any = None) -> None:
        """Refuse what napari would paint in slices that nobody sees."""
        if self._layer is not None and self._layer.n_edit_dimensions > 2:
            self._layer.n_edit_dimensions = 2
            self.runner.say("Tools work in the slice; tick Fill through slices to reach others.")

    def _show_phases(self, event: Any = None) -> None:
        """Offer a button for each phase, and one for another."""
        layer = self._layer
        first = 0 if self._is_correction else 1
        # What is picked is a number of numpy.
        selected = None if layer is None else int(layer.selected_label)
        count = 0 if selected is None else max(first + 2, selected + 1)
        if event is None or count > first + len(self._phase_buttons):
            self._rebuild_phases(layer, range(first, count))
        for label, button in self._phase_buttons.items():
            button.setChecked(label == selected)

    def _rebuild_phases(self, layer: Layer | None, labels: range) -> None:
        while (item := self._phase_row.takeAt(0)) is not None:
            item.widget().deleteLater()
        self._phase_buttons = {}
        if layer is None:
            return
        for label in labels:
            place = label - labels.start
            name = PHASES[place] if place < len(PHASES) else f"phase {label}"
            button = QPushButton(_swatch(layer.get_color(label)), name)
            button.setCheckable(True)
            button.clicked.connect(partial(self._choose_phase, label))
            self._phase_buttons[label] = button
            self._phase_row.addWidget(button)
        another = QPushButton("+")
        another.setToolTip("Another phase")
        another.clicked.connect(partial(self._choose_phase, labels.stop))
        another.setVisible(len(labels) < MOST_PHASES)
        self._phase_row.addWidget(another)

    def _choose_phase(self, label: int, chosen: bool = True) -> None:
        if self._layer is not None:
            self._layer.selected_label = label
            self._show_phases()

    def _refresh_mouse(self, checked: bool = False) -> None:
        if self._mouse is not None:
            self._mouse.refresh()
        if not self.smart.isChecked():
            self._greys.forget()
        self._moved()

    def _drag_in(self, mode: str) -> Drag | None:
        if mode == "paint" and self.smart.isChecked():
            return self._smart_brush.drag
        if mode == "fill" and self.through.isChecked():
            return self._fill
        return None

    def _shown_greys(self) -> Greys:
        image, layer = self._chosen(self.image), self._need_layer()
        if image is None:
            raise PorescopeError("Stop at edges needs an image; load one or untick it.")
        same = all(
            np.shape(here) == np.shape(there) and np.allclose(here, there)
            for here, there in (
                (image.data.shape, layer.data.shape),
                (image.scale, layer.scale),
                (image.translate, layer.translate),
            )
        )
        if not same:
            raise PorescopeError(
                f"{image.name} lies on other voxels than {layer.name}; choose another image."
            )
        greys = self._greys.of(image)
        if greys is None:
            raise PorescopeError("The image of this slice is being read; paint in a moment.")
        self.runner.say(None)
        return greys

    def _grey_range(self) -> float:
        dark, bright = self._chosen(self.image).contrast_limits  # type: ignore[union-attr]
        return self.tolerance.value() / 100 * float(bright - dark)

    def _fill(self, layer: Layer, event: Any) -> Iterator[None]:
        """Fill what touches the voxel under the mouse, through slices."""
        z, y, x = (int(np.rint(at)) for at in layer.world_to_data(event.position))
        inside = all(0 <= at < size for at, size in zip((z, y, x), layer.data.shape, strict=True))
        if event.button != 1 or not inside or self.runner.running:
            return
        label = layer.selected_label

        def task(report: Report, cancel: Cancel) -> list[Patch]:
            patches = fill_through(
                layer.data, (z, y, x), label, progress=partial(report, "filling"), cancel=cancel
            )
            return _applied(patches, layer)

        self._watched[layer].settle()
        self.runner.start(task, partial(self._filled, layer))
        yield

    def _filled(self, layer: Layer, patches: list[Patch]) -> None:
        if layer in self._watched:
            self._watched[layer].history.add(patches)
            self._written(layer, tuple(patches))
            self.runner.say(f"Filled {len(patches)} slices; Undo takes them back.")

    def _step(self, back: bool) -> None:
        strokes = self._watched.get(self._layer)
        if strokes is None:
            return
        if self.runner.running:
            self.runner.say("Wait until the work below has ended, or cancel it.")
            return
        strokes.settle()
        layer, history = strokes.layer, strokes.history
        edit = history.undo() if back else history.redo()
        write = Patch.take_back if back else Patch.apply
        said = _where(edit, back)

        def task(report: Report | None = None, cancel: Cancel | None = None) -> None:
            for patch in edit:
                write(patch, layer.data)

        def then(result: Any = None) -> None:
            self._written(layer, edit)
            self.runner.say(said)

        if len(edit) > DIRECT:
            self.runner.start(task, then)
        elif edit:
            task()
            then()

    def _written(self, layer: Layer, edit: Edit) -> None:
        """Show and tell what was changed otherwise than by a stroke."""
        if layer in self._watched:
            self._watched[layer].forget_slice()
        layer.refresh()
        layer.events.paint(value=[])
        self._stroke(layer, edit)

    def _stroke(self, layer: Layer, edit: Edit) -> None:
        spans = [range(patch.where[SLICES].start, patch.where[SLICES].stop) for patch in edit]
        self._edited.setdefault(layer, set()).update(*spans)
        if self._layer is None or layer is not self._layer:
            return
        axis = shown_axis(self.viewer, layer)
        if len(edit) == 1 and self._shares is not None and self._shares[:2] == (layer, axis):
            along = edit[0].where[axis]
            if along.stop == along.start + 1:
                plane = np.take(layer.data, along.start, axis)
                self._shares[2][along.start] = told_share(plane)
                self._list_slices()
                return
        self._shares = None
        self._count()

    def _count(self) -> None:
        """Look which slices hold something, unless that is known."""
        layer = self._layer
        if layer is None or self._is_correction:
            self._list_slices()
            return
        axis, data = shown_axis(self.viewer, layer), layer.data
        if self._shares is None or self._shares[:2] != (layer, axis):
            self._counting.ask(lambda: (layer, axis, told_shares(data, axis)))
        else:
            self._list_slices()

    def _counted(self, shares: tuple[Layer, int, Any]) -> None:
        self._shares = shares
        self._list_slices()

    def _list_slices(self) -> None:
        layer = self._layer
        strokes = self._watched.get(layer)
        self.undo_button.setEnabled(strokes is not None and strokes.history.can_undo)
        self.redo_button.setEnabled(strokes is not None and strokes.history.can_redo)
        if layer is None:
            self.slices.setVisible(False)
            return
        self.slices.setVisible(True)
        if self._is_correction:
            done = corrected_slices(layer)
            told = dict.fromkeys(sorted(self._edited.get(layer, ())), "edited, not marked")
            told |= dict.fromkeys(done, "corrected")
            self.slices.show_slices(told, done, layer.data.shape[SLICES], "as segmented")
        elif self._shares is not None and self._shares[0] is layer:
            shares = self._shares[2]
            told = {int(z): _percent(shares[z]) for z in np.flatnonzero(shares)}
            self.slices.show_slices(told, list(told), len(shares), "nothing")

    def _go_to(self, index: int) -> None:
        layer = self._layer
        if layer is None:
            return
        if self._is_correction and shown_axis(self.viewer, layer) != SLICES:
            show_plane(self.viewer, SLICES)
        show_slice(self.viewer, layer, index)

    def _moved(self, event: Any = None) -> None:
        """Follow the slider and the plane."""
        layer = self._layer
        axis = SLICES if layer is None else shown_axis(self.viewer, layer)
        self.plane.setCurrentIndex(list(PLANES.values()).index(axis))
        image = self._chosen(self.image)
        if self.smart.isChecked() and image is not None:
            self._greys.read(image)
        if layer is None:
            return
        if self._shares is not None and self._shares[:2] != (layer, axis):
            self._count()
        index = shown_index(self.viewer, layer)
        self.slices.show_here(-1 if index is None else index)
        self.done.blockSignals(True)
        self.done.setChecked(index in corrected_slices(layer))
        self.done.blockSignals(False)
        self.done.setEnabled(axis == SLICES and index is not None)

    def _mark(self, corrected: bool) -> None:
        index = None if self._layer is None else shown_index(self.viewer, self._layer)
        if index is not None:
            mark_corrected(self._layer, index, corrected)
            self._list_slices()

    def _fine_tune(self) -> None:
        """Write the corrected slices as a sample, and open Train with it."""
        layer = self._need_layer()
        labels = from_layer(layer)
        images = self._images_of(layer)
        stacks = sorted(
            (from_layer(image) for image in images), key=lambda each: each.beam_kv or 0.0
        )
        seen, truth = corrections_of(stacks, labels, corrected_slices(layer))
        folder = self.session.new_folder()
        job = in_process(write_corrections, seen, truth, folder)
        self.tune.start(job, partial(self._open_training, _weights_of(labels), len(truth.data)))

    def _images_of(self, layer: Layer) -> list[Layer]:
        """Return the newest image of each voltage on the voxels of a layer."""
        found: dict[float, Layer] = {}
        for image in self.viewer.layers:
            beam_kv = image.metadata.get(KEY, {}).get("beam_kv")
            fits = isinstance(image, Image) and is_stack(image) and beam_kv is not None
            if fits and image.data.shape == layer.data.shape:
                found[beam_kv] = image
        return list(found.values())

    def _open_training(self, weights: str | None, slices: int, folder: Path) -> None:
        from porescope.viewer.dock import open_dock

        train = open_dock(self.viewer, "train")
        train.training.setCurrentText("segmentation")
        train.inputs.addItem(str(folder))
        train.form["validation"].value = 0 if train.inputs.count() == 1 else 1
        if weights is not None and weights.endswith(".safetensors"):
            train.offer_weights(Path(weights))
        train.form["start"].value = weights
        train.runner.say(
            f"Added {slices} corrected slice{'s' * (slices != 1)}; name a folder for the new "
            f"weights and press Train.{ANEW if weights is None else ''}"
        )


def _let_go(held: ExitStack, window: ExitStack, watched: dict[Layer, Strokes]) -> None:
    held.close()
    window.close()
    for strokes in watched.values():
        strokes.close()
    watched.clear()


def _can_paint(layer: Layer) -> bool:
    return annotation_of(layer) is not None and isinstance(layer.data, np.ndarray)


def _copied(data: Any) -> Any:
    """Return labels in memory, a byte each where that is enough."""
    labels = np.array(data)
    return labels.astype(np.uint8) if labels.dtype == bool or labels.max() < 256 else labels


def _applied(patches: list[Patch], layer: Layer) -> list[Patch]:
    for patch in patches:
        patch.apply(layer.data)
    return patches


def _weights_of(labels: Stack) -> str | None:
    """Return the weights that made labels, if networks did."""
    for entry in reversed(labels.history):
        told = entry.get("parameters", {})
        if entry.get("step") == "segment" and told.get("method") in BY_NETWORKS:
            weights: str | None = told.get("weights")
            return weights
    return None


def _where(edit: Edit, back: bool) -> str:
    """Return a sentence on what was undone or redone."""
    done = "Undone" if back else "Done again"
    if len(edit) != 1:
        return f"{done} in {len(edit)} slices."
    axis = min(range(3), key=lambda each: edit[0].where[each].stop - edit[0].where[each].start)
    return f"{done} in slice {edit[0].where[axis].start}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"


def _tool(name: str, hint: str) -> QPushButton:
    button = QPushButton(name)
    button.setToolTip(hint)
    button.setCheckable(True)
    button.setStyleSheet("padding: 4px 0px;")
    return button


def _swatch(colour: Any) -> QIcon:
    """Return a square of a label's colour; hollow where it is clear."""
    square = QPixmap(SWATCH_PX, SWATCH_PX)
    clear = colour is None or colour[3] == 0
    square.fill(Qt.GlobalColor.transparent if clear else QColor.fromRgbF(*map(float, colour[:3])))
    return QIcon(square)
