"""What the commands that explain share: the network they look at, the run's data, where things are written, how they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.understand import Explanation


@dataclass(frozen=True)
class Subject:
    """The network asked for: a run's folder, or a name to build with weights. Nothing is loaded yet."""

    text: str
    folder: Path | None
    weights: str | None = None
    classes: int | None = None

    @classmethod
    def read(cls, text: str, weights: str | None = None, classes: int | None = None) -> Subject:
        """Check the words without torch: a run, a name of the zoo with weights, `package.module:factory`. Raises `ArgumentError`, `StorageError`."""
        from striate.cli.choose import RUNS, run_folder
        from striate.core.errors import UnknownNameError
        from striate.zoo.registry import architectures

        if ":" in text or text in architectures:
            outside = text.partition(":")[0]
            if weights is None and (":" not in text or outside in ("timm", "torchvision")):
                raise ArgumentError(f"{text}: a network without weights has nothing to show; give them with --weights FILE, or name a trained run")
            return cls(text, None, weights, classes)
        if weights is not None:
            raise ArgumentError(f"--weights: {text} is a run and has its own; name the architecture instead to give it others")
        if "/" in text or Path(text).is_dir() or (RUNS / text).is_dir():
            return cls(text, run_folder(text))
        try:
            architectures.entry(text)
        except UnknownNameError as error:
            raise UnknownNameError(f"{error} A run is named by its folder, a network of your own by package.module:factory") from None
        raise AssertionError(text)

    def open(self) -> Any:
        """Return the Run, or the network."""
        if self.folder is not None:
            from striate.training import Run

            return Run.load(self.folder)
        from striate import zoo

        if ":" in self.text:
            return zoo.build(self.text, classes=self.classes or 1000, input=(3, 224, 224), weights=self.weights)
        card = zoo.card(self.text)
        return zoo.build(self.text, classes=self.classes or card.classes, input=card.input, weights=self.weights)

    @property
    def name(self) -> str:
        """A short name for titles and folders."""
        return self.folder.name if self.folder is not None else self.text.replace(":", "-")

    def place(self, out: Path | None, word: str) -> Path:
        """Return (and make) the folder results go to: `out`, or `word` inside the run's folder, or `word`-NAME here."""
        place = out if out is not None else self.folder / word if self.folder is not None else Path(f"{word}-{self.name}")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def data(self, spec: str | None, *, labels: bool = True) -> Any:
        """Open the data set asked for, or the one the run was trained on, with the part it held out.

        Without `labels` a folder of pictures that has no class folders, or one, will do, all of it.
        """
        from striate.cli.choose import chosen_data
        from striate.data.sources.folder import class_folders

        if spec is not None:
            chosen = chosen_data(spec)
            if not labels and chosen.source == "folder" and class_folders(chosen.positional[0]) < 2:
                chosen = replace(chosen, keywords={**chosen.keywords, "labelled": False, "val": 0.0})
            return chosen.open()
        if self.folder is None:
            raise ArgumentError(f"{self.text}: say on which data: a folder of class folders, a file, or a name such as cifar10")
        from striate.core.storage import read_json
        from striate.training.description import data_of

        facts = read_json(self.folder / "run.json")
        if facts["data"]["spec"] is None:
            raise ArgumentError(f"{self.folder}: its data came as arrays; say on which data to look")
        return data_of(facts)


@contextmanager
def watching(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield `watch(name, number, of)`, which shows one line of progress on a terminal and nothing elsewhere."""
    import sys

    from striate.cli.output import ACCENT, console

    out = console(sys.stderr)
    if quiet or not out.is_terminal:
        yield lambda _name, _number, _of: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(complete_style=ACCENT), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=1)
        yield lambda name, number, of: progress.update(task, description=name, completed=number, total=of, refresh=True)


def one(
    subject: Subject,
    method: str,
    given: Callable[[], tuple[Any, ...]],
    assignments: Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    preprocess: str | None = None,
    target: Any = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Run one method for a short command: write its picture, page and arrays, and tell what it found.

    `given` returns what the method gets after the model; `options` that are None are left out.
    """
    from striate.understand.explaining import parsed_options, run

    asked = {name: value for name, value in (options or {}).items() if value is not None}
    chosen = {**asked, **parsed_options(assignments, (method,)).get(method, {})}
    with watching(json) as watch:
        watch(method, 0, 1)
        made = run(method, subject.open(), given(), options=chosen, target=target, preprocess=preprocess, seed=seed)
        place = subject.place(out, "explained")
        paths = {ending: made.save(place / f"{method}.{ending}") for ending in ("png", "html", "npz")}
    told(made, paths, json=json)


def told(made: Explanation, paths: Mapping[str, Path], *, json: bool) -> None:
    """Print what one explanation found: its figure's title, receipts, notes, and where it lies."""
    from striate.cli.output import aside, facts, print_json, say, shown_path

    if json:
        print_json(made.to_json() | {"files": {ending: str(path) for ending, path in paths.items()}} | _points(made))
        return
    from striate.draw import short

    say(made.figure().title, style="bold")
    facts({name.replace("_", " "): short(float(value)) for name, value in made.receipts.items()})
    for note in made.notes:
        aside(note)
    for path in paths.values():
        say(shown_path(path))


def _points(made: Explanation) -> dict[str, Any]:
    """A map's places and labels, as data."""
    if made.kind != "embedding":
        return {}
    return {name: made.arrays[name].tolist() for name in ("points", "labels", "index") if name in made.arrays}


def class_word(text: str | None) -> int | str | None:
    """Read `--target`: a class's number where it is one, else its name."""
    return int(text) if text is not None and text.removeprefix("-").isdigit() else text


def preprocess_word(text: str | None) -> str | None:
    """Check `--preprocess`: imagenet or identity. Raises `UnknownNameError`."""
    from striate.core.errors import unknown_name

    if text is not None and text not in ("imagenet", "identity"):
        raise unknown_name("preprocess", text, ("imagenet", "identity"))
    return text
