"""The sections of the dock: Load, one for each step, and Run recipe."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from porescope.errors import MissingMetadata, PorescopeError
from porescope.pipeline.catalogue.segment import SCRIBBLES
from porescope.pipeline.project import RESULTS, USED, Source, Taken, Used
from porescope.pipeline.recipe import read_recipe
from porescope.pipeline.report import explained
from porescope.pipeline.run import Report, run_recipe, run_step, work_folder
from porescope.pipeline.step import Parameters, Step
from porescope.pipeline.workspace import ZARR, Workspace, load_workspace
from porescope.stack import Stack
from porescope.tracking import Cancel
from porescope.viewer.boxes import COLOURS, Boxes
from porescope.viewer.choices import offer
from porescope.viewer.curves import Curves
from porescope.viewer.flicker import Flicker
from porescope.viewer.form import Form, label
from porescope.viewer.help import LINK_COLOUR, TUTORIAL
from porescope.viewer.layers import (
    CHANNEL,
    KEY,
    LayerData,
    from_layer,
    is_map,
    is_stack,
    label_features,
    looks_like_mask,
    made_layers,
    marks_layer,
)
from porescope.viewer.paths import PathList, in_a_row, with_choosers
from porescope.viewer.project.sources import as_read, source_of
from porescope.viewer.readers import read_layers, workspace_layers
from porescope.viewer.samples import gold_with_truth
from porescope.viewer.tables import Tables
from porescope.viewer.work import Runner, Session, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

NOTHING = "none"
LARGEST_NUMBER = 1e6
"""No voxel has so many nm, and no beam so many kV."""
CHOSEN, FORM = "chosen", "form"
"""Keys of what a panel has filled in."""
MISSING = {
    "images": "Load a stack first; to try it out, Load opens a sample.",
    "labels": "There are no labels yet; segment first, or choose some above.",
}
"""What to do where there is nothing for a step to work on."""
UNTICKED = "Tick at least one image above."
AS_LABELS = "If it is one, right-click it in the list of layers and choose Convert to Labels."
ON_FIRST_SLICE = {
    ("align", "region"): "what stays the same, such as a fiducial",
    ("positions", "region"): "what to compare, without the fiducial",
    ("positions", "parallel"): "a mark along the milling direction",
    ("positions", "inclined"): "an inclined mark",
}
"""What the boxes belong on that are sought in the other slices, by step and field."""


class Panel(QWidget):
    """A section of the dock: a line on what it does, fields, and what runs it.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Of the window.
    title : str
        On the button.
    summary : str
        What it does, in one sentence.
    """

    help_wanted = Signal(str)
    """The page, or nothing for that of this section."""

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        title: str,
        summary: str,
        can_cancel: bool = True,
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.session = session
        self.runner = Runner(session, title, self._run, can_cancel)
        self.fields = QFormLayout()
        self.fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        link = f"<a href='help' style='color: {LINK_COLOUR}'>Help</a>"
        about = QLabel(f"{summary} {link}")
        about.setWordWrap(True)
        about.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        about.linkActivated.connect(lambda _: self.help_wanted.emit(""))
        self.column = QVBoxLayout(self)
        self.column.addWidget(about)
        self.column.addLayout(self.fields)
        self.column.addWidget(self.runner)

    def run(self) -> None:
        """Start the work of this panel, or raise PorescopeError."""
        raise NotImplementedError

    def _run(self) -> None:
        for flicker in self.window().findChildren(Flicker):
            flicker.stop()
        self.run()

    def reset_choices(self) -> None:
        """Follow a change of the layer list."""

    def offer_weights(self, path: Path) -> None:
        """Let a file of weights be chosen where such are."""

    def filled(self) -> dict[str, Any]:
        """Return what is filled in and chosen, for :meth:`fill`."""
        found: dict[str, Any] = {}
        for name, widget in vars(self).items():
            if isinstance(widget, QLineEdit):
                found[name] = widget.text()
            elif isinstance(widget, QComboBox):
                found[name] = widget.currentText()
        form = getattr(self, "form", None)
        return found | ({FORM: form.filled()} if isinstance(form, Form) else {})

    def fill(self, values: Mapping[str, Any]) -> None:
        """Fill in what was filled in before; what no longer fits is left as it is."""
        for name, widget in vars(self).items():
            text = values.get(name)
            if isinstance(widget, QLineEdit) and isinstance(text, str):
                widget.setText(text)
            elif isinstance(widget, QComboBox) and isinstance(text, str):
                widget.setCurrentText(text)
        form, inside = getattr(self, "form", None), values.get(FORM)
        if isinstance(form, Form) and isinstance(inside, Mapping):
            form.fill(inside)

    def guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        """Return an action of a button whose errors are a sentence."""

        def act() -> None:
            try:
                action()
            except PorescopeError as error:
                self.runner.say(error)

        return act

    def show_layer(self, layer: LayerData) -> Layer:
        """Add a layer to the window."""
        return self.viewer.add_layer(Layer.create(*layer))

    def show_each(self, layers: Iterable[Layer]) -> Generator[None, None, list[Layer]]:
        """Add layers to the window, which goes on after each; napari takes 0.1 s for one."""
        shown = []
        for layer in layers:
            shown.append(self.viewer.add_layer(layer))
            yield
        return shown


class LoadPanel(Panel):
    """Opens stacks, prefills what their files tell and asks for what they do not."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Load",
            "Open a stack, or a folder with one stack a voltage, at its true scale.",
            can_cancel=False,
        )
        self.path = QLineEdit()
        self.path.setPlaceholderText("file or folder")
        self.path.editingFinished.connect(self._path_edited)
        self.spacing = {axis: QLineEdit() for axis in "zyx"}
        self.beam_kv = QLineEdit()
        self.fields.addRow("Path", with_choosers(self.path, self._path_edited))
        self.fields.addRow("Voxel (nm)", in_a_row(*self.spacing.values()))
        self.fields.addRow("Beam (kV)", self.beam_kv)
        self.sample, self.tutorial = QPushButton("Open the sample"), QPushButton("Tutorial")
        self.sample.setToolTip("Nanoporous gold at 1, 2 and 4 kV, with the truth.")
        self.sample.clicked.connect(self.open_sample)
        self.tutorial.clicked.connect(lambda: self.help_wanted.emit(TUTORIAL))
        self.column.addWidget(QLabel("No stack at hand? Try the sample:"))
        self.column.addWidget(in_a_row(self.sample, self.tutorial))
        self._asked: Path | None = None
        # What the file told, as shown; whoever changes nothing gets the layers read meanwhile.
        self._told: tuple[list[str], list[Layer]] | None = None
        for axis, line in self.spacing.items():
            line.setPlaceholderText(axis)

    def ask_for(self, path: Path) -> None:
        """Fill in a path, what its file tells, and a question for the rest."""
        self.path.setText(str(path))
        self._asked = path
        self._told = None
        for line in self._lines:
            line.clear()

        def task(report: Report, cancel: Cancel) -> tuple[list[Layer], MissingMetadata | None]:
            try:
                return made_layers(read_layers(path)), None
            except MissingMetadata as question:
                if not set(question.missing) < set("zyx"):
                    raise
                # Any number stands in for what is missing; the rest is what the file tells.
                told = [1.0 if axis in question.missing else None for axis in "zyx"]
                return made_layers(read_layers(path, (told[0], told[1], told[2]))), question

        self.runner.start(task, lambda result: self._prefill(*result), self._point_out)

    def open_sample(self) -> None:
        """Show the stacks that come with Porescope, and hidden, how they really are."""
        if not self.runner.running:
            self._load(lambda: made_layers(gold_with_truth()))

    def run(self) -> None:
        """Read with the numbers filled in."""
        path = self._path()
        texts = [line.text() for line in self._lines]
        if self._told is not None and texts == self._told[0]:
            layers = self._told[1]
            self._load(lambda: layers)
            return
        spacing_nm = tuple(number(line, f"voxel size {axis}") for axis, line in self._axes)
        # A folder of voltages shows several energies, which are not for changing.
        beam_kv = None if "," in texts[-1] else number(self.beam_kv, "beam energy")
        given: Any = spacing_nm if any(spacing_nm) else None
        self._load(lambda: made_layers(read_layers(path, given, beam_kv)))

    def _load(self, opened: Callable[[], list[Layer]]) -> None:
        """Show layers, and tell which may be meant as labels."""

        def task(report: Report, cancel: Cancel) -> tuple[list[Layer], list[Layer]]:
            layers = opened()
            return layers, list(filter(looks_like_mask, layers))

        self.runner.start(task, lambda result: self._show(*result), self._point_out)

    @property
    def _axes(self) -> list[tuple[str, QLineEdit]]:
        return list(self.spacing.items())

    @property
    def _lines(self) -> list[QLineEdit]:
        return [*self.spacing.values(), self.beam_kv]

    def _path(self) -> Path:
        if not self.path.text().strip():
            raise PorescopeError("Choose a file or a folder first.")
        return Path(self.path.text().strip()).expanduser()

    def _path_edited(self) -> None:
        if self.path.text().strip() and self._path() != self._asked and not self.runner.running:
            self.ask_for(self._path())

    def _prefill(self, layers: list[Layer], question: MissingMetadata | None) -> None:
        missing = () if question is None else question.missing
        for (axis, line), value in zip(self._axes, layers[0].scale, strict=True):
            line.setText("" if axis in missing else f"{value:g}")
        energies = {layer.metadata[KEY]["beam_kv"] for layer in layers} - {None}
        self.beam_kv.setText(", ".join(f"{value:g}" for value in sorted(energies)))
        if question is not None:
            raise question
        self._told = ([line.text() for line in self._lines], layers)
        z, y, x = layers[0].data.shape
        self.runner.say(f"{len(layers)} × {z} slices of {y} × {x} pixels; ready to load.")

    def _point_out(self, error: PorescopeError) -> None:
        """Put the cursor where the answer goes."""
        if isinstance(error, MissingMetadata):
            lines = self.spacing | {"beam_kv": self.beam_kv}
            lines[error.missing[0]].setFocus()
            axes = ", ".join(axis for axis in error.missing if axis in self.spacing)
            if axes:
                told = str(error).partition(";")[0]
                self.runner.say(PorescopeError(f"{told}; fill in Voxel (nm) {axes} above."))

    def _show(self, layers: list[Layer], masks: list[Layer]) -> Iterator[None]:
        shown = yield from self.show_each(layers)
        visible = next((layer for layer in shown if layer.visible), None)
        if visible is not None:  # not the truth, which lies hidden on top
            self.viewer.layers.selection.active = visible
        told = [f"{each.name}{' as labels' * isinstance(each, Labels)}" for each in shown]
        said = f"Loaded {', '.join(told)}."
        if masks:
            names = ", ".join(layer.name for layer in masks)
            said += f" {names}: black and white only, like a mask. {AS_LABELS}"
        self.runner.say(said)
        self._told = None
        self._asked = None


class StepPanel(Panel):
    """Runs one step on layers of the window.

    Parameters
    ----------
    step : Step
        As registered; its parameters make the form.
    """

    def __init__(self, viewer: ViewerModel, session: Session, step: Step) -> None:
        super().__init__(viewer, session, "Run", step.summary)
        self.step = step
        self.images = QListWidget()
        self.images.setMaximumHeight(96)
        self.images.itemChanged.connect(self._remember_image)
        self.labels = QComboBox()
        self.truth = QComboBox()
        for use, widget in self._inputs().items():
            self.fields.addRow(use.capitalize(), widget)
        for name, combo in (("labels", self.labels), ("truth", self.truth)):
            combo.activated.connect(lambda index, name=name: self._remember_label(name))
        self.form = Form(step.parameters)
        if step.parameters.model_fields:
            self.column.insertWidget(2, self.form.container.native)
        self._boxes: list[Boxes] = []
        regions = self.form.regions().items()
        for (name, (line, button, several)), colour in zip(regions, cycle(COLOURS), strict=False):
            over = ON_FIRST_SLICE.get((step.name, name))
            boxes = Boxes(viewer, f"{step.name} {label(name)}", line, several, colour, over)
            button.changed.connect(lambda _=None, boxes=boxes: self._draw(boxes))
            self._boxes.append(boxes)
        self.scores = Scores()
        self.column.addWidget(self.scores)
        self.flicker = Flicker(viewer)
        self.column.addWidget(self.flicker)
        self.tables = Tables(viewer, self.runner.say)
        self.column.addWidget(self.tables)
        self.curves = Curves(viewer)
        self.column.addWidget(self.curves)
        # What the user chose otherwise than we would have; images that were worked on are forgotten
        # once there are newer ones.
        self._chosen: dict[Any, Any] = {}
        self._proposed: set[str] = set()
        self._complete()
        self.reset_choices()

    def _complete(self) -> None:
        """Add what a step's own panel has besides; called before layers are listed."""

    def offer_weights(self, path: Path) -> None:
        """Let a file of weights be chosen in the form."""
        self.form.offer_weights(path)

    def _inputs(self) -> dict[str, QWidget]:
        known = {"images": self.images, "labels": self.labels, "truth": self.truth}
        return {use: known[use] for use in self.step.uses}

    def reset_choices(self) -> None:
        """List the layers there are; the newest images and labels and the truth are chosen."""
        layers = [layer for layer in self.viewer.layers if is_stack(layer)]
        images = [layer for layer in layers if isinstance(layer, Image)]
        self.runner.forget_refusal()
        earlier = superseded(self.session.taken, images)
        self._proposed = {
            layer.name for layer in images if KEY in layer.metadata and layer not in earlier
        }
        self.images.blockSignals(True)
        self.images.clear()
        for layer in sorted(images, key=_beam_kv):
            item = QListWidgetItem(layer.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            chosen = self._chosen.get(layer.name, layer.name in self._proposed)
            item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)
            self.images.addItem(item)
        self.images.blockSignals(False)
        labels = [layer.name for layer in reversed(layers) if isinstance(layer, Labels)]
        truths = [name for name in labels if name.startswith("truth")]
        drawn = [name for name in labels if name.startswith(SCRIBBLES)]
        found = [name for name in labels if name not in (*truths, *drawn)]
        offer(self.labels, [*found, *truths, NOTHING], self._chosen.get("labels"))
        offer(self.truth, [*truths, NOTHING, *found], self._chosen.get("truth"))

    def run(self) -> None:
        """Run the step on the chosen layers in a process of its own."""
        images = [self.viewer.layers[name] for name in self.chosen_images()]
        labels = self._layers_of("labels", self.labels)
        # The first that a step uses is what it works on; it can do without the others.
        worked_on, *_ = self.step.uses
        if not (images if worked_on == "images" else labels):
            raise self._nothing(worked_on)
        parameters = self.step.parse(self.form.values())
        suffix = f" {self._made(parameters)}".rstrip()
        maps = self._maps()
        images.sort(key=_beam_kv)
        workspace = Workspace(
            images=tuple(map(from_layer, images)),
            labels=self._chosen_labels("labels", self.labels),
            truth=self._chosen_labels("truth", self.truth),
            maps={name: from_layer(layer) for name, layer in maps.items()},
        )
        folder = self.session.new_folder()
        beside, place = folder.with_name(f".{folder.name}"), f"{RESULTS}/{folder.name}"
        taken, kept = _taken(
            Taken(step=self.step.name, parameters=parameters.model_dump(mode="json"), folder=place),
            workspace,
            [*images, *labels, *self._layers_of("truth", self.truth), *maps.values()],
        )
        job = in_process(
            run_step, self.step, parameters, workspace, folder, kept=kept, leftovers=(beside,)
        )

        def task(report: Report, cancel: Cancel) -> tuple[Workspace, list[Layer]]:
            made, _ = load_workspace(job(report, cancel))
            report("Opening the result", 0, 0)
            return made, made_layers(workspace_layers(made, place, suffix))

        def then(result: tuple[Workspace, list[Layer]]) -> Iterator[None]:
            # What follows the layer list has to know what new images were made from.
            number = len(self.session.taken)
            self.session.taken.append(taken)
            yield from self._show(*result, used)
            sources = {layer.name: source_of(layer) for layer in result[1]}
            names = {source.volume: name for name, source in sources.items() if source is not None}
            self.session.taken[number] = taken.model_copy(update={"made": names})

        used = [*images, *labels]
        self.runner.start(task, then)

    def _nothing(self, worked_on: str) -> PorescopeError:
        """Return why there is nothing to work on: no layer that is ticked, or none that fits."""
        wrong = None
        if worked_on == "images":
            for layer in self.viewer.layers:
                if isinstance(layer, Image) and CHANNEL not in layer.metadata and not is_map(layer):
                    try:
                        from_layer(layer)
                    except PorescopeError as error:
                        wrong = error
                    else:
                        return PorescopeError(UNTICKED)
        return wrong or PorescopeError(MISSING[worked_on])

    def _made(self, parameters: Parameters) -> str:
        """Return what volumes are called that were made, after their name."""
        return self.step.made

    def _maps(self) -> dict[str, Layer]:
        """Return the layers of what the step takes besides."""
        return {}

    def chosen_images(self) -> list[str]:
        """Return the names of the image layers to work on, lowest voltage first."""
        if "images" not in self.step.uses:
            return []
        items = [self.images.item(row) for row in range(self.images.count())]
        return [item.text() for item in items if item.checkState() == Qt.CheckState.Checked]

    def _draw(self, boxes: Boxes) -> None:
        chosen = self.chosen_images()
        try:
            others = [other for other in self._boxes if other is not boxes]
            self.runner.say(boxes.draw(self.viewer.layers[chosen[0]] if chosen else None, others))
        except PorescopeError as error:
            self.runner.refuse(error)

    def _layers_of(self, use: str, combo: QComboBox) -> list[Layer]:
        name = combo.currentText()
        return [self.viewer.layers[name]] if use in self.step.uses and name != NOTHING else []

    def _chosen_labels(self, use: str, combo: QComboBox) -> Any:
        return next((from_layer(layer) for layer in self._layers_of(use, combo)), None)

    def _show(self, made: Workspace, layers: list[Layer], used: list[Layer]) -> Iterator[None]:
        """Show what was made in place of what it was made of or made before, and the numbers."""
        for layer in used if made.images else ():
            self._chosen.pop(layer.name, None)
        for boxes in self._boxes:
            boxes.hide()
        kinds = {type(layer) for layer in layers if layer.visible}
        for layer in used:
            if type(layer) in kinds:
                layer.visible = False
        for layer in self._made_before():
            layer.visible = False
        shown = yield from self.show_each(layers)
        self.show_numbers(made.tables, made.scores, used, shown)
        self.flicker.offer([layer for layer in used if not layer.visible], shown)
        if shown and made.tables.get("marks") and "positions" in self.step.tables:
            self.show_layer(marks_layer(made.tables["marks"], shown[0]))
        self.reset_choices()
        names = ", ".join(layer.name for layer in shown)
        said = f"Made {names} from" if shown else "Done with"
        warned = [row["warning"] for row in made.tables.get("warnings", ())]
        self.runner.say("\n".join([f"{said} {', '.join(layer.name for layer in used)}.", *warned]))

    def _made_before(self) -> list[Layer]:
        """Return the layers of earlier results of this section, over which one sees no new one."""
        folders = {taken.folder for taken in self.session.taken if taken.step == self.step.name}
        sources = {layer: source_of(layer) for layer in self.viewer.layers}
        return [layer for layer, source in sources.items() if source and source.path in folders]

    def show_numbers(
        self,
        tables: Mapping[str, Any],
        scores: Mapping[str, Any],
        used: list[Layer],
        made: list[Layer],
    ) -> None:
        """Show what was found out, and have the layers that it is about tell it."""
        # Maps are about what was there, and new images and labels about themselves.
        about = used if all(map(is_map, made)) else made
        told = {"tables": dict(tables), "scores": dict(scores)}
        for layer in about:
            own = layer.metadata.get(KEY, {})
            layer.metadata = {**layer.metadata, KEY: {**own, **told}}
        self.scores.show_rows(explained(scores))
        for layer in used:
            if isinstance(layer, Labels) and "phase_fractions" in scores:
                layer.features = label_features(scores["phase_fractions"])
        self._show_curves(tables, about)

    def _show_curves(self, found: Mapping[str, Any], layers: list[Layer]) -> None:
        """Draw what this step found out, not what those before it did."""
        tables = {name: found[name] for name in self.step.tables if name in found}
        if layers:
            self.tables.offer(tables, layers[0])
            self.curves.show_tables(tables, layers[0])

    def filled(self) -> dict[str, Any]:
        """Return what is filled in and chosen."""
        return super().filled() | {CHOSEN: dict(self._chosen)}

    def fill(self, values: Mapping[str, Any]) -> None:
        """Fill in and choose what was."""
        chosen = values.get(CHOSEN)
        self._chosen = dict(chosen) if isinstance(chosen, Mapping) else {}
        super().fill(values)
        self.reset_choices()

    def _remember_image(self, item: QListWidgetItem) -> None:
        name, chosen = item.text(), item.checkState() == Qt.CheckState.Checked
        if chosen == (name in self._proposed):
            self._chosen.pop(name, None)
        else:
            self._chosen[name] = chosen
        self.runner.forget_refusal()

    def _remember_label(self, use: str) -> None:
        combo = self.labels if use == "labels" else self.truth
        self._chosen[use] = combo.currentText()
        self.runner.forget_refusal()


class RecipePanel(Panel):
    """Runs a whole recipe on files and opens its result."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer, session, "Run", "Run a recipe on files, as the command porescope run does."
        )
        self.recipe = QLineEdit()
        self.recipe.setPlaceholderText("recipe .yaml, or provenance.json")
        self.inputs = PathList()
        self.out = QLineEdit()
        self.out.setPlaceholderText("folder to make")
        self.overwrite = QCheckBox("replace an earlier result")
        self.report_button = QPushButton("Open report")
        self.report_button.setVisible(False)
        self.report_button.clicked.connect(self._open_report)
        self.fields.addRow("Recipe", with_choosers(self.recipe, folders=False))
        self.fields.addRow("Inputs", self.inputs.with_buttons())
        self.fields.addRow("Result", with_choosers(self.out, files=False))
        self.fields.addRow("", self.overwrite)
        self.column.addWidget(self.report_button)
        self._result: Path | None = None

    def run(self) -> None:
        """Run the recipe in a process of its own."""
        if not self.recipe.text().strip():
            raise PorescopeError("Choose a recipe first.")
        if not self.out.text().strip():
            raise PorescopeError("Name the folder to make for the result.")
        recipe = read_recipe(Path(self.recipe.text().strip()).expanduser())
        if paths := self.inputs.paths():
            recipe = recipe.with_inputs(paths)
        out = Path(self.out.text().strip()).expanduser().absolute()
        job = in_process(
            run_recipe,
            recipe,
            out,
            overwrite=self.overwrite.isChecked(),
            leftovers=(work_folder(out),),
        )

        def task(report: Report, cancel: Cancel) -> tuple[Path, list[Layer]]:
            result = job(report, cancel)
            report("Opening the result", 0, 0)
            return result, made_layers(read_layers(result))

        self.report_button.setVisible(False)
        self.runner.start(task, lambda result: self._show(*result))

    def _show(self, result: Path, layers: list[Layer]) -> Iterator[None]:
        self._result = result
        yield from self.show_each(layers)
        self.report_button.setVisible(True)
        self.runner.say(f"The result is in {result}.")

    def _open_report(self) -> None:
        if self._result is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._result / "report.html")))


def _taken(
    step: Taken, workspace: Workspace, layers: list[Layer]
) -> tuple[Taken, dict[str, Stack]]:
    """Return what a step works on, and what of it no file holds as it is, by where to keep it.

    Parameters
    ----------
    step : Taken
        All else.
    workspace : Workspace
    layers : list of Layer
        Of its volumes, in their order.
    """
    used, kept = [], {}
    for number, (layer, (_, stack)) in enumerate(zip(layers, workspace.stacks(), strict=True)):
        source = as_read(layer)
        if source is None:
            place = f"{USED}/{number}{ZARR}"
            kept[place] = stack
            source = Source(path=f"{step.folder}/{place}")
        used.append(Used(name=layer.name, source=source))
    rest = iter(used[len(workspace.images) :])
    told = {
        "images": tuple(used[: len(workspace.images)]),
        "labels": None if workspace.labels is None else next(rest),
        "truth": None if workspace.truth is None else next(rest),
        "maps": dict(zip(workspace.maps, rest, strict=True)),
    }
    return step.model_copy(update=told), kept


def superseded(steps: Sequence[Taken], images: Sequence[Layer]) -> set[Layer]:
    """Return the images of which a step made others, if those or what came of them are there."""
    sources = {layer: source_of(layer) for layer in images}
    there = {source.path for source in sources.values() if source is not None}
    found = set()
    for taken in reversed(steps):
        if taken.folder not in there:
            continue
        for used in taken.images:
            there.add(used.source.path)
            # What no file held is known by its name.
            kept = used.source.path.startswith(f"{taken.folder}/{USED}/")
            found |= {
                layer
                for layer, source in sources.items()
                if source == used.source or (kept and layer.name == used.name)
            }
    return found


def _beam_kv(layer: Layer) -> float:
    return layer.metadata.get(KEY, {}).get("beam_kv") or 0.0


class Scores(QTableWidget):
    """A table of names and values, as high as it is long."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setHorizontalHeaderLabels(["measure", "value"])
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.verticalHeader().setVisible(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVisible(False)

    def show_rows(self, values: Mapping[str, str]) -> None:
        """Show values by their names, or nothing where there are none."""
        self.setRowCount(len(values))
        for row, texts in enumerate(values.items()):
            for column, text in enumerate(texts):
                self.setItem(row, column, QTableWidgetItem(text))
        header = self.horizontalHeader().sizeHint().height()
        height = sum(self.rowHeight(row) for row in range(len(values)))
        self.setFixedHeight(header + height + 2 * self.frameWidth())
        self.setVisible(bool(values))


def number(line: QLineEdit, what: str) -> float | None:
    """Return the number in a line, or None if it is empty; ``what`` names it if it is none."""
    text = line.text().strip()
    try:
        value = float(text) if text else None
    except ValueError as error:
        raise PorescopeError(f"The {what} is {text!r}; write a number.") from error
    if value is not None and not 0 < value <= LARGEST_NUMBER:
        raise PorescopeError(
            f"The {what} is {text}; write a number above 0 and at most {LARGEST_NUMBER:g}."
        )
    return value
