"""Where the native core works: on the processor, or on a GPU if PyCUDA reaches one."""

from __future__ import annotations

import logging
from functools import cache
from typing import Literal, get_args

from porescope.errors import PorescopeError

Device = Literal["auto", "cpu", "cuda"]


def use_gpu(device: Device) -> bool:
    """Whether to work on a GPU.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU if there is one, and tells once if there is none.

    Raises
    ------
    PorescopeError
        If "cuda" is asked for and there is no GPU.
    """
    if device not in get_args(Device):
        raise PorescopeError(f"The device must be auto, cpu or cuda, not {device!r}.")
    if device == "cpu":
        return False
    hindrance = gpu_hindrance()
    if hindrance is None:
        return True
    if device == "cuda":
        raise PorescopeError(f"There is no GPU to work on: {hindrance}. Take the device cpu.")
    _tell_once(hindrance)
    return False


@cache
def gpu_hindrance() -> str | None:
    """Return why no GPU can be used, or None if one can."""
    try:
        import pycuda.driver as driver
    except ImportError:
        return "PyCUDA is not installed (pip install napari-porescope[cuda])"
    try:
        driver.init()
        if driver.Device.count() == 0:
            return "the CUDA driver finds no device"
    except driver.Error as error:
        return f"the CUDA driver does not start ({error})"
    import torch

    if not torch.cuda.is_available():
        return "this PyTorch has no CUDA"
    return None


@cache
def _tell_once(hindrance: str) -> None:
    logging.getLogger("porescope").info("Working on the processor: %s.", hindrance)
