"""Tasks: what an output means, its loss and its figures. The one loop knows nothing else about them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.core.contracts import Batch, Recipe
from striate.core.errors import ArgumentError
from striate.training.outputs import check_width, heads_in, logits_in
from striate.training.registry import task, tasks


@task("classify", help="one class out of K: softmax cross-entropy")
class Classify:
    """Softmax cross-entropy over K classes, with label smoothing and class weights.

    Outputs are logits N K, a dict with `logits`, or a tuple (logits, auxiliary logits ...) whose further heads count with `auxiliary`. Figures:
    `loss`, `error`, and `top5_error` where K > 5. Anything else raises `ArgumentError`.
    """

    name, watch = "classify", "error"

    def __init__(self, *, smoothing: float = 0.0, weights: Tensor | None = None, auxiliary: float = 0.3) -> None:
        self.smoothing, self.weights, self.auxiliary = smoothing, weights, auxiliary

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the mean cross-entropy, in float32."""
        main, *others = [self._cross_entropy(head, batch) for head in heads_in(output)]
        return main + self.auxiliary * torch.stack(others).sum() if others else main

    def _cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        weights = None if self.weights is None else self.weights.to(logits.device)
        return F.cross_entropy(logits.float(), _targets(batch), weight=weights, label_smoothing=self.smoothing)

    @torch.no_grad()
    def metrics(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return per sample: `loss` (plain cross-entropy), `error` (1 where the largest logit is not the target's), `top5_error`."""
        logits = logits_in(output).float()
        targets = _targets(batch)
        labels = targets if targets.dim() == 1 else targets.argmax(1)
        figures = {"loss": F.cross_entropy(logits, targets, reduction="none"), "error": (logits.argmax(1) != labels).float()}
        if logits.shape[1] > 5:
            figures["top5_error"] = (logits.topk(5).indices != labels[:, None]).all(1).float()
        return figures

    def decode(self, output: Any) -> Tensor:
        """Return class shares N K (softmax), float32."""
        shares: Tensor = logits_in(output).float().softmax(1)
        return shares

    def check(self, output: Any, classes: int, *, at_least: bool = False) -> None:
        """Raise `ArgumentError` where an output has not one number for each of the data's classes; `at_least`: it may have more."""
        check_width(output, classes, at_least=at_least)


def _targets(batch: Batch) -> Tensor:
    if batch.y is None:
        raise ArgumentError("data: these samples have no labels, and task 'classify' needs them")
    return batch.y


def make(name: str, data: Any, recipe: Recipe) -> Any:
    """Build the task `name` for `data` as `recipe` asks; raises `UnknownNameError`."""
    kind = tasks.get(name)
    if name not in ("classify", "localise"):
        return kind()
    weights = None
    if recipe.class_weights:
        weights = torch.as_tensor(data.class_weights(), dtype=torch.float32)
    if name == "localise":
        from striate.training.localise import for_data

        return for_data(data, recipe.smoothing, weights, recipe.views)
    return kind(smoothing=recipe.smoothing, weights=weights)
