"""What a recording consists of: one `Call` for every operation a picture of the network would draw."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from striate.core.errors import ArgumentError, unknown_name

_TURN = re.compile(r"(?P<address>.*)\[(?P<turn>\d+)\]")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Call:
    """One call of a leaf module or of a torch function, with what went in and what came out, as values (detached, safe from later in-place writes).

    `address`   dotted module path; a function's is `PARENT/relu#1`, counted within one call of its parent (the root's own: `/add#1`)
    `operation` the leaf module's class name, or the torch function's name (`relu` also for `relu_`, `add` also for `+` and `+=`)
    `turn`      0, 1 … when the module (a function's parent) is called again
    `message`   gradient of the loss at the output, over everything that reads it; a tuple when there are several outputs
    `input_messages`  what this call alone sends back to each of `inputs`; where the same tensor enters twice, the sum, in both places
    `parameter_gradients`  this call's own share, by name: the module's (`weight`) or, for a function, the model's (`block.scale`)
    """

    address: str
    operation: str
    module: nn.Module | None
    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    turn: int = 0
    in_place: bool = False
    message: Any = None
    input_messages: tuple[Tensor | None, ...] = ()
    parameter_gradients: dict[str, Tensor] = field(default_factory=dict)
    inside: tuple[Call, ...] = ()
    """The functions a leaf module of the user's own calls; empty for torch's and striate's layers."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors among args and kwargs, in order, those in lists included."""
        return tensors((self.args, self.kwargs))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors of the output, in order."""
        return tensors(self.output)

    @property
    def key(self) -> str:
        """`ADDRESS` for the first turn, `ADDRESS[turn]` for later ones: unique in a recording."""
        return f"{self.address}[{self.turn}]" if self.turn else self.address

    def __repr__(self) -> str:
        shapes = ", ".join("×".join(map(str, t.shape)) for t in self.outputs)
        return f"Call({self.key!r}, {self.operation} -> {shapes})"


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """One run of a model: its calls in the order they began, the blocks (modules that hold others, the root not), the output and the loss."""

    calls: tuple[Call, ...]
    output: Any
    loss: Tensor | None = None
    blocks: tuple[Call, ...] = ()
    notes: tuple[str, ...] = ()
    """What was changed or could not be watched, in words."""

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    def __getitem__(self, address: str) -> Call:
        """Return the call or block at `address`, or `address[turn]` where it is called again.

        Raises `UnknownNameError` with the nearest address, `ArgumentError` when several turns fit and none is named.
        """
        found = [call for call in (*self.calls, *self.blocks) if call.address == address]
        if len(found) == 1:
            return found[0]
        if found:
            raise ArgumentError(f"{address} is called {len(found)} times; say which: {address}[0] to {address}[{len(found) - 1}]")
        match = _TURN.fullmatch(address)
        if match:
            for call in (*self.calls, *self.blocks):
                if call.address == match["address"] and call.turn == int(match["turn"]):
                    return call
        raise unknown_name("layer", address, {call.key for call in (*self.calls, *self.blocks)})

    def name_of(self, call: Call) -> str:
        """Return the layer name that means this call alone: its address, and the turn, the first too, where the address is called again."""
        several = sum(each.address == call.address for each in (*self.calls, *self.blocks)) > 1
        return f"{call.address}[{call.turn}]" if several else call.key

    def readers(self, call: Call) -> tuple[Call, ...]:
        """Return the calls that took an output of `call` as it came, in order: told by memory, so a view or an in-place result is another value."""
        given = {_identity(tensor) for tensor in call.outputs}
        before = self.calls.index(call) + 1 if call in self.calls else 0
        later = self.calls[before:]
        return tuple(each for each in later if any(_identity(tensor) in given for tensor in each.inputs))

    def __repr__(self) -> str:
        return f"Recording({len(self.calls)} calls, {len(self.blocks)} blocks)"


def tensors(value: Any) -> tuple[Tensor, ...]:
    """Return the tensors in nested tuples, lists and dicts, in order."""
    return tuple(leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def _identity(tensor: Tensor) -> tuple[Any, ...]:
    if tensor.layout != torch.strided:
        return (id(tensor),)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.shape, tensor.stride()  # noqa: SLF001 - the storage itself
