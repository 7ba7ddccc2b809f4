"""From grey values to phases."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"classical": ["METHODS", "segment"]}
)
