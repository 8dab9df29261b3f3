"""A layer's filters as pictures: the first layer in colour, deeper ones as tiles of their slices, dense ones as templates (row U1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from striate import draw
from striate.core.errors import ArgumentError, unknown_name
from striate.probe import closed, one_name, original, record, traceless
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.filter_figures import ALIKE, DEAD, FAINT, noise, noise_of_white, resemblance, roughness, under
from striate.understand.fingerprints import of_model
from striate.understand.opening import opened
from striate.understand.registry import method
from striate.understand.soundness import check_weights

if TYPE_CHECKING:
    from striate.draw import Figure

Array = np.ndarray[Any, Any]
COVERED = 0.995
"""Share of the weights that the colours of a sheet of tiles reach to; the notes say so."""
COLOURED, TILED = 64, 16
"""How many filters are shown unless told: small pictures, and sheets of tiles."""


@method("filters", help="A layer's filters as pictures: which are near zero, alike or noisy", needs="nothing", kind="image")
def filters(
    model: Any,
    *,
    layer: str | None = None,
    count: int | None = None,
    order: Literal["number", "norm"] = "number",
    scale: Literal["layer", "filter"] = "layer",
    shape: tuple[int, int, int] | None = None,
) -> Explanation:
    """Return the filters of a convolution or dense layer as pictures, with figures for each of them.

    `layer`: a module path, default the first convolution (else the first dense layer); `count`: how many are shown (64 in colour or grey, 16 sheets
    of tiles); `order`: as they stand, or largest norm first; `scale`: one scale for the layer or one for each filter; `shape`: C H W that a dense
    layer's inputs had before they were flattened, where striate cannot know.
    Arrays: `image` M 3 h w, zero in the middle of the scale; `weights` M C H W raw; for all O filters `norm`, `roughness` (0 smooth, 1 white noise),
    `noise` (share of energy above a quarter cycle a pixel), `nearest` and `cosine` (the filter it resembles most), `near_zero` (norm under 1 % of the
    largest).
    Raises `UnknownNameError` for a layer, `ArgumentError` for one without filters. Row U1.
    """
    checked("filters", {"order": order, "scale": scale})
    if count is not None:
        within("count", count, 1)
    network, _, _ = opened(model)
    inner, notes = original(network)
    check_weights(inner)
    with traceless(inner):  # a weight that is computed is computed as for a picture: spectral norm writes in training mode
        inner.eval()
        place, module = _chosen(inner, layer)
        weights, said = _kernels(inner, place, module, shape)
    norms = np.linalg.norm(weights.reshape(len(weights), -1).astype(np.float64), axis=1)
    nearest, cosine = resemblance(weights)
    dead = under(weights, DEAD)
    wanted = np.argsort(-norms, kind="stable") if order == "norm" else np.arange(len(weights))
    coloured = weights.shape[1] in (1, 3)
    some = wanted[: (COLOURED if coloured else TILED) if count is None else count]
    shown = weights[some]
    share = 1.0 if coloured else COVERED  # a few large weights would leave sheets of tiles blank
    sizes = np.abs(shown).reshape(len(shown), -1)
    reach = np.quantile(sizes, share, axis=1) if scale == "filter" else np.full(len(shown), np.quantile(np.abs(weights), share))
    arrays: dict[str, Array] = {
        "image": np.stack([_picture(kernel, float(end)) for kernel, end in zip(shown, reach, strict=True)]),
        "weights": shown,
        "number": some,
        "norm": norms,
        "roughness": roughness(weights),
        "noise": noise(weights),
        "nearest": nearest,
        "cosine": cosine,
        "near_zero": dead,
    }
    receipts = {
        "filters": len(weights),
        "near_zero": int(dead.sum()),
        "faint": int((under(weights, FAINT) & ~dead).sum()),
        "alike_pairs": int((cosine >= ALIKE).sum() + 1) // 2,
        "opposite_pairs": int((cosine <= -ALIKE).sum() + 1) // 2,
        "median_roughness": _median(arrays["roughness"][~dead]),
        "median_noise": _median(arrays["noise"][~dead]),
        "noise_of_white": noise_of_white(*weights.shape[2:]),
        "raw_min": float(weights.min()),
        "raw_max": float(weights.max()),
    }
    end = (
        f"at most ±{draw.short(float(reach.max()))}, each filter its own"
        if scale == "filter"
        else f"±{draw.short(float(reach.max()))} for all filters"
    )
    beyond = "" if coloured else f"; the largest {1 - COVERED:.1%} of the weights lie beyond and are drawn at the ends"
    said.append(f"the middle of the colours is zero, their ends are {end}{beyond}")
    return Explanation(
        kind="image",
        method="filters",
        arrays=arrays,
        options={"count": count, "order": order, "scale": scale, "shape": shape},
        layer=place,
        fingerprints={"model": of_model(inner)},
        receipts={name: value for name, value in receipts.items() if not math.isnan(value)},
        notes=(*notes, *said),
        shared=("norm", "roughness", "noise", "nearest", "cosine", "near_zero"),
    )


def figure(explanation: Explanation) -> Figure:
    """Draw the filters; under each its number, and what is wrong with it."""
    arrays, receipts = explanation.arrays, explanation.receipts
    names = []
    for number in arrays["number"]:
        cosine, other = float(arrays["cosine"][number]), int(arrays["nearest"][number])
        mark = " ≈ 0" if arrays["near_zero"][number] else f" ≈ {other}" if cosine >= ALIKE else f" ≈ −{other}" if cosine <= -ALIKE else ""
        names.append(f"{number}{mark}")
    whole = int(receipts["filters"])
    part = "" if len(names) == whole else f", {len(names)} shown"
    tiles = arrays["weights"].shape[1] not in (1, 3)
    return draw.grid(list(arrays["image"]), names, title=_title(explanation) + part, columns=4 if tiles else 8, size=156 if tiles else 76)


def _title(explanation: Explanation) -> str:
    receipts = explanation.receipts
    whole, dead, alike = (int(receipts[name]) for name in ("filters", "near_zero", "alike_pairs"))
    faint = int(receipts["faint"])
    words = f"{dead} of {whole} filters of {explanation.layer} {'is' if dead == 1 else 'are'} near zero"
    if not dead:
        words = f"None of {whole} filters of {explanation.layer} is near zero"
    words += f", {faint} {'is' if faint == 1 else 'are'} faint" if faint else ""
    rough = receipts.get("median_roughness")
    smooth = "" if rough is None else ", smooth" if rough < 0.35 else ", as rough as noise" if rough > 0.8 else ""
    return words + (f", {alike} {'pair is' if alike == 1 else 'pairs are'} alike" if alike else "") + smooth


def _chosen(network: nn.Module, layer: str | None) -> tuple[str, nn.Module]:
    named = {name: module for name, module in network.named_modules() if isinstance(getattr(module, "weight", None), torch.Tensor)}
    kinds = (nn.modules.conv._ConvNd, nn.Linear)  # noqa: SLF001 - the class all of torch's convolutions share
    good = {name: module for name, module in named.items() if isinstance(module, kinds)}
    if layer is not None:
        if one_name(network, layer) not in dict(network.named_modules()):
            raise unknown_name("layer", layer, good)
        if layer not in named or named[layer].weight.ndim not in (2, 3, 4):
            close = [name for name in good if name.startswith(layer)][:4]
            raise ArgumentError(
                f"layer: {layer} has no filters" + (f"; inside it: {', '.join(close)}" if close else f"; these have: {', '.join([*good][:6])}")
            )
        return layer, named[layer]
    first = next((name for name, module in good.items() if module.weight.ndim == 4), next(iter(good), None))
    if first is None:
        told = closed(network)
        why = f"no filters were found; {told}" if told else "it has neither convolutions nor dense layers, so there are no filters to show"
        raise ArgumentError(f"model: {why}")
    return first, good[first]


def _kernels(network: nn.Module, place: str, module: nn.Module, shape: tuple[int, int, int] | None) -> tuple[Array, list[str]]:
    """Return O C H W float32, and notes."""
    weights = module.weight.detach().float().cpu().numpy()  # type: ignore[operator]
    notes: list[str] = []
    if getattr(module, "transposed", False):
        groups, (inputs, outputs, *sides) = int(getattr(module, "groups", 1)), weights.shape  # outputs of one group
        weights = weights.reshape(groups, inputs // groups, outputs, *sides).swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *sides)
        notes.append("a transposed convolution: one picture for each channel it makes")
    if weights.ndim == 4:
        return weights, notes
    if weights.ndim == 3:
        return weights[:, :, None], notes
    features = weights.shape[1]
    found = shape or _flattened(network, place, features)
    if found is None:
        notes.append(f"the shape that its {features:,} inputs had is not known, so each filter is one row; give shape=")
        found = (1, 1, features)
    if math.prod(found) != features:
        raise ArgumentError(f"shape: {found} has {math.prod(found):,} values, but {place} has {features:,} inputs")
    return weights.reshape(len(weights), *found), notes


def _flattened(network: nn.Module, place: str, features: int) -> tuple[int, int, int] | None:
    """Return the shape C H W that a dense layer's inputs had, seen by running a zoo network on an empty picture; None where that cannot be."""
    size = getattr(getattr(network, "spec", None), "input", ())
    if len(size) != 3:
        return None
    weight = next(network.parameters())
    with traceless(network):
        network.eval()
        calls = list(record(network, torch.zeros(1, *size, device=weight.device, dtype=weight.dtype)))
    before = calls[: next((number for number, call in enumerate(calls) if call.address == place), 0)]
    shapes = [tuple(size), *(tuple(call.outputs[0].shape[1:]) for call in before if call.outputs)]
    return next((each for each in reversed(shapes) if len(each) == 3 and math.prod(each) == features), None)


def _picture(kernel: Array, reach: float) -> Array:
    """Return one filter C H W as 3 h w in [0, 1]: colour for three channels, signed colours else, a tile for each channel."""
    if kernel.shape[0] == 3:
        return np.asarray(0.5 + kernel / (2 * reach) if reach > 0 else np.full_like(kernel, 0.5), dtype=np.float32)
    ends = max(reach, 1e-30)
    return np.asarray(draw.palette.colour(_tiled(kernel), signed=True, low=-ends, high=ends).transpose(2, 0, 1) / 255, dtype=np.float32)


def _tiled(kernel: Array) -> Array:
    """Lay the channels C H W side by side in about a square, a line of zeros between them (none between 1 x 1 ones)."""
    channels, height, width = kernel.shape
    gap = 1 if height * width > 1 else 0
    across = math.ceil(math.sqrt(channels * height / width)) if channels > 1 else 1
    down = math.ceil(channels / across)
    sheet = np.zeros((down * (height + gap) - gap, across * (width + gap) - gap))
    for number, part in enumerate(kernel):
        top, left = number // across * (height + gap), number % across * (width + gap)
        sheet[top : top + height, left : left + width] = part
    return sheet


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
