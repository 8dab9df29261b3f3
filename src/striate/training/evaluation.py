"""Evaluation: a network over a whole split, once, with test-time views; figures and class shares come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.core.arguments import whole_number
from striate.core.contracts import Data, Split, Task
from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import Settings, settings
from striate.training.arguments import a_device, a_network, check_views
from striate.training.forward import forward, placed
from striate.training.outputs import explained, logits_in

Views = Literal["one", "mirror", "six"]


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of a split.

    `figures` are means over the samples (`n`, `loss`, `error`, `top5_error` as shares of 1), `shares` N K float32 (softmax), `targets` N int64 or
    None, `index` N int64 positions in the split; `beside` what the task keeps beside them (localisation: boxes and points, in pixels of the input).
    """

    split: str
    figures: dict[str, float]
    shares: np.ndarray
    targets: np.ndarray | None
    index: np.ndarray
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line: split, count and figures in percent."""
        parts = [f"{name} {value:.4f}" if name == "loss" else f"{name} {value:.2%}" for name, value in self.figures.items() if name != "n"]
        return f"{self.split}: {', '.join(parts)} over {int(self.figures['n']):,} samples"

    def save(self, path: Path) -> None:
        """Write shares, targets and index as `.npz`, atomically; nothing where the task's outputs are not kept."""
        from striate.core.storage import atomic

        if self.shares.shape[1:] == (0,):
            return

        arrays = {"shares": self.shares, "index": self.index} | ({} if self.targets is None else {"targets": self.targets})
        arrays |= dict(self.beside)
        with atomic(path) as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]


@torch.no_grad()
def logits_of(model: nn.Module, x: Tensor, views: Views = "one") -> Any:
    """Return the model's output for `x` N C H W, averaged over the views.

    `mirror`: the picture and its mirror image, half each. `six`: that, and both again shifted by one pixel up-left and down-right (reflected at
    the border), the shifted four weighing as much as the first two (the airbench scripts' choice).
    """
    check_views(views, x.shape if x.dim() == 4 else None)
    if views == "one" or x.dim() != 4:
        return model(x)
    if views == "mirror":
        return _both(model, x)
    height, width = x.shape[-2:]
    padded = F.pad(x, (1, 1, 1, 1), "reflect")
    shifted = [padded[..., top : top + height, left : left + width] for top, left in ((0, 0), (2, 2))]
    both = _both(model, x)
    four = torch.stack([_both(model, s) for s in shifted]).mean(0)
    return 0.5 * both + 0.5 * four


def _both(model: nn.Module, x: Tensor) -> Tensor:
    """Return the logits of pictures and of their mirror images, half each; every call has pictures of its own, for a network may write into them."""
    mirrored = x.flip(-1)
    return 0.5 * logits_in(model(x.clone())) + 0.5 * logits_in(model(mirrored))


def run_over(
    model: nn.Module, split: Split, task: Task, use: Settings, *, views: Views = "one", batch: int = 500, classes: int | None = None
) -> Evaluation:
    """Evaluate `model` (left in the mode it was in) over every sample of `split`, in order.

    `classes`: of the data, for a network that was not made for them: it is refused where it has too few outputs or does not take the pictures.

    A task may say `supervised = False` (its figures need no labels) and `kept = False` (its outputs are too large to keep: `shares` is then N 0);
    its `beside(output, batch)`, where it has one, gives further arrays to keep, and then there is one view only.
    """
    check_views(views)
    aside = getattr(task, "beside", None)
    if aside is not None and views != "one":
        raise ArgumentError(f"views: got {views!r}; task {task.name!r} looks at one view, for a mirrored picture's box lies elsewhere")
    extras: list[dict[str, Tensor]] = []
    supervised, keeps = getattr(task, "supervised", True), getattr(task, "kept", True)
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    kept: list[tuple[Tensor, Tensor | None, Tensor]] = []
    try:
        with torch.no_grad():
            for part in split.batches(batch, epoch=0, seed=0):
                with explained(model, part.x, first=classes is not None and not kept):
                    output = forward(lambda x: logits_of(model, x, views), part.x, use, network=model)
                if classes is not None and not kept and hasattr(task, "check"):
                    task.check(output, classes, at_least=True)
                if part.y is not None or not supervised:
                    for name, value in task.metrics(output, part).items():
                        sums[name] = sums.get(name, 0.0) + float(value.cpu().double().sum())  # an Apple GPU has no float64
                shares = task.decode(output).cpu() if keeps else torch.empty(len(part.index), 0)
                if aside is not None and part.y is not None:
                    extras.append({name: value.float().cpu() for name, value in aside(output, part).items()})
                kept.append((shares, None if part.y is None else part.y.cpu(), part.index))
    finally:
        model.train(was_training)
    if not kept:
        raise DataError(f"split {split.name!r} is empty, so there is nothing to evaluate")
    index = torch.cat([k[2] for k in kept]).numpy()
    targets = None if kept[0][1] is None else torch.cat([k[1] for k in kept if k[1] is not None]).numpy()
    figures = {"n": float(len(index))} | {name: value / len(index) for name, value in sums.items()}
    beside = {name: torch.cat([found[name] for found in extras]).numpy() for name in (extras[0] if extras else ())}
    return Evaluation(split.name, figures, torch.cat([k[0] for k in kept]).numpy(), targets, index, beside)


def evaluate(
    model: Any,
    data: Data | str | Path,
    *,
    split: str = "test",
    views: Views = "one",
    batch: int = 500,
    task: Task | None = None,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
) -> Evaluation:
    """Return the figures of a run or any `nn.Module` on one split of `data`.

    `model` is a `Run` or its folder (its own preprocessing is used), or a network that takes `data`'s batches as they are and has an output for each
    class. Raises `DataError` where the classes of run and data differ, `UnknownNameError` for a split or views that do not exist, `ArgumentError`.
    """
    from striate.data import load
    from striate.training.run import Run, run_of
    from striate.training.tasks import Classify

    check_views(views)
    whole_number("batch", batch, least=1)
    if isinstance(model, (str, Path)):
        model = run_of(model, word="model")
    if not isinstance(model, Run):
        a_network(model)
    opened = load(data)
    use = settings(a_device(device), precision)
    if isinstance(model, Run):
        if model.classes != opened.classes:
            raise DataError(f"the run knows the classes {_few(model.classes)}, the data has {_few(opened.classes)}; they must be the same, in order")
        opened = opened.with_preprocess(model.preprocess)
        network, chosen = model.model, task or model.task
    else:
        network, chosen = model, task or Classify()
    network, use = placed(network, use, opened.shape)
    strange = None if isinstance(model, Run) else len(opened.classes)
    return run_over(network, opened.prepared(device=use.device).split(split), chosen, use, views=views, batch=batch, classes=strange)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (f" … ({len(names)})" if len(names) > 6 else "")
