"""A run that is trained knows from its first step on that it was a transfer, so that one which is stopped and resumed is told as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate.core.contracts import Progress
from striate.training import Run
from striate.training.description import name_of
from striate.training.session import new_folder


@contextmanager
def known(
    folder: str | Path | None, data: str, network: nn.Module | str, facts: Mapping[str, Any], tell: Progress
) -> Iterator[tuple[Path, Progress]]:
    """Give the folder to train in (made where it is new) and the progress to train under; `facts` are in `run.json` before the first step.

    They stay there however training ends. A folder that was made here and holds nothing is taken away when training never began.
    """
    before = folder is not None and Path(folder).exists()
    target = new_folder(folder, data, network if isinstance(network, str) else name_of(network))
    watched = _Marked(tell, target, facts)
    try:
        yield target, watched
    except BaseException:
        if watched.begun:  # the end was written by one who did not know
            watched.mark()
        elif not before and not any(target.iterdir()):
            target.rmdir()
        raise


class _Marked:
    """A `Progress` that writes down what the run is when training begins, and passes everything on."""

    def __init__(self, inner: Progress, folder: Path, facts: Mapping[str, Any]) -> None:
        self.inner, self.folder, self.facts, self.begun = inner, folder, facts, False

    def mark(self) -> None:
        Run(self.folder).update(self.facts)

    def started(self, title: str, *, epochs: float, steps: int, start: int) -> None:
        self.begun = True
        self.mark()
        self.inner.started(title, epochs=epochs, steps=steps, start=start)

    def stepped(self, step: int, *, samples: int, loss: torch.Tensor) -> None:
        self.inner.stepped(step, samples=samples, loss=loss)

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        self.inner.epoch_ended(row)

    def note(self, text: str) -> None:
        self.inner.note(text)

    def finished(self, summary: Mapping[str, Any]) -> None:
        self.inner.finished(summary)
