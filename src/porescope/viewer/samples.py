"""Sample data: nanoporous gold, imaged at three voltages, and how it really is."""

from __future__ import annotations

from dataclasses import replace

from porescope.io import read_stack, read_voltages
from porescope.sample_data import sample_folder
from porescope.viewer.layers import TRUTH_COLOUR, LayerData
from porescope.viewer.readers import image_layers, labels_layer


def gold() -> list[LayerData]:
    """Return an image layer a voltage."""
    return image_layers(read_voltages(sample_folder()))


def gold_truth() -> list[LayerData]:
    """Return the labels that the samples were imaged from."""
    truth = read_stack(sample_folder() / "truth.tif")
    return [labels_layer(replace(truth, is_labels=True), "truth", TRUTH_COLOUR)]
