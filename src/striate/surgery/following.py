"""What the operations share: a copy to work on, the network's graph as torch.fx follows it, shapes along it, and notes of what was done."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from striate.core.errors import ArgumentError
from striate.probe import original

NOTES, LOADED = "striate_surgery", "striate_loaded"
"""Where notes stand on a network, and where `zoo.load_weights` writes what it loaded."""


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy to work on (of the network itself, where it comes wrapped for compiling or data-parallel training)."""
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model: got {type(model).__name__}, expected an nn.Module")
    inner = unwrapped(model)
    if isinstance(inner, torch.jit.ScriptModule):
        raise ArgumentError("model: a scripted or traced network cannot be changed or cut; give the Python network it was made from")
    return deep_copy(inner)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network under the wrappers of `torch.compile` and data-parallel training."""
    inner, _ = original(model)
    while isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner, _ = original(inner.module)
    return inner


def deep_copy(model: nn.Module) -> nn.Module:
    """Return a deep copy. Raises `ArgumentError` for a network that holds what cannot be copied, and says what to do."""
    lazy = next((path for path, parameter in model.named_parameters() if nn.parameter.is_lazy(parameter)), None)
    if lazy is not None:
        raise ArgumentError(f"model: {lazy} has no shape yet, for its layer is lazy; call the model once on a batch, then it has one")
    try:
        return copy.deepcopy(model)
    except Exception as error:  # a module may hold anything
        first = (str(error).strip().splitlines() or [""])[0]
        raise ArgumentError(
            f"model: {type(model).__name__} cannot be copied ({type(error).__name__}: {first}). Use torch.nn.utils.parametrizations.weight_norm or "
            f"spectral_norm in place of torch.nn.utils.weight_norm; keep locks, files and generators out of the network, or define __deepcopy__"
        ) from error


def told(model: nn.Module, path: str) -> str:
    """Return in one short line what stands at a path of `Ends`, for errors: a module, a function of a parameter, or nothing."""
    if path.endswith("()") and "." in path:
        return f"a function of {path.removesuffix('()')}"
    if path.endswith("()"):
        path = ""
    module = model.get_submodule(path)
    words = " ".join(f"{type(module).__name__}({module.extra_repr()})".split())
    return f"{path or 'the model itself'}, {words if len(words) <= 100 else type(module).__name__}"


def note(model: nn.Module, words: str) -> None:
    """Write down what was done, for `notes`."""
    object.__setattr__(model, NOTES, (*notes(model), words))


def forget(model: nn.Module, *, fresh: tuple[str, ...] = (), classes: bool = False, preprocess: bool = False) -> None:
    """Take back what is written on a network about its loaded weights (`zoo.loaded_into`) and holds no more; `fresh` modules are named there."""
    loaded = getattr(model, LOADED, None)
    if loaded is not None:
        gone = ({"classes": ()} if classes else {}) | ({"preprocess": None} if preprocess else {})
        object.__setattr__(model, LOADED, dataclasses.replace(loaded, fresh=(*loaded.fresh, *fresh), **gone))


def notes(model: nn.Module) -> tuple[str, ...]:
    """Return in words what surgery did to this network, oldest first; empty for an untouched one."""
    found = getattr(model, NOTES, ())
    return found if isinstance(found, tuple) else ()


class _Tracer(fx.Tracer):
    """Follows a forward pass; torch's and striate's own layers are single steps, and those of the kinds `whole`."""

    whole: tuple[type[nn.Module], ...] = ()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            isinstance(m, self.whole)
            or m.__module__.startswith(("striate.layers", "striate.surgery.marks"))
            or super().is_leaf_module(m, module_qualified_name)
        )


def followed(model: nn.Module, purpose: str, *, whole: tuple[type[nn.Module], ...] = ()) -> fx.Graph:
    """Return the graph of a model's forward pass in the mode it is in; modules of the kinds `whole` are single steps.

    Raises `ArgumentError` where it cannot be followed without running it.
    """
    tracer = _Tracer()
    tracer.whole = whole
    try:
        return tracer.trace(model)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ArgumentError(
            f"model: the forward pass of {type(model).__name__} cannot be followed to {purpose} ({type(error).__name__}: {first}). "
            f"It may branch on values or shapes; spell those parts as modules (nn.Sequential, nn.Flatten) or as a module of their own"
        ) from error


class Shapes(fx.Interpreter):
    """Runs a graph on zeros, in evaluation mode and without gradients, and keeps the shape of every step's output."""

    def __init__(self, model: nn.Module, graph: fx.Graph, input_shape: Sequence[int]) -> None:
        super().__init__(fx.GraphModule(model, graph), garbage_collect_values=True)
        self.found: dict[str, tuple[int, ...]] = {}
        weight = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
        modes = {module: module.training for module in model.modules()}
        try:
            model.eval()
            with torch.no_grad():
                self.run(torch.zeros(1, *input_shape, dtype=weight.dtype, device=weight.device))
        except (RuntimeError, ValueError) as error:
            raise ArgumentError(f"input: {tuple(input_shape)} does not go through {type(model).__name__}: {error}") from error
        finally:
            graph.owning_module = None
            for module, mode in modes.items():
                module.training = mode

    def run_node(self, n: fx.Node) -> Any:
        """Run one step and note its shape."""
        out = super().run_node(n)
        if isinstance(out, Tensor):
            self.found[n.name] = tuple(out.shape)
        return out


def module_of(model: nn.Module, node: Any) -> nn.Module | None:
    """Return the module a step calls, or None where it calls a function."""
    return model.get_submodule(str(node.target)) if isinstance(node, fx.Node) and node.op == "call_module" else None


def replace_module(model: nn.Module, path: str, new: nn.Module) -> None:
    """Put `new` where the module at `path` is, in the same mode."""
    parent, _, name = path.rpartition(".")
    new.train(model.get_submodule(path).training)
    setattr(model.get_submodule(parent), name, new)
