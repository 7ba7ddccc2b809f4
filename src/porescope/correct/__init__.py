"""From a stack as imaged to a stack as it lay in the sample."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "interpolate": ["interpolate"],
        "register": ["Alignment", "align_stack", "align_voltages", "common_area"],
        "reposition": ["grid_places", "reposition"],
    },
)
