"""Other rules for what goes back through ReLU and max pooling: deconvnet and guided backpropagation, on any model.

The rules act on torch's own backward operators (`threshold_backward`, `max_pool2d_with_indices_backward`, …), the one place that module, functional,
in-place, reused and scripted ReLUs all pass; the model itself is not touched. `clamp(min=0)` and `maximum(x, 0)` are run as the ReLU they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from striate.core.errors import ArgumentError, unknown_name
from striate.probe.keeping import Mode, operator
from striate.probe.untouched import traceless
from striate.probe.unwrapping import original
from striate.probe.watching import scripted

ReluRule = Literal["gradient", "guided", "deconvnet"]
PoolRule = Literal["gradient", "switches"]


class Rules(Mode):
    """What `rules`, `guided` and `deconvnet` yield: the model to run, and counts of what was met and changed.

    `model`     the model, unwrapped from torch.compile
    `relus`     backward steps through ReLU-like units done by the rule: ReLU, ReLU6, leaky and parametric ReLU
    `pools`     backward steps through max pooling done by the rule
    `untouched` other activations the gradient passed, which keep their own derivative: name -> count
    `notes`     what a person should know, in words
    """

    def __init__(self, model: nn.Module, relu: ReluRule, pool: PoolRule, notes: tuple[str, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model, self.relu, self.pool = model, relu, pool
        self.relus = self.pools = 0
        self.untouched: Counter[str] = Counter()
        self._notes = notes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about this use of the rules."""
        left = tuple(f"{count} x {name}: no ReLU, left with its own derivative" for name, count in sorted(self.untouched.items()))
        return self._notes + left

    def gradient(self, score: Tensor, at: Tensor) -> Tensor:
        """Return what comes back from a sum of scores at a tensor by the rules, in a block of `ruled`.

        Raises `ArgumentError` where nothing differentiable leads from one to the other.
        """
        with self:
            found = torch.autograd.grad(score, at, allow_unused=True)[0] if score.requires_grad else None
        if found is None:
            raise ArgumentError("model: this does not depend differentiably on the pixels (preprocess= or the network cuts the gradient)")
        return found

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        name = operator(func)
        if name in _RELUS and _is_rectifier(name, args):
            if self.relu == "gradient":
                return func(*args, **kwargs)
            self.relus += 1
            return _through_relu(self.relu, name, func, args, kwargs)
        if name in _POOLS and self.pool == "switches":
            self.pools += 1
            return placed(args[0], args[1], args[-1], dims=_POOLS[name])
        if name in _OTHERS or name in _RELUS:
            self.untouched[_OTHERS.get(name, name.removesuffix("_backward"))] += 1
        return func(*args, **kwargs)


@contextmanager
def rules(model: nn.Module, *, relu: ReluRule = "gradient", pool: PoolRule = "gradient") -> Iterator[Rules]:
    """Change, inside the block, how gradients go back through ReLU and max pooling; run forward and backward inside.

    `relu`: `gradient` (plain), `guided` (only what is positive, only where the unit was on), `deconvnet` (only what is positive, wherever);
    `pool`: `gradient`, or `switches`: each cell is put back to its argmax; where overlapping windows chose the same place the last window in
    row-major order stands there, as max unpooling does (the gradient would add them up).
    Activations that are no ReLU keep their derivative and are counted in `.untouched`. The model is left as it was (see `traceless`).

    Raises `ArgumentError` at the end of the block when a rule was asked for and nothing was changed: the result would be the plain gradient.
    Source: Zeiler and Fergus 2014; Springenberg et al. 2015; row U6.
    """
    with ruled(model, relu=relu, pool=pool) as active, traceless(model), active:
        yield active


@contextmanager
def ruled(model: nn.Module, *, relu: ReluRule = "gradient", pool: PoolRule = "gradient") -> Iterator[Rules]:
    """As `rules`, for a block around which the model is kept already; gradients are taken by `.gradient` of what it yields.

    The forward pass is then not watched operator by operator, which would cost it time.
    """
    for what, value, allowed in (("relu rule", relu, _RELU_RULES), ("pool rule", pool, ("gradient", "switches"))):
        if value not in allowed:
            raise unknown_name(what, value, allowed)
    inner, notes = original(model)
    active = Rules(inner, relu, pool, notes)
    with ExitStack() as stack:
        if scripted(inner):  # its executor's own derivative of ReLU would pass by torch's operators
            stack.enter_context(torch.jit.optimized_execution(False))  # type: ignore[attr-defined]
        stack.enter_context(_Clamps() if relu != "gradient" else ExitStack())
        yield active
    if relu != "gradient" and not active.relus:
        others = f"; it passed {', '.join(sorted(active.untouched))}, which are no ReLUs" if active.untouched else ""
        raise ArgumentError(
            f"{relu}: the gradient passed no ReLU inside the block{others}, so the result is the plain gradient. "
            "Run forward and backward inside the block; for a model without ReLU use a method that needs none, such as integrated gradients"
        )


@contextmanager
def guided(model: nn.Module) -> Iterator[Rules]:
    """Guided backpropagation inside the block: at every ReLU only positive gradients pass, and only where the unit was on.

    Raises `ArgumentError` when no ReLU was passed. Source: Springenberg et al. 2015.
    """
    with rules(model, relu="guided") as active:
        yield active


@contextmanager
def deconvnet(model: nn.Module) -> Iterator[Rules]:
    """Zeiler and Fergus's deconvnet inside the block: signals are rectified on the way down, and unpooled to the true switches.

    Raises `ArgumentError` when no ReLU was passed. Source: Zeiler and Fergus 2014.
    """
    with rules(model, relu="deconvnet", pool="switches") as active:
        yield active


def placed(signal: Tensor, onto: Tensor, switches: Tensor, *, dims: int = 2) -> Tensor:
    """Put each value of `signal` at its switch (flat index into the last `dims` axes) in a tensor of zeros shaped like `onto`.

    Where several share a place the last in row-major order stands there: `max_unpool` made deterministic.
    """
    lead = signal.shape[: signal.dim() - dims]
    values, index = signal.reshape(*lead, -1), switches.reshape(*lead, -1)
    order = torch.arange(index.shape[-1], device=index.device).expand_as(index)
    last = torch.full((*lead, onto.shape[-dims:].numel()), -1, device=index.device, dtype=torch.long)
    last = last.scatter_reduce(-1, index, order, "amax")
    out = torch.where(last >= 0, values.gather(-1, last.clamp(min=0)), values.new_zeros(()))
    return out.reshape(onto.shape)


_RELU_RULES = ("gradient", "guided", "deconvnet")
_RELUS = {"threshold_backward", "hardtanh_backward", "leaky_relu_backward", "_prelu_kernel_backward"}
_POOLS = {
    "max_pool2d_with_indices_backward": 2,
    "max_pool3d_with_indices_backward": 3,
    "adaptive_max_pool2d_backward": 2,
    "adaptive_max_pool3d_backward": 3,
}
_OTHERS = {
    **{
        f"{name}_backward": name
        for name in ("elu", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "softplus", "sigmoid", "tanh", "rrelu_with_noise")
    },
    "log_sigmoid_backward": "logsigmoid",
}


def _is_rectifier(name: str, args: tuple[Any, ...]) -> bool:
    """ReLU has threshold 0; ReLU6 is a hard tanh from 0 up."""
    return (name != "threshold_backward" or args[2] == 0) and (name != "hardtanh_backward" or args[2] == 0)


def _through_relu(rule: ReluRule, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    gradient, rest = args[0], args[1:]
    if rule == "guided":
        return func(gradient.clamp(min=0), *rest, **kwargs)
    if name == "leaky_relu_backward":
        return torch.nn.functional.leaky_relu(gradient, float(rest[1]))
    if name == "_prelu_kernel_backward":
        _, to_weight = func(*args, **kwargs)
        return torch.where(gradient > 0, gradient, gradient * rest[1]), to_weight
    if name == "hardtanh_backward":
        return gradient.clamp(min=0, max=float(rest[2]))
    return gradient.clamp(min=0)


class _Clamps(TorchFunctionMode):
    """Runs what is a ReLU by another name as a ReLU: `clamp(min=0)`, `clamp_min(0)`, `maximum(x, 0)`."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _CLAMPS and _cuts_at_zero(name.rstrip("_"), args[1:], kwargs):
            tensor = args[0] if args else kwargs["input"]
            return tensor.relu_() if name.endswith("_") else tensor.relu()
        if name in {"maximum", "max"} and len(args) == 2 and not kwargs and isinstance(args[1], Tensor):
            for tensor, other in (args, args[::-1]):
                if isinstance(tensor, Tensor) and _is_zero(other) and (not other.dim() or other.shape == tensor.shape):
                    return tensor.relu()
        return func(*args, **kwargs)


_CLAMPS = {"clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_"}


def _cuts_at_zero(name: str, rest: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    low = rest[0] if rest else kwargs.get("min")
    high = None if name == "clamp_min" else rest[1] if len(rest) > 1 else kwargs.get("max")
    return low is not None and not isinstance(low, Tensor) and low == 0 and high is None and kwargs.get("out") is None


def _is_zero(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and not tensor.requires_grad and tensor.is_floating_point() and not bool(tensor.any())
