"""What a layer answers to pictures: its maps (or numbers) as they are (row U1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import draw
from striate.core.errors import ArgumentError
from striate.probe import activations as seen
from striate.probe import one_name
from striate.understand.explanation import Explanation
from striate.understand.figures import captions, picture_of, side_of
from striate.understand.inputs import prepare
from striate.understand.last_maps import default_layer
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure

STRONGEST, ROWS = 5, 8
"""Channels and pictures that the figure shows."""


@method("activations", help="What the channels of a layer answer to the pictures", needs="images", kind="map")
def activations(
    model: Any,
    images: Any,
    *,
    layer: str | None = None,
    channels: Sequence[int] | None = None,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return a layer's output for each picture: `activation` N C H W (or N F), raw.

    `layer`: a module path, the paper's name for it, a function's address, default the last with maps; `channels`: only these, default all. `map`
    is the mean over channels where the layer has maps. Raises `UnknownNameError` for a layer that is not there, `ArgumentError` for a channel or for
    none. Row U1.
    """
    if channels is not None and not len(channels):
        raise ArgumentError("channels: got none, expected one or more numbers, or None for all of them")
    with prepare(model, images, preprocess=preprocess, batch=batch, seed=seed) as p, torch.no_grad():
        place = default_layer(p.network, p.inputs[:1], scorer=p.scorer) if layer is None else one_name(p.network, layer)
        found = torch.cat([seen(p.network, p.inputs[part], at=place, names=p.paper_names)[place] for part in p.chunks()])
        if found.ndim not in (2, 4):
            raise ArgumentError(f"{place}: its output has shape {tuple(found.shape)}, expected N C H W or N F")
        if channels is not None:
            if bad := [number for number in channels if not 0 <= number < found.shape[1]]:
                raise ArgumentError(f"channels: got {bad[0]}, but {place} has channels 0 to {found.shape[1] - 1}")
            found = found[:, list(channels)]
        arrays = {"activation": found} | ({"map": found.mean(1)} if found.ndim == 4 else {})
        dead = float((found.flatten(2).amax(-1) if found.ndim == 4 else found).amax(0).le(0).float().mean())
        receipts = {"channels": found.shape[1], "share_of_zeros": float(found.eq(0).float().mean()), "silent_channels": dead}
        chosen = {"channels": None if channels is None else tuple(channels)}
        return p.explanation("activations", "map", arrays, layer=place, options=chosen, receipts=receipts)


def figure(explanation: Explanation) -> Figure:
    """Draw for each picture the maps of the channels that answer most strongly, on one scale; of a dense layer its largest values."""
    found, pixels, words = explanation.arrays["activation"], explanation.arrays["pixels"], captions(explanation)
    numbers = explanation.options["channels"] or range(found.shape[1])
    silent, whole = explanation.receipts["silent_channels"], int(explanation.receipts["channels"])
    title = f"{whole} channels of {explanation.layer}, {draw.percent(explanation.receipts['share_of_zeros'], 0)} of their values are zero"
    title += f", {round(silent * whole)} channels silent" if silent else ""
    if found.ndim == 2:
        strongest = np.argsort(-np.abs(found[0]), kind="stable")[:12]
        return draw.bars({f"{numbers[int(channel)]}": float(found[0, channel]) for channel in strongest}, title=title)
    rows: list[list[draw.Panel | None]] = []
    for picture, maps, caption in zip(pixels[:ROWS], found[:ROWS], words, strict=False):
        strongest = np.argsort(-maps.max(axis=(1, 2)), kind="stable")[:STRONGEST]
        low, high = float(maps[strongest].min()), float(maps[strongest].max())
        shape = (picture.shape[-2], picture.shape[-1])
        row: list[draw.Panel | None] = [draw.Panel(picture_of(picture), caption=caption)]
        for place, channel in enumerate(strongest):
            row.append(draw.Panel(values=maps[channel], caption=f"{numbers[int(channel)]}", low=low, high=high, bar=place == 0, shape=shape))
        rows.append(row)
    return draw.panels(rows, title=title, size=min(side_of(pixels), 140), width=900)
