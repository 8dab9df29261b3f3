"""What a trained network sees in files: the likeliest classes of each, where it sees them, and which files could not be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, DataError, PictureError
from striate.core.runtime import Precision, settings
from striate.pixels import decode
from striate.pixels.boxes import into_input
from striate.training.arguments import a_device, check_views
from striate.training.evaluation import Views, logits_of
from striate.training.forward import forward, placed
from striate.training.localise import Localise
from striate.training.run import run_of
from striate.use.files import find

if TYPE_CHECKING:
    from torch import Tensor

    from striate.pixels import Preprocess
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
    box: tuple[float, float, float, float] | None = None
    """Of a run that learned boxes: x, y (left and top edge), w, h in pixels of the whole upright picture; it may stand out of it. Else None."""
    points: tuple[tuple[float, float], ...] = ()
    """Of a run that learned points: x, y of each, in those pixels."""

    def __str__(self) -> str:
        """One line: path, then the best class and its share, and its box, or the problem."""
        if self.problem is not None:
            return str(self.problem)
        where = "" if self.box is None else ", x {:.1f}, y {:.1f}, w {:.1f}, h {:.1f}".format(*self.box)
        return f"{self.path}: {self.classes[0]} ({self.shares[0]:.1%}){where}"


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

    A run of the task `localise` says where, too: `box` and `points`, in pixels of each picture as it is, whatever size the network sees it in.
    The run's own preprocessing opens each file; where it never resizes (digits, MNIST, CIFAR) a picture of another size is scaled until it covers the
    input, its centre is cut, and `note` says so. A file that cannot be read does not lose the others: its prediction carries the `problem`.
    Raises `DataError` when no file can be read at all, `ArgumentError` for a bad `top` or `batch`, for a run that does not take pictures,
    and for `views` where the run says where things are.
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
    if hasattr(opened.task, "beside") and views != "one":
        raise ArgumentError(f"views: got {views!r}; task {opened.task.name!r} looks at one view, for a mirrored picture's box lies elsewhere")
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


@dataclass(frozen=True)
class _Read:
    """A picture C H W uint8 at the input's size, what was done to it, and the motion 2 3 from the whole picture's pixels to the input's."""

    picture: Tensor
    note: str
    motion: np.ndarray[Any, Any] | None = None


class _Predictor:
    """The network on its device, ready for lists of files."""

    def __init__(self, run: Run, top: int, views: Views, device: str, precision: Precision) -> None:
        self.preprocess = cast("Any", run.preprocess)
        shape = (self.preprocess.channels, *self.preprocess.size)
        self.model, self.use = placed(run.model.eval(), settings(a_device(device), precision), shape)
        self.task, self.classes, self.top, self.views = run.task, run.classes, min(top, len(run.classes)), views
        self.placing = run.task if isinstance(run.task, Localise) else None

    def __call__(self, paths: Sequence[Path]) -> list[Prediction]:
        with ThreadPoolExecutor(min(READERS, len(paths))) as readers:
            opened = list(readers.map(lambda path: _open(self.preprocess, path, where=self.placing is not None), paths))
        read = [each for each in opened if isinstance(each, _Read)]
        answers = iter(self._answers([path for path, each in zip(paths, opened, strict=True) if isinstance(each, _Read)], read) if read else ())
        return [next(answers) if isinstance(each, _Read) else Prediction(path, problem=each) for path, each in zip(paths, opened, strict=True)]

    @torch.no_grad()
    def _answers(self, paths: Sequence[Path], read: Sequence[_Read]) -> Iterator[Prediction]:
        x = self.preprocess(torch.stack([each.picture for each in read])).to(self.use.device)
        output = forward(lambda seen: logits_of(self.model, seen, self.views), x, self.use, network=self.model)
        best = self.task.decode(output).float().topk(self.top, dim=1)
        sides = np.array([x.shape[-1], x.shape[-2]], np.float64)
        boxes: Any = [None] * len(read)
        points: Any = [None] * len(read)
        if self.placing is not None and self.placing.with_boxes:
            boxes = self.placing.boxes(output).double().cpu().numpy() * np.tile(sides, 2)
        if self.placing is not None and self.placing.count:
            points = self.placing.points(output).double().cpu().numpy() * sides
        rows = zip(paths, read, best.values.tolist(), best.indices.tolist(), boxes, points, strict=True)
        for path, each, shares, numbers, box, some in rows:
            names = tuple(self.classes[number] for number in numbers)
            yield Prediction(path, names, tuple(shares), note=each.note, box=_box(box, each.motion), points=_points(some, each.motion))


def _box(box: Any, motion: Any) -> tuple[float, float, float, float] | None:
    """Return a box (x, y, w, h) of the input in pixels of the whole picture, or None where there is none."""
    if box is None:
        return None
    scale, shift = motion[:, :2].diagonal(), motion[:, 2]
    (x, y), (w, h) = (((box[:2] - shift) / scale).tolist(), (box[2:] / scale).tolist())
    return x, y, w, h


def _points(points: Any, motion: Any) -> tuple[tuple[float, float], ...]:
    return () if points is None else tuple((float(x), float(y)) for x, y in (points - motion[:, 2]) / motion[:, :2].diagonal())


def _open(preprocess: Any, path: Path, *, where: bool) -> _Read | PictureError:
    """Return the picture, or the error that says why there is none; `where`: with its motion."""
    if not path.exists():
        return PictureError(path, "no such file", "Check the spelling, or quote the pattern.")
    try:
        try:
            return _read(preprocess, path, where=where)
        except ArgumentError:
            if getattr(preprocess, "resize", None) != "none":
                raise
            height, width = preprocess.size
            return _read(dataclasses.replace(preprocess, resize="crop"), path, where=where, note=f"brought to {height} x {width} pixels")
    except PictureError as error:
        return error
    except ArgumentError as error:
        return PictureError(path, str(error), "This network takes other pictures.")


def _read(preprocess: Preprocess, path: Path, *, where: bool, note: str = "") -> _Read:
    """Open a picture; where things are in it hangs on its whole size, so then it is decoded whole, as data with boxes are."""
    if not where:
        return _Read(preprocess.open(path), note)
    channels = cast("Literal[1, 3] | None", preprocess.channels if preprocess.channels in (1, 3) else None)
    whole = decode(path, channels=channels, background=preprocess.background)
    motion = into_input(np.array([whole.shape[:2]], np.int64), preprocess)[0].astype(np.float64)
    return _Read(preprocess.fit(whole), note, motion)


def _chunks(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]
