"""DeepDream: a photograph changed so that a layer sees more of what it already sees in it, at several sizes (row U9)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError, unknown_name
from striate.probe import one_name
from striate.understand.ascending import Objective, check_pace, gradient, unit
from striate.understand.checking import within
from striate.understand.explanation import Explanation
from striate.understand.figures import captions, picture_of
from striate.understand.inputs import Prepared, prepare
from striate.understand.parametrisations import colour_matrix
from striate.understand.photographs import photograph, to_size
from striate.understand.priors import blurred, shaken
from striate.understand.reading import reading, stages
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure

SMALLEST = 32
"""Pixels a side of the smallest octave."""
DEPTH = 0.75
"""Of the default layer among those that give maps."""
ROWS = 4
"""Pictures of a figure."""


@method("dream", help="The photograph with more of what a layer sees in it (DeepDream)", needs="images", kind="image")
def dream(
    model: Any,
    images: Any,
    *,
    layer: str | None = None,
    channel: int | None = None,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 12,
    rate: float = 0.015,
    smooth: float = 1.0,
    colour: Literal["decorrelated", "plain"] = "decorrelated",
    size: int | None = 448,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Climb the mean square of a layer's answer (or one `channel`'s mean) from photographs, small first: `image` N C H W, and `gain` N, its growth.

    `layer`: default the one at three quarters of the depth; `octaves` sizes, each `ratio` times the one before, the largest the whole picture itself,
    at most `size` pixels (None: as it is). Each of `steps` an octave moves pixels by `rate` in root mean square; to the gradient two copies of it are
    added, blurred by `smooth` and thrice as many pixels; `colour` decorrelated lets colours vary as little as in photographs. Detail found at one
    size is carried to the next. Raises `ArgumentError`, `UnknownNameError`. Source: Mordvintsev, Olah, Tyka 2015; row U9.
    """
    check_pace(steps, rate)
    within("octaves", octaves, 1)
    within("smooth", smooth, 0)
    if not (math.isfinite(ratio) and ratio > 1):
        raise ArgumentError(f"ratio: got {ratio}, expected a number above 1")
    pixels, names = photograph(images, size)
    with prepare(model, pixels, preprocess=preprocess, batch=batch, seed=seed) as p:
        place = _middle(p) if layer is None else one_name(p.network, layer)
        sizes = [tuple(round(side * ratio**-turn) for side in p.pixels.shape[-2:]) for turn in reversed(range(octaves))]
        usable = [each for each in sizes if min(each) >= min(SMALLEST, *sizes[-1])]
        notes = [] if len(usable) == octaves else [f"{len(usable)} of {octaves} octaves: smaller pictures than {SMALLEST} pixels say nothing"]
        spread = _spread(colour, p.pixels)
        with reading(p, [place]) as read:
            _check_channel(read(p.pixels[:1])[place], place, channel)

            def objective(shown: Tensor) -> Tensor:
                output = read(shown)[place]
                return output.square().flatten(1).mean(1) if channel is None else output[:, channel].flatten(1).mean(1)

            per = max(1, p.batch // 4)
            made = torch.cat([_dreamt(p, part, objective, usable, steps, rate, smooth, spread) for part in p.chunks(per)])
            with torch.no_grad():
                before, after = (torch.cat([objective(source[part]) for part in p.chunks(per)]) for source in (p.pixels, made))
        gain = torch.where(before > 0, after / before, torch.full_like(before, math.nan))  # what began below zero did not grow so many times
        receipts = {"mean_gain": float(gain.nanmean()), "mean_change": float((made - p.pixels).abs().mean())}
        options = {
            "channel": channel,
            "octaves": len(usable),
            "ratio": ratio,
            "steps": steps,
            "rate": rate,
            "smooth": smooth,
            "colour": colour,
            "size": size,
        }
        arrays = {"image": made, "before": before, "after": after, "gain": gain}
        found = p.explanation("dream", "image", arrays, layer=place, options=options, receipts=receipts, notes=notes)
        return dataclasses.replace(found, names=names)


def figure(explanation: Explanation) -> Figure:
    """Draw each photograph beside its dream."""
    arrays, words = explanation.arrays, captions(explanation)
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(explanation), ROWS)):
        gain, before, after = (float(arrays[name][number]) for name in ("gain", "before", "after"))
        told = f"the layer answers {draw.short(gain)} times as strongly"
        if math.isnan(gain):
            told = f"answer {draw.short(before)} before, {draw.short(after)} now"
        rows.append(
            [draw.Panel(picture_of(arrays["pixels"][number]), caption=words[number]), draw.Panel(picture_of(arrays["image"][number]), caption=told)]
        )
    what = explanation.layer if explanation.options["channel"] is None else f"channel {explanation.options['channel']} of {explanation.layer}"
    return draw.panels(rows, title=f"More of what {what} sees", size=360 if max(arrays["image"].shape[-2:]) >= draw.SMALL_PICTURE else 160, width=900)


def _dreamt(
    p: Prepared, part: slice, objective: Objective, sizes: list[tuple[int, ...]], steps: int, rate: float, smooth: float, spread: Tensor
) -> Tensor:
    generators = [p.generator(number) for number in range(len(p))[part]]
    whole = p.pixels[part]
    detail = torch.zeros_like(to_size(whole, sizes[0]))
    for size in sizes:
        base = to_size(whole, size)
        now = (base + to_size(detail, size)).clamp(0, 1)
        reach = max(1, round(min(size) / 16))
        for _ in range(steps):
            up = gradient(partial(_shaken, objective, generators, reach), now)
            up = unit(up) if not smooth else (unit(up) + unit(blurred(up, smooth)) + unit(blurred(up, 3 * smooth)))
            now = (now + rate * unit(torch.einsum("ij,njhw->nihw", spread, up))).clamp(0, 1)
        detail = now - base
    return (now * 255).round() / 255


def _spread(colour: str, like: Tensor) -> Tensor:
    """Return the matrix C C that a gradient's colours pass: how far each varies in photographs, or none."""
    if colour not in ("decorrelated", "plain"):
        raise unknown_name("colour", colour, ("decorrelated", "plain"))
    if colour == "plain" or like.shape[1] != 3:
        return torch.eye(like.shape[1]).to(like)
    matrix = colour_matrix()
    root: Tensor = matrix @ (matrix / matrix.norm(dim=0)).T  # the covariance's symmetric square root
    return root.to(like)


def _shaken(objective: Objective, generators: Sequence[torch.Generator], reach: int, pixels: Tensor) -> Tensor:
    return objective(shaken(pixels, generators, jitter=reach))


def _middle(p: Prepared) -> str:
    if p.misfit():
        own = f" ({p.own_size})" if p.own_size else ""
        told = "a dream needs a layer that sees them at several; name one before its dense layers with layer=, if it has one"
        raise ArgumentError(f"images: this network takes pictures of one size only{own}, and {told}")
    names = [name for stage in stages(p) for name in stage]
    return names[round(DEPTH * (len(names) - 1))]


def _check_channel(output: Tensor, layer: str, channel: int | None) -> None:
    if output.ndim != 4:
        told = "a dream is of maps, which it can see at several sizes of the picture"
        raise ArgumentError(f"layer: the output of {layer} has shape {tuple(output.shape)}, expected maps N C H W; {told}")
    if channel is not None and not 0 <= channel < output.shape[1]:
        raise ArgumentError(f"channel: got {channel}, but {layer} has channels 0 to {output.shape[1] - 1}")
