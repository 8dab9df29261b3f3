"""`striate filters`: a layer's filters as pictures; with --dead, which units never fire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from striate.cli.registry import command


@command(
    "filters",
    help="Show a layer's filters, or the units that never fire.",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo with --weights; or package.module:factory.",
        "layer": "Which layer. By default the first convolution; with --dead, all.",
        "dead": "Look for units that never fire on data, each with the sample that proves it.",
        "data": "Data for --dead. By default what the run was trained with.",
        "set_": "An option of the method as KEY=VALUE, such as order=norm; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "seed": "Decides which samples are drawn.",
        "out": "Folder to write to. By default explained/ in the run's folder.",
        "json": "Print JSON instead of text.",
    },
    metavars={"model": "RUN|MODEL", "layer": "NAME", "set_": "KEY=VALUE", "weights": "FILE", "out": "FOLDER"},
    complete={"model": "models", "weights": "files", "data": "data", "out": "files"},
    examples=("striate filters runs/cifar10-resnet20-1", "striate filters runs/cifar10-resnet20-1 --dead --set count=10000"),
    torch=True,
)
def filters(
    model: str,
    *,
    layer: str | None = None,
    dead: bool = False,
    data: str | None = None,
    set_: tuple[str, ...] = (),
    weights: str | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Check the words first, then look."""
    from striate.cli.looking import Subject, one, preprocess_word
    from striate.core.errors import ArgumentError

    subject, how = Subject.read(model, weights), preprocess_word(preprocess)
    if data is not None and not dead:
        raise ArgumentError("--data: filters are drawn from their weights alone; data is for --dead")
    name = "dead_filters" if dead else "filters"

    def given() -> tuple[Any, ...]:
        return (subject.data(data, labels=False),) if dead else ()

    one(subject, name, given, set_, options={"layer": layer}, preprocess=how, seed=seed, out=out, json=json)
