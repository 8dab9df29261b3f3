"""Pictures that a class, a channel, a neuron or a direction answers to most strongly, grown from noise (row U4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError
from striate.core.runtime import generator as seeded
from striate.probe import rules
from striate.understand.ascending import Objective, Priors, Pull, check_pace, climb, gradient, high_frequencies
from striate.understand.checking import within
from striate.understand.explanation import Explanation
from striate.understand.figures import MOST, class_name, picture_of
from striate.understand.inputs import Prepared, prepare
from striate.understand.last_maps import default_layer
from striate.understand.opening import chosen_preprocess, opened
from striate.understand.parametrisations import Parametrisation, parametrisation
from striate.understand.reading import reading
from striate.understand.registry import method
from striate.understand.scoring import shares
from striate.understand.units import Unit, units_of

if TYPE_CHECKING:
    from striate.draw import Figure

SMOOTH = 64
"""Pixels a side from which pictures are moved less, as a share of their size: smaller ones that hold still please one network alone."""
CONTRASTS = (0.1, 0.3, 1.0)
"""Strengths of the noise to begin with, until the objective answers."""


@method("maximise", help="Pictures that a class, channel, neuron or direction answers to most", needs="nothing", kind="image")
def maximise(
    model: Any,
    *,
    target: Any = None,
    layer: str | None = None,
    channel: int | Sequence[int] | None = None,
    position: tuple[int, int] | None = None,
    direction: Sequence[float] | None = None,
    rivals: float = 1.0,
    count: int = 1,
    diversity: float = 0.2,
    shape: tuple[int, int, int] | None = None,
    parametrise: Literal["pixels", "fourier", "multiresolution"] = "multiresolution",
    colour: Literal["decorrelated", "plain"] = "decorrelated",
    steps: int = 256,
    rate: float = 0.05,
    tv: float = 0.3,
    l2: float = 0.0,
    jitter: int | None = None,
    zoom: float | None = None,
    turn: float | None = None,
    blur: float = 0.0,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Grow pictures that make an objective large: `image` M C H W, and for each its `value`, M.

    What: `target`, one or several classes (default all where there are few): their logits, less `rivals` times the log-sum-exp of the others' (at 0
    the logits alone); or a `layer` and its `channel` (one or several, their mean over positions), at `position` (row, column) a single neuron; or a
    `direction`, one weight for each channel. `count` pictures of each, pushed apart by `diversity`. `shape`: C H W where neither the network nor
    `preprocess` says it.
    How: `parametrise` and `colour` (see `parametrisations.py`), `steps` of Adam at `rate`; the priors `tv`, `l2`, `jitter` (pixels), `zoom` (share),
    `turn` (degrees) and `blur`; by default a sixteenth of the side, .1 and 5, under 64 pixels an eighth, .2 and 15,
    and neither zoom nor turn for a single neuron. Weights are beside a gradient of the objective brought to length one, so they mean the same on
    any network and size. A start that the objective does not answer to is begun anew, stronger; where it stays silent the gradient passes all ReLUs
    until it answers. Values are those of the picture as 8 bits.
    Raises `ArgumentError`, `UnknownNameError`. Sources: Simonyan et al. 2014; Olah et al. 2017; row U4.
    """
    check_pace(steps, rate)
    size = _shape(model, preprocess, shape)
    side = min(size[1:])
    within("count", count, 1)
    within("rivals", rivals, 0)
    within("diversity", diversity, 0)
    for name, value, most in (("jitter", jitter, side - 1), ("zoom", zoom, 1), ("turn", turn, 180), ("blur", blur, side)):
        within(name, value or 0, 0, most)
    loose, fixed = side >= SMOOTH, position is not None  # a neuron looks at one place
    priors = Priors(
        tv=tv,
        l2=l2,
        jitter=round(side / (16 if loose else 8)) if jitter is None else jitter,
        zoom=(0.0 if fixed else 0.1 if loose else 0.2) if zoom is None else zoom,
        turn=(0.0 if fixed else 5.0 if loose else 15.0) if turn is None else turn,
        blur=blur,
    )
    with prepare(model, torch.full((1, *size), 0.5), preprocess=preprocess, batch=batch, seed=seed) as p:
        units = units_of(p, target=target, layer=layer, channel=channel, position=position, direction=direction)
        how = parametrisation(parametrise, size, colour=colour, like=p.pixels)
        per = max(1, min(p.batch, 32) // count)
        made = [_grown(p, units[start : start + per], how, rivals, count, diversity, steps, rate, priors) for start in range(0, len(units), per)]
        images, values, lost = (torch.cat([part[number] for part in made]) for number in range(3))
        arrays: dict[str, Any] = {"image": images, "value": values, "unit": np.repeat(np.arange(len(units)), count)}
        receipts = {
            "smallest_value": float(values.min()),
            "largest_value": float(values.max()),
            "high_frequencies": float(high_frequencies(images).mean()),
        }
        notes = []
        if silent := int((lost > 0).sum()):
            notes.append(f"{silent} of {len(images)} pictures began where the unit was silent; the gradient passed all ReLUs until it answered")
        if dead := int((lost == steps).sum()):
            notes.append(f"{dead} of {len(images)} pictures found no answer at all: the unit may be dead")
        if units[0].layer is None:
            with torch.no_grad():
                chances = torch.cat([shares(p.model(part)) for part in torch.split(images, p.batch)])
            wanted = torch.tensor([unit.number for unit in units for _ in range(count)], device=chances.device)
            arrays["probability"] = chances.gather(1, wanted[:, None])[:, 0]
            if chances.shape[1] > 1:
                receipts["recognised"] = float((chances.argmax(1) == wanted).float().mean())
        options = {
            "channel": channel, "position": position, "direction": None if direction is None else tuple(map(float, direction)),
            "rivals": rivals, "count": count, "diversity": diversity, "shape": size, "parametrise": parametrise, "colour": colour,
            "steps": steps, "rate": rate, **dataclasses.asdict(priors), "units": tuple(unit.name for unit in units),
        }  # fmt: skip
        found = p.explanation("maximise", "image", arrays, layer=units[0].layer, options=options, receipts=receipts, notes=notes, pixels=False)
        classes = tuple(unit.number for unit in units for _ in range(count)) if units[0].layer is None else None
        return dataclasses.replace(found, target=classes, fingerprints={"model": found.fingerprints["model"]})


def figure(explanation: Explanation) -> Figure:
    """Draw the pictures; under each what it was grown for, and how strongly that answers."""
    arrays, options = explanation.arrays, explanation.options
    names = [_name(explanation, int(number)) for number in arrays["unit"]]
    if "probability" in arrays:
        names = [f"{name}: {draw.percent(float(chance), 0)}" for name, chance in zip(names, arrays["probability"], strict=True)]
    else:
        names = [f"{name}: {draw.short(float(value))}" for name, value in zip(names, arrays["value"], strict=True)]
    where = f"channels of {explanation.layer}" if explanation.layer else "classes"
    title = f"Pictures that {len(options['units'])} {where} answer to most"
    if len(options["units"]) == 1:
        title = f"Pictures that {_name(explanation, 0)}{f' of {explanation.layer}' if explanation.layer else ''} answers to most"
    side = arrays["image"].shape[-1]
    count = int(options["count"])
    if len(names) > MOST:
        title += f" (the first {MOST} of {len(names)} pictures)"
    return draw.grid(
        [picture_of(picture) for picture in arrays["image"][:MOST]],
        names[:MOST],
        title=title,
        columns=count if count > 1 else None,
        size=112 if side < draw.SMALL_PICTURE else 172,
        width=900,
    )


def _name(explanation: Explanation, unit: int) -> str:
    if explanation.layer is None and explanation.target is not None:
        name = class_name(explanation, explanation.target[unit * int(explanation.options["count"])])
        return name.partition(",")[0]  # ImageNet's names list several
    return str(explanation.options["units"][unit])


def _grown(
    p: Prepared, units: Sequence[Unit], how: Parametrisation, rivals: float, count: int, diversity: float, steps: int, rate: float, priors: Priors
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pictures of some units, `count` of each, their values, and for how many steps each was silent."""
    layer = units[0].layer
    apart_at = layer if layer is not None else _maps(p) if count > 1 and diversity else None
    with reading(p, [apart_at]) if apart_at is not None else nullcontext(dict) as read:

        def answers(pixels: Tensor) -> list[Tensor]:
            return list(torch.split(p.model(pixels) if layer is None else read(pixels)[layer], count))

        def objective(pixels: Tensor) -> Tensor:
            return torch.cat([unit.lead(part, rivals) for unit, part in zip(units, answers(pixels), strict=True)])

        def apart(pixels: Tensor) -> Tensor:
            seen = pixels.flatten(1) - 0.5 if apart_at is None else read(pixels)[apart_at]
            return torch.cat([_difference(part) for part in torch.split(seen, count)])

        def rescue(wish: Objective, pixels: Tensor) -> Tensor:
            try:
                with rules(p.network, relu="deconvnet"):
                    return gradient(wish, pixels)
            except ArgumentError:  # no ReLU to pass
                return torch.zeros_like(pixels)

        parameters = _started(how, objective, [_seeded(p.seed, unit, turn) for unit in units for turn in range(count)])
        generators = [_seeded(p.seed, unit, turn, 1) for unit in units for turn in range(count)]
        pull = Pull(objective, apart if count > 1 and diversity else None, diversity, rescue)
        images, lost = climb(how, parameters, pull, steps=steps, rate=rate, priors=priors, generators=generators)
        images = (images * 255).round() / 255
        with torch.no_grad():
            values = torch.cat([unit.value(part) for unit, part in zip(units, answers(images), strict=True)])
        return images, values, lost


def _started(how: Parametrisation, objective: Objective, generators: Sequence[torch.Generator]) -> list[Tensor]:
    """Return parameters of one noise picture a generator: for each the faintest one that the objective answers to."""
    states = [generator.get_state() for generator in generators]
    best: list[Tensor] = []
    missing = torch.ones(len(generators), dtype=torch.bool)
    for contrast in CONTRASTS:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        each = [how.noise(generator, contrast) for generator in generators]
        tried = [torch.cat(parts) for parts in zip(*each, strict=True)]
        answered = gradient(objective, how.pixels(tried)).flatten(1).abs().amax(1).cpu() > 0
        take = missing & answered if best else torch.ones_like(missing)
        best = [torch.where(take.view(-1, *[1] * (new.ndim - 1)).to(new.device), new, old) for new, old in zip(tried, best or tried, strict=True)]
        missing &= ~answered
        if not bool(missing.any()):
            break
    return best


def _maps(p: Prepared) -> str | None:
    """Return the layer at which pictures of a class are compared, or None (then the pictures themselves are) for a network without maps."""
    try:
        return default_layer(p.network, p.inputs, scorer=p.scorer)
    except ArgumentError:
        return None


def _difference(seen: Tensor) -> Tensor:
    """Return for the pictures of one unit how unlike the others each is: minus the mean cosine between Gram matrices (N C H W), or codes (N F)."""
    flat = seen.flatten(2) if seen.ndim == 4 else seen
    likeness = (flat @ flat.transpose(1, 2)).flatten(1) if seen.ndim == 4 else flat
    normed = likeness / likeness.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosine = normed @ normed.T
    unlike: Tensor = -(cosine.sum(1) - cosine.diagonal()) / max(1, len(cosine) - 1)
    return unlike


def _seeded(seed: int, unit: Unit, turn: int, use: int = 0) -> torch.Generator:
    where = 0 if unit.position is None else 1 + unit.position[0] * 65_537 + unit.position[1]
    return seeded(seed, unit.layer is not None, unit.number, where, turn, use)


def _shape(model: Any, preprocess: Any, shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Return C H W of the pictures to grow: as asked, else the preprocess's, else the network's own. Raises `ArgumentError`."""
    if shape is not None:
        if len(shape) != 3 or min(shape) < 1:
            raise ArgumentError(f"shape: got {shape}, expected C H W, such as (3, 224, 224)")
        return (int(shape[0]), int(shape[1]), int(shape[2]))
    network, own, _ = opened(model)
    how, _ = chosen_preprocess(preprocess, own)
    size, channels = getattr(how, "size", None), getattr(how, "channels", None)
    if size is not None and channels is not None:
        return (int(channels), int(size[0]), int(size[1]))
    found = tuple(getattr(getattr(network, "spec", None), "input", ()))
    if len(found) == 3:
        return found
    raise ArgumentError("shape: this network does not say how large its pictures are; give shape=(C, H, W), such as shape=(3, 224, 224)")
