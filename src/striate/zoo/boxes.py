"""The form every family is written in: tables of named boxes, each a module of its own, called once.

`Network` is a table run from top to bottom, `Branches` columns of boxes side by side, `Aside` a head beside the chain that speaks in training only.
Blocks that join paths in another way (residual, dual-path, dense, fractal) are small modules whose `forward` is one or two lines over named boxes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import Concat

Stem = Literal["auto", "imagenet", "medium", "small"]
Column: TypeAlias = "Mapping[str, nn.Module | Sequence[Column]]"
"""Named boxes from top to bottom; a last entry that is a list of columns forks there."""


class Network(nn.Sequential):
    """Named boxes in a chain; a box that is None is left out.

    A box that is `Aside` gets what the box above it gives and hands nothing on: in training its output follows the network's own in a tuple.
    Slicing (`network[:5]`) gives a shorter chain of the same boxes, without those aside, so a network is cut without rewriting it.
    """

    def __init__(self, boxes: Mapping[str, nn.Module | None]) -> None:
        super().__init__(OrderedDict((name, box) for name, box in boxes.items() if box is not None))

    def forward(self, x: Tensor) -> Any:
        """Run the boxes; returns the last one's output, or in training (output, auxiliary output ...) where there are boxes aside."""
        others = []
        for box in self:
            if not isinstance(box, Aside):
                x = box(x)
            elif self.training:
                others.append(box(x))
        return (x, *others) if others else x

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return super().__getitem__(index)
        return Network({name: box for name, box in list(self._modules.items())[index] if not isinstance(box, Aside)})


class Aside(Network):
    """An auxiliary head: a chain beside the main one, run in training only (its weight in the loss is the task's, 0.3)."""


class Branches(nn.Module):
    """Columns of named boxes side by side: each gets the same input, and `concat` lays their outputs beside each other, left to right.

    All boxes are children of this module under their own names. A column may end in a fork, `{"1": box, "fork": [column, column]}`.
    """

    def __init__(self, *columns: Column) -> None:
        super().__init__()
        self.columns = self._add(columns)
        self.concat = Concat()

    def _add(self, columns: Sequence[Column]) -> tuple[Any, ...]:
        """Register the boxes and return the columns of their names."""
        found = []
        for column in columns:
            names: list[Any] = []
            for name, box in column.items():
                if isinstance(box, nn.Module):
                    self.add_module(name, box)
                names.append(name if isinstance(box, nn.Module) else self._add(box))
            found.append(tuple(names))
        return tuple(found)

    def _ends(self, columns: Sequence[Any], x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for column in columns:
            out = x
            for box in column:
                if isinstance(box, str):
                    out = getattr(self, box)(out)
                else:
                    found += self._ends(box, out)
            found += [out] if isinstance(column[-1], str) else []
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N ΣC_i H' W'."""
        joined: Tensor = self.concat(*self._ends(self.columns, x))
        return joined


def conv(channels: int, width: int, kernel: int, stride: int = 1, *, padding: int | None = None, bias: bool = False) -> nn.Conv2d:
    """Return a convolution as the residual families spell it: `same` padding unless told, no bias because a batch norm follows."""
    return nn.Conv2d(channels, width, kernel, stride, kernel // 2 if padding is None else padding, bias=bias)


def stem_for(shape: Sequence[int], stem: Stem) -> Stem:
    """Return the stem for an input C H W: with `auto` the largest stride that leaves the last stage 4x4 places or more.

    From 97 pixels on the shorter side the paper's; from 49 `medium`, of half the stride; below `small`, of a quarter.
    """
    side = min(shape[1:])
    return stem if stem != "auto" else "imagenet" if side > 96 else "medium" if side > 48 else "small"


def fits(name: str, shape: Sequence[int], smallest: int, why: str) -> None:
    """Raise `ArgumentError` naming the smallest size where an option (`why`, such as `stem imagenet`) needs more pixels than the input has."""
    if min(shape[1:]) < smallest:
        raise ArgumentError(f"input: {shape[1]}x{shape[2]} is too small for {name} with {why}; the smallest size that fits is {smallest}x{smallest}")


def he_normal(network: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Draw convolutions from He's normal distribution, by fan-out as the residual papers and their published code do; biases start at zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
