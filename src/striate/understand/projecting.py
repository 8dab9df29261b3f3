"""From one unit, or one class score, back to the pixels by a rule: what deconvnet, guided backpropagation and the sheet of patches share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError
from striate.probe import ruled, tapped
from striate.probe.backward_rules import PoolRule, ReluRule
from striate.understand.explanation import Explanation
from striate.understand.figures import ROWS, captions, picture_of, side_of
from striate.understand.fine_maps import REACHED, smoothed
from striate.understand.inputs import Prepared
from striate.understand.pixel_gradients import know

if TYPE_CHECKING:
    from striate.draw import Figure

Array = np.ndarray[Any, Any]
Pick = Callable[[Tensor, slice], Tensor]
"""From a layer's output (or the logits) for the pictures of a slice to one number each."""


@dataclass(frozen=True, eq=False)
class Projections:
    """`signals` N C H W: what came back at the pixels; how many backward steps through ReLU and max pooling the rule did; notes."""

    signals: Tensor
    relus: int
    pools: int
    notes: tuple[str, ...]


def projected(
    p: Prepared, pixels: Tensor, pick: Pick, *, relu: ReluRule, pool: PoolRule, layer: str | None = None, bare: bool = False
) -> Projections:
    """Send 1 back from what `pick` takes of each picture's logits, or of the output of `layer`, by the rules.

    The signal starts as 1; every step is linear in a positive factor, so starting from the activation, as in the paper, multiplies by it.
    `bare`: where no ReLU lies on the way, say so in a note instead of raising `ArgumentError`.
    """
    parts: list[Tensor] = []
    active = None
    try:
        with ruled(p.network, relu=relu, pool=pool) as active:
            for start in range(0, len(pixels), p.batch):
                part = slice(start, min(start + p.batch, len(pixels)))
                x = pixels[part].detach().clone().requires_grad_()
                scores = pick(_reached(p, x, layer), part)
                parts.append(active.gradient(scores.sum(), x))
    except ArgumentError:
        if not bare or active is None or active.relus or sum(map(len, parts)) != len(pixels):
            raise
    assert active is not None  # noqa: S101 - for the types: the block above ran
    told = active.notes + (() if active.relus else (f"no ReLU lies between {layer} and the pixels: its projections are the plain gradient",))
    return Projections(torch.cat(parts), active.relus, active.pools, told)


def _reached(p: Prepared, x: Tensor, layer: str | None) -> Tensor:
    if layer is None:
        return p.model(x)
    with tapped(p.network, layer) as taps:
        p.output(x)
        found = taps[layer]
    if found.ndim not in (2, 4):
        raise ArgumentError(f"{layer}: its output has shape {tuple(found.shape)}, expected N C H W or N F")
    return found


def by_rule(p: Prepared, method: str, *, relu: ReluRule, pool: PoolRule, layer: str | None, channel: int | None) -> Explanation:
    """Explain the target's score, or, with `layer`, the strongest unit of it (of `channel`), for every picture; raises as `rules`."""
    if channel is not None and layer is None:
        raise ArgumentError("channel: it belongs to a layer; give layer= too")
    units: list[Tensor] = []

    def strongest(output: Tensor, _part: slice) -> Tensor:
        if channel is not None and not 0 <= channel < output.shape[1]:
            raise ArgumentError(f"channel: got {channel}, but {layer} has channels 0 to {output.shape[1] - 1}")
        chosen = output if channel is None else output[:, channel : channel + 1]
        flat = chosen.flatten(1)
        best = flat.detach().argmax(1)
        at = torch.stack(torch.unravel_index(best, chosen.shape[1:]), 1)
        units.append(at + torch.tensor([channel or 0, *[0] * (at.shape[1] - 1)], device=at.device))
        return flat.gather(1, best[:, None])[:, 0]

    def wanted(logits: Tensor, part: slice) -> Tensor:
        if target is None:  # one pass gives the scores, so the predicted class, and what comes back
            know(p, logits)
        return logits.gather(1, (p.target if target is None else target)[part, None])[:, 0]

    target = p.target if layer is None and len(p) > p.batch else None  # of several chunks, known before the rules hold
    made = projected(p, p.pixels, wanted if layer is None else strongest, relu=relu, pool=pool, layer=layer)
    arrays: dict[str, Tensor] = {"map": made.signals.abs().amax(1), "signal": made.signals}
    if units:
        arrays["unit"] = torch.cat(units)
    receipts = {"relus": made.relus, "pools": made.pools}
    return p.explanation(
        method, "map", arrays, layer=layer, targeted=layer is None, options={"channel": channel}, receipts=receipts, notes=made.notes
    )


def signal_figure(explanation: Explanation, *, by: str) -> Figure:
    """Draw each picture, what came back at its pixels in its own colours up to the 99.5th percentile (grey is zero), and its size laid over."""
    signals, pixels, maps = (explanation.arrays[name] for name in ("signal", "pixels", "map"))
    words = captions(explanation)
    units = explanation.arrays.get("unit")
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(signals), ROWS)):
        picture = picture_of(pixels[number])
        said = words[number] if units is None else f"{words[number]} {unit_name(units[number])}".strip()
        reach = float(np.quantile(np.abs(signals[number]), REACHED)) or None
        coloured = draw.Panel(
            on_grey(signals[number], reach), caption=f"raw {draw.short(float(signals[number].min()))} to {draw.short(float(signals[number].max()))}"
        )
        over = draw.Panel(picture, smoothed(maps[number]), signed=False, low=0.0, bar=False, caption="size, smoothed")
        rows.append([draw.Panel(picture, caption=said), coloured, over])
    what = f"the strongest unit at {explanation.layer}" if explanation.layer else "the class score"
    one = len(signals) == 1 and explanation.layer is None and explanation.target is not None
    title = f"What in the picture lifts {words[0].rpartition('→ ')[2]}, by {by}" if one else f"What in each picture lifts {what}, by {by}"
    more = f" (first {ROWS} of {len(signals)})" if len(signals) > ROWS else ""
    return draw.panels(rows, title=title + more, heads=["picture", "signal, grey is zero", "where it is"], size=side_of(pixels))


def on_grey(signal: Array, most: float | None = None) -> Array:
    """Return a signed signal C H W as a picture in [0, 1]: grey is zero, `most` (default its largest size) black and white."""
    scale = float(np.abs(signal).max(initial=0.0)) if most is None else most
    shown = 0.5 + signal / (2 * scale) if scale > 0 else np.full(signal.shape, 0.5)
    picture: Array = shown.clip(0, 1).astype(np.float32)
    return picture if len(picture) in (1, 3) else picture.mean(0, keepdims=True)


def unit_name(unit: Sequence[int] | Array) -> str:
    """Return `channel 5 at (3, 7)`."""
    channel, *place = (int(number) for number in unit)
    return f"channel {channel}" + (f" at ({', '.join(map(str, place))})" if place else "")
