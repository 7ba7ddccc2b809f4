"""Steps along orthogonalized momentum: small convolutional networks learn twice as fast as by Adam.

This module imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = (0.9, 0.99)
EPSILON = 1e-8
LIKE_ADAM = 0.2
"""Root mean square of a step of Adam, in learning rates; other steps are made as long."""


class Muon(torch.optim.Optimizer):
    """Muon for kernels and matrices, Adam for biases and other vectors.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter, or of groups as torch takes them
    lr : float
        Learning rate of both.

    References
    ----------
    K. Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024).
    J. Liu et al., arXiv:2502.16982 (2025): one learning rate for both, section 2.2.
    D. P. Kingma, J. Ba, arXiv:1412.6980 (2014).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float
    ) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(group["lr"] * self._direction(parameter))
        return loss

    def _direction(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["momentum"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter if parameter.ndim < 2 else torch.zeros(()))
        gradient, momentum, square = parameter.grad, state["momentum"], state["square"]
        assert gradient is not None
        state["step"] += 1
        if parameter.ndim >= 2:
            momentum.lerp_(gradient, 1 - MOMENTUM)
            ahead = gradient.lerp(momentum, MOMENTUM).flatten(1)
            length = LIKE_ADAM * max(ahead.shape) ** 0.5
            return length * orthogonalized(ahead).reshape(parameter.shape)
        momentum.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        mean = momentum / (1 - BETAS[0] ** state["step"])
        deviation = (square / (1 - BETAS[1] ** state["step"])).sqrt()
        return mean / (deviation + EPSILON)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors and singular values near 1.

    Five steps of a Newton-Schulz iteration; values end between 0.7 and 1.2.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    result = matrix.mT if tall else matrix
    result = result / (result.norm() + EPSILON)
    for _ in range(5):
        gram = result @ result.mT
        result = 3.4445 * result + (-4.7750 * gram + 2.0315 * gram @ gram) @ result
    return result.mT if tall else result
