"""Whether a map can be believed, measured on the very pictures it was made for: the full receipts of an explanation.

Three questions, each with a figure that chance or a blank mind would reach beside it: does the score follow the map (`curves.py`, against random
orders and against a blob in the middle), does the map depend on the weights (`randomising.py`), does it point at the right one of four pictures
(`pointing.py`)? And a sentence that says it plainly. Cheap receipts, raw range and completeness, come with every map.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate.core.errors import ArgumentError, StriateError
from striate.draw import short
from striate.understand.cams import resized
from striate.understand.checking import within
from striate.understand.curves import block_means, block_numbers, centre_prior, curves, ranking
from striate.understand.inputs import Prepared, prepare
from striate.understand.pointing import halved, pointed, squares
from striate.understand.randomising import last_weights, rank_correlation, shuffled
from striate.understand.registry import methods, options_of
from striate.understand.standins import Value
from striate.understand.throughput import Throughput

if TYPE_CHECKING:
    from striate.understand.explanation import Explanation

Array = np.ndarray[Any, Any]
UNCHANGED = 0.8
"""Rank correlation from which on a map counts as hardly changed by shuffled weights."""
ZEROS = 0.25
"""Share of cells that are exactly 0 whatever the weights, above which correlation is told without them too."""
SMALL = 128
"""Pictures below are laid side by side at full size; larger ones at half, so that the square has the size the network knows."""
_known: dict[str, tuple[Array, Array]] = {}
"""Gaps N of the centre prior and N R of random orders for the last model and pictures asked about: every method is held against the same."""


def full(
    model: Any,
    images: Any,
    explanation: Explanation,
    *,
    preprocess: Any = None,
    seed: int = 0,
    blocks: int = 8,
    value: Value = "blur",
    orders: int = 4,
    squares_at_most: int = 32,
    batch: int | None = None,
) -> Explanation:
    """Return the explanation with full receipts, its verdict the first of its notes.

    `model`, `images`, `preprocess`: those it was made with. Receipts, means over the pictures: `gap` (LeRF − MoRF, `blocks` a side, `value` standing
    where they are taken away) beside `gap_centre` (a blob in the middle) and `gap_random` (`orders` random orders: chance is 0, one order scatters by
    `gap_random_spread`), `insertion_area`; `shuffled_correlation`, the rank correlation of the maps' sizes before and after the last layer's weights
    are shuffled (`shuffled_correlation_nonzero`: without the cells that are exactly 0 in both, where those are many); `pointing_energy` and
    `pointing_hit` (chance .25) over at most `squares_at_most` squares of four pictures. Arrays `receipt_gap`, `receipt_gap_centre`,
    `receipt_insertion`, `receipt_shuffled` N. What cannot be measured is left out, and a note says why. Raises `ArgumentError` for pictures it was
    not made from. Row U8; Samek et al. 2017, Adebayo et al. 2018, Rao et al. 2022.
    """
    within("blocks", blocks, 2)
    within("orders", orders, 1)
    if "map" not in explanation.arrays or explanation.method not in methods:
        return _noted(explanation, "full receipts are for maps over pictures; this is none")
    unit = explanation.target is None and "target" in methods.entry(explanation.method).signature.names
    if unit:
        return _noted(explanation, "full receipts are for maps of a class score; this one explains a unit of a layer")
    with prepare(model, images, preprocess=preprocess, target=explanation.target, batch=batch, seed=seed) as p:
        seen = explanation.arrays.get("pixels")
        if len(p) != len(explanation) or (seen is not None and not np.array_equal(seen, p.pixels.float().cpu().numpy())):
            raise ArgumentError(f"images: not the {len(explanation)} pictures this explanation by {explanation.method} was made for")
        given = explanation.arrays["map"].astype(np.float64)
        receipts, arrays = followed(p, given, blocks=blocks, value=value, orders=orders, seed=seed, batch=batch)
        notes: list[str] = []
        again = _again(explanation, preprocess=p.preprocess, seed=seed, batch=batch)
        for found, told in (_shuffling(p, given, again, seed), _pointing(p, again, seed, squares_at_most)):
            for name, values in found.items():
                receipts[name] = float(values.mean())
                if name == "shuffled_correlation":
                    arrays["receipt_shuffled"] = values
            notes += told
    told_by = verdict(
        receipts, len(explanation), unsure=_unsure(arrays, receipts), flat=int((np.ptp(given.reshape(len(given), -1), axis=1) == 0).sum())
    )
    return dataclasses.replace(
        explanation,
        arrays={**explanation.arrays, **arrays},
        receipts={**explanation.receipts, **receipts},
        notes=(told_by, *explanation.notes, *notes),
    )


def verdict(receipts: Mapping[str, float], pictures: int, *, flat: int = 0, unsure: float = 0.0) -> str:
    """Return what the receipts of `full` say, in a sentence or two.

    `flat` of the maps say nothing at all; `unsure`: by how much the gap must differ from the centre prior's to be called better or worse.
    """
    on = "On this picture" if pictures == 1 else f"On these {pictures} pictures"
    if flat == pictures:
        return f"{on} the map is blank: nothing is said, and nothing was checked."
    gap, centre, chance = receipts["gap"], receipts["gap_centre"], receipts["gap_random_spread"] / pictures**0.5
    figures = f"gap {short(gap, 2)}; centre {short(centre, 2)}, chance 0 ± {short(chance, 1)}"
    if gap <= 2 * chance:
        said = f"{on} the score does not follow the map more than chance would have it ({figures})."
    elif gap > centre + unsure:
        said = f"{on} the score follows the map, and better than it follows a blob in the middle ({figures})."
    else:
        how = "does better" if gap < centre - unsure else "does about as well"
        said = f"{on} the score follows the map, but a blob in the middle of the picture {how} ({figures})."
    changed = receipts.get("shuffled_correlation_nonzero", receipts.get("shuffled_correlation"))
    if changed is not None and changed >= UNCHANGED:
        said = (
            f"Not to be trusted for what the network decided: the map barely changes when the last layer's weights are shuffled (rank correlation "
            f"{short(changed, 2)}). {said}"
        )
    elif changed is not None:
        said += f" It depends on the weights (rank correlation {short(changed, 2)} when the last layer's are shuffled)."
    if "pointing_energy" in receipts:
        said += f" Of four pictures it points at the right one with {short(receipts['pointing_energy'], 2)} of its energy (chance 0.25)."
    return said + (f" {flat} of the maps are blank." if flat else "")


def followed(
    p: Prepared, maps: Array, *, blocks: int = 8, value: Value = "blur", orders: int = 4, seed: int = 0, batch: int | None = None
) -> tuple[dict[str, float], dict[str, Array]]:
    """Return the receipts of `full` that tell whether the score follows maps N h w of any origin, and the arrays by picture."""
    size = (p.pixels.shape[-2], p.pixels.shape[-1])
    numbers = block_numbers(*size, blocks)
    fast = Throughput(p, batch=batch)
    large = _sized(maps, size)
    key = " ".join((str((blocks, value, orders, seed)), *p.fingerprints, p.logits.cpu().numpy().tobytes().hex()))
    known = _known.get(key)
    gaps, inserted, centre, random = [], [], [], []
    blob = block_means(centre_prior(*size), numbers)
    for number, values in enumerate(large):
        draw = np.random.default_rng([seed, int(p.fingerprints[number], 16)])
        asked = [ranking(block_means(values, numbers), draw)]
        if known is None:
            asked += [ranking(blob, draw), *(draw.permutation(len(blob)) for _ in range(orders))]
        found = curves(fast, p, number, np.stack(asked), numbers, value)
        gaps.append(found.gap[0])
        inserted.append(found.lerf[0])
        centre.append(found.gap[1:2])
        random.append(found.gap[2:])
    if known is None:
        known = (np.concatenate(centre), np.stack(random))
        _known.clear()
        _known[key] = known
    receipts = {
        "gap": float(np.mean(gaps)),
        "gap_centre": float(known[0].mean()),
        "gap_random": float(known[1].mean()),
        "gap_random_spread": float(np.sqrt((known[1] ** 2).mean())),
        "insertion_area": float(np.mean(inserted)),
    }
    arrays = {"receipt_gap": np.array(gaps), "receipt_gap_centre": known[0], "receipt_insertion": np.array(inserted)}
    return receipts, arrays


Again = Callable[[Any, Any, list[int]], "Explanation"]


def _again(explanation: Explanation, *, preprocess: Any, seed: int, batch: int | None) -> Again:
    """Return what makes the same kind of map for another network or other pictures, with the same options."""
    entry = methods.entry(explanation.method)
    own = {name: value for name, value in explanation.options.items() if name in options_of(entry).names and value is not None}
    given = {"layer": explanation.layer, "preprocess": preprocess, "seed": seed, "batch": batch}
    own |= {name: value for name, value in given.items() if name in entry.signature.names and value is not None}

    def again(network: Any, pixels: Any, target: list[int]) -> Explanation:
        made: Explanation = methods.get(explanation.method)(
            network, pixels, **({"target": target} if "target" in entry.signature.names else {}), **own
        )
        return made

    return again


def _shuffling(p: Prepared, maps: Array, again: Again, seed: int) -> tuple[dict[str, Array], list[str]]:
    layer = last_weights(p.network, lambda: p.model(p.pixels[:1]))
    if layer is None:
        return {}, ["no dense or convolution layer was found, so no weights were shuffled"]
    try:
        other = shuffled(p.network, layer, seed)
        trial = copy.copy(p)
        trial.network = other.eval()
        with torch.no_grad():
            if torch.equal(trial.model(p.pixels[:1]), p.model(p.pixels[:1])):
                return {}, [f"shuffling the weights of {layer} changed no score, so nothing was learned from it"]
        after = again(other, p.pixels, p.target.tolist()).arrays["map"]
    except (StriateError, RuntimeError, TypeError) as error:
        return {}, [f"the map could not be made again with shuffled weights of {layer}: {error}"]
    if after.shape != maps.shape:
        return {}, [f"with shuffled weights of {layer} the map has another shape, {after.shape[1:]}, and was not compared"]
    pairs = list(zip(np.abs(maps), np.abs(after), strict=True))
    found = {"shuffled_correlation": np.array([rank_correlation(one, two) for one, two in pairs])}
    kept = (np.abs(maps) + np.abs(after)) > 0
    if 1 - kept.mean() > ZEROS:
        found["shuffled_correlation_nonzero"] = np.array([rank_correlation(one[k], two[k]) for (one, two), k in zip(pairs, kept, strict=True)])
    return found, []


def _pointing(p: Prepared, again: Again, seed: int, most: int) -> tuple[dict[str, Array], list[str]]:
    found = squares(p.pixels, tuple(p.target.tolist()), most=most, seed=seed)
    if found is None:
        return {}, ["pointing was not measured: it takes pictures of four classes or more"]
    if min(p.pixels.shape[-2:]) >= SMALL:
        found = halved(found)
    try:
        maps = again(p.network, found.pixels, list(found.target)).arrays["map"]
    except ArgumentError as error:  # a network that takes one size only
        return {}, [f"pointing was not measured: {error}"]
    energy, hit = pointed(maps, found.quarter)
    return {"pointing_energy": energy, "pointing_hit": hit}, []


def _unsure(arrays: Mapping[str, Array], receipts: Mapping[str, float]) -> float:
    """Two standard errors of the difference from the centre prior; of one picture, what one random order scatters."""
    apart = arrays["receipt_gap"] - arrays["receipt_gap_centre"]
    return 2 * float(apart.std(ddof=1)) / len(apart) ** 0.5 if len(apart) > 1 else receipts["gap_random_spread"]


def _sized(maps: Array, size: tuple[int, int]) -> Array:
    found: Array = maps if maps.shape[1:] == size else resized(torch.from_numpy(maps)[:, None], size)[:, 0].numpy()
    return found


def _noted(explanation: Explanation, note: str) -> Explanation:
    return dataclasses.replace(explanation, notes=(*explanation.notes, note))
