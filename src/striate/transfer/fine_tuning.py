"""The front door: a pretrained network and a folder of pictures in, a run with its report's numbers out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from striate.core.contracts import Progress, Recipe, Strategy
from striate.core.errors import ArgumentError, unknown_name
from striate.core.runtime import Precision, settings
from striate.core.signature import Source, command_line, python_call
from striate.training import Run
from striate.training.calibration import effect
from striate.training.description import assignments
from striate.training.session import Quiet
from striate.transfer import opening, record
from striate.transfer.advice import Advice, judge, mirrored
from striate.transfer.choices import Choice, Compared, best, compare, fit_whole
from striate.transfer.coding import Codes, codes
from striate.transfer.fitting import Fitted, Kind
from striate.transfer.localising import localised
from striate.transfer.network_training import from_scratch, tune
from striate.transfer.shift import domain_shift
from striate.zoo.coded import coded

STRATEGIES = ("auto", "linear", "svm", "finetune", "scratch")
TASKS = ("classify", "localise")
UNBALANCED = 3.0
"""From this ratio of the largest to the smallest class each class weighs the same in the loss."""


def fine_tune(
    model: str | nn.Module,
    data: Any,
    *,
    weights: str | Path | None = None,
    task: Literal["classify", "localise"] = "classify",
    strategy: Strategy = "auto",
    at: tuple[str, ...] | None = None,
    size: int | None = None,
    class_weights: bool | None = None,
    folder: str | Path | None = None,
    settings_of_recipe: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    cache: bool = True,
    progress: Progress | None = None,
) -> Run:
    """Turn a pretrained network into a classifier of the data's classes and return its run.

    `model`: a zoo name with `weights` (a path or `published`), or a network that has its weights. `data`: anything `striate.data.load` takes.
    `strategy`: `linear` or `svm` fit a head to cached codes; `finetune` trains the last layers or most of them on; `scratch` forgets the weights;
    `auto` follows `advise` and looks at mirror images too. `at`: the layers a linear head may read. `size`: the pictures' side. `class_weights` None
    weighs classes where one has three times the pictures of another. `settings_of_recipe` edits the recipe of `finetune`
    and `scratch`, and is refused for `linear` and `svm`, which have none. A network given as a module for another number of classes gets a fresh
    head.
    Everything is chosen by cross-validation on the training split (or a part held out of it); `val` and `test` are read once, at the
    end. The logits' temperature is fitted likewise.

    `task="localise"` says where as well, for data with boxes or points: two fresh heads on the trunk (cut after the one layer `at`) learn alone for a
    quarter of the time, then the trunk with them; strategies `auto` and `finetune` are the same there.

    Raises `DataError` for data that no classifier can be fitted to, `StorageError` where weights are missing, `UnknownNameError` for a layer or word.
    """
    from striate.data import load

    _check_words(strategy, task, size, settings_of_recipe)
    tell: Progress = progress or Quiet()
    given = load(data)
    (opening.check if task == "classify" else opening.check_labels)(given)  # where it is may be asked of things of one class, too
    for sentence in opening.missing_from(given):
        tell.note(sentence)
    weigh = _unbalanced(given) if class_weights is None else class_weights
    words = _Words(model, given, weights, strategy, at, size, class_weights, folder, settings_of_recipe, options, seed, device, precision, task)
    if task == "localise":
        return localised(words, weigh=weigh, tell=tell)
    if strategy == "scratch":
        return from_scratch(words, opening.at_size(given, size), None, weigh=weigh, tell=tell)
    opened = opening.open_pretrained(model, given, weights=weights, options=options, size=size, seed=seed)
    for sentence in opened.notes:
        tell.note(sentence)
    began = time.perf_counter()
    mirror = strategy == "auto" and mirrored(opened.data)

    def read(split: str) -> Codes:
        return codes(opened.model, opened.data, at, split=split, mirror=mirror, device=device, precision=precision, cache=cache, progress=progress)

    found = read("train")
    if strategy == "svm":
        compared = compare(found, kind="hinge", class_weights=weigh, seed=seed)
        return _linear(words, opened, found, best(compared), compared, None, "hinge", weigh, read, began)
    shift = domain_shift(opened.model, opened.data, device=device, precision=precision)
    advice = judge(found, opened.data, shift=shift, class_weights=weigh, seed=seed)
    wanted = advice.strategy if strategy == "auto" else strategy
    if strategy == "auto":
        tell.note(f"advice: {advice.words}")
    if wanted == "scratch":
        return from_scratch(words, opening.at_size(given, size), advice, weigh=weigh, tell=tell)
    if wanted == "finetune":
        if opened.larger:  # training at the larger size costs twice as much and has crops to see objects large
            opened = opening.open_pretrained(model, given, weights=weights, options=options, size=opened.base, seed=seed)
            mirror = False
            found = read("train")
        return tune(words, opened, found, advice, weigh=weigh, tell=tell)
    if words.edits:
        tell.note(f"{', '.join(words.edits)}: not used, for a linear head has no recipe (strategy finetune or scratch has)")
    return _linear(words, opened, found, best(advice.compared), advice.compared, advice, "softmax", weigh, read, began)


def _linear(
    words: _Words,
    opened: opening.Opened,
    found: Codes,
    chosen: Compared,
    compared: Any,
    advice: Advice | None,
    kind: Kind,
    weigh: bool,
    read: Any,
    began: float,
) -> Run:
    """Fit the chosen head to all training codes, put it on the cut trunk, read the other parts' codes, and write the run."""
    fitted = fit_whole(found, chosen, kind=kind, class_weights=weigh, seed=words.seed)
    choice: Choice = chosen.choice
    network = coded(opened.model, choice.at, len(opened.data.classes), pool=choice.pool, unit=choice.unit, input=opened.data.shape)
    _put(network.head, fitted)
    network.eval()
    logits: dict[str, npt.NDArray[np.float64]] = {}
    for split in opened.data.splits:
        part = found if split == found.split else read(split)
        if len(part):
            logits[split] = fitted.logits(choice.features(part))
    views: Literal["one", "mirror"] = "mirror" if len(found.views) > 1 else "one"
    recipe = Recipe(
        name="linear SVM on codes" if kind == "hinge" else "linear head on codes", epochs=1, batch=32, views=views, class_weights=weigh, lr=1.0
    )
    measured = {
        name: effect(values * fitted.temperature, opened.data.tables[name].targets, fitted.temperature).to_json()
        for name, values in logits.items()
        if name != "train" and opened.data.tables[name].targets is not None
    }
    transfer = {
        "strategy": "svm" if kind == "hinge" else "linear",
        "asked": words.strategy,
        "weights": opened.source,
        "licence": opened.licence,
        "notes": list(opened.notes),
        "choice": {"at": list(choice.at), "pool": choice.pool, "unit": choice.unit, "C": fitted.strength, "views": list(found.views)},
        "compared": [pair.to_json() for pair in compared],
        "advice": None if advice is None else advice.to_json(),
        "temperature": fitted.temperature,
        "calibration": measured,
        "cached": found.cached,
    }
    use = settings(words.device, words.precision)
    target = record.begin(words.folder, opened.data.name, opened.name)
    python, command = words.spelled()
    return record.write(
        target,
        network,
        f"{opened.name}+codes",
        opened.data,
        logits,
        recipe=recipe,
        seed=words.seed,
        use=use,
        began=began,
        python=python,
        command=command,
        transfer=transfer,
    )


def _check_words(strategy: str, task: str, size: Any, edits: Mapping[str, Any] | None) -> None:
    for what, word, known in (("strategy", strategy, STRATEGIES), ("task", task, TASKS)):
        if word not in known:
            raise unknown_name(what, str(word), known)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ArgumentError(f"size: got {size!r}, expected a number of pixels, 1 or more, or None for the pretraining's own")
    if edits and strategy in ("linear", "svm"):
        raise ArgumentError(
            f"settings_of_recipe: got {', '.join(edits)}, but strategy {strategy!r} fits a head in closed form and has no recipe; "
            f"leave it out, or choose strategy='finetune'"
        )


def _put(head: nn.Linear, fitted: Fitted) -> None:
    from striate.transfer.heads import set_head

    set_head(head, fitted)


def _unbalanced(data: Any) -> bool:
    targets = data.training_table.targets
    counts = np.bincount(targets, minlength=len(data.classes))
    return bool(counts.max() >= UNBALANCED * counts.min())


class _Words:
    """What was asked for, to be spelled as Python and as a command, and what every strategy needs of it."""

    def __init__(
        self,
        model: str | nn.Module,
        data: Any,
        weights: str | Path | None,
        strategy: str,
        at: tuple[str, ...] | None,
        size: int | None,
        class_weights: bool | None,
        folder: str | Path | None,
        edits: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
        seed: int,
        device: str,
        precision: Precision,
        task: str = "classify",
    ) -> None:
        self.task = task
        self.model, self.data, self.weights, self.strategy, self.at, self.size = model, data, weights, strategy, at, size
        self.class_weights, self.folder, self.edits, self.options = class_weights, folder, dict(edits or {}), dict(options or {})
        self.seed, self.device, self.precision = seed, device, precision

    def spelled(self) -> tuple[str, str | None]:
        """Return the Python and the command that do the same; None for what cannot be written as a command."""
        shared: dict[str, Any] = {"weights": None if self.weights is None else str(self.weights)}
        shared |= {"task": None if self.task == "classify" else self.task, "strategy": self.strategy, "size": self.size}
        shared |= {"folder": None if self.folder is None else str(self.folder), "seed": self.seed}
        shared |= {name: value for name, value in (("device", self.device), ("precision", self.precision)) if value != "auto"}
        shared = {name: value for name, value in shared.items() if value is not None}
        more = {"at": self.at, "class_weights": self.class_weights, "settings_of_recipe": self.edits or None, "options": self.options or None}
        keywords = shared | {name: value for name, value in more.items() if value is not None}
        source = self.data.spec
        opened: Any = source if source is not None else Source("data")
        if source is not None and self.data.options:
            opened = Source(python_call("st.data.load", [source], {"options": dict(self.data.options)}))
        named = isinstance(self.model, str)
        python = python_call("st.fine_tune", [self.model if named else Source("model"), opened], keywords)
        if not named or source is None or self.class_weights is not None or self.options:
            return python, None
        asked = {"at": list(self.at or ()), "data-option": assignments(self.data.options), "set": assignments(self.edits)}
        return python, command_line(["striate", "train", str(source)], {"model": self.model, **shared, **asked})
