"""A network with several outputs: what named modules give, in one pass, and nothing behind the last of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx, nn

from striate.core.errors import ArgumentError, unknown_name
from striate.surgery.following import copied, followed, note


def outputs_at(model: nn.Module, at: Sequence[str]) -> nn.Module:
    """Return a copy that gives a tuple: the outputs of the modules `at` (dotted paths), in their order; what comes after the last is gone.

    It is a `torch.fx.GraphModule` with the model's parameter names, followed in evaluation mode. Raises `UnknownNameError` for a path that is not
    there, `ArgumentError` for a module that is called several times or not at all, or a model that cannot be followed.
    """
    whole = copied(model)
    paths = [path for path, _ in whole.named_modules() if path]
    for path in at:
        if path not in paths:
            raise unknown_name("module", path, paths)
    training = whole.training
    graph = followed(whole.eval(), f"read it at {', '.join(at)}")
    ends = tuple(_end(graph, path) for path in at)
    old = next(node for node in graph.nodes if node.op == "output")
    graph.erase_node(old)
    graph.output(ends)
    shorter = fx.GraphModule(whole, graph, type(model).__name__)
    shorter.graph.eliminate_dead_code()
    shorter.recompile()
    shorter.delete_all_unused_submodules()
    shorter.train(training)
    note(shorter, f"read at {', '.join(at)}; what comes after is gone")
    return shorter


def _end(graph: fx.Graph, path: str) -> fx.Node:
    """Return the step that gives what the module at `path` gives."""
    inside: list[fx.Node] = [node for node in graph.nodes if _within(node, path)]
    if not inside:
        raise ArgumentError(f"at: {path} is not called in one pass of the model in evaluation mode")
    if sum(str(node.target) == path for node in inside) > 1:
        raise ArgumentError(f"at: {path} is called several times in one pass; read at a module that is called once")
    read_outside = [node for node in inside if any(user not in inside for user in node.users)]
    return read_outside[-1] if read_outside else inside[-1]


def _within(node: fx.Node, path: str) -> bool:
    stack = (node.meta.get("nn_module_stack") or {}).values()
    return any(each == path or each.startswith(f"{path}.") for each, _ in stack) or str(node.target) == path
