"""`striate neighbours`: which pictures are alike, by pixels and by the network's codes."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command


@command(
    "neighbours",
    help="Show the pictures nearest to some, by pixels and by codes.",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo with --weights; or package.module:factory.",
        "data": "Where to look: a data set, or a folder of pictures. By default what the run was trained with.",
        "layer": "Whose codes. By default what goes into the last dense layer; an autoencoder's own code.",
        "split": "Which part of the data: by default test, else val, else train.",
        "samples": "How many pictures to look among.",
        "set_": "An option of the method as KEY=VALUE, such as queries=12; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "seed": "Decides which pictures are drawn.",
        "out": "Folder to write to. By default explained/ in the run's folder.",
        "json": "Print JSON instead of text.",
    },
    metavars={"model": "RUN|MODEL", "layer": "NAME", "split": "NAME", "set_": "KEY=VALUE", "weights": "FILE", "out": "FOLDER"},
    complete={"model": "models", "weights": "files", "data": "data", "out": "files"},
    examples=("striate neighbours runs/cifar10-resnet20-1", "striate neighbours runs/photos-resnet18-1 holiday/ --set queries=12"),
    torch=True,
)
def neighbours(
    model: str,
    data: str | None = None,
    *,
    layer: str | None = None,
    split: str | None = None,
    samples: int = 2000,
    set_: tuple[str, ...] = (),
    weights: str | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Check the words first, then look."""
    from striate.cli.looking import Subject, one, preprocess_word

    subject, how = Subject.read(model, weights), preprocess_word(preprocess)
    options = {"layer": layer, "split": split, "samples": samples}
    one(subject, "neighbours", lambda: (subject.data(data, labels=False),), set_, options=options, preprocess=how, seed=seed, out=out, json=json)
