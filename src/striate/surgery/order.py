"""Which layers with weights come first and last when a network is called, whatever order they were registered in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError
from striate.probe import traceless
from striate.surgery.following import followed

SIDES = (224, 32, 28, 64, 96, 128, 299)
"""Sizes tried for a picture where nothing says what a network takes."""
CHANNELS = 4
"""So many numbers of channels are tried, in the order in which convolutions that take them were registered."""


@dataclass(frozen=True)
class Ends:
    """Paths of the layers that read the input and of those whose values nothing with weights reads; heads of the first output come first.

    A path that ends in `()` is a function that uses a parameter of the network itself. `sure` is False where the network could neither be followed
    nor run: then both are taken from the order of registration.
    """

    first: tuple[str, ...]
    last: tuple[str, ...]
    sure: bool = True


def ends(model: nn.Module, shape: Sequence[int] | None = None) -> Ends:
    """Return the layers with weights at both ends of the forward pass in the mode the model is in; `shape` is one input's, C H W, where known."""
    try:
        return _of_graph(model, followed(model, "find its first and last layers"))
    except ArgumentError:
        pass
    found = _of_run(model, shape)
    if found is not None:
        return found
    paths = [path for path, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    return Ends(tuple(paths[:1]), tuple(paths[-1:]), sure=False)


def runs(model: nn.Module, shape: Sequence[int] | None = None) -> tuple[int, ...] | None:
    """Return an input's shape, C H W, that goes through the model in evaluation mode: the one given, its spec's, or a usual one; else None."""
    with traceless(model) as inner, torch.no_grad():
        inner.eval()
        for tried in _shapes(model, shape):
            try:
                inner(_zeros(inner, tried))
            except Exception:  # noqa: BLE001, S112 - whatever a foreign network raises, this size is not its own
                continue
            return tried
    return None


def _shapes(model: nn.Module, shape: Sequence[int] | None) -> Iterator[tuple[int, ...]]:
    spec, config = getattr(model, "spec", None), getattr(model, "pretrained_cfg", None)
    if shape is not None:
        yield tuple(shape)
        return
    if isinstance(spec, ModelSpec):
        yield tuple(spec.input)
    if isinstance(config, Mapping) and isinstance(config.get("input_size"), (tuple, list)):
        yield tuple(config["input_size"])
    taken = dict.fromkeys(module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d))
    for side in SIDES:
        for channels in list(taken)[:CHANNELS]:
            yield channels, side, side


def _zeros(model: nn.Module, shape: Sequence[int]) -> Tensor:
    weight = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(2, *shape, dtype=weight.dtype, device=weight.device)


def _of_graph(model: nn.Module, graph: fx.Graph) -> Ends:
    """Follow the graph from the input to the first weights, and from the outputs back to the last."""
    weighted = {node: name for node in graph.nodes if (name := _weighted(model, node)) is not None}
    before: dict[fx.Node, bool] = {}
    first: list[str] = []
    for node in graph.nodes:  # in the order of the calls: what a step reads has been seen
        reads = node.op == "placeholder" or (not _sizes(node) and any(before.get(each, False) for each in node.all_input_nodes))
        if node in weighted and reads:
            first.append(weighted[node])
        before[node] = reads and node not in weighted
    behind: dict[fx.Node, bool] = {}
    for node in reversed(list(graph.nodes)):
        behind[node] = any(user in weighted or behind[user] for user in node.users)
    output = next(node for node in graph.nodes if node.op == "output")
    last: list[str] = []
    for part in _leaves(output.args[0]):
        last += [weighted[node] for node in _back(part, weighted) if not behind[node]]
    return Ends(tuple(dict.fromkeys(first)), tuple(dict.fromkeys(last)))


def _sizes(node: fx.Node) -> bool:
    """Tell whether a step asks for a tensor's shape or kind, not for its values."""
    asked = node.args[1] if node.op == "call_function" and node.target is getattr and len(node.args) > 1 else node.target
    return asked in ("shape", "size", "dim", "ndim", "dtype", "device")


def _weighted(model: nn.Module, node: fx.Node) -> str | None:
    """Return the path of the layer with weights that a step calls, `NAME()` for a function of a parameter with two dimensions or more."""
    if node.op == "call_module":
        return str(node.target) if any(True for _ in model.get_submodule(str(node.target)).parameters()) else None
    for each in node.all_input_nodes:
        if node.op != "output" and each.op == "get_attr":
            value: Any = model
            for part in str(each.target).split("."):
                value = getattr(value, part, None)
            if isinstance(value, nn.Parameter) and sum(size > 1 for size in value.shape) > 1:
                return f"{each.target}()"
    return None


def _leaves(value: Any) -> Iterator[fx.Node]:
    if isinstance(value, fx.Node):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value, key=lambda key: key != "logits"):
            yield from _leaves(value[key])
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _leaves(each)


def _back(node: fx.Node, weighted: Mapping[fx.Node, str]) -> list[fx.Node]:
    """Return the nearest steps with weights that a step's value comes from."""
    found, todo, seen = [], [node], set()
    while todo:
        current = todo.pop(0)
        if current in seen:
            continue
        seen.add(current)
        if current in weighted:
            found.append(current)
        else:
            todo += current.all_input_nodes
    return found


def _of_run(model: nn.Module, shape: Sequence[int] | None) -> Ends | None:
    """Run the model once on zeros and see which of the called layers read the input itself and which gave the output."""
    known = runs(model, shape)
    if known is None:
        return None
    calls: list[tuple[str, set[int], set[int]]] = []

    def watch(path: str) -> Callable[..., None]:
        return lambda _module, given, kwargs, made: calls.append((path, _places((given, kwargs)), _places(made)))

    with traceless(model) as inner, torch.no_grad():
        inner.eval()
        holders = [(path, m) for path, m in inner.named_modules() if any(True for _ in m.parameters(recurse=False))]
        handles = [module.register_forward_hook(watch(path), with_kwargs=True) for path, module in holders if path]
        try:
            x = _zeros(inner, known)
            made = inner(x)
        finally:
            for handle in handles:
                handle.remove()
    if not calls:
        return None
    own, results = _places(x), _places(made)
    first = [path for path, given, _ in calls if given & own] or [calls[0][0]]
    last = [path for path, _, gave in calls if gave & results] or [calls[-1][0]]
    return Ends(tuple(dict.fromkeys(first)), tuple(dict.fromkeys(last)))


def _places(value: Any) -> set[int]:
    """Return where the numbers of all tensors in a value lie."""
    if isinstance(value, Tensor):
        return {value.untyped_storage().data_ptr()} if value.numel() else set()
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    return {place for part in parts for place in _places(part)}
