"""From recorded calls to boxes: numbers as float64, and every box computed again by its formula."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.formulas import Formula
from striate.formulas.registry import formulas
from striate.probe import Call, Recording
from striate.probe.hooks import has_hooks
from striate.tracing.box import Array, Box, Narration
from striate.tracing.comparing import Numbers, connections, deviations, overflowing, spot_deviations
from striate.tracing.loss_formulas import LogLoss, Total
from striate.tracing.losses import Loss
from striate.tracing.narrating import as_array, has_forward_of_its_own, narrate

WHOLE, SPOTS = 60_000, 12
"""Connections of windows and taps up to which a box is computed again as a whole; of a larger one, so many places of each array are."""


def box_of(call: Call, sources: tuple[str | None, ...], tolerance: float) -> Box:
    """Return the box of a call, checked against its formula where one is known; `sources` tell where its inputs come from."""
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
        sources=sources,
        tolerance=tolerance,
    )
    narration = narrate(call)
    if isinstance(narration, str):
        return replace(box, notes=(*notes, narration))
    more = ""
    if module is not None and has_forward_of_its_own(module):
        more = f"{box.operation} computes more than the layer it descends from"
    elif module is not None and has_hooks(module):
        more = f"a hook changes what {box.operation} does"
    return _checked(replace(box, options=_plain_options(narration), narration=narration), notes, more=more)


def _checked(box: Box, notes: list[str], *, more: str = "") -> Box:
    """Compute the box again by its formula, and say where the two differ; where `more` says why they may, the box is not told."""
    if box.narration is None:
        return replace(box, notes=tuple(notes))
    if odd := box.not_finite:
        return _untold(box, notes, f"{odd} holds NaN or infinity, of which the formula of {box.operation} makes no terms")
    torchs = Numbers(box.output, box.message, box.input_messages, box.gradients)
    try:
        with np.errstate(all="ignore"):
            if connections(box.narration, box.output, box.arrays()) > WHOLE:
                found = spot_deviations(box.narration, box.arrays(), torchs, places=SPOTS)
                notes = [*notes, f"a large box: its formula was checked at up to {SPOTS} places of each array"]
            else:
                found = deviations(box.narration, box.arrays(), torchs, box.tolerance)
    except (ArgumentError, ArithmeticError) as error:
        return _untold(box, notes, f"striate's formula of {box.operation} does not take this call ({error})")
    wrong = [f"{name} by {difference:.1e}" for name, difference in found.items() if difference > box.tolerance]
    if wrong and more:
        return _untold(box, notes, more, whose="its")
    if over := overflowing(torchs):
        notes.append(f"{over}: NaN or infinity, which is not compared with the formula")
    if wrong:
        notes.append(f"MISMATCH between the formula and torch: {', '.join(wrong)} of the largest number; the numbers shown are torch's")
    return replace(box, deviations=found, notes=tuple(notes))


def _untold(box: Box, notes: list[str], why: str, *, whose: str = "the") -> Box:
    """The box without its formula, and why."""
    reason = f"{why}: {whose} numbers are torch's and autograd's"
    return replace(box, narration=None, options={}, untold=reason, notes=(*notes, reason))


def _plain_options(narration: Narration) -> Mapping[str, Any]:
    formula: Any = narration.formula
    return {field.name: getattr(formula, field.name) for field in dataclasses.fields(formula)}


def loss_message(recording: Recording, loss: Loss) -> Tensor | None:
    """The message that the loss sends to the network's output; None where the output is not one tensor, or the loss leaves it out."""
    if not isinstance(recording.output, Tensor):
        return None
    leaf = recording.output.detach().clone().requires_grad_()
    return torch.autograd.grad(loss.function(leaf), leaf, allow_unused=True)[0]


def loss_box(recording: Recording, loss: Loss, back: Tensor | None, source: str | None, tolerance: float) -> Box:
    """The loss as the last box: its input is the network's output (from `source`), `back` what it sends to it, its own message is 1."""
    if recording.loss is None:
        raise ArgumentError("loss: nothing was recorded")
    value: Array = as_array(recording.loss)
    output = recording.output
    if not isinstance(output, Tensor):
        return Box("loss", loss.name, (), value, message=np.ones(()), notes=("a function of your own: only its value is shown",))
    narration = _loss_narration(loss, output)
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


def _loss_narration(loss: Loss, output: Tensor) -> Narration | None:
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
