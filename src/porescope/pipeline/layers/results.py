"""Layers on their way to a folder: simulated with their energy series, or found from one."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from porescope.pipeline.layers.found import Found
from porescope.pipeline.layers.parameters import VOXEL_NM, LayersParameters, LayersSimulation
from porescope.pipeline.provenance import hash_inputs, versions
from porescope.pipeline.run import Report, tell_nobody, writing_result
from porescope.pipeline.simulation.parameters import parse_material
from porescope.pipeline.workspace import write_json
from porescope.tracking import Cancel, never_cancel

FILE = "layers.json"
SERIES, MISFIT = "series.tif", "misfit.tif"


def write_layers(
    source: Path,
    parameters: LayersParameters,
    out: Path,
    *,
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> Found:
    """Find the layers of an energy series, and write maps, volume and numbers into a folder.

    The folder holds what :func:`porescope.layers.write_inversion` writes, ``misfit.tif`` and
    ``layers.json``. It is written beside and renamed when whole.

    Parameters
    ----------
    source : Path
        Energy series, see :func:`porescope.layers.read_series`.
    parameters : LayersParameters
    out : Path
        Folder to make.
    overwrite : bool, optional
        Replace an earlier result.
    report, cancel : callables, optional
        Progress and cancelling.

    Raises
    ------
    PorescopeError
        If the series or a parameter makes no sense, or the folder cannot be written.
    Cancelled
        If ``cancel()`` became true.
    """
    from porescope.layers import read_series, solve, write_inversion
    from porescope.layers.series import write_maps

    with writing_result([source], out, overwrite, mark=FILE) as result:
        report("Reading the series", 0, 1)
        series = read_series(source, parameters.beam_kv)
        parameters.check_told(source, series.signals.max(), series.pixel_nm)
        pixel_nm = parameters.pixel_nm or series.pixel_nm
        assert pixel_nm is not None
        hashes = hash_inputs([source.absolute()], partial(report, "Reading the series"), cancel)
        if parameters.bare is not None:
            substrate = parse_material(parameters.substrate)
            series = series.normalised(parameters.bare, parameters.model, substrate)
        report("Finding the layers", 0, 1)
        found = solve(
            series.signals,
            series.beam_kv,
            parameters.method,
            **parameters.options(),
            thickest_nm=parameters.thickest_nm,
            noise=parameters.noise,
            progress=partial(report, "Finding the layers"),
            cancel=cancel,
        )
        report("Writing", 0, 1)
        names = parameters.names()
        slices = parameters.slices(found.thickness_nm.sum(axis=0).max())
        write_inversion(result, found, pixel_nm, parameters.voxel_nm, names=names, slices=slices)
        misfit = found.misfit[np.newaxis]
        write_maps(result / MISFIT, misfit, pixel_nm, ["misfit in units of the noise, squared"])
        told = Found.of(found, series, pixel_nm, parameters)
        about = {
            "series": hashes[0],
            "versions": versions(),
            "parameters": parameters.model_dump(mode="json"),
            "found": {**asdict(told), "notes": found.notes},
            "pages": "of thickness and uncertainty, from 1: the label of their layer",
            "labels": {"0": "none", **{str(layer.label): layer.name for layer in told.layers}},
        }
        write_json(result / FILE, about)
    return told


def write_layers_simulation(
    parameters: LayersSimulation,
    out: Path,
    *,
    overwrite: bool = False,
    report: Report = tell_nobody,
    cancel: Cancel = never_cancel,
) -> None:
    """Draw layers and image them at each energy, and write both into a folder.

    The folder holds ``series.tif``, for each energy a page of back-scatter coefficients;
    ``thickness_nm.tif``, a page a layer from the lowest up; ``labels.tif``; and ``layers.json``.

    Raises
    ------
    PorescopeError
        If a parameter makes no sense, or the folder cannot be written.
    """
    from porescope.layers import simulate_series, write_series
    from porescope.layers.series import write_thickness
    from porescope.layers.structures import draw

    with writing_result([], out, overwrite, mark=FILE) as result:
        report("Drawing", 0, 1)
        layers = len(parameters.thickest_nm)
        seeds = [parameters.seed * layers + layer for layer in range(layers)]
        thickness_nm = draw(parameters.kind, seeds, parameters.shape, parameters.thickest_nm)
        slices = parameters.slices(thickness_nm.sum(axis=0).max())
        names = parameters.names()
        pixel_nm = (parameters.pixel_nm, parameters.pixel_nm)
        series = simulate_series(
            thickness_nm,
            parameters.beam_kv,
            **parameters.options(),
            noise=parameters.noise,
            seed=parameters.seed,
            pixel_nm=pixel_nm,
        )
        result.mkdir()
        write_series(result / SERIES, series)
        write_thickness(result, thickness_nm, pixel_nm, VOXEL_NM, names=names, slices=slices)
        about = {"versions": versions(), "parameters": parameters.model_dump(mode="json")}
        write_json(result / FILE, about)
