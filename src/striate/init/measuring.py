"""What a start does to signals: deviations, saturation and dead units of activations and gradients, layer by layer, from one pass."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.init.following import nonlinearity_of
from striate.init.unit_variance import input_of
from striate.probe import Call, record

if TYPE_CHECKING:
    from striate.draw import Figure

SATURATED = 0.05
"""A unit is saturated where its derivative is below this share of its largest."""


@dataclass(frozen=True)
class Row:
    """One layer's figures over the batch; what was not measured is None.

    `kind`      the layer's class, or the function's name
    `mean`, `deviation`   of all activations
    `saturated` share of activations where the nonlinearity's derivative is below 5 % of its largest (for ReLU: that are zero)
    `dead`      share of units (channels, features) saturated for every sample and place of the batch
    `gradient_mean`, `gradient_deviation`  of the messages that arrive at the output
    `alike`     whether all units get the same message (to 1e-6 of the largest): then they stay copies of each other
    """

    layer: str
    kind: str
    nonlinearity: str | None
    units: int
    mean: float
    deviation: float
    saturated: float | None
    dead: float | None
    gradient_mean: float | None
    gradient_deviation: float | None
    alike: bool | None


@dataclass(frozen=True)
class Statistics:
    """The rows of one pass, in the order the layers ran; prints as a table."""

    rows: tuple[Row, ...]
    samples: int
    loss: float | None
    notes: tuple[str, ...] = ()

    @property
    def activations(self) -> tuple[Row, ...]:
        """The rows of nonlinearities."""
        return tuple(row for row in self.rows if row.nonlinearity is not None)

    def __str__(self) -> str:
        wide = max(len(row.layer) for row in self.rows)
        kind = max(len(row.kind) for row in self.rows)
        head = f"{'layer':{wide}}  {'kind':{kind}}  {'units':>6}  {'mean':>9}  {'deviation':>9}  {'saturated':>9}  {'dead':>7}  {'gradient':>9}"
        lines = [
            f"{row.layer:{wide}}  {row.kind:{kind}}  {row.units:6}  {row.mean:9.3g}  {row.deviation:9.3g}  {_share(row.saturated):>9}  "
            f"{_share(row.dead):>7}  {'–' if row.gradient_deviation is None else f'{row.gradient_deviation:.3g}':>9}"
            + ("  all units alike" if row.alike and row.units > 1 else "")
            for row in self.rows
        ]
        return "\n".join([head, *lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is not finite becomes None."""

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        rows = [{name: plain(value) for name, value in vars(row).items()} for row in self.rows]
        found: dict[str, Any] = json.loads(json.dumps({"samples": self.samples, "loss": plain(self.loss), "rows": rows, "notes": self.notes}))
        return found

    def figure(self) -> Figure:
        """Draw the deviation of activations, and of gradients where there are any, from the first nonlinearity (or layer) to the last."""
        from striate import draw

        rows = self.activations or self.rows
        places = list(range(1, len(rows) + 1))
        lines = {"activations": (places, [row.deviation for row in rows])}
        if any(row.gradient_deviation is not None for row in rows):
            lines["gradients"] = (places, [float("nan") if row.gradient_deviation is None else row.gradient_deviation for row in rows])
        values = [value for _, ys in lines.values() for value in ys if value > 0]
        log = "y" if values and max(values) > 20 * min(values) else ""
        floor = None if log else 0.0
        what = "nonlinearity" if self.activations else "layer"
        return draw.curves(lines, _told(rows), x=f"{what}, in order", y="standard deviation", log="y" if log else "", points=True, floor=floor)


def statistics(model: nn.Module, batch: Any, *, loss: Callable[[Any], Tensor] | None = None) -> Statistics:
    """Run one batch through `model`, in the mode it is in, and return figures for every layer with weights and every nonlinearity.

    `batch`: a tensor, a `Batch`, or (input, targets). With `loss`, a function of the output, gradients come too; without it, and with class numbers
    as targets and N x K outputs, the loss is cross-entropy; else there are no gradients, and the notes say so. Works on any model, functional
    calls included, and leaves it as it was. Raises `ArgumentError` when there is no such layer. Source: row O11.
    """
    x = input_of(batch)
    targets = getattr(batch, "y", batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None)
    notes: tuple[str, ...] = ()
    if loss is None and isinstance(targets, Tensor) and targets.dtype == torch.int64 and targets.dim() == 1:
        labels = targets

        def loss(output: Any) -> Tensor:
            return nn.functional.cross_entropy(output, labels.to(output.device))

    elif loss is None:
        notes = ("no loss and no class numbers were given: gradients were not measured",)
    recording = record(model, x, loss=loss)
    rows = tuple(row for call in recording if (row := _row(call)) is not None)
    if not rows:
        raise ArgumentError("model: has no layer with weights and no nonlinearity to measure")
    value = None if recording.loss is None else float(recording.loss)
    return Statistics(rows, len(x), value, recording.notes + notes)


def _row(call: Call) -> Row | None:
    found = nonlinearity_of(call)
    weighted = call.module is not None and any(p.dim() >= 2 for p in call.module.parameters(recurse=False))
    if not (found or weighted or call.operation in {"conv2d", "conv1d", "linear"}) or not isinstance(call.output, Tensor):
        return None
    output = call.output
    if not output.is_floating_point() or not output.numel() or output.dim() < 2:
        return None
    values, axis = output.double(), _axis(call, output)
    off = None if found is None else _saturated(call, values)
    message = call.message if isinstance(call.message, Tensor) else None
    by_unit = None if message is None else message.double().movedim(axis, 0).flatten(1)
    return Row(
        layer=call.key,
        kind=call.operation,
        nonlinearity=None if found is None else found[0],
        units=output.shape[axis],
        mean=float(values.mean()),
        deviation=_deviation(values),
        saturated=None if off is None else float(off.double().mean()),
        dead=None if off is None else float(off.movedim(axis, 0).flatten(1).all(1).double().mean()),
        gradient_mean=None if by_unit is None else float(by_unit.mean()),
        gradient_deviation=None if by_unit is None else _deviation(by_unit),
        alike=None if by_unit is None else bool((by_unit - by_unit[:1]).abs().max() <= 1e-6 * by_unit.abs().max()),
    )


def _axis(call: Call, output: Tensor) -> int:
    """The axis of the units: channels of pictures (N C H W), features otherwise."""
    last = isinstance(call.module, nn.Linear) or call.operation in {"linear", "Embedding"} or output.dim() <= 2
    return output.dim() - 1 if last or output.dim() == 3 else 1


_ENDS = {"hardtanh": (-1.0, 1.0), "hardsigmoid": (0.0, 1.0), "relu6": (0.0, 6.0)}
"""Between which values nonlinearities with two flat ends lie, unless told otherwise."""


def _saturated(call: Call, y: Tensor) -> Tensor | None:
    """Where the derivative is below `SATURATED` times its largest; None for nonlinearities that have no flat part worth the name."""
    kind = call.operation.lower()
    if kind in _ENDS:
        low, high = _ENDS[kind]
        if kind == "hardtanh" and call.module is None:
            low = call.args[1] if len(call.args) > 1 else call.kwargs.get("min_val", low)
            high = call.args[2] if len(call.args) > 2 else call.kwargs.get("max_val", high)
        return (y <= float(getattr(call.module, "min_val", low))) | (y >= float(getattr(call.module, "max_val", high)))
    amplitude = float(getattr(call.module, "amplitude", 1.0))
    slopes: dict[str, Callable[[], Tensor]] = {
        "tanh": lambda: 1 - y.square(),
        "scaledtanh": lambda: 1 - (y / amplitude).square(),
        "sigmoid": lambda: 4 * y * (1 - y),
        "logsigmoid": lambda: 1 - y.exp(),
        "softsign": lambda: 1 - y.abs() * (2 - y.abs()),
    }
    if kind in slopes:
        return slopes[kind]() < SATURATED
    return (y <= 0) & (call.inputs[0].double() <= 0) if kind in {"relu", "clamp", "threshold"} else None


def _deviation(values: Tensor) -> float:
    return float((values - values.mean()).square().mean().sqrt())  # torch's own std takes four times as long


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _told(rows: tuple[Row, ...]) -> str:
    from striate.draw import short

    first, last = rows[0].deviation, rows[-1].deviation
    mostly = [row.saturated for row in rows if row.saturated is not None and row.nonlinearity != "relu"]
    over = f"over {len(rows)} layers"
    if mostly and sum(mostly) / len(mostly) > 0.5:
        return f"{100 * sum(mostly) / len(mostly):.0f} % of activations are saturated {over}"
    if not last:
        return f"Nothing comes through: the last of {len(rows)} layers is constant"
    sizes = f"{over}: {short(first)} to {short(last)}"
    if last < 0.5 * first:
        return f"Activations shrink {sizes}"
    if last > 2 * first:
        return f"Activations grow {sizes}"
    return f"Activations keep their size {sizes}"
