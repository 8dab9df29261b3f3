"""LeNet-5's squashing function A tanh(Sx): with A = 1.7159 and S = 2/3 it maps ±1 to ±1 (LeCun et al. 1998, appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer


@layer("scaled_tanh", help="1.7159 tanh(2x/3), the squashing function of LeNet-5")
class ScaledTanh(nn.Module):
    """Return `amplitude` tanh(`slope` x)."""

    def __init__(self, amplitude: float = 1.7159, slope: float = 0.6666666666666666) -> None:
        super().__init__()
        self.amplitude, self.slope = checks.number("amplitude", amplitude), checks.number("slope", slope)

    def forward(self, x: Tensor) -> Tensor:
        """Squash a tensor of any shape into ±amplitude."""
        checks.values(self, x)
        return self.amplitude * torch.tanh(self.slope * x)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"amplitude={self.amplitude:g}, slope={self.slope:.4g}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return ScaledTanh(), (torch.linspace(-4, 4, 24).reshape(2, 3, 4),)
