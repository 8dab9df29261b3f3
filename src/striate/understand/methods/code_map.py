"""A map of codes: every picture at its place, near those the network finds alike, by PCA or t-SNE (row U2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from striate import draw
from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed
from striate.understand.checking import within
from striate.understand.codes import codes_of, nearest, pixel_codes, trustworthiness, vote, voters
from striate.understand.explanation import Explanation
from striate.understand.figures import picture_of
from striate.understand.flattening import flattened
from striate.understand.inputs import prepare
from striate.understand.opening import opened
from striate.understand.registry import method
from striate.understand.samples import GIVEN, numbered, samples_of

if TYPE_CHECKING:
    from striate.draw import Figure

THUMBNAIL = 64
"""Pixels a side of the pictures kept with a map."""


@method("code_map", help="A data set as a map: pictures beside those the network finds alike", needs="data", kind="embedding")
def code_map(
    model: Any,
    data: Any,
    *,
    layer: str | None = None,
    by: Literal["tsne", "pca"] = "tsne",
    space: Literal["codes", "pixels"] = "codes",
    split: str | None = None,
    samples: int = 2000,
    perplexity: float | None = None,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return a place in the plane for each of `samples` pictures: `points` N 2, `pixels` N C h w (64 a side at most), `labels`, `index`.

    `layer`: whose codes, default what goes into the last dense layer, or an autoencoder's code; `by`: t-SNE (openTSNE where installed, else
    scikit-learn; both begin at the principal components, so the seed decides little) or PCA; `perplexity`: how many neighbours t-SNE heeds, default
    30, or a third of few samples;
    `space="pixels"`: map the pictures themselves, for comparison.
    Receipts: trustworthiness (10 neighbours), the accuracy of 10 neighbours on the map (fewer where classes are smaller), and PCA's share of the
    variance. Row U2; van der Maaten and Hinton 2008.
    """
    within("samples", samples, 1)
    if layer is not None and space == "pixels":
        raise ArgumentError("layer: the map is of the pixels, which no layer changes; leave it out, or give space='codes'")
    seed = whole_number("seed", seed)
    _, own, classes = opened(model)
    found = numbered(samples_of(data, split=split, count=samples, preprocess=preprocess or own, seed=seed), classes)
    if len(found) < 5:
        raise ArgumentError(f"samples: a map needs at least 5 pictures, got {len(found)}")
    with prepare(model, found.pixels[:1], preprocess=preprocess, batch=batch, seed=seed) as p:
        codes, place, notes = codes_of(p, found, layer) if space == "codes" else (pixel_codes(found), "", ())
        flat = flattened(codes, by=by, perplexity=perplexity, seed=seed if 0 <= seed < 1 << 32 else derived_seed(seed) % (1 << 32))
        count = min(10, (len(found) - 1) // 2)
        receipts = {"samples": len(found), "trustworthiness": trustworthiness(codes, flat.points, count), **flat.receipts}
        arrays: dict[str, Any] = {"points": flat.points, "index": found.index, "pixels": _thumbnails(found.pixels)}
        if found.labels is not None:
            arrays["labels"] = found.labels
            asked = voters(found.labels)
            receipts[f"{asked}_nn_accuracy_on_the_map"] = vote(found.labels, nearest(flat.points, asked)[0])
        chosen = {"by": by, "space": space, "split": split, "samples": samples, "perplexity": perplexity}
        p.classes, p.names = found.classes or p.classes, found.names
        unused = ("perplexity belongs to t-SNE: PCA did not heed it",) if perplexity is not None and by == "pca" else ()
        said = (*found.notes(), *notes, *flat.notes, *unused)
        made = p.explanation("code_map", "embedding", arrays, layer=place or None, options=chosen, receipts=receipts, notes=said)
        return made.over(found.fingerprint, found.title)


def figure(explanation: Explanation) -> Figure:
    """Draw the pictures at their places; those that would cover others as dots."""
    arrays, receipts, options = explanation.arrays, explanation.receipts, explanation.options
    where = f"codes at {explanation.layer}" if explanation.layer else "pixels"
    name = "t-SNE" if options["by"] == "tsne" else "PCA"
    data = options.get("data", GIVEN)
    title = f"{len(explanation):,} pictures{'' if data == GIVEN else f' of {data}'} by their {where}, {name}"
    note = f"near on the map is near in truth to {receipts['trustworthiness']:.3f} (trustworthiness)"
    if (share := next((value for key, value in receipts.items() if key.endswith("_on_the_map")), None)) is not None:
        title += f": neighbours name the class right for {draw.percent(share, 0)}"
    if "variance" in receipts:
        note += f"; the axes hold {draw.percent(receipts['variance'], 0)} of the variance"
    labels = [int(label) for label in arrays["labels"]] if "labels" in arrays else None
    side = int(np.clip(440 / np.sqrt(len(explanation)), 18, 64))
    pictures = [picture_of(picture) for picture in arrays["pixels"]]
    return draw.pictured(arrays["points"], pictures, labels=labels, classes=explanation.classes, title=title, note=note, side=side)


def _thumbnails(pixels: torch.Tensor) -> np.ndarray[Any, Any]:
    if max(pixels.shape[-2:]) <= THUMBNAIL:
        return pixels.numpy()
    factor = THUMBNAIL / max(pixels.shape[-2:])
    size = [max(1, round(side * factor)) for side in pixels.shape[-2:]]
    parts = [torch.nn.functional.interpolate(part.float(), size=size, mode="area") for part in torch.split(pixels, 256)]
    small = torch.cat(parts)
    return (small.round().to(torch.uint8) if pixels.dtype == torch.uint8 else small).numpy()
