"""The section of the dock that trains networks, and shows how they are getting on."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QWidget,
)

from porescope.errors import Cancelled, PorescopeError
from porescope.learn.parameters import STOP
from porescope.learn.weights import Card
from porescope.pipeline.own_stack.verdict import REPORT
from porescope.pipeline.run import Report
from porescope.pipeline.trainings.training import Training, run_training, trainings
from porescope.pipeline.trainings.watch import read_losses, read_pictures
from porescope.tracking import Cancel
from porescope.viewer.form import Form
from porescope.viewer.learn.training_progress import TrainingProgress
from porescope.viewer.panels import Panel, Scores
from porescope.viewer.paths import PathList, with_choosers
from porescope.viewer.work import Session, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel

WATCH_MS = 1500
DIGITS = 3


class TrainPanel(Panel):
    """Trains networks in a process of its own, and goes on in the same folder."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Train",
            "Train networks on your own samples. What is cancelled goes on in the same folder.",
        )
        self.trainings = trainings()
        self.training = QComboBox()
        self.training.addItems(list(self.trainings))
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.inputs = PathList()
        self.out = QLineEdit()
        self.out.setPlaceholderText("folder, new or of a training to go on with")
        self.more = QCheckBox("All parameters")
        self.stop = QPushButton("Stop and keep the best")
        self.stop.setEnabled(False)
        self.stop.clicked.connect(self._stop)
        self.fields.addRow("Training", self.training)
        self.column.insertWidget(1, self.about)
        self._listed = self.inputs.with_buttons(files=False)
        self.fields.addRow("Learn from", self._listed)
        self.fields.addRow("Folder", with_choosers(self.out, self._watch, files=False))
        self.out.editingFinished.connect(self._watch)
        self.column.insertWidget(3, self.more)
        self.column.addWidget(self.stop)
        self.progress = TrainingProgress()
        self.column.addWidget(self.progress)
        self.scores = Scores()
        self.column.addWidget(self.scores)
        self._forms: dict[str, tuple[Form, Form]] = {}
        self._folder: Path | None = None
        self._in_view = True
        self._timer = QTimer(self)
        self._timer.setInterval(WATCH_MS)
        self._timer.timeout.connect(self._look)
        self.more.toggled.connect(self._show_form)
        self.training.currentTextChanged.connect(self._show_form)
        self._show_form()

    @property
    def chosen(self) -> Training:
        """The training that is chosen."""
        return self.trainings[self.training.currentText()]

    @property
    def form(self) -> Form:
        """The fields of the chosen training that matter first."""
        return self._forms[self.training.currentText()][0]

    def run(self) -> None:
        """Train in a process of its own."""
        training = self.chosen
        if not self.out.text().strip():
            raise PorescopeError("Name the folder for the weights.")
        inputs = self.inputs.paths() if training.takes_files else []
        if training.takes_files and not inputs:
            raise PorescopeError(f"Add what to learn from: {training.inputs}.")
        values: dict[str, Any] = {}
        for form in self._forms[training.name]:
            values |= form.values()
        parameters = training.parse(values)
        out = self._out()
        try:
            (out / STOP).unlink(missing_ok=True)  # of the last time
        except OSError as error:
            raise PorescopeError(
                f"Cannot write weights to {out}: {error.strerror}; name another folder."
            ) from error
        job = in_process(run_training, training, inputs, out, parameters)

        def task(report: Report, cancel: Cancel) -> Card:
            import matplotlib.backends.backend_qtagg  # noqa: F401  (takes longer than a window may)

            card: Card = job(report, cancel)
            return card

        self._in_view = False
        self._watch()
        self.scores.show_rows({})
        self.runner.start(task, lambda card: self._show(training, out, card), self._failed)
        self.stop.setEnabled(True)
        self._timer.start()

    def _out(self) -> Path:
        return Path(self.out.text().strip()).expanduser().absolute()

    def _show_form(self, event: Any = None) -> None:
        name = self.training.currentText()
        if name not in self._forms:
            self._forms[name] = _forms(self.chosen)
            for offset, form in enumerate(self._forms[name]):
                place = self.column.indexOf(self.more) + offset
                self.column.insertWidget(place, form.container.native)
        for other, (first, others) in self._forms.items():
            first.container.native.setVisible(other == name)
            others.container.native.setVisible(other == name and self.more.isChecked())
        self.about.setText(f"{self.chosen.summary} Learns from {self.chosen.inputs}.")
        self._listed.setVisible(self.chosen.takes_files)
        self.fields.labelForField(self._listed).setVisible(self.chosen.takes_files)
        self.more.setVisible(bool(self._forms[name][1].values()))

    def _watch(self) -> None:
        """Show what the folder tells already."""
        self._folder = self._out() if self.out.text().strip() else None
        self._look()

    def _look(self) -> None:
        if self._folder is not None:
            has_size = self.progress.isVisible()
            self.progress.show_training(read_losses(self._folder), read_pictures(self._folder))
            if has_size and not self._in_view:
                self._in_view = True
                _scroll_to(self.progress)

    def _stop(self) -> None:
        if self._folder is not None:
            try:
                (self._folder / STOP).touch()
            except OSError as error:
                self.runner.say(PorescopeError(f"Cannot write {self._folder}: {error.strerror}."))
                return
            self.stop.setEnabled(False)
            self.runner.say("The training ends after its epoch, and the best is kept.")

    def _ended(self) -> None:
        self.stop.setEnabled(False)
        self._timer.stop()
        self._look()

    def _failed(self, error: PorescopeError) -> None:
        self._ended()
        if isinstance(error, Cancelled):
            self.runner.say("Cancelled; finished epochs are kept, and Train goes on with them.")

    def _show(self, training: Training, out: Path, card: Card) -> None:
        self._ended()
        self.scores.show_rows({name: f"{value:.{DIGITS}g}" for name, value in card.scores.items()})
        path = out / training.file
        for panel in self.window().findChildren(Panel):
            panel.offer_weights(path)
        told = f"Wrote {path}; it can be chosen wherever such weights are used."
        if (out / REPORT).exists():
            told += f" {REPORT} beside it tells which labels of your stack to trust."
        self.runner.say(told)


def _scroll_to(widget: QWidget) -> None:
    """Bring a widget into view."""
    area = widget.parentWidget()
    while area is not None and not isinstance(area, QScrollArea):
        area = area.parentWidget()
    if area is not None:
        area.ensureWidgetVisible(widget)


def _forms(training: Training) -> tuple[Form, Form]:
    """Return what a training says of itself, and what it has in common with others."""
    model = training.parameters
    own = [name for name in inspect.get_annotations(model) if name in model.model_fields]
    first = own or list(model.model_fields)
    return Form(model, first), Form(model, [n for n in model.model_fields if n not in first])
