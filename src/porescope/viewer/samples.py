"""Sample data: nanoporous gold, imaged at three voltages, and how it really is."""

from __future__ import annotations

from dataclasses import replace

from porescope.io import read_stack
from porescope.pipeline.project import Source
from porescope.sample_data import sample_folder
from porescope.viewer.layers import TRUTH_COLOUR, LayerData
from porescope.viewer.project.sources import with_source
from porescope.viewer.readers import labels_layer, read_layers


def gold() -> list[LayerData]:
    """Return an image layer a voltage."""
    return read_layers(sample_folder())


def gold_truth() -> list[LayerData]:
    """Return the labels that the samples were imaged from."""
    path = sample_folder() / "truth.tif"
    truth = labels_layer(replace(read_stack(path), is_labels=True), "truth", TRUTH_COLOUR)
    return [with_source(truth, Source(path=str(path)))]


def gold_with_truth() -> list[LayerData]:
    """Return all of them, the truth hidden."""
    ((data, attributes, kind),) = gold_truth()
    return [*gold(), (data, attributes | {"visible": False}, kind)]
