"""`striate dream`: photographs with more of what a layer sees in them."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command


@command(
    "dream",
    help="Draw into photographs what a layer sees in them (DeepDream).",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo with --weights; or package.module:factory.",
        "images": "Photographs, folders of them, or quoted patterns.",
        "layer": "Whose answer is raised. By default one in the middle.",
        "size": "Pixels of the longer side.",
        "set_": "An option of the method as KEY=VALUE, such as octaves=5; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "seed": "Decides everything random.",
        "out": "Folder to write to. By default explained/ in the run's folder.",
        "json": "Print JSON instead of text.",
    },
    metavars={"model": "RUN|MODEL", "images": "IMAGE", "layer": "NAME", "set_": "KEY=VALUE", "weights": "FILE", "out": "FOLDER"},
    complete={"model": "models", "images": "files", "weights": "files", "out": "files"},
    examples=("striate dream vgg16 --weights vgg16.safetensors --preprocess imagenet coffee.jpg --layer features.21",),
    torch=True,
)
def dream(
    model: str,
    images: tuple[Path, ...],
    *,
    layer: str | None = None,
    size: int = 448,
    set_: tuple[str, ...] = (),
    weights: str | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Check the words first, then dream."""
    from striate.cli.looking import Subject, one, preprocess_word
    from striate.use.files import find

    subject, how = Subject.read(model, weights), preprocess_word(preprocess)
    files = list(find(images).files)
    one(subject, "dream", lambda: (files,), set_, options={"layer": layer, "size": size}, preprocess=how, seed=seed, out=out, json=json)
