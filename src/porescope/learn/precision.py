"""How precisely networks are evaluated."""

from __future__ import annotations

from typing import Any


def has_fast_bfloat16(device: str = "cpu") -> bool:
    """Return whether a device multiplies matrices of 16-bit floats in hardware."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: str = "cpu") -> Any:
    """Return a context in which convolutions run in 16-bit floats where that is fast."""
    import torch

    return torch.autocast(
        device.partition(":")[0], dtype=torch.bfloat16, enabled=has_fast_bfloat16(device)
    )
