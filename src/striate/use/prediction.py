"""What a trained network sees in files: the likeliest classes of each, and which files could not be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, DataError, PictureError
from striate.core.runtime import Precision, settings
from striate.training.arguments import a_device, check_views
from striate.training.evaluation import Views, logits_of
from striate.training.forward import forward, placed
from striate.training.run import run_of
from striate.use.files import find

if TYPE_CHECKING:
    from torch import Tensor

    from striate.training import Run

READERS = 4
"""Threads that open files; decoding runs outside Python's lock."""


@dataclass(frozen=True)
class Prediction:
    """One file's likeliest classes, best first, with their shares (softmax, 0 to 1); or the `problem` that kept it from being read."""

    path: Path
    classes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    problem: PictureError | None = None
    note: str = ""
    """What was done to the picture that the network's own pictures never needed; empty as a rule."""

    def __str__(self) -> str:
        """One line: path, then the best class and its share, or the problem."""
        return f"{self.path}: {self.classes[0]} ({self.shares[0]:.1%})" if self.problem is None else str(self.problem)


def predict(
    run: Run | str | Path,
    files: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    views: Views = "one",
    batch: int = 64,
    device: str = "auto",
    precision: Precision = "auto",
) -> list[Prediction]:
    """Return one prediction a file, in the order of `files` (files, folders, patterns; a folder's files alphabetically).

    The run's own preprocessing opens each file; where it never resizes (digits, MNIST, CIFAR) a picture of another size is scaled until it covers the
    input, its centre is cut, and `note` says so. A file that cannot be read does not lose the others: its prediction carries the `problem`.
    Raises `DataError` when no file can be read at all, `ArgumentError` for a bad `top` or `batch` or a run that does not take pictures.
    """
    opened = run_of(run)
    top, batch = whole_number("top", top, least=1), whole_number("batch", batch, least=1)
    check_views(views)
    if not hasattr(opened.preprocess, "open"):
        raise ArgumentError(f"{opened.folder}: this run does not take pictures, so it cannot predict from picture files")
    if not getattr(opened.task, "supervised", True):
        raise ArgumentError(
            f"{opened.folder}: its task is {opened.task.name}, which gives no classes; call run.model(run.preprocess(pixels)) instead"
        )
    found = find(files)
    answers: list[Prediction] = []
    predictor = _Predictor(opened, top, views, device, precision)
    for paths in _chunks(found.files, batch):
        answers += predictor(paths)
    problems = [answer.problem for answer in answers if answer.problem]
    if len(problems) == len(answers):
        shown = "\n  ".join(str(problem) for problem in problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"none of the {len(problems)} files can be read:\n  {shown}{more}" if len(problems) > 1 else shown)
    return answers


class _Predictor:
    """The network on its device, ready for lists of files."""

    def __init__(self, run: Run, top: int, views: Views, device: str, precision: Precision) -> None:
        self.preprocess = cast("Any", run.preprocess)
        shape = (self.preprocess.channels, *self.preprocess.size)
        self.model, self.use = placed(run.model.eval(), settings(a_device(device), precision), shape)
        self.task, self.classes, self.top, self.views = run.task, run.classes, min(top, len(run.classes)), views

    def __call__(self, paths: Sequence[Path]) -> list[Prediction]:
        with ThreadPoolExecutor(min(READERS, len(paths))) as readers:
            opened = list(readers.map(lambda path: _open(self.preprocess, path), paths))
        read = [(picture, note) for picture, note in opened if not isinstance(picture, PictureError)]
        rows = iter(zip(*self._shares(torch.stack([picture for picture, _ in read])), strict=True) if read else ())
        answers = []
        for path, (picture, note) in zip(paths, opened, strict=True):
            if isinstance(picture, PictureError):
                answers.append(Prediction(path, problem=picture))
            else:
                shares, numbers = next(rows)
                answers.append(Prediction(path, tuple(self.classes[number] for number in numbers), tuple(shares), note=note))
        return answers

    @torch.no_grad()
    def _shares(self, pictures: Tensor) -> tuple[list[list[float]], list[list[int]]]:
        x = self.preprocess(pictures).to(self.use.device)
        output = forward(lambda seen: logits_of(self.model, seen, self.views), x, self.use, network=self.model)
        best = self.task.decode(output).float().topk(self.top, dim=1)
        return best.values.tolist(), best.indices.tolist()


def _open(preprocess: Any, path: Path) -> tuple[Any, str]:
    """The picture C H W uint8 with a note on what was done to it, or the error that says why there is none."""
    if not path.exists():
        return PictureError(path, "no such file", "Check the spelling, or quote the pattern."), ""
    try:
        try:
            return preprocess.open(path), ""
        except ArgumentError:
            if getattr(preprocess, "resize", None) != "none":
                raise
            height, width = preprocess.size
            return dataclasses.replace(preprocess, resize="crop").open(path), f"brought to {height} x {width} pixels"
    except PictureError as error:
        return error, ""
    except ArgumentError as error:
        return PictureError(path, str(error), "This network takes other pictures."), ""


def _chunks(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]
