"""What a layer still knows of a picture: another picture with the same features, grown from noise (row U5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError
from striate.understand.ascending import check_pace, descend
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.figures import captions, picture_of, side_of
from striate.understand.inputs import Prepared, prepare
from striate.understand.parametrisations import parametrisation
from striate.understand.priors import total_variation
from striate.understand.reading import reading, stages
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure

Read = Callable[[Tensor], Mapping[str, Tensor]]
STRIP, ROWS = 5, 6
"""Layers of a strip, and pictures of a figure."""
PHASES = {"both": {"fourier": 0.4, "pixels": 0.24, "held": 0.36}, "fourier": {"fourier": 1.0}, "pixels": {"pixels": 1.0}}
"""In what the steps are taken, one after the other, and their shares; `held`: values of pixels between black and white, which both can be reached."""
INWARDS = 0.02
"""How far black and white are moved inwards before a phase of log odds: what overshot to the ends would stay there."""
HELD_RATE = 0.175
"""Of the rate, for values of pixels: a step of log odds moves grey by a quarter of it, black and white hardly."""
CONTRAST = 0.3
"""Of the noise to begin with."""


@method("invert", help="What a layer still knows of the picture, rebuilt from its features", needs="images", kind="image")
def invert(
    model: Any,
    images: Any,
    *,
    layer: str | Sequence[str] | None = None,
    parametrise: Literal["both", "fourier", "pixels"] = "both",
    steps: int = 500,
    rate: float = 0.2,
    tv: float = 0.002,
    power: float = 2.0,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Rebuild pictures from what layers answer to them: `strip` N L C H W, with `psnr` (dB) and `feature_error`, both N L.

    Made small is ‖Φ(x) − Φ₀‖² / ‖Φ₀‖² + `tv` times the mean over pixels of x's total variation (of that `power`). `layer`: one or several, default a
    strip over the network's stages. `parametrise`: Fourier coefficients do better in early layers, pixels in deep ones; `both` begins with the first,
    goes on with the second, and ends with the values of pixels themselves, held between black and white. `feature_error` is ‖Φ(x) − Φ₀‖ / ‖Φ₀‖ of
    the picture as 8 bits; `image` is the strip's last column.
    Raises `ArgumentError`, `UnknownNameError`. Source: Mahendran and Vedaldi 2015; row U5.
    """
    check_pace(steps, rate)
    checked("invert", {"parametrise": parametrise})
    for name, value, least in (("tv", tv, 0.0), ("power", power, 0.5)):
        within(name, value, least)
    with prepare(model, images, preprocess=preprocess, batch=batch, seed=seed) as p:
        layers = _layers(p, layer)
        columns: list[Tensor] = []
        errors: list[Tensor] = []
        for name in layers:
            with reading(p, [name]) as read:
                parts = list(p.chunks(max(1, p.batch // 4)))
                made = [_rebuilt(p, part, _features(read, name), parametrise, steps, rate, tv, power) for part in parts]
                columns.append(torch.cat([pictures for pictures, _ in made]))
                errors.append(torch.cat([error for _, error in made]))
        strip = torch.stack(columns, 1)
        psnr = -10 * torch.log10((strip - p.pixels[:, None]).square().flatten(2).mean(2).clamp(min=1e-12))
        arrays = {"strip": strip, "image": columns[-1], "psnr": psnr, "feature_error": torch.stack(errors, 1)}
        receipts = {f"psnr_{name}": float(psnr[:, number].mean()) for number, name in enumerate(layers)}
        receipts |= {f"feature_error_{name}": float(errors[number].mean()) for number, name in enumerate(layers)}
        options = {"layers": tuple(layers), "parametrise": parametrise, "steps": steps, "rate": rate, "tv": tv, "power": power}
        return p.explanation("invert", "image", arrays, layer=layers[0] if len(layers) == 1 else None, options=options, receipts=receipts)


def figure(explanation: Explanation) -> Figure:
    """Draw for each picture the strip over layers; under each how near the pixels and the features came."""
    arrays, words = explanation.arrays, captions(explanation)
    layers = [str(name) for name in explanation.options["layers"]]
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(explanation), ROWS)):
        row: list[draw.Panel | None] = [draw.Panel(picture_of(arrays["pixels"][number]), caption=words[number])]
        for picture, psnr, error in zip(arrays["strip"][number], arrays["psnr"][number], arrays["feature_error"][number], strict=True):
            row.append(draw.Panel(picture_of(picture), caption=f"{psnr:.1f} dB, error {error:.2f}"))
        rows.append(row)
    first, last = (draw.short(float(arrays["psnr"][:, place].mean())) for place in (0, -1))
    title = f"What {layers[0]} knows of the picture: {first} dB"
    if len(layers) > 1:
        title = f"From {layers[0]} the picture comes back at {first} dB, from {layers[-1]} at {last} dB"
    size = min(side_of(arrays["pixels"]), 900 / (len(layers) + 1) - 8)
    return draw.panels(rows, title=title, heads=["picture", *layers], size=size, width=900)


def _rebuilt(
    p: Prepared, part: slice, features: Callable[[Tensor], Tensor], parametrise: str, steps: int, rate: float, tv: float, power: float
) -> tuple[Tensor, Tensor]:
    """Return some pictures rebuilt, as 8 bits, and their feature errors."""
    with torch.no_grad():
        wanted = features(p.pixels[part])
    size = wanted.flatten(1).norm(dim=1)
    if not bool((size > 0).all()):
        raise ArgumentError("layer: all its features are zero for a picture, so they say nothing of it; choose another layer")
    square, area = size.square(), p.pixels.shape[-2] * p.pixels.shape[-1] * p.pixels.shape[1]

    def loss(pixels: Tensor) -> Tensor:
        apart: Tensor = (features(pixels) - wanted).flatten(1).square().sum(1) / square
        return apart + tv / area * total_variation(pixels, power) if tv else apart

    shape = (p.pixels.shape[1], p.pixels.shape[2], p.pixels.shape[3])
    fourier = parametrisation("fourier", shape, like=p.pixels)
    ways = {"fourier": fourier, "pixels": parametrisation("pixels", shape, like=p.pixels)}
    begun = [fourier.noise(p.generator(number), CONTRAST)[0] for number in range(len(p))[part]]
    pixels = fourier.pixels([torch.cat(begun)])
    done, share = 0, 0.0
    for name, more in PHASES[parametrise].items():
        share += more
        count, done = round(share * steps) - done, round(share * steps)
        if count and name == "held":
            pixels = descend(None, pixels, loss, count, rate * HELD_RATE)
        elif count:
            pixels = descend(ways[name], pixels.clamp(INWARDS, 1 - INWARDS), loss, count, rate)
    pixels = (pixels * 255).round() / 255
    with torch.no_grad():
        return pixels, (features(pixels) - wanted).flatten(1).norm(dim=1) / size


def _features(read: Read, layer: str) -> Callable[[Tensor], Tensor]:
    return lambda pixels: read(pixels)[layer]


def _layers(p: Prepared, layer: str | Sequence[str] | None) -> list[str]:
    """Return the layers asked for, or a strip: the last of each stage, the very first, and what is between where there is room."""
    if layer is not None:
        asked = [layer] if isinstance(layer, str) else list(layer)
        if not asked:
            raise ArgumentError("layer: got none, expected one or more names")
        return asked
    found = stages(p)
    names = list(dict.fromkeys([found[0][0], *(stage[-1] for stage in found)]))
    if len(names) > STRIP:
        places = torch.linspace(0, len(names) - 1, STRIP).round().int().tolist()
        names = [names[place] for place in places]
    return names
