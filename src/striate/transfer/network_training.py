"""The strategies that train a network: fine-tuning a pretrained one from a fitted head, and training from scratch; both through the one loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.core.contracts import Progress, Recipe
from striate.core.errors import ArgumentError
from striate.core.runtime import settings
from striate.data.splits import stratified
from striate.training import Run, recipes, train
from striate.training.checkpoint import BEST, FINAL
from striate.training.evaluation import run_over
from striate.training.groups import layer_groups
from striate.transfer.advice import Advice
from striate.transfer.choices import Choice, compare, fit_whole
from striate.transfer.coding import Codes
from striate.transfer.depths import head_of
from striate.transfer.heads import set_head
from striate.transfer.opening import Opened
from striate.transfer.temperature import effect, find_temperature, scale_head

HELD = 0.15
"""Share of the training pictures that a trained network does not see, to fit its temperature."""
FEW = Recipe(
    name="fine-tune a few layers",
    epochs=8,
    batch=16,
    lr=3e-4,
    weight_decay=0.02,
    warmup=0.1,
    augment=("resized_crop(scale=(0.35, 1.0))", "mirror"),
    smoothing=0.05,
    average="ema",
    average_decay=0.97,
    clip=1.0,
    views="mirror",
    layer_decay=0.4,
)
MANY = FEW.edited(name="fine-tune most layers", epochs=12, thaw=0.3)


def tune(words: Any, opened: Opened, found: Codes, advice: Advice, *, weigh: bool, tell: Progress) -> Run:
    """Start the network's own head from the linear classifier fitted to the top codes, then train the last layers, or most of them, on."""
    network = opened.model
    ready = _head_from_codes(network, opened, found, weigh=weigh, seed=words.seed)
    base = MANY if advice.answer == "finetune-many" else FEW
    groups = layer_groups(network)
    edits: dict[str, Any] = {"class_weights": weigh}
    if not ready:
        edits["head_first"] = 0.2
        tell.note("the head starts fresh and learns alone for a fifth of the time")
    if base is FEW and len(groups) > 2:
        edits["freeze"] = _last_of(network, groups[-3].modules)
    recipe = base.edited(**(edits | words.edits))
    return _trained(words, network, opened.data, recipe, "finetune", advice, tell, {"weights": opened.source, "licence": opened.licence})


def from_scratch(words: Any, data: Any, advice: Advice | None, *, weigh: bool, tell: Progress) -> Run:
    """Train a network of the same name from random weights, or, where there was advice, the one that fits the data's size."""
    if isinstance(words.model, nn.Module) and advice is None:
        raise ArgumentError("strategy: scratch forgets the weights, but this network is built already; give its name, or use striate.train")
    name = recipes.default_model(data.name, data.shape) if advice is not None or isinstance(words.model, nn.Module) else words.model
    recipe = recipes.default(name, data.name).edited(**({"class_weights": weigh} | words.edits))
    if advice is not None:
        tell.note(f"from scratch with {name}, the network that fits {' x '.join(map(str, data.shape))}")
    return _trained(words, name, data, recipe, "scratch", advice, tell, {})


def _trained(
    words: Any, network: nn.Module | str, data: Any, recipe: Recipe, strategy: str, advice: Advice | None, tell: Progress, more: dict[str, Any]
) -> Run:
    """Hold a part of the training pictures back, train on the rest, fit the temperature to the part, and write both down."""
    table = data.training_table
    share = max(HELD, 2 * len(data.classes) / len(table))
    parted, held = data, None
    if share < 0.5:
        kept, rows = stratified(table.targets, len(table), share, words.seed)
        name = next(split for split, each in data.tables.items() if each is table)
        tables = {split: each.take(kept) if split == name else each for split, each in data.tables.items()}
        parted = dataclasses.replace(data, tables=tables, given=data.preprocess)
        held = dataclasses.replace(data, tables={"held": table.take(rows)}, given=data.preprocess)
    python, command = words.spelled()
    options = words.options if isinstance(network, str) and network == words.model else None
    facts: dict[str, Any] = {"strategy": strategy, "asked": words.strategy, "advice": None if advice is None else advice.to_json(), **more}
    run: Run = train(
        network,
        parted,
        recipe=recipe,
        folder=words.folder,
        seed=words.seed,
        device=words.device,
        precision=words.precision,
        options=options,
        progress=tell,
    )
    facts |= _calibrate(run, data, held, words)
    run.update({"python": python, "command": command, "transfer": facts})
    return Run(run.folder, model=network if run.facts["model"].get("foreign") and isinstance(network, nn.Module) else None)


def _calibrate(run: Run, data: Any, held: Any, words: Any) -> dict[str, Any]:
    """Fit the temperature to the part held back, divide the head by it, and rewrite weights and predictions of the other parts."""
    if held is None:
        return {"temperature": None, "calibration": {}}
    from striate.core.storage import write_json
    from striate.core.tensors import save_tensors

    use = settings(words.device, words.precision)
    views = run.recipe.views
    network = run.model.to(use.device)
    seen = run_over(network, held.prepared(device=use.device).split("held"), run.task, use, views=views)
    temperature = find_temperature(_logits(seen.shares), np.asarray(seen.targets))
    measured = {}
    before = {name: np.load(run.folder / "predictions" / f"{name}.npz")["shares"] for name in (run.result or {}).get("splits", {})}
    scale_head(network, temperature)
    save_tensors(run.folder / FINAL, {name: value.cpu() for name, value in network.state_dict().items()})
    (run.folder / BEST).unlink(missing_ok=True)  # of other weights and uncalibrated
    result = dict(run.result or {})
    for name, shares in before.items():
        targets = data.tables[name].targets
        again = run_over(network, data.with_preprocess(run.preprocess).prepared(device=use.device).split(name), run.task, use, views=views)
        again.save(run.folder / "predictions" / f"{name}.npz")
        result["splits"][name] = again.figures
        if targets is not None:
            measured[name] = effect(_logits(shares), targets, temperature).to_json()
    write_json(run.folder / "result.json", result)
    return {"temperature": temperature, "calibration": measured, "held": len(held.tables["held"])}


def _logits(shares: Any) -> Any:
    return np.log(np.maximum(np.asarray(shares, np.float64), 1e-30))


def _head_from_codes(network: nn.Module, opened: Opened, found: Codes, *, weigh: bool, seed: int) -> bool:
    """Write the linear classifier of the plain top codes into the network's own head, and check that the network now says what it says."""
    choice = Choice((found.at[-1],), "avg", unit=False)
    pair = compare(found, choices=[choice], class_weights=weigh, seed=seed)[0]
    fitted = fit_whole(found, pair, class_weights=weigh, seed=seed)
    head = network.get_submodule(head_of(network))
    kept = {name: value.clone() for name, value in head.state_dict().items()}
    if not set_head(head, fitted):
        return False
    batch = next(iter(opened.data.split("train").batches(16, epoch=0, seed=0)))
    training = network.training
    with torch.no_grad():
        said = network.eval()(batch.x).float().numpy()
    network.train(training)
    wanted = fitted.logits(found.of(found.at[-1])[0][: len(said)])
    same = np.abs((said - said.mean(1, keepdims=True)) - (wanted - wanted.mean(1, keepdims=True))).max() < 0.25 * max(1.0, np.abs(wanted).max())
    if not same:
        head.load_state_dict(kept)
    return bool(same)


def _last_of(network: nn.Module, modules: tuple[str, ...]) -> str:
    """Return the last of a group's modules in the model's order."""
    order = [path for path, _ in network.named_modules()]
    return max(modules, key=order.index)
