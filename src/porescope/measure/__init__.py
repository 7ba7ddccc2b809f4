"""Numbers from volumes: against the truth, and by themselves."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"scores": ["confusion_matrix", "phase_fractions", "scores", "solid_fraction"]},
)
