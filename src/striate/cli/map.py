"""`striate map`: a data set as a map, pictures beside those the network finds alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from striate.cli.registry import command


@command(
    "map",
    help="Draw a data set as a map of what the network finds alike.",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo with --weights; or package.module:factory.",
        "data": "What to map: a data set, or a folder of pictures. By default what the run was trained with.",
        "by": "t-SNE keeps neighbours together, PCA keeps large distances.",
        "layer": "Whose codes. By default what goes into the last dense layer; an autoencoder's own code.",
        "split": "Which part of the data: by default test, else val, else train.",
        "samples": "How many pictures.",
        "set_": "An option of the method as KEY=VALUE, such as perplexity=50; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "seed": "Decides which pictures are drawn, and t-SNE.",
        "out": "Folder to write to. By default explained/ in the run's folder.",
        "json": "Print JSON, the places included, instead of text.",
    },
    metavars={"model": "RUN|MODEL", "layer": "NAME", "split": "NAME", "set_": "KEY=VALUE", "weights": "FILE", "out": "FOLDER"},
    complete={"model": "models", "weights": "files", "data": "data", "out": "files"},
    examples=("striate map runs/cifar10-resnet20-1", "striate map runs/photos-resnet18-1 holiday/ --by pca --json"),
    torch=True,
)
def code_map(
    model: str,
    data: str | None = None,
    *,
    by: Literal["tsne", "pca"] = "tsne",
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
    options = {"by": by, "layer": layer, "split": split, "samples": samples}
    one(subject, "code_map", lambda: (subject.data(data, labels=False),), set_, options=options, preprocess=how, seed=seed, out=out, json=json)
