"""Which layers give maps, and the last of them before they are pooled: the one rule behind every layer that is chosen by default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from striate.core.errors import ArgumentError
from striate.probe import closed, original, traceless
from striate.probe.calls import tensors
from striate.probe.keeping import Kept, released
from striate.probe.planes import Planes
from striate.probe.watching import Watch, is_leaf
from striate.understand.scoring import Scorer, scores_of

PASSED = re.compile(r"pool|dropout|identity|flatten|interpolate|upsample|pad", re.IGNORECASE)
"""Operations after the last layer that are not it: a map is looked at before it is pooled."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """A layer or function that gave maps: the name that means this call alone, its operation, the maps N C h w as it gave them."""

    name: str
    operation: str
    maps: Tensor


@dataclass(frozen=True, eq=False)
class MapLayers:
    """What `map_layers` finds: `layers` in the order of the run; `output` of the network, detached; whether a graph told what it depends on."""

    layers: tuple[Mapped, ...]
    output: Any
    graph: bool


def map_layers(network: nn.Module, x: Tensor, *, scorer: Scorer = scores_of) -> MapLayers:
    """Run the network on inputs N C H W and return the layers, and functions between them, that give maps on the way to its scores.

    Maps are one floating-point tensor N C h w for N inputs, h and w above 1, on which the scores depend and which depends on the input: weights that
    are computed, and what is put aside, are none. And (h, w) is a height and width: the input's own, or one that a two-dimensional operation of
    this run took or gave (see `Planes`), which tells N C H W from N H W C and from attention. Where nothing with maps has a graph, dependence is
    not asked for. Pooling, dropout and their like are left out. `scorer`: how class scores are read from the network's output.
    Raises `ArgumentError` where there is none.
    """
    inner, _ = original(network)
    with traceless(inner), torch.inference_mode(False):
        for parameter in inner.parameters():
            if parameter.requires_grad:
                parameter.requires_grad_(False)
        try:
            with torch.enable_grad():
                found = _Run(inner, x.detach().clone().requires_grad_(), scorer)
        except RuntimeError:  # networks that cannot be run with a graph: on NumPy arrays, with `out=`
            with torch.no_grad():
                found = _Run(inner, x.detach().clone(), scorer)
        layers = found.layers()
    if not layers:
        told = closed(inner) or "so there is none to look at; give layer="
        raise ArgumentError(f"model: no layer of this network gives maps (N C H W with H and W above 1) that its scores depend on; {told}")
    return MapLayers(layers, tree_map_only(Tensor, Tensor.detach, found.output), found.graph)


def default_layer(model: nn.Module, images: Tensor, *, scorer: Scorer = scores_of) -> str:
    """Return the last layer that still gives a map (N C H W with H, W > 1) before the pooling that ends it: what a CAM looks at by default.

    `images`: the network's input, one picture is enough. What counts as a map, and `scorer`, are told at `map_layers`. Raises
    `ArgumentError` for a network without.
    """
    return map_layers(model, images[:1], scorer=scorer).layers[-1].name


@dataclass(eq=False)
class _Given:
    address: str
    turn: int
    kept: Kept
    node: Any


class _Run:
    """One watched run: what gave four axes, with its place in the graph, and which sizes are heights and widths."""

    def __init__(self, network: nn.Module, x: Tensor, scorer: Scorer) -> None:
        self.network, self.count = network, len(x)
        self._modules = dict(network.named_modules())
        self._given: list[_Given] = []
        self._calls = Counter[str]()
        watch = Watch(network, gradients=False)
        self._planes = watch.keeper = Planes()
        self._planes.sizes.add((x.shape[-2], x.shape[-1]))
        watch.live = self._passing
        given = x.clone()  # it may begin with an operation in place
        with watch.watching():
            self.output = network(given)
        roots = _scores(self.output, self.count, scorer)
        self._before, self.graph = _behind(roots), True
        if _is_part(roots, self.output, self.count):
            nodes = {each.node for each in self._given} & self._before
            self._before = _felt(roots[0], x, nodes) or self._before

    def layers(self) -> tuple[Mapped, ...]:
        """Return what gave maps on the way to the scores."""
        given = [(each, released(each.kept)) for each in self._given]
        given = [(each, maps) for each, maps in given if (maps.shape[2], maps.shape[3]) in self._planes.sizes]
        way = [(each, maps) for each, maps in given if each.node in self._before]
        if not way:  # all of them ran without a graph: in inference mode, or under a checkpoint
            way, self.graph = [(each, maps) for each, maps in given if each.node is None], False
        return tuple(Mapped(self._name(each), self._operation(each.address), maps) for each, maps in way)

    def _name(self, given: _Given) -> str:
        return f"{given.address}[{given.turn}]" if self._calls[given.address] > 1 else given.address

    def _passing(self, address: str, turn: int, output: Any) -> Any:
        self._calls[address] += 1
        if isinstance(output, Tensor) and _has_maps(output, self.count) and self._is_one(address):
            self._given.append(_Given(address, turn, self._planes.keep(output), output.grad_fn))
        return output

    def _operation(self, address: str) -> str:
        return type(self._modules[address]).__name__ if address in self._modules else address.rpartition("/")[2].partition("#")[0]

    def _is_one(self, address: str) -> bool:
        if PASSED.search(self._operation(address)):
            return False
        if address in self._modules:
            return is_leaf(self._modules[address])
        parent = address.rpartition("/")[0]
        return not (parent and is_leaf(self._modules[parent]))


def _has_maps(output: Tensor, count: int) -> bool:
    return output.ndim == 4 and len(output) == count and min(output.shape[2:]) > 1 and output.is_floating_point() and output.layout is torch.strided


def _scores(output: Any, count: int, scorer: Scorer) -> tuple[Tensor, ...]:
    try:
        return (scorer(output, count)[0],)
    except ArgumentError:  # no classifier
        return tensors(output)


def _is_part(roots: tuple[Tensor, ...], output: Any, count: int) -> bool:
    """Tell whether the class scores are some of the outputs only, others standing beside them in one tensor."""
    return len(roots) == 1 and roots[0].requires_grad and roots[0].shape != _scores(output, count, scores_of)[0].shape


def _felt(scores: Tensor, x: Tensor, nodes: Iterable[Any]) -> set[Any]:
    """Return those of the graph's nodes that get a gradient other than zero from the scores: what only other outputs depend on gets none."""
    felt: set[Any] = set()

    def feel(node: Any, gradients: tuple[Tensor | None, ...]) -> None:
        if any(each is not None and bool(each.any()) for each in gradients):
            felt.add(node)

    hooks = [node.register_prehook(partial(feel, node)) for node in nodes]
    weights = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=scores.dtype)
    torch.autograd.grad((scores * weights).sum(), x, allow_unused=True)
    for hook in hooks:
        hook.remove()
    return felt


def _behind(roots: Iterable[Tensor]) -> set[Any]:
    """Return all nodes of the graph that these tensors depend on."""
    waiting = [root.grad_fn for root in roots if root.grad_fn is not None]
    found: set[Any] = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None and node not in found:
                found.add(node)
                waiting.append(node)
    return found
