"""Which box of a network feeds which: found by running it without values, for drawing any network, branches and functions too."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.draw.nets import Node
from striate.measure.fakes import built
from striate.measure.replaying import geometry_of, storage_of
from striate.measure.summarising import recorded
from striate.probe import Call

MOST = 90
"""Boxes of a drawing that chooses its own depth."""
ABSORBED = re.compile(r"\w*(norm|shift|relu|elu|gelu|silu|swish|tanh|sigmoid|dropout|identity|flatten|softmax)(\dd|6)?", re.IGNORECASE)
"""Boxes that are drawn as a line of the box before them, where they alone follow it."""
SHORT = 9
"""Letters of an operation that shares its line with what follows it."""
KINDS = {
    "conv": ("conv",),
    "pool": ("pool", "mean", "amax", "subsampling"),
    "join": ("add", "cat", "concat", "mul", "join"),
    "linear": ("linear", "addmm", "matmul"),
    "norm": ("norm", "shift"),
    "activation": ("relu", "gelu", "tanh", "sigmoid", "silu", "softmax"),
}


@dataclass(frozen=True)
class Wiring:
    """A network's boxes in the order they run, and the pairs (from, to) of their names: what `striate.draw.network` draws."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass
class _Group:
    """Calls that are drawn as one box."""

    name: str
    calls: list[Call]


def wire(model: nn.Module | Callable[[], nn.Module], input: Any, *, depth: int | None = None, batch: int = 1) -> Wiring:  # noqa: A002 - the field's word
    """Return the boxes and edges of any nn.Module for one input shape (C, H, W); the model is only read, and no values are computed.

    `depth` folds everything more than that many names deep into its block: 1 shows the stages; 0 shows every operation. None chooses the most
    detail that still gives no more than 90 boxes, and no more than two arrows a box. Straight runs (convolution, norm, activation) share a box.
    Raises `ArgumentError` when the input does not run through the model, or part of it is scripted (torch.jit).
    """
    if depth is not None and depth < 0:
        raise ArgumentError(f"depth: got {depth}, expected 0 (everything) or more")
    given, _ = built(model)
    twin, inputs, recording = recorded(given, input, batch)
    calls = recording.calls
    links = _links(calls, {storage_of(tensor) for tensor in (*twin.model.parameters(), *twin.buffers)})
    if depth is not None:
        return _folded(twin.model, calls, links, inputs, depth)
    deepest = max((len(call.address.split(".")) for call in calls), default=1)
    for tried in (0, *range(deepest - 1, 1, -1)):
        found = _folded(twin.model, calls, links, inputs, tried)
        if len(found.nodes) <= MOST and len(found.edges) <= 2 * len(found.nodes):
            return found
    return _folded(twin.model, calls, links, inputs, 1)


def _links(calls: Sequence[Call], owned: set[int | None]) -> list[set[int]]:
    """Return for each call the places of the calls it reads from; -1 is the network's input."""
    makers: dict[Any, int] = {}
    storages: dict[int, int] = {}
    links: list[set[int]] = []
    for place, call in enumerate(calls):
        read = set()
        for tensor in call.inputs:
            memory = storage_of(tensor)
            if memory in owned:
                continue
            known = makers.get(geometry_of(tensor), storages.get(memory) if memory is not None else None)
            read.add(-1 if known is None else known)
        links.append(read)
        for tensor in call.outputs:
            makers[geometry_of(tensor)] = place
            memory = storage_of(tensor)
            if memory is not None:
                storages[memory] = place
    return links


def _folded(model: nn.Module, calls: Sequence[Call], links: Sequence[set[int]], inputs: Sequence[Tensor], depth: int) -> Wiring:
    groups: list[_Group] = []
    of: dict[int, int] = {-1: -1}
    open_blocks: dict[str, int] = {}
    read_by: dict[int, set[int]] = {}
    for place, read in enumerate(links):
        for source in read:
            read_by.setdefault(source, set()).add(place)
    for place, call in enumerate(calls):
        path = call.address.split("/")[0].split(".")
        block = ".".join(path[:depth]) if depth and (len(path) > depth or ("/" in call.address and len(path) == depth and path != [""])) else ""
        before: int | None = next(iter(links[place])) if len(links[place]) == 1 else None
        if block:
            if block not in open_blocks:
                open_blocks[block] = len(groups)
                groups.append(_Group(block, []))
            of[place] = open_blocks[block]
        elif before is not None and before >= 0 and _follows(call, groups[of[before]], read_by[before] == {place}):
            of[place] = of[before]
        else:
            groups.append(_Group(call.key, []))
            of[place] = len(groups) - 1
        groups[of[place]].calls.append(call)
    names = [group.name for group in groups]
    edges = dict.fromkeys(
        ("input" if of[source] < 0 else names[of[source]], names[of[place]])
        for place, read in enumerate(links)
        for source in sorted(read)
        if of[source] != of[place]
    )
    first = Node("input", ("input", " and ".join(spell(tensor.shape[1:]) for tensor in inputs)), "input")
    return Wiring((first, *(_node(model, group) for group in groups)), tuple(edges))


def _follows(call: Call, group: _Group, alone: bool) -> bool:
    """Tell whether a call is drawn as a line of the box before it."""
    return alone and ABSORBED.fullmatch(call.operation) is not None and not _is_block(group)


def _is_block(group: _Group) -> bool:
    return bool(group.calls) and not any(call.key == group.name for call in group.calls)


def _node(model: nn.Module, group: _Group) -> Node:
    outputs = group.calls[-1].outputs
    shape = spell(outputs[0].shape[1:]) if outputs else ""
    if not _is_block(group):
        head = group.calls[0]
        told = [_told(call) for call in group.calls]
        lead, rest = (told[:1], told[1:]) if len(told[0]) > SHORT else ([], told)
        lines = (head.address, *lead, " · ".join(rest), shape)
        return Node(group.name, tuple(line for line in lines if line), _kind(head.operation), "\n".join(call.key for call in group.calls))
    block = type(model.get_submodule(group.name)).__name__
    counts: dict[str, int] = {}
    for call in group.calls:
        kind = _kind(call.operation)
        counts[kind] = counts.get(kind, 0) + 1
    words = ", ".join(f"{counts[kind]} {word}" for kind, word in (("conv", "conv"), ("linear", "linear"), ("pool", "pool")) if counts.get(kind))
    lines = (group.name, f"{block}: {words}" if words and block not in ("Sequential", "Network") else words or block, shape)
    return Node(group.name, lines, "block", f"{len(group.calls)} operations")


def spell(sizes: Sequence[int]) -> str:
    """Spell a shape: 64×56×56."""
    return "×".join(map(str, sizes))


def _kind(operation: str) -> str:
    plain = operation.lower()
    return next((kind for kind, words in KINDS.items() if any(word in plain for word in words)), "")


def _told(call: Call) -> str:
    """Spell an operation as a picture has room for: conv 3x3, 64, stride 2."""
    module, kind = call.module, _kind(call.operation)
    name = call.operation.removesuffix("2d").removesuffix("1d").removeprefix("Adaptive").lower()
    name = {"batchnorm": "bn", "localresponsenorm": "lrn", "maxpool": "max pool", "avgpool": "mean pool", "batch_norm": "bn"}.get(name, name)
    if kind == "conv" and isinstance(module, nn.modules.conv._ConvNd):  # noqa: SLF001
        stride = f", stride {module.stride[0]}" if max(module.stride) > 1 else ""
        groups = f", {module.groups} groups" if module.groups > 1 else ""
        return f"{name} {spell(module.kernel_size)}, {module.out_channels}{stride}{groups}"
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        size = module.kernel_size if isinstance(module.kernel_size, tuple) else (module.kernel_size,) * 2
        step = module.stride if isinstance(module.stride, int) else module.stride[0]
        return f"{name} {spell(size)}{f', stride {step}' if step > 1 else ''}"
    if isinstance(module, nn.Linear):
        return f"linear, {module.out_features}"
    return name
