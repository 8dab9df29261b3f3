"""How sparse a network is, layer by layer, over the checkpoints of a run (row U1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from striate import draw
from striate.core.errors import ArgumentError
from striate.probe import activations
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.opening import opened
from striate.understand.rectifiers import rectifiers
from striate.understand.registry import method
from striate.understand.samples import samples_of

if TYPE_CHECKING:
    from striate.draw import Figure

Array = np.ndarray[Any, Any]
NOW = "as given"


@method("sparsity", help="How many units are silent, layer by layer, over a run's checkpoints", needs="data", kind="table")
def sparsity(
    model: Any,
    data: Any,
    *,
    files: Sequence[str] = (),
    split: str | None = None,
    count: int = 500,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return for each ReLU of the network, at each checkpoint, the share of zeros behind it, over `count` samples.

    `model`: a Run, whose stored checkpoints are looked at (best, last, final, as far as they are there and differ), or a network as it is; `files`:
    further weights (.safetensors) of the same network, shown first and in this order, such as copies of `last.safetensors` kept while it trained.
    Table, a row a ReLU and checkpoint: `checkpoint`, `layer`, `zeros` (mean share of values that are zero for a sample), `silent` (share of units
    that are zero on every sample), `weight_zeros` (share of its filters' weights that are exactly zero) and `hoyer` (sparseness of its filters by
    Hoyer 2004: 0 when all weights are of one size, 1 when one alone is not zero); NaN where a ReLU follows no single layer. Raises `StorageError`
    for files that do not fit. Row U1.
    """
    network, own, _ = opened(model)
    samples = samples_of(data, split=split, count=count, preprocess=preprocess or own, seed=seed)
    rows: list[tuple[str, str, float, float, float, float]] = []
    last = None
    for name, stage in _stages(model, network, files):
        with prepare(stage, samples.pixels[:1], preprocess=preprocess or own, batch=batch, seed=seed) as p, torch.no_grad():
            units = rectifiers(p.network, p.inputs)
            places = [unit.address for unit in units]
            zeros, alive = np.zeros(len(units)), [np.zeros(0, dtype=bool)] * len(units)
            for start in range(0, len(samples), p.batch):
                seen = activations(p.network, p.preprocess(p.ready(samples.pixels[start : start + p.batch])), at=places)
                for number, place in enumerate(places):
                    found = seen[place]
                    zeros[number] += float(found.eq(0).flatten(1).float().mean(1).sum())
                    fired = found.ne(0).transpose(0, 1).flatten(1).any(1).cpu().numpy()
                    alive[number] = fired if not len(alive[number]) else alive[number] | fired
            for unit, zero, on in zip(units, zeros / len(samples), alive, strict=True):
                rows.append((name, unit.name, float(zero), float(1 - on.mean()), *_of_weights(p.network, unit.filters)))
            last = p.explanation("sparsity", "table", {}, pixels=False)
    if last is None:
        raise ArgumentError("model: it has no checkpoint to look at")
    columns = list(zip(*rows, strict=True))
    names = ("checkpoint", "layer", "zeros", "silent", "weight_zeros", "hoyer")
    arrays = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
    final = arrays["checkpoint"] == arrays["checkpoint"][-1]
    receipts = {
        "checkpoints": len(dict.fromkeys(columns[0])),
        "samples": len(samples),
        "zeros": float(arrays["zeros"][final].mean()),
        "silent": float(arrays["silent"][final].mean()),
    }
    made = Explanation(
        kind="table",
        method="sparsity",
        arrays=arrays,
        options={"files": tuple(files), "split": split, "count": count},
        fingerprints=last.fingerprints,
        receipts=receipts,
        seed=seed,
        notes=(*last.notes, *samples.notes()),
    )
    return made.over(samples.fingerprint, samples.title)


def figure(explanation: Explanation) -> Figure:
    """Draw the share of zeros behind each ReLU: a line a checkpoint, or, of one checkpoint, a bar a layer."""
    arrays = explanation.arrays
    stages = list(dict.fromkeys(arrays["checkpoint"].tolist()))
    share = draw.percent(explanation.receipts["zeros"], 0)
    silent = explanation.receipts["silent"]
    title = f"{share} of what the ReLUs give is zero, {f'{draw.percent(silent, 1)} of their units are silent' if silent else 'no unit is silent'}"
    if len(stages) == 1:
        return draw.bars({str(name): 100 * float(zero) for name, zero in zip(arrays["layer"], arrays["zeros"], strict=True)}, title=title, unit=" %")
    lines = {}
    for stage in stages:
        mine = arrays["zeros"][arrays["checkpoint"] == stage]
        lines[stage] = (np.arange(1, len(mine) + 1), mine)
    return draw.curves(lines, title, "ReLU, first to last", "zeros", percent=True, points=True, floor=0.0, width=640)


def hoyer(weights: Array) -> float:
    """Return Hoyer's sparseness of any array: 0 when all sizes are equal, 1 when one value alone is not zero; NaN for zeros or a single value."""
    flat = np.abs(weights.astype(np.float64).ravel())
    norm, root = float(np.linalg.norm(flat)), float(np.sqrt(flat.size))
    return (root - float(flat.sum()) / norm) / (root - 1) if norm > 0 and flat.size > 1 else float("nan")


def _of_weights(network: torch.nn.Module, filters: str) -> tuple[float, float]:
    named = dict(network.named_modules())
    module = named.get(filters, named.get(filters.rpartition("[")[0]))
    if module is None or not isinstance(getattr(module, "weight", None), torch.Tensor):
        return float("nan"), float("nan")
    weights = module.weight.detach().float().cpu().numpy()
    return float((weights == 0).mean()), hoyer(weights)


def _stages(model: Any, network: torch.nn.Module, files: Sequence[str]) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield each checkpoint's name and network; of checkpoints with the same weights only the first."""
    import copy

    from striate.core.tensors import load_tensors
    from striate.training import Run
    from striate.training.checkpoint import BEST, LAST, load_weights

    stored = [(Path(file).stem, Path(file)) for file in files]
    if isinstance(model, Run):
        stored += [(path.stem, path) for path in (model.folder / BEST, model.folder / LAST) if path.exists()]
    seen: list[dict[str, torch.Tensor]] = []
    for name, path in stored:
        tensors, _ = load_tensors(path)
        live = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")} or tensors
        if any(_same(live, other) for other in [*seen, network.state_dict()]):
            continue
        seen.append(live)
        stage = copy.deepcopy(network)
        load_weights(stage, live, path)
        yield name, stage.eval()
    yield ("final" if isinstance(model, Run) else NOW), network


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value.cpu(), other[name].cpu()) for name, value in one.items())
