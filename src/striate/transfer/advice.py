"""Which strategy suits the data: the strategy table (similar or different data, little or much of it) from numbers measured on cached codes.

    |           | little                                 | much                     |
    | similar   | linear classifier on the top layer     | fine-tune a few layers   |
    | different | linear classifier on an earlier stage  | fine-tune many           |

Data are *similar* to what the network was pretrained on where the deepest codes separate the classes best, and *different* where an earlier stage
does. Small pictures in very large numbers are better served by a network of their own, from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from striate.core.contracts import Progress, Strategy
from striate.core.runtime import Precision
from striate.transfer import opening
from striate.transfer.choices import Choice, Compared, best, compare, sample
from striate.transfer.coding import Codes, codes
from striate.transfer.shift import domain_shift

Answer = Literal["linear-top", "linear-earlier", "finetune-few", "finetune-many", "scratch"]
MUCH, MUCH_A_CLASS = 2000, 200
"""From so many training pictures, in all and of the median class, fine-tuning is worth its time."""
OWN, OWN_SIDE = 20_000, 64
"""From so many pictures of so few pixels a side a network of their own learns more than a pretrained one brings."""
GOOD = 0.02
"""With a cross-validated error under this a linear head is left alone."""
WORDS: dict[Answer, str] = {
    "linear-top": "a linear classifier on the top layer",
    "linear-earlier": "a linear classifier on an earlier stage",
    "finetune-few": "fine-tune the last layers",
    "finetune-many": "fine-tune most layers",
    "scratch": "train a network from scratch",
}
STRATEGIES: dict[Answer, Strategy] = {
    "linear-top": "linear",
    "linear-earlier": "linear",
    "finetune-few": "finetune",
    "finetune-many": "finetune",
    "scratch": "scratch",
}


@dataclass(frozen=True)
class Advice:
    """What to do with these data and this network, and the numbers that led there.

    `answer` in five words, `strategy` the one that `fine_tune` takes for it; `at`, `pool` and `unit` what a linear head should read; `depths` one
    row a depth, shallow to deep (cross-validated error and log-loss of a linear head); `numbers` everything else that was measured.
    """

    answer: Answer
    strategy: Strategy
    choice: Choice
    reasons: tuple[str, ...]
    depths: tuple[Mapping[str, Any], ...]
    numbers: Mapping[str, Any]
    compared: tuple[Compared, ...] = field(default=(), repr=False, compare=False)

    @property
    def words(self) -> str:
        """The answer in words."""
        at = "" if self.strategy != "linear" else f" ({self.choice})"
        return WORDS[self.answer] + at

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "answer": self.answer,
            "words": self.words,
            "strategy": self.strategy,
            "at": list(self.choice.at),
            "pool": self.choice.pool,
            "unit": self.choice.unit,
            "reasons": list(self.reasons),
            "depths": [dict(row) for row in self.depths],
            "numbers": dict(self.numbers),
        }

    def __str__(self) -> str:
        """The answer, the reasons and the depths, one a line."""
        rows = [f"  {row['at']}: error {percent(row['error'])}, log-loss {row['loss']:.3f}" for row in self.depths]
        return "\n".join([f"Advice: {self.words}", *(f"- {reason}" for reason in self.reasons), "Linear heads by depth, cross-validated:", *rows])


def advise(
    data: Any,
    model: str | nn.Module,
    *,
    weights: Any = None,
    at: tuple[str, ...] | None = None,
    size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    cache: bool = True,
    progress: Progress | None = None,
) -> Advice:
    """Look at the training pictures through a pretrained network and say which strategy suits them, with the numbers.

    `data`: anything `striate.data.load` takes. `model`: a zoo name with `weights` (a path or `published`), or a network that has its weights. Only
    the training split is looked at. Raises `DataError` for data that no classifier can be fitted to, `StorageError` where weights are missing.
    """
    from striate.data import load

    opened_data = load(data)
    opening.check(opened_data)
    opened = opening.open_pretrained(model, opened_data, weights=weights, size=size, seed=seed)
    found = codes(
        opened.model,
        opened.data,
        at,
        mirror=mirrored(opened.data),
        device=device,
        precision=precision,
        cache=cache,
        progress=progress,
    )
    return judge(found, opened.data, shift=domain_shift(opened.model, opened.data, device=device, precision=precision), seed=seed)


def mirrored(data: Any) -> bool:
    """Whether mirror images are looked at too: of sets small enough that twice the time is little."""
    return len(data.training_table) <= 20_000


def judge(found: Codes, data: Any, *, shift: float | None = None, class_weights: bool = False, seed: int = 0) -> Advice:
    """Return the advice that codes of the training split lead to; see the table at the head of this file."""
    compared = compare(found, class_weights=class_weights, seed=seed)
    alone = {pair.choice.at[0]: pair for pair in reversed(compared) if len(pair.choice.at) == 1}
    rows = tuple(
        {
            "at": layer,
            "error": alone[layer].fitted.error,
            "loss": alone[layer].fitted.loss,
            "C": alone[layer].fitted.strength,
            "width": _width(found, layer),
        }
        for layer in found.at
    )
    chosen = best(compared)
    top = alone[found.at[-1]]
    counts = np.bincount(np.asarray(found.targets), minlength=len(found.classes))
    side = opening.short_side(data)
    neighbour = nearest_neighbour_error(sample(found, seed))
    numbers: dict[str, Any] = {
        "pictures": int(counts.sum()),
        "classes": len(counts),
        "smallest class": int(counts.min()),
        "median class": float(np.median(counts)),
        "largest class": int(counts.max()),
        "short side": int(side),
        "nearest-neighbour error": neighbour,
        "top error": top.fitted.error,
        "best error": chosen.fitted.error,
        "shift of the source's batch-norm statistics": shift,
    }
    apart = best([alone[layer] for layer in reversed(found.at)])
    answer, reasons = _answer(numbers, chosen, top, apart)
    return Advice(answer, STRATEGIES[answer], chosen.choice, tuple(reasons), rows, numbers, tuple(compared))


def _answer(numbers: Mapping[str, Any], chosen: Compared, top: Compared, apart: Compared) -> tuple[Answer, list[str]]:
    different = apart.choice.at != top.choice.at
    count, median = numbers["pictures"], numbers["median class"]
    much = count >= MUCH and median >= MUCH_A_CLASS
    error = chosen.fitted.error
    reasons = [
        f"{count:,} training pictures of {numbers['classes']} classes, {median:,.0f} of the median class: "
        + ("enough to fine-tune" if much else f"little (fine-tuning pays from about {MUCH:,} and {MUCH_A_CLASS} a class)"),
        f"the nearest neighbour in the top codes is of another class for {percent(numbers['nearest-neighbour error'])} of the pictures",
    ]
    if different:
        reasons.append(
            f"{apart.choice} separates the classes better than the top ({percent(apart.fitted.error)} against {percent(top.fitted.error)} error, "
            "cross-validated): the data differ from what the network was trained on"
        )
    else:
        reasons.append(
            f"the top codes separate the classes best ({percent(top.fitted.error)} error, cross-validated): "
            "the data resemble what the network was trained on"
        )
    if numbers["shift of the source's batch-norm statistics"] is not None:
        reasons.append(
            f"seen from inside, the pictures are {numbers['shift of the source' + chr(39) + 's batch-norm statistics']:.2f} deviations "
            "from the source's mean activation"
        )
    if count >= OWN and numbers["short side"] <= OWN_SIDE and error > GOOD:
        reasons.append(f"{count:,} pictures of {numbers['short side']} pixels: a network made for that size learns more from them, and faster")
        return "scratch", reasons
    if much and error > GOOD:
        return ("finetune-many" if different else "finetune-few"), reasons
    if much:
        reasons.append(f"a linear head leaves {percent(error)} error, so little that fine-tuning is not worth its time")
    return ("linear-earlier" if different else "linear-top"), reasons


def percent(share: float) -> str:
    """Spell a share as `1.2 %`."""
    return f"{100 * share:.1f} %"


def nearest_neighbour_error(found: Codes) -> float:
    """Return the share of pictures whose nearest other picture in the top codes (by cosine) is of another class."""
    values: npt.NDArray[np.float32] = found.of(found.at[-1])[0]
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    targets = np.asarray(found.targets)
    return float((targets[near.argmax(axis=1)] != targets).mean())


def _width(found: Codes, layer: str) -> int:
    return int(found.of(layer).shape[2])
