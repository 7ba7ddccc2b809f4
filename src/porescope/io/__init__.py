"""Files to stacks and back: slices, TIFF of all kinds, OME-Zarr, MRC, HDF5 and NumPy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "stacks": ["can_read", "read_stack", "write_stack"],
        "primitive_lists": [
            "cylinder_convention",
            "is_primitive_list",
            "read_primitives",
            "write_primitives",
        ],
        "voltages": ["is_voltage_folder", "read_voltages"],
    },
)
