"""Any picture, or mere noise, into a class of one's choice with as much confidence as asked: fooling images (row U7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.attacking import panels, saved, scores, told, whole
from striate.understand.checking import checked
from striate.understand.explanation import Explanation
from striate.understand.inputs import Prepared, prepare
from striate.understand.pixel_gradients import gradient_at
from striate.understand.registry import method
from striate.understand.scoring import several

if TYPE_CHECKING:
    from striate.draw import Figure


@method("fooling", help="Any picture, or noise, into a class of one's choice with confidence", needs="images", kind="image")
def fooling(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    start: Literal["image", "noise"] = "image",
    confidence: float = 0.9,
    steps: int = 200,
    rate: float = 0.25,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return pictures that the network takes for `target` with a softmax share of at least `confidence`, counted after saving with 8 bits.

    Each step goes along the gradient of the target's log-share and changes pixels by `rate` 255ths in root mean square; a picture that has arrived
    is left alone. `target`: default the class each start is least like. `start="noise"`: begin at uniform noise of the images' shape, drawn for each
    by the seed. `steps_taken` N. Arrays and receipts: see `attacking.told`; success asks for the class, `arrived` for the confidence too. Row U7;
    Nguyen et al. 2015.
    """
    whole("steps", steps)
    checked("fooling", {"start": start})
    if not 0 < confidence < 1 or not rate > 0:
        raise ArgumentError(f"confidence, rate: got {confidence:g}, {rate:g}; expected a share between 0 and 1, and more than 0")
    if start == "noise":
        with prepare(model, images, preprocess=preprocess, seed=seed) as p:
            drawn = [torch.rand(p.pixels.shape[1:], generator=p.generator(number), dtype=p.pixels.dtype) for number in range(len(p))]
            images = saved(torch.stack(drawn))
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        several(p.logits)
        if target is None:
            p.target = p.logits.argmin(1)
        found, taken = _climbed(p, confidence, steps, rate)
        kept = saved(found)
        arrived = scores(p, kept).softmax(1).gather(1, p.target[:, None])[:, 0] >= confidence
        arrays = {"steps_taken": taken, "arrived": arrived}
        options = {"start": start, "confidence": confidence, "steps": steps, "rate": rate}
        receipts = {"arrived": float(arrived.float().mean()), "median_steps": float(taken.float().median())}
        return told(p, "fooling", found, kept, targeted=True, options=options, arrays=arrays, receipts=receipts)


def _climbed(p: Prepared, confidence: float, steps: int, rate: float) -> tuple[Tensor, Tensor]:
    x = p.pixels.clone()
    taken = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    length = rate / 255 * x[0].numel() ** 0.5
    for part in p.chunks():
        rows = torch.arange(part.start, part.stop, device=x.device)
        for _ in range(steps + 1):
            share = scores(p, saved(x[rows])).softmax(1).gather(1, p.target[rows, None])[:, 0]
            rows = rows[share < confidence]
            if not len(rows) or int(taken[rows[0]]) == steps:
                break
            now = x[rows].detach().requires_grad_()
            logits = p.model(now)
            way = gradient_at(now, logits.log_softmax(1).gather(1, p.target[rows, None]).sum())
            size = way.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None, None]
            x[rows] = (x[rows] + length * way / size).clamp(0, 1)
            taken[rows] += 1
    return x, taken


def figure(explanation: Explanation) -> Figure:
    """Draw start, fooling image, difference and tenfold difference."""
    return panels(explanation, first="noise" if explanation.options.get("start") == "noise" else "original")
