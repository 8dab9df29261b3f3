"""A network that is told a picture and then computes, for variations of it, only what their differences reach.

Most layers see little: a window of 15 pixels reaches a ninth of each side of the first maps, and half a network is done before it has spread. Each
step that slides or works value by value is run on a patch, cut with its surroundings out of the known map, as long as the patch is much smaller
than the map; from there on, and wherever a step does something else, whole maps go on. The results are those of the whole run up to rounding.
Running a network again only where its input changed: Nakandala, Kumar and Papakonstantinou 2019.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import Add, Concat, DropPath, LocalResponseNorm, PadShortcut
from striate.probe.hooks import has_hooks
from striate.surgery.convolutional import ELEMENTWISE
from striate.surgery.following import followed, module_of
from striate.surgery.patches import Known, Patch, Slide, changed, joined, pasted, whole

WORTH = 0.7
"""A patch of a larger share of its map than this is not worth cutting out: the whole map is computed."""
POINTWISE = (*ELEMENTWISE, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.LocalResponseNorm, nn.Softplus, nn.Hardtanh, DropPath, LocalResponseNorm)
"""Modules that, in evaluation mode, decide on a place's values by that place alone."""
FUNCTIONS = (F.relu, F.relu6, F.leaky_relu, F.silu, F.gelu, F.hardtanh, F.dropout, torch.relu, torch.relu_, torch.sigmoid, torch.tanh)
METHODS = ("relu", "relu_", "sigmoid", "tanh", "contiguous", "float")
SUMS = (operator.add, operator.iadd, torch.add)
STEP, VALUE = 50_000_000, 60
"""What a step on patches costs beside its arithmetic, in multiply-adds: once a batch, and for each value cut out, widened or put back."""


@dataclass
class Work:
    """What the last run on patches spared for each picture, in multiply-adds, and the price: values moved a picture, and steps on patches."""

    spared: int = 0
    moved: int = 0
    steps: int = 0

    def worth(self, batch: int) -> bool:
        """Tell whether batches of this many are sooner done on patches; counted, not timed, so the answer is the same every time."""
        return (self.spared - VALUE * self.moved) * batch > STEP * self.steps


@dataclass(frozen=True, eq=False)
class Sliding:
    """A step whose windows slide over rows and columns; `fill` lies around the map, `run` expects it there already."""

    rows: Slide
    columns: Slide
    fill: float
    run: Callable[[Tensor], Tensor]
    work: int = 0
    """Multiply-adds of one place of the output."""


class Incremental(nn.Module):
    """A network in evaluation mode, run only where an input differs from the one given to `around`; without gradients.

    It runs the network's own modules: no weight is copied, and where one changes `around` is to be called again.
    Raises `ArgumentError` for a network in training mode, of several inputs, or one that cannot be followed.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if any(module.training for module in network.modules()):
            raise ArgumentError(
                f"model: {type(network).__name__} is in training mode, where pictures of a batch touch each other; call .eval() first"
            )
        self.network = network
        self._graph = followed(network, "run it again where its input changed")
        if sum(node.op == "placeholder" for node in self._graph.nodes) != 1:
            raise ArgumentError(f"model: {type(network).__name__} takes several inputs; only one is run again where it changed")
        self._sliding = {node: found for node in self._graph.nodes if (found := _sliding(module_of(network, node), node)) is not None}
        self._last: dict[fx.Node, list[fx.Node]] = {}
        users = {given: node for node in self._graph.nodes for given in node.all_input_nodes}
        for given, last in users.items():
            self._last.setdefault(last, []).append(given)
        self._known: dict[fx.Node, Tensor] = {}
        self._cuttable: dict[tuple[Any, ...], Known] = {}
        self.work = Work()

    def around(self, known: Tensor | None) -> None:
        """Take one input 1 C H W as known: its maps are computed and kept. None forgets them, and every input is computed whole."""
        self._known, self._cuttable = {}, {}
        if known is not None:
            kept: dict[fx.Node, Tensor] = {}
            self._run(known.clone(), kept)  # it may begin with an operation in place
            self._known = kept

    def forward(self, x: Tensor) -> Any:
        """Return what the network gives for N C H W."""
        return self._run(x, None)

    def _run(self, x: Tensor, keep: dict[fx.Node, Tensor] | None) -> Any:
        values: dict[fx.Node, Any] = {}
        self.work = Work()
        for node in self._graph.nodes:
            if node.op == "output":
                return map_arg(node.args[0], lambda given: self._wholly(given, values))
            found = self._entering(node, x) if node.op == "placeholder" else self._step(node, values)
            values[node] = found
            if keep is not None and isinstance(found, Tensor) and found.dim() == 4:
                keep[node] = found.clone()  # a step in place may write into it
            for done in self._last.get(node, ()):
                del values[done]
        return None

    def _entering(self, node: fx.Node, x: Tensor) -> Tensor | Patch:
        known = self._known.get(node)
        if known is None or x.dim() != 4 or x.shape[1:] != known.shape[1:]:
            return x
        patch = changed(x, known)
        return patch if _worth(patch.size, known) else x

    def _step(self, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        if any(isinstance(values[given], Patch) for given in node.all_input_nodes):
            found = self._patched(node, values)
            if found is not None:
                self.work.steps += 1
                return found
        args, kwargs = map_arg((node.args, node.kwargs), lambda given: self._wholly(given, values))
        return self._called(node, args, kwargs)

    def _called(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        target: Any = node.target
        if node.op == "call_module":
            return self.network.get_submodule(target)(*args, **kwargs)
        if node.op == "call_function":
            return target(*args, **kwargs)
        if node.op == "call_method":
            given = args[0].contiguous() if target == "view" else args[0]  # parts lie channels last, which the network's own maps may not
            return getattr(given, target)(*args[1:], **kwargs)
        return operator.attrgetter(target)(self.network)

    def _wholly(self, given: fx.Node, values: dict[fx.Node, Any]) -> Any:
        """Return a step's whole output, and let it be whole from here on."""
        if isinstance(values[given], Patch):
            values[given] = whole(values[given], self._known[given])
            self.work.moved += self._known[given].numel()
        return values[given]

    def _patched(self, node: fx.Node, values: dict[fx.Node, Any]) -> Patch | None:
        """Run a step on patches; None where it has to see whole maps."""
        if node not in self._known or not isinstance(patch := values[node.all_input_nodes[0]], Patch):
            return None
        if node in self._sliding:
            return self._slid(node, patch)
        if len(node.all_input_nodes) == 1 and self._alone(node):
            args, kwargs = map_arg((node.args, node.kwargs), lambda _: patch.values)
            return patch.like(self._called(node, args, kwargs))
        if self._joins(node) and all(isinstance(values[given], Patch) for given in node.all_input_nodes):
            return self._together(node, values)
        return None

    def _alone(self, node: fx.Node) -> bool:
        """Tell whether a step gives each place what that place alone decides."""
        module = module_of(self.network, node)
        if module is not None:
            return type(module) in POINTWISE and not _watched(module) and not (isinstance(module, nn.BatchNorm2d) and module.running_mean is None)
        return (node.op == "call_function" and node.target in (*FUNCTIONS, *SUMS, operator.mul)) or (
            node.op == "call_method" and node.target in METHODS
        )

    def _joins(self, node: fx.Node) -> bool:
        module = module_of(self.network, node)
        if module is not None:
            return type(module) is Add or (type(module) is Concat and module.dim == 1)
        if node.target is torch.cat:
            return bool((node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")) == 1)
        return node.op == "call_function" and node.target in SUMS

    def _slid(self, node: fx.Node, patch: Patch) -> Patch | None:
        step, known = self._sliding[node], self._known[node]
        top, height = step.rows.reached(patch.top, patch.size[0], known.shape[2])
        left, width = step.columns.reached(patch.left, patch.size[1], known.shape[3])
        if not _worth((height, width), known):
            return None
        self.work.spared += step.work * (known[0, 0].numel() - height * width)
        if step.rows == step.columns == Slide(1, 1, 0):
            return patch.like(step.run(patch.values))
        vertical, horizontal = step.rows, step.columns
        upper, outer = top * vertical.stride, left * horizontal.stride
        around = self._cut(node.all_input_nodes[0], (vertical, horizontal), (known.shape[2], known.shape[3]), step.fill)
        field = around.cut(upper, outer, vertical.needed(height), horizontal.needed(width))
        self.work.moved += field[0].numel()
        return Patch(step.run(pasted(field, patch, upper - vertical.padding, outer - horizontal.padding)), top, left)

    def _together(self, node: fx.Node, values: dict[fx.Node, Any]) -> Patch | None:
        given = node.all_input_nodes
        if len({self._known[each].shape[2:] for each in given}) > 1:
            return None
        room = (self._known[given[0]].shape[2], self._known[given[0]].shape[3])
        one = Slide(1, 1, 0)
        wide = joined([values[each] for each in given], [self._cut(each, (one, one), room, 0.0) for each in given], room)
        self.work.moved += sum(new.values[0].numel() for new, each in zip(wide, given, strict=True) if new is not values[each])
        if not _worth(wide[0].size, self._known[given[0]]):
            return None
        places = dict(zip(given, wide, strict=True))
        args, kwargs = map_arg((node.args, node.kwargs), lambda each: places[each].values)
        return wide[0].like(self._called(node, args, kwargs))

    def _cut(self, node: fx.Node, slides: tuple[Slide, Slide], out: tuple[int, int], fill: float) -> Known:
        """Return a known map with `fill` around it, as far as the windows of `out` rows and columns of outputs reach."""
        key = (node, slides, fill)
        if key not in self._cuttable:
            known = self._known[node]
            sizes = (known.shape[2], known.shape[3])
            after = [max(each.padding, each.needed(count) - size - each.padding) for each, count, size in zip(slides, out, sizes, strict=True)]
            self._cuttable[key] = Known(known, (slides[0].padding, after[0], slides[1].padding, after[1]), fill)
        return self._cuttable[key]


def _worth(size: tuple[int, int], known: Tensor) -> bool:
    return size[0] * size[1] <= WORTH * known.shape[2] * known.shape[3]


def _watched(module: nn.Module) -> bool:
    """Tell whether a module is not simply its class: somebody hooked it or gave it another forward."""
    return has_hooks(module) or "forward" in vars(module)


def _sliding(module: nn.Module | None, node: fx.Node) -> Sliding | None:
    """Return how a step slides, None where it does not or in a way that patches do not follow."""
    if node.op == "call_function" and node.target in (F.max_pool2d, F.avg_pool2d) and len(node.all_input_nodes) == 1 and len(node.args) <= 4:
        kind = nn.MaxPool2d if node.target is F.max_pool2d else nn.AvgPool2d
        module = kind(*node.args[1:], **{name: value for name, value in node.kwargs.items() if name != "input"})  # type: ignore[arg-type]
    if module is None or _watched(module) or len(node.all_input_nodes) != 1:
        return None
    if type(module) is nn.Conv2d and module.padding_mode == "zeros":
        convolution = module
        if (padding := _padding(convolution)) is None:
            return None
        axes = [Slide(*each) for each in zip(module.kernel_size, module.stride, padding, module.dilation, strict=True)]
        return Sliding(axes[0], axes[1], 0.0, lambda x: _convolved(convolution, x), convolution.weight.numel())
    if type(module) is nn.MaxPool2d and not module.return_indices:
        axes = [Slide(*each) for each in zip(*map(_pair, (module.kernel_size, module.stride, module.padding, module.dilation)), strict=True)]
        bare = nn.MaxPool2d(module.kernel_size, module.stride, 0, module.dilation)
        return Sliding(axes[0], axes[1], float("-inf"), bare)
    if type(module) is nn.AvgPool2d and not module.ceil_mode and (module.count_include_pad or not any(_pair(module.padding))):
        axes = [Slide(*each) for each in zip(*map(_pair, (module.kernel_size, module.stride, module.padding)), strict=True)]
        return Sliding(axes[0], axes[1], 0.0, nn.AvgPool2d(module.kernel_size, module.stride, divisor_override=module.divisor_override))
    if type(module) is PadShortcut:
        return Sliding(Slide(1, module.stride, 0), Slide(1, module.stride, 0), 0.0, module)
    return None


def _convolved(module: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, module.weight, module.bias, module.stride, 0, module.dilation, module.groups)


def _padding(module: nn.Conv2d) -> tuple[int, int] | None:
    """Return the padding on each side of an axis; None where both sides differ."""
    if isinstance(module.padding, tuple):
        return module.padding[0], module.padding[1]
    if module.padding == "valid":
        return 0, 0
    both = [(kernel - 1) * dilation for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True)]
    return None if any(each % 2 for each in both) else (both[0] // 2, both[1] // 2)


def _pair(value: Any) -> tuple[int, int]:
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)
