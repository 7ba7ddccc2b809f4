"""The section of the dock that finds the thickness of stacked layers from an energy series."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QLabel, QLineEdit, QPushButton

from porescope.errors import PorescopeError
from porescope.io import read_stack
from porescope.layers.inversion import counted
from porescope.layers.series import LABELS, THICKNESS, UNCERTAINTY
from porescope.pipeline.layers import (
    MISFIT,
    SERIES,
    Found,
    Layered,
    LayersParameters,
    LayersSimulation,
    write_layers,
    write_layers_simulation,
)
from porescope.pipeline.run import Report, work_folder
from porescope.pipeline.step import parse_parameters
from porescope.stack import ROWS
from porescope.tracking import Cancel
from porescope.viewer.boxes import COLOURS, Boxes
from porescope.viewer.choices import layer_named
from porescope.viewer.form import Form
from porescope.viewer.layers import (
    AXES,
    CHANNEL,
    SOLID_COLOUR,
    LayerData,
    contrast_limits,
    made_layers,
    phase_colours,
    to_layer_data,
)
from porescope.viewer.live_preview import slice_at_slider
from porescope.viewer.panels import Panel
from porescope.viewer.paths import with_choosers
from porescope.viewer.work import Message, Session, hear, in_process

if TYPE_CHECKING:
    from napari.components import ViewerModel


Energies = tuple[float, ...] | None
ENERGY, BOX = "energy", "bare substrate"
THICKNESS_COLOURS, UNCERTAINTY_COLOURS, MISFIT_COLOURS = "viridis", "magma", "inferno"
BRIGHTEST, PIXEL_NM = "brightest", "pixel_nm"
"""What is known of a series beside its energies."""
FROM_ABOVE = (1.0, 0.8, 0.5), (-1.0, 0.0, 0.0)
"""Where one looks to in 3D, and what is up there: the beam comes from above."""
MISFIT_SHOWN = 4.0
"""Deviation, as a square in units of the noise, that is shown brightest."""


class LayersPanel(Panel):
    """Shows an energy series, and the thickness of the layers that explain it."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(
            viewer,
            session,
            "Find the layers",
            "Find how thick stacked layers are, from images of one place at rising beam energy.",
        )
        self.path = QLineEdit()
        self.path.setPlaceholderText("folder with an image an energy, or TIFF")
        self.path.editingFinished.connect(self._path_edited)
        self.fields.addRow("Series", with_choosers(self.path, self._path_edited))
        self.form = Form(LayersParameters)
        self.form["beam_kv"].native.editingFinished.connect(self._path_edited)
        self.form["pixel_nm"].native.editingFinished.connect(self._rescale)
        self.column.insertWidget(2, self.form.container.native)
        line, draw, several = self.form.regions()["bare"]
        self._boxes = Boxes(viewer, BOX, line, several, COLOURS[0])
        draw.changed.connect(self.guarded(self._draw))
        self.energy = Message()
        self.column.insertWidget(3, self.energy)
        hear(self, viewer.dims.events.point, self._tell_energy)
        hear(self, viewer.dims.events.ndisplay, self._tell_energy)
        self.simulate = QPushButton("Simulate a series")
        self.simulate.setToolTip("Layers of known thickness, with the materials above.")
        self.simulate.clicked.connect(self.guarded(self.simulate_series))
        self.column.addWidget(QLabel("No series at hand?"))
        self.column.addWidget(self.simulate)
        self._asked: tuple[Path, Energies] | None = None
        self._simulated = 0
        self._series: Layer | None = None

    def run(self) -> None:
        """Find the layers of the series in a process of its own."""
        path = self._path()
        parameters = self._parameters()
        if self._asked == (path, parameters.beam_kv) and self._shown:
            parameters.check_told(path, *(self._known()[key] for key in (BRIGHTEST, PIXEL_NM)))
        folder = self.session.new_folder()
        out = folder / "layers"
        job = in_process(write_layers, path, parameters, out, leftovers=(work_folder(out),))

        def task(report: Report, cancel: Cancel) -> tuple[Found, list[Layer]]:
            found = job(report, cancel)
            report("Opening the result", 0, 0)
            return found, made_layers(_result_layers(out, parameters))

        self.runner.start(task, self._show)

    def simulate_series(self) -> None:
        """Draw layers, show their series, and fill in where it lies."""
        given = self._parameters()
        shared = given.model_dump(include=set(Layered.model_fields))
        parameters = parse_parameters(
            "Simulation of layers", LayersSimulation, {**shared, "seed": self._simulated}
        )
        self._simulated += 1
        out = self.session.new_folder() / "simulated"
        job = in_process(write_layers_simulation, parameters, out, leftovers=(work_folder(out),))

        def task(report: Report, cancel: Cancel) -> list[Layer]:
            job(report, cancel)
            return made_layers([_series_layer(out / SERIES), *_truths(out, parameters)])

        def then(layers: list[Layer]) -> Iterator[None]:
            self.path.setText(str(out / SERIES))
            self._asked = out / SERIES, given.beam_kv
            yield from self._show_series(layers)

        self.runner.start(task, then)

    def offer_weights(self, path: Path) -> None:
        """Let a file of weights be chosen as the method."""
        self.form.offer_weights(path)

    def _parameters(self) -> LayersParameters:
        return parse_parameters("Layers", LayersParameters, self.form.values())

    def _path(self) -> Path:
        if not self.path.text().strip():
            raise PorescopeError("Choose a folder or a file with the series, or simulate one.")
        return Path(self.path.text().strip()).expanduser()

    def _path_edited(self) -> None:
        """Show the series that is named."""
        if not self.path.text().strip() or self.runner.running:
            return
        try:
            path, beam_kv = self._path(), self._parameters().beam_kv
        except PorescopeError as error:
            self.runner.say(error)
            return
        if (path, beam_kv) == self._asked:
            return
        before = self._series if self._asked is not None and path == self._asked[0] else None
        self._asked = path, beam_kv

        def task(report: Report, cancel: Cancel) -> list[Layer]:
            report("Reading the series", 0, 0)
            return made_layers([_series_layer(path, beam_kv)])

        def then(layers: list[Layer]) -> Iterator[None]:
            if before in self.viewer.layers:
                self.viewer.layers.remove(before)
            yield from self._show_series(layers)

        self.runner.start(task, then)

    def _show_series(self, layers: list[Layer]) -> Iterator[None]:
        self._series, *_ = yield from self.show_each(layers)
        energies, rows, columns = self._series.data.shape
        self.viewer.layers.selection.active = self._series
        self.viewer.dims.ndisplay = 2
        self._rescale()
        self.viewer.reset_view()
        beam_kv = self._known()["beam_kv"]
        between = f" from {beam_kv[0]:g} to {beam_kv[-1]:g} keV" if energies > 1 else ""
        self.runner.say(f"{counted(energies, 'energy')}{between}, {rows} × {columns} pixels.")
        self._tell_energy()

    @property
    def _shown(self) -> bool:
        return self._series is not None and self._series in self.viewer.layers

    def _known(self) -> dict[str, Any]:
        assert self._series is not None
        known: dict[str, Any] = self._series.metadata[CHANNEL]
        return known

    def _rescale(self) -> None:
        """Give the series and the box on it the size of pixels that the maps will have."""
        if self._series is None or not self._shown:
            return
        with suppress(PorescopeError):  # it is told once the layers are to be found
            pixel_nm = self._parameters().pixel_nm or self._known()[PIXEL_NM] or (1.0, 1.0)
            if pixel_nm == tuple(self._series.scale[ROWS:]):
                return
            for layer in (self._series, layer_named(self.viewer, BOX)):
                if layer is not None:
                    layer.scale = (*layer.scale[:-2], *pixel_nm)
            self.viewer.reset_view()

    def _tell_energy(self, event: Any = None) -> None:
        """Say which image the slider shows; energies need not lie evenly."""
        told = None
        flat = self.viewer.dims.ndisplay == 2
        if flat and self._series is not None and self._shown:
            with suppress(PorescopeError):  # the slider stands beyond the series, in the layers
                index = slice_at_slider(self.viewer, self._series)
                told = f"Slider: {self._known()['beam_kv'][index]:g} keV"
        self.energy.say(told)

    def _draw(self) -> None:
        if not self._shown:
            raise PorescopeError("Choose a series first; the box is drawn on it.")
        self._boxes.draw(self._series)
        self.runner.say("Drawn in the middle: move it to where no layer lies on the substrate.")

    def _show(self, result: tuple[Found, list[Layer]]) -> Iterator[None]:
        found, layers = result
        self._boxes.hide()
        *_, lowest = yield from self.show_each(layers)
        lowest.colorbar.visible = True
        self.viewer.dims.ndisplay = 2
        self.viewer.camera.set_view_direction(*FROM_ABOVE)
        self.runner.say(found.summary)


def _series_layer(path: Path, beam_kv: Any = None) -> LayerData:
    """Return the images of a series, one behind the other; the slider's position is the energy."""
    from porescope.layers import read_series

    series = read_series(path, beam_kv)
    energies = series.beam_kv
    step = float(np.diff(energies).mean()) if len(energies) > 1 else 1.0
    attributes = {
        "name": "series" if path.name == SERIES else f"series {path.stem}",
        "scale": (step, *(series.pixel_nm or (1.0, 1.0))),
        "translate": (float(energies[0]), 0.0, 0.0),
        "units": ("nm",) * 3,
        "axis_labels": (ENERGY, *AXES[ROWS:]),
        "colormap": "gray",
        "contrast_limits": contrast_limits(series.signals),
        "metadata": {
            CHANNEL: {
                "beam_kv": [float(kv) for kv in energies],
                BRIGHTEST: float(series.signals.max()),
                PIXEL_NM: series.pixel_nm,
            }
        },
    }
    return series.signals, attributes, "image"


def _result_layers(folder: Path, parameters: LayersParameters) -> Iterator[LayerData]:
    """Yield the volume and the maps of a result; the thickness of the lowest layer lies on top."""
    labels = read_stack(folder / LABELS)
    colours = phase_colours(SOLID_COLOUR)
    yield to_layer_data(labels, "layers", visible=False, colormap=colours)
    misfit = read_stack(folder / MISFIT)
    yield _map(misfit, 0, "misfit", MISFIT_COLOURS, MISFIT_SHOWN, visible=False)
    sure = read_stack(folder / UNCERTAINTY)
    thick = read_stack(folder / THICKNESS)
    named = list(zip(parameters.names(), parameters.thickest_nm, strict=True))
    for page, (name, thickest_nm) in enumerate(named):
        title = f"{name} uncertainty (nm)"
        yield _map(sure, page, title, UNCERTAINTY_COLOURS, thickest_nm / 4, visible=False)
    for page, (name, thickest_nm) in reversed(list(enumerate(named))):
        yield _map(thick, page, f"{name} thickness (nm)", THICKNESS_COLOURS, thickest_nm)


def _truths(folder: Path, parameters: LayersSimulation) -> Iterator[LayerData]:
    thick = read_stack(folder / THICKNESS)
    for page, (name, thickest_nm) in enumerate(
        zip(parameters.names(), parameters.thickest_nm, strict=True)
    ):
        title = f"true {name} thickness (nm)"
        yield _map(thick, page, title, THICKNESS_COLOURS, thickest_nm, visible=False)


def _map(
    stack: Any, page: int, name: str, colours: str, brightest: float, visible: bool = True
) -> LayerData:
    """Return one page as an image of two axes."""
    attributes = {
        "name": name,
        "scale": stack.spacing_nm[ROWS:],
        "units": ("nm",) * 2,
        "axis_labels": AXES[ROWS:],
        "colormap": colours,
        "contrast_limits": (0.0, brightest),
        "visible": visible,
        "metadata": {CHANNEL: {}},
    }
    return np.asarray(stack.data[page]), attributes, "image"
