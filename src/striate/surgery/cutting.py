"""Cutting a network: everything after a named module goes, and its output becomes the network's."""

from __future__ import annotations

from torch import fx, nn

from striate.core.errors import ArgumentError, unknown_name
from striate.surgery.following import copied, followed, note


def cut(model: nn.Module, at: str) -> nn.Module:
    """Return a copy that ends with the module `at` (a dotted path) and gives its output; what comes after, weights included, is gone.

    A chain (`nn.Sequential`, and any network of the zoo whose path leads through chains) stays a chain of the same boxes; any other model becomes a
    `torch.fx.GraphModule` with the same parameter names. The mode and the weights are the model's. Raises `UnknownNameError` for a path that is not
    there, `ArgumentError` for a module that is called several times, or for a model that cannot be followed.
    """
    whole = copied(model)
    paths = [path for path, _ in whole.named_modules() if path]
    if at not in paths:
        raise unknown_name("module", at, paths)
    shorter = _chain(whole, at.split("."))
    shorter = _graph(whole, at) if shorter is None else shorter
    gone = len(list(whole.parameters())) - len(list(shorter.parameters()))
    note(shorter, f"cut after {at}: {gone} of {len(list(whole.parameters()))} parameter tensors are gone")
    return shorter


def _chain(block: nn.Module, way: list[str]) -> nn.Module | None:
    """Shorten nested chains along the way; None where some block on it is no chain."""
    if not way:
        return block
    if not isinstance(block, nn.Sequential):
        return None
    names = list(dict(block.named_children()))
    last = _chain(block.get_submodule(way[0]), way[1:])
    if last is None:
        return None
    kept = block[: names.index(way[0]) + 1]
    setattr(kept, way[0], last)
    kept.training = block.training
    return kept


def _graph(model: nn.Module, at: str) -> nn.Module:
    graph = followed(model, f"cut it after {at}")
    members = [node for node in graph.nodes if _within(node, at)]
    if not members:
        raise ArgumentError(f"at: {at} is not called in one pass of the model in {'training' if model.training else 'evaluation'} mode")
    if sum(str(node.target) == at for node in members) > 1:
        raise ArgumentError(f"at: {at} is called several times in one pass; cut at a module that is called once")
    read_outside = [node for node in members if any(user not in members for user in node.users)]
    end = read_outside[-1] if read_outside else members[-1]
    output = next(node for node in graph.nodes if node.op == "output")
    graph.erase_node(output)
    graph.output(end)
    shorter = fx.GraphModule(model, graph, type(model).__name__)
    shorter.graph.eliminate_dead_code()
    shorter.recompile()
    shorter.delete_all_unused_submodules()
    shorter.train(model.training)
    return shorter


def _within(node: fx.Node, at: str) -> bool:
    """Tell whether a step belongs to the module `at`, or to one inside it."""
    return any(path == at or path.startswith(f"{at}.") for path, _ in (node.meta.get("nn_module_stack") or {}).values()) or str(node.target) == at
