"""The nearest picture of another class, were the network linear, and again from there: DeepFool (row U7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.attacking import aimed, in_chunks, panels, stretched, told, whole
from striate.understand.explanation import Explanation
from striate.understand.inputs import Prepared, prepare
from striate.understand.pixel_gradients import gradient_at
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure


@method("deepfool", help="The smallest change that turns the class, step by step by linear algebra", needs="images", kind="image")
def deepfool(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return pictures just over the nearest border of the class in Euclidean distance, by at most `steps` linear steps.

    In each step, with f the logits, k over the `candidates` highest classes and 0 the predicted one: r = |f_k − f_0| / ‖∇f_k − ∇f_0‖² · (∇f_k − ∇f_0)
    for the k nearest; the picture is x + (1 + overshoot)·Σ r. With `target` only that class counts. `exact` holds the result as floats; such small
    changes are often rounded away, so for saving with 8 bits each is enlarged by `stretch`, the least factor that keeps its success. Arrays,
    receipts: see `attacking.told`. Raises `ArgumentError`. Row U7; Moosavi-Dezfooli et al. 2016.
    """
    whole("steps", steps)
    whole("candidates", candidates, 2)
    if not 0 <= overshoot <= 1:
        raise ArgumentError(f"overshoot: got {overshoot:g}, expected 0 to 1")
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        labels = aimed(p, targeted=target is not None)
        found = in_chunks(p, lambda part: _crossed(p, part, steps, candidates, overshoot, labels[part] if target is not None else None))
        kept, factors = stretched(p, found, labels, targeted=target is not None)
        options = {"steps": steps, "candidates": candidates, "overshoot": overshoot}
        return told(p, "deepfool", found, kept, targeted=target is not None, options=options, arrays={"stretch": factors})


def _crossed(p: Prepared, part: slice, steps: int, candidates: int, overshoot: float, goal: Tensor | None) -> Tensor:
    origin, logits = p.pixels[part], p.logits[part]
    ranked = logits.argsort(1, descending=True)
    own = ranked[:, 0]
    others = ranked[:, 1:candidates] if goal is None else goal[:, None]
    sought = torch.zeros_like(origin)
    found = origin.clone()
    open_ = torch.ones(len(origin), dtype=torch.bool, device=origin.device)
    for _ in range(steps):
        x = found[open_].detach().requires_grad_()
        now = p.model(x)
        top = now.argmax(1)
        done = top != own[open_] if goal is None else top == goal[open_]
        if bool(done.all()):
            break
        gaps, ways = _borders(now, x, own[open_], others[open_])
        norms = ways.flatten(2).norm(dim=2)
        nearest = (gaps.abs() / (norms + 1e-12)).argmin(1)
        rows = torch.arange(len(x), device=x.device)
        gap, way, norm = gaps[rows, nearest], ways[rows, nearest], norms[rows, nearest]
        length = (gap.abs() + 1e-4 * norm) / (norm**2 + 1e-24)  # a hair further: the border itself is still the old class
        sought[open_] += torch.where(done[:, None, None, None], 0.0, length[:, None, None, None] * way)
        found[open_] = (origin[open_] + (1 + overshoot) * sought[open_]).clamp(0, 1)
        still = open_.clone()
        still[open_] = ~done
        open_ = still
    return found


def _borders(logits: Tensor, x: Tensor, own: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return f_k − f_0 (N K) and its gradients (N K C H W) for each candidate k."""
    mine = logits.gather(1, own[:, None])[:, 0]
    gaps, ways = [], []
    for number in range(others.shape[1]):
        gap = logits.gather(1, others[:, number : number + 1])[:, 0] - mine
        ways.append(gradient_at(x, gap.sum(), again=number + 1 < others.shape[1]))
        gaps.append(gap.detach())
    return torch.stack(gaps, 1), torch.stack(ways, 1)


def figure(explanation: Explanation) -> Figure:
    """Draw original, adversarial, difference and tenfold difference."""
    return panels(explanation)
