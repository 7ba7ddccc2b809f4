"""Digital samples: what there is to image where there is no real sample, or no ground truth."""

from porescope.geometry.boolean import (
    PAPER_SAMPLES,
    boolean_model,
    paper_sample,
    paper_sample_names,
)
from porescope.geometry.perlin import label_layers, perlin_layers
from porescope.geometry.primitives import Primitives, voxelize
from porescope.geometry.random_pores import random_pores
from porescope.geometry.self_similar import self_similar
from porescope.geometry.spheroids import spheroids
from porescope.geometry.waves import hierarchical_leveled_wave, leveled_wave

__all__ = [
    "PAPER_SAMPLES",
    "Primitives",
    "boolean_model",
    "hierarchical_leveled_wave",
    "label_layers",
    "leveled_wave",
    "paper_sample",
    "paper_sample_names",
    "perlin_layers",
    "random_pores",
    "self_similar",
    "spheroids",
    "voxelize",
]
