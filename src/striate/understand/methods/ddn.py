"""The smallest change that turns the class, direction and length learned apart: the decoupled direction and norm attack (row U7)."""

from __future__ import annotations

import math
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


@method("ddn", help="The smallest change that turns the class, direction and length found apart", needs="images", kind="image")
def ddn(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    steps: int = 100,
    start: float = 1.0,
    gamma: float = 0.05,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return, of `steps` pictures tried, the one nearest in Euclidean distance that has another class (with `target`: the target class).

    The change δ goes along the loss's gradient made a unit vector, by a rate that falls from 1 to .01 as a cosine; then to length ε. ε
    begins at `start` (pixels in [0, 1]) and shrinks by the share `gamma` whenever the class is turned, else grows by it. `exact` holds the result as
    floats (the picture itself where none was found); for saving with 8 bits each change is enlarged by `stretch`, the least factor that keeps
    its success. Arrays and receipts: see `attacking.told`. Raises `ArgumentError`. Row U7; Rony et al. 2019.
    """
    whole("steps", steps)
    if not start > 0 or not 0 < gamma < 1:
        raise ArgumentError(f"start, gamma: got {start:g}, {gamma:g}; expected more than 0, and a share between 0 and 1")
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        labels = aimed(p, targeted=target is not None)
        found = in_chunks(p, lambda part: _searched(p, part, labels[part], steps, start, gamma, targeted=target is not None))
        kept, factors = stretched(p, found, labels, targeted=target is not None)
        options = {"steps": steps, "start": start, "gamma": gamma}
        return told(p, "ddn", found, kept, targeted=target is not None, options=options, arrays={"stretch": factors})


def _searched(p: Prepared, part: slice, labels: Tensor, steps: int, start: float, gamma: float, *, targeted: bool) -> Tensor:
    origin = p.pixels[part]
    delta = torch.zeros_like(origin)
    epsilon = origin.new_full((len(origin),), start)
    least = origin.new_full((len(origin),), math.inf)
    best = origin.clone()
    farthest = torch.maximum(origin, 1 - origin).flatten(1).norm(dim=1)
    for number in range(steps):
        x = (origin + delta).detach().requires_grad_()
        logits = p.model(x)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        gradient = gradient_at(x, -loss if targeted else loss)
        turned = (logits.detach().argmax(1) == labels) == targeted
        length = delta.flatten(1).norm(dim=1)
        better = turned & (length < least)
        least = torch.where(better, length, least)
        best = torch.where(_wide(better), x.detach(), best)
        rate = 0.01 + 0.99 * (1 + math.cos(math.pi * number / steps)) / 2
        delta = delta + rate * _unit(gradient)
        epsilon = torch.minimum(epsilon * torch.where(turned, 1 - gamma, 1 + gamma), farthest)
        delta = _wide(epsilon) * _unit(delta)
        delta = (origin + delta).clamp(0, 1) - origin
    return best


def _unit(values: Tensor) -> Tensor:
    return values / _wide(values.flatten(1).norm(dim=1).clamp(min=1e-30))


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def figure(explanation: Explanation) -> Figure:
    """Draw original, adversarial, difference and tenfold difference."""
    return panels(explanation)
