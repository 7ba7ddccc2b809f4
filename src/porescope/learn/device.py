"""Where networks run."""

from __future__ import annotations

from porescope.errors import PorescopeError


def torch_device(device: str = "auto") -> str:
    """Return ``"cuda"`` or ``"cpu"``.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU if there is one.

    Raises
    ------
    PorescopeError
        If the device is none of these, or there is no GPU where one is asked for.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise PorescopeError(f"The device must be auto, cpu or cuda, not {device!r}.")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise PorescopeError("There is no GPU to work on: PyTorch finds none. Take the device cpu.")
    return "cuda" if there and device != "cpu" else "cpu"
