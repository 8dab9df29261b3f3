"""A convolution whose output maps each see only some input maps, by a connection table (LeCun et al. 1998, table I).

Only connected kernels are parameters. They are laid into the dense weight when the layer runs, so speed is that of a full convolution.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import SupportsIndex

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("partial_conv", help="Convolution by a connection table, as in LeNet-5's C3")
class PartialConv2d(nn.Module):
    """Convolve with kernel size `kernel`; output map j sees the input maps listed in `table[j]`.

    `weight` is K k k, one kernel for each of the table's K connections, in the table's order; `bias` has one value an output map.
    Raises `ArgumentError` for a table that names maps which do not exist, twice, or none.
    """

    index: Tensor

    def __init__(self, channels: int, table: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.channels, self.kernel = checks.count("channels", channels), checks.count("kernel", kernel)
        if not isinstance(table, Sequence) or not table:
            raise ArgumentError(f"table: got {table!r}, expected for each output map the input maps it sees, such as ((0, 1), (2,))")
        for j, sources in enumerate(table):
            if not isinstance(sources, Collection) or not all(isinstance(i, SupportsIndex) for i in sources):
                raise ArgumentError(f"table: output map {j} is {sources!r}, expected the numbers of the input maps it sees, such as (0, 1)")
            if not len(sources) or len(set(sources)) < len(sources) or not all(0 <= i < channels for i in sources):
                raise ArgumentError(
                    f"table: output map {j} lists {list(sources)}, expected different input maps from 0 to {channels - 1}, at least one"
                )
        self.table = tuple(tuple(sources) for sources in table)
        places = [j * channels + i for j, sources in enumerate(self.table) for i in sources]
        self.register_buffer("index", torch.tensor(places), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(places), self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.empty(len(self.table)))
        self.reset_parameters()

    def reset_parameters(self, spread: float = 0.5773502691896258) -> None:
        """Draw weights and biases uniformly with standard deviation `spread`/√fan-in of their output map; torch's full convolution has 1/√3."""
        bounds = [spread * (3 / (len(sources) * self.kernel**2)) ** 0.5 for sources in self.table]
        each = [bound for bound, sources in zip(bounds, self.table, strict=True) for _ in sources]
        with torch.no_grad():
            self.weight.uniform_(-1, 1).mul_(self.weight.new_tensor(each)[:, None, None])
            self.bias.uniform_(-1, 1).mul_(self.bias.new_tensor(bounds))

    def dense(self) -> Tensor:
        """Return the full weight, out x in x k x k, with zeros where nothing is connected."""
        full = self.weight.new_zeros(len(self.table) * self.channels, self.kernel, self.kernel)
        return full.index_copy(0, self.index, self.weight).view(len(self.table), self.channels, self.kernel, self.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N len(table) H-k+1 W-k+1 (the N may be missing)."""
        checks.maps(self, x, self.channels)
        checks.windows(self, x, (self.kernel, self.kernel), (0, 0))
        return F.conv2d(x, self.dense(), self.bias)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"{self.channels}, {len(self.table)}, kernel_size={self.kernel}, connections={len(self.weight)}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return PartialConv2d(3, ((0, 1), (2,), (0, 1, 2)), 3), (torch.randn(2, 3, 6, 5),)
