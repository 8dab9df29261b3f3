"""A pretrained trunk that learns to say where: weights and a table of boxes in, a run out (row R5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from striate.core.contracts import Progress
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed, random_state_kept
from striate.training import Run, recipes, tasks, train
from striate.transfer import opening
from striate.transfer.marking import known
from striate.zoo.two_heads import Localiser, localiser

__all__ = ["RECIPE", "Localiser", "localised", "localiser"]

RECIPE = recipes.get("boxes").edited(
    name="boxes on a pretrained trunk", epochs=12, batch=16, lr=1e-3, layer_decay=0.5, head_first=0.25, average_decay=0.97
)
"""The heads learn alone for a quarter of the time, then the trunk with them, its early layers least."""
HEADS_SEED = 11
"""Keeps the random numbers of the fresh heads apart from others drawn of the same seed."""


def localised(words: Any, *, weigh: bool, tell: Progress) -> Run:
    """Do what `fine_tune` says for the task `localise`: class, boxes and points on a pretrained trunk, trained by `RECIPE` with the edits asked for.

    `words` is what was asked (model, data, weights ...). Pictures are shown whole, padded or as the data were opened (`squash`), at the size of the
    pretraining or the one asked for. Raises what `fine_tune` raises.
    """
    data, strategy, at = words.data, words.strategy, words.at
    if strategy not in ("auto", "finetune"):
        why = "leave the weights out to train from scratch" if strategy == "scratch" else "keep the trunk as it is by the recipe's field freeze=trunk"
        raise ArgumentError(f"strategy: got {strategy!r}; with task localise the heads are trained and the trunk with them (auto, finetune); {why}")
    if at is not None and len(at) != 1:
        raise ArgumentError(f"at: got {', '.join(at) or 'nothing'}; with task localise it is the one layer after which the trunk ends")
    recipe = RECIPE.edited(**({"class_weights": weigh} | words.edits))
    job = tasks.make("localise", data, recipe)  # data without boxes are told before the weights are read
    opened = _opened(words, words.size)
    if opened.larger:  # a larger size serves pooled codes; boxes are learned at the size of the pretraining
        opened = _opened(words, opened.base)
    given, whole = data.preprocess, opened.data.preprocess
    whole = replace(whole, resize="squash" if given.resize == "squash" else "pad", short_side=None, background=given.background)
    told = "stretched to a square (resize='squash')" if whole.resize == "squash" else "padded to a square where they are not"
    notes = (*opened.notes, f"pictures are shown whole, {told}: a cut to the centre might lose a box")
    for sentence in notes:
        tell.note(sentence)
    with random_state_kept():
        torch.manual_seed(derived_seed(words.seed, HEADS_SEED))
        network = localiser(
            opened.model, data.classes, input=(whole.channels, *whole.size), at=at[0] if at else None, boxes=job.with_boxes, points=job.count
        )
    python, command = words.spelled()
    facts = {"strategy": "finetune", "asked": words.strategy, "weights": opened.source, "licence": opened.licence, "notes": list(notes)}
    facts["trunk"] = f"ends after {network.at}, {recipe.freeze or 'nothing'} frozen"
    told_by = {"python": python, "command": command, "transfer": facts}
    with known(words.folder, data.name, network, told_by, tell) as (folder, watched):
        run: Run = train(
            network,
            data.with_preprocess(whole),
            task="localise",
            recipe=recipe,
            folder=folder,
            seed=words.seed,
            device=words.device,
            precision=words.precision,
            progress=watched,
        )
    run.update(told_by)
    return Run(run.folder, model=network if run.facts["model"].get("foreign") else None)


def _opened(words: Any, size: int | None) -> opening.Opened:
    return opening.open_pretrained(words.model, words.data, weights=words.weights, options=words.options, size=size, seed=words.seed)
