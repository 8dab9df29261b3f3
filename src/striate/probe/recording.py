"""`record`: run a model once and tell everything it did, with the gradients when a loss is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.utils._pytree import tree_map_only

from striate.core.errors import ArgumentError
from striate.probe.calls import Call, Recording, tensors
from striate.probe.keeping import released
from striate.probe.untouched import traceless
from striate.probe.unwrapping import original
from striate.probe.watching import Draft, Edge, Share, Watch, scripted


def record(model: nn.Module, *inputs: Any, loss: Callable[[Any], Tensor] | None = None) -> Recording:
    """Run `model(*inputs)` once, in the mode it is in, and return what every leaf module and every torch function between them did.

    `loss` maps the model's output to one number; with it, messages and parameter gradients come too, also for frozen parameters.
    Works on any nn.Module, with in-place operations and reused modules, and under FakeTensorMode. The model, its mode, gradients, buffers
    and the random state are left as they were, the inputs are not written.

    Raises `ArgumentError` when the model is no nn.Module, or the loss is no single number that depends on the input or a parameter.
    """
    inner, notes = original(model)
    if closed := scripted(inner):
        notes += (f"{len(closed)} scripted modules could not be watched: their calls and parameter gradients are missing",)
    with traceless(inner), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(loss is not None))
        if loss is not None:
            for parameter in inner.parameters():
                if (parameter.is_floating_point() or parameter.is_complex()) and not parameter.is_inference():
                    parameter.requires_grad_()
        given = tree_map_only(Tensor, lambda tensor: _own(tensor, gradients=loss is not None), inputs)
        watch = Watch(inner, gradients=loss is not None)
        with watch.watching():
            output = inner(*given)
        value = None if loss is None else _loss_of(loss, output)
        gradients = _Gradients(value, watch.calls + watch.blocks) if value is not None else None
        calls = tuple(_call(draft, gradients) for draft in watch.calls)
        blocks = tuple(_call(draft, gradients) for draft in watch.blocks)
        plain = tree_map_only(Tensor, Tensor.detach, output)
        return Recording(calls, plain, None if value is None else value.detach(), blocks, notes)


def _own(tensor: Tensor, *, gradients: bool) -> Tensor:
    """A copy of an input: the model may write into it, and a gradient may flow to it."""
    copy = tensor.detach().clone()
    if gradients and (copy.is_floating_point() or copy.is_complex()):
        return copy.requires_grad_().clone()
    return copy


def _loss_of(loss: Callable[[Any], Tensor], output: Any) -> Tensor:
    value = loss(output)
    if not isinstance(value, Tensor) or value.numel() != 1:
        came = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError(f"loss: returned {came}, expected one number as a tensor")
    if not value.requires_grad:
        raise ArgumentError("loss: the number depends neither on an input nor on a parameter, so there is no gradient to record")
    return value.reshape(())


class _Gradients:
    """All gradients the drafts ask for, from one backward pass."""

    def __init__(self, loss: Tensor, drafts: list[Draft]) -> None:
        wanted: dict[tuple[int, int], Any] = {}
        for draft in _all(drafts):
            for place in (*draft.input_edges, *draft.output_edges, *draft.parameter_edges.values()):
                if isinstance(place, GradientEdge):
                    wanted[id(place.node), place.output_nr] = place
        self._edges = wanted  # also keeps the nodes, and so their ids, alive
        found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True) if wanted else ()
        self._found = dict(zip(wanted, found, strict=True))

    def at(self, place: Edge) -> Tensor | None:
        """Return the gradient that passed at `place`."""
        if isinstance(place, Share):
            found = place.gradient
        else:
            found = None if place is None else self._found[id(place.node), place.output_nr]
        return None if found is None else found.detach()


def _all(drafts: list[Draft]) -> list[Draft]:
    return [each for draft in drafts for each in (draft, *_all(draft.inside))]


def _call(draft: Draft, gradients: _Gradients | None) -> Call:
    args, kwargs, output = released((draft.args, draft.kwargs, draft.output))
    message: Any = None
    sent: tuple[Tensor | None, ...] = ()
    shares: dict[str, Tensor] = {}
    if gradients is not None:
        back = tuple(gradients.at(place) for place in draft.output_edges)
        message = back[0] if isinstance(output, Tensor) else back if any(g is not None for g in back) else None
        sent = tuple(gradients.at(place) for place in draft.input_edges)
        shares = {name: found for name, place in draft.parameter_edges.items() if (found := gradients.at(place)) is not None}
    return Call(
        address=draft.address,
        operation=draft.operation,
        module=draft.module,
        function=draft.function,
        args=args,
        kwargs=kwargs,
        output=output,
        turn=draft.turn,
        in_place=draft.in_place,
        message=message,
        input_messages=sent or (None,) * len(tensors((args, kwargs))),
        parameter_gradients=shares,
        inside=tuple(_call(each, gradients) for each in draft.inside),
    )
