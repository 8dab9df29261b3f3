"""`striate train`: learn from a data set, report at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from striate.cli.registry import command


@command(
    "train",
    help="Train a network and write a report; alone, it learns digits.",
    section="Start",
    options={
        "data": "A data set's name (digits, mnist, cifar10 ...), a folder of class folders, or a .csv, .jsonl, .txt or .tsv file.",
        "model": "Architecture, see striate models; by default the one that fits the data.",
        "task": "classify says which class; localise says the class and draws its box: for a table with columns x, y, w, h, or pasted.",
        "recipe": "Named recipe (striate recipes) or a .json file of its fields; by default the one that fits.",
        "epochs": "How often every sample is seen; fractions are fine.",
        "lr": "Learning rate.",
        "batch": "Samples a step.",
        "seed": "Decides every random choice: same seed, same machine, same bits.",
        "device": "auto, cpu, cuda, cuda:1 or mps.",
        "precision": "fp32, bf16, or auto: bf16 where the hardware multiplies it.",
        "folder": "Where the run goes; by default runs/DATA-MODEL-NUMBER.",
        "set_": "Change a field of the recipe: --set smoothing=0.1 --set augment=mirror. May be repeated.",
        "data_option": "An option of the data source. May be repeated.",
        "model_option": "An option of the network (striate models NAME lists them). May be repeated.",
        "size": "Height and width that pictures of your own are brought to.",
        "weights": "Pretrained weights to start from: a .safetensors or .pth file, or published (torchvision's file, fetched once).",
        "strategy": "With weights: auto looks at the data and chooses; linear and svm fit a head to the frozen network's codes, finetune trains on, "
        "scratch forgets the weights. With --task localise, auto and finetune train two fresh heads and the network with them.",
        "at": "With weights: a layer whose codes a linear head may read (striate summary NAME lists them); may be repeated. With --task localise the "
        "one after which the trunk ends.",
        "no_report": "Write no report.html.",
        "json": "Print the result as JSON on stdout; progress stays on stderr.",
        "quiet": "Print nothing but the path of the report.",
    },
    metavars={
        "set_": "KEY=VALUE",
        "data_option": "KEY=VALUE",
        "model_option": "KEY=VALUE",
        "model": "NAME",
        "task": "WORD",
        "recipe": "NAME",
        "device": "NAME",
        "strategy": "WORD",
        "at": "LAYER",
        "weights": "FILE",
        "precision": "WORD",
    },
    complete={"data": "data", "model": "models", "recipe": "recipes", "weights": "files"},
    examples=(
        "striate train",
        "striate train mnist --epochs 3",
        "striate train photos/ --model resnet18 --size 128 --set class_weights=true",
        "striate train photos/ --model resnet50 --weights published",
        "striate train boxes.csv --task localise --size 96",
        "striate train boxes.csv --task localise --model resnet50 --weights published",
    ),
    torch=True,
)
def train(
    data: str = "digits",
    *,
    model: str | None = None,
    task: Literal["classify", "localise"] = "classify",
    recipe: str | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    folder: Path | None = None,
    set_: tuple[str, ...] = (),
    data_option: tuple[str, ...] = (),
    model_option: tuple[str, ...] = (),
    size: int | None = None,
    weights: str | None = None,
    strategy: Literal["auto", "linear", "svm", "finetune", "scratch"] = "auto",
    at: tuple[str, ...] = (),
    no_report: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Check the words first (fast, without torch), then open the data, build the network and train it."""
    from striate.cli.carry_out import train_as_planned
    from striate.cli.plan import make_plan

    plan = make_plan(
        data,
        model=model,
        task=task,
        recipe=recipe,
        epochs=epochs,
        lr=lr,
        batch=batch,
        seed=seed,
        device=device,
        precision=precision,
        folder=folder,
        edits=set_,
        data_options=data_option,
        model_options=model_option,
        size=size,
        strategy=strategy,
        at=at,
        weights=weights,
    )
    train_as_planned(plan, report=not no_report, json=json, quiet=quiet)
