"""`striate autoencode`: learn to give back pictures, or to clean them, and report it beside PCA."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.cli.choose import Chosen
    from striate.cli.progress import Watcher
    from striate.training import Run

AMOUNT = 0.1
"""How much `--noise` spoils unless told."""


@command(
    "autoencode",
    help="Learn to give back pictures; report them, codes, PCA beside.",
    section="Start",
    options={
        "data": "A data set's name, a folder of pictures, with class folders or without, or a file; labels are not looked at.",
        "code": "Numbers in the code.",
        "widths": "Hidden layers before the code, such as 500,250; for convolutional: channels, such as 16,32.",
        "form": "dense, or convolutional: stride 2 in each layer.",
        "activation": "relu, sigmoid, tanh, or none: a linear one spans the PCA subspace.",
        "output": "sigmoid, for pixels from 0 to 1, or linear.",
        "tied": "The decoder uses the encoder's weights, transposed.",
        "noise": "Denoise: masking (pixels set to 0), gaussian, or salt (0 or 1).",
        "amount": "Share of pixels spoiled, or the noise's deviation, up to 1; goes with --noise.",
        "start": "random; stacked: layer by layer first; boltzmann: a machine a layer, unrolled (dense, sigmoid).",
        "epochs": "How often every picture is seen; of each layer too, where it starts layer by layer.",
        "lr": "Learning rate.",
        "batch": "Pictures a step.",
        "seed": "Decides every random choice.",
        "device": "auto, cpu, cuda, cuda:1 or mps.",
        "precision": "fp32, bf16, or auto: bf16 where the hardware multiplies it.",
        "folder": "Where the run goes; by default runs/DATA-autoencoder-NUMBER. A stopped one of layers goes on there, given the same again.",
        "size": "Height and width that pictures of your own are brought to.",
        "data_option": "An option of the data set, KEY=VALUE; may be repeated.",
        "no_report": "Write no report.html.",
        "json": "Print the result as JSON on stdout; progress stays on stderr.",
        "quiet": "Print nothing but the path of the report.",
    },
    metavars={
        "widths": "N,N",
        "form": "FORM",
        "activation": "NAME",
        "output": "NAME",
        "noise": "KIND",
        "start": "WORD",
        "device": "NAME",
        "precision": "WORD",
        "data_option": "KEY=VALUE",
    },
    complete={"data": "data"},
    examples=(
        "striate autoencode mnist --code 2 --widths 500,250",
        "striate autoencode mnist --noise gaussian --code 500 --epochs 5",
        "striate autoencode photos/ --size 64 --form convolutional --widths 16,32",
    ),
    torch=True,
)
def autoencode(
    data: str = "digits",
    *,
    code: int = 32,
    widths: str = "",
    form: Literal["dense", "convolutional"] = "dense",
    activation: Literal["relu", "sigmoid", "tanh", "none"] = "relu",
    output: Literal["sigmoid", "linear"] = "sigmoid",
    tied: bool = False,
    noise: Literal["none", "masking", "gaussian", "salt"] = "none",
    amount: float = 0.1,  # AMOUNT; signatures are read as literals
    start: Literal["random", "stacked", "boltzmann"] = "random",
    epochs: float = 20,
    lr: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    folder: Path | None = None,
    size: int | None = None,
    data_option: tuple[str, ...] = (),
    no_report: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Check the words first (fast, without torch), then learn, measure and report."""
    from striate.autoencode.turns import unfinished
    from striate.cli.choose import chosen_data
    from striate.core.errors import ArgumentError, StorageError
    from striate.core.signature import command_line

    source = _without_labels(chosen_data(data, data_option, size=size))
    layers = _widths(widths)
    if code < (form == "dense"):
        raise ArgumentError(
            f"--code: got {code}, expected how many numbers a code has: 1 or more (0 with --form convolutional keeps the last maps as the code)"
        )
    if not 0 < amount <= 1:
        raise ArgumentError(f"--amount: got {amount:g}, expected more than 0 and at most 1 (0.1: a tenth of the pixels, or of their range)")
    if noise == "none" and amount != AMOUNT:
        raise ArgumentError(f"--amount: got {amount:g}, but no pixel is spoiled without --noise; add --noise masking, gaussian or salt")
    if start == "boltzmann" and (form, activation, noise, tied) != ("dense", "sigmoid", "none", False):
        raise ArgumentError("--start boltzmann: machines are binary units; it goes with --activation sigmoid, dense, without --noise or --tied")
    if form == "convolutional" and not layers:
        raise ArgumentError("--widths: a convolutional autoencoder needs the channels of its convolutions, such as --widths 16,32")
    if folder is not None and (folder / "run.json").exists() and (start == "random" or not unfinished(folder)):
        raise StorageError(f"--folder: {folder} already holds a run; give another folder")
    options: dict[str, Any] = {"code": code}
    usual = {"widths": [], "form": "dense", "activation": "relu", "output": "sigmoid", "tied": False, "noise": "none", "amount": AMOUNT}
    given = {"widths": layers, "form": form, "activation": activation, "output": output, "tied": tied, "noise": noise, "amount": amount}
    options |= {name: value for name, value in given.items() if value != usual[name]}
    asked: dict[str, Any] = {name: value for name, value in (("lr", lr), ("batch", batch)) if value is not None}
    flags = {**options, "widths": widths or None, "start": None if start == "random" else start, "epochs": f"{epochs:g}", **asked, "seed": seed}
    flags |= {"size": size, "data-option": list(data_option) or None}
    flags = {name: value for name, value in flags.items() if value is not None and value is not False}
    written = command_line(["striate", "autoencode", data], flags)

    def learn(progress: Watcher) -> Run:
        from striate import autoencode as room

        opened = source.open()
        where: dict[str, Any] = {"folder": folder, "seed": seed, "device": device, "progress": progress}
        if start == "stacked":
            from striate.autoencode.stacking import LAYERS

            recipe = LAYERS.edited(**asked)
            found = room.stack(None, opened, options=options, recipe=recipe, epochs=epochs, fine_tune=epochs, precision=precision, **where)
            run = found.run
        elif start == "boltzmann":
            from striate.autoencode.unrolling import boltzmann_train

            run = boltzmann_train(opened, layers, code=code, epochs=epochs, precision=precision, **asked, **where)
        else:
            run = room.train(None, opened, options=options, epochs=epochs, precision=precision, **asked, **where)
        if run is None:
            raise ArgumentError(f"--epochs: got {epochs:g}, expected more than 0")
        run.update({"command": written})
        return run

    places = {name: None if value == "auto" else value for name, value in (("device", device), ("precision", precision))}
    _tell(_going_on(learn, written, places), report=not no_report, json=json, quiet=quiet)


def _going_on(learn: Any, command: str, flags: dict[str, str | None]) -> Any:
    """Return `learn`; where it is stopped between or during turns, the message ends in the command that goes on."""
    from striate.core.errors import Interrupted
    from striate.core.signature import command_line

    def told(progress: Watcher) -> Run:
        from striate.autoencode.turns import Stopped

        try:
            run: Run = learn(progress)
        except Stopped as stop:
            again = command_line([], {**flags, "folder": stop.folder})
            raise Interrupted(f"{stop.done}. Go on: {command} {again}") from stop
        return run

    return told


def _without_labels(source: Chosen) -> Chosen:
    """Return the data to be read without labels where a folder is no folder of class folders."""
    if source.source != "folder" or "labelled" in source.keywords:
        return source
    from striate.data.sources.folder import class_folders

    return source if class_folders(source.positional[0]) > 1 else dataclasses.replace(source, keywords={**source.keywords, "labelled": False})


def _tell(learn: Any, *, report: bool, json: bool, quiet: bool) -> None:
    """Run it under a progress line; then the table of decibels, and the report's path last."""
    from striate.cli.output import facts, print_json, say, shown_path, table
    from striate.cli.progress import watcher

    with watcher(quiet=quiet) as progress:
        run = learn(progress)
    from striate.autoencode.figures import Reconstruction, decibels

    found = Reconstruction.load(run.folder)
    path = None
    if report:
        from striate.reports import report as write

        path = write(run)
    if json:
        print_json({"run": str(run.folder), "report": None if path is None else str(path), **found.to_json()})
        return
    if quiet:
        say(shown_path(path or run.folder))
        return
    say()
    say(found.title, style="bold")
    say()
    rows = found.rows()
    table(["pictures", "PSNR"], [[name, decibels(value)] for name, value in rows.items()])
    say()
    facts({"run": shown_path(run.folder), "report": shown_path(path) if path else None}, first=7)


def _widths(text: str) -> list[int]:
    from striate.core.errors import ArgumentError

    words = [word for word in text.replace(" ", ",").split(",") if word]
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise ArgumentError(f"--widths: got {text!r}, expected whole numbers joined by commas, such as 500,250")
    return [int(word) for word in words]
