"""`trace`: run a network once in float64, forward and back, and tell every box by its formula."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, StriateError
from striate.draw.numbers import count
from striate.formulas import Formula
from striate.formulas.registry import formulas
from striate.probe import Call, Recording, original, record
from striate.tracing.box import Array, Box, Narration
from striate.tracing.loss_formulas import LogLoss, Total
from striate.tracing.losses import Loss, chosen_loss
from striate.tracing.narrating import Numbers, as_array, deviations, narrate
from striate.tracing.traced import Trace

LIMIT = 1_000_000
"""How many numbers a trace may hold before it asks for a layer."""
EXACT, SINGLE = 1e-10, 1e-4
"""Largest relative difference between formula and torch, in float64 and where a network insists on float32."""


def trace(
    model: nn.Module,
    x: npt.ArrayLike | Tensor | Sequence[Any],
    target: int | npt.ArrayLike | Tensor | None = None,
    loss: str | Callable[[Any], Tensor] | None = None,
    *,
    at: str | Sequence[str] | None = None,
    title: str | None = None,
) -> Trace:
    """Run `model` on `x` once, forward and back, and return every box with its numbers.

    Args:
        model: any nn.Module; it is copied to float64 and left as it was. It runs in the mode it is in (train or eval).
        x: the network's input, batch first (N C H W); a tuple for a network of several inputs.
        target: class numbers (one, or one a sample), or numbers of the output's shape.
        loss: cross_entropy, log_loss, hinge, squared_error, sum, or a function of the output. By default cross-entropy for class
            numbers, squared error for other targets, and without a target the sum of the output.
        at: only these boxes (or blocks); needed where a whole trace would hold more than a million numbers.
        title: what to call the network.

    Every box that `striate.formulas` knows is computed a second time by its formula; both agree to 1e-10 of the largest number,
    or the trace says where they do not. Raises `ArgumentError`.
    """
    inner, notes = original(model)
    wanted = None if at is None else (at,) if isinstance(at, str) else tuple(at)
    inputs = _inputs(x)
    if wanted is None and sum(p.numel() for p in inner.parameters()) * 2 > LIMIT:
        raise _too_large(inner, inputs)
    device = next((p.device for p in inner.parameters()), torch.device("cpu"))
    loss_chosen = chosen_loss(loss, target, shares=_ends_in_softmax(inner), device=device)
    recording, precision, remarks = _recorded(inner, inputs, loss_chosen)
    calls = tuple(_opened(recording.calls)) if wanted is None else _chosen(recording, wanted)
    numbers = sum(sum(t.numel() for t in (*call.inputs, *call.outputs)) for call in calls) * 2
    if wanted is None and numbers > LIMIT:
        raise _too_large(inner, inputs, numbers)
    sources = _sources(recording, inputs, inner)
    tolerance = EXACT if precision == "float64" else SINGLE
    boxes = [_box(call, sources, tolerance) for call in calls]
    end = _loss_box(recording, loss_chosen, boxes, tolerance)
    output = recording.output if isinstance(recording.output, Tensor) else None
    return Trace(
        title=title or type(inner).__name__,
        boxes=(*boxes, end),
        input=as_array(inputs[0]) if inputs and isinstance(inputs[0], Tensor) else None,
        output=None if output is None else as_array(output),
        loss=float(end.output),
        loss_name=loss_chosen.name,
        precision=precision,
        notes=tuple(note for note in (*notes, *recording.notes, *remarks, _mode_note(inner), loss_chosen.note) if note),
        whole=wanted is None,
    )


def _inputs(x: Any) -> tuple[Any, ...]:
    return tuple(_tensor(each) for each in x) if isinstance(x, tuple) else (_tensor(x),)


def _tensor(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    try:
        array = np.asarray(value)
        return torch.from_numpy(np.ascontiguousarray(array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float64)))
    except (TypeError, ValueError):
        raise ArgumentError(f"x: got {type(value).__name__}, expected an array or tensor, batch first (N C H W)") from None


def _recorded(model: nn.Module, inputs: tuple[Any, ...], loss: Loss) -> tuple[Recording, str, list[str]]:
    """Run a float64 copy; a network that insists on float32 is run in that, and it is said."""
    try:
        twin = copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(f"model: {type(model).__name__} cannot be copied ({error}); trace a network that copy.deepcopy copies") from None
    embeds = any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) for module in twin.modules())
    try:
        return record(twin.double(), *_cast(inputs, torch.float64, embeds=embeds), loss=loss.function), "float64", []
    except StriateError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if not any(word in str(error) for word in ("dtype", "scalar type", "Float", "Double")):
            raise _unrunnable(model, inputs, error) from error
    note = "the network does not run in float64, so it ran in float32: formula and torch agree to fewer digits"
    try:
        return record(twin.float(), *_cast(inputs, torch.float32, embeds=embeds), loss=loss.function), "float32", [note]
    except StriateError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise _unrunnable(model, inputs, error) from error


def _unrunnable(model: nn.Module, inputs: tuple[Any, ...], error: Exception) -> ArgumentError:
    mode = " It is in training mode; model.eval() uses the running statistics." if model.training else ""
    return ArgumentError(f"x: {type(model).__name__} does not run on {_shapes(inputs)}: {str(error).splitlines()[0]}.{mode}".replace("..", "."))


def _cast(inputs: tuple[Any, ...], kind: torch.dtype, *, embeds: bool) -> tuple[Any, ...]:
    def one(value: Any) -> Any:
        keep = not isinstance(value, Tensor) or (embeds and not value.is_floating_point())
        return value if keep else value.to(kind)

    return tuple(one(value) for value in inputs)


def _shapes(inputs: Iterable[Any]) -> str:
    return ", ".join("x".join(map(str, value.shape)) for value in inputs if isinstance(value, Tensor))


def _mode_note(model: nn.Module) -> str:
    """What training mode changes, where it changes something."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
    changed = any(module.training and isinstance(module, kinds) for module in model.modules())
    return "in training mode: batch statistics are the batch's own and dropout drops" if changed else ""


def _ends_in_softmax(model: nn.Module) -> bool:
    leaves = [module for module in model.modules() if not list(module.children())]
    return bool(leaves) and isinstance(leaves[-1], nn.Softmax)


def _opened(calls: Iterable[Call]) -> Iterable[Call]:
    """The calls; a module of the user's own that only calls functions is opened, so that they are seen."""
    for call in calls:
        if call.inside and isinstance(narrate(call), str):
            yield from _opened(call.inside)
        else:
            yield call


def _chosen(recording: Recording, wanted: Sequence[str]) -> tuple[Call, ...]:
    everything = tuple(_opened(recording.calls))
    picked: list[Call] = []
    for name in wanted:
        found = [call for call in everything if name in (call.key, call.address) or call.address.startswith((f"{name}.", f"{name}/"))]
        if not found:
            _ = recording[name]  # raises with the nearest names
        picked += [call for call in found if call not in picked]
    return tuple(picked)


def _too_large(model: nn.Module, inputs: tuple[Any, ...], numbers: int | None = None) -> ArgumentError:
    parameters = sum(p.numel() for p in model.parameters())
    layers = [name for name, module in model.named_modules() if name and not list(module.children())]
    held = f"{count(parameters)} parameters and their gradients"
    if numbers is not None:
        held += f" and {count(numbers)} inputs, outputs and messages"
    first = layers[0] if layers else "conv1"
    return ArgumentError(
        f"model: a trace of all of {type(model).__name__} on {_shapes(inputs)} would hold {held}; nobody reads more than {count(LIMIT)} numbers. "
        f'Choose a layer: striate.trace(model, x, at="{first}"), then a place in it: .explain("{first}", out=(channel, row, column)). '
        f"Its {len(layers)} layers: {', '.join(layers[:4])}{' … ' + layers[-1] if len(layers) > 4 else ''}"
    )


def _sources(recording: Recording, inputs: tuple[Any, ...], model: nn.Module) -> Callable[[Call], tuple[str | None, ...]]:
    """Find where a call's inputs come from: the latest earlier output with the same numbers."""
    order = list(recording.calls) + [each for call in recording.calls for each in call.inside]

    def same(a: Tensor, b: Any) -> bool:
        return isinstance(b, Tensor) and a.shape == b.shape and bool((a == b.to(a.dtype)).all())

    def find(call: Call) -> tuple[str | None, ...]:
        own = next((place for place, each in enumerate(order) if each is call), len(order))
        before = order[:own]

        def one(tensor: Tensor) -> str | None:
            for earlier in reversed(before):
                if any(same(tensor, out) for out in earlier.outputs):
                    return earlier.key
            if any(same(tensor, value) for value in inputs):
                return "input"
            return next((f"parameter {name}" for name, value in model.named_parameters() if same(tensor, value.detach())), None)

        return tuple(one(tensor) for tensor in call.inputs)

    return find


def _box(call: Call, sources: Callable[[Call], tuple[str | None, ...]], tolerance: float) -> Box:
    notes: list[str] = []
    if call.in_place:
        notes.append("writes into its input; the input shown is the one before")
    if len(call.outputs) != 1:
        notes.append(f"has {len(call.outputs)} outputs; the first is shown")
    module = call.module
    parameters = {} if module is None else {name: as_array(value) for name, value in module.named_parameters(recurse=False)}
    message = call.message[0] if isinstance(call.message, tuple) and call.message else call.message
    box = Box(
        name=call.key,
        operation=call.operation,
        inputs=tuple(as_array(tensor) for tensor in call.inputs),
        output=as_array(call.outputs[0]) if call.outputs else np.zeros(0),
        parameters=parameters,
        gradients={name: as_array(value) for name, value in call.parameter_gradients.items()},
        message=as_array(message) if isinstance(message, Tensor) else None,
        input_messages=tuple(None if back is None else as_array(back) for back in call.input_messages),
        sources=sources(call),
        tolerance=tolerance,
    )
    narration = narrate(call)
    if isinstance(narration, str):
        return replace(box, notes=(*notes, narration))
    return _checked(replace(box, options=_plain_options(narration), narration=narration), notes)


def _checked(box: Box, notes: list[str]) -> Box:
    """Compute the box again by its formula, and say where the two differ."""
    if box.narration is None:
        return replace(box, notes=tuple(notes))
    try:
        found = deviations(box.narration, box.arrays(), Numbers(box.output, box.message, box.input_messages, box.gradients))
    except ArgumentError as error:
        reason = f"striate's formula of {box.operation} does not take this call ({error}): the numbers are torch's and autograd's"
        return replace(box, narration=None, options={}, notes=(*notes, reason))
    wrong = [f"{name} by {difference:.1e}" for name, difference in found.items() if difference > box.tolerance]
    if wrong:
        notes.append(f"MISMATCH between the formula and torch: {', '.join(wrong)} of the largest number; the numbers shown are torch's")
    return replace(box, deviations=found, notes=tuple(notes))


def _plain_options(narration: Narration) -> Mapping[str, Any]:
    formula: Any = narration.formula
    return {field.name: getattr(formula, field.name) for field in dataclasses.fields(formula)}


def _loss_box(recording: Recording, loss: Loss, boxes: list[Box], tolerance: float) -> Box:
    """The loss as the last box: its input is the network's output, its message is 1."""
    if recording.loss is None:
        raise ArgumentError("loss: nothing was recorded")
    value: Array = as_array(recording.loss)
    output = recording.output
    if not isinstance(output, Tensor):
        return Box("loss", loss.name, (), value, message=np.ones(()), notes=("a function of your own: only its value is shown",))
    leaf = output.detach().clone().requires_grad_()
    back = torch.autograd.grad(loss.function(leaf), leaf, allow_unused=True)[0]
    source = boxes[-1].name if boxes else None
    narration = loss_narration(loss, output)
    notes = [] if narration is not None else ["striate has no formula for this loss: its number is torch's, the message autograd's"]
    box = Box(
        "loss",
        loss.name,
        (as_array(output),),
        value,
        message=np.ones(()),
        input_messages=(None if back is None else as_array(back),),
        sources=(source,),
        narration=narration,
        options={} if narration is None else _plain_options(narration),
        tolerance=tolerance,
    )
    return _checked(box, notes)


def loss_narration(loss: Loss, output: Tensor) -> Narration | None:
    """Return how a named loss is told by its formula; None where there is none."""
    if loss.name == "sum":
        return Narration("sum", Total(), ("x",), (("input", 0),))
    if loss.target is None:
        return None
    if loss.name == "squared_error":
        goal = loss.target.reshape(output.shape)
    else:
        goal = loss.target.reshape(-1).expand(len(output))
    formula: Formula = LogLoss() if loss.name == "log_loss" else formulas.get(loss.name)()
    return Narration(loss.name, formula, formula.arrays, (("input", 0), ("value", as_array(goal))))
