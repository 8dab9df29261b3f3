"""What the adversarial methods share: bounds in 255ths, the loss, saving with 8 bits, success counted after it, and the panels (row U7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError
from striate.understand.explanation import Explanation
from striate.understand.figures import ROWS, class_name, picture_of
from striate.understand.inputs import Prepared
from striate.understand.pixel_gradients import gradient_at
from striate.understand.scoring import several

if TYPE_CHECKING:
    from striate.draw import Figure

LEVELS = 255
STRETCHES = (1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0, 30.0, 50.0, 100.0)
"""Factors by which a difference too small for 8 bits is enlarged; the first that survives is kept."""


def bound_of(epsilon: float) -> float:
    """Return a bound given in 255ths as a share of the range; raises `ArgumentError` where it cannot change an 8-bit picture or is no bound."""
    if not 0.5 <= epsilon <= LEVELS:
        hint = f"; it counts steps of 1/255: for {epsilon * LEVELS:.3g}/255 give {epsilon * LEVELS:.3g}" if 0 < epsilon < 0.5 else ""
        raise ArgumentError(f"epsilon: got {epsilon:g}, expected 0.5 to 255{hint}")
    return epsilon / LEVELS


def whole(name: str, value: int, least: int = 1) -> None:
    """Raise `ArgumentError` unless `value` is at least `least`."""
    if value < least:
        raise ArgumentError(f"{name}: got {value}, expected {least} or more")


def slope(p: Prepared, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient at the pixels of the cross-entropy of `labels`, each picture its own (a sum over the batch)."""
    x = pixels.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(p.model(x), labels, reduction="sum")
    return gradient_at(x, loss)


def scores(p: Prepared, pixels: Tensor) -> Tensor:
    """Return logits N K without gradients, in chunks."""
    with torch.no_grad():
        return torch.cat([p.model(pixels[start : start + p.batch]) for start in range(0, len(pixels), p.batch)])


def in_chunks(p: Prepared, attack: Callable[[slice], Tensor]) -> Tensor:
    """Return what `attack` makes of every chunk of the pictures, joined."""
    return torch.cat([attack(part) for part in p.chunks()])


def saved(pictures: Tensor, pixels: Tensor | None = None, bound: float | None = None) -> Tensor:
    """Return pictures in [0, 1] as they are after saving with 8 bits and reading back: multiples of 1/255.

    With `pixels` and `bound` each value is rounded to the nearest step that is within the bound of the original pixel, wherever there is one.
    """
    steps = (pictures * LEVELS).round()
    if pixels is not None and bound is not None:
        low, high = ((pixels - bound) * LEVELS - 1e-3).ceil(), ((pixels + bound) * LEVELS + 1e-3).floor()
        steps = torch.where(low <= high, steps.clamp(low, high), steps)
    return steps.clamp(0, LEVELS).to(torch.uint8).to(pictures.dtype) / LEVELS


def stretched(p: Prepared, found: Tensor, wanted: Tensor, *, targeted: bool) -> tuple[Tensor, Tensor]:
    """Return pictures saved with 8 bits, each difference enlarged by the least of `STRETCHES` that keeps its success, and those factors.

    A minimal difference is often under half a step and would be rounded away. Where no factor succeeds the picture is saved as it is (factor 1).
    """
    best = saved(found)
    factors = torch.ones(len(found), device=found.device)
    open_ = torch.ones(len(found), dtype=torch.bool, device=found.device)
    for factor in STRETCHES:
        rows = open_.nonzero()[:, 0]
        if not len(rows):
            break
        tried = saved((p.pixels[rows] + factor * (found[rows] - p.pixels[rows])).clamp(0, 1))
        good = (scores(p, tried).argmax(1) == wanted[rows]) == targeted
        best[rows[good]], factors[rows[good]] = tried[good], factor
        open_[rows[good]] = False
    return best, factors


def aimed(p: Prepared, *, targeted: bool) -> Tensor:
    """Return the class each attack goes to (targeted) or away from (the predicted one), N; what needs no attack is noted."""
    several(p.logits)
    predicted = p.logits.argmax(1)
    if not targeted:
        return predicted
    already = int((p.target == predicted).sum())
    if already:
        p.notes.append(f"{already} of {len(p)} pictures had the target class before; nothing had to change")
    return p.target


def told(
    p: Prepared,
    method: str,
    found: Tensor,
    kept: Tensor,
    *,
    targeted: bool,
    options: Mapping[str, Any],
    receipts: Mapping[str, float] | None = None,
    notes: tuple[str, ...] = (),
    arrays: Mapping[str, Tensor] | None = None,
) -> Explanation:
    """Put an attack's result into an Explanation: `found` before and `kept` after 8-bit saving; everything is counted on `kept`.

    `image` N C H W the adversarial pictures, multiples of 1/255; `exact`: before rounding; `difference` = image - pixels; `before`, `after`: the
    predicted classes, `before_share`, `after_share` their softmax shares; `success`; `linf`, `l2` of the difference; `exact_l2`: before rounding.
    """
    origin, first = p.pixels, p.logits
    wanted = p.target if targeted else first.argmax(1)
    last = scores(p, kept)
    success, without = (((logits.argmax(1) == wanted) == targeted) for logits in (last, scores(p, found)))
    difference = kept - origin
    flat, exact = difference.flatten(1), (found - origin).flatten(1)
    held: dict[str, Any] = {
        "image": kept,
        "exact": found,
        "difference": difference,
        "before": first.argmax(1),
        "after": last.argmax(1),
        "before_share": first.softmax(1).amax(1),
        "after_share": last.softmax(1).amax(1),
        "success": success,
        "linf": flat.abs().amax(1),
        "l2": flat.norm(dim=1),
        "exact_l2": exact.norm(dim=1),
        **(arrays or {}),
    }
    figures = {
        "success": float(success.float().mean()),
        "success_before_saving": float(without.float().mean()),
        "largest_linf_255": round(float(held["linf"].max()) * LEVELS, 2),
        "median_l2": float(np.median(held["l2"].cpu().numpy())),
        "median_l2_before_saving": float(np.median(held["exact_l2"].cpu().numpy())),
        **(receipts or {}),
    }
    if not torch.allclose(p.pixels * LEVELS, (p.pixels * LEVELS).round(), rtol=0, atol=1e-2):
        notes = (*notes, "the pictures were no 8-bit pictures: saving alone moves their pixels by up to half a step, which the lengths hold too")
    return p.explanation(method, "image", held, targeted=targeted, options=options, receipts=figures, notes=notes)


def panels(explanation: Explanation, *, first: str = "original") -> Figure:
    """Draw each picture, the adversarial one, their difference and ten times it (grey is zero), with classes, shares and norms under them."""
    arrays = explanation.arrays
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(explanation), ROWS)):
        difference = arrays["difference"][number]
        name = explanation.names[number] if len(explanation.names) == len(explanation) else ""
        said = [
            f"{class_name(explanation, int(arrays[when][number]))} {draw.percent(float(arrays[f'{when}_share'][number]), 0)}"
            for when in ("before", "after")
        ]
        largest = float(arrays["linf"][number]) * LEVELS
        tenfold = "ten times it" + (", clipped" if 10 * largest > LEVELS / 2 + 1 else "")
        rows.append(
            [
                draw.Panel(picture_of(arrays["pixels"][number]), caption=f"{name}: {said[0]}" if name else said[0]),
                draw.Panel(picture_of(arrays["image"][number]), caption=said[1] if arrays["success"][number] else f"{said[1]}, failed"),
                draw.Panel(picture_of(0.5 + difference), caption=f"at most {round(largest)}/255, L2 {draw.short(float(arrays['l2'][number]), 2)}"),
                draw.Panel(picture_of(0.5 + 10 * difference), caption=tenfold),
            ]
        )
    heads = [first, "after saving with 8 bits", "difference, grey is zero", "tenfold difference"]
    return draw.panels(rows, title=_title(explanation), heads=heads)


def _title(explanation: Explanation) -> str:
    arrays = explanation.arrays
    count, fooled = len(explanation), int(arrays["success"].sum())
    what = explanation.method.replace("_", " ")
    name = what.upper() if len(what) <= 4 else {"deepfool": "DeepFool"}.get(what, what)
    length = f"{'median ' if count > 1 else ''}L2 {draw.short(float(np.median(arrays['l2'])), 2)}"
    bound = f"within {explanation.options['epsilon']:g}/255" if "epsilon" in explanation.options else length
    if count == 1:
        words = [class_name(explanation, int(arrays[when][0])) for when in ("before", "after")]
        if explanation.options.get("start") == "noise" and fooled:
            return f"Noise becomes {words[1]}, {bound}"
        name = name[:1].upper() + name[1:]
        return f"{name} turns {words[0]} into {words[1]}, {bound}" if fooled else f"{name} does not succeed on {words[0]}, {bound}"
    if "arrived" in arrays:
        share = draw.percent(explanation.options["confidence"], 0)
        more = f" (first {ROWS} shown)" if count > ROWS else ""
        return f"{int(arrays['arrived'].sum())} of {count} are taken for a class of one's choice with {share} or more{more}"
    goal = "reach the class asked for" if explanation.target is not None else "change class"
    return f"{fooled} of {count} pictures {goal} by {name}, {bound}" + (f" (first {ROWS} shown)" if count > ROWS else "")
