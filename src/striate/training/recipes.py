"""Named recipes, as data. Which one fits a network and a data set by default is a table here, not a guess."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, unknown_name
from striate.core.storage import read_json
from striate.zoo import papers


@dataclass(frozen=True)
class Named:
    """One recipe, what it is for, and the networks and data sets (shell patterns) that get it by default."""

    recipe: Recipe
    help: str
    models: str = ""
    data: str = ""
    least: int = 0
    """Training samples below which it is nobody's default."""


_ALL = (
    Named(
        Recipe(
            name="digits", epochs=40, batch=64, lr=8e-3, weight_decay=0.01, augment=("shift(1)",), smoothing=0.05, average="ema", average_decay=0.98
        ),
        "scikit-learn's 8x8 digits in a few seconds",
        "*",
        "digits",
    ),
    Named(
        Recipe(
            name="mnist-sprint",
            epochs=4,
            batch=256,
            lr=0.015,
            weight_decay=0.02,
            augment=("shift(2)",),
            smoothing=0.05,
            average="ema",
            average_decay=0.98,
        ),
        "MNIST and its kin with sprint28: half a per cent in about ten seconds on two cores",
        "sprint28",
        "*mnist*",
    ),
    Named(
        Recipe(
            name="mnist-sprint-quick", epochs=0.95, batch=256, lr=0.015, weight_decay=0.02, augment=("shift(1)",), average="ema", average_decay=0.97
        ),
        "MNIST with sprint28 in less than one epoch",
    ),
    Named(
        Recipe(
            name="mnist-quick",
            epochs=3.4,
            batch=512,
            lr=0.04,
            weight_decay=0.02,
            augment=("shift(1)",),
            smoothing=0.05,
            average="ema",
            average_decay=0.99,
        ),
        "MNIST with LeNet-5 in three and a half epochs",
    ),
    Named(
        Recipe(
            name="mnist-better",
            epochs=6.6,
            batch=512,
            lr=0.03,
            weight_decay=0.02,
            augment=("affine(rotate=8, scale=(0.92, 1.08), squeeze=0.05, shift=0.05)",),
            smoothing=0.05,
            average="ema",
            average_decay=0.99,
        ),
        "MNIST and its kin with a small net, within seconds on two cores",
        "*",
        "*mnist*",
    ),
    Named(
        Recipe(
            name="mnist-best",
            epochs=25,
            batch=256,
            lr=0.012,
            weight_decay=0.05,
            augment=("affine(rotate=12, scale=(0.88, 1.12), squeeze=0.1, shear=8)", "shift(2)"),
            smoothing=0.05,
            average="ema",
            average_decay=0.998,
        ),
        "MNIST as well as minutes of CPU allow: turned, scaled, sheared, shifted",
    ),
    Named(
        Recipe(
            name="cifar-sprint",
            epochs=9.5,
            batch=2000,
            optimiser="muon",
            lr=0.24,
            momentum=0.6,
            weight_decay=0.004,
            options={"head_lr": 1340.0, "bias_lr": 106.0},
            schedule="linear",
            augment=("crop(2, mode='reflect')", "mirror(alternate=True)"),
            smoothing=0.2,
            views="six",
            init="whiten-first",
        ),
        "CIFAR-10 to 94 % in minutes on two cores, with sprint32",
        "sprint32",
        "*",
        least=10_000,  # its steps are large and few
    ),
    Named(
        papers.RESNET_CIFAR,
        "the residual paper's CIFAR recipe: 64,000 steps, rate divided by 10 at half and three quarters (He et al. 2016)",
    ),
    Named(
        Recipe(
            name="cifar-modern",
            epochs=16,
            batch=256,
            optimiser="sgd",
            lr=0.4,
            momentum=0.9,
            weight_decay=5e-4,
            options={"nesterov": True, "decay_norms": False},
            schedule="linear",
            warmup=0.2,
            augment=("crop(4, mode='reflect')", "mirror(alternate=True)"),
            smoothing=0.1,
            average="ema",
            average_decay=0.995,
            views="mirror",
        ),
        "residual nets on 32x32 pictures in a tenth of the classic length",
        "*",
        "cifar*",
    ),
    Named(
        papers.RESNET_IMAGENET,
        "the residual paper's ImageNet recipe (He et al. 2016)",
    ),
    Named(
        Recipe(name="sentences", epochs=3, batch=64, lr=2e-3, schedule="linear"),
        "sentences with the text CNN: 77 % of movie reviews over ten folds with random word vectors",
        "text_cnn",
        "*",
    ),
    Named(
        Recipe(
            name="boxes",
            epochs=20,
            batch=32,
            lr=5e-3,
            weight_decay=0.02,
            warmup=0.1,
            augment=("affine(rotate=0, scale=(0.8, 1.25), shift=0.15)",),
            average="ema",
            average_decay=0.99,
            clip=1.0,
        ),
        "a class and its box (task localise), from scratch",
    ),
    Named(
        Recipe(
            name="pictures",
            epochs=30,
            batch=32,
            lr=2e-3,
            weight_decay=0.05,
            warmup=0.15,
            augment=("resized_crop(scale=(0.35, 1.0))", "mirror"),
            smoothing=0.1,
            average="ema",
            average_decay=0.995,
            clip=1.0,
        ),
        "a folder of one's own pictures, from scratch",
        "*",
        "*",
    ),
)
_BY_NAME = {named.recipe.name: named for named in _ALL}


def names() -> tuple[str, ...]:
    """Return the names of all recipes, alphabetical."""
    return tuple(sorted(_BY_NAME))


def help_of(name: str) -> str:
    """Return one line on what the recipe is for; raises `UnknownNameError`."""
    if name not in _BY_NAME:
        raise unknown_name("recipe", name, _BY_NAME)
    return _BY_NAME[name].help


def get(name: str | Path | Recipe) -> Recipe:
    """Return a recipe by its name, from a `.json` file of its fields, or as it is; raises `UnknownNameError` or `ArgumentError`."""
    if isinstance(name, Recipe):
        return name
    if str(name).endswith(".json"):
        values = read_json(name)
        if not isinstance(values, dict):
            raise ArgumentError(f"{name}: expected a JSON object of recipe fields, got {type(values).__name__}")
        return Recipe.from_json(values)
    if str(name) not in _BY_NAME:
        raise unknown_name("recipe", str(name), _BY_NAME)
    return _BY_NAME[str(name)].recipe


def known_as(data: Any) -> str:
    """Return the name by which recipes know a data set: one of striate's own sources; empty for a user's folder or file."""
    return str(data.name) if getattr(data, "source", "") == data.name else ""


def samples_of(data: Any) -> int | None:
    """Return how many training samples there are; None for a stream, or where no part is called train."""
    return data.split("train").length if "train" in data.splits else None


def default(model: str, data: str, task: str = "classify", samples: int | None = None) -> Recipe:
    """Return the recipe that a network and a data set of these names, with so many training samples, get for a task when none is asked for."""
    if task == "localise":  # views and blends that serve a class lose its box
        return _BY_NAME["boxes"].recipe
    enough = [named for named in _ALL if named.models and (samples is None or samples >= named.least)]
    return next(named.recipe for named in enough if fnmatch(model, named.models) and fnmatch(data, named.data))


def default_model(data: str, shape: tuple[int, ...], task: str = "classify") -> str:
    """Return the network that data of this name and shape (C H W, or L words) get for a task when none is asked for."""
    if task == "localise":  # its padded maps know places well enough for a box, and their mean reads the class wherever it stands
        return "resnet20" if min(shape[1:]) <= 64 else "resnet18"
    if data == "digits":
        return "lenet5"
    if len(shape) == 1:
        return "text_cnn"
    size = min(shape[1:]) if len(shape) == 3 else 0
    if size <= 28:
        return "lenet5"
    return "sprint32" if size <= 40 else "resnet18"
