"""The strategies that train a network: fine-tuning a pretrained one from a fitted head, and training from scratch; both through the one loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.core.contracts import Progress, Recipe
from striate.core.errors import ArgumentError
from striate.surgery.heads import heads_of
from striate.training import Run, recipes, train
from striate.training.groups import layer_groups
from striate.transfer.advice import Advice
from striate.transfer.choices import Choice, compare, fit_whole
from striate.transfer.coding import Codes
from striate.transfer.heads import set_head
from striate.transfer.marking import known
from striate.transfer.opening import Opened
from striate.transfer.outputs import first_tensor, told, with_outputs

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
    shape, name = opened.data.shape, words.model if isinstance(words.model, str) else None
    network = with_outputs(opened.model, opened.data.classes, shape, name=name, seed=words.seed)
    changes = told(network, opened.model)
    for sentence in changes:
        tell.note(sentence)
    opened = replace(opened, model=network)
    heads, _ = heads_of(network, shape)
    ready = bool(heads) and _head_from_codes(network, heads[0], opened, found, weigh=weigh, seed=words.seed)
    base = MANY if advice.answer == "finetune-many" else FEW
    groups = layer_groups(network)
    edits: dict[str, Any] = {"class_weights": weigh}
    last = any(path == each or path.startswith(f"{each}.") for each in groups[-1].modules for path in heads[:1])
    if not last:
        tell.note("everything learns from the beginning: the head was not registered last, so what stands before it is not known")
    elif not ready:
        edits["head_first"] = 0.2
        tell.note("the head starts fresh and learns alone for a fifth of the time")
    if last and base is FEW and len(groups) > 2:
        edits["freeze"] = _last_of(network, groups[-3].modules)
    recipe = base.edited(**(edits | words.edits))
    more = {"weights": opened.source, "licence": opened.licence, "notes": [*opened.notes, *changes]}
    return _trained(words, network, opened.data, recipe, "finetune", advice, tell, more)


def from_scratch(words: Any, data: Any, advice: Advice | None, *, weigh: bool, tell: Progress) -> Run:
    """Train a network of the same name from random weights, or, where there was advice, the one that fits the data's size."""
    if isinstance(words.model, nn.Module) and advice is None:
        raise ArgumentError("strategy: scratch forgets the weights, but this network is built already; give its name, or use striate.train")
    name = recipes.default_model(recipes.known_as(data), data.shape) if advice is not None or isinstance(words.model, nn.Module) else words.model
    recipe = recipes.default(name, recipes.known_as(data), samples=recipes.samples_of(data)).edited(**({"class_weights": weigh} | words.edits))
    if advice is not None:
        tell.note(f"from scratch with {name}, the network that fits {' x '.join(map(str, data.shape))}")
    return _trained(words, name, data, recipe, "scratch", advice, tell, {})


def _trained(
    words: Any, network: nn.Module | str, data: Any, recipe: Recipe, strategy: str, advice: Advice | None, tell: Progress, more: dict[str, Any]
) -> Run:
    """Train through the one loop with a part held back for the temperature, and write down what was asked, advised and done."""
    share = max(HELD, 2 * len(data.classes) / len(data.training_table))
    if share < 0.5 and "calibrate" not in words.edits:
        recipe = recipe.edited(calibrate=share)
    python, command = words.spelled()
    options = words.options if isinstance(network, str) and network == words.model else None
    facts: dict[str, Any] = {"strategy": strategy, "asked": words.strategy, "advice": None if advice is None else advice.to_json(), **more}
    with known(words.folder, data.name, network, {"python": python, "command": command, "transfer": facts}, tell) as (folder, watched):
        run: Run = train(
            network,
            data,
            recipe=recipe,
            folder=folder,
            seed=words.seed,
            device=words.device,
            precision=words.precision,
            options=options,
            progress=watched,
        )
    found = dict((run.result or {}).get("calibration", {}))
    facts |= {"temperature": found.pop("temperature", None), "held": found.pop("n", 0), "calibration": found}
    run.update({"python": python, "command": command, "transfer": facts})
    return Run(run.folder, model=network if run.facts["model"].get("foreign") and isinstance(network, nn.Module) else None)


def _head_from_codes(network: nn.Module, path: str, opened: Opened, found: Codes, *, weigh: bool, seed: int) -> bool:
    """Write the linear classifier of the plain top codes into the network's own head, and check that the network now says what it says."""
    choice = Choice((found.at[-1],), "avg", unit=False)
    pair = compare(found, choices=[choice], class_weights=weigh, seed=seed)[0]
    fitted = fit_whole(found, pair, class_weights=weigh, seed=seed)
    head = network.get_submodule(path.removesuffix("()"))
    kept = {name: value.clone() for name, value in head.state_dict().items()}
    if not set_head(head, fitted):
        return False
    batch = next(iter(opened.data.split("train").batches(16, epoch=0, seed=0)))
    training = network.training
    with torch.no_grad():
        weight = next(network.parameters())
        made = first_tensor(network.eval()(batch.x.to(weight.device, weight.dtype)))
    network.train(training)
    wanted = fitted.logits(found.of(found.at[-1])[0][: len(batch)])
    if made is None or tuple(made.shape) != wanted.shape:
        head.load_state_dict(kept)
        return False
    said = made.float().cpu().numpy()
    same = np.abs((said - said.mean(1, keepdims=True)) - (wanted - wanted.mean(1, keepdims=True))).max() < 0.25 * max(1.0, np.abs(wanted).max())
    if not same:
        head.load_state_dict(kept)
    return bool(same)


def _last_of(network: nn.Module, modules: tuple[str, ...]) -> str:
    """Return the last of a group's modules in the model's order."""
    order = [path for path, _ in network.named_modules()]
    return max(modules, key=order.index)
