"""Which filters never fire on a data set, each with the sample that brings it nearest to firing: the proof (row U1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import draw
from striate.probe import activations
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.opening import opened
from striate.understand.rectifiers import rectifiers
from striate.understand.registry import method
from striate.understand.samples import samples_of

if TYPE_CHECKING:
    from striate.draw import Figure

SHOWN = 16


@method("dead_filters", help="Filters that never fire on a data set, with the sample that proves it", needs="data", kind="table")
def dead_filters(
    model: Any,
    data: Any,
    *,
    layer: str | None = None,
    split: str | None = None,
    count: int = 2000,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return, for every unit that feeds a ReLU, its largest value before the ReLU over `count` samples, and the sample that has it.

    A unit is dead when that value is not above zero: no sample lets anything through, and the one that comes nearest is the proof. `layer`: one ReLU
    or the layer it follows; default all. Table, a row a unit: `layer`, `channel`, `largest`, `sample` (position in the split), `firing` (share of
    samples that make it fire anywhere), `dead`. `proof_pixels`: the samples of the units nearest to death, `proof` their rows. Raises
    as `rectifiers`. Row U1.
    """
    _, own, _ = opened(model)
    samples = samples_of(data, split=split, count=count, preprocess=preprocess or own, seed=seed)
    with prepare(model, samples.pixels[:1], preprocess=preprocess, batch=batch, seed=seed) as p, torch.no_grad():
        units = rectifiers(p.network, p.inputs, layer)
        places = [unit.before or unit.address for unit in units]
        largest: list[torch.Tensor] = []
        where: list[torch.Tensor] = []
        fired: list[torch.Tensor] = []
        for start in range(0, len(samples), p.batch):
            seen = activations(p.network, p.preprocess(p.ready(samples.pixels[start : start + p.batch])), at=places)
            tops = [seen[place].flatten(2).amax(-1) if seen[place].ndim == 4 else seen[place] for place in places]
            best = [top.max(0) for top in tops]
            if not largest:
                largest, where, fired = [b.values for b in best], [b.indices for b in best], [(t > 0).sum(0) for t in tops]
                continue
            for number, (top, found) in enumerate(zip(tops, best, strict=True)):
                better = found.values > largest[number]
                largest[number] = torch.where(better, found.values, largest[number])
                where[number] = torch.where(better, found.indices + start, where[number])
                fired[number] = fired[number] + (top > 0).sum(0)
        values, rows = torch.cat(largest).float().cpu().numpy(), torch.cat(where).cpu().numpy()
        share = torch.cat(fired).cpu().numpy() / len(samples)
        dead = values <= 0
        proof = np.lexsort((values, share))[: max(SHOWN, min(int(dead.sum()), 4 * SHOWN))]
        arrays = {
            "layer": np.array([unit.name for unit, each in zip(units, largest, strict=True) for _ in range(len(each))]),
            "channel": np.concatenate([np.arange(len(each)) for each in largest]),
            "largest": values,
            "sample": samples.index[rows],
            "firing": share,
            "dead": dead,
            "proof": proof,
            "proof_pixels": samples.pixels[torch.from_numpy(rows[proof])].numpy(),
        }
        receipts = {"units": len(values), "dead": int(dead.sum()), "rare": int(((share < 0.01) & ~dead).sum()), "samples": len(samples)}
        chosen = {"layer": layer, "split": split, "count": count}
        shared = ("proof", "proof_pixels")
        notes = [*samples.notes(), *_unnamed(units)]
        made = p.explanation(
            "dead_filters", "table", arrays, options=chosen, layer=layer, receipts=receipts, notes=notes, shared=shared, pixels=False
        )
        return made.over(samples.fingerprint, samples.title)


def figure(explanation: Explanation) -> Figure:
    """Draw the samples that prove the dead units dead; where none is dead, those that fire on the fewest samples."""
    arrays, receipts = explanation.arrays, explanation.receipts
    dead, units, over = int(receipts["dead"]), int(receipts["units"]), int(receipts["samples"])
    where = f" at {explanation.layer}" if explanation.layer else ""
    title = f"{dead:,} of {units:,} units{where} are dead: not one of {over:,} pictures makes them fire. Each with the picture that comes nearest"
    if not dead:
        title = f"None of {units:,} units{where} is dead on {over:,} pictures. Those that fire most rarely, each with its strongest picture"
    rows = arrays["proof"][: min(SHOWN, dead or SHOWN)]
    words = [f"{arrays['layer'][row]}·{arrays['channel'][row]}: {draw.short(float(arrays['largest'][row]))}" for row in rows]
    return draw.grid(list(arrays["proof_pixels"][: len(rows)]), words, title=title, columns=4, size=156)


def _unnamed(units: Any) -> list[str]:
    several = [unit.address for unit in units if not unit.filters]
    told = f"{', '.join(several[:4])}{' and others' if len(several) > 4 else ''}"
    return [f"the units of {told} add up several layers: they are named by their ReLU"] if several else []
