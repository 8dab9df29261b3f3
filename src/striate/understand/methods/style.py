"""Style transfer: one picture's content in another's style, with its colours, its regions and the size of its strokes under control (row U9)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError, unknown_name
from striate.probe import one_name
from striate.understand.ascending import check_pace, descend
from striate.understand.checking import within
from striate.understand.explanation import Explanation
from striate.understand.figures import picture_of
from striate.understand.inputs import Prepared, prepare
from striate.understand.parametrisations import parametrisation
from striate.understand.photographs import luminance, photograph, recoloured, resized, to_size
from striate.understand.priors import total_variation
from striate.understand.reading import reading, stages
from striate.understand.registry import method
from striate.understand.styling import gram, regions, resized_mask

if TYPE_CHECKING:
    from striate.draw import Figure

INWARDS = 0.03
"""How far black and white are moved inwards at the start: at the ends nothing moves them."""
LAYERS, SMALLEST = 5, 64
"""Style layers unless told; pixels of the shorter side under which no coarser octave begins."""


@method("style", help="One picture's content in another picture's style", needs="pair", kind="image")
def style(
    model: Any,
    content: Any,
    style: Any,
    *,
    content_layer: str | None = None,
    style_layers: Sequence[str] | None = None,
    strength: float = 20.0,
    scale: float = 1.0,
    colour: Literal["style", "matched", "luminance"] = "style",
    content_regions: Any = None,
    style_regions: Any = None,
    octaves: int = 2,
    steps: int = 200,
    rate: float = 0.1,
    tv: float = 0.01,
    size: int | None = 256,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Change the picture `content` until its features' Gram matrices are those of `style`: `image` 1 C H W, `style_picture` as it was used.

    Made small: ‖F − F₀‖² / ‖F₀‖² at `content_layer`, plus `strength` times the mean over `style_layers` of ‖G − G₀‖² / ‖G₀‖², plus `tv` times the
    mean total variation. Layers: default the first of each stage for style, the second of the fourth for content (conv1_1 to conv5_1 and conv4_2 of
    a VGG). `scale`: the style picture's longer side beside the content's; at 2 its strokes are twice as large. `colour`: `style` takes the style's,
    `matched` first gives the style picture the content's mean colour and covariance, `luminance` transfers brightness and keeps the content's hues.
    Regions: two label pictures with the same labels; each region takes the style of its namesake. `octaves`: how many sizes are gone through, each
    twice the one before. `size`: the content's longer side in pixels. Raises `ArgumentError`, `UnknownNameError`.
    Sources: Gatys, Ecker, Bethge 2016; Gatys et al. 2017 (the controls); row U9.
    """
    check_pace(steps, rate)
    _check(strength=strength, tv=tv, scale=scale, octaves=octaves, colour=colour)
    first, names = photograph(content, size, what="content")
    second, _ = photograph(style, None, what="style")
    if len(first) != 1 or len(second) != 1:
        raise ArgumentError(f"content and style: got {len(first)} and {len(second)} pictures, expected one of each")
    with prepare(model, first, preprocess=preprocess, batch=batch, seed=seed) as p:
        manner = _manner(p.pixels, p.ready(second), scale, colour)
        found = regions(content_regions, style_regions, (_size(p.pixels), _size(manner)))
        start = p.pixels if colour != "luminance" else luminance(p.pixels).expand_as(p.pixels)
        at_content, at_style = _layers(p, content_layer, style_layers)
        picture, wanted = start, start
        losses: list[tuple[Tensor, Tensor]] = []
        sizes = [2.0**-turn for turn in reversed(range(octaves)) if turn == 0 or min(_size(start)) * 2.0**-turn >= SMALLEST]
        with reading(p, [at_content, *at_style]) as read:
            for factor in sizes:
                wanted = resized(start, factor)
                picture = to_size(picture, _size(wanted)).clamp(INWARDS, 1 - INWARDS)
                both = None if found is None else (found[0].to(wanted), found[1].to(wanted))
                loss = _Loss(read, at_content, at_style, wanted, resized(manner, factor), both, strength, tv)
                shape = (wanted.shape[1], *_size(wanted))
                picture = descend(parametrisation("pixels", shape, like=wanted), picture, loss, max(1, steps // len(sizes)), rate)
            with torch.no_grad():
                losses = [loss.parts(each) for each in (wanted, picture)]
        if colour == "luminance":
            picture = p.pixels + luminance(picture) - luminance(p.pixels)
        picture = (picture.clamp(0, 1) * 255).round() / 255
        receipts = {"content_error": float(losses[1][0]), "style_error": float(losses[1][1]), "style_error_of_content": float(losses[0][1])}
        options = {
            "style_layers": tuple(at_style), "strength": strength, "scale": scale, "colour": colour, "regions": 0 if found is None else len(found[0]),
            "octaves": len(sizes), "steps": steps, "rate": rate, "tv": tv, "size": size,
        }  # fmt: skip
        notes = [] if len(sizes) == octaves else [f"{len(sizes)} of {octaves} octaves: the picture is too small for more"]
        arrays = {"image": picture, "style_picture": manner}
        made = p.explanation("style", "image", arrays, layer=at_content, options=options, receipts=receipts, notes=notes)
        return dataclasses.replace(made, names=names)


def figure(explanation: Explanation) -> Figure:
    """Draw content, style and what came of them."""
    arrays = explanation.arrays
    row: list[draw.Panel | None] = [
        draw.Panel(picture_of(arrays["pixels"][0]), caption="content"),
        draw.Panel(picture_of(arrays["style_picture"][0]), caption="style"),
        draw.Panel(picture_of(arrays["image"][0]), caption="content in this style"),
    ]
    before, after = (float(explanation.receipts[name]) for name in ("style_error_of_content", "style_error"))
    return draw.panels([row], title=f"Style error {draw.short(before)} before, {draw.short(after)} after", size=280, width=900)


class _Loss:
    """The objective at one size; `parts` gives the content's and the style's error apart."""

    def __init__(
        self,
        read: Any,
        content_layer: str,
        style_layers: Sequence[str],
        content: Tensor,
        style: Tensor,
        masks: tuple[Tensor, Tensor] | None,
        strength: float,
        tv: float,
    ) -> None:
        self.read, self.content_layer, self.style_layers = read, content_layer, tuple(style_layers)
        self.strength, self.tv, self.masks = strength, tv, masks
        with torch.no_grad():
            self.content = read(content)[content_layer]
            found = read(style)
            for name in style_layers:
                if found[name].ndim != 4:
                    came = tuple(found[name].shape)
                    raise ArgumentError(f"style_layers: the output of {name} has shape {came}, expected maps N C H W, whose Gram matrix is the style")
            self.grams = {name: gram(found[name], self._mask(1, found[name])) for name in style_layers}
            shares = torch.ones(1) if masks is None else masks[0].flatten(1).mean(1)
            self.shares = (shares / shares.sum()).to(content)

    def parts(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the relative squared errors of content and style of one picture."""
        found = self.read(pixels)
        content = (found[self.content_layer] - self.content).square().sum() / self.content.square().sum().clamp(min=1e-12)
        errors = []
        for name in self.style_layers:
            wanted = self.grams[name]
            apart = (gram(found[name], self._mask(0, found[name])) - wanted).square().sum((0, 2, 3))
            errors.append((apart / wanted.square().sum((0, 2, 3)).clamp(min=1e-12) * self.shares).sum())
        return content, torch.stack(errors).mean()

    def __call__(self, pixels: Tensor) -> Tensor:
        content, style_error = self.parts(pixels)
        return content + self.strength * style_error + self.tv * total_variation(pixels).sum() / pixels[0].numel()

    def _mask(self, which: int, features: Tensor) -> Tensor | None:
        return None if self.masks is None else resized_mask(self.masks[which], _size(features))


def _manner(content: Tensor, style: Tensor, scale: float, colour: str) -> Tensor:
    """Return the style picture at its size beside the content, with the channels and the colours it is used with."""
    if content.shape[1] != style.shape[1]:
        style = luminance(style) if content.shape[1] == 1 else style.expand(-1, 3, -1, -1)
    made = resized(style, scale * max(content.shape[-2:]) / max(style.shape[-2:]))
    if colour == "luminance":
        return recoloured(luminance(made), luminance(content)).expand_as(made)
    return recoloured(made, content) if colour == "matched" else made


def _layers(p: Prepared, content: str | None, style_layers: Sequence[str] | None) -> tuple[str, list[str]]:
    asked = [style_layers] if isinstance(style_layers, str) else None if style_layers is None else list(style_layers)
    if asked is not None and not asked:
        raise ArgumentError("style_layers: got none, expected one or more names")
    for name, given in (("content_layer", [] if content is None else [content]), ("style_layers", asked or [])):
        for each in given:
            one_name(p.network, each, name)
    if content is not None and asked is not None:
        return content, asked
    found = stages(p)
    fourth = found[min(3, len(found) - 1)]
    return content or fourth[min(1, len(fourth) - 1)], asked or [stage[0] for stage in found[:LAYERS]]


def _check(*, strength: float, tv: float, scale: float, octaves: int, colour: str) -> None:
    for name, value, least in (("strength", strength, 0), ("tv", tv, 0), ("octaves", octaves, 1)):
        within(name, value, least)
    if not (math.isfinite(scale) and scale > 0):
        raise ArgumentError(f"scale: got {scale}, expected a number above 0")
    if colour not in ("style", "matched", "luminance"):
        raise unknown_name("colour", colour, ("style", "matched", "luminance"))


def _size(pixels: Tensor) -> tuple[int, int]:
    return (pixels.shape[-2], pixels.shape[-1])
