"""The gradient of class scores with respect to pixels, one backward pass for many pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from striate.understand.inputs import Prepared


CUT = "model: its scores do not depend differentiably on the pixels (preprocess= or the network cuts the gradient)"


def scores_and_gradients(p: Prepared, pixels: Tensor, target: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return each picture's class score N and its gradient N C H W for pixels N C H W.

    `target`: a class for each, default `p.target`, for which `pixels` must be `p.pixels`. Scores are logits, not shares.
    """
    leaf = pixels.detach().clone().requires_grad_()
    logits = p.model(leaf.clone())  # a network may begin with an in-place operation
    if target is None:
        know(p, logits)
        target = p.target
    chosen = logits.gather(1, target[:, None])[:, 0]
    return chosen.detach(), gradient_at(leaf, chosen.sum())


def pixel_gradients(p: Prepared) -> Tensor:
    """Return the gradient N C H W of each picture's target score with respect to its pixels."""
    parts = list(p.chunks())
    if len(parts) == 1:  # one pass gives the scores, so the predicted class, and the gradient
        return scores_and_gradients(p, p.pixels)[1]
    return torch.cat([scores_and_gradients(p, p.pixels[part], p.target[part])[1] for part in parts])


def gradient_at(pixels: Tensor, score: Tensor, *, again: bool = False) -> Tensor:
    """Return the gradient of one number at pixels N C H W; `again`: another is to be taken of the same pass.

    Raises `ArgumentError` where nothing differentiable leads from one to the other.
    """
    found = torch.autograd.grad(score, pixels, retain_graph=again, allow_unused=True)[0] if score.requires_grad else None
    if found is None:
        raise ArgumentError(CUT)
    return found


def know(p: Prepared, logits: Tensor) -> None:
    """Let `p` know the scores of all its pictures, where a pass on the way to something else gave them; NaN is left for `p` to find."""
    if "logits" not in vars(p) and len(logits) == len(p) and bool(logits.isfinite().all()):
        p.logits = logits.detach()
