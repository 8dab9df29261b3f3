"""Where covering the picture lowers the score: a window slides over it, and what the network says to each is kept (row U3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.figures import ROWS, asked_for, between, captions, class_name, first_of, picture_of, seen, titled
from striate.understand.inputs import prepare
from striate.understand.registry import method
from striate.understand.scoring import shares
from striate.understand.standins import stand_in
from striate.understand.throughput import Run, Throughput

if TYPE_CHECKING:
    from striate.draw import Figure

NAMED = 3
"""Winning classes that have a colour and a name in the figure, besides the class asked for."""


@method("occlusion", help="Where covering the picture lowers the score of the class", needs="images", kind="map")
def occlusion(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    window: int | None = None,
    stride: int | None = None,
    value: float | Literal["mean", "blur"] = "mean",
    score: Literal["probability", "logit"] = "probability",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Cover each picture by a window at every place and return what becomes of it.

    `map` N H W: how much the score of the class falls when a pixel is covered, averaged over the windows that cover it. `probability` and `winner`
    N h w: p(class) and the winning class for each window, from the top left; `probability_before` and `winner_before` N: those of the whole picture.
    `window`: pixels a side, default 15 from 128 pixels on, else a quarter of the picture; `stride`: default half of it. The last windows end at the
    edge. `value` covers: a level in [0, 1], `mean` (the picture's mean colour) or `blur`. A window that changes nothing is not run.
    `precision`: bf16, where the machine has it, is believed if a sample keeps its order in float32. Raises `ArgumentError`.
    Row U3; Zeiler and Fergus 2014.
    """
    asked = {"window": window, "stride": stride, "value": value, "score": score, "precision": precision}
    options = checked("occlusion", asked)
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        height, width = p.pixels.shape[-2:]
        side, step = _sizes(window, stride, height, width)
        options |= {"window": side, "stride": step}
        places = [(top, left) for top in _starts(height, side, step) for left in _starts(width, side, step)]
        grid = (len(_starts(height, side, step)), len(_starts(width, side, step)))
        fast = Throughput(p, precision=options["precision"], batch=batch)
        arrays: dict[str, list[Any]] = {name: [] for name in ("map", "probability", "winner", "probability_before", "winner_before")}
        for number, picture in enumerate(p.pixels):
            goal = p.target[number]
            run = _covered(fast, picture, stand_in(picture, options["value"]), places, side, goal, options["score"])
            chances, scores = shares(run.logits)[:, goal], _figure(run.logits, goal, options["score"])
            arrays["map"].append(_spread((scores[-1] - scores[:-1]).cpu().numpy(), places, side, (height, width)))
            arrays["probability"].append(chances[:-1].view(grid).cpu().numpy())
            arrays["winner"].append(run.logits[:-1].argmax(1).view(grid).cpu().numpy())
            arrays["probability_before"].append(float(chances[-1]))
            arrays["winner_before"].append(int(run.logits[-1].argmax()))
        receipts = {"windows": len(places), **fast.receipts()}
        made = {name: np.asarray(values) for name, values in arrays.items()}
        return p.explanation("occlusion", "map", made, options=options, targeted=True, receipts=receipts, notes=fast.told())


def figure(explanation: Explanation) -> Figure:
    """Draw each picture, p(class) for each window, the winning classes, and the fall of the score laid over the picture."""
    arrays, words = explanation.arrays, captions(explanation)
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(explanation), ROWS)):
        picture = picture_of(arrays["pixels"][number])
        shape = (picture.shape[-2], picture.shape[-1])
        before = f"{words[number]}, p = {draw.percent(float(arrays['probability_before'][number]), 1)}"
        coloured, legend = _winners(explanation, number)
        cells = [draw.Panel(picture, caption=before)]
        cells.append(draw.Panel(values=arrays["probability"][number], signed=False, shape=shape, caption="p while covered"))
        cells.append(draw.Panel(coloured, caption="winner while covered", legend=legend))
        cells.append(draw.Panel(picture, arrays["map"][number], caption="fall when covered"))
        rows.append([*cells])
    kept = arrays["probability"].reshape(len(explanation), -1).min(1)
    found = f"covered at its worst place, p({asked_for(explanation)}) is {between(kept)} instead of {between(arrays['probability_before'])}"
    return draw.panels(rows, title=seen(titled(explanation), found) + first_of(len(explanation)), width=800)


def _covered(fast: Throughput, picture: Tensor, cover: Tensor, places: list[tuple[int, int]], side: int, goal: Tensor, score: str) -> Run:
    """Return the logits of the picture covered at each place, and last of the picture itself."""

    def under(pixels: Tensor, place: tuple[int, int]) -> Tensor:
        return pixels[:, place[0] : place[0] + side, place[1] : place[1] + side]

    def at(number: int) -> Tensor:
        made = picture.clone()
        if number < len(places):
            under(made, places[number]).copy_(under(cover, places[number]))
        return made

    changed = [number for number, place in enumerate(places) if not torch.equal(under(picture, place), under(cover, place))]
    numbers = [*changed, len(places)]
    run = fast.run(
        len(numbers),
        lambda chosen: torch.stack([at(numbers[n]) for n in chosen.tolist()]),
        lambda logits: _figure(logits, goal, score),
        around=picture,
    )
    logits = run.logits[-1].repeat(len(places) + 1, 1)
    logits[numbers] = run.logits
    return Run(logits, run.precision)


def _figure(logits: Tensor, goal: Tensor, score: str) -> Tensor:
    return logits[:, goal] if score == "logit" else shares(logits)[:, goal]


def _spread(falls: np.ndarray[Any, Any], places: list[tuple[int, int]], side: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return for each pixel the mean fall over the windows that cover it."""
    total, count = np.zeros(size), np.zeros(size)
    for (top, left), fall in zip(places, falls, strict=True):
        total[top : top + side, left : left + side] += fall
        count[top : top + side, left : left + side] += 1
    return (total / count).astype(falls.dtype)


def _sizes(window: int | None, stride: int | None, height: int, width: int) -> tuple[int, int]:
    side = window if window is not None else 15 if min(height, width) >= 128 else max(1, min(height, width) // 4)
    within("window", side, 1)
    if side > max(height, width):
        raise ArgumentError(f"window: got {side}, but the pictures are {height} x {width}; expected at most {max(height, width)}")
    step = stride if stride is not None else (side + 1) // 2
    within("stride", step, 1)
    if step > side:
        raise ArgumentError(f"stride: got {step} with a window of {side}: some pixels would never be covered; expected at most {side}")
    return side, step


def _starts(length: int, side: int, step: int) -> list[int]:
    """Return where windows begin along one axis; the last ends at the edge."""
    last = max(0, length - side)
    return sorted({*range(0, last + 1, step), last})


def _winners(explanation: Explanation, number: int) -> tuple[np.ndarray[Any, Any], list[tuple[str, str]]]:
    """Return the winning classes as colours h w 3 and their legend: the class asked for, then the others by how often they win."""
    winner = explanation.arrays["winner"][number]
    asked = int(explanation.target[number]) if explanation.target is not None else int(explanation.arrays["winner_before"][number])
    classes, counts = np.unique(winner, return_counts=True)
    often = sorted(zip(-counts, classes, strict=True))
    order = [c for c in (asked,) if c in classes] + [int(c) for _, c in often if c != asked]
    coloured = np.full((*winner.shape, 3), 0.75)
    legend = []
    for place, each in enumerate(order):
        share = float((winner == each).mean())
        if place < NAMED:
            shade = draw.palette.SERIES[place][0]
            coloured[winner == each] = [int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            legend.append((shade, f"{class_name(explanation, each)} {draw.percent(share, 1)}"))
    if len(order) > NAMED:
        legend.append(("#bfbfbf", f"{len(order) - NAMED} others {draw.percent(float(np.isin(winner, order[NAMED:]).mean()), 1)}"))
    times = max(1, -(-128 // max(winner.shape)))
    return coloured.repeat(times, 0).repeat(times, 1), legend
