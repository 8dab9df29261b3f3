"""Localisation: a class, a box and points from one trunk (row R5)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.core.contracts import Batch
from striate.core.errors import ArgumentError, DataError
from striate.pixels.boxes import generalised_iou, iou
from striate.training.outputs import check_width, heads_in, logits_in
from striate.training.registry import task

ENOUGH = 0.5
"""The overlap from which a box counts as found: ILSVRC's localisation and PASCAL VOC's detection rule."""


@task("localise", help="a class, its box (x, y, w, h) and points from one trunk")
class Localise:
    """Softmax cross-entropy for the class beside L1 and generalised IoU for the box (Carion et al. 2020's pair), and L1 for points.

    Outputs are N (K + 4 + 2 P): logits of K classes, four numbers of the box, two of each point; `boxes` and `points` read them. Targets are
    `batch.y` N and `batch.extra["boxes"]` N 4, `["points"]` N P 2, in pixels of the input. A box that augmentation pushed out of the picture, or a
    point that was not seen (NaN), does not count. A tuple is a network with auxiliary heads, which count with `auxiliary`.

    Figures per sample, lower is better: `loss`, `error` (wrong class), `box_error` (1 - IoU), `missed` (IoU under 0.5), `localisation_error` (wrong
    class or IoU under 0.5), `point_error` (mean distance in shares of the picture's longer side). Mean IoU is 1 - box_error.
    """

    name, watch = "localise", "localisation_error"

    def __init__(
        self,
        *,
        boxes: bool = True,
        points: int = 0,
        smoothing: float = 0.0,
        weights: Tensor | None = None,
        l1: float = 5.0,
        overlap: float = 2.0,
        auxiliary: float = 0.3,
    ) -> None:
        if points < 0 or not (boxes or points):
            raise ArgumentError(f"points: got {points} with boxes={boxes}; expected boxes, or at least one point")
        self.with_boxes, self.count, self.smoothing, self.weights = boxes, points, smoothing, weights
        self.l1, self.overlap, self.auxiliary = l1, overlap, auxiliary
        self.watch = "localisation_error" if boxes else "point_error"

    @property
    def options(self) -> dict[str, Any]:
        """What a run's folder keeps, so that the task can be made again to read its network's outputs."""
        return {"boxes": self.with_boxes, "points": self.count}

    @property
    def extra_outputs(self) -> int:
        """How many outputs the network needs beside one a class."""
        return 4 * self.with_boxes + 2 * self.count

    def check(self, output: Any, classes: int, *, at_least: bool = False) -> None:  # noqa: ARG002 - what lies behind the classes is read from the end
        """Raise `ArgumentError` where an output has not one number for each class and those of box and points."""
        check_width(output, classes, beside=self.extra_outputs)

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the mean loss over the batch, in float32."""
        main, *others = [self._losses(head, batch, plain=False).mean() for head in heads_in(output)]
        return main + self.auxiliary * torch.stack(others).sum() if others else main

    def _losses(self, output: Tensor, batch: Batch, *, plain: bool) -> Tensor:
        targets = self._targets(batch)
        weights = None if self.weights is None or plain else self.weights.to(output.device)
        total = F.cross_entropy(self.logits(output), targets, weight=weights, label_smoothing=0.0 if plain else self.smoothing, reduction="none")
        sides = _sides(batch)
        if self.with_boxes:
            wanted, given = batch.extra["boxes"] / sides.repeat(2), self.boxes(output)
            there = (wanted[:, 2:] > 0).all(1)
            apart = (given - wanted).abs().sum(1) * self.l1 + (1 - generalised_iou(given, wanted)) * self.overlap
            total = total + torch.where(there, apart, 0.0)
        if self.count:
            goal = batch.extra["points"] / sides
            seen = goal.isfinite().all(2)
            apart = (self.points(output) - goal.nan_to_num()).abs().sum(2)
            total = total + self.l1 * torch.where(seen, apart, 0.0).sum(1) / seen.sum(1).clamp(min=1)
        return total

    @torch.no_grad()
    def metrics(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the figures per sample; see the class. A sample without a box, or without points, has 0 in their figures."""
        main = _main(output)
        targets = self._targets(batch)
        wrong = self.logits(main).argmax(1) != targets
        figures = {"loss": self._losses(main, batch, plain=True), "error": wrong.float()}
        sides = _sides(batch)
        if self.with_boxes:
            wanted = batch.extra["boxes"]
            there = (wanted[:, 2:] > 0).all(1)
            share = iou(self.boxes(main) * sides.repeat(2), wanted)
            missed = there & (share < ENOUGH)
            figures |= {"box_error": torch.where(there, 1 - share, 0.0), "missed": missed.float(), "localisation_error": (missed | wrong).float()}
        if self.count:
            goal = batch.extra["points"]
            seen = goal.isfinite().all(2)
            apart = (self.points(main) * sides - goal.nan_to_num()).square().sum(2).sqrt() / sides.max()
            figures["point_error"] = torch.where(seen, apart, 0.0).sum(1) / seen.sum(1).clamp(min=1)
        return figures

    def decode(self, output: Any) -> Tensor:
        """Return class shares N K (softmax), float32; `boxes` and `points` give the rest."""
        return self.logits(_main(output)).softmax(1)

    def beside(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return what is kept beside the class shares, in pixels of the input: `boxes`, `points`, and `true_boxes`, `true_points`."""
        main, sides = _main(output), _sides(batch)
        kept: dict[str, Tensor] = {}
        if self.with_boxes:
            kept |= {"boxes": self.boxes(main) * sides.repeat(2), "true_boxes": batch.extra["boxes"]}
        if self.count:
            kept |= {"points": self.points(main) * sides, "true_points": batch.extra["points"]}
        return kept

    def logits(self, output: Tensor) -> Tensor:
        """Return the logits N K, float32."""
        if output.dim() != 2 or output.shape[1] <= self.extra_outputs:
            raise ArgumentError(
                f"model: its output is {tuple(output.shape)}; task 'localise' needs N (K + {self.extra_outputs}): one logit a class, "
                f"{'4 numbers of the box' if self.with_boxes else ''}{' and ' if self.with_boxes and self.count else ''}"
                f"{f'2 of each of {self.count} points' if self.count else ''}"
            )
        return output[:, : output.shape[1] - self.extra_outputs].float()

    def boxes(self, output: Any) -> Tensor:
        """Return boxes (x, y, w, h) N 4 in shares of the input's width and height: centre and size are sigmoids of four outputs."""
        main = _main(output)
        if not self.with_boxes:
            raise ArgumentError("boxes: this task has points only")
        start = main.shape[1] - self.extra_outputs
        raw = main[:, start : start + 4].float().sigmoid()
        centre, size = raw[:, :2], raw[:, 2:]
        return torch.cat([centre - size / 2, size], 1)

    def points(self, output: Any) -> Tensor:
        """Return points (x, y) N P 2 in shares of the input's width and height: sigmoids of their outputs."""
        main = _main(output)
        if not self.count:
            raise ArgumentError("points: this task has boxes only")
        return main[:, -2 * self.count :].float().sigmoid().reshape(-1, self.count, 2)

    def _targets(self, batch: Batch) -> Tensor:
        if batch.y is None:
            raise ArgumentError("data: these samples have no labels, and task 'localise' needs them")
        for name, needed in (("boxes", self.with_boxes), ("points", self.count > 0)):
            if needed and name not in batch.extra:
                raise ArgumentError(f"data: these samples have no {name}, and task 'localise' was told to learn them")
        return batch.y


def for_data(data: Any, smoothing: float, weights: Tensor | None, views: str) -> Localise:
    """Return the task that fits the boxes and points of `data`. Raises `DataError` where there are neither, `ArgumentError` for views."""
    extra = next(iter(data.tables.values())).extra
    if not ("boxes" in extra or "points" in extra):
        noted = "".join(f" ({note})" for note in getattr(data, "notes", ()) if note.startswith("no boxes"))
        raise DataError(
            f"{data.name}: has no boxes and no points, and task 'localise' needs them{noted}; a table (.csv) with columns x, y, w, h (pixels) "
            f"brings boxes, NAME_x and NAME_y points"
        )
    if views != "one":
        raise ArgumentError(f"views: got {views!r}; task 'localise' looks at one view, for a mirrored picture's box lies elsewhere. Set views=one")
    points = extra["points"].shape[1] if "points" in extra else 0
    return Localise(boxes="boxes" in extra, points=points, smoothing=smoothing, weights=weights)


def _main(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else logits_in(output)


def _sides(batch: Batch) -> Tensor:
    return torch.tensor([batch.x.shape[-1], batch.x.shape[-2]], dtype=torch.float32, device=batch.x.device)
