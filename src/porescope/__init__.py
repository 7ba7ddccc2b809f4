"""FIB-SEM tomography of porous and layered materials.

Subpackages load on first use, so that ``import porescope`` stays fast and free of torch, napari
and Qt.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "adapt",
        "correct",
        "geometry",
        "imaging",
        "io",
        "layers",
        "measure",
        "pipeline",
        "segment",
    ],
    submod_attrs={"errors": ["PorescopeError"], "stack": ["Stack"]},
)
