"""`trace`: run a network once in float64, forward and back, and tell every box by its formula."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, StriateError
from striate.draw.numbers import count
from striate.probe import Call, Recording, original, record
from striate.probe.hooks import without_plain_hooks
from striate.tracing.box import Box
from striate.tracing.boxing import box_of, loss_box, loss_message
from striate.tracing.checking import check_parameters, input_tensor
from striate.tracing.losses import LOSSES, Loss, LossFailed, chosen_loss, failing_as_such
from striate.tracing.narrating import as_array, narrate
from striate.tracing.sourcing import Sources
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
        model: any nn.Module; a copy of it runs in float64 on the CPU, it is left as it was. The mode is its own (train or eval). Functions hooked
            to it do not run, and it is said. Its parameters must be finite.
        x: the network's input, batch first (N C H W), finite numbers; a tuple for a network of several inputs (of which those after the first
            may hold infinity, as attention masks do).
        target: class numbers (one, or one a sample), or numbers of the output's shape.
        loss: cross_entropy, log_loss, hinge, squared_error, sum, or a function of the output. By default cross-entropy for class
            numbers, squared error for other targets, and without a target the sum of the output.
        at: only these boxes (or blocks); needed where a whole trace would hold more than a million numbers.
        title: what to call the network.

    Every box that `striate.formulas` knows is computed a second time by its formula; both agree to 1e-10 of the largest number
    (of the largest term, where a sum cancels to nothing), or the trace says where they do not. Raises `ArgumentError`.
    """
    inner, notes = original(model)
    wanted = None if at is None else (at,) if isinstance(at, str) else tuple(at)
    inputs = _inputs(x)
    check_parameters(inner)
    if wanted is None and sum(p.numel() for p in inner.parameters()) * 2 > LIMIT:
        raise _too_large(inner, inputs)
    loss_chosen = chosen_loss(loss, target, shares=_ends_in_softmax(inner))
    twin, recording, precision, remarks = _recorded(inner, inputs, loss_chosen)
    everything = tuple(_opened(recording.calls))
    calls = everything if wanted is None else _chosen(recording, everything, wanted)
    numbers = sum(sum(t.numel() for t in (*call.inputs, *call.outputs)) for call in calls) * 2
    if wanted is None and numbers > LIMIT:
        raise _too_large(inner, inputs, numbers)
    back = loss_message(recording, loss_chosen)
    sources = Sources(everything, inputs, twin, recording.output, back)
    tolerance = EXACT if precision == "float64" else SINGLE
    boxes = [box_of(call, sources.of(call), tolerance) for call in calls]
    end = loss_box(recording, loss_chosen, back, sources.of_output(), tolerance)
    output = recording.output if isinstance(recording.output, Tensor) else None
    overflow = _overflow_note((*boxes, end)) if all(bool(each.isfinite().all()) for each in inputs) else ""
    return Trace(
        title=title or _name(inner),
        boxes=(*boxes, end),
        input=as_array(inputs[0]) if inputs and isinstance(inputs[0], Tensor) else None,
        output=None if output is None else as_array(output),
        loss=float(end.output),
        loss_name=loss_chosen.name,
        precision=precision,
        notes=tuple(note for note in (*notes, *recording.notes, *remarks, _mode_note(inner), loss_chosen.note, overflow) if note),
        whole=wanted is None,
    )


def _inputs(x: Any) -> tuple[Tensor, ...]:
    if not isinstance(x, tuple):
        return (input_tensor("x", x),)
    return tuple(input_tensor(f"x[{place}]", each, masks=place > 0) for place, each in enumerate(x))


def _recorded(model: nn.Module, inputs: tuple[Tensor, ...], loss: Loss) -> tuple[nn.Module, Recording, str, list[str]]:
    """Run a float64 copy; a network (or loss) that insists on float32 is run in that, and it is said."""
    try:
        twin = copy.deepcopy(model).cpu()
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(f"model: {type(model).__name__} cannot be copied ({error}); trace a network that copy.deepcopy copies") from None
    gone = without_plain_hooks(twin)
    remarks = [f"{gone} hook{'s' * (gone != 1)} of the model did not run while it was traced"] if gone else []
    embeds = any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) for module in twin.modules())
    function = failing_as_such(loss)
    try:
        return twin, record(twin.double(), *_cast(inputs, torch.float64, embeds=embeds), loss=function), "float64", remarks
    except StriateError:
        raise
    except (LossFailed, RuntimeError, ValueError, TypeError, IndexError) as error:
        if not any(word in str(error) for word in ("dtype", "scalar type", "Float", "Double")):
            raise _unrunnable(model, inputs, loss, error) from error
        insists = "the loss" if isinstance(error, LossFailed) else "the network"
    remarks.append(f"{insists} does not run in float64, so it ran in float32: formula and torch agree to fewer digits")
    try:
        return twin, record(twin.float(), *_cast(inputs, torch.float32, embeds=embeds), loss=function), "float32", remarks
    except StriateError:
        raise
    except (LossFailed, RuntimeError, ValueError, TypeError, IndexError) as error:
        raise _unrunnable(model, inputs, loss, error) from error


def _unrunnable(model: nn.Module, inputs: tuple[Tensor, ...], loss: Loss, error: Exception) -> ArgumentError:
    told = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    if isinstance(error, LossFailed):
        came = f"shape {_shapes((error.output,))}" if isinstance(error.output, Tensor) else type(error.output).__name__
        return ArgumentError(
            f"loss: {loss.name} does not run on the network's output, {came}: {told}. "
            f"Give a function of the output alone that returns one number, such as lambda y: y.square().mean(), or one of {', '.join(LOSSES)}"
        )
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    trains = any(module.training and isinstance(module, norms) for module in model.modules())
    mode = " It is in training mode; model.eval() uses the running statistics." if trains else ""
    return ArgumentError(f"x: {type(model).__name__} does not run on {_shapes(inputs)}: {told}.{mode}")


def _cast(inputs: tuple[Any, ...], kind: torch.dtype, *, embeds: bool) -> tuple[Any, ...]:
    def one(value: Any) -> Any:
        keep = not isinstance(value, Tensor) or (embeds and not value.is_floating_point())
        return value if keep else value.to(kind)

    return tuple(one(value) for value in inputs)


def _shapes(inputs: Iterable[Any]) -> str:
    return ", ".join("x".join(map(str, value.shape)) for value in inputs if isinstance(value, Tensor))


def _name(model: nn.Module) -> str:
    from striate.zoo import spec_of

    spec = spec_of(model)
    return type(model).__name__ if spec is None else spec.name


def _mode_note(model: nn.Module) -> str:
    """What training mode changes, where it changes something."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
    changed = any(module.training and isinstance(module, kinds) for module in model.modules())
    return "in training mode: batch statistics are the batch's own and dropout drops" if changed else ""


def _overflow_note(boxes: Sequence[Box]) -> str:
    """Where numbers stop being finite: forward, or else on the way back."""
    first = next((box.name for box in boxes if not np.isfinite(box.output).all()), None)
    if first is not None:
        return f"numbers overflow on the way: {first} is the first whose output holds NaN or infinity"
    last = next((box.name for box in reversed(boxes) if any(back is not None and not np.isfinite(back).all() for back in box.input_messages)), None)
    return "" if last is None else f"numbers overflow on the way back: {last} is the first whose message holds NaN or infinity"


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


def _chosen(recording: Recording, everything: Sequence[Call], wanted: Sequence[str]) -> tuple[Call, ...]:
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
        f"model: a trace of all of {_name(model)} on {_shapes(inputs)} would hold {held}; nobody reads more than {count(LIMIT)} numbers. "
        f'Choose a layer (at="{first}", or --at {first}), then a place in it (.explain("{first}", out=(channel, row, column))). '
        f"Its {len(layers)} layers: {', '.join(layers[:4])}{' … ' + layers[-1] if len(layers) > 4 else ''}"
    )
