"""The true switches of every max pooling: where each cell's value came from, overlapping windows and padding included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from striate.probe.keeping import Mode, operator
from striate.probe.untouched import traceless
from striate.probe.unwrapping import original
from striate.probe.watching import Watch


@dataclass(frozen=True, eq=False)
class Switches:
    """One max pooling: its address (as `record` names it), its turn, the shape it pooled, and for each output cell the flat place of its maximum."""

    address: str
    turn: int
    shape: tuple[int, ...]
    """Of the pooled input, N C H W."""
    index: Tensor
    """int64, shaped like the output: row * W + column in the input's plane."""


def switches(model: nn.Module, *inputs: Any) -> tuple[Switches, ...]:
    """Run `model(*inputs)` once and return the switches of every max pooling, module or function, in order; empty when there is none.

    A tie goes to the first cell in row-major order, as in torch. Sources: Zeiler and Fergus 2014; rows O5 and U6.
    """
    inner, _ = original(model)
    with traceless(inner), torch.inference_mode(False), torch.no_grad():
        watch = Watch(inner, gradients=False)
        seen = _Seen(watch)
        with watch.watching(), seen:
            inner(*tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), inputs))
        return tuple(seen.found)


class _Seen(Mode):
    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch, self.found = watch, list[Switches]()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        output = func(*args, **(kwargs or {}))
        name = operator(func)
        if name in {"max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d"}:
            address, turn = self.watch.current
            self.found.append(Switches(address, turn, tuple(args[0].shape), output[1].clone()))
        return output
