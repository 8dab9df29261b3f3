"""A linear layer that shares another's weights, transposed: the decoder of a tied autoencoder, W' = Wᵀ (row E3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("tied_linear", help="Linear layer with the transposed weights of another one and a bias of its own")
class TiedLinear(nn.Module):
    """Return xW + b, where W is the weight of `source` (its outputs x its inputs) and b is this layer's own.

    `weight` is the very Parameter of `source`: it counts once, trains from both sides, stands under both names in the state dict, and stays tied
    when a state dict is loaded, the model moved or both copied together. Setting `source.weight` to another Parameter unties them: copy into it
    instead.
    """

    bias: Tensor | None

    def __init__(self, source: nn.Linear, *, bias: bool = True) -> None:
        super().__init__()
        if not isinstance(source, nn.Linear):
            raise ArgumentError(f"source: got {type(source).__name__}, expected the nn.Linear whose weights are shared")
        self.in_features, self.out_features = source.out_features, source.in_features
        self.weight = source.weight
        self.register_parameter("bias", nn.Parameter(source.weight.new_empty(self.out_features)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the bias uniformly within ±1/√in_features, as torch does; the weights belong to the source."""
        if self.bias is not None:
            nn.init.uniform_(self.bias, -(self.in_features**-0.5), self.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Turn … x in_features into … x out_features: codes back into what they encode."""
        checks.last(self, x, self.in_features)
        return F.linear(x, self.weight.t(), self.bias)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return TiedLinear(nn.Linear(5, 3)), (torch.randn(2, 3),)
