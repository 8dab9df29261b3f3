"""Who earned the score: gradients summed along the way from nothing to the picture, until they add up to the difference (row U3)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.fine_maps import fine_figure
from striate.understand.inputs import prepare
from striate.understand.registry import method
from striate.understand.standins import stand_in
from striate.understand.throughput import Throughput

if TYPE_CHECKING:
    from striate.draw import Figure

HALVED = 16
"""Pieces that are halved at a time, at most."""


@method("integrated_gradients", help="What each pixel adds to the class score on the way from a blank picture", needs="images", kind="map")
def integrated_gradients(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    baseline: float | Literal["mean", "blur"] = 0.0,
    steps: int = 24,
    tolerance: float = 0.01,
    most: int = 256,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `map` N H W, signed: Σ over channels of (x − x′) · ∫ ∂S(x′ + a(x − x′))/∂x da, a from 0 to 1, S the class score before softmax.

    `baseline` x′: a level in [0, 1], `mean` or `blur`. The integral is a trapezoid sum over `steps` even points; since S is known at every point, so
    is the error of each piece, and the worst pieces are halved until Σ map equals S(x) − S(x′) within `tolerance` of it, or `most` gradients are
    spent (`most = steps` adapts nothing). `difference` N is S(x) − S(x′), `delta` N what is missing, `gradients` N how many were taken.
    Receipt `completeness_error`: the median of |delta / difference|. Raises `ArgumentError`. Row U3; Sundararajan, Taly and Yan 2017.
    """
    options = checked("integrated_gradients", {"baseline": baseline, "steps": steps, "tolerance": tolerance, "most": most})
    baseline, steps, tolerance, most = options.values()
    within("steps", steps, 2)
    within("tolerance", tolerance, 0)
    within("most", most, steps)
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        fast = Throughput(p, precision="fp32", batch=batch)
        paths = [
            _path(fast, picture, stand_in(picture, baseline, name="baseline"), p.target[number], options) for number, picture in enumerate(p.pixels)
        ]
        delta, difference = (torch.tensor([getattr(path, name) for path in paths], dtype=torch.float64) for name in ("delta", "difference"))
        relative = delta.abs() / difference.abs().clamp_min(1e-12)
        arrays: dict[str, Any] = {"map": torch.stack([path.map for path in paths]), "difference": difference, "delta": delta}
        arrays["gradients"] = torch.tensor([path.gradients for path in paths])
        receipts = {"completeness_error": float(relative.median()), "completeness_error_worst": float(relative.max())}
        receipts["gradients"] = float(arrays["gradients"].sum())
        short = [number for number in range(len(paths)) if relative[number] > tolerance]
        notes = [f"{len(short)} of {len(p)} pictures do not add up to {tolerance:.2g} of their difference after {most} gradients"] if short else []
        return p.explanation("integrated_gradients", "map", arrays, options=options, targeted=True, receipts=receipts, notes=notes)


def figure(explanation: Explanation) -> Figure:
    """Draw it as a map of single pixels."""
    return fine_figure(explanation)


@dataclass(frozen=True)
class _Path:
    """One picture's way: its map, S(x) − S(x′), how much of it is missing, and the gradients taken."""

    map: Tensor
    difference: float
    delta: float
    gradients: int


def _path(fast: Throughput, picture: Tensor, blank: Tensor, goal: Tensor, options: dict[str, Any]) -> _Path:
    way = picture - blank
    if not bool(way.any()):
        return _Path(torch.zeros_like(picture[0]), 0.0, 0.0, 0)
    points: list[tuple[float, float, float, Tensor]] = []  # share of the way, score, slope along the way, gradient

    def walk(shares: list[float]) -> None:
        at = torch.tensor(shares, dtype=picture.dtype, device=picture.device)
        done = 0
        for scores, gradients in fast.gradients(len(at), lambda numbers: blank + at[numbers.to(at.device)].view(-1, 1, 1, 1) * way, goal):
            slopes = (gradients.double() * way).sum((1, 2, 3))
            for score, slope, gradient in zip(scores.double().tolist(), slopes.tolist(), gradients, strict=True):
                points.append((shares[done], score, slope, gradient))
                done += 1
        points.sort(key=lambda point: point[0])

    count = options["steps"]
    walk([number / (count - 1) for number in range(count)])
    while True:
        missing = [(right[1] - left[1]) - (right[0] - left[0]) * (left[2] + right[2]) / 2 for left, right in pairwise(points)]
        difference = points[-1][1] - points[0][1]
        room = options["most"] - len(points)
        if abs(sum(missing)) <= options["tolerance"] * abs(difference) or room <= 0:
            break
        worst = sorted(range(len(missing)), key=lambda number: -abs(missing[number]))[: min(room, HALVED, max(1, len(missing) // 2))]
        walk([(points[number][0] + points[number + 1][0]) / 2 for number in worst])
    total = torch.zeros_like(picture, dtype=torch.float64)
    for number, (_, _, _, gradient) in enumerate(points):
        before, after = points[max(0, number - 1)][0], points[min(len(points) - 1, number + 1)][0]
        total += gradient.double() * ((after - before) / 2)
    return _Path((total * way).sum(0).to(picture.dtype), difference, sum(missing), len(points))
