"""Who is like whom: nearest neighbours by pixels beside those by a layer's codes (row U2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import draw
from striate.core.errors import ArgumentError
from striate.understand.checking import within
from striate.understand.codes import codes_of, nearest, pixel_codes, vote, voters
from striate.understand.explanation import Explanation
from striate.understand.figures import picture_of
from striate.understand.inputs import prepare
from striate.understand.opening import opened
from striate.understand.registry import method
from striate.understand.samples import numbered, random_of, samples_of

if TYPE_CHECKING:
    from striate.draw import Figure


@method("neighbours", help="The pictures nearest to some, by pixels and by codes", needs="data", kind="table")
def neighbours(
    model: Any,
    data: Any,
    *,
    layer: str | None = None,
    queries: int = 8,
    count: int = 5,
    split: str | None = None,
    samples: int = 2000,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return for some pictures their nearest others among `samples` of a data set, by Euclidean distance of pixels and of codes.

    `layer`: whose codes, default what goes into the last dense layer, or an autoencoder's code; maps are averaged over positions, but for a code.
    Rows: `query` Q, `in_pixels` and `in_codes` Q k (positions in the split), `pixel_distance` and `code_distance` Q k, the pictures `pixels`,
    `near_pixels`, `near_codes`; labels where known.
    Receipts: the share of all samples whose 10 nearest others (fewer where classes are smaller) name the right class, in pixels and in codes.
    Row U2; Krizhevsky et al. 2012, figure 4.
    """
    for name, number in (("queries", queries), ("count", count), ("samples", samples)):
        within(name, number, 1)
    _, own, classes = opened(model)
    found = numbered(samples_of(data, split=split, count=samples, preprocess=preprocess or own, seed=seed), classes)
    if count >= len(found) or queries > len(found):
        wrong = f"count: got {count}" if count >= len(found) else f"queries: got {queries}"
        there = "is 1 sample" if len(found) == 1 else f"are {len(found)} samples"
        raise ArgumentError(f"{wrong}, but there {there}; expected fewer neighbours than samples, and no more queries")
    with prepare(model, found.pixels[:1], preprocess=preprocess, batch=batch, seed=seed) as p:
        codes, place, notes = codes_of(p, found, layer)
        rows = _asked(found.labels, len(found), queries, seed)
        asked = 0 if found.labels is None else voters(found.labels)
        arrays: dict[str, Any] = {"query": found.index[rows], "pixels": found.pixels[torch.from_numpy(rows)].numpy()}
        receipts: dict[str, float] = {"samples": len(found)}
        for space, values in (("pixel", pixel_codes(found)), ("code", codes)):
            near, distance = nearest(values, max(count, asked), rows if found.labels is None else None)
            if found.labels is not None:
                receipts[f"{asked}_nn_accuracy_in_{space}s"] = vote(found.labels, near[:, :asked])
                near, distance = near[rows], distance[rows]
            near, distance = near[:, :count], distance[:, :count]
            arrays |= {
                f"in_{space}s": found.index[near],
                f"{space}_distance": distance,
                f"near_{space}s": found.pixels[torch.from_numpy(near)].numpy(),
            }
            if found.labels is not None:
                arrays[f"label_in_{space}s"] = found.labels[near]
        if found.labels is not None:
            arrays["label"] = found.labels[rows]
        chosen = {"queries": queries, "count": count, "split": split, "samples": samples}
        p.classes, p.names = found.classes or p.classes, tuple(found.names[row] for row in rows) if found.names else ()
        made = p.explanation("neighbours", "table", arrays, layer=place, options=chosen, receipts=receipts, notes=(*found.notes(), *notes))
        return made.over(found.fingerprint, found.title)


def figure(explanation: Explanation) -> Figure:
    """Draw a row a query: itself, its neighbours in pixels, and its neighbours in codes, each with its class."""
    arrays, receipts = explanation.arrays, explanation.receipts
    count = arrays["in_pixels"].shape[1]
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(explanation), 12)):
        row: list[draw.Panel | None] = [draw.Panel(picture_of(arrays["pixels"][number]), caption=_name(explanation, "label", number))]
        for space in ("pixels", "codes"):
            row.append(None)
            pictures = arrays[f"near_{space}"][number]
            names = [_name(explanation, f"label_in_{space}", number, place) for place in range(count)]
            row += [draw.Panel(picture_of(picture), caption=name) for picture, name in zip(pictures, names, strict=True)]
        rows.append(row)
    heads = ["picture", "", "nearest in pixels", *[""] * count, f"nearest at {explanation.layer}", *[""] * (count - 1)]
    shares = {name.rpartition("_")[2]: value for name, value in receipts.items() if "_nn_accuracy_in_" in name}
    both = [len(np.intersect1d(one, other)) / count for one, other in zip(arrays["in_pixels"], arrays["in_codes"], strict=True)]
    title = f"Of the {count} nearest by codes at {explanation.layer}, {draw.percent(float(np.mean(both)), 0)} are among the {count} nearest by pixels"
    if shares:
        asked = next(name for name in receipts if "_nn_" in name).partition("_")[0]
        who = "the nearest neighbour names" if asked == "1" else f"{asked} neighbours name"
        pixels, codes = (draw.percent(shares[space], 0) for space in ("pixels", "codes"))
        title = f"{who[0].upper()}{who[1:]} the class right for {pixels} of the pictures by pixels, for {codes} by codes"
    return draw.panels(rows, title=title, heads=heads, width=900, size=64)


def _name(explanation: Explanation, array: str, *place: int) -> str:
    if array not in explanation.arrays:
        return ""
    label = int(explanation.arrays[array][place])
    return explanation.classes[label] if label < len(explanation.classes) else str(label)


def _asked(labels: Any, whole: int, queries: int, seed: int) -> Any:
    """Choose the queries by seed: of each class in turn where labels are known."""
    order = random_of(seed, 1).permutation(whole)
    if labels is None:
        return np.sort(order[:queries])
    turn = np.zeros(whole, dtype=np.int64)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        turn[mine] = np.arange(len(mine))
    ranked = sorted(order.tolist(), key=lambda row: (turn[row], labels[row]))[:queries]
    return np.array(ranked)
