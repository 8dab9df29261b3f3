"""The object cut out: GrabCut, with colours of object and background learned where a map is strongest and weakest (row U3)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import draw
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.figures import ROWS, asked_for, between, captions, first_of, picture_of, seen, titled
from striate.understand.fine_maps import smoothed
from striate.understand.registry import method, methods

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.draw import Figure

OBJECT, GROUND = "#e69f00", "#0072b2"
"""Seeds in the figure."""
ROUNDS = 1000
"""Rounds at most: GrabCut stands still long before."""


@method("segmentation", help="The object cut out by GrabCut, seeded where a map is strongest and weakest", needs="images", kind="map")
def segmentation(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    by: str = "saliency",
    foreground: float = 0.95,
    background: float = 0.3,
    smooth: float = 0.02,
    rounds: int = 5,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `mask` N H W (1 the object), `seeds` N H W (1 object, -1 background, 0 open) and the `map` N H W they come from.

    `by`: the method whose absolute map seeds it, after a Gaussian of `smooth` of the longer side (single pixels are no regions). Pixels above the
    quantile `foreground` seed the object, those up to the quantile `background` the background; colour mixtures are learned from the seeds alone,
    then graph cut and mixtures alternate for `rounds`. The object's seeds may change sides, the background's may not. A flat map seeds nothing and
    gives an empty mask, which the notes count.
    Needs OpenCV (`pip install striate[segment]`). Raises `UnknownNameError` for a method, `ArgumentError`.
    Row U3; Simonyan, Vedaldi and Zisserman 2014, section 3.2; Rother, Kolmogorov and Blake 2004.
    """
    asked = {"by": by, "foreground": foreground, "background": background, "smooth": smooth, "rounds": rounds}
    options = checked("segmentation", asked)
    by, foreground, background, smooth, rounds = options.values()
    within("foreground", foreground, 0, 1)
    within("background", background, 0, 1)
    within("smooth", smooth, 0, 1)
    within("rounds", rounds, 1, ROUNDS)
    if background >= foreground:
        raise ArgumentError(f"background: got {background}, expected less than foreground ({foreground})")
    entry = methods.entry(by)
    if entry.facts["needs"] != "images" or entry.facts["kind"] != "map" or by == "segmentation":
        raise ArgumentError(f"by: {by} gives no map of a picture; try saliency, smoothgrad, integrated_gradients, occlusion or grad_cam")
    cv2 = _opencv()
    given = {"target": target, "preprocess": preprocess, "batch": batch, "seed": seed}
    found: Explanation = methods.get(by)(model, images, **{name: value for name, value in given.items() if name in entry.signature.names})
    pixels = found.arrays["pixels"]
    maps = np.stack([_enlarged(each, pixels.shape[-2:]) for each in found.arrays["map"]])
    seeds = np.stack([_seeds(smoothed(np.abs(each), smooth), foreground, background) for each in maps])
    masks = []
    for picture, marks in zip(pixels, seeds, strict=True):
        cv2.setRNGSeed(derived_seed(seed) % 2**31)  # mixtures start from random centres: the same for every picture
        masks.append(_cut(cv2, picture, marks, rounds))
    mask = np.stack(masks)
    empty = int((~seeds.any((1, 2))).sum())
    notes = (*found.notes, *([f"{empty} of {len(mask)} maps are flat: no seeds, an empty mask"] if empty else []))
    return dataclasses.replace(
        found,
        method="segmentation",
        arrays={"map": maps, "mask": mask, "seeds": seeds, "pixels": pixels},
        options={**options, **{f"{by}.{name}": value for name, value in found.options.items()}},
        receipts={**found.receipts, "raw_min": float(maps.min()), "raw_max": float(maps.max()), "object_share": float(mask.mean())},
        notes=notes,
    )


def figure(explanation: Explanation) -> Figure:
    """Draw each picture, the map, the seeds over the picture, and the object alone."""
    arrays, words = explanation.arrays, captions(explanation)
    rows: list[list[draw.Panel | None]] = []
    legend = [(OBJECT, "the object's"), (GROUND, "the background's")]
    for number in range(min(len(explanation), ROWS)):
        picture = picture_of(arrays["pixels"][number])
        marks, mask = arrays["seeds"][number], arrays["mask"][number]
        share = draw.percent(float(mask.mean()), 0)
        cells = [draw.Panel(picture, caption=words[number]), draw.Panel(values=arrays["map"][number], caption=f"{explanation.options['by']}")]
        cells.append(draw.Panel(_marked(picture, marks), caption="seeds", legend=legend))
        cells.append(draw.Panel(np.where(mask[None] > 0, picture, 1 - 0.12 * (1 - picture)), caption=f"object, {share} of the picture"))
        rows.append([*cells])
    found = f"{between(arrays['mask'].reshape(len(explanation), -1).mean(1))} of the picture is taken for {asked_for(explanation)}"
    return draw.panels(rows, title=seen(titled(explanation), found) + first_of(len(explanation)), width=800)


def _seeds(values: NDArray[Any], foreground: float, background: float) -> NDArray[np.int8]:
    """Return 1, -1 or 0 for each pixel of a map without signs."""
    low, high = np.quantile(values, (background, foreground))
    marks = np.where(values <= low, -1, 0)
    marks[values > max(high, low)] = 1
    return (marks if (marks == 1).any() else np.zeros_like(marks)).astype(np.int8)


def _cut(cv2: Any, picture: NDArray[Any], marks: NDArray[np.int8], rounds: int) -> NDArray[np.uint8]:
    """Run GrabCut on one picture C H W from its seeds; returns 1 for the object."""
    if not marks.any():
        return np.zeros(marks.shape, np.uint8)
    rgb = picture_of(picture)
    bgr = np.ascontiguousarray(np.rint(np.moveaxis(np.repeat(rgb, 3, 0) if len(rgb) == 1 else rgb, 0, -1)[..., ::-1] * 255).astype(np.uint8))
    ground, thing = np.zeros((1, 65)), np.zeros((1, 65))
    seeded = marks != 0
    alone = np.where(marks[seeded] > 0, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)[None]
    cv2.grabCut(np.ascontiguousarray(bgr[seeded][None]), alone, None, ground, thing, 1, cv2.GC_INIT_WITH_MASK)  # learn from seeds alone
    mask = np.where(marks < 0, cv2.GC_BGD, np.where(marks > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)).astype(np.uint8)
    cv2.grabCut(bgr, mask, None, ground, thing, 1, cv2.GC_EVAL_FREEZE_MODEL)
    if rounds > 1 and np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
        cv2.grabCut(bgr, mask, None, ground, thing, rounds - 1, cv2.GC_EVAL)
    return np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _enlarged(values: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Return a coarse map at the picture's size, bilinearly; one of that size as it is."""
    import torch

    from striate.understand.cams import resized

    if values.shape == tuple(size):
        return values
    return resized(torch.from_numpy(np.ascontiguousarray(values))[None, None], (size[0], size[1]))[0, 0].numpy()


def _marked(picture: NDArray[Any], marks: NDArray[np.int8]) -> NDArray[Any]:
    grey = np.repeat(picture.mean(0, keepdims=True), 3, 0)
    for sign, colour in ((1, OBJECT), (-1, GROUND)):
        shade = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])[:, None, None]
        grey = np.where(marks[None] == sign, 0.35 * grey + 0.65 * shade, grey)
    return grey


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ArgumentError(f"segmentation needs OpenCV for GrabCut, which cannot be imported ({error}); pip install 'striate[segment]'") from error
    return cv2
