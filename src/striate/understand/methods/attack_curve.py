"""How often attacks succeed as their bound grows, beside mere noise, and whether a second network falls for the same pictures (row U7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from striate import draw
from striate.core.errors import ArgumentError, unknown_name
from striate.understand.attacking import bound_of, in_chunks, saved, scores, slope, whole
from striate.understand.explanation import Explanation
from striate.understand.inputs import Prepared, prepare
from striate.understand.methods.pgd import STEP, descended
from striate.understand.opening import opened
from striate.understand.registry import method
from striate.understand.samples import samples_of
from striate.understand.scoring import several

if TYPE_CHECKING:
    from striate.draw import Figure

ATTACKS = ("noise", "fgsm", "pgd")


@method("attack_curve", help="Success of attacks against their bound, beside noise, and on a second network", needs="data", kind="table")
def attack_curve(
    model: Any,
    data: Any,
    *,
    epsilons: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
    attacks: Sequence[str] = ("noise", "fgsm", "pgd"),
    steps: int = 40,
    second: Any = None,
    split: str | None = None,
    samples: int = 500,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return the share of pictures whose class changes, after saving with 8 bits, for each attack and bound.

    Only pictures that the network (and `second`) has right count, where labels are known. `epsilons`: bounds in 255ths of the range. `attacks`:
    `noise` (uniform within the bound, drawn by the seed), `fgsm`, `pgd` (`steps` steps). `second`: another network, a Run or a run's folder, shown
    the pictures made for the first. Table, a row for each attack and bound: `attack`, `epsilon`, `success`,
    `success_before_saving`, `transfer` (-1 without a second). Raises `UnknownNameError`, `ArgumentError`. Row U7.
    """
    chosen = (attacks,) if isinstance(attacks, str) else tuple(attacks)
    for name in chosen:
        if name not in ATTACKS:
            raise unknown_name("attack", name, ATTACKS)
    bounds = [bound_of(float(epsilon)) for epsilon in epsilons]
    whole("steps", steps)
    whole("samples", samples)
    if not chosen or not bounds:
        raise ArgumentError("epsilons, attacks: got none, expected at least one of each")
    _, own, _ = opened(model)
    found = samples_of(data, split=split, count=samples, preprocess=preprocess or own, seed=seed)
    other = _loaded(second)
    with prepare(model, found.pixels, preprocess=preprocess, batch=batch, seed=seed) as p:
        several(p.logits)
        notes = list(found.notes())
        right = torch.ones(len(p), dtype=torch.bool)
        labels = None if found.labels is None else _numbers(np.asarray(found.labels), p.classes)
        if labels is not None:
            right = p.logits.argmax(1).cpu() == labels
        second_says = None if other is None else _predicted(other, p.pixels, p.preprocess)
        if second_says is not None:
            right &= second_says == (p.logits.argmax(1).cpu() if labels is None else labels)
        if not bool(right.any()):
            raise ArgumentError("data: no picture is classified right before any attack, so none can be turned; are labels and preprocess right?")
        before = p.logits.argmax(1)
        rows: dict[str, list[Any]] = {name: [] for name in ("attack", "epsilon", "success", "success_before_saving", "transfer")}
        for name in chosen:
            for bound in bounds:
                exact = in_chunks(p, _attack(p, name, bound, before, steps))
                kept = saved(exact, p.pixels, bound)
                turned, without = ((scores(p, each).argmax(1) != before).cpu()[right] for each in (kept, exact))
                moved = -1.0
                if other is not None and second_says is not None:
                    moved = float((_predicted(other, kept, p.preprocess) != second_says)[right].float().mean())
                figures = (name, bound * 255, float(turned.float().mean()), float(without.float().mean()), moved)
                for values, figure_ in zip(rows.values(), figures, strict=True):
                    values.append(figure_)
        receipts = {"samples": len(p), "right": int(right.sum()), "accuracy": float(right.float().mean())}
        options = {"epsilons": tuple(epsilons), "attacks": chosen, "steps": steps, "split": split, "samples": samples, "second": second is not None}
        table = {name: np.array(values) for name, values in rows.items()}
        made = p.explanation("attack_curve", "table", table, options=options, receipts=receipts, notes=notes, pixels=False)
        return made.over(found.fingerprint, found.title)


def _attack(p: Prepared, name: str, bound: float, before: Tensor, steps: int) -> Callable[[slice], Tensor]:
    def noise(part: slice) -> Tensor:
        drawn = [torch.rand(p.pixels.shape[1:], generator=p.generator(number)) for number in range(part.start, part.stop)]
        return (p.pixels[part] + bound * (2 * torch.stack(drawn).to(p.pixels) - 1)).clamp(0, 1)

    def fgsm(part: slice) -> Tensor:
        return (p.pixels[part] + bound * slope(p, p.pixels[part], before[part]).sign()).clamp(0, 1)

    def pgd(part: slice) -> Tensor:
        return descended(p, part, before, bound, bound * STEP, steps)

    return {"noise": noise, "fgsm": fgsm, "pgd": pgd}[name]


def _numbers(labels: np.ndarray[Any, Any], classes: Sequence[str]) -> Tensor:
    """Return class numbers for labels that are numbers already, or names out of the model's classes. Raises `ArgumentError`."""
    if labels.dtype.kind in "iu":
        return torch.as_tensor(labels.astype(np.int64))
    if unknown := sorted({str(label) for label in labels} - {*classes}):
        known = f"names out of {', '.join(classes[:6])}" if classes else "no names, for this model knows none"
        raise ArgumentError(f"data: got the label {unknown[0]!r}, expected class numbers, or {known}")
    return torch.tensor([list(classes).index(str(label)) for label in labels])


def _loaded(second: Any) -> Any:
    if isinstance(second, (str, Path)):
        from striate.training import Run

        return Run.load(second)
    return second


def _predicted(model: Any, pixels: Tensor, preprocess: Any) -> Tensor:
    """Return the classes another network gives; its own preprocess where it brings one, else the first's."""
    _, own, _ = opened(model)
    with prepare(model, pixels, preprocess=None if own is not None else preprocess) as q:
        return q.logits.argmax(1).cpu()


def figure(explanation: Explanation) -> Figure:
    """Draw success against the bound, a line an attack; dashed what a second network falls for."""
    arrays = explanation.arrays
    lines: dict[str, tuple[Any, Any]] = {}
    colours: dict[str, int] = {}
    names = {"fgsm": "FGSM", "pgd": "PGD"}
    for number, name in enumerate(dict.fromkeys(arrays["attack"].tolist())):
        rows = arrays["attack"] == name
        said = names.get(name, name)
        lines[said], colours[said] = (arrays["epsilon"][rows], arrays["success"][rows]), number
        if (arrays["transfer"][rows] >= 0).all():
            lines[f"{said}, second net"], colours[f"{said}, second net"] = (arrays["epsilon"][rows], arrays["transfer"][rows]), number
    best = int(arrays["success"].argmax())
    said = names.get(str(arrays["attack"][best]), str(arrays["attack"][best]))
    share, bound = draw.percent(float(arrays["success"][best]), 0), f"{arrays['epsilon'][best]:g}/255"
    title = f"{said} turns {share} of {int(explanation.receipts['right']):,} pictures within {bound}"
    dashed = [name for name in lines if name.endswith("second net")]
    return draw.curves(
        lines,
        title,
        "bound, in 255ths",
        "pictures whose class changes",
        percent=True,
        dashed=dashed,
        colours=colours,
        points=True,
        floor=0,
        width=620,
    )
