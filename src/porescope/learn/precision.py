"""How precisely networks are evaluated, and in which order their weights lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


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


def channels_last(network: nn.Module) -> nn.Module:
    """Put the weights of 2D convolutions, in place, in the order in which they are fastest."""
    import torch
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
