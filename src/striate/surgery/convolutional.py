"""A classifier as a convolutional network: linear layers become convolutions, so that one pass over a larger picture scores every window of it."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import fx, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import Scale
from striate.surgery.following import Shapes, copied, followed, module_of, note, replace_module
from striate.surgery.marks import KeptMaps, KeptSize, SlidLinear, SlidNorm, SlidPool

ELEMENTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh, nn.Sigmoid, nn.Identity)
PLAIN = (*ELEMENTWISE, nn.Dropout, nn.AlphaDropout, Scale)
"""Boxes that treat a map as they treat a vector."""
PLAIN_CALLS = {F.relu, torch.relu, F.dropout, F.leaky_relu, F.elu, F.gelu, F.silu, torch.tanh, torch.sigmoid, F.tanh, F.sigmoid}
PLAIN_METHODS = {"relu", "relu_", "tanh", "sigmoid", "contiguous"}
ARITHMETIC = {operator.mul, operator.add, operator.sub, operator.truediv, torch.mul, torch.add}


def to_convolutional(model: nn.Module, input: Sequence[int]) -> nn.Module:  # noqa: A002 - the field's word, and the agreed one
    """Return a copy in evaluation mode that takes pictures of any size from `input` (C H W) on and gives N K H' W', the scores of every window.

    A linear layer behind a flatten becomes a convolution with the same weights, rearranged and never retrained; global pools become pools with the
    window they had. At the size `input` the scores are the model's own (N K 1 1). Over a larger picture one pass equals sliding the model over it
    (at steps of `total_stride`) exactly where nothing is padded; padding inside the network makes windows see their surroundings instead of zeros,
    and `compare_with_sliding` measures what that does. A global pool inside a gate (squeeze-and-excitation) stays: it weighs channels by the whole
    picture, as `notes` says, and windows then see that too.

    Modules are exchanged in place where the forward pass calls modules alone; a model that flattens by a function becomes a `torch.fx.GraphModule`.
    Raises `ArgumentError` for a model that cannot be followed, and for anything behind the flatten that has no convolutional form.
    """
    changed = copied(model).eval()
    graph = followed(changed, "find its linear layers")
    shapes = Shapes(changed, graph, input).found
    edits = _Edits(changed, graph, shapes)
    gates, inside = _gates(graph, shapes, edits)
    for node in list(graph.nodes):
        if node not in inside:
            edits.visit(node)
    if not edits.flat and not edits.done:
        raise ArgumentError("model: it has neither a flatten nor a global pool, so there is nothing to turn into convolutions")
    result = edits.applied()
    note(result, f"made convolutional for inputs from {'x'.join(map(str, input))}: {'; '.join(edits.done)}")
    if gates:
        note(
            result,
            f"{len(gates)} gates weigh channels by the whole picture still, not by each window: {', '.join(gates[:3])}{' ...' * (len(gates) > 3)}",
        )
    return result


def _gates(graph: fx.Graph, shapes: dict[str, tuple[int, ...]], edits: _Edits) -> tuple[list[str], set[fx.Node]]:
    """Return the global pools whose values come back to the maps beside them, by name, and every step from there up to where they meet."""
    found: list[str] = []
    inside: set[fx.Node] = set()
    for pool in graph.nodes:
        source = next((arg for arg in pool.all_input_nodes if arg.name in shapes), None)
        if pool in inside or pool.name not in shapes or source is None or not edits.global_pool(pool, source):
            continue
        branch, meets = {pool}, False
        for node in graph.nodes:  # in the order of the calls
            if not branch.intersection(node.all_input_nodes):
                continue
            if any(len(maps := shapes.get(arg.name, ())) == 4 and maps[2:] != (1, 1) for arg in node.all_input_nodes if arg not in branch):
                meets = True  # and what follows is maps again
            else:
                branch.add(node)
        if meets:
            found.append(edits.called(pool))
            inside |= branch
    return found, inside


class _Edits:
    """Walks the graph once, knowing which steps carry flat features, and collects what to exchange."""

    def __init__(self, model: nn.Module, graph: fx.Graph, shapes: dict[str, tuple[int, ...]]) -> None:
        self.model, self.graph, self.shapes = model, graph, shapes
        self.flat: dict[str, tuple[int, int, int]] = {}
        """Steps whose output was flat and now is maps: their channels, height and width at the size the network was made for."""
        self.modules: dict[str, nn.Module] = {}
        self.functions: dict[fx.Node, nn.Module] = {}
        self.done: list[str] = []

    def visit(self, node: fx.Node) -> None:
        """Look at one step; the steps before it have been seen."""
        if node.op in ("placeholder", "output", "get_attr") or node.name not in self.shapes:
            return
        source = next((arg for arg in node.all_input_nodes if arg.name in self.shapes), None)
        if source is None:
            return
        if source.name in self.flat:
            self._behind_the_flatten(node, source)
        elif (window := self._pooled(node, source)) is not None:
            self._pool(node, source, *window)
        elif self._flattens(node, source):
            _, channels, height, width = self.shapes[source.name]
            self.flat[node.name] = (channels, height, width)
            self._exchange(node, KeptMaps())

    def global_pool(self, node: fx.Node, source: fx.Node) -> bool:
        """Tell whether a step pools maps to one place."""
        before, after = self.shapes[source.name], self.shapes[node.name]
        if len(before) != 4 or before[2:] == (1, 1) or after[2:] not in ((), (1, 1)):
            return False
        found = self._pooled(node, source)
        return found is not None and found[1] is not None

    def _flattens(self, node: fx.Node, source: fx.Node) -> bool:
        before, after = self.shapes[source.name], self.shapes[node.name]
        if len(before) != 4 or len(after) != 2:
            return False
        told = isinstance(module_of(self.model, node), nn.Flatten) or node.target in (torch.flatten, "flatten", "view", "reshape", torch.reshape)
        told = told or (node.target in (torch.squeeze, "squeeze") and before[2:] == (1, 1))
        return told and after == (before[0], before[1] * before[2] * before[3])

    def _pooled(self, node: fx.Node, source: fx.Node) -> tuple[bool, tuple[int, int] | None] | None:
        """Return (largest?, window) for a pool to a fixed number of places; the window is None where it changes nothing."""
        before, after = self.shapes[source.name], self.shapes[node.name]
        if len(before) != 4:
            return None
        module = module_of(self.model, node)
        mean = isinstance(module, nn.AdaptiveAvgPool2d) or node.target in (F.adaptive_avg_pool2d, torch.mean, "mean")
        largest = isinstance(module, nn.AdaptiveMaxPool2d) or node.target in (F.adaptive_max_pool2d, torch.amax, "amax")
        if not (mean or largest):
            return None
        if not module and "adaptive" not in str(node.target) and (after[:2] != before[:2] or after[2:] not in ((), (1, 1))):
            return None  # a mean over something else
        if after[:2] != before[:2] or (len(after) == 4 and after[2:] not in ((1, 1), before[2:])):
            raise ArgumentError(
                f"model: {self.called(node)} pools {before[2]}x{before[3]} to {'x'.join(map(str, after[2:]))}, which no sliding window does; "
                f"give an input at which it pools to one place, or changes nothing"
            )
        return largest, None if after == before else (before[2], before[3])

    def _pool(self, node: fx.Node, source: fx.Node, largest: bool, window: tuple[int, int] | None) -> None:
        single = nn.AdaptiveMaxPool2d(1) if largest else nn.AdaptiveAvgPool2d(1)
        was = module_of(self.model, node) or (single if len(self.shapes[node.name]) == 4 else nn.Sequential(single, nn.Flatten()))
        self._exchange(node, KeptSize(was) if window is None else SlidPool(was, window, largest=largest))
        if window is not None:
            self.done.append(f"{self.called(node)} slides a window of {window[0]}x{window[1]}")
        if len(self.shapes[node.name]) == 2:
            self.flat[node.name] = (self.shapes[source.name][1], 1, 1)

    def _behind_the_flatten(self, node: fx.Node, source: fx.Node) -> None:
        channels, height, width = self.flat[source.name]
        module = module_of(self.model, node)
        if isinstance(module, nn.Linear):
            self._exchange(node, SlidLinear.of(module, channels, height, width))
            self.flat[node.name] = (module.out_features, 1, 1)
            self.done.append(f"{self.called(node)} is a {height}x{width} convolution")
        elif isinstance(module, nn.BatchNorm1d) and (height, width) == (1, 1):
            self._exchange(node, SlidNorm.of(module))
            self.flat[node.name] = self.flat[source.name]
        elif isinstance(module, PLAIN) or node.target in PLAIN_CALLS or node.target in PLAIN_METHODS or self._by_a_number(node):
            self.flat[node.name] = self.flat[source.name]
        elif (isinstance(module, (nn.Softmax, nn.LogSoftmax)) and module.dim in (1, -1)) or isinstance(module, nn.Flatten):
            if isinstance(module, nn.Flatten):
                self._exchange(node, KeptMaps())
            elif module.dim == -1:
                self._exchange(node, type(module)(dim=1))
            self.flat[node.name] = self.flat[source.name]
        else:
            raise ArgumentError(
                f"model: {self.called(node)} ({type(module).__name__ if module else node.target}) behind the flatten has no form over maps; "
                f"linear layers, batch norm, dropout, activations and softmax have"
            )

    def _by_a_number(self, node: fx.Node) -> bool:
        return node.target in ARITHMETIC and len(node.all_input_nodes) == 1

    def _exchange(self, node: fx.Node, new: nn.Module) -> None:
        if node.op == "call_module":
            if str(node.target) in self.modules:
                raise ArgumentError(f"model: {node.target} is called several times, so it cannot be exchanged; give each call a module of its own")
            self.modules[str(node.target)] = new
        else:
            self.functions[node] = new

    def called(self, node: fx.Node) -> str:
        """Return what a step is called in words: its module's path, or its own name."""
        return str(node.target) if node.op == "call_module" else node.name

    def applied(self) -> nn.Module:
        for path, new in self.modules.items():
            replace_module(self.model, path, new)
        if not self.functions:
            return self.model
        for node, new in self.functions.items():
            self.model.add_module(name := _free(self.model, node.name), new.eval())
            with self.graph.inserting_after(node):
                call = self.graph.call_module(name, (node.all_input_nodes[0],))
            node.replace_all_uses_with(call)
            self.graph.erase_node(node)
        result = fx.GraphModule(self.model, self.graph, type(self.model).__name__)
        result.graph.eliminate_dead_code()  # the size that a `view` asked for
        result.recompile()
        return result.eval()


def _free(model: nn.Module, name: str) -> str:
    while hasattr(model, name):
        name += "_"
    return name
