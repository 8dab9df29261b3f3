"""`striate fool`: pictures changed a little, or made from noise, until the network says something else."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command

ATTACKS = ("pgd", "fgsm", "deepfool", "ddn", "fooling")
"""The methods that make a network say something else; others that make pictures leave it its word."""


@command(
    "fool",
    help="Change pictures until the network says something else.",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo with --weights; or package.module:factory.",
        "images": "Pictures, folders of them, or quoted patterns.",
        "method": "How: pgd, fgsm, deepfool, ddn; or fooling, all the way to --target.",
        "target": "The class to be taken for, its number or name. By default any other.",
        "set_": "An option of the method as KEY=VALUE; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "seed": "Decides everything random.",
        "out": "Folder to write to. By default explained/ in the run's folder.",
        "json": "Print JSON instead of text.",
    },
    metavars={"model": "RUN|MODEL", "images": "IMAGE", "method": "NAME", "set_": "KEY=VALUE", "weights": "FILE", "out": "FOLDER"},
    complete={"model": "models", "images": "files", "weights": "files", "out": "files"},
    examples=("striate fool runs/photos-resnet18-1 cat.jpg", "striate fool runs/mnist-lenet5-1 seven.png --method fooling --target 3"),
    torch=True,
)
def fool(
    model: str,
    images: tuple[Path, ...],
    *,
    method: str = "pgd",
    target: str | None = None,
    set_: tuple[str, ...] = (),
    weights: str | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Check the words first, then attack."""
    from striate.cli.looking import Subject, class_word, one, preprocess_word
    from striate.core.errors import unknown_name
    from striate.use.files import find

    subject, how = Subject.read(model, weights), preprocess_word(preprocess)
    name = method.replace("-", "_").lower()
    if name not in ATTACKS:
        raise unknown_name("method", method, ATTACKS)
    files = list(find(images).files)
    one(subject, name, lambda: (files,), set_, target=class_word(target), preprocess=how, seed=seed, out=out, json=json)
