"""An Explanation drawn: the method's own way where its file has `figure`, else a way for each kind."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import draw
from striate.core.errors import ArgumentError
from striate.draw import Figure
from striate.understand.registry import methods

if TYPE_CHECKING:
    from striate.understand.explanation import Explanation

MOST = 64
"""Pictures a grid shows."""
_SPELLED = {
    "code_map": "Map of codes",
    "ddn": "DDN",
    "deepfool": "DeepFool",
    "eigen_cam": "Eigen-CAM",
    "fgsm": "FGSM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "guided": "Guided backpropagation",
    "input_x_gradient": "Input × gradient",
    "layer_cam": "LayerCAM",
    "pgd": "PGD",
    "score_cam": "Score-CAM",
    "smoothgrad": "SmoothGrad",
}
"""Methods whose name is spelled otherwise than their function's."""
UNIT = "\u2009%"
"""How percentages end."""
ROWS = 12
"""Pictures a figure of maps shows; its title says when there are more."""


def figure(explanation: Explanation, *, bare: bool = False) -> Figure:
    """Draw an explanation; `bare`: a kind's figure goes without the method's name in its title, since the heading above it says that.

    Raises `ArgumentError` when it holds nothing that can be drawn.
    """
    if explanation.method in methods:
        module = importlib.import_module(methods.entry(explanation.method).module)
        own = getattr(module, "figure", None)
        if own is not None:
            drawn: Figure = own(explanation)
            return drawn
    return of_kind(explanation, bare=bare)


def of_kind(explanation: Explanation, *, bare: bool = False) -> Figure:
    """Draw an explanation the way of its kind."""
    arrays = explanation.arrays
    title = "" if bare else titled(explanation)
    if explanation.kind == "map" and "map" in arrays:
        return map_figure(explanation, title=title)
    if explanation.kind == "image" and "image" in arrays:
        pictures = list(np.clip(arrays["image"][:MOST], 0, 1))
        return draw.grid(pictures, captions(explanation)[:MOST], title=title)
    if explanation.kind == "embedding" and "points" in arrays and "pixels" in arrays:
        labels = arrays.get("labels")
        shown = None if labels is None else [int(label) for label in labels]
        return draw.pictured(arrays["points"], list(arrays["pixels"]), labels=shown, classes=explanation.classes, title=title)
    raise ArgumentError(f"{explanation.method}: nothing to draw in {', '.join(arrays) or 'no arrays'}; it can be saved as .npz")


def map_figure(explanation: Explanation, *, name: str = "map", title: str | None = None, signed: bool | None = None) -> Figure:
    """Draw each picture, its map with the raw scale, and the map laid over the picture; the first `ROWS` where there are more."""
    values = explanation.arrays[name]
    pixels = explanation.arrays.get("pixels")
    words = captions(explanation)
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(values), ROWS)):
        if pixels is None:
            rows.append([draw.Panel(values=values[number], signed=signed)])
        else:
            picture = picture_of(pixels[number])
            cell = draw.Panel(values=values[number], signed=signed, shape=(picture.shape[-2], picture.shape[-1]))
            rows.append([draw.Panel(picture, caption=words[number]), cell, draw.Panel(picture, values[number], signed=signed, bar=False)])
    said = seen(titled(explanation) if title is None else title, gathered(values))
    return draw.panels(rows, title=said + first_of(len(values)), size=None if pixels is None else side_of(pixels))


def seen(name: str, what: str) -> str:
    """Return a title: the method's name, where there is one, and what is seen."""
    return f"{name}: {what}" if name and what else name or what[:1].upper() + what[1:]


def first_of(count: int) -> str:
    """Return the end of a title where fewer than `count` rows are shown."""
    return f" (first {ROWS} of {count})" if count > ROWS else ""


def gathered(maps: np.ndarray[Any, Any]) -> str:
    """Say on how little of the picture half of each map N H W lies, by size; empty for blank maps."""
    flat = np.sort(np.abs(maps.reshape(len(maps), -1).astype(np.float64)), axis=1)[:, ::-1]
    flat = flat[flat[:, 0] > flat[:, -1]]  # a flat map gathers nowhere
    if not len(flat):
        return ""
    shares = ((flat.cumsum(1) < flat.sum(1, keepdims=True) / 2).sum(1) + 1) / flat.shape[1]
    return f"half of it lies on {between(shares)} of the picture"


def between(shares: np.ndarray[Any, Any]) -> str:
    """Spell shares as one percentage, or as the range they cover."""
    low, high = (draw.percent(float(share), 0 if share >= 0.095 else 1) for share in (shares.min(), shares.max()))
    return low if low == high else f"{low.removesuffix(UNIT)} to {high}"


def side_of(pixels: np.ndarray[Any, Any]) -> float:
    """Return how large pictures N C H W are drawn: small ones need less room."""
    return 112.0 if max(pixels.shape[-2:]) < draw.SMALL_PICTURE else 200.0


def picture_of(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return one picture C H W, uint8 or in [0, 1] (of 1, 3, or any number of channels: then their mean), as `draw` takes it."""
    array: np.ndarray[Any, Any] = pixels / 255 if pixels.dtype == np.uint8 else np.clip(pixels, 0, 1)
    return array if len(array) in (1, 3) else array.mean(0, keepdims=True)


def titled(explanation: Explanation) -> str:
    """Return a title: the method's name, and the layer."""
    name = explanation.method.replace("_", " ")
    return _SPELLED.get(explanation.method, name[:1].upper() + name[1:]) + (f" at {explanation.layer}" if explanation.layer else "")


def captions(explanation: Explanation) -> list[str]:
    """Return a caption for each sample: its name, and the class explained, as far as they are known."""
    count = len(explanation)
    names = list(explanation.names) if len(explanation.names) == count else [""] * count
    if explanation.target is None or len(explanation.target) != count:
        return names
    classes = [class_name(explanation, number) for number in explanation.target]
    return [f"{_brief(name)} → {said}" if name else said for name, said in zip(names, classes, strict=True)]


def _brief(name: str, most: int = 14) -> str:
    """Return a file's name without its ending, its middle cut out where it is long: the class behind it must be seen too."""
    stem = name.rpartition(".")[0] or name
    return stem if len(stem) <= most else f"{stem[: most // 2]}…{stem[-(most // 2 - 1) :]}"


def asked_for(explanation: Explanation) -> str:
    """Return the name of the class explained where there is one, else `its class`; ImageNet's first name of several."""
    numbers = set(explanation.target or ())
    return class_name(explanation, numbers.pop()).partition(",")[0] if len(numbers) == 1 else "its class"


def class_name(explanation: Explanation, number: int) -> str:
    """Return a class's name, or its number where names are unknown."""
    return explanation.classes[number] if 0 <= number < len(explanation.classes) else f"class {number}"
