"""The thickness of stacked layers, from images at rising beam energy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "forward": ["BEAM_KV", "bare_signal", "forward", "layer_model"],
        "inversion": ["Inversion", "invert", "solve"],
        "scores": ["layer_scores"],
        "series": [
            "EnergySeries",
            "read_series",
            "simulate_series",
            "write_inversion",
            "write_series",
        ],
        "structures": ["kinds", "layer_seed", "sample"],
        "volumes": ["labels_from_thickness", "thickness_from_labels"],
    },
)
