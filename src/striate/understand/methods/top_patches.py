"""What each feature map looks for: the patches of a data set that move it most, beside their projections (row U6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.inputs import Prepared, prepare
from striate.understand.opening import opened
from striate.understand.projecting import projected
from striate.understand.rectifiers import rectifiers
from striate.understand.registry import method
from striate.understand.samples import Samples, samples_of
from striate.understand.sheets import sheet
from striate.understand.strongest import Top, Window, strongest, windows

if TYPE_CHECKING:
    from striate.draw import Figure

MOST_BYTES = 2**31
"""Of all patches and projections together."""


@method("top_patches", help="What each feature map looks for: its strongest patches in a data set, with projections", needs="data", kind="table")
def top_patches(
    model: Any,
    data: Any,
    *,
    layers: Sequence[str] | None = None,
    channels: Sequence[int] | None = None,
    count: int = 9,
    rule: Literal["deconvnet", "guided"] = "deconvnet",
    split: str | None = None,
    samples: int = 10000,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return, for every channel of the layers, the `count` patches of a data set that move it most, and what they look like projected back.

    `layers`: module paths or functions' addresses, default every ReLU that gives maps; `channels`: only these of each. A picture counts once a
    channel, by its strongest unit; among equals the earlier counts. A patch is what the unit sees, its receptive field; white past the picture.
    Table, a row a patch: `layer`, `channel`, `rank`, `value` (the activation), `sample` (position in the split), `unit` R 2, `box` R 4 (top, left,
    bottom, right), `peak` (largest size of the projection). For each layer `patches/LAYER` and `projections/LAYER`, F k C h w, raw; white and 0
    where a channel never fires. `picture`: H W. Raises `UnknownNameError`, `ArgumentError`. Row U6; Zeiler and Fergus 2014, figure 2.
    """
    within("count", count, 1)
    for option, given in (("layers", layers), ("channels", channels)):
        if given is not None and not len(given):
            raise ArgumentError(f"{option}: got none, expected one or more, or None for all of them")
    checked("top_patches", {"rule": rule})
    _, own, _ = opened(model)
    found = samples_of(data, split=split, count=samples, preprocess=preprocess or own, seed=seed)
    with prepare(model, found.pixels[:1], preprocess=preprocess, batch=batch, seed=seed) as p:
        names = tuple(dict.fromkeys(layers)) if layers is not None else _maps(p)
        areas, notes = windows(p, names)
        _affordable(p, names, areas, min(count, len(found)), channels)
        tops = strongest(p, found.pixels, names, count=min(count, len(found)), channels=channels)
        arrays: dict[str, Any] = {}
        rows: dict[str, list[Any]] = {name: [] for name in ("layer", "channel", "rank", "value", "sample", "unit", "box", "peak")}
        shared = ["picture"]
        told = list(notes)
        for name in names:
            patches, projections, own_rows, said = _projected(p, found, name, tops[name], areas[name], channels, rule)
            arrays |= {f"patches/{name}": patches, f"projections/{name}": projections}
            shared += [f"patches/{name}", f"projections/{name}"]
            told += said
            for key, values in own_rows.items():
                rows[key].append(values)
        table = {name: np.concatenate(parts) for name, parts in rows.items()}
        strongest_of = table["value"][table["rank"] == 0]
        receipts = {"maps": len(strongest_of), "silent": int((strongest_of <= 0).sum()), "samples": len(found)}
        options = {"channels": None if channels is None else tuple(channels), "count": count, "rule": rule, "split": split, "samples": samples}
        made = p.explanation(
            "top_patches",
            "table",
            {**table, **arrays, "picture": np.array(p.pixels.shape[-2:])},
            layer=names[0] if len(names) == 1 else None,
            options=options,
            receipts=receipts,
            notes=[*found.notes(), *told],
            shared=shared,
            pixels=False,
        )
        return made.over(found.fingerprint, found.title)


def _maps(p: Prepared) -> tuple[str, ...]:
    """Return the ReLUs that give maps, in order; where several feed each other all are there."""
    found = rectifiers(p.network, p.inputs)
    sizes: dict[str, Top] = strongest(p, p.pixels, [each.address for each in found], count=1, channels=None)
    names = tuple(each.address for each in found if sizes[each.address].plane)
    if not names:
        raise ArgumentError("model: none of its ReLUs gives maps N C H W; name layers, for example layers=('fc1',)")
    return names


def _affordable(p: Prepared, names: Sequence[str], areas: dict[str, Window], count: int, channels: Sequence[int] | None) -> None:
    sizes = strongest(p, p.pixels, names, count=1, channels=channels)
    maps = {name: sizes[name].values.shape[1] for name in names}
    needed = sum(maps[name] * count * p.pixels.shape[1] * areas[name].size[0] * areas[name].size[1] * 8 for name in names)
    if needed > MOST_BYTES:
        raise ArgumentError(
            f"layers: the patches and projections of {sum(maps.values()):,} maps in {len(names)} layers come to {needed / 2**30:.1f} GiB; "
            f"name fewer layers (layers={names[-1:]!r}) or fewer channels (channels=range(16))"
        )


def _projected(
    p: Prepared, found: Samples, name: str, top: Top, area: Window, channels: Sequence[int] | None, rule: Literal["deconvnet", "guided"]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]], tuple[str, ...]]:
    count, maps = top.values.shape
    numbers = np.arange(maps) if channels is None else np.asarray(channels)
    column = torch.arange(maps).repeat_interleave(count)  # a channel's patches stand together
    values, pictures, places = (each.T.reshape(-1).cpu() for each in (top.values, top.pictures, top.places))
    units = top.units(places)
    boxes = np.array([area.box(int(row), int(column_)) for row, column_ in units])
    chosen = torch.from_numpy(numbers)[column]
    fires = (values > 0).nonzero()[:, 0]
    pixels = found.pixels[pictures]

    def pick(output: Tensor, part: slice) -> Tensor:
        rows = torch.arange(len(output), device=output.device)
        which = fires[part].to(output.device)
        where = chosen.to(output.device)[which]
        if output.ndim == 2:
            return output[rows, where]
        return output[rows, where, units.to(output.device)[which, 0], units.to(output.device)[which, 1]]

    high, wide = area.size
    shape = (maps * count, pixels.shape[1], high, wide)
    patches, projections = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    peaks = np.zeros(maps * count, np.float32)
    notes: tuple[str, ...] = ()
    pool: Literal["switches", "gradient"] = "switches" if rule == "deconvnet" else "gradient"
    if len(fires):
        ready = p.ready(pixels[fires])
        layer = name if name.endswith("]") else f"{name}[0]"
        made = projected(p, ready, pick, relu=rule, pool=pool, layer=layer, bare=True)
        notes = made.notes
        for row, picture, signal in zip(fires.tolist(), ready.cpu().float().numpy(), made.signals.cpu().float().numpy(), strict=True):
            patches[row], projections[row] = area.cut(picture, boxes[row], 1.0), area.cut(signal, boxes[row], 0.0)
            peaks[row] = np.abs(signal).max()
    table = {
        "layer": np.array([name] * len(values)),
        "channel": chosen.numpy(),
        "rank": np.tile(np.arange(count), maps),
        "value": values.float().numpy(),
        "sample": found.index[pictures.numpy()],
        "unit": units.numpy(),
        "box": boxes,
        "peak": peaks,
    }
    form = (maps, count, *shape[1:])
    return patches.reshape(form), projections.reshape(form), table, notes


def figure(explanation: Explanation) -> Figure:
    """Draw projections beside patches, three by three, for some maps of each layer."""
    return sheet(explanation)
